//! `POST /api/v1/alerts/test`: a test message over one channel or all.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    alert::TestError,
    api::{Api, body, caller::Admin, error::ApiError, params::Params},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    channel: Option<String>,
}

/// Queues the messages; what became of them is among the deliveries.
pub async fn test(
    State(api): State<Api>,
    Admin(tenant): Admin,
    params: Params,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    params.end()?;
    let wanted: Wanted = body::json(request).await?;
    let queued = api.alert.test(&api.store, &tenant, wanted.channel.as_deref(), api.query.now()).await;
    let queued = queued.map_err(|error| match error {
        TestError::NoChannel => ApiError::NotFound("channel"),
        TestError::Store(error) => ApiError::Store(error),
    })?;
    let row = |(id, channel): (String, String)| json!({ "id": id, "channel": channel });
    let queued: Vec<Value> = queued.into_iter().map(row).collect();
    Ok((StatusCode::ACCEPTED, Json(json!({ "deliveries": queued }))))
}
