//! Spectra, traces and densities of symmetric operators that can only be multiplied with vectors.

mod basis;
mod chebyshev;
mod combined_operators;
mod conjugate_gradient;
mod counted_products;
mod dense_operator;
mod eigenpairs;
mod krylov_space;
mod lanczos;
mod lobpcg;
mod long_vectors;
mod operator;
mod options;
mod power_iteration;
mod selection;
mod sparse_operator;
mod start_vectors;
mod symmetric_eigen;

pub use combined_operators::{Deflated, Diagonal, FnOperator, Identity, Scaled, Shifted, Sum};
pub use conjugate_gradient::{ConjugateGradient, Solution, SolveStatus};
pub use dense_operator::DenseOperator;
pub use eigenpairs::{Eigenpairs, Progress, Stats, Status};
pub use lanczos::Lanczos;
pub use lobpcg::Lobpcg;
pub use operator::LinearOperator;
pub use power_iteration::PowerIteration;
pub use selection::Which;
pub use sparse_operator::SparseOperator;
