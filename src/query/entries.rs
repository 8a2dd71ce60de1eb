//! Stored lines of the streams a selector names, over a time range.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{Query, QueryError};
use crate::{
    model::{Labels, Selector, StreamId, TenantId, Timestamp},
    store::line::{self, LineQuery, StoredLine},
};

/// Lines in one answer, at most.
pub const MAX_ENTRIES: usize = 5_000;
/// Bytes of lines and metadata in one answer: lines may be large, and JSON must be held in memory. What does not fit is said.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Which lines.
#[derive(Clone, Debug)]
pub struct EntriesQuery {
    /// Of these streams.
    pub selector: Selector,
    /// From this time on.
    pub from: Timestamp,
    /// Up to before this time.
    pub to: Timestamp,
    /// At most so many.
    pub limit: usize,
    /// Newest first.
    pub backward: bool,
}

/// The lines found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entries {
    /// In the order asked for.
    pub entries: Vec<EntryView>,
    /// Whether the limit or the size of the answer cut something off; the last entry's time says where to go on.
    pub is_cut: bool,
}

/// One line with its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryView {
    /// The stream's labels.
    pub stream: Labels,
    /// Nanoseconds since 1970, as a string.
    pub timestamp_ns: String,
    /// The line (invalid UTF-8 replaced).
    pub line: String,
    /// Structured metadata.
    pub metadata: BTreeMap<String, String>,
}

impl Query {
    /// Reads the lines a tenant asks for.
    pub async fn entries(&self, tenant: &TenantId, query: EntriesQuery) -> Result<Entries, QueryError> {
        let selected = self.store.streams().of_tenant(tenant);
        let labels: HashMap<StreamId, Labels> = selected
            .into_iter()
            .filter(|stream| query.selector.matches(&stream.labels))
            .map(|stream| (stream.id, stream.labels))
            .collect();
        if labels.is_empty() {
            return Ok(Entries::default());
        }
        let limit = query.limit.min(MAX_ENTRIES);
        let query = LineQuery {
            streams: labels.keys().copied().collect(),
            from: query.from,
            to: query.to,
            limit: limit.saturating_add(1),
            // One more of either, to know whether something is cut off.
            max_bytes: MAX_ANSWER_BYTES.saturating_add(1),
            backward: query.backward,
        };
        let lines = self.store.read(move |conn| line::read(conn, &query)).await?;
        Ok(cut(lines, limit, &labels))
    }
}

fn cut(lines: Vec<StoredLine>, limit: usize, labels: &HashMap<StreamId, Labels>) -> Entries {
    let mut answer = Entries { is_cut: lines.len() > limit, entries: Vec::new() };
    let mut bytes = 0_usize;
    for line in lines.into_iter().take(limit) {
        bytes = bytes.saturating_add(line.bytes());
        if bytes > MAX_ANSWER_BYTES && !answer.entries.is_empty() {
            answer.is_cut = true;
            break;
        }
        answer.entries.push(view(&line, labels));
    }
    answer
}

fn view(line: &StoredLine, labels: &HashMap<StreamId, Labels>) -> EntryView {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    EntryView {
        stream: labels.get(&line.stream).cloned().unwrap_or_default(),
        timestamp_ns: line.timestamp.as_nanos().to_string(),
        line: text(&line.line),
        metadata: line.metadata.iter().map(|(name, value)| (text(name), text(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_grows_too_large_is_cut_and_says_so() {
        let line = |nanos, size| StoredLine {
            stream: StreamId(1),
            timestamp: Timestamp::from_nanos(nanos),
            line: vec![b'x'; size].into(),
            metadata: Vec::new(),
        };
        let labels = HashMap::from([(StreamId(1), Labels::default())]);
        let large = cut((0..3).map(|n| line(n, 7 << 20)).collect(), 10, &labels);
        assert_eq!((large.entries.len(), large.is_cut), (2, true));
        let exact = cut((0..3).map(|n| line(n, 1)).collect(), 3, &labels);
        assert_eq!((exact.entries.len(), exact.is_cut), (3, false));
        let more = cut((0..4).map(|n| line(n, 1)).collect(), 3, &labels);
        assert_eq!((more.entries.len(), more.is_cut), (3, true));
    }
}
