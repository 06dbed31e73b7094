//! Optimisers over one flat vector of parameters, with schedules of the learning rate; minimisers over
//! boxes; nonnegative least squares.
//!
//! | | Update |
//! |---|---|
//! | [`Sgd`] | gradient descent with momentum, Nesterov's momentum and weight decay |
//! | [`Adam`] | Adam, AMSGrad and AdamW |
//! | [`Schedule`] | the learning rate as a function of the step |
//! | [`Lbfgsb`] | bound-constrained limited-memory quasi-Newton, for a [`SmoothObjective`] |
//! | [`AcceleratedProjectedGradient`] | the same with the memory of a few vectors |
//! | [`Nnls`] | min ‖A x − b‖² over x ≥ 0, for many b |
//!
//! Conventions of the first three are PyTorch's, and the tests hold every variant to numbers that PyTorch 2 computed.
//! A step is one pass over its arrays, in the storage type of the parameters with scalars prepared
//! in `f64`: bandwidth-bound. Bits do not depend on the instruction set or on threads.
//!
//! ```
//! use hesse::optimize::{Adam, AdamOptions, Optimizer, Schedule};
//!
//! # fn main() -> hesse::Result<()> {
//! // f(x) = (x₀ − 3)² + 10 (x₁ + 1)²
//! let mut x = [0.0_f64, 0.0];
//! let mut adam = Adam::new(2, AdamOptions::default())?;
//! let schedule = Schedule::cosine(0.3, 0.0, 200)?;
//! for step in 0..200 {
//!     let gradient = [2.0 * (x[0] - 3.0), 20.0 * (x[1] + 1.0)];
//!     adam.step(&mut x, &gradient, schedule.rate(step))?;
//! }
//! assert!((x[0] - 3.0).abs() < 1e-3 && (x[1] + 1.0).abs() < 1e-3);
//! # Ok(())
//! # }
//! ```

mod accelerated;
mod adam;
mod lbfgsb;
mod line_search;
mod minimum;
mod nnls;
mod schedule;
mod sgd;

use crate::{Error, Real, Result};

pub use accelerated::AcceleratedProjectedGradient;
pub use adam::{Adam, AdamOptions, WeightDecay};
pub use lbfgsb::Lbfgsb;
pub use minimum::{Bound, Bounds, MinimizeProgress, MinimizeStatus, Minimum, SmoothObjective};
pub use nnls::{Nnls, NnlsCertificate, NnlsFit, NnlsMethod, NnlsStatus};
pub use schedule::Schedule;
pub use sgd::{Sgd, SgdOptions};

/// What an optimiser remembers between steps, for a checkpoint: the number of steps, and arrays
/// as long as the parameters, each with a name that does not change from release to release.
#[derive(Clone, Debug, PartialEq)]
pub struct State<'a, T> {
    /// Steps done.
    pub steps: u64,
    /// Name and values of each array.
    pub arrays: Vec<(&'a str, &'a [T])>,
}

/// Changes parameters, given gradients.
pub trait Optimizer<T: Real> {
    /// Moves `parameters` against `gradient`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both are as long as the optimiser was made for,
    /// [`Error::NonFinite`] for a gradient with NaN or infinities, [`Error::Range`] for a learning
    /// rate that is negative or not finite. Nothing has changed then.
    fn step(&mut self, parameters: &mut [T], gradient: &[T], learning_rate: f64) -> Result<()>;

    /// What is remembered. Put back by [`Optimizer::restore`], training goes on to the same bits.
    fn state(&self) -> State<'_, T>;

    /// Goes on from `state`, which an optimiser with the same length and options has given. The
    /// arrays may come in any order.
    ///
    /// # Errors
    /// [`Error::Shape`] if the arrays are not those of [`Optimizer::state`], or not as long;
    /// [`Error::NonFinite`] or [`Error::Range`] for numbers that no step can have left there.
    /// Nothing has changed then.
    fn restore(&mut self, state: &State<'_, T>) -> Result<()>;

    /// Forgets everything, as if no step had been done.
    fn reset(&mut self);
}

/// Checks the arguments of a step.
fn check_step<T: Real>(n: usize, parameters: &[T], gradient: &[T], rate: f64) -> Result<()> {
    if parameters.len() != n {
        return Err(Error::shape("parameters", n, parameters.len()));
    }
    if gradient.len() != n {
        return Err(Error::shape("gradient", n, gradient.len()));
    }
    if !(rate.is_finite() && rate >= 0.0) {
        return Err(Error::range("learning rate", "a finite number from 0", rate));
    }
    crate::error::check_finite("gradient", gradient)
}

/// The arrays of `state` in the order of `names`, each checked.
fn find_arrays<'a, T: Real, const N: usize>(
    state: &State<'a, T>,
    names: [&str; N],
    n: usize,
) -> Result<[&'a [T]; N]> {
    let got: Vec<_> = state.arrays.iter().map(|(name, _)| *name).collect();
    let mut found = [&[] as &[T]; N];
    for (found, name) in found.iter_mut().zip(names) {
        let Some((_, values)) = state.arrays.iter().find(|(other, _)| *other == name) else {
            return Err(Error::shape("arrays of the optimiser's state", names, got));
        };
        if values.len() != n {
            return Err(Error::shape(format!("optimiser's {name}"), n, values.len()));
        }
        *found = values;
    }
    if state.arrays.len() != N {
        return Err(Error::shape("arrays of the optimiser's state", names, got));
    }
    Ok(found)
}

/// Checks that `value` lies in [0, 1).
fn check_fraction(what: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::range(what, "0 to below 1", value))
}

/// Checks that `value` is finite and not negative.
fn check_not_negative(what: &str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::range(what, "a finite number from 0", value))
}
