//! Exponential backoff with jitter: waits between tries double up to a ceiling, each drawn from its upper half.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// The waits between tries of one piece of work.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits from `first` doubling up to `ceiling`.
    pub fn new(first: Duration, ceiling: Duration) -> Self {
        Backoff { first, ceiling, tries: 0 }
    }

    /// Goes on after so many failed tries.
    #[must_use]
    pub fn after(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// Counts a failed try and says how long to wait before the next.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.tries.min(30))).min(self.ceiling);
        self.tries = self.tries.saturating_add(1);
        // A fresh RandomState is seeded by the system: enough randomness to spread out retries.
        let draw = RandomState::new().hash_one(self.tries) % 1_000;
        doubled.mul_f64(0.5 + draw as f64 / 2_000.0)
    }

    /// How many tries failed since the last reset.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(4));
        let waits: Vec<_> = (0..6).map(|_| backoff.next_wait().as_millis()).collect();
        assert!((250..=500).contains(&waits[0]) && (2_000..=4_000).contains(&waits[5]), "{waits:?}");
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(500));
    }
}
