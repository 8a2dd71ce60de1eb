//! Metrics of the database.

use prometheus::Registry;

/// Counters and gauges of the database.
#[derive(Clone)]
pub struct StoreMetrics {}

impl StoreMetrics {
    /// Registers them.
    pub fn register(_registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(StoreMetrics {})
    }
}
