//! SQLite: one writer thread with group commit, many readers. Everything acknowledged is on disk first.
//!
//! One file per aggregate; SQL stands beside the function that uses it. Reading functions take a `&Connection`
//! (from [`Store::read`]), writing functions a `&Transaction` (from [`Store::write`]), so that an engine can commit
//! its result and its position together.

pub mod alias;
pub mod block;
pub mod census;
pub mod delivery;
pub mod feedback;
pub mod finding;
pub mod incident;
pub mod line;
pub mod maintenance;
pub mod memory;
pub mod model_call;
pub mod needle;
pub mod normal;
pub mod note;
pub mod position;
pub mod template;
pub mod window;

mod archive;
mod backup;
mod chunk;
mod compact;
mod condition;
mod entries;
mod maintain;
mod open;
mod queue;
mod readers;
mod reserve;
mod retain;
mod retry;
mod shortage;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    thread::JoinHandle,
    time::Duration,
};

pub use archive::{Archive, Sweep};
pub use backup::{BackupError, backup};
pub use maintain::maintain;
pub use open::OpenError;
pub use rusqlite::{Connection, Transaction};
pub use streams::{StreamInfo, Streams, TooManyStreams};
use tokio::sync::{Semaphore, broadcast, oneshot, watch};

use crate::{
    model::{FindingId, IncidentId, PushBatch, WindowId},
    runtime::Clock,
    store::{
        queue::{AppendJob, Queue},
        readers::Readers,
        reserve::Reserve,
        retry::RecentPushes,
        writer::{Shared, Write, Writer},
    },
    telemetry::StoreMetrics,
};

/// Changes a slow listener may fall behind before it loses the oldest.
const CHANGES_KEPT: usize = 256;

/// What the operator may set about the store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the database; created when missing.
    pub data_dir: PathBuf,
    /// Lines older than this are dropped. Zero keeps them for ever.
    pub retention: Duration,
    /// The database is kept below this size by dropping the oldest analysed lines. Zero means no limit but the disk:
    /// when that is full the oldest analysed lines go, too.
    pub max_bytes: u64,
    /// Pushes waiting for the writer; one more is answered 429.
    pub queue_pushes: usize,
    /// Bytes of pushes waiting for the writer; more are answered 429.
    pub queue_bytes: usize,
    /// Read-only connections.
    pub readers: usize,
    /// Blocks are compacted once they are this old (and every engine is done with them).
    pub compact_after: Duration,
    /// Windows and model calls older than this are forgotten. Findings are kept. Zero keeps them for ever.
    pub record_retention: Duration,
    /// A push with the same body within this time is a retry and is not stored again.
    pub retry_window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Settings {
            data_dir: PathBuf::from("sigyn-data"),
            retention: Duration::from_secs(30 * 86_400),
            // Some 100 GB of ordinary log text, and less than the smallest disk of a rented server.
            max_bytes: 8 * 1024 * MIB as u64,
            queue_pushes: 1_024,
            queue_bytes: 32 * MIB,
            readers: 4,
            compact_after: Duration::from_secs(600),
            record_retention: Duration::from_secs(30 * 86_400),
            retry_window: Duration::from_secs(300),
        }
    }
}

/// Any failure of the database while running.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue to the writer is full.
    #[error("the write queue is full")]
    Busy,
    /// The disk is full or fails; the request may be repeated later.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// The store is shutting down.
    #[error("the store is shutting down")]
    Closed,
    /// A statement failed; a bug or a damaged database.
    #[error("database error: {0}")]
    Sql(rusqlite::Error),
    /// The work that was handed in panicked; it was undone.
    #[error("a database task panicked")]
    Panicked,
    /// A push is larger than a block may be.
    #[error("push of {bytes} bytes exceeds the limit of {limit} bytes per block")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A stored value could not be read back.
    #[error("damaged {what}: {cause}")]
    Damaged {
        /// What was being read.
        what: &'static str,
        /// Why it could not be.
        cause: String,
    },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DiskFull, OutOfMemory, ReadOnly, SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(DiskFull | SystemIoFailure | CannotOpen | ReadOnly | OutOfMemory | DatabaseBusy) => {
                StoreError::Unavailable(error.to_string())
            }
            _ => StoreError::Sql(error),
        }
    }
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Committed and on disk.
    Stored,
    /// The same body was committed moments ago: a retry, acknowledged without a second copy.
    Duplicate,
}

/// Something committed has changed: the wake-up that goes with the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A finding is new, has grown, or was changed by a person.
    Finding {
        /// The tenant's number.
        tenant: i64,
        /// Which one.
        id: FindingId,
    },
    /// An incident is new, has grown, or has changed its status.
    Incident {
        /// The tenant's number.
        tenant: i64,
        /// Which one.
        id: IncidentId,
    },
    /// Somebody has taught something: normals, verdicts or maintenance windows have changed.
    Taught,
    /// A window was written or ended.
    Window {
        /// The tenant's number.
        tenant: i64,
        /// Which one.
        id: WindowId,
    },
}

/// A handle to the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    read_permits: Semaphore,
    changes: broadcast::Sender<Change>,
    ended: watch::Receiver<bool>,
    writer: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
}

impl Store {
    /// Opens or creates the database, applies migrations and starts the writer thread.
    pub fn open(settings: &Settings, clock: Clock, metrics: StoreMetrics) -> Result<Self, OpenError> {
        let lock = open::lock_folder(&settings.data_dir)?;
        let path = settings.data_dir.join(open::FILE_NAME);
        let reserve = Reserve::new(&settings.data_dir);
        if reserve.free().is_some_and(|free| free < reserve.margin()) {
            // Opening takes some pages, too.
            reserve.release();
        }
        let conn = open::writer(&path, reserve.bytes() / 2)?;
        let failed = |error: StoreError| match error {
            StoreError::Sql(error) => open::explain(&path, &error),
            StoreError::Damaged { .. } => OpenError::Damaged { path: path.clone(), cause: error.to_string() },
            other => OpenError::Failed { path: path.clone(), cause: other.to_string() },
        };
        let streams = Streams::load(&conn).map_err(failed)?;
        let head = block::last_seq(&conn).map_err(failed)?;
        let (queue, writes) = Queue::new(settings.queue_pushes, settings.queue_bytes, metrics.clone());
        let recent = RecentPushes::new(settings.retry_window, clock.now());
        let is_short_of_space = AtomicBool::new(false);
        let head = watch::Sender::new(head);
        let shared = Arc::new(Shared { queue, streams, head, is_short_of_space, clock, metrics });
        let writer = Writer { conn, shared: Arc::clone(&shared), writes, recent, reserve, lock };
        let (ending, ended) = watch::channel(false);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            writer.run();
            ending.send_replace(true);
        });
        let thread =
            thread.map_err(|error| OpenError::Failed { path: path.clone(), cause: error.to_string() })?;
        let readers = Arc::new(Readers::new(path.clone(), settings.readers));
        Ok(Store {
            inner: Arc::new(Inner {
                shared,
                read_permits: Semaphore::new(readers.max()),
                readers,
                changes: broadcast::Sender::new(CHANGES_KEPT),
                ended,
                writer: Mutex::new(Some(thread)),
                path,
            }),
        })
    }

    /// Appends a push: returns when it is committed with fsync. Never waits for room: a full queue is `Busy`.
    /// A push without entries is `Stored` as it is.
    pub async fn append(&self, push: PushBatch) -> Result<Appended, StoreError> {
        let queue = &self.inner.shared.queue;
        queue.check_room()?;
        let tenant = self.streams().tenant_number(&push.tenant);
        let Some(encoded) = block::encode(&push)? else { return Ok(Appended::Stored) };
        drop(push);
        let (reply, answer) = oneshot::channel();
        queue.append(AppendJob { tenant, push: encoded, reply })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Runs `f` on a read-only connection, off the async threads. Everything `f` reads is of one moment.
    pub async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Held until the end, so that no more threads are taken than there are connections.
        let _permit = self.inner.read_permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let readers = Arc::clone(&self.inner.readers);
        let running = tokio::task::spawn_blocking(move || readers.run(f));
        running.await.unwrap_or(Err(StoreError::Panicked))
    }

    /// Runs `f` inside the writer's next transaction; returns when that is committed. Waits for room in the queue.
    /// An error from `f` undoes what `f` did and nothing else.
    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Write { work: Some(f), outcome: None, reply };
        self.inner.shared.queue.write(Box::new(job)).await?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Like `read`, for threads that may block.
    pub fn read_blocking<T>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner.readers.run(f)
    }

    /// Like `write`, for threads that may block.
    pub fn write_blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Write { work: Some(f), outcome: None, reply };
        self.inner.shared.queue.write_blocking(Box::new(job))?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }

    /// The known streams.
    pub fn streams(&self) -> &Streams {
        &self.inner.shared.streams
    }

    /// The sequence number of the newest committed block; changes wake the engines that follow the intake log.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.inner.shared.head.subscribe()
    }

    /// Tells everybody who listens that something committed has changed.
    pub fn announce(&self, change: Change) {
        // Nobody listening is fine.
        let _ = self.inner.changes.send(change);
    }

    /// Changes from now on. A listener that falls behind loses the oldest and must read the store again.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// Writes a consistent copy of the database to `target` while the server goes on; reports (done, total) pages.
    pub fn backup(&self, target: &Path, progress: impl FnMut(u64, u64)) -> Result<(), BackupError> {
        backup::copy(&self.inner.path, target, progress)
    }

    /// Stops the writer after everything queued is committed.
    pub async fn close(&self) {
        self.inner.shared.queue.close();
        let mut ended = self.inner.ended.clone();
        // An error means that the thread is gone already.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

impl Store {
    fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
        let thread = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may be dropped by the writer itself, at the end of a closure that owned it.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Timestamp,
        store::testing::{START, push},
    };

    fn blocks(store: &Store) -> Vec<u64> {
        let blocks = store.read_blocking(|conn| block::read_after(conn, 0, usize::MAX)).unwrap();
        blocks.iter().map(|block| block.seq).collect()
    }

    #[tokio::test]
    async fn a_retried_push_is_recognised_also_after_a_restart() {
        let mut store = testing::store();
        let batch = push(&store, 7, &[(1, 1, b"line")]);
        assert_eq!(store.append(batch.clone()).await.unwrap(), Appended::Stored);
        assert_eq!(store.append(batch.clone()).await.unwrap(), Appended::Duplicate);
        store.reopen();
        assert_eq!(store.append(batch.clone()).await.unwrap(), Appended::Duplicate);
        assert_eq!(blocks(&store), [1]);
        assert_eq!(
            store.streams().admit(&batch.tenant, &batch.streams[0].labels, 1, START),
            Ok(batch.streams[0].id)
        );
    }

    #[tokio::test]
    async fn pushes_wake_those_who_follow_the_head() {
        let store = testing::store();
        let mut head = store.head();
        store.append(push(&store, 1, &[(1, 1, b"line")])).await.unwrap();
        head.changed().await.unwrap();
        assert_eq!(*head.borrow(), 1);
    }

    #[tokio::test]
    async fn an_error_or_panic_of_a_write_undoes_only_itself() {
        let store = testing::store();
        let set = |tx: &Transaction<'_>, name: &str| position::set(tx, name, 5, START);
        let (good, bad, panicked, push) = tokio::join!(
            store.write(move |tx| set(tx, "good")),
            store.write(move |tx| {
                set(tx, "bad")?;
                Err::<(), _>(StoreError::Busy)
            }),
            store.write(move |tx| -> Result<(), StoreError> {
                set(tx, "panicked")?;
                panic!("boom")
            }),
            store.append(push(&store, 1, &[(1, 1, b"line")])),
        );
        assert!(good.is_ok() && push.is_ok());
        assert!(matches!(bad, Err(StoreError::Busy)) && matches!(panicked, Err(StoreError::Panicked)));
        let get = |name: &'static str| store.read_blocking(move |conn| position::get(conn, name)).unwrap();
        assert_eq!((get("good"), get("bad"), get("panicked")), (5, 0, 0));
    }

    #[tokio::test]
    async fn a_full_queue_is_an_answer_not_a_wait() {
        let store = testing::store_with(|settings| settings.queue_pushes = 2);
        let (started, begun) = oneshot::channel();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holding = store.write(move |_| {
            let _ = started.send(());
            let _ = held.recv();
            Ok(())
        });
        let pushing = async {
            begun.await.unwrap();
            let outcome = tokio::join!(
                store.append(push(&store, 1, &[(1, 1, b"a")])),
                store.append(push(&store, 2, &[(1, 2, b"b")])),
                async {
                    let third = store.append(push(&store, 3, &[(1, 3, b"c")])).await;
                    release.send(()).unwrap();
                    third
                },
            );
            assert!(outcome.0.is_ok() && outcome.1.is_ok());
            assert!(matches!(outcome.2, Err(StoreError::Busy)));
        };
        let (held, ()) = tokio::join!(holding, pushing);
        held.unwrap();
        assert_eq!(store.shared().metrics.refused_pushes.get(), 1);
    }

    #[tokio::test]
    async fn a_full_disk_refuses_pushes_and_recovers() {
        let store = testing::store();
        let limit =
            |pages: u32| store.write(move |tx| Ok(tx.pragma_update(None, "max_page_count", pages)?));
        limit(1).await.unwrap();
        let noise: Vec<u8> =
            (0..400_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let large = push(&store, 1, &[(1, 1, &noise)]);
        assert!(matches!(store.append(large.clone()).await, Err(StoreError::Unavailable(_))));
        let failed = store.append(large.clone()).await;
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "no duplicate of what was not stored");
        assert!(store.shared().is_short_of_space.load(std::sync::atomic::Ordering::Relaxed));
        limit(1_000_000).await.unwrap();
        assert_eq!(store.append(large).await.unwrap(), Appended::Stored);
        assert_eq!(blocks(&store), [1]);
    }

    #[tokio::test]
    async fn closing_finishes_what_was_queued_and_takes_nothing_more() {
        let store = testing::store();
        let queued = store.append(push(&store, 1, &[(1, 1, b"line")]));
        let (queued, ()) = tokio::join!(queued, store.close());
        assert_eq!(queued.unwrap(), Appended::Stored);
        let late = store.append(push(&store, 2, &[(1, 2, b"line")])).await;
        assert!(matches!(late, Err(StoreError::Closed)));
        assert!(matches!(store.write(|_| Ok(())).await, Err(StoreError::Closed)));
    }

    #[tokio::test]
    async fn blocks_come_in_order_and_at_least_one() {
        let store = testing::store();
        for hash in 1..=3 {
            store.append(push(&store, hash, &[(1, 1, &[b'x'; 100])])).await.unwrap();
        }
        let read = |after, max| {
            let blocks = store.read_blocking(|conn| block::read_after(conn, after, max)).unwrap();
            blocks.iter().map(|block| block.seq).collect::<Vec<_>>()
        };
        assert_eq!(read(0, 0), [1]);
        assert_eq!(read(1, 1_000), [2, 3]);
        assert_eq!(read(3, 1_000), [] as [u64; 0]);
        let first = store.read_blocking(|conn| block::read_after(conn, 0, 0)).unwrap().remove(0);
        assert_eq!((first.tenant, first.entries, first.received), (1, 1, START));
        assert_eq!(first.iter().map(|entry| (entry.at.block, entry.at.index)).collect::<Vec<_>>(), [(1, 0)]);
        assert!(first.iter().all(|entry| entry.timestamp > Timestamp::MIN && entry.metadata().len() == 0));
    }
}
