//! XNysTrace: the trace of a Nyström approximation, each probe left out in turn.
//!
//! Source: E. N. Epperly, J. A. Tropp and R. J. Webber, XTrace: making the most of every sample in
//! stochastic trace estimation, SIAM J. Matrix Anal. Appl. 45 (2024), section 2.3, with the shift
//! of their implementation.

use faer::{Mat, MatRef};

use crate::{Error, Real, Result};

use super::orthonormal::orthonormalize;
use super::trace::{Run, Sketch};
use super::{EstimateStatus, LinearOperator, TraceEstimate, dense, tall};

/// Rounding of the operator's own sums can need a larger shift than one unit: ×8 so many times.
const MAX_SHIFTS: usize = 5;

/// Mean over i of tr Âᵢ + ωᵢᵀ(A − Âᵢ)ωᵢ, Âᵢ the Nyström approximation from all probes but ωᵢ.
///
/// With Y = AΩ = QR, H = ΩᵀY = CᵀC, B = RC⁻¹ and sᵢ = BC⁻ᵀeᵢ/√(H⁻¹)ᵢᵢ, all for A + νI:
/// termᵢ = ‖B‖²_F − ‖sᵢ‖² + cᵢ/(H⁻¹)ᵢᵢ − νn, where the residual's 1/(H⁻¹)ᵢᵢ is the Schur
/// complement of probe i, and on the sphere cᵢ = (n − k + 1)·((ΩᵀΩ)⁻¹)ᵢᵢ, else 1.
pub(super) fn estimate<T: Real, A: LinearOperator<T> + ?Sized>(
    run: &mut Run<'_, T, A>,
    k: usize,
    sphere: bool,
) -> Result<TraceEstimate> {
    let n = run.products.dimension;
    let Sketch { omega, mut y, terms: plain, stopped } = run.sketch(k, true)?;
    if stopped && plain.len() < k {
        return run.finish(&plain, EstimateStatus::Interrupted);
    }
    let size = y.chunks_exact(n).map(|y| tall::dot(y, y)).sum::<f64>().sqrt();
    if size == 0.0 {
        return run.finish(&vec![0.0; k], EstimateStatus::BudgetSpent);
    }
    let small =
        |data: Vec<f64>| dense::symmetric_part(MatRef::from_column_major_slice(&data, k, k));
    let h = small(tall::transpose_product(&omega, &y, n));
    let gram = small(tall::transpose_product(&omega, &omega, n));
    let Some(gram_factor) = dense::cholesky_upper(gram.as_ref()) else {
        return Err(Error::range("probes", "linearly independent vectors", "dependent ones"));
    };
    let (shift, factor) = shifted_factor(&h, &gram, T::EPSILON.to_f64() * size / (n as f64).sqrt())
        .ok_or_else(|| match dense::smallest_eigenvalue(h.as_ref()) {
            Ok(negative) => Error::range(
                "operator of xnystrace",
                "a positive semidefinite one",
                format!(
                    "probes between which it has the eigenvalue {:e}",
                    run.products.unscaled(negative)
                ),
            ),
            Err(error) => error,
        })?;
    for (y, x) in y.iter_mut().zip(&omega) {
        *y = T::from_f64(y.to_f64() + shift * x.to_f64());
    }
    drop(omega);
    let r = orthonormalize(y, n).r;

    let inverse = dense::inverse_upper(factor.as_ref());
    // B = R C⁻¹ and B C⁻ᵀ, each r × k.
    let b = product(r.as_ref(), inverse.as_ref());
    let directions = product(b.as_ref(), inverse.transpose());
    let gram_inverse = dense::inverse_upper(gram_factor.as_ref());
    let square =
        |m: &Mat<f64>, j: usize| (0..m.nrows()).map(|i| m[(i, j)] * m[(i, j)]).sum::<f64>();
    // (CᵀC)⁻¹ᵢᵢ is the squared norm of row i of C⁻¹.
    let row_square = |m: &Mat<f64>, i: usize| (0..k).map(|j| m[(i, j)] * m[(i, j)]).sum::<f64>();
    let low_rank: f64 = (0..k).map(|j| square(&b, j)).sum();
    let term = |i: usize| {
        let inverse_diagonal = row_square(&inverse, i);
        let scale = if sphere { (n - k + 1) as f64 * row_square(&gram_inverse, i) } else { 1.0 };
        low_rank - square(&directions, i) / inverse_diagonal + scale / inverse_diagonal
            - shift * n as f64
    };
    run.finish(&(0..k).map(term).collect::<Vec<_>>(), EstimateStatus::BudgetSpent)
}

/// ν and the upper Cholesky factor of H + ν G, for the first of a few growing ν that has one.
fn shifted_factor(h: &Mat<f64>, gram: &Mat<f64>, first: f64) -> Option<(f64, Mat<f64>)> {
    let mut shift = first;
    for _ in 0..MAX_SHIFTS {
        let k = h.nrows();
        let shifted = Mat::from_fn(k, k, |i, j| h[(i, j)] + shift * gram[(i, j)]);
        if let Some(factor) = dense::cholesky_upper(shifted.as_ref()) {
            return Some((shift, factor));
        }
        shift *= 8.0;
    }
    None
}

fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut c = Mat::zeros(a.nrows(), b.ncols());
    faer::linalg::matmul::matmul(c.as_mut(), faer::Accum::Replace, a, b, 1.0, faer::Par::Seq);
    c
}
