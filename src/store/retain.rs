//! Retention: drops what is too old, and the oldest of what is too much. Findings stay.
//!
//! Small batches, each a transaction of its own, so that pushes never wait long behind them.

use super::{Connection, Store, StoreError, Transaction, compact::Progress, position, writer::LAST_SEQ};
use crate::{
    model::{StreamId, Timestamp},
    telemetry::StoreMetrics,
};

/// Chunks or blocks dropped per transaction.
const ROWS_PER_STEP: i64 = 64;
/// Windows and model calls forgotten per transaction.
const RECORDS_PER_STEP: i64 = 1_000;
/// Streams looked at per round of pruning.
const STREAMS_PER_STEP: usize = 1_000;
/// Free pages given back to the operating system per transaction.
const VACUUM_PAGES: u32 = 512;
/// Free pages kept for what comes next: growing the file again costs more than keeping some of it.
const FREE_PAGES_KEPT: i64 = 2_048;

/// Drops chunks that end before `oldest`. Blocks become chunks first.
pub(super) fn by_age(store: &Store, oldest: Timestamp) -> Result<Progress, StoreError> {
    // Searches the index chunk_age.
    const CHUNKS: &str = "DELETE FROM chunk WHERE id IN
        (SELECT id FROM chunk WHERE max_ns < ?1 ORDER BY max_ns LIMIT ?2) RETURNING entries";
    let values = (oldest.as_nanos(), ROWS_PER_STEP);
    let dropped = store.write_blocking(move |tx| drop_rows(tx, CHUNKS, values))?;
    count_dropped(&store.shared().metrics, "age", &dropped);
    Ok(dropped.progress())
}

/// Drops the oldest chunks, or when there are none the oldest blocks that every engine is done with.
pub(super) fn oldest(store: &Store) -> Result<Progress, StoreError> {
    let dropped = store.write_blocking(|tx| drop_oldest(tx, ROWS_PER_STEP))?;
    count_dropped(&store.shared().metrics, "size", &dropped);
    Ok(dropped.progress())
}

/// Drops so many of the oldest chunks, or when there are none of the oldest blocks that every engine is done with.
pub(super) fn drop_oldest(tx: &Transaction<'_>, rows: i64) -> Result<Dropped, StoreError> {
    const CHUNKS: &str = "DELETE FROM chunk WHERE id IN
        (SELECT id FROM chunk ORDER BY max_ns LIMIT ?1) RETURNING entries";
    const BLOCKS: &str = "DELETE FROM block WHERE seq IN
        (SELECT seq FROM block WHERE seq <= ?1 ORDER BY seq LIMIT ?2) RETURNING entries, seq";
    let chunks = drop_rows(tx, CHUNKS, [rows])?;
    if chunks.rows > 0 {
        return Ok(chunks);
    }
    let done = position::slowest(tx)?.map_or(i64::MAX, u64::cast_signed);
    const LAST: &str = "SELECT MAX(seq) FROM (SELECT seq FROM block WHERE seq <= ?1 ORDER BY seq LIMIT ?2)";
    let last: Option<i64> = tx.query_row(LAST, (done, rows), |row| row.get(0))?;
    if let Some(last) = last {
        note_last_seq(tx, last)?;
    }
    drop_rows(tx, BLOCKS, (done, rows))
}

/// Forgets windows and model calls from before `oldest`.
pub(super) fn records(store: &Store, oldest: Timestamp) -> Result<Progress, StoreError> {
    // Search the indexes window_newest, model_call_time and model_answer_age.
    const STATEMENTS: [&str; 3] = [
        "DELETE FROM window WHERE id IN
            (SELECT id FROM window WHERE closed_ns < ?1 AND state <> 'pending' ORDER BY closed_ns LIMIT ?2)",
        "DELETE FROM model_call WHERE id IN
            (SELECT id FROM model_call WHERE at_ns < ?1 ORDER BY at_ns LIMIT ?2)",
        "DELETE FROM model_answer WHERE digest_hash IN
            (SELECT digest_hash FROM model_answer WHERE at_ns < ?1 ORDER BY at_ns LIMIT ?2)",
    ];
    let rows = store.write_blocking(move |tx| {
        let mut rows = 0;
        for sql in STATEMENTS {
            rows += tx.prepare_cached(sql)?.execute((oldest.as_nanos(), RECORDS_PER_STEP))?;
        }
        Ok(rows)
    })?;
    Ok(if rows > 0 { Progress::MoreToDo } else { Progress::Idle })
}

/// Forgets streams to which nothing was pushed since `idle_since` and of which nothing is left.
pub(super) fn streams(store: &Store, idle_since: Timestamp) -> Result<(), StoreError> {
    // Anti-join over the index chunk_stream. With blocks around nothing is known of what they hold: only streams
    // older than the oldest block can be judged, and those idle long enough are older than any block.
    const SQL: &str = "SELECT id FROM stream WHERE created_ns < ?1
        AND NOT EXISTS (SELECT 1 FROM chunk WHERE stream_id = stream.id)
        AND NOT EXISTS (SELECT 1 FROM block WHERE received_ns < ?1) LIMIT ?2";
    let limit = i64::try_from(STREAMS_PER_STEP).unwrap_or(i64::MAX);
    let empty: Vec<StreamId> = store.read_blocking(|conn| {
        let mut statement = conn.prepare_cached(SQL)?;
        let rows = statement.query_map((idle_since.as_nanos(), limit), |row| row.get::<_, i64>(0))?;
        Ok(rows.map(|id| id.map(|id| StreamId(id.unsigned_abs()))).collect::<Result<_, _>>()?)
    })?;
    let forgotten = store.streams().forget(&empty, idle_since);
    if forgotten.is_empty() {
        return Ok(());
    }
    store.write_blocking(move |tx| {
        let mut statement = tx.prepare_cached("DELETE FROM stream WHERE id = ?1")?;
        for id in &forgotten {
            statement.execute([id.0.cast_signed()])?;
        }
        Ok(())
    })
}

/// Bytes of the database that hold something.
pub(super) fn used_bytes(conn: &Connection) -> Result<u64, StoreError> {
    let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(pages.saturating_mul(number("page_size")?).unsigned_abs())
}

/// Gives some free pages back to the operating system.
pub(super) fn vacuum(store: &Store) -> Result<Progress, StoreError> {
    if store.read_blocking(free_pages)? <= FREE_PAGES_KEPT {
        return Ok(Progress::Idle);
    }
    store.write_blocking(|tx| {
        give_back(tx, VACUUM_PAGES.into())?;
        Ok(Progress::MoreToDo)
    })
}

/// Pages of the database file that hold nothing.
pub(super) fn free_pages(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?)
}

/// Gives up to so many free pages back to the operating system.
pub(super) fn give_back(conn: &Connection, pages: i64) -> Result<(), StoreError> {
    // Each step of the statement frees one page.
    let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Remembers that numbers up to `seq` have been given, before the blocks that prove it are deleted.
pub(super) fn note_last_seq(tx: &Transaction<'_>, seq: i64) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO meta (key, value) VALUES (?1, ?2)
        ON CONFLICT (key) DO UPDATE SET value = MAX(value, excluded.value)";
    tx.prepare_cached(SQL)?.execute((LAST_SEQ, seq))?;
    Ok(())
}

/// What a step dropped.
pub(super) struct Dropped {
    pub(super) rows: u64,
    entries: u64,
}

impl Dropped {
    fn progress(&self) -> Progress {
        if self.rows > 0 { Progress::MoreToDo } else { Progress::Idle }
    }
}

/// Runs a deletion whose first returned column is the number of entries.
fn drop_rows(tx: &Transaction<'_>, sql: &str, values: impl rusqlite::Params) -> Result<Dropped, StoreError> {
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut dropped = Dropped { rows: 0, entries: 0 };
    while let Some(row) = rows.next()? {
        dropped.rows += 1;
        dropped.entries += row.get::<_, i64>(0)?.unsigned_abs();
    }
    Ok(dropped)
}

/// Counts what was dropped.
pub(super) fn count_dropped(metrics: &StoreMetrics, reason: &str, dropped: &Dropped) {
    metrics.dropped_entries.with_label_values(&[reason]).inc_by(dropped.entries);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{TenantId, WindowState},
        store::{
            compact,
            testing::{self, START, TestStore, push},
            window,
        },
    };

    fn count(store: &TestStore, table: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        store.read_blocking(|conn| Ok(conn.query_row(&sql, [], |row| row.get(0))?)).unwrap()
    }

    /// One push per second into a stream of its own.
    fn fill(store: &TestStore, pushes: u8) {
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for at in 1..=pushes {
            let batch = push(store, u128::from(at), &[(at, i64::from(at), b"line")]);
            rt.block_on(store.append(batch)).unwrap();
        }
    }

    #[test]
    fn what_ended_before_the_oldest_is_dropped() {
        let store = testing::store();
        fill(&store, 4);
        compact::blocks(&store, Timestamp::MAX).unwrap();
        assert_eq!(by_age(&store, START.plus(Duration::from_secs(3))).unwrap(), Progress::MoreToDo);
        assert_eq!(by_age(&store, START.plus(Duration::from_secs(3))).unwrap(), Progress::Idle);
        assert_eq!(count(&store, "chunk"), 2);
        assert_eq!(store.shared().metrics.dropped_entries.with_label_values(&["age"]).get(), 2);
    }

    #[test]
    fn room_is_made_from_chunks_then_from_analysed_blocks_only() {
        let mut store = testing::store();
        fill(&store, 2);
        compact::blocks(&store, Timestamp::MAX).unwrap();
        fill_more(&store);
        store.write_blocking(|tx| position::set(tx, position::name::ANALYZE, 3, START)).unwrap();
        assert_eq!(oldest(&store).unwrap(), Progress::MoreToDo);
        assert_eq!((count(&store, "chunk"), count(&store, "block")), (0, 2));
        assert_eq!(oldest(&store).unwrap(), Progress::MoreToDo);
        assert_eq!(count(&store, "block"), 1, "the one not yet analysed stays");
        assert_eq!(oldest(&store).unwrap(), Progress::Idle);
        store.reopen();
        assert_eq!(*store.head().borrow(), 4);
    }

    fn fill_more(store: &TestStore) {
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for at in 3..=4_u8 {
            let batch = push(store, u128::from(at), &[(at, i64::from(at), b"line")]);
            rt.block_on(store.append(batch)).unwrap();
        }
    }

    #[test]
    fn streams_go_with_their_last_line() {
        let store = testing::store();
        fill(&store, 2);
        let later = START.plus(Duration::from_secs(7_200));
        streams(&store, later).unwrap();
        assert_eq!(store.streams().count(), 2, "their lines are still in blocks");
        compact::blocks(&store, Timestamp::MAX).unwrap();
        by_age(&store, START.plus(Duration::from_secs(2))).unwrap();
        streams(&store, later).unwrap();
        assert_eq!((store.streams().count(), count(&store, "stream")), (1, 1));
        assert_eq!(store.streams().of_tenant(&TenantId::single())[0].labels.get("stream"), Some("2"));
    }

    #[test]
    fn old_windows_are_forgotten_unless_they_wait_for_the_model() {
        let store = testing::store();
        for (seq, state) in [(1, WindowState::Quiet), (2, WindowState::Pending)] {
            let window = window::WindowDraft {
                tenant: 1,
                group: "g".into(),
                first_seq: seq,
                from: START,
                to: START,
                closed: START,
                lines: 1,
                suspicious: 0,
                templates: 1,
                severity: crate::model::Severity::Info,
                state,
                exhibit: None,
            };
            store.write_blocking(move |tx| window::put(tx, &window)).unwrap();
        }
        assert_eq!(records(&store, START.plus(Duration::from_secs(1))).unwrap(), Progress::MoreToDo);
        assert_eq!(count(&store, "window"), 1);
    }

    #[test]
    fn freed_pages_go_back_to_the_system() {
        let store = testing::store();
        let fill = "CREATE TABLE ballast (x);
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
            INSERT INTO ballast SELECT randomblob(65536) FROM n; ";
        store.write_blocking(move |tx| Ok(tx.execute_batch(fill)?)).unwrap();
        let full = store.read_blocking(used_bytes).unwrap();
        store.write_blocking(|tx| Ok(tx.execute_batch("DROP TABLE ballast")?)).unwrap();
        assert!(full - store.read_blocking(used_bytes).unwrap() > 400 * 65_536);
        let pages = |store: &TestStore| {
            store
                .read_blocking(|conn| {
                    Ok(conn.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0))?)
                })
                .unwrap()
        };
        let before = pages(&store);
        assert_eq!(vacuum(&store).unwrap(), Progress::MoreToDo);
        let freed = before - pages(&store);
        assert!((i64::from(VACUUM_PAGES)..600).contains(&freed), "{freed} pages");
    }
}
