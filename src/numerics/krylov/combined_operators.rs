//! Operators made of functions, of numbers and of other operators.

use super::LinearOperator;
use super::basis::Basis;
use crate::{Error, Isa, Real, Result, parallel};

/// Elements of one task of an elementwise pass.
const PIECE: usize = 1 << 14;

/// y = f(x) for a function that is linear and symmetric.
///
/// ```
/// use hesse::krylov::{FnOperator, LinearOperator};
/// // Second difference on a ring of four.
/// let ring = FnOperator::new(4, |x: &[f64], y: &mut [f64]| {
///     for i in 0..4 {
///         y[i] = 2.0 * x[i] - x[(i + 1) % 4] - x[(i + 3) % 4];
///     }
/// })?;
/// let mut y = [0.0; 4];
/// ring.apply(&[1.0, -1.0, 1.0, -1.0], &mut y);
/// assert_eq!(y, [4.0, -4.0, 4.0, -4.0]);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FnOperator<F> {
    dimension: usize,
    function: F,
}

impl<F> FnOperator<F> {
    /// `function(x, y)` writes A x to y, both of length `dimension`.
    ///
    /// # Errors
    /// [`Error::Empty`] if `dimension` is 0.
    pub fn new(dimension: usize, function: F) -> Result<Self> {
        check_dimension(dimension)?;
        Ok(Self { dimension, function })
    }
}

impl<T: Real, F: Fn(&[T], &mut [T]) + Sync> LinearOperator<T> for FnOperator<F> {
    fn dimension(&self) -> usize {
        self.dimension
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        (self.function)(x, y);
    }
}

/// y = x.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    dimension: usize,
}

impl Identity {
    /// The n × n identity.
    ///
    /// # Errors
    /// [`Error::Empty`] if `dimension` is 0.
    pub fn new(dimension: usize) -> Result<Self> {
        check_dimension(dimension)?;
        Ok(Self { dimension })
    }
}

impl<T: Real> LinearOperator<T> for Identity {
    fn dimension(&self) -> usize {
        self.dimension
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        y.copy_from_slice(x);
    }
    fn bytes_per_product(&self) -> Option<usize> {
        Some(2 * self.dimension * size_of::<T>())
    }
}

/// yᵢ = dᵢ xᵢ.
#[derive(Clone, Debug)]
pub struct Diagonal<T> {
    diagonal: Vec<T>,
}

impl<T: Real> Diagonal<T> {
    /// The diagonal matrix of `diagonal`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`].
    pub fn new(diagonal: Vec<T>) -> Result<Self> {
        check_dimension(diagonal.len())?;
        crate::error::check_finite("diagonal", &diagonal)?;
        Ok(Self { diagonal })
    }
}

impl<T: Real> LinearOperator<T> for Diagonal<T> {
    fn dimension(&self) -> usize {
        self.diagonal.len()
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        for ((y, &x), &d) in y.iter_mut().zip(x).zip(&self.diagonal) {
            *y = d * x;
        }
    }
    fn bytes_per_product(&self) -> Option<usize> {
        Some(3 * self.diagonal.len() * size_of::<T>())
    }
}

/// A + B. Takes a scratch block of the size of the result.
#[derive(Clone, Copy, Debug)]
pub struct Sum<A, B> {
    first: A,
    second: B,
}

impl<A, B> Sum<A, B> {
    /// The sum of two operators on the same space.
    ///
    /// # Errors
    /// [`Error::Shape`] if their dimensions differ.
    pub fn new<T: Real>(first: A, second: B) -> Result<Self>
    where
        A: LinearOperator<T>,
        B: LinearOperator<T>,
    {
        let (n, m) = (first.dimension(), second.dimension());
        if n != m {
            return Err(Error::shape("second operator of a sum", (n, n), (m, m)));
        }
        Ok(Self { first, second })
    }
}

impl<T: Real, A: LinearOperator<T>, B: LinearOperator<T>> LinearOperator<T> for Sum<A, B> {
    fn dimension(&self) -> usize {
        self.first.dimension()
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }
    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let mut other = vec![T::ZERO; y.len()];
        self.first.apply_block(x, y);
        self.second.apply_block(x, &mut other);
        parallel::for_each_piece(y, PIECE, |piece, y| {
            for (y, &z) in y.iter_mut().zip(&other[piece * PIECE..]) {
                *y += z;
            }
        });
    }
    fn bytes_per_product(&self) -> Option<usize> {
        let sum = 3 * self.first.dimension() * size_of::<T>();
        Some(self.first.bytes_per_product()? + self.second.bytes_per_product()? + sum)
    }
}

/// c A.
#[derive(Clone, Copy, Debug)]
pub struct Scaled<A> {
    inner: A,
    factor: f64,
}

impl<A> Scaled<A> {
    /// `inner` times a finite `factor`.
    ///
    /// # Errors
    /// [`Error::Range`] if `factor` is not finite.
    pub fn new(inner: A, factor: f64) -> Result<Self> {
        check_number("factor of a scaled operator", factor)?;
        Ok(Self { inner, factor })
    }
}

impl<T: Real, A: LinearOperator<T>> LinearOperator<T> for Scaled<A> {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }
    fn apply_block(&self, x: &[T], y: &mut [T]) {
        self.inner.apply_block(x, y);
        let factor = self.factor;
        parallel::for_each_piece(y, PIECE, |_, y| {
            for y in y {
                *y = T::from_f64(factor * y.to_f64());
            }
        });
    }
    fn bytes_per_product(&self) -> Option<usize> {
        Some(self.inner.bytes_per_product()? + 2 * self.inner.dimension() * size_of::<T>())
    }
}

/// A + σI.
#[derive(Clone, Copy, Debug)]
pub struct Shifted<A> {
    inner: A,
    shift: f64,
}

impl<A> Shifted<A> {
    /// `inner` plus a finite `shift` times the identity.
    ///
    /// # Errors
    /// [`Error::Range`] if `shift` is not finite.
    pub fn new(inner: A, shift: f64) -> Result<Self> {
        check_number("shift of an operator", shift)?;
        Ok(Self { inner, shift })
    }
}

impl<T: Real, A: LinearOperator<T>> LinearOperator<T> for Shifted<A> {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }
    fn apply_block(&self, x: &[T], y: &mut [T]) {
        self.inner.apply_block(x, y);
        let shift = self.shift;
        parallel::for_each_piece(y, PIECE, |piece, y| {
            for (y, x) in y.iter_mut().zip(&x[piece * PIECE..]) {
                *y = T::from_f64(y.to_f64() + shift * x.to_f64());
            }
        });
    }
    fn bytes_per_product(&self) -> Option<usize> {
        Some(self.inner.bytes_per_product()? + 3 * self.inner.dimension() * size_of::<T>())
    }
}

/// P A P with P = I − QQᵀ, for directions Q that are known already.
///
/// Where Q holds exact eigenvectors, P A P has the other eigenpairs of A, and eigenvalue 0 on
/// span Q.
#[derive(Debug)]
pub struct Deflated<T, A> {
    inner: A,
    directions: Basis<T>,
    known: usize,
}

impl<T: Real, A: LinearOperator<T>> Deflated<T, A> {
    /// `vectors`: some vectors of length n, one after the other; they are orthonormalised here.
    /// Vectors that depend on those before them (to 100·√n·ε) are dropped.
    ///
    /// # Errors
    /// [`Error::Shape`] if the length is no multiple of n, [`Error::NonFinite`].
    pub fn new(inner: A, vectors: &[T]) -> Result<Self> {
        let n = inner.dimension();
        let (directions, known) = orthonormal_basis(n, vectors, 0)?;
        Ok(Self { inner, directions, known })
    }

    /// x ← (I − QQᵀ) x for each vector of a block, twice.
    fn project(&self, block: &mut [T]) {
        let k = block.len() / self.inner.dimension();
        let mut scratch = Basis::new(self.inner.dimension(), k, Isa::current());
        scratch.load(0, block);
        for _ in 0..2 {
            let h = self.directions.product_with(0..self.known, &scratch, 0..k);
            scratch.subtract_of(&self.directions, 0..self.known, 0..k, &h);
        }
        scratch.store(0..k, block);
    }
}

/// An orthonormal basis of the span of `vectors`, its size, and room for `spare` more columns.
pub(super) fn orthonormal_basis<T: Real>(
    n: usize,
    vectors: &[T],
    spare: usize,
) -> Result<(Basis<T>, usize)> {
    let count = vectors.len() / n;
    if count * n != vectors.len() {
        return Err(Error::shape("deflated vectors", (n, count + 1), (vectors.len(), 1)));
    }
    crate::error::check_finite("deflated vectors", vectors)?;
    let mut basis = Basis::new(n, count + spare, Isa::current());
    let mut known = 0;
    for vector in vectors.chunks_exact(n) {
        if known == n {
            break;
        }
        basis.load_scaled(known, vector);
        if basis.orthonormalise_column(known, 100.0 * basis.rounding()).is_some() {
            known += 1;
        }
    }
    Ok((basis, known))
}

impl<T: Real, A: LinearOperator<T>> LinearOperator<T> for Deflated<T, A> {
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }
    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let mut x = x.to_vec();
        self.project(&mut x);
        self.inner.apply_block(&x, y);
        self.project(y);
    }
}

fn check_dimension(dimension: usize) -> Result<()> {
    if dimension == 0 { Err(Error::empty("dimension of the operator")) } else { Ok(()) }
}

fn check_number(what: &str, value: f64) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::range(what, "a finite number", value)) }
}
