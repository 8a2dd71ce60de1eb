//! Writing findings: the same thing again joins what is known of it.
//!
//! The count of a finding is the sum of what each window added, booked once per window, so analysing a window twice
//! changes nothing. Sets and evidence are bounded: senders choose what is in them.

use std::{collections::BTreeSet, time::Duration};

use rusqlite::OptionalExtension;
use uuid::{NoContext, Uuid};

use super::{COLUMNS, Doc, NEXT_REVISION, TABLES, from_row};
use crate::{
    model::{EvidenceLine, Finding, FindingDraft, FindingId, FindingWindow, Origin, Timestamp},
    store::{StoreError, Transaction},
};

/// Evidence lines kept per finding: enough to see the beginning and how it goes on.
const EVIDENCE_MAX: usize = 20;
/// Of these so many are the first ones; the others are the newest.
const EVIDENCE_FIRST: usize = 10;
/// Addresses, users, hosts and origins kept per finding, each.
const SET_MAX: usize = 100;

/// The window a draft comes from; the key under which its count is booked once.
#[derive(Clone, Debug)]
pub struct Source {
    /// The tenant's number.
    pub tenant: i64,
    /// The group.
    pub group: String,
    /// The window's first block.
    pub first_seq: u64,
    /// What the window was.
    pub window: FindingWindow,
}

/// What writing a draft did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A finding nobody has heard of.
    New,
    /// It joined an existing finding.
    Joined,
}

/// Writes drafts. A draft joins the newest finding with its fingerprint that was last seen within `dedup` and is not
/// resolved or a false positive; otherwise it becomes a new one. Writing the same source and draft again changes nothing
/// but what the draft now says better (count of that window, evidence, words).
pub fn apply(
    tx: &Transaction<'_>,
    source: &Source,
    drafts: &[FindingDraft],
    dedup: Duration,
    now: Timestamp,
) -> Result<Vec<(FindingId, Applied)>, StoreError> {
    let mut applied = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let known = match booked(tx, source, draft)? {
            Some(known) => Some(known),
            None => joinable(tx, source, draft, dedup)?,
        };
        let (id, how) = match known {
            Some(known) => (known.id.clone(), join(tx, source, draft, known, now)?),
            None => (insert(tx, source, draft, now)?, Applied::New),
        };
        book(tx, &id, source, draft.count)?;
        applied.push((id, how));
    }
    Ok(applied)
}

/// The finding to which this very window has already contributed, whatever has become of it since.
fn booked(
    tx: &Transaction<'_>,
    source: &Source,
    draft: &FindingDraft,
) -> Result<Option<Finding>, StoreError> {
    // Searches the index finding_same, then the primary key of finding_part.
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE finding.tenant_id = ?1 AND fingerprint = ?2
           AND EXISTS (SELECT 1 FROM finding_part WHERE finding_id = finding.id AND grp = ?3 AND first_seq = ?4)
         ORDER BY last_ns DESC LIMIT 1"
    );
    let seq = source.first_seq.cast_signed();
    let mut statement = tx.prepare_cached(&sql)?;
    let found = statement.query_row((source.tenant, &draft.fingerprint, &source.group, seq), from_row);
    Ok(found.optional()?)
}

/// The finding this draft is more of.
fn joinable(
    tx: &Transaction<'_>,
    source: &Source,
    draft: &FindingDraft,
    dedup: Duration,
) -> Result<Option<Finding>, StoreError> {
    // Searches the index finding_same.
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE finding.tenant_id = ?1 AND fingerprint = ?2
           AND last_ns >= ?3 AND status IN ('open', 'acknowledged')
         ORDER BY last_ns DESC LIMIT 1"
    );
    let oldest = draft.first_seen.minus(dedup).as_nanos();
    let mut statement = tx.prepare_cached(&sql)?;
    let found = statement.query_row((source.tenant, &draft.fingerprint, oldest), from_row);
    Ok(found.optional()?)
}

fn insert(
    tx: &Transaction<'_>,
    source: &Source,
    draft: &FindingDraft,
    now: Timestamp,
) -> Result<FindingId, StoreError> {
    let sql = format!(
        "INSERT INTO finding (id, tenant_id, fingerprint, severity, category, status, title, service,
            first_ns, last_ns, created_ns, updated_ns, count, doc, revision)
        VALUES (?1, ?2, ?3, ?4, ?5, 'open', ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12, {NEXT_REVISION})"
    );
    let id = new_id(now);
    let mut doc = Doc {
        summary: draft.summary.clone(),
        recommendation: draft.recommendation.clone(),
        root_cause: draft.root_cause.clone(),
        evidence: Vec::new(),
        source_ips: BTreeSet::new(),
        users: BTreeSet::new(),
        hosts: BTreeSet::new(),
        score: draft.score,
        origin: BTreeSet::new(),
        window: source.window.clone(),
        notes: Vec::new(),
    };
    merge_sets(&mut doc, draft);
    tx.prepare_cached(&sql)?.execute(rusqlite::params![
        id.0,
        source.tenant,
        draft.fingerprint,
        draft.severity.rank(),
        draft.category.as_str(),
        draft.title,
        draft.affected_service,
        draft.first_seen.as_nanos(),
        draft.last_seen.as_nanos(),
        now.as_nanos(),
        draft.count.cast_signed(),
        to_json(&doc)?,
    ])?;
    Ok(id)
}

fn join(
    tx: &Transaction<'_>,
    source: &Source,
    draft: &FindingDraft,
    known: Finding,
    now: Timestamp,
) -> Result<Applied, StoreError> {
    const SQL: &str =
        "UPDATE finding SET severity = ?2, title = ?3, service = ?4, first_ns = ?5, last_ns = ?6,
        updated_ns = ?7, doc = ?8 WHERE id = ?1";
    let keeps_words = has_model(&known.origin) && !has_model(&draft.origin);
    let (summary, recommendation, root_cause) = if keeps_words {
        (known.summary, known.recommendation, known.root_cause)
    } else {
        let root_cause = draft.root_cause.clone().or(known.root_cause);
        (draft.summary.clone(), draft.recommendation.clone(), root_cause)
    };
    let is_newest = draft.last_seen >= known.last_seen;
    let mut doc = Doc {
        summary,
        recommendation,
        root_cause,
        evidence: known.evidence,
        source_ips: known.source_ips,
        users: known.users,
        hosts: known.hosts,
        score: known.score.max(draft.score),
        origin: known.origin,
        window: if is_newest { source.window.clone() } else { known.window },
        notes: known.notes,
    };
    merge_sets(&mut doc, draft);
    tx.prepare_cached(SQL)?.execute(rusqlite::params![
        known.id.0,
        known.severity.max(draft.severity).rank(),
        draft.title,
        draft.affected_service.as_ref().or(known.affected_service.as_ref()),
        known.first_seen.min(draft.first_seen).as_nanos(),
        known.last_seen.max(draft.last_seen).as_nanos(),
        now.as_nanos(),
        to_json(&doc)?,
    ])?;
    Ok(Applied::Joined)
}

/// Books what a window added and sums up; the count is that of the parts.
fn book(tx: &Transaction<'_>, id: &FindingId, source: &Source, count: u64) -> Result<(), StoreError> {
    const PART: &str = "INSERT INTO finding_part (finding_id, grp, first_seq, count) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (finding_id, grp, first_seq) DO UPDATE SET count = MAX(count, excluded.count)";
    let sum = format!(
        "UPDATE finding SET count = (SELECT SUM(count) FROM finding_part WHERE finding_id = ?1),
            revision = {NEXT_REVISION} WHERE id = ?1"
    );
    let count = i64::try_from(count).unwrap_or(i64::MAX / SET_MAX as i64);
    tx.prepare_cached(PART)?.execute((&id.0, &source.group, source.first_seq.cast_signed(), count))?;
    tx.prepare_cached(&sum)?.execute([&id.0])?;
    Ok(())
}

fn merge_sets(doc: &mut Doc, draft: &FindingDraft) {
    merge_set(&mut doc.source_ips, &draft.source_ips);
    merge_set(&mut doc.users, &draft.users);
    merge_set(&mut doc.hosts, &draft.hosts);
    merge_set(&mut doc.origin, &draft.origin);
    merge_evidence(&mut doc.evidence, &draft.evidence);
}

fn merge_set<T: Ord + Clone>(known: &mut BTreeSet<T>, more: &BTreeSet<T>) {
    for item in more {
        if known.len() >= SET_MAX {
            break;
        }
        known.insert(item.clone());
    }
}

/// Keeps the first lines and the newest, in order of time.
fn merge_evidence(known: &mut Vec<EvidenceLine>, more: &[EvidenceLine]) {
    for line in more {
        let is_same = |other: &EvidenceLine| {
            (other.timestamp_ns, &other.line, &other.stream) == (line.timestamp_ns, &line.line, &line.stream)
        };
        if !known.iter().any(is_same) {
            known.push(line.clone());
        }
    }
    known.sort_by_key(|line| line.timestamp_ns);
    let excess = known.len().saturating_sub(EVIDENCE_MAX);
    if excess > 0 {
        known.drain(EVIDENCE_FIRST..EVIDENCE_FIRST + excess);
    }
}

fn has_model(origin: &BTreeSet<Origin>) -> bool {
    origin.iter().any(|origin| matches!(origin, Origin::Model { .. }))
}

/// A version 7 UUID of the given moment: ids sort by creation.
fn new_id(now: Timestamp) -> FindingId {
    FindingId(uuid_at(now))
}

/// A version 7 UUID of the given moment.
pub(in crate::store) fn uuid_at(now: Timestamp) -> String {
    let nanos = now.as_nanos().max(0);
    let secs = nanos.unsigned_abs() / 1_000_000_000;
    let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, secs, rest)).to_string()
}

pub(super) fn to_json(doc: &Doc) -> Result<String, StoreError> {
    serde_json::to_string(doc)
        .map_err(|error| StoreError::Damaged { what: "finding", cause: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Category, FindingStatus, Labels, Severity},
        store::{
            finding::{FindingChange, change, get},
            testing::{self, START, TestStore},
        },
    };

    const DEDUP: Duration = Duration::from_secs(3_600);

    fn at(secs: u64) -> Timestamp {
        START.plus(Duration::from_secs(secs))
    }

    fn source(first_seq: u64) -> Source {
        let window = FindingWindow { from: at(0), to: at(60), lines: first_seq, suspicious: 1 };
        Source { tenant: 1, group: "web-1".into(), first_seq, window }
    }

    fn draft(secs: u64, count: u64) -> FindingDraft {
        let line = |at: Timestamp| EvidenceLine {
            stream: Labels::default(),
            timestamp_ns: at,
            line: format!("line of {at}"),
            template: None,
            at: None,
        };
        FindingDraft {
            fingerprint: "ssh-brute-force".into(),
            title: format!("{count} failed logins"),
            severity: Severity::Medium,
            category: Category::BruteForce,
            summary: "rule words".into(),
            recommendation: "block it".into(),
            root_cause: None,
            evidence: vec![line(at(secs))],
            source_ips: BTreeSet::from([format!("192.0.2.{secs}")]),
            users: BTreeSet::from(["root".into()]),
            affected_service: Some("sshd".into()),
            hosts: BTreeSet::from(["web-1".into()]),
            count,
            score: 0.5,
            origin: BTreeSet::from([Origin::Rule { id: "ssh".into() }]),
            first_seen: at(secs),
            last_seen: at(secs),
        }
    }

    fn write(store: &TestStore, seq: u64, draft: FindingDraft) -> (Finding, Applied) {
        let (id, how) = store
            .write_blocking(move |tx| apply(tx, &source(seq), &[draft], DEDUP, START))
            .unwrap()
            .pop()
            .unwrap();
        (store.read_blocking(|conn| get(conn, 1, &id)).unwrap().unwrap(), how)
    }

    #[test]
    fn the_same_thing_again_joins_and_counts_each_window_once() {
        let store = testing::store();
        let (first, how) = write(&store, 1, draft(10, 5));
        assert_eq!((how, first.count, first.status), (Applied::New, 5, FindingStatus::Open));
        let mut worse = draft(50, 7);
        worse.severity = Severity::High;
        let (joined, how) = write(&store, 2, worse);
        assert_eq!((how, &joined.id, joined.count), (Applied::Joined, &first.id, 12));
        assert_eq!((joined.severity, joined.first_seen, joined.last_seen), (Severity::High, at(10), at(50)));
        assert_eq!((joined.source_ips.len(), joined.evidence.len(), joined.window.lines), (2, 2, 2));
        let (repeated, how) = write(&store, 2, draft(50, 7));
        assert_eq!((how, repeated.count, repeated.severity), (Applied::Joined, 12, Severity::High));
    }

    #[test]
    fn what_is_over_or_long_ago_does_not_join() {
        let store = testing::store();
        let (first, _) = write(&store, 1, draft(0, 1));
        let (later, how) = write(&store, 2, draft(3_601, 1));
        assert_eq!(how, Applied::New);
        let resolve = FindingChange { status: Some(FindingStatus::Resolved), note: None };
        let id = later.id.clone();
        store.write_blocking(move |tx| change(tx, 1, &id, &resolve, START)).unwrap();
        let (third, how) = write(&store, 3, draft(3_602, 1));
        assert_eq!(how, Applied::New);
        assert!(third.id != later.id && later.id != first.id);
        // A window analysed again finds what it has written, even though that was resolved meanwhile.
        let (again, how) = write(&store, 2, draft(3_601, 1));
        assert_eq!((again.id, how), (later.id, Applied::Joined));
    }

    #[test]
    fn a_rule_does_not_overwrite_the_words_of_a_model() {
        let store = testing::store();
        write(&store, 1, draft(10, 5));
        let mut explained = draft(10, 5);
        explained.summary = "model words".into();
        explained.root_cause = Some("weak password".into());
        explained.origin.insert(Origin::Model { model: "m".into(), prompt: "security-1".into() });
        let (finding, _) = write(&store, 1, explained);
        assert_eq!((finding.count, finding.origin.len()), (5, 2));
        let (finding, _) = write(&store, 2, draft(20, 9));
        assert_eq!((finding.summary.as_str(), finding.title.as_str()), ("model words", "9 failed logins"));
        assert_eq!((finding.root_cause.as_deref(), finding.count), (Some("weak password"), 14));
    }

    #[test]
    fn evidence_keeps_the_first_and_the_newest_lines() {
        let store = testing::store();
        for seq in 0..40 {
            write(&store, seq, draft(seq, 1));
        }
        let (finding, _) = write(&store, 40, draft(40, 1));
        let times: Vec<u64> =
            finding.evidence.iter().map(|line| line.timestamp_ns.since(START).as_secs()).collect();
        assert_eq!(times, (0..10).chain(31..=40).collect::<Vec<_>>());
        assert_eq!((finding.count, finding.source_ips.len()), (41, 41));
    }

    #[test]
    fn a_note_is_kept_until_emptied() {
        let store = testing::store();
        let (finding, _) = write(&store, 1, draft(10, 5));
        let with = |status, note: Option<&str>| {
            let change_ = FindingChange { status, note: note.map(str::to_owned) };
            let id = finding.id.clone();
            store.write_blocking(move |tx| change(tx, 1, &id, &change_, at(99))).unwrap().unwrap()
        };
        assert_eq!(with(None, Some("mine")).note.as_deref(), Some("mine"));
        let acknowledged = with(Some(FindingStatus::Acknowledged), None);
        assert_eq!(acknowledged.note.as_deref(), Some("mine"));
        assert_eq!((acknowledged.status, acknowledged.updated_at), (FindingStatus::Acknowledged, at(99)));
        assert_eq!(with(None, Some("")).note, None);
        let nobody = FindingId("none".into());
        let none =
            store.write_blocking(move |tx| change(tx, 1, &nobody, &FindingChange::default(), START)).unwrap();
        assert!(none.is_none());
    }
}
