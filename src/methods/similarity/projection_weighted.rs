//! Canonical correlations weighted by what they explain of one side.

use faer::{Mat, MatRef};

use super::canonical::{Cca, Cut};
use super::principal::PrincipalDirections;
use super::responses::{centre_units, check_pair, pack};
use crate::numerics::parallel;
use crate::{Real, Result};

/// Units of one task.
const BLOCK: usize = 1024;

/// Which of two representations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first.
    X,
    /// The second.
    Y,
}

/// PWCCA: Σ wᵢ ρᵢ with wᵢ ∝ Σⱼ |hᵢ·xⱼ|, over canonical variates hᵢ and units xⱼ of the reference side,
/// centred over stimuli, Σ w = 1. Not symmetric: the reference side is part of the question.
///
/// After a cut, units are projected onto the directions kept, which changes no weight: hᵢ is among
/// them. Cost as [`Cca`], and 2 n k p flops in a second pass over the reference side.
///
/// Source: Morcos et al. 2018, equation 3. Departures from the reference code: variates are those of
/// the whitened data, projections are of centred units, and both sides may have any number of units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pwcca {
    reference: Side,
    cca: Cca,
}

/// What [`Pwcca`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProjectionWeighted {
    /// Σ w ρ.
    pub score: f64,
    /// Canonical correlations, descending.
    pub rho: Vec<f64>,
    /// Their weights, sum 1.
    pub weights: Vec<f64>,
    /// Dimensions kept of x and y.
    pub kept: (usize, usize),
}

impl Pwcca {
    /// Weighted by the units of this side.
    #[must_use]
    pub fn new(reference: Side) -> Self {
        Self { reference, cca: Cca::new() }
    }

    /// Of the leading directions.
    #[must_use]
    pub fn cut(self, cut: Cut) -> Self {
        Self { cca: self.cca.cut(cut), ..self }
    }

    /// Accepts more than n − 1 dimensions of both sides together.
    #[must_use]
    pub fn allow_underdetermined(self) -> Self {
        Self { cca: self.cca.allow_underdetermined(), ..self }
    }

    /// The score of X and Y.
    ///
    /// # Errors
    /// As [`Cca::fit`].
    pub fn fit<T: Real>(&self, x: MatRef<'_, T>, y: MatRef<'_, T>) -> Result<ProjectionWeighted> {
        check_pair(x, y, 2)?;
        let (of_x, of_y) = (PrincipalDirections::of(x)?, PrincipalDirections::of(y)?);
        let (found, svd) = self.cca.decompose(&of_x, &of_y, None)?;
        let (directions, rotation, responses) = match self.reference {
            Side::X => (&of_x, &svd.left, x),
            Side::Y => (&of_y, &svd.right, y),
        };
        let (n, m) = (directions.stimuli(), found.rho.len());
        let kept = rotation.nrows();
        // Rows are the canonical variates.
        let variates = Mat::from_fn(m, n, |i, s| {
            (0..kept).map(|k| directions.left[(s, k)] * rotation[(k, i)]).sum::<f64>()
        });
        let shards = parallel::shards(responses.ncols(), BLOCK);
        let partial = |s: usize| {
            let mut block = Vec::new();
            let unit = directions.unit;
            pack(responses, shards[s].clone(), &mut block, |_, value| value / unit);
            centre_units(&mut block, n);
            let width = shards[s].len();
            let mut sums = vec![0.0; m];
            for (i, sum) in sums.iter_mut().enumerate() {
                let mut projections = vec![0.0; width];
                for (row, stimulus) in block.chunks_exact(width).zip(0..n) {
                    let h = variates[(i, stimulus)];
                    projections.iter_mut().zip(row).for_each(|(p, x)| *p += h * x);
                }
                *sum = projections.iter().map(|p| p.abs()).sum();
            }
            sums
        };
        let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        let mut weights = parallel::reduce(shards.len(), partial, add).unwrap_or_default();
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        let score = weights.iter().zip(&found.rho).map(|(w, rho)| w * rho).sum();
        Ok(ProjectionWeighted { score, rho: found.rho, weights, kept: found.kept })
    }
}
