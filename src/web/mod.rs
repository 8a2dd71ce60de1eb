//! The page at `/`: the state in one glance and the newest findings with the lines behind them.
//!
//! Rendered here, without a build step and without requests to anywhere else. A strict content security policy
//! stands behind the escaping: no script or style other than our two files ever runs.

mod html;
mod page;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};

use self::page::View;
use crate::{
    model::{FindingStatus, TenantId},
    query::{Query, QueryError},
    store::{finding::FindingFilter, incident::IncidentFilter},
};

/// Findings on the page.
const SHOWN: usize = 50;
/// Open incidents on the page.
const INCIDENTS_SHOWN: usize = 10;
/// Used in the snippet when the browser's word for our address is not one.
const DEFAULT_ADDRESS: &str = "127.0.0.1:3100";
/// What the page may load: our own two files and our own API.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages. Each request carries the caller's `TenantId` as an extension.
pub fn routes(query: Query) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/web/style.css", get(style))
        .route("/web/live.js", get(script))
        .layer(middleware::from_fn(protect))
        .with_state(query)
}

async fn index(
    State(query): State<Query>,
    Extension(tenant): Extension<TenantId>,
    headers: HeaderMap,
) -> Result<Html<String>, (StatusCode, &'static str)> {
    let address = address(&headers);
    let view = read(&query, &tenant).await.map_err(|error| {
        tracing::error!(%error, "the page could not be made");
        (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read just now\n")
    })?;
    Ok(Html(page::render(&view, scheme(&headers), address)))
}

async fn read(query: &Query, tenant: &TenantId) -> Result<View, QueryError> {
    let filter = FindingFilter { limit: SHOWN, ..FindingFilter::default() };
    let open = IncidentFilter {
        statuses: vec![FindingStatus::Open, FindingStatus::Acknowledged],
        limit: INCIDENTS_SHOWN,
        ..IncidentFilter::default()
    };
    Ok(View {
        incidents: query.incidents(tenant, open).await?.items,
        status: query.status(tenant).await?,
        summary: query.summary(tenant, None, None).await?,
        findings: query.findings(tenant, filter).await?.items,
    })
}

/// How the browser reached us, as far as a proxy in front says so.
fn scheme(headers: &HeaderMap) -> &'static str {
    let is_tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    if is_tls { "https" } else { "http" }
}

/// The address the browser reached us by, if it is a host and port and nothing else.
fn address(headers: &HeaderMap) -> &str {
    let is_plain = |text: &&str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.filter(is_plain).unwrap_or(DEFAULT_ADDRESS)
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css"))
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("live.js"))
}

async fn protect(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_markup_is_not_repeated() {
        let with = |host: &str| HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        assert_eq!(address(&with("logs.example:3100")), "logs.example:3100");
        assert_eq!(address(&with("[::1]:3100")), "[::1]:3100");
        assert_eq!(address(&with("x\"><script>")), DEFAULT_ADDRESS);
        assert_eq!(address(&HeaderMap::new()), DEFAULT_ADDRESS);
    }
}
