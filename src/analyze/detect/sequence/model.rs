//! The courses learnt of one kind of session, and the knowledge made of them.
//!
//! Knowledge is made anew at moments only (`refresh`), from what was learnt by then; what is learnt in between waits.
//! So courses and their two weights are all that has to be written down, and a restart knows exactly the same.

use rustc_hash::FxHashMap;

use super::{
    Settings, Templates,
    calibrate::{Calibration, Chance},
    knowledge::{Doubts, Knowledge, Way},
    shape::Shape,
};

/// A course with how often it was seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Learnt {
    pub shape: Shape,
    /// Sessions of this course.
    pub weight: u64,
    /// As many of them are in the knowledge.
    pub settled: u64,
    /// Number, among the learnt sessions, of the last one.
    pub stamp: u64,
    /// Whether it changed since it was written, and whether it was ever written.
    pub is_dirty: bool,
    pub is_written: bool,
}

impl Learnt {
    pub fn new(shape: Shape) -> Self {
        Learnt { shape, weight: 0, settled: 0, stamp: 0, is_dirty: false, is_written: false }
    }
}

/// The courses of one kind.
#[derive(Default)]
pub(super) struct Model {
    shapes: FxHashMap<u64, Learnt>,
    /// Sessions learnt since the beginning.
    pub clock: u64,
    weight: u64,
    /// Written courses that are no longer there.
    gone: Vec<u64>,
    pub knowledge: Knowledge,
    calibration: Calibration,
}

/// Knowledge is renewed when there is an eighth more than it was made of, and this many sessions.
const RENEW_SHARE: u64 = 8;
const RENEW_MIN: u64 = 16;
/// With so many sessions for each course there is room for, older ones begin to count less.
const WEIGHT_PER_SHAPE: u64 = 8;

impl Model {
    /// Learns the course of a session.
    pub fn learn(&mut self, shape: Shape) {
        let hash = shape.hash();
        self.clock += 1;
        self.weight += 1;
        let learnt = self.shapes.entry(hash).or_insert_with(|| Learnt::new(shape));
        learnt.weight += 1;
        learnt.stamp = self.clock;
        learnt.is_dirty = true;
    }

    /// Whether there is enough new to make knowledge anew.
    pub fn is_due(&self, settings: &Settings) -> bool {
        let new = self.weight.saturating_sub(self.knowledge.total);
        let is_over = self.shapes.len() > settings.max_shapes + settings.max_shapes / 8;
        is_over || new >= RENEW_MIN + self.knowledge.total / RENEW_SHARE
    }

    /// Makes knowledge of everything learnt; forgets what is beyond the limits.
    pub fn refresh(&mut self, settings: &Settings, templates: &dyn Templates) {
        self.resolve(templates);
        if self.weight > WEIGHT_PER_SHAPE.saturating_mul(settings.max_shapes as u64) {
            self.fade();
        }
        self.evict(settings.max_shapes);
        for learnt in self.shapes.values_mut().filter(|learnt| learnt.settled != learnt.weight) {
            learnt.settled = learnt.weight;
            learnt.is_dirty = true;
        }
        self.settle();
    }

    /// What the knowledge says of a session that is not part of it.
    pub fn chance(&self, doubts: &Doubts) -> Chance {
        self.calibration.chance(doubts)
    }

    /// Doubts of a session that is not among the learnt ones. What came exactly so before is not doubted for what it
    /// consists of, only for its order.
    pub fn doubts(&self, shape: &Shape) -> Doubts {
        let mut doubts = self.knowledge.doubts(shape, 0);
        if self.knowledge.vector(shape) > 0 {
            for way in [Way::Rarity, Way::Rule, Way::Count] {
                if let Some(doubt) = doubts.get_mut(way as usize) {
                    doubt.share = 1.0;
                    doubt.reason = None;
                }
            }
        }
        doubts
    }

    /// Memory it takes, without the knowledge made of it.
    pub fn bytes(&self) -> usize {
        self.shapes.values().map(|learnt| size_of::<Learnt>() + learnt.shape.bytes() + 16).sum()
    }

    /// Calls `write` for every course changed since the last call, with `None` for those gone; in a fixed order.
    pub fn changes(&mut self, write: &mut dyn FnMut(u64, Option<&Learnt>)) {
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_unstable();
        gone.iter().filter(|hash| !self.shapes.contains_key(hash)).for_each(|hash| write(*hash, None));
        let mut dirty: Vec<u64> =
            self.shapes.iter().filter(|(_, learnt)| learnt.is_dirty).map(|(hash, _)| *hash).collect();
        dirty.sort_unstable();
        for hash in dirty {
            let Some(learnt) = self.shapes.get_mut(&hash) else { continue };
            (learnt.is_dirty, learnt.is_written) = (false, true);
            write(hash, Some(learnt));
        }
    }

    /// Takes back a course; `settle` makes the knowledge when all are there.
    pub fn restore(&mut self, hash: u64, learnt: Learnt) {
        self.weight += learnt.weight;
        self.clock = self.clock.max(learnt.stamp);
        self.shapes.insert(hash, learnt);
    }

    /// Makes the knowledge of what is settled.
    pub fn settle(&mut self) {
        let settled = || {
            let all = self.shapes.values().map(|learnt| (&learnt.shape, learnt.settled));
            all.filter(|(_, weight)| *weight > 0)
        };
        self.knowledge = Knowledge::new(settled());
        self.calibration = Calibration::new(&self.knowledge, settled());
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        for (hash, learnt) in std::mem::take(&mut self.shapes) {
            self.bury(hash, &learnt);
        }
        self.weight = 0;
        self.knowledge = Knowledge::default();
        self.calibration = Calibration::default();
    }

    fn resolve(&mut self, templates: &dyn Templates) {
        let mut changed: Vec<(u64, Shape)> = self
            .shapes
            .iter()
            .filter_map(|(hash, learnt)| Some((*hash, learnt.shape.resolved(templates)?)))
            .collect();
        changed.sort_unstable_by_key(|(hash, _)| *hash);
        for (old, shape) in changed {
            let Some(was) = self.shapes.remove(&old) else { continue };
            self.bury(old, &was);
            let into = self.shapes.entry(shape.hash()).or_insert_with(|| Learnt::new(shape));
            into.weight += was.weight;
            into.stamp = into.stamp.max(was.stamp);
            into.is_dirty = true;
        }
    }

    /// Halves the weights, rounding up: what is frequent stays, the rare ages until it is evicted.
    fn fade(&mut self) {
        self.weight = 0;
        for learnt in self.shapes.values_mut() {
            learnt.weight = learnt.weight.div_ceil(2);
            learnt.is_dirty = true;
            self.weight += learnt.weight;
        }
    }

    /// Drops the least frequent courses, of those the ones not seen for longest.
    fn evict(&mut self, max: usize) {
        let Some(excess) = self.shapes.len().checked_sub(max).filter(|excess| *excess > 0) else { return };
        let mut order: Vec<(u64, u64, u64)> =
            self.shapes.iter().map(|(hash, learnt)| (learnt.weight, learnt.stamp, *hash)).collect();
        order.sort_unstable();
        for (weight, _, hash) in order.into_iter().take(excess) {
            self.weight = self.weight.saturating_sub(weight);
            if let Some(learnt) = self.shapes.remove(&hash) {
                self.bury(hash, &learnt);
            }
        }
    }

    fn bury(&mut self, hash: u64, learnt: &Learnt) {
        if learnt.is_written {
            self.gone.push(hash);
        }
    }
}
