//! Spectra, traces and densities of symmetric operators that can only be multiplied with vectors.

mod dense;
mod density;
mod diagonal;
mod estimate;
mod hutchinson;
mod hutchpp;
mod leave_one_out;
mod operator;
mod orthonormal;
mod probes;
mod products;
mod tall;
mod trace;
mod tridiagonal;
mod xnystrace;
mod xtrace;

pub use density::{Density, Kernel, SpectralDensity};
pub use diagonal::{Diagonal, DiagonalEstimate};
pub use estimate::{Estimate, EstimateStatus};
pub use operator::LinearOperator;
pub use probes::Probes;
pub use products::Progress;
pub use trace::{Trace, TraceEstimate};
pub use tridiagonal::{Quadrature, Tridiagonal};
