//! First-order solvers of P1: memory for a few copies of W, and the published setting.

use std::ops::ControlFlow;

use super::entries;
use super::fitted::{Connectome, Status, TracePoint};
use super::objective::SplineObjective;
use super::solver::{Callback, Counters, FitProgress, Solver, finish};
use crate::optimize::{
    AcceleratedProjectedGradient, Bounds, Lbfgsb, MinimizeProgress, MinimizeStatus, SmoothObjective,
};
use crate::{Error, Result};

/// f(W) for a minimiser, with a workspace of the size of W.
struct Smooth<'a> {
    objective: SplineObjective<'a>,
    s: Vec<f64>,
}

impl SmoothObjective<f64> for Smooth<'_> {
    fn dimension(&self) -> usize {
        self.objective.len()
    }

    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> Result<f64> {
        Ok(self.objective.gradient_in(x, &mut self.s, gradient).objective)
    }

    fn hessian_product(&mut self, _: &[f64], v: &[f64], product: &mut [f64]) -> Result<bool> {
        self.objective.half_hessian(v, &mut self.s, product);
        entries::scale(2.0, product);
        Ok(true)
    }
}

/// Minimises with `solver`, which is one of the first-order ones, from `start` or 0.
pub(super) fn minimize(
    objective: SplineObjective<'_>,
    solver: Solver,
    nonnegative: bool,
    tol_kkt: f64,
    limit: usize,
    start: Option<Vec<f64>>,
    keep_trace: bool,
    callback: Option<Box<Callback<'_>>>,
) -> Result<Connectome> {
    let n = objective.len();
    let start = match start {
        Some(start) => start,
        None => entries::zeros("weights", n)?,
    };
    let mut smooth = Smooth { objective, s: entries::zeros("smoothness", n)? };
    objective.right_hand_side(&mut smooth.s);
    let size = 2.0 * entries::largest(&smooth.s);
    let bounds = if nonnegative { Bounds::nonnegative() } else { Bounds::free() };
    let mut trace = Vec::new();
    let mut callback = callback;
    let observe = |progress: &MinimizeProgress| {
        if keep_trace {
            trace.push(TracePoint { iteration: progress.iterations, value: progress.value });
        }
        let seen = FitProgress {
            iterations: progress.iterations,
            rounds: 0,
            active: 0,
            residual: progress.projected_gradient,
            objective: Some(progress.value),
            gap: None,
        };
        callback.as_mut().map_or(ControlFlow::Continue(()), |callback| callback(&seen))
    };
    let tolerance = if size > 0.0 { tol_kkt * size } else { tol_kkt };
    let minimum = match solver {
        Solver::Lbfgsb { memory, relative_decrease, projected_gradient } => Lbfgsb::new()
            .memory(memory)
            .relative_decrease(relative_decrease)
            .tolerance(projected_gradient.unwrap_or(tolerance))
            .max_iterations(limit)
            .max_evaluations(limit.saturating_mul(20))
            .callback(observe)
            .minimize(&mut smooth, bounds, &start)?,
        Solver::AcceleratedPg => AcceleratedProjectedGradient::new()
            .step(first_step(&objective))
            .tolerance(tolerance)
            .max_iterations(limit)
            .callback(observe)
            .minimize(&mut smooth, bounds, &start)?,
        Solver::ActiveSetPcg { .. } => {
            return Err(Error::range("solver", "a first-order solver", "the active set"));
        }
    };
    let status = match minimum.status {
        MinimizeStatus::Converged => Status::Converged,
        MinimizeStatus::SmallDecrease => Status::SmallDecrease,
        MinimizeStatus::IterationLimit => Status::IterationLimit,
        MinimizeStatus::Interrupted => Status::Interrupted,
        _ => Status::Stalled,
    };
    let counters = Counters { iterations: minimum.iterations, rounds: 0, status, trace };
    finish(&objective, nonnegative, tol_kkt, minimum.x, [minimum.gradient, smooth.s], counters)
}

/// 1/L with the bound L ≤ 2(‖X‖₁‖X‖_∞ + λ'(‖L_x‖ + ‖L_y‖)²) on the curvature.
fn first_step(objective: &SplineObjective<'_>) -> f64 {
    let x = objective.data.injections();
    let mut rows = vec![0.0; x.rows()];
    let mut most = 0.0_f64;
    for column in x.outer_iterator() {
        most = most.max(column.iter().map(|(_, x)| *x).sum());
        column.iter().for_each(|(s, x)| rows[s] += x);
    }
    let fit = most * rows.into_iter().fold(0.0, f64::max);
    let smooth = objective.lx.largest_row_sum() + objective.ly.largest_row_sum();
    let bound = 2.0 * (fit + objective.lambda_eff * smooth * smooth);
    if bound > 0.0 { bound.recip() } else { 1.0 }
}
