//! Loki's JSON push, the current schema and the legacy one, in one pass over the body.
//! Strings without escapes stay slices of the body; invalid UTF-8 in lines is kept.

use std::{borrow::Cow, cell::Cell, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::value::RawValue;

use super::{
    labels::LabelText,
    push::{DecodeError, NO_TIME, PushRequest, PushStream},
};
use crate::model::{Entry, Metadata, Timestamp};

/// Whether a body without a content type is JSON: no snappy block and no bare message begins like an object.
pub(super) fn looks_like(body: &[u8]) -> bool {
    let mut bytes = body.iter().filter(|byte| !byte.is_ascii_whitespace());
    bytes.next() == Some(&b'{') && matches!(bytes.next(), Some(b'"' | b'}'))
}

/// Decodes a body with at most `max_items` streams, entries and pairs. Bytes after the JSON value are ignored.
pub(super) fn decode(body: &Bytes, is_legacy: bool, max_items: usize) -> Result<PushRequest, DecodeError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(DecodeError::Empty);
    }
    let context = Context { body, is_legacy, budget: Cell::new(Some(max_items)) };
    let mut parser = serde_json::Deserializer::from_slice(body);
    match Nullable(Root(&context)).deserialize(&mut parser) {
        Ok(streams) => Ok(PushRequest { streams: streams.unwrap_or_default(), ..PushRequest::default() }),
        Err(_) if context.budget.get().is_none() => Err(DecodeError::TooManyItems { max: max_items }),
        Err(error) => Err(DecodeError::Json(error.to_string())),
    }
}

/// What every level of the document needs to know.
struct Context<'b> {
    body: &'b Bytes,
    is_legacy: bool,
    /// Items still allowed; none once it was exceeded.
    budget: Cell<Option<usize>>,
}

impl Context<'_> {
    fn charge<E: Error>(&self) -> Result<(), E> {
        let left = self.budget.get().and_then(|left| left.checked_sub(1));
        self.budget.set(left);
        left.map(|_| ()).ok_or_else(|| E::custom("too many items"))
    }

    /// Shares the body where the text was borrowed from it.
    fn share(&self, text: Cow<'_, [u8]>) -> Bytes {
        match text {
            Cow::Borrowed(part) if !part.is_empty() => self.body.slice_ref(part),
            Cow::Borrowed(_) => Bytes::new(),
            Cow::Owned(text) => text.into(),
        }
    }
}

/// `null` or what the inner seed reads.
struct Nullable<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

/// `{"streams": [...]}`; what a repeated key brings is added, so that no line is lost.
#[derive(Clone, Copy)]
struct Root<'c>(&'c Context<'c>);

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = Vec<PushStream>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = Vec<PushStream>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"streams\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut streams = Vec::new();
        while let Some(key) = map.next_key::<Text>()? {
            match key.0.as_ref() {
                b"streams" => {
                    streams.extend(map.next_value_seed(Nullable(List(Stream(self.0))))?.unwrap_or_default());
                }
                _ => skip(&mut map)?,
            }
        }
        Ok(streams)
    }
}

/// An array whose elements are read by a seed and counted against the budget.
struct List<S>(S);

/// A seed for the elements of a list.
trait Element<'c>: Copy {
    fn context(self) -> &'c Context<'c>;
}

impl<'de, 'c, S: DeserializeSeed<'de> + Element<'c>> DeserializeSeed<'de> for List<S> {
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, 'c, S: DeserializeSeed<'de> + Element<'c>> Visitor<'de> for List<S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(self.0)? {
            self.0.context().charge()?;
            elements.push(element);
        }
        Ok(elements)
    }
}

/// `{"stream": {...}, "values": [...]}`, in the legacy schema `{"labels": "{...}", "entries": [...]}`.
#[derive(Clone, Copy)]
struct Stream<'c>(&'c Context<'c>);

impl<'c> Element<'c> for Stream<'c> {
    fn context(self) -> &'c Context<'c> {
        self.0
    }
}

impl<'de> DeserializeSeed<'de> for Stream<'_> {
    type Value = PushStream;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Stream<'_> {
    type Value = PushStream;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"stream\" and \"values\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut stream = PushStream { labels: LabelText::Text(Bytes::new()), entries: Vec::new() };
        while let Some(key) = map.next_key::<Text>()? {
            match key.0.as_ref() {
                b"stream" => stream.labels = label_object(self.0, map.next_value::<&RawValue>()?)?,
                b"values" => {
                    let values = map.next_value_seed(Nullable(List(Value(self.0))))?;
                    stream.entries.extend(values.unwrap_or_default());
                }
                b"labels" if self.0.is_legacy => {
                    stream.labels = LabelText::Text(self.0.share(map.next_value::<Text>()?.0));
                }
                b"entries" if self.0.is_legacy => {
                    let entries = map.next_value_seed(Nullable(List(LegacyEntry(self.0))))?;
                    stream.entries.extend(entries.unwrap_or_default());
                }
                _ => skip(&mut map)?,
            }
        }
        Ok(stream)
    }
}

/// The labels stay text: the same object comes with every push and is parsed once.
fn label_object<E: Error>(context: &Context<'_>, raw: &RawValue) -> Result<LabelText, E> {
    let text = raw.get();
    if text.starts_with('{') {
        Ok(LabelText::Json(context.share(Cow::Borrowed(text.as_bytes()))))
    } else {
        Err(E::invalid_type(Unexpected::Other("a value that is no object"), &"an object of labels"))
    }
}

/// `["<ns>", "line", {"metadata": "..."}]`; more elements are ignored.
#[derive(Clone, Copy)]
struct Value<'c>(&'c Context<'c>);

impl<'c> Element<'c> for Value<'c> {
    fn context(self) -> &'c Context<'c> {
        self.0
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of timestamp, line and optional metadata")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let timestamp = seq.next_element::<Nanos>()?.map_or(NO_TIME, |nanos| nanos.0);
        let line = seq.next_element::<Text>()?.map(|text| self.0.share(text.0)).unwrap_or_default();
        let metadata = seq.next_element_seed(Nullable(Pairs(self.0)))?.flatten().unwrap_or_default();
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry { timestamp, line, metadata })
    }
}

/// `{"name": "value"}`: structured metadata.
struct Pairs<'c>(&'c Context<'c>);

impl<'de> DeserializeSeed<'de> for Pairs<'_> {
    type Value = Metadata;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of structured metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Metadata::new();
        while let Some(name) = map.next_key::<Text>()? {
            self.0.charge()?;
            let value = map.next_value::<Text>()?;
            pairs.push((self.0.share(name.0), self.0.share(value.0)));
        }
        Ok(pairs)
    }
}

/// `{"ts": "<RFC 3339>", "line": "..."}`
#[derive(Clone, Copy)]
struct LegacyEntry<'c>(&'c Context<'c>);

impl<'c> Element<'c> for LegacyEntry<'c> {
    fn context(self) -> &'c Context<'c> {
        self.0
    }
}

impl<'de> DeserializeSeed<'de> for LegacyEntry<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LegacyEntry<'_> {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"ts\" and \"line\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entry = Entry { timestamp: NO_TIME, line: Bytes::new(), metadata: Metadata::new() };
        while let Some(key) = map.next_key::<Text>()? {
            match key.0.as_ref() {
                b"ts" => entry.timestamp = rfc3339(&map.next_value::<Text>()?.0)?,
                b"line" => entry.line = self.0.share(map.next_value::<Text>()?.0),
                _ => skip(&mut map)?,
            }
        }
        Ok(entry)
    }
}

fn rfc3339<E: Error>(text: &[u8]) -> Result<Timestamp, E> {
    let shown = String::from_utf8_lossy(text);
    let time: jiff::Timestamp =
        shown.parse().map_err(|_| E::invalid_value(Unexpected::Str(&shown), &"a time in RFC 3339"))?;
    // Beyond the years 1677 to 2262: too old and too new stay that.
    let nanos = time.as_nanosecond().clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Ok(i64::try_from(nanos).map_or(NO_TIME, Timestamp::from_nanos))
}

/// A string as bytes: not checked for UTF-8, borrowed unless it has escapes.
struct Text<'de>(Cow<'de, [u8]>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E: Error>(self, text: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_vec())))
            }
        }
        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// Nanoseconds since 1970 as a string, or (friendlier than Loki) as an integer.
struct Nanos(Timestamp);

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NanosVisitor;
        impl Visitor<'_> for NanosVisitor {
            type Value = Nanos;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("nanoseconds since 1970 as a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                let nanos = text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
                Ok(Nanos(Timestamp::from_nanos(nanos)))
            }

            fn visit_i64<E: Error>(self, nanos: i64) -> Result<Self::Value, E> {
                Ok(Nanos(Timestamp::from_nanos(nanos)))
            }

            fn visit_u64<E: Error>(self, nanos: u64) -> Result<Self::Value, E> {
                let nanos =
                    i64::try_from(nanos).map_err(|_| E::invalid_value(Unexpected::Unsigned(nanos), &self))?;
                Ok(Nanos(Timestamp::from_nanos(nanos)))
            }
        }
        deserializer.deserialize_any(NanosVisitor)
    }
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(body: &str) -> Result<PushRequest, DecodeError> {
        decode(&Bytes::copy_from_slice(body.as_bytes()), false, 1_000)
    }

    /// One stream with one value, given as the text of that value.
    fn value(value: &str) -> Result<Entry, DecodeError> {
        let body = format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[{value}]}}]}}"#);
        v1(&body).map(|mut request| request.streams.remove(0).entries.remove(0))
    }

    fn entry(nanos: i64, line: &str, metadata: &[(&'static str, &'static str)]) -> Entry {
        let metadata = metadata.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        Entry { timestamp: Timestamp::from_nanos(nanos), line: line.to_owned().into(), metadata }
    }

    #[test]
    fn the_documented_body_is_read() {
        let request = v1(r#"{"streams":[{"stream":{"job":"x"},
            "values":[["1795225868847251727","the line"],["2","another",{"trace_id":"abc"}]]}]}"#)
        .unwrap();
        let stream = &request.streams[0];
        assert_eq!(stream.labels, LabelText::Json(r#"{"job":"x"}"#.into()));
        assert_eq!(
            stream.entries,
            [entry(1_795_225_868_847_251_727, "the line", &[]), entry(2, "another", &[("trace_id", "abc")])]
        );
    }

    #[test]
    fn lines_under_a_repeated_key_are_kept() {
        let request = v1(r#"{"streams":[{"stream":{},"values":[["1","a"]],"values":[["2","b"]]}],
            "streams":null,"streams":[{"stream":{},"values":[["3","c"]]}]}"#)
        .unwrap();
        let lines: Vec<_> = request.streams.iter().flat_map(|s| &s.entries).map(|e| e.line.clone()).collect();
        assert_eq!(lines, ["a", "b", "c"]);
    }

    #[test]
    fn values_that_loki_accepts_are_accepted() {
        for (text, expected) in [
            (r#"["5"]"#, entry(5, "", &[])),
            (r#"["5",""]"#, entry(5, "", &[])),
            (r#"["-5","x"]"#, entry(-5, "x", &[])),
            (r#"["5","a\tb\u00e9\"",{"k":"v\n"}]"#, entry(5, "a\tbé\"", &[("k", "v\n")])),
            (r#"["5","x",{},"fourth",{"fifth":1}]"#, entry(5, "x", &[])),
            // Friendlier than Loki.
            (r#"[5,"x"]"#, entry(5, "x", &[])),
            (r#"["5","x",null]"#, entry(5, "x", &[])),
        ] {
            assert_eq!(value(text).unwrap(), expected, "{text}");
        }
        assert_eq!(value("[]").unwrap().timestamp, Timestamp::MIN);
    }

    #[test]
    fn values_that_loki_refuses_are_refused() {
        for text in [
            r#"[5.5,"x"]"#,
            r#"["5.5","x"]"#,
            r#"["2026-11-21T00:00:00Z","x"]"#,
            r#"["","x"]"#,
            r#"["5",7]"#,
            r#"["5",{}]"#,
            r#"["5",null]"#,
            r#"["5","x",[]]"#,
            r#"["5","x",{"k":1}]"#,
            r#"["5","x",{"k":{}}]"#,
            r#"{"ts":"5"}"#,
            "null",
        ] {
            assert!(matches!(value(text), Err(DecodeError::Json(_))), "{text}: {:?}", value(text));
        }
    }

    #[test]
    fn documents_without_streams_are_empty() {
        for body in ["{}", "null", r#"{"streams":null}"#, r#"{"streams":[]}"#, r#"{"other":[{"x":1}]}"#] {
            assert_eq!(v1(body).unwrap(), PushRequest::default(), "{body}");
        }
        assert_eq!(v1("  "), Err(DecodeError::Empty));
        assert!(matches!(v1("[]"), Err(DecodeError::Json(_))));
        assert!(matches!(v1(r#"{"streams":[[]]}"#), Err(DecodeError::Json(_))));
    }

    #[test]
    fn streams_may_lack_labels_or_values_and_carry_unknown_keys() {
        for stream in ["{}", r#"{"values":null}"#, r#"{"values":[],"labels":5,"x":{"y":[]}}"#] {
            let request = v1(&format!(r#"{{"streams":[{stream}]}} and what follows"#)).unwrap();
            assert_eq!(request.streams[0].labels, LabelText::Text(Bytes::new()), "{stream}");
            assert!(request.streams[0].entries.is_empty());
        }
        for labels in [r#""text""#, "null", "[]", "5"] {
            let body = format!(r#"{{"streams":[{{"stream":{labels}}}]}}"#);
            assert!(matches!(v1(&body), Err(DecodeError::Json(_))), "{labels}");
        }
    }

    #[test]
    fn legacy_entries_carry_rfc3339_times_with_any_offset() {
        let body = r#"{"streams":[{"labels":"{app=\"x\"}","entries":[
            {"ts":"1970-01-01T02:00:00.000000007+02:00","line":"x"},{"timestamp":"ignored","line":"y"}]}]}"#;
        let request = decode(&Bytes::from_static(body.as_bytes()), true, 100).unwrap();
        assert_eq!(request.streams[0].labels, LabelText::Text(r#"{app="x"}"#.into()));
        assert_eq!(request.streams[0].entries, [entry(7, "x", &[]), entry(i64::MIN, "y", &[])]);
        let on_the_new_path = v1(body).unwrap();
        assert!(on_the_new_path.streams[0].entries.is_empty());
    }

    #[test]
    fn lines_keep_invalid_utf8_and_share_the_body() {
        let body = Bytes::from_static(b"{\"streams\":[{\"stream\":{},\"values\":[[\"1\",\"a\xff\x80b\"]]}]}");
        let request = decode(&body, false, 10).unwrap();
        let line = &request.streams[0].entries[0].line;
        assert_eq!(line.as_ref(), b"a\xff\x80b");
        assert!(body.as_ptr_range().contains(&line.as_ptr()));
    }

    #[test]
    fn tiny_items_are_counted() {
        let body = format!(r#"{{"streams":[{{"values":[{}["1"]]}}]}}"#, "[],".repeat(1_000));
        assert_eq!(v1(&body), Err(DecodeError::TooManyItems { max: 1_000 }));
        let body = format!(r#"{{"streams":[{{}}{}]}}"#, ",{}".repeat(999));
        assert_eq!(v1(&body).unwrap().streams.len(), 1_000);
    }

    #[test]
    fn only_objects_are_taken_for_json_when_no_type_is_sent() {
        assert!(looks_like(b" {\"streams\":[]}") && looks_like(b"{}"));
        // A snappy block of 123 bytes begins with `{` too.
        assert!(!looks_like(b"{\xf0\x7a") && !looks_like(b"\x0a\x02") && !looks_like(b""));
    }
}
