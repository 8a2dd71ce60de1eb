//! Following findings: what has changed since a revision, and how far each follower is.
//!
//! Every write of a finding takes the next revision in the writer's transaction, so whoever walks them in order misses
//! nothing; a finding written twice meanwhile is seen once, as it is now.

use rusqlite::OptionalExtension;

use super::{COLUMNS, TABLES, from_row};
use crate::{
    model::{Finding, Timestamp},
    store::{Connection, StoreError, Transaction},
};

/// A finding that was written after the revision asked about.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Its revision.
    pub revision: u64,
    /// The tenant's number.
    pub tenant: i64,
    /// The finding as it is now.
    pub finding: Finding,
}

/// Findings written after a revision, in the order of writing.
pub fn changed_after(conn: &Connection, revision: u64, limit: usize) -> Result<Vec<Changed>, StoreError> {
    // Walks the index finding_revision.
    let sql = format!(
        "SELECT {COLUMNS}, revision, finding.tenant_id FROM {TABLES} WHERE revision > ?1
         ORDER BY revision LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((revision.cast_signed(), limit), |row| {
        let revision = row.get::<_, i64>("revision")?.unsigned_abs();
        Ok(Changed { revision, tenant: row.get("tenant_id")?, finding: from_row(row)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The next revision after one, if anything was written since.
pub fn next_revision(conn: &Connection, revision: u64) -> Result<Option<u64>, StoreError> {
    // Searches the index finding_revision.
    const SQL: &str = "SELECT revision FROM finding WHERE revision > ?1 ORDER BY revision LIMIT 1";
    let mut statement = conn.prepare_cached(SQL)?;
    let next = statement.query_row([revision.cast_signed()], |row| row.get::<_, i64>(0)).optional()?;
    Ok(next.map(i64::unsigned_abs))
}

/// The revision up to which a follower is done; 0 before the first.
pub fn cursor(conn: &Connection, follower: &str) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT revision FROM finding_cursor WHERE name = ?1";
    let at = conn.prepare_cached(SQL)?.query_row([follower], |row| row.get::<_, i64>(0)).optional()?;
    Ok(at.unwrap_or(0).unsigned_abs())
}

/// Moves a follower.
pub fn set_cursor(
    tx: &Transaction<'_>,
    follower: &str,
    revision: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO finding_cursor (name, revision, updated_ns) VALUES (?1, ?2, ?3)
        ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, updated_ns = excluded.updated_ns";
    tx.prepare_cached(SQL)?.execute((follower, revision.cast_signed(), now.as_nanos()))?;
    Ok(())
}
