//! Taking pushes in. Decoding alone: 1,000 lines of about 150 bytes over 20 streams, as protobuf with snappy and as
//! JSON with gzip. The whole path into a real database: 1,000 lines over 200 streams, and 50 lines over 10.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run says why and ends")]

use std::{
    fmt::Write,
    io::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use divan::{Bencher, counter::ItemsCount};
use flate2::{Compression, write::GzEncoder};
use prometheus::Registry;
use sigyn::{
    ingest::{self, Ingest, Limits},
    model::{TenantId, Timestamp},
    runtime::Clock,
    store::{self, Store},
    telemetry::{IngestMetrics, StoreMetrics},
    wire::{
        otlp::Mapping,
        push::{DecodeLimits, Format, decode},
    },
};
use tokio::runtime::{Builder, Runtime};

const LINES: usize = 1_000;
const STREAMS: usize = 20;
/// The time in all pushes, and of the server that takes them.
const NOW_SECS: i64 = 1_795_226_529;
const LIMITS: DecodeLimits = DecodeLimits { max_unpacked_bytes: 64 << 20, max_items: 1_000_000 };

fn main() {
    divan::main();
}

fn line(n: usize) -> String {
    format!(
        "Nov 21 02:02:{:02} vps1 sshd[{}]: Failed password for invalid user admin{n} from 203.0.113.{} port {} ssh2: \
         padding that makes the line as long as most",
        n % 60,
        20_000 + n,
        n % 250,
        40_000 + n
    )
}

fn document() -> String {
    let mut text = String::from("{\"streams\":[");
    for stream in 0..STREAMS {
        let comma = if stream > 0 { "," } else { "" };
        let _ =
            write!(text, "{comma}{{\"stream\":{{\"job\":\"auth\",\"host\":\"vps{stream}\"}},\"values\":[");
        for n in 0..LINES / STREAMS {
            let comma = if n > 0 { "," } else { "" };
            let _ = write!(text, "{comma}[\"17952265290000000{n:02}\",\"{}\"]", line(n));
        }
        text.push_str("]}");
    }
    text + "]}"
}

/// The message in protobuf, written field by field: the generated types are private to the decoder. The number is an
/// unknown field and makes each message another.
fn message(number: u64, streams: usize, lines: usize) -> Vec<u8> {
    use prost::encoding::{bytes, int32, int64, uint64};
    let mut request = Vec::new();
    for stream in 0..streams {
        let mut body = Vec::new();
        bytes::encode(1, &format!("{{host=\"vps{stream}\", job=\"auth\"}}").into_bytes(), &mut body);
        for n in 0..lines / streams {
            let (mut time, mut entry) = (Vec::new(), Vec::new());
            int64::encode(1, &NOW_SECS, &mut time);
            int32::encode(2, &i32::try_from(n).unwrap_or(0), &mut time);
            bytes::encode(1, &time, &mut entry);
            bytes::encode(2, &line(n).into_bytes(), &mut entry);
            bytes::encode(2, &entry, &mut body);
        }
        bytes::encode(1, &body, &mut request);
    }
    uint64::encode(9, &number, &mut request);
    request
}

fn packed(number: u64, streams: usize, lines: usize) -> Bytes {
    snap::raw::Encoder::new().compress_vec(&message(number, streams, lines)).unwrap_or_default().into()
}

/// A push path without rates over a database in a temporary folder.
struct Intake {
    ingest: Ingest,
    runtime: Runtime,
    pushed: AtomicU64,
    _folder: tempfile::TempDir,
}

impl Intake {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (registry, clock) = (Registry::new(), Clock::manual(Timestamp::from_secs(NOW_SECS)));
        let settings = store::Settings { data_dir: folder.path().to_owned(), ..store::Settings::default() };
        let metrics = StoreMetrics::register(&registry).expect("fresh metrics");
        let store = Store::open(&settings, clock.clone(), metrics).expect("a new store");
        let limits = Limits { ingestion_rate_bytes: 0, per_stream_rate_bytes: 0, ..Limits::default() };
        let settings = ingest::Settings { limits, ..ingest::Settings::default() };
        let metrics = IngestMetrics::register(&registry).expect("fresh metrics");
        let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        let ingest = Ingest::new(settings, store, clock, metrics);
        Intake { ingest, runtime, pushed: AtomicU64::new(0), _folder: folder }
    }
}

/// One push after the other, each acknowledged after its fsync.
#[divan::bench(args = [(10, 50), (200, 1_000)])]
fn accept(bencher: Bencher<'_, '_>, (streams, lines): (usize, usize)) {
    let intake = Intake::new();
    let format = Format::from_headers(Some(b"application/x-protobuf"), None, false).expect("known");
    let tenant = TenantId::single();
    bencher
        .counter(ItemsCount::new(lines))
        .with_inputs(|| packed(intake.pushed.fetch_add(1, Ordering::Relaxed), streams, lines))
        .bench_values(|body| {
            let accepted = intake.runtime.block_on(intake.ingest.accept(&tenant, format, body));
            accepted.expect("stored")
        });
}

/// Decoding alone, in the two shapes above.
#[divan::bench(args = [(10, 50), (200, 1_000)])]
fn decode_only(bencher: Bencher<'_, '_>, (streams, lines): (usize, usize)) {
    let format = Format::from_headers(Some(b"application/x-protobuf"), None, false).expect("known");
    let body = packed(0, streams, lines);
    bencher
        .counter(ItemsCount::new(lines))
        .bench(|| decode(format, divan::black_box(body.clone()), LIMITS, Mapping::default()));
}

fn run(bencher: Bencher<'_, '_>, content_type: &str, encoding: &str, body: Vec<u8>) {
    let headers = (Some(content_type.as_bytes()), Some(encoding.as_bytes()));
    let Ok(format) = Format::from_headers(headers.0, headers.1, false) else { return };
    let body = Bytes::from(body);
    bencher
        .counter(ItemsCount::new(LINES))
        .bench(|| decode(format, divan::black_box(body.clone()), LIMITS, Mapping::default()));
}

#[divan::bench]
fn protobuf_snappy(bencher: Bencher<'_, '_>) {
    run(bencher, "application/x-protobuf", "", packed(0, STREAMS, LINES).into());
}

#[divan::bench]
fn json(bencher: Bencher<'_, '_>) {
    run(bencher, "application/json", "", document().into_bytes());
}

#[divan::bench]
fn json_gzip(bencher: Bencher<'_, '_>) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(document().as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
    run(bencher, "application/json", "gzip", packed);
}
