//! Orthonormal modes of the Laplacian of one side, dense or as cosines.

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::cosine_modes::CosineModes;
use super::entries;
use super::smoothing_operator::SmoothingOperator;
use crate::krylov::{Lanczos, SparseOperator, symmetric_eigen};
use crate::{Error, Isa, Result, parallel};

/// Voxels a side up to which all modes are found.
pub(super) const FEW: usize = 1000;
/// Columns of one task in products of matrices.
const PANEL: usize = 128;

/// Orthonormal modes of one side with their eigenvalues.
pub(super) enum Basis {
    /// n × k, column-major.
    Dense {
        n: usize,
        vectors: Vec<f64>,
    },
    Cosine(CosineModes),
}

/// The k modes of L with the largest eigenvalues (which are ≤ 0), from 0 downwards.
pub(super) fn modes(l: &SmoothingOperator, k: usize, side: &str) -> Result<(Vec<f64>, Basis)> {
    let n = l.voxels();
    if n <= FEW || 3 * k >= n {
        let dense = l.matrix().to_dense();
        let matrix = faer::Mat::from_fn(n, n, |i, j| dense[(i, j)]);
        let eigen = symmetric_eigen(matrix.as_ref())
            .ok_or_else(|| Error::range(format!("eigenvalues of {side}"), "convergence", "none"))?;
        let order: Vec<usize> = (0..n).rev().take(k).collect();
        let values = order.iter().map(|&i| eigen.values[i]).collect();
        let vectors = order.iter().flat_map(|&i| eigen.vectors.col(i).iter().copied()).collect();
        return Ok((values, Basis::Dense { n, vectors }));
    }
    if let Some(laplacian) = l.laplacian() {
        let found = laplacian.lowest_modes(k)?;
        let vectors = (0..k).flat_map(|j| found.vectors.col(j).iter().copied().collect::<Vec<_>>());
        let vectors = vectors.collect();
        return Ok((found.values, Basis::Dense { n, vectors }));
    }
    // Here they only steer and need not be exact: orthonormal, with their Rayleigh quotients.
    let operator = SparseOperator::<f64>::new(l.matrix())?;
    let pairs = Lanczos::new(&operator).largest(k).tolerance(1e-4).verify(false).run()?;
    let vectors = (0..pairs.values.len())
        .flat_map(|j| pairs.vectors.col(j).iter().copied().collect::<Vec<_>>());
    Ok((pairs.values.clone(), Basis::Dense { n, vectors: vectors.collect() }))
}

/// C ← A B + β C, columns of B (rows × n) and C (m × n) one after the other, in fixed panels.
fn product(c: &mut [f64], m: usize, beta: f64, a: MatrixRef<'_, f64>, b: &[f64], rows: usize) {
    let isa = Isa::current();
    parallel::for_each_piece(c, m * PANEL, |i, c| {
        let columns = c.len() / m;
        let b = MatrixRef::column_major(&b[i * PANEL * rows..], rows, columns);
        gemm(isa, 1.0, a, b, beta, MatrixMut::column_major(c, m, columns));
    });
}

/// The transpose of a column-major matrix of so many rows, in blocks that fit the first cache.
pub(super) fn transposed(x: &[f64], rows: usize) -> Vec<f64> {
    const BLOCK: usize = 32;
    let columns = x.len() / rows;
    let mut out = vec![0.0; x.len()];
    parallel::for_each_piece(&mut out, BLOCK * columns, |i, out| {
        let first = i * BLOCK;
        let height = out.len() / columns;
        for left in (0..columns).step_by(BLOCK) {
            for r in 0..height {
                for c in left..columns.min(left + BLOCK) {
                    out[r * columns + c] = x[first + r + c * rows];
                }
            }
        }
    });
    out
}

impl Basis {
    pub fn copy(&self) -> Self {
        match self {
            Basis::Dense { n, vectors } => Basis::Dense { n: *n, vectors: vectors.clone() },
            Basis::Cosine(modes) => Basis::Cosine(modes.clone()),
        }
    }

    pub fn voxels(&self) -> usize {
        match self {
            Basis::Dense { n, .. } => *n,
            Basis::Cosine(modes) => modes.len(),
        }
    }

    pub fn modes(&self) -> usize {
        match self {
            Basis::Dense { n, vectors } => vectors.len() / n,
            Basis::Cosine(modes) => modes.len(),
        }
    }

    /// Qᵀ X for columns of voxels, one after the other.
    pub fn analyse(&self, x: &[f64]) -> Vec<f64> {
        match self {
            Basis::Dense { n, vectors } => {
                let k = vectors.len() / n;
                let mut out = vec![0.0; x.len() / n * k];
                let q = MatrixRef::column_major(vectors, *n, k).transposed();
                product(&mut out, k, 0.0, q, x, *n);
                out
            }
            Basis::Cosine(modes) => {
                let mut out = x.to_vec();
                // The only error is a length that is no multiple.
                let _ = modes.forward_rows(&mut out);
                out
            }
        }
    }

    /// out ← Q H + β out for columns of modes, one after the other; `h` is overwritten.
    pub fn synthesise(&self, h: &mut [f64], beta: f64, out: &mut [f64]) {
        match self {
            Basis::Dense { n, vectors } => {
                let k = vectors.len() / n;
                let q = MatrixRef::column_major(vectors, *n, k);
                product(out, *n, beta, q, h, k);
            }
            Basis::Cosine(modes) => {
                let _ = modes.inverse_rows(h);
                entries::axpby(1.0, h, beta, out);
            }
        }
    }
}

/// Dense modes rounded to single precision, for residuals that need no more than to be steered: the
/// products take half the time.
///
/// Coefficients are off by some 10⁻⁷ of the largest, which an inverse that is approximate anyhow does
/// not notice; residuals and iterates stay in double precision.
pub(super) struct SingleModes {
    n: usize,
    vectors: Vec<f32>,
}

impl SingleModes {
    /// Of dense modes of many voxels; others are as fast, or exact, as they are.
    pub fn of(basis: &Basis) -> Option<Self> {
        match basis {
            #[allow(clippy::cast_possible_truncation)] // Rounded.
            Basis::Dense { n, vectors } if *n > FEW => {
                Some(Self { n: *n, vectors: vectors.iter().map(|&v| v as f32).collect() })
            }
            _ => None,
        }
    }

    /// Qᵀ X for columns of voxels, one after the other; `scale` makes elements of X numbers near 1.
    pub fn analyse(&self, x: &[f64], scale: f64) -> Vec<f64> {
        let isa = Isa::current();
        let (n, k) = (self.n, self.vectors.len() / self.n);
        let q = MatrixRef::column_major(&self.vectors, n, k).transposed();
        let mut out = vec![0.0; x.len() / n * k];
        parallel::for_each_piece(&mut out, k * PANEL, |i, out| {
            let columns = out.len() / k;
            let panel = rounded(&x[i * PANEL * n..][..columns * n], scale);
            let mut product = vec![0.0; k * columns];
            let b = MatrixRef::column_major(&panel, n, columns);
            gemm(isa, 1.0, q, b, 0.0, MatrixMut::column_major(&mut product, k, columns));
            out.iter_mut().zip(product).for_each(|(o, p)| *o = f64::from(p) / scale);
        });
        out
    }

    /// out ← out + Q H for columns of modes; `scale` as above.
    pub fn synthesise(&self, h: &[f64], scale: f64, out: &mut [f64]) {
        let isa = Isa::current();
        let (n, k) = (self.n, self.vectors.len() / self.n);
        let q = MatrixRef::column_major(&self.vectors, n, k);
        parallel::for_each_piece(out, n * PANEL, |i, out| {
            let columns = out.len() / n;
            let panel = rounded(&h[i * PANEL * k..][..columns * k], scale);
            let mut product = vec![0.0; n * columns];
            let b = MatrixRef::column_major(&panel, k, columns);
            gemm(isa, 1.0, q, b, 0.0, MatrixMut::column_major(&mut product, n, columns));
            out.iter_mut().zip(product).for_each(|(o, p)| *o += f64::from(p) / scale);
        });
    }
}

#[allow(clippy::cast_possible_truncation)] // Rounded.
fn rounded(x: &[f64], scale: f64) -> Vec<f32> {
    x.iter().map(|&x| (x * scale) as f32).collect()
}

/// 1 over the largest element, which makes it 1; 1 for zeros.
pub(super) fn scale_of(x: &[f64]) -> f64 {
    let largest = entries::largest(x);
    let scale = largest.recip();
    if largest > 0.0 && scale.is_finite() { scale } else { 1.0 }
}
