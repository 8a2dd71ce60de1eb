//! The analysis step: takes blocks from the intake log into the windows of their groups, and closes what is due.
//!
//! One thread at a time works here; one call of `run_once` is a bounded piece of work. Windows, findings, templates,
//! carried state and positions are committed together (see `commit`), so a crash at any point repeats work without
//! repeating results.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use rustc_hash::FxHashMap;
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    commit::Commit,
    engine::{Carried, Engine, Received},
    group::{GroupKey, StreamContext},
    sift::Sifter,
};
use crate::{
    model::{StreamId, Timestamp},
    runtime::{Backoff, Clock},
    store::{
        Store, StoreError,
        block::{self, Block, BlockEntry},
        memory, position, template,
    },
    telemetry::AnalyzeMetrics,
};

/// Plain bytes of blocks taken per step: bounds memory and the time until due windows are looked at.
const STEP_BYTES: usize = 4 << 20;
/// Streams whose context is remembered.
const MAX_CONTEXTS: usize = 20_000;
/// How long to wait for company after a push before looking at it; keeps single pushes from costing a wake-up each.
const GATHER: Duration = Duration::from_millis(50);
/// How often due windows are looked for while nothing arrives.
const IDLE_TICK: Duration = Duration::from_millis(500);

/// Whether there is more to do right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything committed so far is in a window.
    Idle,
    /// There are further blocks.
    MoreToDo,
}

/// Follows the intake log.
pub struct Analyzer {
    pub(super) store: Store,
    pub(super) metrics: AnalyzeMetrics,
    clock: Clock,
    pub(super) engine: Engine,
    streams: FxHashMap<StreamId, Arc<StreamContext>>,
    /// The last block taken into windows.
    pub(super) read: u64,
    /// The position as committed.
    pub(super) saved: u64,
    /// A commit that could not be written yet; nothing else happens before it is.
    pub(super) unwritten: Option<Arc<Commit>>,
}

impl Analyzer {
    /// Restores engine and position as they were committed.
    pub fn restore(
        store: Store,
        sifter: Arc<Sifter>,
        settings: Settings,
        clock: Clock,
        metrics: AnalyzeMetrics,
    ) -> Result<Self, StoreError> {
        let (carried, read) = store.read_blocking(|conn| {
            let carried = Carried {
                templates: template::all(conn)?,
                groups: position::groups(conn)?,
                memory: memory::all(conn)?,
            };
            Ok((carried, position::get(conn, position::name::ANALYZE)?))
        })?;
        if read == 0 {
            // Registers the analysis before the first line: compaction passes only positions it knows.
            let now = clock.now();
            store.write_blocking(move |tx| position::set(tx, position::name::ANALYZE, 0, now))?;
        }
        Ok(Analyzer {
            engine: Engine::restore(settings, sifter, carried),
            store,
            metrics,
            clock,
            streams: FxHashMap::default(),
            read,
            saved: read,
            unwritten: None,
        })
    }

    /// Does one bounded piece of work.
    pub fn run_once(&mut self) -> Result<Progress, StoreError> {
        self.retry_unwritten()?;
        let after = self.read;
        let blocks = self.store.read_blocking(|conn| block::read_after(conn, after, STEP_BYTES))?;
        for block in &blocks {
            self.close_due(block.received)?;
            self.take(block);
            self.read = block.seq;
            if self.engine.is_overfull() {
                let open = self.engine.open();
                self.close(&open, block.received)?;
            }
        }
        let now = self.clock.now();
        self.write_urgent(now)?;
        if !blocks.is_empty() {
            self.metrics.observe_lag(blocks.last().map_or(Duration::ZERO, |block| now.since(block.received)));
            return Ok(Progress::MoreToDo);
        }
        self.close_due(now)?;
        self.metrics.observe_lag(Duration::ZERO);
        self.save_position(now)?;
        Ok(Progress::Idle)
    }

    /// Takes every entry of a block into the window of its group.
    fn take(&mut self, block: &Block) {
        let mut section = Vec::new();
        let mut entries = block.iter().peekable();
        while let Some(first) = entries.next() {
            let stream = first.stream;
            section.clear();
            section.push(received(&first));
            while let Some(entry) = entries.next_if(|entry| entry.stream == stream) {
                section.push(received(&entry));
            }
            let Some(context) = self.context(stream) else { continue };
            // A line that trips a bug must not stop the analysis of every other line, now and after each restart.
            let guarded = catch_unwind(AssertUnwindSafe(|| {
                let lines = section.iter().copied();
                self.engine.take(&context, (block.seq, block.received), lines, &mut ());
            }));
            if guarded.is_err() {
                self.metrics.panics.inc();
                tracing::error!(
                    block = block.seq,
                    stream = stream.0,
                    "analysis of these lines panicked, skipped them"
                );
            }
        }
        self.metrics.lines.inc_by(u64::from(block.entries));
    }

    /// What the lines of a stream have in common; made on first sight.
    fn context(&mut self, stream: StreamId) -> Option<Arc<StreamContext>> {
        if let Some(known) = self.streams.get(&stream) {
            return Some(Arc::clone(known));
        }
        let info = self.store.streams().get(stream)?;
        let tenant = self.store.streams().tenant_number(&info.tenant);
        let context = Arc::new(self.engine.context(tenant, info.labels));
        if self.streams.len() >= MAX_CONTEXTS {
            self.streams.clear(); // streams come and go over months; those still alive are made again
        }
        self.streams.insert(stream, Arc::clone(&context));
        Some(context)
    }

    /// Closes the windows that are due at `now`.
    fn close_due(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let due = self.engine.due(now);
        self.close(&due, now)
    }

    fn close(&mut self, keys: &[GroupKey], now: Timestamp) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let commit = self.closing_commit(keys, now);
        self.write(commit)
    }
}

fn received<'a>(entry: &BlockEntry<'a>) -> Received<'a> {
    Received { at: entry.at, timestamp: entry.timestamp, line: entry.line }
}

/// Runs the analysis until told to stop. Storage trouble is waited out; open windows are read again after a restart.
pub async fn run(mut analyzer: Analyzer, stop: CancellationToken) -> Result<(), tokio::task::JoinError> {
    let mut head = analyzer.store.head();
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    while !stop.is_cancelled() {
        head.mark_unchanged();
        let (back, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = analyzer.run_once();
            (analyzer, outcome)
        })
        .await?;
        analyzer = back;
        let pause = match outcome {
            Ok(Progress::MoreToDo) => {
                backoff.reset();
                continue;
            }
            Ok(Progress::Idle) => {
                backoff.reset();
                tokio::select! {
                    changed = head.changed() => match changed {
                        Ok(()) => GATHER,
                        Err(_) => IDLE_TICK,
                    },
                    () = tokio::time::sleep(IDLE_TICK) => Duration::ZERO,
                    () = stop.cancelled() => Duration::ZERO,
                }
            }
            Err(StoreError::Closed) => break,
            Err(error) => {
                tracing::error!(%error, "analysis cannot go on, trying again");
                backoff.next_wait()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
