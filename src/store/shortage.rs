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
