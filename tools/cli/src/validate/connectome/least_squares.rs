//! `nnls`: nonnegative least squares of all shapes, ranks and scales.

use hesse::optimize::Nnls;
use hesse::{Error, Result};

use super::problem::{about, matrix, numbers};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout: any number of cases, `NAME_A`, `NAME_B` and what came out.
pub(super) struct LeastSquares;

/// Solutions, to their largest entry.
const SOLUTION: Rule = Rule::Relative(1e-6);
/// Fits and residuals, which are unique.
const FIT: Rule = Rule::Relative(1e-8);

impl Layout for LeastSquares {
    fn name(&self) -> &'static str {
        "nnls"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["tall_A", "tall_B"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let cases: Vec<&str> =
            arrays.numbers.keys().filter_map(|name| name.strip_suffix("_A")).collect();
        for case in cases {
            solve(checks, arrays, case).map_err(|error| about(arrays, error))?;
        }
        Ok(())
    }
}

fn solve(checks: &mut Checks<'_>, arrays: &Arrays, case: &str) -> Result<()> {
    let named = |what: &str| format!("{case}_{what}");
    for input in ["A", "B", "unique"] {
        checks.inputs(&[&named(input)]);
    }
    let (a, b) = (matrix(arrays, &named("A"))?, matrix(arrays, &named("B"))?);
    if a.nrows() != b.nrows() {
        return Err(Error::shape(named("B"), a.nrows(), b.nrows()));
    }
    let fit = Nnls::new().solve_many(a.as_ref(), b.as_ref())?;
    checks.compare(&named("X"), SOLUTION, &numbers(fit.x.as_ref()));
    checks.compare(&named("rnorm"), FIT, &Numbers::vector(fit.residual_norms.clone()));
    checks.compare(&named("fit"), FIT, &numbers((&a * &fit.x).as_ref()));
    let kkt = named("kkt");
    if checks.wants(&[&kkt]) {
        checks.inputs(&[&kkt]);
        let above = fit
            .certificates
            .iter()
            .filter(|c| !(c.primal <= 1e-9 && c.dual <= 1e-9 && c.complementarity <= 1e-9));
        checks.law(&kkt, "our certificates, relative to Aᵀb, are below 1e-9", above.count());
    }
    Ok(())
}
