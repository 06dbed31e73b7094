//! `toy1d`: the test problem on a line, its optimum, and what becomes of it without mask or signs.

use hesse::Result;
use hesse::connectome::{
    Observed, SplineObjective, SplineRegression, TracingData, effective_lambda,
};
use hesse::faer::MatRef;
use hesse::tracing_toys::TracingToyTask;

use super::problem::{
    DIRECT, MINIMISER, OPTIMUM, about, columns, compare_scalar, data, entries, from_columns,
    matrix, numbers, path, relative_error, stationary, triplets,
};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout.
pub(super) struct Toy;

impl Layout for Toy {
    fn name(&self) -> &'static str {
        "toy1d"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["X", "Y", "Omega", "lam", "centres", "widths"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&["seed", "p2_rank", "sweep_ninj"]);
        compute(checks, arrays).map_err(|error| about(arrays, error))?;
        // Of searches that did not reach an optimum, and of problems that the file does not hold.
        checks.not_recomputed(&[
            "lbfgsb_ref_f",
            "lbfgsb_ref_iterations",
            "lbfgsb_ref_relerr",
            "lam0_relerr_zero_start",
            "p2_f",
            "p2_iterations",
            "p2_relerr",
            "p2_vs_p1",
            "sweep_relerr_unconstrained",
        ]);
        Ok(())
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let data = data(arrays, "")?;
    let (nx, ny) = (data.sources(), data.targets());
    for (name, voxels) in [("nx", nx), ("ny", ny)] {
        // Few voxels.
        compare_scalar(checks, name, Rule::Exact, voxels as f64);
    }
    let task =
        TracingToyTask { sources: nx, targets: ny, experiments: data.experiments(), noise: 0.0 };
    let of = |name: &str| -> Result<Vec<f64>> { Ok(arrays.with_axes::<1>(name)?.1.to_vec()) };
    let toy = task.with(of("centres")?, of("widths")?, |_, _| 0.0)?;
    checks.compare("X", Rule::Exact, &numbers(toy.injections.as_ref()));
    checks.compare("Omega", Rule::Exact, &numbers(toy.observed.as_ref()));
    let lambda = arrays.scalar("lam")?;
    compare_scalar(checks, "lam_eff", DIRECT, effective_lambda(&data, lambda));
    compare_scalar(checks, "norm_PY_sq", DIRECT, data.squared_norm());
    let truth = toy.truth.as_ref();
    let (lx, ly) = (path(nx)?, path(ny)?);

    let full = SplineRegression::new().lambda(lambda).tol_kkt(1e-10).fit(&data, &lx, &ly)?;
    checks.compare("p1_W", MINIMISER, &from_columns(ny, entries(&full)?));
    compare_scalar(checks, "p1_f", OPTIMUM, full.objective);
    compare_scalar(checks, "p1_relerr", MINIMISER, relative_error(entries(&full)?, truth));
    compare_scalar(checks, "p1_n_active", Rule::Exact, full.n_active as f64);
    compare_scalar(checks, "p1_loss", MINIMISER, full.loss);
    compare_scalar(checks, "p1_penalty_raw", MINIMISER, full.penalty);
    if checks.wants(&["p1_W"]) {
        let objective = SplineObjective::new(&data, &lx, &ly, full.lambda_eff)?;
        let stored = columns(matrix(arrays, "p1_W")?.as_ref());
        stationary(checks, "p1_kkt", &objective, &stored, true)?;
    } else {
        checks.not_recomputed(&["p1_kkt"]);
    }
    let signed = |data: &TracingData| {
        let regression = SplineRegression::new().lambda(lambda).nonnegative(false);
        regression.tol_kkt(1e-10).fit(data, &lx, &ly)
    };
    let free = signed(&data)?;
    let w = entries(&free)?;
    compare_scalar(checks, "unconstrained_f", OPTIMUM, free.objective);
    compare_scalar(checks, "unconstrained_relerr", MINIMISER, relative_error(w, truth));
    let least = w.iter().copied().fold(f64::INFINITY, f64::min);
    // To the largest entry of W, as all of W.
    let most = w.iter().fold(0.0_f64, |a, w| a.max(w.abs()));
    compare_scalar(checks, "unconstrained_min", Rule::Absolute(1e-6 * most), least);
    let name = "unconstrained_singular_values";
    if let Some(stored) = arrays.numbers.get(name) {
        let w = MatRef::from_column_major_slice(w, ny, nx);
        let values = triplets(w, stored.values.len().clamp(1, nx.min(ny)))?.values;
        checks.compare(name, MINIMISER, &Numbers::vector(values));
    }
    if checks.wants(&["nomask_unconstrained_f", "nomask_unconstrained_relerr"]) {
        let unmasked = TracingData::builder()
            .injections(data.injections())
            .projections(matrix(arrays, "Y")?.as_ref())
            .observed(Observed::everywhere(ny, data.experiments()))
            .build()?;
        let fit = signed(&unmasked)?;
        let w = entries(&fit)?;
        compare_scalar(checks, "nomask_unconstrained_f", OPTIMUM, fit.objective);
        compare_scalar(checks, "nomask_unconstrained_relerr", MINIMISER, relative_error(w, truth));
        let most = w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        compare_scalar(checks, "nomask_unconstrained_max", MINIMISER, most);
        let clipped: Vec<f64> = w.iter().map(|w| if *w > 0.0 { *w } else { 0.0 }).collect();
        compare_scalar(checks, "nomask_clipped_relerr", MINIMISER, relative_error(&clipped, truth));
    }
    if checks.wants(&["lam0_f"]) {
        // Without smoothing W is open and the objective is not; the reference ends within 10⁻⁶ of it.
        let fit = SplineRegression::new().lambda(0.0).fit(&data, &lx, &ly)?;
        compare_scalar(checks, "lam0_f", Rule::Relative(1e-6), fit.objective);
    }
    Ok(())
}
