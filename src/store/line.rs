//! Reading lines back by stream and time, from blocks and chunks alike, each entry once.
//!
//! Blocks and chunks that may hold wanted lines are opened in order of time, one at a time, until the limit is
//! reached and no unopened one can hold anything better. Memory is bounded by the limits and the largest of them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    model::{Metadata, StreamId, Timestamp},
    store::{
        Connection, StoreError, block, chunk,
        entries::{Entries, RawEntry},
    },
};

/// A stored line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLine {
    /// Which stream.
    pub stream: StreamId,
    /// The sender's time.
    pub timestamp: Timestamp,
    /// The line.
    pub line: Bytes,
    /// Structured metadata.
    pub metadata: Metadata,
}

impl StoredLine {
    /// Bytes of the line and its metadata.
    pub fn bytes(&self) -> usize {
        let pairs = self.metadata.iter().map(|(name, value)| name.len() + value.len());
        self.line.len().saturating_add(pairs.sum())
    }
}

/// Which lines, and in which order.
#[derive(Clone, Debug)]
pub struct LineQuery {
    /// These streams.
    pub streams: Vec<StreamId>,
    /// From this time on.
    pub from: Timestamp,
    /// Up to before this time.
    pub to: Timestamp,
    /// At most so many.
    pub limit: usize,
    /// Not many more bytes of lines and metadata than this: the line that reaches it is the last. A huge line alone is
    /// still an answer.
    pub max_bytes: usize,
    /// Newest first (and the newest are kept when the limit cuts) instead of oldest first.
    pub backward: bool,
}

/// The lines in order of time; identical (stream, timestamp, line) entries appear once. Lines of equal time keep the
/// order in which they arrived.
pub fn read(conn: &Connection, query: &LineQuery) -> Result<Vec<StoredLine>, StoreError> {
    if query.limit == 0 || query.streams.is_empty() || query.from >= query.to {
        return Ok(Vec::new());
    }
    let wanted: FxHashSet<StreamId> = query.streams.iter().copied().collect();
    let mut best = Best { query, lines: BTreeMap::new(), seen: HashMap::new(), bytes: 0, cut: None };
    for source in sources(conn, query)? {
        if best.is_settled(&source) {
            break;
        }
        let Some(entries) = open(conn, source.at)? else { continue };
        let in_range = |entry: &RawEntry<'_>| query.from <= entry.timestamp && entry.timestamp < query.to;
        for entry in entries.iter().filter(|entry| in_range(entry) && wanted.contains(&entry.stream)) {
            best.offer(source.at, &entry);
        }
    }
    let lines = best.lines.into_values();
    Ok(if query.backward { lines.rev().collect() } else { lines.collect() })
}

/// Where entries are stored. Chunks come first: they hold what arrived earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Chunk(i64),
    Block(i64),
}

/// A block or chunk that may hold wanted lines.
struct Source {
    at: Place,
    min: Timestamp,
    max: Timestamp,
}

/// Everything in range, the best first.
fn sources(conn: &Connection, query: &LineQuery) -> Result<Vec<Source>, StoreError> {
    // Searches the index chunk_stream, which covers the query.
    const CHUNKS: &str = "SELECT id, min_ns, max_ns FROM chunk
        WHERE stream_id = ?3 AND min_ns < ?2 AND max_ns >= ?1";
    // Walks the table, without the payloads: blocks are few, compaction sees to that.
    const BLOCKS: &str =
        "SELECT seq, min_ns, max_ns FROM block WHERE min_ns < ?2 AND max_ns >= ?1 AND streams & ?3 <> 0";
    let (from, to) = (query.from.as_nanos(), query.to.as_nanos());
    let mut found = Vec::new();
    let mut chunks = conn.prepare_cached(CHUNKS)?;
    for stream in &query.streams {
        let mut rows = chunks.query((from, to, stream.0.cast_signed()))?;
        while let Some(row) = rows.next()? {
            found.push(source(Place::Chunk(row.get(0)?), row)?);
        }
    }
    let mut blocks = conn.prepare_cached(BLOCKS)?;
    let mut rows = blocks.query((from, to, block::stream_mask(query.streams.iter().copied())))?;
    while let Some(row) = rows.next()? {
        found.push(source(Place::Block(row.get(0)?), row)?);
    }
    if query.backward {
        found.sort_unstable_by_key(|source| (std::cmp::Reverse(source.max), source.at));
    } else {
        found.sort_unstable_by_key(|source| (source.min, source.at));
    }
    Ok(found)
}

fn source(at: Place, row: &rusqlite::Row<'_>) -> rusqlite::Result<Source> {
    Ok(Source { at, min: Timestamp::from_nanos(row.get(1)?), max: Timestamp::from_nanos(row.get(2)?) })
}

/// Opens a block or chunk; `None`, logged, when it is damaged: the other lines can still be read.
pub(super) fn open(conn: &Connection, at: Place) -> Result<Option<Entries>, StoreError> {
    const CHUNK: &str = "SELECT payload FROM chunk WHERE id = ?1";
    const BLOCK: &str = "SELECT payload FROM block WHERE seq = ?1";
    let (sql, id) = match at {
        Place::Chunk(id) => (CHUNK, id),
        Place::Block(seq) => (BLOCK, seq),
    };
    let decoded = conn.prepare_cached(sql)?.query_row([id], |row| {
        let payload = row.get_ref(0)?.as_blob()?;
        Ok(if matches!(at, Place::Chunk(_)) { chunk::decode(payload) } else { block::decode(payload) })
    })?;
    match decoded {
        Ok(entries) => Ok(Some(entries)),
        Err(error) => {
            tracing::error!(?at, %error, "skipping lines that cannot be read");
            Ok(None)
        }
    }
}

/// Order of the lines: time, then stream, then arrival.
type Key = (Timestamp, StreamId, Place, u32);

/// The best lines so far, at most as many as the limit.
struct Best<'q> {
    query: &'q LineQuery,
    lines: BTreeMap<Key, StoredLine>,
    /// Of the lines kept.
    bytes: usize,
    /// The best line that had to go; what is worse than it is not wanted any more.
    cut: Option<Key>,
    /// Kept lines by hash of time, stream and text, to notice identical ones.
    seen: HashMap<(Timestamp, StreamId, u64), Key>,
}

impl Best<'_> {
    /// Whether neither this source nor those after it can hold anything better than what is kept.
    fn is_settled(&self, next: &Source) -> bool {
        let Some((worst, _, _, _)) = self.worst() else { return false };
        if self.query.backward { worst > next.max } else { worst < next.min }
    }

    fn offer(&mut self, place: Place, entry: &RawEntry<'_>) {
        let key = (entry.timestamp, entry.stream, place, entry.index);
        let is_worse = |worst| if self.query.backward { key < worst } else { key > worst };
        if self.worst().is_some_and(is_worse) {
            return;
        }
        let identity = (entry.timestamp, entry.stream, xxh3_64(entry.line));
        // Equal hashes of different lines are told apart by the lines themselves.
        let is_twin = |kept: &&Key| self.lines.get(*kept).is_some_and(|kept| kept.line == entry.line);
        match self.seen.get(&identity).filter(is_twin).copied() {
            Some(kept) if kept <= key => return,
            // Of identical entries the one that arrived first counts, with its metadata.
            Some(later) => self.remove(&later),
            None => {}
        }
        let copied = |(name, value)| (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
        let line = StoredLine {
            stream: entry.stream,
            timestamp: entry.timestamp,
            line: Bytes::copy_from_slice(entry.line),
            metadata: entry.metadata.map(copied).collect(),
        };
        self.bytes = self.bytes.saturating_add(line.bytes());
        self.seen.insert(identity, key);
        self.lines.insert(key, line);
        while let Some(worst) = self.too_many() {
            self.drop_worst(worst);
        }
    }

    /// What no better line may be worse than: the worst line once there are as many as wanted.
    fn worst(&self) -> Option<Key> {
        let is_full = self.lines.len() >= self.query.limit || self.bytes >= self.query.max_bytes;
        if is_full { self.last() } else { self.cut }
    }

    /// The worst line if the others are enough without it.
    fn too_many(&self) -> Option<Key> {
        let last = self.last()?;
        let others = self.bytes.saturating_sub(self.lines.get(&last).map_or(0, StoredLine::bytes));
        let is_enough = self.lines.len() > self.query.limit || others >= self.query.max_bytes;
        (is_enough && self.lines.len() > 1).then_some(last)
    }

    fn last(&self) -> Option<Key> {
        let last =
            if self.query.backward { self.lines.first_key_value() } else { self.lines.last_key_value() };
        last.map(|(key, _)| *key)
    }

    fn drop_worst(&mut self, worst: Key) {
        if let Some(line) = self.lines.get(&worst) {
            let identity = (line.timestamp, line.stream, xxh3_64(&line.line));
            if self.seen.get(&identity) == Some(&worst) {
                self.seen.remove(&identity);
            }
        }
        self.remove(&worst);
        self.cut = Some(worst);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(line) = self.lines.remove(key) {
            self.bytes = self.bytes.saturating_sub(line.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, START, TestStore, push};

    async fn filled() -> TestStore {
        let store = testing::store();
        let pushes: [&[(u8, i64, &[u8])]; 3] = [
            &[(1, 10, b"a"), (1, 30, b"c"), (2, 20, b"other stream")],
            &[(1, 20, b"b"), (1, 30, b"c"), (1, 30, b"d")],
            &[(1, 40, b"e"), (1, 5, b"late")],
        ];
        for (hash, lines) in pushes.iter().enumerate() {
            store.append(push(&store, hash as u128, lines)).await.unwrap();
        }
        store
    }

    fn ask(
        store: &TestStore,
        streams: &[u64],
        range: (i64, i64),
        limit: usize,
        backward: bool,
    ) -> Vec<String> {
        let at = |secs| Timestamp::from_nanos(START.as_nanos() + secs * 1_000_000_000);
        let streams = streams.iter().copied().map(StreamId).collect();
        let query =
            LineQuery { streams, from: at(range.0), to: at(range.1), limit, max_bytes: usize::MAX, backward };
        let lines = store.read_blocking(|conn| read(conn, &query)).unwrap();
        lines.into_iter().map(|line| String::from_utf8(line.line.to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn identical_entries_are_read_once_and_all_are_in_order() {
        let store = filled().await;
        assert_eq!(ask(&store, &[1], (0, 100), 99, false), ["late", "a", "b", "c", "d", "e"]);
        assert_eq!(ask(&store, &[1], (0, 100), 99, true), ["e", "d", "c", "b", "a", "late"]);
    }

    #[tokio::test]
    async fn the_range_excludes_its_end_and_streams_are_told_apart() {
        let store = filled().await;
        assert_eq!(ask(&store, &[1], (10, 40), 99, false), ["a", "b", "c", "d"]);
        assert_eq!(ask(&store, &[2], (0, 100), 99, false), ["other stream"]);
        assert_eq!(ask(&store, &[2, 1], (15, 25), 99, false), ["b", "other stream"]);
    }

    #[tokio::test]
    async fn the_limit_keeps_the_first_or_the_newest() {
        let store = filled().await;
        assert_eq!(ask(&store, &[1], (0, 100), 2, false), ["late", "a"]);
        assert_eq!(ask(&store, &[1], (0, 100), 2, true), ["e", "d"]);
    }

    #[tokio::test]
    async fn bytes_cut_like_the_limit_and_keep_the_first_or_the_newest() {
        let store = filled().await;
        let ask = |max_bytes, backward| {
            let query = LineQuery {
                streams: vec![StreamId(1)],
                from: Timestamp::MIN,
                to: Timestamp::MAX,
                limit: 99,
                max_bytes,
                backward,
            };
            let lines = store.read_blocking(|conn| read(conn, &query)).unwrap();
            lines.iter().map(|line| String::from_utf8_lossy(&line.line).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ask(5, false), ["late", "a"], "4 bytes are not enough, 5 are");
        assert_eq!(ask(4, false), ["late"]);
        assert_eq!(ask(0, false), ["late"], "never nothing at all");
        assert_eq!(ask(3, true), ["e", "d", "c"]);
        assert_eq!(ask(100, true), ["e", "d", "c", "b", "a", "late"]);
    }

    #[tokio::test]
    async fn blocks_without_a_wanted_stream_are_not_opened() {
        let store = filled().await;
        let opened = |streams: &[u64]| {
            let query = LineQuery {
                streams: streams.iter().copied().map(StreamId).collect(),
                from: Timestamp::MIN,
                to: Timestamp::MAX,
                limit: 99,
                max_bytes: usize::MAX,
                backward: false,
            };
            let found = store.read_blocking(|conn| sources(conn, &query)).unwrap();
            found.into_iter().map(|source| source.at).collect::<Vec<_>>()
        };
        assert_eq!(opened(&[2]), [Place::Block(1)]);
        assert_eq!(opened(&[1]), [Place::Block(3), Place::Block(1), Place::Block(2)]);
        assert_eq!(opened(&[1 + 64]).len(), 3, "numbers that share a bit are told apart by their entries");
    }

    #[tokio::test]
    async fn metadata_and_arbitrary_bytes_come_back() {
        let store = testing::store();
        let mut batch = push(&store, 1, &[(1, 10, b"\xff\x00raw")]);
        batch.streams[0].entries[0].metadata = vec![(Bytes::from_static(b"trace"), Bytes::from_static(b"7"))];
        store.append(batch.clone()).await.unwrap();
        let query = LineQuery {
            streams: vec![StreamId(1)],
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            limit: 10,
            max_bytes: usize::MAX,
            backward: false,
        };
        let lines = store.read_blocking(move |conn| read(conn, &query)).unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].line, batch.streams[0].entries[0].line);
        assert_eq!(lines[0].metadata, batch.streams[0].entries[0].metadata);
    }

    #[tokio::test]
    async fn a_damaged_block_hides_only_its_own_lines() {
        let store = filled().await;
        let damage = "UPDATE block SET payload = x'0102030405' WHERE seq = 2";
        store.write(move |tx| Ok(tx.execute_batch(damage)?)).await.unwrap();
        assert_eq!(ask(&store, &[1], (0, 100), 99, false), ["late", "a", "c", "e"]);
        let blocks = store.read_blocking(|conn| block::read_after(conn, 0, usize::MAX)).unwrap();
        assert_eq!(blocks.iter().map(|block| block.seq).collect::<Vec<_>>(), [1, 3]);
    }
}
