//! `ingest`: the push path and its limits, as a whole and per tenant.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Context, put};
use crate::{
    config::value::{Moment, Size, Span},
    ingest::{LimitOverrides, Settings},
    model::TenantId,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Raw {
    max_body_bytes: Option<Size>,
    max_unpacked_bytes: Option<Size>,
    max_push_items: Option<Size>,
    max_in_flight_bytes: Option<Size>,
    label_cache_entries: Option<Size>,
    max_tenant_metrics: Option<Size>,
    otlp_labels: Option<Vec<String>>,
    retry_after: Option<Span>,
    limits: RawLimits,
    overrides: BTreeMap<String, RawLimits>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawLimits {
    max_line_bytes: Option<Size>,
    truncate_long_lines: Option<bool>,
    max_label_names: Option<Size>,
    max_label_name_bytes: Option<Size>,
    max_label_value_bytes: Option<Size>,
    reject_old_samples: Option<bool>,
    max_sample_age: Option<Span>,
    creation_grace_period: Option<Span>,
    allow_structured_metadata: Option<bool>,
    max_structured_metadata_bytes: Option<Size>,
    max_structured_metadata_entries: Option<Size>,
    ingestion_rate_bytes: Option<Size>,
    ingestion_burst_bytes: Option<Size>,
    per_stream_rate_bytes: Option<Size>,
    per_stream_burst_bytes: Option<Size>,
    max_streams: Option<Size>,
    discover_service_name: Option<bool>,
    service_name_labels: Option<Vec<String>>,
    enforced_labels: Option<Vec<String>>,
    block_ingestion_until: Option<Moment>,
    block_ingestion_status: Option<u16>,
}

impl From<RawLimits> for LimitOverrides {
    fn from(raw: RawLimits) -> Self {
        LimitOverrides {
            max_line_bytes: raw.max_line_bytes.map(Into::into),
            truncate_long_lines: raw.truncate_long_lines,
            max_label_names: raw.max_label_names.map(Into::into),
            max_label_name_bytes: raw.max_label_name_bytes.map(Into::into),
            max_label_value_bytes: raw.max_label_value_bytes.map(Into::into),
            reject_old_samples: raw.reject_old_samples,
            max_sample_age: raw.max_sample_age.map(Into::into),
            creation_grace_period: raw.creation_grace_period.map(Into::into),
            allow_structured_metadata: raw.allow_structured_metadata,
            max_structured_metadata_bytes: raw.max_structured_metadata_bytes.map(Into::into),
            max_structured_metadata_entries: raw.max_structured_metadata_entries.map(Into::into),
            ingestion_rate_bytes: raw.ingestion_rate_bytes.map(Into::into),
            ingestion_burst_bytes: raw.ingestion_burst_bytes.map(Into::into),
            per_stream_rate_bytes: raw.per_stream_rate_bytes.map(Into::into),
            per_stream_burst_bytes: raw.per_stream_burst_bytes.map(Into::into),
            max_streams: raw.max_streams.map(Into::into),
            discover_service_name: raw.discover_service_name,
            service_name_labels: raw.service_name_labels,
            enforced_labels: raw.enforced_labels,
            block_ingestion_until: raw.block_ingestion_until.map(|moment| Some(moment.0)),
            block_ingestion_status: raw.block_ingestion_status,
        }
    }
}

pub(super) fn fill(raw: Raw, context: &mut Context<'_>) -> Settings {
    let mut settings = Settings::default();
    put(&mut settings.max_body_bytes, raw.max_body_bytes);
    put(&mut settings.max_unpacked_bytes, raw.max_unpacked_bytes);
    put(&mut settings.max_push_items, raw.max_push_items);
    put(&mut settings.max_in_flight_bytes, raw.max_in_flight_bytes);
    put(&mut settings.label_cache_entries, raw.label_cache_entries);
    put(&mut settings.max_tenant_metrics, raw.max_tenant_metrics);
    put(&mut settings.otlp_labels, raw.otlp_labels);
    put(&mut settings.retry_after, raw.retry_after);
    context.positive("ingest.max_body_bytes", settings.max_body_bytes as u64);
    context.positive("ingest.max_unpacked_bytes", settings.max_unpacked_bytes as u64);
    context.positive("ingest.max_push_items", settings.max_push_items as u64);
    context.positive("ingest.max_in_flight_bytes", settings.max_in_flight_bytes as u64);
    settings.limits = LimitOverrides::from(raw.limits).apply_to(&settings.limits);
    for (tenant, limits) in raw.overrides {
        if let Err(error) = TenantId::parse(&tenant) {
            context.wrong("ingest.overrides", error, "name tenants as X-Scope-OrgID does");
        }
        settings.overrides.insert(tenant, limits.into());
    }
    settings
}
