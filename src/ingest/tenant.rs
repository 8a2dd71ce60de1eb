//! What the push path remembers of one tenant: limits, known label texts, rates and counters.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::Xxh3Builder;

use super::{
    Limits, Settings,
    labels::{self, Known},
    rate::{Bucket, Rate},
};
use crate::{
    model::{StreamId, TenantId, Timestamp},
    telemetry::{IngestMetrics, TenantIngestMetrics},
    wire::{
        labels::{LabelError, LabelText},
        push::Protocol,
    },
};

/// One tenant.
pub(super) struct Tenant {
    pub id: TenantId,
    pub limits: Limits,
    metrics: TenantIngestMetrics,
    otlp_metrics: TenantIngestMetrics,
    known: Mutex<KnownTexts>,
    rate: Mutex<Bucket>,
    stream_rates: Mutex<FxHashMap<StreamId, Bucket>>,
    max_known: usize,
}

/// Label texts by what they mean. Two generations: when the young one is full it becomes the old one, and what is
/// asked for again comes back from there; so the memory is bounded and what is used stays.
struct KnownTexts {
    young: HashMap<LabelText, Arc<Known>, Xxh3Builder>,
    old: HashMap<LabelText, Arc<Known>, Xxh3Builder>,
}

impl Tenant {
    pub fn new(id: TenantId, settings: &Settings, metrics: &IngestMetrics, now: Timestamp) -> Self {
        let limits = settings.limits_of(id.as_str());
        // Senders choose the keys: an unpredictable seed keeps them from choosing collisions.
        let hasher = Xxh3Builder::new().with_seed(RandomState::new().hash_one(0));
        Tenant {
            metrics: metrics.of_tenant(id.as_str(), settings.max_tenant_metrics, "loki"),
            otlp_metrics: metrics.of_tenant(id.as_str(), settings.max_tenant_metrics, "otlp"),
            known: Mutex::new(KnownTexts {
                young: HashMap::with_hasher(hasher),
                old: HashMap::with_hasher(hasher),
            }),
            rate: Mutex::new(Bucket::full(tenant_rate(&limits), now)),
            stream_rates: Mutex::default(),
            max_known: settings.label_cache_entries.max(1),
            id,
            limits,
        }
    }

    /// The counters of pushes in one protocol.
    pub fn metrics(&self, protocol: Protocol) -> &TenantIngestMetrics {
        match protocol {
            Protocol::Loki => &self.metrics,
            Protocol::OpenTelemetry => &self.otlp_metrics,
        }
    }

    /// What a label text means; parsed only when it is not known yet.
    pub fn resolve(&self, text: &LabelText) -> Result<Arc<Known>, LabelError> {
        if let Some(known) = self.look_up(text) {
            return Ok(known);
        }
        let known = Arc::new(labels::check(text.parse()?, &self.id, &self.limits));
        self.remember(detached(text), Arc::clone(&known));
        Ok(known)
    }

    fn look_up(&self, text: &LabelText) -> Option<Arc<Known>> {
        let mut texts = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.young.get(text) {
            return Some(Arc::clone(known));
        }
        let (text, known) = texts.old.remove_entry(text)?;
        drop(texts);
        self.remember(text, Arc::clone(&known));
        Some(known)
    }

    fn remember(&self, text: LabelText, known: Arc<Known>) {
        let mut texts = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Half for each generation.
        if texts.young.len() >= self.max_known.div_ceil(2) {
            let texts = &mut *texts;
            std::mem::swap(&mut texts.young, &mut texts.old);
            texts.young.clear();
        }
        texts.young.insert(text, known);
    }

    /// Takes a push's bytes from the tenant's rate.
    pub fn take(&self, bytes: u64, now: Timestamp) -> bool {
        let mut bucket = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(bytes, tenant_rate(&self.limits), now)
    }

    /// Takes bytes from one stream's rate.
    pub fn take_of_stream(&self, stream: StreamId, bytes: u64, now: Timestamp) -> bool {
        let rate =
            Rate { per_second: self.limits.per_stream_rate_bytes, burst: self.limits.per_stream_burst_bytes };
        if rate.per_second == 0 {
            return true;
        }
        let mut buckets = self.stream_rates.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= self.max_known && !buckets.contains_key(&stream) {
            buckets.retain(|_, bucket| !bucket.is_full(rate, now));
        }
        buckets.entry(stream).or_insert_with(|| Bucket::full(rate, now)).take(bytes, rate, now)
    }
}

fn tenant_rate(limits: &Limits) -> Rate {
    Rate { per_second: limits.ingestion_rate_bytes, burst: limits.ingestion_burst_bytes }
}

/// A copy that does not keep the whole push in memory.
fn detached(text: &LabelText) -> LabelText {
    match text {
        LabelText::Text(text) => LabelText::Text(Bytes::copy_from_slice(text)),
        LabelText::Json(text) => LabelText::Json(Bytes::copy_from_slice(text)),
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[test]
    fn known_texts_are_bounded_and_those_in_use_stay() {
        let settings = Settings { label_cache_entries: 8, ..Settings::default() };
        let metrics = IngestMetrics::register(&Registry::new()).unwrap();
        let tenant = Tenant::new(TenantId::single(), &settings, &metrics, Timestamp::default());
        let text = |n: usize| LabelText::Text(format!("{{a=\"{n}\"}}").into());
        let kept = tenant.resolve(&text(0)).unwrap();
        for n in 1..100 {
            tenant.resolve(&text(n)).unwrap();
            assert!(Arc::ptr_eq(&kept, &tenant.resolve(&text(0)).unwrap()));
        }
        let texts = tenant.known.lock().unwrap();
        assert!(texts.young.len() + texts.old.len() <= 8);
    }
}
