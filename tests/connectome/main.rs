//! Smooth nonnegative connectivity from incomplete tracing data.

mod full;
mod golden;
mod objective;
