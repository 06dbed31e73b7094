//! The L2 penalty of weights.

use super::{Block, RateRnn};
use crate::krylov::Diagonal;
use crate::{Error, Real, Result};

/// (l2/2)(|W|² + |U|² + |O|²): biases are free.
///
/// Without autapses the diagonal of W counts as zero, and is not penalised either. The paper's code
/// penalises the variable W as it stands: then [`Decay::unmasked`].
#[derive(Clone, Debug)]
pub struct Decay<T> {
    coefficients: Vec<T>,
}

impl<T: Real> Decay<T> {
    /// The penalty on the weights of `rnn` that count.
    ///
    /// # Errors
    /// A strength that is negative or not finite.
    pub fn new(rnn: &RateRnn, l2: f64) -> Result<Self> {
        let mut decay = Self::unmasked(rnn, l2)?;
        rnn.mask(&mut decay.coefficients);
        Ok(decay)
    }

    /// The penalty on all weights, also where they do not count.
    ///
    /// # Errors
    /// As [`Decay::new`].
    pub fn unmasked(rnn: &RateRnn, l2: f64) -> Result<Self> {
        if !(l2.is_finite() && l2 >= 0.0) {
            return Err(Error::range("l2", "a finite number of at least 0", l2));
        }
        let mut coefficients = vec![T::ZERO; rnn.parameter_count()];
        for block in [Block::Recurrent, Block::Input, Block::Readout] {
            coefficients[rnn.block(block)].fill(T::from_f64(l2));
        }
        Ok(Self { coefficients })
    }

    /// Its value at θ.
    #[must_use]
    pub fn value(&self, parameters: &[T]) -> f64 {
        let term = |(c, x): (&T, &T)| c.to_f64() * x.to_f64() * x.to_f64();
        0.5 * self.coefficients.iter().zip(parameters).map(term).sum::<f64>()
    }

    /// Adds its gradient at θ.
    pub fn add_gradient(&self, parameters: &[T], gradient: &mut [T]) {
        let terms = self.coefficients.iter().zip(parameters);
        gradient.iter_mut().zip(terms).for_each(|(g, (&c, &x))| *g += c * x);
    }

    /// Its Hessian.
    ///
    /// # Errors
    /// None for a penalty that could be built.
    pub fn hessian(&self) -> Result<Diagonal<T>> {
        Diagonal::new(self.coefficients.clone())
    }
}
