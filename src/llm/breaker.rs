//! Leaves a failing model alone: opens after failures in a row, lets one call through after a pause to probe.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::model::Timestamp;

/// Where the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// No calls.
    Open,
    /// The next call is a probe, or one is under way.
    HalfOpen,
}

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    pause: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    failures: u32,
    /// Set while open. A probe moves it on, so that a probe that never reports back does not block for ever.
    until: Option<Timestamp>,
    probing: bool,
}

impl Breaker {
    /// Opens after `failures_max` failures in a row and stays open for `pause`.
    pub fn new(failures_max: u32, pause: Duration) -> Self {
        Breaker { failures_max: failures_max.max(1), pause, inner: Mutex::default() }
    }

    /// Whether a call may be made now; otherwise how long to wait.
    pub fn admit(&self, now: Timestamp) -> Result<(), Duration> {
        let mut inner = self.lock();
        match inner.until {
            None => Ok(()),
            Some(until) if now < until => Err(until.since(now)),
            Some(_) => {
                inner.until = Some(now.plus(self.pause));
                inner.probing = true;
                Ok(())
            }
        }
    }

    /// A call succeeded.
    pub fn succeeded(&self) {
        *self.lock() = Inner::default();
    }

    /// A call failed for a reason that lies with the model.
    pub fn failed(&self, now: Timestamp) {
        let mut inner = self.lock();
        inner.failures = inner.failures.saturating_add(1);
        inner.probing = false;
        if inner.failures >= self.failures_max {
            inner.until = Some(now.plus(self.pause));
        }
    }

    /// How long calls are still refused; asking changes nothing.
    pub fn pause_left(&self, now: Timestamp) -> Option<Duration> {
        self.lock().until.filter(|until| now < *until).map(|until| until.since(now))
    }

    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        let inner = self.lock();
        match inner.until {
            None => BreakerState::Closed,
            Some(until) if inner.probing || now >= until => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_probes_once_and_closes_on_success() {
        let at = Timestamp::from_secs;
        let breaker = Breaker::new(2, Duration::from_secs(60));
        breaker.failed(at(0));
        assert_eq!(breaker.state(at(0)), BreakerState::Closed);
        breaker.failed(at(0));
        assert_eq!(breaker.admit(at(10)), Err(Duration::from_secs(50)));
        assert_eq!(breaker.state(at(60)), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(at(60)), Ok(()));
        assert_eq!(breaker.admit(at(61)), Err(Duration::from_secs(59)), "one probe at a time");
        breaker.failed(at(62));
        assert_eq!(breaker.state(at(63)), BreakerState::Open);
        assert_eq!(breaker.admit(at(122)), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.state(at(122)), BreakerState::Closed);
    }
}
