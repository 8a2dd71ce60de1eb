//! Recognises retried pushes: the hashes of what was committed lately.
//!
//! Two generations of hashes, turned over once per retry window: a push is remembered for at least one window and at most
//! two, and nothing is kept per entry beyond the hash. Under more load than the bound allows, the memory gets shorter.

use std::{collections::HashSet, time::Duration};

use crate::{model::Timestamp, store::Connection};

/// Hashes per generation: what a set with 2^18 slots holds before it grows, about 7 MB. The hash is seeded: senders choose bodies.
const GENERATION_MAX: usize = 229_376;

/// Tenant and push hash, laid out without padding.
type Key = [u64; 3];

/// The memory of recent pushes. Belongs to the writer thread.
pub(crate) struct RecentPushes {
    window: Duration,
    started: Timestamp,
    current: HashSet<Key>,
    previous: HashSet<Key>,
}

impl RecentPushes {
    /// An empty memory.
    pub(crate) fn new(window: Duration, now: Timestamp) -> Self {
        RecentPushes { window, started: now, current: HashSet::default(), previous: HashSet::default() }
    }

    /// Remembers what the newest blocks on disk were.
    pub(crate) fn load(&mut self, conn: &Connection, now: Timestamp) -> Result<(), rusqlite::Error> {
        // Walks the primary key backwards until the window's start.
        const SQL: &str = "SELECT tenant_id, push_hash, received_ns FROM block ORDER BY seq DESC LIMIT ?1";
        let oldest = now.minus(self.window);
        let mut statement = conn.prepare(SQL)?;
        let mut rows = statement.query([GENERATION_MAX as i64])?;
        while let Some(row) = rows.next()? {
            if Timestamp::from_nanos(row.get(2)?) < oldest {
                break;
            }
            if let Ok(hash) = row.get::<_, [u8; 16]>(1) {
                self.current.insert(key(row.get(0)?, u128::from_be_bytes(hash)));
            }
        }
        Ok(())
    }

    /// Remembers a push; `false` when it is already known.
    pub(crate) fn remember(&mut self, tenant: i64, hash: u128, now: Timestamp) -> bool {
        if now.since(self.started) >= self.window || self.current.len() >= GENERATION_MAX {
            self.previous = std::mem::take(&mut self.current);
            self.started = now;
        }
        let key = key(tenant, hash);
        !self.previous.contains(&key) && self.current.insert(key)
    }

    /// Takes back what was remembered of a push that could not be committed.
    pub(crate) fn forget(&mut self, tenant: i64, hash: u128) {
        self.current.remove(&key(tenant, hash));
    }
}

fn key(tenant: i64, hash: u128) -> Key {
    [tenant.cast_unsigned(), (hash >> 64) as u64, hash as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_known_for_at_least_the_window() {
        let start = Timestamp::from_secs(1_000);
        let at = |secs| start.plus(Duration::from_secs(secs));
        let mut recent = RecentPushes::new(Duration::from_secs(60), start);
        assert!(recent.remember(1, 7, at(59)));
        assert!(!recent.remember(1, 7, at(60)), "turned over, still known");
        assert!(recent.remember(2, 7, at(60)), "another tenant");
        assert!(!recent.remember(1, 7, at(119)));
        assert!(recent.remember(1, 8, at(125)), "turned over again");
        assert!(recent.remember(1, 7, at(126)), "forgotten after two windows");
    }

    #[test]
    fn a_failed_push_may_come_again() {
        let mut recent = RecentPushes::new(Duration::from_secs(60), Timestamp::from_secs(0));
        assert!(recent.remember(1, 7, Timestamp::from_secs(1)));
        recent.forget(1, 7);
        assert!(recent.remember(1, 7, Timestamp::from_secs(2)));
    }
}
