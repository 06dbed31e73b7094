//! Linear systems with a positive definite operator, by conjugate gradients.

use super::LinearOperator;
use super::counted_products::CountedProducts;
use super::long_vectors::{all_finite, axpby, axpy, dot, largest, norm, scale};
use super::options::{check_count, check_tolerance, default_tolerance};
use crate::{Error, Isa, Real, Result};

/// How a linear solver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SolveStatus {
    /// ‖b − A x‖ ≤ tol·‖b‖, recomputed.
    Converged,
    /// The iterations allowed were used up.
    IterationLimit,
    /// A direction p with pᵀA p < 0 was met: A is not positive definite. [`Solution::direction`]
    /// holds it.
    Indefinite,
    /// A direction p with pᵀA p = 0 up to rounding was met: A is singular, and `b` not in its
    /// range. [`Solution::direction`] holds it.
    Singular,
    /// Rounding keeps the residual above the tolerance.
    Stagnated,
}

/// What a linear solver returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Solution<T> {
    /// The iterate with the smallest residual.
    pub x: Vec<T>,
    /// ‖b − A x‖ from one product at the end.
    pub residual: f64,
    /// How the solver ended.
    pub status: SolveStatus,
    /// A unit vector p with pᵀA p ≤ 0, where one was met.
    pub direction: Option<Vec<T>>,
    /// pᵀA p of that direction.
    pub curvature: Option<f64>,
    /// Steps.
    pub iterations: usize,
    /// Products with A.
    pub products: usize,
}

/// x with A x = b for a symmetric positive definite operator.
///
/// Minimises (x − x*)ᵀA(x − x*) over x₀ + span{r, A r, A² r, …}: after j steps the error in that
/// norm is at most 2((√κ − 1)/(√κ + 1))ʲ of the first one. Two n-vectors of inner products and
/// three updates a step beside the product: 13n elements of memory traffic.
///
/// The residual of the recurrence is never trusted: at convergence it is recomputed with one
/// product, and the iteration goes on from there if it does not hold.
///
/// Source: Hestenes and Stiefel 1952.
///
/// ```
/// use hesse::krylov::{ConjugateGradient, Diagonal, SolveStatus};
/// let a = Diagonal::new(vec![1.0, 2.0, 4.0])?;
/// let solution = ConjugateGradient::new(&a).solve(&[1.0, 1.0, 1.0])?;
/// assert_eq!(solution.status, SolveStatus::Converged);
/// assert!((solution.x[2] - 0.25_f64).abs() < 1e-8);
/// # Ok::<(), hesse::Error>(())
/// ```
pub struct ConjugateGradient<'a, T: Real, A: LinearOperator<T> + ?Sized> {
    operator: &'a A,
    preconditioner: Option<&'a dyn LinearOperator<T>>,
    tolerance: Option<f64>,
    max_iterations: Option<usize>,
    start: Option<&'a [T]>,
}

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> ConjugateGradient<'a, T, A> {
    /// Options as they are by default.
    pub fn new(operator: &'a A) -> Self {
        Self { operator, preconditioner: None, tolerance: None, max_iterations: None, start: None }
    }

    /// An approximate inverse of A, symmetric positive definite itself.
    #[must_use]
    pub fn preconditioner(self, inverse: &'a dyn LinearOperator<T>) -> Self {
        Self { preconditioner: Some(inverse), ..self }
    }

    /// ‖b − A x‖ relative to ‖b‖; default 10⁻⁸ in `f64`, 10⁻⁵ in `f32`.
    #[must_use]
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance: Some(tolerance), ..self }
    }

    /// No more steps than this; default min(10n, 10,000).
    #[must_use]
    pub fn max_iterations(self, limit: usize) -> Self {
        Self { max_iterations: Some(limit), ..self }
    }

    /// A guess; default 0.
    #[must_use]
    pub fn start(self, x: &'a [T]) -> Self {
        Self { start: Some(x), ..self }
    }

    /// Solves for one right-hand side.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::NonFinite`] for `b` and the guess, [`Error::Range`] for
    /// options and for a preconditioner with rᵀM r ≤ 0, [`Error::NonFinite`] naming a product.
    pub fn solve(&self, b: &[T]) -> Result<Solution<T>> {
        let n = self.operator.dimension();
        let tolerance = self.tolerance.unwrap_or(default_tolerance::<T>());
        check_tolerance(tolerance)?;
        let limit = self.max_iterations.unwrap_or((10 * n).min(10_000));
        check_count("max_iterations", limit, usize::MAX)?;
        for (what, vector) in [("right-hand side", Some(b)), ("start vector", self.start)] {
            let Some(vector) = vector else { continue };
            if vector.len() != n {
                return Err(Error::shape(what, n, vector.len()));
            }
            crate::error::check_finite(what, vector)?;
        }
        Steps::new(self, b, tolerance)?.run(limit)
    }
}

/// The state of one solve, for b scaled to a largest element of about 1.
struct Steps<'a, T: Real, A: LinearOperator<T> + ?Sized> {
    isa: Isa,
    products: CountedProducts<'a, T, A>,
    preconditioner: Option<&'a dyn LinearOperator<T>>,
    b: Vec<T>,
    /// What b was multiplied with.
    scale: f64,
    x: Vec<T>,
    r: Vec<T>,
    z: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
    /// The residual that counts as converged.
    bound: f64,
    best: Vec<T>,
    best_residual: f64,
}

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> Steps<'a, T, A> {
    fn new(options: &ConjugateGradient<'a, T, A>, b: &[T], tolerance: f64) -> Result<Self> {
        let isa = Isa::current();
        let n = b.len();
        let extreme = largest(isa, b);
        let power = if extreme > 0.0 { libm::floor(libm::log2(extreme)) } else { 0.0 };
        let factor = libm::exp2(-power.clamp(-1000.0, 1000.0));
        let mut b = b.to_vec();
        scale(isa, factor, &mut b);
        let bound = tolerance * norm(isa, &b);
        let mut steps = Self {
            isa,
            products: CountedProducts::new(options.operator, usize::MAX),
            preconditioner: options.preconditioner,
            x: vec![T::ZERO; n],
            r: b.clone(),
            b,
            scale: factor,
            z: vec![T::ZERO; n],
            p: vec![T::ZERO; n],
            q: vec![T::ZERO; n],
            bound,
            best: Vec::new(),
            best_residual: f64::INFINITY,
        };
        if let Some(start) = options.start {
            // One product tells the scale of A; then x' with (2ˢA) x' = factor·b.
            steps.products.multiply(start, &mut steps.q)?;
            let ratio = factor * steps.products.unscaled(1.0);
            steps.x = start.to_vec();
            scale(isa, ratio, &mut steps.x);
            if all_finite(isa, &steps.x) {
                steps.refresh()?;
            } else {
                steps.x.fill(T::ZERO);
            }
        }
        Ok(steps)
    }

    /// r ← b − A x, from a product; returns its norm.
    fn refresh(&mut self) -> Result<f64> {
        self.products.multiply(&self.x, &mut self.q)?;
        self.r.copy_from_slice(&self.b);
        axpy(self.isa, -1.0, &self.q, &mut self.r);
        Ok(norm(self.isa, &self.r))
    }

    /// z ← M r; returns rᵀz.
    fn precondition(&mut self) -> Result<f64> {
        match self.preconditioner {
            None => self.z.copy_from_slice(&self.r),
            Some(inverse) => inverse.apply(&self.r, &mut self.z),
        }
        let product = dot(self.isa, &self.r, &self.z);
        if product > 0.0 && product.is_finite() {
            return Ok(product);
        }
        let expected = "positive definite, r·Mr above 0";
        Err(Error::range("preconditioner", expected, format!("{product:e}")))
    }

    fn run(mut self, limit: usize) -> Result<Solution<T>> {
        let isa = self.isa;
        let mut residual = norm(isa, &self.r);
        let mut iterations = 0;
        // The true residual at the last recomputation.
        let mut confirmed = f64::INFINITY;
        let mut rho = 0.0;
        let mut fresh = true;
        loop {
            if residual <= self.bound {
                // Nothing has been done to r yet where it is b itself or was just recomputed.
                let true_residual = if iterations == 0 { residual } else { self.refresh()? };
                if true_residual <= self.bound {
                    return self.finish(SolveStatus::Converged, None, iterations);
                }
                if true_residual > 0.5 * confirmed {
                    self.keep_best(true_residual);
                    return self.finish(SolveStatus::Stagnated, None, iterations);
                }
                confirmed = true_residual;
                residual = true_residual;
                fresh = true;
            }
            if iterations == limit {
                return self.finish(SolveStatus::IterationLimit, None, iterations);
            }
            let rho_new = self.precondition()?;
            let beta = if fresh { 0.0 } else { rho_new / rho };
            (rho, fresh) = (rho_new, false);
            axpby(isa, 1.0, &self.z, beta, &mut self.p);
            self.products.multiply(&self.p, &mut self.q)?;
            let curvature = dot(isa, &self.p, &self.q);
            let (p_norm, q_norm) = (norm(isa, &self.p), norm(isa, &self.q));
            // Rounding of the product p·q, with q known to ε.
            let noise = 4.0 * T::EPSILON.to_f64() * p_norm * q_norm;
            if curvature.is_nan() || curvature <= noise {
                let status = if curvature < -noise {
                    SolveStatus::Indefinite
                } else {
                    SolveStatus::Singular
                };
                return self.finish(status, Some((curvature, p_norm)), iterations);
            }
            iterations += 1;
            let alpha = rho / curvature;
            axpy(isa, -alpha, &self.q, &mut self.r);
            let next = norm(isa, &self.r);
            if next > residual {
                self.keep_best(residual);
            }
            axpy(isa, alpha, &self.p, &mut self.x);
            residual = next;
            if !residual.is_finite() || !all_finite(isa, &self.x) {
                let what = "iterate of the conjugate gradients".to_owned();
                return Err(Error::NonFinite { what, index: 0, value: residual });
            }
        }
    }

    /// Remembers x where its residual is the smallest that was left behind.
    fn keep_best(&mut self, residual: f64) {
        if residual < self.best_residual {
            self.best_residual = residual;
            self.best.clear();
            self.best.extend_from_slice(&self.x);
        }
    }

    fn finish(
        mut self,
        status: SolveStatus,
        direction: Option<(f64, f64)>,
        iterations: usize,
    ) -> Result<Solution<T>> {
        let isa = self.isa;
        let p = self.p.clone();
        let mut residual = if iterations == 0 { norm(isa, &self.r) } else { self.refresh()? };
        if residual > self.best_residual {
            std::mem::swap(&mut self.x, &mut self.best);
            let last = residual;
            residual = self.refresh()?;
            if residual > last {
                std::mem::swap(&mut self.x, &mut self.best);
                residual = last;
            }
        }
        // (2ˢA) x' = f b, so x = x'·2ˢ/f.
        let unscale = self.products.unscaled(1.0).recip() / self.scale;
        scale(isa, unscale, &mut self.x);
        let (mut unit, mut curvature) = (None, None);
        if let Some((value, length)) = direction {
            let mut p = p;
            scale(isa, 1.0 / length, &mut p);
            unit = Some(p);
            curvature = Some(self.products.unscaled(value / (length * length)));
        }
        Ok(Solution {
            x: self.x,
            residual: residual / self.scale,
            status,
            direction: unit,
            curvature,
            iterations,
            products: self.products.count(),
        })
    }
}
