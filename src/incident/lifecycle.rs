//! How incidents end and come back: silence closes them, the same thing opens them again, and what keeps coming back is
//! flapping.

use std::time::Duration;

use super::{Settings, Written};
use crate::{
    model::{FindingStatus, Incident, Timestamp},
    store::{
        Connection, StoreError, Transaction,
        incident::{self, IncidentChange},
    },
};

/// So many reopenings within a day are flapping.
const FLAPS: usize = 3;
const DAY: Duration = Duration::from_secs(86_400);
/// What the audit trail calls a reopening; flapping is counted by it.
const OPENED_AGAIN: &str = "opened again";
/// Incidents closed in one transaction.
const CLOSED_AT_ONCE: usize = 50;
/// What findings share is remembered for so long; what is common shows within days.
const KEYS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Keys forgotten in one transaction.
const KEYS_AT_ONCE: usize = 1_000;

/// Opens an incident again because the same thing has come back.
pub(super) fn reopen(incident: &mut Incident, at: Timestamp) {
    incident.status = FindingStatus::Open;
    incident.closed_at = None;
    incident.reopened += 1;
    incident.active_at = incident.active_at.max(at);
    incident::record(incident, "correlation", OPENED_AGAIN.to_owned(), at);
    let recent = |entry: &&crate::model::AuditEntry| entry.what == OPENED_AGAIN && at.since(entry.at) <= DAY;
    if !incident.is_flapping && incident.audit.iter().filter(recent).count() >= FLAPS {
        incident.is_flapping = true;
        incident::record(incident, "correlation", "flapping: comes and goes".to_owned(), at);
    }
}

/// Whether anything is to be closed or forgotten; a write that changes nothing would cost a sync.
pub(super) fn is_due(
    conn: &Connection,
    settings: &Settings,
    now: Timestamp,
    started: Timestamp,
) -> Result<bool, StoreError> {
    for (is_flapping, silence) in silences(settings) {
        let is_long = now.since(started) >= silence;
        if is_long && !incident::quiet(conn, is_flapping, now.minus(silence), 1)?.is_empty() {
            return Ok(true);
        }
    }
    incident::has_old_keys(conn, now.minus(KEYS_KEPT))
}

/// How long each sort of incident must be quiet.
fn silences(settings: &Settings) -> [(bool, Duration); 2] {
    [(false, settings.resolve_after), (true, settings.resolve_after.saturating_mul(2))]
}

/// Closes incidents for which nothing has arrived for long enough; flapping ones need twice as long. Silence is counted
/// from the start of the server at the earliest: while it was away, nothing could arrive.
pub(super) fn quiet(
    tx: &Transaction<'_>,
    settings: &Settings,
    now: Timestamp,
    started: Timestamp,
) -> Result<Written, StoreError> {
    let mut written = Written::default();
    for (is_flapping, silence) in silences(settings) {
        if now.since(started) < silence {
            continue;
        }
        for (tenant, id) in incident::quiet(tx, is_flapping, now.minus(silence), CLOSED_AT_ONCE)? {
            let over = IncidentChange { status: Some(FindingStatus::Resolved), note: None };
            incident::change(tx, tenant, &id, &over, ("silence", now))?;
            written.incidents.insert((tenant, id));
            written.events.push("resolved");
        }
    }
    incident::drop_old_keys(tx, now.minus(KEYS_KEPT), KEYS_AT_ONCE)?;
    written.open = incident::count_open(tx)?;
    Ok(written)
}
