//! SQLite: one writer thread with group commit, many readers. Everything acknowledged is on disk first.
//!
//! One file per aggregate; SQL stands beside the function that uses it. Reading functions take a `&Connection`
//! (from [`Store::read`]), writing functions a `&Transaction` (from [`Store::write`]), so that an engine can commit
//! its result and its position together.

pub mod block;
pub mod census;
pub mod finding;
pub mod line;
pub mod model_call;
pub mod position;
pub mod template;
pub mod window;

mod streams;

use std::{path::PathBuf, time::Duration};

pub use rusqlite::{Connection, Transaction};
pub use streams::{StreamInfo, Streams, TooManyStreams};
use tokio::sync::{broadcast, watch};

use crate::{
    model::{FindingId, PushBatch, WindowId},
    runtime::Clock,
    telemetry::StoreMetrics,
};

/// What the operator may set about the store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the database; created when missing.
    pub data_dir: PathBuf,
    /// Lines older than this are dropped. Zero keeps them for ever.
    pub retention: Duration,
    /// The database is kept below this size by dropping the oldest analysed lines. Zero means no limit.
    pub max_bytes: u64,
    /// Pushes waiting for the writer; one more is answered 429.
    pub queue_pushes: usize,
    /// Bytes of pushes waiting for the writer; more are answered 429.
    pub queue_bytes: usize,
    /// Read-only connections.
    pub readers: usize,
    /// Blocks are compacted once they are this old (and every engine is done with them).
    pub compact_after: Duration,
    /// A push with the same body within this time is a retry and is not stored again.
    pub retry_window: Duration,
}

/// The database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {}

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
    Sql(#[from] rusqlite::Error),
    /// A stored value could not be read back.
    #[error("damaged {what}: {cause}")]
    Damaged {
        /// What was being read.
        what: &'static str,
        /// Why it could not be.
        cause: String,
    },
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
pub struct Store {}

impl Store {
    /// Opens or creates the database, applies migrations and starts the writer thread.
    pub fn open(_settings: &Settings, _clock: Clock, _metrics: StoreMetrics) -> Result<Self, OpenError> {
        todo!()
    }

    /// Appends a push: returns when it is committed with fsync. Never waits for room: a full queue is `Busy`.
    pub async fn append(&self, _push: PushBatch) -> Result<Appended, StoreError> {
        todo!()
    }

    /// Runs `f` on a read-only connection, off the async threads.
    pub async fn read<T: Send + 'static>(
        &self,
        _f: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        todo!()
    }

    /// Runs `f` inside the writer's next transaction; returns when that is committed. Waits for room in the queue.
    /// An error from `f` undoes what `f` did and nothing else.
    pub async fn write<T: Send + 'static>(
        &self,
        _f: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        todo!()
    }

    /// Like `read`, for threads that may block.
    pub fn read_blocking<T>(
        &self,
        _f: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        todo!()
    }

    /// Like `write`, for threads that may block.
    pub fn write_blocking<T: Send + 'static>(
        &self,
        _f: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        todo!()
    }

    /// The known streams.
    pub fn streams(&self) -> &Streams {
        todo!()
    }

    /// The sequence number of the newest committed block; changes wake the engines that follow the intake log.
    pub fn head(&self) -> watch::Receiver<u64> {
        todo!()
    }

    /// Tells everybody who listens that something committed has changed.
    pub fn announce(&self, _change: Change) {
        todo!()
    }

    /// Changes from now on. A listener that falls behind loses the oldest and must read the store again.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        todo!()
    }

    /// Writes a consistent copy of the database to `target` while the server goes on; reports (done, total) pages.
    pub fn backup(
        &self,
        _target: &std::path::Path,
        _progress: impl FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// Stops the writer after everything queued is committed.
    pub async fn close(&self) {
        todo!()
    }
}
