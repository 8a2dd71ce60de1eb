//! `GET /api/v1/entries`: stored lines of the streams a selector names.

use std::time::Duration;

use axum::{Json, extract::State};

use crate::{
    api::{
        Api,
        caller::Reader,
        error::ApiError,
        params::{Params, bad},
    },
    model::Timestamp,
    query::{Entries, EntriesQuery, MAX_ENTRIES},
};

/// Lines unless the caller says otherwise, as in Loki.
const DEFAULT_ENTRIES: usize = 100;
/// How far back to look unless the caller says otherwise, as in Loki.
const DEFAULT_RANGE: Duration = Duration::from_secs(3_600);

/// Lists lines, newest first unless told otherwise.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Entries>, ApiError> {
    let query = query(params, api.query.now())?;
    Ok(Json(api.query.entries(&tenant, query).await?))
}

fn query(mut params: Params, now: Timestamp) -> Result<EntriesQuery, ApiError> {
    let selector = params.selector()?.ok_or_else(|| bad("selector", "is needed: {job=\"nginx\"}"))?;
    let (from, to) = params.range()?;
    // The end is exclusive: what carries this very nanosecond should be seen.
    let to = to.unwrap_or(now.plus(Duration::from_nanos(1)));
    let from = from.unwrap_or(to.minus(DEFAULT_RANGE));
    let limit = params.count("limit", DEFAULT_ENTRIES, MAX_ENTRIES)?;
    let is_backward = |text: &str| match text {
        "backward" => Some(true),
        "forward" => Some(false),
        _ => None,
    };
    let backward = params.one("direction", "forward or backward", is_backward)?.unwrap_or(true);
    params.end()?;
    Ok(EntriesQuery { selector, from, to, limit, backward })
}
