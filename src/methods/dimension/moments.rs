//! The dimension from the mean of the distances to the first k neighbours.

use super::cloud::PointCloud;
use super::combine::Combine;
use super::estimate::Estimate;
use super::estimator::Estimator;
use super::table::{check, refuse_zeros};
use crate::neighbors::Neighbors;
use crate::{Error, Result};

/// Method of moments: m/(T_k − m) at each point, m the mean of T₁, …, T_k; the mean over points.
///
/// Needs k neighbours a point. O(n k). On spheres of few dimensions 5 to 12% too large.
///
/// Source: Amsaleg, Chelly, Furon, Girard, Houle, Kawarabayashi, Nett, Data Mining and Knowledge
/// Discovery 32 (2018).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moments {
    k: usize,
    combine: Combine,
}

impl Moments {
    /// From the first k neighbours, k ≥ 2; combined by the arithmetic mean.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, combine: Combine::Arithmetic }
    }

    /// How the estimates of all points become one.
    #[must_use]
    pub fn combine(self, combine: Combine) -> Self {
        Self { combine, ..self }
    }

    /// The dimension.
    ///
    /// # Errors
    /// As [`Moments::pointwise`], and a mean that is infinite.
    pub fn fit(&self, table: &Neighbors) -> Result<Estimate> {
        self.combine.estimate(table, self.k, &self.pointwise(table)?)
    }

    /// The dimension at each point; infinite where all distances are the same.
    ///
    /// # Errors
    /// k < 2, a table of queries or of fewer neighbours, copies at distance T_k.
    pub fn pointwise(&self, table: &Neighbors) -> Result<Vec<f64>> {
        if self.k < 2 {
            return Err(Error::range("neighbours k", "2 or more", self.k));
        }
        check(table, self.k)?;
        refuse_zeros(table, self.k)?;
        let at = |i: usize| {
            let row = &table.distances(i)[..self.k];
            let last = row[self.k - 1];
            // Shares of T_k, so that nothing overflows; T_k − m as a sum of differences, which does
            // not cancel.
            let mean: f64 = row.iter().map(|t| t / last).sum();
            let rest: f64 = row.iter().map(|t| (last - t) / last).sum();
            mean / rest
        };
        Ok((0..table.len()).map(at).collect())
    }
}

impl Estimator for Moments {
    fn name(&self) -> &'static str {
        "mom"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("k", self.k.to_string()), ("combine", self.combine.name().to_owned())]
    }

    fn neighbours(&self) -> usize {
        self.k
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud.table())
    }

    fn at_points(&self, cloud: &PointCloud) -> Result<Option<Vec<f64>>> {
        self.pointwise(cloud.table()).map(Some)
    }
}
