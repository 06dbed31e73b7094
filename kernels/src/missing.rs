//! Vector operations that `pulp` does not have: conversion between `f32` and `f64`, shifts, and masks
//! as bits and from bits.
//!
//! Each has the machine instruction for the instruction sets that it names, and a loop over lanes
//! for the others, which the compiler turns into vector code where it can.

use core::any::Any;

use pulp::Simd;
use pulp::bytemuck;

/// `value` as a `B`, if that is the type it has; decided at compile time.
#[inline(always)]
pub(crate) fn cast<A: Copy + 'static, B: Copy + 'static>(value: A) -> Option<B> {
    (&value as &dyn Any).downcast_ref::<B>().copied()
}

/// Applies `f` lane by lane.
#[inline(always)]
fn by_lane<V: bytemuck::Pod, E: bytemuck::Pod>(mut v: V, f: impl Fn(E) -> E) -> V {
    for lane in bytemuck::cast_slice_mut::<V, E>(core::slice::from_mut(&mut v)) {
        *lane = f(*lane);
    }
    v
}

#[inline(always)]
pub(crate) fn shl_u32s<S: Simd, const N: u32>(simd: S, a: S::u32s) -> S::u32s {
    simd.wrapping_dyn_shl_u32s(a, simd.splat_u32s(N))
}

#[inline(always)]
pub(crate) fn shr_u32s<S: Simd, const N: u32>(simd: S, a: S::u32s) -> S::u32s {
    simd.wrapping_dyn_shr_u32s(a, simd.splat_u32s(N))
}

#[inline(always)]
pub(crate) fn shl_u64s<S: Simd, const N: u32>(simd: S, a: S::u64s) -> S::u64s {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{u64x4, u64x8, x86::V3, x86::V4};
        if let (Some(s), Some(a)) = (cast::<S, V4>(simd), cast::<_, u64x8>(a)) {
            let count = s.sse2._mm_cvtsi32_si128(N.cast_signed());
            let shifted: u64x8 = pulp::cast(s.avx512f._mm512_sll_epi64(pulp::cast(a), count));
            if let Some(out) = cast(shifted) {
                return out;
            }
        }
        if let (Some(s), Some(a)) = (cast::<S, V3>(simd), cast::<_, u64x4>(a)) {
            let count = s.sse2._mm_cvtsi32_si128(N.cast_signed());
            let shifted: u64x4 = pulp::cast(s.avx2._mm256_sll_epi64(pulp::cast(a), count));
            if let Some(out) = cast(shifted) {
                return out;
            }
        }
    }
    let _ = simd;
    by_lane::<_, u64>(a, |lane| lane << N)
}

#[inline(always)]
pub(crate) fn shr_u64s<S: Simd, const N: u32>(simd: S, a: S::u64s) -> S::u64s {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{u64x4, u64x8, x86::V3, x86::V4};
        if let (Some(s), Some(a)) = (cast::<S, V4>(simd), cast::<_, u64x8>(a)) {
            let count = s.sse2._mm_cvtsi32_si128(N.cast_signed());
            let shifted: u64x8 = pulp::cast(s.avx512f._mm512_srl_epi64(pulp::cast(a), count));
            if let Some(out) = cast(shifted) {
                return out;
            }
        }
        if let (Some(s), Some(a)) = (cast::<S, V3>(simd), cast::<_, u64x4>(a)) {
            let count = s.sse2._mm_cvtsi32_si128(N.cast_signed());
            let shifted: u64x4 = pulp::cast(s.avx2._mm256_srl_epi64(pulp::cast(a), count));
            if let Some(out) = cast(shifted) {
                return out;
            }
        }
    }
    let _ = simd;
    by_lane::<_, u64>(a, |lane| lane >> N)
}

/// The lanes of `a` in order as `f64`: the first half in the first vector. On the scalar path the
/// second vector is zero.
#[inline(always)]
pub(crate) fn widen<S: Simd>(simd: S, a: S::f32s) -> [S::f64s; 2] {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{f32x8, f32x16, f64x4, f64x8, x86::V3, x86::V4};
        if let (Some(s), Some(a)) = (cast::<S, V4>(simd), cast::<_, f32x16>(a)) {
            let [low, high]: [f32x8; 2] = bytemuck::cast(a);
            let low: f64x8 = pulp::cast(s.avx512f._mm512_cvtps_pd(pulp::cast(low)));
            let high: f64x8 = pulp::cast(s.avx512f._mm512_cvtps_pd(pulp::cast(high)));
            if let (Some(low), Some(high)) = (cast(low), cast(high)) {
                return [low, high];
            }
        }
        if let (Some(s), Some(a)) = (cast::<S, V3>(simd), cast::<_, f32x8>(a)) {
            let [low, high]: [pulp::f32x4; 2] = bytemuck::cast(a);
            let low: f64x4 = pulp::cast(s.avx._mm256_cvtps_pd(pulp::cast(low)));
            let high: f64x4 = pulp::cast(s.avx._mm256_cvtps_pd(pulp::cast(high)));
            if let (Some(low), Some(high)) = (cast(low), cast(high)) {
                return [low, high];
            }
        }
    }
    let mut out = [simd.splat_f64s(0.0); 2];
    let from = bytemuck::cast_slice::<S::f32s, f32>(core::slice::from_ref(&a));
    let to = bytemuck::cast_slice_mut::<S::f64s, f64>(&mut out);
    for (to, &from) in to.iter_mut().zip(from) {
        *to = f64::from(from);
    }
    out
}

/// The same bits as another type. (Copies through pointers, as in `pulp::cast`, are checked in builds
/// with assertions and then go through memory.)
///
/// # Safety
/// Both types have the same size, and every pattern of bits is a `B`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn same_bits<A: Copy, B: Copy>(a: A) -> B {
    #[repr(C)]
    union Bits<A: Copy, B: Copy> {
        a: A,
        b: B,
    }
    // SAFETY: as many bytes, and the caller vouches for them.
    unsafe { Bits { a }.b }
}

/// The sum of the products of the two 16-bit integers of each lane of a and b, plus c. The sums must
/// fit 32 bits.
#[inline(always)]
pub(crate) fn multiply_add_pairs<S: Simd>(simd: S, a: S::i32s, b: S::i32s, c: S::i32s) -> S::i32s {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{__m256i, __m512i};
        use pulp::{x86::V3, x86::V4};
        if size_of::<S::i32s>() == 64
            && let Some(s) = cast::<S, V4>(simd)
        {
            // SAFETY: vectors of integers of 512 bits.
            let (a, b, c): (__m512i, __m512i, __m512i) =
                unsafe { (same_bits(a), same_bits(b), same_bits(c)) };
            let sums = s.avx512f._mm512_add_epi32(s.avx512bw._mm512_madd_epi16(a, b), c);
            // SAFETY: as above.
            return unsafe { same_bits(sums) };
        }
        if size_of::<S::i32s>() == 32
            && let Some(s) = cast::<S, V3>(simd)
        {
            // SAFETY: vectors of integers of 256 bits.
            let (a, b, c): (__m256i, __m256i, __m256i) =
                unsafe { (same_bits(a), same_bits(b), same_bits(c)) };
            let sums = s.avx2._mm256_add_epi32(s.avx2._mm256_madd_epi16(a, b), c);
            // SAFETY: as above.
            return unsafe { same_bits(sums) };
        }
    }
    let _ = simd;
    let (mut sums, a, b) = (c, [a], [b]);
    let lanes = |v| bytemuck::cast_slice::<S::i32s, i32>(v);
    let pairs = lanes(&a).iter().zip(lanes(&b));
    let sums_lanes = bytemuck::cast_slice_mut::<S::i32s, i32>(core::slice::from_mut(&mut sums));
    for (sum, (a, b)) in sums_lanes.iter_mut().zip(pairs) {
        // The low half is signed, and the shift of the high one keeps the sign.
        let low = |x: i32| (x << 16) >> 16;
        *sum += low(*a) * low(*b) + (a >> 16) * (b >> 16);
    }
    sums
}

/// Bit i of the result is lane i of the mask.
#[inline(always)]
pub(crate) fn bits_of_m32s<S: Simd>(simd: S, mask: S::m32s) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{b16, m32x8, x86::V3};
        if let Some(b16(bits)) = cast(mask) {
            return u32::from(bits);
        }
        if let (Some(s), Some(mask)) = (cast::<S, V3>(simd), cast::<_, m32x8>(mask)) {
            return s.avx._mm256_movemask_ps(pulp::cast(mask)).cast_unsigned();
        }
    }
    let ones = simd.select_u32s(mask, simd.splat_u32s(1), simd.splat_u32s(0));
    let lanes = bytemuck::cast_slice::<S::u32s, u32>(core::slice::from_ref(&ones));
    lanes.iter().rev().fold(0, |bits, lane| bits << 1 | lane)
}

/// As [`bits_of_m32s`].
#[inline(always)]
pub(crate) fn bits_of_m64s<S: Simd>(simd: S, mask: S::m64s) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{b8, m64x4, x86::V3};
        if let Some(b8(bits)) = cast(mask) {
            return u32::from(bits);
        }
        if let (Some(s), Some(mask)) = (cast::<S, V3>(simd), cast::<_, m64x4>(mask)) {
            return s.avx._mm256_movemask_pd(pulp::cast(mask)).cast_unsigned();
        }
    }
    let ones = simd.select_u64s(mask, simd.splat_u64s(1), simd.splat_u64s(0));
    let lanes = bytemuck::cast_slice::<S::u64s, u64>(core::slice::from_ref(&ones));
    lanes.iter().rev().fold(0, |bits, lane| bits << 1 | u32::from(*lane != 0))
}

/// Inverse of [`widen`], rounded to nearest.
#[inline(always)]
pub(crate) fn narrow<S: Simd>(simd: S, a: [S::f64s; 2]) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{f32x4, f32x8, f32x16, f64x4, f64x8, x86::V3, x86::V4};
        if let (Some(s), Some([low, high])) = (cast::<S, V4>(simd), cast::<_, [f64x8; 2]>(a)) {
            let low: f32x8 = pulp::cast(s.avx512f._mm512_cvtpd_ps(pulp::cast(low)));
            let high: f32x8 = pulp::cast(s.avx512f._mm512_cvtpd_ps(pulp::cast(high)));
            if let Some(out) = cast(bytemuck::cast::<_, f32x16>([low, high])) {
                return out;
            }
        }
        if let (Some(s), Some([low, high])) = (cast::<S, V3>(simd), cast::<_, [f64x4; 2]>(a)) {
            let low: f32x4 = pulp::cast(s.avx._mm256_cvtpd_ps(pulp::cast(low)));
            let high: f32x4 = pulp::cast(s.avx._mm256_cvtpd_ps(pulp::cast(high)));
            if let Some(out) = cast(bytemuck::cast::<_, f32x8>([low, high])) {
                return out;
            }
        }
    }
    let mut out = simd.splat_f32s(0.0);
    let from = bytemuck::cast_slice::<S::f64s, f64>(&a);
    let to = bytemuck::cast_slice_mut::<S::f32s, f32>(core::slice::from_mut(&mut out));
    for (to, &from) in to.iter_mut().zip(from) {
        #[allow(clippy::cast_possible_truncation)]
        {
            *to = from as f32;
        }
    }
    out
}

/// The mask that holds in lane i where bit i is set.
#[inline(always)]
pub(crate) fn mask_of_bits_m64s<S: Simd>(simd: S, bits: u64) -> S::m64s {
    #[cfg(target_arch = "x86_64")]
    {
        // The other bits of a mask of 8 lanes do not exist.
        #[allow(clippy::cast_possible_truncation)]
        if let Some(mask) = cast(pulp::b8(bits as u8)) {
            return mask;
        }
    }
    let mut lanes = simd.splat_u64s(0);
    for (i, lane) in
        bytemuck::cast_slice_mut::<_, u64>(core::slice::from_mut(&mut lanes)).iter_mut().enumerate()
    {
        *lane = 1 << i;
    }
    simd.greater_than_u64s(simd.and_u64s(lanes, simd.splat_u64s(bits)), simd.splat_u64s(0))
}

/// [`mask_of_bits_m64s`] of 32-bit lanes.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // There are at most 16 lanes.
pub(crate) fn mask_of_bits_m32s<S: Simd>(simd: S, bits: u64) -> S::m32s {
    #[cfg(target_arch = "x86_64")]
    if let Some(mask) = cast(pulp::b16(bits as u16)) {
        return mask;
    }
    let mut lanes = simd.splat_u32s(0);
    for (i, lane) in
        bytemuck::cast_slice_mut::<_, u32>(core::slice::from_mut(&mut lanes)).iter_mut().enumerate()
    {
        *lane = 1 << i;
    }
    simd.greater_than_u32s(simd.and_u32s(lanes, simd.splat_u32s(bits as u32)), simd.splat_u32s(0))
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::Isa;

    struct RoundTrip;
    impl WithSimd for RoundTrip {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            let values: Vec<f32> = (0..S::F32_LANES).map(|i| 1.5 + i as f32 * 0.1).collect();
            let v = simd.partial_load_f32s(&values);
            let wide = widen(simd, v);
            let wide_values = bytemuck::cast_slice::<S::f64s, f64>(&wide);
            for (i, value) in values.iter().enumerate() {
                assert_eq!(wide_values[i], f64::from(*value));
            }
            let mut back = vec![0.0; S::F32_LANES];
            simd.partial_store_f32s(&mut back, narrow(simd, wide));
            assert_eq!(back, values);

            let bits = simd.splat_u64s(0x8000_0000_0000_0001);
            let up = shl_u64s::<S, 5>(simd, bits);
            let down = shr_u64s::<S, 63>(simd, bits);
            assert!(bytemuck::cast_slice::<_, u64>(&[up]).iter().all(|&x| x == 32));
            assert!(bytemuck::cast_slice::<_, u64>(&[down]).iter().all(|&x| x == 1));
            for bits in 0..1_u64 << S::F32_LANES.min(10) {
                let mask = mask_of_bits_m32s(simd, bits);
                let v = simd.select_f32s(mask, simd.splat_f32s(1.0), simd.splat_f32s(0.0));
                for (i, &lane) in bytemuck::cast_slice::<_, f32>(&[v]).iter().enumerate() {
                    assert_eq!(lane == 1.0, bits >> i & 1 == 1);
                }
                let mask = mask_of_bits_m64s(simd, bits);
                let v = simd.select_f64s(mask, simd.splat_f64s(1.0), simd.splat_f64s(0.0));
                for (i, &lane) in bytemuck::cast_slice::<_, f64>(&[v]).iter().enumerate() {
                    assert_eq!(lane == 1.0, bits >> i & 1 == 1);
                }
            }
            let bits = simd.splat_u32s(0x8000_0001);
            let up = shl_u32s::<S, 5>(simd, bits);
            let down = shr_u32s::<S, 31>(simd, bits);
            assert!(bytemuck::cast_slice::<_, u32>(&[up]).iter().all(|&x| x == 32));
            assert!(bytemuck::cast_slice::<_, u32>(&[down]).iter().all(|&x| x == 1));
        }
    }

    #[test]
    fn conversions_and_shifts_on_every_path() {
        for isa in Isa::available() {
            isa.dispatch(RoundTrip);
        }
    }
}
