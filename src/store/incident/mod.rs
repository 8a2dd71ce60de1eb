//! Incidents: findings that belong together, kept as one row each.
//!
//! Which findings belong to an incident stands in `finding.incident_id`; the row repeats what can be read from them, so
//! that it may be made again at any time. `key` holds what findings share, `status` changes an incident together with
//! its findings, `list` answers the API.

mod follow;
mod key;
mod list;
mod status;

use std::collections::BTreeSet;

pub use follow::{Changed, changed_after, cursor, newest_revision, next_revision, remove_cursor, set_cursor};
pub use key::{Key, Sharer, drop_old_keys, elsewhere, has_old_keys, near, put_keys};
pub use list::{IncidentFilter, list};
use rusqlite::{OptionalExtension, Row, types::Type};
use serde::{Deserialize, Serialize};
pub use status::{IncidentChange, change, follow_findings, record};

use crate::{
    model::{
        AuditEntry, Category, Finding, FindingId, FindingStatus, Incident, IncidentId, Severity, TenantId,
        TimelineEntry, Timestamp,
    },
    store::{
        Connection, StoreError, Transaction,
        finding::{self, uuid_at},
    },
};

/// The columns [`from_row`] expects, of `incident JOIN tenant`.
const COLUMNS: &str = "incident.id, tenant.name, severity, status, title, first_ns, last_ns, active_ns,
    closed_ns, incident.created_ns, updated_ns, count, findings, flapping, storm, muted, merged_into, note, doc";
/// The tables behind [`COLUMNS`].
const TABLES: &str = "incident JOIN tenant ON tenant.id = incident.tenant_id";
/// The revision of an incident that is being written.
const NEXT_REVISION: &str = "(SELECT COALESCE(MAX(revision), 0) + 1 FROM incident)";

/// What is not a column of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Doc {
    summary: String,
    categories: BTreeSet<Category>,
    hosts: BTreeSet<String>,
    users: BTreeSet<String>,
    source_ips: BTreeSet<String>,
    affected_services: BTreeSet<String>,
    timeline: Vec<TimelineEntry>,
    fingerprints: BTreeSet<String>,
    reopened: u64,
    audit: Vec<AuditEntry>,
}

/// A new incident's id.
pub fn new_id(now: Timestamp) -> IncidentId {
    IncidentId(uuid_at(now))
}

/// One incident.
pub fn get(conn: &Connection, tenant: i64, id: &IncidentId) -> Result<Option<Incident>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE incident.id = ?1 AND incident.tenant_id = ?2");
    Ok(conn.prepare_cached(&sql)?.query_row((&id.0, tenant), from_row).optional()?)
}

/// Inserts or replaces an incident. `kind` is that of all its findings, if they have one in common.
pub fn put(
    tx: &Transaction<'_>,
    tenant: i64,
    incident: &Incident,
    kind: Option<&str>,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT OR REPLACE INTO incident (id, tenant_id, revision, severity, status, title, kind, first_ns,
            last_ns, active_ns, closed_ns, created_ns, updated_ns, count, findings, flapping, storm, muted,
            merged_into, note, doc)
        VALUES (?1, ?2, {NEXT_REVISION}, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
            ?18, ?19, ?20)"
    );
    let doc = Doc {
        summary: incident.summary.clone(),
        categories: incident.categories.clone(),
        hosts: incident.hosts.clone(),
        users: incident.users.clone(),
        source_ips: incident.source_ips.clone(),
        affected_services: incident.affected_services.clone(),
        timeline: incident.timeline.clone(),
        fingerprints: incident.fingerprints.clone(),
        reopened: incident.reopened,
        audit: incident.audit.clone(),
    };
    let doc = serde_json::to_string(&doc)
        .map_err(|error| StoreError::Damaged { what: "incident", cause: error.to_string() })?;
    tx.prepare_cached(&sql)?.execute(rusqlite::params![
        incident.id.0,
        tenant,
        incident.severity.rank(),
        incident.status.as_str(),
        incident.title,
        kind,
        incident.first_seen.as_nanos(),
        incident.last_seen.as_nanos(),
        incident.active_at.as_nanos(),
        incident.closed_at.map(Timestamp::as_nanos),
        incident.created_at.as_nanos(),
        incident.updated_at.as_nanos(),
        incident.count.cast_signed(),
        incident.findings.cast_signed(),
        incident.is_flapping,
        incident.is_storm,
        incident.muted,
        incident.merged_into.as_ref().map(|id| &id.0),
        incident.note,
        doc,
    ])?;
    Ok(())
}

/// What all findings of an incident add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// How many findings.
    pub findings: u64,
    /// How many events.
    pub count: u64,
    /// The worst severity.
    pub severity: Severity,
    /// First event.
    pub first: Timestamp,
    /// Last event.
    pub last: Timestamp,
    /// When one was last written.
    pub updated: Timestamp,
    /// Whether all were seen during maintenance.
    pub muted: bool,
}

/// Adds up the findings of an incident; `None` when it has none.
pub fn totals(conn: &Connection, id: &IncidentId) -> Result<Option<Totals>, StoreError> {
    // Searches the index finding_incident.
    const SQL: &str =
        "SELECT COUNT(*), SUM(count), MAX(severity), MIN(first_ns), MAX(last_ns), MAX(updated_ns),
            MIN(muted) FROM finding WHERE incident_id = ?1";
    let totals = conn.prepare_cached(SQL)?.query_row([&id.0], |row| {
        let findings = row.get::<_, i64>(0)?.unsigned_abs();
        if findings == 0 {
            return Ok(None);
        }
        let time = |at: usize| row.get(at).map(Timestamp::from_nanos);
        Ok(Some(Totals {
            findings,
            count: row.get::<_, i64>(1)?.unsigned_abs(),
            severity: Severity::from_rank(row.get(2)?),
            first: time(3)?,
            last: time(4)?,
            updated: time(5)?,
            muted: row.get(6)?,
        }))
    })?;
    Ok(totals)
}

/// The findings of an incident in order of time: the first ones, and the newest ones after them, `ends` each.
pub fn members(conn: &Connection, id: &IncidentId, ends: usize) -> Result<Vec<Finding>, StoreError> {
    let mut found = finding::of_incident(conn, id, ends, false)?;
    let mut newest = finding::of_incident(conn, id, ends, true)?;
    newest.reverse();
    newest.retain(|finding| !found.iter().any(|known| known.id == finding.id));
    found.append(&mut newest);
    Ok(found)
}

/// On how many hosts the findings of an incident were seen.
pub fn count_hosts(conn: &Connection, id: &IncidentId) -> Result<u64, StoreError> {
    // Searches the index finding_incident.
    const SQL: &str = "SELECT COUNT(DISTINCT host.value)
        FROM finding, json_each(finding.doc, '$.hosts') AS host WHERE incident_id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([&id.0], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Makes a finding a part of an incident.
pub fn join(tx: &Transaction<'_>, finding: &FindingId, id: &IncidentId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE finding SET incident_id = ?2 WHERE id = ?1")?.execute((&finding.0, &id.0))?;
    Ok(())
}

/// Moves every finding of one incident to another.
pub fn move_members(tx: &Transaction<'_>, from: &IncidentId, into: &IncidentId) -> Result<(), StoreError> {
    // Searches the index finding_incident.
    tx.prepare_cached("UPDATE finding SET incident_id = ?2 WHERE incident_id = ?1")?
        .execute((&from.0, &into.0))?;
    Ok(())
}

/// The kind that all findings of an open incident share, or nothing for a mixed one.
pub fn kind(conn: &Connection, id: &IncidentId) -> Result<Option<String>, StoreError> {
    const SQL: &str = "SELECT kind FROM incident WHERE id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([&id.0], |row| row.get(0)).optional()?.flatten())
}

/// The incident of the newest other finding with this fingerprint.
pub fn of_fingerprint(
    conn: &Connection,
    tenant: i64,
    fingerprint: &str,
    except: &FindingId,
) -> Result<Option<IncidentId>, StoreError> {
    // Searches the index finding_same.
    const SQL: &str = "SELECT incident_id FROM finding WHERE tenant_id = ?1 AND fingerprint = ?2 AND id <> ?3
            AND incident_id IS NOT NULL ORDER BY last_ns DESC LIMIT 1";
    let found = conn.prepare_cached(SQL)?.query_row((tenant, fingerprint, &except.0), |row| row.get(0));
    Ok(found.optional()?.map(IncidentId))
}

/// Open incidents, flapping or not, for which nothing has arrived since `before`, longest quiet first.
pub fn quiet(
    conn: &Connection,
    is_flapping: bool,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<(i64, IncidentId)>, StoreError> {
    // Walks the partial index incident_quiet.
    const SQL: &str = "SELECT tenant_id, id FROM incident WHERE status IN ('open', 'acknowledged')
            AND active_ns <= ?1 AND flapping = ?2 ORDER BY active_ns LIMIT ?3";
    let mut statement = conn.prepare_cached(SQL)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((before.as_nanos(), is_flapping, limit), |row| {
        Ok((row.get(0)?, IncidentId(row.get(1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many incidents are open or acknowledged.
pub fn count_open(conn: &Connection) -> Result<u64, StoreError> {
    // Counts the partial index incident_quiet.
    const SQL: &str = "SELECT COUNT(*) FROM incident WHERE status IN ('open', 'acknowledged')";
    Ok(conn.prepare_cached(SQL)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let text = |at: usize| row.get::<_, String>(at);
    let time = |at: usize| row.get(at).map(Timestamp::from_nanos);
    let count = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
    let bad =
        |at: usize, cause: String| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, cause.into());
    let doc: Doc = serde_json::from_str(&text(18)?).map_err(|error| bad(18, error.to_string()))?;
    Ok(Incident {
        id: IncidentId(text(0)?),
        tenant: TenantId::parse(&text(1)?).map_err(|error| bad(1, error.to_string()))?,
        severity: Severity::from_rank(row.get(2)?),
        status: FindingStatus::parse(&text(3)?).ok_or_else(|| bad(3, "unknown status".to_owned()))?,
        title: text(4)?,
        first_seen: time(5)?,
        last_seen: time(6)?,
        active_at: time(7)?,
        closed_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_nanos),
        created_at: time(9)?,
        updated_at: time(10)?,
        count: count(11)?,
        findings: count(12)?,
        is_flapping: row.get(13)?,
        is_storm: row.get(14)?,
        muted: row.get(15)?,
        merged_into: row.get::<_, Option<String>>(16)?.map(IncidentId),
        note: row.get(17)?,
        summary: doc.summary,
        categories: doc.categories,
        hosts: doc.hosts,
        users: doc.users,
        source_ips: doc.source_ips,
        affected_services: doc.affected_services,
        timeline: doc.timeline,
        fingerprints: doc.fingerprints,
        reopened: doc.reopened,
        audit: doc.audit,
    })
}
