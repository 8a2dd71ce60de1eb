//! Deliveries: messages on their way to channels, one row each, written before anything is sent.
//!
//! A row is queued, leased while it is being sent (a lease that ends unheard of makes it due again), and settled by the
//! service's answer. `queue` is the sender's side, `list` answers the API.

mod list;
mod queue;

pub use list::{DeliveryFilter, list};
pub use queue::{
    Settled, Waiting, count_waiting, due, fold, lease, next_due, receipt, release, settle, unknown_channels,
};
use rusqlite::OptionalExtension;

use crate::{
    model::{AlertReason, DeliveryState, IncidentId, Severity, Timestamp},
    store::{Connection, StoreError, Transaction, finding::uuid_at},
};

/// A delivery to be written.
#[derive(Clone, Debug)]
pub struct New {
    /// Its id.
    pub id: String,
    /// The tenant's number.
    pub tenant: i64,
    /// What it is about.
    pub incident: Option<IncidentId>,
    /// The incident's revision.
    pub revision: u64,
    /// Over which channel.
    pub channel: String,
    /// Why.
    pub reason: AlertReason,
    /// How bad.
    pub severity: Severity,
    /// How often the incident was opened again.
    pub reopened: u64,
    /// How many events.
    pub count: u64,
    /// Queued, or what became of it at once.
    pub state: DeliveryState,
    /// When to try.
    pub next: Timestamp,
    /// Why it is not queued, if it is not.
    pub answer: &'static str,
    /// The message, redacted.
    pub doc: String,
}

/// What a channel was last told of an incident, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The delivery.
    pub id: String,
    /// Why.
    pub reason: AlertReason,
    /// How bad it was.
    pub severity: Severity,
    /// How often it had been opened again.
    pub reopened: u64,
    /// How many events it had.
    pub count: u64,
    /// Whether nothing of it has been sent yet, so that it may still be changed.
    pub is_waiting: bool,
    /// When it is or was to be sent.
    pub next: Timestamp,
    /// When it last changed.
    pub at: Timestamp,
}

/// A new delivery's id.
pub fn new_id(now: Timestamp) -> String {
    uuid_at(now)
}

/// Writes a delivery; says whether it is new: the same channel is told the same thing of one revision once.
pub fn insert(tx: &Transaction<'_>, new: &New, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT OR IGNORE INTO delivery (id, tenant_id, incident_id, revision, channel, reason,
            severity, reopened, count, state, created_ns, next_ns, updated_ns, answer, doc)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11, ?13, ?14)";
    let written = tx.prepare_cached(SQL)?.execute(rusqlite::params![
        new.id,
        new.tenant,
        new.incident.as_ref().map(|id| &id.0),
        new.revision.cast_signed(),
        new.channel,
        new.reason.as_str(),
        new.severity.rank(),
        new.reopened.cast_signed(),
        new.count.cast_signed(),
        new.state.as_str(),
        now.as_nanos(),
        new.next.as_nanos(),
        new.answer,
        new.doc,
    ])?;
    Ok(written > 0)
}

/// Brings a delivery of which nothing was sent up to date; false when it is too late for that.
pub fn refresh(tx: &Transaction<'_>, id: &str, new: &New, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str =
        "UPDATE delivery SET revision = ?2, severity = ?3, reopened = ?4, count = ?5, next_ns = ?6,
            updated_ns = ?7, doc = ?8 WHERE id = ?1 AND state = 'queued' AND attempts = 0";
    let written = tx.prepare_cached(SQL)?.execute(rusqlite::params![
        id,
        new.revision.cast_signed(),
        new.severity.rank(),
        new.reopened.cast_signed(),
        new.count.cast_signed(),
        new.next.as_nanos(),
        now.as_nanos(),
        new.doc,
    ])?;
    Ok(written > 0)
}

/// Takes back a delivery of which nothing was sent; false when it is too late for that.
pub fn withdraw(tx: &Transaction<'_>, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE delivery SET state = 'withdrawn', updated_ns = ?2
        WHERE id = ?1 AND state = 'queued' AND attempts = 0";
    Ok(tx.prepare_cached(SQL)?.execute((id, now.as_nanos()))? > 0)
}

/// What a channel was last told of an incident.
pub fn last_told(
    conn: &Connection,
    incident: &IncidentId,
    channel: &str,
) -> Result<Option<Told>, StoreError> {
    // Searches the unique index.
    const SQL: &str =
        "SELECT id, reason, severity, reopened, count, state = 'queued' AND attempts = 0, next_ns,
            updated_ns FROM delivery WHERE incident_id = ?1 AND channel = ?2 AND state <> 'withdrawn'
        ORDER BY revision DESC, id DESC LIMIT 1";
    let mut statement = conn.prepare_cached(SQL)?;
    let told = statement.query_row((&incident.0, channel), |row| {
        Ok(Told {
            id: row.get(0)?,
            reason: reason_of(row, 1)?,
            severity: Severity::from_rank(row.get(2)?),
            reopened: row.get::<_, i64>(3)?.unsigned_abs(),
            count: row.get::<_, i64>(4)?.unsigned_abs(),
            is_waiting: row.get(5)?,
            next: Timestamp::from_nanos(row.get(6)?),
            at: Timestamp::from_nanos(row.get(7)?),
        })
    });
    Ok(told.optional()?)
}

/// Forgets settled deliveries last changed before a time; those of open incidents are what was told of them, and stay.
pub fn drop_old(tx: &Transaction<'_>, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
    // Walks the partial index delivery_age.
    const SQL: &str = "DELETE FROM delivery WHERE rowid IN (
        SELECT delivery.rowid FROM delivery LEFT JOIN incident ON incident.id = incident_id
        WHERE delivery.state NOT IN ('queued', 'sending') AND delivery.updated_ns < ?1
            AND (incident.id IS NULL OR incident.status NOT IN ('open', 'acknowledged')) LIMIT ?2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx.prepare_cached(SQL)?.execute((before.as_nanos(), limit))?)
}

fn reason_of(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<AlertReason> {
    let text: String = row.get(at)?;
    AlertReason::parse(&text).ok_or_else(|| damaged(at, "unknown reason"))
}

fn state_of(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<DeliveryState> {
    let text: String = row.get(at)?;
    DeliveryState::parse(&text).ok_or_else(|| damaged(at, "unknown state"))
}

fn damaged(at: usize, cause: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, cause.into())
}
