//! Voxel-to-voxel connectivity from a few tracing experiments: masked nonnegative spline regression, in
//! full and in low rank, with what it stands on and what it is compared with.
//!
//! | | |
//! |---|---|
//! | [`VoxelMask`], [`VoxelLaplacian`] | some cells of a grid, and their graph Laplacian without a matrix |
//! | [`TracingData`], [`Observed`] | injections, projections, and where projections were seen |
//! | [`SplineRegression`] | the full matrix W ≥ 0, to a certificate of optimality |
//! | [`LowRankSplineRegression`], [`NonnegativePipeline`] | nonnegative factors, W never formed |
//! | [`GreedyLowRank`] | signed factors of the unconstrained solution, one rank at a time |
//! | [`NestedCv`], [`leave_one_out`] | the choice of λ, and the error to be expected |
//! | [`HomogeneousModel`], [`KernelModel`] | the baselines: by region, and by distance |
//! | [`Connectome`], [`RegionalMatrix`] | results: predictions, rows, columns, sums by region |
//! | [`identifiability`] | whether the data determine W |
//!
//! W is targets × sources and everything is `f64`: the penalty's condition number is 10⁹ and more.
//!
//! Source: Harris, Mihalas, Shea-Brown, *High resolution neural connectivity from incomplete
//! tracing data using nonnegative spline regression*, NIPS 2016 (arXiv 1605.08031); Kürschner, Dolgov,
//! Harris, Benner, *Greedy low-rank algorithm for spatial connectome regression*, J. Math. Neuroscience
//! 9:9 (2019).

mod active_set;
mod alternation;
mod band_cholesky;
mod block_cholesky;
mod checkpoint;

mod cosine_modes;
mod data;
mod dense_factors;
mod dense_products;
mod descent;
mod duality_gap;
mod eigenvalue_count;
mod entries;
mod exact_inverse;
mod factor_method;
mod factor_objective;
mod factor_starts;
mod factor_steps;
mod first_order;
mod fitted;
mod galerkin;
mod greedy_equation;
mod greedy_low_rank;
mod homogeneous_model;
mod identifiability;
mod kernel_model;
mod labels;
mod low_rank_regression;
mod mode_basis;
mod modes;
mod nested_cv;
mod nonnegative_pipeline;
mod numpy_random;
mod objective;
mod observed;
mod preconditioner;
mod product_laplacian;
mod regional_matrix;
mod smoother;
mod smoothing_operator;
mod solver;
mod spline_regression;
mod voxel_laplacian;
mod voxel_mask;

pub use cosine_modes::CosineModes;
pub use data::{TracingData, TracingDataBuilder};
pub use factor_method::{FactorMethod, Start};
pub use factor_objective::{FactorObjective, FactorPenalty, FactorValue, PenaltyForm};
pub use factor_starts::{balance, split_signed, svd_split};
pub use fitted::{Connectome, Denominator, FullWeights, Status, TracePoint, Weights, mse_rel};
pub use greedy_low_rank::{GreedyFit, GreedyLowRank};
pub use homogeneous_model::{
    HomogeneousFit, HomogeneousModel, regional_mse_rel, well_conditioned_columns,
};
pub use identifiability::{ComponentPair, IdentifiabilityReport, identifiability};
pub use kernel_model::{DistanceKernel, KernelModel, centroids};
pub use labels::Labels;
pub use low_rank_regression::LowRankSplineRegression;
pub use modes::Modes;
pub use nested_cv::{CvReport, NestedCv, Shuffle, leave_one_out};
pub use nonnegative_pipeline::NonnegativePipeline;
pub use objective::{SplineObjective, Value, effective_lambda};
pub use observed::Observed;
pub use preconditioner::Preconditioner;
pub use product_laplacian::ProductLaplacian;
pub use regional_matrix::RegionalMatrix;
pub use smoothing_operator::SmoothingOperator;
pub use solver::{FitProgress, Solver};
pub use spline_regression::SplineRegression;
pub use voxel_laplacian::VoxelLaplacian;
pub use voxel_mask::{Smoothing, VoxelMask};
