//! How many dimensions points occupy: locally, by what they share with balls and spheres, and
//! globally, by distances along the graph of their neighbours; behind every layer of a network; and
//! what noise on weights makes of them.
//!
//! All estimators read one cloud ([`PointCloud`]): distinct points and the table of their nearest
//! neighbours, in which T_j(i) is the distance from point i to its j-th neighbour. Those that read
//! distances alone take a table too. None depends on the unit of distances.
//!
//! | Name for [`estimator()`] | Type | Reads | At each point |
//! |---|---|---|---|
//! | `two_nn` | [`TwoNn`] | T₂/T₁ | |
//! | `gride` | [`Gride`] | T_n₂/T_n₁, any scale | |
//! | `mle` | [`MaximumLikelihood`] | T₁, …, T_k | yes |
//! | `mind`, `mind_mli` | [`Mind`] | T₁/T_(k+1) | |
//! | `mom` | [`Moments`] | the mean of T₁, …, T_k | yes |
//! | `mada` | [`ManifoldAdaptive`] | T_k/T_(k/2) | yes |
//! | `binomial` | [`Binomial`] | neighbours within r T_k | |
//! | `tle` | [`Tight`] | all distances among neighbours | yes |
//! | `ess`, `ess_b` | [`SimplexSkewness`] | angles among neighbours | yes |
//! | `local_pca` | [`LocalPca`] | spectra of neighbourhoods | yes |
//! | `correlation_integral` | [`CorrelationIntegral`] | pairs within two radii | |
//! | `danco` | [`Danco`] | T₁/T_(k+1) and angles, against balls | |
//! | `fisher_s` | [`FisherSeparability`] | all angles | |
//! | `mst` | [`SpanningTreeGrowth`] | spanning trees of subsamples | |
//! | `geodesic` | [`GeodesicDimension`] | distances along the graph of k neighbours | |
//!
//! Likelihoods assume that points lie uniformly around i, so that (T_j/T_k)^d is distributed as the
//! j-th of k uniform numbers. Copies (T₁ = 0) break that: a cloud merges them; of a table that has
//! them estimators say so, or drop their points where they offer it, which is biased. Standard errors
//! of means over points account for the neighbours that points share.
//!
//! | Item | Computes |
//! |---|---|
//! | [`LayerProfile`] | local, global and linear dimensions behind every layer of a network |
//! | [`EffectiveLoss`], [`NoiseOptimum`] | what noise on the weights of a linear network leaves of its dimension |
//! | [`ReadoutNoise`], [`StationaryNoise`], [`TwoLayerDescent`] | noise step by step, where it settles, and plain descents |

mod binomial;
mod cloud;
mod combine;
mod correlation_integral;
mod danco;
mod danco_statistics;
mod distance_law;
mod estimate;
mod estimator;
mod fisher;
mod flags;
mod geodesic;
mod gride;
mod layer_profile;
mod linear_task;
mod local_pca;
mod manifold_adaptive;
mod maximum_likelihood;
mod mind;
mod moments;
mod neighbourhood;
mod products;
mod ratio_score;
mod readout_noise;
mod simplex_skewness;
mod spanning_tree_growth;
mod sphere_fit;
mod spline;
mod spread;
mod stationary_noise;
mod table;
mod tight;
mod two_layer_descent;
mod two_nn;
mod weight_noise;

pub use binomial::Binomial;
pub use cloud::PointCloud;
pub use combine::Combine;
pub use correlation_integral::CorrelationIntegral;
pub use danco::{Danco, DancoReport};
pub use danco_statistics::DancoStatistics;
pub use distance_law::DistanceLaw;
pub use estimate::Estimate;
pub use estimator::{Estimator, estimator, estimators};
pub use fisher::{FisherReport, FisherSeparability};
pub use flags::{Flag, Flags};
pub use geodesic::{GeodesicDimension, GeodesicFlag, GeodesicReport, GeodesicSpread};
pub use gride::{Gride, Ties};
pub use layer_profile::{
    ClassDimensions, ClassMean, LayerDimensions, LayerFlag, LayerProfile, LinearDimension,
};
pub use linear_task::LinearTask;
pub use local_pca::{LocalPca, LocalRule};
pub use manifold_adaptive::ManifoldAdaptive;
pub use maximum_likelihood::MaximumLikelihood;
pub use mind::Mind;
pub use moments::Moments;
pub use readout_noise::ReadoutNoise;
pub use simplex_skewness::{SimplexSkewness, Skewness};
pub use spanning_tree_growth::SpanningTreeGrowth;
pub use sphere_fit::{Rejected, SphereFit};
pub use stationary_noise::StationaryNoise;
pub use tight::{Shortest, Tight};
pub use two_layer_descent::{Descent, DescentLook, DescentRun, TwoLayerDescent};
pub use two_nn::{Fit, TwoNn};
pub use weight_noise::{EffectiveLoss, NoiseOptimum};
