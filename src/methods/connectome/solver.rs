//! What minimises P1, and what it says on its way and at the end.

use std::ops::ControlFlow;

use super::entries;
use super::fitted::{Connectome, FullWeights, Status, TracePoint, Weights};
use super::objective::SplineObjective;
use crate::Result;

/// What a callback sees of a running fit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FitProgress {
    /// Iterations so far.
    pub iterations: usize,
    /// Rounds of the active set so far.
    pub rounds: usize,
    /// Entries held at zero.
    pub active: usize,
    /// ‖residual‖/‖right-hand side‖ of the linear system at hand, or the largest element of the
    /// projected gradient, as the solver has it.
    pub residual: f64,
    /// The objective, where the solver computes it on its way.
    pub objective: Option<f64>,
    /// The relative gap last proven, where one is to be reached ([`SplineRegression::tol_gap`]).
    ///
    /// [`SplineRegression::tol_gap`]: super::SplineRegression::tol_gap
    pub gap: Option<f64>,
}

pub(super) type Callback<'a> = dyn FnMut(&FitProgress) -> ControlFlow<()> + 'a;

/// What minimises the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Solver {
    /// Primal-dual active set with preconditioned conjugate gradients, the default.
    ///
    /// The unconstrained problem is solved first; entries that come out negative are then held at
    /// zero, those held with a negative gradient are freed, until nothing changes: 2 to 6 rounds in
    /// one dimension as a rule, 10 to 13 in two. Memory: five times W and one byte an entry.
    ActiveSetPcg {
        /// ‖residual‖/‖right-hand side‖ of the last linear systems; default `tol_kkt`/10³.
        tolerance: Option<f64>,
    },
    /// L-BFGS-B: 2·memory + 6 times W.
    Lbfgsb {
        /// Pairs of differences that are kept.
        memory: usize,
        /// Ends where an iteration lowers the objective by less than this fraction; 0 for never.
        relative_decrease: f64,
        /// The largest element of the projected gradient that counts as converged; default `tol_kkt`
        /// times that of the gradient at W = 0.
        projected_gradient: Option<f64>,
    },
    /// Accelerated projected gradient with restarts: six times W, and very many iterations.
    AcceleratedPg,
}

impl Solver {
    /// The published setting: memory 6, relative decrease 4.4·10⁻⁶ (factr 2·10¹⁰), projected gradient
    /// 10⁻⁵.
    pub const LBFGSB_2016: Self = Solver::Lbfgsb {
        memory: 6,
        relative_decrease: 2e10 * f64::EPSILON,
        projected_gradient: Some(1e-5),
    };
    /// The tighter published setting: memory 12, factr 10¹⁰.
    pub const LBFGSB_2016_TIGHT: Self = Solver::Lbfgsb {
        memory: 12,
        relative_decrease: 1e10 * f64::EPSILON,
        projected_gradient: Some(1e-5),
    };
}

impl Default for Solver {
    fn default() -> Self {
        Solver::ActiveSetPcg { tolerance: None }
    }
}

/// What a solver counted.
pub(super) struct Counters {
    pub iterations: usize,
    pub rounds: usize,
    pub status: Status,
    pub trace: Vec<TracePoint>,
}

/// Clips W, recomputes everything that is reported, and judges it.
pub(super) fn finish(
    objective: &SplineObjective<'_>,
    nonnegative: bool,
    tol_kkt: f64,
    mut x: Vec<f64>,
    [mut g, mut s]: [Vec<f64>; 2],
    counters: Counters,
) -> Result<Connectome> {
    objective.right_hand_side(&mut g);
    let gradient_size = 2.0 * entries::largest(&g);
    if nonnegative {
        entries::clip(&mut x);
    }
    let value = objective.gradient_in(&x, &mut s, &mut g);
    drop(s);
    let one_if_zero = |x: f64| if x > 0.0 { x } else { 1.0 };
    let (kkt, kkt_relative) = if nonnegative {
        let (a, b) = (one_if_zero(entries::extremes(&x).0), one_if_zero(gradient_size));
        (entries::kkt(&x, &g, 1.0, 1.0), entries::kkt(&x, &g, a, b))
    } else {
        let largest = entries::largest(&g);
        (largest, largest / one_if_zero(gradient_size))
    };
    let status = match counters.status {
        Status::Converged | Status::Stalled if kkt_relative <= tol_kkt => Status::Converged,
        Status::Converged => Status::Stalled,
        other => other,
    };
    Ok(Connectome {
        n_active: entries::count_zeros(&x),
        weights: Weights::Full(FullWeights { values: x, targets: objective.data.targets() }),
        objective: value.objective,
        loss: value.loss,
        penalty: value.penalty,
        lambda_eff: objective.lambda_eff,
        kkt,
        kkt_relative,
        gap: f64::NAN,
        iterations: counters.iterations,
        rounds: counters.rounds,
        status,
        trace: counters.trace,
        labels: objective.data.labels().clone(),
    })
}
