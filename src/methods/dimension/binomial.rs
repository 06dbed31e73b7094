//! The dimension from the share of neighbours within a smaller ball.

use super::cloud::PointCloud;
use super::estimate::{Estimate, not_estimable};
use super::estimator::Estimator;
use super::table::{check, refuse_zeros};
use crate::neighbors::Neighbors;
use crate::numerics::special::{digamma, trigamma};
use crate::{Error, Result};

/// Binomial estimator: of the k − 1 neighbours nearer than the k-th, nᵢ lie within r T_k(i), each with
/// probability r^d.
///
/// Maximum likelihood: d = ln(n̄/(k − 1))/ln r, standard error √((r^(−d) − 1)/((k − 1) N))/|ln r|.
/// With a uniform prior for the probability ([`Binomial::posterior`]) it is distributed as
/// Beta(1 + Σn, 1 + (k − 1) N − Σn): the mean of d is (ψ(a) − ψ(a + b))/ln r, its standard deviation
/// √(ψ′(a) − ψ′(a + b))/|ln r|. Both take the points as independent.
///
/// Needs k neighbours a point. O(n k).
///
/// Source: Denti, Doimo, Laio, Mira, Scientific Reports 12:20005 (2022); DADApy 0.3.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Binomial {
    k: usize,
    ratio: f64,
    posterior: bool,
}

impl Binomial {
    /// From the k − 1 neighbours before the k-th, k ≥ 2, and the share of T_k that the smaller ball
    /// has, between 0 and 1.
    #[must_use]
    pub fn new(k: usize, ratio: f64) -> Self {
        Self { k, ratio, posterior: false }
    }

    /// Mean and standard deviation of the posterior instead of maximum likelihood.
    #[must_use]
    pub fn posterior(self) -> Self {
        Self { posterior: true, ..self }
    }

    /// The dimension.
    ///
    /// # Errors
    /// k < 2, a ratio outside (0, 1), a table of queries or of fewer neighbours, copies at distance
    /// T_k, no point within any smaller ball or all of them (maximum likelihood).
    pub fn fit(&self, table: &Neighbors) -> Result<Estimate> {
        let Self { k, ratio, posterior } = *self;
        if k < 2 {
            return Err(Error::range("neighbours k", "2 or more", k));
        }
        if !(ratio > 0.0 && ratio < 1.0) {
            return Err(Error::range("ratio of radii", "between 0 and 1", ratio));
        }
        check(table, k)?;
        refuse_zeros(table, k)?;
        let n = table.len();
        let within = |i: usize| {
            let row = table.distances(i);
            let radius = ratio * row[k - 1];
            row[..k - 1].partition_point(|t| *t <= radius)
        };
        let inside: usize = (0..n).map(within).sum();
        let all = (k - 1) * n;
        let log = ratio.ln();
        let (value, error) = if posterior {
            let (a, b) = (1.0 + inside as f64, 1.0 + (all - inside) as f64);
            let mean = (digamma(a) - digamma(a + b)) / log;
            (mean, (trigamma(a) - trigamma(a + b)).sqrt() / -log)
        } else {
            if inside == 0 || inside == all {
                let got = format!("{inside} of {all} neighbours within the smaller balls");
                return Err(not_estimable(got));
            }
            let share = inside as f64 / all as f64;
            (share.ln() / log, ((1.0 / share - 1.0) / all as f64).sqrt() / -log)
        };
        Estimate::new(value, Some(error), n, n)
    }
}

impl Estimator for Binomial {
    fn name(&self) -> &'static str {
        "binomial"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let estimate = if self.posterior { "posterior" } else { "maximum_likelihood" };
        vec![
            ("k", self.k.to_string()),
            ("ratio", self.ratio.to_string()),
            ("estimate", estimate.to_owned()),
        ]
    }

    fn neighbours(&self) -> usize {
        self.k
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud.table())
    }
}
