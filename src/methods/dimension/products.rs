//! Products of small matrices.

use faer::{Mat, MatRef};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use crate::{Error, Isa, Result};

/// A B, of matrices with any strides.
pub(super) fn times(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    if m == 0 || k == 0 || n == 0 {
        return Mat::zeros(m, n);
    }
    let (left, right) = (columns(a), columns(b));
    let mut c = vec![0.0; m * n];
    let (left, right) =
        (MatrixRef::column_major(&left, m, k), MatrixRef::column_major(&right, k, n));
    gemm(Isa::current(), 1.0, left, right, 0.0, MatrixMut::column_major(&mut c, m, n));
    MatRef::from_column_major_slice(&c, m, n).to_owned()
}

/// The columns one after the other.
pub(super) fn columns(a: MatRef<'_, f64>) -> Vec<f64> {
    (0..a.ncols()).flat_map(|j| a.col(j).iter().copied()).collect()
}

/// The sum of products of elements: tr(AᵀB).
pub(super) fn inner(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    (0..a.ncols())
        .map(|j| a.col(j).iter().zip(b.col(j).iter()).map(|(a, b)| a * b).sum::<f64>())
        .sum()
}

pub(super) fn check_shape(
    what: &str,
    a: MatRef<'_, f64>,
    rows: usize,
    columns: usize,
) -> Result<()> {
    if a.shape() != (rows, columns) {
        return Err(Error::shape(what, (rows, columns), a.shape()));
    }
    check_elements(what, a)
}

pub(super) fn check_elements(what: &str, a: MatRef<'_, f64>) -> Result<()> {
    crate::error::check_finite(what, &columns(a))
}

/// Finite, square, and equal to its transpose up to rounding.
pub(super) fn check_symmetric(what: &str, a: MatRef<'_, f64>) -> Result<()> {
    let n = a.nrows();
    check_shape(what, a, n, n)?;
    let largest = columns(a).iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let bound = 64.0 * n as f64 * f64::EPSILON * largest;
    for (i, j) in (0..n).flat_map(|j| (0..j).map(move |i| (i, j))) {
        let apart = (a[(i, j)] - a[(j, i)]).abs();
        if apart > bound {
            let got = format!("{} at ({i}, {j}) and {} across", a[(i, j)], a[(j, i)]);
            return Err(Error::range(what, "a symmetric matrix", got));
        }
    }
    Ok(())
}
