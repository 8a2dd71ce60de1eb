//! `GET /ready`: whether pushes are taken. Asked by load balancers and by Vector's health check; never needs a token.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

/// Whether the server takes requests. Cheap to clone; starts as "starting".
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Readiness {
    /// Everything runs.
    pub fn ready(&self) {
        self.0.store(READY, Ordering::SeqCst);
    }

    /// The server is going down.
    pub fn stopping(&self) {
        self.0.store(STOPPING, Ordering::SeqCst);
    }
}

/// Answers 200 `ready`, or 503 with what it is waiting for.
pub async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let (status, text) = match readiness.0.load(Ordering::SeqCst) {
        READY => (StatusCode::OK, "ready\n"),
        STOPPING => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        STARTING.. => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
    };
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text)
}
