//! The ends of the spectrum of the exact loss's Hessian along a training.

use super::{Block, Decay, RateRnn, Sequences};
use crate::krylov::{BlockOf, Eigenpairs, Lanczos, LinearOperator, Status, Sum};
use crate::network::Network;
use crate::random::Stream;
use crate::{Error, Real, Result};

/// How the leading eigenvalue is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Eigensolver {
    /// Largest and smallest algebraic eigenvalue by Lanczos, from the eigenvectors before.
    Lanczos {
        /// ‖H v − λ v‖ ≤ tolerance · |λ|.
        tolerance: f64,
        /// Products allowed.
        max_products: usize,
    },
    /// The spectral radius by power iteration, without its sign, as the paper's code has it.
    PowerAbs {
        /// Products allowed; 500 in that code.
        max_iter: usize,
        /// Largest difference of successive estimates, 10⁻⁶ in that code: absolute, whatever λ is.
        abs_tol: f64,
    },
}

/// The ends of a spectrum at one θ.
#[derive(Clone, Copy, Debug)]
pub struct LeadingEigenvalues {
    /// Largest algebraic eigenvalue; the largest magnitude by [`Eigensolver::PowerAbs`].
    pub largest: f64,
    /// Smallest algebraic eigenvalue, by Lanczos, where it was asked for.
    pub smallest: Option<f64>,
    /// ‖H v − λ v‖ of the largest and the smallest; of the last iterate by power iteration.
    pub residuals: [f64; 2],
    /// Hessian products.
    pub products: usize,
    /// Whether the solver's rule to stop was met.
    pub converged: bool,
}

/// λ₁ and λ_min of a block of the Hessian of the exact loss with its weight decay, on fixed data,
/// at one θ after the other: the loss is never that of a truncated rule.
///
/// The first search starts from a random vector, later ones from the sum of the eigenvectors before
/// and a random vector a tenth as long, so that a new leading direction is seen.
#[derive(Debug)]
pub struct Curvature<'a, T: Real> {
    sequences: &'a Sequences<T>,
    network: Network<T>,
    rnn: RateRnn,
    decay: Decay<T>,
    block: Block,
    solver: Eigensolver,
    seed: u64,
    searches: u64,
    memory_budget: Option<usize>,
    largest_only: bool,
    before: Vec<T>,
}

/// Length of the random part of a warm start beside the eigenvectors before.
const FRESH: f64 = 0.1;

impl<'a, T: Real> Curvature<'a, T> {
    /// Of the W block on all of `sequences`, by Lanczos to 10⁻⁶ within 100 products.
    ///
    /// # Errors
    /// Sequences that do not fit the network.
    pub fn new(rnn: &RateRnn, sequences: &'a Sequences<T>, decay: &Decay<T>) -> Result<Self> {
        sequences.check(rnn.inputs(), rnn.outputs())?;
        Ok(Self {
            sequences,
            network: rnn.network(sequences.steps(), sequences.target().at_each_step())?,
            rnn: rnn.clone(),
            decay: decay.clone(),
            block: Block::Recurrent,
            solver: Eigensolver::Lanczos { tolerance: 1e-6, max_products: 100 },
            seed: 0,
            searches: 0,
            memory_budget: None,
            largest_only: false,
            before: Vec::new(),
        })
    }

    /// Of another block.
    ///
    /// # Errors
    /// One without parameters.
    pub fn block(mut self, block: Block) -> Result<Self> {
        if self.rnn.block(block).is_empty() {
            return Err(Error::empty(format!("block {block:?}: parameters")));
        }
        self.block = block;
        self.before.clear();
        Ok(self)
    }

    /// By another solver, or with other bounds.
    ///
    /// # Errors
    /// Tolerances that are not positive and finite, fewer products than 4 for Lanczos or 1 for the
    /// other.
    pub fn solver(mut self, solver: Eigensolver) -> Result<Self> {
        // Lanczos needs two products to tell the ends apart, and one for each residual.
        let (tolerance, products, least) = match solver {
            Eigensolver::Lanczos { tolerance, max_products } => (tolerance, max_products, 4),
            Eigensolver::PowerAbs { max_iter, abs_tol } => (abs_tol, max_iter, 1),
        };
        if !(tolerance > 0.0 && tolerance.is_finite()) {
            return Err(Error::range("tolerance", "a positive finite number", tolerance));
        }
        if products < least {
            return Err(Error::range("products", format!("at least {least}"), products));
        }
        self.solver = solver;
        Ok(self)
    }

    /// Seed of the random vectors.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Bytes that primal passes may take, see
    /// [`Objective::memory_budget`](crate::network::Objective::memory_budget); the eigenvalues do not
    /// depend on it.
    #[must_use]
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = Some(bytes);
        self
    }

    /// λ₁ alone. The small end of the spectrum is crowded, so that λ_min takes most of the products.
    #[must_use]
    pub fn largest_only(mut self) -> Self {
        self.largest_only = true;
        self.before.clear();
        self
    }

    /// The eigenvalues at θ. One primal pass and two passes for every product.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities, in them or in a product.
    pub fn at(&mut self, parameters: &[T]) -> Result<LeadingEigenvalues> {
        let mut objective = self.sequences.objective(&self.network)?;
        if let Some(bytes) = self.memory_budget {
            objective = objective.memory_budget(bytes);
        }
        let point = objective.at(parameters)?;
        let hessian = Sum::new::<T>(point.hessian(), self.decay.hessian()?)?;
        let operator = BlockOf::new::<T>(hessian, self.rnn.block(self.block))?;
        let n = operator.dimension();
        let mut start = vec![T::ZERO; n];
        Stream::new(self.seed, "curvature").child(self.searches).normals(0, &mut start);
        self.searches += 1;
        match self.solver {
            Eigensolver::Lanczos { tolerance, max_products } => {
                let factor = T::from_f64(FRESH / (n as f64).sqrt());
                for vector in self.before.chunks_exact(n) {
                    start.iter_mut().zip(vector).for_each(|(s, &v)| *s += v / factor);
                }
                let pairs = Lanczos::new(&operator)
                    .both_ends(self.wanted(n))
                    .tolerance(tolerance)
                    .max_products(max_products)
                    .seed(self.seed)
                    .start(&start)
                    .verify(false)
                    .run()?;
                self.keep(&pairs)
            }
            Eigensolver::PowerAbs { max_iter, abs_tol } => {
                power_abs(&operator, max_iter, abs_tol, start)
            }
        }
    }

    /// Eigenvalues of a block of n parameters to look for, the largest first.
    fn wanted(&self, n: usize) -> usize {
        if self.largest_only { 1 } else { 2.min(n) }
    }

    /// Takes over the vectors for the next search.
    fn keep(&mut self, pairs: &Eigenpairs<T>) -> Result<LeadingEigenvalues> {
        let (Some(&largest), Some(&smallest)) = (pairs.values.first(), pairs.values.last()) else {
            return Err(Error::empty("eigenvalues"));
        };
        let n = pairs.vectors.nrows();
        self.before = (0..pairs.values.len())
            .flat_map(|k| (0..n).map(move |i| (i, k)))
            .map(|at| pairs.vectors[at])
            .collect();
        let last = pairs.residuals.len() - 1;
        Ok(LeadingEigenvalues {
            largest,
            smallest: (!self.largest_only && pairs.values.len() == self.wanted(n))
                .then_some(smallest),
            residuals: [pairs.residuals[0], pairs.residuals[last]],
            products: pairs.products,
            converged: pairs.status == Status::Converged,
        })
    }
}

/// |λ| of largest magnitude: v ← H v/|H v| from `start` until |H v| changes by less than `abs_tol`.
fn power_abs<T: Real>(
    operator: &impl LinearOperator<T>,
    max_iter: usize,
    abs_tol: f64,
    start: Vec<T>,
) -> Result<LeadingEigenvalues> {
    let norm = |x: &[T]| x.iter().map(|x| x.to_f64().powi(2)).sum::<f64>().sqrt();
    let (mut v, mut image) = (start, vec![T::ZERO; operator.dimension()]);
    let length = norm(&v);
    v.iter_mut().for_each(|v| *v = T::from_f64(v.to_f64() / length));
    let mut estimate = f64::INFINITY;
    for product in 1..=max_iter {
        operator.apply(&v, &mut image);
        crate::error::check_finite("product of the power iteration", &image)?;
        let size = norm(&image);
        let rayleigh: f64 = v.iter().zip(&image).map(|(v, w)| v.to_f64() * w.to_f64()).sum();
        let converged = (size - estimate).abs() < abs_tol || size == 0.0;
        estimate = size;
        if converged || product == max_iter {
            let rest = |(v, w): (&T, &T)| (w.to_f64() - rayleigh * v.to_f64()).powi(2);
            let residual = v.iter().zip(&image).map(rest).sum::<f64>().sqrt();
            let residuals = [residual; 2];
            return Ok(LeadingEigenvalues {
                largest: estimate,
                smallest: None,
                residuals,
                products: product,
                converged,
            });
        }
        v.iter_mut().zip(&image).for_each(|(v, w)| *v = T::from_f64(w.to_f64() / size));
    }
    Err(Error::empty("products of the power iteration"))
}
