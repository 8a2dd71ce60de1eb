//! What the writer does when the disk is full: first the log into the database, then the oldest lines, then no.
//!
//! Asked before every transaction. Pushes are let in only if they leave room for the engines' writes and for copying
//! the log; nothing that was acknowledged and is not yet analysed is ever dropped.

use std::{path::Path, time::Duration};

use super::{
    Connection, StoreError,
    open::{BUSY_TIMEOUT, PAGE_BYTES},
    reserve::Reserve,
    retain::{self, Dropped},
    writer::Writer,
};
use crate::telemetry::StoreMetrics;

/// Rows dropped per transaction: few, because deleting needs room as well and no more than needed is to go.
const ROWS_PER_STEP: i64 = 4;
/// Transactions per attempt, so that whoever waits is answered in between.
const STEPS_MAX: u32 = 256;
/// How long copying the log waits for readers.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(100);
/// Free bytes on the disk per byte of a push: once in the log, once in the database.
const COPIES: u64 = 2;

impl Writer {
    /// Whether pushes of so many bytes may be written; makes room where it can.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let shortage = Shortage { conn: &self.conn, reserve: &self.reserve, metrics: &self.shared.metrics };
        if shortage.fits(bytes) {
            return true;
        }
        shortage.make_room(bytes);
        shortage.fits(bytes)
    }

    /// Makes room after the disk was found full in spite of what was asked before.
    pub(super) fn make_room(&self, bytes: u64) {
        let shortage = Shortage { conn: &self.conn, reserve: &self.reserve, metrics: &self.shared.metrics };
        shortage.make_room(bytes);
    }

    /// Whether what is free is less than what the engines' writes need.
    pub(super) fn is_disk_full(&self) -> bool {
        self.reserve.free().is_some_and(|free| free < self.reserve.margin())
    }
}

struct Shortage<'a> {
    conn: &'a Connection,
    reserve: &'a Reserve,
    metrics: &'a StoreMetrics,
}

impl Shortage<'_> {
    /// Whether a push of `bytes` can go into the log now and into the database later.
    fn fits(&self, bytes: u64) -> bool {
        let Some(free) = self.reserve.free() else { return true };
        let (margin, log) = (self.reserve.margin(), self.log_bytes());
        let needed = log.saturating_add(bytes.saturating_mul(COPIES)).saturating_add(margin);
        if free >= needed {
            if !self.reserve.is_held() {
                self.reserve.hold();
            }
            return true;
        }
        // Copying the log may use the reserve, and pages of the database that hold nothing need not be made.
        let held = if self.reserve.is_held() { self.reserve.bytes() } else { 0 };
        free >= bytes.saturating_add(margin)
            && free.saturating_add(held).saturating_add(self.empty_bytes()) >= needed
    }

    /// Copies the log, drops the oldest lines and gives their space back, as far as needed for `bytes` and the reserve.
    fn make_room(&self, bytes: u64) {
        self.reserve.release();
        if let Err(error) = self.try_make_room(bytes) {
            tracing::error!(%error, "cannot make room on the full disk; it will be tried again");
        }
        self.reserve.hold();
    }

    fn try_make_room(&self, bytes: u64) -> Result<(), StoreError> {
        self.checkpoint()?;
        // Twice the reserve: it is held again only if as much stays free.
        let goal = bytes
            .saturating_mul(COPIES)
            .saturating_add(self.reserve.bytes().saturating_mul(2))
            .saturating_add(self.reserve.margin());
        let free = || self.reserve.free().unwrap_or(0);
        for _ in 0..STEPS_MAX {
            if free().saturating_add(self.empty_bytes()) >= goal || self.drop_some()?.rows == 0 {
                break;
            }
            // Deletions must not fill the little room with log.
            if self.log_bytes() > self.reserve.margin() {
                self.checkpoint()?;
            }
        }
        self.checkpoint()?;
        let pages = i64::try_from(self.reserve.margin() / u64::from(PAGE_BYTES)).unwrap_or(i64::MAX);
        for _ in 0..STEPS_MAX {
            if free() >= goal || retain::free_pages(self.conn)? == 0 {
                break;
            }
            retain::give_back(self.conn, pages)?;
            self.checkpoint()?;
        }
        Ok(())
    }

    fn drop_some(&self) -> Result<Dropped, StoreError> {
        let tx = self.conn.unchecked_transaction()?;
        let dropped = retain::drop_oldest(&tx, ROWS_PER_STEP)?;
        tx.commit()?;
        retain::count_dropped(self.metrics, "size", &dropped);
        Ok(dropped)
    }

    /// Copies the log into the database and empties it, unless readers take too long.
    fn checkpoint(&self) -> Result<(), StoreError> {
        self.conn.busy_timeout(CHECKPOINT_WAIT)?;
        let done = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.conn.busy_timeout(BUSY_TIMEOUT)?;
        Ok(done?)
    }

    fn log_bytes(&self) -> u64 {
        let log = self.conn.path().map(|path| format!("{path}-wal"));
        log.and_then(|log| Path::new(&log).metadata().ok()).map_or(0, |log| log.len())
    }

    /// Bytes of the database file that hold nothing.
    fn empty_bytes(&self) -> u64 {
        let pages = retain::free_pages(self.conn).unwrap_or(0).unsigned_abs();
        pages.saturating_mul(u64::from(PAGE_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Appended, block, position,
        testing::{self, START, SmallDisk, TestStore, push},
    };

    /// A store on a disk that pushes of 100 kB that do not compress fill quickly.
    struct Filling {
        store: TestStore,
        rt: tokio::runtime::Runtime,
        pushes: u64,
        disk: SmallDisk,
    }

    impl Filling {
        fn start(mebibytes: u32) -> Option<Self> {
            let disk = SmallDisk::mount(mebibytes)?;
            let store = testing::store_with(|settings| settings.data_dir = disk.0.join("data"));
            let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let filling = Filling { store, rt, pushes: 0, disk };
            filling.analyse_up_to(0);
            Some(filling)
        }

        fn analyse_up_to(&self, seq: u64) {
            self.store
                .write_blocking(move |tx| position::set(tx, position::name::ANALYZE, seq, START))
                .unwrap();
        }

        fn push(&mut self) -> Result<Appended, StoreError> {
            self.pushes += 1;
            let mut state = self.pushes.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .take(100_000)
            .collect();
            let at = i64::try_from(self.pushes).unwrap();
            let batch = push(&self.store, self.pushes.into(), &[(1, at, &noise)]);
            self.rt.block_on(self.store.append(batch))
        }

        /// Pushes until one is refused; how many were taken.
        fn fill(&mut self) -> usize {
            for taken in 0..1_000 {
                match self.push() {
                    Ok(_) => {}
                    Err(StoreError::Unavailable(_)) => return taken,
                    Err(other) => panic!("{other}"),
                }
            }
            panic!("the disk never got full");
        }

        fn blocks(&self) -> Vec<u64> {
            let blocks = self.store.read_blocking(|conn| block::read_after(conn, 0, usize::MAX)).unwrap();
            blocks.iter().map(|block| block.seq).collect()
        }

        fn head(&self) -> u64 {
            *self.store.head().borrow()
        }
    }

    #[test]
    fn a_full_disk_refuses_while_nothing_is_analysed_and_sheds_the_oldest_afterwards() {
        let Some(mut filling) = Filling::start(28) else { return };
        let taken = filling.fill() as u64;
        assert!(taken > 100, "only {taken} of some 200 were taken");
        for _ in 0..5 {
            assert!(matches!(filling.push(), Err(StoreError::Unavailable(_))));
        }
        assert_eq!(filling.blocks(), (1..=taken).collect::<Vec<_>>(), "all that was acknowledged is there");
        filling.analyse_up_to(taken);
        for _ in 0..400 {
            filling.push().unwrap();
            filling.analyse_up_to(filling.head());
        }
        let (blocks, head) = (filling.blocks(), filling.head());
        assert_eq!(head, taken + 400);
        assert_eq!(blocks, (head + 1 - blocks.len() as u64..=head).collect::<Vec<_>>(), "only the oldest go");
        assert!(blocks.len() > 60, "no more than needed: {} are left", blocks.len());
        let dropped = filling.store.shared().metrics.dropped_entries.with_label_values(&["size"]).get();
        assert_eq!(dropped, head - blocks.len() as u64);
    }

    #[test]
    fn a_disk_that_is_full_at_start_recovers_too() {
        let Some(mut filling) = Filling::start(28) else { return };
        let taken = filling.fill() as u64;
        filling.store.reopen();
        assert!(matches!(filling.push(), Err(StoreError::Unavailable(_))));
        assert_eq!(filling.blocks(), (1..=taken).collect::<Vec<_>>());
        filling.analyse_up_to(10);
        filling.push().unwrap();
        let blocks = filling.blocks();
        assert!(blocks.first().is_some_and(|first| (2..=11).contains(first)), "{blocks:?}");
        assert_eq!(blocks.last(), Some(&(taken + 1)));
    }

    #[test]
    fn a_disk_filled_by_somebody_else_costs_nothing_once_they_have_gone() {
        let Some(mut filling) = Filling::start(40) else { return };
        for _ in 0..20 {
            filling.push().unwrap();
        }
        let ballast = filling.disk.0.join("ballast");
        // As much as there is: the write fails, what fitted stays.
        let _ = std::fs::write(&ballast, vec![1; 64 << 20]);
        let taken = 20 + filling.fill() as u64;
        assert!(matches!(filling.push(), Err(StoreError::Unavailable(_))));
        filling.analyse_up_to(0);
        std::fs::remove_file(&ballast).unwrap();
        filling.push().unwrap();
        assert_eq!(filling.blocks(), (1..=taken + 1).collect::<Vec<_>>());
    }
}
