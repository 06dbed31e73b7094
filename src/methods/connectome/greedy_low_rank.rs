//! Low-rank solutions of the unconstrained problem, one rank at a time.

use faer::{Mat, MatRef};
use sprs::CsMat;

use super::band_cholesky::{BandCholesky, Ordering};
use super::data::TracingData;
use super::dense_factors::{Cholesky, thin_svd};
use super::dense_products::{gram, packed, tall_times, times, unpacked};
use super::entries;
use super::factor_objective::{FactorObjective, check_rank};
use super::fitted::{Connectome, Status, TracePoint, Weights};
use super::galerkin::Galerkin;
use super::objective::{check_operators, observed_product_of_factors};
use super::smoothing_operator::SmoothingOperator;
use super::spline_regression::Strength;
use crate::random::Stream;
use crate::{Error, Result};

/// W = U C Vᵀ without signs, by rank-one corrections of the residual and Galerkin's method in the
/// space that they span.
///
/// The equation is λ'(L_y²W + 2 L_y W L_x + W L_x²) + Σₑ diag(Ωₑ) W xₑ xₑᵀ = (Ω∘Y) Xᵀ, symmetric
/// positive definite, for symmetric Laplacians. A step alternates between
/// \[λ'(L_y² + 2(vᵀL_xv) L_y + ‖L_xv‖²) + diag(Ω (Xᵀv)²)\] u = R v for unit v, solved directly (Cholesky
/// within the band after reverse Cuthill-McKee), and
/// \[λ'(L_x² + 2(uᵀL_yu) L_x + ‖L_yu‖²) + X diag(Ωᵀu²) Xᵀ\] v = Rᵀu for unit u, by conjugate gradients
/// preconditioned with a slightly shifted band factor and Woodbury's identity for the n_inj injections;
/// 15 to 30 sweeps, until ‖u‖ and ‖v‖ agree to 1% (10% after the first sweep is what the published
/// code asks; that leaves corrections unfinished, and the objective of the toy at rank 20 a quarter
/// higher). Both are appended to orthonormal bases, and the
/// r × r Galerkin system is solved by conjugate gradients from the last solution. Ends where the
/// relative change of C and the size of the correction relative to C are below the tolerance.
///
/// Departures from the published code: the Galerkin system is preconditioned by its diagonal in bases
/// that diagonalise (L U)ᵀ(L U) and (L V)ᵀ(L V), and the alternation starts from one power step of the
/// residual on a random vector.
///
/// Source: Kürschner, Dolgov, Harris and Benner 2019 (arXiv 1808.05510), algorithms 1 and 2.
#[derive(Clone, Debug)]
pub struct GreedyLowRank {
    strength: Strength,
    max_rank: usize,
    tolerance: f64,
    seed: u64,
}

/// The factors and what they leave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GreedyFit {
    /// W as balanced signed factors, columns by descending singular value.
    pub connectome: Connectome,
    /// The singular values of W.
    pub singular_values: Vec<f64>,
    /// ‖residual of the equation‖/‖right-hand side‖, estimated from a random projection on n_inj
    /// columns.
    pub residual: f64,
}

/// The least and the most sweeps of an alternation, and how well the two norms must agree.
const LEAST_SWEEPS: usize = 15;
const SWEEPS: usize = 30;
const AGREE: f64 = 0.01;

impl Default for GreedyLowRank {
    fn default() -> Self {
        Self::new()
    }
}

/// The equation in the form that corrections need.
struct Equation<'a> {
    data: &'a TracingData,
    lx: &'a SmoothingOperator,
    ly: &'a SmoothingOperator,
    lambda_eff: f64,
    square_x: CsMat<f64>,
    square_y: CsMat<f64>,
    order_x: Ordering,
    order_y: Ordering,
}

/// F Vᵀ with what its residual needs.
struct Iterate {
    rank: usize,
    f: Vec<f64>,
    v: Vec<f64>,
    /// Ω∘(Y − F Vᵀ X).
    rest: Vec<f64>,
}

impl GreedyLowRank {
    /// λ = 100, rank at most 50, tolerance 10⁻⁷, seed 0.
    #[must_use]
    pub fn new() -> Self {
        Self { strength: Strength::Lambda(100.0), max_rank: 50, tolerance: 1e-7, seed: 0 }
    }

    /// λ, of which the equation takes λ n_inj/n_x.
    #[must_use]
    pub fn lambda(self, lambda: f64) -> Self {
        Self { strength: Strength::Lambda(lambda), ..self }
    }

    /// λ' itself.
    #[must_use]
    pub fn lambda_eff(self, lambda_eff: f64) -> Self {
        Self { strength: Strength::Effective(lambda_eff), ..self }
    }

    /// The most corrections.
    #[must_use]
    pub fn max_rank(self, rank: usize) -> Self {
        Self { max_rank: rank, ..self }
    }

    /// Relative change of C, and size of a correction relative to C, that end the search.
    #[must_use]
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Seed of the random starts.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Solves for W.
    ///
    /// # Errors
    /// [`Error::Shape`] for operators of another size; [`Error::Range`] for λ' ≤ 0, ranks and
    /// tolerances out of range, operators that are not symmetric, and systems that are not positive
    /// definite: data that leave W open, see [`identifiability`](super::identifiability).
    pub fn fit(
        &self,
        data: &TracingData,
        lx: &SmoothingOperator,
        ly: &SmoothingOperator,
    ) -> Result<GreedyFit> {
        check_operators(data, lx, ly)?;
        check_rank(data, self.max_rank)?;
        let lambda_eff = self.strength.effective(data)?;
        if lambda_eff == 0.0 {
            return Err(Error::range("lambda", "a number above 0", 0));
        }
        if !(self.tolerance > 0.0 && self.tolerance.is_finite()) {
            return Err(Error::range("tolerance", "a positive finite number", self.tolerance));
        }
        let equation = Equation::new(data, lx, ly, lambda_eff)?;
        equation.solve(self)
    }
}

impl<'a> Equation<'a> {
    fn new(
        data: &'a TracingData,
        lx: &'a SmoothingOperator,
        ly: &'a SmoothingOperator,
        lambda_eff: f64,
    ) -> Result<Self> {
        for (what, l) in [("L_x", lx), ("L_y", ly)] {
            if !l.is_symmetric() {
                return Err(Error::range(what, "a symmetric operator", "one that is not"));
            }
        }
        let square = |l: &SmoothingOperator| -> CsMat<f64> {
            &l.matrix().to_owned() * &l.matrix().to_owned()
        };
        Ok(Self {
            data,
            lx,
            ly,
            lambda_eff,
            square_x: square(lx),
            square_y: square(ly),
            order_x: Ordering::new(lx.matrix()),
            order_y: Ordering::new(ly.matrix()),
        })
    }

    /// λ'(L² + 2αL), pattern of L².
    fn shifted(&self, l: &SmoothingOperator, square: &CsMat<f64>, alpha: f64) -> CsMat<f64> {
        let linear = l.matrix().map(|v| 2.0 * alpha * v);
        let mut sum: CsMat<f64> = square + &linear;
        sum.data_mut().iter_mut().for_each(|v| *v *= self.lambda_eff);
        sum
    }

    /// Xᵀ v.
    fn injected(&self, v: &[f64]) -> Vec<f64> {
        let of = |e: usize| {
            let column = self.data.injections();
            column.outer_view(e).map_or(0.0, |c| c.iter().map(|(s, x)| x * v[s]).sum())
        };
        (0..self.data.experiments()).map(of).collect()
    }

    /// Σₑ wₑ xₑ.
    fn spread(&self, w: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.data.sources()];
        for (e, column) in self.data.injections().outer_iterator().enumerate() {
            column.iter().for_each(|(s, x)| out[s] += w[e] * x);
        }
        out
    }

    /// u for unit v, with the right-hand side in `u`.
    fn solve_targets(&self, v: &[f64], u: &mut [f64]) -> Result<()> {
        let mut lv = vec![0.0; v.len()];
        self.lx.apply_columns(v, &mut lv);
        let (alpha, beta) = (entries::dot(v, &lv), self.lambda_eff * entries::square(&lv));
        let weights: Vec<f64> = self.injected(v).iter().map(|p| p * p).collect();
        let observed = self.data.observed();
        let diagonal = |t: usize| {
            let seen = weights.iter().enumerate().filter(|(e, _)| observed.at(t, *e));
            beta + seen.map(|(_, w)| w).sum::<f64>()
        };
        let matrix = self.shifted(self.ly, &self.square_y, alpha);
        BandCholesky::new(&self.order_y, matrix.view(), diagonal)?.solve(u);
        Ok(())
    }

    /// v for unit u, with the right-hand side in `v`.
    fn solve_sources(&self, u: &[f64], v: &mut [f64]) -> Result<()> {
        let mut lu = vec![0.0; u.len()];
        self.ly.apply_columns(u, &mut lu);
        let (alpha, beta) = (entries::dot(u, &lu), self.lambda_eff * entries::square(&lu));
        let n = v.len();
        let experiments = self.data.experiments();
        let weights: Vec<f64> = (0..experiments)
            .map(|e| {
                let seen = self.data.observed().experiment(e).iter().zip(u);
                seen.map(|(seen, u)| if *seen { u * u } else { 0.0 }).sum()
            })
            .collect();
        let matrix = self.shifted(self.lx, &self.square_x, alpha);
        let fitted: f64 = self
            .data
            .injections()
            .outer_iterator()
            .zip(&weights)
            .map(|(x, w)| w * x.iter().map(|(_, x)| x * x).sum::<f64>())
            .sum();
        let shift = 1e-7 * (fitted / n as f64 + self.lambda_eff);
        let band = BandCholesky::new(&self.order_x, matrix.view(), |_| beta + shift)?;
        // (K + X W Xᵀ)⁻¹ = K⁻¹ − K⁻¹X√W (I + √W Xᵀ K⁻¹ X √W)⁻¹ √W XᵀK⁻¹.
        let roots: Vec<f64> = weights.iter().map(|w| w.sqrt()).collect();
        let solved: Vec<Vec<f64>> = (0..experiments)
            .map(|e| {
                let mut unit = vec![0.0; experiments];
                unit[e] = roots[e];
                let mut x = self.spread(&unit);
                band.solve(&mut x);
                x
            })
            .collect();
        let mut capacitance = vec![0.0; experiments * experiments];
        for (e, x) in solved.iter().enumerate() {
            let row = self.injected(x);
            for f in 0..experiments {
                capacitance[f * experiments + e] = roots[f] * row[f] + f64::from(u8::from(e == f));
            }
        }
        let capacitance = Cholesky::new(capacitance, experiments).ok_or_else(|| {
            let expected = "data that determine W";
            Error::range("systems of the sources", expected, "a singular system")
        })?;
        let inverse = |r: &[f64]| -> Vec<f64> {
            let mut z = r.to_vec();
            band.solve(&mut z);
            let mut c: Vec<f64> =
                self.injected(&z).iter().zip(&roots).map(|(p, w)| p * w).collect();
            capacitance.solve(&mut c);
            for (x, c) in solved.iter().zip(&c) {
                entries::axpy(-c, x, &mut z);
            }
            z
        };
        let product = |p: &[f64]| -> Vec<f64> {
            let fit: Vec<f64> = self.injected(p).iter().zip(&weights).map(|(x, w)| x * w).collect();
            let mut q = self.spread(&fit);
            for (value, (i, j)) in matrix.iter() {
                q[i] += value * p[j];
            }
            entries::axpy(beta, p, &mut q);
            q
        };
        let b = v.to_vec();
        v.fill(0.0);
        conjugate_gradients(&b, v, 1e-13, 200, product, inverse);
        Ok(())
    }

    /// R v, v over sources.
    fn residual_times(&self, iterate: &Iterate, v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.data.targets()];
        tall_times(
            out.len(),
            self.data.experiments(),
            &iterate.rest,
            &self.injected(v),
            0.0,
            &mut out,
        );
        if iterate.rank > 0 {
            let smooth = self.smooth(self.ly, self.lx, &iterate.f, &iterate.v, v);
            entries::axpy(-self.lambda_eff, &smooth, &mut out);
        }
        out
    }

    /// Rᵀ u, u over targets.
    fn residual_transposed_times(&self, iterate: &Iterate, u: &[f64]) -> Vec<f64> {
        let mut out = self.spread(&gram(u.len(), &iterate.rest, u));
        if iterate.rank > 0 {
            let smooth = self.smooth(self.lx, self.ly, &iterate.v, &iterate.f, u);
            entries::axpy(-self.lambda_eff, &smooth, &mut out);
        }
        out
    }

    /// (L₁² G + 2 L₁ G L₂ + G L₂²) x for G = F Vᵀ.
    fn smooth(
        &self,
        l1: &SmoothingOperator,
        l2: &SmoothingOperator,
        f: &[f64],
        v: &[f64],
        x: &[f64],
    ) -> Vec<f64> {
        let (n, m) = (l1.voxels(), l2.voxels());
        let rank = f.len() / n;
        let mut lx = vec![0.0; m];
        l2.apply_columns(x, &mut lx);
        let mut llx = vec![0.0; m];
        l2.apply_columns(&lx, &mut llx);
        let of = |x: &[f64]| {
            let mut out = vec![0.0; n];
            tall_times(n, rank, f, &gram(m, v, x), 0.0, &mut out);
            out
        };
        let (a, b, mut c) = (of(x), of(&lx), of(&llx));
        let mut la = vec![0.0; n];
        l1.apply_columns(&a, &mut la);
        entries::axpy(2.0, &b, &mut la);
        let mut lla = vec![0.0; n];
        l1.apply_columns(&la, &mut lla);
        entries::axpy(1.0, &lla, &mut c);
        c
    }

    /// A rank-one correction u vᵀ of the residual: u for the unit vector of v, and v for that of u.
    fn correction(
        &self,
        iterate: &Iterate,
        start: Vec<f64>,
    ) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        let mut v = start;
        if normalise(&mut v) == 0.0 {
            return Ok(None);
        }
        let mut pair = None;
        for sweep in 1..=SWEEPS {
            let mut u = self.residual_times(iterate, &v);
            self.solve_targets(&v, &mut u)?;
            let z1 = u.clone();
            let first = normalise(&mut u);
            let mut z2 = self.residual_transposed_times(iterate, &u);
            self.solve_sources(&u, &mut z2)?;
            v.clone_from(&z2);
            let second = normalise(&mut v);
            if first == 0.0 || second == 0.0 || !first.is_finite() || !second.is_finite() {
                return Ok(pair);
            }
            pair = Some((z1, z2));
            if sweep >= LEAST_SWEEPS && (first / second - 1.0).abs() < AGREE {
                break;
            }
        }
        Ok(pair)
    }

    fn solve(&self, options: &GreedyLowRank) -> Result<GreedyFit> {
        let (ny, nx) = (self.data.targets(), self.data.sources());
        let mut iterate = Iterate {
            rank: 0,
            f: Vec::new(),
            v: Vec::new(),
            rest: self.data.projections_by_experiment().to_vec(),
        };
        let starts = Stream::new(options.seed, "greedy starts");
        let mut galerkin = Galerkin::new(self.data, self.lx, self.ly, self.lambda_eff);
        let mut trace = Vec::new();
        let mut status = Status::IterationLimit;
        let mut c = Mat::<f64>::zeros(0, 0);
        for step in 0..options.max_rank {
            let mut g = vec![0.0; nx];
            starts.child(step as u64).normals(0, &mut g);
            let image = self.residual_times(&iterate, &g);
            let start = self.residual_transposed_times(&iterate, &image);
            let Some((z1, z2)) = self.correction(&iterate, start)? else {
                status = Status::Converged;
                break;
            };
            let size = entries::square(&z1).max(entries::square(&z2)).sqrt();
            if !galerkin.append(&z1, &z2)? {
                status = Status::Converged;
                break;
            }
            let rank = galerkin.rank();
            let padded = Mat::from_fn(rank, rank, |i, j| {
                if i + 1 < rank && j + 1 < rank { c[(i, j)] } else { 0.0 }
            });
            let next = galerkin.solve(padded.as_ref(), 0.5 * options.tolerance);
            let norm = squares(next.as_ref()).sqrt();
            let change = squares((&next - &padded).as_ref()).sqrt();
            c = next;
            iterate.rank = rank;
            iterate.v = galerkin.sources().to_vec();
            iterate.f = vec![0.0; ny * rank];
            tall_times(ny, rank, galerkin.targets(), &packed(c.as_ref()), 0.0, &mut iterate.f);
            let fitted = observed_product_of_factors(self.data, &iterate.f, &iterate.v, rank);
            iterate.rest = self
                .data
                .projections_by_experiment()
                .iter()
                .zip(&fitted)
                .map(|(y, p)| y - p)
                .collect();
            trace.push(TracePoint { iteration: rank, value: change / norm });
            if norm == 0.0 || (change < options.tolerance * norm && size < options.tolerance * norm)
            {
                status = Status::Converged;
                break;
            }
        }
        self.finish(&galerkin, &c, &iterate, status, trace, options.seed)
    }

    fn finish(
        &self,
        galerkin: &Galerkin<'_>,
        c: &Mat<f64>,
        iterate: &Iterate,
        status: Status,
        trace: Vec<TracePoint>,
        seed: u64,
    ) -> Result<GreedyFit> {
        let (ny, nx) = (self.data.targets(), self.data.sources());
        if iterate.rank == 0 {
            // Y = 0, or nothing injected: W = 0 is the solution.
            let (u, v) = (Mat::zeros(ny, 1), Mat::zeros(nx, 1));
            let connectome = self.result(u, v, status, 0, trace)?;
            return Ok(GreedyFit { connectome, singular_values: vec![0.0], residual: 0.0 });
        }
        let svd = thin_svd(c.as_ref())?;
        let scaled =
            |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] * svd.s[j].sqrt());
        let u = times(unpacked(galerkin.targets(), ny).as_ref(), scaled(&svd.u).as_ref());
        let v = times(unpacked(galerkin.sources(), nx).as_ref(), scaled(&svd.v).as_ref());
        let probes = Stream::new(seed, "residual probes");
        let zero = Iterate {
            rank: 0,
            f: Vec::new(),
            v: Vec::new(),
            rest: self.data.projections_by_experiment().to_vec(),
        };
        let (mut left, mut size) = (0.0, 0.0);
        for e in 0..self.data.experiments() {
            let mut g = vec![0.0; nx];
            probes.child(e as u64).normals(0, &mut g);
            left += entries::square(&self.residual_times(iterate, &g));
            size += entries::square(&self.residual_times(&zero, &g));
        }
        let residual = if size > 0.0 { (left / size).sqrt() } else { 0.0 };
        let connectome = self.result(u, v, status, iterate.rank, trace)?;
        Ok(GreedyFit { connectome, singular_values: svd.s, residual })
    }

    fn result(
        &self,
        u: Mat<f64>,
        v: Mat<f64>,
        status: Status,
        steps: usize,
        trace: Vec<TracePoint>,
    ) -> Result<Connectome> {
        let rank = u.ncols();
        let objective = FactorObjective::new(self.data, self.lx, self.ly, self.lambda_eff, rank)?;
        let z = objective.pack(u.as_ref(), v.as_ref())?;
        let mut g = vec![0.0; z.len()];
        let value = objective.gradient(&z, &mut g)?;
        let kkt = entries::largest(&g);
        Ok(Connectome {
            weights: Weights::Factors { u, v },
            objective: value.objective,
            loss: value.loss,
            penalty: value.penalty,
            lambda_eff: self.lambda_eff,
            kkt,
            kkt_relative: kkt,
            n_active: 0,
            iterations: steps,
            rounds: 0,
            status,
            trace,
            labels: self.data.labels().clone(),
        })
    }
}

fn squares(m: MatRef<'_, f64>) -> f64 {
    (0..m.ncols()).map(|j| m.col(j).iter().map(|x| x * x).sum::<f64>()).sum()
}

/// x ← x/‖x‖; returns the norm.
fn normalise(x: &mut [f64]) -> f64 {
    let norm = entries::square(x).sqrt();
    if norm > 0.0 {
        entries::scale(norm.recip(), x);
    }
    norm
}

/// x with A x = b from x = 0, to ‖r‖ ≤ tolerance·‖b‖.
pub(super) fn conjugate_gradients(
    b: &[f64],
    x: &mut [f64],
    tolerance: f64,
    limit: usize,
    product: impl Fn(&[f64]) -> Vec<f64>,
    inverse: impl Fn(&[f64]) -> Vec<f64>,
) {
    let bound = tolerance * entries::square(b).sqrt();
    let mut r = b.to_vec();
    let mut p = vec![0.0; b.len()];
    let mut before = 0.0;
    for _ in 0..limit {
        if entries::square(&r).sqrt() <= bound {
            break;
        }
        let z = inverse(&r);
        let rho = entries::dot(&r, &z);
        let beta = if before > 0.0 { rho / before } else { 0.0 };
        entries::axpby(1.0, &z, beta, &mut p);
        let q = product(&p);
        let curvature = entries::dot(&p, &q);
        if !(rho > 0.0 && curvature > 0.0 && (rho / curvature).is_finite()) {
            break;
        }
        entries::axpy(rho / curvature, &p, x);
        entries::axpy(-rho / curvature, &q, &mut r);
        before = rho;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectome::Observed;
    use crate::io::Archive;

    #[test]
    fn subproblems_have_the_solutions_of_dense_solves() {
        let root = env!("CARGO_MANIFEST_DIR");
        let golden =
            Archive::read(format!("{root}/tests/golden/connectome/unconstrained.npz")).unwrap();
        let mat = |name: &str| golden.get(name).unwrap().to_mat::<f64>().unwrap();
        let vector = |name: &str| golden.get(name).unwrap().to_f64().unwrap();
        let data = TracingData::builder()
            .injections_dense(mat("X").as_ref())
            .projections(mat("Y").as_ref())
            .observed(Observed::from_ones(mat("Omega").as_ref()).unwrap())
            .build()
            .unwrap();
        let (lx, ly) =
            (SmoothingOperator::of_box(&[30]).unwrap(), SmoothingOperator::of_box(&[40]).unwrap());
        let lambda_eff = golden.get("lam_eff").unwrap().scalar().unwrap();
        let equation = Equation::new(&data, &lx, &ly, lambda_eff).unwrap();
        let zero = Iterate {
            rank: 0,
            f: Vec::new(),
            v: Vec::new(),
            rest: data.projections_by_experiment().to_vec(),
        };
        let v0 = vector("als_v0");
        let mut u = equation.residual_times(&zero, &v0);
        equation.solve_targets(&v0, &mut u).unwrap();
        let close = |a: &[f64], b: &[f64]| {
            let size = entries::largest(b);
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * size)
        };
        assert!(close(&u, &vector("als_u")));
        normalise(&mut u);
        assert!(close(&u, &vector("als_u_normalised")));
        let mut v = equation.residual_transposed_times(&zero, &u);
        equation.solve_sources(&u, &mut v).unwrap();
        assert!(close(&v, &vector("als_v")));
    }
}
