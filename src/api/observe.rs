//! Measures every request, turns a handler's panic into a counted 500, and gives errors under `/api/v1` one shape.

use std::{any::Any, time::Instant};

use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use prometheus::IntCounter;

use super::error;
use crate::telemetry::HttpMetrics;

/// Error texts of other layers are one line; what is longer is not one of them.
const ERROR_TEXT_MAX: usize = 4 * 1024;

/// Measures a request under Loki's labels. Unknown paths share one route, so that scanners cannot grow the metrics.
pub async fn measure(State(metrics): State<HttpMetrics>, request: Request, next: Next) -> Response {
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("other".to_owned(), route_label);
    let inflight = Inflight::enter(&metrics, method, &route);
    let started = Instant::now();
    let response = next.run(request).await;
    drop(inflight);
    metrics
        .request_seconds
        .with_label_values(&[method, &route, response.status().as_str(), "false"])
        .observe(started.elapsed().as_secs_f64());
    response
}

/// Counts down even when the client goes away in the middle.
struct Inflight(prometheus::IntGauge);

impl Inflight {
    fn enter(metrics: &HttpMetrics, method: &str, route: &str) -> Self {
        let gauge = metrics.inflight.with_label_values(&[method, route]);
        gauge.inc();
        Inflight(gauge)
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// `/loki/api/v1/label/{name}/values` is `loki_api_v1_label_name_values`.
fn route_label(path: &MatchedPath) -> String {
    let label: String =
        path.as_str().trim_matches('/').replace('/', "_").chars().filter(|c| !"{}*".contains(*c)).collect();
    if label.is_empty() { "root".to_owned() } else { label }
}

/// Methods are the caller's text; only the known ones become a label.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// What `CatchPanicLayer` calls: counts, logs, answers 500.
pub fn on_panic(panics: IntCounter) -> impl Fn(Box<dyn Any + Send>) -> Response + Clone {
    move |cause| {
        panics.inc();
        let text = cause
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| cause.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(cause = text, "a request handler panicked");
        (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
    }
}

/// Under `/api/v1`, rewrites plain-text errors of outer layers (authentication, unknown path, wrong method, panic)
/// to the JSON shape. Everything else passes untouched.
pub async fn json_errors(request: Request, next: Next) -> Response {
    let is_ours = is_own_api(request.uri().path());
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_ours || !is_error || is_json(response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, ERROR_TEXT_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let message = if text.trim().is_empty() {
        status.canonical_reason().unwrap_or("error").to_lowercase()
    } else {
        text.trim().to_owned()
    };
    let mut answer = error::answer(status, code_of(status), &message);
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = parts.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// Paths nobody serves: Loki's words, which its clients probe for.
pub async fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        Body::from("404 page not found\n"),
    )
        .into_response()
}

fn is_own_api(path: &str) -> bool {
    path == "/api/v1" || path.starts_with("/api/v1/")
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        status if status.is_client_error() => "bad_request",
        _ => "internal",
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::get};
    use prometheus::IntCounter;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn doomed() -> &'static str {
        if true {
            panic!("boom");
        }
        ""
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_answered_in_the_shape_of_its_path() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        let router: Router = Router::new()
            .route("/api/v1/x", get(doomed))
            .route("/loki/x", get(doomed))
            .layer(CatchPanicLayer::custom(on_panic(panics.clone())))
            .layer(middleware::from_fn(json_errors));
        let mut texts = Vec::new();
        for path in ["/api/v1/x", "/loki/x"] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let bytes = to_bytes(answer.into_body(), ERROR_TEXT_MAX).await.unwrap();
            texts.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        assert_eq!(panics.get(), 2);
        assert_eq!(
            texts,
            [r#"{"error":{"code":"internal","message":"internal error"}}"#, "internal error\n"]
        );
    }
}
