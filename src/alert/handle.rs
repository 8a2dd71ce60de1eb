//! What the doors and the engine's parts share: the channels' names and states, and the bells that wake the senders.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use tokio::sync::Notify;
use uuid::Uuid;

use super::snapshot::Snapshot;
use crate::{
    model::{AlertReason, DeliveryState, TenantId, Timestamp},
    notify::{Channel, Message},
    store::{
        Store, StoreError,
        delivery::{self, New},
    },
};

/// How a channel is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelState {
    /// Its name.
    pub name: String,
    /// Its service.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether the last try went through; true before the first.
    pub is_up: bool,
    /// Why it is not.
    pub problem: Option<String>,
    /// When it is tried next, while it is not.
    pub paused_until: Option<Timestamp>,
}

/// Why no test message is sent.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// No such channel, or none at all.
    #[error("no such channel")]
    NoChannel,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    states: Mutex<Vec<ChannelState>>,
    bells: BTreeMap<String, Arc<Notify>>,
}

impl Handle {
    /// Of these channels; nothing is sent before their senders run.
    pub fn new(channels: &[Channel]) -> Self {
        let state = |channel: &Channel| ChannelState {
            name: channel.name().to_owned(),
            kind: channel.kind(),
            is_up: true,
            problem: None,
            paused_until: None,
        };
        let bells = channels.iter().map(|channel| (channel.name().to_owned(), Arc::default()));
        let states = Mutex::new(channels.iter().map(state).collect());
        Handle { shared: Arc::new(Shared { states, bells: bells.collect() }) }
    }

    /// How every channel is doing.
    pub fn channels(&self) -> Vec<ChannelState> {
        self.shared.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Queues a test message for a channel, or for every one; returns the deliveries' ids with their channels.
    pub async fn test(
        &self,
        store: &Store,
        tenant: &TenantId,
        channel: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<(String, String)>, TestError> {
        let wanted = self.shared.bells.keys().filter(|name| channel.is_none_or(|wanted| wanted == *name));
        let number = store.streams().tenant_number(tenant);
        let message = Message { tenant: tenant.clone(), ..Message::test(Uuid::nil(), None, now) };
        let doc = Snapshot::of(&message, AlertReason::Test, "test").write();
        let new = |name: &String| New {
            id: delivery::new_id(now),
            tenant: number,
            incident: None,
            revision: 0,
            channel: name.clone(),
            reason: AlertReason::Test,
            severity: message.severity,
            reopened: 0,
            count: 1,
            state: DeliveryState::Queued,
            next: now,
            answer: "",
            doc: doc.clone(),
        };
        let all: Vec<New> = wanted.map(new).collect();
        if all.is_empty() {
            return Err(TestError::NoChannel);
        }
        let queued = all.iter().map(|new| (new.id.clone(), new.channel.clone())).collect();
        store
            .write(move |tx| all.iter().try_for_each(|new| delivery::insert(tx, new, now).map(drop)))
            .await?;
        self.wake();
        Ok(queued)
    }

    /// Tells every sender to look.
    pub(super) fn wake(&self) {
        self.shared.bells.values().for_each(|bell| bell.notify_one());
    }

    /// What wakes a channel's sender.
    pub(super) fn bell(&self, channel: &str) -> Arc<Notify> {
        self.shared.bells.get(channel).cloned().unwrap_or_default()
    }

    /// Notes how a channel is doing; says whether that has changed between working and not.
    pub(super) fn note(&self, channel: &str, problem: Option<(String, Timestamp)>) -> bool {
        let mut states = self.shared.states.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = states.iter_mut().find(|state| state.name == channel) else { return false };
        let was_up = std::mem::replace(&mut state.is_up, problem.is_none());
        (state.problem, state.paused_until) = problem.unzip();
        was_up != state.is_up
    }
}
