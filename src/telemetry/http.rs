//! Metrics of requests to the HTTP server.

use prometheus::Registry;

/// Counters and gauges of requests to the HTTP server.
#[derive(Clone)]
pub struct HttpMetrics {}

impl HttpMetrics {
    /// Registers them.
    pub fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(HttpMetrics {})
    }
}
