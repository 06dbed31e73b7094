//! Operators with known spectra, for the tests of traces and densities.
#![allow(dead_code)] // Each test binary uses its own part of them.

use hesse::Real;
use hesse::krylov::LinearOperator;

/// A dense symmetric matrix.
#[derive(Clone)]
pub struct Dense<T> {
    pub n: usize,
    pub elements: Vec<T>,
}

impl<T: Real> LinearOperator<T> for Dense<T> {
    fn dimension(&self) -> usize {
        self.n
    }
    fn apply(&self, x: &[T], y: &mut [T]) {
        y.fill(T::ZERO);
        for (column, x) in self.elements.chunks_exact(self.n).zip(x) {
            for (y, a) in y.iter_mut().zip(column) {
                *y += *a * *x;
            }
        }
    }
}

impl Dense<f64> {
    /// From the packed lower triangle.
    pub fn from_triangle(n: usize, triangle: &[f64]) -> Self {
        let at = |i: usize, j: usize| triangle[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)];
        Self { n, elements: (0..n * n).map(|e| at(e % n, e / n)).collect() }
    }

    /// U diag(λ) Uᵀ with a random orthogonal U.
    pub fn with_spectrum(spectrum: &[f64], seed: u64) -> Self {
        let n = spectrum.len();
        let u = orthogonal(n, seed);
        let mut elements = vec![0.0; n * n];
        for (u, lambda) in u.chunks_exact(n).zip(spectrum) {
            for j in 0..n {
                let factor = lambda * u[j];
                for i in 0..=j {
                    elements[i + j * n] += factor * u[i];
                }
            }
        }
        for j in 0..n {
            for i in 0..j {
                elements[j + i * n] = elements[i + j * n];
            }
        }
        Self { n, elements }
    }

    pub fn trace(&self) -> f64 {
        self.elements.iter().step_by(self.n + 1).sum()
    }

    pub fn scaled(&self, factor: f64) -> Self {
        Self { n: self.n, elements: self.elements.iter().map(|a| a * factor).collect() }
    }

    pub fn single(&self) -> Dense<f32> {
        Dense { n: self.n, elements: self.elements.iter().map(|a| *a as f32).collect() }
    }

    pub fn times(&self, x: &[f64]) -> Vec<f64> {
        let mut y = vec![f64::NAN; self.n];
        self.apply(x, &mut y);
        y
    }
}

/// diag(λ).
pub struct Diagonal(pub Vec<f64>);

impl LinearOperator<f64> for Diagonal {
    fn dimension(&self) -> usize {
        self.0.len()
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        for ((y, x), lambda) in y.iter_mut().zip(x).zip(&self.0) {
            *y = lambda * x;
        }
    }
}

/// A stream of numbers that are normal enough (sums of twelve uniform ones).
pub struct Normals(pub u64);

impl Normals {
    pub fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
    pub fn draw(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// An orthonormal basis of the span of `columns`, by Gram-Schmidt three times over: columns that
/// leave less than 10⁻¹⁰ of themselves are left out.
pub fn orthonormal(columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for column in columns {
        let mut w = column.clone();
        for _ in 0..3 {
            for q in &basis {
                let h = dot(q, &w);
                w.iter_mut().zip(q).for_each(|(w, q)| *w -= h * q);
            }
        }
        let norm = dot(&w, &w).sqrt();
        if norm > 1e-10 * dot(column, column).sqrt() {
            basis.push(w.iter().map(|w| w / norm).collect());
        }
    }
    basis
}

/// n² elements of a random orthogonal matrix, column by column.
pub fn orthogonal(n: usize, seed: u64) -> Vec<f64> {
    let mut normals = Normals(seed.wrapping_add(77));
    let columns: Vec<Vec<f64>> = (0..n).map(|_| (0..n).map(|_| normals.draw()).collect()).collect();
    orthonormal(&columns).concat()
}

/// Ten eigenvalues from 13 to 15, the others falling from 3.6: the Hessian of a small network.
pub fn outliers(n: usize) -> Vec<f64> {
    let bulk = |i: usize| 3.6 * (-(i as f64) / (n as f64 / 12.0)).exp();
    (0..10).map(|i| 13.0 + 2.0 * i as f64 / 9.0).chain((0..n - 10).map(bulk)).collect()
}

/// Runs `f` on a pool of so many threads.
pub fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}
