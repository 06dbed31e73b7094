//! Largest singular triplets of a rectangular operator by Golub-Kahan bidiagonalisation with thick
//! restart. The method of choice for a few of the largest singular values of something that can only be
//! multiplied with vectors from both sides; unlike Lanczos on AᵀA it does not square the condition.

use faer::Mat;
use hesse_kernels::level1;

use super::eigenpairs::Status;
use super::options::{check_count, check_tolerance, default_tolerance, residual_bound};
use super::start_vectors::fill_normal;
use super::tall;
use crate::numerics::dense::square_svd;
use crate::{Error, Isa, Real, Result};

/// A real m × n matrix A of which only products from both sides are known.
///
/// Results must depend on the input alone: the same input gives the same bits.
pub trait RectangularOperator<T: Real>: Sync {
    /// m.
    fn rows(&self) -> usize;

    /// n.
    fn columns(&self) -> usize;

    /// y ← A x. Whatever `y` held before is overwritten.
    fn apply(&self, x: &[T], y: &mut [T]);

    /// x ← Aᵀ y. Whatever `x` held before is overwritten.
    fn apply_transposed(&self, y: &[T], x: &mut [T]);
}

/// The k largest singular values of A with their vectors.
///
/// A V = U B with orthonormal U and V, B upper bidiagonal but for a spike after a restart, and
/// Aᵀ U = V Bᵀ + β v e_mᵀ. With B = Y Σ Zᵀ, the triplet (σ, U y, V z) has ‖A v − σ u‖ = 0 and
/// ‖Aᵀ u − σ v‖ = β |y_m|. Both bases are orthogonalised fully, each vector until it no longer shrinks.
/// At the end the residuals are computed again from products; convergence is never claimed on the
/// estimate's word.
///
/// For k > 1 the search goes on from random vectors orthogonal to what was found until nothing larger
/// turns up, so that copies of a multiple value are found.
///
/// Cost: two products a step and 8·(m + n)·s flops of orthogonalisation, s the size of the subspace.
/// Memory: (m + n)·s elements. An exhausted budget is a status, not an error.
///
/// Source: Golub and Kahan 1965; thick restart: Baglama and Reichel 2005.
///
/// ```
/// use hesse::krylov::{DenseMatrix, GolubKahan, Status};
/// let a = hesse::faer::mat![[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]];
/// let top = GolubKahan::new(&DenseMatrix::new(a.as_ref())?).largest(2).run()?;
/// assert_eq!(top.status, Status::Converged);
/// assert!((top.values[0] - 4.0).abs() < 1e-14 && (top.values[1] - 3.0).abs() < 1e-14);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Debug)]
pub struct GolubKahan<'a, A: ?Sized> {
    operator: &'a A,
    wanted: usize,
    tolerance: Option<f64>,
    subspace: Option<usize>,
    max_products: Option<usize>,
    seed: u64,
}

/// What [`GolubKahan`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SingularTriplets<T> {
    /// Singular values, descending. Each lies within its residual of a singular value of A.
    pub values: Vec<f64>,
    /// Left vectors, m × values.len().
    pub left: Mat<T>,
    /// Right vectors, n × values.len().
    pub right: Mat<T>,
    /// √(‖A v − σ u‖² + ‖Aᵀ u − σ v‖²), from products at the end.
    pub residuals: Vec<f64>,
    /// How the solver ended.
    pub status: Status,
    /// Products with A and with Aᵀ, all included.
    pub products: usize,
    /// Restarts.
    pub restarts: usize,
}

impl<'a, A: ?Sized> GolubKahan<'a, A> {
    /// The largest singular value of `operator`, unless options say otherwise.
    pub fn new(operator: &'a A) -> Self {
        Self { operator, wanted: 1, tolerance: None, subspace: None, max_products: None, seed: 0 }
    }

    /// The `k` largest.
    #[must_use]
    pub fn largest(self, k: usize) -> Self {
        Self { wanted: k, ..self }
    }

    /// Residuals relative to max(σ, ε^⅔‖A‖); default 10⁻⁸ in `f64`, 10⁻⁵ in `f32`.
    #[must_use]
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance: Some(tolerance), ..self }
    }

    /// Largest number of columns of U and V; default max(2k + 10, 20).
    #[must_use]
    pub fn subspace(self, size: usize) -> Self {
        Self { subspace: Some(size), ..self }
    }

    /// No more products than this, with A and Aᵀ together; default 2000 + 400k; at least 2k + 2.
    #[must_use]
    pub fn max_products(self, limit: usize) -> Self {
        Self { max_products: Some(limit), ..self }
    }

    /// Seed of the random vectors; default 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Solves.
    ///
    /// # Errors
    /// [`Error::Empty`] for no rows or columns, [`Error::Range`] for options that cannot be,
    /// [`Error::NonFinite`] naming the product that was not finite.
    pub fn run<T: Real>(self) -> Result<SingularTriplets<T>>
    where
        A: RectangularOperator<T>,
    {
        let (m, n) = (self.operator.rows(), self.operator.columns());
        if m == 0 || n == 0 {
            return Err(Error::empty("rows and columns of the operator"));
        }
        let tolerance = self.tolerance.unwrap_or(default_tolerance::<T>());
        check_tolerance(tolerance)?;
        check_count("k", self.wanted, m.min(n))?;
        let limit = self.max_products.unwrap_or(2000 + 400 * self.wanted);
        // A step, and the residuals at the end.
        let reserve = 2 * self.wanted;
        if limit < reserve + 2 {
            let expected = format!("at least {}", reserve + 2);
            return Err(Error::range("max_products", expected, limit));
        }
        let subspace = self.subspace.unwrap_or((2 * self.wanted + 10).max(20)).min(m.min(n));
        let least = (self.wanted + 2).min(m.min(n));
        if subspace < least {
            return Err(Error::range("subspace", format!("at least {least}"), subspace));
        }
        let mut search = Search {
            operator: self.operator,
            // The bases are exhausted on the short side first.
            flipped: m < n,
            rows: m.max(n),
            columns: m.min(n),
            tolerance,
            limit: limit - reserve,
            products: 0,
            restarts: 0,
            scale: None,
            seed: self.seed,
            stream: 0,
            norm: 0.0,
            found: Found::default(),
        };
        search.run(self.wanted, subspace)
    }
}

/// Triplets of the operator (rows ≥ columns, scaled), in panels.
struct Found<T> {
    values: Vec<f64>,
    left: Vec<T>,
    right: Vec<T>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { values: Vec::new(), left: Vec::new(), right: Vec::new() }
    }
}

struct Search<'a, T, A: ?Sized> {
    operator: &'a A,
    flipped: bool,
    rows: usize,
    columns: usize,
    tolerance: f64,
    limit: usize,
    products: usize,
    restarts: usize,
    scale: Option<f64>,
    seed: u64,
    stream: u64,
    /// Largest singular value seen, scaled.
    norm: f64,
    found: Found<T>,
}

/// How one search ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Converged,
    Limit,
}

impl<T: Real, A: RectangularOperator<T> + ?Sized> Search<'_, T, A> {
    fn run(&mut self, wanted: usize, subspace: usize) -> Result<SingularTriplets<T>> {
        let mut end = self.search(wanted, subspace)?;
        // Copies of multiple values: what a random vector finds beside the triplets so far.
        while wanted > 1 && end == End::Converged && self.found.values.len() < self.columns {
            let before = self.found.values.len();
            let mut sorted = self.found.values.clone();
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            let least = sorted[wanted - 1];
            let room = (self.columns - before).clamp(1, 20);
            end = self.search(1, room)?;
            let new = self.found.values.get(before..).unwrap_or(&[]);
            if new.iter().all(|&s| s <= least * (1.0 + self.tolerance)) {
                break;
            }
        }
        self.result(wanted, end)
    }

    /// y ← A x of the tall form, checked and scaled.
    fn multiply(&mut self, transposed: bool, x: &[T], y: &mut [T]) -> Result<()> {
        match transposed != self.flipped {
            false => self.operator.apply(x, y),
            true => self.operator.apply_transposed(x, y),
        }
        self.products += 1;
        if let Some(index) = y.iter().position(|y| !y.is_finite()) {
            let what = format!("product {} of the operator", self.products);
            return Err(Error::NonFinite { what, index, value: y[index].to_f64() });
        }
        if self.scale.is_none() {
            let largest = level1::max_abs(Isa::current(), y);
            if largest > 0.0 {
                let limit = if size_of::<T>() == 4 { 20.0 } else { 100.0 };
                let exponent = libm::floor(libm::log2(largest));
                let moderate = exponent.abs() <= limit;
                let exponent = exponent.clamp(-1000.0, 1000.0);
                self.scale = Some(if moderate { 1.0 } else { libm::exp2(-exponent) });
            }
        }
        if let Some(factor) = self.scale.filter(|&f| f != 1.0) {
            tall::scale(y, factor);
        }
        Ok(())
    }

    /// Grows the bases until the `wanted` largest triplets beside those found have converged, and
    /// adds them to those.
    fn search(&mut self, wanted: usize, subspace: usize) -> Result<End> {
        let (rows, columns) = (self.rows, self.columns);
        let size = subspace.min(columns - self.found.values.len());
        let mut u = tall::zeros::<T>(rows, size)?;
        let mut v = tall::zeros::<T>(columns, size + 1)?;
        let mut b = Mat::<f64>::zeros(size, size);
        let mut at = 0;
        if !self.fresh(false, &[], &mut v[..columns]) {
            return Ok(End::Converged);
        }
        loop {
            let mut beta = 0.0;
            while at < size {
                if self.products + 2 > self.limit {
                    break;
                }
                let (done, rest) = u.split_at_mut(at * rows);
                let next = &mut rest[..rows];
                self.multiply(false, &v[at * columns..][..columns], next)?;
                let h = orthogonalize(next, &self.found.left, done, rows);
                for (i, h) in h.iter().enumerate() {
                    b[(i, at)] = *h;
                }
                let alpha = tall::norm(next);
                self.norm = self.norm.max(alpha);
                b[(at, at)] = self.extend(true, alpha, done, next);
                // The next right vector.
                let (left, rest) = v.split_at_mut((at + 1) * columns);
                let next = &mut rest[..columns];
                self.multiply(true, &u[at * rows..][..rows], next)?;
                orthogonalize(next, &self.found.right, left, columns);
                let size_of_next = tall::norm(next);
                self.norm = self.norm.max(size_of_next);
                at += 1;
                beta = if self.found.values.len() + at == columns {
                    0.0
                } else {
                    self.extend(false, size_of_next, left, next)
                };
            }
            if at == 0 {
                return Ok(End::Limit);
            }
            let limit = at < size;
            let svd = square_svd(b.as_ref().get(..at, ..at), true)?;
            self.norm = self.norm.max(svd.values[0]);
            let residual = |i: usize| beta * svd.left[(at - 1, i)].abs();
            let count = wanted.min(at);
            let bound = |value: f64| self.bound(value);
            let converged = (0..count).take_while(|&i| residual(i) <= bound(svd.values[i])).count();
            let over = limit || converged == count;
            let keep =
                if over { count } else { (count + (at - count).min(10) / 2 + 1).min(at - 1) };
            let left = combine(&u[..at * rows], rows, &svd.left, at, keep);
            let right = combine(&v[..at * columns], columns, &svd.right, at, keep);
            if over {
                self.found.values.extend(&svd.values[..count]);
                self.found.left.extend(left);
                self.found.right.extend(right);
                return Ok(if converged == count { End::Converged } else { End::Limit });
            }
            // Thick restart: the best triplets, then the last right vector, which couples to them.
            self.restarts += 1;
            let last = v[at * columns..][..columns].to_vec();
            u[..keep * rows].copy_from_slice(&left);
            v[..keep * columns].copy_from_slice(&right);
            v[keep * columns..][..columns].copy_from_slice(&last);
            b = Mat::zeros(size, size);
            for i in 0..keep {
                b[(i, i)] = svd.values[i];
            }
            at = keep;
        }
    }

    /// What residual counts as converged.
    fn bound(&self, value: f64) -> f64 {
        residual_bound::<T>(self.tolerance, value, self.norm)
    }

    /// Makes `next` a unit vector and returns its length; where nothing was left of it, a random unit
    /// vector orthogonal to the basis, and 0.
    fn extend(&mut self, left: bool, length: f64, basis: &[T], next: &mut [T]) -> f64 {
        let n = next.len();
        if length > T::EPSILON.to_f64() * (n as f64).sqrt() * self.norm {
            tall::scale(next, 1.0 / length);
            return length;
        }
        self.fresh(left, basis, next);
        0.0
    }

    /// A random unit vector orthogonal to the basis and to what was found; false where there is none.
    fn fresh(&mut self, left: bool, basis: &[T], vector: &mut [T]) -> bool {
        let n = vector.len();
        for _ in 0..3 {
            fill_normal(self.seed, self.stream, vector);
            self.stream += 1;
            let found = if left { &self.found.left } else { &self.found.right };
            let before = tall::norm(vector);
            orthogonalize(vector, found, basis, n);
            let length = tall::norm(vector);
            if length > 1e-10_f64.max(100.0 * T::EPSILON.to_f64()) * before {
                tall::scale(vector, 1.0 / length);
                return true;
            }
        }
        vector.fill(T::ZERO);
        false
    }

    /// The `wanted` largest of the triplets found, with residuals.
    fn result(&mut self, wanted: usize, end: End) -> Result<SingularTriplets<T>> {
        let (rows, columns) = (self.rows, self.columns);
        let found = std::mem::take(&mut self.found);
        let mut order: Vec<usize> = (0..found.values.len()).collect();
        order
            .sort_unstable_by(|&a, &b| found.values[b].total_cmp(&found.values[a]).then(a.cmp(&b)));
        order.truncate(wanted);
        let (mut values, mut residuals) = (Vec::new(), Vec::new());
        let (mut image, mut back) = (vec![T::ZERO; rows], vec![T::ZERO; columns]);
        for &i in &order {
            let u = &found.left[i * rows..][..rows];
            let v = &found.right[i * columns..][..columns];
            self.multiply(false, v, &mut image)?;
            self.multiply(true, u, &mut back)?;
            let value = tall::dot(u, &image);
            let difference = |x: &[T], y: &[T]| -> f64 {
                x.iter().zip(y).map(|(x, y)| (x.to_f64() - value * y.to_f64()).powi(2)).sum()
            };
            values.push(value);
            residuals.push((difference(&image, u) + difference(&back, v)).sqrt());
        }
        let good = |(&s, &r): (&f64, &f64)| r <= self.bound(s);
        let status = if end == End::Limit {
            Status::IterationLimit
        } else if values.iter().zip(&residuals).all(good) {
            Status::Converged
        } else {
            Status::Stagnated
        };
        let factor = self.scale.unwrap_or(1.0);
        values.iter_mut().chain(&mut residuals).for_each(|x| *x /= factor);
        let panel =
            |panel: &[T], n: usize| Mat::from_fn(n, order.len(), |i, j| panel[order[j] * n + i]);
        let (left, right) = (panel(&found.left, rows), panel(&found.right, columns));
        let (left, right) = if self.flipped { (right, left) } else { (left, right) };
        Ok(SingularTriplets {
            values,
            left,
            right,
            residuals,
            status,
            products: self.products,
            restarts: self.restarts,
        })
    }
}

/// w ← (I − QQᵀ) w for the columns of both panels, until it no longer shrinks; the coefficients of the
/// second.
fn orthogonalize<T: Real>(w: &mut [T], first: &[T], second: &[T], n: usize) -> Vec<f64> {
    let mut coefficients = vec![0.0; second.len() / n];
    let mut size = tall::norm(w);
    for _ in 0..4 {
        for (panel, keep) in [(first, false), (second, true)] {
            let h = tall::transpose_product(panel, w, n);
            tall::subtract_product(w, panel, &h, n);
            if keep {
                coefficients.iter_mut().zip(&h).for_each(|(c, h)| *c += h);
            }
        }
        let now = tall::norm(w);
        // Daniel, Gragg, Kaufman and Stewart 1976.
        if now >= std::f64::consts::FRAC_1_SQRT_2 * size {
            break;
        }
        size = now;
    }
    coefficients
}

/// The first `keep` columns of a panel times a square matrix.
fn combine<T: Real>(panel: &[T], n: usize, y: &Mat<f64>, k: usize, keep: usize) -> Vec<T> {
    let mut result = vec![T::ZERO; n * keep];
    for (j, column) in result.chunks_exact_mut(n).enumerate() {
        let h: Vec<f64> = (0..k).map(|i| -y[(i, j)]).collect();
        tall::subtract_product(column, panel, &h, n);
    }
    result
}
