//! Learning rules for recurrent networks: exact and biologically plausible credit assignment through
//! time, and the curvature of the solutions that they reach.
//!
//! | Item | Is |
//! |---|---|
//! | [`RateRnn`] | leaky rate units with a filtered linear readout, θ = (W, U, b, O, c) |
//! | [`Sequences`], [`Target`] | what it is trained on, at the last step or at each |
//! | [`States`] | the primal pass at one θ; [`States::gradient`] is the gradient of any [`Rule`] |
//! | [`Rule`] | BPTT, RTRL, three factors (e-prop, RFLO), MDGL, ModProp, SnAp-1, UORO |
//! | [`Alignment`] | cosine, ρ and what is orthogonal, against the exact gradient |
//! | [`CellTypes`] | Dale's law, weights known by type |
//!
//! Loss and its exact derivatives of second order, always of the exact loss, are those of
//! [`Sequences::objective`] on [`RateRnn::network`].
//!
//! Source: Liu, Ghosh, Richards, Shea-Brown, Lajoie, *Beyond accuracy: generalization properties of
//! bio-plausible temporal credit assignment rules*, NeurIPS 2022, arXiv 2206.00823, and its code.

mod alignment;
mod cell_types;
mod offline;
mod rate_rnn;
mod rtrl;
mod rule;
mod sequences;
mod states;
mod uoro;

pub use crate::network::layers::Leak;
pub use alignment::Alignment;
pub use cell_types::CellTypes;
pub use rate_rnn::{Block, RateRnn};
pub use rule::{BackWeights, Feedback, Noise, Propagation, Rule};
pub use sequences::{Sequences, Target};
pub use states::States;
