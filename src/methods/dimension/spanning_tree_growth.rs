//! The dimension from the growth of the minimum spanning tree with the number of points.

use faer::Mat;

use super::cloud::{PointCloud, Points};
use super::estimate::{Estimate, not_estimable};
use super::estimator::Estimator;
use crate::neighbors::minimum_spanning_tree;
use crate::numerics::parallel;
use crate::random::Stream;
use crate::{Error, Result};

/// Growth of the minimum spanning tree (persistent homology of degree 0): the sum of w^a over its
/// edges grows as m^β with the number m of points, β = 1 − a/d. β is the slope of the logarithm of
/// the sum on ln m over subsamples of n/2 to n points; d = a/(1 − β). The standard error is that of
/// the slope, carried over; subsamples share points, so that it is too small.
///
/// Needs coordinates, no neighbours. (3/2) m² d flops for each subsample.
///
/// Source: Adams et al., Topological Data Analysis, Abel Symposia 15 (2020); Jaquette, Schweinhart,
/// Communications in Nonlinear Science and Numerical Simulation 84 (2020).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanningTreeGrowth {
    power: f64,
    sizes: usize,
    repetitions: usize,
    seed: u64,
}

impl Default for SpanningTreeGrowth {
    /// a = 1, 10 sizes with 4 subsamples each.
    fn default() -> Self {
        Self { power: 1.0, sizes: 10, repetitions: 4, seed: 0 }
    }
}

impl SpanningTreeGrowth {
    /// The power a.
    #[must_use]
    pub fn power(self, power: f64) -> Self {
        Self { power, ..self }
    }

    /// How many sizes between n/2 and n, and how many subsamples of each.
    #[must_use]
    pub fn subsamples(self, sizes: usize, repetitions: usize) -> Self {
        Self { sizes, repetitions, ..self }
    }

    /// The seed of the subsamples.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Σ w^a over the edges of the minimum spanning tree of all points, for each power a.
    ///
    /// # Errors
    /// A cloud without coordinates.
    pub fn sums(cloud: &PointCloud, powers: &[f64]) -> Result<Vec<f64>> {
        let points = cloud.points("mst")?;
        let lengths = lengths(points, &(0..points.n).collect::<Vec<_>>())?;
        Ok(powers.iter().map(|a| sum_of_powers(&lengths, *a)).collect())
    }

    /// The dimension.
    ///
    /// # Errors
    /// A power that is not positive, fewer than two sizes or no subsample, a cloud without
    /// coordinates or of fewer than 8 points, a sum that grows as fast as the number of points.
    pub fn fit(&self, cloud: &PointCloud) -> Result<Estimate> {
        let Self { power, sizes, repetitions, seed } = *self;
        if !(power > 0.0 && power.is_finite()) {
            return Err(Error::range("power of the lengths", "more than 0", power));
        }
        if sizes < 2 || repetitions == 0 {
            let got = format!("{sizes} sizes, {repetitions} subsamples of each");
            return Err(Error::range("subsamples", "2 sizes or more, 1 subsample or more", got));
        }
        let points = cloud.points("mst")?;
        let n = points.n;
        if n < 8 {
            return Err(Error::range("points", "8 or more", n));
        }
        let smallest = n.div_ceil(2);
        let stream = Stream::new(seed, "spanning tree subsamples");
        let at = |s: usize| -> Result<(f64, f64)> {
            let m = smallest + (n - smallest) * (s / repetitions) / (sizes - 1);
            let mut order = stream.child(s as u64).permutation(n);
            order.truncate(m);
            let sum = sum_of_powers(&parallel::alone(|| lengths(points, &order))?, power);
            Ok(((m as f64).ln(), sum.ln()))
        };
        let all = parallel::map(sizes * repetitions, at).into_iter().collect::<Result<Vec<_>>>()?;
        let count = all.len() as f64;
        let mean = all.iter().fold((0.0, 0.0), |m, v| (m.0 + v.0 / count, m.1 + v.1 / count));
        let (mut xx, mut xy) = (0.0, 0.0);
        for (x, y) in &all {
            xx += (x - mean.0) * (x - mean.0);
            xy += (x - mean.0) * (y - mean.1);
        }
        let slope = xy / xx;
        if slope.is_nan() || slope >= 1.0 {
            return Err(not_estimable(format!("a growth with the power {slope} of the number")));
        }
        let rest: f64 = all.iter().map(|(x, y)| (y - mean.1 - slope * (x - mean.0)).powi(2)).sum();
        let value = power / (1.0 - slope);
        let error = (rest / ((count - 2.0).max(1.0) * xx)).sqrt() * value * value / power;
        Estimate::new(value, Some(error), n, n)
    }
}

/// Lengths of the edges of the minimum spanning tree of some points, ascending.
fn lengths(points: &Points, chosen: &[usize]) -> Result<Vec<f64>> {
    let x = Mat::from_fn(chosen.len(), points.d, |i, j| points.row(chosen[i])[j]);
    let tree = minimum_spanning_tree(x.as_ref())?;
    let mut lengths: Vec<f64> = tree.iter().map(|edge| edge.length).collect();
    lengths.sort_unstable_by(f64::total_cmp);
    Ok(lengths)
}

fn sum_of_powers(lengths: &[f64], power: f64) -> f64 {
    lengths.iter().map(|w| w.powf(power)).sum()
}

impl Estimator for SpanningTreeGrowth {
    fn name(&self) -> &'static str {
        "mst"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("power", self.power.to_string()),
            ("subsamples", format!("{} × {}", self.sizes, self.repetitions)),
            ("seed", self.seed.to_string()),
        ]
    }

    fn neighbours(&self) -> usize {
        1
    }

    fn needs_coordinates(&self) -> bool {
        true
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud)
    }
}
