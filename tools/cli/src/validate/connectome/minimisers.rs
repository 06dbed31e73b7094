//! `p1_small`: unique minimisers of small problems, and the unique fit of one without smoothing.

use hesse::Result;
use hesse::connectome::{SmoothingOperator, SplineObjective, SplineRegression, VoxelMask};

use super::problem::{
    MINIMISER, OPTIMUM, about, columns, compare_scalar, data, entries, from_columns, mask, matrix,
    numbers, stationary,
};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Rule};

/// The layout: any number of cases, `NAME_X`, `NAME_Y`, `NAME_Omega`, `NAME_lam` and what came out;
/// voxels lie on paths, or where there is one in `NAME_mask`.
pub(super) struct Minimisers;

impl Layout for Minimisers {
    fn name(&self) -> &'static str {
        "p1_small"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["b_X", "b_Y", "b_Omega", "b_lam", "b_mask"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let cases: Vec<&str> = arrays
            .numbers
            .keys()
            .filter_map(|name| name.strip_suffix("_Omega"))
            .filter(|case| arrays.numbers.contains_key(&format!("{case}_X")))
            .collect();
        for case in cases {
            solve(checks, arrays, case).map_err(|error| about(arrays, error))?;
        }
        Ok(())
    }
}

fn solve(checks: &mut Checks<'_>, arrays: &Arrays, case: &str) -> Result<()> {
    let named = |what: &str| format!("{case}_{what}");
    for input in ["X", "Y", "Omega", "lam", "mask"] {
        checks.inputs(&[&named(input)]);
    }
    let data = data(arrays, &named(""))?;
    let lambda = arrays.scalar(&named("lam"))?;
    let voxels = |n: usize| -> Result<VoxelMask> {
        match arrays.numbers.contains_key(&named("mask")) {
            true => mask(arrays, &named("mask")),
            false => VoxelMask::full(&[n]),
        }
    };
    let lx = SmoothingOperator::of_voxels(&voxels(data.sources())?)?;
    let ly = SmoothingOperator::of_voxels(&voxels(data.targets())?)?;
    let regression = SplineRegression::new().lambda(lambda);
    let fit = regression.tol_kkt(1e-10).fit(&data, &lx, &ly)?;
    compare_scalar(checks, &named("f"), OPTIMUM, fit.objective);
    let w = named("W");
    checks.compare(&w, MINIMISER, &from_columns(data.targets(), entries(&fit)?));
    if checks.wants(&[&w]) {
        let stored = columns(matrix(arrays, &w)?.as_ref());
        let objective = SplineObjective::new(&data, &lx, &ly, fit.lambda_eff)?;
        stationary(checks, &named("kkt"), &objective, &stored, true)?;
        // Fewer than 2⁵³.
        compare_scalar(checks, &named("n_active"), Rule::Exact, fit.n_active as f64);
    }
    let on_omega = named("fit_on_Omega");
    if checks.wants(&[&on_omega]) {
        let mut prediction = fit.predict(matrix(arrays, &named("X"))?.as_ref())?;
        for e in 0..data.experiments() {
            for t in (0..data.targets()).filter(|&t| !data.observed().at(t, e)) {
                prediction[(t, e)] = 0.0;
            }
        }
        checks.compare(&on_omega, MINIMISER, &numbers(prediction.as_ref()));
    }
    Ok(())
}
