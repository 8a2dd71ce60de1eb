//! Following incidents: what has changed since a revision, and how far each follower is.
//!
//! Every write of an incident takes the next revision in the writer's transaction, so whoever walks them in order misses
//! nothing; an incident written twice meanwhile is seen once, as it is now.

use rusqlite::OptionalExtension;

use super::{COLUMNS, TABLES, from_row};
use crate::{
    model::{Incident, Timestamp},
    store::{Connection, StoreError, Transaction},
};

/// An incident that was written after the revision asked about.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Its revision.
    pub revision: u64,
    /// The tenant's number.
    pub tenant: i64,
    /// The incident as it is now.
    pub incident: Incident,
}

/// Incidents written after a revision, in the order of writing.
pub fn changed_after(conn: &Connection, revision: u64, limit: usize) -> Result<Vec<Changed>, StoreError> {
    // Walks the index incident_revision.
    let sql = format!(
        "SELECT {COLUMNS}, revision, incident.tenant_id FROM {TABLES} WHERE revision > ?1
         ORDER BY revision LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((revision.cast_signed(), limit), |row| {
        let revision = row.get::<_, i64>("revision")?.unsigned_abs();
        Ok(Changed { revision, tenant: row.get("tenant_id")?, incident: from_row(row)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The next revision after one, if anything was written since.
pub fn next_revision(conn: &Connection, revision: u64) -> Result<Option<u64>, StoreError> {
    // Searches the index incident_revision.
    const SQL: &str = "SELECT revision FROM incident WHERE revision > ?1 ORDER BY revision LIMIT 1";
    let mut statement = conn.prepare_cached(SQL)?;
    let next = statement.query_row([revision.cast_signed()], |row| row.get::<_, i64>(0)).optional()?;
    Ok(next.map(i64::unsigned_abs))
}

/// The newest revision; 0 when there are no incidents.
pub fn newest_revision(conn: &Connection) -> Result<u64, StoreError> {
    let newest = conn
        .prepare_cached("SELECT COALESCE(MAX(revision), 0) FROM incident")?
        .query_row([], |row| row.get::<_, i64>(0))?;
    Ok(newest.unsigned_abs())
}

/// The revision up to which a follower is done; `None` for one that is not known.
pub fn cursor(conn: &Connection, follower: &str) -> Result<Option<u64>, StoreError> {
    const SQL: &str = "SELECT revision FROM incident_cursor WHERE name = ?1";
    let at = conn.prepare_cached(SQL)?.query_row([follower], |row| row.get::<_, i64>(0)).optional()?;
    Ok(at.map(i64::unsigned_abs))
}

/// Moves a follower.
pub fn set_cursor(
    tx: &Transaction<'_>,
    follower: &str,
    revision: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO incident_cursor (name, revision, updated_ns) VALUES (?1, ?2, ?3)
        ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, updated_ns = excluded.updated_ns";
    tx.prepare_cached(SQL)?.execute((follower, revision.cast_signed(), now.as_nanos()))?;
    Ok(())
}

/// Forgets a follower.
pub fn remove_cursor(tx: &Transaction<'_>, follower: &str) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM incident_cursor WHERE name = ?1")?.execute([follower])?;
    Ok(())
}
