//! Synthetic data and tasks with a known answer.

pub mod tracing_toys;
