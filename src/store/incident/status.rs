//! Where an incident stands: changed together with its findings, in the transaction of whoever changes either.

use super::{get, put};
use crate::{
    model::{AuditEntry, FindingId, FindingStatus, Incident, IncidentId, Timestamp},
    store::{
        Connection, StoreError, Transaction,
        finding::{self, FindingChange},
    },
};

/// Entries of an incident's audit trail; the newest are kept.
const AUDIT_MAX: usize = 100;

/// What a person, or time, may change.
#[derive(Clone, Debug, Default)]
pub struct IncidentChange {
    /// The new status.
    pub status: Option<FindingStatus>,
    /// The new note; an empty one removes it.
    pub note: Option<String>,
}

/// Changes an incident, and with its status that of its findings; `None` when there is no such incident. Says which
/// findings have changed.
pub fn change(
    tx: &Transaction<'_>,
    tenant: i64,
    id: &IncidentId,
    change: &IncidentChange,
    by: (&str, Timestamp),
) -> Result<Option<(Incident, Vec<FindingId>)>, StoreError> {
    let Some(mut incident) = get(tx, tenant, id)? else { return Ok(None) };
    let (by, now) = by;
    let mut carried = Vec::new();
    if let Some(status) = change.status.filter(|status| *status != incident.status) {
        set_status(&mut incident, status, by, now);
        carried = carry(tx, tenant, id, status, now)?;
    }
    if let Some(note) = &change.note {
        incident.note = Some(note.clone()).filter(|note| !note.is_empty());
        record(&mut incident, by, "note changed".to_owned(), now);
    }
    incident.updated_at = now;
    put(tx, tenant, &incident, super::kind(tx, id)?.as_deref())?;
    Ok(Some((incident, carried)))
}

/// Makes the incident stand where its findings stand, after one of them was changed. Says whether that was a change.
pub fn follow_findings(
    tx: &Transaction<'_>,
    tenant: i64,
    id: &IncidentId,
    by: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(mut incident) = get(tx, tenant, id)? else { return Ok(false) };
    let status = of_findings(tx, id, incident.status)?;
    // What keeps coming back is not over because it is gone once more: it must stay quiet.
    let stays = incident.is_flapping && by == "recovery" && status == FindingStatus::Resolved;
    if status == incident.status || stays {
        return Ok(false);
    }
    set_status(&mut incident, status, by, now);
    incident.updated_at = now;
    put(tx, tenant, &incident, super::kind(tx, id)?.as_deref())?;
    Ok(true)
}

/// Adds to the audit trail.
pub fn record(incident: &mut Incident, by: &str, what: String, at: Timestamp) {
    if incident.audit.len() >= AUDIT_MAX {
        incident.audit.remove(0);
    }
    incident.audit.push(AuditEntry { at, by: by.to_owned(), what });
}

fn set_status(incident: &mut Incident, to: FindingStatus, by: &str, now: Timestamp) {
    let is_open = |status| matches!(status, FindingStatus::Open | FindingStatus::Acknowledged);
    if !is_open(incident.status) && is_open(to) {
        incident.reopened += 1;
    }
    incident.closed_at = if is_open(to) { None } else { incident.closed_at.or(Some(now)) };
    incident.status = to;
    incident.is_flapping &= is_open(to);
    record(incident, by, format!("status {}", to.as_str()), now);
}

/// The status that the findings together have; `now` where they disagree about nothing that matters.
fn of_findings(
    conn: &Connection,
    id: &IncidentId,
    current: FindingStatus,
) -> Result<FindingStatus, StoreError> {
    use FindingStatus::{Acknowledged, FalsePositive, Open, Resolved};
    // Searches the index finding_incident.
    const SQL: &str = "SELECT status, COUNT(*) FROM finding WHERE incident_id = ?1 GROUP BY status";
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map([&id.0], |row| row.get::<_, String>(0))?;
    let present = rows.collect::<Result<Vec<_>, _>>()?;
    let has = |status: FindingStatus| present.iter().any(|name| name == status.as_str());
    Ok(match (has(Open), has(Acknowledged)) {
        (true, _) if current == Acknowledged => Acknowledged,
        (true, _) => Open,
        (false, true) => Acknowledged,
        (false, false) if has(Resolved) => Resolved,
        (false, false) if has(FalsePositive) => FalsePositive,
        (false, false) => current,
    })
}

/// Moves the findings along.
fn carry(
    tx: &Transaction<'_>,
    tenant: i64,
    id: &IncidentId,
    to: FindingStatus,
    now: Timestamp,
) -> Result<Vec<FindingId>, StoreError> {
    // Searches the index finding_incident.
    let sql = match to {
        FindingStatus::Acknowledged => "SELECT id FROM finding WHERE incident_id = ?1 AND status = 'open'",
        FindingStatus::Open => "SELECT id FROM finding WHERE incident_id = ?1 AND status <> 'open'",
        FindingStatus::Resolved | FindingStatus::FalsePositive => {
            "SELECT id FROM finding WHERE incident_id = ?1 AND status IN ('open', 'acknowledged')"
        }
    };
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([&id.0], |row| row.get(0).map(FindingId))?;
    let ids: Vec<FindingId> = rows.collect::<Result<_, _>>()?;
    let wanted = FindingChange { status: Some(to), note: None };
    for finding in &ids {
        finding::change(tx, tenant, finding, &wanted, now)?;
    }
    Ok(ids)
}
