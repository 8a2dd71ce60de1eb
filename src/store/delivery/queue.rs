//! The sender's side of deliveries: what is due, leases, digests and what became of a try.

use rusqlite::OptionalExtension;

use super::{New, insert, reason_of};
use crate::{
    model::{AlertReason, DeliveryState, IncidentId, Severity, Timestamp},
    store::{Connection, StoreError, Transaction},
};

/// A delivery that may be sent now.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its id.
    pub id: String,
    /// The tenant's number.
    pub tenant: i64,
    /// What it is about.
    pub incident: Option<IncidentId>,
    /// Why.
    pub reason: AlertReason,
    /// How bad.
    pub severity: Severity,
    /// Tries so far.
    pub attempts: u32,
    /// When it was queued.
    pub created: Timestamp,
    /// The message, redacted.
    pub doc: String,
}

/// What became of a try.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Where the delivery stands now.
    pub state: DeliveryState,
    /// When it is tried again, if it is.
    pub next: Timestamp,
    /// What was said.
    pub answer: String,
    /// What the service calls the message.
    pub handle: Option<String>,
}

/// What a channel may send now: untried first, then the worst, then the oldest. Of one incident nothing goes out before
/// what was queued earlier.
pub fn due(
    conn: &Connection,
    channel: &str,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Waiting>, StoreError> {
    // Walks the partial index delivery_waiting.
    const SQL: &str = "SELECT id, tenant_id, incident_id, reason, severity, attempts, created_ns, doc
        FROM delivery AS d WHERE state IN ('queued', 'sending') AND channel = ?1 AND next_ns <= ?2
            AND NOT EXISTS (SELECT 1 FROM delivery AS earlier WHERE earlier.incident_id = d.incident_id
                AND earlier.channel = d.channel AND earlier.state IN ('queued', 'sending')
                AND earlier.revision < d.revision)
        ORDER BY attempts, severity DESC, created_ns, id LIMIT ?3";
    let mut statement = conn.prepare_cached(SQL)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((channel, now.as_nanos(), limit), |row| {
        Ok(Waiting {
            id: row.get(0)?,
            tenant: row.get(1)?,
            incident: row.get::<_, Option<String>>(2)?.map(IncidentId),
            reason: reason_of(row, 3)?,
            severity: Severity::from_rank(row.get(4)?),
            attempts: row.get(5)?,
            created: Timestamp::from_nanos(row.get(6)?),
            doc: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the next delivery of a channel is due.
pub fn next_due(conn: &Connection, channel: &str) -> Result<Option<Timestamp>, StoreError> {
    // Searches the partial index delivery_waiting.
    const SQL: &str =
        "SELECT MIN(next_ns) FROM delivery WHERE state IN ('queued', 'sending') AND channel = ?1";
    let next =
        conn.prepare_cached(SQL)?.query_row([channel], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(next.flatten().map(Timestamp::from_nanos))
}

/// How many deliveries of a channel are not done.
pub fn count_waiting(conn: &Connection, channel: &str) -> Result<u64, StoreError> {
    // Counts in the partial index delivery_waiting.
    const SQL: &str = "SELECT COUNT(*) FROM delivery WHERE state IN ('queued', 'sending') AND channel = ?1";
    let count = conn.prepare_cached(SQL)?.query_row([channel], |row| row.get::<_, i64>(0))?;
    Ok(count.unsigned_abs())
}

/// Marks a delivery as being sent until `until`; false when it is not to be sent any more.
pub fn lease(tx: &Transaction<'_>, id: &str, until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
    const SQL: &str = "UPDATE delivery SET state = 'sending', next_ns = ?2, updated_ns = ?3
        WHERE id = ?1 AND state IN ('queued', 'sending')";
    Ok(tx.prepare_cached(SQL)?.execute((id, until.as_nanos(), now.as_nanos()))? > 0)
}

/// Makes one digest of several deliveries, being sent until `digest.next`. Those withdrawn meanwhile stay withdrawn.
pub fn fold(tx: &Transaction<'_>, ids: &[String], digest: &New, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE delivery SET state = 'folded', folded_into = ?2, updated_ns = ?3
        WHERE id = ?1 AND state IN ('queued', 'sending')";
    insert(tx, digest, now)?;
    let mut statement = tx.prepare_cached(SQL)?;
    for id in ids {
        statement.execute((id, &digest.id, now.as_nanos()))?;
    }
    Ok(())
}

/// Notes what became of a try.
pub fn settle(tx: &Transaction<'_>, id: &str, settled: &Settled, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE delivery SET state = ?2, next_ns = ?3, answer = ?4, handle = ?5,
            attempts = attempts + 1, updated_ns = ?6 WHERE id = ?1";
    tx.prepare_cached(SQL)?.execute((
        id,
        settled.state.as_str(),
        settled.next.as_nanos(),
        &settled.answer,
        &settled.handle,
        now.as_nanos(),
    ))?;
    Ok(())
}

/// Ends every lease: nobody is sending when the server has just started.
pub fn release(tx: &Transaction<'_>, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE delivery SET state = 'queued', next_ns = ?1 WHERE state = 'sending'";
    tx.prepare_cached(SQL)?.execute([now.as_nanos()])?;
    Ok(())
}

/// Gives up what waits for channels that are no longer configured.
pub fn unknown_channels(tx: &Transaction<'_>, known: &[String], now: Timestamp) -> Result<usize, StoreError> {
    let known = serde_json::to_string(known)
        .map_err(|error| StoreError::Damaged { what: "channel names", cause: error.to_string() })?;
    const SQL: &str = "UPDATE delivery SET state = 'failed', answer = 'the channel is no longer configured',
            updated_ns = ?2 WHERE state IN ('queued', 'sending')
            AND channel NOT IN (SELECT value FROM json_each(?1))";
    Ok(tx.prepare_cached(SQL)?.execute((known, now.as_nanos()))?)
}

/// What the service calls the newest message that told a channel of an incident, with its answer.
pub fn receipt(
    conn: &Connection,
    incident: &IncidentId,
    channel: &str,
) -> Result<Option<(String, Option<String>)>, StoreError> {
    // Searches the unique index.
    const SQL: &str = "SELECT answer, handle FROM delivery WHERE incident_id = ?1 AND channel = ?2
        AND state = 'delivered' ORDER BY revision DESC, id DESC LIMIT 1";
    let mut statement = conn.prepare_cached(SQL)?;
    Ok(statement.query_row((&incident.0, channel), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}
