//! Quantiles and spread of draws.

use crate::error::check_finite;
use crate::{Error, Result};

/// The quantile of `values` at `p`, interpolated linearly between order statistics: at place
/// p (n − 1) of the sorted values, counted from 0 (NumPy's default, type 7 of Hyndman and Fan).
///
/// O(n log n).
///
/// # Errors
/// No value, NaN or infinities, p outside [0, 1].
pub fn quantile(values: &[f64], p: f64) -> Result<f64> {
    if values.is_empty() {
        return Err(Error::empty("values of a quantile"));
    }
    check_finite("values of a quantile", values)?;
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::range("probability", "0 to 1", p));
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = (sorted.len() - 1) as f64 * p;
    let (low, rest) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    Ok(sorted[low] + rest * (sorted[high] - sorted[low]))
}

/// The standard deviation √(Σ (v − v̄)²/(n − 1)); NaN for fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand() {
        let x = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&x, 0.0).unwrap(), 1.0);
        assert_eq!(quantile(&x, 1.0).unwrap(), 4.0);
        assert_eq!(quantile(&x, 0.5).unwrap(), 2.5);
        assert!((quantile(&x, 0.9).unwrap() - 3.7).abs() < 1e-15);
        assert_eq!(quantile(&[7.0], 0.3).unwrap(), 7.0);
        assert!((standard_deviation(&x) - (5.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert!(standard_deviation(&[1.0]).is_nan());
        let text = |x: &[f64], p: f64| quantile(x, p).unwrap_err().to_string();
        assert_eq!(text(&[], 0.5), "values of a quantile: expected at least one, got none");
        assert_eq!(text(&[1.0], 1.5), "probability: expected 0 to 1, got 1.5");
    }
}
