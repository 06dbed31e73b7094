//! Special functions that no dependency has.

mod bessel;
mod digamma;
mod gamma_quantile;
mod lambert;

pub(crate) use bessel::{bessel_ratio, ln_bessel_i0};
pub(crate) use digamma::{digamma, trigamma};
pub(crate) use gamma_quantile::gamma_quantile;
pub(crate) use lambert::lambert_w;
