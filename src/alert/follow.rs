//! From incidents that have changed to delivery rows. Messages are made outside of the writer; what was written
//! meanwhile by a sender makes the batch be looked at again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{
    FOLLOWER, Handle, Route,
    decide::{Step, decide},
    snapshot,
};
use crate::{
    model::{AlertReason, DeliveryState, Timestamp},
    runtime::Clock,
    store::{
        Change, Connection, Store, StoreError, Transaction,
        delivery::{self, New},
        finding,
        incident::{self, Changed},
    },
    telemetry::AlertMetrics,
};

/// Incidents looked at in one transaction.
const BATCH: usize = 20;
/// The longest sleep without looking.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Pause after a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// Messages that may wait for one channel; more than a person would ever read. Further ones are counted as failed.
const WAITING_MAX: u64 = 10_000;
/// Settled deliveries are shown for so long.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Deliveries forgotten in one transaction.
const DROPPED_AT_ONCE: usize = 1_000;
/// How often old deliveries are looked for.
const DROP_EVERY: Duration = Duration::from_secs(3_600);

/// Who is told what.
pub(super) struct Rules {
    /// Every channel.
    pub(super) names: Vec<String>,
    /// At least one route.
    pub(super) routes: Vec<Route>,
    /// How long what is not urgent waits for company.
    pub(super) wait: Duration,
}

/// Follows the incidents.
pub struct Follower {
    store: Store,
    rules: Arc<Rules>,
    handle: Handle,
    clock: Clock,
    metrics: AlertMetrics,
    dropped: Timestamp,
}

/// What is to be written for one batch.
struct Plan {
    /// The revision after which it was made.
    after: u64,
    /// The last revision looked at.
    upto: u64,
    writes: Vec<Write>,
}

enum Write {
    Insert(New),
    Refresh(String, New),
    Withdraw(String),
}

impl Follower {
    pub(super) fn new(
        store: Store,
        rules: Arc<Rules>,
        handle: Handle,
        (clock, metrics): (Clock, AlertMetrics),
    ) -> Self {
        Follower { store, rules, handle, clock, metrics, dropped: Timestamp::default() }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        // Listening before looking: an incident written in between wakes the next round.
        let mut changes = self.store.changes();
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                done = self.run_once() => done,
            };
            let pause = match done {
                Ok(true) => continue,
                Ok(false) => LOOK_AGAIN,
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, "cannot follow the incidents");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
                is_open = next_incident(&mut changes) => if !is_open { return Ok(()) },
            }
        }
    }

    /// Takes one batch; says whether there was any.
    pub async fn run_once(&mut self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let rules = Arc::clone(&self.rules);
        let planned = self.store.read(move |conn| plan(conn, &rules, BATCH, now)).await;
        let plan = match planned {
            Err(error @ (StoreError::Sql(_) | StoreError::Panicked | StoreError::Damaged { .. })) => {
                tracing::error!(%error, "the alerts of an incident cannot be made, passed over");
                self.metrics.failed.inc();
                self.pass_over(now).await?;
                return Ok(true);
            }
            planned => planned?,
        };
        let Some(plan) = plan else {
            self.drop_old(now).await?;
            return Ok(false);
        };
        let queued = plan.queued();
        let written = self.store.write(move |tx| write(tx, &plan, now)).await?;
        if let Some(overflow) = written {
            queued.iter().for_each(|(channel, reason)| self.metrics.queued(channel, reason.as_str()));
            for channel in overflow {
                tracing::error!(channel, "more than {WAITING_MAX} messages wait, a further one is not sent");
                self.metrics.count(&channel, "overflow", 1);
            }
            self.handle.wake();
        }
        Ok(true)
    }

    async fn pass_over(&self, now: Timestamp) -> Result<(), StoreError> {
        let next = move |tx: &Transaction<'_>| {
            let at = incident::cursor(tx, FOLLOWER)?.unwrap_or(0);
            match incident::next_revision(tx, at)? {
                Some(next) => incident::set_cursor(tx, FOLLOWER, next, now),
                None => Ok(()),
            }
        };
        self.store.write(next).await
    }

    async fn drop_old(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if now.since(self.dropped) < DROP_EVERY {
            return Ok(());
        }
        let dropped =
            self.store.write(move |tx| delivery::drop_old(tx, now.minus(KEPT), DROPPED_AT_ONCE)).await?;
        if dropped < DROPPED_AT_ONCE {
            self.dropped = now;
        }
        Ok(())
    }
}

impl Plan {
    fn queued(&self) -> Vec<(String, AlertReason)> {
        let inserted = |write: &Write| match write {
            Write::Insert(new) => Some((new.channel.clone(), new.reason)),
            Write::Refresh(..) | Write::Withdraw(_) => None,
        };
        self.writes.iter().filter_map(inserted).collect()
    }
}

/// Waits for an incident to change; false when the store is gone.
async fn next_incident(changes: &mut tokio::sync::broadcast::Receiver<Change>) -> bool {
    loop {
        match changes.recv().await {
            // A person may change an incident by one of its findings.
            Ok(Change::Incident { .. } | Change::Finding { .. }) | Err(RecvError::Lagged(_)) => return true,
            Ok(_) => {}
            Err(RecvError::Closed) => return false,
        }
    }
}

/// Looks at the incidents after the cursor; `None` when there are none.
fn plan(conn: &Connection, rules: &Rules, batch: usize, now: Timestamp) -> Result<Option<Plan>, StoreError> {
    let after = incident::cursor(conn, FOLLOWER)?.unwrap_or(0);
    let changed = incident::changed_after(conn, after, batch)?;
    let Some(last) = changed.last() else { return Ok(None) };
    let mut plan = Plan { after, upto: last.revision, writes: Vec::new() };
    for change in &changed {
        look(conn, rules, change, (now, &mut plan.writes))?;
    }
    Ok(Some(plan))
}

/// Decides for every channel what it is told of one incident.
fn look(
    conn: &Connection,
    rules: &Rules,
    change: &Changed,
    (now, writes): (Timestamp, &mut Vec<Write>),
) -> Result<(), StoreError> {
    let incident = &change.incident;
    let Some(worst) = incident.timeline.iter().max_by_key(|entry| (entry.severity, entry.last_seen)) else {
        return Ok(());
    };
    let Some(worst) = finding::get(conn, change.tenant, &worst.finding)? else { return Ok(()) };
    for channel in &rules.names {
        let told = delivery::last_told(conn, &incident.id, channel)?;
        let route = rules.routes.iter().find(|route| route.matches(channel, incident, &worst));
        let step = decide(incident, told.as_ref(), route, (rules.wait, now));
        let new = |reason: AlertReason, at: Timestamp| New {
            id: delivery::new_id(now),
            tenant: change.tenant,
            incident: Some(incident.id.clone()),
            revision: change.revision,
            channel: channel.clone(),
            reason,
            severity: incident.severity,
            reopened: incident.reopened,
            count: incident.count,
            state: DeliveryState::Queued,
            next: at,
            answer: "",
            doc: snapshot::of_incident(incident, &worst, reason).write(),
        };
        match (step, told) {
            (Step::Nothing, _) | (Step::Withdraw | Step::Refresh(_), None) => {}
            (Step::Withdraw, Some(told)) => writes.push(Write::Withdraw(told.id)),
            (Step::Refresh(at), Some(told)) => writes.push(Write::Refresh(told.id, new(told.reason, at))),
            (Step::Tell { reason, at, replaces }, told) => {
                writes.extend(told.filter(|_| replaces).map(|told| Write::Withdraw(told.id)));
                writes.push(Write::Insert(new(reason, at)));
            }
        }
    }
    Ok(())
}

/// Writes a plan and moves the cursor; `None`, with nothing moved, when a sender was faster. Names the channels whose
/// queue is full.
fn write(tx: &Transaction<'_>, plan: &Plan, now: Timestamp) -> Result<Option<Vec<String>>, StoreError> {
    if incident::cursor(tx, FOLLOWER)?.unwrap_or(0) != plan.after {
        return Ok(None);
    }
    // What is brought up to date twice does no harm, so a plan that fails here is simply made again.
    for change in &plan.writes {
        let is_done = match change {
            Write::Refresh(id, new) => delivery::refresh(tx, id, new, now)?,
            Write::Withdraw(id) => delivery::withdraw(tx, id, now)?,
            Write::Insert(_) => true,
        };
        if !is_done {
            return Ok(None);
        }
    }
    let mut waiting = BTreeMap::new();
    let mut overflow = Vec::new();
    for change in &plan.writes {
        let Write::Insert(new) = change else { continue };
        let waiting = match waiting.get_mut(&new.channel) {
            Some(waiting) => waiting,
            None => waiting.entry(&new.channel).or_insert(delivery::count_waiting(tx, &new.channel)?),
        };
        *waiting += 1;
        if *waiting <= WAITING_MAX {
            delivery::insert(tx, new, now)?;
            continue;
        }
        let refused =
            New { state: DeliveryState::Failed, answer: "too many messages wait already", ..new.clone() };
        delivery::insert(tx, &refused, now)?;
        overflow.push(new.channel.clone());
    }
    incident::set_cursor(tx, FOLLOWER, plan.upto, now)?;
    Ok(Some(overflow))
}
