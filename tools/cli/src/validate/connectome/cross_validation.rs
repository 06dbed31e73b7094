//! `cv`: nested cross-validation, fold by fold, and errors of leaving one experiment out.

use hesse::Result;
use hesse::connectome::{NestedCv, Shuffle, SplineRegression, leave_one_out};

use super::problem::{MINIMISER, about, counts, data, path};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout.
pub(super) struct CrossValidation;

/// The λ of `loo_mse_rel_lam100`.
const LEFT_OUT: f64 = 100.0;

impl Layout for CrossValidation {
    fn name(&self) -> &'static str {
        "cv"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["X", "Y", "Omega", "lams", "shuffle_seed"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

/// Outer and inner folds: those of the errors, or four.
fn folds(arrays: &Arrays) -> (usize, usize) {
    match arrays.numbers.get("validation_mse_rel").map(|a| &a.shape[..]) {
        Some(&[outer, inner, _]) => (outer, inner),
        _ => (4, 4),
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let data = data(arrays, "")?;
    let (lx, ly) = (path(data.sources())?, path(data.targets())?);
    let seed = arrays.counts("shuffle_seed", u32::MAX as usize)?;
    // In range as checked just now.
    let seed = seed.first().and_then(|&seed| u32::try_from(seed).ok()).unwrap_or(0);
    let shuffle = Shuffle::NumPy { seed };
    if let Some(stored) = arrays.numbers.get("fold_of_28") {
        let published = NestedCv::new().shuffle(shuffle).outer_folds(stored.values.len())?;
        checks.compare("fold_of_28", Rule::Exact, &counts(&published));
    }
    let (outer, inner) = folds(arrays);
    let lambdas = arrays.with_axes::<1>("lams")?.1.to_vec();
    let cv = NestedCv::new().folds(outer, inner).shuffle(shuffle).lambdas(lambdas);
    let report = cv.run(&data, &lx, &ly)?;
    checks.compare("outer_fold", Rule::Exact, &counts(&report.outer_fold));
    let inner_fold = report.inner_fold.iter().flatten();
    // Far below 2⁵³.
    let inner_fold = inner_fold.map(|fold| fold.map_or(-1.0, |fold| fold as f64)).collect();
    let n = data.experiments();
    checks.compare("inner_fold", Rule::Exact, &Numbers::matrix(outer, n, inner_fold));
    let errors = report.validation_mse_rel.iter().flatten().flatten().copied().collect();
    let shape = vec![outer, inner, report.lambdas.len()];
    checks.compare("validation_mse_rel", MINIMISER, &Numbers { shape, values: errors });
    checks.compare("selected_lambda_index", Rule::Exact, &counts(&report.selected));
    for (name, errors) in [
        ("test_mse_rel", &report.test_mse_rel),
        ("test_mse_rel_full_denominator", &report.test_mse_rel_full),
        ("train_mse_rel", &report.train_mse_rel),
    ] {
        checks.compare(name, MINIMISER, &Numbers::vector(errors.clone()));
    }
    if checks.wants(&["loo_mse_rel_lam100"]) {
        let fit = |data: &_| SplineRegression::new().lambda(LEFT_OUT).fit(data, &lx, &ly);
        let errors = leave_one_out(&data, fit)?;
        checks.compare("loo_mse_rel_lam100", MINIMISER, &Numbers::vector(errors));
    }
    Ok(())
}
