//! Metrics of windows and findings.

use prometheus::Registry;

/// Counters and gauges of windows and findings.
#[derive(Clone)]
pub struct AnalyzeMetrics {}

impl AnalyzeMetrics {
    /// Registers them.
    pub fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(AnalyzeMetrics {})
    }
}
