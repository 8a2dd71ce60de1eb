//! Incidents: the engine that follows stored findings and joins those that belong to one thing that happened.
//!
//! In: findings by revision, from a cursor of its own. Out: incidents, written in the transaction that moves the cursor,
//! so that a crash at any point repeats work without repeating results. What a finding is joined to depends on what it
//! shares with others and how rare that is (`keys`, `weigh`); an incident's words and numbers are made from its findings
//! alone (`tell`). Silence closes what is over (`lifecycle`).

mod keys;
mod lifecycle;
mod place;
mod refresh;
mod tell;
mod weigh;

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{
    model::{IncidentId, Timestamp},
    runtime::Clock,
    store::{Change, Store, StoreError, Transaction, finding, incident},
    telemetry::IncidentMetrics,
};

/// The name under which the engine keeps its place among the findings.
pub const FOLLOWER: &str = "incident";

/// Findings placed in one transaction: few enough that pushes do not wait for it.
const BATCH: usize = 25;
/// How long to wait for company after a finding.
const GATHER: Duration = Duration::from_millis(200);
/// The longest sleep without looking.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The shortest, where silence is set to be short.
const LOOK_SOON: Duration = Duration::from_millis(200);
/// Pause after a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// What the operator may set about incidents.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Findings that share something belong together when there is no more time than this between their events.
    pub span: Duration,
    /// An incident for which nothing has arrived for so long is over.
    pub resolve_after: Duration,
    /// The same thing within this time after the end opens the incident again.
    pub reopen_within: Duration,
    /// So many findings of one kind within the span are one incident.
    pub storm: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            span: Duration::from_secs(30 * 60),
            resolve_after: Duration::from_secs(6 * 3_600),
            reopen_within: Duration::from_secs(24 * 3_600),
            storm: 20,
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Every finding is placed and nothing is due.
    Idle,
    /// There is more to do.
    MoreToDo,
}

/// Follows the findings.
pub struct Correlator {
    store: Store,
    settings: Settings,
    clock: Clock,
    metrics: IncidentMetrics,
    started: Timestamp,
    /// Findings taken at once; one, after a batch has failed.
    batch: usize,
}

/// What one transaction did.
#[derive(Default)]
struct Written {
    findings: usize,
    incidents: BTreeSet<(i64, IncidentId)>,
    events: Vec<&'static str>,
    open: u64,
}

impl Correlator {
    /// Takes what it works with; nothing runs yet.
    pub fn new(store: Store, settings: Settings, clock: Clock, metrics: IncidentMetrics) -> Self {
        let started = clock.now();
        Correlator { store, settings, clock, metrics, started, batch: BATCH }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        // Listening before looking: a finding written in between wakes the next round.
        let mut changes = self.store.changes();
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                done = self.run_once() => done,
            };
            let pause = match done {
                Ok(Progress::MoreToDo) => continue,
                Ok(Progress::Idle) => (self.settings.resolve_after / 4).clamp(LOOK_SOON, LOOK_AGAIN),
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, "cannot follow the findings");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => continue,
                is_open = next_finding(&mut changes) => if !is_open { return Ok(()) },
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(GATHER) => {}
            }
        }
    }

    /// Places the next findings, or closes what has been silent.
    pub async fn run_once(&mut self) -> Result<Progress, StoreError> {
        let at = self.store.read(|conn| finding::cursor(conn, FOLLOWER)).await?;
        let is_behind = self.store.read(move |conn| finding::next_revision(conn, at)).await?;
        if is_behind.is_some() {
            self.follow().await?;
            return Ok(Progress::MoreToDo);
        }
        let (settings, now, started) = (self.settings.clone(), self.clock.now(), self.started);
        let asked = settings.clone();
        let is_due = self.store.read(move |conn| lifecycle::is_due(conn, &asked, now, started)).await?;
        if !is_due {
            return Ok(Progress::Idle);
        }
        let written = self.store.write(move |tx| lifecycle::quiet(tx, &settings, now, started)).await?;
        let is_idle = written.incidents.is_empty();
        self.announce(&written);
        Ok(if is_idle { Progress::Idle } else { Progress::MoreToDo })
    }

    /// Takes one batch. A finding that cannot be placed is passed over, so that it does not stop all others.
    async fn follow(&mut self) -> Result<(), StoreError> {
        let (settings, now, batch) = (self.settings.clone(), self.clock.now(), self.batch);
        let written = self.store.write(move |tx| step(tx, &settings, batch, now)).await;
        match written {
            Ok(written) => {
                self.batch = BATCH;
                self.announce(&written);
                Ok(())
            }
            Err(StoreError::Sql(_) | StoreError::Panicked | StoreError::Damaged { .. }) if self.batch > 1 => {
                self.batch = 1;
                Ok(())
            }
            Err(error @ (StoreError::Sql(_) | StoreError::Panicked | StoreError::Damaged { .. })) => {
                tracing::error!(%error, "a finding cannot be placed in an incident, passed over");
                self.metrics.failed.inc();
                self.store.write(move |tx| pass_over(tx, now)).await
            }
            Err(error) => Err(error),
        }
    }

    fn announce(&self, written: &Written) {
        self.metrics.findings.inc_by(written.findings as u64);
        self.metrics.open.set(i64::try_from(written.open).unwrap_or(i64::MAX));
        for event in &written.events {
            self.metrics.count(event);
        }
        for (tenant, id) in &written.incidents {
            self.store.announce(Change::Incident { tenant: *tenant, id: id.clone() });
        }
    }
}

/// Waits for a finding to change; false when the store is gone.
async fn next_finding(changes: &mut tokio::sync::broadcast::Receiver<Change>) -> bool {
    loop {
        match changes.recv().await {
            Ok(Change::Finding { .. }) | Err(RecvError::Lagged(_)) => return true,
            Ok(_) => {}
            Err(RecvError::Closed) => return false,
        }
    }
}

/// Places the findings after the cursor and moves it.
fn step(
    tx: &Transaction<'_>,
    settings: &Settings,
    batch: usize,
    now: Timestamp,
) -> Result<Written, StoreError> {
    let changed = finding::changed_after(tx, finding::cursor(tx, FOLLOWER)?, batch)?;
    let mut written = Written { findings: changed.len(), ..Written::default() };
    let mut touched = BTreeSet::new();
    for change in &changed {
        place::place(
            tx,
            settings,
            change,
            &mut place::Outcome { touched: &mut touched, written: &mut written },
        )?;
    }
    for (tenant, id) in touched {
        if refresh::refresh(tx, tenant, &id, now)? {
            written.incidents.insert((tenant, id));
        }
    }
    if let Some(last) = changed.last() {
        finding::set_cursor(tx, FOLLOWER, last.revision, now)?;
    }
    written.open = incident::count_open(tx)?;
    Ok(written)
}

fn pass_over(tx: &Transaction<'_>, now: Timestamp) -> Result<(), StoreError> {
    if let Some(next) = finding::next_revision(tx, finding::cursor(tx, FOLLOWER)?)? {
        finding::set_cursor(tx, FOLLOWER, next, now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
