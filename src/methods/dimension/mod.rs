//! How many dimensions points occupy: locally, from a table of nearest neighbours; globally, by
//! distances along their graph; behind every layer of a network; and what noise makes of them.
//!
//! All estimators read one table ([`Neighbors`](crate::neighbors::Neighbors)), in which T_j(i) is the
//! distance from point i to its j-th neighbour: they assume that points lie uniformly around i, so
//! that (T_j/T_k)^d is distributed as the j-th of k uniform numbers. They do not depend on the unit
//! of distances. Copies (T₁ = 0) break that assumption and every likelihood: merge them
//! ([`Duplicates::Merge`](crate::neighbors::Duplicates::Merge)), or drop their points where an
//! estimator offers it, which is biased.
//!
//! | Item | Computes |
//! |---|---|
//! | [`Estimator`], [`estimators`] | every estimator of one cloud of points, by name |
//! | [`GeodesicDimension`] | the global dimension, by the distribution of distances along the graph |
//! | [`LayerProfile`] | local, global and linear dimensions behind every layer of a network |
//! | [`EffectiveLoss`], [`NoiseOptimum`] | what noise on the weights of a linear network leaves of its dimension |
//! | [`ReadoutNoise`], [`StationaryNoise`], [`TwoLayerDescent`] | noise step by step, where it settles, and plain descents |

mod cloud;
mod distance_law;
mod estimate;
mod estimator;
mod flags;
mod geodesic;
mod gride;
mod layer_profile;
mod linear_task;
mod maximum_likelihood;
mod products;
mod readout_noise;
mod sphere_fit;
mod stationary_noise;
mod table;
mod two_layer_descent;
mod two_nn;
mod weight_noise;

pub use cloud::PointCloud;
pub use distance_law::DistanceLaw;
pub use estimate::Estimate;
pub use estimator::{Estimator, estimator, estimators};
pub use flags::{Flag, Flags};
pub use geodesic::{GeodesicDimension, GeodesicFlag, GeodesicReport, GeodesicSpread};
pub use gride::{Gride, Ties};
pub use layer_profile::{
    ClassDimensions, ClassMean, LayerDimensions, LayerFlag, LayerProfile, LinearDimension,
};
pub use linear_task::LinearTask;
pub use maximum_likelihood::{Combine, MaximumLikelihood};
pub use readout_noise::ReadoutNoise;
pub use sphere_fit::{Rejected, SphereFit};
pub use stationary_noise::StationaryNoise;
pub use two_layer_descent::{Descent, DescentLook, DescentRun, TwoLayerDescent};
pub use two_nn::{Fit, TwoNn};
pub use weight_noise::{EffectiveLoss, NoiseOptimum};
