//! Canonical correlations of two representations, after a cut of their directions or without.

use faer::{Mat, MatRef};

use super::principal::PrincipalDirections;
use super::responses::{check_pair, row_sums};
use crate::numerics::dense::{ThinSvd, thin_svd};
use crate::{Error, Real, Result};

/// How many of the leading principal directions of each side are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Cut {
    /// All that can be told from 0: canonical correlation analysis.
    #[default]
    All,
    /// The fewest whose squared singular values are this share of all or more: SVCCA as published,
    /// with 0.99. Both sides may keep different numbers, which favours narrow layers: the mean runs
    /// over the smaller one.
    Variance(f64),
    /// The same with singular values instead of their squares, as in the tutorial of the reference
    /// code.
    SingularSum(f64),
    /// The same number on both sides.
    Dim(usize),
}

/// Canonical correlations of X (n × p) and Y (n × q): the singular values ρ of Uxᵀ Uy, with
/// orthonormal principal directions Ux, Uy of the responses with the mean of each unit taken away.
///
/// By singular values, not by inverting covariances: data of condition 10⁹ keep their correlations to
/// 10⁻⁹. 6 n p min(n, p) flops a side and a small SVD; of many pairs, take the
/// [`PrincipalDirections`] once and [`Cca::of`] them.
///
/// With kept dimensions k_x + k_y > n − 1 that excess of correlations is 1 whatever the data, which is
/// an error unless allowed.
///
/// Source: Raghu et al. 2017 (SVCCA); Björck and Golub 1973 for the computation.
///
/// ```
/// use hesse::faer::Mat;
/// use hesse::similarity::{Cca, Cut};
/// let x = Mat::from_fn(50, 3, |i, j| ((i * (j + 2) * 7919) % 101) as f64);
/// let y = Mat::from_fn(50, 2, |i, j| x[(i, j)] - 2.0 * x[(i, 2)] + 5.0);
/// let cca = Cca::new().fit(x.as_ref(), y.as_ref())?;
/// assert!(cca.rho.iter().all(|rho| (rho - 1.0).abs() < 1e-12));
/// let svcca = Cca::new().cut(Cut::Variance(0.99)).fit(x.as_ref(), y.as_ref())?;
/// assert_eq!(svcca.kept, (3, 2));
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cca {
    cut: Cut,
    allow_underdetermined: bool,
    ridge: f64,
}

/// What [`Cca`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CanonicalCorrelations {
    /// ρ, descending, min(k_x, k_y) of them, within [0, 1].
    pub rho: Vec<f64>,
    /// (k_x, k_y): dimensions kept. Where they differ, the narrower side decides the number of
    /// correlations: do not rank layers by their mean.
    pub kept: (usize, usize),
    /// Dimensions there are.
    pub ranks: (usize, usize),
    /// n.
    pub stimuli: usize,
}

impl Cca {
    /// Of all directions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of the leading directions.
    #[must_use]
    pub fn cut(self, cut: Cut) -> Self {
        Self { cut, ..self }
    }

    /// Accepts k_x + k_y > n − 1.
    #[must_use]
    pub fn allow_underdetermined(self) -> Self {
        Self { allow_underdetermined: true, ..self }
    }

    /// Adds ε I to both covariances, each divided by its largest entry, after dropping the units whose
    /// variance is below ε of the largest: what the reference code of SVCCA does with its `epsilon`.
    /// In singular values, s becomes s · s/√(s² + ε m) with m the largest Σ x² of a unit (after a cut:
    /// of a direction), so nothing is inverted here either.
    #[must_use]
    pub fn ridge(self, epsilon: f64) -> Self {
        Self { ridge: epsilon, ..self }
    }

    /// The canonical correlations of X and Y.
    ///
    /// # Errors
    /// [`Error::Shape`] for different stimuli, [`Error::NonFinite`], [`Error::Range`] for responses
    /// that do not vary, a share outside (0, 1], more dimensions than there are, more than n − 1
    /// dimensions in both together unless allowed.
    pub fn fit<T: Real>(
        &self,
        x: MatRef<'_, T>,
        y: MatRef<'_, T>,
    ) -> Result<CanonicalCorrelations> {
        check_pair(x, y, 2)?;
        if self.ridge == 0.0 {
            return self.of(&PrincipalDirections::of(x)?, &PrincipalDirections::of(y)?);
        }
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return Err(Error::range("ridge", "0 or a positive number", self.ridge));
        }
        let ((x, largest_x), (y, largest_y)) = (self.strong_units(x)?, self.strong_units(y)?);
        let largest = (self.cut == Cut::All).then_some((largest_x, largest_y));
        Ok(self.decompose(&x, &y, largest)?.0)
    }

    /// The canonical correlations of directions computed before.
    ///
    /// # Errors
    /// As [`Cca::fit`]; [`Error::NotApplicable`] with a ridge on all directions, which asks for the
    /// variances of units.
    pub fn of(
        &self,
        x: &PrincipalDirections,
        y: &PrincipalDirections,
    ) -> Result<CanonicalCorrelations> {
        Ok(self.decompose(x, y, None)?.0)
    }

    /// The correlations, and the SVD of Uxᵀ Uy.
    pub(super) fn decompose(
        &self,
        x: &PrincipalDirections,
        y: &PrincipalDirections,
        largest: Option<(f64, f64)>,
    ) -> Result<(CanonicalCorrelations, ThinSvd)> {
        let n = x.stimuli();
        if y.stimuli() != n {
            return Err(Error::shape("y: stimuli", n, y.stimuli()));
        }
        let (kx, ky) = (self.cut.of("x", &x.values)?, self.cut.of("y", &y.values)?);
        if kx + ky > n - 1 && !self.allow_underdetermined {
            return Err(Error::range(
                format!("dimensions of x and y ({kx} and {ky}) of {n} stimuli"),
                format!("at most {} together: the rest of the correlations is 1", n - 1),
                kx + ky,
            ));
        }
        let (ux, uy) = (x.left.subcols(0, kx), y.left.subcols(0, ky));
        let mut product = Mat::<f64>::zeros(kx, ky);
        for j in 0..ky {
            for i in 0..kx {
                product[(i, j)] = ux.col(i).transpose() * uy.col(j);
            }
        }
        if self.ridge > 0.0 {
            if self.cut == Cut::All && largest.is_none() {
                return Err(Error::not_applicable(
                    "ridge on all directions",
                    "responses",
                    "principal directions, without the variances of units",
                ));
            }
            let largest = largest.unwrap_or((1.0, 1.0));
            let shrink = |s: f64, all: &PrincipalDirections, largest: f64| {
                // After a cut, directions take the place of units.
                let own = if self.cut == Cut::All { largest } else { all.values[0].powi(2) };
                s / (s * s + self.ridge * own).sqrt()
            };
            for j in 0..ky {
                for i in 0..kx {
                    product[(i, j)] *= shrink(x.values[i], x, largest.0);
                    product[(i, j)] *= shrink(y.values[j], y, largest.1);
                }
            }
        }
        let svd = thin_svd(product.as_ref())?;
        let rho = svd.values.iter().map(|rho| rho.clamp(0.0, 1.0)).collect();
        let ranks = (x.rank(), y.rank());
        Ok((CanonicalCorrelations { rho, kept: (kx, ky), ranks, stimuli: n }, svd))
    }

    /// The directions of units with a variance of ε or more of the largest, and the largest Σ x² of
    /// a unit in the unit of the directions.
    fn strong_units<T: Real>(&self, x: MatRef<'_, T>) -> Result<(PrincipalDirections, f64)> {
        let p = x.ncols();
        let unit = super::responses::unit(x);
        // Units are the rows of the transpose.
        let units = x.transpose();
        let first: Vec<f64> = (0..p).map(|j| x[(0, j)].to_f64() / unit).collect();
        let n = x.nrows() as f64;
        let mean = row_sums(units, |j, value| value / unit - first[j]);
        let square = |j: usize, value: f64| (value / unit - first[j] - mean[j] / n).powi(2);
        let squares = row_sums(units, square);
        let largest = squares.iter().copied().fold(0.0, f64::max);
        let strong: Vec<usize> = (0..p).filter(|&j| squares[j] >= self.ridge * largest).collect();
        let chosen = Mat::from_fn(x.nrows(), strong.len(), |i, j| x[(i, strong[j])]);
        let directions = PrincipalDirections::of(chosen.as_ref())?;
        let ratio = unit / directions.unit;
        Ok((directions, largest * ratio * ratio))
    }
}

impl Cut {
    /// The number kept of these singular values.
    fn of(self, what: &str, values: &[f64]) -> Result<usize> {
        let rank = values.len();
        let reach = |share: f64, term: fn(f64) -> f64| {
            if !(share > 0.0 && share <= 1.0) {
                return Err(Error::range("share of the cut", "more than 0, at most 1", share));
            }
            let total: f64 = values.iter().map(|&s| term(s)).sum();
            let mut sum = 0.0;
            let reached = values.iter().position(|&s| {
                sum += term(s);
                sum >= share * total
            });
            Ok(reached.map_or(rank, |k| k + 1))
        };
        match self {
            Cut::All => Ok(rank),
            Cut::Variance(share) => reach(share, |s| s * s),
            Cut::SingularSum(share) => reach(share, |s| s),
            Cut::Dim(k) if (1..=rank).contains(&k) => Ok(k),
            Cut::Dim(k) => {
                Err(Error::range(format!("dimensions of {what}"), format!("1 to {rank}"), k))
            }
        }
    }
}

impl CanonicalCorrelations {
    /// Mean of ρ: SVCCA after a cut.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.rho.iter().sum::<f64>() / self.rho.len() as f64
    }

    /// Mean of ρ².
    #[must_use]
    pub fn mean_square(&self) -> f64 {
        self.rho.iter().map(|rho| rho * rho).sum::<f64>() / self.rho.len() as f64
    }

    /// Mean of the first i of ρ, i the smallest below their number of which the sum is `share` of that
    /// of all or more, all of them where there is none: the summary of the reference code, with 0.98.
    ///
    /// # Errors
    /// [`Error::Range`] for a share outside (0, 1].
    pub fn trimmed_mean(&self, share: f64) -> Result<f64> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::range("share of the trimmed mean", "more than 0, at most 1", share));
        }
        let total: f64 = self.rho.iter().sum();
        let (mut sum, mut count) = (0.0, 0);
        while count < self.rho.len() && (count == 0 || sum < share * total) {
            sum += self.rho[count];
            count += 1;
        }
        Ok(sum / count as f64)
    }

    /// Wilks' Λ = Π (1 − ρ²).
    #[must_use]
    pub fn wilks_lambda(&self) -> f64 {
        self.rho.iter().map(|rho| (1.0 - rho) * (1.0 + rho)).product()
    }

    /// Yanai's generalised coefficient of determination, Σ ρ²/√(k_x k_y).
    #[must_use]
    pub fn yanai(&self) -> f64 {
        let squares: f64 = self.rho.iter().map(|rho| rho * rho).sum();
        squares / (self.kept.0 as f64 * self.kept.1 as f64).sqrt()
    }

    /// What [`CanonicalCorrelations::mean_square`] is in the mean for independent normal responses:
    /// max(k_x, k_y)/(n − 1).
    #[must_use]
    pub fn null_mean_square(&self) -> f64 {
        self.kept.0.max(self.kept.1) as f64 / (self.stimuli - 1) as f64
    }

    /// (mean ρ² − e)/(1 − e) with the null level e: 0 in the mean for independent responses, 1 for
    /// the same subspace. NaN where the null level is 1.
    #[must_use]
    pub fn adjusted(&self) -> f64 {
        let null = self.null_mean_square();
        (self.mean_square() - null) / (1.0 - null)
    }
}
