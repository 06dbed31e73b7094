//! How far an objective is from its minimum, proven.

use std::cmp::Ordering as Order;

use super::band_cholesky::Ordering;
use super::dense_factors::Cholesky;
use super::eigenvalue_count::count_below;
use super::entries;
use super::objective::{SplineObjective, add_injected};
use super::preconditioner::Modes;
use super::smoothing_operator::SmoothingOperator;
use crate::{Isa, parallel};

/// Pairs of modes on which the residual is removed before it is bounded.
const PAIRS: usize = 64;
/// Most pairs of modes without a penalty.
const MOST_NULL: usize = 1024;
/// Eigenvalues closer than this, in units of their size, are not told apart.
const APART: f64 = 1e-6;
/// Most flops of a count of eigenvalues.
const MOST_FLOPS: f64 = 2e11;

/// What bounds ¼ ρᵀA⁻¹ρ from above, A = ½H.
///
/// *Weak duality.* For any multipliers η ≥ 0 and any W of any sign,
///
/// min over V ≥ 0 of f(V) ≥ min over all V of f(V) − ⟨η, V⟩ = f(W) − ⟨η, W⟩ − ¼ ρᵀA⁻¹ρ,
/// ρ = ∇f(W) − η,
///
/// with equality on the right because f is quadratic with Hessian 2A. The active set gives W with
/// W = 0 where entries are held, and η = max(∇f, 0) there and 0 elsewhere; so ⟨η, W⟩ = 0, and ρ is the
/// residual of the linear system on free entries and the part of the wrong sign on held ones.
///
/// *The bound.* On the span N of the [`PAIRS`] smoothest pairs of modes q_i p_jᵀ, those without a
/// penalty among them, the minimum is moved to exactly: W + N a with NᵀA N a = −½Nᵀρ lowers the right
/// side by ¼ρᵀN(NᵀAN)⁻¹Nᵀρ and leaves ρ' = ρ + 2A N a ⊥ N. From there A ≥ λ'S², S being diagonal in
/// pairs of modes,
///
/// ¼ρ'ᵀA⁻¹ρ' ≤ ¼ Σ ρ̂'_ij²/(λ'(μ_i + ν_j)²) + ¼ (‖ρ'‖² − Σ ρ̂'_ij²)/(λ'σ²)
///
/// over the pairs of known modes outside N, where no other eigenvalue of either Laplacian is nearer to
/// 0 than σ. That none has been overlooked is made sure of by an inertia count ([`count_below`]); that
/// there is no penalty on N alone would do for the first inequality, so that masked and unidentified
/// data make no exception. Exact up to rounding and to the residuals of the modes (10⁻⁸ of their
/// eigenvalues).
pub(super) struct DualityGap {
    /// Of targets and of sources.
    pairs: Vec<(usize, usize)>,
    /// NᵀA N.
    gram: Cholesky,
    /// Modes of each side that are all there are up to σ.
    known: (usize, usize),
    /// σ; infinite where all modes are known.
    cut: f64,
    /// Whether a pair is among `pairs`: i · known.1 + j.
    chosen: Vec<bool>,
}

impl DualityGap {
    /// `None` where the modes prove nothing: for operators other than Laplacians without all of their
    /// modes, or data that leave a mode undetermined.
    pub fn new(objective: &SplineObjective<'_>, modes: &Modes) -> Option<Self> {
        if objective.lambda_eff <= 0.0 {
            return None;
        }
        let (ky, cut_y) = known(objective.ly, &modes.mu, modes.y.modes() == modes.y.voxels())?;
        let (kx, cut_x) = if std::ptr::eq(objective.lx, objective.ly) {
            (ky, cut_y)
        } else {
            known(objective.lx, &modes.nu, modes.x.modes() == modes.x.voxels())?
        };
        let pairs = smoothest_pairs(&modes.mu[..ky], &modes.nu[..kx])?;
        let gram = Cholesky::new(gram(objective, modes, &pairs), pairs.len())?;
        let mut chosen = vec![false; ky * kx];
        pairs.iter().for_each(|(i, j)| chosen[i * kx + j] = true);
        Some(Self { pairs, gram, known: (ky, kx), cut: cut_y.min(cut_x), chosen })
    }

    /// A number that ¼ ρᵀA⁻¹ρ does not exceed; overwrites `rho`.
    pub fn bound(&self, objective: &SplineObjective<'_>, modes: &Modes, rho: &mut [f64]) -> f64 {
        let isa = Isa::current();
        let data = objective.data;
        let (ky, kx, ne) = (modes.mu.len(), modes.nu.len(), data.experiments());
        let mut h = modes.coefficients(rho);
        let before: Vec<f64> = self.pairs.iter().map(|(i, j)| h[i * kx + j]).collect();
        let mut a = before.clone();
        self.gram.solve(&mut a);
        a.iter_mut().for_each(|a| *a *= -0.5);
        let on_pairs: f64 = -0.5 * before.iter().zip(&a).map(|(b, a)| b * a).sum::<f64>();
        // What data make of 2A N a; what the penalty makes of it stays on the pairs.
        let mut c = vec![0.0; ky * ne];
        for ((i, j), a) in self.pairs.iter().zip(&a) {
            for e in 0..ne {
                c[i + e * ky] += 2.0 * a * modes.injections[j + e * kx];
            }
        }
        let mut seen = vec![0.0; data.targets() * ne];
        modes.y.synthesise(&mut c, 0.0, &mut seen);
        for (e, seen) in seen.chunks_exact_mut(data.targets()).enumerate() {
            let observed = data.observed().experiment(e);
            seen.iter_mut().zip(observed).for_each(|(s, o)| *s = if *o { *s } else { 0.0 });
        }
        parallel::for_each_piece(rho, data.targets(), |s, rho| {
            add_injected(isa, data, 1.0, &seen, s, rho);
        });
        let seen = modes.y.analyse(&seen);
        parallel::for_each_piece(&mut h, kx, |i, h| {
            for e in 0..ne {
                let (factor, x) = (seen[i + e * ky], &modes.injections[e * kx..(e + 1) * kx]);
                h.iter_mut().zip(x).for_each(|(h, x)| *h += factor * x);
            }
        });
        let lambda = objective.lambda_eff;
        let (known_y, known_x) = self.known;
        let row = |i: usize| {
            let (mut bound, mut inside) = (0.0, 0.0);
            for j in 0..known_x {
                let square = h[i * kx + j] * h[i * kx + j];
                inside += square;
                if !self.chosen[i * known_x + j] && square > 0.0 {
                    let sum = modes.mu[i] + modes.nu[j];
                    bound += square / (lambda * sum * sum);
                }
            }
            (bound, inside)
        };
        let add = |a: &mut (f64, f64), b: (f64, f64)| *a = (a.0 + b.0, a.1 + b.1);
        let (bound, inside) = parallel::reduce(known_y, row, add).unwrap_or((0.0, 0.0));
        let outside = if self.cut.is_finite() {
            (entries::square(rho) - inside).max(0.0) / (lambda * self.cut * self.cut)
        } else {
            0.0
        };
        on_pairs + 0.25 * (bound + outside)
    }
}

/// How many of the eigenvalues of L, which descend from 0, are all that there are, and a bound from
/// below on the size of the others.
fn known(l: &SmoothingOperator, values: &[f64], all: bool) -> Option<(usize, f64)> {
    if all {
        return Some((values.len(), f64::INFINITY));
    }
    l.laplacian()?;
    let ordering = Ordering::new(l.matrix());
    let width = ordering.bandwidth(l.matrix()) as f64;
    if l.voxels() as f64 * width * width > MOST_FLOPS {
        return None;
    }
    // From the last gap between eigenvalues downwards.
    let mut count = values.len().checked_sub(1)?;
    while count > 0 {
        let (inner, outer) = (-values[count - 1], -values[count]);
        if outer - inner <= APART * outer {
            count -= 1;
            continue;
        }
        let sigma = 0.5 * (inner + outer);
        if count_below(&ordering, l.matrix(), sigma) == Some(count) {
            return Some((count, sigma));
        }
        count = count * 3 / 4;
    }
    None
}

/// The pairs of modes with the smallest penalties, all of those without one among them.
fn smoothest_pairs(mu: &[f64], nu: &[f64]) -> Option<Vec<(usize, usize)>> {
    let lowest = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].abs().total_cmp(&values[b].abs()).then(a.cmp(&b)));
        let largest = order.last().map_or(0.0, |&i| values[i].abs());
        let null = order.partition_point(|&i| values[i].abs() <= 1e-10 * largest);
        order.truncate(PAIRS.max(null));
        (order, null)
    };
    let ((ys, null_y), (xs, null_x)) = (lowest(mu), lowest(nu));
    let null = null_y * null_x;
    if null > MOST_NULL {
        return None;
    }
    let mut pairs: Vec<(usize, usize)> =
        ys.iter().flat_map(|&i| xs.iter().map(move |&j| (i, j))).collect();
    let size = |&(i, j): &(usize, usize)| (mu[i] + nu[j]).abs();
    pairs.sort_by(|a, b| match size(a).total_cmp(&size(b)) {
        Order::Equal => a.cmp(b),
        order => order,
    });
    pairs.truncate(PAIRS.max(null));
    Some(pairs)
}

/// NᵀA N, row-major.
fn gram(objective: &SplineObjective<'_>, modes: &Modes, pairs: &[(usize, usize)]) -> Vec<f64> {
    let data = objective.data;
    let (ky, kx, targets) = (modes.mu.len(), modes.nu.len(), data.targets());
    let mut used: Vec<usize> = pairs.iter().map(|pair| pair.0).collect();
    used.sort_unstable();
    used.dedup();
    let m = used.len();
    let mut units = vec![0.0; ky * m];
    used.iter().enumerate().for_each(|(c, &i)| units[i + c * ky] = 1.0);
    let mut q = vec![0.0; targets * m];
    modes.y.synthesise(&mut units, 0.0, &mut q);
    // qᵢᵀ Ω_e qⱼ.
    let products = parallel::map(data.experiments(), |e| {
        let observed = data.observed().experiment(e);
        let mut products = vec![0.0; m * m];
        for a in 0..m {
            for b in 0..=a {
                let (x, y) = (&q[a * targets..(a + 1) * targets], &q[b * targets..]);
                let terms = x.iter().zip(y).zip(observed);
                let sum: f64 = terms.map(|((x, y), o)| if *o { x * y } else { 0.0 }).sum();
                (products[a * m + b], products[b * m + a]) = (sum, sum);
            }
        }
        products
    });
    let place: Vec<usize> =
        pairs.iter().map(|pair| used.binary_search(&pair.0).unwrap_or(0)).collect();
    let n = pairs.len();
    let mut out = vec![0.0; n * n];
    for (a, &(i, j)) in pairs.iter().enumerate() {
        for (b, &(_, other)) in pairs.iter().enumerate() {
            for (e, products) in products.iter().enumerate() {
                let x = &modes.injections[e * kx..(e + 1) * kx];
                out[a * n + b] += x[j] * x[other] * products[place[a] * m + place[b]];
            }
        }
        let sum = modes.mu[i] + modes.nu[j];
        out[a * n + a] += objective.lambda_eff * sum * sum;
    }
    out
}
