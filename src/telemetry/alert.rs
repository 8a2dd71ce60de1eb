//! Metrics of messages to people.

use prometheus::{
    IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_vec_with_registry,
};

/// Counters and gauges of alerts. Channel names are the operator's, so there are few.
#[derive(Clone)]
pub struct AlertMetrics {
    /// Incidents passed over because their alerts could not be made.
    pub failed: IntCounter,
    queued: IntCounterVec,
    tries: IntCounterVec,
    waiting: IntGaugeVec,
    up: IntGaugeVec,
}

impl AlertMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(AlertMetrics {
            failed: register_int_counter_with_registry!(
                Opts::new("sigyn_alert_failed_total", "Incidents whose alerts could not be made"),
                registry
            )?,
            queued: register_int_counter_vec_with_registry!(
                Opts::new("sigyn_alert_queued_total", "Messages queued, by channel and reason"),
                &["channel", "reason"],
                registry
            )?,
            tries: register_int_counter_vec_with_registry!(
                Opts::new(
                    "sigyn_alert_deliveries_total",
                    "What became of messages: delivered, retry, failed, folded, stopped, overflow"
                ),
                &["channel", "result"],
                registry
            )?,
            waiting: register_int_gauge_vec_with_registry!(
                Opts::new("sigyn_alert_waiting", "Messages not yet delivered"),
                &["channel"],
                registry
            )?,
            up: register_int_gauge_vec_with_registry!(
                Opts::new("sigyn_alert_channel_up", "1 while the channel takes messages, 0 after it failed"),
                &["channel"],
                registry
            )?,
        })
    }

    /// Counts a queued message.
    pub fn queued(&self, channel: &str, reason: &str) {
        self.queued.with_label_values(&[channel, reason]).inc();
    }

    /// Counts what became of messages.
    pub fn count(&self, channel: &str, result: &str, messages: usize) {
        self.tries.with_label_values(&[channel, result]).inc_by(messages as u64);
    }

    /// Says how many messages of a channel wait.
    pub fn waiting(&self, channel: &str, messages: u64) {
        self.waiting.with_label_values(&[channel]).set(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    /// Says whether a channel works.
    pub fn up(&self, channel: &str, is_up: bool) {
        self.up.with_label_values(&[channel]).set(i64::from(is_up));
    }
}
