//! Metrics of the database.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters and gauges of the database.
#[derive(Clone)]
pub struct StoreMetrics {
    /// Transactions committed.
    pub commits: IntCounter,
    /// Transactions that failed and were rolled back.
    pub failed_commits: IntCounter,
    /// How long commits took, from the first statement to the end of the fsync.
    pub commit_seconds: Histogram,
    /// Pushes committed.
    pub pushes: IntCounter,
    /// Pushes recognised as retries and not stored again.
    pub duplicate_pushes: IntCounter,
    /// Pushes refused because the queue to the writer was full.
    pub refused_pushes: IntCounter,
    /// Pushes waiting for the writer.
    pub queue_pushes: IntGauge,
    /// Bytes waiting for the writer.
    pub queue_bytes: IntGauge,
    /// Size of the database in use, without free pages.
    pub used_bytes: IntGauge,
    /// Blocks on disk.
    pub blocks: IntGauge,
    /// Chunks on disk.
    pub chunks: IntGauge,
    /// Known streams.
    pub streams: IntGauge,
    /// Entries moved from blocks into chunks.
    pub compacted_entries: IntCounter,
    /// Blocks or chunks that could not be decoded and were dropped.
    pub damaged: IntCounter,
    /// Entries dropped by retention, by reason (`age`, `size`).
    pub dropped_entries: IntCounterVec,
}

impl StoreMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let commit_seconds = Histogram::with_opts(
            HistogramOpts::new("sigyn_store_commit_seconds", "Duration of commits, fsync included.")
                .buckets(vec![0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5]),
        )?;
        registry.register(Box::new(commit_seconds.clone()))?;
        let dropped_entries = IntCounterVec::new(
            Opts::new("sigyn_store_dropped_entries_total", "Entries dropped by retention, by reason."),
            &["reason"],
        )?;
        registry.register(Box::new(dropped_entries.clone()))?;
        Ok(StoreMetrics {
            commits: counter("sigyn_store_commits_total", "Transactions committed.")?,
            failed_commits: counter("sigyn_store_failed_commits_total", "Transactions rolled back.")?,
            commit_seconds,
            pushes: counter("sigyn_store_pushes_total", "Pushes committed.")?,
            duplicate_pushes: counter(
                "sigyn_store_duplicate_pushes_total",
                "Pushes recognised as retries and not stored again.",
            )?,
            refused_pushes: counter(
                "sigyn_store_refused_pushes_total",
                "Pushes refused because the write queue was full.",
            )?,
            queue_pushes: gauge("sigyn_store_queue_pushes", "Pushes waiting for the writer.")?,
            queue_bytes: gauge("sigyn_store_queue_bytes", "Bytes of pushes waiting for the writer.")?,
            used_bytes: gauge("sigyn_store_used_bytes", "Size of the database without free pages.")?,
            blocks: gauge("sigyn_store_blocks", "Blocks on disk.")?,
            chunks: gauge("sigyn_store_chunks", "Chunks on disk.")?,
            streams: gauge("sigyn_store_streams", "Known streams.")?,
            compacted_entries: counter(
                "sigyn_store_compacted_entries_total",
                "Entries moved from blocks into chunks.",
            )?,
            damaged: counter(
                "sigyn_store_damaged_total",
                "Blocks and chunks that could not be decoded and were dropped.",
            )?,
            dropped_entries,
        })
    }
}
