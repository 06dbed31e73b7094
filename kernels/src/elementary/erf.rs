//! The error function and its complement.
//!
//! erfc x = e^(−x²) erfcx x, and with w = 1/(x + K), t = (x − K) w one polynomial in t is
//! (x + K) erfcx x for all x ≥ 0 up to where erfc underflows (after Shepherd and Laframboise,
//! *Chebyshev approximation of (1 + 2x) exp(x²) erfc x*, Math. Comp. 36, 1981). Coefficients are
//! our own, minimax in relative error.

use pulp::Simd;

use super::exp::exp_minus_square;
use super::lane::{Lane, choose};
use crate::Real;

/// (x + 3) erfcx x for 0 ≤ x ≤ 10.7; 2.7e-9 relative.
const G_SINGLE: [f64; 10] = [
    1.0740069,
    -8.833945e-1,
    5.9022826e-1,
    -3.104658e-1,
    1.1952962e-1,
    -2.6840964e-2,
    -1.2295546e-3,
    3.0814419e-3,
    -4.7737427e-4,
    -3.2229564e-4,
];
/// (x + 4) erfcx x for 0 ≤ x ≤ 27.6; 3.3e-18 relative.
const G_DOUBLE: [f64; 23] = [
    1.095995661000491,
    -0.9765487290808821,
    0.7732087022652367,
    -0.5408538313132248,
    0.3308515878780259,
    -0.17401093724029218,
    0.07638151490909384,
    -0.026370053334598985,
    0.006112055657401374,
    -0.00028095891585145245,
    -0.0004550526929658152,
    0.00017681308521693459,
    -3.6351333246558855e-06,
    -1.8861774049891628e-05,
    4.694292279172061e-06,
    1.4260558266488074e-06,
    -8.459551907319571e-07,
    -7.790834353648716e-08,
    1.2390717233055102e-07,
    2.5416448003300192e-09,
    -1.5395246426534934e-08,
    -3.5544064587037846e-10,
    1.0270319120548293e-09,
];

/// Minimax erf x / x − 1 in x² for |x| ≤ 1; 1.2e-9.
const R_SINGLE: [f64; 7] = [
    1.2837917e-1,
    -3.7612626e-1,
    1.12836e-1,
    -2.6854446e-2,
    5.1895366e-3,
    -8.0208457e-4,
    7.889119e-5,
];
/// The same for `f64`; 7.1e-18.
const R_DOUBLE: [f64; 12] = [
    0.12837916709551256,
    -0.3761263890318355,
    0.11283791670945253,
    -0.02686617064327622,
    0.005223977607423468,
    -0.0008548325989696758,
    0.00012055295320494294,
    -1.4924744663335489e-05,
    1.6447517677871873e-06,
    -1.6209175911748696e-07,
    1.3722976265924504e-08,
    -7.801188874097751e-10,
];

/// erfcx x = e^(x²) erfc x for 0 ≤ x ≤ 27.6 (10.7 for `f32`).
#[inline(always)]
pub(crate) fn erfcx<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let shift = x.splat(choose::<T, f64>(3.0, 4.0));
    let one = x.splat(1.0);
    let sum = x + shift;
    let w = one / sum;
    let t = (x - shift) * w;
    // What w lacks, relative to it, with the rounding of the sum: it enters twice.
    let back = sum - x;
    let lost = (x - (sum - back)) + (shift - back);
    let rest = one.minus_exact_product(sum, w).minus_product(lost, w);
    let (t, w) = (t.mul_add(rest, t), w.mul_add(rest, w));
    t.polynomial(&G_SINGLE, &G_DOUBLE) * w
}

/// erf x for |x| ≤ 1.
#[inline(always)]
fn erf_small<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    x.mul_add((x * x).polynomial(&R_SINGLE, &R_DOUBLE), x)
}

/// erfc a for a ≥ 0.
#[inline(always)]
fn erfc_right<T: Real, S: Simd>(a: Lane<T, S>) -> Lane<T, S> {
    let a = a.at_most(choose::<T, f64>(10.6, 27.5));
    exp_minus_square(a, 1.0) * erfcx(a)
}

/// erf x, odd to the last bit.
#[inline(always)]
pub(crate) fn erf<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let a = x.abs();
    let one = x.splat(1.0);
    let large = one - erfc_right(a);
    a.less_than(one).select(erf_small(a), large) | x.sign()
}

/// erfc x = 1 − erf x, with relative accuracy in the right tail.
#[inline(always)]
pub(crate) fn erfc<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let a = x.abs();
    let tail = erfc_right(a);
    let large = x.less_than(x.splat(0.0)).select(x.splat(2.0) - tail, tail);
    let small = x.splat(1.0) - erf_small(x);
    // Here erfc is still above ¼, and the difference as accurate as the product.
    a.less_than(x.splat(0.81)).select(small, large)
}
