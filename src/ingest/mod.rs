//! The push path: a decoded push becomes one batch of valid entries, committed before the answer.
//!
//! Refused entries are counted under a named reason and told to the client; they never take valid neighbours along.

mod entry;
mod in_flight;
mod labels;
mod overload;
mod rate;
mod refusal;
mod settings;
mod sift;
mod tenant;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use tokio::runtime::Handle;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

pub use in_flight::InFlight;
pub use settings::{LimitOverrides, Limits, Settings};

use self::{
    in_flight::Capacity,
    sift::{Admitted, sift},
    tenant::Tenant,
};
use crate::{
    model::{PushBatch, TenantId, Timestamp},
    runtime::Clock,
    store::{Appended, Store, StoreError},
    telemetry::IngestMetrics,
    wire::{
        labels::LabelError,
        otlp::Mapping,
        push::{DecodeError, DecodeLimits, Format, decode, unpacked_bytes},
    },
};

/// Tenants remembered at one time. Beyond it everything known is forgotten and learnt again, rates included.
const MAX_TENANTS: usize = 10_000;

/// A push that may unpack to more is decoded and encoded on a thread of its own: other requests are not held up for
/// the milliseconds that takes.
const LARGE_BYTES: usize = 1024 * 1024;

/// The push path. Cheap to clone.
#[derive(Clone)]
pub struct Ingest(Arc<Inner>);

struct Inner {
    settings: Settings,
    store: Store,
    clock: Clock,
    metrics: IngestMetrics,
    capacity: Capacity,
    tenants: RwLock<HashMap<TenantId, Arc<Tenant>>>,
}

/// A push is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Lines stored.
    pub lines: usize,
    /// A repeated push whose lines were stored before.
    pub is_duplicate: bool,
}

/// A push is refused, in whole or in part. The texts are for the client.
#[derive(Debug, thiserror::Error)]
pub enum PushRefused {
    /// The body cannot be read; nothing is kept.
    #[error(transparent)]
    Body(#[from] DecodeError),
    /// A label text cannot be read; nothing is kept.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// There is no stream at all.
    #[error("error at least one valid stream is required for ingestion")]
    NoStreams,
    /// Some entries break a limit; every other entry is kept. Sending it again would not help.
    #[error("{0}")]
    Invalid(String),
    /// Some or all entries come too fast or need too many streams; may be sent again later.
    #[error("{0}")]
    TooFast(String),
    /// The operator blocks this tenant.
    #[error("ingestion blocked for user {tenant} until '{until}' with status code '{status}'")]
    Blocked {
        /// Whom.
        tenant: TenantId,
        /// How long.
        until: Timestamp,
        /// The answer's status.
        status: u16,
    },
    /// Too much is in memory or waiting for the disk; may be sent again later.
    #[error("the server cannot accept more requests at this time")]
    Busy,
    /// The disk does not take it; may be sent again later.
    #[error("storage is unavailable, try again later")]
    Unavailable(#[source] StoreError),
}

impl PushRefused {
    /// The name in metrics.
    fn outcome(&self) -> &'static str {
        match self {
            PushRefused::Body(error) if error.is_size() => "request_body_too_large",
            PushRefused::Body(_) => "malformed",
            PushRefused::Labels(_) => "invalid_labels",
            PushRefused::NoStreams => "no_streams",
            PushRefused::Invalid(_) => "limits",
            PushRefused::TooFast(_) => "rate_limited",
            PushRefused::Blocked { .. } => "blocked_ingestion",
            PushRefused::Busy => "busy",
            PushRefused::Unavailable(_) => "unavailable",
        }
    }
}

impl From<StoreError> for PushRefused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => PushRefused::Busy,
            other => PushRefused::Unavailable(other),
        }
    }
}

impl Ingest {
    /// Puts the push path together.
    pub fn new(settings: Settings, store: Store, clock: Clock, metrics: IngestMetrics) -> Self {
        let capacity = Capacity::new(settings.max_in_flight_bytes, metrics.clone());
        let tenants = RwLock::default();
        Ingest(Arc::new(Inner { settings, store, clock, metrics, capacity, tenants }))
    }

    /// Largest body worth reading.
    pub fn max_body_bytes(&self) -> usize {
        self.0.settings.max_body_bytes
    }

    /// When a refused client may come again.
    pub fn retry_after(&self) -> Duration {
        self.0.settings.retry_after
    }

    /// Starts counting the bytes of one push.
    pub fn in_flight(&self) -> InFlight {
        self.0.capacity.hold_nothing()
    }

    /// Notes a push that was refused before it came here.
    pub fn count_refused(&self, refused: &PushRefused) {
        self.0.metrics.count_push(refused.outcome());
    }

    /// Takes one push: returns when every valid entry is committed. Cancelling it may or may not store the push.
    pub async fn accept(
        &self,
        tenant: &TenantId,
        format: Format,
        body: Bytes,
    ) -> Result<Accepted, PushRefused> {
        let result = if unpacked_bytes(format, &body) > LARGE_BYTES {
            self.accept_large(tenant.clone(), format, body).await
        } else {
            self.try_accept(tenant, format, body).await
        };
        match &result {
            Ok(Accepted { is_duplicate: true, .. }) => self.0.metrics.count_push("duplicate"),
            Ok(_) => self.0.metrics.count_push("stored"),
            Err(refused) => self.count_refused(refused),
        }
        result
    }

    /// Memory bounds how many of these there are: their bytes are in flight.
    async fn accept_large(
        &self,
        tenant: TenantId,
        format: Format,
        body: Bytes,
    ) -> Result<Accepted, PushRefused> {
        let (ingest, runtime) = (self.clone(), Handle::current());
        let work = move || runtime.block_on(ingest.try_accept(&tenant, format, body));
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            // The runtime is going down.
            Err(_) => Err(PushRefused::Unavailable(StoreError::Closed)),
        }
    }

    async fn try_accept(
        &self,
        tenant: &TenantId,
        format: Format,
        body: Bytes,
    ) -> Result<Accepted, PushRefused> {
        let now = self.0.clock.now();
        let tenant = self.tenant(tenant, now);
        let push_hash = xxh3_128_with_seed(&body, xxh3_64(format.to_string().as_bytes()));
        let settings = &self.0.settings;
        let limits = DecodeLimits {
            max_unpacked_bytes: settings.max_unpacked_bytes,
            max_items: settings.max_push_items,
        };
        let mapping = Mapping { labels: &settings.otlp_labels, now };
        let request = decode(format, body, limits, mapping)?;
        if request.streams.is_empty() {
            return Err(PushRefused::NoStreams);
        }
        let sifted = sift(request, &tenant, now)?;
        let mut held = self.in_flight();
        if !held.grow(sifted.bytes) {
            return Err(PushRefused::Busy);
        }
        let streams = self.0.store.streams();
        let admitted =
            sifted.admit(&tenant, now, |labels, limit| streams.admit(&tenant.id, labels, limit, now));
        self.append(&tenant, admitted, push_hash, now).await
    }

    async fn append(
        &self,
        tenant: &Tenant,
        admitted: Admitted,
        push_hash: u128,
        received: Timestamp,
    ) -> Result<Accepted, PushRefused> {
        let Admitted { streams, invalid, retriable, refused_streams } = admitted;
        let lines = streams.iter().map(|stream| stream.entries.len()).sum();
        let mut accepted = Accepted { lines, is_duplicate: false };
        if !streams.is_empty() {
            // The client sends a partly refused push again: it must not pass for the copy of what was stored now,
            // unless the same streams are refused again.
            let push_hash =
                push_hash ^ if refused_streams.is_empty() { 0 } else { xxh3_128(&refused_streams) };
            let push = PushBatch { tenant: tenant.id.clone(), received, push_hash, streams };
            accepted.is_duplicate = self.0.store.append(push).await? == Appended::Duplicate;
        }
        match (retriable, invalid) {
            (Some(text), _) => Err(PushRefused::TooFast(text)),
            (None, Some(text)) => Err(PushRefused::Invalid(text)),
            (None, None) => Ok(accepted),
        }
    }

    fn tenant(&self, id: &TenantId, now: Timestamp) -> Arc<Tenant> {
        if let Some(tenant) = self.0.tenants.read().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Arc::clone(tenant);
        }
        let mut tenants = self.0.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= MAX_TENANTS {
            tenants.clear();
        }
        let new = || Arc::new(Tenant::new(id.clone(), &self.0.settings, &self.0.metrics, now));
        Arc::clone(tenants.entry(id.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::{store, telemetry::StoreMetrics};

    const NOW: Timestamp = Timestamp::from_secs(1_795_226_529);

    /// A push path over a real database in a folder that goes away with it.
    fn ingest(settings: Settings) -> (Ingest, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let clock = Clock::manual(NOW);
        let store_settings = store::Settings { data_dir: dir.path().into(), ..store::Settings::default() };
        let metrics = StoreMetrics::register(&registry).unwrap();
        let store = Store::open(&store_settings, clock.clone(), metrics).unwrap();
        (Ingest::new(settings, store, clock, IngestMetrics::register(&registry).unwrap()), dir)
    }

    async fn push(ingest: &Ingest, body: &str) -> Result<Accepted, PushRefused> {
        let format = Format::from_headers(Some(b"application/json"), None, false).unwrap();
        ingest.accept(&TenantId::single(), format, Bytes::copy_from_slice(body.as_bytes())).await
    }

    fn body(streams: &[(&str, i64)]) -> String {
        let streams: Vec<String> = streams
            .iter()
            .map(|(app, secs)| {
                format!(r#"{{"stream":{{"app":"{app}"}},"values":[["{secs}000000000","line of {app}"]]}}"#)
            })
            .collect();
        format!(r#"{{"streams":[{}]}}"#, streams.join(","))
    }

    /// The lines in the intake log, block by block.
    async fn stored(ingest: &Ingest) -> Vec<String> {
        let blocks = ingest.0.store.read(|conn| store::block::read_after(conn, 0, 1 << 20)).await.unwrap();
        blocks
            .iter()
            .flat_map(|block| block.iter().map(|entry| String::from_utf8(entry.line.to_vec()).unwrap()))
            .collect()
    }

    #[tokio::test]
    async fn valid_neighbours_of_a_refused_entry_are_stored() {
        let (ingest, _dir) = ingest(Settings::default());
        let now = NOW.as_secs();
        let refused = push(&ingest, &body(&[("good", now), ("old", 5), ("fine", now)])).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "entry for stream '{app=\"old\", service_name=\"old\"}' has timestamp too old: 1970-01-01T00:00:05Z, \
             oldest acceptable timestamp is: 2026-11-14T02:02:09Z"
        );
        assert_eq!(stored(&ingest).await, ["line of good", "line of fine"]);
    }

    #[tokio::test]
    async fn a_retried_push_is_acknowledged_without_a_second_copy() {
        let (ingest, _dir) = ingest(Settings::default());
        let body = body(&[("a", NOW.as_secs())]);
        assert_eq!(push(&ingest, &body).await.unwrap(), Accepted { lines: 1, is_duplicate: false });
        assert_eq!(push(&ingest, &body).await.unwrap(), Accepted { lines: 1, is_duplicate: true });
        assert_eq!(stored(&ingest).await.len(), 1);
    }

    #[tokio::test]
    async fn a_partly_refused_push_is_not_taken_for_its_own_copy_when_it_comes_again() {
        let limits = Limits { per_stream_rate_bytes: 1, per_stream_burst_bytes: 20, ..Limits::default() };
        let (ingest, _dir) = ingest(Settings { limits, ..Settings::default() });
        let now = NOW.as_secs();
        // `line of bb` is 10 bytes: the second one leaves its stream nothing to give.
        assert!(push(&ingest, &body(&[("bb", now), ("bb", now - 1)])).await.is_ok());
        let both = body(&[("a", now), ("bb", now - 2)]);
        assert!(matches!(push(&ingest, &both).await, Err(PushRefused::TooFast(_))));
        assert_eq!(stored(&ingest).await, ["line of bb", "line of bb", "line of a"]);
        // The same stream is refused again: nothing new is stored, and the client is told again.
        assert!(matches!(push(&ingest, &both).await, Err(PushRefused::TooFast(_))));
        assert_eq!(stored(&ingest).await.len(), 3);
        ingest.0.clock.advance(Duration::from_secs(100));
        assert_eq!(push(&ingest, &both).await.unwrap(), Accepted { lines: 2, is_duplicate: false });
    }

    #[tokio::test]
    async fn a_push_larger_than_the_stores_queue_and_every_burst_is_stored() {
        let settings = Settings::default();
        let (ingest, _dir) = ingest(settings.clone());
        // 40 MiB of lines that do not compress: more than the queue (32 MiB) and the bursts (6 and 15 MiB).
        let mut state = 1_u64;
        let line = |state: &mut u64| -> String {
            (0..10_000)
                .map(|_| {
                    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    char::from(b'0' + u8::try_from(*state >> 59).unwrap())
                })
                .collect()
        };
        let values: Vec<String> =
            (0..4_200).map(|n| format!(r#"["{}","{}"]"#, NOW.as_nanos() + n, line(&mut state))).collect();
        let body = format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[{}]}}]}}"#, values.join(","));
        assert!(body.len() > 40 << 20 && body.len() < settings.max_unpacked_bytes);
        assert_eq!(push(&ingest, &body).await.unwrap(), Accepted { lines: 4_200, is_duplicate: false });
        // The debt is paid before anything else is taken.
        let next = push(&ingest, &self::body(&[("b", NOW.as_secs())])).await;
        assert!(matches!(next, Err(PushRefused::TooFast(_))), "{next:?}");
        ingest.0.clock.advance(Duration::from_secs(11));
        assert!(push(&ingest, &self::body(&[("b", NOW.as_secs())])).await.is_ok());
    }

    #[tokio::test]
    async fn a_push_that_unpacks_beyond_its_cap_is_refused_for_good() {
        let (ingest, _dir) = ingest(Settings::default());
        let bomb = snap::raw::Encoder::new().compress_vec(&vec![b'x'; (64 << 20) + 1]).unwrap();
        let format = Format::from_headers(Some(b"application/x-protobuf"), None, false).unwrap();
        let refused = ingest.accept(&TenantId::single(), format, bomb.into()).await.unwrap_err();
        assert!(matches!(refused, PushRefused::Body(error) if error.is_size()));
    }

    #[tokio::test]
    async fn nothing_to_store_is_told_apart_from_nothing_sent() {
        let (ingest, _dir) = ingest(Settings::default());
        assert!(matches!(push(&ingest, "{}").await, Err(PushRefused::NoStreams)));
        let empty = r#"{"streams":[{"stream":{"a":"b"},"values":[]}]}"#;
        assert_eq!(push(&ingest, empty).await.unwrap(), Accepted { lines: 0, is_duplicate: false });
    }
}
