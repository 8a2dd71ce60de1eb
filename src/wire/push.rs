//! One push body, as received, becomes streams with entries: still untrusted, but well-formed and within the caps.
//! Protobuf and JSON end in the same type; everything after this module knows no difference between them.

use std::fmt;

use bytes::Bytes;

use super::{json, labels::LabelText, otlp, protobuf, unpack};
use crate::model::{Entry, Timestamp};

/// What a client pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushRequest {
    /// How it was pushed.
    pub protocol: Protocol,
    /// In the sender's order.
    pub streams: Vec<PushStream>,
}

/// Whose push protocol it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Loki's.
    #[default]
    Loki,
    /// OpenTelemetry's.
    OpenTelemetry,
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
    schema: Schema,
}

/// Which message or document is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schema {
    Loki,
    /// `/api/prom/push`: JSON has an older form.
    LokiLegacy,
    OpenTelemetry,
}

/// The content encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Snappy,
    Gzip,
    Deflate,
    Zstd,
    Lz4,
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
    /// OpenTelemetry's push has this type neither.
    #[error("content type: {0} is not supported")]
    ContentType(String),
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
    /// Values within values without an end.
    #[error("values lie deeper in each other than {max} levels")]
    TooDeep {
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
        let schema = if is_legacy { Schema::LokiLegacy } else { Schema::Loki };
        Ok(Format { encoding, kind, schema })
    }

    /// Reads the headers of an OpenTelemetry push. Its types are two; parameters of them are ignored.
    pub fn from_otlp_headers(
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
    ) -> Result<Self, DecodeError> {
        let encoding = Encoding::from_header(content_encoding.unwrap_or_default())?;
        let content_type = content_type.unwrap_or_default();
        let kind = Kind::from_header(content_type)?;
        let is_protobuf = || {
            [b"application/x-protobuf".as_slice(), b"application/protobuf"]
                .iter()
                .any(|known| media(content_type).eq_ignore_ascii_case(known))
        };
        if kind == Kind::Protobuf && !is_protobuf() {
            return Err(DecodeError::ContentType(String::from_utf8_lossy(content_type).into_owned()));
        }
        Ok(Format { encoding, kind, schema: Schema::OpenTelemetry })
    }
}

/// The media type of a header, without its parameters.
fn media(content_type: &[u8]) -> &[u8] {
    content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
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
            ("lz4", Encoding::Lz4),
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
        let mut parameters = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).skip(1);
        if parameters.any(|parameter| !parameter.is_empty() && !parameter.contains(&b'=')) {
            return Err(DecodeError::MediaType);
        }
        Ok(match media(value) {
            b"" => Kind::Unknown,
            media if media.eq_ignore_ascii_case(b"application/json") => Kind::Json,
            _ => Kind::Protobuf,
        })
    }
}

impl fmt::Display for Format {
    /// Names the format in metrics and as part of a push's identity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}/{:?}", self.schema, self.kind, self.encoding)
    }
}

/// Decodes one push body. Lines stay slices of the decompressed body wherever nothing had to be unescaped.
/// `mapping` says what becomes of OpenTelemetry's records.
pub fn decode(
    format: Format,
    body: Bytes,
    limits: DecodeLimits,
    mapping: otlp::Mapping<'_>,
) -> Result<PushRequest, DecodeError> {
    let plain = unpack::unpack(format.encoding, body, limits.max_unpacked_bytes)?;
    let is_json = match format.kind {
        Kind::Json => true,
        Kind::Protobuf => false,
        Kind::Unknown => json::looks_like(&plain),
    };
    let decoded = format.decode_plain(&plain, is_json, limits, mapping);
    match decoded {
        // Loki ignores `Content-Encoding: snappy` on JSON; whoever really compressed it is understood too.
        Err(DecodeError::Json(_)) if format.encoding == Encoding::Snappy => {
            let plain = unpack::unsnap(&plain, limits.max_unpacked_bytes)?;
            format.decode_plain(&plain, is_json, limits, mapping)
        }
        decoded => decoded,
    }
}

impl Format {
    fn decode_plain(
        self,
        plain: &Bytes,
        is_json: bool,
        limits: DecodeLimits,
        mapping: otlp::Mapping<'_>,
    ) -> Result<PushRequest, DecodeError> {
        let unsnap = || unpack::unsnap_protobuf(plain.clone(), limits.max_unpacked_bytes);
        match (self.schema, is_json) {
            (Schema::OpenTelemetry, true) => otlp::decode_json(plain, limits, mapping),
            (Schema::OpenTelemetry, false) if self.encoding == Encoding::Snappy => {
                otlp::decode_protobuf(&unsnap()?, limits, mapping)
            }
            (Schema::OpenTelemetry, false) => otlp::decode_protobuf(plain, limits, mapping),
            (Schema::Loki | Schema::LokiLegacy, false) => protobuf::decode(&unsnap()?, limits.max_items),
            (schema, true) => json::decode(plain, schema == Schema::LokiLegacy, limits.max_items),
        }
    }
}

/// What a body is going to occupy once it is unpacked, seen from outside. For codecs that do not say, a generous guess.
pub fn unpacked_bytes(format: Format, body: &[u8]) -> usize {
    match format.encoding {
        Encoding::Identity if format.schema == Schema::OpenTelemetry => body.len(),
        Encoding::Identity | Encoding::Snappy if format.kind == Kind::Json => body.len(),
        Encoding::Identity | Encoding::Snappy => {
            snap::raw::decompress_len(body).map_or(body.len(), |announced| announced.max(body.len()))
        }
        Encoding::Gzip | Encoding::Deflate | Encoding::Zstd | Encoding::Lz4 => {
            body.len().saturating_mul(GENEROUS_EXPANSION)
        }
    }
}

/// More than log lines ever compress, less than a bomb does; a bomb is cut off elsewhere.
const GENEROUS_EXPANSION: usize = 100;

/// The time of an entry that was sent without one: earlier than any limit on age.
pub(super) const NO_TIME: Timestamp = Timestamp::MIN;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: DecodeLimits = DecodeLimits { max_unpacked_bytes: 1 << 20, max_items: 10_000 };

    fn format(content_type: &str, encoding: &str) -> Result<Format, DecodeError> {
        Format::from_headers(Some(content_type.as_bytes()), Some(encoding.as_bytes()), false)
    }

    fn read(format: Format, body: Bytes, limits: DecodeLimits) -> Result<PushRequest, DecodeError> {
        decode(format, body, limits, otlp::Mapping::default())
    }

    fn snappy(plain: &[u8]) -> Bytes {
        snap::raw::Encoder::new().compress_vec(plain).unwrap().into()
    }

    /// Labels and lines of a push as (label text, lines).
    fn shown(request: &PushRequest) -> Vec<(String, Vec<String>)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let lines = |stream: &PushStream| stream.entries.iter().map(|entry| text(&entry.line)).collect();
        request.streams.iter().map(|stream| (text(stream.labels.as_bytes()), lines(stream))).collect()
    }

    const PROTOBUF: &str = "application/x-protobuf";

    /// Captured pushes with their content type and encoding.
    const BODIES: [(&[u8], &str, &str); 7] = [
        (include_bytes!("../../tests/fixtures/wire/promtail-3.6.15/000.bin"), PROTOBUF, ""),
        (include_bytes!("../../tests/fixtures/wire/promtail-3.6.15/003.bin"), PROTOBUF, ""),
        (include_bytes!("../../tests/fixtures/wire/winston-loki-proto/000.bin"), PROTOBUF, ""),
        (include_bytes!("../../tests/fixtures/wire/winston-loki-json/000.bin"), "application/json", ""),
        (include_bytes!("../../tests/fixtures/wire/pino-loki/000.bin"), "application/json", ""),
        (include_bytes!("../../tests/fixtures/wire/python-handlers/000.bin"), "application/json", ""),
        (include_bytes!("../../tests/fixtures/wire/python-handlers/001.bin"), "application/json", "gzip"),
    ];

    /// One stream `{}` with the line `x` at 5 ns.
    const MESSAGE: &[u8] = b"\x0a\x0d\x0a\x02{}\x12\x07\x0a\x02\x10\x05\x12\x01x";
    const DOCUMENT: &[u8] = br#"{"streams":[{"stream":{},"values":[["5","x"]]}]}"#;

    #[track_caller]
    fn reads(content_type: &str, encoding: &str, body: Bytes) {
        let request = read(format(content_type, encoding).unwrap(), body, LIMITS).unwrap();
        let entry = &request.streams[0].entries[0];
        assert_eq!((entry.timestamp, entry.line.as_ref()), (Timestamp::from_nanos(5), b"x".as_slice()));
    }

    #[test]
    fn types_and_encodings_that_loki_takes_are_taken() {
        for content_type in [
            "application/x-protobuf",
            "application/x-protobuf; proto=x",
            "text/plain",
            "application/x-snappy",
        ] {
            reads(content_type, "", snappy(MESSAGE));
            reads(content_type, "snappy", snappy(MESSAGE));
        }
        for content_type in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
            reads(content_type, "", Bytes::from_static(DOCUMENT));
            reads(content_type, "snappy", Bytes::from_static(DOCUMENT));
        }
    }

    #[test]
    fn friendlier_bodies_are_taken_too() {
        reads("", "", snappy(MESSAGE));
        reads("", "", Bytes::from_static(DOCUMENT));
        reads("application/x-protobuf", "identity", Bytes::from_static(MESSAGE));
        reads("application/x-protobuf", "ZSTD", zstd::encode_all(&*snappy(MESSAGE), 1).unwrap().into());
        reads("application/json", "zstd", zstd::encode_all(DOCUMENT, 1).unwrap().into());
        reads("application/json", "snappy", snappy(DOCUMENT));
    }

    #[test]
    fn headers_nobody_understands_are_named() {
        let unknown = format("application/json; charset", "br").unwrap_err();
        assert_eq!(unknown.to_string(), "Content-Encoding \"br\" not supported");
        let list = format("", "snappy, gzip").unwrap_err();
        assert_eq!(list.to_string(), "Content-Encoding \"snappy, gzip\" not supported");
        assert_eq!(format("application/json; charset", ""), Err(DecodeError::MediaType));
    }

    #[track_caller]
    fn fixture(body: &'static [u8], content_type: &str, encoding: &str, expected: &[(&str, &[&str])]) {
        let body = Bytes::from_static(body);
        let request = read(format(content_type, encoding).unwrap(), body, LIMITS).unwrap();
        let expected: Vec<_> = expected
            .iter()
            .map(|(labels, lines)| {
                ((*labels).to_owned(), lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(shown(&request), expected);
    }

    #[test]
    fn pushes_of_real_clients_are_read() {
        macro_rules! body {
            ($path:literal) => {
                include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wire/", $path))
            };
        }
        let (protobuf, json) = ("application/x-protobuf", "application/json");
        fixture(
            body!("promtail-3.6.15/005.bin"),
            protobuf,
            "",
            &[(r#"{filename="/var/log/auth.log", host="vps1", job="auth", region="eu"}"#, &["line five"])],
        );
        fixture(
            body!("winston-loki-proto/000.bin"),
            protobuf,
            "",
            &[
                (
                    r#"{level="error",app="node-shop",host="vps4",level2="x"}"#,
                    &[
                        r#"error: UnhandledPromiseRejection: ECONNREFUSED 10.0.0.5:5432 {"labels":{"level2":"x"}}"#,
                    ],
                ),
                (r#"{level="info",app="node-shop",host="vps4"}"#, &["info: listening on 8080"]),
            ],
        );
        fixture(
            body!("pino-loki/000.bin"),
            json,
            "",
            &[
                (
                    r#"{"level":"error","hostname":"vm","app":"pino-shop"}"#,
                    &[
                        r#"{"level":50,"time":1795226238539,"pid":6757,"err":"ENOSPC: no space left on device","msg":"write failed"}"#,
                    ],
                ),
                (
                    r#"{"level":"info","hostname":"vm","app":"pino-shop"}"#,
                    &[r#"{"level":30,"time":1795226238539,"pid":6757,"msg":"ok"}"#],
                ),
            ],
        );
        for (body, encoding, streams) in [
            (body!("winston-loki-json/000.bin").as_slice(), "", 2),
            (body!("python-handlers/000.bin").as_slice(), "", 1),
            (body!("python-handlers/001.bin").as_slice(), "gzip", 1),
        ] {
            let request = read(format(json, encoding).unwrap(), Bytes::from_static(body), LIMITS).unwrap();
            assert!(request.streams.len() >= streams, "{:?}", shown(&request));
            assert!(request.streams.iter().all(|stream| stream.labels.parse().is_ok()));
        }
        let promtail = Bytes::from_static(body!("promtail-3.6.15/000.bin"));
        let request = read(format(protobuf, "").unwrap(), promtail, LIMITS).unwrap();
        assert!(request.streams.iter().flat_map(|stream| &stream.entries).any(|entry| {
            entry.metadata.iter().any(|(name, value)| name == "status" && value == "404")
                && entry.line.starts_with(b"192.0.2.11 - - [21/Nov/2026:")
        }));
    }

    proptest! {
        #[test]
        fn any_body_in_any_format_is_decoded_or_refused(
            body in prop::collection::vec(any::<u8>(), 0..400),
            content_type in prop::sample::select(vec!["", "application/json", "application/x-protobuf"]),
            encoding in prop::sample::select(vec!["", "snappy", "gzip", "deflate", "zstd", "lz4"]),
            is_legacy: bool,
        ) {
            let format =
                Format::from_headers(Some(content_type.as_bytes()), Some(encoding.as_bytes()), is_legacy).unwrap();
            let _ = read(format, body.into(), LIMITS);
        }

        #[test]
        fn any_json_text_is_decoded_or_refused(body in r#"[\[\]{}",:0-9a-z\\ ]{0,60}"#, is_legacy: bool) {
            let body = format!(r#"{{"streams":[{{"stream":{{}},"values":[{body}"#);
            let format = Format::from_headers(Some(b"application/json"), None, is_legacy).unwrap();
            let _ = read(format, body.into(), LIMITS);
        }

        #[test]
        fn damaged_pushes_of_real_clients_are_decoded_within_the_caps_or_refused(
            at in 0..BODIES.len(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
            max_unpacked_bytes in 0_usize..4_000,
            max_items in 0_usize..40,
            is_packed: bool,
        ) {
            let (body, content_type, encoding) = BODIES[at];
            let mut body = body.to_vec();
            // Half of the damage goes below the compression, where the checks of the outer layer do not see it.
            if !is_packed && content_type == PROTOBUF {
                body = unpack::unsnap(&body, usize::MAX).unwrap().to_vec();
            }
            for (place, byte, kind) in edits {
                let place = place.index(body.len());
                match kind {
                    0 => body[place] = byte,
                    1 => body.insert(place, byte),
                    _ => body.truncate(place + 1),
                }
            }
            if !is_packed && content_type == PROTOBUF {
                body = snappy(&body).to_vec();
            }
            let limits = DecodeLimits { max_unpacked_bytes, max_items };
            if let Ok(request) = read(format(content_type, encoding).unwrap(), body.into(), limits) {
                let entries = || request.streams.iter().flat_map(|stream| &stream.entries);
                let pairs = || entries().flat_map(|entry| &entry.metadata);
                prop_assert!(request.streams.len() + entries().count() + pairs().count() <= max_items);
                let bytes: usize = entries().map(|entry| entry.line.len()).sum::<usize>()
                    + pairs().map(|(name, value)| name.len() + value.len()).sum::<usize>()
                    + request.streams.iter().map(|stream| stream.labels.as_bytes().len()).sum::<usize>();
                prop_assert!(bytes <= max_unpacked_bytes);
            }
        }

        #[test]
        fn any_label_text_is_parsed_or_refused(text in "[a-c{}=\"'`\\\\, #\n~!éux0-9]{0,40}") {
            let _ = super::super::labels::parse(text.as_bytes());
        }

        #[test]
        fn what_is_written_as_labels_is_read_back(value in any::<String>()) {
            let labels = crate::model::Labels::from_pairs([("a", value.as_str()), ("b", "x")]).unwrap();
            let read = super::super::labels::parse(labels.to_string().as_bytes()).unwrap();
            prop_assert_eq!(crate::model::Labels::from_pairs(read).unwrap(), labels);
        }
    }
}
