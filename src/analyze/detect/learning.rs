//! Since when a group is learnt, and whether its detectors may speak yet.
//!
//! What counts is time with lines: a host that is switched on for an hour a day takes longer. The state is kept as JSON
//! (`model::Learning`), so that the API can show the stored row without knowing the detectors.

use std::time::Duration;

use super::{memory::Part, settings::Settings};
use crate::{
    model::{Learning as State, Timestamp},
    store::memory::MemoryRow,
};

/// A gap between windows counts as observed up to here: a host that speaks once an hour is observed all the time.
const MAX_GAP: Duration = Duration::from_secs(3_600);
/// Learning begins anew at most this often: while it lasts only rules speak, and nobody shall be able to prolong that.
const RELEARN_EVERY: Duration = Duration::from_secs(7 * 86_400);

/// The learning of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learning {
    state: Option<State>,
    is_dirty: bool,
}

impl Learning {
    /// Counts a window; says whether detectors must still be quiet about it.
    pub fn close(&mut self, settings: &Settings, opened: Timestamp, closed: Timestamp) -> bool {
        let state = self.state.get_or_insert_with(|| State {
            since: opened,
            ready_at: opened.plus(settings.learning),
            is_learning: true,
            observed_seconds: 0,
            windows: 0,
            seen_at: opened,
            relearnt_at: None,
        });
        if !state.is_learning {
            return false;
        }
        state.windows += 1;
        // What is less than a second is left for the next window: they may be that short.
        let gap = closed.since(state.seen_at);
        state.observed_seconds += gap.min(MAX_GAP).as_secs();
        state.seen_at =
            if gap < MAX_GAP { state.seen_at.plus(Duration::from_secs(gap.as_secs())) } else { closed };
        let missing = settings.learning.saturating_sub(Duration::from_secs(state.observed_seconds));
        state.ready_at = closed.plus(missing);
        state.is_learning = !missing.is_zero() || state.windows < settings.learning_windows;
        self.is_dirty = true;
        // The window that ends the learning is still a part of it.
        !settings.learning.is_zero()
    }

    /// Whether only rules may speak.
    pub fn is_learning(&self, settings: &Settings) -> bool {
        !settings.learning.is_zero() && self.state.as_ref().is_none_or(|state| state.is_learning)
    }

    /// Ends the learning: the lines so far were given as normal.
    pub fn finish(&mut self, now: Timestamp) {
        if let Some(state) = self.state.as_mut().filter(|state| state.is_learning) {
            (state.is_learning, state.ready_at) = (false, now);
            self.is_dirty = true;
        }
    }

    /// Begins anew, if that has not happened lately; says whether it did.
    pub fn restart(&mut self, settings: &Settings, now: Timestamp) -> bool {
        let Some(state) = &mut self.state else { return false };
        if state.relearnt_at.is_some_and(|last| now < last.plus(RELEARN_EVERY)) {
            return false;
        }
        *state = State {
            since: now,
            ready_at: now.plus(settings.learning),
            is_learning: true,
            observed_seconds: 0,
            windows: 0,
            seen_at: now,
            relearnt_at: Some(now),
        };
        self.is_dirty = true;
        true
    }

    /// The row, if it changed.
    pub fn save(&mut self, out: &mut Vec<MemoryRow>) {
        if std::mem::take(&mut self.is_dirty) {
            let state = self.state.as_ref().and_then(|state| serde_json::to_vec(state).ok());
            out.push(MemoryRow { part: Part::Learning.number(), key: 0, state });
        }
    }

    /// Takes the row back.
    pub fn restore(&mut self, state: &[u8]) {
        self.state = serde_json::from_slice(state).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(START + minute * 60)
    }

    fn settings() -> Settings {
        Settings { learning: Duration::from_secs(7_200), learning_windows: 50, ..Settings::default() }
    }

    fn minutes(learning: &mut Learning, minutes: std::ops::Range<i64>) -> usize {
        minutes.filter(|n| learning.close(&settings(), at(*n), at(n + 1))).count()
    }

    #[test]
    fn two_hours_of_lines_are_learnt_in_two_hours() {
        let mut learning = Learning::default();
        assert!(learning.is_learning(&settings()));
        assert_eq!(minutes(&mut learning, 0..60), 60);
        let state = learning.state.clone().unwrap();
        assert_eq!((state.since, state.ready_at, state.observed_seconds), (at(0), at(120), 3_600));
        assert_eq!(minutes(&mut learning, 60..200), 60);
        let state = learning.state.clone().unwrap();
        assert_eq!((state.is_learning, state.ready_at, state.windows), (false, at(120), 120));
    }

    #[test]
    fn silence_is_not_observed_and_few_windows_are_not_enough() {
        let mut learning = Learning::default();
        minutes(&mut learning, 0..10);
        minutes(&mut learning, 1_440..1_450);
        // Ten minutes, an hour of the gap, ten minutes less the one that the gap ended in.
        assert_eq!(learning.state.as_ref().unwrap().observed_seconds, 600 + 3_600 + 540);
        let mut seldom = Learning::default();
        (0..49).for_each(|n| assert!(seldom.close(&settings(), at(n * 60), at(n * 60 + 1))));
        assert!(seldom.is_learning(&settings()));
        seldom.close(&settings(), at(49 * 60), at(49 * 60 + 1));
        assert!(!seldom.is_learning(&settings()), "after 50 windows");
    }

    #[test]
    fn training_ends_it_and_a_lasting_change_begins_it_anew_once_a_week() {
        let mut learning = Learning::default();
        minutes(&mut learning, 0..3);
        learning.finish(at(3));
        assert_eq!(minutes(&mut learning, 3..5), 0);
        assert!(learning.restart(&settings(), at(10)) && learning.is_learning(&settings()));
        minutes(&mut learning, 10..200);
        assert!(!learning.restart(&settings(), at(6 * 1_440)));
        assert!(learning.restart(&settings(), at(8 * 1_440)));
    }

    #[test]
    fn a_restart_in_the_middle_goes_on_from_there() {
        let mut before = Learning::default();
        minutes(&mut before, 0..70);
        let mut rows = Vec::new();
        before.save(&mut rows);
        before.save(&mut rows);
        assert_eq!(rows.len(), 1);
        let mut after = Learning::default();
        after.restore(rows[0].state.as_ref().unwrap());
        assert_eq!(minutes(&mut after, 70..200), minutes(&mut before, 70..200));
        assert_eq!(after, before);
    }

    #[test]
    fn windows_shorter_than_a_second_add_up() {
        let (mut learning, mut now) = (Learning::default(), at(0));
        for _ in 0..100 {
            let next = now.plus(Duration::from_millis(700));
            learning.close(&settings(), now, next);
            now = next;
        }
        assert_eq!(learning.state.as_ref().unwrap().observed_seconds, 70);
    }

    #[test]
    fn no_learning_means_none() {
        let settings = Settings { learning: Duration::ZERO, ..settings() };
        let mut learning = Learning::default();
        assert!(!learning.is_learning(&settings) && !learning.close(&settings, at(0), at(1)));
    }
}
