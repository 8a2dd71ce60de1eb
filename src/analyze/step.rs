//! The analysis step: takes blocks from the intake log into the windows of their groups, and closes what is due.
//!
//! One thread at a time works here; one call of `run_once` is a bounded piece of work. Windows, findings, templates,
//! carried state and positions are committed together (see `commit`), so a crash at any point repeats work without
//! repeating results.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    commit::Commit,
    group::{Group, GroupKey, Groups, StreamContext, group_name},
    line::Line,
    mine::{Change, Miner},
    sift::{GroupSift, Sifter},
    window::{OpenWindow, Seen},
};
use crate::{
    model::{StreamId, Timestamp},
    runtime::{Backoff, Clock},
    store::{
        Store, StoreError,
        block::{self, Block, BlockEntry},
        position, template,
    },
    telemetry::AnalyzeMetrics,
    wire::envelope::{self, Envelope},
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

/// Follows the intake log. Owns every open window.
pub struct Analyzer {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) metrics: AnalyzeMetrics,
    clock: Clock,
    pub(super) sifter: Arc<Sifter>,
    ids: Arc<AtomicU64>,
    pub(super) miners: FxHashMap<i64, Miner>,
    pub(super) groups: Groups,
    streams: FxHashMap<StreamId, Arc<StreamContext>>,
    open_templates: usize,
    /// No window is due before this time.
    next_due: Timestamp,
    /// The last block taken into windows.
    pub(super) read: u64,
    /// The position as committed.
    pub(super) saved: u64,
    /// A commit that could not be written yet; nothing else happens before it is.
    pub(super) unwritten: Option<Arc<Commit>>,
}

impl Analyzer {
    /// Restores miners, groups and position as they were committed.
    pub fn restore(
        store: Store,
        sifter: Arc<Sifter>,
        settings: Settings,
        clock: Clock,
        metrics: AnalyzeMetrics,
    ) -> Result<Self, StoreError> {
        let (templates, groups, read) = store.read_blocking(|conn| {
            Ok((template::all(conn)?, position::groups(conn)?, position::get(conn, position::name::ANALYZE)?))
        })?;
        let next_id = templates.iter().map(|row| row.id.0 + 1).max().unwrap_or(1);
        let ids = Arc::new(AtomicU64::new(next_id));
        let mut by_tenant: FxHashMap<i64, Vec<template::TemplateRow>> = FxHashMap::default();
        for row in templates {
            by_tenant.entry(row.tenant).or_default().push(row);
        }
        let mut miners = FxHashMap::default();
        for (tenant, rows) in by_tenant {
            let mut miner = Miner::new(&settings.mine, tenant, Arc::clone(&ids));
            miner.restore(rows);
            miners.insert(tenant, miner);
        }
        if read == 0 {
            // Registers the analysis before the first line: compaction passes only positions it knows.
            let now = clock.now();
            store.write_blocking(move |tx| position::set(tx, position::name::ANALYZE, 0, now))?;
        }
        let groups = groups.into_iter().map(restored_group).collect();
        Ok(Analyzer {
            store,
            settings,
            metrics,
            clock,
            sifter,
            ids,
            miners,
            groups,
            streams: FxHashMap::default(),
            open_templates: 0,
            next_due: Timestamp::MAX,
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
            if self.open_templates > self.settings.max_open_templates {
                self.close_all(block.received)?;
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
            section.push(first);
            while let Some(entry) = entries.next_if(|entry| entry.stream == stream) {
                section.push(entry);
            }
            // A line that trips a bug must not stop the analysis of every other line, now and after each restart.
            let guarded = catch_unwind(AssertUnwindSafe(|| self.take_section(block, stream, &section)));
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

    /// Takes the entries of one stream.
    fn take_section(&mut self, block: &Block, stream: StreamId, entries: &[BlockEntry<'_>]) {
        let Some(context) = self.context(stream) else { return };
        let Some(group) = self.groups.at(context.place) else { return };
        if block.seq <= group.seq {
            return; // analysed before a restart, together with a window already committed
        }
        let miner = self
            .miners
            .entry(context.tenant)
            .or_insert_with(|| Miner::new(&self.settings.mine, context.tenant, Arc::clone(&self.ids)));
        let window = group.window.get_or_insert_with(|| OpenWindow::open(block.seq, block.received));
        let templates_before = window.templates.len();
        for entry in entries {
            let envelope = envelope::open(entry.line);
            let urgent = Reader { miner, sifter: &self.sifter, context: &context }.read(
                entry,
                &envelope,
                &mut group.sift,
                window,
            );
            if urgent {
                group.urgent_since.get_or_insert(block.received);
            }
        }
        self.open_templates += window.templates.len() - templates_before;
        let is_full = window.lines >= self.settings.max_window_lines;
        let due = if is_full { Timestamp::MIN } else { window.opened.plus(self.settings.window) };
        self.next_due = self.next_due.min(due);
    }

    /// What the lines of a stream have in common; made on first sight.
    fn context(&mut self, stream: StreamId) -> Option<Arc<StreamContext>> {
        if let Some(known) = self.streams.get(&stream) {
            return Some(Arc::clone(known));
        }
        let info = self.store.streams().get(stream)?;
        let tenant = self.store.streams().tenant_number(&info.tenant);
        let group = (tenant, group_name(&info.labels, &self.settings.group_by));
        let context = Arc::new(StreamContext {
            tenant,
            place: self.groups.place(&group),
            group,
            rules: self.sifter.stream_rules(&info.labels),
            labels: info.labels,
        });
        if self.streams.len() >= MAX_CONTEXTS {
            self.streams.clear(); // streams come and go over months; those still alive are made again
        }
        self.streams.insert(stream, Arc::clone(&context));
        Some(context)
    }

    /// Closes the windows that are due at `now`: old enough or large enough.
    fn close_due(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if now < self.next_due {
            return Ok(());
        }
        let (age, lines) = (self.settings.window, self.settings.max_window_lines);
        let mut due = Vec::new();
        self.next_due = Timestamp::MAX;
        for (key, group) in self.groups.iter() {
            let Some(window) = &group.window else { continue };
            if now >= window.opened.plus(age) || window.lines >= lines {
                due.push(key.clone());
            } else {
                self.next_due = self.next_due.min(window.opened.plus(age));
            }
        }
        self.close(due, now)
    }

    fn close_all(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let open = self.groups.iter().filter(|(_, group)| group.window.is_some());
        let keys = open.map(|(key, _)| key.clone()).collect();
        self.close(keys, now)
    }

    fn close(&mut self, mut keys: Vec<GroupKey>, now: Timestamp) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        keys.sort(); // the same order on every run: results do not depend on a hash seed
        let commit = self.closing_commit(&keys, now);
        self.open_templates =
            self.groups.values().filter_map(|group| group.window.as_ref()).map(|w| w.templates.len()).sum();
        self.write(commit)
    }
}

/// Reads one line: mine, sift, count.
struct Reader<'a> {
    miner: &'a mut Miner,
    sifter: &'a Sifter,
    context: &'a StreamContext,
}

impl Reader<'_> {
    /// Says whether an urgent rule newly spoke.
    fn read(
        self,
        entry: &BlockEntry<'_>,
        envelope: &Envelope<'_>,
        sift: &mut GroupSift,
        window: &mut OpenWindow,
    ) -> bool {
        let observation = self.miner.observe(&envelope.message, entry.timestamp);
        let (template, is_new) = (observation.template, observation.change == Change::New);
        let values: SmallVec<[&str; 8]> =
            observation.values.iter().map(|value| value.text(&envelope.message)).collect();
        let known_before = match window.templates.contains_key(&template) {
            true => 0, // asked only when the window meets the template
            false => self.miner.template(template).map_or(0, |known| known.count.saturating_sub(1)),
        };
        let host = match self.context.group.1.as_str() {
            "" => envelope.host.as_deref().unwrap_or_default(),
            name => name,
        };
        let line = Line {
            at: entry.at,
            labels: &self.context.labels,
            host,
            timestamp: entry.timestamp,
            raw: entry.line,
            envelope,
            template: Some(template),
        };
        let verdict = sift.line(self.sifter, &self.context.rules, &line);
        window.add(
            &line,
            &Seen {
                template,
                is_new,
                known_before,
                severity: verdict.severity,
                hit: verdict.hit,
                values: &values,
            },
        );
        verdict.urgent
    }
}

fn restored_group(group: position::Group) -> (GroupKey, Group) {
    let sift = serde_json::from_slice(&group.state).unwrap_or_else(|error| {
        // Thresholds start over; positions and findings are unaffected.
        tracing::warn!(group = group.name, %error, "carried rule state could not be read, starting afresh");
        GroupSift::default()
    });
    ((group.tenant, group.name), Group { seq: group.seq, sift, ..Group::default() })
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
