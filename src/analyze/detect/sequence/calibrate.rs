//! Makes doubts comparable: how many normal sessions would look as doubtful?
//!
//! For each way to depart, the share of learnt sessions (each left out in its turn) with at least that doubt. What
//! never happens in orderly systems happens all the time in busy ones; the same doubt then means less. Order is trusted
//! less than presence and counts, because concurrent writers interleave as they like.

use super::{
    knowledge::{Doubts, Knowledge, WAYS, Way},
    shape::Shape,
};

/// How many times over a way's chance is counted; several ways are several chances to be wrong.
const CAUTION: [f64; WAYS] = [1.0, 1.0, 1.0, 4.0, 4.0];

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
            let chance = (self.of_way(steps, doubt.share) * caution).min(1.0);
            worst.weight -= chance.ln();
            if chance < worst.chance {
                (worst.chance, worst.way) = (chance, *way);
            }
        }
        worst
    }

    fn of_way(&self, steps: &[(f64, u64)], share: f64) -> f64 {
        // Shares are fractions of the same counts; a hair's breadth absorbs rounding.
        let up_to = steps.partition_point(|(step, _)| *step <= share * 1.000_1);
        let seen = up_to.checked_sub(1).and_then(|at| steps.get(at)).map_or(0, |(_, seen)| *seen);
        (seen as f64 + 0.5) / (self.total as f64 + 1.0)
    }
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

/// The chance below which a session is abnormal: the share of false alarms allowed, but never less than what so few
/// sessions can tell: with a hundred of them nothing is rarer than one in a hundred.
pub(super) fn cut(false_alarms: f64, sessions: u64) -> f64 {
    false_alarms.max(1.0 / (sessions as f64 + 1.0))
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
