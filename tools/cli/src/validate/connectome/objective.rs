//! `objective`: values, gradients and Hessian products of P1 and P2 by automatic differentiation.

use hesse::connectome::{
    FactorObjective, FactorPenalty, SmoothingOperator, SplineObjective, TracingData,
    effective_lambda,
};
use hesse::faer::{Mat, MatRef};
use hesse::sprs::TriMat;
use hesse::{Error, Result};

use super::problem::{
    DIRECT, about, columns, compare_scalar, data_of, from_columns, mask, matrix, path,
};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout};

/// The layout.
pub(super) struct Objective;

impl Layout for Objective {
    fn name(&self) -> &'static str {
        "objective"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["mask", "X", "Y", "Omega", "W", "D", "U", "V", "DU", "DV", "lam"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&["Lx_nonsym"]);
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

/// A sparse operator from a dense matrix.
pub(super) fn dense_operator(a: MatRef<'_, f64>) -> Result<SmoothingOperator> {
    let mut triplets = TriMat::new(a.shape());
    for i in 0..a.nrows() {
        for j in 0..a.ncols() {
            if a[(i, j)] != 0.0 {
                triplets.add_triplet(i, j, a[(i, j)]);
            }
        }
    }
    SmoothingOperator::from_sparse(triplets.to_csr::<usize>().view())
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let ly = SmoothingOperator::of_voxels(&mask(arrays, "mask")?)?;
    let (x, y, omega) = (matrix(arrays, "X")?, matrix(arrays, "Y")?, matrix(arrays, "Omega")?);
    let smooth = path(x.nrows())?;
    let ones = Mat::from_fn(omega.nrows(), omega.ncols(), |_, _| 1.0);
    let data = data_of(x.as_ref(), y.as_ref(), omega.as_ref())?;
    let lambda_eff = effective_lambda(&data, arrays.scalar("lam")?);
    compare_scalar(checks, "lam_eff", DIRECT, lambda_eff);
    for name in ["masked", "full", "nonsym"] {
        if !checks.wants(&[&format!("{name}_f"), &format!("{name}_p2_f")]) {
            continue;
        }
        let seen = if name == "full" { &ones } else { &omega };
        let data = data_of(x.as_ref(), y.as_ref(), seen.as_ref())?;
        let skewed = match name {
            "nonsym" => Some(dense_operator(matrix(arrays, "Lx_nonsym")?.as_ref())?),
            _ => None,
        };
        let lx = skewed.as_ref().unwrap_or(&smooth);
        full(checks, arrays, name, &data, lx, &ly, lambda_eff)?;
        factors(checks, arrays, &format!("{name}_p2"), &data, lx, &ly, lambda_eff, None)?;
    }
    for (name, penalty) in
        [("separable", FactorPenalty::Separable), ("twoway", FactorPenalty::TwoWay)]
    {
        factors(checks, arrays, name, &data, &smooth, &ly, lambda_eff, Some(penalty))?;
    }
    Ok(())
}

fn same_shape(what: &str, expected: (usize, usize), got: (usize, usize)) -> Result<()> {
    if expected == got { Ok(()) } else { Err(Error::shape(what, expected, got)) }
}

fn full(
    checks: &mut Checks<'_>,
    arrays: &Arrays,
    name: &str,
    data: &TracingData,
    lx: &SmoothingOperator,
    ly: &SmoothingOperator,
    lambda_eff: f64,
) -> Result<()> {
    let (w, d) = (matrix(arrays, "W")?, matrix(arrays, "D")?);
    let shape = (data.targets(), data.sources());
    same_shape("W", shape, w.shape())?;
    same_shape("D", shape, d.shape())?;
    let objective = SplineObjective::new(data, lx, ly, lambda_eff)?;
    let mut g = vec![0.0; shape.0 * shape.1];
    let value = objective.gradient(&columns(w.as_ref()), &mut g)?;
    let named = |what: &str| format!("{name}_{what}");
    compare_scalar(checks, &named("loss"), DIRECT, value.loss);
    compare_scalar(checks, &named("penalty_raw"), DIRECT, value.penalty);
    compare_scalar(checks, &named("f"), DIRECT, value.objective);
    checks.compare(&named("grad"), DIRECT, &from_columns(shape.0, &g));
    objective.hessian_product(&columns(d.as_ref()), &mut g)?;
    checks.compare(&named("hvp"), DIRECT, &from_columns(shape.0, &g));
    Ok(())
}

fn factors(
    checks: &mut Checks<'_>,
    arrays: &Arrays,
    name: &str,
    data: &TracingData,
    lx: &SmoothingOperator,
    ly: &SmoothingOperator,
    lambda_eff: f64,
    penalty: Option<FactorPenalty>,
) -> Result<()> {
    let of = |name: &str| matrix(arrays, name);
    let (u, v, du, dv) = (of("U")?, of("V")?, of("DU")?, of("DV")?);
    let rank = u.ncols();
    let ny = data.targets();
    let mut objective = FactorObjective::new(data, lx, ly, lambda_eff, rank)?;
    if let Some(penalty) = penalty {
        objective = objective.penalty(penalty);
    }
    let z = objective.pack(u.as_ref(), v.as_ref())?;
    let mut g = vec![0.0; z.len()];
    let value = objective.gradient(&z, &mut g)?;
    let named = |what: &str| format!("{name}_{what}");
    compare_scalar(checks, &named("f"), DIRECT, value.objective);
    checks.compare(&named("gU"), DIRECT, &from_columns(ny, &g[..ny * rank]));
    checks.compare(&named("gV"), DIRECT, &from_columns(data.sources(), &g[ny * rank..]));
    if penalty.is_none() {
        objective.hessian_product(&z, &objective.pack(du.as_ref(), dv.as_ref())?, &mut g)?;
        checks.compare(&named("hU"), DIRECT, &from_columns(ny, &g[..ny * rank]));
        checks.compare(&named("hV"), DIRECT, &from_columns(data.sources(), &g[ny * rank..]));
    }
    Ok(())
}
