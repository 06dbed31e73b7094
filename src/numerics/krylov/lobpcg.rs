//! Extreme eigenpairs without a stored Krylov basis: for vectors so long that only a few dozen fit
//! into memory, or where a preconditioner is at hand. Otherwise [`Lanczos`](super::Lanczos) needs
//! fewer products.

use std::ops::ControlFlow;
use std::time::Instant;

use faer::Mat;

use super::LinearOperator;
use super::basis::Basis;
use super::combined_operators::orthonormal_basis;
use super::counted_products::CountedProducts;
use super::eigenpairs::{Callback, Eigenpairs, Pairs, Progress, Stats, Status, error_bounds};
use super::options::{
    check_count, check_start, check_tolerance, default_tolerance, residual_bound,
};
use super::selection::Which;
use super::symmetric_eigen::symmetric_eigen;
use crate::{Error, Isa, Real, Result};

/// Steps after which X is orthonormalised and multiplied anew, so that rounding does not pile up.
const REFRESH: usize = 40;

/// A few of the largest or smallest eigenpairs by the locally optimal block preconditioned
/// conjugate gradient method.
///
/// Each step is a Rayleigh-Ritz projection onto span[X, P, M R] of the b current vectors X, their
/// residuals R = A X − X Θ (preconditioned by M) and the previous directions P. The basis is
/// orthonormal always: P by an orthonormal rotation of the small problem, M R by Gram-Schmidt with
/// directions dropped that depend on the rest (Hetmaniuk and Lehoucq 2006; Duersch et al. 2018).
///
/// Converges like steepest descent where b reaches past a gap, and slowly within a cluster: b is
/// k + max(2, k/2) by default. Returned is the block with the smallest residuals seen (to a factor of 2), not
/// the last; residuals are recomputed.
///
/// Cost: b products and 2n(3b)² flops a step; memory 6nb elements and the results.
///
/// Source: Knyazev 2001.
pub struct Lobpcg<'a, T: Real, A: LinearOperator<T> + ?Sized> {
    operator: &'a A,
    preconditioner: Option<&'a dyn LinearOperator<T>>,
    which: Which,
    wanted: usize,
    tolerance: Option<f64>,
    block: Option<usize>,
    max_products: Option<usize>,
    seed: u64,
    start: &'a [T],
    deflated: &'a [T],
    callback: Option<Callback<'a>>,
}

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> Lobpcg<'a, T, A> {
    /// The largest eigenpair of `operator`, unless options say otherwise.
    pub fn new(operator: &'a A) -> Self {
        Self {
            operator,
            preconditioner: None,
            which: Which::Largest,
            wanted: 1,
            tolerance: None,
            block: None,
            max_products: None,
            seed: 0,
            start: &[],
            deflated: &[],
            callback: None,
        }
    }

    /// The `k` largest eigenvalues.
    #[must_use]
    pub fn largest(self, k: usize) -> Self {
        Self { which: Which::Largest, wanted: k, ..self }
    }

    /// The `k` smallest eigenvalues.
    #[must_use]
    pub fn smallest(self, k: usize) -> Self {
        Self { which: Which::Smallest, wanted: k, ..self }
    }

    /// An approximate inverse of A − λI on the wanted end: for the smallest eigenvalues of a
    /// positive definite A, of A itself.
    #[must_use]
    pub fn preconditioner(self, inverse: &'a dyn LinearOperator<T>) -> Self {
        Self { preconditioner: Some(inverse), ..self }
    }

    /// Residuals relative to max(|λ|, ε^⅔‖A‖), as in [`Lanczos`](super::Lanczos).
    #[must_use]
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance: Some(tolerance), ..self }
    }

    /// Vectors in X, at least k; default k + max(2, k/2).
    #[must_use]
    pub fn block(self, b: usize) -> Self {
        Self { block: Some(b), ..self }
    }

    /// No more products than this, all included; default 1000 + 200k.
    #[must_use]
    pub fn max_products(self, limit: usize) -> Self {
        Self { max_products: Some(limit), ..self }
    }

    /// Seed of the random vectors; default 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Start vectors, one after the other; the first b are taken.
    #[must_use]
    pub fn start(self, vectors: &'a [T]) -> Self {
        Self { start: vectors, ..self }
    }

    /// Vectors whose span is taken out of the problem, see [`Lanczos::deflate`](super::Lanczos).
    #[must_use]
    pub fn deflate(self, vectors: &'a [T]) -> Self {
        Self { deflated: vectors, ..self }
    }

    /// Called after every step; the best pairs so far are returned on `Break`.
    #[must_use]
    pub fn callback(self, f: impl FnMut(&Progress) -> ControlFlow<()> + 'a) -> Self {
        Self { callback: Some(Box::new(f)), ..self }
    }

    /// Solves.
    ///
    /// # Errors
    /// [`Error::Range`] and [`Error::Shape`] for options that cannot be (also a `max_products`
    /// below 2k, which pays for one step's start and the residuals), [`Error::NonFinite`] naming
    /// the product that was not finite.
    pub fn run(mut self) -> Result<Eigenpairs<T>> {
        let n = self.operator.dimension();
        if n == 0 {
            return Err(Error::empty("dimension of the operator"));
        }
        let tolerance = self.tolerance.unwrap_or(default_tolerance::<T>());
        check_tolerance(tolerance)?;
        check_start(self.start, n)?;
        let (_, known) = orthonormal_basis(n, self.deflated, 0)?;
        let free = n - known;
        check_count("k", self.wanted, free)?;
        let k = self.wanted;
        let limit = self.max_products.unwrap_or(1000 + 200 * k);
        if limit < 2 * k {
            let expected = format!("at least {}", 2 * k);
            return Err(Error::range("max_products", expected, limit));
        }
        let block = self.block.unwrap_or((k + 2.max(k / 2)).min(free)).min((limit - k).max(k));
        if !(k..=free).contains(&block) {
            return Err(Error::range("block", format!("{k} to {free}"), block));
        }
        let (space, known) = orthonormal_basis(n, self.deflated, 3 * block)?;
        let state = State {
            products: CountedProducts::new(self.operator, limit),
            preconditioner: self.preconditioner,
            which: self.which,
            wanted: k,
            tolerance,
            block,
            known,
            images: Basis::new(n, 3 * block, Isa::current()),
            space,
            size: 0,
            values: Vec::new(),
            norm: 0.0,
            best: None,
            stats: Stats { filter_degree: 1, ..Stats::default() },
            callback: self.callback.take(),
        };
        state.run(self.start, self.seed)
    }
}

struct State<'a, T: Real, A: LinearOperator<T> + ?Sized> {
    products: CountedProducts<'a, T, A>,
    preconditioner: Option<&'a dyn LinearOperator<T>>,
    which: Which,
    wanted: usize,
    tolerance: f64,
    block: usize,
    /// Deflated vectors: the first columns of `space`.
    known: usize,
    /// [deflated, X, P, W]
    space: Basis<T>,
    /// A [X, P, W]
    images: Basis<T>,
    /// Columns of [X, P].
    size: usize,
    /// Ritz values of X.
    values: Vec<f64>,
    norm: f64,
    /// The wanted vectors with the smallest residuals so far, and the largest of these.
    best: Option<(Vec<T>, f64)>,
    stats: Stats,
    callback: Option<Callback<'a>>,
}

impl<T: Real, A: LinearOperator<T> + ?Sized> State<'_, T, A> {
    fn run(mut self, start: &[T], seed: u64) -> Result<Eigenpairs<T>> {
        let n = self.products.dimension();
        let mut width = 0;
        for vector in start.chunks_exact(n).take(self.block) {
            self.space.load_scaled(self.known + width, vector);
            let least = 100.0 * self.space.rounding();
            if self.space.orthonormalise_column(self.known + width, least).is_some() {
                width += 1;
            }
        }
        let mut stream = 0;
        while width < self.block {
            stream += 1;
            if !self.space.fill_random(self.known + width, seed, stream) {
                break;
            }
            width += 1;
        }
        self.size = width;
        self.block = width;
        self.multiply(0..width)?;
        self.project(width)?;
        let mut steps = 0;
        let status = loop {
            let residuals = self.residuals();
            let norms: Vec<f64> =
                (0..self.block).map(|j| residuals.product(j..j + 1, j..j + 1)[0].sqrt()).collect();
            let bound = |i: usize| residual_bound::<T>(self.tolerance, self.values[i], self.norm);
            let done = (0..self.wanted).filter(|&i| norms[i] <= bound(i)).count();
            let largest = norms[..self.wanted].iter().copied().fold(0.0, f64::max);
            if self.best.as_ref().is_none_or(|best| largest < 0.5 * best.1) || done == self.wanted {
                let mut vectors = vec![T::ZERO; n * self.wanted];
                self.space.store(self.known..self.known + self.wanted, &mut vectors);
                self.best = Some((vectors, largest));
            }
            if !self.report(done, largest) {
                break Status::Interrupted;
            }
            if done == self.wanted {
                break Status::Converged;
            }
            let refresh = steps > 0 && steps % REFRESH == 0;
            let cost = if refresh { 2 * self.block } else { self.block };
            if self.products.left() < cost + self.wanted {
                break Status::IterationLimit;
            }
            if refresh {
                self.refresh()?;
            }
            steps += 1;
            let added = self.add_directions(&residuals)?;
            if added == 0 {
                // No direction left outside [X, P]: an invariant space, or rounding.
                break Status::Stagnated;
            }
            let from = self.size;
            self.multiply(from..from + added)?;
            self.project(from + added)?;
        };
        self.finish(status, steps)
    }

    /// Images of columns of [X, P, W].
    fn multiply(&mut self, columns: std::ops::Range<usize>) -> Result<()> {
        let n = self.products.dimension();
        let mut x = vec![T::ZERO; n * columns.len()];
        let mut y = vec![T::ZERO; n * columns.len()];
        self.space.store(self.known + columns.start..self.known + columns.end, &mut x);
        self.products.multiply(&x, &mut y)?;
        self.images.load(columns.start, &y);
        if self.known > 0 {
            let h = self.space.product_with(0..self.known, &self.images, columns.clone());
            self.images.subtract_of(&self.space, 0..self.known, columns, &h);
        }
        Ok(())
    }

    /// Rayleigh-Ritz on the first `size` columns of [X, P, W]: new X, and new P orthogonal to it.
    fn project(&mut self, size: usize) -> Result<()> {
        let clock = Instant::now();
        let basis = self.known..self.known + size;
        let h = self.space.product_with(basis.clone(), &self.images, 0..size);
        let t = Mat::from_fn(size, size, |i, j| 0.5 * (h[i + j * size] + h[j + i * size]));
        let dense = Instant::now();
        let eigen = symmetric_eigen(t.as_ref()).ok_or_else(|| Error::NonFinite {
            what: "projected operator".to_owned(),
            index: 0,
            value: f64::NAN,
        })?;
        self.stats.dense_seconds += dense.elapsed().as_secs_f64();
        let order = self.which.preference(&eigen.values);
        let wanted = &order[..self.block];
        self.values = wanted.iter().map(|&i| eigen.values[i]).collect();
        self.norm = eigen.values.iter().fold(self.norm, |norm, v| norm.max(v.abs()));
        // Columns of Y for X; then those for P: what X took from outside the old X, made orthogonal
        // to Y.
        let mut y: Vec<f64> = wanted
            .iter()
            .flat_map(|&c| (0..size).map(move |r| (r, c)))
            .map(|i| eigen.vectors[i])
            .collect();
        let mut columns = self.block;
        for j in 0..self.block {
            if size == self.block {
                break;
            }
            let mut p = y[j * size..(j + 1) * size].to_vec();
            p[..self.block].fill(0.0);
            let start = length(&p);
            for _ in 0..2 {
                for q in y.chunks_exact(size) {
                    let dot: f64 = q.iter().zip(&p).map(|(a, b)| a * b).sum();
                    p.iter_mut().zip(q).for_each(|(p, q)| *p -= dot * q);
                }
            }
            let left = length(&p);
            if left > 1e-8 * start && left > 1e-150 && columns < size {
                y.extend(p.iter().map(|p| p / left));
                columns += 1;
            }
        }
        self.space.rotate(basis, &y);
        self.images.rotate(0..size, &y);
        self.size = columns;
        self.stats.vector_seconds += clock.elapsed().as_secs_f64();
        Ok(())
    }

    /// R = A X − X Θ.
    fn residuals(&self) -> Basis<T> {
        let n = self.products.dimension();
        let mut residuals = Basis::new(n, self.block, Isa::current());
        residuals.copy_columns(&self.images, self.block);
        let mut theta = vec![0.0; self.block * self.block];
        for (j, value) in self.values.iter().enumerate() {
            theta[j * (self.block + 1)] = *value;
        }
        let x = self.known..self.known + self.block;
        residuals.subtract_of(&self.space, x, 0..self.block, &theta);
        residuals
    }

    /// W ← an orthonormal basis of what M R has outside [deflated, X, P]; returns its rank.
    fn add_directions(&mut self, residuals: &Basis<T>) -> Result<usize> {
        let clock = Instant::now();
        let n = self.products.dimension();
        let mut r = vec![T::ZERO; n * self.block];
        residuals.store(0..self.block, &mut r);
        if let Some(inverse) = self.preconditioner {
            let mut z = vec![T::ZERO; n * self.block];
            inverse.apply_block(&r, &mut z);
            crate::error::check_finite("preconditioned residuals", &z)?;
            r = z;
        }
        let at = self.known + self.size;
        let room = (n - at).min(self.block);
        let mut width = 0;
        for vector in r.chunks_exact(n) {
            if width == room {
                break;
            }
            self.space.load_scaled(at + width, vector);
            let least = 100.0 * self.space.rounding();
            if self.space.orthonormalise_column(at + width, least).is_some() {
                width += 1;
            }
        }
        self.stats.vector_seconds += clock.elapsed().as_secs_f64();
        Ok(width)
    }

    /// X orthonormal and its images from products again; P is dropped.
    fn refresh(&mut self) -> Result<()> {
        let x = self.known..self.known + self.block;
        let factors = self.space.orthonormalise_block(0..self.known, x, 0.0);
        self.block = factors.rank.max(self.wanted);
        self.size = self.block;
        self.multiply(0..self.block)?;
        self.project(self.block)
    }

    fn report(&mut self, converged: usize, residual: f64) -> bool {
        let Some(callback) = &mut self.callback else { return true };
        callback(&Progress {
            products: self.products.count(),
            restarts: 0,
            converged,
            wanted: self.wanted,
            residual: self.products.unscaled(residual),
        })
        .is_continue()
    }

    fn finish(mut self, status: Status, steps: usize) -> Result<Eigenpairs<T>> {
        let n = self.products.dimension();
        let (vectors, _) = self.best.take().unwrap_or_default();
        let (space, known) = (&self.space, self.known);
        let pairs = Pairs::measure(&mut self.products, vectors, |images| {
            let k = images.len() / n;
            let mut scratch = Basis::new(n, k, Isa::current());
            scratch.load(0, images);
            let h = space.product_with(0..known, &scratch, 0..k);
            scratch.subtract_of(space, 0..known, 0..k, &h);
            scratch.store(0..k, images);
        })?;
        let pairs = pairs.best(self.which, self.wanted);
        let bound = |v: f64| residual_bound::<T>(self.tolerance, v, self.norm);
        let settled = pairs.values.iter().zip(&pairs.residuals).all(|(&v, &r)| r <= bound(v));
        let status = match status {
            Status::Converged if !settled => Status::Stagnated,
            Status::Stagnated | Status::IterationLimit if settled => Status::Converged,
            status => status,
        };
        let others: Vec<(f64, f64)> =
            self.values[self.wanted..].iter().map(|&v| (v, self.norm)).collect();
        let bounds = error_bounds(&pairs.values, &pairs.residuals, &others);
        let unscaled =
            |values: &[f64]| values.iter().map(|&v| self.products.unscaled(v)).collect::<Vec<_>>();
        Ok(Eigenpairs {
            values: unscaled(&pairs.values),
            vectors: Mat::from_fn(n, self.wanted, |i, j| pairs.vectors[i + j * n]),
            residuals: unscaled(&pairs.residuals),
            error_bounds: unscaled(&bounds),
            status,
            verified: self.block > self.wanted || self.block + self.known == n,
            products: self.products.count(),
            restarts: steps / REFRESH,
            stats: Stats { product_seconds: self.products.seconds, ..self.stats },
        })
    }
}

fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}
