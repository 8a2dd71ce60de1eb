//! Judges many ended sessions at once, with nothing known beforehand but themselves.
//!
//! Most sessions are normal, so all together show what normal is; but abnormal ones of one cause look alike and make
//! each other look known. They are first set aside: sorted by how rare the rarest thing in them is, there is a gap
//! between what a few sessions do and what many do. The widest gap decides, not a fixed share. Then the rest is what
//! is learnt from, and every session is judged by it. Sessions out of order are set aside only where nearly all keep
//! the order: elsewhere it says nothing.

use super::{
    Settings,
    calibrate::{Calibration, Chance, cut},
    knowledge::{Doubts, Knowledge, Way},
    shape::Shape,
};

/// More than this share of sessions is a habit, not an exception.
const MAX_SHARE: f64 = 0.05;
/// Where more than this share of sessions breaks an order, it is none.
const DISORDER: f64 = 0.01;
/// A gap is wide when what comes above it is so many times as frequent.
const MIN_GAP: f64 = 2.0;
/// Setting aside and learning again is repeated until nothing changes, or so often.
const ROUNDS: usize = 4;

/// What is thought of each course, and of how many sessions it was learnt.
pub(super) struct Judged {
    pub chances: Vec<(Chance, Doubts)>,
    pub knowledge: Knowledge,
}

/// Judges courses (with how many sessions have each) by all of them.
pub(super) fn judge(shapes: &[(&Shape, u64)], settings: &Settings) -> Judged {
    let all = Knowledge::new(shapes.iter().copied());
    let doubts: Vec<Doubts> = shapes.iter().map(|(shape, _)| all.doubts(shape, 1)).collect();
    let gap = gap(&doubts, shapes, settings.false_alarms);
    let breaks_order = |doubts: &Doubts| of(doubts, Way::Order) < 1.0;
    let out_of_order: u64 = doubts
        .iter()
        .zip(shapes)
        .filter(|(doubts, _)| breaks_order(doubts))
        .map(|(_, (_, weight))| weight)
        .sum();
    let is_orderly = out_of_order as f64 <= DISORDER * all.total as f64;
    let is_aside = |doubts: &Doubts| rarest(doubts) <= gap || (is_orderly && breaks_order(doubts));
    let mut is_normal: Vec<bool> = doubts.iter().map(|doubts| !is_aside(doubts)).collect();
    let mut judged = by_normal(shapes, &is_normal);
    for _ in 1..ROUNDS {
        let limit = cut(settings.false_alarms, judged.knowledge.total);
        let next: Vec<bool> = judged.chances.iter().map(|(chance, _)| chance.chance > limit).collect();
        if next == is_normal {
            break;
        }
        is_normal = next;
        judged = by_normal(shapes, &is_normal);
    }
    judged
}

fn by_normal(shapes: &[(&Shape, u64)], is_normal: &[bool]) -> Judged {
    let normal =
        || shapes.iter().zip(is_normal).filter(|(_, is_normal)| **is_normal).map(|(shape, _)| *shape);
    let knowledge = Knowledge::new(normal());
    let calibration = Calibration::new(&knowledge, normal());
    let chances = shapes.iter().zip(is_normal).map(|((shape, _), is_normal)| {
        let doubts = knowledge.doubts(shape, u64::from(*is_normal));
        (calibration.chance(&doubts), doubts)
    });
    Judged { chances: chances.collect(), knowledge }
}

/// How rare the rarest thing is that a session has or lacks.
fn rarest(doubts: &Doubts) -> f64 {
    of(doubts, Way::Rarity).min(of(doubts, Way::Rule))
}

fn of(doubts: &Doubts, way: Way) -> f64 {
    doubts.get(way as usize).map_or(1.0, |doubt| doubt.share)
}

/// The middle of the widest gap between shares, among those of few sessions; 0 when none is wide.
fn gap(doubts: &[Doubts], shapes: &[(&Shape, u64)], smoothing: f64) -> f64 {
    let mut sorted: Vec<(f64, u64)> =
        doubts.iter().zip(shapes).map(|(doubts, (_, weight))| (rarest(doubts), *weight)).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: u64 = sorted.iter().map(|(_, weight)| weight).sum();
    let (mut below, mut widest, mut middle) = (0, MIN_GAP, 0.0);
    for (low, high) in sorted.iter().zip(sorted.iter().skip(1)) {
        below += low.1;
        if below as f64 > MAX_SHARE * total as f64 {
            break;
        }
        // Without smoothing, one session more or less would make the widest gap among the rarest.
        let ratio = (high.0 + smoothing) / (low.0 + smoothing);
        if ratio > widest {
            (widest, middle) = (ratio, (low.0 * high.0).sqrt());
        }
    }
    middle
}
