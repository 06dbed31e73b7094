//! Primal-dual active set with preconditioned conjugate gradients, the default solver of P1.
//!
//! 1. Without signs, A(W) = B by conjugate gradients, A = ½H and B = (Ω∘Y) Xᵀ.
//! 2. Hold at zero what came out negative, free what is held with a negative gradient, solve on the
//!    free entries; repeat until nothing changes.
//! 3. Where the number of entries of the wrong status has not dropped for [`STALLED`] rounds, exchange
//!    one entry a round (Murty's rule), and where that takes too long, go over to projected steps, each
//!    of which lowers the objective ([`descent`]). So it ends, always.
//!
//! Linear systems are solved loosely first and to the tolerance asked for at the end: each time no
//! entry has the wrong status, the tolerance tightens.
//!
//! Where a relative gap is asked for ([`Goal`]), a round ends as soon as a step lowers the objective by
//! less than a fraction of it, a fraction that falls from round to round: which entries are held
//! matters more at first than what the others are, and the residual, most of it in modes that cost
//! nothing, says little about either. After each round that can have reached the goal the gap is
//! bounded ([`DualityGap`]).

use super::descent::{self, Outcome};
use super::duality_gap::DualityGap;
use super::entries::{self, Active};
use super::objective::SplineObjective;
use super::preconditioner::Inverse;
use crate::Result;

/// Rounds without progress before entries are exchanged one at a time.
const STALLED: usize = 25;
/// Rounds of Murty's rule before projected steps.
const MURTY: usize = 50;
/// The first tolerance of linear systems, and the factor by which it tightens.
const LOOSE: f64 = 1e-5;
const TIGHTEN: f64 = 1e-3;

/// The first relative decrease of the objective by a step that ends a round, in units of the gap to be
/// reached, and the factor from round to round.
const FIRST_DECREASE: f64 = 10.0;
const LESS: f64 = 0.5;

/// The relative gap at which the search ends.
pub(super) struct Goal {
    pub gap: f64,
    pub bound: DualityGap,
}

/// The decrease that ends the next round; 0 where it would be rounding.
fn less(decrease: f64) -> f64 {
    let less = LESS * decrease;
    if less > f64::EPSILON { less } else { 0.0 }
}

/// Why the search paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// One more conjugate gradient step is done.
    Step,
    /// Nothing has the wrong status at the tightest tolerance.
    Done,
    /// Rounding keeps linear systems from being solved any better; signs are right.
    Stagnated,
}

/// What changes during a search: everything that a checkpoint needs.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub x: Vec<f64>,
    pub r: Vec<f64>,
    pub p: Vec<f64>,
    pub active: Active,
    /// rᵀM⁻¹r of the last step; 0 where the next step starts afresh.
    pub rho: f64,
    pub tolerance: f64,
    /// ‖r‖ when it was last recomputed.
    pub confirmed: f64,
    /// Steps since the residual was last recomputed.
    pub since_refresh: usize,
    /// Within the conjugate gradients of a round.
    pub inside: bool,
    pub iterations: usize,
    pub rounds: usize,
    pub fewest: usize,
    pub stalled: usize,
    pub murty: usize,
    pub stagnated: bool,
    /// Projected steps from now on.
    pub descending: bool,
    /// The relative decrease by a step that ends a round; 0 where the residual decides.
    pub decrease: f64,
    /// The objective in this round, and by how much the last step has lowered it.
    pub objective: f64,
    pub lowered: f64,
}

/// A running search.
pub(super) struct ActiveSet<'a> {
    objective: SplineObjective<'a>,
    inverse: &'a mut Inverse,
    nonnegative: bool,
    /// The tightest ‖r‖/‖B‖.
    tolerance: f64,
    size: f64,
    goal: Option<Goal>,
    /// The relative gap last proven.
    gap: f64,
    /// Objectives below this are rounding.
    least: f64,
    q: Vec<f64>,
    s: Vec<f64>,
    pub state: State,
}

impl<'a> ActiveSet<'a> {
    /// From a feasible guess, or from 0 without signs.
    pub fn new(
        objective: SplineObjective<'a>,
        inverse: &'a mut Inverse,
        nonnegative: bool,
        tolerance: f64,
        goal: Option<Goal>,
        start: Option<Vec<f64>>,
    ) -> Result<Self> {
        let n = objective.len();
        let warm = start.is_some();
        let state = State {
            x: match start {
                Some(x) => x,
                None => entries::zeros("weights", n)?,
            },
            r: entries::zeros("residual", n)?,
            p: entries::zeros("direction", n)?,
            active: Active::none(n),
            rho: 0.0,
            tolerance: LOOSE.max(tolerance),
            confirmed: f64::INFINITY,
            since_refresh: 0,
            inside: false,
            iterations: 0,
            rounds: 0,
            fewest: usize::MAX,
            stalled: 0,
            murty: 0,
            stagnated: false,
            descending: false,
            decrease: goal.as_ref().map_or(0.0, |goal| FIRST_DECREASE * goal.gap),
            objective: f64::INFINITY,
            lowered: f64::INFINITY,
        };
        let mut search = Self::resume(objective, inverse, nonnegative, tolerance, goal, state)?;
        if warm && nonnegative {
            search.gradient();
            search.state.active = Active::of_feasible(&search.state.x, &search.q);
        }
        Ok(search)
    }

    /// From a state that a search with the same settings has left.
    pub fn resume(
        objective: SplineObjective<'a>,
        inverse: &'a mut Inverse,
        nonnegative: bool,
        tolerance: f64,
        goal: Option<Goal>,
        state: State,
    ) -> Result<Self> {
        let n = objective.len();
        let (mut q, s) = (entries::zeros("product", n)?, entries::zeros("smoothness", n)?);
        objective.right_hand_side(&mut q);
        let size = entries::square(&q).sqrt();
        if state.inside {
            inverse.hold(&state.active);
        }
        let gap = f64::INFINITY;
        let least = f64::EPSILON * entries::square(objective.data.projections_by_experiment());
        #[rustfmt::skip]
        let search =
            Self { objective, inverse, nonnegative, tolerance, size, goal, gap, least, q, s, state };
        Ok(search)
    }

    /// f(x), where rounds keep track of it.
    pub fn objective(&self) -> Option<f64> {
        (self.state.decrease > 0.0).then_some(self.state.objective)
    }

    /// The relative gap last proven; infinite where none was.
    pub fn gap(&self) -> f64 {
        self.gap
    }

    /// ‖r‖/‖B‖; 0 where B is.
    pub fn residual(&self) -> f64 {
        let norm = entries::square(&self.state.r).sqrt();
        if norm == 0.0 { 0.0 } else { norm / self.size }
    }

    /// The state alone: the other vectors are freed.
    pub fn into_state(self) -> State {
        self.state
    }

    /// q ← A x − B, half the gradient.
    fn gradient(&mut self) {
        self.objective.half_hessian(&self.state.x, &mut self.s, &mut self.q);
        self.objective.right_hand_side(&mut self.s);
        entries::axpy(-1.0, &self.s, &mut self.q);
    }

    /// Bounds the relative gap of max(x, 0); `q` is half the gradient at x, `r` and `p` are overwritten.
    fn prove(&mut self) {
        let (Some(goal), Some(modes)) = (&self.goal, self.inverse.modes()) else { return };
        let State { x, r, p, active, rho, .. } = &mut self.state;
        entries::axpby(1.0, x, 0.0, p);
        if self.nonnegative {
            entries::clip(p);
        }
        let primal = self.objective.value_in(p, &mut self.s).objective;
        entries::axpby(2.0, &self.q, 0.0, r);
        active.keep_negative(r);
        // Multipliers are 0 where x is not.
        let lagrangian = self.objective.value_from_half_gradient(x, &self.q);
        let dual = lagrangian - goal.bound.bound(&self.objective, modes, r);
        *rho = 0.0;
        self.gap = if primal <= 0.0 {
            0.0
        } else if dual > 0.0 {
            ((primal - dual) / dual).max(0.0)
        } else {
            f64::INFINITY
        };
    }

    /// r ← B − A x on the free entries; its norm.
    fn refresh(&mut self) -> f64 {
        self.gradient();
        let state = &mut self.state;
        entries::axpby(-1.0, &self.q, 0.0, &mut state.r);
        state.active.project(&mut state.r);
        state.since_refresh = 0;
        state.rho = 0.0;
        entries::square(&state.r).sqrt()
    }

    /// z ← M⁻¹ r on the free entries, in `s`; `q` is overwritten.
    fn precondition(&mut self) {
        let State { r, active, .. } = &self.state;
        self.inverse.apply(&self.objective, active, r, &mut self.s, &mut self.q);
        self.state.active.project(&mut self.s);
    }

    /// Goes on up to the end of the next conjugate gradient step, or to the end.
    pub fn advance(&mut self) -> Pause {
        loop {
            if self.state.descending {
                return self.descend();
            }
            if !self.state.inside {
                self.inverse.hold(&self.state.active);
                self.state.active.project(&mut self.state.x);
                self.refresh();
                if self.state.decrease > 0.0 {
                    self.state.objective =
                        self.objective.value_from_half_gradient(&self.state.x, &self.q);
                    self.state.lowered = f64::INFINITY;
                }
                self.state.confirmed = f64::INFINITY;
                self.state.inside = true;
                self.state.stagnated = false;
            }
            if self.step() {
                return Pause::Step;
            }
            self.state.inside = false;
            if let Some(pause) = self.end_of_round() {
                return pause;
            }
        }
    }

    /// One conjugate gradient step; false if the free entries are solved for.
    fn step(&mut self) -> bool {
        if self.state.lowered < self.state.decrease * self.state.objective.max(self.least) {
            return false;
        }
        let bound = if self.state.decrease > 0.0 { 0.0 } else { self.state.tolerance * self.size };
        if entries::square(&self.state.r).sqrt() <= bound {
            if self.state.since_refresh == 0 {
                return false;
            }
            // The recurrence's word is not taken: recompute, and go on from there if it does not hold.
            let residual = self.refresh();
            let before = std::mem::replace(&mut self.state.confirmed, residual);
            if residual <= bound {
                return false;
            }
            if residual > 0.5 * before {
                self.state.stagnated = true;
                return false;
            }
        }
        self.precondition();
        let rho = entries::dot(&self.state.r, &self.s);
        if !(rho > 0.0 && rho.is_finite()) {
            self.state.stagnated = true;
            return false;
        }
        let beta = if self.state.rho > 0.0 { rho / self.state.rho } else { 0.0 };
        entries::axpby(1.0, &self.s, beta, &mut self.state.p);
        self.objective.half_hessian(&self.state.p, &mut self.s, &mut self.q);
        self.state.active.project(&mut self.q);
        let curvature = entries::dot(&self.state.p, &self.q);
        if !(curvature > 0.0 && curvature.is_finite()) {
            self.state.stagnated = true;
            return false;
        }
        let state = &mut self.state;
        let alpha = rho / curvature;
        entries::axpy(alpha, &state.p, &mut state.x);
        entries::axpy(-alpha, &self.q, &mut state.r);
        state.rho = rho;
        state.lowered = alpha * rho;
        state.objective -= state.lowered;
        state.since_refresh += 1;
        state.iterations += 1;
        true
    }

    /// Exchanges entries of the wrong status; `Some` at the end.
    fn end_of_round(&mut self) -> Option<Pause> {
        self.state.rounds += 1;
        if self.nonnegative || self.goal.is_some() {
            self.gradient();
        }
        if let Some(goal) = &self.goal
            && self.state.decrease <= goal.gap
        {
            let target = goal.gap;
            self.prove();
            if self.gap <= target {
                return Some(Pause::Done);
            }
        }
        let tolerance = if self.state.decrease > 0.0 { 0.0 } else { self.state.tolerance };
        let bound = 10.0 * tolerance * self.size;
        let state = &mut self.state;
        let wrong =
            if self.nonnegative { state.active.violations(&state.x, &self.q, bound) } else { 0 };
        if wrong > 0 {
            if wrong < state.fewest {
                (state.fewest, state.stalled, state.murty) = (wrong, 0, 0);
            } else {
                state.stalled += 1;
            }
            if state.stalled <= STALLED {
                state.active.exchange(&state.x, &self.q, bound);
            } else if state.decrease > 0.0 {
                // Rounds this loose lead no further.
                state.decrease = 0.0;
                (state.fewest, state.stalled) = (usize::MAX, 0);
                return None;
            } else if state.murty < MURTY {
                state.murty += 1;
                state.active.exchange_last(&state.x, &self.q, bound);
            } else {
                state.descending = true;
                entries::clip(&mut state.x);
            }
            state.decrease = less(state.decrease);
            return None;
        }
        if state.decrease > 0.0 && !state.stagnated {
            state.decrease = less(state.decrease);
            return None;
        }
        if state.tolerance <= self.tolerance {
            return Some(Pause::Done);
        }
        if state.stagnated {
            return Some(Pause::Stagnated);
        }
        state.tolerance = (state.tolerance * TIGHTEN).max(self.tolerance);
        (state.fewest, state.stalled, state.murty) = (usize::MAX, 0, 0);
        None
    }

    /// One projected step.
    fn descend(&mut self) -> Pause {
        self.gradient();
        // What is held changes with each step.
        self.inverse.hold(&Active::none(self.state.x.len()));
        let bound = self.tolerance * self.size;
        let State { x, r, p, .. } = &mut self.state;
        match descent::step(&self.objective, self.inverse, bound, x, r, p, &self.q, &mut self.s) {
            Outcome::Lower => {
                self.state.iterations += 1;
                Pause::Step
            }
            Outcome::Done => Pause::Done,
            Outcome::Stagnated => Pause::Stagnated,
        }
    }
}
