//! `GET /api/v1/findings/summary`: how many findings, by severity, category, status and host.

use axum::{Json, extract::State};

use crate::{
    api::{Api, caller::Reader, error::ApiError, params::Params},
    store::finding::FindingSummary,
};

/// Counts findings over a time range.
pub async fn summary(
    State(api): State<Api>,
    Reader(tenant): Reader,
    mut params: Params,
) -> Result<Json<FindingSummary>, ApiError> {
    let (from, to) = params.range()?;
    params.end()?;
    Ok(Json(api.query.summary(&tenant, from, to).await?))
}
