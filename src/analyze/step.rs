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
use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    commit::Commit,
    engine::{Carried, Engine, Received},
    group::{GroupKey, StreamContext},
    sift::Sifter,
    taught::Taught,
};
use crate::{
    model::{StreamId, Timestamp},
    runtime::{Backoff, Clock},
    store::{
        Change, Store, StoreError, alias,
        block::{self, Block, BlockEntry},
        memory::{self, StoredRow},
        position, template,
    },
    telemetry::AnalyzeMetrics,
    wire::level,
};

/// Plain bytes of blocks taken per step: bounds memory and the time until due windows are looked at.
const STEP_BYTES: usize = 4 << 20;
/// Streams whose context is remembered.
const MAX_CONTEXTS: usize = 20_000;
/// A group silent for so long is forgotten.
const SILENT: Duration = Duration::from_secs(30 * 86_400);
/// How often silent groups are looked for, and how many are forgotten at once.
const SWEEP: Duration = Duration::from_secs(3600);
const SWEEP_GROUPS: usize = 1_000;
/// How long to wait for company after a push before looking at it; keeps single pushes from costing a wake-up each.
const GATHER: Duration = Duration::from_millis(50);
/// How often due windows are looked for while nothing arrives.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// How often groups are looked at that say nothing.
const QUIET_TICK: Duration = Duration::from_secs(15);

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
    /// Silent groups are not looked for before this time.
    next_sweep: Timestamp,
    /// Says when something was taught.
    changes: broadcast::Receiver<Change>,
    is_taught_stale: bool,
    /// The last block taken into windows.
    pub(super) read: u64,
    /// The position as committed.
    pub(super) saved: u64,
    /// A commit that could not be written yet; nothing else happens before it is.
    pub(super) unwritten: Option<Arc<Commit>>,
    /// When groups without lines are looked at next.
    next_tick: Timestamp,
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
            let groups = position::groups(conn, settings.max_groups)?;
            let mut memory = Vec::new();
            for group in &groups {
                let (tenant, name) = (group.tenant, &group.name);
                let rows = memory::of(conn, tenant, name)?.into_iter();
                memory.extend(rows.map(|row| StoredRow { tenant, group: name.clone(), row }));
            }
            let carried =
                Carried { templates: template::all(conn)?, groups, memory, aliases: alias::all(conn)? };
            Ok((carried, position::get(conn, position::name::ANALYZE)?))
        })?;
        if read == 0 {
            // Registers the analysis before the first line: compaction passes only positions it knows.
            let now = clock.now();
            store.write_blocking(move |tx| position::set(tx, position::name::ANALYZE, 0, now))?;
        }
        let changes = store.changes();
        let mut engine = Engine::restore(settings, sifter, carried);
        engine.teach(Arc::new(store.read_blocking(Taught::read)?));
        Ok(Analyzer {
            engine,
            store,
            metrics,
            clock,
            streams: FxHashMap::default(),
            next_sweep: Timestamp::MIN,
            changes,
            is_taught_stale: false,
            read,
            saved: read,
            unwritten: None,
            next_tick: Timestamp::MIN,
        })
    }

    /// Does one bounded piece of work.
    pub fn run_once(&mut self) -> Result<Progress, StoreError> {
        self.retry_unwritten()?;
        self.hear_what_was_taught()?;
        let after = self.read;
        let blocks = self.store.read_blocking(|conn| block::read_after(conn, after, STEP_BYTES))?;
        for block in &blocks {
            self.close_due(block.received)?;
            self.take(block)?;
            self.read = block.seq;
            // Every window closed so far is written, and with it what its group carries.
            self.engine.evict();
            if self.engine.is_overfull() {
                let open = self.engine.open();
                self.close(&open, block.received)?;
                self.engine.evict();
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
        self.forget_silent(now)?;
        if now >= self.next_tick {
            self.next_tick = now.plus(QUIET_TICK);
            self.write_quiet(now)?;
        }
        Ok(Progress::Idle)
    }

    /// Reads what was taught when something has been since the last time.
    fn hear_what_was_taught(&mut self) -> Result<(), StoreError> {
        loop {
            match self.changes.try_recv() {
                Ok(Change::Taught) | Err(TryRecvError::Lagged(_)) => self.is_taught_stale = true,
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if self.is_taught_stale {
            self.engine.teach(Arc::new(self.store.read_blocking(Taught::read)?));
            self.is_taught_stale = false;
        }
        Ok(())
    }

    /// Takes every entry of a block into the window of its group.
    fn take(&mut self, block: &Block) -> Result<(), StoreError> {
        let entries: Vec<_> = block.iter().map(|entry| (entry.stream, received(&entry))).collect();
        let sections = || entries.chunk_by(|(one, _), (other, _)| one == other);
        // Everything that can fail comes before the first line: a block is taken whole or not at all.
        let streams = sections().filter_map(|section| section.first()).map(|(stream, _)| *stream);
        let contexts = streams.map(|stream| self.context(stream)).collect::<Result<Vec<_>, _>>()?;
        for (section, context) in sections().zip(contexts) {
            let Some(context) = context else { continue };
            // A line that trips a bug must not stop the analysis of every other line, now and after each restart.
            let guarded = catch_unwind(AssertUnwindSafe(|| {
                let lines = section.iter().map(|(_, line)| *line);
                self.engine.take(&context, (block.seq, block.received), lines, &mut ());
            }));
            if guarded.is_err() {
                self.metrics.panics.inc();
                tracing::error!(
                    block = block.seq,
                    group = context.group.1,
                    "analysis of these lines panicked, skipped them"
                );
            }
        }
        self.metrics.lines.inc_by(u64::from(block.entries));
        Ok(())
    }

    /// What the lines of a stream have in common; made on first sight. Its group is in memory afterwards.
    fn context(&mut self, stream: StreamId) -> Result<Option<Arc<StreamContext>>, StoreError> {
        if let Some(known) = self.streams.get(&stream) {
            let known = Arc::clone(known);
            self.recall(&known.group)?;
            return Ok(Some(known));
        }
        let Some(info) = self.store.streams().get(stream) else { return Ok(None) };
        let tenant = self.store.streams().tenant_number(&info.tenant);
        self.recall(&self.engine.group_of(tenant, &info.labels))?;
        let context = Arc::new(self.engine.context(tenant, info.labels));
        if self.streams.len() >= MAX_CONTEXTS {
            self.streams.clear(); // streams come and go over months; those still alive are made again
        }
        self.streams.insert(stream, Arc::clone(&context));
        Ok(Some(context))
    }

    /// Reads a group that is not in memory, if it was ever stored.
    fn recall(&mut self, key: &GroupKey) -> Result<(), StoreError> {
        if self.engine.has(key) {
            return Ok(());
        }
        let (tenant, name) = key;
        let stored = self.store.read_blocking(|conn| {
            let group = position::group(conn, *tenant, name)?;
            let memory = if group.is_some() { memory::of(conn, *tenant, name)? } else { Vec::new() };
            Ok(group.map(|group| (group, memory)))
        })?;
        if let Some((group, memory)) = stored {
            self.engine.restore_group(group, &memory);
        }
        Ok(())
    }

    /// Now and then forgets groups that have been silent for long: what was learnt of them is out of date.
    fn forget_silent(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if now < self.next_sweep {
            return Ok(());
        }
        let (before, saved) = (now.minus(SILENT), self.saved);
        let silent = self.store.read_blocking(|conn| position::silent(conn, before, saved, SWEEP_GROUPS))?;
        let silent: Vec<_> = silent.into_iter().filter(|key| !self.engine.is_open(key)).collect();
        if !silent.is_empty() {
            let keys = silent.clone();
            self.store.write_blocking(move |tx| {
                for (tenant, name) in &keys {
                    position::remove_group(tx, *tenant, name)?;
                    memory::remove(tx, *tenant, name)?;
                }
                Ok(())
            })?;
            silent.iter().for_each(|key| self.engine.forget(key));
            tracing::info!(groups = silent.len(), "forgot what was learnt of hosts silent for a month");
        }
        self.next_sweep = now.plus(SWEEP);
        Ok(())
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
    let level = level::of_metadata(entry.metadata());
    Received { at: entry.at, timestamp: entry.timestamp, line: entry.line, level }
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
