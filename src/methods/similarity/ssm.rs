//! Similarity of similarity matrices.

use std::borrow::Cow;

use super::comparator::{Comparator, degenerate, same_stimuli};
use super::pair_scores::untied_square;
use super::pairwise::Pairwise;
use super::responses::enough_stimuli;
use crate::statistics::{SortedSample, deviations};
use crate::{Error, Result};

/// Which entries of the matrices are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Region {
    /// The strict upper triangle: every pair of stimuli once.
    #[default]
    Upper,
    /// All n² entries: every pair twice, and the diagonal, as in the code of Shi et al. That lifts the
    /// score, see [`full_from_upper`].
    Full,
}

impl Region {
    /// The upper triangle, and behind it the diagonal where it belongs to the region.
    pub(super) fn entries<'a>(self, table: &'a impl Pairwise) -> Cow<'a, [f64]> {
        match self {
            Region::Upper => Cow::Borrowed(table.upper()),
            Region::Full => Cow::Owned([table.upper(), &table.diagonal()].concat()),
        }
    }
}

/// Similarity of two similarity matrices, by a comparator over a region:
/// SSM(C, D) = Spearman(u(C), u(D)) with the strict upper triangles u, unless told otherwise.
///
/// ```
/// use hesse::similarity::{Comparator, Region, Rsm, RsmKind, Ssm};
/// let c = Rsm::from_upper(RsmKind::Pearson, vec![0.1, 0.2, 0.3])?;
/// let d = Rsm::from_upper(RsmKind::Pearson, vec![0.1, 0.9, 0.5])?;
/// assert_eq!(Ssm::new(Comparator::Spearman).score(&c, &d)?, 0.5);
/// let full = Ssm::default().region(Region::Full).score(&c, &d)?;
/// assert!((full - hesse::similarity::full_from_upper(0.5, 3)?).abs() < 1e-15);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ssm {
    pub(super) comparator: Comparator,
    pub(super) region: Region,
}

impl Ssm {
    /// By this comparator, over upper triangles.
    #[must_use]
    pub fn new(comparator: Comparator) -> Self {
        Self { comparator, region: Region::Upper }
    }

    /// Over this region.
    #[must_use]
    pub fn region(self, region: Region) -> Self {
        Self { region, ..self }
    }

    /// The similarity of two tables over the same stimuli.
    ///
    /// Over the whole matrix each pair weighs 2 and each diagonal entry 1, so that both triangles, and
    /// diagonals that are 1, are tied exactly. O(n²) and a sort for ranks.
    ///
    /// # Errors
    /// As [`Comparator::compare`]; [`Error::NotApplicable`] for whitened comparators and Bures over
    /// the whole matrix: they have no triangle to choose.
    pub fn score(&self, a: &impl Pairwise, b: &impl Pairwise) -> Result<f64> {
        match self.region {
            Region::Upper => self.comparator.compare(a, b),
            Region::Full => self.full(a, b),
        }
    }

    fn full(&self, a: &impl Pairwise, b: &impl Pairwise) -> Result<f64> {
        let n = same_stimuli(a, b)?;
        let (a, b) = (Region::Full.entries(a), Region::Full.entries(b));
        let mut weights = vec![[2.0]; a.len() - n];
        weights.resize(a.len(), [1.0]);
        match self.comparator {
            Comparator::TauA | Comparator::TauB => {
                let pairs = a.len() - n;
                let all = |v: &[f64]| [&v[..pairs], v].concat();
                self.comparator.kendall(&all(&a), &all(&b))
            }
            comparator if comparator.is_inner_product() => {
                let (a, b) =
                    (WeightedTable::new(comparator, &a)?, WeightedTable::new(comparator, &b)?);
                let (a, b) = (a.scores(&weights)?, b.scores(&weights)?);
                weighted_score(comparator, &weights, &a, &b)[0].ok_or_else(degenerate)
            }
            _ => Err(Error::not_applicable(
                "region of the comparison",
                "the upper triangle for whitened comparators and Bures",
                "the whole matrix",
            )),
        }
    }
}

/// What Spearman's SSM over the whole matrix is, given that over the upper triangle of n stimuli, for
/// diagonals of 1 and smaller entries without ties off them: (W ρ + B)/(W + B) with M = n(n − 1)/2,
/// W = 8(M³ − M)/12, B = 2M(m_o − m)² + n(m_d − m)² and the mean ranks m_o = (2M + 1)/2 off the
/// diagonal, m_d = 2M + (n + 1)/2 on it, m = (n² + 1)/2 of all.
///
/// # Errors
/// [`Error::Range`] for fewer than 3 stimuli or a correlation outside [−1, 1].
pub fn full_from_upper(upper: f64, stimuli: usize) -> Result<f64> {
    enough_stimuli(stimuli, 3)?;
    if !(-1.0..=1.0).contains(&upper) {
        return Err(Error::range("correlation", "-1 to 1", upper));
    }
    let n = stimuli as f64;
    let m = n * (n - 1.0) / 2.0;
    let within = 8.0 * (m * m * m - m) / 12.0;
    let (off, on, mean) = ((2.0 * m + 1.0) / 2.0, 2.0 * m + (n + 1.0) / 2.0, (n * n + 1.0) / 2.0);
    let between = 2.0 * m * (off - mean).powi(2) + n * (on - mean).powi(2);
    Ok((within * upper + between) / (within + between))
}

/// A table for an inner-product comparator under weights that change.
pub(super) enum WeightedTable {
    /// Sorted once.
    Ranks(SortedSample),
    /// Near 1 in size, around their mean.
    Values(Vec<f64>),
    /// Near 1 in size, with their zero.
    Raw(Vec<f64>),
}

impl WeightedTable {
    pub fn new(comparator: Comparator, table: &[f64]) -> Result<Self> {
        Ok(match comparator {
            Comparator::Spearman | Comparator::RhoA => {
                Self::Ranks(SortedSample::new("table", table)?)
            }
            Comparator::Pearson => Self::Values(deviations(table)),
            _ => {
                let largest = table.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                let unit = crate::statistics::power_above(largest);
                Self::Raw(table.iter().map(|v| v / unit).collect())
            }
        })
    }

    /// What is multiplied and summed under `L` choices of weights side by side.
    pub fn scores<const L: usize>(&self, weights: &[[f64; L]]) -> Result<Vec<[f64; L]>> {
        Ok(match self {
            Self::Ranks(sample) => {
                let mut scores = vec![[0.0; L]; weights.len()];
                sample.scores(weights, &mut scores)?;
                scores
            }
            Self::Raw(values) => values.iter().map(|&v| [v; L]).collect(),
            Self::Values(values) => {
                let (mut sums, mut totals) = ([0.0; L], [0.0; L]);
                for (w, v) in weights.iter().zip(values) {
                    for l in 0..L {
                        sums[l] += w[l] * v;
                        totals[l] += w[l];
                    }
                }
                let mut means = [0.0; L];
                (0..L).for_each(|l| means[l] = sums[l] / totals[l]);
                values.iter().map(|&v| means.map(|mean| v - mean)).collect()
            }
        })
    }
}

/// The comparator under each choice of weights; none where a side has no variance left.
pub(super) fn weighted_score<const L: usize>(
    comparator: Comparator,
    weights: &[[f64; L]],
    a: &[[f64; L]],
    b: &[[f64; L]],
) -> [Option<f64>; L] {
    let (mut inner, mut of_a, mut of_b, mut total) = ([0.0; L], [0.0; L], [0.0; L], [0.0; L]);
    for ((w, a), b) in weights.iter().zip(a).zip(b) {
        for l in 0..L {
            let (wa, wb) = (w[l] * a[l], w[l] * b[l]);
            inner[l] += wa * b[l];
            of_a[l] += wa * a[l];
            of_b[l] += wb * b[l];
            total[l] += w[l];
        }
    }
    let mut scores = [None; L];
    for l in 0..L {
        let square = match comparator {
            Comparator::RhoA => untied_square(total[l]) * untied_square(total[l]),
            _ => of_a[l] * of_b[l],
        };
        scores[l] = (square > 0.0).then(|| (inner[l] / square.sqrt()).clamp(-1.0, 1.0));
    }
    scores
}
