//! The dimension from distances along the graph of nearest neighbours.

use std::borrow::Cow;

use faer::Mat;

use super::cloud::PointCloud;
use super::distance_law::DistanceLaw;
use super::estimate::{Estimate, not_estimable};
use super::estimator::Estimator;
use super::flags::Flag;
use super::sphere_fit::{LARGEST, Rejected, SphereFit};
use crate::krylov::symmetric_eigen;
use crate::neighbors::{Geodesics, Graph, Neighbors, Sources};
use crate::{Error, Result};

/// Bins of the flank below which a fit is called thin.
const THIN: usize = 8;
/// Squares of distances between 2 to the power of minus this and of this are far from the ends of the
/// range of numbers.
const ORDINARY: i32 = 400;

/// Granata and Carnevale's global dimension: geodesic distances r on a sphere of D dimensions have a
/// density proportional to sin^(D−1)(πr/2r_max) with its mode at r_max; D is fitted to the left flank
/// of their histogram.
///
/// 1. Union graph of the k nearest neighbours, its largest part, all shortest paths.
/// 2. Histogram of the distances of pairs; two parabolas on its logarithm give r_max and the width σ.
/// 3. Between r_max − 2σ (or the longest edge) and r_max: least squares for D ([`SphereFit`]).
///
/// The fit is fragile: elongated clouds, one dimension and ten or more are not seen well (a 10-sphere
/// of 1,000 points gives 60 ± 74). [`GeodesicReport::flags`] says what is doubtful, and
/// [`GeodesicDimension::spread`] how much the answer depends on k and on the bins.
///
/// Needs k neighbours a point. O(n²(k + log n)) for all sources, m/n of it for m landmarks; memory
/// O(n k) beyond 2²⁴ distances, which are kept where they are fewer.
///
/// Source: Granata, Carnevale, Scientific Reports 6:31377 (2016). Departures: closed forms instead of
/// iterated fits, which agree to 10⁻⁹; distances within other parts than the largest never count,
/// where the reference code lets some in.
///
/// ```
/// use hesse::dimension::GeodesicDimension;
/// use hesse::faer::Mat;
/// use hesse::neighbors::Knn;
/// use hesse::random::Stream;
///
/// let mut z = vec![0.0_f64; 1500];
/// Stream::new(1, "sphere").normals(0, &mut z);
/// let norm = |i: usize| z[3 * i].hypot(z[3 * i + 1]).hypot(z[3 * i + 2]);
/// let sphere = Mat::from_fn(500, 3, |i, j| z[3 * i + j] / norm(i));
/// let table = Knn::new(5).build(sphere.as_ref())?;
/// let report = GeodesicDimension::new(5).fit(&table)?;
/// assert!((report.estimate()?.value - 2.0).abs() < 0.4);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeodesicDimension {
    k: usize,
    bins: usize,
    sources: Sources,
}

/// What is doubtful about a graph-distance dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GeodesicFlag {
    /// The graph has other parts, which were left out.
    PartOfPoints,
    /// Fewer than eight bins carry the fit.
    ThinFlank,
    /// The nearest whole dimension is the smallest or the largest that was tried.
    AtLimit,
    /// The fitted dimension is below 1 or above 25.
    OutOfRange,
    /// The fitted and the nearest whole dimension are more than 1 apart.
    Disagree,
}

impl GeodesicFlag {
    /// Its name: `part_of_points`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PartOfPoints => "part_of_points",
            Self::ThinFlank => "thin_flank",
            Self::AtLimit => "at_limit",
            Self::OutOfRange => "out_of_range",
            Self::Disagree => "disagree",
        }
    }
}

/// Distances along a graph and the sphere fitted to them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GeodesicReport {
    /// Points of the table.
    pub points: usize,
    /// Points of the largest part of the graph.
    pub used: usize,
    /// The longest edge of the whole graph; 0 without a graph.
    pub longest_edge: f64,
    /// The distances.
    pub law: DistanceLaw,
    /// The sphere, or why there is none.
    pub fit: Result<SphereFit, Rejected>,
}

/// The dimension for several numbers of neighbours and bins.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GeodesicSpread {
    /// Neighbours, bins, and the fitted dimension where there is one within 1 to 25.
    pub settings: Vec<(usize, usize, Option<f64>)>,
}

impl GeodesicSpread {
    /// Smallest and largest of the dimensions; `None` without any.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        let values = self.settings.iter().filter_map(|s| s.2);
        values.fold(None, |range, v| match range {
            None => Some((v, v)),
            Some((low, high)) => {
                Some((if v < low { v } else { low }, if v > high { v } else { high }))
            }
        })
    }

    /// Settings without a dimension.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.settings.iter().filter(|s| s.2.is_none()).count()
    }
}

impl GeodesicReport {
    /// The same in another unit: distances times 2 to this power.
    fn times_power_of_two(self, power: i32) -> Self {
        if power == 0 {
            return self;
        }
        Self {
            longest_edge: libm::ldexp(self.longest_edge, power),
            law: self.law.times_power_of_two(power),
            fit: match self.fit {
                Ok(fit) => Ok(fit.times_power_of_two(power)),
                Err(rejected) => Err(rejected.times_power_of_two(power)),
            },
            ..self
        }
    }

    /// What is doubtful.
    #[must_use]
    pub fn flags(&self) -> Vec<GeodesicFlag> {
        let mut flags = Vec::new();
        if self.used < self.points {
            flags.push(GeodesicFlag::PartOfPoints);
        }
        if let Ok(fit) = &self.fit {
            let doubts = [
                (fit.bins < THIN, GeodesicFlag::ThinFlank),
                (fit.nearest == 1 || fit.nearest == LARGEST, GeodesicFlag::AtLimit),
                (!in_range(fit.dimension), GeodesicFlag::OutOfRange),
                ((fit.dimension - fit.nearest as f64).abs() > 1.0, GeodesicFlag::Disagree),
            ];
            flags.extend(doubts.into_iter().filter(|(doubt, _)| *doubt).map(|(_, flag)| flag));
        }
        flags
    }

    /// The fitted dimension.
    ///
    /// # Errors
    /// No fit, or one outside 1 to 25.
    pub fn estimate(&self) -> Result<Estimate> {
        match &self.fit {
            Ok(fit) if in_range(fit.dimension) => {
                let limit = fit.nearest == 1 || fit.nearest == LARGEST;
                let estimate = Estimate::new(fit.dimension, None, self.used, self.points)?;
                Ok(estimate.flag(Flag::AtLimit, limit))
            }
            Ok(fit) => Err(not_estimable(format!(
                "{} from graph distances, where 1 to {LARGEST} can be told",
                fit.dimension
            ))),
            Err(rejected) => Err(not_estimable(rejected)),
        }
    }
}

/// The table itself, or in a unit in which the squares of its distances, and of sums of them, are
/// numbers, and the power of two that they were multiplied by.
fn in_unit(table: &Neighbors) -> (Cow<'_, Neighbors>, i32) {
    let largest = table.all_distances().iter().fold(0.0_f64, |m, d| if *d > m { *d } else { m });
    let exponent = libm::frexp(largest).1;
    if largest == 0.0 || exponent.abs() <= ORDINARY {
        return (Cow::Borrowed(table), 0);
    }
    (Cow::Owned(table.times_power_of_two(-exponent)), -exponent)
}

fn in_range(dimension: f64) -> bool {
    (1.0..=LARGEST as f64).contains(&dimension)
}

impl GeodesicDimension {
    /// On the graph of the k nearest neighbours, with 50 bins and all sources.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, bins: 50, sources: Sources::All }
    }

    /// Bins of the histogram.
    #[must_use]
    pub fn bins(self, bins: usize) -> Self {
        Self { bins, ..self }
    }

    /// Where distances start: landmarks cost less and give the same law. Vertices are points of the
    /// largest part, counted within it.
    #[must_use]
    pub fn sources(self, sources: Sources) -> Self {
        Self { sources, ..self }
    }

    /// Distances along the graph and the sphere fitted to them.
    ///
    /// # Errors
    /// A table of queries or of fewer neighbours, no bins, sources that do not exist, a graph whose
    /// largest part holds half of the points or fewer, distances that are all the same. A fit that
    /// fails is no error here: see [`GeodesicReport::fit`].
    pub fn fit(&self, table: &Neighbors) -> Result<GeodesicReport> {
        let mut reports = self.reports(table, &[self.bins])?;
        Ok(reports.swap_remove(0))
    }

    /// The same from straight distances, without a graph: for points that fill a convex region. The
    /// table has all n − 1 neighbours of every point.
    ///
    /// # Errors
    /// A table of fewer neighbours, no bins, distances that are all the same.
    pub fn direct(&self, table: &Neighbors) -> Result<GeodesicReport> {
        let (table, power) = in_unit(table);
        let mut laws = DistanceLaw::direct(&table, &[self.bins])?;
        let law = laws.swap_remove(0);
        let (points, longest_edge) = (table.len(), 0.0);
        let fit = SphereFit::of(&law, longest_edge);
        let report = GeodesicReport { points, used: points, longest_edge, law, fit };
        Ok(report.times_power_of_two(-power))
    }

    /// The dimension for other numbers of neighbours and bins: by how much the answer depends on
    /// them. A setting that fails has no value.
    ///
    /// # Errors
    /// As [`GeodesicDimension::fit`], but for parts of the graph and distances.
    pub fn spread(
        &self,
        table: &Neighbors,
        neighbours: &[usize],
        bins: &[usize],
    ) -> Result<GeodesicSpread> {
        let mut settings = Vec::new();
        for &k in neighbours {
            let graph = Graph::union(table, k)?;
            let parts = graph.components();
            let whole = 2 * parts.sizes[parts.largest()] > table.len();
            let other = Self { k, ..self.clone() };
            let reports = if whole { other.reports(table, bins).ok() } else { None };
            for (b, &bins) in bins.iter().enumerate() {
                let report = reports.as_ref().map(|reports| &reports[b]);
                let value = report.and_then(|r| r.estimate().ok()).map(|e| e.value);
                settings.push((k, bins, value));
            }
        }
        Ok(GeodesicSpread { settings })
    }

    /// Isomap's residuals 1 − R² for 1 to `most` dimensions: R is the correlation of the distances
    /// along the graph with those of the points that classical scaling finds for them. They level off
    /// at the dimension.
    ///
    /// Memory 40 n² bytes, time n³ in an eigendecomposition on one thread.
    ///
    /// # Errors
    /// As [`GeodesicDimension::fit`]; `most` = 0 or not below the points of the largest part.
    pub fn isomap_residuals(&self, table: &Neighbors, most: usize) -> Result<Vec<f64>> {
        let (table, _) = in_unit(table);
        let (_, part) = self.largest_part(&table)?;
        let n = part.vertices();
        if most == 0 || most >= n {
            return Err(Error::range("dimensions", format!("1 to {}", n - 1), most));
        }
        let rows = Geodesics::new(&part).matrix()?;
        // One number a pair: that of the smaller source.
        let distance = |i: usize, j: usize| if i < j { rows[(i, j)] } else { rows[(j, i)] };
        let square = |i: usize, j: usize| distance(i, j) * distance(i, j);
        let means: Vec<f64> =
            (0..n).map(|i| (0..n).map(|j| square(i, j)).sum::<f64>() / n as f64).collect();
        let mean = means.iter().sum::<f64>() / n as f64;
        let gram = Mat::from_fn(n, n, |i, j| -0.5 * (square(i, j) - means[i] - means[j] + mean));
        let eigen = symmetric_eigen(gram.as_ref())
            .ok_or_else(|| not_estimable("distances whose products have no eigenvalues"))?;
        let mut squares = Mat::<f64>::zeros(n, n);
        let mut residuals = Vec::with_capacity(most);
        for d in 0..most {
            // A negative eigenvalue is no direction of real points.
            let size = eigen.values[n - 1 - d].max(0.0).sqrt();
            let x: Vec<f64> = (0..n).map(|i| size * eigen.vectors[(i, n - 1 - d)]).collect();
            for j in 0..n {
                (0..j).for_each(|i| squares[(i, j)] += (x[i] - x[j]) * (x[i] - x[j]));
            }
            let pairs = (0..n).flat_map(|j| (0..j).map(move |i| (i, j)));
            let both = pairs.map(|(i, j)| (distance(i, j), squares[(i, j)].sqrt()));
            residuals.push(1.0 - squared_correlation(both));
        }
        Ok(residuals)
    }

    /// The longest edge of the graph, and its largest part.
    fn largest_part(&self, table: &Neighbors) -> Result<(f64, Graph)> {
        let graph = Graph::union(table, self.k)?;
        let parts = graph.components();
        let largest = parts.largest();
        let (size, points) = (parts.sizes[largest], table.len());
        if 2 * size <= points {
            let what = format!("graph of {} neighbours", self.k);
            let got = format!("{size} of {points} points in one of {}", parts.sizes.len());
            return Err(Error::range(what, "more than half of the points in one part", got));
        }
        let part =
            if size == points { graph.clone() } else { graph.induced(&parts.vertices(largest))? };
        Ok((graph.longest_edge(), part))
    }

    fn reports(&self, table: &Neighbors, bins: &[usize]) -> Result<Vec<GeodesicReport>> {
        let (table, power) = in_unit(table);
        let (longest_edge, part) = self.largest_part(&table)?;
        let laws = DistanceLaw::along(&part, self.sources.clone(), bins)?;
        let report = |law: DistanceLaw| {
            let fit = SphereFit::of(&law, longest_edge);
            let (points, used) = (table.len(), part.vertices());
            let report = GeodesicReport { points, used, longest_edge, law, fit };
            report.times_power_of_two(-power)
        };
        Ok(laws.into_iter().map(report).collect())
    }
}

impl Estimator for GeodesicDimension {
    fn name(&self) -> &'static str {
        "geodesic"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let sources = match &self.sources {
            Sources::All => "all".to_owned(),
            Sources::Vertices(vertices) => vertices.len().to_string(),
            Sources::Sample { count, .. } => count.to_string(),
        };
        vec![("k", self.k.to_string()), ("bins", self.bins.to_string()), ("sources", sources)]
    }

    fn neighbours(&self) -> usize {
        self.k
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud.table())?.estimate()
    }
}

/// The square of Pearson's correlation, one pair of numbers after the other.
fn squared_correlation(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut n, mut mean, mut xx, mut yy, mut xy) = (0.0, (0.0, 0.0), 0.0, 0.0, 0.0);
    for (x, y) in pairs {
        n += 1.0;
        let before = (x - mean.0, y - mean.1);
        mean = (mean.0 + before.0 / n, mean.1 + before.1 / n);
        xx += before.0 * (x - mean.0);
        yy += before.1 * (y - mean.1);
        xy += before.0 * (y - mean.1);
    }
    xy * xy / (xx * yy)
}
