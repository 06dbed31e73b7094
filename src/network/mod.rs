//! Networks without a tape: coarse layers with four passes each, and the exact curvature of their
//! loss.
//!
//! | Item | Is |
//! |---|---|
//! | [`Architecture`] | a network as data, written by a builder or read from a file |
//! | [`Network`] | layers with fixed shapes; [`Parameters`] is its θ, flat and by name |
//! | [`Dataset`], [`Targets`], [`Loss`] | what it is trained on |
//! | [`Objective`] | L(θ), its gradient, per-sample gradients; [`Objective::at`] gives a [`Point`] |
//! | [`Network::activations`] | what every layer gives out |
//! | [`Point`] | one θ with its primal passes kept: [`Hessian`], [`GaussNewton`], Jacobian products |
//! | [`Trainer`] | mini-batch training with checkpoints that resume to the same bits |
//! | [`Sweep`] | many trainings side by side: learning rates, batch sizes, seeds |
//! | [`layer::Layer`] | the trait of a layer, for layers of your own |
//!
//! # Curvature from kept primal passes
//!
//! With z = W x + b, a = φ(z), δ the error at z and g = ∂L/∂a, the Hessian product along (Ẇ, ḃ) needs
//! (Pearlmutter 1994), layer by layer,
//!
//! forwards  ż = W ẋ + Ẇ x + ḃ,  ȧ = φ'∘ż,
//!
//! backwards  δ̇ = φ'∘ġ + (g∘φ'')∘ż,  ẋ̄ = Wᵀ δ̇ + Ẇᵀ δ,
//!
//! output  δ̇ xᵀ + δ ẋᵀ.
//!
//! x, φ', δ and g∘φ'' belong to the point θ, not to the direction. They are computed once, when
//! [`Objective::at`] runs the primal passes, so every product costs the two tangent passes alone:
//! twice the flops of a gradient, without its primal work. What the memory budget does not hold is
//! computed again for every product, to the same bits.
//!
//! # How other layers fit
//!
//! *Convolution and pooling* ([`layers::Convolution`], [`layers::MaxPool`], ...) see the features of a
//! sample as `[channels, height, width]`. A convolution is the dense layer above at every place of the
//! image, with a patch of the image for x: patches are read a tile at a time, while the products with
//! them run, and never stored. *Normalisation, attention* are layers of their own: each sees the
//! features of a shard of samples, keeps what its tangent passes need in its [`layer::State`], and adds
//! its own two terms to the gradient. A layer whose samples depend on each other (batch statistics)
//! says so by [`Layer::couples_samples`]; then the whole batch is one shard.
//!
//! *A weight-shared recurrent layer* is one layer whose input shape is `[time, features]` and whose
//! four passes loop over time inside: `forward` keeps all states, `tangent` runs forwards and keeps ḣ
//! and ż, `adjoint` runs backwards and keeps δ and g∘φ'', `adjoint_tangent` runs backwards along
//! both. A parameter that is used at every step is one slice of θ to which every step adds its
//! gradient; over a shard that is one product with time × samples rows. [`layers::Recurrent`] is such
//! a layer, [`layers::LeakyRecurrent`] one of leaky units; `tests/recurrent` and `tests/credit` hold
//! them to references and to their equations step by step.
//!
//! *An encoder-decoder* holds source and target side by side in its input. [`layers::Parallel`] runs
//! the encoder on the source and passes the target on; the features between decoder blocks are
//! (memory, x). A cross-attention block ([`LayerSpec::cross_attention`]) is a branch that reads both
//! and is added to x alone, so the memory passes on unchanged, and its error is what comes from above
//! plus what each block adds. `tests/layers.rs` holds one to a reference.

mod activations;
mod architecture;
mod data;
mod initializer;
mod jacobian_stack;
pub mod layer;
pub mod layers;
mod linear_map;
mod loss;
#[allow(clippy::module_inception)]
mod network;
mod objective;
pub mod observation;
mod parameters;
mod sweep;
mod training;

pub use activations::Activations;
pub use architecture::{Architecture, LayerSpec, PartSpec, VisionTransformer};
pub use data::{Dataset, Targets};
pub use hesse_kernels::activation::Activation;
pub use initializer::Initializer;
pub(crate) use jacobian_stack::StackObserver;
pub use layer::{Layer, ParameterSpec};
pub use linear_map::LinearMap;
pub use loss::{Loss, Reduction};
pub use network::Network;
pub use objective::{GaussNewton, Hessian, Objective, Point};
pub use parameters::{NamedArray, Parameters};
pub use sweep::{Sweep, SweepProgress, SweepRun, SweepSetting};
pub use training::{Trainer, TrainingProgress, TrainingRun, TrainingStatus};
