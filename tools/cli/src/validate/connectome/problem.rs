//! What the layouts share: problems from arrays, and results in the shapes of the reference files.

use hesse::connectome::{
    Connectome, Observed, SmoothingOperator, SplineObjective, TracingData, VoxelMask, Weights,
};
use hesse::error::check_finite;
use hesse::faer::{Mat, MatRef};
use hesse::krylov::{ConjugateGradient, DenseMatrix, FnOperator, GolubKahan, SingularTriplets};
use hesse::krylov::{SolveStatus, Status};
use hesse::{Error, Result};

use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Numbers, Rule};

/// Operators, objectives, gradients and Hessian products.
pub(super) const DIRECT: Rule = Rule::Relative(1e-12);
/// Minimisers, to their largest entry.
pub(super) const MINIMISER: Rule = Rule::Relative(1e-6);
/// Objectives of minimisers.
pub(super) const OPTIMUM: Rule = Rule::Relative(1e-9);
/// Iterates after some steps of a rule.
pub(super) const PATH: Rule = Rule::Relative(1e-9);

/// What a residual of the conditions of optimality may be, relative to the gradient at zero.
const STATIONARY: f64 = 1e-6;

/// A matrix of the file.
pub(super) fn matrix(arrays: &Arrays, name: &str) -> Result<Mat<f64>> {
    let ([rows, columns], values) = arrays.with_axes::<2>(name)?;
    if rows == 0 || columns == 0 {
        return Err(arrays.wrong(name, "expected rows and columns, got none"));
    }
    Ok(MatRef::from_row_major_slice(values, rows, columns).to_owned())
}

/// Whole numbers of the file, of any sign.
pub(super) fn integers(arrays: &Arrays, name: &str) -> Result<Vec<i64>> {
    let integer = |value: &f64| {
        if value.fract() == 0.0 && value.abs() < 9e15 {
            return Ok(*value as i64);
        }
        Err(arrays.wrong(name, format!("expected whole numbers, got {value}")))
    };
    arrays.get(name)?.values.iter().map(integer).collect()
}

/// Injections, projections and Ω under `prefix`.
pub(super) fn data(arrays: &Arrays, prefix: &str) -> Result<TracingData> {
    let of = |name: &str| matrix(arrays, &format!("{prefix}{name}"));
    data_of(of("X")?.as_ref(), of("Y")?.as_ref(), of("Omega")?.as_ref())
}

pub(super) fn data_of(
    x: MatRef<'_, f64>,
    y: MatRef<'_, f64>,
    omega: MatRef<'_, f64>,
) -> Result<TracingData> {
    TracingData::builder()
        .injections_dense(x)
        .projections(y)
        .observed(Observed::from_ones(omega)?)
        .build()
}

/// The path of n voxels.
pub(super) fn path(n: usize) -> Result<SmoothingOperator> {
    SmoothingOperator::of_box(&[n])
}

/// The voxels of a grid of the file.
pub(super) fn mask(arrays: &Arrays, name: &str) -> Result<VoxelMask> {
    let grid = arrays.get(name)?;
    let inside: Vec<bool> = grid.values.iter().map(|value| *value != 0.0).collect();
    VoxelMask::from_bool_grid(&grid.shape, &inside)
}

/// Compares one number, whatever the axes by which the file says that there is one.
pub(super) fn compare_scalar(checks: &mut Checks<'_>, name: &str, rule: Rule, value: f64) {
    let shape = checks.arrays.numbers.get(name).map(|array| array.shape.clone());
    let shape = shape.filter(|shape| shape.iter().product::<usize>() == 1);
    let got = Numbers { shape: shape.unwrap_or_default(), values: vec![value] };
    checks.compare(name, rule, &got);
}

/// A matrix in C order.
pub(super) fn numbers(matrix: MatRef<'_, f64>) -> Numbers {
    let (rows, columns) = matrix.shape();
    let values = (0..rows).flat_map(|i| (0..columns).map(move |j| matrix[(i, j)])).collect();
    Numbers::matrix(rows, columns, values)
}

/// A column-major matrix in C order.
pub(super) fn from_columns(rows: usize, values: &[f64]) -> Numbers {
    let columns = values.len() / rows.max(1);
    numbers(MatRef::from_column_major_slice(values, rows, columns))
}

/// Counts as numbers.
pub(super) fn counts(values: &[usize]) -> Numbers {
    // Far below 2⁵³.
    Numbers::vector(values.iter().map(|&value| value as f64).collect())
}

/// Column-major elements.
pub(super) fn columns(matrix: MatRef<'_, f64>) -> Vec<f64> {
    (0..matrix.ncols()).flat_map(|j| matrix.col(j).iter().copied()).collect()
}

/// All of a full W, column-major.
pub(super) fn entries(fit: &Connectome) -> Result<&[f64]> {
    match &fit.weights {
        Weights::Full(w) => Ok(w.as_slice()),
        Weights::Factors { .. } => Err(Error::range("weights", "a full matrix", "factors")),
    }
}

/// The columns of U, then those of V.
pub(super) fn factors(fit: &Connectome) -> Result<(&Mat<f64>, &Mat<f64>)> {
    match &fit.weights {
        Weights::Factors { u, v } => Ok((u, v)),
        Weights::Full(_) => Err(Error::range("weights", "factors", "a full matrix")),
    }
}

/// ‖W − truth‖/‖truth‖.
pub(super) fn relative_error(w: &[f64], truth: MatRef<'_, f64>) -> f64 {
    let truth = columns(truth);
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let error = square(&mut w.iter().zip(&truth).map(|(w, t)| w - t));
    (error / square(&mut truth.iter().copied())).sqrt()
}

/// Says whether the minimiser `w` of the file (column-major) fulfils the conditions of optimality, and
/// names the residual that the file holds of it: rounding, which nobody computes again.
pub(super) fn stationary(
    checks: &mut Checks<'_>,
    residual: &str,
    objective: &SplineObjective<'_>,
    w: &[f64],
    nonnegative: bool,
) -> Result<()> {
    if !checks.wants(&[residual]) {
        return Ok(());
    }
    let mut g = vec![0.0; w.len()];
    objective.gradient(&vec![0.0; w.len()], &mut g)?;
    let size = g.iter().fold(0.0_f64, |a, g| a.max(g.abs()));
    objective.gradient(w, &mut g)?;
    check_finite(residual, &g)?;
    let broken = w.iter().zip(&g).filter(|&(&w, &g)| {
        let worst = if nonnegative && w < g { w } else { g };
        worst.abs() > STATIONARY * size
    });
    let broken = broken.count();
    checks.inputs(&[residual]);
    let law =
        "the residual of the stored minimiser, recomputed, is below 1e-6 of the gradient at 0";
    checks.law(residual, law, broken);
    Ok(())
}

/// x with A x = b, A symmetric positive definite, to 10⁻¹³ of b or as far as rounding goes.
pub(super) fn solve(
    what: &str,
    b: &[f64],
    product: impl Fn(&[f64], &mut [f64]) + Sync,
) -> Result<Vec<f64>> {
    let operator = FnOperator::new(b.len(), product)?;
    let limit = 50 * b.len() + 1000;
    let found =
        ConjugateGradient::new(&operator).tolerance(1e-13).max_iterations(limit).solve(b)?;
    match found.status {
        SolveStatus::Converged | SolveStatus::Stagnated => Ok(found.x),
        other => Err(Error::range(what, "a positive definite system", format!("{other:?}"))),
    }
}

/// The `k` largest singular triplets of a matrix.
pub(super) fn triplets(matrix: MatRef<'_, f64>, k: usize) -> Result<SingularTriplets<f64>> {
    let top = GolubKahan::new(&DenseMatrix::new(matrix)?).largest(k).tolerance(1e-10).run()?;
    match top.status {
        Status::Converged => Ok(top),
        other => Err(Error::range("singular values", "convergence", format!("{other:?}"))),
    }
}

/// An error about the inputs of a file.
pub(super) fn about(arrays: &Arrays, error: Error) -> Failure {
    Failure::input(format!("{}: {error}", arrays.file))
}
