//! Smooth nonnegative connectivity from incomplete tracing data.

mod bad_input;
mod cortex;
mod full;
mod gap;
mod golden;
mod identities;
mod low_rank;
mod objective;
mod paper;
mod selection;
