//! Metrics of forwarding to a Loki.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector};

/// Counters and gauges of forwarding to a Loki.
#[derive(Clone)]
pub struct ForwardMetrics {
    /// Entries the upstream took.
    pub sent: IntCounter,
    /// Entries in pushes the upstream refused for good, by reason (its status code).
    pub refused: IntCounterVec,
    /// Pushes that have to be repeated, by reason.
    pub retries: IntCounterVec,
    /// Blocks not yet forwarded.
    pub lag_blocks: IntGauge,
    /// Age of the oldest block not yet forwarded.
    pub lag_seconds: IntGauge,
}

impl ForwardMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_reason = |name, help| IntCounterVec::new(Opts::new(name, help), &["reason"]);
        Ok(ForwardMetrics {
            sent: add(
                registry,
                IntCounter::new("sigyn_forward_entries_total", "Entries the upstream Loki took")?,
            )?,
            refused: add(
                registry,
                by_reason(
                    "sigyn_forward_refused_entries_total",
                    "Entries in pushes the upstream Loki refused for good, by status code",
                )?,
            )?,
            retries: add(
                registry,
                by_reason(
                    "sigyn_forward_retries_total",
                    "Pushes to the upstream Loki that failed and are repeated",
                )?,
            )?,
            lag_blocks: add(
                registry,
                IntGauge::new("sigyn_forward_lag_blocks", "Stored pushes that wait to be forwarded")?,
            )?,
            lag_seconds: add(
                registry,
                IntGauge::new(
                    "sigyn_forward_lag_seconds",
                    "Age of the oldest stored push that waits to be forwarded",
                )?,
            )?,
        })
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
