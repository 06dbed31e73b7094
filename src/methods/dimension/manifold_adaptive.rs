//! The dimension from the distances to two neighbours at each point.

use std::f64::consts::LN_2;

use super::cloud::PointCloud;
use super::combine::Combine;
use super::estimate::Estimate;
use super::estimator::Estimator;
use super::table::log_ratios;
use crate::neighbors::Neighbors;
use crate::{Error, Result};

/// Manifold-adaptive dimension: ln 2/ln(T_k/T_⌊k/2⌋) at each point; the mean over points.
///
/// Needs k neighbours a point. O(n).
///
/// Source: Farahmand, Szepesvári, Audibert, ICML 2007; as in scikit-dimension for odd k, where k/2 is
/// rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifoldAdaptive {
    k: usize,
    combine: Combine,
}

impl ManifoldAdaptive {
    /// From neighbours ⌊k/2⌋ and k, k ≥ 2; combined by the arithmetic mean.
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
    /// As [`ManifoldAdaptive::pointwise`], and a mean that is infinite.
    pub fn fit(&self, table: &Neighbors) -> Result<Estimate> {
        self.combine.estimate(table, self.k, &self.pointwise(table)?)
    }

    /// The dimension at each point; infinite where both distances are the same.
    ///
    /// # Errors
    /// k < 2, a table of queries or of fewer neighbours, copies at distance T_⌊k/2⌋.
    pub fn pointwise(&self, table: &Neighbors) -> Result<Vec<f64>> {
        if self.k < 2 {
            return Err(Error::range("neighbours k", "2 or more", self.k));
        }
        let ratios = log_ratios(table, self.k / 2, self.k)?;
        Ok(ratios.into_iter().map(|ratio| LN_2 / ratio).collect())
    }
}

impl Estimator for ManifoldAdaptive {
    fn name(&self) -> &'static str {
        "mada"
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
