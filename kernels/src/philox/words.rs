//! Vector operations on 32-bit words held in 64-bit lanes, which `pulp` does not name.
//!
//! The product of two 32-bit words fills a 64-bit lane, so a round of Philox is cheapest with one
//! word per 64-bit lane: `vpmuludq` reads the low half of a lane and ignores what is above. Where
//! no instruction is named here, a loop over the lanes says the same.

use pulp::Simd;
use pulp::bytemuck::{self, Pod};

use crate::missing::cast;

#[inline(always)]
fn lanes<V: Pod, E: Pod>(v: &V) -> &[E] {
    bytemuck::cast_slice(core::slice::from_ref(v))
}

#[inline(always)]
fn lanes_mut<V: Pod, E: Pod>(v: &mut V) -> &mut [E] {
    bytemuck::cast_slice_mut(core::slice::from_mut(v))
}

/// The product of the low halves of each lane, all 64 bits of it.
#[inline(always)]
pub(super) fn multiply_low<S: Simd>(simd: S, a: S::u64s, b: S::u64s) -> S::u64s {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{u64x4, u64x8, x86::V3, x86::V4};
        if let (Some(s), Some(a), Some(b)) =
            (cast::<S, V4>(simd), cast::<_, u64x8>(a), cast::<_, u64x8>(b))
        {
            let out: u64x8 = pulp::cast(s.avx512f._mm512_mul_epu32(pulp::cast(a), pulp::cast(b)));
            if let Some(out) = cast(out) {
                return out;
            }
        }
        if let (Some(s), Some(a), Some(b)) =
            (cast::<S, V3>(simd), cast::<_, u64x4>(a), cast::<_, u64x4>(b))
        {
            let out: u64x4 = pulp::cast(s.avx2._mm256_mul_epu32(pulp::cast(a), pulp::cast(b)));
            if let Some(out) = cast(out) {
                return out;
            }
        }
    }
    let _ = simd;
    let mut out = a;
    for (out, &b) in lanes_mut::<_, u64>(&mut out).iter_mut().zip(lanes::<_, u64>(&b)) {
        *out = (*out & 0xffff_ffff) * (b & 0xffff_ffff);
    }
    out
}

/// Interleaves `E`-wide lanes within each 128 bits: a0 b0 of every 128 bits, then a1 b1 and so on;
/// the first vector takes the low halves, the second the high halves. Vectors of one 64-bit lane
/// are returned as they are.
#[inline(always)]
fn interleave_by_lane<V: Pod, E: Pod>(a: V, b: V) -> [V; 2] {
    let mut out = [a, b];
    let in_128 = 16 / size_of::<E>();
    let (a, b) = (lanes::<_, E>(&a), lanes::<_, E>(&b));
    if a.len() < in_128 {
        return out;
    }
    for (half, out) in out.iter_mut().enumerate() {
        for (i, out) in lanes_mut::<_, E>(out).iter_mut().enumerate() {
            let (group, within) = (i / in_128, i % in_128);
            let from = group * in_128 + half * (in_128 / 2) + within / 2;
            *out = if within.is_multiple_of(2) { a[from] } else { b[from] };
        }
    }
    out
}

/// Interleaves the 64-bit lanes of `a` and `b` within each 128 bits: the low ones, then the high
/// ones.
#[inline(always)]
pub(super) fn interleave_u64s<S: Simd>(simd: S, a: S::u64s, b: S::u64s) -> [S::u64s; 2] {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{u64x4, u64x8, x86::V3, x86::V4};
        if let (Some(s), Some(a), Some(b)) =
            (cast::<S, V4>(simd), cast::<_, u64x8>(a), cast::<_, u64x8>(b))
        {
            let (a, b) = (pulp::cast(a), pulp::cast(b));
            let low: u64x8 = pulp::cast(s.avx512f._mm512_unpacklo_epi64(a, b));
            let high: u64x8 = pulp::cast(s.avx512f._mm512_unpackhi_epi64(a, b));
            if let Some(out) = cast([low, high]) {
                return out;
            }
        }
        if let (Some(s), Some(a), Some(b)) =
            (cast::<S, V3>(simd), cast::<_, u64x4>(a), cast::<_, u64x4>(b))
        {
            let (a, b) = (pulp::cast(a), pulp::cast(b));
            let low: u64x4 = pulp::cast(s.avx2._mm256_unpacklo_epi64(a, b));
            let high: u64x4 = pulp::cast(s.avx2._mm256_unpackhi_epi64(a, b));
            if let Some(out) = cast([low, high]) {
                return out;
            }
        }
    }
    let _ = simd;
    interleave_by_lane::<_, u64>(a, b)
}

/// Interleaves the 32-bit lanes of `a` and `b` within each 128 bits: the low halves, then the high
/// halves.
#[inline(always)]
pub(super) fn interleave_f32s<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{f32x8, f32x16, x86::V3, x86::V4};
        if let (Some(s), Some(a), Some(b)) =
            (cast::<S, V4>(simd), cast::<_, f32x16>(a), cast::<_, f32x16>(b))
        {
            let (a, b) = (pulp::cast(a), pulp::cast(b));
            let low: f32x16 = pulp::cast(s.avx512f._mm512_unpacklo_ps(a, b));
            let high: f32x16 = pulp::cast(s.avx512f._mm512_unpackhi_ps(a, b));
            if let Some(out) = cast([low, high]) {
                return out;
            }
        }
        if let (Some(s), Some(a), Some(b)) =
            (cast::<S, V3>(simd), cast::<_, f32x8>(a), cast::<_, f32x8>(b))
        {
            let (a, b) = (pulp::cast(a), pulp::cast(b));
            let low: f32x8 = pulp::cast(s.avx._mm256_unpacklo_ps(a, b));
            let high: f32x8 = pulp::cast(s.avx._mm256_unpackhi_ps(a, b));
            if let Some(out) = cast([low, high]) {
                return out;
            }
        }
    }
    let _ = simd;
    interleave_by_lane::<_, f32>(a, b)
}

/// Each unsigned word as `f32`, rounded to nearest.
#[inline(always)]
pub(super) fn u32s_to_f32s<S: Simd>(simd: S, a: S::u32s) -> S::f32s {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{f32x16, u32x16, x86::V4};
        if let (Some(s), Some(a)) = (cast::<S, V4>(simd), cast::<_, u32x16>(a)) {
            let out: f32x16 = pulp::cast(s.avx512f._mm512_cvtepu32_ps(pulp::cast(a)));
            if let Some(out) = cast(out) {
                return out;
            }
        }
    }
    // Both halves as exact floats, with exponents put above them by hand; one rounding in the sum.
    let low = simd.or_u32s(
        simd.and_u32s(a, simd.splat_u32s(0xffff)),
        simd.splat_u32s(8_388_608.0_f32.to_bits()),
    );
    let high = simd.or_u32s(
        simd.wrapping_dyn_shr_u32s(a, simd.splat_u32s(16)),
        simd.splat_u32s(549_755_813_888.0_f32.to_bits()),
    );
    simd.add_f32s(
        simd.sub_f32s(
            simd.transmute_f32s_u32s(high),
            simd.splat_f32s(549_755_813_888.0 + 8_388_608.0),
        ),
        simd.transmute_f32s_u32s(low),
    )
}

/// Each unsigned 64-bit integer as `f64`, rounded to nearest.
#[inline(always)]
pub(super) fn u64s_to_f64s<S: Simd>(simd: S, a: S::u64s) -> S::f64s {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{f64x8, u64x8, x86::V4};
        if let (Some(s), Some(a)) = (cast::<S, V4>(simd), cast::<_, u64x8>(a)) {
            let out: f64x8 = pulp::cast(s.avx512dq._mm512_cvtepu64_pd(pulp::cast(a)));
            if let Some(out) = cast(out) {
                return out;
            }
        }
    }
    // As above: 2^52 + low half, 2^84 + high half · 2^32.
    let two_52 = 4_503_599_627_370_496.0_f64;
    let two_84 = two_52 * 4_294_967_296.0;
    let low = simd
        .or_u64s(simd.and_u64s(a, simd.splat_u64s(0xffff_ffff)), simd.splat_u64s(two_52.to_bits()));
    let high = simd.or_u64s(shift_down_32(simd, a), simd.splat_u64s(two_84.to_bits()));
    simd.add_f64s(
        simd.sub_f64s(simd.transmute_f64s_u64s(high), simd.splat_f64s(two_84 + two_52)),
        simd.transmute_f64s_u64s(low),
    )
}

/// a >> 32.
#[inline(always)]
pub(super) fn shift_down_32<S: Simd>(simd: S, a: S::u64s) -> S::u64s {
    <f64 as crate::lanes::Lanes>::shr_bits::<S, 32>(simd, a)
}

/// The low half of `low` with the low half of `high` above it.
#[inline(always)]
pub(super) fn join<S: Simd>(simd: S, low: S::u64s, high: S::u64s) -> S::u64s {
    simd.or_u64s(
        simd.and_u64s(low, simd.splat_u64s(0xffff_ffff)),
        <f64 as crate::lanes::Lanes>::shl_bits::<S, 32>(simd, high),
    )
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::Isa;

    struct Check;
    impl WithSimd for Check {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            let state = |i: u64| i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for round in 0..50 {
                let (mut a, mut b) = (simd.splat_u64s(0), simd.splat_u64s(0));
                for (i, (a, b)) in
                    lanes_mut::<_, u64>(&mut a).iter_mut().zip(lanes_mut(&mut b)).enumerate()
                {
                    (*a, *b) = (state(97 * round + i as u64), state(1000 + 31 * round + i as u64));
                    if round == 0 {
                        *a = [0, u64::MAX, (1 << 53) + 1, 1, 0xffff_ffff, 1 << 63, 3, 5][i % 8];
                    }
                }
                let product = multiply_low(simd, a, b);
                let float = u64s_to_f64s(simd, a);
                let joined = join(simd, a, b);
                for i in 0..S::U64_LANES {
                    let (a, b) = (lanes::<_, u64>(&a)[i], lanes::<_, u64>(&b)[i]);
                    let (low_a, low_b) = (a & 0xffff_ffff, b & 0xffff_ffff);
                    assert_eq!(lanes::<_, u64>(&product)[i], low_a * low_b);
                    assert_eq!(lanes::<_, f64>(&float)[i], a as f64);
                    assert_eq!(lanes::<_, u64>(&joined)[i], low_a | low_b << 32);
                }
                let fast = interleave_u64s(simd, a, b);
                let slow = interleave_by_lane::<_, u64>(a, b);
                assert_eq!(lanes::<_, u64>(&fast), lanes::<_, u64>(&slow));
                if S::F32_LANES > 1 {
                    let words = |v: &S::u64s| -> S::u32s { bytemuck::cast(*v) };
                    let float = u32s_to_f32s(simd, words(&a));
                    for (got, &word) in lanes::<_, f32>(&float).iter().zip(lanes::<_, u32>(&a)) {
                        assert_eq!(*got, word as f32);
                    }
                    let other = u32s_to_f32s(simd, words(&b));
                    let fast = interleave_f32s(simd, float, other);
                    let slow = interleave_by_lane::<_, f32>(float, other);
                    assert_eq!(lanes::<_, f32>(&fast), lanes::<_, f32>(&slow));
                }
            }
        }
    }

    #[test]
    fn every_path_agrees_with_plain_integers() {
        for isa in Isa::available() {
            isa.dispatch(Check);
        }
    }
}
