//! Maintenance windows.

use rusqlite::{Row, types::Type};
use serde::{Deserialize, Serialize};

use crate::{
    model::{Maintenance, Timestamp, Weekly},
    store::{Connection, StoreError, Transaction, finding::uuid_at},
};

/// Maintenance windows of a tenant at most: each is asked about each finding.
pub const MAINTENANCE_WINDOWS_MAX: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct Doc {
    selector: String,
    weekly: Option<Weekly>,
    note: Option<String>,
}

const COLUMNS: &str = "id, created_ns, from_ns, to_ns, doc, tenant_id";

/// A new window's id.
pub fn new_id(now: Timestamp) -> String {
    uuid_at(now)
}

/// Adds a window; says whether there was room.
pub fn add(tx: &Transaction<'_>, tenant: i64, window: &Maintenance) -> Result<bool, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM maintenance WHERE tenant_id = ?1";
    const SQL: &str = "INSERT INTO maintenance (id, tenant_id, created_ns, from_ns, to_ns, doc)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let known = tx.prepare_cached(COUNT)?.query_row([tenant], |row| row.get::<_, i64>(0))?;
    if usize::try_from(known).is_ok_and(|known| known >= MAINTENANCE_WINDOWS_MAX) {
        return Ok(false);
    }
    let doc =
        Doc { selector: window.selector.clone(), weekly: window.weekly.clone(), note: window.note.clone() };
    let doc = serde_json::to_string(&doc)
        .map_err(|error| StoreError::Damaged { what: "maintenance window", cause: error.to_string() })?;
    tx.prepare_cached(SQL)?.execute((
        &window.id,
        tenant,
        window.created_at.as_nanos(),
        window.from.as_nanos(),
        window.to.as_nanos(),
        doc,
    ))?;
    Ok(true)
}

/// The windows of a tenant, those that end last first.
pub fn list(conn: &Connection, tenant: i64) -> Result<Vec<Maintenance>, StoreError> {
    // Walks the index maintenance_tenant backwards.
    let sql = format!("SELECT {COLUMNS} FROM maintenance WHERE tenant_id = ?1 ORDER BY to_ns DESC, id DESC");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([tenant], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every window with its tenant's number.
pub fn all(conn: &Connection) -> Result<Vec<(i64, Maintenance)>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM maintenance ORDER BY created_ns, id");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(5)?, from_row(row)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes a window; says whether there was one.
pub fn remove(tx: &Transaction<'_>, tenant: i64, id: &str) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM maintenance WHERE id = ?1 AND tenant_id = ?2";
    Ok(tx.prepare_cached(SQL)?.execute((id, tenant))? > 0)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Maintenance> {
    let doc: Doc = serde_json::from_str(&row.get::<_, String>(4)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, error.into()))?;
    Ok(Maintenance {
        id: row.get(0)?,
        created_at: Timestamp::from_nanos(row.get(1)?),
        from: Timestamp::from_nanos(row.get(2)?),
        to: Timestamp::from_nanos(row.get(3)?),
        selector: doc.selector,
        weekly: doc.weekly,
        note: doc.note,
    })
}
