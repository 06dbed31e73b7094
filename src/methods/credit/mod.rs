//! Learning rules for recurrent networks: exact and biologically plausible credit assignment
//! through time, and the curvature of the solutions that they reach.
//!
//! | Item | Is |
//! |---|---|
//! | [`RateRnn`] | leaky rate units with a filtered linear readout, θ = (W, U, b, O, c) |
//! | [`Sequences`], [`Target`] | what it is trained on, at the last step or at each |
//! | [`States`] | the primal pass at one θ; [`States::gradient`] is the gradient of any [`Rule`] |
//! | [`Rule`] | BPTT, RTRL, three factors (e-prop, RFLO), MDGL, ModProp, SnAp-1, UORO |
//! | [`Eligibility`], [`OnlineDescent`] | local rules forwards in time, with a trace at every synapse |
//! | [`SpikingRnn`], [`SpikingStates`] | LIF and adaptive LIF units with surrogate derivatives |
//! | [`Alignment`] | cosine, ρ and what is orthogonal, against the exact gradient |
//! | [`Decay`] | the L2 penalty of weights |
//! | [`Curvature`] | λ₁ and λ_min of a block of the exact Hessian, warm from θ to θ |
//! | [`Training`] | descent along any rule, scaled or matched steps, checkpoints |
//! | [`Stability`] | the step sizes that a minimum tolerates under a rule |
//! | [`CellTypes`] | Dale's law, weights known by type |
//!
//! Loss and its exact derivatives of second order, always of the exact loss, are those of
//! [`Sequences::objective`] on [`RateRnn::network`].
//!
//! Source: Liu, Ghosh, Richards, Shea-Brown, Lajoie, *Beyond accuracy: generalization properties of
//! bio-plausible temporal credit assignment rules*, NeurIPS 2022, arXiv 2206.00823, and its code.

mod alignment;
mod cell_types;
mod curvature;
mod decay;
mod eligibility;
mod offline;
mod rate_rnn;
mod rtrl;
mod rule;
mod sequences;
mod spiking;
mod stability;
mod states;
mod training;
mod uoro;

pub use crate::network::layers::Leak;
pub use alignment::Alignment;
pub use cell_types::CellTypes;
pub use curvature::{Curvature, Eigensolver, LeadingEigenvalues};
pub use decay::Decay;
pub use eligibility::{Eligibility, OnlineDescent};
pub use rate_rnn::{Block, RateRnn};
pub use rule::{BackWeights, Feedback, Noise, Propagation, Rule};
pub use sequences::{Sequences, Target};
pub use spiking::{SpikingRnn, SpikingStates};
pub use stability::Stability;
pub use states::States;
pub use training::{Checkpoint, History, Scaling, Stop, Training};
