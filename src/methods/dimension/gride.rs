//! The dimension from the ratio of two distances at any scale.

use super::cloud::PointCloud;
use super::estimate::{Estimate, not_estimable};
use super::estimator::Estimator;
use super::ratio_score::RatioScore;
use super::table::{check, log_ratios, mean_distance};
use crate::neighbors::Neighbors;
use crate::{Error, Result};

/// What to do with points at which both distances are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ties {
    /// Leave them out, as scikit-dimension does.
    #[default]
    Drop,
    /// Take the ratio 1 + 10 ε, ε = 2⁻⁵², as DADApy does: on whole numbers, estimates a little
    /// larger.
    Nudge,
}

/// Gride: μ = T_{n₂}/T_{n₁} has the density d (μ^d − 1)^(n₂−n₁−1)/(B(n₂−n₁, n₁) μ^((n₂−1)d+1)). The
/// dimension at the scale of these neighbours is the one root in d of
///
/// (N−1)/d + (n₂−n₁−1) Σ ln μ/(1 − μ^(−d)) − (n₂−1) Σ ln μ,
///
/// which falls with d. n₁ = 1, n₂ = 2 is TwoNN by maximum likelihood. The standard error is that of
/// the information at the root. Ratios above q₅₀ + 20(q₉₅ − q₅₀) are left out, as in the reference.
///
/// Needs n₂ neighbours a point. O(n) for each of some ten iterations.
///
/// Source: Denti, Doimo, Laio, Mira, Scientific Reports 12:20005 (2022).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gride {
    n1: usize,
    n2: usize,
    ties: Ties,
}

impl Gride {
    /// From neighbours n₁ < n₂.
    #[must_use]
    pub fn new(n1: usize, n2: usize) -> Self {
        Self { n1, n2, ties: Ties::default() }
    }

    /// What to do where both distances are the same.
    #[must_use]
    pub fn ties(self, ties: Ties) -> Self {
        Self { ties, ..self }
    }

    /// Estimates at n₁ = 1, 2, 4, … and n₂ = 2 n₁ as long as the table has the neighbours, each with
    /// its n₁.
    ///
    /// # Errors
    /// As [`Gride::fit`] at the first scale that has no estimate.
    pub fn scales(table: &Neighbors, ties: Ties) -> Result<Vec<(usize, Estimate)>> {
        let scales = std::iter::successors(Some(1), |n1| Some(2 * n1));
        scales
            .take_while(|n1| 2 * n1 <= table.k())
            .map(|n1| Ok((n1, Gride::new(n1, 2 * n1).ties(ties).fit(table)?)))
            .collect()
    }

    /// The scale of the estimate: the mean of T_n₁ and T_n₂ over all points, in the unit of the data.
    ///
    /// # Errors
    /// Unless 1 ≤ n₁ < n₂, a table of queries or of fewer neighbours.
    pub fn scale(&self, table: &Neighbors) -> Result<f64> {
        self.check()?;
        check(table, self.n2)?;
        Ok(mean_distance(table, [self.n1, self.n2]))
    }

    fn check(&self) -> Result<()> {
        let Self { n1, n2, .. } = self;
        if *n1 == 0 || n2 <= n1 {
            return Err(Error::range("neighbours n₁, n₂", "1 ≤ n₁ < n₂", format!("{n1}, {n2}")));
        }
        Ok(())
    }

    /// The dimension.
    ///
    /// # Errors
    /// Unless 1 ≤ n₁ < n₂, a table of queries or of fewer neighbours, copies at distance n₁, or
    /// ratios that determine no dimension.
    pub fn fit(&self, table: &Neighbors) -> Result<Estimate> {
        let Self { n1, n2, ties } = *self;
        self.check()?;
        let mut logs = log_ratios(table, n1, n2)?;
        match ties {
            Ties::Drop => logs.retain(|&log| log > 0.0),
            Ties::Nudge => {
                let least = (10.0 * f64::EPSILON).ln_1p();
                logs.iter_mut().filter(|log| **log <= 0.0).for_each(|log| *log = least);
            }
        }
        logs.sort_unstable_by(f64::total_cmp);
        if let (Some(middle), Some(high)) = (quantile(&logs, 0.5), quantile(&logs, 0.95)) {
            let limit = middle + 20.0 * (high - middle);
            logs.retain(|log| log.exp() <= limit);
        }
        let n = logs.len();
        if n < 2 {
            return Err(not_estimable(format!("{n} usable points of {}", table.len())));
        }
        let score = RatioScore {
            logs: &logs,
            count: (n - 1) as f64,
            between: (n2 - n1 - 1) as f64,
            outer: (n2 - 1) as f64,
        };
        let value = score.root();
        let slope = -score.slope(value, n as f64);
        Estimate::new(value, Some(1.0 / slope.sqrt()), n, table.len())
    }
}

impl Estimator for Gride {
    fn name(&self) -> &'static str {
        "gride"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let ties = match self.ties {
            Ties::Drop => "drop",
            Ties::Nudge => "nudge",
        };
        vec![("n1", self.n1.to_string()), ("n2", self.n2.to_string()), ("ties", ties.to_owned())]
    }

    fn neighbours(&self) -> usize {
        self.n2
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud.table())
    }
}

/// The quantile of ratios, given by their sorted logarithms, interpolated between ranks.
fn quantile(logs: &[f64], q: f64) -> Option<f64> {
    let place = (logs.len().checked_sub(1)?) as f64 * q;
    let (low, rest) = (place.floor() as usize, place.fract());
    let (a, b) = (logs[low].exp(), logs[(low + 1).min(logs.len() - 1)].exp());
    Some(a + rest * (b - a))
}
