//! A database opened for reading only, also while a server uses it; and a way through all its lines in their order.

use std::path::Path;

use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Connection, OpenError, StoreError, Streams,
    line::{self, LineQuery, StoredLine},
    open,
    readers::Readers,
};
use crate::model::{StreamId, Timestamp};

/// Lines of one page, and their bytes.
const PAGE_LINES: usize = 20_000;
const PAGE_BYTES: usize = 16 << 20;

/// A database that is only read.
pub struct Archive {
    readers: Readers,
    streams: Streams,
}

impl Archive {
    /// Opens the database in `data_dir`. Nothing is made, moved or changed.
    pub fn open(data_dir: &Path) -> Result<Self, OpenError> {
        let path = data_dir.join(open::FILE_NAME);
        let failed = |cause: String| OpenError::Failed { path: path.clone(), cause };
        if !path.exists() {
            return Err(failed("there is no database".to_owned()));
        }
        let conn = open::reader(&path).map_err(|error| open::explain(&path, &error))?;
        open::check_layout(&conn, &path)?;
        let streams = Streams::load(&conn).map_err(|error| failed(error.to_string()))?;
        Ok(Archive { readers: Readers::new(path.clone(), 1), streams })
    }

    /// The known streams.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Runs `f` on a read-only connection. Everything `f` reads is of one moment.
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.readers.run(f)
    }
}

/// Goes through the lines of streams in the order of their times, page by page, each line once.
pub struct Sweep {
    query: LineQuery,
    /// The lines told of the time at which the next page begins.
    told: FxHashSet<(StreamId, u64)>,
    told_bytes: usize,
}

impl Sweep {
    /// The lines of `streams` from `from` to before `to`.
    pub fn new(streams: Vec<StreamId>, from: Timestamp, to: Timestamp) -> Self {
        let query =
            LineQuery { streams, from, to, limit: PAGE_LINES, max_bytes: PAGE_BYTES, backward: false };
        Sweep { query, told: FxHashSet::default(), told_bytes: 0 }
    }

    /// The next lines; none at the end. What is moved in the database between two pages is told once all the same.
    pub fn page(&mut self, conn: &Connection) -> Result<Vec<StoredLine>, StoreError> {
        let query = LineQuery {
            limit: self.query.limit.saturating_add(self.told.len()),
            max_bytes: self.query.max_bytes.saturating_add(self.told_bytes),
            ..self.query.clone()
        };
        let mut lines = line::read(conn, &query)?;
        let from = self.query.from;
        lines.retain(|line| line.timestamp > from || !self.told.contains(&name(line)));
        let Some(last) = lines.last().map(|line| line.timestamp) else { return Ok(lines) };
        if last > from {
            self.query.from = last;
            self.told.clear();
            self.told_bytes = 0;
        }
        for line in lines.iter().rev().take_while(|line| line.timestamp == last) {
            self.told.insert(name(line));
            self.told_bytes = self.told_bytes.saturating_add(line.bytes());
        }
        Ok(lines)
    }
}

/// What tells a line from others of its time.
fn name(line: &StoredLine) -> (StreamId, u64) {
    (line.stream, xxh3_64(&line.line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, push};

    #[tokio::test]
    async fn every_line_is_told_once_and_in_order_whatever_the_size_of_the_pages() {
        let store = testing::store();
        let pushes: [&[(u8, i64, &[u8])]; 2] = [
            &[(1, 10, b"a"), (1, 30, b"c"), (2, 20, b"other"), (2, 30, b"c")],
            &[(1, 20, b"b"), (1, 30, b"d"), (1, 30, b"e"), (1, 40, b"f")],
        ];
        for (hash, lines) in pushes.iter().enumerate() {
            store.append(push(&store, hash as u128, lines)).await.unwrap();
        }
        let streams = store.read_blocking(all_streams).unwrap();
        for (limit, max_bytes) in [(1, PAGE_BYTES), (2, PAGE_BYTES), (100, PAGE_BYTES), (100, 1)] {
            let mut sweep = Sweep::new(streams.clone(), Timestamp::MIN, Timestamp::MAX);
            (sweep.query.limit, sweep.query.max_bytes) = (limit, max_bytes);
            let mut told = Vec::new();
            loop {
                let page = store.read_blocking(|conn| sweep.page(conn)).unwrap();
                if page.is_empty() {
                    break;
                }
                told.extend(page.into_iter().map(|line| String::from_utf8(line.line.to_vec()).unwrap()));
            }
            assert_eq!(told, ["a", "b", "other", "c", "d", "e", "c", "f"], "{limit} {max_bytes}");
        }
    }

    fn all_streams(conn: &Connection) -> Result<Vec<StreamId>, StoreError> {
        let mut statement = conn.prepare("SELECT id FROM stream ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get::<_, i64>(0))?;
        Ok(ids.map(|id| id.map(|id| StreamId(id.cast_unsigned()))).collect::<Result<_, _>>()?)
    }

    #[test]
    fn a_folder_without_a_database_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Archive::open(folder.path()).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_database_in_use_is_read() {
        let store = testing::store();
        store.append(push(&store, 1, &[(1, 10, b"a")])).await.unwrap();
        let archive = Archive::open(&store.settings.data_dir).unwrap();
        let streams = archive.read(all_streams).unwrap();
        assert!(archive.streams().get(streams[0]).is_some());
        let mut sweep = Sweep::new(streams, Timestamp::MIN, Timestamp::MAX);
        assert_eq!(archive.read(|conn| sweep.page(conn)).unwrap().len(), 1);
    }
}
