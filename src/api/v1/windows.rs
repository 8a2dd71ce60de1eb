//! `GET /api/v1/windows`: what was analysed, with what, what it cost, or why it failed.

use axum::{Json, extract::State};
use serde_json::Value;

use super::{DEFAULT_PAGE, MAX_PAGE, page};
use crate::{
    api::{Api, caller::Reader, cursor, error::ApiError, params::Params},
    model::WindowState,
    store::window::WindowFilter,
};

/// What `state` may be.
const STATES: &str = "open, quiet, rules_only, pending, analysed, failed or over_budget";

/// Lists windows, newest first.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    mut params: Params,
) -> Result<Json<Value>, ApiError> {
    let (from, to) = params.range()?;
    let filter = WindowFilter {
        tenant: 0,
        from,
        to,
        group: params.text("group")?,
        state: params.one("state", STATES, WindowState::parse)?,
        before: cursor::param(&mut params)?,
        limit: params.count("limit", DEFAULT_PAGE, MAX_PAGE)?,
    };
    params.end()?;
    Ok(Json(page("windows", &api.query.windows(&tenant, filter).await?)))
}
