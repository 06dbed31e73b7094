//! Learning rules for recurrent networks: exact and biologically plausible credit assignment
//! through time, and the curvature of the solutions that they reach.
//!
//! | Item | Is |
//! |---|---|
//! | [`RateRnn`] | leaky rate units with a filtered linear readout, θ = (W, U, b, O, c) |
//! | [`Sequences`], [`Target`] | what it is trained on, at the last step or at each |
//! | [`States`] | the primal pass at one θ, kept whole or at checkpoints; [`States::gradient`] is the gradient of any [`Rule`] |
//! | [`Rule`] | BPTT, RTRL, three factors (e-prop, RFLO), MDGL, ModProp, SnAp-1, UORO |
//! | [`Eligibility`], [`OnlineDescent`] | local rules forwards in time, with a trace at every synapse |
//! | [`SpikingRnn`], [`SpikingStates`] | LIF and adaptive LIF units with surrogate derivatives |
//! | [`Alignment`] | cosine, ρ and what is orthogonal, against the exact gradient |
//! | [`Decay`] | the L2 penalty of weights |
//! | [`Curvature`] | λ₁ and λ_min of a block of the exact Hessian, warm from θ to θ |
//! | [`Training`], [`Batches`] | descent along any rule, scaled or matched steps, checkpoints |
//! | [`Gap`], [`Score`] | loss and accuracy on seen and unseen data |
//! | [`Stability`] | the step sizes that a minimum tolerates under a rule |
//! | [`CellTypes`] | Dale's law, weights known by type |
//!
//! Loss and its exact derivatives of second order, always of the exact loss, are those of
//! [`Sequences::objective`] on [`RateRnn::network`].
//!
//! # Example
//!
//! One linear unit h_t = W h_{t−1} + U x_t over two steps, with input 1 and then 0, and ½ y_2²: the
//! input at the first step matters through W alone, which three factors do not see.
//!
//! ```
//! use hesse::credit::{Leak, RateRnn, Rule, Sequences, States, Target};
//! use hesse::network::Activation;
//!
//! let rnn = RateRnn::new(1, 1, 1, Activation::Identity, Leak::Voltage(vec![0.0]))?;
//! let data = Sequences::new(vec![1.0, 0.0], [1, 2, 1], Target::ValuesAtEnd(vec![0.0]))?;
//! // W = ½, U = 1, b = 0, O = 1, c = 0: h = 1, ½.
//! let states = States::new(&rnn, &[0.5, 1.0, 0.0, 1.0, 0.0], &data)?;
//! assert_eq!(states.loss(), 0.125);
//! assert_eq!(states.gradient(&Rule::Bptt)?, [0.5, 0.25, 0.75, 0.25, 0.5]);
//! assert_eq!(states.gradient(&Rule::three_factor())?, [0.5, 0.0, 0.5, 0.25, 0.5]);
//! # Ok::<(), hesse::Error>(())
//! ```
//!
//! Source: Liu, Ghosh, Richards, Shea-Brown, Lajoie, *Beyond accuracy: generalization properties of
//! bio-plausible temporal credit assignment rules*, NeurIPS 2022, arXiv 2206.00823, and its code.

mod alignment;
mod batches;
mod cell_types;
mod checkpoints;
mod curvature;
mod decay;
mod eligibility;
mod gap;
mod offline;
mod pass;
mod rate_rnn;
mod rtrl;
mod rule;
mod sequences;
mod spiking;
mod stability;
mod states;
mod training;
mod trajectory;
mod uoro;

pub use crate::network::layers::Leak;
pub use alignment::Alignment;
pub use batches::Batches;
pub use cell_types::CellTypes;
pub use curvature::{Curvature, Eigensolver, LeadingEigenvalues};
pub use decay::Decay;
pub use eligibility::{Eligibility, OnlineDescent};
pub use gap::{Gap, Score};
pub use rate_rnn::{Block, RateRnn};
pub use rule::{BackWeights, Feedback, Noise, Propagation, Rule};
pub use sequences::{Sequences, Target};
pub use spiking::{SpikingRnn, SpikingStates};
pub use stability::Stability;
pub use states::States;
pub use training::{Checkpoint, History, Scaling, Stop, Training};
