//! Naive reference implementations, in `f64` and in the order of the textbook: what tests, fuzz
//! targets and benchmarks compare the kernels with. Not for use in programs.

/// Σ xᵢ yᵢ, and Σ |xᵢ yᵢ| for the error bound.
#[must_use]
pub fn dot(x: &[f64], y: &[f64]) -> (f64, f64) {
    x.iter().zip(y).fold((0.0, 0.0), |(sum, abs), (a, b)| (sum + a * b, abs + (a * b).abs()))
}
