//! Resources, scopes and records, as they are decoded, become streams and entries within the caps of one push.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use bytes::Bytes;

use super::{
    Mapping,
    message::{InstrumentationScope, KeyValue, LogRecord, Resource, any_value::Value},
    value::{TooLong, hex, text},
};
use crate::{
    model::{Entry, LabelPairs, Metadata, Timestamp},
    wire::{
        labels::LabelText,
        name::legal,
        push::{DecodeError, DecodeLimits, Protocol, PushRequest, PushStream},
    },
};

/// The push that is being put together.
pub(super) struct Assembly<'a> {
    mapping: Mapping<'a>,
    budget: Budget,
    streams: Vec<PushStream>,
    /// The streams by their labels.
    places: HashMap<Bytes, usize>,
}

/// Where records come from.
#[derive(Clone)]
pub(super) struct Origin {
    labels: Bytes,
    /// What every record of it gets.
    metadata: Metadata,
}

/// Values that one message may still have.
pub(super) struct Values {
    left: usize,
    max: usize,
}

impl Values {
    /// Counts some.
    pub fn take(&mut self, count: usize) -> Result<(), DecodeError> {
        self.left = self.left.checked_sub(count).ok_or(DecodeError::TooManyItems { max: self.max })?;
        Ok(())
    }
}

/// What one push may still grow.
struct Budget {
    limits: DecodeLimits,
    items: usize,
    bytes: usize,
}

impl Budget {
    /// Counts streams, entries and pairs before room is made for them.
    fn items(&mut self, count: usize) -> Result<(), DecodeError> {
        let left = self.items.checked_sub(count);
        self.items = left.ok_or(DecodeError::TooManyItems { max: self.limits.max_items })?;
        Ok(())
    }

    /// Counts bytes of lines and metadata. Entries that share the text of their resource count it once each: that is
    /// what they are going to occupy.
    fn bytes(&mut self, count: usize) -> Result<(), DecodeError> {
        self.bytes = self.bytes.checked_sub(count).ok_or_else(|| self.too_large(count))?;
        Ok(())
    }

    fn too_large(&self, count: usize) -> DecodeError {
        let max = self.limits.max_unpacked_bytes;
        DecodeError::TooLarge { size: (max - self.bytes).saturating_add(count), max }
    }

    /// A value as text, which is not counted yet but not longer than what is left.
    fn text(&self, value: Option<Value>) -> Result<Bytes, DecodeError> {
        text(value, self.bytes).map_err(|TooLong| self.too_large(self.bytes.saturating_add(1)))
    }
}

impl<'a> Assembly<'a> {
    pub fn new(limits: DecodeLimits, mapping: Mapping<'a>) -> Self {
        let budget = Budget { limits, items: limits.max_items, bytes: limits.max_unpacked_bytes };
        Assembly { mapping, budget, streams: Vec::new(), places: HashMap::new() }
    }

    /// Everything that came, in the order in which the streams came first.
    pub fn finish(self) -> PushRequest {
        PushRequest { protocol: Protocol::OpenTelemetry, streams: self.streams }
    }

    /// Counts the values of one message before it is decoded: it may have as many as the push may still grow by.
    pub fn values(&self) -> Values {
        Values { left: self.budget.items, max: self.budget.limits.max_items }
    }

    /// Notes a resource.
    pub fn resource(&mut self, resource: Resource) -> Result<Origin, DecodeError> {
        self.budget.items(1)?;
        let mut labels = BTreeMap::new();
        let mut metadata = Metadata::new();
        for KeyValue { key, value } in resource.attributes {
            let chosen = self.mapping.labels.iter().any(|label| label.as_bytes() == key);
            let value = value.and_then(|value| value.value);
            if chosen && let Ok(name) = legal(&key) {
                let value = self.budget.text(value)?;
                self.budget.bytes(name.len() + value.len())?;
                // Both are short or refused later; of equal names the last one counts.
                labels.insert(lossy(&name).into_owned(), lossy(&value).into_owned());
            } else {
                self.flatten(b"", key, value, &mut metadata)?;
            }
        }
        let labels: Vec<_> = labels.into_iter().collect();
        Ok(Origin { labels: LabelPairs(&labels).to_string().into(), metadata })
    }

    /// Notes a scope of a resource.
    pub fn scope(&mut self, of: &Origin, scope: InstrumentationScope) -> Result<Origin, DecodeError> {
        self.budget.items(1 + of.metadata.len())?;
        let mut origin = of.clone();
        let dropped = scope.dropped_attributes_count;
        for (name, value) in [
            ("scope_name", scope.name),
            ("scope_version", scope.version),
            ("scope_dropped_attributes_count", number(dropped.into())),
        ] {
            self.known(name, value, &mut origin.metadata)?;
        }
        self.attributes(scope.attributes, &mut origin.metadata)?;
        Ok(origin)
    }

    /// Adds a record.
    pub fn record(&mut self, origin: &Origin, record: LogRecord) -> Result<(), DecodeError> {
        let shared: usize = origin.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.budget.items(1 + origin.metadata.len())?;
        self.budget.bytes(shared)?;
        let timestamp = self.time(&record);
        let line = self.budget.text(record.body.and_then(|body| body.value))?;
        self.budget.bytes(line.len())?;
        let mut entry = Entry { timestamp, line, metadata: origin.metadata.clone() };
        for (name, value) in [
            ("observed_timestamp", number(record.observed_time_unix_nano)),
            ("severity_number", number(u64::try_from(record.severity_number).unwrap_or_default())),
            ("severity_text", record.severity_text),
            ("event_name", record.event_name),
            ("trace_id", id(&record.trace_id)),
            ("span_id", id(&record.span_id)),
            ("flags", number(record.flags.into())),
            ("dropped_attributes_count", number(record.dropped_attributes_count.into())),
        ] {
            self.known(name, value, &mut entry.metadata)?;
        }
        self.attributes(record.attributes, &mut entry.metadata)?;
        let place = self.place(&origin.labels)?;
        if let Some(stream) = self.streams.get_mut(place) {
            stream.entries.push(entry);
        }
        Ok(())
    }

    fn time(&self, record: &LogRecord) -> Timestamp {
        match [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|time| *time != 0) {
            Some(nanos) => i64::try_from(nanos).map_or(Timestamp::MAX, Timestamp::from_nanos),
            None => self.mapping.now,
        }
    }

    /// The place of a stream among the streams.
    fn place(&mut self, labels: &Bytes) -> Result<usize, DecodeError> {
        if let Some(place) = self.places.get(labels) {
            return Ok(*place);
        }
        self.budget.items(1)?;
        self.budget.bytes(labels.len())?;
        let place = self.streams.len();
        self.streams.push(PushStream { labels: LabelText::Text(labels.clone()), entries: Vec::new() });
        self.places.insert(labels.clone(), place);
        Ok(place)
    }

    /// Adds a pair whose name is ours, if it says anything.
    fn known(&mut self, name: &'static str, value: Bytes, pairs: &mut Metadata) -> Result<(), DecodeError> {
        if value.is_empty() { Ok(()) } else { self.add(Bytes::from_static(name.as_bytes()), value, pairs) }
    }

    fn add(&mut self, name: Bytes, value: Bytes, pairs: &mut Metadata) -> Result<(), DecodeError> {
        self.budget.items(1)?;
        self.budget.bytes(name.len() + value.len())?;
        pairs.push((name, value));
        Ok(())
    }

    fn attributes(&mut self, attributes: Vec<KeyValue>, pairs: &mut Metadata) -> Result<(), DecodeError> {
        attributes.into_iter().try_for_each(|KeyValue { key, value }| {
            self.flatten(b"", key, value.and_then(|value| value.value), pairs)
        })
    }

    /// Adds an attribute; those of a map in it get its name before theirs. Maps are not deep: the decoders see to it.
    fn flatten(
        &mut self,
        prefix: &[u8],
        key: Bytes,
        value: Option<Value>,
        pairs: &mut Metadata,
    ) -> Result<(), DecodeError> {
        let name = if prefix.is_empty() {
            key
        } else {
            // Each level repeats the names above it, so it counts before it is made.
            self.budget.bytes(prefix.len() + 1 + key.len())?;
            Bytes::from([prefix, b"_", key.as_ref()].concat())
        };
        if let Some(Value::Kvlist(list)) = value {
            return list.values.into_iter().try_for_each(|KeyValue { key, value }| {
                self.flatten(&name, key, value.and_then(|value| value.value), pairs)
            });
        }
        let value = self.budget.text(value)?;
        let mended = match legal(&name) {
            Ok(Cow::Owned(mended)) => Some(mended),
            // What cannot be mended is refused with its entry.
            Ok(Cow::Borrowed(_)) | Err(_) => None,
        };
        self.add(mended.map_or(name, Bytes::from), value, pairs)
    }
}

/// A number as text; zero stands for none.
fn number(number: u64) -> Bytes {
    if number == 0 { Bytes::new() } else { number.to_string().into() }
}

/// A trace's or span's number as text; only zeros stand for none.
fn id(bytes: &[u8]) -> Bytes {
    if bytes.iter().all(|byte| *byte == 0) { Bytes::new() } else { hex(bytes) }
}

fn lossy(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}

/// What a decoded push occupies is within the limits.
#[cfg(test)]
pub(super) fn assert_within(request: &PushRequest, limits: DecodeLimits) {
    let entries = || request.streams.iter().flat_map(|stream| &stream.entries);
    let pairs = || entries().flat_map(|entry| &entry.metadata);
    assert!(request.streams.len() + entries().count() + pairs().count() <= limits.max_items);
    let bytes = entries().map(|entry| entry.line.len()).sum::<usize>()
        + pairs().map(|(name, value)| name.len() + value.len()).sum::<usize>()
        + request.streams.iter().map(|stream| stream.labels.as_bytes().len()).sum::<usize>();
    assert!(bytes <= limits.max_unpacked_bytes);
}

#[cfg(test)]
mod tests {
    use super::{super::message::AnyValue, *};

    const LIMITS: DecodeLimits = DecodeLimits { max_unpacked_bytes: 1_000, max_items: 100 };

    fn pair(key: &str, value: &str) -> KeyValue {
        let value = Some(Value::String(value.to_owned().into()));
        KeyValue { key: key.to_owned().into(), value: Some(AnyValue { value }) }
    }

    fn resource(attributes: &[(&str, &str)]) -> Resource {
        Resource { attributes: attributes.iter().map(|(key, value)| pair(key, value)).collect() }
    }

    #[test]
    fn resources_with_equal_labels_share_a_stream() {
        let labels = ["service.name".to_owned(), "k8s.pod.name".to_owned()];
        let mut assembly = Assembly::new(LIMITS, Mapping { labels: &labels, now: Timestamp::MIN });
        for (attributes, count) in [
            ([("service.name", "shop"), ("host.ip", "a")].as_slice(), 2),
            (&[("service.name", "till \"2\""), ("k8s.pod.name", "p")], 1),
            (&[("host.ip", "b"), ("service.name", "old"), ("service.name", "shop")], 1),
            (&[("service.name", "silent")], 0),
        ] {
            let origin = assembly.resource(resource(attributes)).unwrap();
            for _ in 0..count {
                assembly.record(&origin, LogRecord::default()).unwrap();
            }
        }
        let request = assembly.finish();
        let shown: Vec<_> =
            request.streams.iter().map(|stream| (stream.labels.as_bytes(), stream.entries.len())).collect();
        let quoted = br#"{k8s_pod_name="p", service_name="till \"2\""}"#.as_slice();
        assert_eq!(shown, [(br#"{service_name="shop"}"#.as_slice(), 3), (quoted, 1)]);
        assert_eq!(request.streams[0].entries[2].metadata, [("host_ip".into(), "b".into())]);
    }

    #[test]
    fn every_copy_of_a_resources_attributes_is_counted() {
        let mut assembly = Assembly::new(LIMITS, Mapping::default());
        let origin = assembly.resource(resource(&[("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
        // One resource with 3 pairs, one stream: 95 items are left, 4 for each record.
        for _ in 0..23 {
            assembly.record(&origin, LogRecord::default()).unwrap();
        }
        let refused = assembly.record(&origin, LogRecord::default());
        assert_eq!(refused, Err(DecodeError::TooManyItems { max: 100 }));

        let mut assembly = Assembly::new(LIMITS, Mapping::default());
        let origin = assembly.resource(resource(&[("a", &"x".repeat(299))])).unwrap();
        assert!(assembly.record(&origin, LogRecord::default()).is_ok());
        assert!(assembly.record(&origin, LogRecord::default()).is_ok());
        let refused = assembly.record(&origin, LogRecord::default()).unwrap_err();
        assert_eq!(refused, DecodeError::TooLarge { size: 1_202, max: 1_000 });
    }

    #[test]
    fn the_names_around_nested_attributes_are_counted_each_time() {
        let mut assembly = Assembly::new(LIMITS, Mapping::default());
        let leaves = (0..50).map(|_| pair("x", "")).collect();
        let list = Value::Kvlist(crate::wire::otlp::message::KeyValueList { values: leaves });
        let value = Some(AnyValue { value: Some(list) });
        let attributes = vec![KeyValue { key: "k".repeat(100).into(), value }];
        let refused = assembly.resource(Resource { attributes }).map(|_| ());
        assert!(matches!(refused, Err(DecodeError::TooLarge { max: 1_000, .. })), "{refused:?}");
    }

    #[test]
    fn an_id_of_zeros_is_none() {
        let mut assembly = Assembly::new(LIMITS, Mapping::default());
        let origin = assembly.resource(Resource::default()).unwrap();
        let record =
            LogRecord { trace_id: vec![0; 16].into(), span_id: vec![1, 0].into(), ..LogRecord::default() };
        assembly.record(&origin, record).unwrap();
        let metadata = &assembly.finish().streams[0].entries[0].metadata;
        assert_eq!(*metadata, [("span_id".into(), "0100".into())]);
    }
}
