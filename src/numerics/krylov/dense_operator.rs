//! A matrix in memory as an operator.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::LinearOperator;
use crate::{Error, Real, Result};

/// Rows of one task of a product: 64 rows of a wide matrix are more than a cache.
const ROWS: usize = 256;

/// Tile edge of the symmetry check: two tiles stay in the first cache.
const TILE: usize = 32;

/// y = A x for a symmetric matrix in memory, any strides.
///
/// 2n² flops and n² elements read a product, bandwidth-bound; a block of vectors shares the read.
#[derive(Clone, Copy, Debug)]
pub struct DenseOperator<'a, T> {
    matrix: MatRef<'a, T>,
}

impl<'a, T: Real> DenseOperator<'a, T> {
    /// A view of `matrix`, checked once: O(n²).
    ///
    /// # Errors
    /// [`Error::Shape`] unless square, [`Error::Empty`] for 0 × 0, [`Error::NonFinite`], and
    /// [`Error::NotSymmetric`] if max |Aᵢⱼ − Aⱼᵢ| exceeds 8√n·ε·max |Aᵢⱼ|, more than what two
    /// orders of summation leave.
    pub fn new(matrix: MatRef<'a, T>) -> Result<Self> {
        let n = matrix.nrows();
        if n != matrix.ncols() {
            return Err(Error::shape("dense operator", (n, n), (n, matrix.ncols())));
        }
        if n == 0 {
            return Err(Error::empty("dense operator"));
        }
        let (mut largest, mut defect) = (0.0_f64, 0.0_f64);
        for columns in (0..n).step_by(TILE) {
            for rows in (columns..n).step_by(TILE) {
                for j in columns..n.min(columns + TILE) {
                    for i in rows.max(j)..n.min(rows + TILE) {
                        let (a, b) = (matrix[(i, j)].to_f64(), matrix[(j, i)].to_f64());
                        for (value, index) in [(a, i + j * n), (b, j + i * n)] {
                            if !value.is_finite() {
                                let what = "dense operator (column-major)".to_owned();
                                return Err(Error::NonFinite { what, index, value });
                            }
                        }
                        largest = largest.max(a.abs()).max(b.abs());
                        // Halved, so that the difference of large numbers stays finite.
                        defect = defect.max((0.5 * a - 0.5 * b).abs());
                    }
                }
            }
        }
        let relative = if largest > 0.0 { 2.0 * (defect / largest) } else { 0.0 };
        if relative > 8.0 * (n as f64).sqrt() * T::EPSILON.to_f64() {
            return Err(Error::NotSymmetric { defect: relative });
        }
        Ok(Self { matrix })
    }
}

/// Y ← A X, rows in shards of fixed size.
fn multiply<T: Real>(a: MatRef<'_, T>, x: MatRef<'_, T>, mut y: MatMut<'_, T>) {
    let rows = a.nrows();
    if rows <= ROWS {
        matmul(&mut y, Accum::Replace, a, x, T::ONE, Par::Seq);
        return;
    }
    let middle = rows.div_ceil(ROWS).div_ceil(2) * ROWS;
    let (a_top, a_bottom) = a.split_at_row(middle);
    let (y_top, y_bottom) = y.split_at_row_mut(middle);
    rayon::join(|| multiply(a_top, x, y_top), || multiply(a_bottom, x, y_bottom));
}

impl<T: Real> LinearOperator<T> for DenseOperator<'_, T> {
    fn dimension(&self) -> usize {
        self.matrix.nrows()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }

    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let n = self.dimension();
        let k = x.len() / n;
        let x = MatRef::from_column_major_slice(&x[..n * k], n, k);
        multiply(self.matrix, x, MatMut::from_column_major_slice_mut(&mut y[..n * k], n, k));
    }

    fn bytes_per_product(&self) -> Option<usize> {
        Some(self.dimension().saturating_mul(self.dimension()).saturating_mul(size_of::<T>()))
    }
}
