//! Standard normal numbers: Box and Muller's transform without a branch.
//!
//! Every step is written out here, from the logarithm to the sine, so that the bits are the same
//! wherever multiplication and addition are fused. The polynomials of sine and cosine and of the
//! `f32` logarithm are minimax fits of our own (relative error of the function below 2⁻⁵⁸ and 2⁻⁶⁴
//! for `f64`, 2⁻²⁷ for `f32`); the `f64` logarithm is FDLIBM's `e_log.c` (Sun Microsystems, 1993).

use pulp::Simd;
use pulp::bytemuck;

use super::{Draw, words};
use crate::lanes::Lanes;

/// a₀ + a₁ x + a₂ x² + …
#[inline(always)]
fn polynomial<T: Lanes, S: Simd, const N: usize>(
    simd: S,
    x: T::Vector<S>,
    coefficients: [T; N],
) -> T::Vector<S> {
    let mut sum = T::splat(simd, coefficients[N - 1]);
    for &c in coefficients[..N - 1].iter().rev() {
        sum = T::mul_add(simd, sum, x, T::splat(simd, c));
    }
    sum
}

/// The constants of one storage type.
trait Circle: Lanes {
    /// sin(tπ/2) / t in powers of t², |t| ≤ ½.
    fn sine<S: Simd>(simd: S, t2: Self::Vector<S>) -> Self::Vector<S>;
    /// (cos(tπ/2) − 1) / t² in powers of t², |t| ≤ ½.
    fn cosine<S: Simd>(simd: S, t2: Self::Vector<S>) -> Self::Vector<S>;
    const ONE: Self;
}

impl Circle for f32 {
    const ONE: f32 = 1.0;
    #[inline(always)]
    fn sine<S: Simd>(simd: S, t2: S::f32s) -> S::f32s {
        polynomial::<f32, S, 4>(
            simd,
            t2,
            [core::f32::consts::FRAC_PI_2, -0.645_963_5, 0.079_680_03, -0.004_601_658],
        )
    }
    #[inline(always)]
    fn cosine<S: Simd>(simd: S, t2: S::f32s) -> S::f32s {
        polynomial::<f32, S, 4>(
            simd,
            t2,
            [-1.233_700_5, 0.253_669_23, -0.020_860_165, 0.000_903_766_54],
        )
    }
}

impl Circle for f64 {
    const ONE: f64 = 1.0;
    #[inline(always)]
    fn sine<S: Simd>(simd: S, t2: S::f64s) -> S::f64s {
        polynomial::<f64, S, 7>(
            simd,
            t2,
            [
                core::f64::consts::FRAC_PI_2,
                -0.645_964_097_506_244_3,
                0.079_692_626_246_039_57,
                -0.004_681_754_132_282_43,
                0.000_160_441_150_291_720_36,
                -3.598_641_754_631_845_7e-6,
                5.633_721_029_450_667e-8,
            ],
        )
    }
    #[inline(always)]
    fn cosine<S: Simd>(simd: S, t2: S::f64s) -> S::f64s {
        polynomial::<f64, S, 7>(
            simd,
            t2,
            [
                -1.233_700_550_136_169_7,
                0.253_669_507_901_046_8,
                -0.020_863_480_763_312_57,
                0.000_919_260_274_191_066_9,
                -2.520_203_678_828_828e-5,
                4.710_609_669_329_896_3e-7,
                -6.321_202_067_146_84e-9,
            ],
        )
    }
}

/// cos(tπ/2) and sin(tπ/2), |t| ≤ ½.
#[inline(always)]
fn cos_sin<T: Circle, S: Simd>(simd: S, t: T::Vector<S>) -> [T::Vector<S>; 2] {
    let t2 = T::mul(simd, t, t);
    let cosine = T::mul_add(simd, T::cosine(simd, t2), t2, T::splat(simd, T::ONE));
    [cosine, T::mul(simd, T::sine(simd, t2), t)]
}

/// −ln(x 2⁻⁴⁰), x normal and positive.
#[inline(always)]
fn minus_ln32<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    // x = 2ᵉ (1 + f), √½ ≤ 1 + f < √2.
    let shifted = simd.sub_u32s(simd.transmute_u32s_f32s(x), simd.splat_u32s(SQRT_HALF));
    // The exponent of x lies below that of 2⁴⁰ by at most 42: made positive, put into a mantissa.
    let raised = simd.add_u32s(shifted, simd.splat_u32s(64 << 23));
    let exponent = simd.or_u32s(
        <f32 as Lanes>::shr_bits::<S, 23>(simd, raised),
        simd.splat_u32s(8_388_608.0_f32.to_bits()),
    );
    let e = simd
        .sub_f32s(simd.transmute_f32s_u32s(exponent), simd.splat_f32s(8_388_608.0 + 64.0 + 40.0));
    let mantissa = simd
        .add_u32s(simd.and_u32s(shifted, simd.splat_u32s(0x007f_ffff)), simd.splat_u32s(SQRT_HALF));
    let f = simd.sub_f32s(simd.transmute_f32s_u32s(mantissa), simd.splat_f32s(1.0));
    // ln(1 + f) = f − f²/2 + f³ p(f)
    let p = polynomial::<f32, S, 8>(
        simd,
        f,
        [
            0.333_333_3,
            -0.250_008_2,
            0.200_012_27,
            -0.166_233_57,
            0.142_017_57,
            -0.131_601_8,
            0.127_615_81,
            -0.076_345_07,
        ],
    );
    let f2 = simd.mul_f32s(f, f);
    // f²/2 − f³ p(f), then −e ln 2 in two parts, the small one first.
    let bent = simd.mul_f32s(f2, <f32 as Lanes>::neg_mul_add(simd, f, p, simd.splat_f32s(0.5)));
    let small = <f32 as Lanes>::neg_mul_add(simd, e, simd.splat_f32s(LN2_LOW_32), bent);
    let rest = simd.sub_f32s(small, f);
    <f32 as Lanes>::neg_mul_add(simd, e, simd.splat_f32s(LN2_HIGH_32), rest)
}

/// ln 2 in two parts; the product of the first with an exponent is exact.
const LN2_HIGH_32: f32 = 0.693_359_4;
const LN2_LOW_32: f32 = -2.121_944_4e-4;
const LN2_HIGH_64: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOW_64: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// −ln(x 2⁻⁶⁴), x normal and positive.
#[inline(always)]
fn minus_ln64<S: Simd>(simd: S, x: S::f64s) -> S::f64s {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    let shifted = simd.sub_u64s(simd.transmute_u64s_f64s(x), simd.splat_u64s(SQRT_HALF));
    let raised = simd.add_u64s(shifted, simd.splat_u64s(64 << 52));
    let exponent = simd.or_u64s(
        <f64 as Lanes>::shr_bits::<S, 52>(simd, raised),
        simd.splat_u64s(TWO_52.to_bits()),
    );
    let e =
        simd.sub_f64s(simd.transmute_f64s_u64s(exponent), simd.splat_f64s(TWO_52 + 64.0 + 64.0));
    let mantissa = simd.add_u64s(
        simd.and_u64s(shifted, simd.splat_u64s(0x000f_ffff_ffff_ffff)),
        simd.splat_u64s(SQRT_HALF),
    );
    let f = simd.sub_f64s(simd.transmute_f64s_u64s(mantissa), simd.splat_f64s(1.0));
    // ln(1 + f) = f − (h − s (h + r)), h = f²/2, s = f / (2 + f), r = s² p(s²)
    let s = simd.div_f64s(f, simd.add_f64s(f, simd.splat_f64s(2.0)));
    let s2 = simd.mul_f64s(s, s);
    let p = polynomial::<f64, S, 7>(
        simd,
        s2,
        [
            6.666_666_666_666_735e-1,
            3.999_999_999_940_942e-1,
            2.857_142_874_366_239e-1,
            2.222_219_843_214_978_4e-1,
            1.818_357_216_161_805e-1,
            1.531_383_769_920_937_3e-1,
            1.479_819_860_511_658_6e-1,
        ],
    );
    let h = simd.mul_f64s(simd.mul_f64s(f, f), simd.splat_f64s(0.5));
    let inner = <f64 as Lanes>::mul_add(simd, s2, p, h);
    let bent = <f64 as Lanes>::neg_mul_add(simd, s, inner, h);
    let small = <f64 as Lanes>::neg_mul_add(simd, e, simd.splat_f64s(LN2_LOW_64), bent);
    let rest = simd.sub_f64s(small, f);
    <f64 as Lanes>::neg_mul_add(simd, e, simd.splat_f64s(LN2_HIGH_64), rest)
}

/// A pair of normals a lane: from the two words of 32 bits of each lane.
///
/// The radius takes the first word and the low 8 bits of the second; the angle its high 24 bits:
/// sign of both, exchange of sine and cosine, then t.
#[inline(always)]
pub(super) fn pair32<S: Simd>(simd: S, first: S::u32s, second: S::u32s) -> [S::f32s; 2] {
    // k + ½ = 2⁸ · first + (low 8 bits + ½)
    let low = simd.or_u32s(
        simd.and_u32s(second, simd.splat_u32s(0xff)),
        simd.splat_u32s(8_388_608.0_f32.to_bits()),
    );
    let low = simd.sub_f32s(simd.transmute_f32s_u32s(low), simd.splat_f32s(8_388_607.5));
    let k = <f32 as Lanes>::mul_add(
        simd,
        words::u32s_to_f32s(simd, first),
        simd.splat_f32s(256.0),
        low,
    );
    let minus_ln = minus_ln32(simd, k);
    let radius = simd.sqrt_f32s(simd.add_f32s(minus_ln, minus_ln));

    // The bits 29..8 between an exponent of 1 and a last bit of ½.
    let fraction =
        simd.and_u32s(<f32 as Lanes>::shr_bits::<S, 7>(simd, second), simd.splat_u32s(0x007f_fffe));
    let one_to_two = simd.or_u32s(fraction, simd.splat_u32s(1.0_f32.to_bits() | 1));
    let t = simd.sub_f32s(simd.transmute_f32s_u32s(one_to_two), simd.splat_f32s(1.5));
    let [cosine, sine] = cos_sin::<f32, S>(simd, t);

    // Bit 30: exchange; bit 31: sign of both.
    let exchange = simd.sub_u32s(
        simd.splat_u32s(0),
        simd.and_u32s(<f32 as Lanes>::shr_bits::<S, 30>(simd, second), simd.splat_u32s(1)),
    );
    let cosine = simd.transmute_u32s_f32s(cosine);
    let sine = simd.transmute_u32s_f32s(sine);
    let differ = simd.and_u32s(simd.xor_u32s(cosine, sine), exchange);
    let cosine = simd.transmute_f32s_u32s(simd.xor_u32s(cosine, differ));
    let sine = simd.transmute_f32s_u32s(simd.xor_u32s(sine, differ));
    let sign = simd.and_u32s(second, simd.splat_u32s(1 << 31));
    let radius = simd.transmute_f32s_u32s(simd.or_u32s(simd.transmute_u32s_f32s(radius), sign));
    [simd.mul_f32s(radius, cosine), simd.mul_f32s(radius, sine)]
}

/// A pair of normals a lane: from two words of 64 bits. All of the first make the radius; of the
/// second the sign of both, the exchange of sine and cosine, and 51 bits of t.
#[inline(always)]
pub(super) fn pair64<S: Simd>(simd: S, first: S::u64s, second: S::u64s) -> [S::f64s; 2] {
    let k = simd.add_f64s(words::u64s_to_f64s(simd, first), simd.splat_f64s(0.5));
    let minus_ln = minus_ln64(simd, k);
    let radius = simd.sqrt_f64s(simd.add_f64s(minus_ln, minus_ln));

    let fraction = simd.and_u64s(
        <f64 as Lanes>::shr_bits::<S, 10>(simd, second),
        simd.splat_u64s(0x000f_ffff_ffff_fffe),
    );
    let one_to_two = simd.or_u64s(fraction, simd.splat_u64s(1.0_f64.to_bits() | 1));
    let t = simd.sub_f64s(simd.transmute_f64s_u64s(one_to_two), simd.splat_f64s(1.5));
    let [cosine, sine] = cos_sin::<f64, S>(simd, t);

    let exchange = simd.sub_u64s(
        simd.splat_u64s(0),
        simd.and_u64s(<f64 as Lanes>::shr_bits::<S, 62>(simd, second), simd.splat_u64s(1)),
    );
    let cosine = simd.transmute_u64s_f64s(cosine);
    let sine = simd.transmute_u64s_f64s(sine);
    let differ = simd.and_u64s(simd.xor_u64s(cosine, sine), exchange);
    let cosine = simd.transmute_f64s_u64s(simd.xor_u64s(cosine, differ));
    let sine = simd.transmute_f64s_u64s(simd.xor_u64s(sine, differ));
    let sign = simd.and_u64s(second, simd.splat_u64s(1 << 63));
    let radius = simd.transmute_f64s_u64s(simd.or_u64s(simd.transmute_u64s_f64s(radius), sign));
    [simd.mul_f64s(radius, cosine), simd.mul_f64s(radius, sine)]
}

#[derive(Clone, Copy)]
pub(super) struct Normal32;
impl Draw for Normal32 {
    type Element = f32;
    const IN_BLOCK: usize = 4;
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn group<S: Simd>(self, simd: S, w: [S::u64s; 4], out: &mut [f32]) {
        if S::U64_LANES == 1 {
            let word = |v: S::u64s| simd.splat_u32s(bytemuck::cast::<_, u64>(v) as u32);
            let first = pair32(simd, word(w[0]), word(w[1]));
            let second = pair32(simd, word(w[2]), word(w[3]));
            out.copy_from_slice(bytemuck::cast_slice(&[first, second]));
            return;
        }
        // Two pairs a block: side by side in its 64 bits. Low and high halves keep their places
        // on a big-endian machine too, since the joined lanes are read again as 64-bit integers.
        let radius = bytemuck::cast(words::join(simd, w[0], w[2]));
        let angle = bytemuck::cast(words::join(simd, w[1], w[3]));
        let [cosine, sine] = pair32(simd, radius, angle);
        let values = words::interleave_f32s(simd, cosine, sine);
        out.copy_from_slice(bytemuck::cast_slice(&values));
    }
}

#[derive(Clone, Copy)]
pub(super) struct Normal64;
impl Draw for Normal64 {
    type Element = f64;
    const IN_BLOCK: usize = 2;
    #[inline(always)]
    fn group<S: Simd>(self, simd: S, w: [S::u64s; 4], out: &mut [f64]) {
        let first = words::join(simd, w[0], w[1]);
        let second = words::join(simd, w[2], w[3]);
        let [cosine, sine] = pair64(simd, first, second);
        let values = words::interleave_u64s(
            simd,
            simd.transmute_u64s_f64s(cosine),
            simd.transmute_u64s_f64s(sine),
        );
        out.copy_from_slice(bytemuck::cast_slice(&values));
    }
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::Isa;

    /// The first lane of both pairs made from two words.
    struct Pair(u64, u64);
    impl WithSimd for Pair {
        type Output = ([f32; 2], [f64; 2]);
        #[allow(clippy::cast_possible_truncation)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let single =
                pair32(simd, simd.splat_u32s(self.0 as u32), simd.splat_u32s(self.1 as u32));
            let double = pair64(simd, simd.splat_u64s(self.0), simd.splat_u64s(self.1));
            let single: &[f32] = bytemuck::cast_slice(&single);
            let double: &[f64] = bytemuck::cast_slice(&double);
            ([single[0], single[S::F32_LANES]], [double[0], double[S::F64_LANES]])
        }
    }

    #[test]
    fn the_smallest_and_the_largest_word_make_finite_numbers() {
        let radius = |bits: f64| (2.0 * (bits + 1.0) * core::f64::consts::LN_2).sqrt();
        for isa in Isa::available() {
            // Radius word 0 and t nearest to 0: the end of the tail, and nearly 0.
            let ([x, y], _) = isa.dispatch(Pair(0, 0x2000_0000));
            assert!((f64::from(x) - radius(40.0)).abs() < 2e-6 && y.abs() < 2e-6, "{isa}: {x} {y}");
            let (_, [x, y]) = isa.dispatch(Pair(0, 0x2000_0000_0000_0000));
            assert!((x - radius(64.0)).abs() < 4e-15 && y.abs() < 4e-15, "{isa}: {x} {y}");
            // A radius word of all ones rounds to u = 1, hence ρ = 0; all angles.
            for second in (0..64).map(|i| i << 58).chain([u64::MAX, u64::MAX >> 32]) {
                let (single, double) = isa.dispatch(Pair(u64::MAX, second | 0xff));
                assert_eq!((single, double), ([0.0; 2], [0.0; 2]), "{isa}");
            }
        }
    }

    /// The eight arcs: exchange and sign carry t = ±¼ to odd multiples of π/8.
    #[test]
    fn two_bits_and_t_cover_the_circle() {
        for isa in Isa::available() {
            for i in 0..8_u64 {
                let (single, double) = isa.dispatch(Pair(1 << 31, i << 29 | 1 << 28));
                let (_, long) = isa.dispatch(Pair(1 << 63, (i << 29 | 1 << 28) << 32));
                let t = if i % 2 == 0 { -0.25_f64 } else { 0.25 };
                let (sine, cosine) = (t * core::f64::consts::FRAC_PI_2).sin_cos();
                let (x, y) = if i & 2 == 2 { (sine, cosine) } else { (cosine, sine) };
                let r =
                    (2.0 * core::f64::consts::LN_2).sqrt() * if i & 4 == 4 { -1.0 } else { 1.0 };
                for (got, want) in long.into_iter().zip([r * x, r * y]) {
                    assert!((got - want).abs() < 2e-15, "{isa} {i}: {got} {want}");
                }
                for (got, want) in single.into_iter().zip([r * x, r * y]) {
                    assert!((f64::from(got) - want).abs() < 1e-6, "{isa} {i}: {got} {want}");
                }
                assert!(double.iter().all(|x| x.is_finite()));
            }
        }
    }
}
