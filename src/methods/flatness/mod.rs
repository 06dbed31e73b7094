//! What the sharpness of a trained network says about its representations: both computed exactly.
//!
//! | Item | Computes |
//! |---|---|
//! | [`Geometry`] | S and all Jacobians ∂f/∂x^l from one stacked adjoint pass: a [`GeometryReport`] |
//! | [`GeometryReport`] | S, MLS, log volume, local dimension, NMLS, NVR, adaptive and relative flatness |
//! | [`Bounds`] | both sides of every bound of sensitivity by sharpness |
//! | [`RelativeFlatness`] | κ_l of any Hessian: exact, Hutchinson, largest eigenvalues |
//! | [`Sensitivity`] | MLS and its relatives of any [`DifferentiableMap`], by products alone |
//! | [`Stability`] | whether stochastic gradient descent can stay at a minimum |
//! | [`AdaptiveCurvature`], [`AdaptiveMonteCarlo`] | adaptive sharpness of any Hessian, and by perturbations |
//!
//! # Notation
//!
//! Linear layers l = 1 … L: z^l = W_l x^l + b_l with x^1 = x and raw outputs f = z^L. For each of n
//! samples J^l = ∂f/∂x^l (N × d_l), δ^l = ∂f/∂z^l, J = ∂f/∂x. Then J^l = δ^l W_l and
//! ‖∂f/∂W_l‖_F = ‖δ^l‖_F ‖x^l‖, so that a perturbation of a layer's input is a perturbation of its
//! weights, and parameters in whose direction outputs change little leave representations that change
//! little with their inputs. All quantities are pure numbers.
//!
//! Largest eigenvalues and densities of the Hessian, the other measures of sharpness, are those of
//! [`Point::hessian`](crate::network::Point::hessian) by [`Lanczos`](crate::krylov::Lanczos) and
//! [`Density`](crate::krylov::Density); S is the trace of
//! [`Point::gauss_newton`](crate::network::Point::gauss_newton) under
//! [`Loss::HalfSquaredError`](crate::network::Loss::HalfSquaredError).
//!
//! Source: Chen, Recanatesi, Shea-Brown, *A simple connection from loss flatness to compressed neural
//! representations*, arXiv 2310.01770, and its reference code.

mod adaptive;
mod black_box;
mod bounds;
mod geometry;
mod jacobian;
mod layer;
mod relative_flatness;
mod report;
mod stability;
mod weight_norm;

pub use adaptive::{AdaptiveCurvature, AdaptiveMonteCarlo, sigmoid_squared_error};
pub use black_box::{DifferentiableMap, NetworkMap, Sensitivity, Squashed};
pub use bounds::{Bounds, Chain, ConvBound};
pub use geometry::Geometry;
pub use jacobian::{JacobianGeometry, LogVolume, SingularValues};
pub use layer::{LayerGeometry, OtherLayer};
pub use relative_flatness::{LargestEigenvalues, RelativeFlatness};
pub use report::{GeometryReport, OverLayers};
pub use stability::{Condition, Stability, moment_condition};
