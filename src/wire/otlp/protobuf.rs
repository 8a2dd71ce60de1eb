//! `ExportLogsServiceRequest`: the messages around the records are walked, resources, scopes and records are decoded
//! one by one, each only after its values were counted.

use bytes::Bytes;
use prost::Message;

use super::{
    MAX_DEPTH,
    assembly::{Assembly, Origin, Values},
    message::{InstrumentationScope, LogRecord, Resource},
};
use crate::wire::{
    protobuf::{Value, bad_wire_type, broken, each_field},
    push::DecodeError,
};

/// Field numbers of the outer messages, see `proto/otlp.proto`.
mod tag {
    pub const RESOURCE_LOGS: u32 = 1;
    pub const RESOURCE: u32 = 1;
    pub const SCOPE_LOGS: u32 = 2;
    pub const SCOPE: u32 = 1;
    pub const LOG_RECORDS: u32 = 2;
}

/// Decodes a request.
pub(super) fn decode(message: &Bytes, assembly: &mut Assembly<'_>) -> Result<(), DecodeError> {
    each_message(message, tag::RESOURCE_LOGS, |part| resource_logs(&message.slice_ref(part), assembly))
}

fn resource_logs(message: &Bytes, assembly: &mut Assembly<'_>) -> Result<(), DecodeError> {
    // Fields may come in any order: the resource is read first wherever it is.
    let resource = merged::<Resource>(message, (tag::RESOURCE, Kind::Resource), assembly)?;
    let origin = assembly.resource(resource)?;
    each_message(message, tag::SCOPE_LOGS, |part| scope_logs(&message.slice_ref(part), &origin, assembly))
}

fn scope_logs(message: &Bytes, origin: &Origin, assembly: &mut Assembly<'_>) -> Result<(), DecodeError> {
    let scope = merged::<InstrumentationScope>(message, (tag::SCOPE, Kind::Scope), assembly)?;
    let origin = assembly.scope(origin, scope)?;
    each_message(message, tag::LOG_RECORDS, |part| {
        Kind::Record.count(part, MAX_DEPTH, &mut assembly.values())?;
        let record = LogRecord::decode(message.slice_ref(part)).map_err(|error| broken(&error))?;
        assembly.record(&origin, record)
    })
}

/// Walks the messages of one field.
fn each_message<'a>(
    bytes: &'a [u8],
    wanted: u32,
    mut take: impl FnMut(&'a [u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    each_field(bytes, |field, value| match value {
        Value::Bytes(part) if field == wanted => take(part),
        Value::Number(_) if field == wanted => Err(bad_wire_type()),
        _ => Ok(()),
    })
}

/// The message of one field; its parts may be spread over several, which together are counted as one.
fn merged<M: Message + Default>(
    message: &Bytes,
    (field, kind): (u32, Kind),
    assembly: &Assembly<'_>,
) -> Result<M, DecodeError> {
    let (mut merged, mut values) = (M::default(), assembly.values());
    each_message(message, field, |part| {
        kind.count(part, MAX_DEPTH, &mut values)?;
        merged.merge(message.slice_ref(part)).map_err(|error| broken(&error))
    })?;
    Ok(merged)
}

/// The messages that are decoded, and those in them.
#[derive(Clone, Copy)]
enum Kind {
    Resource,
    Scope,
    Record,
    Pair,
    Value,
    Array,
    List,
}

impl Kind {
    /// What a field's message is, if it has values in it.
    fn of_field(self, field: u32) -> Option<Kind> {
        match (self, field) {
            (Kind::Resource, 1) | (Kind::Scope, 3) | (Kind::Record, 6) | (Kind::List, 1) => Some(Kind::Pair),
            (Kind::Record, 5) | (Kind::Pair, 2) | (Kind::Array, 1) => Some(Kind::Value),
            (Kind::Value, 5) => Some(Kind::Array),
            (Kind::Value, 6) => Some(Kind::List),
            _ => None,
        }
    }

    /// Counts pairs and values before room is made for them: two bytes on the wire become seventy in memory.
    fn count(self, bytes: &[u8], depth: usize, values: &mut Values) -> Result<(), DecodeError> {
        each_field(bytes, |field, value| {
            let (Some(kind), Value::Bytes(part)) = (self.of_field(field), value) else { return Ok(()) };
            values.take(1)?;
            let depth = match kind {
                Kind::Value => depth.checked_sub(1).ok_or(DecodeError::TooDeep { max: MAX_DEPTH })?,
                _ => depth,
            };
            kind.count(part, depth, values)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding::encode_varint;

    use super::{super::*, *};
    use crate::wire::otlp::message::{ExportLogsServiceRequest, KeyValue, ResourceLogs, ScopeLogs};

    const LIMITS: DecodeLimits = DecodeLimits { max_unpacked_bytes: 1 << 20, max_items: 1_000 };

    fn request(record: LogRecord) -> ExportLogsServiceRequest {
        let scope_logs = vec![ScopeLogs { scope: None, log_records: vec![record] }];
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource: None, scope_logs }] }
    }

    fn read(message: &ExportLogsServiceRequest, limits: DecodeLimits) -> Result<PushRequest, DecodeError> {
        decode_protobuf(&message.encode_to_vec().into(), limits, Mapping::default())
    }

    #[test]
    fn a_resource_is_found_behind_its_records() {
        // ResourceLogs { scope_logs: [{ log_records: [{ body: "x" }] }], resource: { attributes: [{ a: "b" }] } }
        let message =
            b"\x0a\x19\x12\x09\x12\x07\x2a\x05\x0a\x03abc\x0a\x0c\x0a\x0a\x0a\x01a\x12\x05\x0a\x03def";
        let labels = ["a".to_owned()];
        let mapping = Mapping { labels: &labels, now: Timestamp::from_secs(7) };
        let request = decode_protobuf(&Bytes::from_static(message), LIMITS, mapping).unwrap();
        assert_eq!(request.streams[0].labels.as_bytes(), b"{a=\"def\"}");
        let entry = &request.streams[0].entries[0];
        assert_eq!((entry.line.as_ref(), entry.timestamp), (b"abc".as_slice(), Timestamp::from_secs(7)));
    }

    #[test]
    fn tiny_values_are_counted_before_they_are_decoded() {
        let pairs =
            |count| LogRecord { attributes: vec![KeyValue::default(); count], ..LogRecord::default() };
        // Resource, scope, record, stream: 4. The names are empty, which is for the entry's check to refuse.
        assert!(read(&request(pairs(996)), LIMITS).is_ok());
        assert_eq!(read(&request(pairs(997)), LIMITS), Err(DecodeError::TooManyItems { max: 1_000 }));
        for empty in [
            ExportLogsServiceRequest { resource_logs: vec![ResourceLogs::default(); 1_000] },
            request(LogRecord { attributes: vec![KeyValue::default(); 100_000], ..LogRecord::default() }),
            ExportLogsServiceRequest {
                resource_logs: vec![ResourceLogs {
                    resource: None,
                    scope_logs: vec![ScopeLogs::default(); 1_000],
                }],
            },
        ] {
            let read = read(&empty, LIMITS);
            assert!(
                matches!(read, Err(DecodeError::TooManyItems { .. })) || read.unwrap().streams.is_empty()
            );
        }
    }

    #[test]
    fn values_within_values_have_an_end() {
        // Any { array: { values: [...] } }, as bytes: the generated encoder does not go as deep.
        let within = |tag: u8, inner: Vec<u8>| {
            let mut outer = vec![tag];
            encode_varint(inner.len() as u64, &mut outer);
            [outer, inner].concat()
        };
        let read_body = |depth| {
            let value = (1..depth).fold(Vec::new(), |inner, _| within(0x2a, within(0x0a, inner)));
            // Request { resource_logs: [{ scope_logs: [{ log_records: [{ body }] }] }] }
            let message = [0x2a, 0x12, 0x12, 0x0a].into_iter().fold(value, |inner, tag| within(tag, inner));
            decode_protobuf(&message.into(), LIMITS, Mapping::default())
        };
        let line = read_body(16).unwrap().streams[0].entries[0].line.clone();
        assert_eq!(line, format!("{}null{}", "[".repeat(15), "]".repeat(15)));
        for depth in [17, 40, 1_000] {
            assert_eq!(read_body(depth), Err(DecodeError::TooDeep { max: 16 }), "{depth}");
        }
    }

    /// A captured push: two records of one resource.
    fn captured() -> Vec<u8> {
        let body = include_bytes!("../../../tests/fixtures/wire/otlp-http-python/000.bin");
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body.as_slice()), &mut plain).unwrap();
        plain
    }

    proptest! {
        #[test]
        fn damaged_messages_are_read_within_the_caps_or_refused(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 0..5),
            max_unpacked_bytes in 0_usize..2_000,
            max_items in 0_usize..60,
        ) {
            let mut message = captured();
            for (place, byte, kind) in edits {
                let place = place.index(message.len());
                match kind {
                    0 => message[place] = byte,
                    1 => message.insert(place, byte),
                    _ => message.truncate(place + 1),
                }
            }
            let is_valid = ExportLogsServiceRequest::decode(message.as_slice()).is_ok();
            let limits = DecodeLimits { max_unpacked_bytes, max_items };
            let read = decode_protobuf(&message.into(), limits, Mapping::default());
            match read {
                Ok(request) => {
                    prop_assert!(is_valid);
                    assembly::assert_within(&request, limits);
                }
                Err(DecodeError::Protobuf(_)) => prop_assert!(!is_valid),
                Err(_) => {}
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(message in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_protobuf(&message.into(), LIMITS, Mapping::default());
        }
    }
}
