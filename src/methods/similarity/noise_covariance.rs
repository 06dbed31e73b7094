//! The covariance of noise, shrunk to what few trials can tell.

use faer::{Mat, MatRef};

use super::rdm::definite_factor;
use super::responses::{check, unit};
use super::trials::Trials;
use crate::numerics::dense::{add_gram_lower, solve_lower};
use crate::{Error, Result};

/// What the covariance of the residuals is shrunk to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shrinkage {
    /// Nothing: ZᵀZ/dof, singular where there are fewer degrees of freedom than units.
    None,
    /// Its own diagonal, entirely.
    Diagonal,
    /// The multiple of the identity with its trace, by the weight that Ledoit and Wolf (2004) derive.
    Identity,
    /// Its own diagonal, by the weight that Schäfer and Strimmer (2005) derive.
    #[default]
    TowardsDiagonal,
}

/// The noise covariance Σ of p units from residuals Z, N × p, of `dof` degrees of freedom.
///
/// With S = ZᵀZ/N, q_ij = Σ_t z_ti² z_tj², C = ZᵀZ/dof:
///
/// - towards the identity: m = tr S/p, d² = |S − mI|², b² = min(d², Σ_ij (q_ij/N − S_ij²)/N),
///   Σ = (λ m I + (1 − λ) S) N/dof with λ = b²/d²;
/// - towards the diagonal: r_ij = (ZᵀZ)_ij/(√(C_ii C_jj)(N − 1)),
///   λ = Σ_{i≠j} (N/dof²)(q_ij/(C_ii C_jj (N − 1)) − r_ij²)/Σ_{i≠j} r_ij², within [0, 1], and the
///   off-diagonal entries of C are multiplied by 1 − λ.
///
/// 2 N p² flops, 8 p² bytes a few times. The weights are those of rsatoolbox 0.3.2, whose default
/// divides by (stimuli − 1) · trials instead of Σ (trials − 1): [`NoiseCovariance::with_dof`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NoiseCovariance {
    /// Σ, p × p, symmetric.
    pub covariance: Mat<f64>,
    /// λ, the weight of what it is shrunk to.
    pub weight: f64,
    /// What it was divided by.
    pub dof: f64,
}

impl NoiseCovariance {
    /// From the deviations of trials from the mean of their stimulus.
    ///
    /// # Errors
    /// [`Error::Range`] for a stimulus with one trial, or a unit without noise where its standard
    /// deviation divides.
    pub fn of_trials(trials: &Trials, shrinkage: Shrinkage) -> Result<Self> {
        let (residuals, dof) = trials.residuals()?;
        Self::with_dof(residuals.as_ref(), dof, shrinkage)
    }

    /// From residuals, N × p, with a number of degrees of freedom to divide by.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`], [`Error::Range`] for fewer than two rows, degrees of
    /// freedom that are not positive, or a unit without noise where its standard deviation divides.
    pub fn with_dof(residuals: MatRef<'_, f64>, dof: f64, shrinkage: Shrinkage) -> Result<Self> {
        let (rows, p) = check("residuals", residuals)?;
        if rows < 2 {
            return Err(Error::range("residuals: rows", "at least 2", rows));
        }
        if !(dof > 0.0 && dof.is_finite()) {
            return Err(Error::range("degrees of freedom", "a positive number", dof));
        }
        let n = rows as f64;
        // In a unit in which fourth powers neither overflow nor vanish.
        let unit = unit(residuals);
        // Units are rows of the transpose.
        let z = Mat::from_fn(p, rows, |i, t| residuals[(t, i)] / unit);
        let mut gram = Mat::zeros(p, p);
        add_gram_lower(&mut gram, z.as_ref());
        let lower = |m: &Mat<f64>, i: usize, j: usize| m[(i.max(j), i.min(j))];
        let scale = unit * unit;
        let (keep, target, weight): (f64, Option<f64>, f64) = match shrinkage {
            Shrinkage::None => (1.0, None, 0.0),
            Shrinkage::Diagonal => (0.0, None, 1.0),
            Shrinkage::Identity => {
                let mean = (0..p).map(|i| gram[(i, i)]).sum::<f64>() / n / p as f64;
                let (mut distance, mut squares) = (0.0, 0.0);
                for j in 0..p {
                    for i in 0..p {
                        let s = lower(&gram, i, j) / n;
                        squares += s * s;
                        let d = if i == j { s - mean } else { s };
                        distance += d * d;
                    }
                }
                // Σ_ij q_ij = Σ_t (Σ_i z_ti²)².
                let fourth: f64 = (0..rows).map(|t| z.col(t).squared_norm_l2().powi(2)).sum();
                let error = ((fourth / n - squares) / n).min(distance);
                // All of one variance: shrinking changes nothing.
                let weight = if distance > 0.0 { error / distance } else { 1.0 };
                (1.0 - weight, Some(weight * mean * n / dof), weight)
            }
            Shrinkage::TowardsDiagonal => {
                if let Some(i) = (0..p).find(|&i| gram[(i, i)] <= 0.0) {
                    let what = format!("noise variance of unit {i}");
                    return Err(Error::range(what, "more than 0", 0));
                }
                let squared = Mat::from_fn(p, rows, |i, t| z[(i, t)] * z[(i, t)]);
                let mut fourth = Mat::zeros(p, p);
                add_gram_lower(&mut fourth, squared.as_ref());
                let (mut noise, mut size) = (0.0, 0.0);
                for j in 0..p {
                    for i in j + 1..p {
                        let variances = gram[(i, i)] / dof * (gram[(j, j)] / dof);
                        let r = gram[(i, j)] / variances.sqrt() / (n - 1.0);
                        noise += fourth[(i, j)] / variances / (n - 1.0) - r * r;
                        size += r * r;
                    }
                }
                let weight = match size > 0.0 {
                    true => (n / (dof * dof) * noise / size).clamp(0.0, 1.0),
                    // Nothing off the diagonal.
                    false => 1.0,
                };
                (1.0 - weight, None, weight)
            }
        };
        let covariance = Mat::from_fn(p, p, |i, j| {
            let c = lower(&gram, i, j) / dof;
            let shrunk = match (target, i == j) {
                (Some(target), true) => keep * c + target,
                (None, true) => c,
                (_, false) => keep * c,
            };
            shrunk * scale
        });
        Ok(Self { covariance, weight, dof })
    }

    /// Σ⁻¹, for Mahalanobis and crossnobis distances. By Cholesky, p³ flops.
    ///
    /// # Errors
    /// [`Error::Range`] unless Σ is positive definite.
    pub fn precision(&self) -> Result<Mat<f64>> {
        let factor = definite_factor("noise covariance", self.covariance.as_ref())?;
        let p = factor.nrows();
        let mut inverse = Mat::<f64>::identity(p, p);
        solve_lower(factor.as_ref(), inverse.as_mut());
        // L⁻ᵀ L⁻¹ is symmetric by construction.
        let mut precision = Mat::zeros(p, p);
        add_gram_lower(&mut precision, inverse.transpose());
        Ok(Mat::from_fn(p, p, |i, j| precision[(i.max(j), i.min(j))]))
    }
}
