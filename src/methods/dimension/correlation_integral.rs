//! The dimension from the growth of the number of pairs with their distance.

use super::cloud::PointCloud;
use super::combine::median;
use super::estimate::{Estimate, not_estimable};
use super::estimator::Estimator;
use super::table::check;
use crate::neighbors::{Neighbors, pairs_within};
use crate::{Error, Result};

/// Correlation dimension: ln(C(r₂)/C(r₁))/ln(r₂/r₁), C(r) the number of pairs nearer than r, between
/// the medians r₁ and r₂ of the distances to neighbours k₁ and k₂.
///
/// Needs coordinates and k₂ neighbours a point. n² d flops. For an odd number of points each radius
/// is itself a distance, and pairs at that distance do not count.
///
/// Source: Grassberger, Procaccia, Physica D 9 (1983).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorrelationIntegral {
    k1: usize,
    k2: usize,
}

impl CorrelationIntegral {
    /// Between neighbours k₁ < k₂.
    #[must_use]
    pub fn new(k1: usize, k2: usize) -> Self {
        Self { k1, k2 }
    }

    /// The two radii.
    ///
    /// # Errors
    /// Unless 1 ≤ k₁ < k₂, a table of queries or of fewer neighbours.
    pub fn radii(&self, table: &Neighbors) -> Result<[f64; 2]> {
        let Self { k1, k2 } = *self;
        if k1 == 0 || k2 <= k1 {
            return Err(Error::range("neighbours k₁, k₂", "1 ≤ k₁ < k₂", format!("{k1}, {k2}")));
        }
        check(table, k2)?;
        let of = |k: usize| median((0..table.len()).map(|i| table.distances(i)[k - 1]).collect());
        Ok([of(k1), of(k2)])
    }

    /// The dimension.
    ///
    /// # Errors
    /// As [`CorrelationIntegral::radii`], a cloud without coordinates, the same radii, or no pair
    /// within the smaller one.
    pub fn fit(&self, cloud: &PointCloud) -> Result<Estimate> {
        let [r1, r2] = self.radii(cloud.table())?;
        let points = cloud.points(Estimator::name(self))?;
        if r1 >= r2 {
            return Err(not_estimable(format!("{r1} for both radii")));
        }
        let x = faer::MatRef::from_row_major_slice(&points.rows, points.n, points.d);
        let counts = pairs_within(x, &[r1, r2])?;
        if counts[0] == 0 {
            return Err(not_estimable(format!("no pair nearer than {r1}")));
        }
        let value = (counts[1] as f64 / counts[0] as f64).ln() / (r2 / r1).ln();
        Estimate::new(value, None, points.n, points.n)
    }
}

impl Estimator for CorrelationIntegral {
    fn name(&self) -> &'static str {
        "correlation_integral"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("k1", self.k1.to_string()), ("k2", self.k2.to_string())]
    }

    fn neighbours(&self) -> usize {
        self.k2
    }

    fn needs_coordinates(&self) -> bool {
        true
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud)
    }
}
