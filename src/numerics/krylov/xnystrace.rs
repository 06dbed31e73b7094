//! XNysTrace: the trace of a Nyström approximation, each probe left out in turn.
//!
//! Source: E. N. Epperly, J. A. Tropp and R. J. Webber, XTrace: making the most of every sample in
//! stochastic trace estimation, SIAM J. Matrix Anal. Appl. 45 (2024), section 2.3, with the shift
//! of their implementation. Departure: the standard error counts that the terms share probes, see
//! [`leave_one_out`]: their own spread, which the paper states, is 1.1 to 4 times too small.

use faer::{Mat, MatRef};

use crate::{Error, Real, Result};

use super::orthonormal::orthonormalize;
use super::trace::{Run, Sketch};
use super::{EstimateStatus, LinearOperator, TraceEstimate, dense, leave_one_out, tall};

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
    let independent = |factor: &Mat<f64>| {
        let left = |j: usize| factor[(j, j)] * factor[(j, j)];
        (0..k).all(|j| left(j) > 64.0 * f64::EPSILON * gram[(j, j)])
    };
    let Some(gram_factor) = dense::cholesky_upper(gram.as_ref()).filter(independent) else {
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

    // Rows of C⁻¹, of BC⁻ᵀ (as columns of C⁻¹Bᵀ) and of the inverse factor of ΩᵀΩ: all that is asked
    // below are norms of these, and of one made orthogonal to another.
    let inverse = dense::inverse_upper(factor.as_ref());
    let b = product(r.as_ref(), inverse.as_ref());
    let directions = product(inverse.as_ref(), b.transpose());
    let gram_inverse = dense::inverse_upper(gram_factor.as_ref());
    let row = |m: &Mat<f64>, i: usize| -> Vec<f64> { (0..m.ncols()).map(|j| m[(i, j)]).collect() };
    let rows: Vec<[Vec<f64>; 3]> =
        (0..k).map(|i| [row(&inverse, i), row(&directions, i), row(&gram_inverse, i)]).collect();
    let trace: f64 = rows_square(&b) - shift * n as f64;
    // The residual of probe j and the loss of trace, with the complement of the probes left in.
    let term = |low_rank: f64, [c, d, g]: [f64; 3], complement: usize| {
        let scale = if sphere { complement as f64 * g } else { 1.0 };
        low_rank - d / c + scale / c
    };
    let terms: Vec<f64> =
        rows.iter().map(|own| term(trace, own.each_ref().map(|x| dot(x, x)), n - k + 1)).collect();
    // Without probe j as well: the same with the rows of i made orthogonal to those of j.
    let without = |i: usize, j: usize| {
        let [c, d, g] = &rows[j];
        let share = dot(c, &rows[i][0]) / dot(c, c);
        let gram_share = dot(g, &rows[i][2]) / dot(g, g);
        let squares = [
            rest_square(&rows[i][0], c, share),
            rest_square(&rows[i][1], d, share),
            rest_square(&rows[i][2], g, gram_share),
        ];
        term(trace - dot(d, d) / dot(c, c), squares, n - k + 2)
    };
    let standard_error = leave_one_out::standard_error(&terms, without);
    run.finish_with(&terms, standard_error, EstimateStatus::BudgetSpent)
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// ‖x − a y‖².
fn rest_square(x: &[f64], y: &[f64], a: f64) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - a * y) * (x - a * y)).sum()
}

/// ‖M‖²_F.
fn rows_square(m: &Mat<f64>) -> f64 {
    m.col_iter().map(|column| column.iter().map(|x| x * x).sum::<f64>()).sum()
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
