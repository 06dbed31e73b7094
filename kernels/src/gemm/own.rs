//! Products that the libraries are bad at: few rows or columns, or few elements at all.

use pulp::{Simd, WithSimd};

use super::{MatrixMut, MatrixRef};
use crate::panel::{self, Panel};
use crate::{Isa, Real};

/// Columns of the thin factor.
pub(super) const THIN: usize = 8;
/// Elements of the buffers on the stack, for each column of the thin factor.
const TILE: usize = 512;

/// Whether the larger factor has a contiguous dimension, which the panel kernels need.
pub(super) fn fits<T: Real>(a: &MatrixRef<'_, T>, b: &MatrixRef<'_, T>) -> bool {
    let (large, thin) = if b.columns <= a.rows { (a, b.columns) } else { (b, a.rows) };
    thin <= THIN && (as_rows(large) || as_columns(large))
}

/// Contiguous rows, which do not overlap.
fn as_rows<T>(a: &MatrixRef<'_, T>) -> bool {
    (a.column_stride == 1 || a.columns < 2) && (a.rows < 2 || a.row_stride >= a.columns)
}

/// Contiguous columns, which do not overlap.
fn as_columns<T>(a: &MatrixRef<'_, T>) -> bool {
    (a.row_stride == 1 || a.rows < 2) && (a.columns < 2 || a.column_stride >= a.rows)
}

/// The three loops of the textbook, summed in `T`.
pub(super) fn plain<T: Real>(
    alpha: T,
    a: MatrixRef<'_, T>,
    b: MatrixRef<'_, T>,
    beta: T,
    mut c: MatrixMut<'_, T>,
) {
    for i in 0..c.rows {
        for j in 0..c.columns {
            let mut sum = T::ZERO;
            for p in 0..a.columns {
                sum += a.at(i, p) * b.at(p, j);
            }
            let c = c.at_mut(i, j);
            *c = if beta == T::ZERO { alpha * sum } else { alpha * sum + beta * *c };
        }
    }
}

/// A product whose smaller outer dimension is at most [`THIN`].
pub(super) fn thin<T: Real>(
    isa: Isa,
    alpha: T,
    a: MatrixRef<'_, T>,
    b: MatrixRef<'_, T>,
    beta: T,
    c: MatrixMut<'_, T>,
) {
    if !fits(&a, &b) {
        return plain(alpha, a, b, beta, c);
    }
    let (a, b, c) = if b.columns <= a.rows {
        (a, b, c)
    } else {
        // Cᵀ = Bᵀ Aᵀ.
        (b.transposed(), a.transposed(), c.transposed())
    };
    isa.dispatch(Thin { alpha, a, b, beta, c });
}

struct Thin<'a, T> {
    alpha: T,
    a: MatrixRef<'a, T>,
    b: MatrixRef<'a, T>,
    beta: T,
    c: MatrixMut<'a, T>,
}

impl<T: Real> WithSimd for Thin<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if as_rows(&self.a) { self.inner(simd) } else { self.update(simd) }
    }
}

impl<T: Real> Thin<'_, T> {
    /// Rows of A are contiguous: C = Vᵀ W with the panels V = Aᵀ and W = B.
    #[inline(always)]
    fn inner<S: Simd>(self, simd: S) {
        let Self { alpha, a, b, beta, mut c } = self;
        let (m, k, n) = (a.rows, a.columns, b.columns);
        let v = Panel::new(a.data, k, m, a.row_stride);
        if as_columns(&b) {
            let w = Panel::new(b.data, k, n, b.column_stride);
            let mut h = [0.0; TILE];
            let rows = TILE / n;
            for start in (0..m).step_by(rows) {
                let range = start..m.min(start + rows);
                let h = &mut h[..range.len() * n];
                h.fill(0.0);
                panel::add_transpose_product(simd, v.column_range(range.clone()), w, h);
                write(alpha, h, range.len(), beta, &mut c, start);
            }
            return;
        }
        // Rows of B gathered into columns, a piece of the inner dimension after the other.
        let mut columns = [T::ZERO; TILE * THIN];
        let mut h = [0.0; TILE];
        let rows = TILE / n;
        for start in (0..m).step_by(rows) {
            let range = start..m.min(start + rows);
            let h = &mut h[..range.len() * n];
            h.fill(0.0);
            let v = v.column_range(range.clone());
            for first in (0..k).step_by(TILE) {
                let piece = first..k.min(first + TILE);
                for j in 0..n {
                    for (r, p) in piece.clone().enumerate() {
                        columns[r + j * TILE] = b.at(p, j);
                    }
                }
                let w = Panel::new(&columns, piece.len(), n, TILE);
                panel::add_transpose_product(simd, v.row_range(piece), w, h);
            }
            write(alpha, h, range.len(), beta, &mut c, start);
        }
    }

    /// Columns of A are contiguous: C is a sum of them.
    #[inline(always)]
    fn update<S: Simd>(self, simd: S) {
        let Self { alpha, a, b, beta, mut c } = self;
        let (m, k, n) = (a.rows, a.columns, b.columns);
        let v = Panel::new(a.data, m, k, a.column_stride);
        let mut sums = [0.0; TILE * THIN];
        let mut h = [0.0; TILE];
        let depth = TILE / n;
        // A multiple of every vector length.
        let rows = TILE * (THIN / n);
        for start in (0..m).step_by(rows) {
            let range = start..m.min(start + rows);
            let sums = &mut sums[..rows * n];
            sums.fill(0.0);
            let v = v.row_range(range.clone());
            for first in (0..k).step_by(depth) {
                let piece = first..k.min(first + depth);
                let h = &mut h[..piece.len() * n];
                for j in 0..n {
                    for (r, p) in piece.clone().enumerate() {
                        h[r + j * piece.len()] = b.at(p, j).to_f64();
                    }
                }
                panel::add_product(simd, sums, rows, v.column_range(piece), h);
            }
            write(alpha, sums, rows, beta, &mut c, start);
        }
    }
}

/// Rows of C from `start` on ← α sums + β C, where column j of the sums starts at `j * stride`.
#[inline(always)]
fn write<T: Real>(
    alpha: T,
    sums: &[f64],
    stride: usize,
    beta: T,
    c: &mut MatrixMut<'_, T>,
    start: usize,
) {
    let (alpha, beta) = (alpha.to_f64(), beta.to_f64());
    let rows = stride.min(c.rows - start);
    for j in 0..c.columns {
        for (r, &sum) in sums[j * stride..][..rows].iter().enumerate() {
            let c = c.at_mut(start + r, j);
            let old = if beta == 0.0 { 0.0 } else { beta * c.to_f64() };
            *c = T::from_f64(alpha * sum + old);
        }
    }
}
