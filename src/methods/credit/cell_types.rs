//! Types of neurons, and weights that are known by type alone.

use crate::{Error, Real, Result};

/// The type of every neuron, numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellTypes {
    of: Vec<usize>,
    count: usize,
}

impl CellTypes {
    /// Types of neurons.
    ///
    /// # Errors
    /// No neuron; a type without neurons below the largest one.
    pub fn new(types: Vec<usize>) -> Result<Self> {
        let Some(&last) = types.iter().max() else { return Err(Error::empty("cell types")) };
        let count = last.saturating_add(1);
        if count > types.len() {
            let expected = format!("types below the number {} of neurons", types.len());
            return Err(Error::range("cell types", expected, last));
        }
        if let Some(empty) = (0..count).find(|t| !types.contains(t)) {
            return Err(Error::empty(format!("cell type {empty}: neurons")));
        }
        Ok(Self { of: types, count })
    }

    /// The type of every neuron.
    #[must_use]
    pub fn types(&self) -> &[usize] {
        &self.of
    }

    pub(super) fn check(&self, units: usize) -> Result<()> {
        if self.of.len() == units {
            return Ok(());
        }
        Err(Error::shape("cell types", units, self.of.len()))
    }

    /// Mean of the weights between each pair of types, in place of each of them; with `gated`, of
    /// the synapses that exist (weights that are not zero), and zero where there is none.
    ///
    /// # Errors
    /// Weights that are not N × N, NaN or infinities.
    pub fn block_means<T: Real>(&self, weights: &[T], gated: bool) -> Result<Vec<T>> {
        let n = self.of.len();
        if weights.len() != n * n {
            return Err(Error::shape("weights", (n, n), weights.len()));
        }
        crate::error::check_finite("weights", weights)?;
        Ok(self.means(weights, gated))
    }

    /// [`CellTypes::block_means`] of weights that are known to fit.
    pub(super) fn means<T: Real>(&self, weights: &[T], gated: bool) -> Vec<T> {
        let n = self.of.len();
        let block = |i: usize, j: usize| self.of[i] * self.count + self.of[j];
        let mut sums = vec![(0.0, 0usize); self.count * self.count];
        for i in 0..n {
            for j in 0..n {
                let w = weights[i * n + j];
                if !gated || w != T::ZERO {
                    let sum = &mut sums[block(i, j)];
                    *sum = (sum.0 + w.to_f64(), sum.1 + 1);
                }
            }
        }
        let mean = |(sum, count): (f64, usize)| if count > 0 { sum / count as f64 } else { 0.0 };
        let mut means = vec![T::ZERO; n * n];
        for i in 0..n {
            for j in 0..n {
                if !gated || weights[i * n + j] != T::ZERO {
                    means[i * n + j] = T::from_f64(mean(sums[block(i, j)]));
                }
            }
        }
        means
    }

    /// Weights after Dale's law: |w_ij| times the factor of the type of j, the sender (such as 1
    /// for excitatory neurons and −2 for inhibitory ones).
    ///
    /// # Errors
    /// Weights that are not N × N, another number of factors than types, NaN or infinities.
    pub fn signed<T: Real>(&self, weights: &[T], factors: &[f64]) -> Result<Vec<T>> {
        let n = self.of.len();
        if weights.len() != n * n {
            return Err(Error::shape("weights", (n, n), weights.len()));
        }
        if factors.len() != self.count {
            return Err(Error::shape("factors of cell types", self.count, factors.len()));
        }
        crate::error::check_finite("factors of cell types", factors)?;
        crate::error::check_finite("weights", weights)?;
        let sign = |(e, w): (usize, &T)| T::from_f64(w.to_f64().abs() * factors[self.of[e % n]]);
        Ok(weights.iter().enumerate().map(sign).collect())
    }
}
