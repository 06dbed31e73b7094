//! Smooth nonnegative connectivity from incomplete tracing data.

mod full;
mod low_rank;
mod selection;
mod golden;
mod objective;
