//! Metrics of requests to the HTTP server, under the names Loki's dashboards and alerts read.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Upper bounds in seconds; Loki's own, so that its dashboards' quantiles stay comparable.
const REQUEST_SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0];

/// Counters and gauges of requests to the HTTP server.
#[derive(Clone)]
pub struct HttpMetrics {
    /// Duration by method, route, status_code and ws.
    pub request_seconds: HistogramVec,
    /// Requests being answered, by method and route.
    pub inflight: IntGaugeVec,
    /// Open connections.
    pub tcp_connections: IntGauge,
    /// Requests whose handler panicked.
    pub panics: IntCounter,
    /// Always 1; the version is in its label.
    pub build_info: IntGaugeVec,
    /// Listeners on the stream of live events.
    pub event_listeners: IntGauge,
    closed: IntCounterVec,
}

/// A connection being served: counted until dropped.
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl HttpMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let request_seconds = HistogramVec::new(
            HistogramOpts::new("loki_request_duration_seconds", "Time spent answering HTTP requests.")
                .buckets(REQUEST_SECONDS.to_vec()),
            &["method", "route", "status_code", "ws"],
        )?;
        let inflight = IntGaugeVec::new(
            Opts::new("loki_inflight_requests", "HTTP requests being answered."),
            &["method", "route"],
        )?;
        let tcp_connections = IntGauge::new("loki_tcp_connections", "Open TCP connections.")?;
        let panics = IntCounter::new("loki_panic_total", "Requests whose handler panicked.")?;
        let build_info = IntGaugeVec::new(
            Opts::new("loki_build_info", "Always 1; the running version is in the label."),
            &["version"],
        )?;
        let event_listeners =
            IntGauge::new("sigyn_event_listeners", "Listeners on the stream of live events.")?;
        let closed = IntCounterVec::new(
            Opts::new("sigyn_http_connections_closed_total", "Connections closed by the server, by reason."),
            &["reason"],
        )?;
        registry.register(Box::new(closed.clone()))?;
        registry.register(Box::new(request_seconds.clone()))?;
        registry.register(Box::new(inflight.clone()))?;
        registry.register(Box::new(tcp_connections.clone()))?;
        registry.register(Box::new(panics.clone()))?;
        registry.register(Box::new(build_info.clone()))?;
        registry.register(Box::new(event_listeners.clone()))?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(HttpMetrics {
            request_seconds,
            inflight,
            tcp_connections,
            panics,
            build_info,
            event_listeners,
            closed,
        })
    }

    /// Counts a connection as long as the answer lives.
    pub fn connection_opened(&self) -> OpenConnection {
        self.tcp_connections.inc();
        OpenConnection(self.tcp_connections.clone())
    }

    /// Counts a connection the server closed for a reason of its own.
    pub fn connection_closed(&self, reason: &str) {
        self.closed.with_label_values(&[reason]).inc();
    }
}
