//! L-BFGS-B: a limited-memory quasi-Newton method over a box.

mod cauchy;
mod compact;
mod small;

use std::ops::ControlFlow;

use hesse_kernels::projected_gradient::Bounds;

use super::line_search::{MoreThuente, Search};
use super::minimum::{
    Callback, MinimizeProgress, MinimizeStatus, Minimum, SmoothObjective, all_finite, clamp, dot,
    enter_box, evaluate_start, residual,
};
use crate::{Error, Real, Result};
use cauchy::{CauchyPoint, cauchy_point, small_dot};
use compact::Compact;

/// Differences of values below this part of them may be rounding: sums of terms of both signs.
const NOISE: f64 = 1e-12;

/// Evaluations of one line search.
const MOST_TRIALS: usize = 20;

/// Minimises a smooth function over a box l ≤ x ≤ u, of which only values and gradients are known.
///
/// Each step minimises the quadratic model B = θI − W M Wᵀ of the last m pairs of differences: first
/// along the projected gradient path (the generalised Cauchy point), then over the variables that
/// are at no bound there, projected into the box (version 3; along the segment where that is no
/// descent direction); then a line search of Moré and Thuente towards that point. Points never
/// leave the box. Cost of a step: O(m² n) flops, one or two evaluations. Memory: (2m + 8) n numbers.
///
/// Converged where max |clamp(g, x − u, x − l)| ≤ tolerance. The last point is the best, since steps
/// only descend; where values differ by rounding alone, by the slopes.
///
/// Sources: Byrd, Lu, Nocedal and Zhu, SIAM J. Sci. Comput. 16 (1995) 1190, algorithms CP and
/// 5.1; Morales and Nocedal, ACM TOMS 38 (2011), the projection of the subspace step.
///
/// ```
/// use hesse::optimize::{Bounds, Lbfgsb, SmoothObjective};
///
/// struct Bowl;
/// impl SmoothObjective<f64> for Bowl {
///     fn dimension(&self) -> usize {
///         2
///     }
///     fn value_and_gradient(&mut self, x: &[f64], g: &mut [f64]) -> hesse::Result<f64> {
///         (g[0], g[1]) = (2.0 * (x[0] - 3.0), 20.0 * (x[1] + 1.0));
///         Ok((x[0] - 3.0).powi(2) + 10.0 * (x[1] + 1.0).powi(2))
///     }
/// }
/// let least = Lbfgsb::new().minimize(&mut Bowl, Bounds::nonnegative(), &[1.0, 1.0])?;
/// assert!((least.x[0] - 3.0).abs() < 1e-6 && least.x[1] == 0.0);
/// # Ok::<(), hesse::Error>(())
/// ```
pub struct Lbfgsb<'a> {
    memory: usize,
    tolerance: f64,
    relative_decrease: f64,
    max_iterations: usize,
    max_evaluations: usize,
    callback: Option<Callback<'a>>,
}

impl Default for Lbfgsb<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Lbfgsb<'a> {
    /// Ten pairs, tolerance 10⁻⁸, no test of the decrease, 15,000 iterations and as many more
    /// evaluations.
    #[must_use]
    pub fn new() -> Self {
        Self {
            memory: 10,
            tolerance: 1e-8,
            relative_decrease: 0.0,
            max_iterations: 15_000,
            max_evaluations: 30_000,
            callback: None,
        }
    }

    /// m.
    #[must_use]
    pub fn memory(self, pairs: usize) -> Self {
        Self { memory: pairs, ..self }
    }

    /// Largest element of the projected gradient that counts as converged.
    #[must_use]
    pub fn tolerance(self, projected_gradient: f64) -> Self {
        Self { tolerance: projected_gradient, ..self }
    }

    /// Stops where f falls by no more than this times max(|f|, |f'|, 1) in a step: `factr` · 2⁻⁵² of
    /// the published code. 0 for never.
    #[must_use]
    pub fn relative_decrease(self, fraction: f64) -> Self {
        Self { relative_decrease: fraction, ..self }
    }

    /// No more steps than this.
    #[must_use]
    pub fn max_iterations(self, limit: usize) -> Self {
        Self { max_iterations: limit, ..self }
    }

    /// No more evaluations than this.
    #[must_use]
    pub fn max_evaluations(self, limit: usize) -> Self {
        Self { max_evaluations: limit, ..self }
    }

    /// Called after each step; the best point so far is returned on `Break`.
    #[must_use]
    pub fn callback(self, f: impl FnMut(&MinimizeProgress) -> ControlFlow<()> + 'a) -> Self {
        Self { callback: Some(Box::new(f)), ..self }
    }

    /// Minimises from `start`, which is moved into the box first.
    ///
    /// # Errors
    /// [`Error::Empty`] for no variable, [`Error::Shape`] and [`Error::NonFinite`] for the start,
    /// the bounds and the objective at the start, [`Error::Range`] for options and for bounds
    /// without a number between them; what the objective returns.
    pub fn minimize<T: Real>(
        mut self,
        objective: &mut (impl SmoothObjective<T> + ?Sized),
        bounds: Bounds<'_, T>,
        start: &[T],
    ) -> Result<Minimum<T>> {
        let n = objective.dimension();
        for (what, count) in [
            ("memory", self.memory),
            ("max_iterations", self.max_iterations),
            ("max_evaluations", self.max_evaluations),
        ] {
            if count == 0 {
                return Err(Error::range(what, "at least 1", 0));
            }
        }
        super::check_not_negative("tolerance", self.tolerance)?;
        super::check_not_negative("relative decrease", self.relative_decrease)?;
        let x = enter_box(n, &bounds, start)?;
        let mut gradient = vec![T::ZERO; n];
        let value = evaluate_start(objective, &x, &mut gradient)?;
        let projected_gradient = residual(&x, &gradient, &bounds);
        let mut now = Minimum {
            x,
            value,
            gradient,
            projected_gradient,
            status: MinimizeStatus::IterationLimit,
            iterations: 0,
            evaluations: 1,
            restarts: 0,
            skipped_updates: 0,
        };
        let mut compact = Compact::new(self.memory);
        let mut trial = Trial { x: vec![T::ZERO; n], gradient: vec![T::ZERO; n], value: 0.0 };
        now.status = loop {
            if now.projected_gradient <= self.tolerance {
                break MinimizeStatus::Converged;
            }
            if now.iterations >= self.max_iterations || now.evaluations >= self.max_evaluations {
                break MinimizeStatus::IterationLimit;
            }
            let target = target(&compact, &now, &bounds);
            let found = self.search(objective, &bounds, &mut now, &target, &mut trial)?;
            if !found {
                if now.evaluations >= self.max_evaluations {
                    break MinimizeStatus::IterationLimit;
                }
                if compact.pairs() == 0 {
                    break MinimizeStatus::Stalled;
                }
                compact.clear();
                now.restarts += 1;
                continue;
            }
            let (old_value, new_value) = (now.value, trial.value);
            self.learn(&mut compact, &mut now, &trial);
            std::mem::swap(&mut now.x, &mut trial.x);
            std::mem::swap(&mut now.gradient, &mut trial.gradient);
            now.value = new_value;
            now.iterations += 1;
            now.projected_gradient = residual(&now.x, &now.gradient, &bounds);
            if let Some(callback) = &mut self.callback {
                let progress = MinimizeProgress {
                    iterations: now.iterations,
                    evaluations: now.evaluations,
                    value: now.value,
                    projected_gradient: now.projected_gradient,
                };
                if callback(&progress).is_break() {
                    break MinimizeStatus::Interrupted;
                }
            }
            let size = old_value.abs().max(new_value.abs()).max(1.0);
            if now.projected_gradient > self.tolerance
                && self.relative_decrease > 0.0
                && old_value - new_value <= self.relative_decrease * size
            {
                break MinimizeStatus::SmallDecrease;
            }
        };
        Ok(now)
    }

    /// A lower point towards `target`, into `trial`; false where there is none.
    fn search<T: Real>(
        &self,
        objective: &mut (impl SmoothObjective<T> + ?Sized),
        bounds: &Bounds<'_, T>,
        now: &mut Minimum<T>,
        target: &[T],
        trial: &mut Trial<T>,
    ) -> Result<bool> {
        let n = now.x.len();
        let direction: Vec<T> = target.iter().zip(&now.x).map(|(t, x)| *t - *x).collect();
        let slope = dot(&now.gradient, &direction);
        let length = dot(&direction, &direction).sqrt();
        if !(slope < 0.0 && length.is_finite()) {
            return Ok(false);
        }
        // The longest step that stays inside; at the start no longer than to the target.
        let mut longest = 1e10_f64;
        for i in 0..n {
            let (low, high) = bounds.at(i);
            let (d, x) = (direction[i].to_f64(), now.x[i].to_f64());
            if d != 0.0 {
                let bound = if d > 0.0 { high.to_f64() } else { low.to_f64() };
                let reach = (bound - x) / d;
                longest = if reach < longest { reach } else { longest };
            }
        }
        let longest = if now.iterations == 0 { 1.0 } else { longest.max(1.0) };
        let first = if now.iterations == 0 { (1.0 / length).min(1.0) } else { 1.0 };
        let mut search = MoreThuente::new(now.value, slope, first, longest);
        // The lowest point below the start, in case the conditions cannot be met.
        let mut lowest: Option<(f64, f64)> = None;
        for _ in 0..MOST_TRIALS {
            if now.evaluations >= self.max_evaluations {
                break;
            }
            let step = search.step();
            trial.at(step, &now.x, &direction, target, bounds);
            trial.value = objective.value_and_gradient(&trial.x, &mut trial.gradient)?;
            now.evaluations += 1;
            let usable = trial.value.is_finite() && all_finite(&trial.gradient);
            let along = if usable { dot(&trial.gradient, &direction) } else { f64::NAN };
            let lower = usable && trial.value < now.value;
            // Where rounding hides the decrease the slopes tell (Hager and Zhang 2005, (4.1)).
            let hidden = (trial.value - now.value).abs() <= NOISE * now.value.abs();
            if usable && hidden && along >= 0.9 * slope && along <= -0.998 * slope {
                return Ok(true);
            }
            if lower && lowest.is_none_or(|(_, value)| trial.value < value) {
                lowest = Some((step, trial.value));
            }
            match search.next(trial.value, along) {
                Search::Done if lower => return Ok(true),
                Search::Try(next) if next != step => {}
                _ => break,
            }
        }
        let Some((step, value)) = lowest else { return Ok(false) };
        if trial.value != value {
            if now.evaluations >= self.max_evaluations {
                return Ok(false);
            }
            trial.at(step, &now.x, &direction, target, bounds);
            trial.value = objective.value_and_gradient(&trial.x, &mut trial.gradient)?;
            now.evaluations += 1;
        }
        Ok(trial.value < now.value && all_finite(&trial.gradient))
    }

    /// Adds the pair of the step to the model, where it has curvature.
    fn learn<T: Real>(&self, compact: &mut Compact<T>, now: &mut Minimum<T>, trial: &Trial<T>) {
        let n = now.x.len();
        // Whether it has is known before a pair is given up for it.
        let difference = |a: &[T], b: &[T], out: &mut [T]| {
            out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = *a - *b);
        };
        let (mut s, mut y) = (vec![T::ZERO; n], vec![T::ZERO; n]);
        difference(&trial.x, &now.x, &mut s);
        difference(&trial.gradient, &now.gradient, &mut y);
        let (sy, yy) = (dot(&s, &y), dot(&y, &y));
        if !(sy > f64::EPSILON * yy && yy.is_finite() && sy > 0.0) {
            now.skipped_updates += 1;
            return;
        }
        compact.make_room();
        if !compact.push(s, y, sy, yy) {
            now.restarts += 1;
        }
    }
}

/// A point that is tried.
struct Trial<T> {
    x: Vec<T>,
    gradient: Vec<T>,
    value: f64,
}

impl<T: Real> Trial<T> {
    fn at(&mut self, step: f64, x: &[T], direction: &[T], target: &[T], bounds: &Bounds<'_, T>) {
        if step == 1.0 {
            self.x.copy_from_slice(target);
            return;
        }
        for i in 0..x.len() {
            let (low, high) = bounds.at(i);
            let moved = T::from_f64(x[i].to_f64() + step * direction[i].to_f64());
            self.x[i] = clamp(moved, low, high);
        }
    }
}

/// Where the model has its minimum, inside the box.
fn target<T: Real>(compact: &Compact<T>, now: &Minimum<T>, bounds: &Bounds<'_, T>) -> Vec<T> {
    let CauchyPoint { x: cauchy, c, free } = cauchy_point(compact, &now.x, &now.gradient, bounds);
    if compact.pairs() == 0 || !free.contains(&true) {
        return cauchy;
    }
    let Some(step) = subspace_step(compact, now, &cauchy, &c, &free) else { return cauchy };
    let mut target = cauchy.clone();
    let mut slope = 0.0;
    for i in (0..cauchy.len()).filter(|&i| free[i]) {
        let (low, high) = bounds.at(i);
        target[i] = clamp(T::from_f64(cauchy[i].to_f64() + step[i]), low, high);
    }
    for i in 0..target.len() {
        slope += now.gradient[i].to_f64() * (target[i].to_f64() - now.x[i].to_f64());
    }
    if slope < 0.0 {
        return target;
    }
    // Not downhill: along the segment instead, up to the first bound.
    let mut part = 1.0_f64;
    for i in (0..cauchy.len()).filter(|&i| free[i] && step[i] != 0.0) {
        let (low, high) = bounds.at(i);
        let bound = if step[i] > 0.0 { high } else { low };
        part = part.min((bound.to_f64() - cauchy[i].to_f64()) / step[i]);
    }
    for i in (0..cauchy.len()).filter(|&i| free[i]) {
        let (low, high) = bounds.at(i);
        let moved = T::from_f64(cauchy[i].to_f64() + part.max(0.0) * step[i]);
        target[i] = clamp(moved, low, high);
    }
    target
}

/// The minimiser of the model over the free variables, from the Cauchy point: the direct primal
/// method. `None` where its small system is singular.
fn subspace_step<T: Real>(
    compact: &Compact<T>,
    now: &Minimum<T>,
    cauchy: &[T],
    c: &[f64],
    free: &[bool],
) -> Option<Vec<f64>> {
    let (n, k, theta) = (cauchy.len(), 2 * compact.pairs(), compact.theta);
    let mc = compact.middle(c);
    let mut row = vec![0.0; k];
    let mut r = vec![0.0; n];
    for i in (0..n).filter(|&i| free[i]) {
        compact.row(i, &mut row);
        let moved = cauchy[i].to_f64() - now.x[i].to_f64();
        r[i] = now.gradient[i].to_f64() + theta * moved - small_dot(&row, &mc);
    }
    let (gram, right) = compact.free_products(free, &r);
    // (I − M WᵀZZᵀW/θ) v = M WᵀZ r.
    let mut system = vec![0.0; k * k];
    for j in 0..k {
        let column: Vec<f64> = (0..k).map(|i| gram[i * k + j] / theta).collect();
        for (i, value) in compact.middle(&column).into_iter().enumerate() {
            system[i * k + j] = f64::from(u8::from(i == j)) - value;
        }
    }
    let v = small::solve_general(system, k, &compact.middle(&right))?;
    let mut step = vec![0.0; n];
    for i in (0..n).filter(|&i| free[i]) {
        compact.row(i, &mut row);
        step[i] = -r[i] / theta - small_dot(&row, &v) / (theta * theta);
    }
    step.iter().all(|x| x.is_finite()).then_some(step)
}
