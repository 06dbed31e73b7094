//! Logarithms.
//!
//! x = 2ᵏ (1 + f) with 1 + f between √½ and √2, and with s = f/(2 + f):
//! ln(1 + f) = 2 artanh s = f − f²/2 + s (f²/2 + s² p(s²)), the arrangement of fdlibm's `e_log.c`.

use pulp::Simd;

use super::lane::{Lane, choose, is_single};
use crate::Real;

/// Minimax (2 artanh(s)/s − 2)/s² in s² on |s| ≤ 0.1716; 8.1e-10 relative to 2s.
const P_SINGLE: [f64; 3] = [6.6666776e-1, 3.997753e-1, 2.9872116e-1];
/// The same for `f64`; 1.2e-18.
const P_DOUBLE: [f64; 7] = [
    0.6666666666666734,
    0.3999999999941361,
    0.2857142874265296,
    0.22222198543366886,
    0.18183566002288842,
    0.15314004607321777,
    0.14796438496520745,
];

/// The same on |s| ≤ ⅓; 1.1e-10.
const WIDE_SINGLE: [f64; 5] =
    [6.6666675e-1, 3.9998877e-1, 2.8616878e-1, 2.1427691e-1, 2.4300897e-1];
/// The same for `f64` on |s| ≤ ⅓; 3.6e-20.
const WIDE_DOUBLE: [f64; 11] = [
    0.6666666666666667,
    0.3999999999999398,
    0.285714285725101,
    0.22222222125463942,
    0.18181823203237474,
    0.15384451923159637,
    0.13336805979523117,
    0.11715948853908884,
    0.10972579412202318,
    0.06994198019797442,
    0.16467716421948198,
];

/// k and f of a positive normal number.
#[inline(always)]
fn split<T: Real, S: Simd>(x: Lane<T, S>) -> (Lane<T, S>, Lane<T, S>) {
    let simd = x.simd();
    let one = x.splat(1.0).bits();
    let root = x.splat(core::f64::consts::FRAC_1_SQRT_2).bits();
    let offset = T::add_bits(simd, x.bits(), T::sub_bits(simd, one, root));
    let exponent = if is_single::<T>() {
        T::shr_bits::<S, 23>(simd, offset)
    } else {
        T::shr_bits::<S, 52>(simd, offset)
    };
    // An exponent field as a float: below 2²³ (2⁵²), whose low bits hold it, minus the bias.
    let two = x.splat(choose::<T, f64>(8_388_608.0, 4_503_599_627_370_496.0));
    let biased = Lane::from_bits(simd, T::or_bits(simd, exponent, two.bits()));
    let bias = x.splat(choose::<T, f64>(8_388_608.0 + 127.0, 4_503_599_627_370_496.0 + 1023.0));
    let mantissa = T::splat_bits(simd, choose::<T, u64>(0x7f_ffff, 0xf_ffff_ffff_ffff));
    let m = T::add_bits(simd, T::and_bits(simd, offset, mantissa), root);
    (biased - bias, Lane::from_bits(simd, m) - x.splat(1.0))
}

/// k ln 2 + ln(1 + f) + rest.
#[inline(always)]
fn assemble<T: Real, S: Simd>(k: Lane<T, S>, f: Lane<T, S>, rest: Lane<T, S>) -> Lane<T, S> {
    let upper = f.splat(choose::<T, f64>(0.693359375, 6.931_471_803_691_238e-1));
    let lower = f.splat(choose::<T, f64>(-2.121_944_4e-4, 1.908_214_929_270_587_7e-10));
    let s = f / (f + f.splat(2.0));
    let y = s * s;
    let half_square = f * f * f.splat(0.5);
    let tail = s * y.mul_add(y.polynomial(&P_SINGLE, &P_DOUBLE), half_square);
    let tail = tail + k.mul_add(lower, rest);
    k.mul_add(upper, f - (half_square - tail))
}

/// ln x: −∞ at ±0, NaN below.
#[inline(always)]
pub(crate) fn ln<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let zero = x.splat(0.0);
    let tiny = x.less_than(x.splat(T::MIN_POSITIVE.to_f64()));
    let scaled = x * x.splat(choose::<T, f64>(33_554_432.0, 18_014_398_509_481_984.0));
    let shift = tiny.select(x.splat(choose::<T, f64>(25.0, 54.0)), zero);
    let normal = x.less_than(x.splat(T::MIN_POSITIVE.to_f64())).select(scaled, x);
    let (k, f) = split(normal);
    edges(x, assemble(k - shift, f, zero))
}

/// ln(1 + x), accurate near 0: −∞ at −1, NaN below.
#[inline(always)]
pub(crate) fn log1p<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let one = x.splat(1.0);
    let u = x + one;
    let (k, f) = split(u);
    // What the sum 1 + x lost, relative to u.
    let lost = one.less_equal(x).select(one - (u - x), x - (u - one)) / u;
    let value = edges(u, assemble(k, f, lost));
    // Only here the result is zero, and its sign is that of x.
    x.equal(x.splat(0.0)).select(x, value)
}

/// The logarithm of `x` where it is no positive finite number.
#[inline(always)]
fn edges<T: Real, S: Simd>(x: Lane<T, S>, value: Lane<T, S>) -> Lane<T, S> {
    let infinity = x.splat(f64::INFINITY);
    let zero = x.splat(0.0);
    let value = x.less_than(infinity).select(value, x);
    let value = x.less_than(zero).select(x.splat(f64::NAN), value);
    x.equal(zero).select(-infinity, value)
}

/// 2 artanh s for 0 ≤ s ≤ ⅓, that is ln((1 + s)/(1 − s)).
#[inline(always)]
pub(crate) fn twice_artanh<T: Real, S: Simd>(s: Lane<T, S>) -> Lane<T, S> {
    let y = s * s;
    (s * y).mul_add(y.polynomial(&WIDE_SINGLE, &WIDE_DOUBLE), s + s)
}
