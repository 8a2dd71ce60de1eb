//! `GET /api/v1/findings`: what was found, newest first.

use axum::{Json, extract::State};
use serde_json::Value;

use super::{DEFAULT_PAGE, MAX_PAGE, page};
use crate::{
    api::{
        Api,
        caller::Reader,
        cursor,
        error::ApiError,
        params::{Params, bad},
    },
    model::{Category, FindingStatus, Severity},
    store::finding::FindingFilter,
};

/// Lists findings.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let found = api.query.findings(&tenant, filter(params)?).await?;
    Ok(Json(page("findings", &found)))
}

fn filter(mut params: Params) -> Result<FindingFilter, ApiError> {
    let (from, to) = params.range()?;
    let filter = FindingFilter {
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
        labels: labels(&mut params)?,
        before: cursor::param(&mut params)?,
        limit: params.count("limit", DEFAULT_PAGE, MAX_PAGE)?,
    };
    params.end()?;
    Ok(filter)
}

/// Findings keep the labels of their evidence, which can be compared but not searched by expression.
fn labels(params: &mut Params) -> Result<Vec<(String, String)>, ApiError> {
    let Some(selector) = params.selector()? else { return Ok(Vec::new()) };
    selector
        .equalities()
        .ok_or_else(|| bad("selector", "findings are selected by equality only: {job=\"nginx\"}"))
}
