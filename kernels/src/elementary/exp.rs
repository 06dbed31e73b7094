//! Exponentials.
//!
//! x = n ln 2 + r with |r| ≤ ½ ln 2, and eˣ = 2ⁿ (1 + r + r² q(r)). ln 2 is a sum of two numbers,
//! the first so short that its product with n is exact without fused operations.

use pulp::Simd;

use super::lane::{Lane, choose, is_single};
use crate::Real;

/// Minimax (eʳ − 1 − r)/r² on |r| ≤ 0.347; error of eʳ − 1: 1.4e-8 relative.
const Q_SINGLE: [f64; 5] = [0.5, 1.6666542e-1, 4.166628e-2, 8.366659e-3, 1.394663e-3];
/// The same for `expm1`, where the leading 1 does not hide the error: 2.4e-10 relative.
const Q_SINGLE_LONG: [f64; 6] =
    [0.5, 1.6666667e-1, 4.1666355e-2, 8.333272e-3, 1.3941127e-3, 1.9914407e-4];
/// The same for `f64`; 1.8e-17 relative to eʳ − 1.
const Q_DOUBLE: [f64; 10] = [
    0.5000000000000006,
    0.16666666666666685,
    0.04166666666657278,
    0.008333333333314376,
    0.0013888888932676075,
    0.00019841269903534257,
    2.480150406848851e-05,
    2.7557227475139874e-06,
    2.762648361209373e-07,
    2.511463256936959e-08,
];

/// x = n ln 2 + r.
struct Reduced<T: Real, S: Simd> {
    /// The whole number n.
    n: Lane<T, S>,
    /// n as a two's complement integer in the low bits, above them a constant that shifts out.
    shifted: T::Bits<S>,
    /// r = upper − lower, where `upper` is exact.
    upper: Lane<T, S>,
    lower: Lane<T, S>,
}

#[inline(always)]
fn reduce<T: Real, S: Simd>(x: Lane<T, S>) -> Reduced<T, S> {
    let magic = x.splat(choose::<T, f64>(12_582_912.0, 6_755_399_441_055_744.0));
    let shifted = x.mul_add(x.splat(core::f64::consts::LOG2_E), magic);
    let n = shifted - magic;
    let upper = x.splat(choose::<T, f64>(0.693359375, 6.931_471_803_691_238e-1));
    let lower = x.splat(choose::<T, f64>(-2.121_944_4e-4, 1.908_214_929_270_587_7e-10));
    let upper = x.minus_product(n, upper);
    Reduced { n, shifted: shifted.bits(), upper, lower: n * lower }
}

/// 1 + r + r² q(r), where the rounding of r = upper − lower comes in only through the small term.
#[inline(always)]
fn exp_reduced<T: Real, S: Simd>(upper: Lane<T, S>, lower: Lane<T, S>) -> Lane<T, S> {
    let r = upper - lower;
    let q = r.polynomial(&Q_SINGLE, &Q_DOUBLE);
    ((r * r).mul_add(q, -lower) + upper) + r.splat(1.0)
}

/// p·2ⁿ with one rounding, n far outside the range of one exponent.
#[inline(always)]
fn scale<T: Real, S: Simd>(p: Lane<T, S>, n: Lane<T, S>, shifted: T::Bits<S>) -> Lane<T, S> {
    let simd = p.simd();
    if let Some(scaled) = super::scalef::scalef::<T, S>(simd, p.get(), n.get()) {
        return Lane::new(simd, scaled);
    }
    let half = T::shr_bits::<S, 1>(simd, shifted);
    let rest = T::sub_bits(simd, shifted, half);
    p * power_of_two(p, half) * power_of_two(p, rest)
}

/// 2ⁿ for n in the range of the exponent, from the integer that [`reduce`] makes.
#[inline(always)]
fn power_of_two<T: Real, S: Simd>(like: Lane<T, S>, shifted: T::Bits<S>) -> Lane<T, S> {
    let simd = like.simd();
    Lane::from_bits(
        simd,
        T::add_bits(simd, exponent::<T, S>(simd, shifted), like.splat(1.0).bits()),
    )
}

/// n moved to the place of the exponent.
#[inline(always)]
fn exponent<T: Real, S: Simd>(simd: S, shifted: T::Bits<S>) -> T::Bits<S> {
    if is_single::<T>() {
        T::shl_bits::<S, 23>(simd, shifted)
    } else {
        T::shl_bits::<S, 52>(simd, shifted)
    }
}

/// eˣ; overflows to ∞, underflows gradually to 0.
#[inline(always)]
pub(crate) fn exp<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    exp_below(x.at_most(choose::<T, f64>(89.0, 710.0)))
}

/// eˣ for x up to 89 (`f64`: 710), or NaN.
#[inline(always)]
pub(crate) fn exp_below<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let Reduced { n, shifted, upper, lower } = reduce(x.at_least(choose::<T, f64>(-104.0, -746.0)));
    scale(exp_reduced(upper, lower), n, shifted)
}

/// eˣ for x between −80 (`f64`: −700) and 80 (700), or NaN.
#[inline(always)]
pub(crate) fn exp_moderate<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let Reduced { shifted, upper, lower, .. } = reduce(x);
    // A product, not a sum of exponents, which would make numbers of NaN.
    exp_reduced(upper, lower) * power_of_two(x, shifted)
}

/// exp(−scale·x²) for 0 ≤ x ≤ 40 and scale 1 or ½, as accurate as if x² were exact: its upper half
/// is, and the rest is added behind the reduction.
#[inline(always)]
pub(crate) fn exp_minus_square<T: Real, S: Simd>(x: Lane<T, S>, scale_by: f64) -> Lane<T, S> {
    let factor = x.splat(-scale_by);
    let upper = x.upper_half();
    let main = (upper * upper * factor).at_least(choose::<T, f64>(-120.0, -800.0));
    let rest = (x - upper) * (x + upper) * factor;
    let Reduced { n, shifted, upper, lower } = reduce(main);
    let lower = lower - rest;
    let r = upper - lower;
    // In `f32` the rest is up to 0.1, which asks for the longer polynomial.
    let q = r.polynomial(&Q_SINGLE_LONG, &Q_DOUBLE);
    scale(((r * r).mul_add(q, -lower) + upper) + x.splat(1.0), n, shifted)
}

/// eˣ − 1, accurate near 0.
///
/// With p = eʳ − 1: 2·(2ⁿ⁻¹ p + (2ⁿ⁻¹ − ½)), where 2ⁿ⁻¹ never overflows before the result does.
#[inline(always)]
pub(crate) fn expm1<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let simd = x.simd();
    let bounded = x.at_most(choose::<T, f64>(89.0, 710.0)).at_least(choose::<T, f64>(-20.0, -40.0));
    let Reduced { n, shifted, upper, lower } = reduce(bounded);
    let r = upper - lower;
    let q = r.polynomial(&Q_SINGLE_LONG, &Q_DOUBLE);
    let p = (r * r).mul_add(q, -lower) + upper;
    let one = T::splat_bits(simd, 1);
    let half = x.splat(0.5);
    let power = power_of_two(x, T::sub_bits(simd, shifted, one));
    let sum = power.mul_add(p, power - half);
    let sum = n.equal(x.splat(0.0)).select(p, sum + sum);
    // The sign of ±0 is lost on the way.
    sum.abs() | x.sign()
}
