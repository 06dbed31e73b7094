//! `p2`: the published rules for factors step by step, nonnegative starts, a stationary point.

use hesse::connectome::{
    Connectome, FactorMethod, FactorObjective, LowRankSplineRegression, SmoothingOperator,
    SplineObjective, SplineRegression, Start, TracingData, effective_lambda, split_signed,
    svd_split,
};
use hesse::faer::Mat;
use hesse::{Error, Result};

use super::problem::{
    DIRECT, MINIMISER, OPTIMUM, PATH, about, columns, compare_scalar, data, entries, factors,
    from_columns, matrix, numbers, path, stationary, triplets,
};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout.
pub(super) struct Factors;

/// Sixty accelerated steps, each of which may double a rounding error.
const LONG_PATH: Rule = Rule::Relative(1e-8);

impl Layout for Factors {
    fn name(&self) -> &'static str {
        "p2"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["X", "Y", "Omega", "lam", "U0", "V0", "fixed_step"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&["split_A", "split_B"]);
        let mut compute = || -> Result<()> {
            let data = data(arrays, "")?;
            let problem = Problem {
                lx: path(data.sources())?,
                ly: path(data.targets())?,
                lambda: arrays.scalar("lam")?,
                u0: matrix(arrays, "U0")?,
                v0: matrix(arrays, "V0")?,
                data,
            };
            problem.start(checks)?;
            problem.rules(checks, arrays)?;
            problem.full(checks, arrays)?;
            problem.stationary(checks, arrays)?;
            splits(checks, arrays)
        };
        compute().map_err(|error| about(arrays, error))
    }
}

struct Problem {
    data: TracingData,
    lx: SmoothingOperator,
    ly: SmoothingOperator,
    lambda: f64,
    u0: Mat<f64>,
    v0: Mat<f64>,
}

impl Problem {
    fn rank(&self) -> usize {
        self.u0.ncols()
    }

    fn objective(&self) -> Result<FactorObjective<'_>> {
        let lambda_eff = effective_lambda(&self.data, self.lambda);
        FactorObjective::new(&self.data, &self.lx, &self.ly, lambda_eff, self.rank())
    }

    /// Objective and gradients at the start.
    fn start(&self, checks: &mut Checks<'_>) -> Result<()> {
        let lambda_eff = effective_lambda(&self.data, self.lambda);
        compare_scalar(checks, "lam_eff", DIRECT, lambda_eff);
        let objective = self.objective()?;
        let z = objective.pack(self.u0.as_ref(), self.v0.as_ref())?;
        let mut g = vec![0.0; z.len()];
        let value = objective.gradient(&z, &mut g)?;
        let (left, right) = g.split_at(self.data.targets() * self.rank());
        compare_scalar(checks, "f0", DIRECT, value.objective);
        checks.compare("gU0", DIRECT, &from_columns(self.data.targets(), left));
        checks.compare("gV0", DIRECT, &from_columns(self.data.sources(), right));
        Ok(())
    }

    fn run(&self, method: FactorMethod, steps: usize) -> Result<Connectome> {
        let start = Start::Given { u: self.u0.clone(), v: self.v0.clone() };
        LowRankSplineRegression::new(self.rank())
            .lambda(self.lambda)
            .start(start)
            .method(method)
            .tolerance(1e-7)
            .max_iterations(steps)
            .balance(false)
            .fit(&self.data, &self.lx, &self.ly)
    }

    /// As many steps as the file has costs of, but for the first.
    fn rules(&self, checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
        let step = arrays.scalar("fixed_step")?;
        let rules = [
            ("armijo", FactorMethod::ARMIJO_2016, PATH),
            ("momentum", FactorMethod::PublishedMomentum { step, weight: 1.0 }, PATH),
            ("fista", FactorMethod::Accelerated { step: Some(step), fixed: true }, LONG_PATH),
        ];
        for (name, method, rule) in rules {
            let named = |what: &str| format!("{name}_{what}");
            let Some(costs) = arrays.numbers.get(&named("cost")) else { continue };
            let fit = self.run(method, costs.values.len().saturating_sub(1))?;
            let course = fit.trace.iter().map(|point| point.value).collect();
            checks.compare(&named("cost"), PATH, &Numbers::vector(course));
            let (u, v) = factors(&fit)?;
            checks.compare(&named("U"), rule, &numbers(u.as_ref()));
            checks.compare(&named("V"), rule, &numbers(v.as_ref()));
            if name == "fista" {
                // Fewer than 2⁵³.
                compare_scalar(checks, "fista_restarts", Rule::Exact, fit.rounds as f64);
            }
        }
        if let Some(etas) = arrays.numbers.get("armijo_eta") {
            let steps = (0..etas.values.len()).map(|k| self.armijo_step(k));
            let steps = Numbers::vector(steps.collect::<Result<_>>()?);
            // Accepted steps are powers of ten: relative to each of them, not to the largest.
            let scales = checks.magnitudes("armijo_eta");
            checks.compare_scaled("armijo_eta", Rule::Absolute(1e-6), &steps, &scales);
        }
        Ok(())
    }

    /// The step η of iteration k, from the entry of z that the gradient moves most.
    fn armijo_step(&self, k: usize) -> Result<f64> {
        let objective = self.objective()?;
        let z = |steps: usize| -> Result<Vec<f64>> {
            let fit = self.run(FactorMethod::ARMIJO_2016, steps)?;
            let (u, v) = factors(&fit)?;
            objective.pack(u.as_ref(), v.as_ref())
        };
        let (from, to) = (z(k)?, z(k + 1)?);
        let mut g = vec![0.0; from.len()];
        objective.gradient(&from, &mut g)?;
        let inside = (0..g.len()).filter(|&i| to[i] > 0.0);
        let most = inside.max_by(|&a, &b| g[a].abs().total_cmp(&g[b].abs()));
        Ok(most.map_or(f64::NAN, |i| (from[i] - to[i]) / g[i]))
    }

    /// P1 on the same data.
    fn full(&self, checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
        if !checks.wants(&["p1_W", "p1_f"]) {
            return Ok(());
        }
        let regression = SplineRegression::new().lambda(self.lambda).tol_kkt(1e-10);
        let fit = regression.fit(&self.data, &self.lx, &self.ly)?;
        checks.compare("p1_W", MINIMISER, &from_columns(self.data.targets(), entries(&fit)?));
        compare_scalar(checks, "p1_f", OPTIMUM, fit.objective);
        if checks.wants(&["p1_W"]) {
            let objective = SplineObjective::new(&self.data, &self.lx, &self.ly, fit.lambda_eff)?;
            let stored = columns(matrix(arrays, "p1_W")?.as_ref());
            stationary(checks, "p1_kkt", &objective, &stored, true)?;
        }
        Ok(())
    }

    /// The stored stationary point: its objective, and that it is one.
    fn stationary(&self, checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
        if !checks.wants(&["stationary_U", "stationary_f"]) {
            return Ok(());
        }
        let objective = self.objective()?;
        let (u, v) = (matrix(arrays, "stationary_U")?, matrix(arrays, "stationary_V")?);
        let z = objective.pack(u.as_ref(), v.as_ref())?;
        let mut g = vec![0.0; z.len()];
        let start = objective.pack(self.u0.as_ref(), self.v0.as_ref())?;
        objective.gradient(&start, &mut g)?;
        let size = g.iter().fold(0.0_f64, |a, g| a.max(g.abs()));
        let value = objective.gradient(&z, &mut g)?;
        compare_scalar(checks, "stationary_f", DIRECT, value.objective);
        checks.inputs(&["stationary_U", "stationary_V", "stationary_kkt"]);
        let broken = z.iter().zip(&g).filter(|&(&z, &g)| {
            let worst = if z < g { z } else { g };
            z < 0.0 || worst.abs() > 1e-6 * size
        });
        let law =
            "the residual of the stored point, recomputed, is below 1e-6 of the first gradient";
        checks.law("stationary_kkt", law, broken.count());
        Ok(())
    }
}

/// Nonnegative starts from the stored full solution, and from its stored signed factors.
fn splits(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    if checks.wants(&["init_U", "split_A"]) {
        let w = matrix(arrays, "p1_W")?;
        if let Some(stored) = arrays.numbers.get("init_U") {
            let rank = stored.shape.get(1).copied().unwrap_or(0);
            let (u, v) = svd_split(w.as_ref(), rank)?;
            checks.compare("init_U", PATH, &numbers(u.as_ref()));
            checks.compare("init_V", PATH, &numbers(v.as_ref()));
        }
        if let Some(stored) = arrays.numbers.get("split_A") {
            let rank = stored.shape.get(1).copied().unwrap_or(0);
            let (a, b) = signed(&w, rank)?;
            // Singular vectors are as good as their gaps; products of W with them are computed twice.
            checks.compare("split_A", Rule::Relative(1e-8), &numbers(a.as_ref()));
            checks.compare("split_B", Rule::Relative(1e-8), &numbers(b.as_ref()));
        }
    }
    if checks.wants(&["split_U", "split_V"]) {
        let (a, b) = (matrix(arrays, "split_A")?, matrix(arrays, "split_B")?);
        let (u, v) = split_signed(a.as_ref(), b.as_ref())?;
        checks.compare("split_U", Rule::Exact, &numbers(u.as_ref()));
        checks.compare("split_V", Rule::Exact, &numbers(v.as_ref()));
    }
    Ok(())
}

/// Balanced signed factors of the best approximation of this rank, the largest entry of each column of A
/// positive.
fn signed(w: &Mat<f64>, rank: usize) -> Result<(Mat<f64>, Mat<f64>)> {
    let most = w.nrows().min(w.ncols());
    if !(1..=most).contains(&rank) {
        return Err(Error::range("columns of split_A", format!("1 to {most}"), rank));
    }
    let top = triplets(w.as_ref(), rank)?;
    let sign = |k: usize| {
        let column = top.left.col(k);
        let largest = (0..column.nrows())
            .fold(0, |best, i| if column[i].abs() > column[best].abs() { i } else { best });
        column[largest].signum()
    };
    let scaled = |m: &Mat<f64>| {
        Mat::from_fn(m.nrows(), rank, |i, k| sign(k) * m[(i, k)] * top.values[k].sqrt())
    };
    Ok((scaled(&top.left), scaled(&top.right)))
}
