//! Loki's `logproto.PushRequest`. All text is kept as the sender's bytes, which need not be UTF-8.

use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::{
    labels::LabelText,
    push::{DecodeError, NO_TIME, PushRequest, PushStream},
};
use crate::model::{Entry, Metadata, Timestamp};

/// Field numbers of the messages, see `proto/logproto.proto`.
mod tag {
    pub const STREAMS: u32 = 1;
    pub const LABELS: u32 = 1;
    pub const ENTRIES: u32 = 2;
    pub const TIMESTAMP: u32 = 1;
    pub const LINE: u32 = 2;
    pub const METADATA: u32 = 3;
    pub const SECONDS: u32 = 1;
    pub const NANOS: u32 = 2;
    pub const NAME: u32 = 1;
    pub const VALUE: u32 = 2;
}

/// Decodes a message with at most `max_items` streams, entries and pairs. Straight into the values everything else
/// works with: the generated types would cost a second copy of every entry, and this runs for every line.
pub(super) fn decode(message: &Bytes, max_items: usize) -> Result<PushRequest, DecodeError> {
    let mut decoder = Decoder { message, left: max_items, max: max_items };
    let mut streams = Vec::with_capacity(decoder.reserve(message, tag::STREAMS)?);
    each_field(message, |field, value| match (field, value) {
        (tag::STREAMS, Value::Bytes(stream)) => {
            streams.push(decoder.stream(stream)?);
            Ok(())
        }
        (tag::STREAMS, Value::Number(_)) => Err(bad_wire_type()),
        _ => Ok(()),
    })?;
    Ok(PushRequest { streams, ..PushRequest::default() })
}

struct Decoder<'m> {
    message: &'m Bytes,
    /// Streams, entries and pairs that may still come.
    left: usize,
    max: usize,
}

impl Decoder<'_> {
    /// Counts the submessages of one field before room is made for them: two bytes on the wire become a hundred in
    /// memory. The count is taken from what is left.
    fn reserve(&mut self, bytes: &[u8], wanted: u32) -> Result<usize, DecodeError> {
        let mut count = 0;
        each_field(bytes, |field, _| {
            count += usize::from(field == wanted);
            Ok(())
        })?;
        self.left = self.left.checked_sub(count).ok_or(DecodeError::TooManyItems { max: self.max })?;
        Ok(count)
    }

    fn share(&self, part: &[u8]) -> Bytes {
        if part.is_empty() { Bytes::new() } else { self.message.slice_ref(part) }
    }

    fn stream(&mut self, bytes: &[u8]) -> Result<PushStream, DecodeError> {
        let mut labels = Bytes::new();
        let mut entries = Vec::with_capacity(self.reserve(bytes, tag::ENTRIES)?);
        each_field(bytes, |field, value| {
            match (field, value) {
                (tag::LABELS, Value::Bytes(text)) => labels = self.share(text),
                (tag::ENTRIES, Value::Bytes(entry)) => entries.push(self.entry(entry)?),
                (tag::LABELS | tag::ENTRIES, Value::Number(_)) => return Err(bad_wire_type()),
                _ => {}
            }
            Ok(())
        })?;
        Ok(PushStream { labels: LabelText::Text(labels), entries })
    }

    fn entry(&mut self, bytes: &[u8]) -> Result<Entry, DecodeError> {
        let mut time = None;
        let mut entry = Entry { timestamp: NO_TIME, line: Bytes::new(), metadata: Metadata::new() };
        each_field(bytes, |field, value| {
            match (field, value) {
                // Parts of one message may come in pieces, which are merged.
                (tag::TIMESTAMP, Value::Bytes(parts)) => time = Some(merge_time(time, parts)?),
                (tag::LINE, Value::Bytes(line)) => entry.line = self.share(line),
                (tag::METADATA, Value::Bytes(parts)) => {
                    if entry.metadata.is_empty() {
                        entry.metadata.reserve_exact(self.reserve(bytes, tag::METADATA)?);
                    }
                    entry.metadata.push(self.pair(parts)?);
                }
                (tag::TIMESTAMP | tag::LINE | tag::METADATA, Value::Number(_)) => return Err(bad_wire_type()),
                _ => {}
            }
            Ok(())
        })?;
        entry.timestamp = match time {
            None => NO_TIME,
            Some((seconds, nanos @ 0..1_000_000_000)) => Timestamp::from_parts(seconds, nanos),
            Some((seconds, nanos)) => return Err(DecodeError::Nanos { seconds, nanos }),
        };
        Ok(entry)
    }

    fn pair(&self, bytes: &[u8]) -> Result<(Bytes, Bytes), DecodeError> {
        let (mut name, mut text) = (Bytes::new(), Bytes::new());
        each_field(bytes, |field, value| {
            match (field, value) {
                (tag::NAME, Value::Bytes(part)) => name = self.share(part),
                (tag::VALUE, Value::Bytes(part)) => text = self.share(part),
                (tag::NAME | tag::VALUE, Value::Number(_)) => return Err(bad_wire_type()),
                _ => {}
            }
            Ok(())
        })?;
        Ok((name, text))
    }
}

/// Seconds and nanoseconds as sent.
fn merge_time(before: Option<(i64, i32)>, bytes: &[u8]) -> Result<(i64, i32), DecodeError> {
    let (mut seconds, mut nanos) = before.unwrap_or_default();
    each_field(bytes, |field, value| {
        match (field, value) {
            (tag::SECONDS, Value::Number(Some(number))) => seconds = number.cast_signed(),
            // An `int32` is sent with its sign extended to 64 bits.
            #[expect(clippy::cast_possible_truncation, reason = "what the field's type says")]
            (tag::NANOS, Value::Number(Some(number))) => nanos = number as i32,
            (tag::SECONDS | tag::NANOS, _) => return Err(bad_wire_type()),
            _ => {}
        }
        Ok(())
    })?;
    Ok((seconds, nanos))
}

/// One field's value.
pub(super) enum Value<'a> {
    Bytes(&'a [u8]),
    /// A variable-length integer; `None` for the kinds no field of a push has.
    Number(Option<u64>),
}

/// Walks the fields of one message.
pub(super) fn each_field<'a>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u32, Value<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    while bytes.has_remaining() {
        let (field, wire_type) = decode_key(&mut bytes).map_err(|error| broken(&error))?;
        let value = match wire_type {
            WireType::LengthDelimited => {
                let len = decode_varint(&mut bytes).map_err(|error| broken(&error))?;
                let split = usize::try_from(len).ok().and_then(|len| bytes.split_at_checked(len));
                let (part, rest) = split.ok_or_else(|| DecodeError::Protobuf("unexpected EOF".into()))?;
                bytes = rest;
                Value::Bytes(part)
            }
            WireType::Varint => {
                Value::Number(Some(decode_varint(&mut bytes).map_err(|error| broken(&error))?))
            }
            other => {
                skip_field(other, field, &mut bytes, DecodeContext::default())
                    .map_err(|error| broken(&error))?;
                Value::Number(None)
            }
        };
        take(field, value)?;
    }
    Ok(())
}

pub(super) fn bad_wire_type() -> DecodeError {
    DecodeError::Protobuf("proto: wrong wireType for a field of the request".into())
}

pub(super) fn broken(error: &prost::DecodeError) -> DecodeError {
    DecodeError::Protobuf(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::wire::logproto;

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
        let request = decode(&message, 10).unwrap();
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
        let error = decode(&one(5, 1_000_000_000), 10).unwrap_err();
        assert_eq!(
            error.to_string(),
            "timestamp: &types.Timestamp{Seconds: 5,\nNanos: 1000000000,\n}: nanos not in range [0, 1e9)"
        );
        assert!(matches!(decode(&one(5, -1), 10), Err(DecodeError::Nanos { nanos: -1, .. })));
    }

    #[test]
    fn unknown_fields_are_skipped_and_a_missing_time_is_the_oldest() {
        // Entry { line: "x", parsed (4): [{}] }, stream hash (3), request format (2).
        let message = b"\x0a\x0d\x0a\x02{}\x12\x05\x12\x01x\x22\x00\x18\x07\x12\x04loki";
        let request = decode(&Bytes::from_static(message), 10).unwrap();
        let entry = &request.streams[0].entries[0];
        assert_eq!((entry.timestamp, entry.line.as_ref()), (Timestamp::MIN, b"x".as_slice()));
    }

    #[test]
    fn tiny_items_are_counted_before_they_are_decoded() {
        // 2-byte empty streams, and one stream of 2-byte empty entries.
        let streams = b"\x0a\x00".repeat(1_001);
        assert_eq!(decode(&streams.into(), 1_000), Err(DecodeError::TooManyItems { max: 1_000 }));
        let entries =
            logproto::Stream { labels: Bytes::new(), entries: vec![logproto::Entry::default(); 1_000] };
        let message = logproto::PushRequest { streams: vec![entries] }.encode_to_vec();
        assert_eq!(decode(&message.clone().into(), 1_000), Err(DecodeError::TooManyItems { max: 1_000 }));
        assert!(decode(&message.into(), 1_001).is_ok());
    }

    /// What the generated decoder makes of a message.
    fn reference(message: &[u8]) -> Option<Vec<PushStream>> {
        let pairs = |pairs: Vec<logproto::LabelPair>| pairs.into_iter().map(|p| (p.name, p.value)).collect();
        let entry = |entry: logproto::Entry| {
            let timestamp = match entry.timestamp {
                None => NO_TIME,
                Some(time) if (0..1_000_000_000).contains(&time.nanos) => {
                    Timestamp::from_parts(time.seconds, time.nanos)
                }
                Some(_) => return None,
            };
            Some(Entry { timestamp, line: entry.line, metadata: pairs(entry.structured_metadata) })
        };
        let streams = logproto::PushRequest::decode(message).ok()?.streams.into_iter().map(|stream| {
            let entries = stream.entries.into_iter().map(entry).collect::<Option<_>>()?;
            Some(PushStream { labels: LabelText::Text(stream.labels), entries })
        });
        streams.collect()
    }

    proptest! {
        #[test]
        fn damaged_messages_are_read_as_the_generated_decoder_reads_them(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 0..4),
        ) {
            let mut message = one(5, 6).to_vec();
            message.extend_from_slice(&one(-1, 999_999_999));
            for (place, byte, kind) in edits {
                let place = place.index(message.len());
                match kind {
                    0 => message[place] = byte,
                    1 => message.insert(place, byte),
                    _ => message.truncate(place + 1),
                }
            }
            let read = decode(&message.clone().into(), 1_000).ok().map(|request| request.streams);
            prop_assert_eq!(read, reference(&message));
        }
    }
}
