//! Sends what is due over one channel, one message at a time, within the channel's limits. What the limits hold back is
//! told together in a digest. Every outcome is written before the next message.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{GIVE_UP, Handle, bucket::Bucket, snapshot::Snapshot};
use crate::{
    model::{AlertReason, DeliveryState, Timestamp},
    notify::{Channel, Fault, Outcome, Receipt},
    runtime::{Backoff, Clock},
    store::{
        Store, StoreError,
        delivery::{self, New, Settled, Waiting},
    },
    telemetry::AlertMetrics,
};

/// Messages told together at most.
const FOLD_MAX: usize = 100;
/// The longest sleep without looking.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A message of which nothing was heard for so long is sent again; far more than a try takes.
const LEASE: Duration = Duration::from_secs(300);
/// Waits between tries of one message.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_CEILING: Duration = Duration::from_secs(3_600);
/// The longest pause of a channel that named no time: it may be back.
const PAUSE_CEILING: Duration = Duration::from_secs(300);
/// A channel that refuses everything is left alone for so long; services shut out who keeps knocking.
const STOPPED_FOR: Duration = Duration::from_secs(900);
/// Pause after a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// How long a message under way may take when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Sends over one channel.
pub struct Sender {
    store: Store,
    channel: Channel,
    handle: Handle,
    bell: Arc<Notify>,
    clock: Clock,
    metrics: AlertMetrics,
    bucket: Bucket,
    paused_until: Timestamp,
    failures: u32,
}

/// What goes out next.
struct Job {
    id: String,
    attempts: u32,
    created: Timestamp,
    told: Snapshot,
    receipt: Option<Receipt>,
}

impl Sender {
    pub(super) fn new(
        store: Store,
        channel: Channel,
        handle: Handle,
        (clock, metrics): (Clock, AlertMetrics),
    ) -> Self {
        let now = clock.now();
        metrics.up(channel.name(), true);
        Sender {
            bell: handle.bell(channel.name()),
            bucket: Bucket::new(channel.limits(), now),
            store,
            channel,
            handle,
            clock,
            metrics,
            paused_until: now,
            failures: 0,
        }
    }

    /// Runs until `stop`; a message under way is ended first.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        let bell = Arc::clone(&self.bell);
        loop {
            let done = {
                let mut step = std::pin::pin!(self.run_once());
                tokio::select! {
                    done = &mut step => done,
                    () = stop.cancelled() => {
                        let _ = tokio::time::timeout(STOP_GRACE, step).await;
                        return Ok(());
                    }
                }
            };
            let pause = match done {
                Ok(pause) => pause,
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, channel = self.channel.name(), "cannot read or write deliveries");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
                () = bell.notified() => {}
            }
        }
    }

    /// Sends one message, if one may be sent; says how long to wait before the next.
    pub async fn run_once(&mut self) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        if self.paused_until > now {
            return Ok(self.paused_until.since(now).min(LOOK_AGAIN));
        }
        let left = self.bucket.left(now);
        if left == 0 {
            return Ok(self.bucket.wait());
        }
        let name = self.channel.name().to_owned();
        let read = move |conn: &crate::store::Connection| {
            let due = delivery::due(conn, &name, now, FOLD_MAX)?;
            Ok((due, delivery::next_due(conn, &name)?, delivery::count_waiting(conn, &name)?))
        };
        let (due, next, waiting) = self.store.read(read).await?;
        self.metrics.waiting(self.channel.name(), waiting);
        // The last message that may go out now tells everything that would have to wait.
        let job = if left == 1 && due.len() > 1 { self.fold(&due, now).await? } else { None };
        let job = match (job, due.into_iter().next()) {
            (Some(job), _) => job,
            (None, Some(first)) => match self.take(first, now).await? {
                Some(job) => job,
                None => return Ok(Duration::ZERO),
            },
            (None, None) => {
                return Ok(next.map_or(LOOK_AGAIN, |next| next.since(now).min(LOOK_AGAIN)));
            }
        };
        self.send(job).await?;
        Ok(Duration::ZERO)
    }

    /// Makes a digest of what is due, if that is more than one message of a tenant.
    async fn fold(&self, due: &[Waiting], now: Timestamp) -> Result<Option<Job>, StoreError> {
        let Some(tenant) = due.first().map(|first| first.tenant) else { return Ok(None) };
        let parts: Vec<(&Waiting, Snapshot)> = due
            .iter()
            .filter(|one| one.tenant == tenant && self.may_fold(one.reason))
            .filter_map(|one| Some((one, Snapshot::read(&one.doc)?)))
            .collect();
        let ids: Vec<String> = parts.iter().map(|(one, _)| one.id.clone()).collect();
        let created = parts.iter().map(|(one, _)| one.created).min().unwrap_or(now);
        let told: Vec<Snapshot> = parts.into_iter().map(|(_, told)| told).collect();
        let Some(told) = Snapshot::digest(&told).filter(|_| ids.len() > 1) else { return Ok(None) };
        let digest = New {
            id: delivery::new_id(now),
            tenant,
            incident: None,
            revision: 0,
            channel: self.channel.name().to_owned(),
            reason: AlertReason::Digest,
            severity: told.severity(),
            reopened: 0,
            count: told.count(),
            state: DeliveryState::Sending,
            next: now.plus(LEASE),
            answer: "",
            doc: told.write(),
        };
        let (id, folded) = (digest.id.clone(), ids.len());
        self.store.write(move |tx| delivery::fold(tx, &ids, &digest, now)).await?;
        self.metrics.count(self.channel.name(), "folded", folded);
        Ok(Some(Job { id, attempts: 0, created, told, receipt: None }))
    }

    /// A digest opens everything in it at services that keep a list of what is open, so ends are not told by one there.
    fn may_fold(&self, reason: AlertReason) -> bool {
        match reason {
            AlertReason::Test | AlertReason::Digest => false,
            AlertReason::Resolved => !matches!(self.channel.kind(), "pagerduty" | "alertmanager"),
            _ => true,
        }
    }

    /// Leases a message and finds what it follows up; `None` when it was withdrawn meanwhile or cannot be read.
    async fn take(&self, one: Waiting, now: Timestamp) -> Result<Option<Job>, StoreError> {
        let Some(told) = Snapshot::read(&one.doc) else {
            self.settle(&one.id, failed("the stored message cannot be read", now)).await?;
            return Ok(None);
        };
        let (id, incident, channel) = (one.id.clone(), one.incident.clone(), self.channel.name().to_owned());
        let leased = move |tx: &crate::store::Transaction<'_>| {
            if !delivery::lease(tx, &id, now.plus(LEASE), now)? {
                return Ok(None);
            }
            let receipt = match &incident {
                Some(incident) => delivery::receipt(tx, incident, &channel)?,
                None => None,
            };
            Ok(Some(receipt))
        };
        let Some(receipt) = self.store.write(leased).await? else { return Ok(None) };
        // What is back is a new message, not an edit of the old one.
        let receipt = receipt.filter(|_| one.reason != AlertReason::Reopened);
        let receipt = receipt.map(|(answer, handle)| Receipt { answer, handle });
        Ok(Some(Job { id: one.id, attempts: one.attempts, created: one.created, told, receipt }))
    }

    async fn send(&mut self, job: Job) -> Result<(), StoreError> {
        self.bucket.take();
        let message = Uuid::parse_str(&job.id).ok().and_then(|id| job.told.message(id));
        let Some(message) = message else {
            let now = self.clock.now();
            return self.settle(&job.id, failed("the stored message cannot be read", now)).await;
        };
        let outcome = self.channel.send(&message, job.receipt.as_ref()).await;
        let settled = self.judge(outcome, &job);
        self.settle(&job.id, settled).await
    }

    /// What an outcome means for the message and for the channel.
    fn judge(&mut self, outcome: Outcome, job: &Job) -> Settled {
        let now = self.clock.now();
        let channel = self.channel.name().to_owned();
        match outcome {
            Outcome::Delivered(receipt) => {
                self.works();
                self.metrics.count(&channel, "delivered", 1);
                Settled {
                    state: DeliveryState::Delivered,
                    next: now,
                    answer: receipt.answer,
                    handle: receipt.handle,
                }
            }
            Outcome::Retry { after, why } => {
                let named = after.unwrap_or_default().min(GIVE_UP);
                self.failures = self.failures.saturating_add(1);
                let pause = wait(self.failures - 1, PAUSE_CEILING).max(named);
                self.pause(&why, now.plus(pause));
                self.again(job, wait(job.attempts, RETRY_CEILING).max(named), (why, now))
            }
            Outcome::Refused { why, fault: Fault::Channel } => {
                self.metrics.count(&channel, "stopped", 1);
                tracing::error!(
                    channel,
                    why,
                    "the channel refuses messages, it is left alone for {STOPPED_FOR:?}"
                );
                self.pause(&why, now.plus(STOPPED_FOR));
                self.again(job, STOPPED_FOR, (why, now))
            }
            Outcome::Refused { why, fault: Fault::Message } | Outcome::Rewrite { why } => {
                self.works();
                self.metrics.count(&channel, "failed", 1);
                tracing::error!(channel, delivery = job.id, why, "a message was refused");
                failed(why, now)
            }
        }
    }

    /// The message once more, unless it has been tried for long enough.
    fn again(&self, job: &Job, wait: Duration, (why, now): (String, Timestamp)) -> Settled {
        let next = now.plus(wait);
        if next.since(job.created) >= GIVE_UP {
            let channel = self.channel.name();
            self.metrics.count(channel, "failed", 1);
            tracing::error!(
                channel,
                delivery = job.id,
                why,
                "a message could not be delivered for a day, given up"
            );
            return failed(format!("given up: {why}"), now);
        }
        self.metrics.count(self.channel.name(), "retry", 1);
        Settled { state: DeliveryState::Queued, next, answer: why, handle: None }
    }

    fn works(&mut self) {
        self.failures = 0;
        self.metrics.up(self.channel.name(), true);
        if self.handle.note(self.channel.name(), None) {
            tracing::info!(channel = self.channel.name(), "the channel works again");
        }
    }

    fn pause(&mut self, why: &str, until: Timestamp) {
        self.paused_until = until;
        self.metrics.up(self.channel.name(), false);
        if self.handle.note(self.channel.name(), Some((why.to_owned(), until))) {
            tracing::warn!(channel = self.channel.name(), why, "the channel takes no messages now");
        }
    }

    async fn settle(&self, id: &str, settled: Settled) -> Result<(), StoreError> {
        let (id, now) = (id.to_owned(), self.clock.now());
        self.store.write(move |tx| delivery::settle(tx, &id, &settled, now)).await
    }
}

/// How long to wait after so many failed tries.
fn wait(failed: u32, ceiling: Duration) -> Duration {
    Backoff::new(RETRY_FIRST, ceiling).after(failed).next_wait()
}

fn failed(why: impl Into<String>, now: Timestamp) -> Settled {
    Settled { state: DeliveryState::Failed, next: now, answer: why.into(), handle: None }
}
