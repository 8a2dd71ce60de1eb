//! Verdicts on detectors: `GET /api/v1/feedback`, `DELETE /api/v1/feedback/{id}`. They are given on findings.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use crate::{
    api::{
        Api,
        caller::{Admin, Reader},
        error::ApiError,
        params::Params,
        v1::untaught,
    },
    store::feedback,
};

/// Lists verdicts, newest first.
pub async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    params.end()?;
    Ok(Json(json!({ "feedback": api.query.feedback(&tenant).await? })))
}

/// Takes a verdict back.
pub async fn remove(
    State(api): State<Api>,
    Admin(tenant): Admin,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode, ApiError> {
    params.end()?;
    untaught::remove(&api, &tenant, "verdict", move |tx, number| feedback::remove(tx, number, &id)).await
}
