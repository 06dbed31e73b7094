//! XTrace: every probe serves the basis of all others and is the residual probe of that basis.
//!
//! Source: E. N. Epperly, J. A. Tropp and R. J. Webber, XTrace: making the most of every sample in
//! stochastic trace estimation, SIAM J. Matrix Anal. Appl. 45 (2024), sections 2.1 and 3.
//! Departure: where the rank of A Ω is below k, the basis without probe i is found among the
//! independent columns instead of inverting a singular R, so that the definition holds for every
//! A; if that rank is the rank of A, every term is then the exact trace and the error is rounding.
//! The standard error counts that the terms share probes, see [`leave_one_out`]: their own spread,
//! which the paper states, is up to 1.5 times too small.

use faer::Mat;

use crate::{Real, Result};

use super::orthonormal::{Orthonormal, orthonormalize};
use super::trace::{Run, Sketch};
use super::{EstimateStatus, LinearOperator, TraceEstimate, dense, leave_one_out, tall};

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
    let coordinates = Coordinates {
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
    let (terms, standard_error) = coordinates.terms();
    run.finish_with(&terms, standard_error, EstimateStatus::BudgetSpent)
}

/// The small matrices that determine every term. Q R = A Ω, r × k with r independent columns.
struct Coordinates {
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

impl Coordinates {
    /// The terms, and the standard error of their mean from the terms with two probes left out.
    fn terms(&self) -> (Vec<f64>, f64) {
        let (rank, k) = (self.h.nrows(), self.squares.len());
        let column =
            |m: &Mat<f64>, i: usize| -> Vec<f64> { (0..rank).map(|l| m[(l, i)]).collect() };
        let probes: Vec<Probe> = (0..k)
            .map(|i| {
                let w = column(&self.w, i);
                Probe { hw: self.times(&w), w, r: column(&self.r, i), t: column(&self.t, i) }
            })
            .collect();
        let directions: Vec<Option<Direction>> = self
            .directions()
            .into_iter()
            .map(|s| s.map(|s| Direction { hs: self.times(&s), s }))
            .collect();
        let terms: Vec<f64> =
            (0..k).map(|i| self.term(i, &probes[i], directions[i].as_slice())).collect();
        let without = |i: usize, j: usize| match (&directions[j], &directions[i]) {
            (Some(first), Some(second)) => match second.without(first, self.epsilon) {
                Some(second) => self.term(i, &probes[i], &[first.clone(), second]),
                None => self.term(i, &probes[i], std::slice::from_ref(first)),
            },
            (first, None) => self.term(i, &probes[i], first.as_slice()),
            (None, second) => self.term(i, &probes[i], second.as_slice()),
        };
        let standard_error = leave_one_out::standard_error(&terms, without);
        (terms, standard_error)
    }

    /// The term of probe i for the basis Q without the orthonormal directions S of range(R), with
    /// μ = (I − SSᵀ)w:
    /// tr H − tr SᵀHS + c [(Sᵀw)ᵀ(Sᵀr) − tᵀμ + μᵀHμ], c = 1 or, on the sphere,
    /// c = (n − rank) / (‖ω‖² − ‖μ‖²).
    fn term(&self, i: usize, probe: &Probe, directions: &[Direction]) -> f64 {
        let rank = self.h.nrows();
        let mut low_rank: f64 = (0..rank).map(|i| self.h[(i, i)]).sum();
        let (mut mu, mut h_mu) = (probe.w.clone(), probe.hw.clone());
        let square = self.squares[i];
        let outside = square - dot(&probe.w, &probe.w);
        let mut left = if outside > 0.0 { outside } else { 0.0 };
        let mut quadratic = 0.0;
        for Direction { s, hs } in directions {
            low_rank -= dot(s, hs);
            let along = dot(s, &probe.w);
            left += along * along;
            quadratic += along * dot(s, &probe.r);
            for l in 0..rank {
                mu[l] -= along * s[l];
                h_mu[l] -= along * hs[l];
            }
        }
        quadratic += dot(&mu, &h_mu) - dot(&probe.t, &mu);
        let complement = self.n - rank + directions.len();
        if complement == 0 || left <= 64.0 * self.epsilon * square {
            // The basis holds the probe: no residual, and what was computed is rounding.
            low_rank
        } else if self.sphere {
            low_rank + complement as f64 / left * quadratic
        } else {
            low_rank + quadratic
        }
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

    /// H x.
    fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..x.len()).map(|i| (0..x.len()).map(|j| self.h[(i, j)] * x[j]).sum()).collect()
    }
}

/// What a probe is in the coordinates of Q: columns of QᵀΩ, H QᵀΩ, R and (AQ)ᵀΩ.
struct Probe {
    w: Vec<f64>,
    hw: Vec<f64>,
    r: Vec<f64>,
    t: Vec<f64>,
}

/// A unit vector s and H s.
#[derive(Clone)]
struct Direction {
    s: Vec<f64>,
    hs: Vec<f64>,
}

impl Direction {
    /// This direction made orthogonal to another one; `None` if they are the same to rounding.
    fn without(&self, other: &Direction, epsilon: f64) -> Option<Direction> {
        let along = dot(&self.s, &other.s);
        let rest = |x: &[f64], y: &[f64]| -> Vec<f64> {
            x.iter().zip(y).map(|(x, y)| x - along * y).collect()
        };
        let (mut s, mut hs) = (rest(&self.s, &other.s), rest(&self.hs, &other.hs));
        let norm = dot(&s, &s).sqrt();
        if norm <= 8.0 * epsilon {
            return None;
        }
        s.iter_mut().chain(&mut hs).for_each(|x| *x /= norm);
        Some(Direction { s, hs })
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}
