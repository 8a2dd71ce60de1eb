//! `GET /api/v1/usage`: what model calls took, and what they may take.

use axum::{Json, extract::State};

use crate::{
    api::{Api, caller::Reader, error::ApiError, params::Params},
    query::UsageReport,
};

/// Shows the usage of models.
pub async fn usage(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<UsageReport>, ApiError> {
    params.end()?;
    Ok(Json(api.query.usage(&tenant).await?))
}
