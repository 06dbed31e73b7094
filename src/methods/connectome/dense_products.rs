//! Products of tall dense matrices in fixed panels of rows: the same bits for any number of threads.

use faer::{Mat, MatRef};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use crate::{Isa, parallel};

/// Rows of a panel.
const ROWS: usize = 1024;

/// The columns of `a` one after the other, without padding.
pub(super) fn packed(a: MatRef<'_, f64>) -> Vec<f64> {
    (0..a.ncols()).flat_map(|j| a.col(j).iter().copied()).collect()
}

/// A matrix from its columns.
pub(super) fn unpacked(values: &[f64], rows: usize) -> Mat<f64> {
    MatRef::from_column_major_slice(values, rows, values.len() / rows.max(1)).to_owned()
}

/// AᵀB of column-major A (n × p) and B (n × q): p × q, column-major. Panels of rows meet in a fixed
/// tree.
pub(super) fn gram(n: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
    let isa = Isa::current();
    let (p, q) = (a.len() / n, b.len() / n);
    let panel = |i: usize| {
        let first = i * ROWS;
        let rows = ROWS.min(n - first);
        let mut c = vec![0.0; p * q];
        if p * q > 0 {
            let a = MatrixRef::new(&a[first..], rows, p, 1, n).transposed();
            let b = MatrixRef::new(&b[first..], rows, q, 1, n);
            gemm(isa, 1.0, a, b, 0.0, MatrixMut::column_major(&mut c, p, q));
        }
        c
    };
    let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    parallel::reduce(n.div_ceil(ROWS), panel, add).unwrap_or_default()
}

/// C ← A B + β C of column-major A (n × p), B (p × q), C (n × q).
pub(super) fn tall_times(n: usize, p: usize, a: &[f64], b: &[f64], beta: f64, c: &mut [f64]) {
    let isa = Isa::current();
    if p == 0 || c.is_empty() {
        super::entries::scale(beta, c);
        return;
    }
    let q = b.len() / p;
    let mut panels: Vec<Vec<&mut [f64]>> = (0..n.div_ceil(ROWS)).map(|_| Vec::new()).collect();
    for column in c.chunks_exact_mut(n) {
        for (panel, piece) in panels.iter_mut().zip(column.chunks_mut(ROWS)) {
            panel.push(piece);
        }
    }
    parallel::for_each_piece(&mut panels, 1, |i, panel| {
        let Some(columns) = panel.first_mut() else { return };
        let first = i * ROWS;
        let rows = columns.first().map_or(0, |column| column.len());
        let mut product = vec![0.0; rows * q];
        let a = MatrixRef::new(&a[first..], rows, p, 1, n);
        let b = MatrixRef::column_major(b, p, q);
        gemm(isa, 1.0, a, b, 0.0, MatrixMut::column_major(&mut product, rows, q));
        for (column, product) in columns.iter_mut().zip(product.chunks_exact(rows)) {
            for (c, product) in column.iter_mut().zip(product) {
                *c = product + if beta == 0.0 { 0.0 } else { beta * *c };
            }
        }
    });
}

/// A B.
pub(super) fn times(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut c = vec![0.0; a.nrows() * b.ncols()];
    tall_times(a.nrows(), a.ncols(), &packed(a), &packed(b), 0.0, &mut c);
    if c.is_empty() { Mat::zeros(a.nrows(), b.ncols()) } else { unpacked(&c, a.nrows()) }
}

/// Aᵀ B.
pub(super) fn transposed_times(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let c = gram(a.nrows(), &packed(a), &packed(b));
    if c.is_empty() { Mat::zeros(a.ncols(), b.ncols()) } else { unpacked(&c, a.ncols()) }
}

/// A Bᵀ into column-major `out`.
pub(super) fn outer(a: MatRef<'_, f64>, b: MatRef<'_, f64>, out: &mut [f64]) {
    let isa = Isa::current();
    let (n, r) = a.shape();
    let (left, right) = (packed(a), packed(b));
    const COLUMNS: usize = 128;
    parallel::for_each_piece(out, n * COLUMNS, |i, out| {
        let columns = out.len() / n;
        let b = MatrixRef::new(&right[i * COLUMNS..], columns, r, 1, b.nrows()).transposed();
        let a = MatrixRef::column_major(&left, n, r);
        gemm(isa, 1.0, a, b, 0.0, MatrixMut::column_major(out, n, columns));
    });
}
