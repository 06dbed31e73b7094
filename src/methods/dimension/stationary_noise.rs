//! Where stochastic gradient descent wanders near a minimum.

use faer::{Mat, MatRef};

use super::linear_task::eigen;
use super::products::{check_shape, check_symmetric, inner, times};
use crate::{Error, Result};

/// The stationary covariance of stochastic gradient descent in a quadratic bowl.
///
/// With Hessian H, covariance C of the gradients of single samples, learning rate η and batches of B
/// drawn with replacement, Σ = (I − ηH) Σ (I − ηH) + (η²/B) C. In the eigenvectors of H,
/// Σ_ij = (η/B) C_ij/(l_i + l_j − η l_i l_j). For C = c H this is (ηc/B)(2I − ηH)⁻¹, nearly
/// (ηc/2B) I. The loss that the noise adds is ½ tr(ΣH), for C = c H about (ηc/4B) tr H: larger
/// rates and smaller batches are penalised by more.
///
/// Dense: O(p³) for p parameters. For larger p, C = c H and small rates, that last expression with
/// [`Trace`](crate::krylov::Trace) on the exact Hessian.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StationaryNoise {
    /// Σ, 0 along directions in which neither H nor C has anything.
    pub covariance: Mat<f64>,
    /// ½ tr(ΣH).
    pub penalty: f64,
}

impl StationaryNoise {
    /// Of Hessian H, gradient covariance C, rate η and batch B.
    ///
    /// # Errors
    /// Matrices that are not symmetric or not of one size, NaN or infinities, η ≤ 0, B = 0; an
    /// eigenvalue of H that is negative beyond rounding, or ηλ ≥ 2: both run away; noise along a
    /// direction without curvature, where it adds up for ever.
    pub fn new(
        hessian: MatRef<'_, f64>,
        noise: MatRef<'_, f64>,
        rate: f64,
        batch: usize,
    ) -> Result<Self> {
        check_symmetric("Hessian", hessian)?;
        check_symmetric("gradient covariance", noise)?;
        let p = hessian.nrows();
        if p == 0 {
            return Err(Error::empty("parameters"));
        }
        check_shape("gradient covariance", noise, p, p)?;
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::range("learning rate", "more than 0", rate));
        }
        if batch == 0 {
            return Err(Error::range("batch", "1 or more", 0));
        }
        let eigen = eigen("Hessian", hessian)?;
        let (low, high) = (eigen.values[0], eigen.values[p - 1]);
        let floor = p as f64 * f64::EPSILON * high.abs().max(low.abs());
        if low < -floor {
            return Err(Error::range("eigenvalues of the Hessian", "0 or more", low));
        }
        if rate * high >= 2.0 {
            return Err(Error::range("learning rate", format!("below {}", 2.0 / high), rate));
        }
        let l: Vec<f64> = eigen.values.iter().map(|&l| if l > floor { l } else { 0.0 }).collect();
        let rotated =
            times(times(eigen.vectors.transpose(), noise).as_ref(), eigen.vectors.as_ref());
        let largest = (0..p).fold(0.0_f64, |m, i| m.max(rotated[(i, i)].abs()));
        let mut covariance = Mat::zeros(p, p);
        for (i, j) in (0..p).flat_map(|j| (0..p).map(move |i| (i, j))) {
            let damping = l[i] + l[j] - rate * l[i] * l[j];
            if damping > 0.0 {
                covariance[(i, j)] = rate / batch as f64 * rotated[(i, j)] / damping;
            } else if rotated[(i, j)].abs() > 64.0 * p as f64 * f64::EPSILON * largest {
                let expected = "noise only where there is curvature";
                return Err(Error::range("gradient covariance", expected, rotated[(i, j)]));
            }
        }
        let back = times(eigen.vectors.as_ref(), covariance.as_ref());
        let back = times(back.as_ref(), eigen.vectors.transpose());
        let covariance = Mat::from_fn(p, p, |i, j| 0.5 * (back[(i, j)] + back[(j, i)]));
        let penalty = 0.5 * inner(covariance.as_ref(), hessian);
        Ok(Self { covariance, penalty })
    }
}
