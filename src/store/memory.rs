//! What the detectors remember, in opaque rows per group; written with the window that changed them.

use crate::{
    model::Learning,
    store::{Connection, StoreError, Transaction},
};

/// One row of a group's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRow {
    /// Which detector's; numbers are the analysis's own.
    pub part: u8,
    /// What it is about within the part.
    pub key: u64,
    /// What is remembered; `None` forgets the row.
    pub state: Option<Vec<u8>>,
}

/// A row with its group.
pub struct StoredRow {
    /// The tenant's number.
    pub tenant: i64,
    /// The group's name.
    pub group: String,
    /// The row itself.
    pub row: MemoryRow,
}

/// Writes the rows of one group.
pub fn put(tx: &Transaction<'_>, tenant: i64, group: &str, rows: &[MemoryRow]) -> Result<(), StoreError> {
    const PUT: &str =
        "INSERT OR REPLACE INTO detect_memory (tenant_id, grp, part, key, state) VALUES (?1, ?2, ?3, ?4, ?5)";
    const FORGET: &str =
        "DELETE FROM detect_memory WHERE tenant_id = ?1 AND grp = ?2 AND part = ?3 AND key = ?4";
    let (mut put, mut forget) = (tx.prepare_cached(PUT)?, tx.prepare_cached(FORGET)?);
    for MemoryRow { part, key, state } in rows {
        match state {
            Some(state) => put.execute((tenant, group, part, key.cast_signed(), state))?,
            None => forget.execute((tenant, group, part, key.cast_signed()))?,
        };
    }
    Ok(())
}

/// Forgets a group.
pub fn remove(tx: &Transaction<'_>, tenant: i64, group: &str) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM detect_memory WHERE tenant_id = ?1 AND grp = ?2";
    tx.prepare_cached(SQL)?.execute((tenant, group))?;
    Ok(())
}

/// Every row of one group, for the analysis.
pub fn of(conn: &Connection, tenant: i64, group: &str) -> Result<Vec<MemoryRow>, StoreError> {
    const SQL: &str =
        "SELECT part, key, state FROM detect_memory WHERE tenant_id = ?1 AND grp = ?2 ORDER BY part, key";
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map((tenant, group), |row| {
        let key = row.get::<_, i64>(1)?.cast_unsigned();
        Ok(MemoryRow { part: row.get(0)?, key, state: Some(row.get(2)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The rows of one part of one group, for readers.
pub fn part(conn: &Connection, tenant: i64, group: &str, part: u8) -> Result<Vec<MemoryRow>, StoreError> {
    const SQL: &str =
        "SELECT key, state FROM detect_memory WHERE tenant_id = ?1 AND grp = ?2 AND part = ?3 ORDER BY key";
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map((tenant, group, part), |row| {
        Ok(MemoryRow { part, key: row.get::<_, i64>(0)?.cast_unsigned(), state: Some(row.get(1)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The part of what is known of a group's learning, in JSON, for readers beside the analysis.
pub const LEARNING: u8 = 1;

/// The learning of a tenant's groups by name, from after the given one on.
pub fn learning(
    conn: &Connection,
    tenant: i64,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Learning)>, StoreError> {
    // Walks the primary key of analysis_group and looks up one row each.
    const SQL: &str = "SELECT name, detect_memory.state FROM analysis_group JOIN detect_memory
          ON detect_memory.tenant_id = analysis_group.tenant_id AND grp = name AND part = ?2 AND key = 0
        WHERE analysis_group.tenant_id = ?1 AND (?3 IS NULL OR name > ?3) ORDER BY name LIMIT ?4";
    let mut statement = conn.prepare_cached(SQL)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((tenant, LEARNING, after, limit), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let rows: Vec<(String, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
    let damaged =
        |error: serde_json::Error| StoreError::Damaged { what: "learning", cause: error.to_string() };
    let read =
        |(group, state): (String, Vec<u8>)| Ok((group, serde_json::from_slice(&state).map_err(damaged)?));
    rows.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::{of as of_group, part as rows_of, put as write, remove as forget, *};
    use crate::store::testing;

    fn row(part: u8, key: u64, state: Option<&[u8]>) -> MemoryRow {
        MemoryRow { part, key, state: state.map(<[u8]>::to_vec) }
    }

    #[test]
    fn rows_are_replaced_forgotten_and_kept_apart_by_group() {
        let store = testing::store();
        let put = |group: &'static str, rows: Vec<MemoryRow>| {
            store.write_blocking(move |tx| write(tx, 1, group, &rows)).unwrap();
        };
        put("a", vec![row(1, u64::MAX, Some(b"x")), row(1, 2, Some(b"y")), row(2, 2, Some(b"z"))]);
        put("b", vec![row(1, 2, Some(b"other"))]);
        put("a", vec![row(1, 2, Some(b"new")), row(1, u64::MAX, None)]);
        let of = |group, part| store.read_blocking(|conn| rows_of(conn, 1, group, part)).unwrap();
        assert_eq!(of("a", 1), [row(1, 2, Some(b"new"))]);
        assert_eq!(of("b", 1), [row(1, 2, Some(b"other"))]);
        store.write_blocking(|tx| forget(tx, 1, "a")).unwrap();
        let left = |group| store.read_blocking(|conn| of_group(conn, 1, group)).unwrap();
        assert!(left("a").is_empty());
        assert_eq!(left("b"), [row(1, 2, Some(b"other"))]);
    }
}
