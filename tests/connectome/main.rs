//! Smooth nonnegative connectivity from incomplete tracing data.

mod full;
mod golden;
mod low_rank;
mod objective;
mod selection;
