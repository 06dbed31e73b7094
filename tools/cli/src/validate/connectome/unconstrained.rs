//! `unconstrained`: the minimiser without signs, applications of approximate inverses, and the two
//! subproblems of a rank-one correction.

use hesse::connectome::{
    CosineModes, FactorObjective, Observed, SplineObjective, SplineRegression, TracingData,
    effective_lambda,
};
use hesse::faer::{Mat, MatRef};
use hesse::tracing_toys::toy_kernel;
use hesse::{Error, Result};

use super::problem::{
    DIRECT, MINIMISER, OPTIMUM, about, columns, compare_scalar, data, entries, from_columns,
    matrix, path, solve, stationary, triplets,
};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout.
pub(super) struct Unconstrained;

/// Solutions of linear systems of moderate condition.
const SOLUTION: Rule = Rule::Relative(1e-9);

impl Layout for Unconstrained {
    fn name(&self) -> &'static str {
        "unconstrained"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["X", "Y", "Omega", "lam", "rho", "R", "als_v0"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let mut compute = || -> Result<()> {
            let data = data(arrays, "")?;
            minimisers(checks, arrays, &data)?;
            inverses(checks, arrays, &data)?;
            corrections(checks, arrays, &data)
        };
        compute().map_err(|error| about(arrays, error))
    }
}

fn everything_seen(data: &TracingData, y: MatRef<'_, f64>) -> Result<TracingData> {
    TracingData::builder()
        .injections(data.injections())
        .projections(y)
        .observed(Observed::everywhere(data.targets(), data.experiments()))
        .build()
}

fn minimisers(checks: &mut Checks<'_>, arrays: &Arrays, data: &TracingData) -> Result<()> {
    let (nx, ny) = (data.sources(), data.targets());
    let (lx, ly) = (path(nx)?, path(ny)?);
    let lambda = arrays.scalar("lam")?;
    let lambda_eff = effective_lambda(data, lambda);
    compare_scalar(checks, "lam_eff", DIRECT, lambda_eff);
    let truth = toy_kernel(nx, ny);
    checks.compare("W_true", DIRECT, &super::problem::numbers(truth.as_ref()));
    let fit = |data: &TracingData| {
        let regression = SplineRegression::new().lambda(lambda).nonnegative(false);
        regression.tol_kkt(1e-10).fit(data, &lx, &ly)
    };
    let masked = fit(data)?;
    checks.compare("W", MINIMISER, &from_columns(ny, entries(&masked)?));
    compare_scalar(checks, "f", OPTIMUM, masked.objective);
    let w = MatRef::from_column_major_slice(entries(&masked)?, ny, nx);
    if let Some(stored) = arrays.numbers.get("singular_values") {
        let k = stored.values.len().min(nx).min(ny);
        let values = triplets(w, k)?.values;
        checks.compare("singular_values", MINIMISER, &Numbers::vector(values));
    }
    let objective = SplineObjective::new(data, &lx, &ly, lambda_eff)?;
    if checks.wants(&["W"]) {
        let stored = columns(matrix(arrays, "W")?.as_ref());
        for residual in ["grad_inf", "sylvester_residual"] {
            stationary(checks, residual, &objective, &stored, false)?;
        }
    } else {
        checks.not_recomputed(&["grad_inf", "sylvester_residual"]);
    }
    if checks.wants(&["W_unmasked", "f_unmasked"]) {
        let all = fit(&everything_seen(data, matrix(arrays, "Y")?.as_ref())?)?;
        checks.compare("W_unmasked", MINIMISER, &from_columns(ny, entries(&all)?));
        compare_scalar(checks, "f_unmasked", OPTIMUM, all.objective);
    }
    Ok(())
}

/// (λ'(L+L)² + I ⊗ X Xᵀ + ρ)⁻¹ R and the same without data, and the eigenvalues of both paths.
fn inverses(checks: &mut Checks<'_>, arrays: &Arrays, data: &TracingData) -> Result<()> {
    let (nx, ny) = (data.sources(), data.targets());
    let r = matrix(arrays, "R")?;
    if r.shape() != (ny, nx) {
        return Err(Error::shape("R", (ny, nx), r.shape()));
    }
    let rho = arrays.scalar("rho")?;
    let lambda_eff = effective_lambda(data, arrays.scalar("lam")?);
    let (y, x) = (CosineModes::new(&[ny])?, CosineModes::new(&[nx])?);
    for (name, modes) in [("eig_y", &y), ("eig_x", &x)] {
        checks.compare(name, DIRECT, &Numbers::vector(modes.eigenvalues().to_vec()));
    }
    if checks.wants(&["precond_unmasked_R"]) {
        let (lx, ly) = (path(nx)?, path(ny)?);
        let all = everything_seen(data, matrix(arrays, "Y")?.as_ref())?;
        let objective = SplineObjective::new(&all, &lx, &ly, lambda_eff)?;
        let z = solve("precond_unmasked_R", &columns(r.as_ref()), |x, out| {
            // Sizes are those of the objective.
            if objective.hessian_product(x, out).is_ok() {
                out.iter_mut().zip(x).for_each(|(out, x)| *out = 0.5 * *out + rho * x);
            }
        })?;
        checks.compare("precond_unmasked_R", SOLUTION, &from_columns(ny, &z));
    }
    // By modes, row-major: Q (QᵀRP / (λ'(μ + ν)² + ρ)) Pᵀ.
    let mut z = super::problem::numbers(r.as_ref());
    x.forward_rows(&mut z.values)?;
    y.forward_columns(&mut z.values, nx)?;
    for (i, mu) in y.eigenvalues().iter().enumerate() {
        for (j, nu) in x.eigenvalues().iter().enumerate() {
            z.values[i * nx + j] /= lambda_eff * (mu + nu) * (mu + nu) + rho;
        }
    }
    y.inverse_columns(&mut z.values, nx)?;
    x.inverse_rows(&mut z.values)?;
    checks.compare("precond_laplacian_R", SOLUTION, &z);
    Ok(())
}

/// The best u for a fixed v, and the best v for that u scaled to norm 1: with rank one, the blocks of the
/// Hessian of P2 at zero.
fn corrections(checks: &mut Checks<'_>, arrays: &Arrays, data: &TracingData) -> Result<()> {
    let (nx, ny) = (data.sources(), data.targets());
    let (lx, ly) = (path(nx)?, path(ny)?);
    let lambda_eff = effective_lambda(data, arrays.scalar("lam")?);
    let objective = FactorObjective::new(data, &lx, &ly, lambda_eff, 1)?;
    let ([n], v) = arrays.with_axes::<1>("als_v0")?;
    if n != nx {
        return Err(Error::shape("als_v0", nx, n));
    }
    let column =
        |values: &[f64]| MatRef::from_column_major_slice(values, values.len(), 1).to_owned();
    let zero = |n: usize| Mat::<f64>::zeros(n, 1);
    // Minimises over the entries `from..to` of (u, v), those of z being zero there.
    let best = |z: Vec<f64>, from: usize, to: usize| -> Result<Vec<f64>> {
        let mut g = vec![0.0; z.len()];
        objective.gradient(&z, &mut g)?;
        let b: Vec<f64> = g[from..to].iter().map(|g| -g).collect();
        solve("subproblem of a correction", &b, |x, out| {
            let (mut d, mut h) = (vec![0.0; z.len()], vec![0.0; z.len()]);
            d[from..to].copy_from_slice(x);
            if objective.hessian_product(&z, &d, &mut h).is_ok() {
                out.copy_from_slice(&h[from..to]);
            }
        })
    };
    let z = objective.pack(zero(ny).as_ref(), column(v).as_ref())?;
    let mut u = best(z, 0, ny)?;
    checks.compare("als_u", SOLUTION, &Numbers::vector(u.clone()));
    let norm = u.iter().map(|u| u * u).sum::<f64>().sqrt();
    u.iter_mut().for_each(|u| *u /= norm);
    checks.compare("als_u_normalised", SOLUTION, &Numbers::vector(u.clone()));
    let z = objective.pack(column(&u).as_ref(), zero(nx).as_ref())?;
    let v = best(z, ny, ny + nx)?;
    checks.compare("als_v", SOLUTION, &Numbers::vector(v));
    Ok(())
}
