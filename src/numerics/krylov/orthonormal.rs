//! QR of a tall panel by block Gram-Schmidt with as many passes as it needs, and without the
//! columns that depend on earlier ones.

use faer::Mat;

use crate::Real;

use super::tall;

/// Columns that are projected together on what is already orthonormal.
const BLOCK: usize = 8;
/// A projection that leaves at least this share of a norm leaves an orthogonal vector (Daniel,
/// Gragg, Kaufman and Stewart 1976); one that leaves less is repeated.
const KEPT: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// A column that still shrinks after so many projections is rounding noise.
const MAX_PASSES: usize = 6;

/// Y = Q R with orthonormal columns Q, one for each independent column of Y.
pub(super) struct Orthonormal<T> {
    /// Q, n × r.
    pub q: Vec<T>,
    /// R, r × k: its independent columns are upper triangular with positive diagonal.
    pub r: Mat<f64>,
    /// The r columns of Y that are not combinations of those before them, ascending.
    pub independent: Vec<usize>,
}

/// Orthonormalises the columns of `y` (n rows) in place.
///
/// A column depends on those before it if what they leave of it is at most ε of the largest
/// column. ‖QᵀQ − I‖ = O(ε) whatever the condition of Y: a block is projected on all earlier
/// columns, then each of its columns on the others of the block, and each projection is repeated
/// until it no longer shrinks. 4nk² flops, or a little more.
pub(super) fn orthonormalize<T: Real>(mut y: Vec<T>, n: usize) -> Orthonormal<T> {
    let k = y.len().checked_div(n).unwrap_or(0);
    let mut coefficients = Mat::<f64>::zeros(k, k);
    let mut independent = Vec::with_capacity(k);
    let norms: Vec<f64> = y.chunks_exact(n.max(1)).map(tall::norm).collect();
    let largest = norms.iter().fold(0.0, |a: f64, b| if *b > a { *b } else { a });
    let tolerance = T::EPSILON.to_f64() * largest;

    for start in (0..k).step_by(BLOCK) {
        let end = k.min(start + BLOCK);
        let before = independent.len();
        project_block(&mut y, n, before, start, end, tolerance, &mut coefficients);
        for column in start..end {
            let rank = independent.len();
            let (done, rest) = y.split_at_mut(column * n);
            let w = &mut rest[..n];
            let mut size = tall::norm(w);
            // First against the block alone; where that takes much away, against everything.
            let mut first = before;
            let mut passes = 0;
            while first < rank && size > tolerance && passes < MAX_PASSES {
                let v = &done[first * n..rank * n];
                let h = tall::transpose_product(v, w, n);
                tall::subtract_product(w, v, &h, n);
                for (i, h) in h.iter().enumerate() {
                    coefficients[(first + i, column)] += h;
                }
                let left = tall::norm(w);
                let enough = left >= KEPT * size;
                size = left;
                passes += 1;
                if enough {
                    break;
                }
                first = 0;
            }
            if size <= tolerance || passes == MAX_PASSES {
                continue;
            }
            coefficients[(rank, column)] = size;
            tall::scale(w, 1.0 / size);
            if rank < column {
                done[rank * n..(rank + 1) * n].copy_from_slice(w);
            }
            independent.push(column);
        }
    }
    let rank = independent.len();
    y.truncate(rank * n);
    let r = Mat::from_fn(rank, k, |i, j| coefficients[(i, j)]);
    Orthonormal { q: y, r, independent }
}

/// Takes the first `before` columns out of the columns `start..end`.
fn project_block<T: Real>(
    y: &mut [T],
    n: usize,
    before: usize,
    start: usize,
    end: usize,
    tolerance: f64,
    coefficients: &mut Mat<f64>,
) {
    if before == 0 {
        return;
    }
    let (done, rest) = y.split_at_mut(start * n);
    let (v, w) = (&done[..before * n], &mut rest[..(end - start) * n]);
    let mut sizes: Vec<f64> = w.chunks_exact(n).map(tall::norm).collect();
    for _ in 0..MAX_PASSES {
        let h = tall::transpose_product(v, w, n);
        tall::subtract_product(w, v, &h, n);
        for (j, h) in h.chunks_exact(before).enumerate() {
            for (i, h) in h.iter().enumerate() {
                coefficients[(i, start + j)] += h;
            }
        }
        let left: Vec<f64> = w.chunks_exact(n).map(tall::norm).collect();
        let enough = |(new, old): (&f64, &f64)| *new <= tolerance || *new >= KEPT * old;
        let stable = left.iter().zip(&sizes).all(enough);
        sizes = left;
        if stable {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::probes::{Probes, Purpose, fill};
    use super::*;

    fn random(n: usize, k: usize) -> Vec<f64> {
        let mut y = vec![0.0; n * k];
        for (j, column) in y.chunks_exact_mut(n).enumerate() {
            fill(Probes::Sphere, 9, Purpose::Trace, j, column);
        }
        y
    }

    fn check<T: Real>(y: &[T], n: usize, rank: usize) {
        let k = y.len() / n;
        let qr = orthonormalize(y.to_vec(), n);
        assert_eq!(qr.independent.len(), rank);
        let epsilon = T::EPSILON.to_f64();
        // Rounding of storage, and of the sums over a shard (in sequence at worst).
        let bound = 8.0 * epsilon + (n.min(2048) as f64).sqrt() * f64::EPSILON;
        let gram = tall::transpose_product(&qr.q, &qr.q, n);
        for i in 0..rank {
            for j in 0..rank {
                let want = if i == j { 1.0 } else { 0.0 };
                let defect = (gram[i + j * rank] - want).abs();
                assert!(defect <= bound, "QᵀQ − I at ({i}, {j}): {defect:e}");
            }
        }
        let largest = y.chunks_exact(n).map(tall::norm).fold(0.0, f64::max);
        for (j, column) in y.chunks_exact(n).enumerate() {
            for row in 0..n {
                let got: f64 = (0..rank).map(|i| qr.q[row + i * n].to_f64() * qr.r[(i, j)]).sum();
                let defect = (got - column[row].to_f64()).abs();
                assert!(defect <= 4.0 * k as f64 * epsilon * largest, "QR − Y: {defect:e}");
            }
        }
        for (l, &j) in qr.independent.iter().enumerate() {
            assert!(qr.r[(l, j)] > 0.0);
            assert!((l + 1..rank).all(|i| qr.r[(i, j)] == 0.0));
        }
    }

    #[test]
    fn well_conditioned_and_single_precision() {
        for (n, k) in [(1, 1), (2, 2), (30, 7), (30, 8), (30, 9), (50, 50), (3000, 20)] {
            let y = random(n, k);
            check(&y, n, k);
            let single: Vec<f32> = y.iter().map(|x| *x as f32).collect();
            check(&single, n, k);
        }
    }

    #[test]
    fn columns_of_quickly_falling_size_and_almost_parallel_ones() {
        let (n, k) = (60, 24);
        let mut y = random(n, k);
        // Column j = x₀ + 10^(−j/2) xⱼ: condition 10¹², yet every column is independent.
        let first = y[..n].to_vec();
        for j in 1..k {
            for row in 0..n {
                y[row + j * n] = first[row] + 10_f64.powf(-(j as f64) / 2.0) * y[row + j * n];
            }
        }
        check(&y, n, k);
    }

    #[test]
    fn dependent_and_zero_columns_are_left_out() {
        let (n, k) = (40, 20);
        let mut y = random(n, k);
        y[3 * n..4 * n].fill(0.0);
        for (to, from) in [(5, 1), (12, 5), (19, 0)] {
            let source = y[from * n..(from + 1) * n].to_vec();
            for (y, x) in y[to * n..(to + 1) * n].iter_mut().zip(source) {
                *y = -x;
            }
        }
        check(&y, n, k - 4);
        check(&vec![0.0; 3 * n], n, 0);
        // More columns than rows.
        check(&random(5, 9), 5, 5);
    }
}
