//! Makes doubts comparable: how many normal sessions would look as doubtful?
//!
//! For each way to depart, the share of learnt sessions (each left out in its turn) with at least that doubt. What
//! never happens in orderly systems happens all the time in busy ones; the same doubt then means less. Order is trusted
//! much less than presence and counts, because concurrent writers interleave as they like.

use super::{
    knowledge::{Doubts, Knowledge, WAYS, Way},
    shape::Shape,
};

/// How many times over a learnt session counts that departs in a way: order speaks only where it is nearly never broken.
const CAUTION: [f64; WAYS] = [1.0, 1.0, 1.0, 20.0, 20.0];

/// How doubtful normal sessions are.
#[derive(Clone, Debug, Default)]
pub(super) struct Calibration {
    total: u64,
    /// For each way: shares in ascending order, each with the weight of sessions up to it.
    steps: [Vec<(f64, u64)>; WAYS],
}

/// The chance of a normal session being so doubtful, and the way in which it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chance {
    pub chance: f64,
    pub way: Way,
    /// The chances of all ways together: tells apart sessions of equal chance.
    pub weight: f64,
}

impl Calibration {
    /// Measures the sessions knowledge was made of.
    pub fn new<'s>(knowledge: &Knowledge, shapes: impl Iterator<Item = (&'s Shape, u64)>) -> Self {
        let mut seen: [Vec<(f64, u64)>; WAYS] = Default::default();
        let mut total = 0;
        for (shape, weight) in shapes {
            total += weight;
            for (doubt, seen) in knowledge.doubts(shape, 1).iter().zip(&mut seen) {
                seen.push((doubt.share, weight));
            }
        }
        Calibration { total, steps: seen.map(cumulated) }
    }

    /// How likely a normal session is that doubtful.
    pub fn chance(&self, doubts: &Doubts) -> Chance {
        let mut worst = Chance { chance: 1.0, way: Way::Rarity, weight: 0.0 };
        for (way, (doubt, (steps, caution))) in
            Way::ALL.iter().zip(doubts.iter().zip(self.steps.iter().zip(CAUTION)))
        {
            let seen = seen(steps, doubt.share) as f64;
            let chance = ((seen * caution + 0.5) / (self.total as f64 + 1.0)).min(1.0);
            worst.weight -= chance.ln();
            if chance < worst.chance {
                (worst.chance, worst.way) = (chance, *way);
            }
        }
        worst
    }
}

/// The weight of sessions with this share or a smaller one.
fn seen(steps: &[(f64, u64)], share: f64) -> u64 {
    let up_to = steps.partition_point(|(step, _)| *step <= share);
    up_to.checked_sub(1).and_then(|at| steps.get(at)).map_or(0, |(_, seen)| *seen)
}

/// Sorts and adds up; equal shares become one step.
fn cumulated(mut seen: Vec<(f64, u64)>) -> Vec<(f64, u64)> {
    seen.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut steps: Vec<(f64, u64)> = Vec::new();
    let mut sum = 0;
    for (share, weight) in seen {
        sum += weight;
        match steps.last_mut() {
            Some(last) if last.0 >= share => last.1 = sum,
            _ => steps.push((share, sum)),
        }
    }
    steps
}

/// The chance up to which a session is abnormal: the share of false alarms allowed, and one session more: with a hundred
/// of them nothing can be told to be rarer than one in a hundred.
pub(super) fn cut(false_alarms: f64, sessions: u64) -> f64 {
    false_alarms + 1.0 / (sessions as f64 + 1.0)
}

/// The score of a chance: `threshold` at the cut, 0 for what is sure to happen, towards 1 the more doubts there are.
pub(super) fn score(chance: Chance, cut: f64, threshold: f64) -> f64 {
    /// Doubt (in natural logarithms) beyond the cut at which two thirds of the way to 1 are made.
    const SPAN: f64 = 8.0;
    if chance.chance > cut {
        return (threshold * 0.999 * chance.chance.ln() / cut.ln()).clamp(0.0, 1.0);
    }
    let beyond = (chance.weight + cut.ln()).max(0.0);
    threshold + (1.0 - threshold) * (1.0 - (-beyond / SPAN).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::detect::sequence::knowledge::Doubt;

    fn doubts(rarity: f64, order: f64) -> Doubts {
        [rarity, 1.0, 1.0, order, 1.0].map(|share| Doubt { share, reason: None })
    }

    fn calibration() -> Calibration {
        let always = || vec![(1.0, 99)];
        let rarity = cumulated(vec![(1.0, 90), (0.1, 8), (0.02, 1)]);
        let order = cumulated(vec![(1.0, 98), (0.01, 1)]);
        Calibration { total: 99, steps: [rarity, always(), always(), order, always()] }
    }

    #[track_caller]
    fn check(doubts: &Doubts, chance: f64, way: Way) {
        let worst = calibration().chance(doubts);
        assert!((worst.chance - chance).abs() < 1e-9, "{worst:?}");
        assert_eq!(worst.way, way);
    }

    #[test]
    fn a_chance_is_the_share_of_sessions_as_doubtful() {
        // Of 99 sessions 9 are at most 0.1: (9 + ½) / 100. None is at most 0.001: ½ / 100.
        check(&doubts(0.1, 1.0), 0.095, Way::Rarity);
        check(&doubts(0.001, 1.0), 0.005, Way::Rarity);
    }

    #[test]
    fn order_counts_twentyfold_where_it_was_ever_broken() {
        check(&doubts(0.02, 0.01), 0.015, Way::Rarity);
        check(&doubts(1.0, 0.01), 0.205, Way::Order);
        check(&doubts(1.0, 0.001), 0.005, Way::Order);
    }

    #[test]
    fn the_cut_cannot_be_finer_than_the_sessions_allow() {
        assert!((cut(0.004, 999_999) - 0.004_001).abs() < 1e-12);
        assert!((cut(0.004, 49) - 0.024).abs() < 1e-12);
    }

    #[test]
    fn scores_meet_at_the_threshold_and_stay_within_bounds() {
        let of = |chance: f64, weight: f64| score(Chance { chance, way: Way::Rule, weight }, 0.004, 0.8);
        assert!(of(1.0, 0.0).abs() < 1e-9);
        assert!(of(0.05, 3.0) < 0.5 && of(0.004_1, 6.0) < 0.8);
        assert!((of(0.004, -(0.004f64.ln())) - 0.8).abs() < 1e-9);
        assert!(of(0.000_1, 40.0) > of(0.000_1, 12.0) && of(1e-9, 1e6) <= 1.0);
    }
}
