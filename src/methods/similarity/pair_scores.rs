//! Tables over pairs prepared for comparators that are inner products.

use hesse_kernels::level1;

use super::comparator::{Comparator, degenerate};
use crate::statistics::{SortedSample, deviations, power_above};
use crate::{Isa, Result};

/// A vector over pairs so that a comparator is ⟨a, b⟩/√(|a|²|b|²) of two.
///
/// Scores of ranks are 2r − (M + 1), whole numbers: inner products are exact for M ≤ 2·10⁵.
#[derive(Clone, Debug)]
pub(super) struct PairScores {
    pub values: Vec<f64>,
    /// |a|², or what takes its place.
    square: f64,
}

impl PairScores {
    pub fn new(comparator: Comparator, table: &[f64]) -> Result<Self> {
        let values = match comparator {
            Comparator::Spearman | Comparator::RhoA => {
                let sample = SortedSample::new("table", table)?;
                let mut scores = vec![[0.0]; table.len()];
                sample.scores(&vec![[1.0]; table.len()], &mut scores)?;
                scores.into_iter().map(|[score]| score).collect()
            }
            Comparator::Pearson => deviations(table),
            _ => {
                let largest = level1::max_abs(Isa::current(), table);
                table.iter().map(|v| v / power_above(largest)).collect()
            }
        };
        let square = match comparator {
            Comparator::RhoA => untied_square(table.len() as f64),
            _ => level1::dot(Isa::current(), &values, &values),
        };
        if square <= 0.0 {
            return Err(degenerate());
        }
        Ok(Self { values, square })
    }

    pub fn compare(&self, other: &Self) -> f64 {
        self.normalised(other, level1::dot(Isa::current(), &self.values, &other.values))
    }

    /// The comparator of an inner product of these scores, in whatever order of the pairs.
    pub fn normalised(&self, other: &Self, inner: f64) -> f64 {
        (inner / (self.square * other.square).sqrt()).clamp(-1.0, 1.0)
    }

    /// √(|a|²|b|²).
    pub fn norm(&self, other: &Self) -> f64 {
        (self.square * other.square).sqrt()
    }
}

/// Σ (2r − (W + 1))² over ranks 1 to W: (W³ − W)/3.
pub(super) fn untied_square(total: f64) -> f64 {
    (total * total * total - total) / 3.0
}
