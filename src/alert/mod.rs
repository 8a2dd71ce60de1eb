//! Alerts: the engine that tells people about incidents.
//!
//! In: incidents by revision, from a cursor of its own. Out: delivery rows, written in the transaction that moves the
//! cursor (`follow`), and sent from there, each channel by a task of its own (`send`). So a crash loses no message and
//! repeats at most the one whose answer was not written; a slow or dead channel delays neither another nor the intake.

mod bucket;
mod decide;
mod follow;
mod handle;
mod route;
mod send;
mod snapshot;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

pub use follow::Follower;
pub use handle::{ChannelState, Handle, TestError};
pub use route::Route;
pub use send::Sender;

use crate::{
    model::Timestamp,
    notify,
    runtime::Clock,
    store::{Store, StoreError, delivery, incident},
    telemetry::AlertMetrics,
};

/// The name under which the engine keeps its place among the incidents.
const FOLLOWER: &str = "alert";
/// What could not be delivered for so long is given up.
const GIVE_UP: Duration = Duration::from_secs(24 * 3_600);

/// What the operator may set about alerts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long the first message of an incident below high waits for company.
    pub wait: Duration,
    /// Who is told what.
    pub routes: Vec<Route>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { wait: Duration::from_secs(30), routes: Vec::new() }
    }
}

/// The engine's parts: a follower, a sender for each channel, and what the doors talk to.
pub struct Alerts {
    /// Writes deliveries.
    pub follower: Follower,
    /// Send them.
    pub senders: Vec<Sender>,
    /// For the doors.
    pub handle: Handle,
}

impl Alerts {
    /// Makes the engine; nothing runs yet. The first time, it starts behind the incidents there are: what was before
    /// somebody wanted to be told is not told.
    pub async fn new(
        store: &Store,
        settings: Settings,
        channels: Vec<notify::Settings>,
        clock: &Clock,
        metrics: &AlertMetrics,
    ) -> Result<Self, StoreError> {
        let names: Vec<String> = channels.iter().map(|channel| channel.name.clone()).collect();
        let (known, now) = (names.clone(), clock.now());
        store.write(move |tx| prepare(tx, &known, now)).await?;
        let channels = channels.into_iter().map(|channel| notify::Channel::new(channel, clock.clone()));
        let channels: Vec<notify::Channel> = channels.collect();
        let handle = Handle::new(&channels);
        let routes = if settings.routes.is_empty() { vec![Route::default()] } else { settings.routes };
        let rules = follow::Rules { names, routes, wait: settings.wait };
        let follower =
            Follower::new(store.clone(), Arc::new(rules), handle.clone(), (clock.clone(), metrics.clone()));
        let senders = channels.into_iter().map(|channel| {
            Sender::new(store.clone(), channel, handle.clone(), (clock.clone(), metrics.clone()))
        });
        Ok(Alerts { follower, senders: senders.collect(), handle })
    }
}

/// Forgets the engine's place: no channel is configured.
pub async fn forget(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let forget = move |tx: &crate::store::Transaction<'_>| {
        incident::remove_cursor(tx, FOLLOWER)?;
        delivery::unknown_channels(tx, &[], now)?;
        Ok(())
    };
    store.write(forget).await
}

fn prepare(
    tx: &crate::store::Transaction<'_>,
    channels: &[String],
    now: Timestamp,
) -> Result<(), StoreError> {
    if incident::cursor(tx, FOLLOWER)?.is_none() {
        let newest = incident::newest_revision(tx)?;
        incident::set_cursor(tx, FOLLOWER, newest, now)?;
    }
    delivery::release(tx, now)?;
    let given_up = delivery::unknown_channels(tx, channels, now)?;
    if given_up > 0 {
        tracing::warn!(messages = given_up, "given up: their channels are no longer configured");
    }
    Ok(())
}
