//! What is known of findings like one: how earlier ones ended, and which notes were shown when the model spoke.

use rusqlite::{OptionalExtension, types::Type};

use super::{Doc, join::to_json};
use crate::{
    model::{FindingId, FindingStatus, NoteRef, Severity},
    store::{Connection, StoreError, Transaction},
};

/// Notes kept per finding; a question holds fewer.
const NOTES_MAX: usize = 20;

/// An earlier finding with the same fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Where it stands.
    pub status: FindingStatus,
    /// How bad it was.
    pub severity: Severity,
    /// What happened.
    pub title: String,
    /// How many events.
    pub count: u64,
    /// The operator's note.
    pub note: Option<String>,
}

/// Findings with this fingerprint of which a person (or a rule) has said how they ended, or something else; newest first.
pub fn earlier(
    conn: &Connection,
    tenant: i64,
    fingerprint: &str,
    limit: usize,
) -> Result<Vec<Earlier>, StoreError> {
    // Searches the index finding_same.
    const SQL: &str = "SELECT status, severity, title, count, note FROM finding
        WHERE tenant_id = ?1 AND fingerprint = ?2
          AND (status IN ('resolved', 'false_positive') OR note IS NOT NULL)
        ORDER BY last_ns DESC LIMIT ?3";
    let mut statement = conn.prepare_cached(SQL)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((tenant, fingerprint, limit), |row| {
        let status = FindingStatus::parse(&row.get::<_, String>(0)?);
        let unknown = || rusqlite::Error::FromSqlConversionFailure(0, Type::Text, "unknown status".into());
        Ok(Earlier {
            status: status.ok_or_else(unknown)?,
            severity: Severity::from_rank(row.get(1)?),
            title: row.get(2)?,
            count: row.get::<_, i64>(3)?.unsigned_abs(),
            note: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes down with a finding which notes the model was shown when it spoke of it.
pub fn note_down(tx: &Transaction<'_>, id: &FindingId, notes: &[NoteRef]) -> Result<(), StoreError> {
    if notes.is_empty() {
        return Ok(());
    }
    let mut read = tx.prepare_cached("SELECT doc FROM finding WHERE id = ?1")?;
    let Some(text) = read.query_row([&id.0], |row| row.get::<_, String>(0)).optional()? else {
        return Ok(());
    };
    let damaged =
        |error: serde_json::Error| StoreError::Damaged { what: "finding", cause: error.to_string() };
    let mut doc: Doc = serde_json::from_str(&text).map_err(damaged)?;
    for note in notes {
        doc.notes.retain(|known| known.id != note.id);
        doc.notes.push(note.clone());
    }
    let excess = doc.notes.len().saturating_sub(NOTES_MAX);
    doc.notes.drain(..excess);
    tx.prepare_cached("UPDATE finding SET doc = ?2 WHERE id = ?1")?.execute((&id.0, to_json(&doc)?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{
        model::{Category, Finding, FindingDraft, FindingWindow, NoteId, Origin, Timestamp},
        store::{
            finding::{FindingChange, Source, apply, change, get},
            testing::{self, START, TestStore},
        },
    };

    fn at(secs: u64) -> Timestamp {
        START.plus(Duration::from_secs(secs))
    }

    fn write(store: &TestStore, seq: u64, secs: u64) -> FindingId {
        let draft = FindingDraft {
            fingerprint: "f".into(),
            title: format!("at {secs}"),
            severity: Severity::High,
            category: Category::BruteForce,
            summary: String::new(),
            recommendation: String::new(),
            root_cause: None,
            evidence: Vec::new(),
            source_ips: BTreeSet::new(),
            users: BTreeSet::new(),
            affected_service: None,
            hosts: BTreeSet::new(),
            count: seq,
            score: 0.5,
            origin: BTreeSet::from([Origin::Rule { id: "r".into() }]),
            first_seen: at(secs),
            last_seen: at(secs),
        };
        let window = FindingWindow { from: at(0), to: at(60), lines: 1, suspicious: 1 };
        let source = Source { tenant: 1, group: "web-1".into(), first_seq: seq, window };
        let dedup = Duration::from_secs(60);
        let applied = store.write_blocking(move |tx| apply(tx, &source, &[draft], dedup, START)).unwrap();
        applied.into_iter().next().unwrap().0
    }

    fn say(store: &TestStore, id: &FindingId, status: Option<FindingStatus>, note: Option<&str>) {
        let (id, said) = (id.clone(), FindingChange { status, note: note.map(str::to_owned) });
        store.write_blocking(move |tx| change(tx, 1, &id, &said, START)).unwrap();
    }

    fn stored(store: &TestStore, id: &FindingId) -> Finding {
        store.read_blocking(|conn| get(conn, 1, id)).unwrap().unwrap()
    }

    #[test]
    fn only_findings_of_which_somebody_said_something_are_told_newest_first() {
        let store = testing::store();
        let ids: Vec<_> =
            [(1, 0), (2, 1_000), (3, 2_000), (4, 3_000)].map(|(seq, at)| write(&store, seq, at)).into();
        say(&store, &ids[0], Some(FindingStatus::FalsePositive), Some("the backup"));
        say(&store, &ids[1], Some(FindingStatus::Resolved), None);
        say(&store, &ids[3], None, Some("looking into it"));
        let found = store.read_blocking(|conn| earlier(conn, 1, "f", 9)).unwrap();
        let shown: Vec<_> =
            found.iter().map(|e| (e.status.as_str(), e.title.as_str(), e.count, e.note.as_deref())).collect();
        assert_eq!(
            shown,
            [
                ("open", "at 3000", 4, Some("looking into it")),
                ("resolved", "at 1000", 2, None),
                ("false_positive", "at 0", 1, Some("the backup"))
            ]
        );
        assert_eq!(store.read_blocking(|conn| earlier(conn, 1, "f", 1)).unwrap().len(), 1);
        assert_eq!(store.read_blocking(|conn| earlier(conn, 2, "f", 9)).unwrap(), []);
    }

    #[test]
    fn notes_are_written_down_once_each_and_survive_a_join() {
        let store = testing::store();
        let id = write(&store, 1, 0);
        let note = |id: i64, title: &str| NoteRef { id: NoteId(id), title: title.to_owned() };
        let down = |notes: Vec<NoteRef>| {
            let id = id.clone();
            store.write_blocking(move |tx| note_down(tx, &id, &notes)).unwrap();
        };
        down(vec![note(1, "old"), note(2, "b")]);
        down(vec![note(1, "new")]);
        assert_eq!(write(&store, 2, 5), id);
        assert_eq!(stored(&store, &id).notes, [note(2, "b"), note(1, "new")]);
        down((0..50).map(|n| note(n, "many")).collect());
        assert_eq!(stored(&store, &id).notes.len(), NOTES_MAX);
    }
}
