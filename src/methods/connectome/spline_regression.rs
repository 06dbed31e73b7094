//! P1: the smoothest nonnegative full matrix that fits, to a certificate of optimality.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::active_set::{ActiveSet, Goal, Pause, State};
use super::checkpoint;
use super::data::TracingData;
use super::duality_gap::DualityGap;
use super::exact_inverse;
use super::fitted::{Connectome, FullWeights, Status, TracePoint};
use super::objective::{SplineObjective, check_lambda, check_operators, effective_lambda};
use super::preconditioner::{Inverse, Preconditioner};
use super::smoothing_operator::SmoothingOperator;
use super::solver::{Callback, Counters, FitProgress, Solver, finish};
use crate::{Error, Result};

/// The relative gap at which fits of many voxels end.
const DEFAULT_GAP: f64 = 1e-4;

/// How λ is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Strength {
    /// λ, which is multiplied by n_inj/n_x.
    Lambda(f64),
    /// λ' itself.
    Effective(f64),
}

impl Strength {
    /// λ' for these data.
    pub fn effective(self, data: &TracingData) -> Result<f64> {
        match self {
            Strength::Lambda(lambda) => {
                check_lambda("lambda", lambda)?;
                Ok(effective_lambda(data, lambda))
            }
            Strength::Effective(lambda) => {
                check_lambda("effective lambda", lambda)?;
                Ok(lambda)
            }
        }
    }
}

/// min ‖Ω∘(W X − Y)‖² + λ' ‖L_y W + W L_xᵀ‖² over W ≥ 0, λ' = λ n_inj/n_x.
///
/// The default solver runs to a certificate. Up to 1,000 voxels a side it is the residual of the
/// conditions of Karush, Kuhn and Tucker, recomputed; beyond, where rounding and time stand in the way
/// of that, the relative gap between the objective and a lower bound on its minimum, 10⁻⁴ unless said
/// otherwise ([`SplineRegression::tol_gap`]). Both are part of the result.
///
/// ```
/// use hesse::connectome::{SmoothingOperator, SplineRegression, Status, TracingData};
/// use hesse::faer::Mat;
///
/// // One injection into the middle of a line of five voxels, seen everywhere else.
/// let x = Mat::from_fn(5, 1, |i, _| f64::from(u8::from(i == 2)));
/// let y = Mat::from_fn(5, 1, |i, _| [1.0, 2.0, 9.0, 2.0, 1.0][i]);
/// let data =
///     TracingData::builder().injections_dense(x.as_ref()).projections(y.as_ref()).build()?;
/// let path = SmoothingOperator::of_box(&[5])?;
/// let fit = SplineRegression::new().lambda(1e-3).fit(&data, &path, &path)?;
/// assert_eq!(fit.status, Status::Converged);
/// // The injected column fits what was seen, and bridges what was not without a peak of 9.
/// let column = fit.column(2)?;
/// assert!((column[1] - 2.0).abs() < 0.01 && column[2] < 4.0, "{column:?}");
/// # Ok::<(), hesse::Error>(())
/// ```
///
/// Source: Harris, Mihalas and Shea-Brown 2016, problem P1; its solver is
/// [`SplineRegression::reference_2016`].
pub struct SplineRegression<'a> {
    strength: Strength,
    solver: Solver,
    preconditioner: Preconditioner,
    nonnegative: bool,
    start: Option<FullWeights>,
    tol_kkt: Option<f64>,
    tol_gap: Option<f64>,
    max_iterations: Option<usize>,
    memory_limit: Option<usize>,
    trace: bool,
    checkpoint: Option<(PathBuf, usize)>,
    callback: Option<Box<Callback<'a>>>,
}

impl Default for SplineRegression<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SplineRegression<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SplineRegression")
            .field("strength", &self.strength)
            .field("solver", &self.solver)
            .field("preconditioner", &self.preconditioner)
            .field("nonnegative", &self.nonnegative)
            .field("tol_kkt", &self.tol_kkt)
            .field("tol_gap", &self.tol_gap)
            .finish_non_exhaustive()
    }
}

impl<'a> SplineRegression<'a> {
    /// λ = 1, W ≥ 0, the active set to a relative residual of 10⁻⁸ (beyond 1,000 voxels a side to a
    /// relative gap of 10⁻⁴), unless said otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self {
            strength: Strength::Lambda(1.0),
            solver: Solver::default(),
            preconditioner: Preconditioner::Auto,
            nonnegative: true,
            start: None,
            tol_kkt: None,
            tol_gap: None,
            max_iterations: None,
            memory_limit: None,
            trace: false,
            checkpoint: None,
            callback: None,
        }
    }

    /// The published setting: L-BFGS-B from W = 0 with memory 6, at most 600 iterations, and a stopping
    /// rule that ends far from the optimum (a relative decrease of 4.4·10⁻⁶): part of what regularises
    /// the published results may be this.
    #[must_use]
    pub fn reference_2016() -> Self {
        Self { solver: Solver::LBFGSB_2016, max_iterations: Some(600), ..Self::new() }
    }

    /// λ, of which the objective takes λ n_inj/n_x.
    #[must_use]
    pub fn lambda(self, lambda: f64) -> Self {
        Self { strength: Strength::Lambda(lambda), ..self }
    }

    /// λ' itself, not scaled by n_inj/n_x.
    #[must_use]
    pub fn lambda_eff(self, lambda_eff: f64) -> Self {
        Self { strength: Strength::Effective(lambda_eff), ..self }
    }

    /// What minimises the objective.
    #[must_use]
    pub fn solver(self, solver: Solver) -> Self {
        Self { solver, ..self }
    }

    /// What steers the conjugate gradients.
    #[must_use]
    pub fn preconditioner(self, preconditioner: Preconditioner) -> Self {
        Self { preconditioner, ..self }
    }

    /// Whether W ≥ 0 is asked for; else W may have any sign (the generalised Sylvester equation).
    #[must_use]
    pub fn nonnegative(self, nonnegative: bool) -> Self {
        Self { nonnegative, ..self }
    }

    /// Starts from `w`, targets × sources, which must be feasible.
    #[must_use]
    pub fn warm_start(self, w: FullWeights) -> Self {
        Self { start: Some(w), ..self }
    }

    /// The relative residual that counts as converged: max |min(W/max W, ∇f/max |∇f(0)|)|; default
    /// 10⁻⁸, see [`SplineRegression`] for large problems.
    #[must_use]
    pub fn tol_kkt(self, tolerance: f64) -> Self {
        Self { tol_kkt: Some(tolerance), tol_gap: None, ..self }
    }

    /// Ends with (f(W) − d)/d at most this, d a lower bound on the minimum, instead of at a residual:
    /// so (f(W) − min f)/min f is no more, whatever the path to W.
    ///
    /// By weak duality, for any X of any sign and any multipliers η ≥ 0,
    ///
    /// min f ≥ d = f(X) − ⟨η, X⟩ − ½ ρᵀ H⁻¹ ρ, ρ = ∇f(X) − η,
    ///
    /// and the last term is bounded from above: exactly on the 64 smoothest pairs of modes of the two
    /// Laplacians, by their penalty alone on all other known ones, and by the largest of these on what
    /// they leave. So it takes a preconditioner of modes (any but `None`), symmetric operators, λ > 0, and
    /// for modes that are not all of them, Laplacians of voxels; that none of the lowest eigenvalues is
    /// missing is made sure of by counting the pivots of L + σI. What is proven is in
    /// [`Connectome::gap`]. The default solver only.
    #[must_use]
    pub fn tol_gap(self, gap: f64) -> Self {
        Self { tol_gap: Some(gap), tol_kkt: None, ..self }
    }

    /// No more iterations than this, of conjugate gradients over all rounds or of the first-order
    /// solvers; default 20,000.
    #[must_use]
    pub fn max_iterations(self, limit: usize) -> Self {
        Self { max_iterations: Some(limit), ..self }
    }

    /// Refuses to start where [`SplineRegression::memory_estimate`] is above this number of bytes.
    #[must_use]
    pub fn memory_limit(self, bytes: usize) -> Self {
        Self { memory_limit: Some(bytes), ..self }
    }

    /// Records ‖residual‖/‖right-hand side‖ (or the objective, for first-order solvers) of every
    /// iteration.
    #[must_use]
    pub fn trace(self, yes: bool) -> Self {
        Self { trace: yes, ..self }
    }

    /// Calls `callback` after every iteration; `Break` ends the run.
    #[must_use]
    pub fn callback(self, callback: impl FnMut(&FitProgress) -> ControlFlow<()> + 'a) -> Self {
        Self { callback: Some(Box::new(callback)), ..self }
    }

    /// Writes a checkpoint every `every` iterations and where the callback stops the run, atomically
    /// (three times W, in the format that the end of the name says). The default solver only.
    #[must_use]
    pub fn checkpoint(self, path: impl AsRef<Path>, every: usize) -> Self {
        Self { checkpoint: Some((path.as_ref().to_path_buf(), every.max(1))), ..self }
    }

    /// Bytes that a fit of these data will hold at once, at most, without the data themselves.
    ///
    /// [`Preconditioner::Auto`] leaves out the exact factor where it does not fit under the
    /// [`SplineRegression::memory_limit`].
    #[must_use]
    pub fn memory_estimate(&self, data: &TracingData) -> usize {
        self.least_memory(data).saturating_add(self.factor_memory(data))
    }

    /// Bytes of an exact factor; 0 where there will be none.
    fn factor_memory(&self, data: &TracingData) -> usize {
        let factor = exact_inverse::most_memory(data.targets(), data.sources());
        match self.preconditioner {
            _ if !matches!(self.solver, Solver::ActiveSetPcg { .. }) => 0,
            Preconditioner::Exact => factor,
            Preconditioner::Auto => {
                let all = self.least_memory(data).saturating_add(factor);
                if self.memory_limit.is_none_or(|limit| all <= limit) { factor } else { 0 }
            }
            _ => 0,
        }
    }

    /// The estimate without an exact factor.
    fn least_memory(&self, data: &TracingData) -> usize {
        let (ny, nx, ne) = (data.targets(), data.sources(), data.experiments());
        let entries = ny.saturating_mul(nx);
        let vectors = match self.solver {
            Solver::ActiveSetPcg { .. } => entries.saturating_mul(5 * 8 + 1),
            Solver::Lbfgsb { memory, .. } => {
                entries.saturating_mul(8).saturating_mul(2 * memory + 6)
            }
            Solver::AcceleratedPg => entries.saturating_mul(8 * 6),
        };
        let modes = match self.preconditioner {
            _ if !matches!(self.solver, Solver::ActiveSetPcg { .. }) => 0,
            Preconditioner::None => 0,
            Preconditioner::LowModes { modes, .. } => modes.min(ny.max(nx)),
            Preconditioner::Auto if ny.max(nx) > super::mode_basis::FEW => {
                super::preconditioner::MODES.min(ny.max(nx))
            }
            _ => ny.max(nx),
        };
        let saved = if self.checkpoint.is_some() { entries.saturating_mul(3 * 8 + 1) } else { 0 };
        let steered =
            modes.saturating_mul(2 * (ny + nx) + 2 * modes + ne * ne + ne).saturating_mul(8);
        vectors.saturating_add(steered).saturating_add(saved).saturating_add(2 * 8 * ny * ne)
    }

    fn prepare<'d>(
        &self,
        data: &'d TracingData,
        lx: &'d SmoothingOperator,
        ly: &'d SmoothingOperator,
    ) -> Result<SplineObjective<'d>> {
        check_operators(data, lx, ly)?;
        let lambda_eff = self.strength.effective(data)?;
        for (what, tolerance) in [("tol_kkt", self.tol_kkt), ("tol_gap", self.tol_gap)] {
            if let Some(tolerance) = tolerance
                && !(tolerance > 0.0 && tolerance.is_finite())
            {
                return Err(Error::range(what, "a positive finite number", tolerance));
            }
        }
        if self.max_iterations == Some(0) {
            return Err(Error::range("max_iterations", "at least 1", 0));
        }
        let required = self.memory_estimate(data);
        if let Some(limit) = self.memory_limit
            && required > limit
        {
            return Err(Error::Memory { what: "weights and solver".to_owned(), required, limit });
        }
        if let Some(start) = &self.start {
            check_start(start, data, self.nonnegative)?;
        }
        SplineObjective::new(data, lx, ly, lambda_eff)
    }

    /// Fits W to `data` with the Laplacians of the source voxels and of the target voxels.
    ///
    /// # Errors
    /// [`Error::Shape`] for operators or a start of another size; [`Error::Range`] for λ, tolerances,
    /// a start with a negative entry, operators that the preconditioner cannot use, and where there
    /// is no memory; [`Error::Memory`] above the limit. An iteration limit is a [`Status`].
    pub fn fit(
        self,
        data: &TracingData,
        lx: &SmoothingOperator,
        ly: &SmoothingOperator,
    ) -> Result<Connectome> {
        let objective = self.prepare(data, lx, ly)?;
        self.run(objective, None)
    }

    /// Goes on from a checkpoint that a fit with the same settings and data has written, to the same
    /// bits.
    ///
    /// # Errors
    /// Those of [`SplineRegression::fit`], and a file that is not a checkpoint of this problem.
    pub fn resume(
        self,
        path: impl AsRef<Path>,
        data: &TracingData,
        lx: &SmoothingOperator,
        ly: &SmoothingOperator,
    ) -> Result<Connectome> {
        let objective = self.prepare(data, lx, ly)?;
        let state = checkpoint::read(path.as_ref(), &objective, self.nonnegative)?;
        self.run(objective, Some(state))
    }

    fn run(mut self, objective: SplineObjective<'_>, state: Option<State>) -> Result<Connectome> {
        let limit = self.max_iterations.unwrap_or(20_000);
        let tol_kkt = self.tol_kkt.unwrap_or(1e-8);
        let Solver::ActiveSetPcg { tolerance } = self.solver else {
            if state.is_some() || self.checkpoint.is_some() {
                let got = format!("{:?}", self.solver);
                return Err(Error::range("solver with checkpoints", "ActiveSetPcg", got));
            }
            let start = self.start.take().map(|w| w.values);
            if self.tol_gap.is_some() {
                let got = format!("{:?}", self.solver);
                return Err(Error::range("solver with tol_gap", "ActiveSetPcg", got));
            }
            let signs = self.nonnegative;
            return super::first_order::minimize(
                objective,
                self.solver,
                signs,
                tol_kkt,
                limit,
                start,
                self.trace,
                self.callback,
            );
        };
        let explicit = tolerance.is_some() || self.tol_kkt.is_some();
        let tolerance = tolerance.unwrap_or(1e-3 * tol_kkt);
        if !(tolerance > 0.0 && tolerance < 1.0) {
            return Err(Error::range(
                "tolerance of the linear systems",
                "above 0, below 1",
                tolerance,
            ));
        }
        let roomy = self.factor_memory(objective.data) > 0;
        let mut inverse = Inverse::new(self.preconditioner, &objective, roomy)?;
        let goal = self.goal(&objective, &inverse, explicit)?;
        let gap = goal.as_ref().map(|goal| goal.gap);
        let (start, signs) = (self.start.take().map(|w| w.values), self.nonnegative);
        let mut search = match state {
            Some(state) => {
                ActiveSet::resume(objective, &mut inverse, signs, tolerance, goal, state)?
            }
            None => ActiveSet::new(objective, &mut inverse, signs, tolerance, goal, start)?,
        };
        let mut trace = Vec::new();
        let status = loop {
            if search.state.iterations >= limit {
                break Status::IterationLimit;
            }
            match search.advance() {
                Pause::Done if gap.is_some_and(|gap| search.gap() > gap) => break Status::Stalled,
                Pause::Done => break Status::Converged,
                Pause::Stagnated => break Status::Stalled,
                Pause::Step => (),
            }
            let residual = search.residual();
            let iterations = search.state.iterations;
            if self.trace {
                trace.push(TracePoint { iteration: iterations, value: residual });
            }
            let progress = FitProgress {
                iterations,
                rounds: search.state.rounds,
                active: search.state.active.count(),
                residual,
                objective: search.objective(),
                gap: Some(search.gap()).filter(|gap| gap.is_finite()),
            };
            let stop =
                self.callback.as_mut().is_some_and(|callback| callback(&progress).is_break());
            if let Some((path, every)) = &self.checkpoint
                && (stop || iterations.is_multiple_of(*every))
            {
                checkpoint::write(path, &objective, self.nonnegative, &search.state)?;
            }
            if stop {
                break Status::Interrupted;
            }
        };
        let proven = search.gap();
        let State { x, r, p, iterations, rounds, .. } = search.into_state();
        let counters = Counters { iterations, rounds, status, trace };
        // With a gap to reach, the residual is reported and decides nothing.
        let tol_kkt = if gap.is_some() { 0.0 } else { tol_kkt };
        let mut fit = finish(&objective, self.nonnegative, tol_kkt, x, [r, p], counters)?;
        if gap.is_some() {
            fit.status = status;
        }
        if status == Status::Converged && proven.is_finite() {
            fit.gap = proven;
        }
        Ok(fit)
    }

    /// The gap at which to end, if it is to end at one.
    fn goal(
        &self,
        objective: &SplineObjective<'_>,
        inverse: &Inverse,
        explicit: bool,
    ) -> Result<Option<Goal>> {
        let large = objective.lx.voxels().max(objective.ly.voxels()) > super::mode_basis::FEW;
        let gap = match self.tol_gap {
            Some(gap) => gap,
            None if large && !explicit => DEFAULT_GAP,
            None => return Ok(None),
        };
        let bound = inverse.modes().and_then(|modes| DualityGap::new(objective, modes));
        match bound {
            Some(bound) => Ok(Some(Goal { gap, bound })),
            None if self.tol_gap.is_some() => {
                let expected = "a lambda above 0, data that determine W, and a preconditioner of \
                                modes of Laplacians";
                Err(Error::range("tol_gap", expected, "a problem without these"))
            }
            None => Ok(None),
        }
    }
}

fn check_start(start: &FullWeights, data: &TracingData, nonnegative: bool) -> Result<()> {
    let (expected, got) = ((data.targets(), data.sources()), (start.targets(), start.sources()));
    if expected != got {
        return Err(Error::shape("start", expected, got));
    }
    let negative = |i: usize| {
        let place = (i % start.targets, i / start.targets);
        Error::range("start", "numbers from 0", format!("{} at {place:?}", start.values[i]))
    };
    match start.values.iter().position(|w| *w < 0.0) {
        Some(i) if nonnegative => Err(negative(i)),
        _ => Ok(()),
    }
}
