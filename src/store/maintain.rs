//! The store's background task: compaction, retention and measuring, one bounded step after the other.
//!
//! A failed round (a full disk, say) is logged and tried again; it never ends the task.

use std::{convert::Infallible, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Connection, Settings, Store, StoreError, compact, compact::Progress, retain};

/// Between two rounds.
const ROUND_EVERY: Duration = Duration::from_secs(10);
/// Rounds between two looks at merging and pruning, which walk an index.
const ROUNDS_PER_TIDY: u32 = 30;
/// Streams idle for this long may be forgotten: far longer than any push is under way.
const STREAM_IDLE: Duration = Duration::from_secs(86_400);
/// Steps of one kind per round, so that one kind cannot keep the others from their turn.
const STEPS_MAX: u32 = 256;

/// Keeps the store compact and within its bounds until told to stop.
pub async fn maintain(store: Store, settings: Settings, stop: CancellationToken) -> Result<(), Infallible> {
    let mut rounds = 0_u32;
    while stop.run_until_cancelled(tokio::time::sleep(ROUND_EVERY)).await.is_some() {
        let (store, settings, asked) = (store.clone(), settings.clone(), stop.clone());
        let is_tidy = rounds.is_multiple_of(ROUNDS_PER_TIDY);
        rounds = rounds.wrapping_add(1);
        let done = tokio::task::spawn_blocking(move || {
            let round = Round { store: &store, settings: &settings, stop: &asked };
            round.run().and_then(|()| if is_tidy { round.tidy() } else { Ok(()) })
        });
        match done.await {
            Ok(Ok(())) => {}
            Ok(Err(StoreError::Closed)) => break,
            Ok(Err(error)) => tracing::warn!(%error, "store maintenance failed; it will be tried again"),
            Err(error) => tracing::error!(%error, "store maintenance panicked"),
        }
    }
    Ok(())
}

/// One round over a store.
struct Round<'a> {
    store: &'a Store,
    settings: &'a Settings,
    stop: &'a CancellationToken,
}

impl Round<'_> {
    fn run(&self) -> Result<(), StoreError> {
        let now = self.store.shared().clock.now();
        // A retried push is recognised by its block, so blocks stay for as long as retries are expected.
        let age = self.settings.compact_after.max(self.settings.retry_window);
        self.repeat(|| compact::blocks(self.store, now.minus(age)))?;
        if !self.settings.retention.is_zero() {
            let oldest = now.minus(self.settings.retention);
            self.repeat(|| retain::by_age(self.store, oldest))?;
        }
        if self.settings.max_bytes > 0 {
            self.repeat(|| {
                if self.store.read_blocking(retain::used_bytes)? <= self.settings.max_bytes {
                    return Ok(Progress::Idle);
                }
                retain::oldest(self.store)
            })?;
        }
        self.measure()
    }

    fn tidy(&self) -> Result<(), StoreError> {
        let now = self.store.shared().clock.now();
        self.repeat(|| compact::merge(self.store))?;
        if !self.settings.record_retention.is_zero() {
            let oldest = now.minus(self.settings.record_retention);
            self.repeat(|| retain::records(self.store, oldest))?;
        }
        retain::streams(self.store, now.minus(STREAM_IDLE))?;
        self.repeat(|| retain::vacuum(self.store))
    }

    fn measure(&self) -> Result<(), StoreError> {
        let count = |conn: &Connection, table: &str| -> Result<i64, StoreError> {
            // Counts over the smallest index, not over the payloads.
            Ok(conn.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0))?)
        };
        let (used, chunks) =
            self.store.read_blocking(|conn| Ok((retain::used_bytes(conn)?, count(conn, "chunk")?)))?;
        // Compaction deletes from the front, so the numbers in use are nearly without holes.
        const BLOCKS: &str = "SELECT COALESCE(MAX(seq) - MIN(seq) + 1, 0) FROM block";
        let blocks = self.store.read_blocking(|conn| Ok(conn.query_row(BLOCKS, [], |row| row.get(0))?))?;
        let metrics = &self.store.shared().metrics;
        metrics.used_bytes.set(i64::try_from(used).unwrap_or(i64::MAX));
        metrics.chunks.set(chunks);
        metrics.blocks.set(blocks);
        metrics.streams.set(i64::try_from(self.store.streams().count()).unwrap_or(i64::MAX));
        Ok(())
    }

    fn repeat(&self, mut step: impl FnMut() -> Result<Progress, StoreError>) -> Result<(), StoreError> {
        for _ in 0..STEPS_MAX {
            if self.stop.is_cancelled() || step()? == Progress::Idle {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{self, push};

    #[test]
    fn a_round_compacts_only_what_can_no_longer_be_retried() {
        let store = testing::store();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        rt.block_on(store.append(push(&store, 1, &[(1, 1, b"line")]))).unwrap();
        let stop = CancellationToken::new();
        let round = Round { store: &store, settings: &store.settings, stop: &stop };
        store.clock.advance(store.settings.retry_window);
        round.run().unwrap();
        assert_eq!((store.shared().metrics.blocks.get(), store.shared().metrics.chunks.get()), (1, 0));
        store.clock.advance(Duration::from_secs(1));
        round.run().unwrap();
        round.tidy().unwrap();
        assert_eq!((store.shared().metrics.blocks.get(), store.shared().metrics.chunks.get()), (0, 1));
        assert!(store.shared().metrics.used_bytes.get() > 0);
    }

    #[test]
    fn a_database_over_its_size_sheds_the_oldest() {
        let mut store = testing::store();
        store.settings.max_bytes = 1;
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        rt.block_on(store.append(push(&store, 1, &[(1, 1, b"line"), (2, 1, b"line")]))).unwrap();
        let stop = CancellationToken::new();
        Round { store: &store, settings: &store.settings, stop: &stop }.run().unwrap();
        assert_eq!(store.shared().metrics.dropped_entries.with_label_values(&["size"]).get(), 2);
    }
}
