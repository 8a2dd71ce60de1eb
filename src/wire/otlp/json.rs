//! The same request as JSON: names in camelCase (or as in protobuf), trace and span ids in hexadecimal, 64-bit numbers
//! as strings or numbers. Unknown names are ignored; one record at a time is in memory.

use std::{borrow::Cow, fmt};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::value::RawValue;

use super::{
    MAX_DEPTH,
    assembly::{Assembly, Origin, Values},
    message::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, LogRecord, Resource,
        any_value::Value,
    },
};
use crate::wire::push::DecodeError;

/// Decodes a request. Bytes after the JSON value are ignored.
pub(super) fn decode(document: &[u8], assembly: &mut Assembly<'_>) -> Result<(), DecodeError> {
    match document.trim_ascii_start().first() {
        None => return Err(DecodeError::Empty),
        Some(b'{') => {}
        Some(_) => return Err(DecodeError::Json("expected an object with \"resourceLogs\"".into())),
    }
    let mut parser = serde_json::Deserializer::from_slice(document);
    let request = RequestText::deserialize(&mut parser).map_err(|error| bad(&error))?;
    each(request.resource_logs, |part| resource_logs(part, assembly))
}

fn resource_logs(text: &RawValue, assembly: &mut Assembly<'_>) -> Result<(), DecodeError> {
    let parts: ResourceText<'_> = read(text)?;
    let resource: Option<ResourceFields> =
        parts.resource.map(|text| leaf(text, assembly.values())).transpose()?;
    let attributes = checked(resource.and_then(|resource| resource.attributes))?;
    let origin = assembly.resource(Resource { attributes })?;
    each(parts.scope_logs, |part| scope_logs(part, &origin, assembly))
}

fn scope_logs(text: &RawValue, origin: &Origin, assembly: &mut Assembly<'_>) -> Result<(), DecodeError> {
    let parts: ScopeText<'_> = read(text)?;
    let scope: Option<ScopeFields> = parts.scope.map(|text| leaf(text, assembly.values())).transpose()?;
    let scope = scope.unwrap_or_default();
    let scope = InstrumentationScope {
        name: scope.name.unwrap_or_default().0,
        version: scope.version.unwrap_or_default().0,
        attributes: checked(scope.attributes)?,
        dropped_attributes_count: scope.dropped.unwrap_or_default().get()?,
    };
    let origin = assembly.scope(origin, scope)?;
    each(parts.log_records, |part| {
        let record: RecordFields = leaf(part, assembly.values())?;
        assembly.record(&origin, record.into_message()?)
    })
}

/// Reads one text; parts that are texts again are read when their turn comes.
fn read<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Result<T, DecodeError> {
    serde_json::from_str(text.get()).map_err(|error| bad(&error))
}

/// Reads a part with values in it, after its objects were counted: each becomes one pair or value in memory.
fn leaf<'a, T: Deserialize<'a>>(text: &'a RawValue, mut values: Values) -> Result<T, DecodeError> {
    values.take(objects(text.get()))?;
    read(text)
}

/// How many objects and lists a JSON text has.
fn objects(text: &str) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

fn bad(error: &serde_json::Error) -> DecodeError {
    DecodeError::Json(error.to_string())
}

/// Walks the elements of an array, one text at a time.
fn each<'a>(
    array: Option<&'a RawValue>,
    take: impl FnMut(&'a RawValue) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let Some(array) = array else { return Ok(()) };
    let mut parser = serde_json::Deserializer::from_str(array.get());
    parser.deserialize_seq(Elements(take)).map_err(|error| bad(&error))?
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue) -> Result<(), DecodeError>> Visitor<'de> for Elements<F> {
    type Value = Result<(), DecodeError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        while let Some(element) = seq.next_element()? {
            if let Err(error) = (self.0)(element) {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}

#[derive(Deserialize)]
struct RequestText<'a> {
    #[serde(borrow, default, rename = "resourceLogs", alias = "resource_logs")]
    resource_logs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResourceText<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "scopeLogs", alias = "scope_logs")]
    scope_logs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ScopeText<'a> {
    #[serde(borrow, default)]
    scope: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "logRecords", alias = "log_records")]
    log_records: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ResourceFields {
    attributes: Option<Vec<Pair>>,
}

#[derive(Default, Deserialize)]
struct ScopeFields {
    name: Option<Text>,
    version: Option<Text>,
    attributes: Option<Vec<Pair>>,
    #[serde(rename = "droppedAttributesCount", alias = "dropped_attributes_count")]
    dropped: Option<Number>,
}

#[derive(Deserialize)]
struct RecordFields {
    #[serde(rename = "timeUnixNano", alias = "time_unix_nano")]
    time: Option<Number>,
    #[serde(rename = "observedTimeUnixNano", alias = "observed_time_unix_nano")]
    observed: Option<Number>,
    #[serde(rename = "severityNumber", alias = "severity_number")]
    severity_number: Option<Number>,
    #[serde(rename = "severityText", alias = "severity_text")]
    severity_text: Option<Text>,
    body: Option<Any>,
    attributes: Option<Vec<Pair>>,
    #[serde(rename = "droppedAttributesCount", alias = "dropped_attributes_count")]
    dropped: Option<Number>,
    flags: Option<Number>,
    #[serde(rename = "traceId", alias = "trace_id")]
    trace_id: Option<Text>,
    #[serde(rename = "spanId", alias = "span_id")]
    span_id: Option<Text>,
    #[serde(rename = "eventName", alias = "event_name")]
    event_name: Option<Text>,
}

impl RecordFields {
    fn into_message(self) -> Result<LogRecord, DecodeError> {
        let body = self.body.map(|Any(body)| body);
        body.iter().try_for_each(|body| check_depth(body, MAX_DEPTH))?;
        Ok(LogRecord {
            time_unix_nano: self.time.unwrap_or_default().get()?,
            observed_time_unix_nano: self.observed.unwrap_or_default().get()?,
            severity_number: self.severity_number.unwrap_or_default().get()?,
            severity_text: self.severity_text.unwrap_or_default().0,
            body,
            attributes: checked(self.attributes)?,
            dropped_attributes_count: self.dropped.unwrap_or_default().get()?,
            flags: self.flags.unwrap_or_default().get()?,
            trace_id: self.trace_id.unwrap_or_default().id("traceId")?,
            span_id: self.span_id.unwrap_or_default().id("spanId")?,
            event_name: self.event_name.unwrap_or_default().0,
        })
    }
}

/// Attributes whose values are not too deep.
fn checked(attributes: Option<Vec<Pair>>) -> Result<Vec<KeyValue>, DecodeError> {
    let attributes: Vec<KeyValue> =
        attributes.unwrap_or_default().into_iter().map(Pair::into_message).collect();
    let mut values = attributes.iter().filter_map(|pair| pair.value.as_ref());
    values.try_for_each(|value| check_depth(value, MAX_DEPTH))?;
    Ok(attributes)
}

/// The parser's own limit on nesting is wider.
fn check_depth(value: &AnyValue, left: usize) -> Result<(), DecodeError> {
    let left = left.checked_sub(1).ok_or(DecodeError::TooDeep { max: MAX_DEPTH })?;
    match &value.value {
        Some(Value::Array(array)) => array.values.iter().try_for_each(|value| check_depth(value, left)),
        Some(Value::Kvlist(list)) => {
            let mut values = list.values.iter().filter_map(|pair| pair.value.as_ref());
            values.try_for_each(|value| check_depth(value, left))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
struct Pair {
    key: Option<Text>,
    value: Option<Any>,
}

impl Pair {
    fn into_message(self) -> KeyValue {
        KeyValue { key: self.key.unwrap_or_default().0, value: self.value.map(|Any(value)| value) }
    }
}

/// A string.
#[derive(Default)]
struct Text(Bytes);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Text(text.into()))
    }
}

impl Text {
    /// The bytes that are written as hexadecimal digits.
    fn id(&self, name: &str) -> Result<Bytes, DecodeError> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = self.0.chunks(2).map(pair).collect();
        let bytes = bytes.ok_or_else(|| DecodeError::Json(format!("{name} is not hexadecimal")))?;
        Ok(bytes.into())
    }
}

/// A whole number, also as a string.
#[derive(Clone, Copy, Default)]
struct Number(i128);

impl Number {
    fn get<T: TryFrom<i128>>(self) -> Result<T, DecodeError> {
        T::try_from(self.0).map_err(|_| DecodeError::Json(format!("number out of range: {}", self.0)))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or one as a string")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number.into()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number.into()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// A number, also as a string: JSON has no other words for those that are not finite.
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DoubleVisitor;
        impl Visitor<'_> for DoubleVisitor {
            type Value = Double;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or one as a string")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Double, E> {
                Ok(Double(number))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Double, E> {
                text.parse().map(Double).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(DoubleVisitor)
    }
}

/// `{"stringValue": "..."}` and the other kinds; of several the last one counts, as in protobuf.
struct Any(AnyValue);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor;
        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = Any;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the value under its kind")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                let mut value = None;
                while let Some(kind) = map.next_key::<Cow<'de, str>>()? {
                    if let Some(found) = any_value(&kind, &mut map)? {
                        value = Some(found);
                    }
                }
                Ok(Any(AnyValue { value }))
            }
        }
        deserializer.deserialize_map(AnyVisitor)
    }
}

/// The value of one kind; unknown kinds and `null` are none.
fn any_value<'de, A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Option<Value>, A::Error> {
    Ok(match kind {
        "stringValue" | "string_value" => map.next_value::<Option<Text>>()?.map(|text| Value::String(text.0)),
        "boolValue" | "bool_value" => map.next_value::<Option<bool>>()?.map(Value::Bool),
        "intValue" | "int_value" => {
            let number = map.next_value::<Option<Number>>()?;
            number.map(|number| number.get().map(Value::Int).map_err(A::Error::custom)).transpose()?
        }
        "doubleValue" | "double_value" => {
            map.next_value::<Option<Double>>()?.map(|number| Value::Double(number.0))
        }
        "bytesValue" | "bytes_value" => {
            let text = map.next_value::<Option<Text>>()?;
            let bytes = text.map(|text| BASE64.decode(&text.0)).transpose().map_err(A::Error::custom)?;
            bytes.map(|bytes| Value::Bytes(bytes.into()))
        }
        "arrayValue" | "array_value" => map.next_value::<Option<List<Any>>>()?.map(|list| {
            let values = list.values.unwrap_or_default().into_iter().map(|Any(value)| value).collect();
            Value::Array(ArrayValue { values })
        }),
        "kvlistValue" | "kvlist_value" => map.next_value::<Option<List<Pair>>>()?.map(|list| {
            let values = list.values.unwrap_or_default().into_iter().map(Pair::into_message).collect();
            Value::Kvlist(KeyValueList { values })
        }),
        _ => {
            map.next_value::<IgnoredAny>()?;
            None
        }
    })
}

#[derive(Deserialize)]
struct List<T> {
    values: Option<Vec<T>>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::*, *};
    use crate::{model::Entry, wire::otlp::assembly::assert_within};

    const LIMITS: DecodeLimits = DecodeLimits { max_unpacked_bytes: 1 << 20, max_items: 1_000 };

    fn push(document: &str) -> Result<PushRequest, DecodeError> {
        decode_json(
            document.as_bytes(),
            LIMITS,
            Mapping { now: Timestamp::from_secs(7), ..Mapping::default() },
        )
    }

    /// One record, given as the text of its fields.
    fn record(fields: &str) -> Result<Entry, DecodeError> {
        let document = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}]}}]}}]}}"#);
        push(&document).map(|mut request| request.streams.remove(0).entries.remove(0))
    }

    fn shown(entry: &Entry) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        entry.metadata.iter().map(|(name, value)| (text(name.as_ref()), text(value.as_ref()))).collect()
    }

    const DOCUMENT: &str = r#"{"resourceLogs":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"shop"}},{"key":"pid","value":{"intValue":"42"}}]},
        "scopeLogs":[{"scope":{"name":"lib","version":"1.2","droppedAttributesCount":3},"logRecords":[
            {"timeUnixNano":"1795225868847251727","observedTimeUnixNano":5,"severityNumber":17,
             "severityText":"ERROR","body":{"stringValue":"payment \"17\" failed"},"flags":1,
             "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","eventName":"e",
             "attributes":[{"key":"http","value":{"kvlistValue":{"values":[
                {"key":"status.code","value":{"intValue":500}},
                {"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"a"},{"boolValue":true}]}}}]}}}]},
            {"body":{"stringValue":"second"}}]}]}]}"#;

    #[test]
    fn the_whole_of_a_record_is_kept() {
        let labels = ["service.name".to_owned()];
        let mapping = Mapping { labels: &labels, now: Timestamp::from_secs(7) };
        let request = decode_json(DOCUMENT.as_bytes(), LIMITS, mapping).unwrap();
        let [stream] = request.streams.as_slice() else { panic!("{request:?}") };
        assert_eq!(stream.labels.as_bytes(), br#"{service_name="shop"}"#);
        let [first, second] = stream.entries.as_slice() else { panic!("{stream:?}") };
        assert_eq!(first.line, r#"payment "17" failed"#);
        assert_eq!(first.timestamp, Timestamp::from_nanos(1_795_225_868_847_251_727));
        let origin = [
            ("pid", "42"),
            ("scope_name", "lib"),
            ("scope_version", "1.2"),
            ("scope_dropped_attributes_count", "3"),
        ];
        let own = [
            ("observed_timestamp", "5"),
            ("severity_number", "17"),
            ("severity_text", "ERROR"),
            ("event_name", "e"),
            ("trace_id", "5b8efff798038103d269b633813fc60c"),
            ("span_id", "eee19b7ec3c1b174"),
            ("flags", "1"),
            ("http_status_code", "500"),
            ("http_tags", r#"["a",true]"#),
        ];
        assert_eq!(shown(first), [origin.as_slice(), own.as_slice()].concat());
        assert_eq!((second.line.as_ref(), second.timestamp), (b"second".as_slice(), Timestamp::from_secs(7)));
        assert_eq!(shown(second), origin);
    }

    #[test]
    fn names_of_protobuf_and_unknown_ones_are_understood() {
        let entry = record(
            r#""time_unix_nano":9,"severity_text":"WARN","trace_id":"","span_id":null,"new":{"a":[1]},
               "body":{"string_value":"x"},"attributes":[{"key":"a","value":{"newValue":1}},{"key":"b"}]"#,
        )
        .unwrap();
        assert_eq!(entry.timestamp, Timestamp::from_nanos(9));
        assert_eq!(shown(&entry), [("severity_text", "WARN"), ("a", ""), ("b", "")]);
        assert!(push(r#"{"resource_logs":[{"scope_logs":[{"log_records":[{}]}]}]} trailing"#).is_ok());
    }

    #[test]
    fn bodies_of_every_kind_are_lines() {
        for (body, line) in [
            (r#"{"intValue":"-5"}"#, "-5"),
            (r#"{"doubleValue":0.5}"#, "0.5"),
            (r#"{"doubleValue":"Infinity"}"#, "Infinity"),
            (r#"{"doubleValue":2}"#, "2"),
            (r#"{"bytesValue":"AAE="}"#, "AAE="),
            (r#"{"kvlistValue":{"values":[{"key":"msg","value":{"stringValue":"hi"}}]}}"#, r#"{"msg":"hi"}"#),
            (r#"{"arrayValue":{}}"#, "[]"),
            ("{}", ""),
            ("null", ""),
        ] {
            assert_eq!(record(&format!(r#""body":{body}"#)).unwrap().line, line, "{body}");
        }
    }

    #[test]
    fn the_observed_time_stands_in_for_a_missing_one() {
        let time = |fields| record(fields).unwrap().timestamp;
        assert_eq!(time(r#""timeUnixNano":"0","observedTimeUnixNano":"8""#), Timestamp::from_nanos(8));
        assert_eq!(time(""), Timestamp::from_secs(7));
        assert_eq!(time(r#""timeUnixNano":"18446744073709551615""#), Timestamp::MAX);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for fields in [
            r#""timeUnixNano":"soon""#,
            r#""timeUnixNano":-1"#,
            r#""severityNumber":"INFO""#,
            r#""severityNumber":3000000000"#,
            r#""body":"text""#,
            r#""body":{"intValue":"9223372036854775808"}"#,
            r#""body":{"bytesValue":"%"}"#,
            r#""traceId":"xyz""#,
            r#""spanId":"abc""#,
            r#""attributes":{}"#,
        ] {
            assert!(matches!(record(fields), Err(DecodeError::Json(_))), "{fields}");
        }
        assert_eq!(push(" \n"), Err(DecodeError::Empty));
        for document in
            ["[]", "null", r#"{"resourceLogs":{}}"#, r#"{"resourceLogs":[null]}"#, r#"{"resourceLogs":["#]
        {
            assert!(matches!(push(document), Err(DecodeError::Json(_))), "{document}");
        }
        assert!(push(r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[]}]}]}"#).unwrap().streams.is_empty());
    }

    #[test]
    fn objects_are_counted_before_they_are_read_and_those_in_text_are_none() {
        assert_eq!(objects(r#"{"a{":[{"b":"{\"{"},{}]}"#), 4);
        let body = format!(r#""attributes":[{}{{}}]"#, "{},".repeat(999));
        assert_eq!(record(&body), Err(DecodeError::TooManyItems { max: 1_000 }));
    }

    #[test]
    fn values_within_values_have_an_end() {
        let body = |depth: usize| {
            let open = r#"{"arrayValue":{"values":["#.repeat(depth - 1);
            record(&format!(r#""body":{open}{{}}{}"#, "]}}".repeat(depth - 1)))
        };
        assert_eq!(body(16).unwrap().line, format!("{}null{}", "[".repeat(15), "]".repeat(15)));
        assert_eq!(body(17), Err(DecodeError::TooDeep { max: 16 }));
        assert!(matches!(body(100), Err(DecodeError::Json(_))));
        let attribute = format!(
            r#""attributes":[{{"key":"a","value":{}{{}}{}}}]"#,
            r#"{"kvlistValue":{"values":[{"key":"k","value":"#.repeat(16),
            "}]}}".repeat(16)
        );
        assert_eq!(record(&attribute), Err(DecodeError::TooDeep { max: 16 }));
    }

    proptest! {
        #[test]
        fn damaged_documents_are_read_within_the_caps_or_refused(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 0..5),
            max_unpacked_bytes in 0_usize..2_000,
            max_items in 0_usize..60,
        ) {
            let mut document = DOCUMENT.as_bytes().to_vec();
            for (place, byte, kind) in edits {
                let place = place.index(document.len());
                match kind {
                    0 => document[place] = byte,
                    1 => document.insert(place, byte),
                    _ => document.truncate(place + 1),
                }
            }
            let limits = DecodeLimits { max_unpacked_bytes, max_items };
            if let Ok(request) = decode_json(&document, limits, Mapping::default()) {
                assert_within(&request, limits);
            }
        }

        #[test]
        fn any_record_is_read_or_refused(fields in r#"[\[\]{}",:0-9a-zA-Z\\ ]{0,80}"#) {
            let _ = record(&format!(r#""body":{{"stringValue":"x"}},{fields}"#));
        }
    }
}
