//! The engine: reads what is new, sends it, moves the position.
//!
//! One bounded unit at a time. What was read stays in memory until the upstream has answered for all of it, so a
//! retry sends the same bytes again and nothing that was already taken.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    batch::{Batch, Batcher},
    upstream::{Outcome, Upstream},
};
use crate::{
    model::{Entry, Selector, StreamId, TenantId, Timestamp},
    runtime::{Backoff, Clock},
    store::{
        Store, StoreError,
        block::{self, Block},
        position,
    },
    telemetry::ForwardMetrics,
    wire::encode,
};

/// Plain bytes of blocks read at once, in batches: small enough that a restart repeats little.
const READ_BATCHES: usize = 4;

/// Why forwarding cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The URL cannot be used.
    #[error("not an http or https URL")]
    BadUrl,
    /// User name, password or token cannot stand in a header.
    #[error("the credential contains characters that cannot be sent")]
    BadCredential,
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything stored is forwarded.
    Idle,
    /// Something was sent; there may be more.
    Moved,
    /// Upstream or store are unavailable; try again after this time.
    Waiting(Duration),
}

/// Forwards the intake log to one upstream.
pub struct Forwarder {
    store: Store,
    upstream: Upstream,
    selector: Selector,
    batch_bytes: usize,
    batch_entries: usize,
    max_backoff: Duration,
    backoff: Backoff,
    metrics: ForwardMetrics,
    clock: Clock,
    position: Option<u64>,
    unit: Option<Unit>,
    logged: HashSet<u16>,
}

/// Blocks that were read, as the pushes that are still to be sent.
struct Unit {
    last_seq: u64,
    oldest: Timestamp,
    unsent: VecDeque<Batch>,
    /// The first unsent batch, encoded.
    body: Option<Bytes>,
}

impl Forwarder {
    /// Checks the settings; reads and sends nothing yet.
    pub fn new(
        store: Store,
        settings: &Settings,
        metrics: ForwardMetrics,
        clock: Clock,
    ) -> Result<Self, ForwardError> {
        Ok(Forwarder {
            store,
            upstream: Upstream::new(settings)?,
            selector: settings.selector.clone(),
            batch_bytes: settings.batch_bytes.max(1),
            batch_entries: settings.batch_entries.max(1),
            max_backoff: settings.max_backoff,
            backoff: Backoff::new(settings.min_backoff, settings.max_backoff),
            metrics,
            clock,
            position: None,
            unit: None,
            logged: HashSet::new(),
        })
    }

    /// Follows the intake log until told to stop. A push in flight is given up then; it is repeated after the start.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ForwardError> {
        let mut head = self.store.head();
        loop {
            head.mark_unchanged();
            let progress = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                progress = self.run_once() => progress,
            };
            let pause = match progress {
                Progress::Moved => continue,
                Progress::Waiting(wait) => Some(wait),
                Progress::Idle => None,
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                changed = head.changed(), if pause.is_none() => if changed.is_err() { return Ok(()) },
            }
        }
    }

    /// Sends at most one push. Never loses its place: cancelled or failed, it is repeated.
    pub async fn run_once(&mut self) -> Progress {
        match self.advance().await {
            Ok(progress) => progress,
            Err(error) => {
                if self.backoff.tries() == 0 {
                    tracing::warn!(%error, "forwarding waits for the store");
                }
                Progress::Waiting(self.backoff.next_wait())
            }
        }
    }

    async fn advance(&mut self) -> Result<Progress, StoreError> {
        if self.unit.is_none() {
            self.unit = self.read().await?;
        }
        self.observe();
        let Some(unit) = &mut self.unit else { return Ok(Progress::Idle) };
        let Some(batch) = unit.unsent.front() else { return self.commit().await };
        let body = match &unit.body {
            Some(body) => body.clone(),
            None => match encode::encode(batch.streams.clone()) {
                Ok(body) => unit.body.insert(body).clone(),
                Err(_) => {
                    self.split();
                    return Ok(Progress::Moved);
                }
            },
        };
        let outcome = self.upstream.push(&batch.tenant, body, self.clock.now()).await;
        Ok(self.settle(outcome))
    }

    /// The next blocks, regrouped. `None` when there are none.
    async fn read(&mut self) -> Result<Option<Unit>, StoreError> {
        let after = self.start().await?;
        let max_bytes = self.batch_bytes.saturating_mul(READ_BATCHES);
        let blocks = self.store.read(move |conn| block::read_after(conn, after, max_bytes)).await?;
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(None) };
        let unsent = self.regroup(&blocks).into();
        Ok(Some(Unit { last_seq: last.seq, oldest: first.received, unsent, body: None }))
    }

    /// The position; the first time it is registered, so that the store keeps what is not forwarded yet.
    async fn start(&mut self) -> Result<u64, StoreError> {
        if let Some(position) = self.position {
            return Ok(position);
        }
        let now = self.clock.now();
        let position = self
            .store
            .write(move |tx| {
                let seq = position::get(tx, position::name::FORWARD)?;
                position::set(tx, position::name::FORWARD, seq, now)?;
                Ok(seq)
            })
            .await?;
        self.position = Some(position);
        Ok(position)
    }

    fn regroup(&self, blocks: &[Block]) -> Vec<Batch> {
        let mut batcher = Batcher::new(self.batch_bytes, self.batch_entries);
        let mut known: HashMap<StreamId, Option<(TenantId, Bytes)>> = HashMap::new();
        for entry in blocks.iter().flat_map(Block::iter) {
            let stream = known.entry(entry.stream).or_insert_with(|| self.selected(entry.stream));
            if let Some((tenant, labels)) = stream {
                let metadata = entry.metadata();
                let copy = |(name, value)| (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value));
                let owned = Entry {
                    timestamp: entry.timestamp,
                    line: Bytes::copy_from_slice(entry.line),
                    metadata: metadata.map(copy).collect(),
                };
                batcher.add(tenant, entry.stream, labels, owned);
            }
        }
        batcher.finish()
    }

    /// Tenant and label text of a stream that is to be forwarded.
    fn selected(&self, id: StreamId) -> Option<(TenantId, Bytes)> {
        let stream = self.store.streams().get(id)?;
        let is_selected = self.selector.matches(&stream.labels);
        is_selected.then(|| (stream.tenant, Bytes::from(stream.labels.to_string())))
    }

    fn settle(&mut self, outcome: Outcome) -> Progress {
        match outcome {
            Outcome::Taken => {
                let entries = self.done();
                self.metrics.sent.inc_by(entries);
                if self.backoff.tries() > 0 {
                    tracing::info!(failures = self.backoff.tries(), "forwarding goes on");
                }
                self.backoff.reset();
            }
            Outcome::Refused { status, text } => self.refuse(status, &text),
            Outcome::TooLarge => self.split(),
            Outcome::Retry { reason, text, after } => {
                self.metrics.retries.with_label_values(&[reason.as_str()]).inc();
                if self.backoff.tries() == 0 {
                    tracing::warn!(cause = %text, "the upstream Loki does not take pushes now, forwarding waits");
                }
                let wait = self.backoff.next_wait().max(after.unwrap_or_default());
                return Progress::Waiting(wait.min(self.max_backoff));
            }
        }
        Progress::Moved
    }

    /// Counts the first unsent batch as refused; each status is logged once.
    fn refuse(&mut self, status: u16, text: &str) {
        let entries = self.done();
        self.metrics.refused.with_label_values(&[status.to_string().as_str()]).inc_by(entries);
        self.backoff.reset();
        if self.logged.insert(status) {
            tracing::warn!(
                status,
                text,
                entries,
                "the upstream Loki refuses entries for good; logged once per status"
            );
        }
    }

    /// Puts two halves in the place of the first unsent batch; a single entry that is too large is refused.
    fn split(&mut self) {
        let Some(unit) = &mut self.unit else { return };
        let Some(batch) = unit.unsent.pop_front() else { return };
        unit.body = None;
        match batch.clone().halves() {
            Some((left, right)) => {
                unit.unsent.push_front(right);
                unit.unsent.push_front(left);
            }
            None => {
                unit.unsent.push_front(batch);
                self.refuse(413, "entry too large");
            }
        }
    }

    /// Takes the first unsent batch off; says how many entries it had.
    fn done(&mut self) -> u64 {
        let Some(unit) = &mut self.unit else { return 0 };
        unit.body = None;
        unit.unsent.pop_front().map_or(0, |batch| batch.entries as u64)
    }

    /// Moves the position past the unit: the upstream has answered for all of it.
    async fn commit(&mut self) -> Result<Progress, StoreError> {
        let Some(unit) = &self.unit else { return Ok(Progress::Idle) };
        let (seq, now) = (unit.last_seq, self.clock.now());
        self.store.write(move |tx| position::set(tx, position::name::FORWARD, seq, now)).await?;
        self.position = Some(seq);
        self.unit = None;
        Ok(Progress::Moved)
    }

    fn observe(&self) {
        let head = *self.store.head().borrow();
        let waiting = head.saturating_sub(self.position.unwrap_or_default());
        let age = self.unit.as_ref().map_or(Duration::ZERO, |unit| self.clock.now().since(unit.oldest));
        self.metrics.lag_blocks.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.metrics.lag_seconds.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    }
}

/// Forgets the position when forwarding is switched off, so that it holds nothing back.
pub async fn forget(store: &Store) -> Result<(), StoreError> {
    store.write(|tx| position::remove(tx, position::name::FORWARD)).await
}
