//! How sure several detectors are together.
//!
//! A weighted noisy-or: `1 − Π (1 − sᵢ)^(wᵢ / max w)`. Several weak hints add up; one detector that is sure speaks
//! alone, for no average can talk it down. With the default weights 0.4 / 0.3 / 0.3, two scores of 0.7 from the frequency
//! and the parameter detector make `1 − 0.3 · 0.3^0.75 ≈ 0.88`.

use super::Settings;

/// The common score, in [0, 1]. Of one detector's scores only the highest counts.
pub fn combine(settings: &Settings, scores: &[(&str, f64)]) -> f64 {
    let heaviest = settings.weights.values().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut doubt = 1.0;
    for (at, (detector, score)) in scores.iter().enumerate() {
        let is_best = scores.iter().enumerate().all(|(other, (name, value))| {
            name != detector || value < score || (value.total_cmp(score).is_eq() && at <= other)
        });
        if is_best {
            let weight = settings.weights.get(*detector).copied().unwrap_or(heaviest);
            doubt *= (1.0 - score.clamp(0.0, 1.0)).powf(weight / heaviest);
        }
    }
    1.0 - doubt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scores: &[(&str, f64)]) -> f64 {
        combine(&Settings::default(), scores)
    }

    #[test]
    fn hints_add_up_and_one_that_is_sure_speaks_alone() {
        assert!((of(&[("frequency", 0.8)]) - 0.8).abs() < 1e-9);
        // 1 - 0.3 * 0.3^0.75 = 1 - 0.3 * 0.40536
        assert!((of(&[("frequency", 0.7), ("parameter", 0.7)]) - 0.878_392).abs() < 1e-5);
        // 1 - 0.05^0.75 = 1 - 0.10574
        assert!((of(&[("sequence", 0.95)]) - 0.894_26).abs() < 1e-4);
        assert!(of(&[("frequency", 0.1), ("sequence", 0.95)]) > of(&[("sequence", 0.95)]));
    }

    #[test]
    fn one_detector_is_heard_once() {
        assert!((of(&[("frequency", 0.6), ("frequency", 0.6), ("frequency", 0.5)]) - 0.6).abs() < 1e-9);
        assert!(of(&[]).abs() < 1e-9);
    }
}
