//! Reference files of tracing data: Laplacians, objectives, minimisers, factors, cross-validation,
//! regions.

mod cortex_patch;
mod cross_validation;
mod factors;
mod laplacian;
mod least_squares;
mod minimisers;
mod objective;
mod problem;
mod regional;
mod self_test;
mod toy;
mod unconstrained;

use super::Layout;
pub(crate) use self_test::dirichlet;

/// The layouts of this method.
pub const LAYOUTS: &[&dyn Layout] = &[
    &laplacian::Laplacian,
    &objective::Objective,
    &minimisers::Minimisers,
    &unconstrained::Unconstrained,
    &factors::Factors,
    &least_squares::LeastSquares,
    &cross_validation::CrossValidation,
    &regional::Regional,
    &self_test::SelfTest,
    &cortex_patch::CortexPatch,
    &toy::Toy,
];
