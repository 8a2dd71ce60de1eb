//! The time of lines that are read long after they were written.
//!
//! In: what the head of each line says. Out: the line's time, and the clock that drives windows. A line that says
//! nothing was written when its predecessor was; one line that is years off does not move the clock.

use std::time::Duration;

use crate::model::Timestamp;

/// How far lines may be out of order without meaning that time itself was set back.
pub const OUT_OF_ORDER: Duration = Duration::from_secs(3_600);
/// A silence longer than this is believed when a second line says so, too.
const LONG_SILENCE: Duration = Duration::from_secs(86_400);

/// Follows the lines of one source.
#[derive(Clone, Debug)]
pub struct Timeline {
    last: Timestamp,
    clock: Timestamp,
    doubted: Option<Timestamp>,
}

/// When a line was written, and when that was taken to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The line's own time.
    pub written: Timestamp,
    /// The time windows go by.
    pub clock: Timestamp,
}

impl Timeline {
    /// Begins at a time: lines before the first that names one are taken to be of it.
    pub fn starting(at: Timestamp) -> Self {
        Timeline { last: at, clock: at, doubted: None }
    }

    /// The time of the last line: near it the next is expected.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Takes what the next line says of its time.
    pub fn next(&mut self, said: Option<Timestamp>) -> Moment {
        if let Some(said) = said {
            self.last = said;
            self.follow(said);
        }
        Moment { written: self.last, clock: self.clock }
    }

    fn follow(&mut self, said: Timestamp) {
        let is_back = |time: Timestamp| time < self.clock.minus(OUT_OF_ORDER);
        let is_ahead = |time: Timestamp| time > self.clock.plus(LONG_SILENCE);
        if !is_back(said) && !is_ahead(said) {
            self.clock = self.clock.max(said);
            self.doubted = None;
            return;
        }
        let confirms =
            |first: Timestamp| is_back(first) == is_back(said) && said >= first.minus(OUT_OF_ORDER);
        if self.doubted.is_some_and(confirms) {
            self.clock = said;
            self.doubted = None;
        } else {
            self.doubted = Some(said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn clocks(said: &[Option<i64>]) -> Vec<i64> {
        let mut timeline = Timeline::starting(Timestamp::from_secs(1_000 * DAY));
        said.iter()
            .map(|said| timeline.next(said.map(Timestamp::from_secs)).clock.as_secs() - 1_000 * DAY)
            .collect()
    }

    #[test]
    fn a_line_without_a_time_is_of_its_predecessors() {
        let mut timeline = Timeline::starting(Timestamp::from_secs(5));
        let written = |said: Option<i64>, timeline: &mut Timeline| {
            timeline.next(said.map(Timestamp::from_secs)).written.as_secs()
        };
        assert_eq!(written(None, &mut timeline), 5);
        assert_eq!(written(Some(9), &mut timeline), 9);
        assert_eq!(written(None, &mut timeline), 9);
        assert_eq!(written(Some(7), &mut timeline), 7, "a little out of order is said as it is");
    }

    #[test]
    fn the_clock_does_not_go_back_for_lines_a_little_out_of_order() {
        let base = 1_000 * DAY;
        assert_eq!(clocks(&[Some(base + 10), Some(base + 7), Some(base + 11)]), [10, 10, 11]);
    }

    #[test]
    fn one_line_far_off_is_doubted_and_two_are_believed() {
        let base = 1_000 * DAY;
        let far = base + 30_000 * DAY;
        assert_eq!(
            clocks(&[Some(base), Some(far), Some(base + 1), Some(far), Some(base + 2)]),
            [0, 0, 1, 1, 2]
        );
        // A second file behind the first: time starts again.
        assert_eq!(clocks(&[Some(base + 5), Some(base - DAY), Some(base - DAY + 1)]), [5, 5, 1 - DAY]);
        // A machine that was off for a week.
        assert_eq!(clocks(&[Some(base + 7 * DAY), Some(base + 7 * DAY + 3)]), [0, 7 * DAY + 3]);
    }

    #[test]
    fn a_line_every_other_day_moves_the_clock() {
        let base = 1_000 * DAY;
        let said: Vec<_> = (1..=4).map(|n| Some(base + 2 * n * DAY)).collect();
        assert_eq!(clocks(&said), [0, 4 * DAY, 4 * DAY, 8 * DAY]);
    }
}
