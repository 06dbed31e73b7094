//! `published_self_test`: the problem that comes with the published solver, on paths with Dirichlet
//! ends.

use hesse::Result;
use hesse::connectome::{
    Observed, SmoothingOperator, SplineRegression, TracingData, effective_lambda,
};
use hesse::sprs::TriMat;

use super::problem::{DIRECT, about, compare_scalar, entries, matrix};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout.
pub(super) struct SelfTest;

/// What the reference itself is good to: it ends at a residual of 5·10⁻⁶.
const OBJECTIVE: Rule = Rule::Relative(1e-6);
/// Sums over a minimiser that the reference knows as well as that.
const SUMS: Rule = Rule::Relative(1e-5);

impl Layout for SelfTest {
    fn name(&self) -> &'static str {
        "published_self_test"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["X", "Y", "lam", "f_published"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

/// Second differences on n voxels, zero beyond both ends.
///
/// # Errors
/// None for n > 0.
pub(crate) fn dirichlet(n: usize) -> Result<SmoothingOperator> {
    let mut triplets = TriMat::new((n, n));
    for i in 0..n {
        triplets.add_triplet(i, i, -2.0);
        if i + 1 < n {
            triplets.add_triplet(i, i + 1, 1.0);
            triplets.add_triplet(i + 1, i, 1.0);
        }
    }
    SmoothingOperator::from_sparse(triplets.to_csr::<usize>().view())
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let (x, y) = (matrix(arrays, "X")?, matrix(arrays, "Y")?);
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .observed(Observed::everywhere(y.nrows(), y.ncols()))
        .build()?;
    let lambda = arrays.scalar("lam")?;
    compare_scalar(checks, "lam_eff", DIRECT, effective_lambda(&data, lambda));
    compare_scalar(checks, "f_at_zero", DIRECT, data.squared_norm());
    let (lx, ly) = (dirichlet(data.sources())?, dirichlet(data.targets())?);
    let fit = SplineRegression::new().lambda(lambda).tol_kkt(1e-6).fit(&data, &lx, &ly)?;
    compare_scalar(checks, "f", OBJECTIVE, fit.objective);
    let above = usize::from(fit.objective >= arrays.scalar("f_published")?);
    checks.law("f_published", "our objective is lower", above);
    let w = entries(&fit)?;
    let ny = data.targets();
    let rows = (0..ny).map(|t| w.iter().skip(t).step_by(ny).sum()).collect();
    let columns = w.chunks_exact(ny).map(|column| column.iter().sum()).collect();
    checks.compare("W_row_sums", SUMS, &Numbers::vector(rows));
    checks.compare("W_col_sums", SUMS, &Numbers::vector(columns));
    // Those of searches that ended before their zeros were known.
    checks.not_recomputed(&["n_active", "n_active_published", "iterations_published", "kkt"]);
    Ok(())
}
