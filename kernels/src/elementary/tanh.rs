//! Hyperbolic tangent and logistic function, from one exponential and one division.

use pulp::Simd;

use super::exp::{exp_below, exp_moderate};
use super::lane::{Lane, choose};
use crate::Real;

/// Minimax (tanh x / x − 1)/x² in x² on |x| ≤ 0.55; error of tanh: 1.0e-9 relative.
const P_SINGLE: [f64; 5] = [-3.333332e-1, 1.3332601e-1, -5.3853754e-2, 2.1077292e-2, -6.281762e-3];
/// The same for `f64`; 1.9e-17 relative.
const P_DOUBLE: [f64; 10] = [
    -0.3333333333333235,
    0.1333333333317327,
    -0.05396825387813733,
    0.02186948602035209,
    -0.008863195074480464,
    0.0035917240116069885,
    -0.0014532368572382328,
    0.0005791934401823713,
    -0.00021038990816411613,
    5.107907191703144e-05,
];

/// tanh x, from 2q with q = e/(1 + e) = σ(−2|x|).
///
/// 1 − 2q is good where the result is above ½; below it a polynomial takes over.
#[inline(always)]
fn tanh_from<T: Real, S: Simd>(x: Lane<T, S>, twice_q: Lane<T, S>) -> Lane<T, S> {
    let a = x.abs();
    let large = x.splat(1.0) - twice_q;
    let y = a * a;
    let small = (a * y).mul_add(y.polynomial(&P_SINGLE, &P_DOUBLE), a);
    a.less_than(x.splat(0.55)).select(small, large) | x.sign()
}

/// tanh x: odd to the last bit, ±1 from |x| = 9.02 (`f64`: 19.1) on.
#[inline(always)]
pub(crate) fn tanh<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let bounded = x.abs().at_most(choose::<T, f64>(10.0, 20.0));
    let e = exp_moderate(bounded * x.splat(-2.0));
    let q = e / (e + x.splat(1.0));
    tanh_from(x, q + q)
}

/// tanh x with its derivative sech² x = 4e/(1+e)², which keeps its relative accuracy where
/// 1 − tanh² has none left; the tangent has the bits of [`tanh`].
#[inline(always)]
pub(crate) fn tanh_and_slope<T: Real, S: Simd>(x: Lane<T, S>) -> (Lane<T, S>, Lane<T, S>) {
    let e = exp_below(x.abs() * x.splat(-2.0));
    let q = e / (e + x.splat(1.0));
    let twice_q = q + q;
    // 2/(1 + e) is at least 1, and exact enough as a difference.
    let root = x.splat(2.0) - twice_q;
    (tanh_from(x, twice_q), root * root * e)
}

/// σ(x) = 1/(1 + e⁻ˣ), with full relative accuracy in the left tail.
#[inline(always)]
pub(crate) fn sigmoid<T: Real, S: Simd>(x: Lane<T, S>) -> Lane<T, S> {
    let e = exp_below(-x.abs());
    let one = x.splat(1.0);
    x.less_than(x.splat(0.0)).select(e, one) / (one + e)
}

/// σ(x), σ'(x) = σ(x) σ(−x) and σ''(x) = σ'(x) (σ(−x) − σ(x)); σ has the bits of [`sigmoid`].
#[inline(always)]
pub(crate) fn sigmoid_and_slopes<T: Real, S: Simd>(x: Lane<T, S>) -> [Lane<T, S>; 3] {
    let e = exp_below(-x.abs());
    let one = x.splat(1.0);
    let value = x.less_than(x.splat(0.0)).select(e, one) / (one + e);
    // 1/(1 + e) is at least ½, and exact enough as a difference.
    let d = x.less_than(x.splat(0.0)).select(one - value, value);
    let slope = e * d * d;
    let second = slope * ((one - e) * d);
    [value, slope, second | (-x).sign()]
}
