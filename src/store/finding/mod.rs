//! Findings: joined by fingerprint when written, listed and changed by people.
//!
//! What is searched or sorted by is a column; the rest is one JSON document per row. `join` writes what the analysis
//! found, `list` answers the API.

mod earlier;
mod join;
mod list;

use std::collections::BTreeSet;

pub use earlier::{Earlier, earlier, note_down};
pub use join::{Applied, Source, apply};
pub use list::{FindingFilter, FindingSummary, list, summary};
use rusqlite::{OptionalExtension, Row, types::Type};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        Category, EvidenceLine, Finding, FindingId, FindingStatus, FindingWindow, NoteRef, Origin, Severity,
        TenantId, Timestamp,
    },
    store::{Connection, StoreError, Transaction},
};

/// The columns [`from_row`] expects, of `finding JOIN tenant`.
const COLUMNS: &str =
    "finding.id, tenant.name, fingerprint, severity, category, status, title, service, first_ns,
    last_ns, finding.created_ns, updated_ns, count, note, doc";
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
    const SQL: &str = "UPDATE finding SET status = COALESCE(?3, status),
            note = CASE WHEN ?4 IS NULL THEN note ELSE NULLIF(?4, '') END, updated_ns = ?5
        WHERE id = ?1 AND tenant_id = ?2";
    let status = change.status.map(FindingStatus::as_str);
    tx.prepare_cached(SQL)?.execute((&id.0, tenant, status, &change.note, now.as_nanos()))?;
    get(tx, tenant, id)
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
    })
}
