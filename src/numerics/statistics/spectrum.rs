//! Eigenvalues of the covariance of samples.

use faer::{Mat, MatRef};

use super::centred::{Centred, check};
use super::products::{Side, map_tiles};
use super::spectral_sums::no_variance;
use crate::krylov::symmetric_eigenvalues;
use crate::{Error, Real, Result};

/// The eigenvalues of a covariance C = XcᵀXc/(n − 1), largest first, min(n, d) of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    values: Vec<f64>,
    /// Below this an eigenvalue cannot be told from 0.
    floor: f64,
}

impl Spectrum {
    /// Of samples × features.
    ///
    /// The smaller of Xc Xcᵀ and XcᵀXc is formed in `f64` and its eigenvalues computed: n d m +
    /// 4/3 m³ flops, 8 m² bytes, m = min(n, d). Error of each eigenvalue about max(n, d) 2⁻⁵³ λ₁;
    /// those that rounding made negative are 0. For a few eigenvalues of many features see
    /// [`CovarianceOperator`](super::CovarianceOperator).
    ///
    /// # Errors
    /// Fewer than two samples, no features, NaN or infinities, samples that are all the same.
    pub fn of<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        let (n, d) = check(x)?;
        // In f64 whatever the storage.
        let x = Mat::from_fn(n, d, |i, j| x[(i, j)].to_f64());
        let y = Centred::new(x.as_ref())?;
        if y.is_constant() {
            return Err(no_variance());
        }
        let side = Side::smaller(n, d);
        let size = side.size(&y);
        let mut gram = Mat::zeros(size, size);
        for (rows, columns, tile) in
            map_tiles(&y, side, |rows, columns, tile| (rows, columns, tile.to_vec()))
        {
            for (i, r) in rows.clone().enumerate() {
                for (j, c) in columns.clone().enumerate() {
                    gram[(r, c)] = tile[i * columns.len() + j];
                    gram[(c, r)] = tile[i * columns.len() + j];
                }
            }
        }
        let scale = y.unit * y.unit / (n - 1) as f64;
        Self::from_gram(gram.as_ref(), scale, n.max(d))
    }

    /// Eigenvalues of `scale` times a symmetric matrix.
    pub(crate) fn from_gram(gram: MatRef<'_, f64>, scale: f64, larger: usize) -> Result<Self> {
        let mut values = symmetric_eigenvalues(gram)?;
        values.reverse();
        values.iter_mut().for_each(|v| *v = v.max(0.0) * scale);
        let floor = larger as f64 * f64::EPSILON * values[0];
        Ok(Self { values, floor })
    }

    /// Eigenvalues that were computed elsewhere, in any order.
    ///
    /// # Errors
    /// None, one that is negative or not finite, or no positive one.
    pub fn from_values(mut values: Vec<f64>) -> Result<Self> {
        if values.is_empty() {
            return Err(Error::empty("eigenvalues"));
        }
        crate::error::check_finite("eigenvalues", &values)?;
        values.sort_unstable_by(|a, b| b.total_cmp(a));
        if values[values.len() - 1] < 0.0 {
            return Err(Error::range("eigenvalues", "0 or more", values[values.len() - 1]));
        }
        if values[0] == 0.0 {
            return Err(no_variance());
        }
        let floor = values.len() as f64 * f64::EPSILON * values[0];
        Ok(Self { values, floor })
    }

    /// The eigenvalues, largest first.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The eigenvalues above max(n, d) 2⁻⁵² λ₁: those that can be told from 0.
    #[must_use]
    pub fn significant(&self) -> &[f64] {
        let rank = self.values.partition_point(|&v| v > self.floor);
        &self.values[..rank.max(1)]
    }

    /// Shares λ/Σλ.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        // By the largest first: a sum of huge eigenvalues must not overflow.
        let relative: Vec<f64> = self.values.iter().map(|v| v / self.values[0]).collect();
        let sum: f64 = relative.iter().sum();
        relative.into_iter().map(|v| v / sum).collect()
    }

    /// (Σλ)²/Σλ², the naive participation ratio.
    #[must_use]
    pub fn participation_ratio(&self) -> f64 {
        1.0 / self.shares().iter().map(|p| p * p).sum::<f64>()
    }

    /// exp(−Σ p ln p) of the shares p: between 1 and the number of eigenvalues.
    #[must_use]
    pub fn effective_rank(&self) -> f64 {
        let entropy = |p: &f64| if *p > 0.0 { -p * p.ln() } else { 0.0 };
        self.shares().iter().map(entropy).sum::<f64>().exp()
    }

    /// √(Σλ²/Σλ), in the unit of the data: the size of the cloud weighted by its own spread.
    #[must_use]
    pub fn effective_radius(&self) -> f64 {
        let largest = self.values[0];
        let (mut first, mut second) = (0.0, 0.0);
        for v in self.values.iter().map(|v| v / largest) {
            first += v;
            second += v * v;
        }
        (second / first).sqrt() * largest.sqrt()
    }
}
