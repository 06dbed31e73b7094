//! The dimension from the spectra of neighbourhoods.

use faer::MatRef;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::cloud::PointCloud;
use super::combine::Combine;
use super::estimate::Estimate;
use super::estimator::Estimator;
use super::neighbourhood::map_neighbourhoods;
use crate::statistics::{RankRule, Spectrum};
use crate::{Error, Isa, Result};

/// What is read off the eigenvalues of a neighbourhood.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LocalRule {
    /// A rank.
    Rank(RankRule),
    /// The participation ratio (Σλ)²/Σλ².
    ParticipationRatio,
}

impl LocalRule {
    fn name(self) -> &'static str {
        match self {
            Self::Rank(RankRule::FukunagaOlsen { .. }) => "fukunaga_olsen",
            Self::Rank(RankRule::Ratio { .. }) => "ratio",
            Self::Rank(RankRule::Kaiser) => "kaiser",
            Self::Rank(RankRule::LargestGap) => "largest_gap",
            Self::Rank(RankRule::BrokenStick) => "broken_stick",
            Self::Rank(RankRule::Fan) => "fan",
            Self::ParticipationRatio => "participation_ratio",
        }
    }
}

/// Local principal component analysis: a rank rule for the covariance of the k neighbours of each
/// point, without the point itself; the mean over points.
///
/// Needs coordinates and k neighbours a point. 2 n k d m + 4/3 n m³ flops, m = min(k, d).
///
/// Source: Fukunaga, Olsen, IEEE Transactions on Computers C-20 (1971); Fan et al., Pattern
/// Recognition 42 (2009).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalPca {
    k: usize,
    rule: LocalRule,
    combine: Combine,
}

impl LocalPca {
    /// From the first k neighbours, k ≥ 2; combined by the arithmetic mean.
    #[must_use]
    pub fn new(k: usize, rule: LocalRule) -> Self {
        Self { k, rule, combine: Combine::Arithmetic }
    }

    /// How the estimates of all points become one.
    #[must_use]
    pub fn combine(self, combine: Combine) -> Self {
        Self { combine, ..self }
    }

    /// The dimension.
    ///
    /// # Errors
    /// As [`LocalPca::pointwise`].
    pub fn fit(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.combine.estimate(cloud.table(), self.k, &self.pointwise(cloud)?)
    }

    /// The dimension at each point.
    ///
    /// # Errors
    /// k < 2, a share outside its range, a cloud without coordinates or with fewer neighbours, copies
    /// at distance T_k.
    pub fn pointwise(&self, cloud: &PointCloud) -> Result<Vec<f64>> {
        if self.k < 2 {
            return Err(Error::range("neighbours k", "2 or more", self.k));
        }
        let (k, isa) = (self.k, Isa::current());
        map_neighbourhoods(cloud, "local_pca", k, |at| {
            at.centre();
            let d = at.d;
            let scale = 1.0 / (k - 1) as f64;
            let spectrum = if k <= d {
                at.multiply();
                let gram = MatRef::from_row_major_slice(&at.gram, k, k);
                Spectrum::from_gram(gram, scale, d)?
            } else {
                let mut covariance = vec![0.0; d * d];
                let rows = MatrixRef::row_major(&at.rows, k, d);
                let out = MatrixMut::row_major(&mut covariance, d, d);
                gemm(isa, 1.0, rows.transposed(), rows, 0.0, out);
                Spectrum::from_gram(MatRef::from_row_major_slice(&covariance, d, d), scale, k)?
            };
            Ok(match self.rule {
                LocalRule::Rank(rule) => spectrum.rank(rule)? as f64,
                LocalRule::ParticipationRatio => spectrum.participation_ratio(),
            })
        })
    }
}

impl Estimator for LocalPca {
    fn name(&self) -> &'static str {
        "local_pca"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let share = match self.rule {
            LocalRule::Rank(RankRule::FukunagaOlsen { share } | RankRule::Ratio { share }) => {
                Some(("share", share.to_string()))
            }
            _ => None,
        };
        let combine = ("combine", self.combine.name().to_owned());
        let rule = ("rule", self.rule.name().to_owned());
        [("k", self.k.to_string()), rule].into_iter().chain(share).chain([combine]).collect()
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
