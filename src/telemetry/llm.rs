//! Metrics of model calls.

use std::time::Duration;

use prometheus::{
    Counter, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// Counters and gauges of model calls.
#[derive(Clone)]
pub struct LlmMetrics {
    calls: IntCounterVec,
    tokens: IntCounterVec,
    cost: Counter,
    unpriced: IntCounter,
    cached: IntCounter,
    dropped: IntCounterVec,
    budget_left: GaugeVec,
    breaker: IntGauge,
    duration: Histogram,
}

/// One call, as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct CountedCall<'a> {
    /// `screen`, `explain` or `repair`.
    pub tier: &'a str,
    /// `ok` or the kind of failure.
    pub outcome: &'a str,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Millionths of a dollar, where a price is configured.
    pub cost_micros: Option<u64>,
    /// How long it took.
    pub duration: Duration,
}

impl LlmMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let buckets = vec![0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
        let duration = HistogramOpts::new("sigyn_llm_call_duration_seconds", "Time of one model call.");
        let metrics = LlmMetrics {
            calls: counters(
                "sigyn_llm_calls_total",
                "Model calls by tier and outcome.",
                &["tier", "outcome"],
            )?,
            tokens: counters(
                "sigyn_llm_tokens_total",
                "Tokens sent (input) and received (output).",
                &["direction"],
            )?,
            cost: Counter::new("sigyn_llm_cost_dollars_total", "Cost of the calls with a configured price.")?,
            unpriced: IntCounter::new(
                "sigyn_llm_unpriced_calls_total",
                "Calls whose price is not configured.",
            )?,
            cached: IntCounter::new("sigyn_llm_cached_answers_total", "Windows answered without a call.")?,
            dropped: counters(
                "sigyn_llm_dropped_claims_total",
                "Claims, or parts of them, that the lines do not prove, by reason.",
                &["reason"],
            )?,
            budget_left: GaugeVec::new(
                Opts::new("sigyn_llm_budget_left_ratio", "Share of each budget that is left, 0 to 1."),
                &["budget"],
            )?,
            breaker: IntGauge::new(
                "sigyn_llm_breaker_state",
                "Circuit breaker of the model: 0 closed, 1 half open, 2 open.",
            )?,
            duration: Histogram::with_opts(duration.buckets(buckets))?,
        };
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.tokens.clone()))?;
        registry.register(Box::new(metrics.cost.clone()))?;
        registry.register(Box::new(metrics.unpriced.clone()))?;
        registry.register(Box::new(metrics.cached.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        registry.register(Box::new(metrics.budget_left.clone()))?;
        registry.register(Box::new(metrics.breaker.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        Ok(metrics)
    }

    /// Counts one call.
    pub fn count_call(&self, call: CountedCall<'_>) {
        self.calls.with_label_values(&[call.tier, call.outcome]).inc();
        self.tokens.with_label_values(&["input"]).inc_by(call.input_tokens);
        self.tokens.with_label_values(&["output"]).inc_by(call.output_tokens);
        self.duration.observe(call.duration.as_secs_f64());
        match call.cost_micros {
            Some(micros) => self.cost.inc_by(micros as f64 / 1e6),
            None => self.unpriced.inc(),
        }
    }

    /// Counts a window answered from the cache.
    pub fn count_cached(&self) {
        self.cached.inc();
    }

    /// Counts a claim (or a part of one) that failed grounding.
    pub fn count_dropped(&self, reason: &str) {
        self.dropped.with_label_values(&[reason]).inc();
    }

    /// Shows what is left of a budget.
    pub fn show_budget_left(&self, budget: &str, share: f64) {
        self.budget_left.with_label_values(&[budget]).set(share);
    }

    /// Shows the breaker: 0 closed, 1 half open, 2 open.
    pub fn show_breaker(&self, state: i64) {
        self.breaker.set(state);
    }
}
