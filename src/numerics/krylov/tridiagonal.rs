//! A few steps of Lanczos' recurrence as a quadrature rule for the spectrum seen from one vector.

use crate::error::check_finite;
use crate::{Error, Real, Result};

use super::products::{Callback, Products};
use super::{LinearOperator, dense, tall};

/// T = QᵀAQ for an orthonormal basis Q of the Krylov space of a start vector v: tridiagonal, with
/// the diagonal `alpha` and the subdiagonal `beta`.
///
/// Every step orthogonalises twice against the whole basis, so that Q stays orthonormal to
/// rounding and T has no copies of converged eigenvalues.
///
/// Source: G. H. Golub and G. Meurant, Matrices, Moments and Quadrature with Applications (2010),
/// chapters 4 and 6.
#[derive(Clone, Debug, PartialEq)]
pub struct Tridiagonal {
    /// The diagonal, one element a step.
    pub alpha: Vec<f64>,
    /// The subdiagonal, one element less; all positive.
    pub beta: Vec<f64>,
    /// Whether the basis spans an invariant subspace: the eigenvalues of T are eigenvalues of A,
    /// and the quadrature rule is exact for every function.
    pub invariant: bool,
}

/// The measure Σ wᵢ δ(λ − θᵢ) that approximates Σ (uₗᵀv)² δ(λ − λₗ) over the eigenpairs of A, for
/// ‖v‖ = 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Quadrature {
    /// θ, ascending: the Ritz values.
    pub nodes: Vec<f64>,
    /// w: not negative, of sum 1.
    pub weights: Vec<f64>,
}

impl Tridiagonal {
    /// Takes `steps` steps from `start`, fewer if its Krylov space is smaller.
    ///
    /// Cost: `steps` products, 4n·steps² flops, memory for `steps` + 1 vectors.
    ///
    /// # Errors
    /// [`Error::Range`] for a zero start vector and for steps outside 1 to n, [`Error::Shape`] for
    /// a start of another length, [`Error::NonFinite`] for NaN or infinities in it or a product.
    pub fn lanczos<T: Real, A: LinearOperator<T> + ?Sized>(
        a: &A,
        start: &[T],
        steps: usize,
    ) -> Result<Self> {
        let mut products = Products::new(a, steps, Callback::default())?;
        let n = products.dimension;
        check_steps(steps, n)?;
        if start.len() != n {
            return Err(Error::shape("start vector", n, start.len()));
        }
        let mut recurrence = Recurrence::new(start, steps)?;
        let mut y = tall::zeros(n, 1)?;
        while recurrence.wants_product() {
            let _ = products.apply(recurrence.vector(), &mut y)?;
            recurrence.step(&mut y);
        }
        recurrence.finish(&products)
    }

    /// The eigenvalues of T and the squared first components of its eigenvectors: Gauss' rule,
    /// exact for polynomials of degree below 2·steps.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `beta` has one element less than `alpha`; [`Error::NonFinite`] for
    /// NaN or infinities in them.
    pub fn quadrature(&self) -> Result<Quadrature> {
        if self.beta.len() + 1 != self.alpha.len() {
            let expected = self.alpha.len().saturating_sub(1);
            return Err(Error::shape("subdiagonal", expected, self.beta.len()));
        }
        check_finite("diagonal", &self.alpha)?;
        check_finite("subdiagonal", &self.beta)?;
        // The eigensolver gets numbers whose squares are numbers.
        let larger = |a: f64, b: &f64| if b.abs() > a { b.abs() } else { a };
        let largest = self.alpha.iter().chain(&self.beta).fold(0.0, larger);
        let exponent = if largest > 0.0 { libm::ilogb(largest).clamp(-1000, 1000) } else { 0 };
        let scaled = |x: &f64| libm::scalbn(*x, -exponent);
        let alpha: Vec<f64> = self.alpha.iter().map(scaled).collect();
        let beta: Vec<f64> = self.beta.iter().map(scaled).collect();
        let (mut nodes, weights) = dense::tridiagonal_eigen(&alpha, &beta)?;
        nodes.iter_mut().for_each(|x| *x = libm::scalbn(*x, exponent));
        Ok(Quadrature { nodes, weights })
    }
}

impl Quadrature {
    /// Σ wᵢ f(θᵢ).
    pub fn integral(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.nodes.iter().zip(&self.weights).map(|(x, w)| w * f(*x)).sum()
    }
}

pub(super) fn check_steps(steps: usize, n: usize) -> Result<()> {
    if (1..=n).contains(&steps) {
        Ok(())
    } else {
        Err(Error::range("steps", format!("1 to {n}"), steps))
    }
}

/// The recurrence, one product at a time, so that several can share a block of products.
pub(super) struct Recurrence<T> {
    n: usize,
    steps: usize,
    basis: Vec<T>,
    alpha: Vec<f64>,
    beta: Vec<f64>,
    largest: f64,
    invariant: bool,
}

impl<T: Real> Recurrence<T> {
    pub fn new(start: &[T], steps: usize) -> Result<Self> {
        check_finite("start vector", start)?;
        // Two normalisations: the first brings any vector to numbers whose squares are numbers.
        let larger = |a: f64, b: &T| if b.to_f64().abs() > a { b.to_f64().abs() } else { a };
        let largest = start.iter().fold(0.0, larger);
        if largest == 0.0 {
            return Err(Error::range("start vector", "a vector other than zero", "zero"));
        }
        let n = start.len();
        let mut basis = Vec::new();
        tall::reserve(&mut basis, n, steps)?;
        basis.extend(start.iter().map(|x| T::from_f64(x.to_f64() / largest)));
        let norm = tall::norm(&basis);
        tall::scale(&mut basis, 1.0 / norm);
        let (alpha, beta) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
        Ok(Self { n, steps, basis, alpha, beta, largest: 0.0, invariant: false })
    }

    pub fn wants_product(&self) -> bool {
        self.alpha.len() < self.steps && !self.invariant
    }

    /// The vector whose product is wanted.
    pub fn vector(&self) -> &[T] {
        &self.basis[self.alpha.len() * self.n..]
    }

    /// One step with `w` = A · vector; `w` is overwritten.
    pub fn step(&mut self, w: &mut [T]) {
        let j = self.alpha.len();
        let mut alpha = 0.0;
        for _ in 0..2 {
            let h = tall::transpose_product(&self.basis, w, self.n);
            tall::subtract_product(w, &self.basis, &h, self.n);
            alpha += h[j];
        }
        let beta = tall::norm(w);
        self.alpha.push(alpha);
        for size in [alpha.abs(), beta] {
            if size > self.largest {
                self.largest = size;
            }
        }
        // What is left is rounding: the basis spans an invariant subspace. ≤ catches A = 0.
        let noise = T::EPSILON.to_f64() * (self.n as f64).sqrt() * self.largest;
        if beta <= noise || j + 1 == self.n {
            self.invariant = true;
        } else if j + 1 < self.steps {
            self.beta.push(beta);
            tall::scale(w, 1.0 / beta);
            self.basis.extend_from_slice(w);
        }
    }

    /// Whether there is any step to speak of.
    pub fn started(&self) -> bool {
        !self.alpha.is_empty()
    }

    pub fn finish<A: ?Sized>(self, products: &Products<'_, A>) -> Result<Tridiagonal> {
        let unscaled = |x: Vec<f64>| x.into_iter().map(|x| products.unscaled(x)).collect();
        let steps = self.alpha.len();
        let mut beta: Vec<f64> = unscaled(self.beta);
        beta.truncate(steps.saturating_sub(1));
        let tridiagonal =
            Tridiagonal { alpha: unscaled(self.alpha), beta, invariant: self.invariant };
        check_finite("diagonal of the tridiagonal matrix", &tridiagonal.alpha)?;
        check_finite("subdiagonal of the tridiagonal matrix", &tridiagonal.beta)?;
        Ok(tridiagonal)
    }
}
