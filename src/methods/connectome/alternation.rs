//! One factor of W = F Vᵀ at a time, exactly: the other one fixed, and orthonormal.
//!
//! With T = VᵀL_xV and D = (L_xV)ᵀ(L_xV), turned so that D is diagonal, F solves
//! λ'(L_y²F + 2 L_yFT + FD) + Σₑ (Ωₑ∘F x̃ₑ) x̃ₑᵀ = (Ω∘Y) x̃ᵀ with x̃ = VᵀX; and likewise G of W = U Gᵀ with
//! Gₑ = Uᵀ diag(Ωₑ) U in place of the mask. Conjugate gradients, preconditioned by the diagonal blocks:
//! the band factors of single columns.

use super::band_cholesky::BandCholesky;
use super::dense_factors::thin_svd;
use super::dense_products::{gram, packed, tall_times, unpacked};
use super::entries;
use super::greedy_equation::{Equation, SourcesInverse, conjugate_gradients};
use super::smoothing_operator::SmoothingOperator;
use crate::krylov::symmetric_eigen;
use crate::{Error, Result, parallel};

/// ‖residual‖/‖right-hand side‖ of a half step, and its most iterations.
const TOLERANCE: f64 = 1e-10;
const STEPS: usize = 2000;

/// The fixed side, turned.
struct Fixed {
    rank: usize,
    /// Orthonormal columns.
    basis: Vec<f64>,
    /// (L basis)ᵀ(L basis), which is diagonal, and basisᵀ L basis.
    d: Vec<f64>,
    t: Vec<f64>,
}

/// Orthonormal columns that span those of `x`, n rows each.
fn orthonormal(n: usize, x: &[f64]) -> Result<Vec<f64>> {
    Ok(packed(thin_svd(unpacked(x, n).as_ref())?.u.as_ref()))
}

impl Fixed {
    fn new(l: &SmoothingOperator, basis: &[f64]) -> Result<Self> {
        let n = l.voxels();
        let rank = basis.len() / n;
        let mut image = vec![0.0; basis.len()];
        l.apply_columns(basis, &mut image);
        let square = gram(n, &image, &image);
        let eigen = symmetric_eigen(unpacked(&square, rank).as_ref()).ok_or_else(|| {
            Error::range("eigenvalues of a factor's penalty", "convergence", "none")
        })?;
        let q = packed(eigen.vectors.as_ref());
        let (mut turned, mut turned_image) = (vec![0.0; basis.len()], vec![0.0; basis.len()]);
        tall_times(n, rank, basis, &q, 0.0, &mut turned);
        tall_times(n, rank, &image, &q, 0.0, &mut turned_image);
        let d = (0..rank).map(|j| entries::square(&turned_image[j * n..(j + 1) * n])).collect();
        let t = gram(n, &turned, &turned_image);
        Ok(Self { rank, basis: turned, d, t })
    }

    /// X (ZᵀB) of the basis B, X with n rows and Z with as many as B.
    fn coordinates(&self, n: usize, x: &[f64], rows: usize, z: &[f64]) -> Vec<f64> {
        let inside = gram(rows, z, &self.basis);
        let mut out = vec![0.0; n * self.rank];
        tall_times(n, x.len() / n, x, &inside, 0.0, &mut out);
        out
    }

    /// λ'(L²F + 2 L F T + F D), columns of n.
    fn smooth(&self, lambda: f64, l: &SmoothingOperator, f: &[f64]) -> Vec<f64> {
        let n = l.voxels();
        let (mut inner, mut out) = (vec![0.0; f.len()], vec![0.0; f.len()]);
        l.apply_columns(f, &mut inner);
        let twice: Vec<f64> = self.t.iter().map(|t| 2.0 * t).collect();
        tall_times(n, self.rank, f, &twice, 1.0, &mut inner);
        l.apply_columns(&inner, &mut out);
        for (j, out) in out.chunks_exact_mut(n).enumerate() {
            entries::axpby(lambda * self.d[j], &f[j * n..(j + 1) * n], lambda, out);
        }
        out
    }
}

/// x with A x = b, or what conjugate gradients make of `x`: nearer in the norm of A, whatever the end.
fn improved(
    b: &[f64],
    mut x: Vec<f64>,
    product: impl Fn(&[f64]) -> Vec<f64>,
    inverse: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let mut rest = b.to_vec();
    entries::axpy(-1.0, &product(&x), &mut rest);
    let (size, left) = (entries::square(b).sqrt(), entries::square(&rest).sqrt());
    if left > TOLERANCE * size {
        let mut change = vec![0.0; x.len()];
        let tolerance = TOLERANCE * size / left;
        conjugate_gradients(&rest, &mut change, tolerance, STEPS, product, inverse);
        entries::axpy(1.0, &change, &mut x);
    }
    x
}

/// Rows of columns next to each other: the transpose of `x`, which has so many rows.
fn transposed(x: &[f64], rows: usize) -> Vec<f64> {
    let columns = x.len() / rows;
    (0..rows).flat_map(|i| (0..columns).map(move |j| x[i + j * rows])).collect()
}

impl Equation<'_> {
    /// (F, V): from W = U Gᵀ the best F for W = F Vᵀ, V an orthonormal basis of the columns of G. The
    /// objective never rises.
    ///
    /// # Errors
    /// [`Error::Range`] where a system is not positive definite.
    pub fn best_targets(&self, u: &[f64], g: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let (ny, experiments) = (self.data.targets(), self.data.experiments());
        let fixed = Fixed::new(self.lx, &orthonormal(self.data.sources(), g)?)?;
        let rank = fixed.rank;
        let nx = self.data.sources();
        // x̃, rank × experiments, and its transpose.
        let each: Vec<Vec<f64>> =
            (0..rank).map(|k| self.injected(&fixed.basis[k * nx..(k + 1) * nx])).collect();
        let injected: Vec<f64> =
            (0..rank * experiments).map(|i| each[i % rank][i / rank]).collect();
        let back = transposed(&injected, rank);
        let observed = self.data.observed();
        let factors = parallel::map(rank, |k| {
            let matrix = self.shifted(self.ly, &self.square_y, fixed.t[k + k * rank]);
            let diagonal = |t: usize| {
                let seen = each[k].iter().enumerate().filter(|(e, _)| observed.at(t, *e));
                self.lambda_eff * fixed.d[k] + seen.map(|(_, p)| p * p).sum::<f64>()
            };
            BandCholesky::new(&self.order_y, matrix.view(), diagonal)
        });
        let factors = factors.into_iter().collect::<Result<Vec<_>>>()?;
        let product = |f: &[f64]| {
            let mut out = fixed.smooth(self.lambda_eff, self.ly, f);
            let mut fit = vec![0.0; ny * experiments];
            tall_times(ny, rank, f, &injected, 0.0, &mut fit);
            for (e, fit) in fit.chunks_exact_mut(ny).enumerate() {
                let seen = observed.experiment(e);
                fit.iter_mut().zip(seen).for_each(|(p, seen)| *p = if *seen { *p } else { 0.0 });
            }
            tall_times(ny, experiments, &fit, &back, 1.0, &mut out);
            out
        };
        let inverse = |r: &[f64]| {
            let columns = parallel::map(rank, |k| {
                let mut column = r[k * ny..(k + 1) * ny].to_vec();
                factors[k].solve(&mut column);
                column
            });
            columns.concat()
        };
        let mut b = vec![0.0; ny * rank];
        let y = self.data.projections_by_experiment();
        tall_times(ny, experiments, y, &back, 0.0, &mut b);
        let start = fixed.coordinates(ny, u, nx, g);
        Ok((improved(&b, start, product, inverse), fixed.basis))
    }

    /// (U, G): from W = F Vᵀ the best G for W = U Gᵀ, U an orthonormal basis of the columns of F. The
    /// objective never rises.
    ///
    /// # Errors
    /// [`Error::Range`] where a system is not positive definite.
    pub fn best_sources(&self, f: &[f64], v: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let (ny, nx, experiments) =
            (self.data.targets(), self.data.sources(), self.data.experiments());
        let fixed = Fixed::new(self.ly, &orthonormal(ny, f)?)?;
        let rank = fixed.rank;
        // Uᵀ diag(Ωₑ) U, and Uᵀ yₑ.
        let seen: Vec<Vec<f64>> = parallel::map(experiments, |e| {
            let observed = self.data.observed().experiment(e);
            let masked: Vec<f64> = fixed
                .basis
                .iter()
                .enumerate()
                .map(|(i, u)| if observed[i % ny] { *u } else { 0.0 })
                .collect();
            gram(ny, &masked, &fixed.basis)
        });
        let factors = parallel::map(rank, |k| {
            let at = k + k * rank;
            let matrix = self.shifted(self.lx, &self.square_x, fixed.t[at]);
            let weights: Vec<f64> = seen.iter().map(|g| g[at].max(0.0)).collect();
            self.sources_inverse(&matrix, self.lambda_eff * fixed.d[k], &weights)
        });
        let factors = factors.into_iter().collect::<Result<Vec<SourcesInverse<'_>>>>()?;
        // Column k: Σₑ xₑ pₑₖ, p experiments × rank.
        let spread = |p: &[f64]| {
            parallel::map(rank, |k| self.spread(&p[k * experiments..(k + 1) * experiments]))
        };
        let product = |g: &[f64]| {
            let mut out = fixed.smooth(self.lambda_eff, self.lx, g);
            let images = parallel::map(rank, |k| self.injected(&g[k * nx..(k + 1) * nx]));
            let mut fit = vec![0.0; experiments * rank];
            for e in 0..experiments {
                for k in 0..rank {
                    let row = (0..rank).map(|j| seen[e][k + j * rank] * images[j][e]);
                    fit[e + k * experiments] = row.sum();
                }
            }
            for (column, out) in spread(&fit).iter().zip(out.chunks_exact_mut(nx)) {
                entries::axpy(1.0, column, out);
            }
            out
        };
        let inverse = |r: &[f64]| {
            parallel::map(rank, |k| factors[k].times(self, &r[k * nx..(k + 1) * nx])).concat()
        };
        let projected = gram(ny, self.data.projections_by_experiment(), &fixed.basis);
        let b = spread(&projected).concat();
        let start = fixed.coordinates(nx, v, ny, f);
        let g = improved(&b, start, product, inverse);
        Ok((fixed.basis, g))
    }
}
