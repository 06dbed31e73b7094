//! Small dense factorisations, on one thread: the same bits always.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::qr::no_pivoting::factor::{
    qr_in_place, qr_in_place_scratch, recommended_block_size,
};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Mat, MatRef, Par};

use crate::{Error, Result};

/// Lower Cholesky factor of a small symmetric positive definite matrix, row-major.
#[derive(Clone, Debug)]
pub(super) struct Cholesky {
    n: usize,
    factor: Vec<f64>,
}

impl Cholesky {
    /// A = L Lᵀ of the row-major `a`, of which the lower triangle is read; `None` unless it is
    /// positive definite in `f64`. n³/3 flops.
    pub fn new(mut a: Vec<f64>, n: usize) -> Option<Self> {
        for j in 0..n {
            for i in j..n {
                let (x, y) = (&a[i * n..i * n + j], &a[j * n..j * n + j]);
                let rest = a[i * n + j] - x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
                if i == j {
                    if !(rest > 0.0 && rest.is_finite()) {
                        return None;
                    }
                    a[j * n + j] = rest.sqrt();
                } else {
                    a[i * n + j] = rest / a[j * n + j];
                }
            }
        }
        Some(Self { n, factor: a })
    }

    /// x ← A⁻¹ x.
    pub fn solve(&self, x: &mut [f64]) {
        let (n, l) = (self.n, &self.factor);
        for i in 0..n {
            let sum: f64 = (0..i).map(|j| l[i * n + j] * x[j]).sum();
            x[i] = (x[i] - sum) / l[i * n + i];
        }
        for i in (0..n).rev() {
            let sum: f64 = (i + 1..n).map(|j| l[j * n + i] * x[j]).sum();
            x[i] = (x[i] - sum) / l[i * n + i];
        }
    }
}

/// R (upper triangular, min(m, n) × n) of A = Q R.
pub(super) fn qr_r(a: MatRef<'_, f64>) -> Mat<f64> {
    let (m, n) = a.shape();
    let size = m.min(n);
    let mut qr = a.to_owned();
    if size > 0 {
        let block = recommended_block_size::<f64>(m, n);
        let mut householder = Mat::<f64>::zeros(block, size);
        let scratch = qr_in_place_scratch::<f64>(m, n, block, Par::Seq, faer::Spec::default());
        qr_in_place(
            qr.as_mut(),
            householder.as_mut(),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            faer::Spec::default(),
        );
    }
    Mat::from_fn(size, n, |i, j| if i <= j { qr[(i, j)] } else { 0.0 })
}

/// A = U diag(s) Vᵀ, thin, s descending.
pub(super) struct Svd {
    pub u: Mat<f64>,
    pub s: Vec<f64>,
    pub v: Mat<f64>,
}

/// The thin singular value decomposition.
pub(super) fn thin_svd(a: MatRef<'_, f64>) -> Result<Svd> {
    let (m, n) = a.shape();
    let k = m.min(n);
    let mut u = Mat::<f64>::zeros(m, k);
    let mut v = Mat::<f64>::zeros(n, k);
    let mut s = Diag::<f64>::zeros(k);
    let thin = ComputeSvdVectors::Thin;
    let scratch = svd_scratch::<f64>(m, n, thin, thin, Par::Seq, faer::Spec::default());
    svd(
        a,
        s.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        faer::Spec::default(),
    )
    .map_err(|_| {
        let got = format!("none for {m} × {n}");
        Error::range("singular value decomposition", "convergence", got)
    })?;
    let s = s.column_vector().iter().copied().collect();
    Ok(Svd { u, s, v })
}

/// s_max/s_min of A; ∞ where the smallest is 0.
pub(super) fn condition_number(a: MatRef<'_, f64>) -> Result<f64> {
    let s = thin_svd(a)?.s;
    match (s.first(), s.last()) {
        (Some(high), Some(low)) if *low > 0.0 => Ok(high / low),
        _ => Ok(f64::INFINITY),
    }
}

/// Numerical rank: singular values above max(m, n)·ε·s_max.
pub(super) fn rank(a: MatRef<'_, f64>) -> Result<usize> {
    let s = thin_svd(a)?.s;
    let largest = s.first().copied().unwrap_or(0.0);
    let bound = a.nrows().max(a.ncols()) as f64 * f64::EPSILON * largest;
    Ok(s.iter().filter(|s| **s > bound).count())
}

/// The order in which Householder's QR with column pivoting takes the columns of A: at each step the
/// one with the largest remaining norm (the first of equal ones).
///
/// Source: Golub and Van Loan, Matrix Computations, algorithm 5.4.1.
pub(super) fn pivot_order(a: MatRef<'_, f64>) -> Vec<usize> {
    let (m, n) = a.shape();
    let mut columns: Vec<Vec<f64>> = (0..n).map(|j| a.col(j).iter().copied().collect()).collect();
    let mut order: Vec<usize> = (0..n).collect();
    for k in 0..m.min(n) {
        let rest = |column: &[f64]| column[k..].iter().map(|x| x * x).sum::<f64>();
        let mut best = k;
        for j in k + 1..n {
            if rest(&columns[j]) > rest(&columns[best]) {
                best = j;
            }
        }
        columns.swap(k, best);
        order.swap(k, best);
        let norm = rest(&columns[k]).sqrt();
        if norm == 0.0 {
            break;
        }
        let mut v: Vec<f64> = columns[k][k..].to_vec();
        v[0] += if v[0] < 0.0 { -norm } else { norm };
        let square: f64 = v.iter().map(|x| x * x).sum();
        for column in &mut columns[k..] {
            let product: f64 = v.iter().zip(&column[k..]).map(|(v, x)| v * x).sum();
            let factor = 2.0 * product / square;
            column[k..].iter_mut().zip(&v).for_each(|(x, v)| *x -= factor * v);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cholesky_solves() {
        let a = vec![4.0, 2.0, 2.0, 5.0];
        let mut x = [8.0, 9.0];
        Cholesky::new(a, 2).unwrap().solve(&mut x);
        assert!((x[0] - 1.375).abs() < 1e-15 && (x[1] - 1.25).abs() < 1e-15, "{x:?}");
        assert!(Cholesky::new(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
    }

    #[test]
    fn factors_give_the_matrix_back() {
        let a =
            Mat::from_fn(7, 4, |i, j| ((3 * i + 5 * j) % 7) as f64 - 2.0 + (i == j) as u8 as f64);
        let r = qr_r(a.as_ref());
        let Svd { u, s, v } = thin_svd(a.as_ref()).unwrap();
        for i in 0..4 {
            for j in 0..4 {
                let gram: f64 = (0..7).map(|k| a[(k, i)] * a[(k, j)]).sum();
                let from_r: f64 = (0..4).map(|k| r[(k, i)] * r[(k, j)]).sum();
                assert!((gram - from_r).abs() < 1e-12 * (1.0 + gram.abs()));
            }
        }
        for i in 0..7 {
            for j in 0..4 {
                let sum: f64 = (0..4).map(|k| u[(i, k)] * s[k] * v[(j, k)]).sum();
                assert!((sum - a[(i, j)]).abs() < 1e-12);
            }
        }
        // The largest column first.
        let b = Mat::from_fn(3, 3, |i, j| if i == j { [1.0, 3.0, 2.0][i] } else { 0.0 });
        assert_eq!(pivot_order(b.as_ref()), [1, 2, 0]);
        assert!((condition_number(b.as_ref()).unwrap() - 3.0).abs() < 1e-14);
        assert_eq!(rank(Mat::<f64>::from_fn(3, 3, |_, _| 1.0).as_ref()).unwrap(), 1);
    }
}
