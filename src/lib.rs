//! `hesse`: a numerical engine for theories of neural computation.
#![forbid(unsafe_code)]

pub mod error;
mod numerics;

pub use error::{Error, Result};
pub use hesse_kernels::{Isa, Real};
pub use numerics::{krylov, optimize, parallel, random};

pub use faer;
pub use sprs;
