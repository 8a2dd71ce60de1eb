//! Positions of the engines in the intake log, and the analysis state carried per group.

use rusqlite::OptionalExtension;

use crate::store::{Connection, StoreError, Transaction};

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
pub fn set(
    tx: &Transaction<'_>,
    engine: &str,
    seq: u64,
    now: crate::model::Timestamp,
) -> Result<(), StoreError> {
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

/// Every group.
pub fn groups(conn: &Connection) -> Result<Vec<Group>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT tenant_id, name, seq, state FROM analysis_group")?;
    let rows = statement.query_map([], |row| {
        Ok(Group {
            tenant: row.get(0)?,
            name: row.get(1)?,
            seq: row.get::<_, i64>(2)?.unsigned_abs(),
            state: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The position of one group; 0 for an unknown one.
pub fn group_seq(conn: &Connection, tenant: i64, name: &str) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT seq FROM analysis_group WHERE tenant_id = ?1 AND name = ?2";
    let seq = conn.prepare_cached(SQL)?.query_row((tenant, name), |row| row.get::<_, i64>(0)).optional()?;
    Ok(seq.unwrap_or(0).unsigned_abs())
}

/// Writes a group's position and state.
pub fn set_group(tx: &Transaction<'_>, group: &Group) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT OR REPLACE INTO analysis_group (tenant_id, name, seq, state) VALUES (?1, ?2, ?3, ?4)";
    tx.prepare_cached(SQL)?.execute((group.tenant, &group.name, group.seq.cast_signed(), &group.state))?;
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
    use crate::{model::Timestamp, store::testing};

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
            store.write_blocking(move |tx| set_group(tx, &group)).unwrap();
        }
        let groups = store.read_blocking(all_groups).unwrap();
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].seq, groups[0].state.as_slice()), (5, b"b".as_slice()));
        let seq = |name| store.read_blocking(move |conn| group_seq(conn, 1, name)).unwrap();
        assert_eq!((seq("web-1"), seq("web-2")), (5, 0));
        store.write_blocking(|tx| remove_group(tx, 1, "web-1")).unwrap();
        assert!(store.read_blocking(all_groups).unwrap().is_empty());
    }
}
