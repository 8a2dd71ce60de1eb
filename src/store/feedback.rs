//! Verdicts of people on the findings of detectors: one per finding, detector and group.

use rusqlite::Row;

use crate::{
    model::{Feedback, Finding, FindingId, FindingStatus, Origin, Timestamp},
    store::{
        Connection, StoreError, Transaction,
        finding::{self, uuid_at},
    },
};

/// Verdicts of a tenant at most; of more the oldest are forgotten.
const FEEDBACK_MAX: i64 = 10_000;

const COLUMNS: &str = "id, finding_id, grp, detector, subject, is_real, created_ns, tenant_id";

/// Books what a person says of a finding, for each detector that made it.
pub fn hear(
    tx: &Transaction<'_>,
    tenant: i64,
    finding: &Finding,
    is_real: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO feedback
            (id, tenant_id, grp, detector, subject, finding_id, is_real, created_ns)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (finding_id, detector, grp) DO UPDATE SET is_real = excluded.is_real, created_ns = excluded.created_ns";
    const FORGET: &str = "DELETE FROM feedback WHERE tenant_id = ?1 AND id IN
        (SELECT id FROM feedback WHERE tenant_id = ?1 ORDER BY created_ns DESC, id DESC LIMIT -1 OFFSET ?2)";
    let groups = finding::groups(tx, &finding.id)?;
    let detectors = finding.origin.iter().filter_map(|origin| match origin {
        Origin::Detector { name } => Some(name),
        Origin::Rule { .. } | Origin::Model { .. } => None,
    });
    for detector in detectors {
        for group in &groups {
            tx.prepare_cached(SQL)?.execute((
                uuid_at(now),
                tenant,
                group,
                detector,
                subject(&finding.fingerprint),
                &finding.id.0,
                is_real,
                now.as_nanos(),
            ))?;
        }
    }
    tx.prepare_cached(FORGET)?.execute((tenant, FEEDBACK_MAX))?;
    Ok(())
}

/// What a change of status says: a false positive is a verdict, opening again takes it back.
pub(in crate::store) fn hear_status(
    tx: &Transaction<'_>,
    tenant: i64,
    finding: &Finding,
    status: FindingStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    const UNDO: &str = "DELETE FROM feedback WHERE finding_id = ?1 AND is_real = 0";
    match status {
        FindingStatus::FalsePositive => hear(tx, tenant, finding, false, now),
        FindingStatus::Open => {
            tx.prepare_cached(UNDO)?.execute([&finding.id.0])?;
            Ok(())
        }
        FindingStatus::Acknowledged | FindingStatus::Resolved => Ok(()),
    }
}

/// What a detector's finding speaks of: the part of its fingerprint behind category, detector and host.
pub fn subject(fingerprint: &str) -> &str {
    fingerprint.splitn(4, '/').nth(3).unwrap_or_default()
}

/// The verdicts of a tenant, newest first.
pub fn list(conn: &Connection, tenant: i64, limit: usize) -> Result<Vec<Feedback>, StoreError> {
    // Walks the index feedback_tenant backwards.
    let sql = format!(
        "SELECT {COLUMNS} FROM feedback WHERE tenant_id = ?1 ORDER BY created_ns DESC, id DESC LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map((tenant, i64::try_from(limit).unwrap_or(i64::MAX)), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every verdict with its tenant's number.
pub fn all(conn: &Connection) -> Result<Vec<(i64, Feedback)>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM feedback ORDER BY created_ns, id");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(7)?, from_row(row)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Takes a verdict back; says whether there was one.
pub fn remove(tx: &Transaction<'_>, tenant: i64, id: &str) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM feedback WHERE id = ?1 AND tenant_id = ?2";
    Ok(tx.prepare_cached(SQL)?.execute((id, tenant))? > 0)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Feedback> {
    Ok(Feedback {
        id: row.get(0)?,
        finding: FindingId(row.get(1)?),
        group: row.get(2)?,
        detector: row.get(3)?,
        subject: row.get(4)?,
        is_real: row.get(5)?,
        created_at: Timestamp::from_nanos(row.get(6)?),
    })
}
