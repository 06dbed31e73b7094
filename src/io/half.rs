//! The two 16-bit floating point formats, widened exactly to `f32`.

/// IEEE 754 binary16 → binary32: 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits.
///
/// Exact, subnormals included; a NaN keeps its sign and payload.
pub(super) fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    match exponent {
        // ±fraction · 2⁻²⁴, exact in f32.
        0 => {
            let magnitude = fraction as f32 * f32::from_bits((127 - 24) << 23);
            f32::from_bits(magnitude.to_bits() | sign)
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13),
    }
}

/// bfloat16 → binary32: the upper half of the bits.
pub(super) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_the_number_of_its_definition() {
        for bits in 0..=u16::MAX {
            let got = f16_to_f32(bits);
            let sign = if bits >> 15 == 1 { -1.0_f64 } else { 1.0 };
            let exponent = i32::from(bits >> 10 & 0x1f);
            let fraction = f64::from(bits & 0x3ff) / 1024.0;
            if exponent == 31 && fraction > 0.0 {
                assert!(got.is_nan(), "{bits:#x}");
                assert_eq!(got.to_bits() & 0x7f_ffff, u32::from(bits & 0x3ff) << 13);
                continue;
            }
            let want = match exponent {
                0 => sign * fraction * 2_f64.powi(-14),
                31 => sign * f64::INFINITY,
                e => sign * (1.0 + fraction) * 2_f64.powi(e - 15),
            };
            assert_eq!(f64::from(got).to_bits(), want.to_bits(), "{bits:#x}");
        }
    }

    #[test]
    fn brain_floats_are_truncated_singles() {
        assert_eq!(bf16_to_f32(0x3f80), 1.0);
        assert_eq!(bf16_to_f32(0xc049), -3.140_625);
        assert!(bf16_to_f32(0x7fc0).is_nan());
    }
}
