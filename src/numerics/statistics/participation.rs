//! The participation ratio of a covariance, and its estimates from few samples or few features.

use faer::MatRef;

use super::spectral_sums::SpectralSums;
use crate::{Real, Result};

/// Why an estimate has no value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum NotEstimable {
    /// It needs more samples.
    Samples {
        /// So many.
        needed: usize,
        /// There are.
        got: usize,
    },
    /// Its numerator or denominator, both positive for the true covariance, is not positive for
    /// these samples.
    NotPositive {
        /// Estimate of (tr C)² over (tr K)².
        numerator: f64,
        /// Estimate of ‖C‖²_F over (tr K)².
        denominator: f64,
    },
}

/// PR = (Σλ)²/Σλ² = (tr C)²/‖C‖²_F of a covariance C: 1 for one direction, d for d equal ones.
///
/// With τ² = (tr K)², F = ‖K‖²_F, q = Σ|xᵢ|⁴, c₂₂ = Σₐ(Σᵢxᵢₐ²)², c₄ = Σxᵢₐ⁴ of the centred samples
/// ([`SpectralSums`]):
///
/// | estimate | formula | corrects |
/// |---|---|---|
/// | `naive` | τ²/F | nothing: 1/PR is too large by about 1/n (+ 1/d for sampled features) |
/// | `row` | A/B, A = τ² − n/(n−2) q + (2F − τ²)/((n−1)(n−2)), B = F − n/(n−2) q + τ²/((n−1)(n−2)) | few samples |
/// | `column` | (τ² − c₂₂)/(F − c₂₂) | features that are a sample of more |
/// | `both` | `row` with τ² − c₂₂, F − c₂₂, q − c₄ | both |
/// | `gauss` | a/b, b = (νF − τ²)/(ν(ν−1)(ν+2)), a = (τ² − 2νb)/ν², ν = n − 1 | few samples of Gaussian data |
///
/// Numerator and denominator of `row` and `gauss` are unbiased, their ratio has a bias of order PR/n.
/// All are invariant under shifts and scales, and computed after centring, so an offset costs no
/// digits. Where numerator or denominator is not positive there is no estimate, and the reason is
/// given.
///
/// Source: Chun, Canatar, Chung, Lee, arXiv 2509.26560, whose long sums contain the same quantities
/// uncentred.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::statistics::ParticipationRatio;
///
/// let cross = mat![[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0_f64]];
/// assert_eq!(ParticipationRatio::of(cross.as_ref())?.naive, 2.0);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ParticipationRatio {
    /// Of the sample covariance: at most min(n − 1, d).
    pub naive: f64,
    /// Corrected for few samples.
    pub row: Result<f64, NotEstimable>,
    /// Corrected for sampled features.
    pub column: Result<f64, NotEstimable>,
    /// Corrected for both.
    pub both: Result<f64, NotEstimable>,
    /// Corrected for few samples of Gaussian data.
    pub gauss: Result<f64, NotEstimable>,
}

impl ParticipationRatio {
    /// Of samples × features, in one pass over the centred samples: n d min(n, d) flops, no
    /// eigenvalues.
    ///
    /// # Errors
    /// As [`SpectralSums::of`].
    pub fn of<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        Ok(Self::from_sums(&SpectralSums::of(x)?))
    }

    /// From the five sums.
    #[must_use]
    pub fn from_sums(sums: &SpectralSums) -> Self {
        let SpectralSums { samples: n, frobenius, rows, columns, elements, .. } = *sums;
        let nu = (n - 1) as f64;
        let gauss = || {
            let b = (nu * frobenius - 1.0) / (nu * (nu - 1.0) * (nu + 2.0));
            ratio((1.0 - 2.0 * nu * b) / (nu * nu), b)
        };
        Self {
            naive: 1.0 / frobenius,
            row: row(n, 1.0, frobenius, rows),
            column: ratio(1.0 - columns, frobenius - columns),
            both: row(n, 1.0 - columns, frobenius - columns, rows - elements),
            gauss: enough(n, 3).and_then(|()| gauss()),
        }
    }
}

fn enough(got: usize, needed: usize) -> Result<(), NotEstimable> {
    if got < needed { Err(NotEstimable::Samples { needed, got }) } else { Ok(()) }
}

fn ratio(numerator: f64, denominator: f64) -> Result<f64, NotEstimable> {
    if numerator > 0.0 && denominator > 0.0 {
        Ok(numerator / denominator)
    } else {
        Err(NotEstimable::NotPositive { numerator, denominator })
    }
}

fn row(n: usize, tau2: f64, f: f64, q: f64) -> Result<f64, NotEstimable> {
    enough(n, 4)?;
    let n = n as f64;
    let pairs = (n - 1.0) * (n - 2.0);
    let rest = n / (n - 2.0) * q;
    ratio(tau2 - rest + (2.0 * f - tau2) / pairs, f - rest + tau2 / pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_that_do_not_exist_say_why() {
        let sums = SpectralSums {
            samples: 3,
            features: 2,
            trace: 1.0,
            frobenius: 0.5,
            rows: 0.4,
            columns: 0.5,
            elements: 0.2,
        };
        let pr = ParticipationRatio::from_sums(&sums);
        assert_eq!(pr.naive, 2.0);
        assert_eq!(pr.row, Err(NotEstimable::Samples { needed: 4, got: 3 }));
        assert_eq!(pr.both, Err(NotEstimable::Samples { needed: 4, got: 3 }));
        let none = NotEstimable::NotPositive { numerator: 0.5, denominator: 0.0 };
        assert_eq!(pr.column, Err(none));
        let pr = ParticipationRatio::from_sums(&SpectralSums { samples: 2, ..sums });
        assert_eq!(pr.gauss, Err(NotEstimable::Samples { needed: 3, got: 2 }));
    }
}
