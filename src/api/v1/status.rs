//! `GET /api/v1/status`: how the server is doing.

use axum::{Json, extract::State};

use crate::{
    api::{Api, caller::Reader, error::ApiError, params::Params},
    query::Status,
};

/// Shows the state of intake, analysis, model, forwarding and database.
pub async fn status(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Status>, ApiError> {
    params.end()?;
    Ok(Json(api.query.status(&tenant).await?))
}
