//! `GET /api/v1/templates`: the patterns that lines were found to follow, most lines first.

use axum::{Json, extract::State};
use serde_json::Value;

use super::{DEFAULT_PAGE, MAX_PAGE, page};
use crate::api::{Api, caller::Reader, cursor, error::ApiError, params::Params};

/// Lists templates.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    mut params: Params,
) -> Result<Json<Value>, ApiError> {
    let text = params.text("text")?;
    let before = cursor::param(&mut params)?;
    let limit = params.count("limit", DEFAULT_PAGE, MAX_PAGE)?;
    params.end()?;
    Ok(Json(page("templates", &api.query.templates(&tenant, text, before, limit).await?)))
}
