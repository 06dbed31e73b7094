//! Elementary functions on slices: exponentials, logarithms, hyperbolic tangent, error function.
//!
//! `out[i] = f(x[i])`, each function for `f32` and `f64` with its own polynomials. Each propagates
//! NaN, keeps the sign of zero where the function is odd, and takes ±∞ to the limit. Errors in
//! units in the last place of the result (of the smallest subnormal where it underflows); all bounds
//! hold with and without fused operations:
//!
#![doc = include_str!("errors.md")]

mod erf;
mod exp;
mod lane;
mod logarithm;
mod scalef;
mod tanh;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{Checked, random_bits};

pub(crate) use erf::erfcx;
pub(crate) use exp::exp as exp_lane;
pub(crate) use exp::{exp_minus_square, expm1 as expm1_lane};
pub(crate) use lane::{Lane, choose};
pub(crate) use logarithm::twice_artanh;
pub(crate) use tanh::{
    sigmoid as sigmoid_lane, sigmoid_and_slopes, tanh as tanh_lane, tanh_and_slope,
};

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::{Isa, Real};

macro_rules! slice_function {
    ($($(#[$doc:meta])* $name:ident = $path:path;)*) => {$(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the slices differ in length.
        pub fn $name<T: Real>(isa: Isa, x: &[T], out: &mut [T]) {
            struct Map<'a, T> {
                x: &'a [T],
                out: &'a mut [T],
            }
            impl<T: Real> WithSimd for Map<'_, T> {
                type Output = ();
                #[inline(always)]
                fn with_simd<S: Simd>(self, simd: S) {
                    let (x, x_tail) = T::as_simd::<S>(self.x);
                    let (out, out_tail) = T::as_mut_simd::<S>(self.out);
                    for (out, x) in out.iter_mut().zip(x) {
                        *out = $path(Lane::<T, S>::new(simd, *x)).get();
                    }
                    if !x_tail.is_empty() {
                        let x = T::partial_load(simd, x_tail);
                        T::partial_store(simd, out_tail, $path(Lane::<T, S>::new(simd, x)).get());
                    }
                }
            }
            assert_eq!(x.len(), out.len());
            dispatch!(isa, Map<'a, T> = Map { x, out });
        }
    )*};
}

slice_function! {
    /// eˣ.
    exp = exp::exp;
    /// eˣ − 1, accurate near 0.
    expm1 = exp::expm1;
    /// ln x: −∞ at ±0, NaN below.
    ln = logarithm::ln;
    /// ln(1 + x), accurate near 0: −∞ at −1, NaN below.
    log1p = logarithm::log1p;
    /// tanh x, odd to the last bit.
    tanh = tanh::tanh;
    /// σ(x) = 1/(1 + e⁻ˣ).
    sigmoid = tanh::sigmoid;
    /// erf x = 2/√π ∫₀ˣ e^(−t²) dt, odd to the last bit.
    erf = erf::erf;
    /// erfc x = 1 − erf x, with relative accuracy in the right tail.
    erfc = erf::erfc;
}
