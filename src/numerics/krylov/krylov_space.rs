//! The state of a thick-restart block Lanczos process.

use std::time::Instant;

use faer::Mat;

use super::basis::Basis;
use super::start_vectors::fill_normal;
use super::symmetric_eigen::symmetric_eigen;
use crate::{Isa, Real, Result};

/// A V = V T + Q C with V n × size orthonormal, T symmetric, Q the next block of `width` columns.
///
/// The columns of `fixed` vectors lie before V in the basis; V and Q are orthogonal to them.
pub(super) struct KrylovSpace<T> {
    basis: Basis<T>,
    fixed: usize,
    capacity: usize,
    block: usize,
    size: usize,
    width: usize,
    /// T, of which size × size is valid.
    projected: Mat<f64>,
    /// C, width × size, column-major.
    coupling: Vec<f64>,
    /// First column of V with which the products of the next block are not known to be orthogonal.
    near: usize,
    /// Largest |eigenvalue| seen.
    norm: f64,
    seed: u64,
    stream: u64,
    x: Vec<T>,
    images: Vec<T>,
    pub vector_seconds: f64,
    pub dense_seconds: f64,
}

/// Eigenpairs of T with the norms of the residuals that C predicts.
pub(super) struct Ritz {
    pub values: Vec<f64>,
    pub estimates: Vec<f64>,
    vectors: Mat<f64>,
}

impl Ritz {
    /// Columns of the eigenvectors of T, column-major.
    fn columns(&self, chosen: &[usize]) -> Vec<f64> {
        let size = self.vectors.nrows();
        chosen.iter().flat_map(|&c| (0..size).map(move |r| self.vectors[(r, c)])).collect()
    }
}

impl<T: Real> KrylovSpace<T> {
    /// Room for `capacity` columns V and a next block; `fixed` columns of `basis` are excluded from
    /// the space. `start`: vectors one after the other, filled up with random ones.
    pub fn new(
        excluded: (&Basis<T>, usize),
        n: usize,
        capacity: usize,
        block: usize,
        start: &[T],
        (seed, stream): (u64, u64),
    ) -> Self {
        let clock = Instant::now();
        let fixed = excluded.1;
        let mut basis = Basis::new(n, fixed + capacity + block, Isa::current());
        basis.copy_columns(excluded.0, fixed);
        let mut space = Self {
            basis,
            fixed,
            capacity,
            block,
            size: 0,
            width: 0,
            projected: Mat::zeros(capacity, capacity),
            coupling: Vec::new(),
            near: 0,
            norm: 0.0,
            seed,
            stream,
            x: Vec::new(),
            images: Vec::new(),
            vector_seconds: 0.0,
            dense_seconds: 0.0,
        };
        space.begin(start);
        space.vector_seconds = clock.elapsed().as_secs_f64();
        space
    }

    /// Forgets V and starts again from `start`, filled up with random vectors; for another
    /// operator perhaps.
    pub fn begin(&mut self, start: &[T]) {
        (self.size, self.width, self.near, self.norm) = (0, 0, 0, 0.0);
        self.coupling.clear();
        for vector in start.chunks_exact(self.basis.rows()).take(self.block) {
            let at = self.fixed + self.width;
            self.basis.load_scaled(at, vector);
            let least = 100.0 * self.basis.rounding();
            if self.basis.orthonormalise_column(at, least).is_some() {
                self.width += 1;
            }
        }
        self.fill_block();
    }

    /// Random columns up to the block's width, as far as the space has any.
    fn fill_block(&mut self) {
        while self.width < self.block {
            let at = self.fixed + self.size + self.width;
            self.stream += 1;
            if !self.basis.fill_random(at, self.seed, self.stream) {
                break;
            }
            self.width += 1;
        }
    }

    /// Whether nothing is left outside V: its Ritz pairs are eigenpairs.
    pub fn is_exhausted(&self) -> bool {
        self.width == 0
    }

    /// Whether V has room for the next block.
    pub fn has_room(&self) -> bool {
        self.size + self.width <= self.capacity
    }

    pub fn size(&self) -> usize {
        self.size
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// Random numbers used so far.
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// Takes the next block into V: `width` products.
    pub fn expand(&mut self, mut multiply: impl FnMut(&[T], &mut [T]) -> Result<()>) -> Result<()> {
        let n = self.basis.rows();
        let (old, width) = (self.size, self.width);
        let columns = self.fixed + old..self.fixed + old + width;
        let clock = Instant::now();
        self.x.resize(n * width, T::ZERO);
        self.basis.store(columns.clone(), &mut self.x);
        self.images.resize(n * width, T::ZERO);
        let stored = clock.elapsed().as_secs_f64();
        multiply(&self.x, &mut self.images)?;
        let clock = Instant::now();
        self.size += width;
        let end = self.fixed + self.size;
        self.basis.load(end, &self.images);
        if old == 0 {
            let gram = self.basis.product(end..end + width, end..end + width);
            let longest = (0..width).map(|j| gram[j * (width + 1)]).fold(0.0, f64::max);
            self.norm = longest.sqrt();
        }
        let least = self.basis.rounding() * self.norm;
        let near = if self.near == 0 { 0 } else { self.fixed + self.near };
        let factors = self.basis.orthonormalise_block(near..end, end..end + width, least);
        for j in 0..width {
            let mut square = 0.0;
            for i in 0..self.size {
                let h = factors.h[self.fixed + i + j * end];
                square += h * h;
                self.projected[(i, old + j)] = h;
                self.projected[(old + j, i)] = h;
            }
            self.norm = self.norm.max(square.sqrt());
        }
        // The diagonal block came in both orders: take their mean.
        for j in 0..width {
            for i in 0..j {
                let upper = factors.h[self.fixed + old + i + j * end];
                let lower = factors.h[self.fixed + old + j + i * end];
                let mean = 0.5 * (upper + lower);
                self.projected[(old + i, old + j)] = mean;
                self.projected[(old + j, old + i)] = mean;
            }
        }
        self.width = factors.rank;
        self.fill_block();
        self.coupling = vec![0.0; self.width * self.size];
        for j in 0..width {
            for i in 0..factors.rank {
                self.coupling[i + (old + j) * self.width] = factors.r[i + j * width];
            }
        }
        self.near = old;
        self.vector_seconds += stored + clock.elapsed().as_secs_f64();
        Ok(())
    }

    /// The Ritz pairs of V, ascending.
    pub fn ritz(&mut self) -> Option<Ritz> {
        let clock = Instant::now();
        let t = self.projected.as_ref().submatrix(0, 0, self.size, self.size);
        let eigen = symmetric_eigen(t)?;
        let (size, width) = (self.size, self.width);
        let estimates = (0..size)
            .map(|c| {
                let row = |r: usize| -> f64 {
                    (0..size).map(|i| self.coupling[r + i * width] * eigen.vectors[(i, c)]).sum()
                };
                (0..width).map(|r| row(r).powi(2)).sum::<f64>().sqrt()
            })
            .collect();
        let ends = eigen.values.first().into_iter().chain(eigen.values.last());
        self.norm = ends.fold(self.norm, |norm, v| norm.max(v.abs()));
        self.dense_seconds += clock.elapsed().as_secs_f64();
        Some(Ritz { values: eigen.values, estimates, vectors: eigen.vectors })
    }

    /// The Ritz vectors at `chosen`, one after the other.
    pub fn vectors(&mut self, ritz: &Ritz, chosen: &[usize]) -> Vec<T> {
        let clock = Instant::now();
        let y = ritz.columns(chosen);
        let vectors = self.basis.combination(self.fixed..self.fixed + self.size, &y);
        self.vector_seconds += clock.elapsed().as_secs_f64();
        vectors
    }

    /// `count` random combinations of the Ritz vectors at `chosen`, one after the other.
    pub fn mixtures(&mut self, ritz: &Ritz, chosen: &[usize], count: usize) -> Vec<T> {
        let clock = Instant::now();
        let (size, y) = (self.size, ritz.columns(chosen));
        let mut weights = vec![0.0; chosen.len() * count];
        self.stream += 1;
        fill_normal::<f64>(self.seed, self.stream, &mut weights);
        let mut mixed = vec![0.0; size * count];
        for (mixed, weights) in mixed.chunks_exact_mut(size).zip(weights.chunks(chosen.len())) {
            for (y, weight) in y.chunks_exact(size).zip(weights) {
                mixed.iter_mut().zip(y).for_each(|(m, y)| *m += weight * y);
            }
        }
        let vectors = self.basis.combination(self.fixed..self.fixed + size, &mixed);
        self.vector_seconds += clock.elapsed().as_secs_f64();
        vectors
    }

    /// V ← the Ritz vectors at `chosen`.
    pub fn restart(&mut self, ritz: &Ritz, chosen: &[usize]) {
        let clock = Instant::now();
        let y = ritz.columns(chosen);
        let (size, width, keep) = (self.size, self.width, chosen.len());
        self.basis.rotate(self.fixed..self.fixed + size, &y);
        for c in 0..width {
            self.basis.copy_column(self.fixed + size + c, self.fixed + keep + c);
        }
        let mut coupling = vec![0.0; width * keep];
        for (c, y) in y.chunks_exact(size.max(1)).enumerate() {
            for r in 0..width {
                coupling[r + c * width] =
                    (0..size).map(|i| self.coupling[r + i * width] * y[i]).sum();
            }
        }
        self.coupling = coupling;
        for j in 0..keep {
            for i in 0..keep {
                self.projected[(i, j)] = if i == j { ritz.values[chosen[i]] } else { 0.0 };
            }
        }
        self.size = keep;
        self.near = 0;
        self.vector_seconds += clock.elapsed().as_secs_f64();
    }
}
