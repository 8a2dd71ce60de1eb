//! What the operator may set about the push path, with Loki's defaults where Loki has the setting.

use std::{collections::BTreeMap, time::Duration};

use crate::model::Timestamp;

const MIB: usize = 1024 * 1024;

/// What the operator may set about the push path.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The limits of every tenant without an override.
    pub limits: Limits,
    /// What single tenants have differently, by tenant name.
    pub overrides: BTreeMap<String, LimitOverrides>,
    /// Largest request body as received; a larger one is answered 413. Loki's `max_recv_msg_size`.
    pub max_body_bytes: usize,
    /// Largest body after decompression; a larger one is answered 413. Promtail stays near 1 MiB.
    pub max_unpacked_bytes: usize,
    /// Most streams, entries and metadata pairs in one push, together; bounds the memory of a hostile body.
    pub max_push_items: usize,
    /// Bytes of bodies being received, decoded and stored at one time; more are answered 429.
    pub max_in_flight_bytes: usize,
    /// Label texts remembered per tenant, so that a known stream costs one look-up.
    pub label_cache_entries: usize,
    /// Tenants with a metric label of their own; the others are counted together as `other`.
    pub max_tenant_metrics: usize,
    /// Attributes of OpenTelemetry resources that become labels; the others become structured metadata.
    pub otlp_labels: Vec<String>,
    /// What the `Retry-After` of a 429 or 503 says.
    pub retry_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            limits: Limits::default(),
            overrides: BTreeMap::new(),
            max_body_bytes: 100 * MIB,
            max_unpacked_bytes: 64 * MIB,
            max_push_items: 1_000_000,
            max_in_flight_bytes: 256 * MIB,
            label_cache_entries: 20_000,
            max_tenant_metrics: 200,
            otlp_labels: OTLP_LABELS.map(str::to_owned).to_vec(),
            retry_after: Duration::from_secs(2),
        }
    }
}

impl Settings {
    /// The limits of one tenant.
    pub fn limits_of(&self, tenant: &str) -> Limits {
        match self.overrides.get(tenant) {
            Some(overrides) => overrides.apply_to(&self.limits),
            None => self.limits.clone(),
        }
    }
}

/// Declares the limits once, as the complete set and as the partial set of one tenant.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr,)+) => {
        /// The limits of one tenant.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $kind,)+
        }

        /// What one tenant has differently.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct LimitOverrides {
            $($(#[doc = $doc])+ pub $name: Option<$kind>,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $($name: $default,)+ }
            }
        }

        impl LimitOverrides {
            /// `base` with everything replaced that is set here.
            pub fn apply_to(&self, base: &Limits) -> Limits {
                Limits { $($name: self.$name.clone().unwrap_or_else(|| base.$name.clone()),)+ }
            }
        }
    };
}

limits! {
    /// Longest line in bytes.
    max_line_bytes: usize = 262_144,
    /// Whether a longer line is cut and kept instead of refused.
    truncate_long_lines: bool = false,
    /// Most labels of one stream, `service_name` not counted.
    max_label_names: usize = 15,
    /// Longest label name in bytes.
    max_label_name_bytes: usize = 1_024,
    /// Longest label value in bytes.
    max_label_value_bytes: usize = 2_048,
    /// Whether entries older than `max_sample_age` are refused.
    reject_old_samples: bool = true,
    /// The age beyond which an entry is too old.
    max_sample_age: Duration = Duration::from_secs(7 * 24 * 3_600),
    /// How far in the future an entry's time may lie.
    creation_grace_period: Duration = Duration::from_secs(600),
    /// Whether entries may carry structured metadata.
    allow_structured_metadata: bool = true,
    /// Most bytes of structured metadata of one entry.
    max_structured_metadata_bytes: usize = 65_536,
    /// Most structured metadata pairs of one entry.
    max_structured_metadata_entries: usize = 128,
    /// Bytes per second of one tenant, lines and metadata together. Zero means no limit.
    ingestion_rate_bytes: u64 = 4 * 1_048_576,
    /// Bytes one tenant may send at once after a pause. A single larger push then passes as well, on credit.
    ingestion_burst_bytes: u64 = 6 * 1_048_576,
    /// Bytes per second of one stream. Zero means no limit.
    per_stream_rate_bytes: u64 = 3 * 1_048_576,
    /// Bytes one stream may send at once after a pause.
    per_stream_burst_bytes: u64 = 15 * 1_048_576,
    /// Most active streams of one tenant. Zero means no limit.
    max_streams: usize = 5_000,
    /// Whether a stream without `service_name` gets one.
    discover_service_name: bool = true,
    /// The labels whose first non-empty value becomes `service_name`.
    service_name_labels: Vec<String> = SERVICE_NAME_LABELS.map(str::to_owned).to_vec(),
    /// Labels every stream must have.
    enforced_labels: Vec<String> = Vec::new(),
    /// Every push before this time is refused.
    block_ingestion_until: Option<Timestamp> = None,
    /// The status of that refusal. 260 makes Promtail drop the lines without an error.
    block_ingestion_status: u16 = 260,
}

/// What Loki makes labels of, and the host: the analysis looks at the lines of one host together.
const OTLP_LABELS: [&str; 19] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "host.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

/// Where Loki looks for a service's name, in this order.
const SERVICE_NAME_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_changes_only_what_it_names() {
        let overrides = LimitOverrides { max_streams: Some(7), ..LimitOverrides::default() };
        let settings =
            Settings { overrides: BTreeMap::from([("small".into(), overrides)]), ..Settings::default() };
        assert_eq!(settings.limits_of("small").max_streams, 7);
        assert_eq!(settings.limits_of("small").max_line_bytes, 262_144);
        assert_eq!(settings.limits_of("else"), Limits::default());
    }
}
