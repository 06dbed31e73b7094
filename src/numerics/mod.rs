//! Numerical methods that know nothing of networks or papers.

pub(crate) mod dense;
pub mod krylov;
pub mod neighbors;
pub mod optimize;
pub mod parallel;
pub mod random;
pub(crate) mod special;
pub mod statistics;
