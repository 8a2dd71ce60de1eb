//! How many is usual: a count per span that is learnt, forgets slowly, and says how odd another count would be.
//!
//! A gamma-Poisson mixture (negative binomial) fitted by the method of moments, as outbreak detection does for reports of
//! illness (Farrington, Andrews, Beale, Catchpole 1996; Noufaily et al., "An improved algorithm for outbreak detection in
//! multiple surveillance systems", Statistics in Medicine 2013): over-dispersion is expected, and counts that alarmed are
//! learnt only as far as they were credible, so that an attack does not become normal at once.

use super::{
    pack::{Packer, Unpacker},
    tail,
};

/// Before this many spans are known the dispersion is mostly assumed, not measured.
const PRIOR_SPANS: f64 = 5.0;
/// The assumed dispersion: what is rare comes in bursts (a package update writes one line a month, then sixty).
const PRIOR_DISPERSION: f64 = 4.0;
/// Even steady traffic is never trusted to be pure Poisson.
const MIN_DISPERSION: f64 = 0.02;
/// The largest count is forgotten this many times slower than the mean.
const PEAK_MEMORY: f64 = 20.0;
/// A credible count is at most so many standard deviations above the mean.
const CREDIBLE: f64 = 3.0;

/// The learnt count of one thing per span of equal length. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Spans learnt, at most the memory.
    weight: f32,
    mean: f32,
    variance: f32,
    /// The largest count, slowly fading.
    peak: f32,
}

/// What is expected of one span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The mean.
    pub mean: f64,
    /// Variance = mean + dispersion × mean².
    pub dispersion: f64,
    /// The largest count so far.
    pub peak: f64,
}

impl Rate {
    /// Learns a count; `memory` is the number of spans after which half is forgotten, more or less.
    pub fn learn(&mut self, count: f64, memory: f32) {
        self.weight = (self.weight + 1.0).min(memory);
        let share = 1.0 / self.weight;
        let difference = count as f32 - self.mean;
        self.mean += share * difference;
        self.variance = (1.0 - share) * (self.variance + share * difference * difference);
        let fading = (1.0 - std::f64::consts::LN_2 / (PEAK_MEMORY * f64::from(memory))) as f32;
        self.peak = (self.peak * fading).max(count as f32);
    }

    /// Learns `spans` spans without any.
    pub fn learn_absence(&mut self, spans: u32, memory: f32) {
        for _ in 0..spans.min(memory as u32) {
            self.learn(0.0, memory);
        }
    }

    /// Takes over another: both counted what is now one thing.
    pub fn absorb(&mut self, other: &Rate) {
        self.weight = self.weight.max(other.weight);
        self.mean += other.mean;
        self.variance += other.variance;
        self.peak += other.peak;
    }

    /// As much of a count as is credible: what a rate may learn from a span that alarmed.
    pub fn credible(&self, count: f64) -> f64 {
        let deviation = f64::from(self.variance).max(f64::from(self.mean)).sqrt();
        count.min(f64::from(self.mean) + CREDIBLE * deviation + 1.0)
    }

    /// Spans learnt, as far as they are remembered.
    pub fn weight(&self) -> f64 {
        f64::from(self.weight)
    }

    /// The mean count.
    pub fn mean(&self) -> f64 {
        f64::from(self.mean)
    }

    /// The standard deviation.
    pub fn deviation(&self) -> f64 {
        f64::from(self.variance).max(0.0).sqrt()
    }

    /// What is expected when everything is `factor` times as much as on average.
    pub fn expect(&self, factor: f64) -> Expected {
        let (mean, variance) = (f64::from(self.mean), f64::from(self.variance));
        let measured = if mean > 0.0 { ((variance - mean) / (mean * mean)).max(0.0) } else { 0.0 };
        let known = self.weight() / (self.weight() + PRIOR_SPANS);
        Expected {
            mean: (mean * factor).max(0.01),
            dispersion: (known * measured + (1.0 - known) * PRIOR_DISPERSION).max(MIN_DISPERSION),
            peak: f64::from(self.peak) * factor,
        }
    }

    /// Appends itself to a row.
    pub fn save(&self, row: &mut Packer) {
        for value in [self.weight, self.mean, self.variance, self.peak] {
            row.real(value);
        }
    }

    /// Reads itself back.
    pub fn restore(row: &mut Unpacker<'_>) -> Option<Self> {
        Some(Rate { weight: row.real()?, mean: row.real()?, variance: row.real()?, peak: row.real()? })
    }
}

impl Expected {
    /// The probability of so many or more.
    pub fn at_least(&self, count: u64) -> f64 {
        tail::at_least(count, self.mean, self.dispersion)
    }

    /// The probability of so many or fewer.
    pub fn at_most(&self, count: u64) -> f64 {
        tail::at_most(count, self.mean, self.dispersion)
    }

    /// The usual range: two standard deviations around the mean.
    pub fn range(&self) -> (u64, u64) {
        let deviation = (self.mean + self.dispersion * self.mean * self.mean).sqrt();
        let low = (self.mean - 2.0 * deviation).max(0.0).floor();
        (low as u64, (self.mean + 2.0 * deviation).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(counts: &[f64]) -> Rate {
        let mut rate = Rate::default();
        counts.iter().for_each(|count| rate.learn(*count, 1_000.0));
        rate
    }

    #[test]
    fn mean_and_variance_are_those_of_the_counts() {
        // 2, 4, 6, 8: mean 5, variance (9 + 1 + 1 + 9) / 4 = 5.
        let rate = learnt(&[2.0, 4.0, 6.0, 8.0]);
        assert!((rate.mean() - 5.0).abs() < 1e-5 && (f64::from(rate.variance) - 5.0).abs() < 1e-5);
        assert!((f64::from(rate.peak) - 8.0).abs() < 1e-2);
        // Variance equals mean: nothing measured; 4 of 9 parts known: 5/9 of the assumed dispersion.
        assert!((rate.expect(1.0).dispersion - 4.0 * 5.0 / 9.0).abs() < 1e-5);
    }

    #[test]
    fn bursty_counts_are_expected_to_burst_again() {
        // 0 or 20, evenly: mean 10, variance 100, dispersion (100 − 10) / 100 = 0.9.
        let counts: Vec<f64> = (0..1_000).map(|n| f64::from(n % 2) * 20.0).collect();
        let expected = learnt(&counts).expect(1.0);
        assert!((expected.mean - 10.0).abs() < 0.01 && (expected.dispersion - 0.9).abs() < 0.02);
        assert!(expected.at_least(40) > 1e-2, "as before, only four times as much");
        let steady = learnt(&[10.0; 1_000]).expect(1.0);
        assert!((steady.dispersion - MIN_DISPERSION).abs() < 1e-6);
        assert!(steady.at_least(40) < 1e-7);
    }

    #[test]
    fn what_is_not_credible_moves_the_rate_only_a_little() {
        let mut rate = learnt(&[10.0; 1_000]);
        let credible = rate.credible(10_000.0);
        // Variance 0 counts as Poisson: 10 + 3 √10 + 1.
        assert!((credible - 20.486_83).abs() < 1e-3, "{credible}");
        rate.learn(credible, 1_000.0);
        assert!(rate.mean() < 10.02);
        assert!((rate.credible(3.0) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_row_brings_back_the_same_rate() {
        let rate = learnt(&[1.0, 7.0, 3.3]);
        let mut row = Packer::new(1);
        rate.save(&mut row);
        let row = row.finish();
        assert_eq!(row.len(), 17);
        assert_eq!(Rate::restore(&mut Unpacker::new(1, &row).unwrap()), Some(rate));
    }
}
