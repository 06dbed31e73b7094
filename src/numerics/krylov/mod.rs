//! Spectra, traces and densities of symmetric operators that can only be multiplied with vectors.

mod operator;

pub use operator::LinearOperator;
