//! Parts the entries of one push into those that may be stored and those that are refused, in Loki's order of checks.

use std::sync::Arc;

use super::{
    PushRefused,
    entry::{EntryRules, metadata_bytes},
    labels::Known,
    overload,
    refusal::Refusals,
    tenant::Tenant,
};
use crate::{
    model::{Entry, Labels, StreamBatch, StreamId, Timestamp},
    store::TooManyStreams,
    wire::push::{Protocol, PushRequest},
};

/// Refused streams told by name in one answer; further ones are only counted in the metrics.
const MAX_OVERLOAD_TEXTS: usize = 10;

/// What may be stored as far as the entries themselves are concerned.
pub(super) struct Sifted {
    protocol: Protocol,
    streams: Vec<Candidate>,
    /// Bytes of all valid entries, lines and metadata.
    pub bytes: usize,
    refusals: Refusals,
}

struct Candidate {
    /// Place in the push.
    index: u32,
    known: Arc<Known>,
    labels: Labels,
    entries: Vec<Entry>,
    bytes: usize,
}

/// What is to be stored, and what the client is to be told.
#[derive(Debug)]
pub(super) struct Admitted {
    pub streams: Vec<StreamBatch>,
    /// Text about entries that will never be taken.
    pub invalid: Option<String>,
    /// Text about streams that may be sent again.
    pub retriable: Option<String>,
    /// Which streams those are: their places in the push, four bytes each.
    pub refused_streams: Vec<u8>,
}

/// Checks labels, entries and the tenant's rate.
pub(super) fn sift(request: PushRequest, tenant: &Tenant, now: Timestamp) -> Result<Sifted, PushRefused> {
    // A label text that cannot be read fails the push as a whole, before anything is counted or taken.
    let known: Vec<Arc<Known>> =
        request.streams.iter().map(|stream| tenant.resolve(&stream.labels)).collect::<Result<_, _>>()?;
    let rules = EntryRules::new(&tenant.limits, now);
    let mut sifted = Sifted {
        protocol: request.protocol,
        streams: Vec::with_capacity(known.len()),
        bytes: 0,
        refusals: Refusals::default(),
    };
    let mut received = Received::default();
    let metrics = tenant.metrics(request.protocol);
    let lengths = metrics.line_lengths();
    for ((index, stream), known) in (0..).zip(request.streams).zip(known) {
        let mut entries = stream.entries;
        if entries.is_empty() {
            continue;
        }
        let mut bytes = 0;
        let labels = known.verdict.as_ref();
        entries.retain_mut(|entry| {
            let metadata = metadata_bytes(&entry.metadata);
            received.add(entry.line.len(), metadata);
            lengths.observe(entry.line.len() as f64);
            let size = entry.line.len() + metadata;
            let checked = if labels.is_ok() { rules.check(entry) } else { Ok(()) };
            bytes += if checked.is_ok() { size } else { 0 };
            checked.map_err(|violation| sifted.refusals.add(violation, &known.text, 1, size)).is_ok()
        });
        match labels {
            Err(violation) => sifted.refusals.add(violation.clone(), &known.text, entries.len(), bytes),
            Ok(_) if entries.is_empty() => {}
            Ok(labels) => {
                let labels = labels.clone();
                sifted.bytes += bytes;
                sifted.streams.push(Candidate { index, known, labels, entries, bytes });
            }
        }
    }
    drop(lengths);
    metrics.count_received(received.lines, received.bytes, received.metadata_bytes);
    metrics.count_sanitized(rules.sanitized());
    sifted.check_tenant(tenant, now).inspect_err(|_| sifted.refusals.report(metrics))?;
    Ok(sifted)
}

/// What came in, refused or not.
#[derive(Default)]
struct Received {
    lines: u64,
    bytes: u64,
    metadata_bytes: u64,
}

impl Received {
    fn add(&mut self, line: usize, metadata: usize) {
        self.lines += 1;
        self.bytes += (line + metadata) as u64;
        self.metadata_bytes += metadata as u64;
    }
}

impl Sifted {
    fn lines(&self) -> usize {
        self.streams.iter().map(|stream| stream.entries.len()).sum()
    }

    /// Blocked tenants and the tenant's rate: all or nothing.
    fn check_tenant(&mut self, tenant: &Tenant, now: Timestamp) -> Result<(), PushRefused> {
        let (lines, bytes) = (self.lines(), self.bytes);
        if lines == 0 {
            return Ok(());
        }
        if let Some(until) = tenant.limits.block_ingestion_until.filter(|until| now < *until) {
            self.refusals.discard("blocked_ingestion", lines as u64, bytes as u64);
            let status = tenant.limits.block_ingestion_status;
            return Err(PushRefused::Blocked { tenant: tenant.id.clone(), until, status });
        }
        if !tenant.take(bytes as u64, now) {
            self.refusals.discard("rate_limited", lines as u64, bytes as u64);
            let limit = tenant.limits.ingestion_rate_bytes;
            return Err(PushRefused::TooFast(overload::tenant_rate(&tenant.id, limit, lines, bytes)));
        }
        Ok(())
    }

    /// Numbers the streams and checks their rates. `number` asks the registry, which may be full.
    pub fn admit(
        mut self,
        tenant: &Tenant,
        now: Timestamp,
        number: impl Fn(&Labels, usize) -> Result<StreamId, TooManyStreams>,
    ) -> Admitted {
        let limit = if tenant.limits.max_streams == 0 { usize::MAX } else { tenant.limits.max_streams };
        let mut streams = Vec::with_capacity(self.streams.len());
        let mut overloads = Overloads::default();
        for candidate in std::mem::take(&mut self.streams) {
            let size = (candidate.entries.len() as u64, candidate.bytes as u64);
            let id = match candidate.known.stream(now) {
                Some(id) => Ok(id),
                None => number(&candidate.labels, limit),
            };
            let Ok(id) = id else {
                self.refusals.discard("stream_limit", size.0, size.1);
                overloads.add(candidate.index, || overload::streams(&tenant.id, &candidate.labels));
                continue;
            };
            candidate.known.confirm(id, now);
            if !tenant.take_of_stream(id, size.1, now) {
                self.refusals.discard("per_stream_rate_limit", size.0, size.1);
                let rate = tenant.limits.per_stream_rate_bytes;
                overloads.add(candidate.index, || {
                    overload::stream_rate(&tenant.id, &candidate.labels, rate, &candidate.entries)
                });
                continue;
            }
            streams.push(StreamBatch { id, labels: candidate.labels, entries: candidate.entries });
        }
        self.refusals.report(tenant.metrics(self.protocol));
        let invalid = (!self.refusals.is_empty()).then(|| self.refusals.text());
        let retriable = (!overloads.texts.is_empty()).then(|| overloads.texts.join("; "));
        Admitted { streams, invalid, retriable, refused_streams: overloads.streams }
    }
}

/// Streams that may be sent again later.
#[derive(Default)]
struct Overloads {
    texts: Vec<String>,
    streams: Vec<u8>,
}

impl Overloads {
    fn add(&mut self, index: u32, text: impl FnOnce() -> String) {
        self.streams.extend_from_slice(&index.to_le_bytes());
        if self.texts.len() < MAX_OVERLOAD_TEXTS {
            self.texts.push(text());
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::{
        ingest::{Limits, Settings},
        model::TenantId,
        telemetry::IngestMetrics,
        wire::{labels::LabelText, push::PushStream},
    };

    const NOW: Timestamp = Timestamp::from_secs(1_795_226_529);

    fn tenant(limits: Limits) -> Tenant {
        let metrics = IngestMetrics::register(&Registry::new()).unwrap();
        Tenant::new(TenantId::single(), &Settings { limits, ..Settings::default() }, &metrics, NOW)
    }

    fn stream(labels: &str, times: &[Timestamp]) -> PushStream {
        let entry =
            |time: &Timestamp| Entry { timestamp: *time, line: "0123456789".into(), metadata: vec![] };
        PushStream {
            labels: LabelText::Text(labels.to_owned().into()),
            entries: times.iter().map(entry).collect(),
        }
    }

    fn push(streams: Vec<PushStream>, tenant: &Tenant) -> Result<Admitted, PushRefused> {
        let number = |labels: &Labels, limit| match labels.get("a") {
            Some("many") => Err(TooManyStreams { limit }),
            value => Ok(StreamId(value.map_or(0, str::len) as u64)),
        };
        Ok(sift(PushRequest { streams, ..PushRequest::default() }, tenant, NOW)?.admit(tenant, NOW, number))
    }

    #[test]
    fn a_bad_entry_and_a_bad_stream_leave_their_neighbours_alone() {
        let old = Timestamp::from_secs(1_794_534_669);
        let streams = vec![
            stream(r#"{a="b"}"#, &[NOW, old, NOW]),
            stream(r#"{a="x",a="y"}"#, &[NOW]),
            stream(r#"{a="cc"}"#, &[NOW]),
            stream(r#"{a="empty"}"#, &[]),
        ];
        let admitted = push(streams, &tenant(Limits::default())).unwrap();
        let kept: Vec<_> = admitted.streams.iter().map(|s| (s.id, s.entries.len())).collect();
        assert_eq!(kept, [(StreamId(1), 2), (StreamId(2), 1)]);
        let service = r#"service_name="unknown_service""#;
        assert_eq!(
            admitted.invalid.unwrap(),
            format!(
                "1 errors like: entry for stream '{{a=\"b\", {service}}}' has timestamp too old: \
                 2026-11-13T01:51:09Z, oldest acceptable timestamp is: 2026-11-14T02:02:09Z; \
                 1 errors like: stream '{{a=\"x\", a=\"y\", {service}}}' has duplicate label name: 'a'"
            )
        );
        assert!(admitted.retriable.is_none());
    }

    #[test]
    fn a_label_text_that_cannot_be_read_fails_the_push() {
        let streams = vec![stream(r#"{a="b"}"#, &[NOW]), stream("{a=b}", &[])];
        assert!(matches!(push(streams, &tenant(Limits::default())), Err(PushRefused::Labels(_))));
    }

    #[test]
    fn the_tenants_rate_is_all_or_nothing_and_comes_before_other_violations() {
        let limits = Limits { ingestion_burst_bytes: 25, ..Limits::default() };
        let tenant = tenant(limits);
        push(vec![stream(r#"{a="b"}"#, &[NOW])], &tenant).unwrap();
        let streams = vec![stream(r#"{a="b"}"#, &[NOW, Timestamp::MIN, NOW])];
        let refused = push(streams, &tenant).unwrap_err();
        assert!(
            matches!(&refused, PushRefused::TooFast(text)
            if text.contains("ingest '2' lines totaling '20' bytes")),
            "{refused}"
        );
    }

    #[test]
    fn any_refused_stream_is_reported_wherever_it_stands() {
        let limits = Limits { per_stream_burst_bytes: 25, ..Limits::default() };
        let tenant = tenant(limits);
        push(vec![stream(r#"{a="fast"}"#, &[NOW])], &tenant).unwrap();
        let streams = vec![
            stream(r#"{a="many"}"#, &[NOW]),
            stream(r#"{a="fast"}"#, &[NOW, NOW, NOW]),
            stream(r#"{a="b"}"#, &[NOW]),
        ];
        let admitted = push(streams, &tenant).unwrap();
        assert_eq!(admitted.streams.len(), 1);
        let text = admitted.retriable.unwrap();
        assert!(text.contains("maximum active stream limit exceeded"), "{text}");
        assert!(text.contains("total ignored: 3 out of 3 for stream: {a=\"fast\""), "{text}");
        assert_eq!(admitted.refused_streams, [0, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_blocked_tenant_gets_the_configured_status() {
        let limits = Limits { block_ingestion_until: Some(Timestamp::MAX), ..Limits::default() };
        let refused = push(vec![stream(r#"{a="b"}"#, &[NOW])], &tenant(limits)).unwrap_err();
        assert!(matches!(refused, PushRefused::Blocked { status: 260, .. }));
    }
}
