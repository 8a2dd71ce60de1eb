//! Findings: joined by fingerprint when written, listed and changed by people.
//!
//! What is searched or sorted by is a column; the rest is one JSON document per row. `join` writes what the analysis
//! found, `list` answers the API.

mod earlier;
mod follow;
mod join;
mod list;

use std::collections::BTreeSet;

pub use earlier::{Earlier, earlier, note_down};
pub use follow::{Changed, changed_after, cursor, next_revision, set_cursor};
pub(in crate::store) use join::uuid_at;
pub use join::{Applied, Source, apply};
pub use list::{FindingFilter, FindingSummary, list, summary};
use rusqlite::{OptionalExtension, Row, types::Type};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        Category, EvidenceLine, Finding, FindingId, FindingStatus, FindingWindow, IncidentId, NoteRef,
        Origin, Severity, TenantId, Timestamp,
    },
    store::{Connection, StoreError, Transaction, feedback, incident},
};

/// The columns [`from_row`] expects, of `finding JOIN tenant`.
const COLUMNS: &str =
    "finding.id, tenant.name, fingerprint, severity, category, status, title, service, first_ns,
    last_ns, finding.created_ns, updated_ns, count, note, doc, incident_id, muted";
/// The revision of a finding that is being written.
const NEXT_REVISION: &str = "(SELECT COALESCE(MAX(revision), 0) + 1 FROM finding)";
/// The tables behind [`COLUMNS`].
const TABLES: &str = "finding JOIN tenant ON tenant.id = finding.tenant_id";

/// What is not a column of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Doc {
    summary: String,
    recommendation: String,
    root_cause: Option<String>,
    evidence: Vec<EvidenceLine>,
    source_ips: BTreeSet<String>,
    users: BTreeSet<String>,
    hosts: BTreeSet<String>,
    score: f64,
    origin: BTreeSet<Origin>,
    window: FindingWindow,
    #[serde(default)]
    notes: Vec<NoteRef>,
}

/// One finding.
pub fn get(conn: &Connection, tenant: i64, id: &FindingId) -> Result<Option<Finding>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE finding.id = ?1 AND finding.tenant_id = ?2");
    Ok(conn.prepare_cached(&sql)?.query_row((&id.0, tenant), from_row).optional()?)
}

/// Findings of an incident by their first event, oldest first or newest first.
pub(in crate::store) fn of_incident(
    conn: &Connection,
    id: &IncidentId,
    limit: usize,
    is_backward: bool,
) -> Result<Vec<Finding>, StoreError> {
    // Walks the index finding_incident.
    let order = if is_backward { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE incident_id = ?1
         ORDER BY first_ns {order}, finding.id {order} LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map((&id.0, i64::try_from(limit).unwrap_or(i64::MAX)), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The groups whose windows have contributed to a finding.
pub(in crate::store) fn groups(conn: &Connection, id: &FindingId) -> Result<Vec<String>, StoreError> {
    // Searches the primary key of finding_part.
    const SQL: &str = "SELECT DISTINCT grp FROM finding_part WHERE finding_id = ?1 LIMIT 100";
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map([&id.0], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a person may change.
#[derive(Clone, Debug, Default)]
pub struct FindingChange {
    /// The new status.
    pub status: Option<FindingStatus>,
    /// The new note; an empty one removes it.
    pub note: Option<String>,
}

/// Changes a finding; `None` when there is no such finding.
pub fn change(
    tx: &Transaction<'_>,
    tenant: i64,
    id: &FindingId,
    change: &FindingChange,
    now: Timestamp,
) -> Result<Option<Finding>, StoreError> {
    let sql = format!(
        "UPDATE finding SET status = COALESCE(?3, status),
            note = CASE WHEN ?4 IS NULL THEN note ELSE NULLIF(?4, '') END, updated_ns = ?5,
            revision = {NEXT_REVISION}
        WHERE id = ?1 AND tenant_id = ?2"
    );
    let status = change.status.map(FindingStatus::as_str);
    tx.prepare_cached(&sql)?.execute((&id.0, tenant, status, &change.note, now.as_nanos()))?;
    let changed = get(tx, tenant, id)?;
    if let (Some(finding), Some(status)) = (&changed, change.status) {
        feedback::hear_status(tx, tenant, finding, status, now)?;
    }
    Ok(changed)
}

/// Resolves the findings known by this fingerprint whose last event was before `at`: what they were about is
/// over. Says which.
pub fn recover(
    tx: &Transaction<'_>,
    tenant: i64,
    fingerprint: &str,
    at: Timestamp,
    now: Timestamp,
) -> Result<Vec<Finding>, StoreError> {
    // Searches the index finding_same.
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE finding.tenant_id = ?1 AND fingerprint = ?2 AND last_ns <= ?3
           AND status IN ('open', 'acknowledged')"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map((tenant, fingerprint, at.as_nanos()), from_row)?;
    let over: Vec<Finding> = rows.collect::<Result<_, _>>()?;
    for finding in &over {
        let resolved = FindingChange { status: Some(FindingStatus::Resolved), note: None };
        change(tx, tenant, &finding.id, &resolved, now)?;
        if let Some(incident) = &finding.incident_id {
            incident::follow_findings(tx, tenant, incident, "recovery", now)?;
        }
    }
    Ok(over)
}

/// Marks what was seen during maintenance. Once seen outside of it, a finding stays unmuted.
pub fn mute(
    tx: &Transaction<'_>,
    id: &FindingId,
    applied: Applied,
    is_muted: bool,
) -> Result<(), StoreError> {
    let sql =
        format!("UPDATE finding SET muted = ?2, revision = {NEXT_REVISION} WHERE id = ?1 AND muted <> ?2");
    // A new finding is unmuted; one that is joined can only lose the mark.
    if is_muted == (applied == Applied::New) {
        tx.prepare_cached(&sql)?.execute((&id.0, is_muted))?;
    }
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Finding> {
    let text = |at: usize| row.get::<_, String>(at);
    let time = |at: usize| row.get(at).map(Timestamp::from_nanos);
    let bad =
        |at: usize, cause: String| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, cause.into());
    let doc: Doc = serde_json::from_str(&text(14)?).map_err(|error| bad(14, error.to_string()))?;
    Ok(Finding {
        id: FindingId(text(0)?),
        tenant: TenantId::parse(&text(1)?).map_err(|error| bad(1, error.to_string()))?,
        fingerprint: text(2)?,
        severity: Severity::from_rank(row.get(3)?),
        category: Category::parse(&text(4)?).ok_or_else(|| bad(4, "unknown category".to_owned()))?,
        status: FindingStatus::parse(&text(5)?).ok_or_else(|| bad(5, "unknown status".to_owned()))?,
        title: text(6)?,
        affected_service: row.get(7)?,
        first_seen: time(8)?,
        last_seen: time(9)?,
        created_at: time(10)?,
        updated_at: time(11)?,
        count: row.get::<_, i64>(12)?.unsigned_abs(),
        note: row.get(13)?,
        summary: doc.summary,
        recommendation: doc.recommendation,
        root_cause: doc.root_cause,
        evidence: doc.evidence,
        source_ips: doc.source_ips,
        users: doc.users,
        hosts: doc.hosts,
        score: doc.score,
        origin: doc.origin,
        window: doc.window,
        notes: doc.notes,
        incident_id: row.get::<_, Option<String>>(15)?.map(IncidentId),
        muted: row.get(16)?,
    })
}
