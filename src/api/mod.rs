//! The HTTP door: push in Loki's and OpenTelemetry's shape, everything else as our own JSON API.
//!
//! Handlers extract, call one thing of a lower floor, and answer. Every answer is about the caller's tenant only;
//! errors under `/api/v1` are JSON, everywhere else the plain text that Loki's clients know.

pub mod auth;
mod body;
pub mod caller;
mod cursor;
mod error;
mod events;
mod metrics;
mod observe;
mod openapi;
mod params;
pub mod push;
mod ready;
mod routes;
mod v1;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, Request},
    middleware::{self, Next},
    response::Response,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use self::{caller::Reader, routes::Routes};
pub use self::{error::ApiError, events::MAX_LISTENERS, ready::Readiness};
use crate::{alert, query::Query, store::Store, telemetry::Metrics};

/// What the door is made of.
pub struct Parts {
    /// The database: findings are changed there and changes are heard from there.
    pub store: Store,
    /// The reading engine.
    pub query: Query,
    /// The engine that tells people.
    pub alert: alert::Handle,
    /// Every metric.
    pub metrics: Metrics,
    /// Whether the server is up.
    pub readiness: Readiness,
    /// Ends the streams of live events when the server stops.
    pub stop: CancellationToken,
    /// The push routes (`/loki/api/v1/push`, `/api/prom/push`, `/otlp/v1/logs`).
    pub push: Router,
    /// The pages at `/`; they find the caller's `TenantId` among the request's extensions.
    pub web: Router,
}

/// What the handlers share.
#[derive(Clone)]
struct Api {
    store: Store,
    query: Query,
    alert: alert::Handle,
    metrics: Metrics,
    stop: CancellationToken,
    listeners: Arc<Semaphore>,
    readiness: Readiness,
}

impl FromRef<Api> for Readiness {
    fn from_ref(api: &Api) -> Self {
        api.readiness.clone()
    }
}

/// Puts the whole door together. `authenticate` adds the layer that finds out who is asking (see `caller`); it covers
/// everything but `/ready`.
pub fn router(parts: Parts, authenticate: impl FnOnce(Router) -> Router) -> Router {
    let http = parts.metrics.http.clone();
    let api = Api {
        store: parts.store,
        query: parts.query,
        alert: parts.alert,
        metrics: parts.metrics,
        stop: parts.stop,
        listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
        readiness: parts.readiness,
    };
    let web = parts.web.layer(middleware::from_fn(tell_tenant));
    let guarded = guarded_routes().router.with_state(api.clone()).merge(parts.push).merge(web);
    authenticate(guarded)
        .merge(open_routes().router.with_state(api))
        .fallback(observe::not_found)
        .layer(CatchPanicLayer::custom(observe::on_panic(http.panics.clone())))
        .layer(middleware::from_fn(observe::json_errors))
        .layer(middleware::from_fn(push::otlp_failures))
        .layer(middleware::from_fn_with_state(http, observe::measure))
}

/// Routes that need no token.
fn open_routes() -> Routes<Api> {
    Routes::new().get("/ready", ready::ready)
}

/// Routes behind authentication.
fn guarded_routes() -> Routes<Api> {
    v1::routes(Routes::new())
        .get("/metrics", metrics::metrics)
        .get("/api/v1/openapi.json", openapi::document)
        .get("/api/v1/events", events::events)
}

/// The pages are a neighbour that does not know `caller`: they are told the tenant only.
async fn tell_tenant(Reader(tenant): Reader, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(tenant);
    next.run(request).await
}
