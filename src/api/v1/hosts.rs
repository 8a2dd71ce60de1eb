//! `GET /api/v1/hosts`: the hosts that streams and findings name.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::api::{Api, caller::Reader, error::ApiError, params::Params};

/// Lists hosts by name.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    params.end()?;
    Ok(Json(json!({ "hosts": api.query.hosts(&tenant).await? })))
}
