//! The dimension from the distances to the first k neighbours.

use super::cloud::PointCloud;
use super::combine::Combine;
use super::estimate::Estimate;
use super::estimator::Estimator;
use super::table::{check, map, refuse_zeros};
use crate::neighbors::Neighbors;
use crate::{Error, Result};

/// Maximum likelihood of the dimension at each point, m_k = (k − 1)/Σ_{j<k} ln(T_k/T_j), combined
/// over points and averaged over k.
///
/// The standard error is that of a mean over points that share neighbours; none for the median.
///
/// Needs k neighbours a point. O(n k) for each k.
///
/// Source: Levina, Bickel, NIPS 2004; MacKay, Ghahramani, note of 2005 for [`Combine::Harmonic`].
///
/// ```
/// use hesse::dimension::MaximumLikelihood;
/// use hesse::faer::Mat;
/// use hesse::neighbors::Knn;
///
/// let line = Mat::from_fn(200, 3, |i, j| ((i * i) as f64).sqrt() * [1.0, 2.0, -1.0][j]);
/// let table = Knn::new(10).build(line.as_ref())?;
/// let dimension = MaximumLikelihood::new(10).fit(&table)?;
/// assert!((dimension.value - 1.0).abs() < 0.5);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaximumLikelihood {
    smallest: usize,
    largest: usize,
    combine: Combine,
    unbiased: bool,
}

impl MaximumLikelihood {
    /// From the first k neighbours, k ≥ 2; combined by the harmonic mean.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { smallest: k, largest: k, combine: Combine::default(), unbiased: false }
    }

    /// Averaged over k from `smallest` to `largest`, both included: 10 to 20 in the paper.
    #[must_use]
    pub fn over(smallest: usize, largest: usize) -> Self {
        Self { smallest, largest, ..Self::new(smallest) }
    }

    /// How the estimates of all points become one.
    #[must_use]
    pub fn combine(self, combine: Combine) -> Self {
        Self { combine, ..self }
    }

    /// k − 2 instead of k − 1 in the numerator: unbiased at each point. Needs k ≥ 3.
    #[must_use]
    pub fn unbiased(self) -> Self {
        Self { unbiased: true, ..self }
    }

    /// The dimension.
    ///
    /// # Errors
    /// A table of queries or of fewer neighbours, k < 2 (unbiased: 3), copies, or distances that
    /// determine no dimension, as on a grid where all k are the same.
    pub fn fit(&self, table: &Neighbors) -> Result<Estimate> {
        self.check(table)?;
        let count = (self.largest - self.smallest + 1) as f64;
        let (mut value, mut error) = (0.0, Some(0.0));
        for k in self.smallest..=self.largest {
            let values = map(table.len(), |i| 1.0 / self.inverse(table, i, k));
            let estimate = self.combine.estimate(table, k, &values)?;
            value += estimate.value / count;
            // Estimates at neighbouring k are nearly the same: their errors are taken as one.
            error = error.zip(estimate.standard_error).map(|(sum, error)| sum + error / count);
        }
        Estimate::new(value, error, table.len(), table.len())
    }

    /// The estimate at each point, averaged over k; infinite where all distances are the same.
    ///
    /// # Errors
    /// As [`MaximumLikelihood::fit`].
    pub fn pointwise(&self, table: &Neighbors) -> Result<Vec<f64>> {
        self.check(table)?;
        let count = (self.largest - self.smallest + 1) as f64;
        let at = |i: usize| {
            let sum: f64 =
                (self.smallest..=self.largest).map(|k| 1.0 / self.inverse(table, i, k)).sum();
            sum / count
        };
        Ok(map(table.len(), at))
    }

    fn check(&self, table: &Neighbors) -> Result<()> {
        let fewest = if self.unbiased { 3 } else { 2 };
        if self.smallest < fewest || self.largest < self.smallest {
            let expected = format!("ascending from {fewest} or more");
            let got = format!("{} to {}", self.smallest, self.largest);
            return Err(Error::range("neighbours k", expected, got));
        }
        check(table, self.largest)?;
        refuse_zeros(table, 1)
    }

    /// 1/m_k at point i.
    fn inverse(&self, table: &Neighbors, i: usize, k: usize) -> f64 {
        let row = table.distances(i);
        let sum: f64 = row[..k - 1].iter().map(|t| (row[k - 1] / t).ln()).sum();
        sum / (k - if self.unbiased { 2 } else { 1 }) as f64
    }
}

impl Estimator for MaximumLikelihood {
    fn name(&self) -> &'static str {
        "mle"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let k = match self.smallest == self.largest {
            true => self.largest.to_string(),
            false => format!("{}..={}", self.smallest, self.largest),
        };
        let numerator = if self.unbiased { "k-2" } else { "k-1" };
        vec![
            ("k", k),
            ("combine", self.combine.name().to_owned()),
            ("numerator", numerator.to_owned()),
        ]
    }

    fn neighbours(&self) -> usize {
        self.largest
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud.table())
    }

    fn at_points(&self, cloud: &PointCloud) -> Result<Option<Vec<f64>>> {
        self.pointwise(cloud.table()).map(Some)
    }
}
