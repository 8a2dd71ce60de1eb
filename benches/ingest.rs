//! Decoding pushes: 1,000 lines of about 150 bytes over 20 streams, as protobuf with snappy and as JSON with gzip.

use std::{fmt::Write, io::Write as _};

use bytes::Bytes;
use divan::{Bencher, counter::ItemsCount};
use flate2::{Compression, write::GzEncoder};
use sigyn::wire::push::{DecodeLimits, Format, decode};

const LINES: usize = 1_000;
const STREAMS: usize = 20;
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

/// The message in protobuf, written field by field: the generated types are private to the decoder.
fn message() -> Vec<u8> {
    use prost::encoding::{bytes, int32, int64};
    let mut request = Vec::new();
    for stream in 0..STREAMS {
        let mut body = Vec::new();
        bytes::encode(1, &format!("{{host=\"vps{stream}\", job=\"auth\"}}").into_bytes(), &mut body);
        for n in 0..LINES / STREAMS {
            let (mut time, mut entry) = (Vec::new(), Vec::new());
            int64::encode(1, &1_795_226_529, &mut time);
            int32::encode(2, &i32::try_from(n).unwrap_or(0), &mut time);
            bytes::encode(1, &time, &mut entry);
            bytes::encode(2, &line(n).into_bytes(), &mut entry);
            bytes::encode(2, &entry, &mut body);
        }
        bytes::encode(1, &body, &mut request);
    }
    request
}

fn run(bencher: Bencher<'_, '_>, content_type: &str, encoding: &str, body: Vec<u8>) {
    let headers = (Some(content_type.as_bytes()), Some(encoding.as_bytes()));
    let Ok(format) = Format::from_headers(headers.0, headers.1, false) else { return };
    let body = Bytes::from(body);
    bencher.counter(ItemsCount::new(LINES)).bench(|| decode(format, divan::black_box(body.clone()), LIMITS));
}

#[divan::bench]
fn protobuf_snappy(bencher: Bencher<'_, '_>) {
    let packed = snap::raw::Encoder::new().compress_vec(&message()).unwrap_or_default();
    run(bencher, "application/x-protobuf", "", packed);
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
