//! The dimension from the skewness of simplices within neighbourhoods.

use std::f64::consts::PI;

use super::cloud::PointCloud;
use super::combine::Combine;
use super::estimate::Estimate;
use super::estimator::Estimator;
use super::neighbourhood::map_neighbourhoods;
use crate::{Error, Result};

/// What a simplex of two neighbours and the centre is measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skewness {
    /// Its area: version a of the paper.
    #[default]
    Area,
    /// The projection of one side onto the other: version b.
    Projection,
}

/// Expected simplex skewness (ESS). With w the k neighbours around their mean and g their inner
/// products,
///
/// a = Σ √(gᵢᵢgⱼⱼ − gᵢⱼ²)/Σ √(gᵢᵢgⱼⱼ) or b = Σ |gᵢⱼ|/Σ √(gᵢᵢgⱼⱼ)
///
/// over all pairs; in a uniform ball of m dimensions a(m) = Γ(m/2)²/(Γ((m+1)/2) Γ((m−1)/2)) and
/// b(m) = Γ(m/2)/(√π Γ((m+1)/2)), between which values are interpolated linearly. The mean over
/// points.
///
/// Needs coordinates and k neighbours a point. 2 n k² d flops in one Gram matrix a point. For nearly
/// parallel sides the area loses half of its digits.
///
/// Source: Johnsson, Soneson, Fontes, IEEE Transactions on Pattern Analysis and Machine Intelligence
/// 37 (2015). Departure from scikit-dimension: all pairs enter, however many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimplexSkewness {
    k: usize,
    skewness: Skewness,
    combine: Combine,
}

impl SimplexSkewness {
    /// From the first k neighbours, k ≥ 2; combined by the arithmetic mean.
    #[must_use]
    pub fn new(k: usize, skewness: Skewness) -> Self {
        Self { k, skewness, combine: Combine::Arithmetic }
    }

    /// How the estimates of all points become one.
    #[must_use]
    pub fn combine(self, combine: Combine) -> Self {
        Self { combine, ..self }
    }

    /// The dimension.
    ///
    /// # Errors
    /// As [`SimplexSkewness::values`].
    pub fn fit(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.combine.estimate(cloud.table(), self.k, &self.pointwise(cloud)?)
    }

    /// The dimension at each point.
    ///
    /// # Errors
    /// As [`SimplexSkewness::values`].
    pub fn pointwise(&self, cloud: &PointCloud) -> Result<Vec<f64>> {
        let values = self.values(cloud)?;
        Ok(values.into_iter().map(|value| dimension(self.skewness, value)).collect())
    }

    /// The skewness a or b at each point.
    ///
    /// # Errors
    /// k < 2, a cloud without coordinates or with fewer neighbours, copies at distance T_k.
    pub fn values(&self, cloud: &PointCloud) -> Result<Vec<f64>> {
        if self.k < 2 {
            return Err(Error::range("neighbours k", "2 or more", self.k));
        }
        let k = self.k;
        let name = Estimator::name(self);
        map_neighbourhoods(cloud, name, k, |at| {
            at.centre();
            at.multiply();
            let lengths: Vec<f64> = (0..k).map(|i| at.gram[i * k + i].sqrt()).collect();
            let (mut measure, mut weight) = (0.0, 0.0);
            for i in 0..k {
                let row = &at.gram[i * k..i * k + i];
                let (own, others) = (lengths[i], &lengths[..i]);
                let mut sums = (0.0, 0.0);
                match self.skewness {
                    Skewness::Area => {
                        for (g, length) in row.iter().zip(others) {
                            let sides = own * length;
                            // (|u||v| − g)(|u||v| + g) loses less than the difference of squares.
                            let square = (sides - g) * (sides + g);
                            sums.0 += if square > 0.0 { square.sqrt() } else { 0.0 };
                            sums.1 += sides;
                        }
                    }
                    Skewness::Projection => {
                        for (g, length) in row.iter().zip(others) {
                            sums.0 += g.abs();
                            sums.1 += own * length;
                        }
                    }
                }
                measure += sums.0;
                weight += sums.1;
            }
            Ok(measure / weight)
        })
    }
}

impl Estimator for SimplexSkewness {
    fn name(&self) -> &'static str {
        match self.skewness {
            Skewness::Area => "ess",
            Skewness::Projection => "ess_b",
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("k", self.k.to_string()), ("combine", self.combine.name().to_owned())]
    }

    fn neighbours(&self) -> usize {
        self.k
    }

    fn needs_coordinates(&self) -> bool {
        true
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud)
    }

    fn at_points(&self, cloud: &PointCloud) -> Result<Option<Vec<f64>>> {
        self.pointwise(cloud).map(Some)
    }
}

/// Γ(x + 1/2)/Γ(x), x > 0: R(x) = R(x + 1) x/(x + 1/2) up to 40, then the asymptotic series.
fn half_step(mut x: f64) -> f64 {
    let mut factor = 1.0;
    while x < 40.0 {
        factor *= x / (x + 0.5);
        x += 1.0;
    }
    let series = [
        1.0,
        -1.0 / 8.0,
        1.0 / 128.0,
        5.0 / 1024.0,
        -21.0 / 32768.0,
        -399.0 / 262_144.0,
        869.0 / 4_194_304.0,
        39325.0 / 33_554_432.0,
    ];
    let y = 1.0 / x;
    factor * x.sqrt() * series.iter().rev().fold(0.0, |sum, c| sum * y + c)
}

/// The skewness that uniform balls of m dimensions have.
fn expected(skewness: Skewness, m: f64) -> f64 {
    match skewness {
        Skewness::Area if m <= 1.0 => 0.0,
        Skewness::Area => half_step(0.5 * (m - 1.0)) / half_step(0.5 * m),
        Skewness::Projection => 1.0 / (PI.sqrt() * half_step(0.5 * m)),
    }
}

/// The number of dimensions that has this skewness, interpolated between whole ones; 1 or more.
fn dimension(skewness: Skewness, value: f64) -> f64 {
    // Rising in m for both.
    let height = |m: f64| match skewness {
        Skewness::Area => expected(skewness, m),
        Skewness::Projection => -expected(skewness, m),
    };
    let value = match skewness {
        Skewness::Area => value,
        Skewness::Projection => -value,
    };
    if value.is_nan() {
        return f64::NAN;
    }
    if value <= height(1.0) {
        return 1.0;
    }
    let (mut low, mut high) = (1.0_f64, 2.0_f64);
    while height(high) <= value {
        (low, high) = (high, 2.0 * high);
        if high > 1e9 {
            return f64::INFINITY;
        }
    }
    while high - low > 1.0 {
        let middle = (0.5 * (low + high)).floor();
        if height(middle) <= value { low = middle } else { high = middle }
    }
    let (below, above) = (height(low), height(high));
    low + (value - below) / (above - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skewness_of_balls_and_back() {
        // a(2) = Γ(1)²/(Γ(3/2) Γ(1/2)) = 2/π, a(3) = π/4, b(1) = 1, b(2) = 2/π, b(3) = 1/2.
        for (skewness, m, want) in [
            (Skewness::Area, 2.0, 2.0 / PI),
            (Skewness::Area, 3.0, PI / 4.0),
            (Skewness::Projection, 1.0, 1.0),
            (Skewness::Projection, 2.0, 2.0 / PI),
            (Skewness::Projection, 3.0, 0.5),
        ] {
            // Forty factors, each rounded three times, in each of two such ratios.
            let error = (expected(skewness, m) - want).abs();
            assert!(error < 240.0 * 0.5 * f64::EPSILON, "{skewness:?} {m}: {error:e}");
        }
        for skewness in [Skewness::Area, Skewness::Projection] {
            for m in [1.0, 2.0, 7.0, 40.0, 41.0, 300.0] {
                let got = dimension(skewness, expected(skewness, m));
                assert!((got - m).abs() < 1e-9 * m, "{skewness:?} {m}: {got}");
            }
            let middle = 0.5 * (expected(skewness, 7.0) + expected(skewness, 8.0));
            assert!((dimension(skewness, middle) - 7.5).abs() < 1e-12);
        }
        assert_eq!(dimension(Skewness::Area, 1.0), f64::INFINITY);
        assert_eq!(dimension(Skewness::Projection, 1.0 + 1e-15), 1.0);
    }
}
