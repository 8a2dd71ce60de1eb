//! The store on its own: appending pushes with fsync, and reading blocks back. Times are per line.
//!
//! Data goes to the system's temporary folder; point `TMPDIR` at the disk that is to be measured.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run says why and ends")]

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use divan::{Bencher, counter::ItemsCount};
use prometheus::Registry;
use sigyn::{
    model::{Entry, Labels, PushBatch, StreamBatch, TenantId, Timestamp},
    runtime::Clock,
    store::{
        Settings, Store, block,
        needle::{self, NeedleQuery},
    },
    telemetry::StoreMetrics,
};
use tokio::runtime::{Builder, Runtime};

const STREAMS: usize = 200;

fn main() {
    divan::main();
}

struct Fixture {
    store: Store,
    runtime: Runtime,
    pushed: AtomicU64,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        let metrics = StoreMetrics::register(&Registry::new()).expect("fresh metrics");
        let store = Store::open(&settings, Clock::system(), metrics).expect("a new store");
        let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        Fixture { store, runtime, pushed: AtomicU64::new(0), _folder: folder }
    }

    /// A push of lines of about 150 bytes, no two alike.
    fn push(&self, lines: usize) -> PushBatch {
        let tenant = TenantId::single();
        let number = self.pushed.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::from_secs(1_700_000_000 + number as i64);
        let mut streams = Vec::with_capacity(STREAMS.min(lines));
        for stream in 0..STREAMS.min(lines) {
            let pairs = [("job", "bench".to_owned()), ("instance", format!("host-{stream}"))];
            let labels = Labels::from_pairs(pairs).expect("valid labels");
            let id = self.store.streams().admit(&tenant, &labels, 100_000, now).expect("room for the stream");
            let entries = (0..lines / STREAMS.min(lines)).map(|at| Entry {
                timestamp: now.plus(Duration::from_nanos(at as u64 * 1_013)),
                line: line(number, stream, at),
                metadata: Vec::new(),
            });
            streams.push(StreamBatch { id, labels, entries: entries.collect() });
        }
        PushBatch { tenant, received: now, push_hash: u128::from(number), streams }
    }
}

fn line(push: u64, stream: usize, at: usize) -> Bytes {
    let mixed = (push * 1_000_003 + (stream * 1_009 + at) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Bytes::from(format!(
        "192.0.2.{} - - [21/Nov/2026:10:{:02}:{:02} +0000] \"GET /api/v1/items/{:08x}?page={} HTTP/1.1\" {} {} \
         \"-\" \"Mozilla/5.0 (X11; Linux x86_64) rv:{}\"",
        mixed % 256,
        push / 60 % 60,
        push % 60,
        mixed as u32,
        at,
        if mixed.is_multiple_of(17) { 404 } else { 200 },
        mixed >> 48,
        mixed % 90,
    ))
}

/// Eight senders at once, as eight connections would; each waits for its answer.
#[divan::bench(args = [50, 1_000], sample_count = 10)]
fn append_with_fsync(bencher: Bencher<'_, '_>, lines: usize) {
    const SENDERS: usize = 8;
    let fixture = Fixture::new();
    bencher
        .counter(ItemsCount::new(SENDERS * lines))
        .with_inputs(|| (0..SENDERS).map(|_| fixture.push(lines)).collect::<Vec<_>>())
        .bench_values(|pushes| {
            fixture.runtime.block_on(async {
                let appends = pushes.into_iter().map(|push| fixture.store.append(push));
                for stored in futures_util::future::join_all(appends).await {
                    stored.expect("stored");
                }
            });
        });
}

/// What every engine does first with every line.
#[divan::bench(sample_count = 10)]
fn read_blocks(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    for _ in 0..20 {
        let push = fixture.push(1_000);
        fixture.runtime.block_on(fixture.store.append(push)).expect("stored");
    }
    bencher.counter(ItemsCount::new(20_000_usize)).bench(|| {
        let blocks =
            fixture.store.read_blocking(|conn| block::read_after(conn, 0, usize::MAX)).expect("blocks");
        blocks.iter().flat_map(block::Block::iter).map(|entry| entry.line.len()).sum::<usize>()
    });
}

/// What is looked for before a model is asked: forty words in every line of a quarter of an hour.
#[divan::bench(sample_count = 10)]
fn find_needles(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    for _ in 0..20 {
        let push = fixture.push(1_000);
        fixture.runtime.block_on(fixture.store.append(push)).expect("stored");
    }
    let streams = fixture.store.streams().of_tenant(&TenantId::single());
    let query = NeedleQuery {
        streams: streams.iter().map(|stream| stream.id).collect(),
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        near: Timestamp::from_secs(1_700_000_000),
        needles: (0..40).map(|n| format!("203.0.113.{n}")).collect(),
        keep: 4,
        max_bytes: u64::MAX,
    };
    bencher
        .counter(ItemsCount::new(20_000_usize))
        .bench(|| fixture.store.read_blocking(|conn| needle::find(conn, &query)).expect("found").scanned);
}
