//! Metrics of requests to the HTTP server, under the names people have in their Loki dashboards.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Loki's buckets for request durations in seconds.
const DURATION_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

/// Counters and gauges of requests to the HTTP server.
#[derive(Clone)]
pub struct HttpMetrics {
    durations: HistogramVec,
    in_flight: IntGaugeVec,
    connections: IntGaugeVec,
    closed: IntCounterVec,
    panics: IntCounter,
}

/// A connection being served: counted until dropped.
pub struct OpenConnection(IntGauge);

/// A request being answered: counted until dropped.
pub struct OpenRequest(IntGauge);

impl HttpMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let durations = HistogramVec::new(
            HistogramOpts::new("loki_request_duration_seconds", "Time spent serving HTTP requests.")
                .buckets(DURATION_BUCKETS.to_vec()),
            &["method", "route", "status_code", "ws"],
        )?;
        let in_flight = IntGaugeVec::new(
            Opts::new("loki_inflight_requests", "HTTP requests being served."),
            &["method", "route"],
        )?;
        let connections =
            IntGaugeVec::new(Opts::new("loki_tcp_connections", "Open TCP connections."), &["protocol"])?;
        let closed = IntCounterVec::new(
            Opts::new("sigyn_http_connections_closed_total", "Connections closed by the server, by reason."),
            &["reason"],
        )?;
        let panics = IntCounter::new("loki_panic_total", "Panics while serving requests.")?;
        let build = IntGaugeVec::new(
            Opts::new("loki_build_info", "Constant 1, labelled with the version."),
            &["version", "revision", "branch", "goversion", "goos", "goarch", "tags"],
        )?;
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), "", "", "", os, arch, "sigyn"]).set(1);
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(closed.clone()))?;
        registry.register(Box::new(panics.clone()))?;
        registry.register(Box::new(build))?;
        Ok(HttpMetrics { durations, in_flight, connections, closed, panics })
    }

    /// Counts a connection as long as the answer lives.
    pub fn connection_opened(&self) -> OpenConnection {
        let gauge = self.connections.with_label_values(&["http"]);
        gauge.inc();
        OpenConnection(gauge)
    }

    /// Counts a request as long as the answer lives.
    pub fn request_started(&self, method: &str, route: &str) -> OpenRequest {
        let gauge = self.in_flight.with_label_values(&[method, route]);
        gauge.inc();
        OpenRequest(gauge)
    }

    /// Notes how a request ended. `route` is a matched route, never what the client typed.
    pub fn request_ended(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut digits = [b'0'; 3];
        for (digit, weight) in digits.iter_mut().zip([100, 10, 1]) {
            *digit += u8::try_from(status / weight % 10).unwrap_or(0);
        }
        let status = std::str::from_utf8(&digits).unwrap_or("000");
        self.durations.with_label_values(&[method, route, status, "false"]).observe(took.as_secs_f64());
    }

    /// Counts a connection the server closed for a reason of its own.
    pub fn connection_closed(&self, reason: &str) {
        self.closed.with_label_values(&[reason]).inc();
    }

    /// Counts a panic.
    pub fn count_panic(&self) {
        self.panics.inc();
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_flight_until_it_is_dropped() {
        let metrics = HttpMetrics::register(&Registry::new()).unwrap();
        let gauge = metrics.in_flight.with_label_values(&["POST", "loki_api_v1_push"]);
        let open = metrics.request_started("POST", "loki_api_v1_push");
        assert_eq!(gauge.get(), 1);
        drop(open);
        assert_eq!(gauge.get(), 0);
        metrics.request_ended("POST", "loki_api_v1_push", 204, Duration::from_millis(3));
        let histogram = metrics.durations.with_label_values(&["POST", "loki_api_v1_push", "204", "false"]);
        assert_eq!(histogram.get_sample_count(), 1);
    }
}
