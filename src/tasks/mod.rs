//! Synthetic data and tasks with a known answer.

pub mod temporal_tasks;
pub mod tracing_toys;
