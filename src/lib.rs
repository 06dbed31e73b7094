//! `hesse`: a numerical engine for theories of neural computation.
//!
//! # The house
//!
//! | Room | What it computes |
//! |---|---|
//! | [`connectome`] | connectivity between voxels from tracing experiments |
//! | [`credit`] | learning rules of recurrent networks, and the curvature that they reach |
//! | [`dimension`] | how many dimensions points occupy |
//! | [`flatness`] | how the sharpness of a network bounds the sensitivity of its representations |
//! | [`krylov`] | what can be learned of an operator that can only be multiplied with vectors |
//! | [`neighbors`] | exact nearest neighbours, their graphs and geodesics |
//! | [`parallel`] | work in fixed shards, results in a fixed order: the same bits for any number of threads |
//! | [`optimize`] | minima: gradient descent and its kin, nonnegative least squares, L-BFGS-B over boxes |
//! | [`similarity`] | how alike two representations of the same stimuli are |
//! | [`statistics`] | ranks and correlations with their intervals, spectra of covariances, participation ratios |
//! | [`temporal_tasks`] | tasks in time for recurrent networks |
//! | [`Error`] | what is wrong with an input: the thing, what was expected, what came |
//! | [`Isa`], [`Real`] | the instruction set of the kernels, and the two storage types |
//!
//! A room uses the rooms below it, never a room above.
//!
//! # Conventions
//!
//! - **Shapes.** Matrices are samples × features, [`faer`] matrices with any strides; sparse ones
//!   are [`sprs`]. Both crates are re-exported.
//! - **Precision.** `f32` and `f64` storage through [`Real`]; sums over samples, dot products and
//!   reported scalars are accumulated in `f64`.
//! - **Same bits.** A result does not depend on the number of threads, only on the seed and on the
//!   instruction set. `HESSE_ISA=scalar|v3|v4|neon` forces that of our kernels; dense products are
//!   done by `faer` and `matrixmultiply`, which choose their own.
//! - **Threads** are those of rayon's current pool; nobody's global pool is touched.
//! - **Bad input** is refused at the door with an [`Error`]; an iteration limit is none: the best
//!   iterate comes back with its status and residual.
#![forbid(unsafe_code)]

pub mod error;
pub mod io;
mod methods;
pub mod network;
mod numerics;
mod tasks;

pub use error::{Error, Result};
pub use hesse_kernels::{Isa, Real};
pub use methods::{connectome, credit, dimension, flatness, similarity};
pub use numerics::{krylov, neighbors, optimize, parallel, random, statistics};
pub use tasks::{temporal_tasks, tracing_toys};

pub use faer;
pub use sprs;

/// The example in the README runs as a test of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
