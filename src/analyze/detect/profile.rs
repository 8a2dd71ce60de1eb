//! The daily course: how many times the average each hour of the day brings.
//!
//! Seasonality of outbreak detection (Noufaily et al. 2013) in its simplest form: a multiplicative factor for each hour, learnt
//! from the hours themselves and drawn towards 1 while few days are known. The hours are those of UTC.

use super::pack::{Packer, Unpacker};
use crate::model::Timestamp;

const HOURS: usize = 24;
/// What one more day leaves of those before: a week's worth is remembered.
const FADING: f32 = 0.8;
/// Weight of an hour that was seen on two days: 0.8 + 1.
const KNOWN: f32 = 1.79;
/// Weight given to the average: a single odd hour does not make a habit.
const DOUBT: f64 = 0.5;
/// Factors stay within these: further out the counts are too few to divide by.
const RANGE: (f64, f64) = (0.2, 5.0);

/// A learnt daily course.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    sums: [f32; HOURS],
    weights: [f32; HOURS],
}

impl Default for Profile {
    fn default() -> Self {
        Profile { sums: [0.0; HOURS], weights: [0.0; HOURS] }
    }
}

impl Profile {
    /// Learns how many came in the hour that began at `hour` (hours since 1970).
    pub fn learn(&mut self, hour: i64, count: f64) {
        let at = usize::try_from(hour.rem_euclid(HOURS as i64)).unwrap_or(0);
        if let (Some(sum), Some(weight)) = (self.sums.get_mut(at), self.weights.get_mut(at)) {
            *sum = *sum * FADING + count as f32;
            *weight = *weight * FADING + 1.0;
        }
    }

    /// Whether every hour of the day was seen on two days.
    pub fn is_known(&self) -> bool {
        self.weights.iter().all(|weight| *weight >= KNOWN)
    }

    /// How many times the average is expected at this time; 1 until known. Between the middles of two hours the factor goes
    /// evenly from one to the other, so that nothing jumps at the full hour.
    pub fn factor(&self, at: Timestamp) -> f64 {
        if !self.is_known() {
            return 1.0;
        }
        let means = || self.sums.iter().zip(&self.weights).map(|(sum, weight)| f64::from(*sum / *weight));
        let average = means().sum::<f64>() / HOURS as f64;
        if average <= 0.0 {
            return 1.0;
        }
        let position = at.as_secs().rem_euclid(86_400) as f64 / 3_600.0 - 0.5;
        let (before, share) = (position.floor(), position - position.floor());
        let factor = |hour: f64| {
            let at = (hour.rem_euclid(HOURS as f64)) as usize;
            let (sum, weight) = (self.sums.get(at).copied(), self.weights.get(at).copied());
            let (sum, weight) = (f64::from(sum.unwrap_or(0.0)), f64::from(weight.unwrap_or(0.0)));
            (sum + DOUBT * average) / (weight + DOUBT) / average
        };
        (factor(before) * (1.0 - share) + factor(before + 1.0) * share).clamp(RANGE.0, RANGE.1)
    }

    /// Appends itself to a row.
    pub fn save(&self, row: &mut Packer) {
        self.sums.iter().chain(&self.weights).for_each(|value| row.real(*value));
    }

    /// Reads itself back.
    pub fn restore(row: &mut Unpacker<'_>) -> Option<Self> {
        let mut profile = Profile::default();
        for value in profile.sums.iter_mut().chain(&mut profile.weights) {
            *value = row.real()?;
        }
        Some(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two days with 300 lines an hour from 8 to 16 o'clock and 60 at other times.
    fn office(days: i64) -> Profile {
        let mut profile = Profile::default();
        for hour in 0..days * 24 {
            profile.learn(hour, if (8..16).contains(&(hour % 24)) { 300.0 } else { 60.0 });
        }
        profile
    }

    fn at(hour: i64, minute: i64) -> Timestamp {
        Timestamp::from_secs(1_000 * 86_400 + hour * 3_600 + minute * 60)
    }

    #[test]
    fn nothing_is_said_before_two_days_are_known() {
        assert!((office(1).factor(at(12, 30)) - 1.0).abs() < 1e-9);
        let mut nearly = office(1);
        (0..23).for_each(|hour| nearly.learn(hour, 60.0));
        assert!(!nearly.is_known());
    }

    #[test]
    fn the_factors_are_those_of_the_hours_drawn_a_little_towards_one() {
        // Average (8 × 300 + 16 × 60) / 24 = 140. At 12:30: (1.8 × 300 + 0.5 × 140) / 2.3 / 140.
        let profile = office(2);
        assert!((profile.factor(at(12, 30)) - 610.0 / 322.0).abs() < 1e-6);
        // At 3:30: (1.8 × 60 + 70) / 2.3 / 140; at 8:00 in the middle of both.
        assert!((profile.factor(at(3, 30)) - 178.0 / 322.0).abs() < 1e-6);
        assert!((profile.factor(at(8, 0)) - (610.0 + 178.0) / 644.0).abs() < 1e-6);
        assert!((profile.factor(at(0, 0)) - profile.factor(at(23, 45))).abs() < 1e-6);
    }

    #[test]
    fn factors_are_bounded_and_survive_a_restart() {
        let mut profile = Profile::default();
        (0..72).for_each(|hour| profile.learn(hour, if hour % 24 == 3 { 1e6 } else { 0.0 }));
        assert!(
            (profile.factor(at(3, 30)) - 5.0).abs() < 1e-9 && (profile.factor(at(12, 0)) - 0.2).abs() < 1e-9
        );
        let mut row = Packer::new(1);
        profile.save(&mut row);
        let row = row.finish();
        assert_eq!(Profile::restore(&mut Unpacker::new(1, &row).unwrap()), Some(profile));
    }
}
