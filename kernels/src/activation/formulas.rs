//! Each activation with its first two derivatives, vector by vector.
//!
//! What is not asked for is not computed: everything is inlined, and unused results vanish.

use core::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use pulp::Simd;

use crate::Real;
use crate::elementary::{
    Lane, choose, erfcx, exp_lane, exp_minus_square, expm1_lane, sigmoid_and_slopes, sigmoid_lane,
    tanh_and_slope, tanh_lane, twice_artanh,
};

/// φ, φ' and φ''.
pub(super) trait Formula: Copy {
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3];

    /// φ alone, with the bits of the first of [`Formula::derivatives`].
    #[inline(always)]
    fn value<T: Real, S: Simd>(self, z: Lane<T, S>) -> Lane<T, S> {
        self.derivatives(z)[0]
    }
}

#[derive(Clone, Copy)]
pub(super) struct Identity;
#[derive(Clone, Copy)]
pub(super) struct Tanh;
#[derive(Clone, Copy)]
pub(super) struct Sigmoid;
/// max(z, 0) with a slope for z ≤ 0.
#[derive(Clone, Copy)]
pub(super) struct LeakyRelu {
    pub(super) slope: f64,
}
#[derive(Clone, Copy)]
pub(super) struct Relu;
#[derive(Clone, Copy)]
pub(super) struct Gelu;
#[derive(Clone, Copy)]
pub(super) struct GeluTanh;
#[derive(Clone, Copy)]
pub(super) struct Softplus;
#[derive(Clone, Copy)]
pub(super) struct Silu;
#[derive(Clone, Copy)]
pub(super) struct Elu {
    pub(super) alpha: f64,
}

impl Formula for Identity {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        [z, z.splat(1.0), z.splat(0.0)]
    }
}

impl Formula for Tanh {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        let (a, slope) = tanh_and_slope(z);
        [a, slope, (a * slope) * z.splat(-2.0)]
    }

    #[inline(always)]
    fn value<T: Real, S: Simd>(self, z: Lane<T, S>) -> Lane<T, S> {
        tanh_lane(z)
    }
}

impl Formula for Sigmoid {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        sigmoid_and_slopes(z)
    }

    #[inline(always)]
    fn value<T: Real, S: Simd>(self, z: Lane<T, S>) -> Lane<T, S> {
        sigmoid_lane(z)
    }
}

impl Formula for Relu {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        let zero = z.splat(0.0);
        // Nothing but these two selections, so that NaN stays NaN.
        let slope = z.less_equal(zero).select(zero, z);
        let slope = zero.less_than(z).select(z.splat(1.0), slope);
        [z.less_equal(zero).select(zero, z), slope, zero]
    }
}

impl Formula for LeakyRelu {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        let zero = z.splat(0.0);
        let leak = z.splat(self.slope);
        let slope = z.less_equal(zero).select(leak, z);
        let slope = zero.less_than(z).select(z.splat(1.0), slope);
        [z.less_equal(zero).select(z * leak, z), slope, zero]
    }
}

impl Formula for Gelu {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        let limit = choose::<T, f64>(14.9, 38.9);
        let a = z.abs().at_most(limit);
        let e = exp_minus_square(a, 0.5);
        let tail = e * (erfcx(a * z.splat(FRAC_1_SQRT_2)) * z.splat(0.5));
        let cdf = z.less_than(z.splat(0.0)).select(tail, z.splat(1.0) - tail);
        let density = e * z.splat(0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI);
        // Beyond the limit the density is 0; a bounded z keeps 0·∞ away.
        let left = z.at_least(-limit);
        let bounded = left.at_most(limit);
        let slope = bounded.mul_add(density, cdf);
        let second = density * z.splat(2.0).minus_product(bounded, bounded);
        [left * cdf, slope, second]
    }
}

impl Formula for GeluTanh {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        // ½(1 + tanh y) = σ(2y), and w = 2y = z (b + c z²).
        let b = FRAC_2_SQRT_PI * core::f64::consts::SQRT_2;
        let c = b * 0.044_715;
        let limit = choose::<T, f64>(16.0, 32.0);
        let left = z.at_least(-limit);
        let bounded = left.at_most(limit);
        let y = bounded * bounded;
        let w = bounded * y.mul_add(z.splat(c), z.splat(b));
        let w1 = y.mul_add(z.splat(3.0 * c), z.splat(b));
        let w2 = bounded * z.splat(6.0 * c);
        let [s, s1, s2] = sigmoid_and_slopes(w);
        let inner = s1 * w1;
        let slope = bounded.mul_add(inner, s);
        // φ'' = 2 σ' w' + z (σ'' w'² + σ' w'').
        let bend = (s2 * w1).mul_add(w1, s1 * w2);
        [left * s, slope, bounded.mul_add(bend, inner + inner)]
    }
}

impl Formula for Softplus {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        // ln(1 + e) = 2 artanh(e/(2 + e)); one division serves that and 1/(1 + e).
        let e = exp_lane(-z.abs());
        let one = z.splat(1.0);
        let zero = z.splat(0.0);
        let (p, q) = (one + e, z.splat(2.0) + e);
        let both = one / (p * q);
        let d = q * both;
        let value = z.less_equal(zero).select(zero, z) + twice_artanh(e * (p * both));
        let slope = z.less_than(zero).select(e * d, d);
        [value, slope, e * d * d]
    }
}

impl Formula for Silu {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        let limit = choose::<T, f64>(110.0, 760.0);
        let left = z.at_least(-limit);
        let bounded = left.at_most(limit);
        let [s, s1, s2] = sigmoid_and_slopes(z);
        [left * s, bounded.mul_add(s1, s), bounded.mul_add(s2, s1 + s1)]
    }
}

impl Formula for Elu {
    #[inline(always)]
    fn derivatives<T: Real, S: Simd>(self, z: Lane<T, S>) -> [Lane<T, S>; 3] {
        let zero = z.splat(0.0);
        let alpha = z.splat(self.alpha);
        let left = zero.less_than(z).select(zero, z);
        let e = alpha * exp_lane(left);
        let value = zero.less_than(z).select(z, alpha * expm1_lane(left));
        [value, zero.less_than(z).select(z.splat(1.0), e), zero.less_than(z).select(zero, e)]
    }
}
