//! The writer thread: everything waiting goes into one transaction, one fsync, then the answers.
//!
//! A failed commit fails what was in it and nothing else; the thread goes on. It never waits for anybody but the disk.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use rusqlite::TransactionBehavior;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    runtime::Clock,
    store::{
        Appended, Connection, StoreError, Streams, Transaction,
        open::FolderLock,
        queue::{AppendJob, Queue, WriteJob},
        reserve::Reserve,
        retry::RecentPushes,
    },
    telemetry::StoreMetrics,
};

/// The name under which `meta` keeps the highest sequence number ever given to a block that is gone.
pub(crate) const LAST_SEQ: &str = "last_seq";

/// What the writer shares with the handles.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) streams: Streams,
    pub(crate) head: watch::Sender<u64>,
    /// The last push found the disk full.
    pub(crate) is_short_of_space: AtomicBool,
    pub(crate) clock: Clock,
    pub(crate) metrics: StoreMetrics,
}

/// The writer with everything it alone owns.
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) shared: Arc<Shared>,
    pub(crate) writes: mpsc::Receiver<Box<dyn WriteJob>>,
    pub(crate) recent: RecentPushes,
    pub(crate) reserve: Reserve,
    pub(crate) lock: FolderLock,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        self.reserve.hold();
        if let Err(error) = self.recent.load(&self.conn, shared.clock.now()) {
            tracing::error!(%error, "cannot read recent pushes; retries of them may be stored twice");
        }
        while let Some(work) = shared.queue.take(&mut self.writes) {
            // What the queue holds is bounded, and so is what must be free.
            let bytes = work.appends.iter().map(|job| job.push.payload.len() as u64).sum();
            let is_short = !self.has_room(bytes);
            shared.is_short_of_space.store(is_short, Ordering::Relaxed);
            if is_short {
                // The engines go on: what they are done with can be shed.
                self.commit(Vec::new(), work.writes);
                refuse(work.appends);
            } else {
                self.commit(work.appends, work.writes);
            }
        }
        drop(self.conn);
        drop(self.lock);
    }

    fn commit(&mut self, appends: Vec<AppendJob>, mut writes: Vec<Box<dyn WriteJob>>) {
        if appends.is_empty() && writes.is_empty() {
            return;
        }
        let started = Instant::now();
        let (now, head) = (self.shared.clock.now(), *self.shared.head.borrow());
        let mut batch =
            Batch { next_seq: head.saturating_add(1), outcomes: Vec::with_capacity(appends.len()) };
        let result = batch.write(self, now, &appends, &mut writes);
        let metrics = &self.shared.metrics;
        if let Err(failure) = &result {
            metrics.failed_commits.inc();
            tracing::error!(cause = %failure.cause, pushes = appends.len(), "commit failed");
            for (job, outcome) in appends.iter().zip(&batch.outcomes) {
                if *outcome == Appended::Stored {
                    self.recent.forget(job.tenant, job.push.push_hash);
                }
            }
        } else {
            metrics.commits.inc();
            metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
            if batch.next_seq > head.saturating_add(1) {
                self.shared.head.send_replace(batch.next_seq - 1);
            }
        }
        let is_full = result.as_ref().is_err_and(|failure| failure.is_full || self.is_disk_full());
        if is_full {
            self.shared.is_short_of_space.store(true, Ordering::Relaxed);
            let bytes = appends.iter().map(|job| job.push.payload.len() as u64).sum();
            self.make_room(bytes);
        }
        answer(appends, writes, batch.outcomes, &result.map_err(|failure| failure.cause), metrics);
    }
}

/// Answers pushes for which there is no room on the disk.
fn refuse(appends: Vec<AppendJob>) {
    for job in appends {
        let cause = "the disk is full and nothing stored can be dropped yet".to_owned();
        let _ = job.reply.send(Err(StoreError::Unavailable(cause)));
    }
}

/// Why a transaction failed.
struct Failure {
    cause: String,
    is_full: bool,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let is_full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
        Failure { cause: error.to_string(), is_full }
    }
}

/// One transaction in the making.
struct Batch {
    next_seq: u64,
    outcomes: Vec<Appended>,
}

impl Batch {
    fn write(
        &mut self,
        writer: &mut Writer,
        now: crate::model::Timestamp,
        appends: &[AppendJob],
        writes: &mut [Box<dyn WriteJob>],
    ) -> Result<(), Failure> {
        let tx = Transaction::new_unchecked(&writer.conn, TransactionBehavior::Immediate)?;
        let unsaved = writer.shared.streams.unsaved();
        if let Some(unsaved) = &unsaved {
            unsaved.insert(&tx).map_err(|error| Failure { cause: error.to_string(), is_full: false })?;
        }
        for job in appends {
            if !writer.recent.remember(job.tenant, job.push.push_hash, now) {
                self.outcomes.push(Appended::Duplicate);
                continue;
            }
            self.outcomes.push(Appended::Stored);
            insert(&tx, self.next_seq, job)?;
            self.next_seq += 1;
        }
        for job in writes {
            run_apart(&tx, job.as_mut())?;
        }
        tx.commit()?;
        if let Some(unsaved) = &unsaved {
            writer.shared.streams.saved(unsaved);
        }
        Ok(())
    }
}

fn insert(tx: &Transaction<'_>, seq: u64, job: &AppendJob) -> rusqlite::Result<()> {
    const SQL: &str = "INSERT INTO block
        (seq, tenant_id, received_ns, min_ns, max_ns, entries, streams, bytes, push_hash, payload)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let push = &job.push;
    let hash = push.push_hash.to_be_bytes();
    tx.prepare_cached(SQL)?.execute(rusqlite::params![
        seq.cast_signed(),
        job.tenant,
        push.received.as_nanos(),
        push.min.as_nanos(),
        push.max.as_nanos(),
        push.entries,
        push.streams,
        push.line_bytes.cast_signed(),
        hash.as_slice(),
        push.payload,
    ])?;
    Ok(())
}

/// Runs a write in a savepoint: its error undoes only itself.
fn run_apart(tx: &Transaction<'_>, job: &mut dyn WriteJob) -> Result<(), Failure> {
    tx.execute_batch("SAVEPOINT job")?;
    let is_good = job.run(tx);
    if tx.is_autocommit() {
        let cause = "the transaction was rolled back by the database".to_owned();
        return Err(Failure { cause, is_full: false });
    }
    tx.execute_batch(if is_good { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
    Ok(())
}

fn answer(
    appends: Vec<AppendJob>,
    writes: Vec<Box<dyn WriteJob>>,
    outcomes: Vec<Appended>,
    result: &Result<(), String>,
    metrics: &StoreMetrics,
) {
    let mut outcomes = outcomes.into_iter();
    for job in appends {
        let reply = match (result, outcomes.next()) {
            (Err(cause), _) => Err(StoreError::Unavailable(cause.clone())),
            (Ok(()), Some(Appended::Duplicate)) => {
                metrics.duplicate_pushes.inc();
                Ok(Appended::Duplicate)
            }
            (Ok(()), _) => {
                metrics.pushes.inc();
                Ok(Appended::Stored)
            }
        };
        // Who asked may have gone away; the push is stored all the same.
        let _ = job.reply.send(reply);
    }
    for job in writes {
        job.answer(result.clone());
    }
}

/// A closure of [`crate::store::Store::write`] on its way to the writer and back.
pub(crate) struct Write<T, F> {
    pub(crate) work: Option<F>,
    pub(crate) outcome: Option<Result<T, StoreError>>,
    pub(crate) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> WriteJob for Write<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tx: &Transaction<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or(Err(StoreError::Panicked));
        let is_good = outcome.is_ok();
        self.outcome = Some(outcome);
        is_good
    }

    fn answer(self: Box<Self>, committed: Result<(), String>) {
        let reply = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(cause)) => Err(StoreError::Unavailable(cause)),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        let _ = self.reply.send(reply);
    }
}
