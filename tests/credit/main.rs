//! Learning rules of recurrent networks and the curvature that they reach.

mod bad_input;
mod case;
mod checkpoints;
mod curvature;
#[path = "../derivatives/mod.rs"]
mod derivatives;
mod edges;
mod golden;
mod identities;
mod online;
mod properties;
mod through_time;
mod training;
