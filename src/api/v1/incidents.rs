//! `GET /api/v1/incidents`: what happened, newest first.

use axum::{Json, extract::State};
use serde_json::Value;

use super::{DEFAULT_PAGE, MAX_PAGE, page};
use crate::{
    api::{Api, caller::Reader, cursor, error::ApiError, params::Params},
    model::{Category, FindingStatus, Severity},
    store::incident::IncidentFilter,
};

/// Lists incidents.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let found = api.query.incidents(&tenant, filter(params)?).await?;
    Ok(Json(page("incidents", &found)))
}

fn filter(mut params: Params) -> Result<IncidentFilter, ApiError> {
    let (from, to) = params.range()?;
    let filter = IncidentFilter {
        tenant: 0,
        from,
        to,
        severity: params.one("severity", "info, low, medium, high or critical", Severity::parse)?,
        categories: params.many("category", "a category; the API document lists them", Category::parse)?,
        statuses: params.many(
            "status",
            "open, acknowledged, resolved or false_positive",
            FindingStatus::parse,
        )?,
        host: params.text("host")?,
        service: params.text("service")?,
        text: params.text("text")?,
        before: cursor::param(&mut params)?,
        limit: params.count("limit", DEFAULT_PAGE, MAX_PAGE)?,
    };
    params.end()?;
    Ok(filter)
}
