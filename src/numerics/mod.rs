//! Numerical methods that know nothing of networks or papers.

pub mod krylov;
pub mod neighbors;
pub mod optimize;
pub mod parallel;
pub mod random;
pub mod statistics;
