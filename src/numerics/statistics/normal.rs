//! The normal distribution.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::{Error, Result};

/// z with Φ(z) = p, the quantile of the standard normal distribution.
///
/// A rational start (Abramowitz and Stegun 26.2.23, off by at most 4.5·10⁻⁴) and steps of Halley's
/// method on erfc, in which the lower tail keeps its digits: relative error of a few ε, for p down to
/// the smallest normal number. Above 1/2 the quantile can be no better than the distance of p to 1.
///
/// # Errors
/// [`Error::Range`] unless 0 < p < 1.
pub fn normal_quantile(p: f64) -> Result<f64> {
    if !(p > 0.0 && p < 1.0) {
        return Err(Error::range("probability", "more than 0 and less than 1", p));
    }
    if p > 0.5 {
        // 1 − p is exact here.
        return Ok(-lower(1.0 - p));
    }
    Ok(lower(p))
}

/// The quantile for 0 < p ≤ 1/2.
fn lower(p: f64) -> f64 {
    if p == 0.5 {
        return 0.0;
    }
    let t = (-2.0 * libm::log(p)).sqrt();
    let numerator = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let denominator = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut z = numerator / denominator - t;
    // From 4.5e-4 the cubic steps reach 1e-10 and rounding; the third one is for certainty.
    for _ in 0..3 {
        let density = libm::exp(-0.5 * z * z) / (2.0 * PI).sqrt();
        if density == 0.0 {
            break;
        }
        let newton = (0.5 * libm::erfc(-z * FRAC_1_SQRT_2) - p) / density;
        z -= newton / (1.0 + 0.5 * z * newton);
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with 20 digits from mpmath, rounded.
    #[test]
    fn known_quantiles() {
        for (p, want) in [
            (0.975, 1.959_963_984_540_054_2),
            (0.995, 2.575_829_303_548_901),
            (0.9, 1.281_551_565_544_600_5),
            (0.25, -0.674_489_750_196_081_7),
            (1e-10, -6.361_340_902_404_056),
            (1e-300, -37.047_096_299_361_2),
        ] {
            let got = normal_quantile(p).unwrap();
            // In p near 1 the last bit of p is worth ε/φ(z).
            let slack = f64::EPSILON / (libm::exp(-0.5 * want * want) / (2.0 * PI).sqrt());
            let slack = if p > 0.5 { slack } else { 0.0 };
            assert!((got - want).abs() <= 16.0 * f64::EPSILON * want.abs() + slack, "{p}: {got}");
        }
        assert_eq!(normal_quantile(0.5).unwrap(), 0.0);
        for p in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(normal_quantile(p).is_err());
        }
    }

    #[test]
    fn quantiles_are_odd_and_invert_the_distribution() {
        for k in 1..500 {
            let p = f64::from(k) / 1024.0;
            let z = normal_quantile(p).unwrap();
            assert_eq!(normal_quantile(1.0 - p).unwrap(), -z);
            let back = 0.5 * libm::erfc(-z * FRAC_1_SQRT_2);
            assert!((back - p).abs() <= 8.0 * f64::EPSILON * p, "{p}: {back}");
        }
    }
}
