//! Options that several solvers share, and their checks.

use crate::{Error, Real, Result};

/// 10⁻⁸, or what the storage type can hold.
pub(super) fn default_tolerance<T: Real>() -> f64 {
    if size_of::<T>() == 4 { 1e-5 } else { 1e-8 }
}

pub(super) fn check_tolerance(tolerance: f64) -> Result<()> {
    if tolerance > 0.0 && tolerance.is_finite() {
        return Ok(());
    }
    Err(Error::range("tolerance", "a positive finite number", tolerance))
}

pub(super) fn check_count(what: &str, got: usize, most: usize) -> Result<()> {
    if (1..=most).contains(&got) {
        return Ok(());
    }
    let expected =
        if most == usize::MAX { "at least 1".to_owned() } else { format!("1 to {most}") };
    Err(Error::range(what, expected, got))
}

pub(super) fn check_start<T: Real>(start: &[T], n: usize) -> Result<()> {
    if !start.len().is_multiple_of(n) {
        let expected = (n, start.len().div_ceil(n));
        return Err(Error::shape("start vectors", expected, (start.len(), 1)));
    }
    crate::error::check_finite("start vectors", start)?;
    for (i, vector) in start.chunks_exact(n).enumerate() {
        if vector.iter().all(|x| *x == T::ZERO) {
            return Err(Error::range(format!("start vector {i}"), "a vector that is not zero", 0));
        }
    }
    Ok(())
}

/// The residual that counts as converged: see [`Lanczos`].
pub(super) fn residual_bound<T: Real>(tolerance: f64, value: f64, norm: f64) -> f64 {
    let floor = libm::cbrt(f64::EPSILON).powi(2) * norm;
    let rounding = 10.0 * T::EPSILON.to_f64();
    (tolerance * value.abs().max(floor)).max(tolerance.min(rounding) * norm)
}
