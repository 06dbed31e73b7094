//! Losses of whole tiles of samples: value, gradient and Hessian in the network's outputs.
//!
//! Outputs are row-major, one sample a row. Every loss here is scale·Σ_b w_b ℓ_b with a weight w_b
//! a sample (1 without weights); gradients and Hessians carry the same factors, so that
//! `scale` = 1/n makes a mean. Values are summed in `f64` with compensation, whatever the storage.
//! Derivatives are those of the sum, never divided by anything.

mod softmax;
mod squared;
mod sum;
#[cfg(test)]
mod tests;

pub use softmax::{Targets, softmax_cross_entropy, softmax_curvature_product};
pub use squared::{squared_curvature_product, squared_error};
