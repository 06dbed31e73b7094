//! Power iteration: a reference to compare with, no more. [`Lanczos`](super::Lanczos) needs fewer
//! products always.

use faer::Mat;

use super::LinearOperator;
use super::counted_products::CountedProducts;
use super::eigenpairs::{Eigenpairs, Stats, Status};
use super::long_vectors::{axpy, dot, norm, scale};
use super::options::{check_count, check_tolerance, default_tolerance, residual_bound};
use super::start_vectors::fill_normal;
use crate::{Error, Isa, Real, Result};

/// The eigenpair of largest *magnitude*, whatever its sign: x ← A x / ‖A x‖.
///
/// Converges like |λ₂/λ₁|ʲ, and not at all where λ₂ = −λ₁. Stops when ‖A x − θ x‖ ≤ tol·|θ|, with
/// θ = xᵀA x. One product a step.
#[derive(Debug)]
pub struct PowerIteration<'a, A: ?Sized> {
    operator: &'a A,
    tolerance: Option<f64>,
    max_products: usize,
    seed: u64,
}

impl<'a, A: ?Sized> PowerIteration<'a, A> {
    /// Options as they are by default.
    pub fn new(operator: &'a A) -> Self {
        Self { operator, tolerance: None, max_products: 1000, seed: 0 }
    }

    /// Residual relative to |θ|; default 10⁻⁸ in `f64`, 10⁻⁵ in `f32`.
    #[must_use]
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance: Some(tolerance), ..self }
    }

    /// No more products than this; default 1000.
    #[must_use]
    pub fn max_products(self, limit: usize) -> Self {
        Self { max_products: limit, ..self }
    }

    /// Seed of the start vector; default 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Solves.
    ///
    /// # Errors
    /// [`Error::Range`] for options that cannot be, [`Error::NonFinite`] naming a product.
    pub fn run<T: Real>(self) -> Result<Eigenpairs<T>>
    where
        A: LinearOperator<T>,
    {
        let n = self.operator.dimension();
        if n == 0 {
            return Err(Error::empty("dimension of the operator"));
        }
        let tolerance = self.tolerance.unwrap_or(default_tolerance::<T>());
        check_tolerance(tolerance)?;
        check_count("max_products", self.max_products, usize::MAX)?;
        let isa = Isa::current();
        let mut products = CountedProducts::new(self.operator, self.max_products);
        let mut x = vec![T::ZERO; n];
        fill_normal(self.seed, 0, &mut x);
        let length = norm(isa, &x);
        scale(isa, 1.0 / length, &mut x);
        let mut y = vec![T::ZERO; n];
        loop {
            products.multiply(&x, &mut y)?;
            let length = norm(isa, &y);
            let value = dot(isa, &x, &y);
            let mut rest = y.clone();
            axpy(isa, -value, &x, &mut rest);
            let residual = norm(isa, &rest);
            let converged = residual <= residual_bound::<T>(tolerance, value, length);
            if converged || products.left() == 0 {
                let status = if converged { Status::Converged } else { Status::IterationLimit };
                return Ok(Eigenpairs {
                    values: vec![products.unscaled(value)],
                    vectors: Mat::from_fn(n, 1, |i, _| x[i]),
                    residuals: vec![products.unscaled(residual)],
                    error_bounds: vec![products.unscaled(residual)],
                    status,
                    verified: false,
                    products: products.count(),
                    restarts: 0,
                    stats: Stats { product_seconds: products.seconds, ..Stats::default() },
                });
            }
            x.copy_from_slice(&y);
            scale(isa, 1.0 / length, &mut x);
        }
    }
}
