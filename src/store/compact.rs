//! Compaction: old blocks become one sorted, well compressed chunk per stream; small neighbouring chunks become one.
//!
//! Reading and compressing happen beside the writer, on the caller's thread; only inserting and deleting is a
//! transaction of the writer, so an entry is always in exactly one place. Each step handles a bounded amount.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{
    Connection, Store, StoreError, block,
    chunk::{self, ChunkEncoder, EncodedChunk},
    entries::{Encoder, Entries, RawEntry},
    position, retain,
};
use crate::model::{StreamId, Timestamp};

/// Plain bytes per step: what one transaction replaces, and about half of what is held in memory meanwhile.
const STEP_BYTES: usize = 8 * 1024 * 1024;
/// Line bytes per chunk: large enough to compress well, small enough to be read for a few lines of it.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Chunks below this are worth merging.
const SMALL_BYTES: i64 = 256 * 1024;
/// So many small neighbours are merged at once; waiting for more would not save much.
const NEIGHBOURS_MIN: usize = 8;

/// Whether there may be more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Something was done; ask again.
    MoreToDo,
    /// Nothing to do for now.
    Idle,
}

/// Compacts some of the blocks that arrived before `before` and that every registered engine is done with.
pub(super) fn blocks(store: &Store, before: Timestamp) -> Result<Progress, StoreError> {
    let Some(step) = store.read_blocking(|conn| read_blocks(conn, before))? else {
        return Ok(Progress::Idle);
    };
    let chunks = chunks_of(&step.entries)?;
    let entries = chunks.iter().map(|chunk| u64::from(chunk.entries)).sum();
    let (last, damaged) = (step.last, step.damaged);
    store.write_blocking(move |tx| {
        for chunk in &chunks {
            chunk::insert(tx, None, chunk)?;
        }
        retain::note_last_seq(tx, last)?;
        tx.prepare_cached("DELETE FROM block WHERE seq <= ?1")?.execute([last])?;
        Ok(())
    })?;
    let metrics = &store.shared().metrics;
    metrics.compacted_entries.inc_by(entries);
    metrics.damaged.inc_by(damaged);
    Ok(Progress::MoreToDo)
}

/// Merges small chunks that follow each other in the order they were made, in a stream with many of them. The merged ones
/// take the numbers of the first, so lines of equal time stay in order of arrival over all chunks of the stream.
pub(super) fn merge(store: &Store) -> Result<Progress, StoreError> {
    let Some(run) = store.read_blocking(read_small)? else { return Ok(Progress::Idle) };
    let merged = chunks_of(&run.entries)?;
    let damaged = run.damaged;
    store.write_blocking(move |tx| {
        let mut delete = tx.prepare_cached("DELETE FROM chunk WHERE id = ?1")?;
        for id in &run.ids {
            delete.execute([id])?;
        }
        // Never more than there were: each holds more than a small one.
        let numbers = run.ids.iter().copied().map(Some).chain(std::iter::repeat(None));
        for (chunk, number) in merged.iter().zip(numbers) {
            chunk::insert(tx, number, chunk)?;
        }
        Ok(())
    })?;
    store.shared().metrics.damaged.inc_by(damaged);
    Ok(Progress::MoreToDo)
}

/// Blocks read for one step.
struct BlockStep {
    last: i64,
    entries: Vec<Entries>,
    damaged: u64,
}

fn read_blocks(conn: &Connection, before: Timestamp) -> Result<Option<BlockStep>, StoreError> {
    // Walks the primary key from its beginning.
    const SQL: &str = "SELECT seq, received_ns, bytes, payload FROM block WHERE seq <= ?1 ORDER BY seq";
    let done = position::slowest(conn)?.map_or(i64::MAX, u64::cast_signed);
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query([done])?;
    let mut step = BlockStep { last: 0, entries: Vec::new(), damaged: 0 };
    let mut bytes = 0_usize;
    while let Some(row) = rows.next()? {
        if Timestamp::from_nanos(row.get(1)?) >= before || bytes >= STEP_BYTES {
            break;
        }
        let payload = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        step.last = row.get(0)?;
        match block::decode(payload) {
            Ok(entries) => {
                bytes = bytes.saturating_add(entries.plain_len());
                step.entries.push(entries);
            }
            Err(error) => {
                tracing::error!(block = step.last, %error, "dropping a block that cannot be read");
                step.damaged += 1;
            }
        }
    }
    Ok((step.last > 0).then_some(step))
}

/// Neighbouring small chunks of one stream.
struct Run {
    ids: Vec<i64>,
    entries: Vec<Entries>,
    damaged: u64,
}

fn read_small(conn: &Connection) -> Result<Option<Run>, StoreError> {
    // Uses the index chunk_stream, which covers all but the payload.
    const STREAMS: &str = "SELECT stream_id FROM chunk WHERE bytes < ?1 GROUP BY stream_id
        HAVING COUNT(*) >= ?2 ORDER BY COUNT(*) DESC";
    let mut statement = conn.prepare_cached(STREAMS)?;
    let mut rows = statement.query((SMALL_BYTES, NEIGHBOURS_MIN as i64))?;
    while let Some(row) = rows.next()? {
        let ids = neighbours(conn, row.get(0)?)?;
        if ids.len() >= NEIGHBOURS_MIN {
            return read_run(conn, ids).map(Some);
        }
    }
    Ok(None)
}

/// The first long enough run of small chunks of a stream, or else its last one; in order of arrival, which is that of
/// the numbers.
fn neighbours(conn: &Connection, stream: i64) -> Result<Vec<i64>, StoreError> {
    const CHUNKS: &str = "SELECT id, bytes FROM chunk WHERE stream_id = ?1 ORDER BY id";
    let mut statement = conn.prepare_cached(CHUNKS)?;
    let mut rows = statement.query([stream])?;
    let (mut ids, mut total) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let bytes: i64 = row.get(1)?;
        if bytes < SMALL_BYTES && total < CHUNK_BYTES {
            total = total.saturating_add(usize::try_from(bytes).unwrap_or(0));
            ids.push(row.get(0)?);
        } else if ids.len() >= NEIGHBOURS_MIN {
            break;
        } else {
            (ids, total) = (Vec::new(), 0);
            if bytes < SMALL_BYTES {
                total = usize::try_from(bytes).unwrap_or(0);
                ids.push(row.get(0)?);
            }
        }
    }
    Ok(ids)
}

fn read_run(conn: &Connection, ids: Vec<i64>) -> Result<Run, StoreError> {
    let mut run = Run { ids, entries: Vec::new(), damaged: 0 };
    let mut payload = conn.prepare_cached("SELECT payload FROM chunk WHERE id = ?1")?;
    for id in &run.ids {
        let decoded = payload.query_row([id], |row| Ok(chunk::decode(row.get_ref(0)?.as_blob()?)))?;
        match decoded {
            Ok(entries) => run.entries.push(entries),
            Err(error) => {
                tracing::error!(chunk = id, %error, "dropping a chunk that cannot be read");
                run.damaged += 1;
            }
        }
    }
    Ok(run)
}

/// The entries of all sources, per stream in order of time, identical ones once, cut into chunks.
fn chunks_of(sources: &[Entries]) -> Result<Vec<EncodedChunk>, StoreError> {
    let mut by_stream: BTreeMap<StreamId, Vec<RawEntry<'_>>> = BTreeMap::new();
    for entry in sources.iter().flat_map(Entries::iter) {
        by_stream.entry(entry.stream).or_default().push(entry);
    }
    let mut compressor = ChunkEncoder::new()?;
    let mut chunks = Vec::new();
    for (stream, mut entries) in by_stream {
        // Stable: entries of equal time stay in order of arrival.
        entries.sort_by_key(|entry| entry.timestamp);
        drop_identical(&mut entries);
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cut(rest));
            chunks.extend(compressor.encode(stream, collect(stream, now))?);
            rest = later;
        }
    }
    Ok(chunks)
}

/// How many entries fit one chunk; at least one.
fn cut(entries: &[RawEntry<'_>]) -> usize {
    let mut bytes = 0_usize;
    let fitting = entries.iter().take_while(|entry| {
        let fits = bytes < CHUNK_BYTES;
        bytes = bytes.saturating_add(entry.line.len());
        fits
    });
    fitting.count()
}

fn collect(stream: StreamId, entries: &[RawEntry<'_>]) -> Encoder {
    let mut encoder = Encoder::with_room(entries.len(), entries.iter().map(|entry| entry.line.len()).sum());
    encoder.stream(stream, entries.len());
    for entry in entries {
        encoder.entry(entry.timestamp, entry.line, entry.metadata);
    }
    encoder
}

/// Of identical lines at one time the first stays. The entries are sorted by time.
fn drop_identical(entries: &mut Vec<RawEntry<'_>>) {
    let mut kept: Vec<RawEntry<'_>> = Vec::with_capacity(entries.len());
    for same_time in entries.chunk_by(|a, b| a.timestamp.cmp(&b.timestamp) == Ordering::Equal) {
        if let [only] = same_time {
            kept.push(*only);
            continue;
        }
        // A set, not pairwise comparison: a sender may give a million lines one time.
        let mut seen = std::collections::HashSet::with_capacity(same_time.len());
        kept.extend(same_time.iter().filter(|entry| seen.insert(entry.line)));
    }
    *entries = kept;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::Entry,
        store::{
            line::{self, LineQuery, StoredLine},
            testing::{self, START, TestStore, push},
        },
    };

    fn all(store: &TestStore, backward: bool) -> Vec<StoredLine> {
        let streams = (1..=8).map(StreamId).collect();
        let query = LineQuery {
            streams,
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            limit: 100_000,
            max_bytes: usize::MAX,
            backward,
        };
        store.read_blocking(|conn| line::read(conn, &query)).unwrap()
    }

    fn count(store: &TestStore, table: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        store.read_blocking(|conn| Ok(conn.query_row(&sql, [], |row| row.get(0))?)).unwrap()
    }

    fn compact(store: &TestStore) {
        while blocks(store, Timestamp::MAX).unwrap() == Progress::MoreToDo {}
    }

    #[test]
    fn compacted_lines_read_the_same() {
        let store = testing::store();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pushes: [&[(u8, i64, &[u8])]; 2] = [
            &[(1, 10, b"b"), (1, 5, b"a"), (2, 7, b"x"), (1, 10, b"z first")],
            &[(1, 10, b"b"), (1, 10, b"a second"), (1, 20, b"c")],
        ];
        for (hash, lines) in pushes.iter().enumerate() {
            rt.block_on(store.append(push(&store, hash as u128, lines))).unwrap();
        }
        let before = all(&store, false);
        assert_eq!(before.len(), 6);
        compact(&store);
        assert_eq!((count(&store, "block"), count(&store, "chunk")), (0, 2));
        assert_eq!(all(&store, false), before);
        assert_eq!(*store.head().borrow(), 2);
    }

    #[test]
    fn blocks_wait_for_the_slowest_engine_and_for_their_age() {
        let mut store = testing::store();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for hash in 1..=3 {
            rt.block_on(store.append(push(&store, hash, &[(1, hash as i64, b"line")]))).unwrap();
        }
        assert_eq!(blocks(&store, START).unwrap(), Progress::Idle, "all arrived at START");
        store.write_blocking(|tx| position::set(tx, position::name::ANALYZE, 2, START)).unwrap();
        compact(&store);
        assert_eq!(count(&store, "block"), 1);
        store.write_blocking(|tx| position::remove(tx, position::name::ANALYZE)).unwrap();
        compact(&store);
        store.reopen();
        assert_eq!(*store.head().borrow(), 3, "numbers of blocks that are gone are not given again");
    }

    #[test]
    fn small_neighbours_become_one_chunk() {
        let store = testing::store();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for hash in 0..9 {
            let line = format!("line {hash}");
            rt.block_on(store.append(push(&store, hash, &[(1, 50 - hash as i64, line.as_bytes())]))).unwrap();
            compact(&store);
        }
        let before = all(&store, true);
        assert_eq!(count(&store, "chunk"), 9);
        assert_eq!(merge(&store).unwrap(), Progress::MoreToDo);
        assert_eq!(merge(&store).unwrap(), Progress::Idle);
        assert_eq!((count(&store, "chunk"), before.len()), (1, 9));
        assert_eq!(all(&store, true), before);
    }

    #[test]
    fn lines_of_equal_time_stay_in_order_of_arrival_over_merged_chunks() {
        let store = testing::store();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // A large chunk among small ones, all with lines of one time.
        for hash in 0..24_u8 {
            let line = match hash {
                9 => [b"9 ".to_vec(), vec![b'x'; 300_000]].concat(),
                _ => format!("{hash} {}", 100 - hash).into_bytes(),
            };
            rt.block_on(store.append(push(
                &store,
                hash.into(),
                &[(1, 1, &line), (1, 50 - i64::from(hash), b"y")],
            )))
            .unwrap();
            compact(&store);
        }
        let before = all(&store, false);
        while merge(&store).unwrap() == Progress::MoreToDo {}
        assert_eq!(count(&store, "chunk"), 3, "what came before the large one, it, and what came after it");
        let after = all(&store, false);
        assert_eq!(after, before);
        let order: Vec<_> = after
            .iter()
            .filter(|line| line.timestamp == START.plus(std::time::Duration::from_secs(1)))
            .map(|line| String::from_utf8_lossy(&line.line).split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(order, (0..24).map(|hash| hash.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_damaged_block_does_not_stop_compaction() {
        let store = testing::store();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for hash in 1..=2 {
            rt.block_on(store.append(push(&store, hash, &[(1, hash as i64, b"line")]))).unwrap();
        }
        store
            .write_blocking(|tx| Ok(tx.execute_batch("UPDATE block SET payload = x'00' WHERE seq = 1")?))
            .unwrap();
        compact(&store);
        assert_eq!((all(&store, false).len(), store.shared().metrics.damaged.get()), (1, 1));
    }

    /// One generated entry: stream, time, line, metadata.
    type Generated = (u8, i64, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

    fn generated() -> impl Strategy<Value = Vec<Vec<Generated>>> {
        let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
        let time = prop_oneof![0_i64..4, any::<i64>()];
        let pairs = prop::collection::vec((bytes(4), bytes(4)), 0..3);
        let entry = (1_u8..5, time, bytes(3), pairs);
        prop::collection::vec(prop::collection::vec(entry, 1..12), 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_appended_is_what_is_read(pushes in generated(), compact_at in 0_usize..8) {
            let mut store = testing::store();
            let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut expected: Vec<(i64, u64, Vec<u8>)> = Vec::new();
            for (at, entries) in pushes.iter().enumerate() {
                let template: Vec<(u8, i64, &[u8])> =
                    entries.iter().map(|(stream, ..)| (*stream, 0, b"".as_slice())).collect();
                let mut batch = push(&store, at as u128, &template);
                for stream in &mut batch.streams { stream.entries.clear(); }
                for (name, nanos, line, pairs) in entries {
                    let label = name.to_string();
                    let stream = batch.streams.iter_mut()
                        .find(|batch| batch.labels.get("stream") == Some(label.as_str())).unwrap();
                    let metadata = pairs.iter().map(|(n, v)| (Bytes::from(n.clone()), Bytes::from(v.clone())));
                    stream.entries.push(Entry {
                        timestamp: Timestamp::from_nanos(*nanos),
                        line: Bytes::from(line.clone()),
                        metadata: metadata.collect(),
                    });
                    // Ranges exclude their end, so the very last nanosecond cannot be asked for.
                    if *nanos < i64::MAX {
                        expected.push((*nanos, stream.id.0, line.clone()));
                    }
                }
                rt.block_on(store.append(batch)).unwrap();
                if at == compact_at { compact(&store); }
            }
            expected.sort();
            expected.dedup();
            let read = |store: &TestStore| {
                let mut lines: Vec<_> = all(store, false).into_iter()
                    .map(|line| (line.timestamp.as_nanos(), line.stream.0, line.line.to_vec())).collect();
                lines.sort();
                lines
            };
            prop_assert_eq!(&read(&store), &expected);
            let before = all(&store, true);
            compact(&store);
            while merge(&store).unwrap() == Progress::MoreToDo {}
            store.reopen();
            prop_assert_eq!(&read(&store), &expected);
            prop_assert_eq!(all(&store, true), before);
        }
    }
}
