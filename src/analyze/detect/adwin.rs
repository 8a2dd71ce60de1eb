//! Adaptive windowing: the mean of a stream of numbers in [0, 1] over as long a past as it did not change.
//!
//! ADWIN2 (Bifet and Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007): an exponential histogram of
//! buckets; whenever the means of an older and a younger part differ by more than chance allows, the older part is
//! dropped. Memory is logarithmic in the length of the past.

use super::pack::{Packer, Unpacker};

/// Buckets of one size before two of them become one of the next size.
const PER_SIZE: usize = 4;
/// Sizes kept: the largest buckets hold 2¹² numbers.
const SIZES: usize = 13;
/// The probability to see a change where there is none.
const CONFIDENCE: f64 = 0.002;
/// Each part needs so many numbers before the two are compared.
const MIN_PART: f64 = 6.0;

/// Numbers taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bucket {
    sum: f32,
    squares: f32,
}

/// A change of the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// The mean before.
    pub before: f64,
    /// The mean since.
    pub after: f64,
}

/// The adaptive window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adwin {
    /// By size, smallest first; within a size the youngest first.
    sizes: Vec<Vec<Bucket>>,
}

/// Count, sum and sum of squares of some buckets.
#[derive(Clone, Copy, Default)]
struct Part {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Part {
    fn add(&mut self, bucket: Bucket, count: f64) {
        self.count += count;
        self.sum += f64::from(bucket.sum);
        self.squares += f64::from(bucket.squares);
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }
}

impl Adwin {
    /// Takes the next number; says whether the mean has changed.
    pub fn add(&mut self, value: f64) -> Option<Cut> {
        let value = value.clamp(0.0, 1.0) as f32;
        self.insert(0, Bucket { sum: value, squares: value * value });
        let mut first: Option<Cut> = None;
        while let Some(cut) = self.find_cut() {
            let before = first.map_or(cut.before, |first| first.before);
            first = Some(Cut { before, after: cut.after });
            self.drop_oldest();
        }
        first
    }

    /// Appends itself to a row.
    pub fn save(&self, row: &mut Packer) {
        row.number(self.sizes.len() as u64);
        for size in &self.sizes {
            row.number(size.len() as u64);
            for bucket in size {
                row.real(bucket.sum);
                row.real(bucket.squares);
            }
        }
    }

    /// Reads itself back.
    pub fn restore(row: &mut Unpacker<'_>) -> Option<Self> {
        let sizes = usize::try_from(row.number()?).ok()?.min(SIZES);
        let size = |row: &mut Unpacker<'_>| {
            let count = usize::try_from(row.number()?).ok()?.min(PER_SIZE + 1);
            (0..count).map(|_| Some(Bucket { sum: row.real()?, squares: row.real()? })).collect()
        };
        Some(Adwin { sizes: (0..sizes).map(|_| size(row)).collect::<Option<_>>()? })
    }

    fn insert(&mut self, size: usize, bucket: Bucket) {
        if self.sizes.len() <= size {
            self.sizes.push(Vec::new());
        }
        let Some(buckets) = self.sizes.get_mut(size) else { return };
        buckets.insert(0, bucket);
        if buckets.len() <= PER_SIZE {
            return;
        }
        let (oldest, older) = (buckets.pop().unwrap_or_default(), buckets.pop().unwrap_or_default());
        if size + 1 < SIZES {
            let both = Bucket { sum: oldest.sum + older.sum, squares: oldest.squares + older.squares };
            self.insert(size + 1, both);
        }
    }

    /// Looks at every border between buckets, oldest first.
    fn find_cut(&self) -> Option<Cut> {
        let total = self.total();
        if total.count < 2.0 * MIN_PART {
            return None;
        }
        let variance = (total.squares / total.count - total.mean() * total.mean()).max(0.0);
        let chance = (2.0 * total.count.ln() / CONFIDENCE).ln();
        let mut old = Part::default();
        for (bucket, count) in self.oldest_first() {
            old.add(bucket, count);
            let young = Part { count: total.count - old.count, sum: total.sum - old.sum, squares: 0.0 };
            if young.count < MIN_PART {
                return None;
            }
            if old.count < MIN_PART {
                continue;
            }
            let inverse = 1.0 / old.count + 1.0 / young.count;
            let bound = (2.0 * inverse * variance * chance).sqrt() + 2.0 / 3.0 * inverse * chance;
            if (old.mean() - young.mean()).abs() > bound {
                return Some(Cut { before: old.mean(), after: young.mean() });
            }
        }
        None
    }

    fn drop_oldest(&mut self) {
        if let Some(buckets) = self.sizes.last_mut() {
            buckets.pop();
        }
        while self.sizes.last().is_some_and(Vec::is_empty) {
            self.sizes.pop();
        }
    }

    fn oldest_first(&self) -> impl Iterator<Item = (Bucket, f64)> {
        let sizes = self.sizes.iter().enumerate().rev();
        sizes.flat_map(|(size, buckets)| {
            buckets.iter().rev().map(move |bucket| (*bucket, f64::from(1_u32 << size)))
        })
    }

    fn total(&self) -> Part {
        let mut total = Part::default();
        self.oldest_first().for_each(|(bucket, count)| total.add(bucket, count));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in [0, 1) from a seed (splitmix64).
    fn noise(seed: u64) -> impl Iterator<Item = f64> {
        let mut state = seed;
        std::iter::from_fn(move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            Some(((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64)
        })
    }

    #[test]
    fn a_step_is_seen_at_the_first_number_where_chance_no_longer_explains_it() {
        // 100 zeros, then k ones. At the border between them the bound is √(2 (1/100 + 1/k) σ² L) + ⅔ (1/100 + 1/k) L with
        // L = ln(2 ln(100 + k) / 0.002): 1.01 for k = 10, 0.96 for k = 11; the difference of the means is 1.
        let mut adwin = Adwin::default();
        (0..100).for_each(|_| assert_eq!(adwin.add(0.0), None));
        (1..=10).for_each(|k| assert_eq!(adwin.add(1.0), None, "{k}"));
        let cuts: Vec<_> = (11..=30).filter_map(|k| adwin.add(1.0).map(|cut| (k, cut))).collect();
        let (at, cut) = cuts[0];
        assert!((11..=13).contains(&at), "{cuts:?}");
        assert!(cut.before < 0.05 && cut.after > 0.5);
        (0..60).for_each(|_| _ = adwin.add(1.0));
        assert!(adwin.total().mean() > 0.95);
    }

    #[test]
    fn a_steady_stream_is_never_cut_and_takes_little_memory() {
        for seed in 0..5 {
            let mut adwin = Adwin::default();
            let cuts = noise(seed).take(5_000).filter(|value| adwin.add(*value).is_some()).count();
            assert_eq!(cuts, 0, "seed {seed}");
            assert!(
                adwin.total().count > 4_900.0
                    && adwin.sizes.iter().map(Vec::len).sum::<usize>() <= PER_SIZE * SIZES
            );
            assert!((adwin.total().mean() - 0.5).abs() < 0.02);
        }
    }

    #[test]
    fn a_restart_in_the_middle_changes_nothing() {
        let mut whole = Adwin::default();
        let mut halves = Adwin::default();
        for (at, value) in noise(7).take(2_000).enumerate() {
            let value = if at < 1_200 { value * 0.3 } else { 0.5 + value * 0.5 };
            assert_eq!(whole.add(value), halves.add(value));
            if at % 100 == 0 {
                let mut row = Packer::new(1);
                halves.save(&mut row);
                halves = Adwin::restore(&mut Unpacker::new(1, &row.finish()).unwrap()).unwrap();
            }
        }
        assert_eq!(whole, halves);
    }
}
