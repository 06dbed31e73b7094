//! Products of tall dense matrices in fixed panels of rows: the same bits for any number of threads.

use faer::{Mat, MatRef};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::panel::{self, Panel};

use crate::{Isa, parallel};

/// Rows of a panel: of some hundred columns two panels stay in the second cache.
const ROWS: usize = 512;

/// The columns of `a` one after the other, without padding.
pub(super) fn packed(a: MatRef<'_, f64>) -> Vec<f64> {
    (0..a.ncols()).flat_map(|j| a.col(j).iter().copied()).collect()
}

/// A matrix from its columns.
pub(super) fn unpacked(values: &[f64], rows: usize) -> Mat<f64> {
    MatRef::from_column_major_slice(values, rows, values.len() / rows.max(1)).to_owned()
}

/// AᵀB of column-major A (n × p) and B (n × q): p × q, column-major. Panels of rows meet in a fixed
/// tree. Where B is A, in the same place, half the flops do.
pub(super) fn gram(n: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
    let isa = Isa::current();
    let (p, q) = (a.len() / n, b.len() / n);
    let of_panel = |i: usize| {
        let first = i * ROWS;
        let rows = ROWS.min(n - first);
        let mut c = vec![0.0; p * q];
        if p > 0 && std::ptr::eq(a, b) {
            panel::gram(isa, Panel::new(&a[first..], rows, p, n), &mut c);
        } else if p * q > 0 {
            let a = MatrixRef::new(&a[first..], rows, p, 1, n).transposed();
            let b = MatrixRef::new(&b[first..], rows, q, 1, n);
            gemm(isa, 1.0, a, b, 0.0, MatrixMut::column_major(&mut c, p, q));
        }
        c
    };
    let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    parallel::reduce(n.div_ceil(ROWS), of_panel, add).unwrap_or_default()
}

/// C ← A B + β C of column-major A (n × p), B (p × q), C (n × q).
pub(super) fn tall_times(n: usize, p: usize, a: &[f64], b: &[f64], beta: f64, c: &mut [f64]) {
    debug_assert_eq!(a.len(), n * p);
    tall_sum(n, &[(a, b)], beta, c);
}

/// C ← Σ AᵢBᵢ + β C of column-major Aᵢ (n × pᵢ), Bᵢ (pᵢ × q), C (n × q): a panel of C takes all products
/// while it is in the cache.
pub(super) fn tall_sum(n: usize, terms: &[(&[f64], &[f64])], beta: f64, c: &mut [f64]) {
    let isa = Isa::current();
    let terms: Vec<_> = terms.iter().filter(|(a, _)| !a.is_empty()).collect();
    if terms.is_empty() || c.is_empty() {
        match beta == 0.0 {
            true => c.fill(0.0),
            false => super::entries::scale(beta, c),
        }
        return;
    }
    let q = c.len() / n;
    let mut panels = Vec::with_capacity(n.div_ceil(ROWS));
    let mut rest = MatrixMut::column_major(c, n, q);
    while rest.rows() > 0 {
        let rows = ROWS.min(rest.rows());
        let (panel, below) = rest.split_rows(rows);
        panels.push(panel);
        rest = below;
    }
    parallel::for_each_piece(&mut panels, 1, |i, panel| {
        let Some(c) = panel.first_mut() else { return };
        for (k, (a, b)) in terms.iter().enumerate() {
            let p = a.len() / n;
            let a = MatrixRef::new(&a[i * ROWS..], c.rows(), p, 1, n);
            let beta = if k == 0 { beta } else { 1.0 };
            gemm(isa, 1.0, a, MatrixRef::column_major(b, p, q), beta, c.reborrow());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn numbers(seed: u64, n: usize) -> Vec<f64> {
        let mut values = vec![0.0; n];
        Stream::new(seed, "numbers").normals(0, &mut values);
        values
    }

    /// Σ over the inner index and the sum of the terms' sizes, of element (i, j).
    fn element(inner: usize, a: impl Fn(usize) -> f64, b: impl Fn(usize) -> f64) -> (f64, f64) {
        (0..inner).fold((0.0, 0.0), |(sum, size), k| {
            let term = a(k) * b(k);
            (sum + term, size + term.abs())
        })
    }

    #[test]
    fn sums_of_products_meet_panel_by_panel() {
        for n in [1, ROWS - 1, ROWS, 2 * ROWS + 3] {
            let (p, q) = (5, 3);
            let (a, b) = (numbers(1, n * p), numbers(2, p * q));
            let (d, e) = (numbers(3, n), numbers(4, q));
            let old = numbers(5, n * q);
            for beta in [0.0, 1.0, -0.5] {
                let mut c = if beta == 0.0 { vec![f64::NAN; n * q] } else { old.clone() };
                tall_sum(n, &[(&a, &b), (&[], &[]), (&d, &e)], beta, &mut c);
                for i in 0..n {
                    for j in 0..q {
                        let (sum, size) = element(p, |k| a[i + k * n], |k| b[k + j * p]);
                        let other = d[i] * e[j];
                        let kept = if beta == 0.0 { 0.0 } else { beta * old[i + j * n] };
                        let want = sum + other + kept;
                        let bound = 10.0 * f64::EPSILON * (size + other.abs() + kept.abs());
                        let got = c[i + j * n];
                        assert!(
                            (got - want).abs() <= bound,
                            "{n} {beta}: {got} {want} at {i}, {j}"
                        );
                    }
                }
            }
            let mut c = vec![f64::NAN; n];
            tall_sum(n, &[], 0.0, &mut c);
            assert!(c.iter().all(|c| *c == 0.0));
        }
    }

    #[test]
    fn gram_matrices_of_one_block_are_those_of_two() {
        for n in [1, ROWS, 3 * ROWS - 1] {
            let p = 7;
            let a = numbers(1, n * p);
            let same = a.clone();
            let (one, two) = (gram(n, &a, &a), gram(n, &a, &same));
            for i in 0..p {
                for j in 0..p {
                    let (want, size) = element(n, |k| a[k + i * n], |k| a[k + j * n]);
                    let bound = (n as f64) * f64::EPSILON * size;
                    for got in [one[i + j * p], two[i + j * p]] {
                        assert!((got - want).abs() <= bound, "{n}: {got} {want}");
                    }
                    assert_eq!(one[i + j * p], one[j + i * p]);
                }
            }
        }
        assert!(gram(4, &[], &[]).is_empty());
    }
}
