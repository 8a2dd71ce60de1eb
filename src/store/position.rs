//! Positions of the engines in the intake log, and the analysis state carried per group.

use rusqlite::{OptionalExtension, Row};

use crate::{
    model::Timestamp,
    store::{Connection, StoreError, Transaction},
};

/// The engines that follow the intake log. Compaction and retention by size never pass the slowest registered one.
pub mod name {
    /// The analysis.
    pub const ANALYZE: &str = "analyze";
    /// The forwarder.
    pub const FORWARD: &str = "forward";
}

/// The last block the engine is done with; 0 before the first.
pub fn get(conn: &Connection, engine: &str) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT seq FROM position WHERE name = ?1";
    let seq = conn.prepare_cached(SQL)?.query_row([engine], |row| row.get::<_, i64>(0)).optional()?;
    Ok(seq.unwrap_or(0).unsigned_abs())
}

/// Moves the engine's position.
pub fn set(tx: &Transaction<'_>, engine: &str, seq: u64, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO position (name, seq, updated_ns) VALUES (?1, ?2, ?3)
        ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, updated_ns = excluded.updated_ns";
    tx.prepare_cached(SQL)?.execute((engine, seq.cast_signed(), now.as_nanos()))?;
    Ok(())
}

/// Forgets an engine that no longer runs (forward switched off), so that it holds nothing back.
pub fn remove(tx: &Transaction<'_>, engine: &str) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM position WHERE name = ?1")?.execute([engine])?;
    Ok(())
}

/// The position of the slowest registered engine; `None` when there is none.
pub(crate) fn slowest(conn: &Connection) -> Result<Option<u64>, StoreError> {
    const SQL: &str = "SELECT MIN(seq) FROM position";
    let seq = conn.prepare_cached(SQL)?.query_row([], |row| row.get::<_, Option<i64>>(0))?;
    Ok(seq.map(i64::unsigned_abs))
}

/// A group's analysis position and state.
pub struct Group {
    /// The tenant's number.
    pub tenant: i64,
    /// The group's name within the tenant.
    pub name: String,
    /// Every block up to this one is analysed for this group.
    pub seq: u64,
    /// What the engine carries from window to window; opaque here.
    pub state: Vec<u8>,
}

/// The groups that had lines last, at most `limit`.
pub fn groups(conn: &Connection, limit: usize) -> Result<Vec<Group>, StoreError> {
    const SQL: &str = "SELECT tenant_id, name, seq, state FROM analysis_group
        ORDER BY seq DESC, tenant_id, name LIMIT ?1";
    let mut statement = conn.prepare_cached(SQL)?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One group.
pub fn group(conn: &Connection, tenant: i64, name: &str) -> Result<Option<Group>, StoreError> {
    const SQL: &str =
        "SELECT tenant_id, name, seq, state FROM analysis_group WHERE tenant_id = ?1 AND name = ?2";
    Ok(conn.prepare_cached(SQL)?.query_row((tenant, name), from_row).optional()?)
}

/// Groups whose last window closed before `before`, and of which no block behind `seq` was analysed: nothing of them
/// would be analysed again after a crash.
pub fn silent(
    conn: &Connection,
    before: Timestamp,
    seq: u64,
    limit: usize,
) -> Result<Vec<(i64, String)>, StoreError> {
    const SQL: &str = "SELECT tenant_id, name FROM analysis_group WHERE closed_ns < ?1 AND seq <= ?2
        ORDER BY closed_ns LIMIT ?3";
    let mut statement = conn.prepare_cached(SQL)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement
        .query_map((before.as_nanos(), seq.cast_signed(), limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        tenant: row.get(0)?,
        name: row.get(1)?,
        seq: row.get::<_, i64>(2)?.unsigned_abs(),
        state: row.get(3)?,
    })
}

/// The position of one group; 0 for an unknown one.
pub fn group_seq(conn: &Connection, tenant: i64, name: &str) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT seq FROM analysis_group WHERE tenant_id = ?1 AND name = ?2";
    let seq = conn.prepare_cached(SQL)?.query_row((tenant, name), |row| row.get::<_, i64>(0)).optional()?;
    Ok(seq.unwrap_or(0).unsigned_abs())
}

/// Writes a group's position and state; its window closed at `closed`.
pub fn set_group(tx: &Transaction<'_>, group: &Group, closed: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT OR REPLACE INTO analysis_group (tenant_id, name, seq, state, closed_ns)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let Group { tenant, name, seq, state } = group;
    tx.prepare_cached(SQL)?.execute((tenant, name, seq.cast_signed(), state, closed.as_nanos()))?;
    Ok(())
}

/// Forgets a group that has been silent for long, so that names chosen by senders do not pile up.
pub fn remove_group(tx: &Transaction<'_>, tenant: i64, name: &str) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM analysis_group WHERE tenant_id = ?1 AND name = ?2";
    tx.prepare_cached(SQL)?.execute((tenant, name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{groups as all_groups, set as position_set, *};
    use crate::store::testing;

    #[test]
    fn the_slowest_registered_engine_counts() {
        let store = testing::store();
        let now = Timestamp::from_secs(1);
        let set = |engine: &'static str, seq| {
            store.write_blocking(move |tx| position_set(tx, engine, seq, now)).unwrap();
        };
        assert_eq!(store.read_blocking(slowest).unwrap(), None);
        set(name::ANALYZE, 9);
        set(name::FORWARD, 4);
        assert_eq!(store.read_blocking(slowest).unwrap(), Some(4));
        set(name::FORWARD, 12);
        assert_eq!(store.read_blocking(|conn| get(conn, name::FORWARD)).unwrap(), 12);
        assert_eq!(store.read_blocking(slowest).unwrap(), Some(9));
        store.write_blocking(|tx| remove(tx, name::ANALYZE)).unwrap();
        assert_eq!(store.read_blocking(slowest).unwrap(), Some(12));
        assert_eq!(store.read_blocking(|conn| get(conn, name::ANALYZE)).unwrap(), 0);
    }

    #[test]
    fn a_group_is_one_row_with_its_latest_state() {
        let store = testing::store();
        for (seq, state) in [(3, b"a".to_vec()), (5, b"b".to_vec())] {
            let group = Group { tenant: 1, name: "web-1".into(), seq, state };
            store.write_blocking(move |tx| set_group(tx, &group, Timestamp::from_secs(9))).unwrap();
        }
        let all = || store.read_blocking(|conn| all_groups(conn, 10)).unwrap();
        let groups = all();
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].seq, groups[0].state.as_slice()), (5, b"b".as_slice()));
        let seq = |name| store.read_blocking(move |conn| group_seq(conn, 1, name)).unwrap();
        assert_eq!((seq("web-1"), seq("web-2")), (5, 0));
        let silent = |secs, seq| {
            store.read_blocking(move |conn| silent(conn, Timestamp::from_secs(secs), seq, 10)).unwrap()
        };
        assert_eq!(silent(10, 5), [(1, "web-1".to_owned())]);
        assert!(silent(9, 5).is_empty(), "its window closed no earlier");
        assert!(silent(10, 4).is_empty(), "its last block would be read again");
        store.write_blocking(|tx| remove_group(tx, 1, "web-1")).unwrap();
        assert!(all().is_empty());
    }
}
