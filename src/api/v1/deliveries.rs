//! `GET /api/v1/deliveries`: what was told, over which channel, and what the services said.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{DEFAULT_PAGE, MAX_PAGE, page};
use crate::{
    api::{Api, caller::Reader, cursor, error::ApiError, params::Params},
    model::DeliveryState,
    store::delivery::DeliveryFilter,
};

/// Lists deliveries, newest first, and says how the channels are doing.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let found = api.query.deliveries(&tenant, filter(params)?).await?;
    let mut answer = page("deliveries", &found);
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("channels".to_owned(), json!(api.alert.channels()));
    }
    Ok(Json(answer))
}

fn filter(mut params: Params) -> Result<DeliveryFilter, ApiError> {
    let states = "queued, sending, delivered, failed, folded or withdrawn";
    let filter = DeliveryFilter {
        tenant: 0,
        states: params.many("state", states, DeliveryState::parse)?,
        channel: params.text("channel")?,
        incident: params.text("incident")?,
        before: cursor::param(&mut params)?,
        limit: params.count("limit", DEFAULT_PAGE, MAX_PAGE)?,
    };
    params.end()?;
    Ok(filter)
}
