//! Small dense problems of the Krylov methods, always on one thread.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{
    ComputeEigenvectors, self_adjoint_evd_scratch, tridiagonal_self_adjoint_evd,
};
use faer::linalg::{evd::self_adjoint_evd, triangular_inverse};
use faer::{Mat, MatRef, Par};

use crate::{Error, Result};

/// Eigenvalues, ascending, of the symmetric tridiagonal matrix with this diagonal and subdiagonal,
/// and the squared first components of its unit eigenvectors.
pub(super) fn tridiagonal_eigen(alpha: &[f64], beta: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    let m = alpha.len();
    if m == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    let diagonal: Diag<f64> = alpha.iter().copied().collect::<faer::Col<f64>>().into_diagonal();
    let padded = (0..m).map(|i| beta.get(i).copied().unwrap_or(0.0));
    let subdiagonal: Diag<f64> = padded.collect::<faer::Col<f64>>().into_diagonal();
    let mut values = Diag::<f64>::zeros(m);
    let mut vectors = Mat::<f64>::zeros(m, m);
    let scratch = self_adjoint_evd_scratch::<f64>(
        m,
        ComputeEigenvectors::Yes,
        Par::Seq,
        faer::Spec::default(),
    );
    tridiagonal_self_adjoint_evd(
        diagonal.as_ref(),
        subdiagonal.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        faer::Spec::default(),
    )
    .map_err(|_| no_convergence(m))?;
    let weights = (0..m).map(|i| vectors[(0, i)] * vectors[(0, i)]).collect();
    Ok(((0..m).map(|i| values[i]).collect(), weights))
}

fn no_convergence(size: usize) -> Error {
    Error::range(
        "small symmetric eigenproblem",
        "convergence of the QR algorithm",
        format!("none at size {size}"),
    )
}

/// Smallest eigenvalue of a symmetric matrix; +∞ for an empty one.
pub(super) fn smallest_eigenvalue(a: MatRef<'_, f64>) -> Result<f64> {
    let n = a.nrows();
    if n == 0 {
        return Ok(f64::INFINITY);
    }
    let mut values = Diag::<f64>::zeros(n);
    let scratch = self_adjoint_evd_scratch::<f64>(
        n,
        ComputeEigenvectors::No,
        Par::Seq,
        faer::Spec::default(),
    );
    self_adjoint_evd(
        a,
        values.as_mut(),
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        faer::Spec::default(),
    )
    .map_err(|_| no_convergence(n))?;
    Ok(values[0])
}

/// Inverse of an upper triangular matrix with non-zero diagonal.
pub(super) fn inverse_upper(r: MatRef<'_, f64>) -> Mat<f64> {
    let mut inverse = Mat::zeros(r.nrows(), r.ncols());
    triangular_inverse::invert_upper_triangular(inverse.as_mut(), r, Par::Seq);
    inverse
}

/// Upper triangular C with CᵀC = A for a symmetric positive definite A; `None` for others.
pub(super) fn cholesky_upper(a: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let n = a.nrows();
    let mut c = Mat::<f64>::zeros(n, n);
    for j in 0..n {
        for i in 0..=j {
            let dot: f64 = (0..i).map(|l| c[(l, i)] * c[(l, j)]).sum();
            let rest = a[(i, j)] - dot;
            if i < j {
                c[(i, j)] = rest / c[(i, i)];
            } else if rest > 0.0 && rest.is_finite() {
                c[(j, j)] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(c)
}

/// (A + Aᵀ)/2.
pub(super) fn symmetric_part(a: MatRef<'_, f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| 0.5 * (a[(i, j)] + a[(j, i)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tridiagonal_matrix_of_known_spectrum() {
        // The second difference matrix: 2 − 2 cos(jπ/(m+1)), components √(2/(m+1)) sin(jπ/(m+1)).
        for m in [1, 2, 3, 40, 200] {
            let (values, weights) = tridiagonal_eigen(&vec![2.0; m], &vec![-1.0; m - 1]).unwrap();
            for j in 1..=m {
                let angle = j as f64 * std::f64::consts::PI / (m + 1) as f64;
                let weight = 2.0 / (m + 1) as f64 * angle.sin().powi(2);
                let bound = 8.0 * m as f64 * f64::EPSILON;
                assert!((values[j - 1] - (2.0 - 2.0 * angle.cos())).abs() <= bound, "{m} {j}");
                assert!((weights[j - 1] - weight).abs() <= bound, "{m} {j}");
            }
        }
        assert_eq!(tridiagonal_eigen(&[], &[]).unwrap(), (vec![], vec![]));
        assert_eq!(tridiagonal_eigen(&[0.0; 3], &[0.0; 2]).unwrap().0, [0.0; 3]);
    }

    #[test]
    fn triangular_inverse_and_cholesky() {
        let a = Mat::from_fn(6, 6, |i, j| if i == j { 6.0 } else { 1.0 / (1 + i + j) as f64 });
        let c = cholesky_upper(a.as_ref()).unwrap();
        let inverse = inverse_upper(c.as_ref());
        for i in 0..6 {
            for j in 0..6 {
                let product: f64 = (0..6).map(|l| c[(l, i)] * c[(l, j)]).sum();
                assert!((product - a[(i, j)]).abs() < 1e-14);
                let identity: f64 = (0..6).map(|l| inverse[(i, l)] * c[(l, j)]).sum();
                assert!((identity - f64::from(u8::from(i == j))).abs() < 1e-14);
            }
        }
        let indefinite = Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { 2.0 });
        assert!(cholesky_upper(indefinite.as_ref()).is_none());
        assert!((smallest_eigenvalue(indefinite.as_ref()).unwrap() + 1.0).abs() < 1e-14);
    }
}
