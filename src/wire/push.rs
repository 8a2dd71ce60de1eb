//! One push body, as received, becomes streams with entries: still untrusted, but well-formed and within the caps.
//! Protobuf and JSON end in the same type; everything after this module knows no difference between them.

use std::fmt;

use bytes::Bytes;

use super::{json, labels::LabelText, protobuf, unpack};
use crate::model::{Entry, Timestamp};

/// What a client pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushRequest {
    /// In the sender's order.
    pub streams: Vec<PushStream>,
}

/// The entries of one label text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushStream {
    /// The labels, not parsed yet: most texts are known already.
    pub labels: LabelText,
    /// In the sender's order. A missing time is [`Timestamp::MIN`].
    pub entries: Vec<Entry>,
}

/// How much one body may grow.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Bytes after decompression.
    pub max_unpacked_bytes: usize,
    /// Streams, entries and metadata pairs together.
    pub max_items: usize,
}

/// What the headers and the path say about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    encoding: Encoding,
    kind: Kind,
    is_legacy: bool,
}

/// The content encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Snappy,
    Gzip,
    Deflate,
    Zstd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Protobuf,
    Json,
    /// No content type was sent: the first bytes decide.
    Unknown,
}

/// Why a body cannot be read. The texts are what the client sees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A content encoding nobody speaks.
    #[error("Content-Encoding {0:?} not supported")]
    Encoding(String),
    /// The content type cannot be read.
    #[error("mime: invalid media parameter")]
    MediaType,
    /// Nothing was sent, or a compressed body ends early.
    #[error("EOF")]
    Empty,
    /// Not a snappy block.
    #[error("snappy: corrupt input")]
    Snappy,
    /// Another compression is damaged.
    #[error("{encoding}: {cause}")]
    Compressed {
        /// Its name.
        encoding: &'static str,
        /// What the decompressor says.
        cause: String,
    },
    /// The body is or becomes too large.
    #[error("request body too large: message size too large than max ({size} vs {max})")]
    TooLarge {
        /// Its size, as far as it is known.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Memory is needed per stream, entry and pair, however short they are.
    #[error("request body too large: more than {max} streams, entries and metadata pairs")]
    TooManyItems {
        /// The limit.
        max: usize,
    },
    /// Not the protobuf message.
    #[error("{0}")]
    Protobuf(String),
    /// A time protobuf does not allow.
    #[error(
        "timestamp: &types.Timestamp{{Seconds: {seconds},\nNanos: {nanos},\n}}: nanos not in range [0, 1e9)"
    )]
    Nanos {
        /// As sent.
        seconds: i64,
        /// As sent.
        nanos: i32,
    },
    /// Not the JSON document.
    #[error("{0}")]
    Json(String),
}

impl DecodeError {
    /// Whether the body is refused for its size (413) and not for its form (400).
    pub fn is_size(&self) -> bool {
        matches!(self, DecodeError::TooLarge { .. } | DecodeError::TooManyItems { .. })
    }
}

impl Format {
    /// Reads the headers; `is_legacy` says that the path is `/api/prom/push`. Everything that is not JSON is protobuf.
    pub fn from_headers(
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
        is_legacy: bool,
    ) -> Result<Self, DecodeError> {
        let encoding = Encoding::from_header(content_encoding.unwrap_or_default())?;
        let kind = Kind::from_header(content_type.unwrap_or_default())?;
        Ok(Format { encoding, kind, is_legacy })
    }
}

impl Encoding {
    fn from_header(value: &[u8]) -> Result<Self, DecodeError> {
        let value = value.trim_ascii();
        let known = [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("snappy", Encoding::Snappy),
            ("gzip", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("deflate", Encoding::Deflate),
            ("zstd", Encoding::Zstd),
        ];
        let found = known.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(value));
        match found {
            Some((_, encoding)) => Ok(*encoding),
            None => Err(DecodeError::Encoding(String::from_utf8_lossy(value).into_owned())),
        }
    }
}

impl Kind {
    fn from_header(value: &[u8]) -> Result<Self, DecodeError> {
        let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let media = parts.next().unwrap_or_default();
        if parts.any(|parameter| !parameter.is_empty() && !parameter.contains(&b'=')) {
            return Err(DecodeError::MediaType);
        }
        Ok(match media {
            b"" => Kind::Unknown,
            media if media.eq_ignore_ascii_case(b"application/json") => Kind::Json,
            _ => Kind::Protobuf,
        })
    }
}

impl fmt::Display for Format {
    /// Names the format in metrics and as part of a push's identity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}/{}", self.kind, self.encoding, self.is_legacy)
    }
}

/// Decodes one push body. Lines stay slices of the decompressed body wherever nothing had to be unescaped.
pub fn decode(format: Format, body: Bytes, limits: DecodeLimits) -> Result<PushRequest, DecodeError> {
    let plain = unpack::unpack(format.encoding, body, limits.max_unpacked_bytes)?;
    let is_json = match format.kind {
        Kind::Json => true,
        Kind::Protobuf => false,
        Kind::Unknown => json::looks_like(&plain),
    };
    if !is_json {
        let message = unpack::unsnap_protobuf(plain, limits.max_unpacked_bytes)?;
        return protobuf::decode(message, limits.max_items);
    }
    match json::decode(&plain, format.is_legacy, limits.max_items) {
        // Loki ignores `Content-Encoding: snappy` on JSON; whoever really compressed it is understood too.
        Err(DecodeError::Json(_)) if format.encoding == Encoding::Snappy => {
            let plain = unpack::unsnap(&plain, limits.max_unpacked_bytes)?;
            json::decode(&plain, format.is_legacy, limits.max_items)
        }
        decoded => decoded,
    }
}

/// The time of an entry that was sent without one: earlier than any limit on age.
pub(super) const NO_TIME: Timestamp = Timestamp::MIN;
