//! Loki's `logproto.PushRequest`. All text is kept as the sender's bytes, which need not be UTF-8.

use bytes::{Buf, Bytes};
use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use super::{
    labels::LabelText,
    logproto,
    push::{DecodeError, NO_TIME, PushRequest, PushStream},
};
use crate::model::{Entry, Timestamp};

/// The fields that cost memory for every occurrence, by depth: `PushRequest.streams`, `Stream.entries`,
/// `Entry.structured_metadata`.
const REPEATED: [u32; 3] = [1, 2, 3];

/// Decodes a message with at most `max_items` streams, entries and pairs.
pub(super) fn decode(message: Bytes, max_items: usize) -> Result<PushRequest, DecodeError> {
    let mut budget = max_items;
    charge(&message, &REPEATED, &mut budget, max_items)?;
    let request = logproto::PushRequest::decode(message).map_err(|error| broken(&error))?;
    let streams = request.streams.into_iter().map(stream).collect::<Result<_, _>>()?;
    Ok(PushRequest { streams })
}

/// Counts repeated messages before they are decoded: two bytes on the wire become a hundred in memory.
fn charge(mut bytes: &[u8], fields: &[u32], budget: &mut usize, max: usize) -> Result<(), DecodeError> {
    let Some((field, inner)) = fields.split_first() else { return Ok(()) };
    while bytes.has_remaining() {
        let (tag, wire_type) = decode_key(&mut bytes).map_err(|error| broken(&error))?;
        if tag != *field || wire_type != WireType::LengthDelimited {
            skip_field(wire_type, tag, &mut bytes, DecodeContext::default())
                .map_err(|error| broken(&error))?;
            continue;
        }
        let len = decode_varint(&mut bytes).map_err(|error| broken(&error))?;
        let split = usize::try_from(len).ok().and_then(|len| bytes.split_at_checked(len));
        let Some((message, rest)) = split else {
            return Err(DecodeError::Protobuf("unexpected EOF".into()));
        };
        *budget = budget.checked_sub(1).ok_or(DecodeError::TooManyItems { max })?;
        charge(message, inner, budget, max)?;
        bytes = rest;
    }
    Ok(())
}

fn stream(stream: logproto::Stream) -> Result<PushStream, DecodeError> {
    let entries = stream.entries.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(PushStream { labels: LabelText::Text(stream.labels), entries })
}

fn entry(entry: logproto::Entry) -> Result<Entry, DecodeError> {
    let timestamp = match entry.timestamp {
        None => NO_TIME,
        Some(logproto::Timestamp { seconds, nanos: nanos @ 0..1_000_000_000 }) => {
            Timestamp::from_parts(seconds, nanos)
        }
        Some(logproto::Timestamp { seconds, nanos }) => return Err(DecodeError::Nanos { seconds, nanos }),
    };
    let metadata = entry.structured_metadata.into_iter().map(|pair| (pair.name, pair.value)).collect();
    Ok(Entry { timestamp, line: entry.line, metadata })
}

fn broken(error: &prost::DecodeError) -> DecodeError {
    DecodeError::Protobuf(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(seconds: i64, nanos: i32) -> Bytes {
        let entry = logproto::Entry {
            timestamp: Some(logproto::Timestamp { seconds, nanos }),
            line: Bytes::from_static(b"bad \xff\x00 bytes"),
            structured_metadata: vec![logproto::LabelPair { name: "n".into(), value: "v".into() }],
        };
        let stream = logproto::Stream { labels: r#"{a="b"}"#.into(), entries: vec![entry] };
        logproto::PushRequest { streams: vec![stream] }.encode_to_vec().into()
    }

    #[test]
    fn lines_are_slices_of_the_message_and_need_not_be_utf8() {
        let message = one(5, 6);
        let request = decode(message.clone(), 10).unwrap();
        let stream = &request.streams[0];
        assert_eq!(stream.labels, LabelText::Text(r#"{a="b"}"#.into()));
        let entry = &stream.entries[0];
        assert_eq!(entry.timestamp, Timestamp::from_nanos(5_000_000_006));
        assert_eq!(entry.line.as_ref(), b"bad \xff\x00 bytes");
        assert_eq!(entry.metadata, vec![("n".into(), "v".into())]);
        assert!(message.as_ptr_range().contains(&entry.line.as_ptr()));
    }

    #[test]
    fn nanos_out_of_range_fail_the_request_in_lokis_words() {
        let error = decode(one(5, 1_000_000_000), 10).unwrap_err();
        assert_eq!(
            error.to_string(),
            "timestamp: &types.Timestamp{Seconds: 5,\nNanos: 1000000000,\n}: nanos not in range [0, 1e9)"
        );
        assert!(matches!(decode(one(5, -1), 10), Err(DecodeError::Nanos { nanos: -1, .. })));
    }

    #[test]
    fn unknown_fields_are_skipped_and_a_missing_time_is_the_oldest() {
        // Entry { line: "x", parsed (4): [{}] }, stream hash (3), request format (2).
        let message = b"\x0a\x0d\x0a\x02{}\x12\x05\x12\x01x\x22\x00\x18\x07\x12\x04loki";
        let request = decode(Bytes::from_static(message), 10).unwrap();
        let entry = &request.streams[0].entries[0];
        assert_eq!((entry.timestamp, entry.line.as_ref()), (Timestamp::MIN, b"x".as_slice()));
    }

    #[test]
    fn tiny_items_are_counted_before_they_are_decoded() {
        // 2-byte empty streams, and one stream of 2-byte empty entries.
        let streams = b"\x0a\x00".repeat(1_001);
        assert_eq!(decode(streams.into(), 1_000), Err(DecodeError::TooManyItems { max: 1_000 }));
        let entries =
            logproto::Stream { labels: Bytes::new(), entries: vec![logproto::Entry::default(); 1_000] };
        let message = logproto::PushRequest { streams: vec![entries] }.encode_to_vec();
        assert_eq!(decode(message.clone().into(), 1_000), Err(DecodeError::TooManyItems { max: 1_000 }));
        assert!(decode(message.into(), 1_001).is_ok());
    }
}
