//! Lines that hold one of a few words: bounded by the bytes that are opened, not by what is stored.
//!
//! Blocks and chunks nearest to a moment are opened first, one at a time, until the allowance is used up; what was not
//! looked at is said.

use aho_corasick::AhoCorasick;
use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::line::{Place, open};
use crate::{
    model::{StreamId, Timestamp},
    store::{Connection, StoreError, block, entries::RawEntry},
};

/// Streams that are searched, at most: each costs a look into the index.
const STREAMS_MAX: usize = 2_000;

/// Which lines.
#[derive(Clone, Debug)]
pub struct NeedleQuery {
    /// These streams.
    pub streams: Vec<StreamId>,
    /// From this time on.
    pub from: Timestamp,
    /// Up to before this time.
    pub to: Timestamp,
    /// What is near this moment is looked at, and kept, first.
    pub near: Timestamp,
    /// The words; each must stand alone, not within another word or number.
    pub needles: Vec<String>,
    /// Lines kept per word and stream.
    pub keep: usize,
    /// Bytes of lines in the blocks and chunks that are opened, in all.
    pub max_bytes: u64,
}

/// A line that holds a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedleHit {
    /// Which of the words: the first of those in the line.
    pub needle: usize,
    /// The line's stream.
    pub stream: StreamId,
    /// The line's time.
    pub timestamp: Timestamp,
    /// The line.
    pub line: Bytes,
}

/// What a search brought.
#[derive(Clone, Debug, Default)]
pub struct Needles {
    /// The lines kept, in no particular order.
    pub hits: Vec<NeedleHit>,
    /// Lines that hold each word, those not kept included.
    pub counts: Vec<u64>,
    /// Bytes of lines that were looked through.
    pub scanned: u64,
    /// Whether everything in range was looked at.
    pub is_complete: bool,
}

/// Searches.
pub fn find(conn: &Connection, query: &NeedleQuery) -> Result<Needles, StoreError> {
    let mut found = Needles { counts: vec![0; query.needles.len()], is_complete: true, ..Needles::default() };
    let automaton = AhoCorasick::new(&query.needles)
        .map_err(|error| StoreError::Damaged { what: "search words", cause: error.to_string() })?;
    if query.needles.is_empty() || query.streams.is_empty() || query.from >= query.to {
        return Ok(found);
    }
    found.is_complete = query.streams.len() <= STREAMS_MAX;
    let wanted: FxHashSet<StreamId> = query.streams.iter().copied().take(STREAMS_MAX).collect();
    let mut kept = Kept { query, automaton, lines: FxHashMap::default() };
    for source in sources(conn, query)? {
        if found.scanned.saturating_add(source.bytes) > query.max_bytes {
            // One that is too large must not hide the smaller ones behind it.
            found.is_complete = false;
            continue;
        }
        found.scanned += source.bytes;
        let Some(entries) = open(conn, source.at)? else { continue };
        let in_range = |entry: &RawEntry<'_>| query.from <= entry.timestamp && entry.timestamp < query.to;
        for entry in entries.iter().filter(|entry| in_range(entry) && wanted.contains(&entry.stream)) {
            kept.look_at(&entry, &mut found.counts);
        }
    }
    found.hits = kept.lines.into_values().flatten().collect();
    Ok(found)
}

struct Source {
    at: Place,
    distance: u64,
    bytes: u64,
}

/// Everything in range, the nearest first.
fn sources(conn: &Connection, query: &NeedleQuery) -> Result<Vec<Source>, StoreError> {
    // Searches the index chunk_stream, which covers the query.
    const CHUNKS: &str = "SELECT id, min_ns, max_ns, bytes FROM chunk
        WHERE stream_id = ?3 AND min_ns < ?2 AND max_ns >= ?1";
    // Walks the table, without the payloads: blocks are few, compaction sees to that.
    const BLOCKS: &str = "SELECT seq, min_ns, max_ns, bytes FROM block
        WHERE min_ns < ?2 AND max_ns >= ?1 AND streams & ?3 <> 0";
    let (from, to, near) = (query.from.as_nanos(), query.to.as_nanos(), query.near.as_nanos());
    let source = |at: Place, row: &rusqlite::Row<'_>| -> rusqlite::Result<Source> {
        let (min, max): (i64, i64) = (row.get(1)?, row.get(2)?);
        let distance = near.clamp(min, max.max(min)).abs_diff(near);
        Ok(Source { at, distance, bytes: row.get::<_, i64>(3)?.unsigned_abs() })
    };
    let mut found = Vec::new();
    let mut chunks = conn.prepare_cached(CHUNKS)?;
    for stream in query.streams.iter().take(STREAMS_MAX) {
        let mut rows = chunks.query((from, to, stream.0.cast_signed()))?;
        while let Some(row) = rows.next()? {
            found.push(source(Place::Chunk(row.get(0)?), row)?);
        }
    }
    let mut blocks = conn.prepare_cached(BLOCKS)?;
    let mask = block::stream_mask(query.streams.iter().take(STREAMS_MAX).copied());
    let mut rows = blocks.query((from, to, mask))?;
    while let Some(row) = rows.next()? {
        found.push(source(Place::Block(row.get(0)?), row)?);
    }
    found.sort_unstable_by_key(|source| (source.distance, source.at));
    Ok(found)
}

/// The nearest lines per word and stream.
struct Kept<'q> {
    query: &'q NeedleQuery,
    automaton: AhoCorasick,
    lines: FxHashMap<(usize, StreamId), Vec<NeedleHit>>,
}

impl Kept<'_> {
    fn look_at(&mut self, entry: &RawEntry<'_>, counts: &mut [u64]) {
        let hits = self.automaton.find_overlapping_iter(entry.line);
        let alone = hits.filter(|hit| stands_alone(entry.line, hit.start(), hit.end()));
        let mut first: Option<usize> = None;
        let mut counted: u64 = 0;
        for hit in alone {
            let needle = hit.pattern().as_usize();
            let bit = 1_u64.checked_shl(u32::try_from(needle).unwrap_or(u32::MAX)).unwrap_or(0);
            if counted & bit == 0 {
                counted |= bit;
                if let Some(count) = counts.get_mut(needle) {
                    *count += 1;
                }
            }
            first = Some(first.map_or(needle, |known| known.min(needle)));
        }
        if let Some(needle) = first {
            self.keep(needle, entry);
        }
    }

    fn keep(&mut self, needle: usize, entry: &RawEntry<'_>) {
        let near = self.query.near;
        let distance = |at: Timestamp| at.as_nanos().abs_diff(near.as_nanos());
        let lines = self.lines.entry((needle, entry.stream)).or_default();
        let key = (distance(entry.timestamp), entry.timestamp, entry.line);
        let order = |hit: &NeedleHit| (distance(hit.timestamp), hit.timestamp, hit.line.clone());
        let place = lines.partition_point(|hit| {
            let (far, at, line) = order(hit);
            (far, at, line.as_ref()) < key
        });
        let is_twin =
            lines.get(place).is_some_and(|hit| hit.timestamp == entry.timestamp && hit.line == entry.line);
        if place >= self.query.keep || is_twin {
            return;
        }
        let line = Bytes::copy_from_slice(entry.line);
        lines.insert(place, NeedleHit { needle, stream: entry.stream, timestamp: entry.timestamp, line });
        lines.truncate(self.query.keep);
    }
}

/// Whether what stands there is not a part of a longer word, number or address.
fn stands_alone(line: &[u8], start: usize, end: usize) -> bool {
    let at = |index: Option<usize>| index.and_then(|index| line.get(index)).copied();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
    let (before, after) = (at(start.checked_sub(1)), at(Some(end)));
    let joined_before = before == Some(b'.') && is_digit(at(start.checked_sub(2)));
    let joined_after = after == Some(b'.') && is_digit(at(end.checked_add(1)));
    !(before.is_some_and(is_word) || after.is_some_and(is_word) || joined_before || joined_after)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{
        compact,
        testing::{self, START, TestStore, push},
    };

    fn at(secs: u64) -> Timestamp {
        START.plus(Duration::from_secs(secs))
    }

    fn query(needles: &[&str]) -> NeedleQuery {
        NeedleQuery {
            streams: vec![StreamId(1), StreamId(2)],
            from: at(0),
            to: at(1_000),
            near: at(100),
            needles: needles.iter().map(|needle| (*needle).to_owned()).collect(),
            keep: 2,
            max_bytes: 1 << 20,
        }
    }

    async fn filled() -> TestStore {
        let store = testing::store();
        let pushes: [&[(u8, i64, &[u8])]; 3] = [
            &[(1, 10, b"from 203.0.113.5 far"), (1, 90, b"from 203.0.113.5 near"), (2, 95, b"user alice")],
            &[(1, 105, b"from 203.0.113.5 nearest"), (1, 106, b"from 203.0.113.55"), (2, 99, b"malice")],
            &[(3, 100, b"from 203.0.113.5 in a stream nobody asked for"), (2, 2_000, b"alice too late")],
        ];
        for (hash, lines) in pushes.iter().enumerate() {
            store.append(push(&store, hash as u128, lines)).await.unwrap();
        }
        store
    }

    fn lines(found: &Needles) -> Vec<String> {
        let mut hits: Vec<_> = found.hits.iter().collect();
        hits.sort_by_key(|hit| hit.timestamp);
        hits.iter().map(|hit| String::from_utf8_lossy(&hit.line).into_owned()).collect()
    }

    #[tokio::test]
    async fn the_nearest_lines_with_a_word_standing_alone_are_kept_and_all_are_counted() {
        let store = filled().await;
        let query = query(&["203.0.113.5", "alice"]);
        let found = store.read_blocking(|conn| find(conn, &query)).unwrap();
        assert_eq!(lines(&found), ["from 203.0.113.5 near", "user alice", "from 203.0.113.5 nearest"]);
        assert_eq!((found.counts.as_slice(), found.is_complete), ([3, 1].as_slice(), true));
    }

    #[tokio::test]
    async fn no_more_bytes_are_opened_than_allowed_and_that_is_said() {
        let store = filled().await;
        let few = NeedleQuery { max_bytes: 60, ..query(&["203.0.113.5"]) };
        let found = store.read_blocking(|conn| find(conn, &few)).unwrap();
        assert!(found.scanned <= 60 && !found.is_complete, "{found:?}");
        let none = NeedleQuery { max_bytes: 0, ..query(&["203.0.113.5"]) };
        let found = store.read_blocking(|conn| find(conn, &none)).unwrap();
        assert_eq!((found.scanned, found.hits.len(), found.is_complete), (0, 0, false));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn compacted_lines_are_found_too() {
        let store = filled().await;
        tokio::task::block_in_place(|| {
            while compact::blocks(&store, Timestamp::MAX).unwrap() == compact::Progress::MoreToDo {}
        });
        let chunks: i64 = store
            .read_blocking(|conn| Ok(conn.query_row("SELECT COUNT(*) FROM chunk", [], |row| row.get(0))?))
            .unwrap();
        assert!(chunks > 0);
        let found = store.read_blocking(|conn| find(conn, &query(&["alice"]))).unwrap();
        assert_eq!(lines(&found), ["user alice"]);
    }

    #[test]
    fn words_numbers_and_addresses_are_told_from_parts_of_longer_ones() {
        let alone = |line: &str, needle: &str| {
            let start = line.find(needle).unwrap();
            stands_alone(line.as_bytes(), start, start + needle.len())
        };
        for line in
            ["10.0.0.1", "(10.0.0.1)", "ip=10.0.0.1,", "10.0.0.1:80", "from 10.0.0.1.", "::ffff:10.0.0.1"]
        {
            assert!(alone(line, "10.0.0.1"), "{line}");
        }
        for line in ["10.0.0.12", "110.0.0.1", "1.10.0.0.1", "10.0.0.1.2", "x10.0.0.1", "10.0.0.1_"] {
            assert!(!alone(line, "10.0.0.1"), "{line}");
        }
        assert!(!alone("für übob ", "bob") && alone("user=bob;", "bob"));
    }
}
