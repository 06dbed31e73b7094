//! Vectors: inner products, norms, sums and updates.
//!
//! Storage is `f32` or `f64`, arithmetic is `f64`: an `f32` product is exact, a sum of `f32` loses
//! nothing that matters, and an updated `f32` vector is rounded once. Everything here is bound by
//! memory bandwidth out of cache. Sums run in several vectors of lanes, so the order of additions is
//! fixed by the length and the instruction set; u = 2⁻⁵³ below.
//!
//! NaN and infinities propagate as in the plain loops unless a function says otherwise. Slices of
//! different lengths panic.

mod compensated;
#[cfg(test)]
mod tests;
mod update;

use pulp::{Simd, WithSimd};

pub use compensated::{dot_compensated, sum_compensated};
pub use update::{add_widened, axpby, axpy, scal};

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// x·y. 2n flops.
///
/// Error: at most γ Σ|xᵢyᵢ|, γ = n u / (1 − n u), plus 2⁻¹⁰⁷⁴ for each product of `f64` that
/// underflows, and in practice about n u / 16; see [`dot_compensated`] for products that cancel.
#[must_use]
pub fn dot<T: Real>(isa: Isa, x: &[T], y: &[T]) -> f64 {
    assert_eq!(x.len(), y.len());
    let [sum] = dispatch!(isa, Sums<'a, T, Dot, 2, 1> = Sums { x: [x, y], term: Dot });
    sum
}

/// (x·y, x·z) in one pass: x is read once. 4n flops, the error of [`dot`].
#[must_use]
pub fn dot_pair<T: Real>(isa: Isa, x: &[T], y: &[T], z: &[T]) -> (f64, f64) {
    assert_eq!(x.len(), y.len());
    assert_eq!(x.len(), z.len());
    let [xy, xz] =
        dispatch!(isa, Sums<'a, T, DotPair, 3, 2> = Sums { x: [x, y, z], term: DotPair });
    (xy, xz)
}

/// (x·x, x·y) in one pass. 4n flops, the error of [`dot`]; x·x can overflow for `f64`.
#[must_use]
pub fn dot_self<T: Real>(isa: Isa, x: &[T], y: &[T]) -> (f64, f64) {
    assert_eq!(x.len(), y.len());
    let [xx, xy] = dispatch!(isa, Sums<'a, T, DotSelf, 2, 2> = Sums { x: [x, y], term: DotSelf });
    (xx, xy)
}

/// Σ xᵢ. n flops; error at most γ Σ|xᵢ| with γ as for [`dot`].
#[must_use]
pub fn sum<T: Real>(isa: Isa, x: &[T]) -> f64 {
    let [sum] = dispatch!(isa, Sums<'a, T, Sum, 1, 1> = Sums { x: [x], term: Sum });
    sum
}

/// ‖x‖₂, safe against overflow and underflow. 2n flops.
///
/// Squares of `f32` fit `f64`. For `f64` the plain sum is taken where it lies in [2⁻⁹⁶⁰, ∞), where
/// squares that underflow do not matter; else x is read twice more: for its largest element, and
/// scaled by a power of two.
/// Relative error at most γ/2 + u, γ as for [`dot`], or half the smallest subnormal. NaN where x has
/// one; else ∞ where x has an infinity; 0 for the empty vector.
#[must_use]
pub fn nrm2<T: Real>(isa: Isa, x: &[T]) -> f64 {
    // 2⁻⁹⁶⁰
    const SAFE: f64 = f64::from_bits((1023 - 960) << 52);
    let plain = squares(isa, x, 1.0);
    if plain.is_nan() || (SAFE..f64::INFINITY).contains(&plain) {
        return plain.sqrt();
    }
    let largest = max_abs(isa, x);
    if largest == 0.0 || largest == f64::INFINITY {
        return largest;
    }
    // 2⁻⁶⁰⁰ or 2⁶⁰⁰ brings every square that matters into range: (2¹⁰²⁴⁻⁶⁰⁰)² times any possible
    // length is finite, (2⁻¹⁰⁷⁴⁺⁶⁰⁰)² is normal, and where the plain sum overflowed the largest
    // element is at least 2⁴⁸⁰.
    let exponent: i32 = if largest > 1.0 { -600 } else { 600 };
    let power = |e: i32| f64::from_bits(((1023 + e) as u64) << 52);
    squares(isa, x, power(exponent)).sqrt() * power(-exponent)
}

/// Σ (scale · xᵢ)².
fn squares<T: Real>(isa: Isa, x: &[T], scale: f64) -> f64 {
    let [sum] = dispatch!(isa, Sums<'a, T, Square, 1, 1> = Sums { x: [x], term: Square(scale) });
    sum
}

/// max |xᵢ|; 0 for the empty vector, NaN where x has one.
#[must_use]
pub fn max_abs<T: Real>(isa: Isa, x: &[T]) -> f64 {
    dispatch!(isa, MaxAbs<'a, T> = MaxAbs(x))
}

/// Whether x has neither NaN nor infinities. Stops soon after the first one.
#[must_use]
pub fn all_finite<T: Real>(isa: Isa, x: &[T]) -> bool {
    dispatch!(isa, AllFinite<'a, T> = AllFinite(x))
}

/// A sum of A terms over N vectors, `f64` lane by lane.
trait Term<const N: usize, const A: usize>: Copy {
    fn add<S: Simd>(self, simd: S, x: [S::f64s; N], acc: &mut [S::f64s; A]);
}

#[derive(Clone, Copy)]
struct Dot;
impl Term<2, 1> for Dot {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, [x, y]: [S::f64s; 2], [a]: &mut [S::f64s; 1]) {
        *a = simd.mul_add_e_f64s(x, y, *a);
    }
}

#[derive(Clone, Copy)]
struct DotPair;
impl Term<3, 2> for DotPair {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, [x, y, z]: [S::f64s; 3], [a, b]: &mut [S::f64s; 2]) {
        *a = simd.mul_add_e_f64s(x, y, *a);
        *b = simd.mul_add_e_f64s(x, z, *b);
    }
}

#[derive(Clone, Copy)]
struct DotSelf;
impl Term<2, 2> for DotSelf {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, [x, y]: [S::f64s; 2], [a, b]: &mut [S::f64s; 2]) {
        *a = simd.mul_add_e_f64s(x, x, *a);
        *b = simd.mul_add_e_f64s(x, y, *b);
    }
}

#[derive(Clone, Copy)]
struct Sum;
impl Term<1, 1> for Sum {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, [x]: [S::f64s; 1], [a]: &mut [S::f64s; 1]) {
        *a = simd.add_f64s(*a, x);
    }
}

/// (scale · x)².
#[derive(Clone, Copy)]
struct Square(f64);
impl Term<1, 1> for Square {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, [x]: [S::f64s; 1], [a]: &mut [S::f64s; 1]) {
        let x = simd.mul_f64s(x, simd.splat_f64s(self.0));
        *a = simd.mul_add_e_f64s(x, x, *a);
    }
}

/// Sums of `Term` over vectors of one length.
struct Sums<'a, T, F, const N: usize, const A: usize> {
    x: [&'a [T]; N],
    term: F,
}

impl<T: Real, F: Term<N, A>, const N: usize, const A: usize> WithSimd for Sums<'_, T, F, N, A> {
    type Output = [f64; A];
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; A] {
        // Four vectors in flight for each sum, which may be eight of f64.
        const P: usize = 4;
        let Self { x, term } = self;
        let length = x[0].len();
        assert!(x.iter().all(|x| x.len() == length));
        let parts = x.map(T::as_simd::<S>);
        let mut acc = [[[simd.splat_f64s(0.0); A]; 2]; P];
        let vectors = parts[0].0.len();
        assert!(parts.iter().all(|x| x.0.len() == vectors));
        let mut r = 0;
        while r + P <= vectors {
            for p in 0..P {
                // SAFETY: r + p < vectors, the length of every slice.
                let x = parts.map(|x| unsafe { *x.0.get_unchecked(r + p) });
                add_term::<T, S, F, N, A>(simd, term, x, &mut acc[p]);
            }
            r += P;
        }
        for r in r..vectors {
            add_term::<T, S, F, N, A>(simd, term, parts.map(|x| x.0[r]), &mut acc[0]);
        }
        if !parts[0].1.is_empty() {
            let mut x = [T::splat(simd, T::ZERO); N];
            for i in 0..N {
                x[i] = T::partial_load(simd, parts[i].1);
            }
            add_term::<T, S, F, N, A>(simd, term, x, &mut acc[0]);
        }
        let mut out = [0.0; A];
        for a in 0..A {
            let mut sum = [simd.splat_f64s(0.0); P];
            for p in 0..P {
                sum[p] = simd.add_f64s(acc[p][0][a], acc[p][1][a]);
            }
            let low = simd.add_f64s(sum[0], sum[1]);
            let high = simd.add_f64s(sum[2], sum[3]);
            out[a] = simd.reduce_sum_f64s(simd.add_f64s(low, high));
        }
        out
    }
}

/// One vector of every x to the sums of its two halves.
#[inline(always)]
fn add_term<T: Real, S: Simd, F: Term<N, A>, const N: usize, const A: usize>(
    simd: S,
    term: F,
    x: [T::Vector<S>; N],
    acc: &mut [[S::f64s; A]; 2],
) {
    let zero = simd.splat_f64s(0.0);
    let (mut low, mut high) = ([zero; N], [zero; N]);
    for i in 0..N {
        [low[i], high[i]] = T::widen(simd, x[i]);
    }
    term.add(simd, low, &mut acc[0]);
    if T::wide::<S>() == 2 {
        term.add(simd, high, &mut acc[1]);
    }
}

struct MaxAbs<'a, T>(&'a [T]);

impl<T: Real> WithSimd for MaxAbs<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const P: usize = 4;
        let (body, tail) = T::as_simd::<S>(self.0);
        let zero = T::splat(simd, T::ZERO);
        let mut largest = [zero; P];
        let mut nan = [zero; P];
        let mut pieces = body.chunks_exact(P);
        for piece in pieces.by_ref() {
            for p in 0..P {
                keep_largest::<T, S>(simd, piece[p], &mut largest[p], &mut nan[p]);
            }
        }
        for &x in pieces.remainder() {
            keep_largest::<T, S>(simd, x, &mut largest[0], &mut nan[0]);
        }
        if !tail.is_empty() {
            let x = T::partial_load(simd, tail);
            keep_largest::<T, S>(simd, x, &mut largest[0], &mut nan[0]);
        }
        let mut result = 0.0;
        for v in largest.into_iter().chain(nan) {
            let wide = T::widen(simd, v);
            for &x in pulp::bytemuck::cast_slice::<S::f64s, f64>(&wide) {
                if x > result || x.is_nan() {
                    result = x;
                }
            }
        }
        result
    }
}

/// Keeps |x| where it is larger, and x itself where it is NaN.
#[inline(always)]
fn keep_largest<T: Real, S: Simd>(
    simd: S,
    x: T::Vector<S>,
    largest: &mut T::Vector<S>,
    nan: &mut T::Vector<S>,
) {
    let a = T::abs(simd, x);
    *largest = T::select(simd, T::less_than(simd, *largest, a), a, *largest);
    *nan = T::select(simd, T::equal(simd, x, x), *nan, x);
}

struct AllFinite<'a, T>(&'a [T]);

impl<T: Real> WithSimd for AllFinite<'_, T> {
    type Output = bool;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        const P: usize = 4;
        let (body, tail) = T::as_simd::<S>(self.0);
        let zero = T::splat(simd, T::ZERO);
        // 0 x is 0 for finite x and NaN for the others, and a sum keeps NaN.
        for piece in body.chunks(64 * P) {
            let mut sum = [zero; P];
            let mut parts = piece.chunks_exact(P);
            for part in parts.by_ref() {
                for p in 0..P {
                    sum[p] = T::mul_add(simd, part[p], zero, sum[p]);
                }
            }
            for &x in parts.remainder() {
                sum[0] = T::mul_add(simd, x, zero, sum[0]);
            }
            let low = <T as Lanes>::add(simd, sum[0], sum[1]);
            let high = <T as Lanes>::add(simd, sum[2], sum[3]);
            if T::reduce_sum(simd, <T as Lanes>::add(simd, low, high)) != T::ZERO {
                return false;
            }
        }
        tail.iter().all(|x| x.is_finite())
    }
}
