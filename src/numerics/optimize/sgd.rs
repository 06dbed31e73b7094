//! Stochastic gradient descent.

use hesse_kernels::optimizer_step::{SgdStep, sgd};

use super::{Optimizer, State, check_fraction, check_not_negative, check_step, find_arrays};
use crate::error::check_finite;
use crate::{Error, Isa, Real, Result};

/// How [`Sgd`] moves; by default plain gradient descent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SgdOptions {
    /// μ in [0, 1).
    pub momentum: f64,
    /// τ in [0, 1]: how much less than its full weight a gradient adds to the momentum.
    pub dampening: f64,
    /// λ ≥ 0: the gradient of λ ‖θ‖² / 2 is added to the gradient.
    pub weight_decay: f64,
    /// Takes the gradient ahead of the momentum.
    pub nesterov: bool,
}

/// Stochastic gradient descent with momentum.
///
/// g ← ∇ + λ θ;  b ← μ b + (1 − τ) g, b = g at the first step;
/// θ ← θ − η b, or θ − η (g + μ b) with Nesterov's momentum.
///
/// These are the conventions of `torch.optim.SGD`: the learning rate η multiplies the momentum when
/// it is applied, not when it is gathered. 4 to 6 flops an element; reads θ, ∇ and b, writes θ
/// and b. The state is the array `momentum`, present if μ > 0.
///
/// Source: I. Sutskever, J. Martens, G. Dahl, G. Hinton, *On the importance of initialization and
/// momentum in deep learning*, ICML 2013, with η moved as above.
#[derive(Clone, Debug)]
pub struct Sgd<T> {
    options: SgdOptions,
    length: usize,
    steps: u64,
    /// b; empty without momentum.
    momentum: Vec<T>,
}

impl<T: Real> Sgd<T> {
    /// An optimiser of `length` parameters.
    ///
    /// # Errors
    /// [`Error::Range`] for options outside their ranges, and for Nesterov's momentum without
    /// momentum or with dampening.
    pub fn new(length: usize, options: SgdOptions) -> Result<Self> {
        check_fraction("momentum", options.momentum)?;
        check_not_negative("weight decay", options.weight_decay)?;
        if !(0.0..=1.0).contains(&options.dampening) {
            return Err(Error::range("dampening", "0 to 1", options.dampening));
        }
        if options.nesterov && options.momentum == 0.0 {
            return Err(Error::range("momentum", "above 0 for Nesterov's", options.momentum));
        }
        if options.nesterov && options.dampening > 0.0 {
            return Err(Error::range("dampening", "0 for Nesterov's momentum", options.dampening));
        }
        let remembered = if options.momentum > 0.0 { length } else { 0 };
        Ok(Self { options, length, steps: 0, momentum: vec![T::ZERO; remembered] })
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &SgdOptions {
        &self.options
    }
}

impl<T: Real> Optimizer<T> for Sgd<T> {
    fn step(&mut self, parameters: &mut [T], gradient: &[T], learning_rate: f64) -> Result<()> {
        check_step(self.length, parameters, gradient, learning_rate)?;
        let SgdOptions { momentum, dampening, weight_decay, nesterov } = self.options;
        let fresh = if self.steps == 0 { 1.0 } else { 1.0 - dampening };
        let [rate, decay, momentum, fresh] =
            [learning_rate, weight_decay, momentum, fresh].map(T::from_f64);
        let step = SgdStep { rate, decay, momentum, fresh, nesterov };
        self.steps += 1;
        let velocity = (!self.momentum.is_empty()).then_some(self.momentum.as_mut_slice());
        sgd(Isa::current(), step, parameters, gradient, velocity);
        Ok(())
    }

    fn state(&self) -> State<'_, T> {
        let mut arrays = Vec::new();
        if self.options.momentum > 0.0 {
            arrays.push(("momentum", self.momentum.as_slice()));
        }
        State { steps: self.steps, arrays }
    }

    fn restore(&mut self, state: &State<'_, T>) -> Result<()> {
        if self.options.momentum > 0.0 {
            let [momentum] = find_arrays(state, ["momentum"], self.length)?;
            check_finite("optimiser's momentum", momentum)?;
            self.momentum.copy_from_slice(momentum);
        } else {
            let [] = find_arrays(state, [], self.length)?;
        }
        self.steps = state.steps;
        Ok(())
    }

    fn reset(&mut self) {
        self.steps = 0;
        self.momentum.fill(T::ZERO);
    }
}
