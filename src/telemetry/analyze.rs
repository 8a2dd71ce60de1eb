//! Metrics of windows and findings.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, register_histogram_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry,
};

use crate::model::WindowState;

/// Counters and gauges of windows and findings.
#[derive(Clone)]
pub struct AnalyzeMetrics {
    /// Lines taken into windows.
    pub lines: IntCounter,
    /// Pieces of a block skipped because their analysis panicked.
    pub panics: IntCounter,
    windows: IntCounterVec,
    findings: IntCounterVec,
    urgent_seconds: Histogram,
    lag_seconds: prometheus::Gauge,
}

impl AnalyzeMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let urgent = HistogramOpts::new(
            "sigyn_analyze_urgent_seconds",
            "Time from the arrival of a push to the stored finding of an urgent rule",
        );
        let lag = prometheus::Gauge::new(
            "sigyn_analyze_lag_seconds",
            "Age of the newest block taken into a window",
        )?;
        registry.register(Box::new(lag.clone()))?;
        Ok(AnalyzeMetrics {
            lines: register_int_counter_with_registry!(
                Opts::new("sigyn_analyze_lines_total", "Lines mined and sifted"),
                registry
            )?,
            panics: register_int_counter_with_registry!(
                Opts::new(
                    "sigyn_analyze_panics_total",
                    "Pieces of blocks skipped because their analysis panicked"
                ),
                registry
            )?,
            windows: register_int_counter_vec_with_registry!(
                Opts::new("sigyn_analyze_windows_total", "Windows written, by state"),
                &["state"],
                registry
            )?,
            findings: register_int_counter_vec_with_registry!(
                Opts::new(
                    "sigyn_analyze_findings_total",
                    "Findings written, new or joined to an earlier one"
                ),
                &["kind"],
                registry
            )?,
            urgent_seconds: register_histogram_with_registry!(
                urgent.buckets(vec![0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]),
                registry
            )?,
            lag_seconds: lag,
        })
    }

    /// Notes how far behind the analysis is.
    pub fn observe_lag(&self, lag: Duration) {
        self.lag_seconds.set(lag.as_secs_f64());
    }

    /// Notes how long an urgent finding took.
    pub fn observe_urgent(&self, took: Duration) {
        self.urgent_seconds.observe(took.as_secs_f64());
    }

    /// Counts a window written in this state.
    pub fn count_window(&self, state: WindowState) {
        self.windows.with_label_values(&[state.as_str()]).inc();
    }

    /// Counts a finding.
    pub fn count_finding(&self, is_new: bool) {
        self.findings.with_label_values(&[if is_new { "new" } else { "joined" }]).inc();
    }
}
