//! Sums as accurate as if computed in twice the precision and rounded once.
//!
//! T. Ogita, S. M. Rump, S. Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26 (2005),
//! algorithms 4.4 (Sum2) and 5.3 (Dot2), in several chains that meet by the same TwoSum.

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::{Isa, Real};

/// x·y as if computed in twice the precision of `f64`.
///
/// Error: at most u |x·y| + γₙ² Σ|xᵢyᵢ|, u = 2⁻⁵³, γₙ = n u / (1 − n u), if nothing underflows.
/// About 17n flops in registers: still close to memory bandwidth out of cache. The product is split
/// exactly by a fused multiplication, which the scalar path computes in software: correct, and slow.
/// A result that is not finite is the one of the plain loop in this order of summation.
#[must_use]
pub fn dot_compensated<T: Real>(isa: Isa, x: &[T], y: &[T]) -> f64 {
    assert_eq!(x.len(), y.len());
    dispatch!(isa, Dot2<'a, T> = Dot2 { x, y })
}

/// Σ xᵢ as if computed in twice the precision of `f64`: the error is at most
/// u |Σxᵢ| + γₙ² Σ|xᵢ|. About 7n flops in registers.
#[must_use]
pub fn sum_compensated<T: Real>(isa: Isa, x: &[T]) -> f64 {
    dispatch!(isa, Sum2<'a, T> = Sum2(x))
}

/// Chains in flight.
const CHAINS: usize = 4;

/// s + c, with c the sum of the errors of s.
#[derive(Clone, Copy)]
struct Chain<V> {
    s: V,
    c: V,
}

/// a + b = sum + error, exactly (Knuth's TwoSum).
#[inline(always)]
fn two_sum<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> (S::f64s, S::f64s) {
    let sum = simd.add_f64s(a, b);
    let z = simd.sub_f64s(sum, a);
    let error = simd.add_f64s(simd.sub_f64s(a, simd.sub_f64s(sum, z)), simd.sub_f64s(b, z));
    (sum, error)
}

#[inline(always)]
fn add<S: Simd>(simd: S, chain: &mut Chain<S::f64s>, x: S::f64s) {
    let (s, error) = two_sum(simd, chain.s, x);
    chain.s = s;
    chain.c = simd.add_f64s(chain.c, error);
}

#[inline(always)]
fn add_product<S: Simd>(simd: S, chain: &mut Chain<S::f64s>, x: S::f64s, y: S::f64s) {
    let product = simd.mul_f64s(x, y);
    // Always fused, unlike `mul_add_e`.
    let error = simd.mul_add_f64s(x, y, simd.neg_f64s(product));
    add(simd, chain, product);
    chain.c = simd.add_f64s(chain.c, error);
}

/// The sum of all lanes of all chains.
#[inline(always)]
fn finish<S: Simd>(simd: S, chains: &[Chain<S::f64s>]) -> f64 {
    let mut total = Chain { s: simd.splat_f64s(0.0), c: simd.splat_f64s(0.0) };
    for chain in chains {
        add(simd, &mut total, chain.s);
        total.c = simd.add_f64s(total.c, chain.c);
    }
    let (mut s, mut c) = ([0.0; 16], [0.0; 16]);
    simd.partial_store_f64s(&mut s[..S::F64_LANES], total.s);
    simd.partial_store_f64s(&mut c[..S::F64_LANES], total.c);
    let (mut sum, mut errors) = (0.0_f64, 0.0);
    for (&s, &c) in s.iter().zip(&c) {
        let next = sum + s;
        let z = next - sum;
        errors += ((sum - (next - z)) + (s - z)) + c;
        sum = next;
    }
    // The errors of an infinite sum are NaN and say nothing.
    if sum.is_finite() { sum + errors } else { sum }
}

/// Vector by vector: the product of x and y to the chains of the two halves.
#[inline(always)]
fn dot_step<T: Real, S: Simd>(
    simd: S,
    chains: &mut [Chain<S::f64s>; 2],
    x: T::Vector<S>,
    y: T::Vector<S>,
) {
    let (x, y) = (T::widen(simd, x), T::widen(simd, y));
    for half in 0..2 {
        if half < T::wide::<S>() {
            if size_of::<T>() == 4 {
                // The product of two f32 is exact.
                add(simd, &mut chains[half], simd.mul_f64s(x[half], y[half]));
            } else {
                add_product(simd, &mut chains[half], x[half], y[half]);
            }
        }
    }
}

#[inline(always)]
fn sum_step<T: Real, S: Simd>(simd: S, chains: &mut [Chain<S::f64s>; 2], x: T::Vector<S>) {
    let x = T::widen(simd, x);
    for half in 0..2 {
        if half < T::wide::<S>() {
            add(simd, &mut chains[half], x[half]);
        }
    }
}

struct Dot2<'a, T> {
    x: &'a [T],
    y: &'a [T],
}

impl<T: Real> WithSimd for Dot2<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (x, x_tail) = T::as_simd::<S>(self.x);
        let (y, y_tail) = T::as_simd::<S>(self.y);
        let zero = simd.splat_f64s(0.0);
        let mut chains = [[Chain { s: zero, c: zero }; 2]; CHAINS];
        let (mut xs, mut ys) = (x.chunks_exact(CHAINS), y.chunks_exact(CHAINS));
        for (x, y) in xs.by_ref().zip(ys.by_ref()) {
            for p in 0..CHAINS {
                dot_step::<T, S>(simd, &mut chains[p], x[p], y[p]);
            }
        }
        for (&x, &y) in xs.remainder().iter().zip(ys.remainder()) {
            dot_step::<T, S>(simd, &mut chains[0], x, y);
        }
        if !x_tail.is_empty() {
            let (x, y) = (T::partial_load(simd, x_tail), T::partial_load(simd, y_tail));
            dot_step::<T, S>(simd, &mut chains[0], x, y);
        }
        finish(simd, chains.as_flattened())
    }
}

struct Sum2<'a, T>(&'a [T]);

impl<T: Real> WithSimd for Sum2<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (x, tail) = T::as_simd::<S>(self.0);
        let zero = simd.splat_f64s(0.0);
        let mut chains = [[Chain { s: zero, c: zero }; 2]; CHAINS];
        let mut xs = x.chunks_exact(CHAINS);
        for x in xs.by_ref() {
            for p in 0..CHAINS {
                sum_step::<T, S>(simd, &mut chains[p], x[p]);
            }
        }
        for &x in xs.remainder() {
            sum_step::<T, S>(simd, &mut chains[0], x);
        }
        if !tail.is_empty() {
            sum_step::<T, S>(simd, &mut chains[0], T::partial_load(simd, tail));
        }
        finish(simd, chains.as_flattened())
    }
}
