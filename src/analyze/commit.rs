//! What the analysis writes: windows, findings, templates, carried state and positions, in one transaction.
//!
//! A commit is made once and written until it succeeds; memory moves on only together with it. Writing a commit that
//! was already written changes nothing.

use std::sync::Arc;

use super::{
    engine::{Closed, TemplateChanges},
    group::GroupKey,
    quiet::Quiet,
    step::Analyzer,
    taught::Sieved,
    window::OpenWindow,
};
use crate::{
    model::{
        Finding, FindingDraft, FindingId, FindingWindow, Severity, TemplateId, Timestamp, WindowId,
        WindowState,
    },
    store::{
        Change, StoreError, Transaction, alias,
        finding::{self, Applied, Source},
        memory::{self, MemoryRow},
        position, template,
        window::{self, WindowDraft},
    },
};

/// Everything one write of the analysis consists of.
pub struct Commit {
    windows: Vec<ClosedWindow>,
    groups: Vec<ClosedGroup>,
    quiet: Vec<Quiet>,
    templates: TemplateChanges,
    position: Option<u64>,
    dedup: std::time::Duration,
    now: Timestamp,
}

struct ClosedWindow {
    draft: WindowDraft,
    source: Source,
    told: Sieved,
    /// What is over: fingerprints, each with the time that was said.
    recovered: Vec<(String, Timestamp)>,
}

/// A group whose window is closed, and what that window adds to the templates.
struct ClosedGroup {
    position: position::Group,
    counts: Vec<(TemplateId, u64, Timestamp)>,
    seen: Vec<(TemplateId, bool)>,
    memory: Vec<MemoryRow>,
}

/// What a commit did.
pub(super) struct Written {
    windows: Vec<(i64, WindowId, WindowState)>,
    findings: Vec<(i64, FindingId, Applied)>,
    recovered: Vec<(i64, Finding)>,
}

impl Commit {
    /// Nothing to write yet.
    pub(super) fn empty(dedup: std::time::Duration, now: Timestamp) -> Self {
        Commit {
            windows: Vec::new(),
            groups: Vec::new(),
            quiet: Vec::new(),
            templates: TemplateChanges::default(),
            position: None,
            dedup,
            now,
        }
    }

    /// Adds a window that ended at `now`; takes what is to be told of it out of `closed`.
    pub(super) fn add(&mut self, closed: &mut Closed, ask_model: bool, now: Timestamp) {
        let told = std::mem::take(&mut closed.told);
        let state = closing_state(&closed.window, &told.findings, ask_model);
        let mut ended = closed_window(&closed.key, &closed.window, told, state, now);
        ended.recovered = std::mem::take(&mut closed.recovered);
        let exhibit = closed.exhibit.take();
        ended.draft.exhibit = exhibit.and_then(|exhibit| serde_json::to_vec(&exhibit).ok());
        self.windows.push(ended);
        self.now = now;
    }

    /// Adds what is to be said of groups that say nothing themselves.
    pub(super) fn quiet(&mut self, quiet: Vec<Quiet>, now: Timestamp) {
        self.quiet.extend(quiet);
        self.now = now;
    }

    /// Windows added so far.
    pub(super) fn windows(&self) -> usize {
        self.windows.len()
    }

    pub(super) fn write(&self, tx: &Transaction<'_>) -> Result<Written, StoreError> {
        let mut written = Written { windows: Vec::new(), findings: Vec::new(), recovered: Vec::new() };
        for closed in &self.windows {
            let id = window::put(tx, &closed.draft)?;
            written.windows.push((closed.draft.tenant, id, closed.draft.state));
            for (id, applied) in closed.told.write(tx, &closed.source, self.dedup, self.now)? {
                written.findings.push((closed.draft.tenant, id, applied));
            }
            for (fingerprint, at) in &closed.recovered {
                let over = finding::recover(tx, closed.draft.tenant, fingerprint, *at, self.now)?;
                written.recovered.extend(over.into_iter().map(|finding| (closed.draft.tenant, finding)));
            }
        }
        template::put(tx, &self.templates.rows)?;
        template::move_counts(tx, &self.templates.merged)?;
        alias::put(tx, &self.templates.merged)?;
        for ClosedGroup { position, counts, seen, memory } in &self.groups {
            // A window that is written again must not count again.
            if position::group_seq(tx, position.tenant, &position.name)? < position.seq {
                template::add_counts(tx, counts)?;
                template::count_windows(tx, seen, self.now)?;
            }
            position::set_group(tx, position, self.now)?;
            memory::put(tx, position.tenant, &position.name, memory)?;
        }
        for Quiet { source, told, memory } in &self.quiet {
            memory::put(tx, source.tenant, &source.group, memory)?;
            for (id, applied) in told.write(tx, source, self.dedup, self.now)? {
                written.findings.push((source.tenant, id, applied));
            }
        }
        template::remove(tx, &self.templates.evicted)?;
        if let Some(seq) = self.position {
            position::set(tx, position::name::ANALYZE, seq, self.now)?;
        }
        Ok(written)
    }
}

impl Analyzer {
    /// Closes the windows of `keys` at the last block read, and makes the commit that says so.
    pub(super) fn closing_commit(&mut self, keys: &[GroupKey], now: Timestamp) -> Commit {
        let mut commit = self.empty_commit(now);
        for key in keys {
            let Some(mut closed) = self.engine.close(key, self.read, now) else { continue };
            commit.add(&mut closed, self.engine.settings.ask_model, now);
            let Closed { key, counts, seen, carried, memory, .. } = closed;
            let position = position::Group { tenant: key.0, name: key.1, seq: self.read, state: carried };
            commit.groups.push(ClosedGroup { position, counts, seen, memory });
        }
        commit.templates = self.engine.template_changes();
        commit.position = Some(self.engine.settled(self.read));
        commit
    }

    /// Writes the findings of groups in which an urgent rule spoke, without closing their windows.
    pub(super) fn write_urgent(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let keys = self.engine.urgent(now);
        if keys.is_empty() {
            return Ok(());
        }
        let mut commit = self.empty_commit(now);
        for key in keys {
            let Some((open, told, since)) = self.engine.early(&key, now) else { continue };
            commit.windows.push(closed_window(&key, open, told, WindowState::Open, now));
            if let Some(since) = since {
                self.metrics.observe_urgent(now.since(since));
            }
        }
        self.write(commit)
    }

    /// Writes what is to be said of groups that say nothing themselves.
    pub(super) fn write_quiet(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let quiet = self.engine.tick(self.read, now);
        if quiet.is_empty() {
            return Ok(());
        }
        let commit = Commit { quiet, ..self.empty_commit(now) };
        self.write(commit)
    }

    /// Moves the committed position when blocks were read that no open window needs any more.
    pub(super) fn save_position(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let settled = self.engine.settled(self.read);
        if settled <= self.saved {
            return Ok(());
        }
        let mut commit = self.empty_commit(now);
        commit.position = Some(settled);
        self.write(commit)
    }

    /// Writes a commit that failed earlier.
    pub(super) fn retry_unwritten(&mut self) -> Result<(), StoreError> {
        match self.unwritten.take() {
            Some(commit) => self.write_shared(commit),
            None => Ok(()),
        }
    }

    pub(super) fn write(&mut self, commit: Commit) -> Result<(), StoreError> {
        // A step may want to write twice; the second must not overtake a first that failed.
        self.retry_unwritten()?;
        self.write_shared(Arc::new(commit))
    }

    fn write_shared(&mut self, commit: Arc<Commit>) -> Result<(), StoreError> {
        let in_writer = Arc::clone(&commit);
        let written = match self.store.write_blocking(move |tx| in_writer.write(tx)) {
            Ok(written) => written,
            Err(error) => {
                self.unwritten = Some(commit);
                return Err(error);
            }
        };
        self.saved = commit.position.unwrap_or(self.saved);
        for (tenant, id, state) in written.windows {
            self.metrics.count_window(state);
            self.store.announce(Change::Window { tenant, id });
        }
        for (tenant, id, applied) in written.findings {
            self.metrics.count_finding(applied == Applied::New);
            self.store.announce(Change::Finding { tenant, id });
        }
        for (tenant, finding) in written.recovered {
            if let Some(id) = finding.incident_id {
                self.store.announce(Change::Incident { tenant, id });
            }
            self.store.announce(Change::Finding { tenant, id: finding.id });
        }
        Ok(())
    }

    fn empty_commit(&self, now: Timestamp) -> Commit {
        Commit::empty(self.engine.settings.dedup, now)
    }
}

fn closing_state(open: &OpenWindow, findings: &[FindingDraft], ask_model: bool) -> WindowState {
    match (findings.is_empty() && !open.is_suspicious(), ask_model) {
        (true, _) => WindowState::Quiet,
        (false, true) => WindowState::Pending,
        (false, false) => WindowState::RulesOnly,
    }
}

fn closed_window(
    key: &GroupKey,
    open: &OpenWindow,
    told: Sieved,
    state: WindowState,
    now: Timestamp,
) -> ClosedWindow {
    let draft = WindowDraft {
        tenant: key.0,
        group: key.1.clone(),
        first_seq: open.first_seq,
        from: open.from,
        to: open.to,
        closed: now,
        lines: open.lines,
        suspicious: open.suspicious,
        templates: open.templates.len() as u64,
        severity: told.findings.iter().map(|draft| draft.severity).max().unwrap_or(Severity::Info),
        state,
        exhibit: None,
    };
    let source = Source {
        tenant: key.0,
        group: key.1.clone(),
        first_seq: open.first_seq,
        window: FindingWindow {
            from: open.from,
            to: open.to,
            lines: open.lines,
            suspicious: open.suspicious,
        },
    };
    ClosedWindow { draft, source, told, recovered: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use prometheus::Registry;

    use super::*;
    use crate::{
        analyze::{Settings, sift::Sifter},
        model::{Entry, Labels, PushBatch, StreamBatch, TenantId},
        rules,
        runtime::Clock,
        store::{self, Store},
        telemetry::{AnalyzeMetrics, StoreMetrics},
    };

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn push(store: &Store, clock: &Clock, hash: u128, host: &str, lines: usize) {
        let (tenant, now) = (TenantId::single(), clock.now());
        let labels = Labels::from_pairs([("host", host)]).unwrap();
        let id = store.streams().admit(&tenant, &labels, 10, now).unwrap();
        let entry = |n: usize| Entry {
            timestamp: now.plus(Duration::from_nanos(n as u64)),
            line: Bytes::from_static(b"session opened for the usual user"),
            metadata: Vec::new(),
        };
        let entries = (0..lines).map(entry).collect();
        let streams = vec![StreamBatch { id, labels, entries }];
        let batch = PushBatch { tenant, received: now, push_hash: hash, streams };
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        rt.block_on(store.append(batch)).unwrap();
    }

    fn analyzer(store: &Store, clock: &Clock) -> Analyzer {
        let sifter = Arc::new(Sifter::new(rules::load(&rules::Settings::default()).unwrap()));
        let metrics = AnalyzeMetrics::register(&Registry::new()).unwrap();
        Analyzer::restore(store.clone(), sifter, Settings::default(), clock.clone(), metrics).unwrap()
    }

    fn counted(store: &Store) -> Vec<u64> {
        store.read_blocking(template::all).unwrap().iter().map(|row| row.count).collect()
    }

    #[test]
    fn lines_of_windows_that_a_crash_left_open_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let settings = store::Settings { data_dir: folder.path().to_owned(), ..store::Settings::default() };
        let clock = Clock::manual(START);
        let metrics = StoreMetrics::register(&Registry::new()).unwrap();
        let store = Store::open(&settings, clock.clone(), metrics).unwrap();
        let mut before = analyzer(&store, &clock);
        push(&store, &clock, 1, "a", 3);
        clock.advance(Duration::from_secs(40));
        push(&store, &clock, 2, "b", 2);
        before.run_once().unwrap();
        clock.advance(Duration::from_secs(30));
        before.run_once().unwrap();
        assert_eq!(counted(&store), [3], "the window of a is closed, that of b is not");
        push(&store, &clock, 3, "a", 4);
        before.run_once().unwrap();
        drop(before);
        let mut after = analyzer(&store, &clock);
        after.run_once().unwrap();
        assert_eq!(counted(&store), [3]);
        clock.advance(Duration::from_secs(61));
        after.run_once().unwrap();
        assert_eq!(counted(&store), [3 + 2 + 4]);
        let mut again = analyzer(&store, &clock);
        again.run_once().unwrap();
        assert_eq!(counted(&store), [9]);
    }

    #[test]
    fn a_commit_that_is_written_twice_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let settings = store::Settings { data_dir: folder.path().to_owned(), ..store::Settings::default() };
        let clock = Clock::manual(START);
        let metrics = StoreMetrics::register(&Registry::new()).unwrap();
        let store = Store::open(&settings, clock.clone(), metrics).unwrap();
        let mut analyzer = analyzer(&store, &clock);
        push(&store, &clock, 1, "a", 3);
        analyzer.run_once().unwrap();
        let keys: Vec<GroupKey> = analyzer.engine.open();
        let commit = Arc::new(analyzer.closing_commit(&keys, clock.now()));
        for _ in 0..2 {
            let commit = Arc::clone(&commit);
            store.write_blocking(move |tx| commit.write(tx)).unwrap();
        }
        assert_eq!(counted(&store), [3]);
    }
}
