//! `GET /api/v1/findings/{id}`: one finding with its evidence.

use axum::{
    Json,
    extract::{Path, State},
};

use crate::{
    api::{Api, caller::Reader, error::ApiError, params::Params},
    model::{Finding, FindingId},
};

/// Shows a finding.
pub async fn one(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Finding>, ApiError> {
    params.end()?;
    let found = api.query.finding(&tenant, FindingId(id)).await?;
    found.map(Json).ok_or(ApiError::NotFound("finding"))
}
