//! `GET /api/v1/findings/{id}/context`: the lines around each line of evidence.

use axum::{
    Json,
    extract::{Path, State},
};

use crate::{
    api::{Api, caller::Reader, error::ApiError, params::Params},
    model::FindingId,
    query::{FindingContext, MAX_CONTEXT_LINES},
};

/// Lines on each side unless the caller says otherwise.
const DEFAULT_LINES: usize = 5;

/// Shows the context of a finding.
pub async fn context(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Json<FindingContext>, ApiError> {
    let lines = params.count("lines", DEFAULT_LINES, MAX_CONTEXT_LINES)?;
    params.end()?;
    let context = api.query.context(&tenant, FindingId(id), lines).await?;
    context.map(Json).ok_or(ApiError::NotFound("finding"))
}
