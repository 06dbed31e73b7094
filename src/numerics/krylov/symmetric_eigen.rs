//! Small dense symmetric eigenproblems, in `f64` and sequentially: the same bits always.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par};

/// Eigenvalues in ascending order, and the eigenvectors in columns.
pub(crate) struct SymmetricEigen {
    pub values: Vec<f64>,
    pub vectors: Mat<f64>,
}

/// A = U diag(λ) Uᵀ of a symmetric matrix with finite elements, of which the lower triangle is
/// read. 9n³ flops or so.
///
/// `None` if the iteration did not converge, which needs elements that are not finite.
pub(crate) fn symmetric_eigen(a: MatRef<'_, f64>) -> Option<SymmetricEigen> {
    let n = a.nrows();
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::<f64>::zeros(n, n);
    let par = Par::Seq;
    let scratch =
        self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, par, Default::default());
    self_adjoint_evd(
        a,
        values.as_mut(),
        Some(vectors.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .ok()?;
    let values: Vec<f64> = values.column_vector().iter().copied().collect();
    values.iter().all(|v| v.is_finite()).then_some(SymmetricEigen { values, vectors })
}

/// Eigenvalues in ascending order of a symmetric matrix with finite elements, of which the lower
/// triangle is read. 4/3 n³ flops or so, on one thread.
pub(crate) fn symmetric_eigenvalues(a: MatRef<'_, f64>) -> crate::Result<Vec<f64>> {
    let n = a.nrows();
    let mut values = Diag::<f64>::zeros(n);
    let scratch =
        self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::No, Par::Seq, Default::default());
    let found = self_adjoint_evd(
        a,
        values.as_mut(),
        None,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    let values: Vec<f64> = values.column_vector().iter().copied().collect();
    if found.is_err() || values.iter().any(|v| !v.is_finite()) {
        return Err(crate::Error::range(
            "symmetric eigenproblem",
            "convergence of the QR algorithm",
            format!("none at size {n}"),
        ));
    }
    Ok(values)
}
