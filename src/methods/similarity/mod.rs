//! How alike two representations of the same stimuli are: recorded populations, layers of networks.
//!
//! Responses are matrices of n stimuli × units, [`faer`](crate::faer) views with any strides, `f32` or
//! `f64`; both sides have the same stimuli in the same order, and any units.
//!
//! | Question | Items |
//! |---|---|
//! | How alike are the responses to two stimuli? | [`Rsm`]: Pearson, cosine, Spearman; [`Rdm`]: correlation, Euclidean, Mahalanobis, crossnobis, Poisson |
//! | What is the noise of [`Trials`]? | [`NoiseCovariance`] with [`Shrinkage`] |
//! | How alike are two such matrices? | [`Comparator`], [`Whitening`], [`squared_bures_distance`]; [`Ssm`] over a [`Region`] |
//! | Which subspaces are shared? | [`Cca`] with a [`Cut`] (SVCCA), [`Pwcca`], [`PrincipalDirections`] |
//! | Are the kernels aligned? | [`Cka`] by a [`CkaEstimator`], [`MinibatchCka`], [`hsic`] |
//! | How far apart are the shapes? | [`Procrustes`], [`shape_angle`] |
//! | Could it be chance? | [`Ssm::permutation_test`], [`Ssm::exact_null`], [`Cca::permutation_test`] |
//! | Would other stimuli or units say the same? | [`Ssm::bootstrap`], [`Ssm::jackknife`], [`Ssm::subsamples`], [`Ssm::folds`], [`UnitResampling`] |
//! | How well could any model do? | [`SplitHalf`], [`subject_ceiling`], [`disattenuated`], [`attenuation`], [`unit_reliability`] |
//! | Which layer is a population like? | [`PseudoDepth`], [`Refine`], [`LayerClusters`], [`SvccaCurves`] |
//! | More units than fit in memory? | [`GramStream`]: sums that add over blocks of units and machines |
//!
//! # Which one
//!
//! - The default is Spearman's SSM over upper triangles of Pearson RSMs. The whole matrices
//!   ([`Region::Full`]) lift it: at 118 stimuli a true 0 reads 0.025.
//! - SVCCA with a share of the variance keeps different numbers of dimensions on both sides, and then
//!   narrow layers win: [`Cut::Dim`] the same for all.
//! - Biased CKA of many units and few stimuli is near 1 whatever they are
//!   ([`CkaEstimator::Debiased`]), and few units lower it ([`CkaEstimator::UnitUnbiased`]).
//! - CCA of more dimensions than stimuli is 1 by construction, and an error here.
//!
//! # Numerics
//!
//! Means are taken away before products are formed, from differences to a first value or a pilot;
//! everything is scaled by powers of two: offsets of 10⁷ spreads and values of 10^±160 cost no digits.
//! Scores of ranks are whole numbers, so that ties are exact. Nothing is inverted that has a singular
//! value decomposition. Draws are numbered, and sums meet in a fixed order: the same bits for any
//! number of threads.
//!
//! # Errors
//!
//! | Input | Error |
//! |---|---|
//! | different stimuli on both sides; sizes | [`Error::Shape`](crate::Error::Shape) |
//! | NaN, infinities | [`Error::NonFinite`](crate::Error::NonFinite) |
//! | nothing | [`Error::Empty`](crate::Error::Empty) |
//! | a stimulus without variance, too few stimuli or units, a table of equal entries, too many dimensions, shares outside (0, 1], self-alignments that are not positive, matrices that are not positive definite, unbalanced folds | [`Error::Range`](crate::Error::Range) |
//! | a combination that has no meaning | [`Error::NotApplicable`](crate::Error::NotApplicable) |
//!
//! Source: Shi, Shea-Brown, Buice, NeurIPS 2019 (1911.07986), for SSM, SVCCA and depths along a
//! yardstick network; others at each item.

mod canonical;
mod canonical_permutation;
mod centred_kernel;
mod cka;
mod comparator;
mod gram_stream;
mod layer_clusters;
mod lower_gram;
mod noise_ceiling;
mod noise_covariance;
mod pair_scores;
mod pairwise;
mod permutation;
mod principal;
mod procrustes;
mod projection_weighted;
mod pseudo_depth;
mod rdm;
mod responses;
mod rsm;
mod ssm;
mod stimulus_resampling;
mod svcca_curves;
mod trials;
mod unit_resampling;
mod whitened;
mod wide_factor;

pub use canonical::{CanonicalCorrelations, Cca, Cut};
pub use centred_kernel::Median;
pub use cka::{Cka, CkaEstimator, MinibatchCka, hsic};
pub use comparator::Comparator;
pub use gram_stream::GramStream;
pub use layer_clusters::{ClusterDepth, LayerClusters};
pub use noise_ceiling::{
    SplitHalf, SplitHalfCeiling, SubjectCeiling, attenuation, disattenuated, spearman_brown,
    subject_ceiling, unit_reliability,
};
pub use noise_covariance::{NoiseCovariance, Shrinkage};
pub use pairwise::{Pairwise, Rdm, Rsm};
pub use permutation::{ExactNull, PermutationTest};
pub use principal::PrincipalDirections;
pub use procrustes::{Procrustes, shape_angle};
pub use projection_weighted::{ProjectionWeighted, Pwcca, Side};
pub use pseudo_depth::{DepthDraws, DepthReport, PseudoDepth, Refine};
pub use rsm::{RowVariance, RsmKind};
pub use ssm::{Region, Ssm, full_from_upper};
pub use stimulus_resampling::{Jackknife, Multiplicities, StimulusBootstrap, multiplicities};
pub use svcca_curves::SvccaCurves;
pub use trials::Trials;
pub use unit_resampling::{UnitDraws, UnitResampling};
pub use whitened::{Whitening, squared_bures_distance};
