//! P2: the smoothest nonnegative matrix of low rank that fits.

use std::ops::ControlFlow;

use faer::Mat;

use super::data::TracingData;
use super::dense_products::unpacked;
use super::entries;
use super::factor_method::{FactorMethod, Start};
use super::factor_objective::{FactorObjective, FactorPenalty, PenaltyForm, check_rank};
use super::factor_starts::{self, balance, split_signed};
use super::factor_steps::{
    AcceleratedSteps, ArmijoSteps, End, PublishedMomentum, published_norm, record,
};
use super::fitted::{Connectome, Status, TracePoint, Weights};
use super::greedy_low_rank::GreedyLowRank;
use super::objective::check_operators;
use super::smoothing_operator::SmoothingOperator;
use super::solver::FitProgress;
use super::spline_regression::Strength;
use crate::error::check_finite;
use crate::{Error, Result};

type Callback<'a> = dyn FnMut(&FitProgress) -> ControlFlow<()> + 'a;

/// min ‖Ω∘(U Vᵀ X − Y)‖² + λ' ‖L_y U Vᵀ + U Vᵀ L_xᵀ‖² over U, V ≥ 0 of a given rank, λ' = λ n_inj/n_x.
///
/// W = U Vᵀ is never formed. The problem is not convex: the result is a stationary point, and which one
/// depends on the start.
///
/// *Scale.* The published code for factors takes λ without n_inj/n_x; give that as
/// [`lambda_eff`](Self::lambda_eff).
///
/// Source: Harris, Mihalas and Shea-Brown 2016, problem P2; Lin 2007 (projected gradients for
/// factorisations).
pub struct LowRankSplineRegression<'a> {
    strength: Strength,
    rank: usize,
    start: Start,
    method: FactorMethod,
    penalty: FactorPenalty,
    form: PenaltyForm,
    tolerance: f64,
    max_iterations: usize,
    balance: bool,
    callback: Option<Box<Callback<'a>>>,
}

impl std::fmt::Debug for LowRankSplineRegression<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LowRankSplineRegression")
            .field("strength", &self.strength)
            .field("rank", &self.rank)
            .field("method", &self.method)
            .field("penalty", &self.penalty)
            .finish_non_exhaustive()
    }
}

impl<'a> LowRankSplineRegression<'a> {
    /// λ = 1, a random start of seed 0, accelerated projected gradient, tolerance 10⁻⁶ relative to the
    /// first gradient, 2,000 iterations, unless said otherwise.
    #[must_use]
    pub fn new(rank: usize) -> Self {
        Self {
            strength: Strength::Lambda(1.0),
            rank,
            start: Start::Random { seed: 0 },
            method: FactorMethod::Accelerated { step: None, fixed: false },
            penalty: FactorPenalty::Bending,
            form: PenaltyForm::Auto,
            tolerance: 1e-6,
            max_iterations: 2000,
            balance: true,
            callback: None,
        }
    }

    /// The published setting for the visual cortex: rank 120, λ' = 10⁵ (not scaled), fixed steps of
    /// 10⁻⁷ with momentum, 1,000 iterations, tolerance 10⁻⁵, a random start.
    #[must_use]
    pub fn reference_2016() -> Self {
        Self {
            strength: Strength::Effective(1e5),
            method: FactorMethod::MOMENTUM_2016,
            tolerance: 1e-5,
            max_iterations: 1000,
            balance: false,
            ..Self::new(120)
        }
    }

    /// λ, of which the objective takes λ n_inj/n_x.
    #[must_use]
    pub fn lambda(self, lambda: f64) -> Self {
        Self { strength: Strength::Lambda(lambda), ..self }
    }

    /// λ' itself.
    #[must_use]
    pub fn lambda_eff(self, lambda_eff: f64) -> Self {
        Self { strength: Strength::Effective(lambda_eff), ..self }
    }

    /// Another rank.
    #[must_use]
    pub fn rank(self, rank: usize) -> Self {
        Self { rank, ..self }
    }

    /// Where to start.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// How to improve.
    #[must_use]
    pub fn method(self, method: FactorMethod) -> Self {
        Self { method, ..self }
    }

    /// Another penalty.
    #[must_use]
    pub fn penalty(self, penalty: FactorPenalty) -> Self {
        Self { penalty, ..self }
    }

    /// Another way to compute the penalty.
    #[must_use]
    pub fn penalty_form(self, form: PenaltyForm) -> Self {
        Self { form, ..self }
    }

    /// The largest max |min(z, g)| relative to the largest element of the first gradient that counts as
    /// converged; for published methods the published norm relative to the first gradient's.
    #[must_use]
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// No more steps than this.
    #[must_use]
    pub fn max_iterations(self, limit: usize) -> Self {
        Self { max_iterations: limit, ..self }
    }

    /// Whether each pair of columns is scaled to equal norms at the end; default yes, no for the
    /// published preset.
    #[must_use]
    pub fn balance(self, yes: bool) -> Self {
        Self { balance: yes, ..self }
    }

    /// Calls `callback` after every step; `Break` ends the run.
    #[must_use]
    pub fn callback(self, callback: impl FnMut(&FitProgress) -> ControlFlow<()> + 'a) -> Self {
        Self { callback: Some(Box::new(callback)), ..self }
    }

    fn check(&self) -> Result<()> {
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::range("tolerance", "a finite number from 0", self.tolerance));
        }
        let positive = |what: &str, x: f64| {
            if x > 0.0 && x.is_finite() {
                return Ok(());
            }
            Err(Error::range(what, "a positive finite number", x))
        };
        match self.method {
            FactorMethod::Accelerated { step, fixed } => {
                if fixed && step.is_none() {
                    return Err(Error::empty("fixed step"));
                }
                step.map_or(Ok(()), |step| positive("step", step))
            }
            FactorMethod::PublishedArmijo { eta, sigma, beta } => {
                positive("step", eta)?;
                for (what, x) in [("sigma", sigma), ("beta", beta)] {
                    if !(x > 0.0 && x < 1.0) {
                        return Err(Error::range(what, "above 0, below 1", x));
                    }
                }
                Ok(())
            }
            FactorMethod::PublishedMomentum { step, weight } => {
                positive("step", step)?;
                if weight.is_finite() && weight >= 0.0 {
                    return Ok(());
                }
                Err(Error::range("weight of the momentum", "a finite number from 0", weight))
            }
        }
    }

    fn first(
        &self,
        data: &TracingData,
        lx: &SmoothingOperator,
        ly: &SmoothingOperator,
        lambda_eff: f64,
    ) -> Result<(Mat<f64>, Mat<f64>)> {
        let (ny, nx) = (data.targets(), data.sources());
        let greedy = |rank: usize| -> Result<(Mat<f64>, Mat<f64>)> {
            let fit =
                GreedyLowRank::new().lambda_eff(lambda_eff).max_rank(rank).fit(data, lx, ly)?;
            match fit.connectome.weights {
                Weights::Factors { u, v } => Ok((u, v)),
                Weights::Full(_) => Err(Error::empty("factors of the unconstrained solution")),
            }
        };
        // A solution of lower rank than asked for leaves columns to be filled at random.
        let fill = |(u, v): (Mat<f64>, Mat<f64>)| {
            let (ru, rv) = factor_starts::random(ny, nx, self.rank, 0);
            let pick = |m: &Mat<f64>, r: &Mat<f64>| {
                Mat::from_fn(m.nrows(), self.rank, |i, j| {
                    if j < m.ncols() { m[(i, j)] } else { 1e-3 * r[(i, j)] }
                })
            };
            (pick(&u, &ru), pick(&v, &rv))
        };
        match &self.start {
            Start::Random { seed } => Ok(factor_starts::random(ny, nx, self.rank, *seed)),
            Start::SvdSplit => {
                let (a, b) = greedy(self.rank)?;
                Ok(fill(factor_starts::svd_split_of_factors(&a, &b)?))
            }
            Start::Split2pMinus1 => {
                if self.rank.is_multiple_of(2) {
                    let expected = "2p - 1 for signed factors of rank p";
                    return Err(Error::range("rank", expected, self.rank));
                }
                let (a, b) = greedy(self.rank.div_ceil(2))?;
                Ok(fill(split_signed(a.as_ref(), b.as_ref())?))
            }
            Start::Given { u, v } => {
                for (what, n, m) in [("start of U", ny, u), ("start of V", nx, v)] {
                    if m.shape() != (n, self.rank) {
                        return Err(Error::shape(what, (n, self.rank), m.shape()));
                    }
                    for j in 0..m.ncols() {
                        for i in 0..n {
                            if m[(i, j)] < 0.0 {
                                let got = format!("{} at ({i}, {j})", m[(i, j)]);
                                return Err(Error::range(what, "numbers from 0", got));
                            }
                        }
                        check_finite(what, &m.col(j).iter().copied().collect::<Vec<_>>())?;
                    }
                }
                Ok((u.clone(), v.clone()))
            }
        }
    }

    /// Fits factors to `data` with the Laplacians of the source voxels and of the target voxels.
    ///
    /// The trace holds the objective at the start and after each step.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Range`] for options, operators and starts that cannot be;
    /// [`Error::NonFinite`] for a start with NaN.
    pub fn fit(
        mut self,
        data: &TracingData,
        lx: &SmoothingOperator,
        ly: &SmoothingOperator,
    ) -> Result<Connectome> {
        check_operators(data, lx, ly)?;
        check_rank(data, self.rank)?;
        self.check()?;
        let lambda_eff = self.strength.effective(data)?;
        let objective = FactorObjective::new(data, lx, ly, lambda_eff, self.rank)?
            .penalty(self.penalty)
            .form(self.form);
        let (u, v) = self.first(data, lx, ly, lambda_eff)?;
        let mut z = objective.pack(u.as_ref(), v.as_ref())?;
        let (status, iterations, restarts, trace, first) = self.run(&objective, &mut z)?;
        let (ny, nx) = (data.targets(), data.sources());
        let (left, right) = z.split_at(ny * self.rank);
        let (mut u, mut v) = (unpacked(left, ny), unpacked(right, nx));
        if self.balance {
            balance(&mut u, &mut v);
            z = objective.pack(u.as_ref(), v.as_ref())?;
        }
        let mut g = vec![0.0; z.len()];
        let value = objective.gradient(&z, &mut g)?;
        let kkt = entries::kkt(&z, &g, 1.0, 1.0);
        Ok(Connectome {
            n_active: entries::count_zeros(&z),
            weights: Weights::Factors { u, v },
            objective: value.objective,
            loss: value.loss,
            penalty: value.penalty,
            lambda_eff,
            kkt,
            kkt_relative: if first > 0.0 { kkt / first } else { kkt },
            gap: f64::NAN,
            iterations,
            rounds: restarts,
            status,
            trace,
            labels: data.labels().clone(),
        })
    }

    /// Improves z; status, steps, restarts, trace and the largest element of the first gradient.
    #[allow(clippy::type_complexity)]
    fn run(
        &mut self,
        objective: &FactorObjective<'_>,
        z: &mut Vec<f64>,
    ) -> Result<(Status, usize, usize, Vec<TracePoint>, f64)> {
        let mut g = vec![0.0; z.len()];
        let value = objective.gradient(z, &mut g)?;
        let mut f = value.objective;
        let (first, first_norm) = (entries::largest(&g), entries::square(&g).sqrt());
        let mut trace = Vec::new();
        record(&mut trace, 0, f);
        let default_step = || {
            let (size, norm) = (entries::square(z).sqrt(), first_norm);
            if norm > 0.0 && size > 0.0 { 0.1 * size / norm } else { 1.0 }
        };
        enum Steps {
            Armijo(ArmijoSteps),
            Momentum(PublishedMomentum),
            Accelerated(AcceleratedSteps),
        }
        let mut steps = match self.method {
            FactorMethod::PublishedArmijo { eta, sigma, beta } => {
                Steps::Armijo(ArmijoSteps { eta, sigma, beta })
            }
            FactorMethod::PublishedMomentum { step, weight } => {
                Steps::Momentum(PublishedMomentum::new(step, weight, z))
            }
            FactorMethod::Accelerated { step, fixed } => {
                let step = step.unwrap_or_else(default_step);
                Steps::Accelerated(AcceleratedSteps::new(step, fixed, z))
            }
        };
        let mut status = Status::IterationLimit;
        let mut done = 0;
        let mut restarts = 0;
        let mut best: Option<(f64, Vec<f64>)> = None;
        while done < self.max_iterations {
            let before = z.clone();
            let end = match &mut steps {
                Steps::Armijo(armijo) => {
                    f = objective.gradient(z, &mut g)?.objective;
                    if published_norm(z, &g) <= self.tolerance * first_norm {
                        End::Converged
                    } else {
                        match armijo.step(objective, z, f, &g)? {
                            Some(next) => {
                                *z = next;
                                f = objective.value(z)?.objective;
                                End::Step
                            }
                            None => End::Stalled,
                        }
                    }
                }
                Steps::Momentum(momentum) => {
                    objective.gradient(z, &mut g)?;
                    if published_norm(z, &g) <= self.tolerance * first_norm {
                        End::Converged
                    } else {
                        momentum.step(z, &g);
                        if entries::all_finite(z) {
                            f = objective.value(z)?.objective;
                            End::Step
                        } else {
                            End::Stalled
                        }
                    }
                }
                Steps::Accelerated(accelerated) => {
                    let (end, value) = accelerated.step(objective, z, &mut g)?;
                    restarts = accelerated.restarts;
                    if !entries::all_finite(z) {
                        End::Stalled
                    } else {
                        f = match value {
                            Some(value) => value.objective,
                            None => objective.value(z)?.objective,
                        };
                        // The residual at z itself, every ten steps.
                        let converged = done % 10 == 9 && {
                            objective.gradient(z, &mut g)?;
                            entries::kkt(z, &g, 1.0, 1.0) <= self.tolerance * first
                        };
                        if converged { End::Converged } else { end }
                    }
                }
            };
            match end {
                End::Stalled => {
                    status = Status::Stalled;
                    if !f.is_finite() || !entries::all_finite(z) {
                        *z = before;
                    }
                    break;
                }
                End::Converged if matches!(steps, Steps::Accelerated(_)) => {
                    done += 1;
                    record(&mut trace, done, f);
                    status = Status::Converged;
                    break;
                }
                End::Converged => {
                    status = Status::Converged;
                    break;
                }
                End::Step => (),
            }
            if !f.is_finite() {
                *z = before;
                status = Status::Stalled;
                break;
            }
            done += 1;
            record(&mut trace, done, f);
            if best.as_ref().is_none_or(|(value, _)| f < *value) {
                best = Some((f, z.clone()));
            }
            if let Some(callback) = &mut self.callback {
                let progress = FitProgress {
                    iterations: done,
                    rounds: restarts,
                    active: 0,
                    residual: f64::NAN,
                    objective: Some(f),
                    gap: None,
                };
                if callback(&progress).is_break() {
                    status = Status::Interrupted;
                    break;
                }
            }
        }
        // The published fixed-step run ends where it ends; the others give their best.
        if let (Steps::Accelerated(AcceleratedSteps { fixed: false, .. }), Some((value, point))) =
            (&steps, best)
            && value < f
        {
            *z = point;
        }
        Ok((status, done, restarts, trace, first))
    }
}
