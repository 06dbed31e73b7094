//! The generalised Sylvester equation of the unconstrained problem, its residual, and its restrictions
//! to rank one.

use sprs::CsMat;

use super::band_cholesky::{BandCholesky, Ordering};
use super::data::TracingData;
use super::dense_factors::Cholesky;
use super::dense_products::{gram, tall_times};
use super::entries;
use super::smoothing_operator::SmoothingOperator;
use crate::{Error, Result};

/// The least and the most sweeps of an alternation, and how well the two norms must agree.
const LEAST_SWEEPS: usize = 15;
const SWEEPS: usize = 30;
const AGREE: f64 = 0.01;

/// The equation in the form that corrections need.
pub(super) struct Equation<'a> {
    pub data: &'a TracingData,
    pub lx: &'a SmoothingOperator,
    pub ly: &'a SmoothingOperator,
    pub lambda_eff: f64,
    pub square_x: CsMat<f64>,
    pub square_y: CsMat<f64>,
    pub order_x: Ordering,
    pub order_y: Ordering,
}

/// F Vᵀ with what its residual needs.
pub(super) struct Iterate {
    pub rank: usize,
    pub f: Vec<f64>,
    pub v: Vec<f64>,
    /// Ω∘(Y − F Vᵀ X).
    pub rest: Vec<f64>,
}

/// K⁻¹ and what the injections add.
pub(super) struct SourcesInverse<'a> {
    band: BandCholesky<'a>,
    roots: Vec<f64>,
    solved: Vec<Vec<f64>>,
    capacitance: Cholesky,
}

impl SourcesInverse<'_> {
    /// The inverse times `r`.
    pub fn times(&self, equation: &Equation<'_>, r: &[f64]) -> Vec<f64> {
        let mut z = r.to_vec();
        self.band.solve(&mut z);
        let mut c: Vec<f64> =
            equation.injected(&z).iter().zip(&self.roots).map(|(p, w)| p * w).collect();
        self.capacitance.solve(&mut c);
        for (x, c) in self.solved.iter().zip(&c) {
            entries::axpy(-c, x, &mut z);
        }
        z
    }
}

impl<'a> Equation<'a> {
    pub fn new(
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
    pub fn shifted(&self, l: &SmoothingOperator, square: &CsMat<f64>, alpha: f64) -> CsMat<f64> {
        let linear = l.matrix().map(|v| 2.0 * alpha * v);
        let mut sum: CsMat<f64> = square + &linear;
        sum.data_mut().iter_mut().for_each(|v| *v *= self.lambda_eff);
        sum
    }

    /// Xᵀ v.
    pub fn injected(&self, v: &[f64]) -> Vec<f64> {
        let of = |e: usize| {
            let column = self.data.injections();
            column.outer_view(e).map_or(0.0, |c| c.iter().map(|(s, x)| x * v[s]).sum())
        };
        (0..self.data.experiments()).map(of).collect()
    }

    /// Σₑ wₑ xₑ.
    pub fn spread(&self, w: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.data.sources()];
        for (e, column) in self.data.injections().outer_iterator().enumerate() {
            column.iter().for_each(|(s, x)| out[s] += w[e] * x);
        }
        out
    }

    /// u for unit v, with the right-hand side in `u`.
    pub fn solve_targets(&self, v: &[f64], u: &mut [f64]) -> Result<()> {
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
    pub fn solve_sources(&self, u: &[f64], v: &mut [f64]) -> Result<()> {
        let mut lu = vec![0.0; u.len()];
        self.ly.apply_columns(u, &mut lu);
        let (alpha, beta) = (entries::dot(u, &lu), self.lambda_eff * entries::square(&lu));
        let weights: Vec<f64> = (0..self.data.experiments())
            .map(|e| {
                let seen = self.data.observed().experiment(e).iter().zip(u);
                seen.map(|(seen, u)| if *seen { u * u } else { 0.0 }).sum()
            })
            .collect();
        let matrix = self.shifted(self.lx, &self.square_x, alpha);
        let near = self.sources_inverse(&matrix, beta, &weights)?;
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
        conjugate_gradients(&b, v, 1e-13, 200, product, |r| near.times(self, r));
        Ok(())
    }

    /// Nearly (`matrix` + β + Σₑ wₑ xₑ xₑᵀ)⁻¹ on sources: with a slight shift.
    pub fn sources_inverse(
        &self,
        matrix: &CsMat<f64>,
        beta: f64,
        weights: &[f64],
    ) -> Result<SourcesInverse<'_>> {
        let (n, experiments) = (self.data.sources(), self.data.experiments());
        let fitted: f64 = self
            .data
            .injections()
            .outer_iterator()
            .zip(weights)
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
        Ok(SourcesInverse { band, roots, solved, capacitance })
    }

    /// R v, v over sources.
    pub fn residual_times(&self, iterate: &Iterate, v: &[f64]) -> Vec<f64> {
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
    pub fn residual_transposed_times(&self, iterate: &Iterate, u: &[f64]) -> Vec<f64> {
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
    pub fn correction(
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
}

/// x ← x/‖x‖; returns the norm.
pub(super) fn normalise(x: &mut [f64]) -> f64 {
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
