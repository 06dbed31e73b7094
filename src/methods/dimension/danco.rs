//! The dimension from norms and angles together.

use super::cloud::PointCloud;
use super::danco_statistics::{DancoStatistics, calibration};
use super::estimate::Estimate;
use super::estimator::Estimator;
use super::flags::Flag;
use super::spline::smallest_place;
use crate::{Error, Result};

/// Dimensions that are compared with unless said otherwise.
const LARGEST: usize = 100;

/// DANCo: the dimension whose uniform ball of as many points has the [`DancoStatistics`] nearest to
/// those of the cloud, by the divergence of the distributions of norms and angles; refined by the
/// minimum of a cubic spline through the divergences.
///
/// Needs coordinates and k + 1 neighbours a point. The calibration finds the neighbours of n points
/// in every dimension up to the largest one, from a random stream of its own, so that the result
/// depends on the seed alone; it is kept for the next cloud of as many points.
///
/// Source: Ceruti, Bassis, Rozza, Lombardi, Casiraghi, Campadelli, Pattern Recognition 47 (2014).
/// Departures: balls of at most 100 dimensions, and the exact minimum of the spline.
#[derive(Clone, Debug, PartialEq)]
pub struct Danco {
    k: usize,
    largest: Option<usize>,
    seed: u64,
    whole: bool,
    calibration: Option<Vec<DancoStatistics>>,
}

/// What [`Danco`] compared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DancoReport {
    /// Statistics of the cloud.
    pub statistics: DancoStatistics,
    /// Statistics of balls of 1, 2, … dimensions.
    pub calibration: Vec<DancoStatistics>,
    /// The divergence from each of them.
    pub divergences: Vec<f64>,
    /// The nearest dimension.
    pub whole: usize,
    /// The minimum of a spline through the divergences.
    pub refined: f64,
    /// Points.
    pub points: usize,
}

impl Danco {
    /// With k neighbours, 10 in the paper.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, largest: None, seed: 0, whole: false, calibration: None }
    }

    /// Dimensions up to this one; otherwise the number of features, 100 at most.
    #[must_use]
    pub fn largest(self, largest: usize) -> Self {
        Self { largest: Some(largest), ..self }
    }

    /// The seed of the calibration.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Statistics of balls of 1, 2, … dimensions that were computed elsewhere, for as many points.
    #[must_use]
    pub fn calibration(self, calibration: Vec<DancoStatistics>) -> Self {
        Self { calibration: Some(calibration), ..self }
    }

    /// The nearest whole dimension instead of the refined one.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Statistics, divergences, and the nearest dimension.
    ///
    /// # Errors
    /// As [`DancoStatistics::of`]; a calibration that is empty or smaller than the largest dimension;
    /// statistics that are no numbers.
    pub fn fit(&self, cloud: &PointCloud) -> Result<DancoReport> {
        let features = cloud.points("danco")?.d;
        let given = self.calibration.as_ref().map(Vec::len);
        let largest = self.largest.or(given).unwrap_or(features.min(LARGEST));
        if given.is_some_and(|given| given < largest) || largest == 0 {
            let expected = format!("of {} dimensions or more", largest.max(1));
            return Err(Error::range("calibration", expected, given.unwrap_or(0)));
        }
        let statistics = DancoStatistics::of(cloud, self.k, largest)?;
        let calibration = match &self.calibration {
            Some(given) => given[..largest].to_vec(),
            None => calibration(cloud.len(), self.k, largest, self.seed)?,
        };
        let divergences: Vec<f64> =
            calibration.iter().map(|other| statistics.divergence(other, self.k)).collect();
        if let Some(bad) = divergences.iter().position(|d| !d.is_finite()) {
            let what = format!("divergence from {} dimensions", bad + 1);
            return Err(Error::range(what, "a number", divergences[bad]));
        }
        let nearest = (0..largest)
            .reduce(|best, d| if divergences[d] < divergences[best] { d } else { best })
            .unwrap_or(0);
        let refined = smallest_place(&divergences);
        let points = cloud.len();
        Ok(DancoReport {
            statistics,
            calibration,
            divergences,
            whole: nearest + 1,
            refined,
            points,
        })
    }
}

impl Estimator for Danco {
    fn name(&self) -> &'static str {
        "danco"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let largest = self.largest.map(|largest| ("largest", largest.to_string()));
        let calibration = match self.calibration {
            Some(_) => ("calibration", "given".to_owned()),
            None => ("seed", self.seed.to_string()),
        };
        [("k", self.k.to_string()), calibration].into_iter().chain(largest).collect()
    }

    fn neighbours(&self) -> usize {
        self.k + 1
    }

    fn needs_coordinates(&self) -> bool {
        true
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        let report = self.fit(cloud)?;
        let value = if self.whole { report.whole as f64 } else { report.refined };
        let last = report.whole == report.divergences.len();
        let cut = last && cloud.features().is_some_and(|d| d > report.whole);
        Ok(Estimate::new(value, None, report.points, report.points)?.flag(Flag::AtLimit, cut))
    }
}
