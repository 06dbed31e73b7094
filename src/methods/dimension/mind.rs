//! The dimension from the ratio of the first distance to that of a later neighbour.

use super::cloud::PointCloud;
use super::estimate::{Estimate, not_estimable};
use super::estimator::Estimator;
use super::flags::Flag;
use super::ratio_score::RatioScore;
use super::spread::error_of_mean;
use super::table::log_ratios;
use crate::neighbors::Neighbors;
use crate::{Error, Result};

/// MiND: ρ = T₁/T_(k+1) has the logarithm of the likelihood
///
/// N ln(kd) + (d − 1) Σ ln ρ + (k − 1) Σ ln(1 − ρ^d),
///
/// maximal at one d ([`Mind::new`]: the `MLk` of the paper) or among whole numbers
/// ([`Mind::whole`]: `MLi`). Points whose distances are all the same count with the limit ρ → 1.
///
/// Needs k + 1 neighbours a point. O(n) for each of some ten iterations. The standard error is that
/// of a root of a mean of scores of points that share neighbours; none for whole numbers.
///
/// Source: Rozza, Lombardi, Ceruti, Casiraghi, Campadelli, Machine Learning 89 (2012).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mind {
    k: usize,
    largest: Option<usize>,
    whole: bool,
}

impl Mind {
    /// From neighbours 1 and k + 1.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, largest: None, whole: false }
    }

    /// The best whole number instead of the best number.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Dimensions up to this one only; as an [`Estimator`], up to the number of features if they are
    /// known and nothing is said here.
    #[must_use]
    pub fn largest(self, largest: usize) -> Self {
        Self { largest: Some(largest), ..self }
    }

    /// The dimension.
    ///
    /// # Errors
    /// k = 0, a largest dimension of 0, a table of queries or of fewer than k + 1 neighbours, copies,
    /// points all of whose distances are the same.
    pub fn fit(&self, table: &Neighbors) -> Result<Estimate> {
        if self.k == 0 {
            return Err(Error::range("neighbours k", "1 or more", 0));
        }
        let largest = match self.largest {
            Some(0) => return Err(Error::range("largest dimension", "1 or more", 0)),
            largest => largest.map_or(f64::INFINITY, |largest| largest as f64),
        };
        let logs = log_ratios(table, 1, self.k + 1)?;
        let n = logs.len();
        let score = RatioScore {
            logs: &logs,
            count: n as f64,
            between: (self.k - 1) as f64,
            outer: self.k as f64,
        };
        let root = score.root();
        if root.is_nan() {
            return Err(not_estimable(format!("the same distances at all of {n} points")));
        }
        let limited = if root < largest { root } else { largest };
        if !self.whole {
            let own: Vec<f64> =
                logs.iter().map(|log| 1.0 / limited + score.of_ratio(limited, *log)).collect();
            let slope = -score.slope(limited, n as f64) / n as f64;
            let error = error_of_mean(table, self.k + 1, &own) / slope;
            return Ok(
                Estimate::new(limited, Some(error), n, n)?.flag(Flag::AtLimit, root >= largest)
            );
        }
        // The likelihood is concave in d: the best whole number is beside the root.
        let below = if limited.floor() > 1.0 { limited.floor() } else { 1.0 };
        let above = if below + 1.0 <= largest { below + 1.0 } else { below };
        let best = match self.likelihood(&logs, above) > self.likelihood(&logs, below) {
            true => above,
            false => below,
        };
        Ok(Estimate::new(best, None, n, n)?.flag(Flag::AtLimit, best == largest))
    }

    /// The likelihood up to terms without d.
    fn likelihood(&self, logs: &[f64], d: f64) -> f64 {
        let term = |log: &f64| match *log == 0.0 {
            true => d.ln(),
            false => (-(-d * log).exp_m1()).ln(),
        };
        let sum: f64 = logs.iter().sum();
        let terms: f64 = logs.iter().map(term).sum();
        logs.len() as f64 * d.ln() - d * sum + (self.k - 1) as f64 * terms
    }
}

impl Estimator for Mind {
    fn name(&self) -> &'static str {
        if self.whole { "mind_mli" } else { "mind" }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let largest = self.largest.map(|largest| ("largest", largest.to_string()));
        [("k", self.k.to_string())].into_iter().chain(largest).collect()
    }

    fn neighbours(&self) -> usize {
        self.k + 1
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        Self { largest: self.largest.or(cloud.features()), ..*self }.fit(cloud.table())
    }
}
