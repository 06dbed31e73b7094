//! Estimators by name, on one shared cloud of points.

use std::fmt::Debug;

use super::cloud::PointCloud;
use super::estimate::Estimate;
use super::flags::Flag;
use super::{
    Binomial, CorrelationIntegral, Danco, FisherSeparability, GeodesicDimension, Gride, LocalPca,
    LocalRule, ManifoldAdaptive, MaximumLikelihood, Mind, Moments, SimplexSkewness, Skewness,
    SpanningTreeGrowth, Tight, TwoNn,
};
use crate::statistics::RankRule;
use crate::{Error, Result};

/// An estimator of the dimension with its settings: what can be listed and run by name.
///
/// Each estimator also has methods of its own (`fit`, `pointwise` and what else it reports); those
/// of this trait are the ones that all share.
pub trait Estimator: Debug + Send + Sync {
    /// Its name: `two_nn`.
    fn name(&self) -> &'static str;

    /// Its settings, as names and values.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// Neighbours that the table must have.
    fn neighbours(&self) -> usize;

    /// Whether it reads coordinates and not distances alone.
    fn needs_coordinates(&self) -> bool {
        false
    }

    /// The dimension of all points together, flagged where it is larger than the number of features.
    ///
    /// # Errors
    /// As [`Estimator::estimate`].
    fn run(&self, cloud: &PointCloud) -> Result<Estimate> {
        let estimate = self.estimate(cloud)?;
        let above = cloud.features().is_some_and(|d| estimate.value > d as f64);
        Ok(estimate.flag(Flag::AboveFeatures, above))
    }

    /// The dimension of all points together: what [`Estimator::run`] calls.
    ///
    /// # Errors
    /// Settings that make no sense, a cloud with fewer neighbours or without coordinates that are
    /// needed, distances that determine no dimension.
    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate>;

    /// The dimension at each point; `None` for an estimator that has only one for all.
    ///
    /// # Errors
    /// As [`Estimator::estimate`].
    fn at_points(&self, cloud: &PointCloud) -> Result<Option<Vec<f64>>> {
        let _ = cloud;
        Ok(None)
    }
}

type Make = fn(Option<usize>) -> Box<dyn Estimator>;

/// Names, and how the estimator with k neighbours, or with its usual number, is made.
const MAKERS: [(&str, Make); 17] = [
    ("two_nn", |_| Box::new(TwoNn::linear(0.9))),
    ("mle", |k| Box::new(MaximumLikelihood::new(k.unwrap_or(20)))),
    ("gride", |k| {
        let outer = k.unwrap_or(2);
        Box::new(Gride::new(outer / 2, outer))
    }),
    ("mind", |k| Box::new(Mind::new(k.unwrap_or(20)))),
    ("mind_mli", |k| Box::new(Mind::new(k.unwrap_or(20)).whole())),
    ("mom", |k| Box::new(Moments::new(k.unwrap_or(20)))),
    ("mada", |k| Box::new(ManifoldAdaptive::new(k.unwrap_or(20)))),
    ("binomial", |k| Box::new(Binomial::new(k.unwrap_or(20), 0.5))),
    ("tle", |k| Box::new(Tight::new(k.unwrap_or(20)))),
    ("ess", |k| Box::new(SimplexSkewness::new(k.unwrap_or(30), Skewness::Area))),
    ("ess_b", |k| Box::new(SimplexSkewness::new(k.unwrap_or(30), Skewness::Projection))),
    ("local_pca", |k| {
        let rule = LocalRule::Rank(RankRule::FukunagaOlsen { share: 0.05 });
        Box::new(LocalPca::new(k.unwrap_or(30), rule))
    }),
    ("correlation_integral", |k| {
        let k = k.unwrap_or(20);
        Box::new(CorrelationIntegral::new(k / 2, k))
    }),
    ("danco", |k| Box::new(Danco::new(k.unwrap_or(10)))),
    ("fisher_s", |_| Box::new(FisherSeparability::default())),
    ("mst", |_| Box::new(SpanningTreeGrowth::default())),
    ("geodesic", |k| Box::new(GeodesicDimension::new(k.unwrap_or(10)))),
];

/// The names of all estimators, for [`estimator`].
pub fn estimators() -> impl Iterator<Item = &'static str> {
    MAKERS.iter().map(|(name, _)| *name)
}

/// The estimator with this name, with its usual settings; `k` replaces its usual number of
/// neighbours where it has one (Gride and the correlation
/// integral: k/2 and k).
///
/// # Errors
/// A name that is not one of [`estimators`].
pub fn estimator(name: &str, k: Option<usize>) -> Result<Box<dyn Estimator>> {
    match MAKERS.iter().find(|(known, _)| *known == name) {
        Some((_, make)) => Ok(make(k)),
        None => {
            let names: Vec<&str> = estimators().collect();
            Err(Error::range("estimator", format!("one of {}", names.join(", ")), name))
        }
    }
}
