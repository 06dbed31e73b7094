//! Correlations of two samples, and how well a sample knows them.

use super::{average_ranks, normal_quantile};
use crate::error::check_finite;
use crate::{Error, Result};

/// A correlation coefficient of n pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// −1 to 1; NaN where one of the samples is constant, which has no correlation.
    pub value: f64,
    /// Pairs.
    pub pairs: usize,
    /// n · variance of atanh(value) in the limit of many pairs.
    variance: f64,
}

/// An interval of confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Pearson's correlation of `x` and `y`.
///
/// r = Σ (xᵢ − x̄)(yᵢ − ȳ) / √(Σ (xᵢ − x̄)² Σ (yᵢ − ȳ)²)
///
/// Two passes on differences to the first value: r does not lose digits to a common offset, and no
/// sum overflows or underflows whatever the units. O(n).
///
/// ```
/// use hesse::statistics::pearson;
/// let r = pearson(&[1.0, 2.0, 3.0], &[5.0, 5.0, 8.0])?;
/// assert!((r.value - 0.75_f64.sqrt()).abs() < 1e-15);
/// assert!(pearson(&[1.0, 2.0], &[4.0, 4.0])?.value.is_nan());
/// # Ok::<(), hesse::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for samples of different lengths, [`Error::Range`] for fewer than two pairs,
/// [`Error::NonFinite`] for NaN and infinities.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<Correlation> {
    check_pairs(x, y)?;
    check_finite("x", x)?;
    check_finite("y", y)?;
    Ok(Correlation { value: coefficient(x, y), pairs: x.len(), variance: 1.0 })
}

/// Spearman's rank correlation of `x` and `y`: Pearson's of their average ranks, so that ties count
/// as they do in SciPy and R. O(n log n).
///
/// ```
/// use hesse::statistics::spearman;
/// let infinity = f64::INFINITY;
/// assert_eq!(spearman(&[1.0, 2.0, infinity], &[-1.0, -10.0, -100.0])?.value, -1.0);
/// # Ok::<(), hesse::Error>(())
/// ```
///
/// # Errors
/// As [`pearson`], but infinities have ranks.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<Correlation> {
    check_pairs(x, y)?;
    let value = coefficient(&average_ranks("x", x)?, &average_ranks("y", y)?);
    Ok(Correlation { value, pairs: x.len(), variance: 1.0 + 0.5 * value * value })
}

impl Correlation {
    /// Where the correlation of the population lies with probability `confidence`: atanh r is nearly
    /// normal with variance 1/(n − 3) (Fisher 1921; the pairs are independent draws of two normal
    /// variables), for ranks (1 + r²/2)/(n − 3) (Bonett and Wright 2000, equation 3).
    ///
    /// All of [−1, 1] for three pairs or fewer, and where the value is NaN; a value of ±1 is taken
    /// at its word.
    ///
    /// # Errors
    /// [`Error::Range`] unless 0 < `confidence` < 1.
    pub fn interval(&self, confidence: f64) -> Result<Interval> {
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(Error::range("confidence", "more than 0 and less than 1", confidence));
        }
        if self.pairs <= 3 || self.value.is_nan() {
            return Ok(Interval { low: -1.0, high: 1.0 });
        }
        let z = libm::atanh(self.value);
        let quantile = -normal_quantile(0.5 * (1.0 - confidence))?;
        let half = quantile * (self.variance / (self.pairs - 3) as f64).sqrt();
        Ok(Interval { low: libm::tanh(z - half), high: libm::tanh(z + half) })
    }
}

fn check_pairs(x: &[f64], y: &[f64]) -> Result<()> {
    if x.len() != y.len() {
        return Err(Error::shape("y: length", x.len(), y.len()));
    }
    if x.len() < 2 {
        return Err(Error::range("pairs", "at least 2", x.len()));
    }
    Ok(())
}

/// Pearson's r of finite samples.
fn coefficient(x: &[f64], y: &[f64]) -> f64 {
    let (x, y) = (deviations(x), deviations(y));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // Sums of numbers near 1: their product neither overflows nor vanishes, and its root rounds once.
    let r = dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt();
    // Rounding must not lead out of the interval; NaN (0/0, a constant) stays.
    r.clamp(-1.0, 1.0)
}

/// xᵢ − x̄ in units in which the largest is near 1; exactly zero if all are equal.
pub(crate) fn deviations(x: &[f64]) -> Vec<f64> {
    let size = |x: &[f64]| x.iter().fold(0.0, |a: f64, v| if v.abs() > a { v.abs() } else { a });
    // In units in which no difference of two of them overflows and none loses bits below the
    // smallest normal number.
    let unit = if size(x) < 1.0 { 2f64.powi(500) } else { 0.5 };
    let from_first: Vec<f64> = x.iter().map(|&v| unit * v - unit * x[0]).collect();
    let largest = size(&from_first);
    if largest == 0.0 {
        return from_first;
    }
    let shift = -libm::ilogb(largest);
    let scaled: Vec<f64> = from_first.iter().map(|&d| libm::scalbn(d, shift)).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len() as f64;
    scaled.iter().map(|d| d - mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    const Y: [f64; 8] = [2.1, 1.9, 3.7, 3.9, 6.1, 5.2, 7.7, 7.9];

    /// `scipy.stats.pearsonr` and its `confidence_interval`.
    #[test]
    fn pearson_is_that_of_scipy() {
        let r = pearson(&X, &Y).unwrap();
        assert!((r.value - 0.960_154_132_077_446_2).abs() < 4.0 * f64::EPSILON, "{r:?}");
        let Interval { low, high } = r.interval(0.95).unwrap();
        assert!((low - 0.789_972_036_958_982).abs() < 1e-14, "{low}");
        assert!((high - 0.992_981_270_893_368_7).abs() < 1e-14, "{high}");
    }

    /// `scipy.stats.spearmanr` on samples with ties.
    #[test]
    fn spearman_counts_ties_as_scipy_does() {
        let x = [1.0, 2.0, 2.0, 3.0, 5.0, 5.0, 5.0, 8.0, 9.0, 1.0];
        let y = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0];
        let r = spearman(&x, &y).unwrap();
        assert!((r.value - 0.551_425_951_523_843_4).abs() < 4.0 * f64::EPSILON, "{r:?}");
        // Ranks know nothing of units, and have a wider interval.
        let cubes: Vec<f64> = x.iter().map(|x| x * x * x).collect();
        assert_eq!(spearman(&cubes, &y).unwrap().value, r.value);
        let p = Correlation { variance: 1.0, ..r };
        assert!(r.interval(0.9).unwrap().low < p.interval(0.9).unwrap().low);
    }

    #[test]
    fn units_and_offsets_change_nothing() {
        let r = pearson(&X, &Y).unwrap().value;
        let of = |a: f64, b: f64| {
            let x: Vec<f64> = X.iter().map(|x| a * x + b).collect();
            pearson(&x, &Y).unwrap().value
        };
        assert_eq!(of(-1.0, 0.0), -r);
        for (a, b) in [(1e300, 0.0), (1e-300, 0.0), (2e307, -9e307), (1.0, 1e15), (5e-324, 0.0)] {
            assert!((of(a, b) - r).abs() < 1e-15, "{a} {b}: {}", of(a, b));
        }
        assert_eq!(pearson(&X, &X).unwrap().value, 1.0);
    }

    #[test]
    fn a_constant_has_no_correlation() {
        for c in [0.0, 0.1, 1e308, 5e-324] {
            let r = pearson(&X, &[c; 8]).unwrap();
            assert!(r.value.is_nan());
            assert_eq!(r.interval(0.95).unwrap(), Interval { low: -1.0, high: 1.0 });
            assert!(spearman(&[c; 8], &Y).unwrap().value.is_nan());
        }
        let few = pearson(&X[..3], &Y[..3]).unwrap().interval(0.5).unwrap();
        assert_eq!(few, Interval { low: -1.0, high: 1.0 });
    }

    #[test]
    fn bad_samples_are_named() {
        let text = |result: Result<Correlation>| result.unwrap_err().to_string();
        assert_eq!(text(pearson(&X, &Y[1..])), "y: length: expected 8, got 7");
        assert_eq!(text(spearman(&[1.0], &[1.0])), "pairs: expected at least 2, got 1");
        let nan = [1.0, f64::NAN];
        assert_eq!(text(pearson(&X[..2], &nan)), "y: expected finite numbers, got NaN at index 1");
        assert_eq!(text(spearman(&nan, &X[..2])), "x: expected finite numbers, got NaN at index 1");
        assert!(pearson(&[1.0, f64::INFINITY], &X[..2]).is_err());
        let r = pearson(&X, &Y).unwrap();
        assert!(r.interval(1.0).is_err() && r.interval(f64::NAN).is_err());
    }
}
