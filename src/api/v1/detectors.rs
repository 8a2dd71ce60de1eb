//! `GET /api/v1/detectors`: since when each host is learnt, and when its detectors may speak.

use axum::{Json, extract::State};
use serde_json::Value;

use super::page;
use crate::api::{Api, caller::Reader, cursor, error::ApiError, params::Params};

/// Groups of a page unless the caller says otherwise.
const DEFAULT_GROUPS: usize = 100;
/// Groups of a page at most.
const MAX_GROUPS: usize = 1_000;

/// Lists groups by name.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    mut params: Params,
) -> Result<Json<Value>, ApiError> {
    let after = cursor::param(&mut params)?;
    let limit = params.count("limit", DEFAULT_GROUPS, MAX_GROUPS)?;
    params.end()?;
    Ok(Json(page("detectors", &api.query.detectors(&tenant, after, limit).await?)))
}
