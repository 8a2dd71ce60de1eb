//! Streams → the body of a push: protobuf in a raw snappy block, as Promtail sends it.
//!
//! The inverse of the decoder. Forwarding, the demo, tests and the load generator all speak through it.

use bytes::Bytes;
use prost::Message;

use super::logproto;
use crate::model::Entry;

/// Nanoseconds per second, the border between protobuf's two time fields.
const NANOS: i64 = 1_000_000_000;

/// Snappy blocks end at 4 GiB.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("push too large to compress: {bytes} bytes")]
pub struct TooLarge {
    /// Size before compression.
    pub bytes: usize,
}

/// The `Content-Type` that goes with the body; no `Content-Encoding` belongs to it.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// One stream of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The label set in text form, as `Labels` displays it.
    pub labels: Bytes,
    /// Its entries in order.
    pub entries: Vec<Entry>,
}

/// Encodes streams as one push body.
pub fn encode(streams: Vec<Stream>) -> Result<Bytes, TooLarge> {
    let streams = streams.into_iter().map(stream).collect();
    let plain = logproto::PushRequest { streams }.encode_to_vec();
    let packed = snap::raw::Encoder::new().compress_vec(&plain);
    packed.map(Bytes::from).map_err(|_| TooLarge { bytes: plain.len() })
}

fn stream(stream: Stream) -> logproto::Stream {
    logproto::Stream { labels: stream.labels, entries: stream.entries.into_iter().map(entry).collect() }
}

fn entry(entry: Entry) -> logproto::Entry {
    let nanos = entry.timestamp.as_nanos();
    let time = logproto::Timestamp {
        seconds: nanos.div_euclid(NANOS),
        // The remainder is below a billion.
        nanos: i32::try_from(nanos.rem_euclid(NANOS)).unwrap_or_default(),
    };
    let pair = |(name, value)| logproto::LabelPair { name, value };
    logproto::Entry {
        timestamp: Some(time),
        line: entry.line,
        structured_metadata: entry.metadata.into_iter().map(pair).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Metadata, Timestamp};

    fn unpack(body: &[u8]) -> Vec<u8> {
        let mut plain = vec![0; snap::raw::decompress_len(body).unwrap()];
        let len = snap::raw::Decoder::new().decompress(body, &mut plain).unwrap();
        plain.truncate(len);
        plain
    }

    fn one(nanos: i64, line: impl Into<Bytes>, metadata: Metadata) -> Vec<Stream> {
        let entry = Entry { timestamp: Timestamp::from_nanos(nanos), line: line.into(), metadata };
        vec![Stream { labels: Bytes::from_static(b"{a=\"b\"}"), entries: vec![entry] }]
    }

    #[test]
    fn the_plain_bytes_are_those_of_the_wire_format() {
        // Stream (field 1, 21 bytes): labels (field 1, 7 bytes), entry (field 2, 10 bytes): time (field 1, 4 bytes:
        // 2 s, 3 ns), line (field 2, 2 bytes).
        let expected = b"\x0a\x15\x0a\x07{a=\"b\"}\x12\x0a\x0a\x04\x08\x02\x10\x03\x12\x02hi";
        assert_eq!(unpack(&encode(one(2_000_000_003, "hi", vec![])).unwrap()), expected);
    }

    #[test]
    fn times_before_1970_keep_their_nanos_positive() {
        let sent = entry(one(-1, "", vec![]).remove(0).entries.remove(0));
        assert_eq!(sent.timestamp, Some(logproto::Timestamp { seconds: -1, nanos: 999_999_999 }));
    }

    proptest! {
        /// What is encoded is what a decoder of the published schema reads.
        #[test]
        fn every_entry_survives(
            nanos in any::<i64>(),
            line in proptest::collection::vec(any::<u8>(), 0..200),
            value in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let metadata = vec![(Bytes::from_static(b"k"), Bytes::from(value.clone()))];
            let body = encode(one(nanos, line.clone(), metadata)).unwrap();
            let got = logproto::PushRequest::decode(unpack(&body).as_slice()).unwrap();
            let entry = &got.streams[0].entries[0];
            let time = entry.timestamp.as_ref().unwrap();
            let got_nanos = i128::from(time.seconds) * i128::from(NANOS) + i128::from(time.nanos);
            prop_assert_eq!(got_nanos, i128::from(nanos));
            prop_assert_eq!(entry.line.as_ref(), line.as_slice());
            prop_assert_eq!(entry.structured_metadata[0].value.as_ref(), value.as_slice());
        }
    }
}
