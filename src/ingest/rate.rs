//! Token buckets: so many bytes per second, and a burst after a pause.

use crate::model::Timestamp;

/// One bucket. It starts full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Timestamp,
}

/// How fast a bucket fills and how much it holds. A rate of zero means no limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub per_second: u64,
    pub burst: u64,
}

impl Bucket {
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Bucket { tokens: rate.burst as f64, filled: now }
    }

    /// Takes `bytes` if they are there; takes nothing otherwise. More than the bucket ever holds is given by a full
    /// bucket as a debt: refused, it would come again for ever.
    pub fn take(&mut self, bytes: u64, rate: Rate, now: Timestamp) -> bool {
        self.fill(rate, now);
        let is_enough = rate.per_second == 0 || bytes.min(rate.burst) as f64 <= self.tokens;
        if is_enough {
            self.tokens -= bytes as f64;
        }
        is_enough
    }

    /// Whether the bucket could as well be forgotten: a new one would be equal.
    pub fn is_full(&mut self, rate: Rate, now: Timestamp) -> bool {
        self.fill(rate, now);
        self.tokens >= rate.burst as f64
    }

    fn fill(&mut self, rate: Rate, now: Timestamp) {
        let gained = now.since(self.filled).as_secs_f64() * rate.per_second as f64;
        self.tokens = (self.tokens + gained).min(rate.burst as f64);
        // A clock that went back must not be waited for.
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 100, burst: 150 };

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut bucket = Bucket::full(RATE, Timestamp::from_secs(0));
        assert!(bucket.take(150, RATE, Timestamp::from_secs(0)));
        assert!(!bucket.take(101, RATE, Timestamp::from_secs(1)));
        assert!(bucket.take(100, RATE, Timestamp::from_secs(1)));
        assert!(bucket.is_full(RATE, Timestamp::from_secs(1_000)));
    }

    #[test]
    fn more_than_the_burst_is_lent_by_a_full_bucket_and_paid_back_first() {
        let mut bucket = Bucket::full(RATE, Timestamp::from_secs(0));
        assert!(bucket.take(1, RATE, Timestamp::from_secs(0)));
        assert!(!bucket.take(1_000, RATE, Timestamp::from_secs(0)));
        assert!(bucket.take(1_000, RATE, Timestamp::from_secs(1)));
        // 850 bytes of debt: at 100 a second nothing is there before 8.5 s have passed.
        assert!(!bucket.take(1, RATE, Timestamp::from_secs(9)));
        assert!(bucket.take(50, RATE, Timestamp::from_secs(10)));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let none = Rate { per_second: 0, burst: 0 };
        let mut bucket = Bucket::full(none, Timestamp::from_secs(0));
        assert!(bucket.take(u64::MAX, none, Timestamp::from_secs(0)));
    }
}
