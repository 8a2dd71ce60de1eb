//! What is in the store: counts and sizes for people, not for engines.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{OptionalExtension, named_params};

use crate::{
    model::{StreamId, Timestamp},
    store::{Connection, StoreError, block},
};

/// Bytes of the database file.
pub fn database_bytes(conn: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
    Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)?)
}

/// When the oldest block after `seq` arrived: how far behind whoever stands at `seq` is.
pub fn received_after(conn: &Connection, seq: u64) -> Result<Option<Timestamp>, StoreError> {
    // By primary key.
    let sql = "SELECT received_ns FROM block WHERE seq > :seq ORDER BY seq LIMIT 1";
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let nanos = conn.query_row(sql, named_params! { ":seq": seq }, |row| row.get(0)).optional()?;
    Ok(nanos.map(Timestamp::from_nanos))
}

/// How many of a tenant's windows that were closed since `from` ended in each state.
pub fn window_states(
    conn: &Connection,
    tenant: i64,
    from: Timestamp,
) -> Result<BTreeMap<String, u64>, StoreError> {
    // Walks window_newest from `from` on.
    let sql =
        "SELECT state, count(*) FROM window WHERE closed_ns >= :from AND tenant_id = :tenant GROUP BY state";
    let mut statement = conn.prepare_cached(sql)?;
    let params = named_params! { ":from": from.as_nanos(), ":tenant": tenant };
    let rows = statement.query_map(params, |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is stored of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Entries; identical ones that are read back once may be counted twice.
    pub entries: u64,
    /// The first entry's time.
    pub first: Timestamp,
    /// The last entry's time.
    pub last: Timestamp,
}

impl Extent {
    fn join(self, other: Extent) -> Extent {
        Extent {
            entries: self.entries.saturating_add(other.entries),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// The extents of streams: chunks by their index, blocks not yet compacted by counting.
/// Looks through at most `max_bytes` of blocks, oldest first, and says whether that was all of them.
pub fn extents(
    conn: &Connection,
    streams: &[StreamId],
    max_bytes: usize,
) -> Result<(HashMap<StreamId, Extent>, bool), StoreError> {
    let mut extents = HashMap::new();
    for &stream in streams {
        if let Some(extent) = chunk_extent(conn, stream)? {
            extents.insert(stream, extent);
        }
    }
    let blocks = block::read_after(conn, 0, max_bytes)?;
    let wanted: std::collections::HashSet<StreamId> = streams.iter().copied().collect();
    for entry in blocks.iter().flat_map(block::Block::iter).filter(|entry| wanted.contains(&entry.stream)) {
        let one = Extent { entries: 1, first: entry.timestamp, last: entry.timestamp };
        extents.entry(entry.stream).and_modify(|extent| *extent = extent.join(one)).or_insert(one);
    }
    let is_complete = match blocks.last() {
        Some(last) => received_after(conn, last.seq)?.is_none(),
        None => true,
    };
    Ok((extents, is_complete))
}

fn chunk_extent(conn: &Connection, stream: StreamId) -> Result<Option<Extent>, StoreError> {
    // By chunk_stream.
    let sql = "SELECT sum(entries), min(min_ns), max(max_ns) FROM chunk WHERE stream_id = :stream";
    let mut statement = conn.prepare_cached(sql)?;
    let id = i64::try_from(stream.0).unwrap_or(i64::MAX);
    let row = statement.query_row(named_params! { ":stream": id }, |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    Ok(match row {
        (Some(entries), Some(first), Some(last)) => Some(Extent {
            entries: entries.unsigned_abs(),
            first: Timestamp::from_nanos(first),
            last: Timestamp::from_nanos(last),
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../../migrations/0001_init.sql")).unwrap();
        conn
    }

    #[test]
    fn windows_are_counted_by_state_within_the_range_and_tenant() {
        let conn = database();
        let insert =
            "INSERT INTO window (tenant_id, grp, first_seq, from_ns, to_ns, closed_ns, lines, suspicious,
                      templates, state) VALUES (?1, 'h', ?2, 0, 0, ?3, 1, 0, 1, ?4)";
        for (tenant, seq, closed, state) in
            [(1, 1, 5, "failed"), (1, 2, 10, "failed"), (1, 3, 11, "quiet"), (2, 4, 12, "quiet")]
        {
            conn.execute(insert, (tenant, seq, closed, state)).unwrap();
        }
        let states = window_states(&conn, 1, Timestamp::from_nanos(10)).unwrap();
        assert_eq!(states, BTreeMap::from([("failed".to_owned(), 1), ("quiet".to_owned(), 1)]));
    }

    #[test]
    fn a_streams_chunks_are_summed() {
        let conn = database();
        let insert = "INSERT INTO chunk (stream_id, min_ns, max_ns, entries, bytes, payload) VALUES (?1, ?2, ?3, ?4, 0, x'')";
        for chunk in [(7, 10, 20, 3), (7, 15, 40, 4), (8, 1, 99, 5)] {
            conn.execute(insert, chunk).unwrap();
        }
        let extent = chunk_extent(&conn, StreamId(7)).unwrap().unwrap();
        let expected =
            Extent { entries: 7, first: Timestamp::from_nanos(10), last: Timestamp::from_nanos(40) };
        assert_eq!(extent, expected);
        assert_eq!(chunk_extent(&conn, StreamId(9)).unwrap(), None);
    }
}
