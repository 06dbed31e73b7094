//! The learning rate as a function of the step.

use std::f64::consts::PI;

use super::check_not_negative;
use crate::{Error, Result};

/// A learning rate for every step; steps count from 0.
///
/// | | rate of step t |
/// |---|---|
/// | [`Schedule::constant`] | η |
/// | [`Schedule::step`] | η γ^⌊t / every⌋ |
/// | [`Schedule::exponential`] | η γᵗ |
/// | [`Schedule::switched`] | η for t < `at`, then another |
/// | [`Schedule::cosine`] | f + (η − f)(1 + cos(π t / T)) / 2 up to t = T, then f |
/// | [`Schedule::warm_up`] (W) | (t + 1) / (W + 1) of the first rate for t < W, then the schedule at t − W |
///
/// A pure function of t: nothing to checkpoint but the step. The rates are those of PyTorch's
/// `StepLR`, `ExponentialLR` and `CosineAnnealingLR`, in closed form; the last one climbs again
/// behind T, ours stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    shape: Shape,
    rate: f64,
    warm_up: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Constant,
    Power { factor: f64, every: u64 },
    Cosine { floor: f64, steps: u64 },
    Switched { later: f64, at: u64 },
}

impl Schedule {
    fn new(rate: f64, shape: Shape) -> Result<Self> {
        check_not_negative("learning rate", rate)?;
        Ok(Self { shape, rate, warm_up: 0 })
    }

    /// The same rate at every step.
    ///
    /// # Errors
    /// [`Error::Range`] for a rate that is negative or not finite.
    pub fn constant(rate: f64) -> Result<Self> {
        Self::new(rate, Shape::Constant)
    }

    /// The rate multiplied by `factor` after every `every` steps.
    ///
    /// # Errors
    /// [`Error::Range`] for a rate that is negative or not finite, a factor outside (0, 1], or
    /// `every` = 0.
    pub fn step(rate: f64, factor: f64, every: u64) -> Result<Self> {
        if !(factor > 0.0 && factor <= 1.0) {
            return Err(Error::range("factor of the learning rate", "above 0, up to 1", factor));
        }
        if every == 0 {
            return Err(Error::range("steps between decays", "1 or more", every));
        }
        Self::new(rate, Shape::Power { factor, every })
    }

    /// The rate multiplied by `factor` after every step.
    ///
    /// # Errors
    /// As [`Schedule::step`].
    pub fn exponential(rate: f64, factor: f64) -> Result<Self> {
        Self::step(rate, factor, 1)
    }

    /// `rate` for the first `at` steps, `later` from then on: large, to leave sharp regions, then small,
    /// to tame what does not point along the gradient.
    ///
    /// # Errors
    /// [`Error::Range`] for rates that are negative or not finite.
    pub fn switched(rate: f64, later: f64, at: u64) -> Result<Self> {
        check_not_negative("later learning rate", later)?;
        Self::new(rate, Shape::Switched { later, at })
    }

    /// From `rate` down to `floor` within `steps` steps along half a cosine.
    ///
    /// # Errors
    /// [`Error::Range`] for rates that are negative or not finite, a floor above the rate, or
    /// `steps` = 0.
    pub fn cosine(rate: f64, floor: f64, steps: u64) -> Result<Self> {
        check_not_negative("lowest learning rate", floor)?;
        if floor > rate {
            return Err(Error::range("lowest learning rate", format!("0 to {rate}"), floor));
        }
        if steps == 0 {
            return Err(Error::range("steps of the cosine schedule", "1 or more", steps));
        }
        Self::new(rate, Shape::Cosine { floor, steps })
    }

    /// Begins with `steps` steps of a linear climb to the first rate: 1 / (steps + 1) of it at step
    /// 0, all of it at step `steps`, where the schedule itself begins.
    #[must_use]
    pub fn warm_up(self, steps: u64) -> Self {
        Self { warm_up: steps, ..self }
    }

    /// The learning rate of step `step`.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        let Some(t) = step.checked_sub(self.warm_up) else {
            // W + 1 does not overflow in floating point.
            return self.rate * ((step as f64 + 1.0) / (self.warm_up as f64 + 1.0));
        };
        // Not `powf` and `cos`, whose bits are the platform's.
        match self.shape {
            Shape::Constant => self.rate,
            Shape::Switched { later, at } => {
                if t < at {
                    self.rate
                } else {
                    later
                }
            }
            Shape::Power { factor, every } => self.rate * libm::pow(factor, (t / every) as f64),
            Shape::Cosine { floor, steps } if t < steps => {
                let angle = PI * (t as f64 / steps as f64);
                floor + (self.rate - floor) * 0.5 * (1.0 + libm::cos(angle))
            }
            Shape::Cosine { floor, .. } => floor,
        }
    }
}
