//! Comparisons that know how the errors of distances depend on each other.

use faer::{Mat, MatRef};

use super::comparator::{degenerate, same_stimuli};
use super::pairwise::{Pairwise, pair};
use super::procrustes::nuclear_norm;
use super::rdm::definite_factor;
use crate::krylov::symmetric_eigen;
use crate::numerics::dense::solve_lower;
use crate::statistics::power_above;
use crate::{Error, Result};

/// The inner product dᵀ V⁻¹ d' of distances over pairs of stimuli, where V is the covariance of
/// estimated squared distances when the responses have covariance Σ between stimuli and the same
/// distances: V_(ij)(kl) = (Σ_ik − Σ_il − Σ_jk + Σ_jl)².
///
/// V has M² entries for M pairs, and is never formed: with the n × n matrix
/// G = −½ P D Pᵀ, P = I − 1wᵀ/(wᵀ1), w = Σ⁻¹1, of distances D,
///
/// dᵀ V⁻¹ d' = tr(G Σ⁻¹ G' Σ⁻¹)
///
/// (V is the map G ↦ d after G ↦ ΣGΣ after its adjoint, and G above is the preimage of d whose
/// Σ⁻¹GΣ⁻¹ has no component along 1). O(n³) for any Σ, O(n²) for the identity, where
/// G = −½ HDH.
///
/// Source: Diedrichsen et al. 2021 (2007.02789) for V; the n × n form is ours.
#[derive(Clone, Debug)]
pub struct Whitening {
    /// L of Σ = L Lᵀ; none for the identity.
    factor: Option<Mat<f64>>,
}

impl Whitening {
    /// Errors of the responses are independent between stimuli and of the same size.
    #[must_use]
    pub fn identity() -> Self {
        Self { factor: None }
    }

    /// Errors of the responses have covariance Σ between stimuli, n × n.
    ///
    /// # Errors
    /// [`Error::Range`] unless symmetric positive definite, [`Error::NonFinite`].
    pub fn new(covariance: MatRef<'_, f64>) -> Result<Self> {
        if covariance.nrows() != covariance.ncols() {
            let got = covariance.shape();
            return Err(Error::shape("pattern covariance", "a square matrix", got));
        }
        Ok(Self { factor: Some(definite_factor("pattern covariance", covariance)?) })
    }

    /// dᵀV⁻¹d'/√(dᵀV⁻¹d d'ᵀV⁻¹d') of the dissimilarities of two tables.
    ///
    /// # Errors
    /// As [`Comparator::compare`](super::Comparator::compare); [`Error::Shape`] for a covariance of
    /// another size.
    pub fn cosine(&self, a: &impl Pairwise, b: &impl Pairwise) -> Result<f64> {
        let n = same_stimuli(a, b)?;
        self.compare(n, a.dissimilarities().to_vec(), b.dissimilarities().to_vec())
    }

    /// The same after the mean of the dissimilarities of each table is taken away.
    ///
    /// # Errors
    /// As [`Whitening::cosine`].
    pub fn pearson(&self, a: &impl Pairwise, b: &impl Pairwise) -> Result<f64> {
        let n = same_stimuli(a, b)?;
        let centred = |table: &[f64]| crate::statistics::deviations(table);
        self.compare(n, centred(&a.dissimilarities()), centred(&b.dissimilarities()))
    }

    fn compare(&self, n: usize, a: Vec<f64>, b: Vec<f64>) -> Result<f64> {
        let (a, b) = (self.whiten(n, &a)?, self.whiten(n, &b)?);
        let dot = |a: &Mat<f64>, b: &Mat<f64>| -> f64 {
            let column = |j: usize| (0..n).map(|i| a[(i, j)] * b[(i, j)]).sum::<f64>();
            (0..n).map(column).sum()
        };
        let squares = dot(&a, &a) * dot(&b, &b);
        if squares <= 0.0 {
            return Err(degenerate());
        }
        Ok((dot(&a, &b) / squares.sqrt()).clamp(-1.0, 1.0))
    }

    /// L⁻¹ G L⁻ᵀ, of distances in units of the largest.
    fn whiten(&self, n: usize, d: &[f64]) -> Result<Mat<f64>> {
        let unit = unit_of(d);
        let at = |i: usize, j: usize| if i == j { 0.0 } else { -0.5 * d[pair(n, i, j)] / unit };
        let mut g = Mat::from_fn(n, n, at);
        // In whitened coordinates P is the projection away from u = L⁻¹1.
        let mut u = Mat::<f64>::full(n, 1, 1.0);
        if let Some(factor) = &self.factor {
            if factor.nrows() != n {
                let got = (factor.nrows(), factor.nrows());
                return Err(Error::shape("pattern covariance", (n, n), got));
            }
            solve_lower(factor.as_ref(), g.as_mut());
            let mut turned = g.transpose().to_owned();
            solve_lower(factor.as_ref(), turned.as_mut());
            g = turned;
            solve_lower(factor.as_ref(), u.as_mut());
        }
        let square: f64 = (0..n).map(|i| u[(i, 0)] * u[(i, 0)]).sum();
        let projections: Vec<f64> =
            (0..n).map(|j| (0..n).map(|i| g[(i, j)] * u[(i, 0)]).sum::<f64>() / square).collect();
        let mean = (0..n).map(|j| projections[j] * u[(j, 0)]).sum::<f64>() / square;
        for j in 0..n {
            for i in 0..n {
                let (ui, uj) = (u[(i, 0)], u[(j, 0)]);
                g[(i, j)] -= ui * projections[j] + uj * projections[i] - mean * ui * uj;
            }
        }
        Ok(g)
    }
}

/// A power of two above every distance.
fn unit_of(d: &[f64]) -> f64 {
    power_above(d.iter().fold(0.0, |m: f64, d| m.max(d.abs())))
}

/// tr A and a root of A = −½ HDH, in units of the largest distance: columns of U √λ for the
/// eigenvalues λ that can be told from 0 or below.
fn root(n: usize, d: &[f64]) -> Result<(f64, Mat<f64>, f64)> {
    let unit = unit_of(d);
    let g = Whitening::identity().whiten(n, d)?;
    let eigen = symmetric_eigen(g.as_ref()).ok_or_else(|| {
        Error::range("eigenproblem of the distances", "convergence", format!("none at {n}"))
    })?;
    // What rounding of the distances alone makes of an eigenvalue that is 0.
    let floor = 4.0 * n as f64 * f64::EPSILON * eigen.values[n - 1].max(0.0);
    let first = eigen.values.partition_point(|v| *v <= floor);
    if first == n {
        return Err(degenerate());
    }
    let trace: f64 = (0..n).map(|i| g[(i, i)]).sum();
    let columns = Mat::from_fn(n, n - first, |i, j| {
        eigen.vectors[(i, first + j)] * eigen.values[first + j].sqrt()
    });
    Ok((trace, columns, unit))
}

pub(super) fn bures_similarity(a: &impl Pairwise, b: &impl Pairwise) -> Result<f64> {
    let n = same_stimuli(a, b)?;
    let (trace_a, a, _) = root(n, &a.dissimilarities())?;
    let (trace_b, b, _) = root(n, &b.dissimilarities())?;
    if trace_a <= 0.0 || trace_b <= 0.0 {
        return Err(degenerate());
    }
    Ok((nuclear_norm(&a, &b)? / (trace_a * trace_b).sqrt()).min(1.0))
}

/// The squared Bures distance tr A + tr B − 2 tr √(√A B √A) of A = −HDH/2 and B alike, for squared
/// Euclidean distances D: min |XQ − Y|² over rotations of the responses X and Y that have them.
/// O(n³).
///
/// # Errors
/// As [`Comparator::compare`](super::Comparator::compare).
pub fn squared_bures_distance(a: &impl Pairwise, b: &impl Pairwise) -> Result<f64> {
    let n = same_stimuli(a, b)?;
    let (trace_a, a, unit_a) = root(n, &a.dissimilarities())?;
    let (trace_b, b, unit_b) = root(n, &b.dissimilarities())?;
    let ratio = unit_b / unit_a;
    let fidelity = nuclear_norm(&a, &b)? * ratio.sqrt();
    Ok((trace_a + trace_b * ratio - 2.0 * fidelity).max(0.0) * unit_a)
}
