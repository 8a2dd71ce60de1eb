//! Half-space trees: how crowded the place is where several numbers of one line meet.
//!
//! After Tan, Ting, Liu: "Fast Anomaly Detection for Streaming Data" (IJCAI 2011). Every tree halves a random box
//! around the data along random dimensions; a line is odd where all trees have held next to nothing so far. Mass is
//! counted in epochs: one epoch judges while the next is being counted. The trees follow from a seed alone.

use smallvec::SmallVec;

use super::codec::{Reader, Writer};

/// Numbers of a line that are looked at together.
pub(super) const MAX_DIMS: usize = 6;
const TREES: usize = 8;
const DEPTH: usize = 5;
/// Nodes of a tree, and those that are split.
const NODES: usize = (1 << (DEPTH + 1)) - 1;
const SPLITS: usize = (1 << DEPTH) - 1;
/// Lines of an epoch.
const EPOCH: u32 = 256;
/// A node that held fewer is not followed further down.
const FEW: u16 = 25;
/// Epochs before anything is odd.
const SETTLED: u32 = 4;
/// Lines learnt per window.
const MAX_SAMPLES: usize = 64;
/// Of an epoch the emptiest place but so many says how empty normal places are.
const LOWEST: usize = 3;
/// A line is odd where there was less than at the emptiest place of normal lines by so many powers of two.
const EMPTIER: f32 = 3.0;

/// Several numbers of one line.
pub(super) type Point = [f32; MAX_DIMS];

/// A position that is a dimension, with the range of its logarithms when the trees were made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dim {
    pub(super) slot: u16,
    pub(super) part: u8,
    pub(super) low: f32,
    pub(super) high: f32,
}

/// The joint model of one template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trees {
    seed: u64,
    pub(super) dims: SmallVec<[Dim; MAX_DIMS]>,
    splits: Vec<(u8, f32)>,
    /// Mass of the last epoch, and of the one being counted.
    mass: Vec<u16>,
    latest: Vec<u16>,
    counted: u32,
    epochs: u32,
    /// The crowd at the emptiest places of normal lines.
    floor: f32,
    /// The emptiest places of this epoch, the emptiest first.
    lowest: [f32; LOWEST],
    window: Vec<Point>,
}

impl Trees {
    pub(super) fn new(seed: u64, dims: SmallVec<[Dim; MAX_DIMS]>) -> Self {
        let splits = (0..TREES).flat_map(|tree| splits(seed, tree, dims.len())).collect();
        Trees {
            seed,
            dims,
            splits,
            mass: vec![0; TREES * NODES],
            latest: vec![0; TREES * NODES],
            counted: 0,
            epochs: 0,
            floor: f32::INFINITY,
            lowest: [f32::INFINITY; LOWEST],
            window: Vec::new(),
        }
    }

    /// Takes a line; says whether it stands where no line stood.
    pub(super) fn meet(&mut self, point: Point) -> bool {
        let point = self.placed(point);
        if self.window.len() < MAX_SAMPLES {
            self.window.push(point);
        }
        self.epochs >= SETTLED && self.crowd(&point) < self.floor - EMPTIER
    }

    /// Learns the window.
    pub(super) fn commit(&mut self) {
        let window = std::mem::take(&mut self.window);
        for point in &window {
            if self.epochs > 0 {
                let mut crowd = self.crowd(point);
                for lowest in &mut self.lowest {
                    (*lowest, crowd) = (lowest.min(crowd), lowest.max(crowd));
                }
            }
            self.count(point);
            if self.counted == EPOCH {
                self.turn();
            }
        }
        self.window = window;
        self.reset();
    }

    /// Forgets the window.
    pub(super) fn reset(&mut self) {
        self.window.clear();
    }

    /// The epoch that was counted judges from now on.
    fn turn(&mut self) {
        std::mem::swap(&mut self.mass, &mut self.latest);
        self.latest.fill(0);
        self.counted = 0;
        self.epochs = self.epochs.saturating_add(1);
        let lowest = self.lowest.last().copied().filter(|lowest| lowest.is_finite());
        if let Some(lowest) = lowest {
            // Slowly: one strange epoch must not blind the next.
            self.floor =
                if self.floor.is_finite() { self.floor + (lowest - self.floor) / 4.0 } else { lowest };
        }
        self.lowest = [f32::INFINITY; LOWEST];
    }

    /// The point with every dimension as its share of the range.
    fn placed(&self, point: Point) -> Point {
        let mut placed = [0.0; MAX_DIMS];
        for ((to, from), dim) in placed.iter_mut().zip(point).zip(&self.dims) {
            *to = ((from - dim.low) / (dim.high - dim.low).max(0.1)).clamp(-1.0, 2.0);
        }
        placed
    }

    /// How much mass the trees held around a point, deep nodes counting for the small space they are: the mean of the
    /// logarithms, where the paper adds up. One tree whose boxes happen to be wide there must not outvote the others.
    fn crowd(&self, point: &Point) -> f32 {
        let trees = self.splits.chunks_exact(SPLITS).zip(self.mass.chunks_exact(NODES));
        trees
            .map(|(splits, mass)| {
                let (mut node, mut depth) = (0, 0);
                loop {
                    let held = mass.get(node).copied().unwrap_or(0);
                    match splits.get(node).filter(|_| held >= FEW) {
                        Some(split) => (node, depth) = (child(node, split, point), depth + 1),
                        None => {
                            return (f32::from(held) * (1u32 << depth) as f32 + 1.0).log2() / TREES as f32;
                        }
                    }
                }
            })
            .sum()
    }

    fn count(&mut self, point: &Point) {
        let trees = self.splits.chunks_exact(SPLITS).zip(self.latest.chunks_exact_mut(NODES));
        for (splits, mass) in trees {
            let mut node = 0;
            while let Some(held) = mass.get_mut(node) {
                *held = held.saturating_add(1);
                let Some(split) = splits.get(node) else { break };
                node = child(node, split, point);
            }
        }
        self.counted += 1;
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Trees>() + TREES * (NODES * 4 + SPLITS * 8)
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.hash(self.seed);
        out.number(self.dims.len() as u64);
        for dim in &self.dims {
            out.number(u64::from(dim.slot));
            out.byte(dim.part);
            out.single(dim.low);
            out.single(dim.high);
        }
        out.number(u64::from(self.counted));
        out.number(u64::from(self.epochs));
        out.single(self.floor);
        self.lowest.iter().for_each(|lowest| out.single(*lowest));
        self.mass.iter().chain(&self.latest).for_each(|held| out.number(u64::from(*held)));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Trees> {
        let seed = from.hash()?;
        let count = from.count().filter(|count| (1..=MAX_DIMS).contains(count))?;
        let mut dims = SmallVec::new();
        for _ in 0..count {
            let (slot, part) = (from.small()?, from.byte()?);
            dims.push(Dim { slot, part, low: from.single()?, high: from.single()? });
        }
        let mut trees = Trees::new(seed, dims);
        trees.counted = from.small()?;
        trees.epochs = from.small()?;
        trees.floor = from.single()?;
        for lowest in &mut trees.lowest {
            *lowest = from.single()?;
        }
        for held in trees.mass.iter_mut().chain(&mut trees.latest) {
            *held = from.small()?;
        }
        Some(trees)
    }
}

fn child(node: usize, (dim, at): &(u8, f32), point: &Point) -> usize {
    let value = point.get(usize::from(*dim)).copied().unwrap_or(0.0);
    2 * node + 1 + usize::from(value >= *at)
}

/// The dimension and place of every split of a tree, in the order of its nodes.
fn splits(seed: u64, tree: usize, dims: usize) -> Vec<(u8, f32)> {
    let mut random = Random(seed ^ (tree as u64 + 1).wrapping_mul(0xA076_1D64_78BD_642F));
    // A box around the data, off its middle by chance, as the paper sets it.
    let mut around = [(0.0f32, 1.0f32); MAX_DIMS];
    for side in &mut around {
        let middle = random.unit();
        let reach = 2.0 * middle.max(1.0 - middle);
        *side = (middle - reach, middle + reach);
    }
    let mut boxes = vec![around];
    let mut found = Vec::with_capacity(SPLITS);
    for node in 0..SPLITS {
        let Some(around) = boxes.get(node).copied() else { break };
        let dim = (random.next() % dims.max(1) as u64) as usize;
        let (low, high) = around.get(dim).copied().unwrap_or((0.0, 1.0));
        let middle = (low + high) / 2.0;
        found.push((dim as u8, middle));
        for half in [(low, middle), (middle, high)] {
            let mut around = around;
            if let Some(side) = around.get_mut(dim) {
                *side = half;
            }
            boxes.push(around);
        }
    }
    found
}

/// SplitMix64: the same numbers for the same seed on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Trees {
        let dim = |slot| Dim { slot, part: 0, low: 0.0, high: 1.0 };
        Trees::new(7, [dim(0), dim(1)].into_iter().collect())
    }

    /// Two numbers that go together: both small or both large.
    fn learn(trees: &mut Trees, random: &mut Random) {
        for _ in 0..64 {
            let base = if random.unit() < 0.5 { 0.05 } else { 0.85 };
            trees.meet([base + random.unit() / 10.0, base + random.unit() / 10.0, 0.0, 0.0, 0.0, 0.0]);
        }
        trees.commit();
    }

    #[test]
    fn numbers_that_never_met_are_odd_though_each_is_usual() {
        let (mut trees, mut random) = (model(), Random(1));
        (0..40).for_each(|_| learn(&mut trees, &mut random));
        assert!(trees.meet([0.1, 0.9, 0.0, 0.0, 0.0, 0.0]));
        assert!(trees.meet([0.9, 0.1, 0.0, 0.0, 0.0, 0.0]));
        for _ in 0..1_000 {
            let base = if random.unit() < 0.5 { 0.05 } else { 0.85 };
            assert!(!trees.meet([
                base + random.unit() / 10.0,
                base + random.unit() / 10.0,
                0.0,
                0.0,
                0.0,
                0.0
            ]));
        }
    }

    #[test]
    fn nothing_is_odd_before_four_epochs() {
        let (mut trees, mut random) = (model(), Random(1));
        (0..15).for_each(|_| learn(&mut trees, &mut random));
        assert!(!trees.meet([0.1, 0.9, 0.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn trees_are_read_back_as_they_were() {
        let (mut trees, mut random) = (model(), Random(3));
        (0..9).for_each(|_| learn(&mut trees, &mut random));
        let mut out = Writer::default();
        trees.write(&mut out);
        assert_eq!(Trees::read(&mut Reader(&out.0)), Some(trees));
    }
}
