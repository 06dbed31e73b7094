//! Smooth nonnegative connectivity from incomplete tracing data: masked nonnegative spline
//! regression, in full and in low rank.

mod active_set;
mod checkpoint;
mod connectome;
mod data;
mod dense_factors;
mod dense_products;
mod descent;
mod entries;
mod identifiability;
mod labels;
mod objective;
mod observed;
mod preconditioner;
mod regional_matrix;
mod smoothing_operator;
mod spline_regression;

pub use connectome::{Connectome, Denominator, FullWeights, Status, TracePoint, Weights, mse_rel};
pub use data::{TracingData, TracingDataBuilder};
pub use identifiability::{ComponentPair, IdentifiabilityReport, identifiability};
pub use labels::Labels;
pub use objective::{SplineObjective, Value, effective_lambda};
pub use observed::Observed;
pub use preconditioner::Preconditioner;
pub use regional_matrix::RegionalMatrix;
pub use smoothing_operator::SmoothingOperator;
pub use spline_regression::{FitProgress, Solver, SplineRegression};
