//! `cortex_patch`: voxels of a real cortex in two dimensions, with synthetic projections.

use hesse::Result;
use hesse::connectome::{
    SmoothingOperator, SplineObjective, SplineRegression, VoxelMask, effective_lambda,
};
use hesse::faer::Mat;

use super::problem::{
    DIRECT, MINIMISER, OPTIMUM, about, columns, compare_scalar, data, entries, from_columns,
    matrix, relative_error, stationary,
};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Rule};

/// The layout.
pub(super) struct CortexPatch;

/// The largest coordinate of a voxel.
const FARTHEST: usize = 4095;

impl Layout for CortexPatch {
    fn name(&self) -> &'static str {
        "cortex_patch"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["coords", "X", "Y", "Omega", "lam"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&["experiment_ids"]);
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let data = data(arrays, "")?;
    let ([_, axes], _) = arrays.with_axes::<2>("coords")?;
    let places = arrays.counts("coords", FARTHEST)?;
    let size =
        |axis: usize| places.iter().skip(axis).step_by(axes).max().map_or(1, |most| most + 1);
    let shape: Vec<usize> = (0..axes).map(size).collect();
    let l = SmoothingOperator::of_voxels(&VoxelMask::from_coordinates(&shape, &places)?)?;
    // Few voxels.
    compare_scalar(checks, "nnz_L", Rule::Exact, l.matrix().nnz() as f64);
    let lambda = arrays.scalar("lam")?;
    compare_scalar(checks, "lam_eff", DIRECT, effective_lambda(&data, lambda));
    let fit = SplineRegression::new().lambda(lambda).tol_kkt(1e-10).fit(&data, &l, &l)?;
    let w = entries(&fit)?;
    checks.compare("W", MINIMISER, &from_columns(data.targets(), w));
    compare_scalar(checks, "f", OPTIMUM, fit.objective);
    compare_scalar(checks, "n_active", Rule::Exact, fit.n_active as f64);
    if checks.wants(&["W"]) {
        let objective = SplineObjective::new(&data, &l, &l, fit.lambda_eff)?;
        let stored = columns(matrix(arrays, "W")?.as_ref());
        stationary(checks, "kkt", &objective, &stored, true)?;
    } else {
        checks.not_recomputed(&["kkt"]);
    }
    if axes == 2 {
        let truth = truth(&places);
        let norm = columns(truth.as_ref()).iter().map(|w| w * w).sum::<f64>().sqrt();
        compare_scalar(checks, "W_true_norm", DIRECT, norm);
        compare_scalar(checks, "relerr", MINIMISER, relative_error(w, truth.as_ref()));
    } else {
        checks.not_recomputed(&["W_true_norm", "relerr"]);
    }
    checks.not_recomputed(&["active_set_rounds", "cg_iterations"]);
    Ok(())
}

/// exp(−|t − s|²/(2·2.5²)) + 0.3 exp(−|t' − r(s')|²/(2·2²)), where t' and s' are relative to the mean of
/// all voxels and r(a, b) = (0.6 a + 1, −0.6 b + 2).
fn truth(places: &[usize]) -> Mat<f64> {
    let n = places.len() / 2;
    // Below 4096.
    let at: Vec<[f64; 2]> =
        places.chunks_exact(2).map(|place| [place[0] as f64, place[1] as f64]).collect();
    let mean = [0, 1].map(|axis| at.iter().map(|place| place[axis]).sum::<f64>() / n as f64);
    let square = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let relative = |i: usize| [at[i][0] - mean[0], at[i][1] - mean[1]];
    Mat::from_fn(n, n, |t, s| {
        let [a, b] = relative(s);
        let far = square(relative(t), [0.6 * a + 1.0, -0.6 * b + 2.0]);
        (-square(at[t], at[s]) / 12.5).exp() + 0.3 * (-far / 8.0).exp()
    })
}
