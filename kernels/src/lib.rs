//! SIMD kernels of `hesse`: slices in, slices out, no allocation.
//!
//! Every kernel is written once, generic over [`pulp::Simd`], and dispatched once per call on an
//! [`Isa`]: plain scalar code, AVX2 with FMA, AVX-512 or NEON. The environment variable
//! `HESSE_ISA=scalar|v3|v4|neon` forces one of them, see [`Isa::from_env`]. All of this is compiled
//! here: a caller's generic functions call it, and do not compile it again.
//!
//! Lengths are asserted here, because the soundness of the kernels rests on them; the public
//! functions of `hesse` have checked them before and return errors.

pub mod activation;
pub mod attention;
mod compiled;
pub mod distance;
pub mod elementary;
pub mod eligibility;
pub mod gemm;
pub mod gram;
mod isa;
mod lanes;
pub mod layer_norm;
pub mod leak;
pub mod level1;
pub mod loss;
mod missing;
pub mod optimizer_step;
pub mod oracle;
pub mod oracle_functions;
pub mod panel;
pub mod patches;
pub mod peak;
pub mod philox;
pub mod pool;
mod prefetch;
pub mod projected_gradient;
pub mod rank_scan;
mod real;
mod row;
pub mod screen;
pub mod smallest;
pub mod stencil;
mod window;

pub use isa::{Isa, IsaError};
pub use pulp;
pub use real::Real;
pub use window::Window;
