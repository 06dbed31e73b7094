//! The diagonal of an operator that can only be multiplied with vectors.

use std::ops::ControlFlow;

use faer::MatRef;

use crate::error::check_finite;
use crate::parallel::shards;
use crate::{Error, Real, Result};

use super::probes::{self, Purpose};
use super::products::{Callback, Products};
use super::trace::{DEFAULT_BLOCK, check_block};
use super::{EstimateProgress, EstimateStatus, LinearOperator, Probes, tall};

/// Computes the diagonal of a symmetric operator as the mean of z∘Az over random signs z.
///
/// E z∘Az = diag A, element i with variance (Σⱼ Aᵢⱼ² − Aᵢᵢ²)/m: exact for a diagonal operator.
/// Cost: m products, and memory for 2n `f64` and 2b vectors. Source: C. Bekas, E. Kokiopoulou and
/// Y. Saad, An estimator for the diagonal of a matrix, Applied Numerical Mathematics 57 (2007);
/// with signs their denominator z∘z is 1.
#[derive(Clone, Debug)]
pub struct DiagonalEstimator<'a> {
    samples: usize,
    seed: u64,
    block: usize,
    progress: Callback<'a>,
}

/// A diagonal, and how well each of its elements is known.
#[derive(Clone, Debug)]
pub struct DiagonalEstimate {
    /// The n elements.
    pub values: Vec<f64>,
    /// Their standard errors; infinite for one sample.
    pub standard_errors: Vec<f64>,
    /// Number of probes.
    pub samples: usize,
    /// Products with the operator.
    pub products: usize,
    /// How the run ended.
    pub status: EstimateStatus,
}

impl<'a> DiagonalEstimator<'a> {
    /// The mean over `m` probes.
    #[must_use]
    pub fn new(m: usize) -> Self {
        Self { samples: m, seed: 0, block: DEFAULT_BLOCK, progress: Callback::default() }
    }

    /// The seed of the probes (default 0).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Number of vectors that [`LinearOperator::apply_block`] gets at once (default 8).
    #[must_use]
    pub fn block(mut self, block: usize) -> Self {
        self.block = block;
        self
    }

    /// Calls `progress` after each block of products; `Break` ends the run with the mean so far.
    #[must_use]
    pub fn progress(
        mut self,
        progress: &'a (dyn Fn(EstimateProgress) -> ControlFlow<()> + Sync),
    ) -> Self {
        self.progress = Callback(Some(progress));
        self
    }

    /// Runs with random signs.
    ///
    /// # Errors
    /// [`Error::Range`] for no probes or a block of 0, [`Error::NonFinite`] for a product with NaN
    /// or infinities, [`Error::Empty`] for n = 0.
    pub fn run<T: Real, A: LinearOperator<T> + ?Sized>(&self, a: &A) -> Result<DiagonalEstimate> {
        self.with(a, &|probe: usize, out: &mut [T]| {
            probes::fill(Probes::Rademacher, self.seed, Purpose::Diagonal, probe, out);
        })
    }

    /// Runs with given probes of elements ±1, one a column.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Shape`] for another number of probes or rows and
    /// [`Error::Range`] for an element that is not ±1.
    pub fn run_with<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        probes: MatRef<'_, T>,
    ) -> Result<DiagonalEstimate> {
        let (n, m) = (a.dimension(), self.samples);
        if probes.shape() != (n, m) {
            return Err(Error::shape("probes", (n, m), probes.shape()));
        }
        for (i, j) in (0..m).flat_map(|j| (0..n).map(move |i| (i, j))) {
            let x = probes[(i, j)];
            if x != T::ONE && x != -T::ONE {
                return Err(Error::range(format!("element {i} of probe {j}"), "1 or -1", x));
            }
        }
        self.with(a, &|probe: usize, out: &mut [T]| {
            for (i, x) in out.iter_mut().enumerate() {
                *x = probes[(i, probe)];
            }
        })
    }

    fn with<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        draw: &dyn Fn(usize, &mut [T]),
    ) -> Result<DiagonalEstimate> {
        check_block(self.block)?;
        if self.samples == 0 {
            return Err(Error::range("products", "at least 1", 0));
        }
        let mut products = Products::new(a, self.samples, self.progress)?;
        let (n, block) = (products.dimension, self.block.min(self.samples));
        let (mut x, mut y) = (tall::zeros(n, block)?, tall::zeros(n, block)?);
        let (mut values, mut squares) = (tall::zeros::<f64>(n, 1)?, tall::zeros::<f64>(n, 1)?);
        let mut done = 0;
        for range in shards(self.samples, block) {
            let x = &mut x[..range.len() * n];
            let y = &mut y[..range.len() * n];
            for (j, column) in range.zip(x.chunks_exact_mut(n)) {
                draw(j, column);
            }
            let stopped = products.apply(x, y)?.is_break();
            // Welford's update: no cancellation between a mean of squares and a squared mean.
            for (x, y) in x.chunks_exact(n).zip(y.chunks_exact(n)) {
                done += 1;
                for i in 0..n {
                    let sample = x[i].to_f64() * y[i].to_f64();
                    let change = sample - values[i];
                    values[i] += change / done as f64;
                    squares[i] += change * (sample - values[i]);
                }
            }
            if stopped {
                break;
            }
        }
        let m = done as f64;
        let error = |square: &f64| match done {
            1 => f64::INFINITY,
            _ => products.unscaled((square / (m - 1.0) / m).sqrt()),
        };
        let standard_errors = squares.iter().map(error).collect();
        values.iter_mut().for_each(|v| *v = products.unscaled(*v));
        check_finite("diagonal", &values)?;
        let complete = done == self.samples;
        Ok(DiagonalEstimate {
            values,
            standard_errors,
            samples: done,
            products: products.count,
            status: if complete {
                EstimateStatus::BudgetSpent
            } else {
                EstimateStatus::Interrupted
            },
        })
    }
}
