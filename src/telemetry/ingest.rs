//! Metrics of the push path.

use prometheus::Registry;

/// Counters and gauges of the push path.
#[derive(Clone)]
pub struct IngestMetrics {}

impl IngestMetrics {
    /// Registers them.
    pub fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(IngestMetrics {})
    }
}
