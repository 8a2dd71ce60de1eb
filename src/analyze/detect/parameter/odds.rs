//! How often something as surprising would happen to this host by chance, and the score that follows.
//!
//! Detectors of values speak in expected events per day. What was as surprising before counts against it: a host
//! whose values are new every day has no news in a new value. A day is a day of the clock or 100,000 lines, whichever
//! comes first, so that a busy host and a replayed file learn as fast as they speak.

use super::codec::{Reader, Writer};
use crate::model::Timestamp;

/// Lines that are a day, however fast they come.
pub(super) const DAY_LINES: f64 = 100_000.0;
/// Events expected per day of learning before any was seen.
const PRIOR: f64 = 0.1;
/// After so many days the past counts half.
const HALF_LIFE: f64 = 14.0;
/// Surprises of tails are remembered by their decimal exponent.
const EXPONENTS: usize = 32;
/// A gap between two windows counts up to this, in seconds.
const MAX_GAP: f64 = 86_400.0;

/// What a group has seen of surprises so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Odds {
    /// Windows ended.
    pub(super) windows: u32,
    /// Days watched, the older ones counting less.
    days: f64,
    /// Days watched in all: the age of what is learnt.
    pub(super) age: f64,
    /// The end of the last window.
    ended: Timestamp,
    /// Windows with a new value where none was expected.
    novel: f32,
    /// Windows by the exponent of their most surprising number.
    tails: [f32; EXPONENTS],
}

/// The score of what is expected so often per day: once a day 0.5, once in ten days 0.8.
pub(super) fn score(per_day: f64) -> f64 {
    (1.0 - 0.5 * per_day.max(0.0).powf(0.4)).clamp(0.0, 1.0)
}

impl Odds {
    /// How often a day a new value comes where it is as unexpected as `weight` says (1: settled for long).
    pub(super) fn of_novelty(&self, weight: f64) -> f64 {
        (f64::from(self.novel) + PRIOR) / self.days.max(1e-6) * weight
    }

    /// How often a day a number comes whose tail has the probability `10^-exponent`.
    pub(super) fn of_tail(&self, exponent: f64) -> f64 {
        let by_model = DAY_LINES * 10f64.powf(-exponent.clamp(0.0, 300.0));
        let from = bucket(exponent).saturating_sub(1);
        let seen: f32 = self.tails.iter().skip(from).sum();
        by_model.max(f64::from(seen) / self.days.max(1e-6))
    }

    /// Ends a window of `lines` lines with the most surprising things in it.
    pub(super) fn end(&mut self, now: Timestamp, lines: u64, novel: bool, exponent: Option<f64>) {
        let gap = match self.windows {
            0 => 0.0,
            _ => now.since(self.ended).as_secs_f64().min(MAX_GAP),
        };
        self.windows = self.windows.saturating_add(1);
        self.ended = self.ended.max(now);
        let days = (gap / 86_400.0).max(lines as f64 / DAY_LINES);
        self.days += days;
        self.age += days;
        self.novel += f32::from(u8::from(novel));
        if let Some(found) = exponent.and_then(|exponent| self.tails.get_mut(bucket(exponent))) {
            *found += 1.0;
        }
        if self.days > HALF_LIFE {
            // Half of the past and half of its events go: their rate stays.
            self.days /= 2.0;
            self.novel /= 2.0;
            self.tails.iter_mut().for_each(|count| *count /= 2.0);
        }
    }

    /// What was learnt so far was given as normal, and all there is: it counts as a day.
    pub(super) fn grow_up(&mut self) {
        self.days = self.days.max(1.0);
        self.age += 1.0;
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.number(u64::from(self.windows));
        out.double(self.days);
        out.double(self.age);
        out.signed(self.ended.as_nanos());
        out.single(self.novel);
        let used = self.tails.iter().rposition(|count| *count > 0.0).map_or(0, |at| at + 1);
        out.number(used as u64);
        self.tails.iter().take(used).for_each(|count| out.single(*count));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Odds> {
        let mut odds = Odds {
            windows: from.small()?,
            days: from.double()?,
            age: from.double()?,
            ended: Timestamp::from_nanos(from.signed()?),
            novel: from.single()?,
            tails: [0.0; EXPONENTS],
        };
        let used = from.count()?;
        for count in odds.tails.iter_mut().take(used) {
            *count = from.single()?;
        }
        Some(odds)
    }
}

fn bucket(exponent: f64) -> usize {
    (exponent.max(0.0) as usize).min(EXPONENTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_in_ten_days_is_where_one_may_be_sure() {
        for (per_day, expected) in [(0.0, 1.0), (0.1, 0.801), (1.0, 0.5), (10.0, 0.0)] {
            assert!((score(per_day) - expected).abs() < 0.001, "{per_day}");
        }
    }

    #[test]
    fn a_day_is_a_day_or_a_hundred_thousand_lines() {
        let mut slow = Odds::default();
        slow.end(Timestamp::from_secs(0), 0, false, None);
        slow.end(Timestamp::from_secs(43_200), 10, false, None);
        assert!((slow.days - 0.5).abs() < 1e-9);
        let mut fast = Odds::default();
        fast.end(Timestamp::from_secs(0), 50_000, false, None);
        assert!((fast.days - 0.5).abs() < 1e-9);
        // Nothing new in half a day: 0.1 / 0.5.
        assert!((fast.of_novelty(1.0) - 0.2).abs() < 1e-9);
    }

    #[test]
    fn what_happens_daily_is_no_news_however_unlikely_the_model_finds_it() {
        let mut odds = Odds::default();
        assert!(odds.of_tail(9.0) < 1e-3);
        for day in 0..5 {
            odds.end(Timestamp::from_secs(day * 86_400), 0, true, Some(9.5));
        }
        assert!(odds.of_tail(9.0) > 1.0 && odds.of_novelty(1.0) > 1.0);
        assert!(odds.of_tail(14.0) < 1e-3);
    }

    #[test]
    fn odds_are_read_back_as_they_were() {
        let mut odds = Odds::default();
        odds.end(Timestamp::from_secs(5), 7, true, Some(3.2));
        odds.end(Timestamp::from_secs(65), 9, false, None);
        let mut out = Writer::default();
        odds.write(&mut out);
        assert_eq!(Odds::read(&mut Reader(&out.0)), Some(odds));
    }
}
