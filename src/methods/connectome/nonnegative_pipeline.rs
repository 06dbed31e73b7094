//! From a signed low-rank solution to nonnegative factors, in the four steps of the follow-up.

use faer::{Mat, MatRef};

use super::data::TracingData;
use super::dense_products::{gram, packed, tall_times, unpacked};
use super::entries;
use super::factor_objective::FactorObjective;
use super::factor_starts::{balance, split_signed};
use super::fitted::{Connectome, Status, TracePoint, Weights};
use super::greedy_low_rank::GreedyLowRank;
use super::smoothing_operator::SmoothingOperator;
use super::spline_regression::Strength;
use crate::{Error, Result};

/// Nonnegative factors of rank 2p − 1 by way of the unconstrained solution of rank p.
///
/// 1. Signed factors A, B of rank p ([`GreedyLowRank`]), balanced. 2. Split into 2p − 1 nonnegative
///    columns ([`split_signed`]). 3. Refined: min ‖U Vᵀ − A Bᵀ‖² by alternating projected
///    gradient steps with Gram matrices only. 4. P2 itself, alternating V and then U, each by up to 50 accelerated
///    steps: weight (k − 1)/(k + 2), a step that starts at 1, times 0.1 where the decrease is not
///    sufficient and not reset within a call, until the objective changes by less than 10⁻⁶; up to 1,000
///    outer rounds, until ‖ΔW‖/‖W‖ < 10⁻⁶.
///
/// Source: the code nonnegative_connectome that follows Kürschner et al. 2019; ranks run there:
/// p = 20, 50, 100, 250, 500.
#[derive(Clone, Debug)]
pub struct NonnegativePipeline {
    strength: Strength,
    p: usize,
    outer: usize,
    inner: usize,
    tolerance: f64,
    seed: u64,
}

/// What of the objective one call changes.
enum Side {
    U,
    V,
}

impl NonnegativePipeline {
    /// λ = 100 from signed factors of rank p, up to 1,000 rounds of 50 steps.
    #[must_use]
    pub fn new(p: usize) -> Self {
        Self {
            strength: Strength::Lambda(100.0),
            p,
            outer: 1000,
            inner: 50,
            tolerance: 1e-6,
            seed: 0,
        }
    }

    /// λ, of which the objective takes λ n_inj/n_x.
    #[must_use]
    pub fn lambda(self, lambda: f64) -> Self {
        Self { strength: Strength::Lambda(lambda), ..self }
    }

    /// λ' itself.
    #[must_use]
    pub fn lambda_eff(self, lambda_eff: f64) -> Self {
        Self { strength: Strength::Effective(lambda_eff), ..self }
    }

    /// No more outer rounds than this.
    #[must_use]
    pub fn max_rounds(self, rounds: usize) -> Self {
        Self { outer: rounds, ..self }
    }

    /// ‖ΔW‖/‖W‖ of a round, and relative change of the objective of a step, that end them.
    #[must_use]
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Seed of the signed solution.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Fits factors to `data`.
    ///
    /// # Errors
    /// Those of [`GreedyLowRank::fit`].
    pub fn fit(
        &self,
        data: &TracingData,
        lx: &SmoothingOperator,
        ly: &SmoothingOperator,
    ) -> Result<Connectome> {
        let lambda_eff = self.strength.effective(data)?;
        if !(self.tolerance > 0.0 && self.tolerance.is_finite()) {
            return Err(Error::range("tolerance", "a positive finite number", self.tolerance));
        }
        let greedy = GreedyLowRank::new().lambda_eff(lambda_eff).max_rank(self.p).seed(self.seed);
        let Weights::Factors { u: mut a, v: mut b } = greedy.fit(data, lx, ly)?.connectome.weights
        else {
            return Err(Error::empty("factors of the unconstrained solution"));
        };
        balance(&mut a, &mut b);
        let (u, v) = split_signed(a.as_ref(), b.as_ref())?;
        // A rank beyond the smaller side gains nothing, and is refused below.
        let rank = u.ncols().min(data.targets()).min(data.sources());
        let (u, v) = (u.get(.., ..rank).to_owned(), v.get(.., ..rank).to_owned());
        let (u, v) = refine(u, v, &a, &b, self.inner * 4);
        let objective = FactorObjective::new(data, lx, ly, lambda_eff, rank)?;
        let (ny, nx) = (data.targets(), data.sources());
        let mut z = objective.pack(u.as_ref(), v.as_ref())?;
        let mut trace = vec![TracePoint { iteration: 0, value: objective.value(&z)?.objective }];
        let mut status = Status::IterationLimit;
        let (mut rounds, mut iterations) = (0, 0);
        while rounds < self.outer {
            let before = z.clone();
            for side in [Side::V, Side::U] {
                iterations += self.improve(&objective, &mut z, &side)?;
            }
            rounds += 1;
            let value = objective.value(&z)?.objective;
            trace.push(TracePoint { iteration: rounds, value });
            let (change, size) = distance(ny, nx, &before, &z);
            if change <= self.tolerance * size {
                status = Status::Converged;
                break;
            }
        }
        let (mut u, mut v) = (unpacked(&z[..ny * rank], ny), unpacked(&z[ny * rank..], nx));
        balance(&mut u, &mut v);
        z = objective.pack(u.as_ref(), v.as_ref())?;
        let mut g = vec![0.0; z.len()];
        let value = objective.gradient(&z, &mut g)?;
        let kkt = entries::kkt(&z, &g, 1.0, 1.0);
        let largest = entries::largest(&g);
        Ok(Connectome {
            n_active: entries::count_zeros(&z),
            weights: Weights::Factors { u, v },
            objective: value.objective,
            loss: value.loss,
            penalty: value.penalty,
            lambda_eff,
            kkt,
            kkt_relative: if largest > 0.0 { kkt / largest } else { 0.0 },
            gap: f64::NAN,
            iterations,
            rounds,
            status,
            trace,
            labels: data.labels().clone(),
        })
    }

    /// Accelerated steps of one side; how many.
    fn improve(
        &self,
        objective: &FactorObjective<'_>,
        z: &mut [f64],
        side: &Side,
    ) -> Result<usize> {
        let split = objective.data.targets() * objective.rank;
        let range = match side {
            Side::U => 0..split,
            Side::V => split..z.len(),
        };
        let mut point = z.to_vec();
        let mut g = vec![0.0; z.len()];
        let mut old = z[range.clone()].to_vec();
        let mut f_old = objective.value(z)?.objective;
        let mut eta = 1.0_f64;
        for k in 1..=self.inner {
            let weight = (k as f64 - 1.0) / (k as f64 + 2.0);
            let now = z[range.clone()].to_vec();
            for ((y, now), old) in point[range.clone()].iter_mut().zip(&now).zip(&old) {
                *y = now + weight * (now - old);
            }
            let at = objective.gradient(&point, &mut g)?.objective;
            let base = point[range.clone()].to_vec();
            let slice = &g[range.clone()];
            let f = loop {
                let (mut slope, mut square) = (0.0, 0.0);
                for (i, at) in range.clone().enumerate() {
                    let next = base[i] - eta * slice[i];
                    let next = if next > 0.0 { next } else { 0.0 };
                    slope += slice[i] * (next - base[i]);
                    square += (next - base[i]) * (next - base[i]);
                    z[at] = next;
                }
                let f = objective.value(z)?.objective;
                let rounding = 4.0 * f64::EPSILON * at.abs();
                if f <= at + slope + square / (2.0 * eta) + rounding || square == 0.0 {
                    break f;
                }
                eta *= 0.1;
            };
            old = now;
            let change = (f_old - f).abs();
            f_old = f;
            if change <= self.tolerance * f.abs() {
                return Ok(k);
            }
        }
        Ok(self.inner)
    }
}

/// ‖W₁ − W₀‖ and ‖W₁‖ of packed factors, by Gram matrices: accurate to √ε ‖W‖, which is enough to
/// stop at 10⁻⁶.
fn distance(ny: usize, nx: usize, z0: &[f64], z1: &[f64]) -> (f64, f64) {
    let rank = z0.len() / (ny + nx);
    let parts = |z: &[f64]| (z[..ny * rank].to_vec(), z[ny * rank..].to_vec());
    let ((u0, v0), (u1, v1)) = (parts(z0), parts(z1));
    let inner = |a: &[f64], b: &[f64], c: &[f64], d: &[f64]| -> f64 {
        gram(ny, a, c).iter().zip(gram(nx, b, d)).map(|(x, y)| x * y).sum()
    };
    let size = inner(&u1, &v1, &u1, &v1);
    // W₁ − W₀ = (U₁ − U₀) V₁ᵀ + U₀ (V₁ − V₀)ᵀ, without cancellation.
    let difference =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
    let (du, dv) = (difference(&u1, &u0), difference(&v1, &v0));
    let square =
        inner(&du, &v1, &du, &v1) + 2.0 * inner(&du, &v1, &u0, &dv) + inner(&u0, &dv, &u0, &dv);
    (square.max(0.0).sqrt(), size.max(0.0).sqrt())
}

/// min ‖U Vᵀ − A Bᵀ‖² over U, V ≥ 0, alternating projected gradient steps of length 1/L.
fn refine(
    u: Mat<f64>,
    v: Mat<f64>,
    a: &Mat<f64>,
    b: &Mat<f64>,
    rounds: usize,
) -> (Mat<f64>, Mat<f64>) {
    let (ny, nx, rank) = (u.nrows(), v.nrows(), u.ncols());
    let (mut u, mut v) = (packed(u.as_ref()), packed(v.as_ref()));
    let (a, b) = (packed(a.as_ref()), packed(b.as_ref()));
    for _ in 0..rounds {
        descend(nx, rank, &mut v, ny, &u, &b, &a);
        descend(ny, rank, &mut u, nx, &v, &a, &b);
    }
    let matrix =
        |values: &[f64], n: usize| MatRef::from_column_major_slice(values, n, rank).to_owned();
    (matrix(&u, ny), matrix(&v, nx))
}

/// One step of X for ‖X Fᵀ − C Dᵀ‖²: X ← max(X − (X FᵀF − C (DᵀF))/‖FᵀF‖, 0).
fn descend(n: usize, rank: usize, x: &mut [f64], m: usize, f: &[f64], c: &[f64], d: &[f64]) {
    let ff = gram(m, f, f);
    let df = gram(m, d, f);
    let norm = (0..rank)
        .map(|i| (0..rank).map(|j| ff[i + j * rank].abs()).sum::<f64>())
        .fold(0.0, f64::max);
    if norm.is_nan() || norm <= 0.0 {
        return;
    }
    let mut g = vec![0.0; n * rank];
    tall_times(n, rank, x, &ff, 0.0, &mut g);
    let mut target = vec![0.0; n * rank];
    tall_times(n, df.len() / rank, c, &df, 0.0, &mut target);
    entries::axpy(-1.0, &target, &mut g);
    entries::axpy(-norm.recip(), &g, x);
    entries::clip(x);
}
