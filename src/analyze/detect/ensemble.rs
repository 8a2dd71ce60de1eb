//! How sure several detectors are together.
//!
//! Every score is calibrated: `1 − p^(1/10)` of the probability that normal operation brings what was seen (`tail::score`), so
//! that 0.8 is 10⁻⁷ and 0.5 is 10⁻³; detectors without a distribution place their scores on that scale. They are combined by
//! a weighted noisy-or, `1 − Π (1 − sᵢ)^(wᵢ / max w)`. As `1 − sᵢ` is a root of a probability, this is the weighted product
//! of Fisher's method (Good, "On the weighted combination of significance levels", JRSS B 1955): several weak hints add
//! up; one detector that is sure speaks alone, for no average can talk it down. With the default weights 0.4 / 0.3 / 0.3, two scores of 0.7 from the frequency
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
    fn three_that_say_one_in_a_thousand_are_believed_and_two_are_not() {
        // 1 − 0.5^(1 + 0.75 + 0.75) and 1 − 0.5^1.75
        assert!((of(&[("frequency", 0.5), ("parameter", 0.5), ("sequence", 0.5)]) - 0.823_223).abs() < 1e-6);
        assert!((of(&[("frequency", 0.5), ("parameter", 0.5)]) - 0.702_698).abs() < 1e-6);
    }

    #[test]
    fn one_detector_is_heard_once() {
        assert!((of(&[("frequency", 0.6), ("frequency", 0.6), ("frequency", 0.5)]) - 0.6).abs() < 1e-9);
        assert!(of(&[]).abs() < 1e-9);
    }
}
