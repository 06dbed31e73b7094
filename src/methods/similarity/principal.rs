//! The directions over stimuli in which a representation varies.

use faer::{Mat, MatRef};

use super::centred_kernel::CentredKernel;
use super::responses::{centre_units, check, enough_stimuli, pack, unit};
use super::wide_factor::WideFactor;
use crate::krylov::symmetric_eigen;
use crate::numerics::dense::thin_svd;
use crate::{Error, Real, Result};

/// Singular values below this share of the largest are taken for 0.
pub(super) const RANK_TOLERANCE: f64 = 1e-10;
/// The same where they are roots of eigenvalues, which are known to n ε of the largest.
const KERNEL_TOLERANCE: f64 = 1e-7;
/// Responses with the mean of each unit taken away, or as few columns with the same inner products of
/// stimuli: n × min(n, p).
pub(super) struct Compact {
    pub rows: Mat<f64>,
    /// The responses are these times this power of two.
    pub unit: f64,
    pub units: usize,
}

impl Compact {
    /// For p ≤ n the centred responses; else those of [`WideFactor`], whose small singular values keep
    /// their digits.
    pub fn new<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        let (n, p) = x.shape();
        let unit = unit(x);
        if p > n {
            let rows = WideFactor::new(x, unit).rows()?;
            return Ok(Self { rows, unit, units: p });
        }
        let mut rows = Vec::new();
        pack(x, 0..p, &mut rows, |_: usize, value: f64| value / unit);
        centre_units(&mut rows, n);
        let rows = MatRef::from_row_major_slice(&rows, n, p).to_owned();
        Ok(Self { rows, unit, units: p })
    }

    /// |X|², in units².
    pub fn square(&self) -> f64 {
        (0..self.rows.ncols()).map(|j| self.rows.col(j).squared_norm_l2()).sum()
    }
}

/// X = U diag(s) Vᵀ of responses with the mean of each unit taken away: orthonormal directions U over
/// stimuli and singular values s above 10⁻¹⁰ of the largest.
///
/// Compute them once for each representation where many are compared; see [`Cca`](super::Cca).
#[derive(Clone, Debug)]
pub struct PrincipalDirections {
    /// n × rank.
    pub(super) left: Mat<f64>,
    /// Descending, in units of `unit`.
    pub(super) values: Vec<f64>,
    pub(super) unit: f64,
    pub(super) units: usize,
}

impl PrincipalDirections {
    /// Of n stimuli × p units.
    ///
    /// By the SVD of the centred responses, or of a factor of n columns where p > n, which a second pass in
    /// the directions of the first makes as good as a triangular one: singular values 10⁻⁹ of the largest
    /// keep their digits, which the covariance alone loses. About 4 n p min(n, p) flops; 24 n² bytes a
    /// thread.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`], [`Error::Range`] for fewer than two stimuli or
    /// responses that do not vary.
    pub fn of<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        check("x", x)?;
        enough_stimuli(x.nrows(), 2)?;
        Self::of_compact(&Compact::new(x)?)
    }

    fn of_compact(compact: &Compact) -> Result<Self> {
        let svd = thin_svd(compact.rows.as_ref())?;
        let rank = rank_of(&svd.values, RANK_TOLERANCE)?;
        Ok(Self {
            left: svd.left.subcols(0, rank).to_owned(),
            values: svd.values[..rank].to_vec(),
            unit: compact.unit,
            units: compact.units,
        })
    }

    pub(super) fn of_kernel(kernel: &CentredKernel) -> Result<Self> {
        let n = kernel.values.nrows();
        let eigen = symmetric_eigen(kernel.values.as_ref()).ok_or_else(|| {
            Error::range("eigenproblem of inner products", "convergence", format!("none at {n}"))
        })?;
        let values: Vec<f64> = eigen.values.iter().rev().map(|v| v.max(0.0).sqrt()).collect();
        let rank = rank_of(&values, KERNEL_TOLERANCE)?;
        Ok(Self {
            left: Mat::from_fn(n, rank, |i, j| eigen.vectors[(i, n - 1 - j)]),
            values: values[..rank].to_vec(),
            unit: kernel.unit,
            units: kernel.units,
        })
    }

    /// n.
    #[must_use]
    pub fn stimuli(&self) -> usize {
        self.left.nrows()
    }

    /// p.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units
    }

    /// Directions with a singular value that can be told from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.values.len()
    }

    /// The singular values, descending, in the unit of the responses.
    #[must_use]
    pub fn singular_values(&self) -> Vec<f64> {
        self.values.iter().map(|s| s * self.unit).collect()
    }

    /// The directions, n × rank, in the order of the singular values.
    #[must_use]
    pub fn directions(&self) -> MatRef<'_, f64> {
        self.left.as_ref()
    }
}

fn rank_of(values: &[f64], tolerance: f64) -> Result<usize> {
    if values[0] <= 0.0 {
        return Err(Error::range("variance of the responses over stimuli", "more than 0", 0));
    }
    Ok(values.partition_point(|s| *s > tolerance * values[0]))
}
