//! The lines around a finding's evidence, in the streams they came from.

use std::collections::HashMap;

use serde::Serialize;

use super::{Query, QueryError};
use crate::{
    model::{EvidenceLine, FindingId, Labels, StreamId, TenantId, Timestamp},
    store::{
        Connection, StoreError, finding,
        line::{self, LineQuery, StoredLine},
    },
};

/// Lines on each side of one evidence line, at most.
pub const MAX_CONTEXT_LINES: usize = 100;
/// Evidence lines that get their surroundings; the rest are counted.
const MAX_EVIDENCE: usize = 20;
/// Lines with the evidence's very timestamp that are looked through for its place among them.
const MAX_SAME_TIME: usize = 1000;
/// Bytes read on each side of one evidence line: some lines of the largest size.
const MAX_SIDE_BYTES: usize = 4 << 20;

/// A finding's evidence with what stood around it.
#[derive(Clone, Debug, Serialize)]
pub struct FindingContext {
    /// One entry per evidence line, in the finding's order.
    pub evidence: Vec<EvidenceContext>,
    /// Evidence lines beyond those shown.
    pub omitted: usize,
}

/// One evidence line and its neighbours.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceContext {
    /// The evidence, as the finding keeps it.
    #[serde(flatten)]
    pub evidence: EvidenceLine,
    /// Whether the line is still in the store; retention may have dropped it.
    pub is_stored: bool,
    /// The lines before it in its stream, oldest first.
    pub before: Vec<ContextLine>,
    /// The lines after it, oldest first.
    pub after: Vec<ContextLine>,
}

/// A line of the context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContextLine {
    /// Nanoseconds since 1970, as a string.
    pub timestamp_ns: String,
    /// The line (invalid UTF-8 replaced).
    pub line: String,
}

impl From<StoredLine> for ContextLine {
    fn from(line: StoredLine) -> Self {
        ContextLine {
            timestamp_ns: line.timestamp.as_nanos().to_string(),
            line: String::from_utf8_lossy(&line.line).into_owned(),
        }
    }
}

impl Query {
    /// The context of a finding with `lines` on each side; `None` when there is no such finding.
    pub async fn context(
        &self,
        tenant: &TenantId,
        id: FindingId,
        lines: usize,
    ) -> Result<Option<FindingContext>, QueryError> {
        let number = self.tenant_number(tenant);
        let streams: HashMap<Labels, StreamId> = self
            .store
            .streams()
            .of_tenant(tenant)
            .into_iter()
            .map(|stream| (stream.labels, stream.id))
            .collect();
        let lines = lines.min(MAX_CONTEXT_LINES);
        let read = move |conn: &Connection| {
            let Some(finding) = finding::get(conn, number, &id)? else { return Ok(None) };
            let omitted = finding.evidence.len().saturating_sub(MAX_EVIDENCE);
            let shown = finding.evidence.into_iter().take(MAX_EVIDENCE);
            let evidence = shown.map(|line| {
                let stream = streams.get(&line.stream).copied();
                around(conn, stream, line, lines)
            });
            Ok(Some(FindingContext { evidence: evidence.collect::<Result<_, StoreError>>()?, omitted }))
        };
        Ok(self.store.read(read).await?)
    }
}

/// Reads what stands around one evidence line. Lines with its very timestamp count on the side they stand on.
fn around(
    conn: &Connection,
    stream: Option<StreamId>,
    evidence: EvidenceLine,
    lines: usize,
) -> Result<EvidenceContext, StoreError> {
    let Some(stream) = stream else {
        return Ok(EvidenceContext { evidence, is_stored: false, before: Vec::new(), after: Vec::new() });
    };
    let at = evidence.timestamp_ns;
    let next = Timestamp::from_nanos(at.as_nanos().saturating_add(1));
    let read = |from, to, limit, backward| {
        line::read(
            conn,
            &LineQuery { streams: vec![stream], from, to, limit, max_bytes: MAX_SIDE_BYTES, backward },
        )
    };
    let mut before = read(Timestamp::MIN, at, lines, true)?;
    before.reverse();
    let mut same = read(at, next, MAX_SAME_TIME, false)?;
    let place = same.iter().position(|line| String::from_utf8_lossy(&line.line) == evidence.line);
    let mut after = match place {
        Some(place) => same.split_off(place).split_off(1),
        None => Vec::new(),
    };
    before.append(&mut same);
    after.append(&mut read(next, Timestamp::MAX, lines, false)?);
    after.truncate(lines);
    let before = before.split_off(before.len().saturating_sub(lines));
    Ok(EvidenceContext {
        evidence,
        is_stored: place.is_some(),
        before: before.into_iter().map(ContextLine::from).collect(),
        after: after.into_iter().map(ContextLine::from).collect(),
    })
}
