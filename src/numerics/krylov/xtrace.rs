//! XTrace: every probe serves the basis of all others and is the residual probe of that basis.
//!
//! Source: E. N. Epperly, J. A. Tropp and R. J. Webber, XTrace: making the most of every sample in
//! stochastic trace estimation, SIAM J. Matrix Anal. Appl. 45 (2024), sections 2.1 and 3.
//! Departure: where the rank of A Ω is below k, the basis without probe i is found among the
//! independent columns instead of inverting a singular R, so that the definition holds for every
//! A; if that rank is the rank of A, every term is then the exact trace and the error is rounding.

use faer::Mat;

use crate::{Real, Result};

use super::orthonormal::{Orthonormal, orthonormalize};
use super::trace::{Run, Sketch};
use super::{EstimateStatus, LinearOperator, TraceEstimate, dense, tall};

/// Mean over i of tr(QᵢᵀAQᵢ) + ωᵢᵀ(I − QᵢQᵢᵀ)A(I − QᵢQᵢᵀ)ωᵢ, Qᵢ = orth of A Ω without column i.
pub(super) fn estimate<T: Real, A: LinearOperator<T> + ?Sized>(
    run: &mut Run<'_, T, A>,
    k: usize,
    sphere: bool,
) -> Result<TraceEstimate> {
    let n = run.products.dimension;
    let Sketch { omega, y, terms: plain, stopped } = run.sketch(k, true)?;
    if stopped {
        return run.finish(&plain, EstimateStatus::Interrupted);
    }
    let Orthonormal { q, r, independent } = orthonormalize(y, n);
    let rank = independent.len();
    let w = tall::transpose_product(&q, &omega, n);
    let mut h = Mat::<f64>::zeros(rank, rank);
    let mut t = Mat::<f64>::zeros(rank, k);
    let block = run.block.min(k);
    let mut z = tall::zeros(n, block)?;
    for (b, x) in q.chunks(block * n).enumerate() {
        let (first, columns) = (b * block, x.len() / n);
        let z = &mut z[..x.len()];
        let stopped = run.products.apply(x, z)?.is_break();
        if stopped && first + columns < rank {
            return run.finish(&plain, EstimateStatus::Interrupted);
        }
        let qz = tall::transpose_product(&q, z, n);
        let zo = tall::transpose_product(z, &omega, n);
        for c in 0..columns {
            for i in 0..rank {
                h[(i, first + c)] = qz[i + c * rank];
            }
            for j in 0..k {
                t[(first + c, j)] = zo[c + j * columns];
            }
        }
    }
    let leave_one_out = LeaveOneOut {
        n,
        sphere,
        epsilon: T::EPSILON.to_f64(),
        squares: omega.chunks_exact(n).map(|x| tall::dot(x, x)).collect(),
        w: Mat::from_fn(rank, k, |i, j| w[i + j * rank]),
        h: dense::symmetric_part(h.as_ref()),
        t,
        r,
        independent,
    };
    run.finish(&leave_one_out.terms(), EstimateStatus::BudgetSpent)
}

/// The small matrices that determine every term. Q R = A Ω, r × k with r independent columns.
struct LeaveOneOut {
    n: usize,
    sphere: bool,
    epsilon: f64,
    /// ‖ωᵢ‖².
    squares: Vec<f64>,
    /// QᵀΩ.
    w: Mat<f64>,
    /// QᵀAQ.
    h: Mat<f64>,
    /// (AQ)ᵀΩ.
    t: Mat<f64>,
    r: Mat<f64>,
    independent: Vec<usize>,
}

impl LeaveOneOut {
    /// With s the unit vector of range(R) that is orthogonal to every column but the i-th, and
    /// μ = (I − ssᵀ)w:
    /// tr H − sᵀHs + c [(sᵀw)(sᵀr) − tᵀμ + μᵀHμ], c = 1 or, on the sphere,
    /// c = (n − rank Qᵢ) / (‖ω‖² − ‖μ‖²).
    fn terms(&self) -> Vec<f64> {
        let rank = self.h.nrows();
        let trace: f64 = (0..rank).map(|i| self.h[(i, i)]).sum();
        let directions = self.directions();
        let column =
            |m: &Mat<f64>, i: usize| -> Vec<f64> { (0..rank).map(|l| m[(l, i)]).collect() };
        let term = |i: usize| {
            let (w, r, t) = (column(&self.w, i), column(&self.r, i), column(&self.t, i));
            let mut low_rank = trace;
            let mut mu = w.clone();
            let mut quadratic = 0.0;
            let mut along = 0.0;
            if let Some(s) = &directions[i] {
                low_rank -= self.form(s);
                along = dot(s, &w);
                quadratic += along * dot(s, &r);
                mu.iter_mut().zip(s).for_each(|(m, s)| *m -= along * s);
            }
            quadratic += self.form(&mu) - dot(&t, &mu);
            let square = self.squares[i];
            let outside = square - dot(&w, &w);
            let left = if outside > 0.0 { outside } else { 0.0 } + along * along;
            let complement = self.n - rank + usize::from(directions[i].is_some());
            if complement == 0 || left <= 64.0 * self.epsilon * square {
                // The basis holds the probe: no residual, and what was computed is rounding.
                low_rank
            } else if self.sphere {
                low_rank + complement as f64 / left * quadratic
            } else {
                low_rank + quadratic
            }
        };
        (0..self.squares.len()).map(term).collect()
    }

    /// For each probe the direction that only its column of R reaches; `None` where the others
    /// reach all of range(R).
    fn directions(&self) -> Vec<Option<Vec<f64>>> {
        let (rank, k) = (self.r.nrows(), self.r.ncols());
        let square = Mat::from_fn(rank, rank, |i, j| self.r[(i, self.independent[j])]);
        let inverse = dense::inverse_upper(square.as_ref());
        let mut dependent = vec![true; k];
        self.independent.iter().for_each(|&j| dependent[j] = false);
        let column = |j: usize| -> Vec<f64> { (0..rank).map(|l| self.r[(l, j)]).collect() };
        let mut directions = vec![None; k];
        for (l, &i) in self.independent.iter().enumerate() {
            let dual: Vec<f64> = (0..rank).map(|j| inverse[(l, j)]).collect();
            let norm = dot(&dual, &dual).sqrt();
            let s: Vec<f64> = dual.iter().map(|x| x / norm).collect();
            let reached = (0..k).filter(|&j| dependent[j]).any(|j| {
                let r = column(j);
                dot(&s, &r).abs() > 32.0 * self.epsilon * dot(&r, &r).sqrt()
            });
            directions[i] = (!reached && norm.is_finite()).then_some(s);
        }
        directions
    }

    /// xᵀHx.
    fn form(&self, x: &[f64]) -> f64 {
        let row = |i: usize| (0..x.len()).map(|j| self.h[(i, j)] * x[j]).sum::<f64>();
        (0..x.len()).map(|i| x[i] * row(i)).sum()
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}
