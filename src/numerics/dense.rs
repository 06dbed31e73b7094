//! Small dense factorisations, always on one thread: the same bits whatever the pool.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd::{
    ComputeEigenvectors, evd_real, evd_scratch, self_adjoint_evd_scratch,
    tridiagonal_self_adjoint_evd,
};
use faer::linalg::matmul::triangular::{BlockStructure, matmul as matmul_structured};
use faer::linalg::qr::no_pivoting::factor::{
    qr_in_place, qr_in_place_scratch, recommended_block_size,
};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::linalg::{evd::self_adjoint_evd, triangular_inverse};
use faer::{Accum, Mat, MatMut, MatRef, Par, c64};

use hesse_kernels::level1;

use crate::{Error, Isa, Result};

/// Eigenvalues, ascending, of the symmetric tridiagonal matrix with this diagonal and subdiagonal,
/// and the squared first components of its unit eigenvectors.
pub(crate) fn tridiagonal_eigen(alpha: &[f64], beta: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
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

/// Eigenvalues of a square matrix with finite elements, in no particular order.
pub(crate) fn eigenvalues(a: MatRef<'_, f64>) -> Result<Vec<c64>> {
    let n = a.nrows();
    let (mut re, mut im) = (Diag::<f64>::zeros(n), Diag::<f64>::zeros(n));
    let none = ComputeEigenvectors::No;
    let scratch = evd_scratch::<f64>(n, none, none, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    evd_real(a, re.as_mut(), im.as_mut(), None, None, Par::Seq, stack, Default::default())
        .map_err(|_| {
            Error::range("eigenvalues", "convergence of the QR algorithm", format!("none at {n}"))
        })?;
    Ok((0..n).map(|i| c64::new(re[i], im[i])).collect())
}

/// Smallest eigenvalue of a symmetric matrix; +∞ for an empty one.
pub(crate) fn smallest_eigenvalue(a: MatRef<'_, f64>) -> Result<f64> {
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
pub(crate) fn inverse_upper(r: MatRef<'_, f64>) -> Mat<f64> {
    let mut inverse = Mat::zeros(r.nrows(), r.ncols());
    triangular_inverse::invert_upper_triangular(inverse.as_mut(), r, Par::Seq);
    inverse
}

/// Upper triangular C with CᵀC = A for a symmetric positive definite A; `None` for others.
pub(crate) fn cholesky_upper(a: MatRef<'_, f64>) -> Option<Mat<f64>> {
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

/// Singular values of A, descending: Householder QR of the tall one of A and Aᵀ, then the SVD of the
/// square R. 2·m·k² + O(k³) flops for k = min of the two sizes and m the larger one. The backward
/// error is a few ε‖A‖, so that values far below the largest keep fewer digits.
///
/// `columns`, m × k with m ≥ k column-major, is overwritten. Elements must be finite; they may be as
/// large or as small as the type holds.
pub(crate) fn singular_values_of_columns(columns: &mut [f64], k: usize) -> Result<Vec<f64>> {
    let m = columns.len().checked_div(k).unwrap_or(0);
    debug_assert!(m >= k);
    let largest = level1::max_abs(Isa::current(), columns);
    if largest == 0.0 {
        return Ok(vec![0.0; k]);
    }
    // A power of two that brings the largest element near 1: squares neither overflow nor vanish.
    let scale = libm::exp2(-libm::floor(libm::log2(largest)).clamp(-1000.0, 1000.0));
    columns.iter_mut().for_each(|x| *x *= scale);
    let mut values = if k == 1 {
        vec![columns.iter().map(|x| x * x).sum::<f64>().sqrt()]
    } else if m == k {
        square_svd(MatRef::from_column_major_slice(columns, k, k), false)?.values
    } else {
        square_svd(triangular_factor(columns, k).as_ref(), false)?.values
    };
    values.iter_mut().for_each(|s| *s /= scale);
    Ok(values)
}

/// R (k × k, upper triangular) of the Householder QR of `columns`, m × k with m ≥ k column-major, which
/// is overwritten: AᵀA = RᵀR. 2·m·k² flops.
pub(crate) fn triangular_factor(columns: &mut [f64], k: usize) -> Mat<f64> {
    let m = columns.len().checked_div(k).unwrap_or(0);
    let mut a = MatMut::from_column_major_slice_mut(columns, m, k);
    let block = recommended_block_size::<f64>(m, k);
    let mut coefficients = Mat::<f64>::zeros(block, k);
    let scratch = qr_in_place_scratch::<f64>(m, k, block, Par::Seq, Default::default());
    qr_in_place(
        a.as_mut(),
        coefficients.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    Mat::from_fn(k, k, |i, j| if i <= j { a[(i, j)] } else { 0.0 })
}

/// A = U diag(s) Vᵀ of a square matrix, s descending; U and V are empty unless asked for.
pub(crate) struct SquareSvd {
    pub values: Vec<f64>,
    pub left: Mat<f64>,
    pub right: Mat<f64>,
}

/// The SVD of a square matrix with finite elements.
pub(crate) fn square_svd(a: MatRef<'_, f64>, vectors: bool) -> Result<SquareSvd> {
    let k = a.ncols();
    let mut values = Diag::<f64>::zeros(k);
    let wanted = if vectors { ComputeSvdVectors::Full } else { ComputeSvdVectors::No };
    let size = if vectors { k } else { 0 };
    let (mut left, mut right) = (Mat::<f64>::zeros(size, size), Mat::<f64>::zeros(size, size));
    let scratch = svd_scratch::<f64>(k, k, wanted, wanted, Par::Seq, Default::default());
    svd(
        a,
        values.as_mut(),
        vectors.then(|| left.as_mut()),
        vectors.then(|| right.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| no_svd(k))?;
    Ok(SquareSvd { values: values.column_vector().iter().copied().collect(), left, right })
}

/// The lower triangle of C ← C + A Aᵀ for A of n × k; n² k flops, half of a full product.
pub(crate) fn add_gram_lower(c: &mut Mat<f64>, a: MatRef<'_, f64>) {
    matmul_structured(
        c.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        a,
        BlockStructure::Rectangular,
        a.transpose(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

/// Lower triangular L with L Lᵀ = A, of a symmetric matrix of which the lower triangle is read;
/// `None` unless A is positive definite. n³/3 flops.
pub(crate) fn cholesky_lower(a: MatRef<'_, f64>) -> Option<Mat<f64>> {
    let n = a.nrows();
    let mut l = Mat::from_fn(n, n, |i, j| if i >= j { a[(i, j)] } else { 0.0 });
    let scratch = cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default());
    cholesky_in_place(
        l.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .ok()?;
    let definite = (0..n).all(|i| l[(i, i)] > 0.0 && l[(i, i)].is_finite());
    definite.then(|| Mat::from_fn(n, n, |i, j| if i >= j { l[(i, j)] } else { 0.0 }))
}

/// B ← L⁻¹ B for a lower triangular L with non-zero diagonal.
pub(crate) fn solve_lower(l: MatRef<'_, f64>, b: MatMut<'_, f64>) {
    solve_lower_triangular_in_place(l, b, Par::Seq);
}

/// A = U diag(s) Vᵀ of any shape, s descending, with min(m, n) columns of U and V.
pub(crate) struct ThinSvd {
    pub values: Vec<f64>,
    pub left: Mat<f64>,
    pub right: Mat<f64>,
}

/// The thin SVD of a matrix with finite elements.
pub(crate) fn thin_svd(a: MatRef<'_, f64>) -> Result<ThinSvd> {
    let (m, n) = a.shape();
    let k = m.min(n);
    let mut values = Diag::<f64>::zeros(k);
    let (mut left, mut right) = (Mat::<f64>::zeros(m, k), Mat::<f64>::zeros(n, k));
    let thin = ComputeSvdVectors::Thin;
    let scratch = svd_scratch::<f64>(m, n, thin, thin, Par::Seq, Default::default());
    svd(
        a,
        values.as_mut(),
        Some(left.as_mut()),
        Some(right.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| no_svd(k))?;
    Ok(ThinSvd { values: values.column_vector().iter().copied().collect(), left, right })
}

/// The singular values, descending, of a matrix of any shape with finite elements.
pub(crate) fn singular_values(a: MatRef<'_, f64>) -> Result<Vec<f64>> {
    let (m, n) = a.shape();
    let mut values = Diag::<f64>::zeros(m.min(n));
    let none = ComputeSvdVectors::No;
    let scratch = svd_scratch::<f64>(m, n, none, none, Par::Seq, Default::default());
    svd(
        a,
        values.as_mut(),
        None,
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| no_svd(m.min(n)))?;
    Ok(values.column_vector().iter().copied().collect())
}

fn no_svd(size: usize) -> Error {
    let got = format!("none at {size}");
    Error::range("singular values", "convergence of the QR algorithm", got)
}

/// (A + Aᵀ)/2.
pub(crate) fn symmetric_part(a: MatRef<'_, f64>) -> Mat<f64> {
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
    fn singular_values_of_known_matrices() {
        // Columns c_j e_j, rotated by a Householder reflection: the values are |c_j|.
        for (m, k) in [(1, 1), (5, 1), (5, 5), (40, 7), (300, 33)] {
            for scale in [1.0, 1e-200, 1e200] {
                let value = |j: usize| scale * 0.5_f64.powi(i32::try_from(j).unwrap());
                let v: Vec<f64> = (0..m).map(|i| ((i * 7) % 5) as f64 - 2.0 + 0.1).collect();
                let norm: f64 = v.iter().map(|x| x * x).sum();
                let mut a: Vec<f64> = (0..k * m)
                    .map(|e| {
                        let (j, i) = (e / m, e % m);
                        value(j) * (f64::from(u8::from(i == j)) - 2.0 * v[i] * v[j] / norm)
                    })
                    .collect();
                let values = singular_values_of_columns(&mut a, k).unwrap();
                for (j, s) in values.iter().enumerate() {
                    assert!((s - value(j)).abs() <= 1e-15 * m as f64 * scale, "{m} {k} {j} {s:e}");
                }
            }
        }
        assert_eq!(singular_values_of_columns(&mut [0.0; 6], 2).unwrap(), [0.0; 2]);
    }

    #[test]
    fn triangles_and_thin_svds_rebuild_their_matrices() {
        for (m, n) in [(1, 1), (7, 3), (3, 7), (40, 33)] {
            let a = Mat::from_fn(m, n, |i, j| ((i * 7 + j * 13) % 11) as f64 - 5.0);
            let mut gram = Mat::full(m, m, 2.0);
            add_gram_lower(&mut gram, a.as_ref());
            let svd = thin_svd(a.as_ref()).unwrap();
            let bound = 1e-14 * (m + n) as f64 * 25.0;
            for i in 0..m {
                for j in 0..m {
                    let dot: f64 = (0..n).map(|l| a[(i, l)] * a[(j, l)]).sum();
                    assert_eq!(gram[(i, j)], 2.0 + if i >= j { dot } else { 0.0 });
                }
                for j in 0..n {
                    let term = |l: usize| svd.left[(i, l)] * svd.values[l] * svd.right[(j, l)];
                    let rebuilt: f64 = (0..m.min(n)).map(term).sum();
                    assert!((rebuilt - a[(i, j)]).abs() <= bound, "{m} {n}");
                }
            }
            let values = singular_values(a.as_ref()).unwrap();
            assert!(values.iter().zip(&svd.values).all(|(a, b)| (a - b).abs() <= bound));
        }
        let a = Mat::from_fn(6, 6, |i, j| if i == j { 6.0 } else { 1.0 / (1 + i + j) as f64 });
        let l = cholesky_lower(a.as_ref()).unwrap();
        let mut x = a.clone();
        solve_lower(l.as_ref(), x.as_mut());
        for i in 0..6 {
            for j in 0..6 {
                // L⁻¹ A = Lᵀ.
                assert!((x[(i, j)] - l[(j, i)]).abs() < 1e-14);
            }
        }
        let indefinite = Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { 2.0 });
        assert!(cholesky_lower(indefinite.as_ref()).is_none());
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
