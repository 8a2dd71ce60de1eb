//! OpenTelemetry's log push becomes the same value as Loki's: the attributes of a resource that are chosen for it make
//! the stream, everything else but the body becomes structured metadata of the entry.
//!
//! The outer messages are walked, one record at a time is decoded; what its copies of the resource's attributes occupy
//! is counted before they are made.

mod assembly;
mod json;
mod protobuf;
mod value;

use bytes::Bytes;
use prost::Message;

use self::assembly::Assembly;
use super::push::{DecodeError, DecodeLimits, PushRequest};
use crate::model::Timestamp;

/// The generated message types.
mod message {
    include!(concat!(env!("OUT_DIR"), "/otlp.rs"));
}

/// How deep values may lie in each other.
const MAX_DEPTH: usize = 16;

/// How records become entries of streams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mapping<'a> {
    /// Attributes of the resource that become labels.
    pub labels: &'a [String],
    /// The time of records that have none.
    pub now: Timestamp,
}

/// Decodes a protobuf message.
pub(super) fn decode_protobuf(
    message: &Bytes,
    limits: DecodeLimits,
    mapping: Mapping<'_>,
) -> Result<PushRequest, DecodeError> {
    let mut assembly = Assembly::new(limits, mapping);
    protobuf::decode(message, &mut assembly)?;
    Ok(assembly.finish())
}

/// Decodes a JSON document.
pub(super) fn decode_json(
    document: &[u8],
    limits: DecodeLimits,
    mapping: Mapping<'_>,
) -> Result<PushRequest, DecodeError> {
    let mut assembly = Assembly::new(limits, mapping);
    json::decode(document, &mut assembly)?;
    Ok(assembly.finish())
}

/// A refusal as exporters read it: `google.rpc.Status` with nothing but the text.
pub fn status(text: &str) -> Vec<u8> {
    message::Status { message: Bytes::copy_from_slice(text.as_bytes()) }.encode_to_vec()
}

/// The `Content-Type` of a refusal.
pub const STATUS_CONTENT_TYPE: &str = "application/octet-stream";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_status_with_a_message_only() {
        assert_eq!(status("no"), b"\x12\x02no");
    }
}
