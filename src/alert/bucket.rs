//! A token bucket: how many messages a channel may send now.

use std::time::Duration;

use crate::{model::Timestamp, notify::Limits};

/// The tokens of one channel.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    limits: Limits,
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(limits: Limits, now: Timestamp) -> Self {
        Bucket { limits, tokens: f64::from(limits.burst.max(1)), at: now }
    }

    /// Whole messages that may be sent now.
    pub(super) fn left(&mut self, now: Timestamp) -> usize {
        let gained = now.since(self.at).as_secs_f64() * self.per_second();
        self.tokens = (self.tokens + gained).min(f64::from(self.limits.burst.max(1)));
        self.at = self.at.max(now);
        // What is added up in small steps may miss a whole by a hair.
        (self.tokens + 1e-6) as usize
    }

    /// Takes one.
    pub(super) fn take(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    /// How long until there is one.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs_f64(((1.0 - self.tokens).max(0.0) / self.per_second()).min(3_600.0))
    }

    fn per_second(&self) -> f64 {
        f64::from(self.limits.per_minute.max(1)) / 60.0
    }
}
