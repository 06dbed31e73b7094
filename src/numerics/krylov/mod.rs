//! Spectra, traces and densities of symmetric operators that can only be multiplied with vectors.

mod basis;
mod combined_operators;
mod counted_products;
mod dense_operator;
mod eigenpairs;
mod krylov_space;
mod lanczos;
mod operator;
mod selection;
mod sparse_operator;
mod start_vectors;
mod symmetric_eigen;

pub use combined_operators::{Deflated, Diagonal, FnOperator, Identity, Scaled, Shifted, Sum};
pub use dense_operator::DenseOperator;
pub use eigenpairs::{Eigenpairs, Progress, Stats, Status};
pub use lanczos::Lanczos;
pub use operator::LinearOperator;
pub use selection::Which;
pub use sparse_operator::SparseOperator;
mod dense;
mod density;
mod diagonal;
mod estimate;
mod hutchinson;
mod hutchpp;
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
