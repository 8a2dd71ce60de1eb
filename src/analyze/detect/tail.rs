//! Tail probabilities of counts and waiting times, and the score they become.
//!
//! Pure functions. The incomplete gamma and beta functions are evaluated by series and continued fractions (Abramowitz
//! and Stegun, "Handbook of Mathematical Functions", 6.5 and 26.5), which stay exact in relative terms far out in a tail,
//! where a difference from 1 would be all rounding.

/// Most terms of a series or fraction; enough for counts of millions.
const MAX_TERMS: u32 = 4_000;
/// Terms smaller than this part of the sum change nothing.
const ENOUGH: f64 = 1e-14;
/// Keeps a denominator of a continued fraction away from zero.
const TINY: f64 = 1e-300;

/// The score of a tail probability: `1 − p^(1/10)`.
///
/// The usual threshold of 0.8 is a probability of 0.2¹⁰ ≈ 1.0·10⁻⁷: a host with 100 busy templates is asked a million
/// times a week and is wrong about once in ten weeks. 0.5 is one in a thousand, 0.9 is 10⁻¹⁰.
pub fn score(probability: f64) -> f64 {
    1.0 - probability.clamp(0.0, 1.0).powf(0.1)
}

/// P(X ≥ `count`) of a negative binomial count of this mean and dispersion: variance = mean + dispersion × mean².
/// Dispersion 0 is the Poisson distribution.
pub fn at_least(count: u64, mean: f64, dispersion: f64) -> f64 {
    match count {
        0 => 1.0,
        _ if mean <= 0.0 => 0.0,
        n if dispersion < 1e-9 => gamma_lower(n as f64, mean),
        n => {
            let size = 1.0 / dispersion;
            beta(n as f64, size, mean / (mean + size))
        }
    }
}

/// P(X ≤ `count`) of the same.
pub fn at_most(count: u64, mean: f64, dispersion: f64) -> f64 {
    let next = count as f64 + 1.0;
    if mean <= 0.0 {
        return 1.0;
    }
    if dispersion < 1e-9 {
        return gamma_upper(next, mean);
    }
    let size = 1.0 / dispersion;
    beta(size, next, size / (mean + size))
}

/// P(T > `waited`) of a gamma distributed waiting time of this mean and coefficient of variation; 1 is exponential.
pub fn waits_longer(waited: f64, mean: f64, variation: f64) -> f64 {
    if waited <= 0.0 || mean <= 0.0 {
        return 1.0;
    }
    let shape = 1.0 / (variation * variation).max(1e-6);
    gamma_upper(shape, shape * waited / mean)
}

/// Regularised incomplete gamma function P(a, x).
fn gamma_lower(a: f64, x: f64) -> f64 {
    if x < a + 1.0 { gamma_series(a, x) } else { 1.0 - gamma_fraction(a, x) }
}

/// Regularised incomplete gamma function Q(a, x) = 1 − P(a, x).
fn gamma_upper(a: f64, x: f64) -> f64 {
    if x < a + 1.0 { 1.0 - gamma_series(a, x) } else { gamma_fraction(a, x) }
}

fn gamma_series(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
    for _ in 0..MAX_TERMS {
        n += 1.0;
        term *= x / n;
        sum += term;
        if term < sum * ENOUGH {
            break;
        }
    }
    (a * x.ln() - x - ln_gamma(a)).exp() * sum
}

fn gamma_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut value = d;
    for i in 1..MAX_TERMS {
        let i = f64::from(i);
        let numerator = -i * (i - a);
        b += 2.0;
        d = 1.0 / away_from_zero(numerator * d + b);
        c = away_from_zero(b + numerator / c);
        value *= d * c;
        if (d * c - 1.0).abs() < ENOUGH {
            break;
        }
    }
    (a * x.ln() - x - ln_gamma(a)).exp() * value
}

/// Regularised incomplete beta function I_x(a, b).
fn beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..MAX_TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < ENOUGH {
            break;
        }
    }
    value
}

fn away_from_zero(value: f64) -> f64 {
    if value.abs() < TINY { TINY } else { value }
}

/// Logarithm of the gamma function, for arguments above 0: Stirling's series, reached by recurrence.
fn ln_gamma(x: f64) -> f64 {
    // ln Γ(x) = ln Γ(x + k) − ln(x (x+1) … (x+k−1)); from 10 on five terms are exact to 1e-15.
    let (mut product, mut z) = (1.0, x);
    while z < 10.0 {
        product *= z;
        z += 1.0;
    }
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0
            - square
                * (1.0 / 360.0
                    - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square * (1.0 / 1188.0)))));
    (z - 0.5) * z.ln() - z + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-9, "{value:e} is not {expected:e}");
    }

    #[test]
    fn a_poisson_tail_is_the_sum_of_its_terms() {
        // Mean 2: P(X ≥ 1) = 1 − e⁻², P(X ≥ 3) = 1 − e⁻²(1 + 2 + 2), P(X ≤ 1) = 3 e⁻².
        let e = (-2.0_f64).exp();
        close(at_least(1, 2.0, 0.0), 1.0 - e);
        close(at_least(3, 2.0, 0.0), 1.0 - 5.0 * e);
        close(at_most(1, 2.0, 0.0), 3.0 * e);
        close(at_least(0, 2.0, 0.0), 1.0);
    }

    #[test]
    fn a_geometric_tail_is_a_power() {
        // Dispersion 1 is geometric: P(X ≥ n) = (mean / (1 + mean))ⁿ.
        close(at_least(3, 1.0, 1.0), 0.125);
        close(at_least(100, 4.0, 1.0), 0.8_f64.powi(100));
        close(at_most(0, 4.0, 1.0), 0.2);
        close(at_most(1, 4.0, 1.0), 0.2 + 0.8 * 0.2);
    }

    #[test]
    fn far_tails_keep_their_digits() {
        // The first term dominates: P(X ≥ 60 | mean 1) is between e⁻¹/60! and e⁻¹/60! × 61/60.
        let term = (-1.0 - (1..=60).map(|n| f64::from(n).ln()).sum::<f64>()).exp();
        let tail = at_least(60, 1.0, 0.0);
        assert!(tail > term && tail < term * 61.0 / 60.0, "{tail:e} and {term:e}");
        assert!(at_least(1_000_000, 10.0, 0.1) < 1e-280);
        assert!(at_least(1_000_000, 1_000_000.0, 0.05) > 0.4);
    }

    #[test]
    fn waiting_is_exponential_for_variation_one_and_sharper_for_less() {
        close(waits_longer(3.0, 1.0, 1.0), (-3.0_f64).exp());
        // Shape 4: Q(4, 12) = e⁻¹² (1 + 12 + 72 + 288).
        close(waits_longer(3.0, 1.0, 0.5), 373.0 * (-12.0_f64).exp());
        close(waits_longer(0.0, 1.0, 0.5), 1.0);
    }

    #[test]
    fn the_usual_threshold_is_one_in_ten_million() {
        close(score(1.024e-7), 0.8);
        close(score(9.765_625e-4), 0.5);
        close(score(0.0), 1.0);
        assert!(score(1.0).abs() < 1e-12);
    }
}
