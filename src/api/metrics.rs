//! `GET /metrics`: the Prometheus text form of everything counted.

use axum::{extract::State, http::header, response::IntoResponse};

use super::{Api, caller::Reader, error::ApiError};
use crate::model::TenantId;

/// The type Prometheus asks for in its text form.
const TEXT_FORM: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes every metric. They are the whole process's, so tenants' names and volumes show: a read token is needed
/// wherever tokens are configured.
pub async fn metrics(State(api): State<Api>, _: Reader) -> Result<impl IntoResponse, ApiError> {
    let streams = api.store.streams();
    let active = |tenant: TenantId| (tenant.to_string(), streams.active(&tenant));
    api.metrics.ingest.set_memory_streams(streams.tenants().into_iter().map(active));
    Ok(([(header::CONTENT_TYPE, TEXT_FORM)], api.metrics.render()?))
}
