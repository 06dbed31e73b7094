//! What a linear network is asked to do, in moments.

use faer::{Mat, MatRef};

use super::products::{check_elements, check_shape, check_symmetric, columns, times};
use crate::krylov::symmetric_eigen;
use crate::numerics::dense::triangular_factor;
use crate::{Error, Result};

/// Regression of y, m outputs, on x, d inputs: S_x = E xxᵀ (d × d) and S_yx = E yxᵀ (m × d), moments
/// about 0, over samples or given.
///
/// Everything that a linear network y ≈ M x does under the squared error follows from these and
/// E yyᵀ. For losses of samples the triangular factor R of [X Y]/√N is kept: the loss is
/// ½‖R [−Mᵀ; I]‖²_F without the cancellation of moments.
#[derive(Clone, Debug)]
pub struct LinearTask {
    pub(super) inputs: Mat<f64>,
    pub(super) cross: Mat<f64>,
    /// R, (d + m) columns.
    factor: Option<Mat<f64>>,
}

/// Directions of the inputs that have variance, and the target seen along them.
pub(super) struct Whitened {
    /// U Λ^(−1/2), d × r.
    pub back: Mat<f64>,
    /// S_yx U Λ^(−1/2), m × r: its singular values are those of S_yx S_x^(−1/2).
    pub target: Mat<f64>,
}

impl LinearTask {
    /// Of N samples, x N × d and y N × m.
    ///
    /// # Errors
    /// No sample, input or output, different numbers of samples, NaN or infinities.
    pub fn of(x: MatRef<'_, f64>, y: MatRef<'_, f64>) -> Result<Self> {
        let (n, d) = x.shape();
        let m = y.ncols();
        for (what, size) in [("samples", n), ("inputs", d), ("outputs", m)] {
            if size == 0 {
                return Err(Error::empty(what));
            }
        }
        check_elements("x", x)?;
        check_shape("y", y, n, m)?;
        let root = (n as f64).sqrt();
        let all = Mat::from_fn(n.max(d + m), d + m, |i, j| match (i < n, j < d) {
            (true, true) => x[(i, j)] / root,
            (true, false) => y[(i, j - d)] / root,
            _ => 0.0,
        });
        let scaled_x = all.subcols(0, d);
        let scaled_y = all.subcols(d, m);
        let inputs = times(scaled_x.transpose(), scaled_x);
        let cross = times(scaled_y.transpose(), scaled_x);
        let factor = triangular_factor(&mut columns(all.as_ref()), d + m);
        Ok(Self { inputs, cross, factor: Some(factor) })
    }

    /// Of given moments. Losses, which need E yyᵀ, are then not available.
    ///
    /// # Errors
    /// Shapes that do not agree, NaN or infinities, S_x that is not symmetric or has a negative
    /// eigenvalue beyond rounding.
    pub fn from_moments(s_x: MatRef<'_, f64>, s_yx: MatRef<'_, f64>) -> Result<Self> {
        check_symmetric("S_x", s_x)?;
        let d = s_x.nrows();
        if d == 0 || s_yx.nrows() == 0 {
            return Err(Error::empty("inputs or outputs"));
        }
        check_shape("S_yx", s_yx, s_yx.nrows(), d)?;
        let task = Self { inputs: s_x.to_owned(), cross: s_yx.to_owned(), factor: None };
        let values = eigen("S_x", s_x)?.values;
        let bound = d as f64 * f64::EPSILON * values[d - 1].abs().max(values[0].abs());
        if values[0] < -bound {
            return Err(Error::range("eigenvalues of S_x", "0 or more", values[0]));
        }
        Ok(task)
    }

    /// d.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs.nrows()
    }

    /// m.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.cross.nrows()
    }

    /// S_x.
    #[must_use]
    pub fn s_x(&self) -> MatRef<'_, f64> {
        self.inputs.as_ref()
    }

    /// S_yx.
    #[must_use]
    pub fn s_yx(&self) -> MatRef<'_, f64> {
        self.cross.as_ref()
    }

    /// tr S_x.
    pub(super) fn power(&self) -> f64 {
        (0..self.inputs()).map(|i| self.inputs[(i, i)]).sum()
    }

    /// ½ E|M x − y|² of a map M, m × d.
    ///
    /// # Errors
    /// Another shape, NaN or infinities; a task of moments.
    pub fn loss(&self, map: MatRef<'_, f64>) -> Result<f64> {
        let (d, m) = (self.inputs(), self.outputs());
        check_shape("map", map, m, d)?;
        let Some(factor) = &self.factor else {
            return Err(Error::not_applicable("loss of a linear map", "samples", "moments alone"));
        };
        let map = Mat::from_fn(d + m, m, |i, j| match i < d {
            true => -map[(j, i)],
            false => f64::from(u8::from(i - d == j)),
        });
        let rest = times(factor.as_ref(), map.as_ref());
        Ok(0.5 * columns(rest.as_ref()).iter().map(|r| r * r).sum::<f64>())
    }

    /// In the directions whose variance is above d ε of the largest.
    pub(super) fn whitened(&self) -> Result<Whitened> {
        let d = self.inputs();
        let eigen = eigen("S_x", self.inputs.as_ref())?;
        let floor = d as f64 * f64::EPSILON * eigen.values[d - 1];
        let kept: Vec<usize> = (0..d).filter(|&a| eigen.values[a] > floor).collect();
        let back = Mat::from_fn(d, kept.len(), |i, a| {
            eigen.vectors[(i, kept[a])] / eigen.values[kept[a]].sqrt()
        });
        let target = times(self.cross.as_ref(), back.as_ref());
        Ok(Whitened { back, target })
    }
}

pub(super) fn eigen(what: &str, a: MatRef<'_, f64>) -> Result<crate::krylov::SymmetricEigen> {
    symmetric_eigen(a).ok_or_else(|| Error::range(what, "a matrix with eigenvalues", "none found"))
}
