//! Smooth functions over a box, and what minimisers return.

use std::ops::ControlFlow;

use hesse_kernels::Isa;
pub use hesse_kernels::projected_gradient::{Bound, Bounds};
use hesse_kernels::projected_gradient::{StepSums, kkt_residual, step};

use crate::{Error, Real, Result, parallel};

/// Elements of one task.
pub(super) const PIECE: usize = 1 << 13;

/// A smooth function of n variables.
///
/// Values may be infinite or NaN away from the start: line searches then take shorter steps.
pub trait SmoothObjective<T: Real> {
    /// n.
    fn dimension(&self) -> usize;

    /// The value at x; `gradient` ← the gradient there, whatever it held before.
    ///
    /// # Errors
    /// What the function cannot do; it ends the minimisation.
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<f64>;

    /// `product` ← ∇²f(x) v; `false`, with `product` untouched, where it is not available.
    ///
    /// # Errors
    /// As [`SmoothObjective::value_and_gradient`].
    fn hessian_product(&mut self, x: &[T], v: &[T], product: &mut [T]) -> Result<bool> {
        let _ = (x, v, product);
        Ok(false)
    }
}

/// How a minimisation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MinimizeStatus {
    /// The projected gradient is within the tolerance.
    Converged,
    /// An iteration lowered the value by less than the relative decrease asked for.
    SmallDecrease,
    /// The iterations or evaluations allowed were used up.
    IterationLimit,
    /// No step along the projected gradient lowers the value in these digits.
    Stalled,
    /// The callback asked to stop.
    Interrupted,
}

/// The best point found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Minimum<T> {
    /// The point, inside the box.
    pub x: Vec<T>,
    /// The value there.
    pub value: f64,
    /// The gradient there.
    pub gradient: Vec<T>,
    /// max |clamp(g, x − u, x − l)|, 0 exactly at a point that fulfils the first-order conditions.
    pub projected_gradient: f64,
    /// How it ended.
    pub status: MinimizeStatus,
    /// Steps taken.
    pub iterations: usize,
    /// Values and gradients computed.
    pub evaluations: usize,
    /// How often the method started again from steepest descent.
    pub restarts: usize,
    /// Pairs of differences that were not used, for lack of curvature.
    pub skipped_updates: usize,
}

/// What a callback sees.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MinimizeProgress {
    /// Steps so far.
    pub iterations: usize,
    /// Evaluations so far.
    pub evaluations: usize,
    /// Value of the best point.
    pub value: f64,
    /// Its projected gradient.
    pub projected_gradient: f64,
}

pub(super) type Callback<'a> = Box<dyn FnMut(&MinimizeProgress) -> ControlFlow<()> + 'a>;

/// Checks the box and the start; returns the start moved into the box.
pub(super) fn enter_box<T: Real>(n: usize, bounds: &Bounds<'_, T>, start: &[T]) -> Result<Vec<T>> {
    if n == 0 {
        return Err(Error::empty("variables of the objective"));
    }
    if start.len() != n {
        return Err(Error::shape("start of the minimisation", n, start.len()));
    }
    crate::error::check_finite("start of the minimisation", start)?;
    for (what, bound) in [("lower bounds", bounds.lower), ("upper bounds", bounds.upper)] {
        if let Bound::Each(values) = bound
            && values.len() != n
        {
            return Err(Error::shape(what, n, values.len()));
        }
    }
    let mut x = start.to_vec();
    for (i, x) in x.iter_mut().enumerate() {
        let (low, high) = bounds.at(i);
        // NaN is refused too; and −∞ < u, l < ∞, so that the box holds a number.
        if !(low <= high && low < T::INFINITY && high > -T::INFINITY) {
            let what = format!("bounds of variable {i}");
            return Err(Error::range(what, "lower <= upper", format!("{low} and {high}")));
        }
        *x = clamp(*x, low, high);
    }
    Ok(x)
}

/// x moved into [low, high].
pub(super) fn clamp<T: Real>(x: T, low: T, high: T) -> T {
    let x = if x < low { low } else { x };
    if high < x { high } else { x }
}

/// The value at x, and its gradient, both finite.
pub(super) fn evaluate_start<T: Real>(
    objective: &mut (impl SmoothObjective<T> + ?Sized),
    x: &[T],
    gradient: &mut [T],
) -> Result<f64> {
    let value = objective.value_and_gradient(x, gradient)?;
    crate::error::check_finite("value of the objective at the start", &[value])?;
    crate::error::check_finite("gradient of the objective at the start", gradient)?;
    Ok(value)
}

/// Whether there is no NaN or infinity.
pub(super) fn all_finite<T: Real>(x: &[T]) -> bool {
    hesse_kernels::level1::all_finite(Isa::current(), x)
}

fn range(i: usize, n: usize) -> std::ops::Range<usize> {
    i * PIECE..n.min((i + 1) * PIECE)
}

/// x·y, in pieces: the same bits for any number of threads.
pub(super) fn dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    let (isa, n) = (Isa::current(), x.len());
    parallel::sum(n.div_ceil(PIECE), |i| {
        hesse_kernels::level1::dot(isa, &x[range(i, n)], &y[range(i, n)])
    })
}

/// [`kkt_residual`] in pieces.
pub(super) fn residual<T: Real>(x: &[T], g: &[T], bounds: &Bounds<'_, T>) -> f64 {
    let (isa, n) = (Isa::current(), x.len());
    let piece = |i| {
        let part = range(i, n);
        kkt_residual(isa, &x[part.clone()], &g[part.clone()], bounds.part(part))
    };
    let larger = |a: &mut f64, b: f64| *a = if b > *a || b.is_nan() { b } else { *a };
    parallel::reduce(n.div_ceil(PIECE), piece, larger).unwrap_or(0.0)
}

/// [`step`] in pieces.
pub(super) fn projected_step<T: Real>(
    eta: f64,
    x: &[T],
    g: &[T],
    bounds: &Bounds<'_, T>,
    previous: &[T],
    out: &mut [T],
) -> StepSums {
    let isa = Isa::current();
    let mut tasks: Vec<(StepSums, &mut [T])> =
        out.chunks_mut(PIECE).map(|out| (StepSums::default(), out)).collect();
    parallel::for_each_piece(&mut tasks, 1, |i, task| {
        for (sums, out) in task {
            let part = range(i, x.len());
            let (x, g, previous) = (&x[part.clone()], &g[part.clone()], &previous[part.clone()]);
            *sums = step(isa, eta, x, g, bounds.part(part), previous, out);
        }
    });
    parallel::reduce(tasks.len(), |i| tasks[i].0, |a, b| *a = a.with(b)).unwrap_or_default()
}
