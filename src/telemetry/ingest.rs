//! Metrics of the push path, under the names people have in their Loki dashboards.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    local::LocalHistogram,
};

/// Label names of the counters of what came in; the values of most are constant here.
const RECEIVED: [&str; 5] = ["tenant", "retention_hours", "is_internal_stream", "policy", "format"];

/// The tenant label of everybody beyond the bound.
const OTHER_TENANT: &str = "other";

/// Loki's buckets for line lengths.
const LINE_BUCKETS: [f64; 8] = [1.0, 8.0, 64.0, 512.0, 4_096.0, 32_768.0, 262_144.0, 2_097_152.0];

/// Counters and gauges of the push path.
#[derive(Clone)]
pub struct IngestMetrics {
    lines: IntCounterVec,
    bytes: IntCounterVec,
    metadata_bytes: IntCounterVec,
    discarded_lines: IntCounterVec,
    discarded_bytes: IntCounterVec,
    sanitized: IntCounterVec,
    memory_streams: IntGaugeVec,
    bytes_per_line: Histogram,
    pushes: IntCounterVec,
    in_flight_bytes: IntGauge,
    /// Tenants with a label of their own.
    named_tenants: Arc<Mutex<HashSet<String>>>,
}

/// The counters of one tenant, looked up once.
#[derive(Clone)]
pub struct TenantIngestMetrics {
    all: IngestMetrics,
    tenant: String,
    format: &'static str,
    lines: IntCounter,
    bytes: IntCounter,
    metadata_bytes: IntCounter,
    sanitized: IntCounter,
}

impl IngestMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(vec.clone()))?;
                Ok(vec)
            };
        let discard_labels = ["reason", "tenant", "retention_hours", "policy", "format"];
        let metrics = IngestMetrics {
            lines: counters(
                "loki_distributor_lines_received_total",
                "Lines received per tenant.",
                &["tenant", "is_internal_stream", "policy", "format"],
            )?,
            bytes: counters(
                "loki_distributor_bytes_received_total",
                "Bytes of lines and structured metadata received per tenant.",
                &RECEIVED,
            )?,
            metadata_bytes: counters(
                "loki_distributor_structured_metadata_bytes_received_total",
                "Bytes of structured metadata received per tenant.",
                &RECEIVED,
            )?,
            discarded_lines: counters(
                "loki_discarded_samples_total",
                "Lines refused, by reason.",
                &discard_labels,
            )?,
            discarded_bytes: counters(
                "loki_discarded_bytes_total",
                "Bytes of lines refused, by reason.",
                &discard_labels,
            )?,
            sanitized: counters(
                "loki_distributor_push_structured_metadata_sanitized_total",
                "Structured metadata values in which lost characters became blanks.",
                &["tenant", "format"],
            )?,
            memory_streams: IntGaugeVec::new(
                Opts::new("loki_ingester_memory_streams", "Active streams per tenant."),
                &["tenant"],
            )?,
            pushes: counters(
                "sigyn_ingest_pushes_total",
                "Pushes by what became of them: stored, duplicate, or the reason of refusal.",
                &["outcome"],
            )?,
            bytes_per_line: Histogram::with_opts(
                HistogramOpts::new("loki_bytes_per_line", "Bytes per line received.")
                    .buckets(LINE_BUCKETS.to_vec()),
            )?,
            in_flight_bytes: IntGauge::new(
                "sigyn_ingest_in_flight_bytes",
                "Bytes of pushes being received, decoded or stored.",
            )?,
            named_tenants: Arc::default(),
        };
        registry.register(Box::new(metrics.bytes_per_line.clone()))?;
        registry.register(Box::new(metrics.in_flight_bytes.clone()))?;
        registry.register(Box::new(metrics.memory_streams.clone()))?;
        Ok(metrics)
    }

    /// The counters of a tenant's pushes in one format; at most `max_named` tenants get a label of their own.
    pub fn of_tenant(&self, tenant: &str, max_named: usize, format: &'static str) -> TenantIngestMetrics {
        let tenant = self.label_of(tenant, max_named);
        let received = [tenant, "", "false", "", format];
        TenantIngestMetrics {
            lines: self.lines.with_label_values(&[tenant, "false", "", format]),
            bytes: self.bytes.with_label_values(&received),
            metadata_bytes: self.metadata_bytes.with_label_values(&received),
            sanitized: self.sanitized.with_label_values(&[tenant, format]),
            tenant: tenant.to_owned(),
            format,
            all: self.clone(),
        }
    }

    fn label_of<'a>(&self, tenant: &'a str, max_named: usize) -> &'a str {
        let mut named = self.named_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if !named.contains(tenant) {
            if named.len() >= max_named {
                return OTHER_TENANT;
            }
            named.insert(tenant.to_owned());
        }
        tenant
    }

    /// Counts a push by what became of it.
    pub fn count_push(&self, outcome: &str) {
        self.pushes.with_label_values(&[outcome]).inc();
    }

    /// Notes how many streams each tenant has active. Tenants without a label of their own are added up.
    pub fn set_memory_streams(&self, active: impl IntoIterator<Item = (String, usize)>) {
        let named = self.named_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let mut others = 0;
        for (tenant, active) in active {
            if named.contains(&tenant) {
                self.memory_streams.with_label_values(&[&tenant]).set(gauge(active));
            } else {
                others += active;
            }
        }
        if others > 0 {
            self.memory_streams.with_label_values(&[OTHER_TENANT]).set(gauge(others));
        }
    }

    /// Notes how many bytes of pushes are in memory.
    pub fn set_in_flight_bytes(&self, bytes: usize) {
        self.in_flight_bytes.set(gauge(bytes));
    }
}

fn gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl TenantIngestMetrics {
    /// A private histogram of line lengths for one push: it reaches the shared one when it is dropped.
    pub fn line_lengths(&self) -> LocalHistogram {
        self.all.bytes_per_line.local()
    }

    /// Counts what a push brought.
    pub fn count_received(&self, lines: u64, bytes: u64, metadata_bytes: u64) {
        self.lines.inc_by(lines);
        self.bytes.inc_by(bytes);
        self.metadata_bytes.inc_by(metadata_bytes);
    }

    /// Counts metadata values that were mended.
    pub fn count_sanitized(&self, values: u64) {
        self.sanitized.inc_by(values);
    }

    /// Counts what was refused.
    pub fn count_discarded(&self, reason: &str, lines: u64, bytes: u64) {
        let labels = [reason, self.tenant.as_str(), "", "", self.format];
        self.all.discarded_lines.with_label_values(&labels).inc_by(lines);
        self.all.discarded_bytes.with_label_values(&labels).inc_by(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_beyond_the_bound_are_counted_together() {
        let registry = Registry::new();
        let metrics = IngestMetrics::register(&registry).unwrap();
        for tenant in ["a", "b", "c", "a"] {
            metrics.of_tenant(tenant, 2, "loki").count_received(1, 10, 0);
        }
        let lines = |tenant: &str| metrics.lines.with_label_values(&[tenant, "false", "", "loki"]).get();
        assert_eq!((lines("a"), lines("b"), lines("other")), (2, 1, 1));
        metrics.set_memory_streams([("a".into(), 5), ("c".into(), 2), ("d".into(), 4)]);
        let streams = |tenant: &str| metrics.memory_streams.with_label_values(&[tenant]).get();
        assert_eq!((streams("a"), streams("other")), (5, 6));
    }
}
