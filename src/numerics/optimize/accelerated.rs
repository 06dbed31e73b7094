//! Projected gradient with Nesterov's momentum, for when memory is short.

use std::ops::ControlFlow;

use hesse_kernels::projected_gradient::Bounds;

use super::minimum::{
    Callback, MinimizeProgress, MinimizeStatus, Minimum, PIECE, SmoothObjective, all_finite,
    enter_box, evaluate_start, projected_step, residual,
};
use crate::{Error, Isa, Real, Result, parallel};

/// Steps are halved when they are too long, and grow by this factor after each that was not.
const GROWTH: f64 = 1.1;

/// Steps without a better point before the search ends.
const PATIENCE: usize = 500;

/// Halvings of one step.
const MOST_HALVINGS: usize = 100;

/// Minimises a smooth function over a box with gradients and the memory of five vectors.
///
/// x⁺ = clamp(z − ηg(z), l, u) with z = x + (t − 1)/t⁺ (x − x⁻), t⁺ = (1 + √(1 + 4t²))/2; η is
/// halved until f(x⁺) ≤ f(z) + ⟨g, x⁺ − z⟩ + ‖x⁺ − z‖²/2η, and t starts again from 1 where
/// ⟨g(z), x⁺ − x⟩ > 0 or z is outside the box (z is moved into it). Where values are too close to
/// tell, gradients decide: ⟨g(x⁺) − g(z), x⁺ − z⟩ ≤ ‖x⁺ − z‖²/η. Cost of a step: two evaluations and
/// three passes. [`Lbfgsb`](super::Lbfgsb) needs fewer evaluations where its memory can be paid.
///
/// Sources: Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009) 183; O'Donoghue and Candès, Found.
/// Comput. Math. 15 (2015) 715, the gradient scheme of restarts.
pub struct AcceleratedProjectedGradient<'a> {
    step: f64,
    tolerance: f64,
    max_iterations: usize,
    callback: Option<Callback<'a>>,
}

impl Default for AcceleratedProjectedGradient<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> AcceleratedProjectedGradient<'a> {
    /// First step 1, tolerance 10⁻⁸, 100,000 iterations.
    #[must_use]
    pub fn new() -> Self {
        Self { step: 1.0, tolerance: 1e-8, max_iterations: 100_000, callback: None }
    }

    /// The first η, from which it is halved or grows.
    #[must_use]
    pub fn step(self, eta: f64) -> Self {
        Self { step: eta, ..self }
    }

    /// Largest element of the projected gradient that counts as converged.
    #[must_use]
    pub fn tolerance(self, projected_gradient: f64) -> Self {
        Self { tolerance: projected_gradient, ..self }
    }

    /// No more steps than this.
    #[must_use]
    pub fn max_iterations(self, limit: usize) -> Self {
        Self { max_iterations: limit, ..self }
    }

    /// Called after each step; the best point so far is returned on `Break`.
    #[must_use]
    pub fn callback(self, f: impl FnMut(&MinimizeProgress) -> ControlFlow<()> + 'a) -> Self {
        Self { callback: Some(Box::new(f)), ..self }
    }

    /// Minimises from `start`, which is moved into the box first.
    ///
    /// # Errors
    /// As [`Lbfgsb::minimize`](super::Lbfgsb::minimize).
    pub fn minimize<T: Real>(
        mut self,
        objective: &mut (impl SmoothObjective<T> + ?Sized),
        bounds: Bounds<'_, T>,
        start: &[T],
    ) -> Result<Minimum<T>> {
        let n = objective.dimension();
        if self.max_iterations == 0 {
            return Err(Error::range("max_iterations", "at least 1", 0));
        }
        super::check_not_negative("tolerance", self.tolerance)?;
        if !(self.step > 0.0 && self.step.is_finite()) {
            return Err(Error::range("step", "a finite number above 0", self.step));
        }
        let mut x = enter_box(n, &bounds, start)?;
        let mut gradient = vec![T::ZERO; n];
        let value = evaluate_start(objective, &x, &mut gradient)?;
        let projected_gradient = residual(&x, &gradient, &bounds);
        let mut best = Minimum {
            x: x.clone(),
            value,
            gradient: gradient.clone(),
            projected_gradient,
            status: MinimizeStatus::IterationLimit,
            iterations: 0,
            evaluations: 1,
            restarts: 0,
            skipped_updates: 0,
        };
        // z with its value and gradient; x⁺ with its own.
        let (mut base, mut base_value) = (x.clone(), value);
        let mut base_gradient = gradient.clone();
        let mut new = vec![T::ZERO; n];
        let (mut eta, mut momentum) = (self.step, 1.0_f64);
        let (mut fresh, mut idle) = (true, 0);
        best.status = loop {
            if best.projected_gradient <= self.tolerance {
                break MinimizeStatus::Converged;
            }
            if best.iterations >= self.max_iterations {
                break MinimizeStatus::IterationLimit;
            }
            if idle == PATIENCE {
                break MinimizeStatus::Stalled;
            }
            let mut accepted = None;
            for _ in 0..MOST_HALVINGS {
                let sums = projected_step(eta, &base, &base_gradient, &bounds, &x, &mut new);
                if sums.moved == 0.0 {
                    break;
                }
                let value = objective.value_and_gradient(&new, &mut gradient)?;
                best.evaluations += 1;
                if value.is_finite() && all_finite(&gradient) {
                    let model = base_value + sums.slope + sums.moved / (2.0 * eta);
                    let noise = 8.0 * f64::EPSILON * base_value.abs().max(value.abs());
                    let fits = if (value - base_value).abs() > noise {
                        value <= model
                    } else {
                        curvature(&gradient, &base_gradient, &new, &base) <= sums.moved / eta
                    };
                    if fits {
                        accepted = Some((value, sums));
                        break;
                    }
                }
                eta *= 0.5;
            }
            let Some((value, sums)) = accepted else {
                if fresh {
                    break MinimizeStatus::Stalled;
                }
                // From the best point, without momentum.
                x.copy_from_slice(&best.x);
                base.copy_from_slice(&best.x);
                base_gradient.copy_from_slice(&best.gradient);
                base_value = best.value;
                (momentum, fresh) = (1.0, true);
                best.restarts += 1;
                continue;
            };
            best.iterations += 1;
            let kkt = residual(&new, &gradient, &bounds);
            let better =
                value < best.value || (value <= best.value && kkt < best.projected_gradient);
            idle = if better { 0 } else { idle + 1 };
            if better || kkt <= self.tolerance {
                best.x.copy_from_slice(&new);
                best.gradient.copy_from_slice(&gradient);
                (best.value, best.projected_gradient) = (value, kkt);
            }
            if let Some(callback) = &mut self.callback {
                let progress = MinimizeProgress {
                    iterations: best.iterations,
                    evaluations: best.evaluations,
                    value: best.value,
                    projected_gradient: best.projected_gradient,
                };
                if callback(&progress).is_break() {
                    break MinimizeStatus::Interrupted;
                }
            }
            eta *= GROWTH;
            if sums.progress > 0.0 {
                momentum = 1.0;
                best.restarts += 1;
            }
            let next = 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt());
            let weight = (momentum - 1.0) / next;
            momentum = next;
            fresh = weight == 0.0;
            if fresh {
                base.copy_from_slice(&new);
                base_gradient.copy_from_slice(&gradient);
                base_value = value;
            } else {
                extrapolated(weight, &new, &x, &bounds, &mut base);
                base_value = objective.value_and_gradient(&base, &mut base_gradient)?;
                best.evaluations += 1;
                if !(base_value.is_finite() && all_finite(&base_gradient)) {
                    base.copy_from_slice(&new);
                    base_gradient.copy_from_slice(&gradient);
                    base_value = value;
                    (momentum, fresh) = (1.0, true);
                }
            }
            std::mem::swap(&mut x, &mut new);
        };
        Ok(best)
    }
}

/// ⟨g − h, x − z⟩.
fn curvature<T: Real>(g: &[T], h: &[T], x: &[T], z: &[T]) -> f64 {
    parallel::sum(g.len().div_ceil(PIECE), |piece| {
        let term = |i: usize| (g[i].to_f64() - h[i].to_f64()) * (x[i].to_f64() - z[i].to_f64());
        (piece * PIECE..g.len().min((piece + 1) * PIECE)).map(term).sum()
    })
}

/// base ← new + weight (new − old), moved into the box.
fn extrapolated<T: Real>(
    weight: f64,
    new: &[T],
    old: &[T],
    bounds: &Bounds<'_, T>,
    base: &mut [T],
) {
    let isa = Isa::current();
    parallel::for_each_piece(base, PIECE, |piece, base| {
        let first = piece * PIECE;
        let part = first..first + base.len();
        let (new, old) = (&new[part.clone()], &old[part]);
        hesse_kernels::projected_gradient::extrapolate(isa, weight, new, old, base);
        for (i, base) in (first..).zip(base) {
            let (low, high) = bounds.at(i);
            *base = super::minimum::clamp(*base, low, high);
        }
    });
}
