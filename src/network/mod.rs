//! Networks without a tape: coarse layers with four passes each, and the exact curvature of their
//! loss.
//!
//! TODO map
mod architecture;
mod data;
mod initializer;
pub mod layer;
pub mod layers;
mod loss;
#[allow(clippy::module_inception)]
mod network;
mod objective;
mod parameters;

pub use architecture::{Architecture, LayerSpec};
pub use data::{Dataset, Targets};
pub use hesse_kernels::activation::Activation;
pub use initializer::Initializer;
pub use layer::{Layer, ParameterSpec};
pub use loss::{Loss, Reduction};
pub use network::Network;
pub use objective::{GaussNewton, Hessian, Objective, Point};
pub use parameters::{NamedArray, Parameters};
