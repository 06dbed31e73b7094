//! Reference files of recurrent networks: gradients under every rule with curvature, trainings, the
//! stability of minima, spiking networks, random estimates, tables of experiments.

mod edges;
mod experiments;
mod network;
mod numpy;
mod rules;
mod spiking;
mod theorem;
mod trainings;
mod uoro;

use super::Layout;

/// The layouts of this method.
pub const LAYOUTS: &[&dyn Layout] = &[
    &rules::Rules,
    &spiking::Spiking,
    &trainings::Trainings,
    &theorem::Theorem,
    &edges::Edges,
    &uoro::Estimate,
    &experiments::Experiments,
];
