//! The engine that follows the windows waiting for a model: ask, ground, write.
//!
//! One window at a time; findings, the window's end, the booked calls and the kept answer are one transaction. When the
//! model is away the window waits or ends as failed, and what the rules found stands either way.

mod budget;
mod estimate;
mod settings;
mod talk;

pub use estimate::{Estimate, Estimator};
pub use settings::Settings;
pub use talk::TalkError;

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{
    analyze::{
        context::{self, Context, Surroundings},
        exhibit::Exhibit,
        ground::{Grounded, Reason, ground},
        taught::Taught,
    },
    llm::{BreakerState, LlmError, Model, Next, Tier},
    model::{FindingDraft, FindingWindow, ModelUse, NoteRef, Origin, Timestamp, WindowState},
    runtime::Clock,
    store::{
        Change, Store, StoreError,
        finding::{self, Source},
        model_call::{self, ModelCall},
        template,
        window::{self, Pending},
    },
    telemetry::LlmMetrics,
};
use talk::Talk;

/// Waits between tries for one window: doubling from one minute to a quarter of an hour.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// Pause after a failure of the store, and the longest sleep without looking.
const STORE_PAUSE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Windows given up in one write.
const GIVEN_UP_AT_ONCE: usize = 200;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is due before this time, if there is anything at all.
    Idle {
        /// When to look again.
        next_due: Option<Timestamp>,
    },
    /// One window was dealt with; there may be more.
    MoreToDo,
}

/// Asks the model about pending windows.
pub struct Explainer {
    store: Store,
    model: Model,
    settings: Settings,
    metrics: LlmMetrics,
    clock: Clock,
}

/// What becomes of the window.
enum End {
    Finished { state: WindowState, error: Option<String> },
    Postponed { due: Timestamp, error: String },
}

/// Everything one window's write consists of.
struct Outcome {
    end: End,
    findings: Vec<FindingDraft>,
    used: Option<ModelUse>,
    notes: Vec<NoteRef>,
    calls: Vec<ModelCall>,
    keep: Option<([u8; 32], String)>,
}

impl Outcome {
    fn boxed(state: WindowState, error: &str) -> Box<Self> {
        let end = End::Finished { state, error: Some(error.to_owned()) };
        Box::new(Outcome {
            end,
            findings: Vec::new(),
            used: None,
            notes: Vec::new(),
            calls: Vec::new(),
            keep: None,
        })
    }
}

impl Explainer {
    /// Takes what it works with; nothing runs yet.
    pub fn new(store: Store, model: Model, settings: Settings, clock: Clock, metrics: LlmMetrics) -> Self {
        Explainer { store, model, settings, metrics, clock }
    }

    /// Runs until `stop`. A conversation under way is dropped then: its window is still pending at the next start.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        // Listening before looking: a window that becomes pending in between wakes the next round.
        let mut changes = self.store.changes();
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                done = self.run_once() => done,
            };
            let pause = match done {
                Ok(Progress::MoreToDo) => continue,
                Ok(Progress::Idle { next_due }) => self.sleep_until(next_due),
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, "cannot follow the windows that wait for the model");
                    STORE_PAUSE
                }
            };
            let timer = tokio::time::sleep(pause);
            tokio::pin!(timer);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = &mut timer => break,
                    change = changes.recv() => match change {
                        Ok(Change::Window { .. }) | Err(RecvError::Lagged(_)) => break,
                        Ok(Change::Finding { .. } | Change::Incident { .. } | Change::Taught) => {}
                        Err(RecvError::Closed) => return Ok(()),
                    },
                }
            }
        }
    }

    /// Deals with the pending window that comes first.
    pub async fn run_once(&self) -> Result<Progress, StoreError> {
        let now = self.clock.now();
        self.show_breaker(now);
        self.give_up(now).await?;
        let Some(pending) = self.store.read(move |conn| window::next_pending(conn, now)).await? else {
            let next_due = self.store.read(window::next_due).await?;
            return Ok(Progress::Idle { next_due });
        };
        let outcome = match self.prepare(&pending, now).await? {
            Ready::No(outcome) => *outcome,
            Ready::Paused(wait) => return Ok(Progress::Idle { next_due: Some(now.plus(wait)) }),
            Ready::Yes(mut exhibit) => {
                exhibit.context = self.gather(pending.window.tenant, &exhibit).await?;
                match self.talk(&pending, &exhibit).await? {
                    Some(outcome) => outcome,
                    None => return Ok(Progress::Idle { next_due: Some(now.plus(STORE_PAUSE)) }),
                }
            }
        };
        self.write(pending, outcome).await?;
        Ok(Progress::MoreToDo)
    }

    /// Whether the model may be asked about this window now.
    async fn prepare(&self, pending: &Pending, now: Timestamp) -> Result<Ready, StoreError> {
        let exhibit = pending.window.exhibit.as_deref().map(serde_json::from_slice::<Exhibit>);
        let Some(Ok(exhibit)) = exhibit else {
            return Ok(Ready::No(Outcome::boxed(WindowState::Failed, "the stored exhibit cannot be read")));
        };
        if let Some(wait) = self.model.pause_left(now) {
            return Ok(Ready::Paused(wait));
        }
        Ok(match self.spent(now).await? {
            // The budgets are of any hour and day: with every minute some of what was used is past.
            Some(_) => Ready::Paused(LOOK_AGAIN),
            None => Ready::Yes(Box::new(exhibit)),
        })
    }

    /// What is told beside the window. Whatever goes wrong with it, the model is asked without.
    async fn gather(&self, tenant: i64, exhibit: &Exhibit) -> Result<Context, StoreError> {
        let Some(name) = self.store.streams().tenant_of(tenant) else { return Ok(Context::default()) };
        let streams = self.store.streams().of_tenant(&name);
        let (settings, group_by) = (self.settings.context.clone(), self.settings.group_by.clone());
        let (exhibit, now) = (exhibit.clone(), self.clock.now());
        let gathering = self.store.read(move |conn| {
            let around = Surroundings { tenant, streams: &streams, group_by: &group_by, now };
            context::gather(conn, &around, &exhibit, &settings)
        });
        match gathering.await {
            Err(StoreError::Closed) => Err(StoreError::Closed),
            Err(error) => {
                tracing::warn!(%error, "the model is asked without context");
                Ok(Context::default())
            }
            gathered => gathered,
        }
    }

    /// The budget that is spent, if one is.
    async fn spent(&self, now: Timestamp) -> Result<Option<&'static str>, StoreError> {
        let since =
            |age| move |conn: &crate::store::Connection| model_call::usage_since(conn, now.minus(age), None);
        let hour = self.store.read(since(Duration::from_secs(3_600))).await?;
        let day = self.store.read(since(Duration::from_secs(86_400))).await?;
        Ok(self.settings.budget.reached(&hour, &day, &self.metrics))
    }

    /// Ends the windows that waited too long, and the slightest of too many.
    async fn give_up(&self, now: Timestamp) -> Result<(), StoreError> {
        let (oldest, keep) = (now.minus(self.settings.patience), self.settings.backlog);
        let overdue = self.store.read(move |conn| window::overdue(conn, oldest, keep, GIVEN_UP_AT_ONCE));
        let overdue = overdue.await?;
        if overdue.is_empty() {
            return Ok(());
        }
        let spent = self.spent(now).await?;
        let late = format!("the model could not be asked within {:?}", self.settings.patience);
        tracing::warn!(
            windows = overdue.len(),
            budget = spent,
            "windows that waited for the model are given up"
        );
        let ended = overdue.clone();
        let written = self.store.write(move |tx| {
            for window in &ended {
                let (state, error) = match spent.filter(|_| window.attempts == 0) {
                    Some(limit) => (WindowState::OverBudget, format!("budget spent: {limit}")),
                    None => (WindowState::Failed, late.clone()),
                };
                window::finish(tx, window.id, state, Some(&error), None)?;
            }
            Ok(())
        });
        written.await?;
        for window in overdue {
            self.store.announce(Change::Window { tenant: window.tenant, id: window.id });
        }
        Ok(())
    }

    /// Asks and grounds; `None` when the breaker was open before the first call.
    async fn talk(&self, pending: &Pending, exhibit: &Exhibit) -> Result<Option<Outcome>, StoreError> {
        let mut talk = Talk::new(self, pending.window.tenant, pending.id);
        let result = Box::pin(talk.claims(exhibit)).await;
        let mut findings = Vec::new();
        let end = match result {
            Ok(claims) => {
                let origin =
                    Origin::Model { model: talk.used.model.clone(), prompt: talk.used.prompt.clone() };
                let grounded = ground(claims, exhibit, &talk.session, &origin);
                talk.used.dropped = self.count_dropped(&grounded);
                findings = grounded.explained;
                findings.extend(grounded.drafts);
                End::Finished { state: WindowState::Analysed, error: None }
            }
            Err(TalkError::Store(error)) => return Err(error),
            Err(TalkError::Model(LlmError::BreakerOpen(_))) if talk.calls.is_empty() => return Ok(None),
            Err(error) => self.after(&error, pending.attempts),
        };
        let Talk { used, notes, calls, keep, .. } = talk;
        Ok(Some(Outcome { end, findings, used: Some(used), notes, calls, keep }))
    }

    fn count_dropped(&self, grounded: &Grounded) -> u32 {
        for reason in &grounded.dropped {
            self.metrics.count_dropped(reason.as_str());
        }
        let whole = grounded.dropped.iter().filter(|reason: &&Reason| reason.is_whole()).count();
        u32::try_from(whole).unwrap_or(u32::MAX)
    }

    /// Try again later, or give the window up.
    fn after(&self, error: &TalkError, attempts: u32) -> End {
        let text = error.to_string();
        let asked_for = match error {
            TalkError::Model(error) => match error.next() {
                Next::Retry(wait) => wait,
                Next::Mend => None,
                Next::Shrink | Next::GiveUp => {
                    return End::Finished { state: WindowState::Failed, error: Some(text) };
                }
            },
            TalkError::Answer(_) | TalkError::Store(_) => None,
        };
        if attempts.saturating_add(1) >= self.settings.attempts {
            return End::Finished { state: WindowState::Failed, error: Some(text) };
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempts)).min(LONGEST_WAIT);
        End::Postponed { due: self.clock.now().plus(wait.max(asked_for.unwrap_or_default())), error: text }
    }

    async fn write(&self, pending: Pending, outcome: Outcome) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (dedup, oldest) = (self.settings.dedup, now.minus(self.settings.cache_age));
        let (id, tenant) = (pending.id, pending.window.tenant);
        if let End::Finished { state: WindowState::Failed, error: Some(error) } = &outcome.end {
            tracing::warn!(window = id.0, model = self.model.full_name(Tier::Explain), %error, "window not explained");
        }
        let source = source_of(&pending);
        let written = self.store.write(move |tx| {
            model_call::book(tx, &outcome.calls)?;
            if let Some((hash, answer)) = &outcome.keep {
                model_call::cache_answer(tx, hash, answer, now, oldest)?;
            }
            match &outcome.end {
                End::Finished { state, error } => {
                    window::finish(tx, id, *state, error.as_deref(), outcome.used.as_ref())?;
                }
                End::Postponed { due, error } => window::postpone(tx, id, *due, error)?,
            }
            // What is normal for people is normal whoever speaks of it.
            let told = Taught::read(tx)?.sieve(source.tenant, outcome.findings, now);
            // What only the model has found is a finding like any other: its templates are no daily life.
            let spoken = told.findings.iter().flat_map(FindingDraft::templates).map(str::to_owned);
            template::flag(tx, tenant, &spoken.collect())?;
            let applied = told.write(tx, &source, dedup, now)?;
            for (id, _) in &applied {
                finding::note_down(tx, id, &outcome.notes)?;
            }
            Ok(applied)
        });
        let ids: BTreeSet<_> = written.await?.into_iter().map(|(id, _)| id).collect();
        for id in ids {
            self.store.announce(Change::Finding { tenant, id });
        }
        self.store.announce(Change::Window { tenant, id });
        self.show_breaker(now);
        Ok(())
    }

    fn sleep_until(&self, due: Option<Timestamp>) -> Duration {
        due.map_or(LOOK_AGAIN, |due| due.since(self.clock.now()).min(LOOK_AGAIN))
    }

    fn show_breaker(&self, now: Timestamp) {
        self.metrics.show_breaker(match self.model.breaker(now) {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
    }
}

enum Ready {
    Yes(Box<Exhibit>),
    No(Box<Outcome>),
    Paused(Duration),
}

fn source_of(pending: &Pending) -> Source {
    let window = &pending.window;
    Source {
        tenant: window.tenant,
        group: window.group.clone(),
        first_seq: window.first_seq,
        window: FindingWindow {
            from: window.from,
            to: window.to,
            lines: window.lines,
            suspicious: window.suspicious,
        },
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
