//! Metrics of model calls.

use prometheus::Registry;

/// Counters and gauges of model calls.
#[derive(Clone)]
pub struct LlmMetrics {}

impl LlmMetrics {
    /// Registers them.
    pub fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(LlmMetrics {})
    }
}
