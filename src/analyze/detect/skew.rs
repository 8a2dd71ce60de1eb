//! Late and skewed lines: which lines were sent long after, or dated long before or after, they came.
//!
//! A host may keep wrong time or the wrong zone, so what counts is not the difference between a line's time and its
//! arrival but how far it is from what is usual for the group: the median over some hours of medians of short spans. Backlogs
//! after an outage, replays, files that are read for the first time and years that a header did not name all stand out;
//! such lines are mined and sifted like any other and never counted as the rate of now.

use std::time::Duration;

use super::{
    memory::Part,
    pack::{Packer, Unpacker},
};
use crate::{model::Timestamp, store::memory::MemoryRow};

/// Differences looked at per window: a median of 64 is good to a few percent.
const SAMPLES: usize = 64;
/// Medians remembered; of 15, seven may be of a backlog without being believed.
const MEDIANS: usize = 15;
/// How often a window's median is remembered: 15 of them span two and a half hours.
const MEDIAN_EVERY: Duration = Duration::from_secs(600);
/// No clock is wrong by more than the zones of the earth; what is further off is old, not skewed.
const MAX_OFFSET_SECS: i64 = 14 * 3_600;
/// Layout of the row.
const LAYOUT: u8 = 1;

/// The usual difference between the time of a line and its arrival, for one group.
#[derive(Clone, Debug, Default)]
pub struct Skew {
    /// Nanoseconds from a line's time to its arrival; negative when the host's clock is ahead.
    usual: i64,
    /// Seconds; oldest first.
    medians: Vec<i64>,
    /// When the last of them was remembered.
    remembered: Option<Timestamp>,
    samples: Vec<i64>,
    seen: u32,
    /// Every how many lines one is looked at: a power of two, 0 meaning 1.
    stride: u32,
    is_dirty: bool,
}

impl Skew {
    /// Whether a line must not count for rates: the time between its own time and its arrival is more than `settle` off
    /// what is usual here. While nothing is known, clocks are taken to be right.
    pub fn is_late(&mut self, settle: Duration, event: Timestamp, received: Timestamp) -> bool {
        let offset = received.as_nanos().saturating_sub(event.as_nanos());
        if self.seen & (self.stride.max(1) - 1) == 0 {
            self.sample(offset);
        }
        self.seen = self.seen.wrapping_add(1);
        Duration::from_nanos(offset.saturating_sub(self.usual).unsigned_abs()) > settle
    }

    /// Ends a window that closed at `closed`.
    pub fn close(&mut self, closed: Timestamp) {
        let is_due = self.remembered.is_none_or(|last| closed.since(last) >= MEDIAN_EVERY);
        if is_due && let Some(median) = median(&mut self.samples) {
            let seconds = median.div_euclid(1_000_000_000);
            if seconds.abs() <= MAX_OFFSET_SECS {
                self.remember(seconds, closed);
            }
        }
        self.samples.clear();
        (self.seen, self.stride) = (0, 0);
    }

    /// Appends the row, if it changed since the last call.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        if !std::mem::take(&mut self.is_dirty) {
            return;
        }
        let mut row = Packer::new(LAYOUT);
        row.time(self.remembered.unwrap_or_default());
        row.number(self.medians.len() as u64);
        for median in &self.medians {
            row.number(median.saturating_add(MAX_OFFSET_SECS).unsigned_abs());
        }
        out.push(MemoryRow { part: Part::Skew.number(), key: 0, state: Some(row.finish()) });
    }

    /// Takes a row back; a damaged one is passed over.
    pub fn restore(&mut self, row: &[u8]) {
        let read = || -> Option<(Timestamp, Vec<i64>)> {
            let mut row = Unpacker::new(LAYOUT, row)?;
            let remembered = row.time()?;
            let count = usize::try_from(row.number()?).ok()?.min(MEDIANS);
            let one = |row: &mut Unpacker<'_>| Some(i64::try_from(row.number()?).ok()? - MAX_OFFSET_SECS);
            let medians = (0..count).map(|_| one(&mut row)).collect::<Option<_>>()?;
            Some((remembered, medians))
        };
        if let Some((remembered, medians)) = read() {
            self.remembered = Some(remembered);
            self.medians = medians;
            self.settle_on_median();
        }
    }

    /// Keeps every line's offset, then every second one's, every fourth one's: an even spread however many come.
    fn sample(&mut self, offset: i64) {
        if self.samples.len() >= SAMPLES {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride = self.stride.max(1).saturating_mul(2);
        }
        self.samples.push(offset);
    }

    fn remember(&mut self, seconds: i64, closed: Timestamp) {
        if self.medians.len() >= MEDIANS {
            self.medians.remove(0);
        }
        self.medians.push(seconds);
        self.remembered = Some(closed);
        self.is_dirty = true;
        self.settle_on_median();
    }

    fn settle_on_median(&mut self) {
        self.usual = median(&mut self.medians.clone()).unwrap_or(0).saturating_mul(1_000_000_000);
    }
}

/// The middle value, the lower of two.
fn median(values: &mut [i64]) -> Option<i64> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);
    const DAY: i64 = 86_400;

    const SETTLE: Duration = Duration::from_secs(600);

    /// A minute of ten lines, each dated `offset` seconds before its arrival.
    fn minute(skew: &mut Skew, minute: i64, offset: i64) -> usize {
        let start = Timestamp::from_secs(NOON.as_secs() + minute * 60);
        let line = |second: i64| {
            let received = Timestamp::from_secs(start.as_secs() + second * 6);
            (Timestamp::from_secs(received.as_secs() - offset), received)
        };
        let late =
            (0..10).map(line).filter(|(event, received)| skew.is_late(SETTLE, *event, *received)).count();
        skew.close(Timestamp::from_secs(start.as_secs() + 60));
        late
    }

    #[test]
    fn old_and_future_lines_are_late_and_those_of_now_are_not() {
        let mut skew = Skew::default();
        assert_eq!(minute(&mut skew, 0, 3), 0);
        for offset in [-370 * DAY, -DAY, -700, 700, DAY, 370 * DAY, i64::MAX / 2_000_000_000] {
            assert_eq!(minute(&mut skew, 1, offset), 10, "{offset} s");
            assert_eq!(minute(&mut skew, 1, 3), 0, "after {offset} s");
        }
        assert_eq!(minute(&mut skew, 2, 590), 0);
        assert!(
            skew.is_late(SETTLE, Timestamp::MIN, Timestamp::MAX)
                && skew.is_late(SETTLE, Timestamp::MAX, Timestamp::MIN)
        );
    }

    #[test]
    fn a_clock_in_another_zone_becomes_usual_and_lines_of_the_right_time_stand_out() {
        let mut skew = Skew::default();
        assert_eq!(minute(&mut skew, 0, -7_200), 10, "nothing is known yet");
        assert_eq!(minute(&mut skew, 1, -7_201), 0);
        assert_eq!(skew.usual, -7_200_000_000_000);
        assert_eq!(minute(&mut skew, 2, 0), 10);
    }

    #[test]
    fn a_backlog_of_an_hour_is_not_believed_and_a_clock_that_is_set_right_is() {
        let mut skew = Skew::default();
        (0..200).for_each(|n| assert_eq!(minute(&mut skew, n, 1), 0));
        (200..260).for_each(|n| assert_eq!(minute(&mut skew, n, 3 * 3_600), 10, "minute {n}"));
        assert_eq!(minute(&mut skew, 260, 1), 0);
        (261..400).for_each(|n| _ = minute(&mut skew, n, 3 * 3_600));
        assert_eq!(minute(&mut skew, 400, 3 * 3_600), 0, "for two hours now: this is how it is");
    }

    #[test]
    fn lines_of_years_ago_never_become_usual() {
        let mut skew = Skew::default();
        (0..500).for_each(|n| assert_eq!(minute(&mut skew, n, 370 * DAY), 10));
    }

    #[test]
    fn a_restart_goes_on_with_what_was_usual() {
        let mut before = Skew::default();
        (0..30).for_each(|n| _ = minute(&mut before, n, 3_600 + n));
        let mut rows = Vec::new();
        before.save(&mut rows);
        before.save(&mut rows);
        assert_eq!(rows.len(), 1);
        let row = rows[0].state.clone().unwrap();
        let mut after = Skew::default();
        after.restore(&row);
        after.restore(&[9, 9]);
        assert_eq!(after.usual, before.usual);
        assert_eq!(minute(&mut after, 31, 7_200), minute(&mut before, 31, 7_200));
        assert_eq!(after.medians, before.medians);
    }

    #[test]
    fn samples_are_spread_over_however_many_lines_there_are() {
        let mut skew = Skew::default();
        for n in 0..100_000 {
            let _ = skew.is_late(SETTLE, Timestamp::from_secs(NOON.as_secs() - n), NOON);
        }
        assert!(skew.samples.len() <= SAMPLES);
        let middle = median(&mut skew.samples.clone()).unwrap() / 1_000_000_000;
        assert!((40_000..60_000).contains(&middle), "{middle}");
    }
}
