//! Where projections were observed.

use faer::MatRef;
use sprs::CsMatView;

use crate::{Error, Result};

/// Ω: at which target voxels the projections of which experiments were observed.
///
/// *Sign.* The paper's Ω is 1 where a projection was observed; the published codes store the
/// complement (not zero = injected, to be ignored). The constructors say which of the two they take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    targets: usize,
    experiments: usize,
    /// Column-major.
    at: Vec<bool>,
}

impl Observed {
    /// Everything was observed, as in a hemisphere without injections.
    #[must_use]
    pub fn everywhere(targets: usize, experiments: usize) -> Self {
        Self { targets, experiments, at: vec![true; targets * experiments] }
    }

    /// Observed wherever nothing was injected: Ωₑ = 1 − indicator of the support of xₑ. Sources and
    /// targets are the same voxels in the same order.
    #[must_use]
    pub fn outside_injections(x: CsMatView<'_, f64>) -> Self {
        let mut observed = Self::everywhere(x.rows(), x.cols());
        for (value, (s, e)) in x.iter() {
            if *value != 0.0 {
                observed.at[s + e * x.rows()] = false;
            }
        }
        observed
    }

    /// Observed where `observed(target, experiment)` is true.
    pub fn where_observed(
        targets: usize,
        experiments: usize,
        observed: impl Fn(usize, usize) -> bool,
    ) -> Self {
        let at = (0..targets * experiments).map(|i| observed(i % targets, i / targets)).collect();
        Self { targets, experiments, at }
    }

    /// Observed where `hidden(target, experiment)` is false: the sense of the published codes.
    pub fn where_not_hidden(
        targets: usize,
        experiments: usize,
        hidden: impl Fn(usize, usize) -> bool,
    ) -> Self {
        Self::where_observed(targets, experiments, |t, e| !hidden(t, e))
    }

    /// Observed where the matrix (targets × experiments) is 1, not where it is 0.
    ///
    /// # Errors
    /// [`Error::Range`] for any other number.
    pub fn from_ones(omega: MatRef<'_, f64>) -> Result<Self> {
        for e in 0..omega.ncols() {
            for t in 0..omega.nrows() {
                let value = omega[(t, e)];
                if value != 0.0 && value != 1.0 {
                    let got = format!("{value} at ({t}, {e})");
                    return Err(Error::range("observed", "1 where observed, else 0", got));
                }
            }
        }
        Ok(Self::where_observed(omega.nrows(), omega.ncols(), |t, e| omega[(t, e)] == 1.0))
    }

    /// Targets and experiments.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.targets, self.experiments)
    }

    /// Whether the projection of this experiment to this target was observed; false outside the
    /// shape.
    #[must_use]
    #[inline(always)]
    pub fn at(&self, target: usize, experiment: usize) -> bool {
        target < self.targets
            && self.at.get(target + experiment * self.targets).copied().unwrap_or(false)
    }

    /// How many were observed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.at.iter().filter(|at| **at).count()
    }

    /// The column of one experiment.
    pub(super) fn experiment(&self, e: usize) -> &[bool] {
        &self.at[e * self.targets..(e + 1) * self.targets]
    }

    pub(super) fn select(&self, experiments: &[usize]) -> Self {
        let at = experiments.iter().flat_map(|&e| self.experiment(e).iter().copied()).collect();
        Self { targets: self.targets, experiments: experiments.len(), at }
    }
}
