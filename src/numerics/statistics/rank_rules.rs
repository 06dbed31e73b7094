//! How many eigenvalues count: rules of principal component analysis.

use super::spectrum::Spectrum;
use crate::{Error, Result};

/// A rule that reads a rank off the eigenvalues λ₁ ≥ λ₂ ≥ … ≥ λ_p with shares λ/Σλ, as in
/// scikit-dimension 0.5.0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RankRule {
    /// #{λ > share · λ₁}. Fukunaga and Olsen: share = 0.05.
    FukunagaOlsen {
        /// Between 0 and 1.
        share: f64,
    },
    /// The smallest m whose cumulated share reaches a share of the variance.
    Ratio {
        /// Between 0 and 1, not 0.
        share: f64,
    },
    /// #{λ > mean λ}.
    Kaiser,
    /// The m with the largest λ_m/λ_(m+1), among eigenvalues that can be told from 0: their number
    /// where it is 1.
    LargestGap,
    /// The number of leading shares above those of a stick broken at random,
    /// b_m = (1/p) Σ_{j=m..p} 1/j: 0 where already the first is below. Releases of scikit-dimension
    /// before 0.5 counted one more.
    BrokenStick,
    /// Fan: with r the first place at which the cumulated share exceeds 0.95 and s the mean of the
    /// eigenvalues from r on, the smallest m at which λ − s falls by a factor of more than 10 or its
    /// cumulated share exceeds 0.8.
    Fan,
}

impl Spectrum {
    /// The rank that a rule gives.
    ///
    /// # Errors
    /// A share outside its range.
    pub fn rank(&self, rule: RankRule) -> Result<usize> {
        let (values, shares) = (self.values(), self.shares());
        let p = values.len();
        let check =
            |share: f64, zero: bool| match (0.0..=1.0).contains(&share) && (zero || share > 0.0) {
                true => Ok(share),
                false => Err(Error::range("share", "between 0 and 1", share)),
            };
        Ok(match rule {
            RankRule::FukunagaOlsen { share } => {
                let limit = check(share, true)? * values[0];
                values.partition_point(|&v| v > limit)
            }
            RankRule::Ratio { share } => {
                let share = check(share, false)?;
                let reached = cumulated(&shares).position(|sum| sum >= share);
                // A sum of shares can round to just below 1.
                reached.map_or(p, |m| m + 1)
            }
            RankRule::Kaiser => shares.partition_point(|&share| share > 1.0 / p as f64),
            RankRule::LargestGap => {
                let values = self.significant();
                let ratio = |m: usize| values[m] / values[m + 1];
                // The first of equal ones.
                let gaps = (0..values.len() - 1).map(|m| (ratio(m), m));
                let best = gaps.reduce(|a, b| if b.0 > a.0 { b } else { a });
                best.map_or(values.len(), |(_, m)| m + 1)
            }
            RankRule::BrokenStick => {
                let stick = |m: usize| (m + 1..=p).map(|j| 1.0 / j as f64).sum::<f64>() / p as f64;
                (0..p).take_while(|&m| shares[m] > stick(m)).count()
            }
            RankRule::Fan => fan(&shares),
        })
    }
}

fn cumulated(shares: &[f64]) -> impl Iterator<Item = f64> + '_ {
    shares.iter().scan(0.0, |sum, share| {
        *sum += share;
        Some(*sum)
    })
}

fn fan(shares: &[f64]) -> usize {
    let p = shares.len();
    let r = cumulated(shares).position(|sum| sum > 0.95).unwrap_or(p - 1);
    let noise = shares[r..].iter().sum::<f64>() / (p - r) as f64;
    let raised: Vec<f64> = shares.iter().map(|share| share - noise).collect();
    let total: f64 = raised.iter().sum();
    let gap = (0..p - 1).find(|&m| raised[m] / raised[m + 1] > 10.0);
    let share = cumulated(&raised).position(|sum| sum / total > 0.8);
    gap.into_iter().chain(share).min().map_or(p, |m| m + 1)
}
