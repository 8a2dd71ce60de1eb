//! The bounded queue between those who write and the writer thread.
//!
//! Pushes never wait for room (a full queue is an answer); the engines' writes do. Pushes go first.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::{
    store::{Appended, StoreError, Transaction, block::EncodedPush},
    telemetry::StoreMetrics,
};

/// Writes of engines that may wait; further ones wait for room. An engine has one write under way at a time.
const WRITES_MAX: usize = 64;

/// A push with the place its answer goes to.
pub(crate) struct AppendJob {
    pub(crate) tenant: i64,
    pub(crate) push: EncodedPush,
    pub(crate) reply: oneshot::Sender<Result<Appended, StoreError>>,
}

/// A write: run inside the transaction, answered after the commit.
pub(crate) trait WriteJob: Send {
    /// Does the work; `false` when its part of the transaction is to be undone.
    fn run(&mut self, tx: &Transaction<'_>) -> bool;
    /// Tells the outcome; the error is that of the commit.
    fn answer(self: Box<Self>, committed: Result<(), String>);
}

/// What the writer takes at once.
pub(crate) struct Work {
    pub(crate) appends: Vec<AppendJob>,
    pub(crate) writes: Vec<Box<dyn WriteJob>>,
}

/// The senders' side.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    writes: mpsc::Sender<Box<dyn WriteJob>>,
    pushes_max: usize,
    bytes_max: usize,
    metrics: StoreMetrics,
}

#[derive(Default)]
struct State {
    appends: Vec<AppendJob>,
    bytes: usize,
    has_writes: bool,
    is_closing: bool,
}

impl Queue {
    /// A queue with these limits, and the receiving end of the writes.
    pub(crate) fn new(
        pushes_max: usize,
        bytes_max: usize,
        metrics: StoreMetrics,
    ) -> (Self, mpsc::Receiver<Box<dyn WriteJob>>) {
        let (writes, receiver) = mpsc::channel(WRITES_MAX);
        let queue =
            Queue { state: Mutex::default(), wake: Condvar::new(), writes, pushes_max, bytes_max, metrics };
        (queue, receiver)
    }

    /// Fails when a push would not be taken now; asked before the work of encoding it.
    pub(crate) fn check_room(&self) -> Result<(), StoreError> {
        let state = self.state();
        self.room(&state)
    }

    /// Queues a push, or says that there is no room.
    pub(crate) fn append(&self, job: AppendJob) -> Result<(), StoreError> {
        let mut state = self.state();
        self.room(&state)?;
        state.bytes += job.push.payload.len();
        state.appends.push(job);
        self.report(&state);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues a write; waits for room.
    pub(crate) async fn write(&self, job: Box<dyn WriteJob>) -> Result<(), StoreError> {
        self.check_open()?;
        self.writes.send(job).await.map_err(|_| StoreError::Closed)?;
        self.wake_for_write();
        Ok(())
    }

    /// Queues a write from a thread that may block.
    pub(crate) fn write_blocking(&self, job: Box<dyn WriteJob>) -> Result<(), StoreError> {
        self.check_open()?;
        self.writes.blocking_send(job).map_err(|_| StoreError::Closed)?;
        self.wake_for_write();
        Ok(())
    }

    /// Nothing further is taken; the writer ends when everything taken is done.
    pub(crate) fn close(&self) {
        self.state().is_closing = true;
        self.wake.notify_one();
    }

    /// Everything waiting; blocks until there is something. `None` when closed and empty.
    pub(crate) fn take(&self, writes: &mut mpsc::Receiver<Box<dyn WriteJob>>) -> Option<Work> {
        let mut state = self.state();
        while state.appends.is_empty() && !state.has_writes && !state.is_closing {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let appends = std::mem::take(&mut state.appends);
        (state.bytes, state.has_writes) = (0, false);
        let is_closing = state.is_closing;
        self.report(&state);
        drop(state);
        if is_closing {
            // Those who already wait for room still get theirs done; later ones find the channel closed.
            writes.close();
        }
        let mut work = Work { appends, writes: Vec::new() };
        while let Ok(job) = writes.try_recv() {
            work.writes.push(job);
        }
        let is_done = is_closing && work.appends.is_empty() && work.writes.is_empty();
        (!is_done).then_some(work)
    }

    fn room(&self, state: &State) -> Result<(), StoreError> {
        if state.is_closing {
            return Err(StoreError::Closed);
        }
        if state.appends.len() >= self.pushes_max || state.bytes >= self.bytes_max {
            self.metrics.refused_pushes.inc();
            return Err(StoreError::Busy);
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.state().is_closing { Err(StoreError::Closed) } else { Ok(()) }
    }

    fn wake_for_write(&self) {
        self.state().has_writes = true;
        self.wake.notify_one();
    }

    fn report(&self, state: &State) {
        self.metrics.queue_pushes.set(state.appends.len() as i64);
        self.metrics.queue_bytes.set(state.bytes as i64);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
