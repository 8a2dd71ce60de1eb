//! `GET /api/v1/streams`: the known streams and what is stored of them.

use axum::{Json, extract::State};
use serde_json::Value;

use super::page;
use crate::{
    api::{Api, caller::Reader, cursor, error::ApiError, params::Params},
    query::StreamsQuery,
};

/// Streams of a page unless the caller says otherwise.
const DEFAULT_STREAMS: usize = 100;
/// Streams of a page at most: each is looked up by index.
const MAX_STREAMS: usize = 1_000;

/// Lists streams in order of number.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    mut params: Params,
) -> Result<Json<Value>, ApiError> {
    let query = StreamsQuery {
        selector: params.selector()?.unwrap_or_default(),
        after: cursor::param(&mut params)?,
        limit: params.count("limit", DEFAULT_STREAMS, MAX_STREAMS)?,
    };
    params.end()?;
    Ok(Json(page("streams", &api.query.streams(&tenant, query).await?)))
}
