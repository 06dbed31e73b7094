//! How many dimensions points occupy locally, from a table of nearest neighbours.
//!
//! All estimators read one table ([`Neighbors`](crate::neighbors::Neighbors)), in which T_j(i) is the
//! distance from point i to its j-th neighbour: they assume that points lie uniformly around i, so
//! that (T_j/T_k)^d is distributed as the j-th of k uniform numbers. They do not depend on the unit
//! of distances. Copies (T₁ = 0) break that assumption and every likelihood: merge them
//! ([`Duplicates::Merge`](crate::neighbors::Duplicates::Merge)), or drop their points where an
//! estimator offers it, which is biased.

mod cloud;
mod estimate;
mod estimator;
mod flags;
mod gride;
mod maximum_likelihood;
mod table;
mod two_nn;

pub use cloud::PointCloud;
pub use estimate::Estimate;
pub use estimator::{Estimator, estimator, estimators};
pub use flags::{Flag, Flags};
pub use gride::{Gride, Ties};
pub use maximum_likelihood::{Combine, MaximumLikelihood};
pub use two_nn::{Fit, TwoNn};
