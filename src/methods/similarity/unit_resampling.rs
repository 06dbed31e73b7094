//! Similarities of subsets of the units.

use faer::MatRef;

use super::pairwise::Rsm;
use super::responses::check;
use super::rsm::{RowVariance, RsmKind};
use super::ssm::Ssm;
use crate::numerics::parallel;
use crate::random::Stream;
use crate::statistics::standard_deviation;
use crate::{Error, Real, Result};

/// Draws that are tried for one in which every stimulus has variance.
const ATTEMPTS: u64 = 1000;

/// Subsets of the units of a representation, drawn without replacement.
///
/// With replacement a unit may come twice, and its noise correlates with itself: an option for
/// comparisons with work that does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitResampling {
    size: usize,
    draws: usize,
    seed: u64,
    replacement: bool,
}

/// Similarities over draws of units.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UnitDraws {
    /// The similarity of each draw.
    pub scores: Vec<f64>,
    /// The units of each draw, ascending.
    pub units: Vec<Vec<usize>>,
    /// Draws in which a stimulus had no variance, drawn again.
    pub redrawn: usize,
}

impl UnitDraws {
    /// The mean of the scores.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len() as f64
    }

    /// Their standard deviation, n − 1 in the denominator.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        standard_deviation(&self.scores)
    }
}

impl UnitResampling {
    /// `draws` subsets of `size` units, seed 0.
    #[must_use]
    pub fn new(size: usize, draws: usize) -> Self {
        Self { size, draws, seed: 0, replacement: false }
    }

    /// Another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Units may come several times.
    #[must_use]
    pub fn with_replacement(self) -> Self {
        Self { replacement: true, ..self }
    }

    /// The similarity of the Pearson RSM of each subset of the units of `x` with `target`.
    ///
    /// Draw d is from the child d of the stream "similarity: units" of the seed; one in which a
    /// stimulus has no variance is drawn again. O(n² size) a draw.
    ///
    /// # Errors
    /// As [`Rsm::pearson`] and [`Ssm::score`]; [`Error::Range`] for a size outside 2 to p (with
    /// replacement: 2 or more), no draws, or 1000 draws in a row with a stimulus without variance.
    pub fn run<T: Real>(&self, ssm: Ssm, x: MatRef<'_, T>, target: &Rsm) -> Result<UnitDraws> {
        let draws = self.draws(x)?;
        let score = |d: usize| ssm.score(&draws[d].0, target);
        let scores = parallel::map(draws.len(), score).into_iter().collect::<Result<_>>()?;
        let redrawn = draws.iter().map(|draw| draw.2).sum();
        let units = draws.into_iter().map(|(_, units, _)| units).collect();
        Ok(UnitDraws { scores, units, redrawn })
    }

    /// The Pearson RSM of each subset: as areas of [`PseudoDepth`](super::PseudoDepth) they show how
    /// depths depend on the units that were recorded.
    ///
    /// # Errors
    /// As [`UnitResampling::run`].
    pub fn rsms<T: Real>(&self, x: MatRef<'_, T>) -> Result<Vec<Rsm>> {
        Ok(self.draws(x)?.into_iter().map(|(rsm, _, _)| rsm).collect())
    }

    /// RSM, units and attempts of every draw.
    fn draws<T: Real>(&self, x: MatRef<'_, T>) -> Result<Vec<(Rsm, Vec<usize>, usize)>> {
        let (_, p) = check("x", x)?;
        let largest = if self.replacement { usize::MAX } else { p };
        if self.size < 2 || self.size > largest {
            let most = if self.replacement { "more".to_owned() } else { format!("{p}") };
            return Err(Error::range("units of a subset", format!("2 to {most}"), self.size));
        }
        if self.draws == 0 {
            return Err(Error::empty("draws"));
        }
        let stream = Stream::new(self.seed, "similarity: units");
        let draw = |d: usize| {
            for attempt in 0..ATTEMPTS {
                let units = self.units(stream.child(d as u64).child(attempt), p);
                let silent = |i: usize| units.iter().all(|&u| x[(i, u)] == x[(i, units[0])]);
                if (0..x.nrows()).any(silent) {
                    continue;
                }
                let rsm = Rsm::of_units(x, &units, RsmKind::Pearson, RowVariance::Error)?;
                return Ok((rsm, units, attempt as usize));
            }
            let what = format!("draw {d} of {} units", self.size);
            Err(Error::range(what, "variance of every stimulus", "none in 1000 attempts"))
        };
        parallel::map(self.draws, draw).into_iter().collect()
    }

    fn units(&self, stream: Stream, p: usize) -> Vec<usize> {
        let mut units = if self.replacement {
            let mut units = vec![0; self.size];
            stream.indices(0, p, &mut units);
            units
        } else {
            let mut units = stream.permutation(p);
            units.truncate(self.size);
            units
        };
        units.sort_unstable();
        units
    }
}
