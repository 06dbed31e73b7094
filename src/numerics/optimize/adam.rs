//! Adam, AMSGrad and AdamW.

use hesse_kernels::Isa;
use hesse_kernels::optimizer_step::{self, AdamStep};

use super::{Optimizer, State, check_fraction, check_not_negative, check_step, find_arrays};
use crate::error::check_finite;
use crate::{Error, Real, Result};

/// Where weight decay λ enters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightDecay {
    /// λ θ is added to the gradient and scaled with it (`torch.optim.Adam`).
    Coupled(f64),
    /// θ shrinks by the factor 1 − η λ before the step (`torch.optim.AdamW`). Source:
    /// I. Loshchilov, F. Hutter, *Decoupled weight decay regularization*, ICLR 2019.
    Decoupled(f64),
}

/// How [`Adam`] moves; by default β = (0.9, 0.999), ε = 10⁻⁸, no weight decay, not AMSGrad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// β₁ and β₂ in [0, 1): memory of the gradient and of its square.
    pub betas: (f64, f64),
    /// ε ≥ 0, added to the root.
    pub epsilon: f64,
    /// λ ≥ 0.
    pub weight_decay: WeightDecay,
    /// Divides by the root of the largest second moment so far. Source: S. Reddi, S. Kale,
    /// S. Kumar, *On the convergence of Adam and beyond*, ICLR 2018.
    pub amsgrad: bool,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self {
            betas: (0.9, 0.999),
            epsilon: 1e-8,
            weight_decay: WeightDecay::Coupled(0.0),
            amsgrad: false,
        }
    }
}

/// Adam: steps scaled by running moments of each parameter's gradient.
///
/// g ← ∇ + λ θ (coupled), or θ ← (1 − η λ) θ (decoupled);
/// m ← m + (1 − β₁)(g − m);  v ← β₂ v + (1 − β₂) g²;
/// θ ← θ − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
///
/// with t = 1 at the first step. AMSGrad takes max over the steps of v under the root, and corrects
/// its bias like v's, as `torch.optim.Adam` does and the paper does not. About 15 flops, a root and
/// a division an element; reads θ, ∇, m, v (and its maximum), writes all but ∇. The state is the
/// arrays `first_moment`, `second_moment` and, for AMSGrad, `largest_second_moment` (PyTorch's
/// `exp_avg`, `exp_avg_sq`, `max_exp_avg_sq`). With ε = 0 a parameter whose gradient has always
/// been 0 stays where it is.
///
/// Source: D. Kingma, J. Ba, *Adam: a method for stochastic optimization*, ICLR 2015, algorithm 1.
#[derive(Clone, Debug)]
pub struct Adam<T> {
    options: AdamOptions,
    steps: u64,
    first: Vec<T>,
    second: Vec<T>,
    /// Largest second moment so far; empty without AMSGrad.
    largest: Vec<T>,
}

const NAMES: [&str; 3] = ["first_moment", "second_moment", "largest_second_moment"];

impl<T: Real> Adam<T> {
    /// An optimiser of `length` parameters.
    ///
    /// # Errors
    /// [`Error::Range`] for options outside their ranges.
    pub fn new(length: usize, options: AdamOptions) -> Result<Self> {
        check_fraction("beta 1", options.betas.0)?;
        check_fraction("beta 2", options.betas.1)?;
        check_not_negative("epsilon", options.epsilon)?;
        let (WeightDecay::Coupled(decay) | WeightDecay::Decoupled(decay)) = options.weight_decay;
        check_not_negative("weight decay", decay)?;
        let zeros = || vec![T::ZERO; length];
        let largest = if options.amsgrad { zeros() } else { Vec::new() };
        Ok(Self { options, steps: 0, first: zeros(), second: zeros(), largest })
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &AdamOptions {
        &self.options
    }

    fn scalars(&self, learning_rate: f64) -> AdamStep<T> {
        let AdamOptions { betas: (beta1, beta2), epsilon, weight_decay, .. } = self.options;
        let (shrink, decay) = match weight_decay {
            WeightDecay::Coupled(decay) => (1.0, decay),
            WeightDecay::Decoupled(decay) => (1.0 - learning_rate * decay, 0.0),
        };
        // Not `powf`, whose bits are the platform's.
        let correction = |beta: f64| 1.0 - libm::pow(beta, self.steps as f64);
        AdamStep {
            shrink: T::from_f64(shrink),
            decay: T::from_f64(decay),
            first: T::from_f64(1.0 - beta1),
            keep_second: T::from_f64(beta2),
            second: T::from_f64(1.0 - beta2),
            rate: T::from_f64(learning_rate / correction(beta1)),
            correction: T::from_f64(1.0 / correction(beta2).sqrt()),
            epsilon: T::from_f64(epsilon),
        }
    }
}

impl<T: Real> Optimizer<T> for Adam<T> {
    fn step(&mut self, parameters: &mut [T], gradient: &[T], learning_rate: f64) -> Result<()> {
        check_step(self.first.len(), parameters, gradient, learning_rate)?;
        self.steps += 1;
        let step = self.scalars(learning_rate);
        let Self { first, second, largest, .. } = self;
        let largest = self.options.amsgrad.then_some(largest.as_mut_slice());
        optimizer_step::adam(Isa::current(), step, parameters, gradient, first, second, largest);
        Ok(())
    }

    fn state(&self) -> State<'_, T> {
        let mut arrays = vec![(NAMES[0], self.first.as_slice()), (NAMES[1], &self.second)];
        if self.options.amsgrad {
            arrays.push((NAMES[2], &self.largest));
        }
        State { steps: self.steps, arrays }
    }

    fn restore(&mut self, state: &State<'_, T>) -> Result<()> {
        let n = self.first.len();
        let (first, seconds) = if self.options.amsgrad {
            let [first, second, largest] = find_arrays(state, NAMES, n)?;
            (first, vec![(NAMES[1], second), (NAMES[2], largest)])
        } else {
            let [first, second] = find_arrays(state, [NAMES[0], NAMES[1]], n)?;
            (first, vec![(NAMES[1], second)])
        };
        check_finite("optimiser's first_moment", first)?;
        for (name, second) in &seconds {
            // Squares may have overflown, but are never NaN or negative.
            let wrong = |v: &T| v.to_f64().is_nan() || *v < T::ZERO;
            if let Some(index) = second.iter().position(wrong) {
                let got = format!("{} at index {index}", second[index]);
                return Err(Error::range(format!("optimiser's {name}"), "numbers from 0", got));
            }
        }
        self.first.copy_from_slice(first);
        for (to, (_, from)) in [&mut self.second, &mut self.largest].into_iter().zip(seconds) {
            to.copy_from_slice(from);
        }
        self.steps = state.steps;
        Ok(())
    }

    fn reset(&mut self) {
        self.steps = 0;
        for array in [&mut self.first, &mut self.second, &mut self.largest] {
            array.fill(T::ZERO);
        }
    }
}
