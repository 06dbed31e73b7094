//! Smooth nonnegative connectivity from incomplete tracing data: masked nonnegative spline
//! regression, in full and in low rank.

mod active_set;
mod band_cholesky;
mod checkpoint;
mod connectome;
mod data;
mod dense_factors;
mod dense_products;
mod descent;
mod entries;
mod factor_objective;
mod factor_starts;
mod factor_steps;
mod galerkin;
mod greedy_low_rank;
mod identifiability;
mod kernel_model;
mod labels;
mod low_rank_regression;
mod nested_cv;
mod nonnegative_pipeline;
mod numpy_random;
mod objective;
mod observed;
mod preconditioner;
mod regional_matrix;
mod smoothing_operator;
mod spline_regression;

pub use connectome::{
    Connectome, Denominator, FullWeights, Status, TracePoint, Weights, mse_rel,
};
pub use data::{TracingData, TracingDataBuilder};
pub use factor_objective::{FactorObjective, FactorPenalty, FactorValue, PenaltyForm};
pub use factor_starts::{balance, split_signed, svd_split};
pub use greedy_low_rank::{GreedyFit, GreedyLowRank};
pub use identifiability::{ComponentPair, IdentifiabilityReport, identifiability};
pub use kernel_model::{DistanceKernel, KernelModel, centroids};
pub use labels::Labels;
pub use low_rank_regression::{FactorMethod, LowRankSplineRegression, Start};
pub use nested_cv::{CvReport, NestedCv, Shuffle, leave_one_out};
pub use nonnegative_pipeline::NonnegativePipeline;
pub use objective::{SplineObjective, Value, effective_lambda};
pub use observed::Observed;
pub use preconditioner::Preconditioner;
pub use regional_matrix::RegionalMatrix;
pub use smoothing_operator::SmoothingOperator;
pub use spline_regression::{FitProgress, Solver, SplineRegression};
