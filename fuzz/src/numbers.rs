//! Numbers of every kind from a few bytes of input.

use arbitrary::{Result, Unstructured};
use hesse_kernels::Real;
use hesse_kernels::pulp::bytemuck;

/// Where rounding, overflow and propagation of NaN change.
const SPECIAL: [f64; 15] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    f64::MAX,
    f64::MIN_POSITIVE,
    5e-324,
    f32::MAX as f64,
    f32::MIN_POSITIVE as f64,
    1e-45,
    1.000_000_000_000_000_2,
    1.000_000_119_209_289_6,
];

/// Short inputs are seeds: followed by bytes made of them, so that they too lead to every kind of
/// number and shape.
pub fn prolonged(bytes: &[u8]) -> Vec<u8> {
    const ENOUGH: usize = 200;
    let mut state = bytes.iter().fold(bytes.len() as u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut bytes = bytes.to_vec();
    while bytes.len() < ENOUGH {
        bytes.extend(split_mix(&mut state).to_le_bytes());
    }
    bytes
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of numbers.
pub struct Numbers {
    kind: u8,
    state: u64,
    /// Bit patterns that the input chose.
    palette: Vec<u64>,
}

impl Numbers {
    pub fn read(u: &mut Unstructured<'_>) -> Result<Self> {
        let (kind, state) = (u.int_in_range(0..=6)?, u.arbitrary()?);
        let length = u.int_in_range(1..=8)?;
        let palette = (0..length).map(|_| u.arbitrary()).collect::<Result<_>>()?;
        Ok(Self { kind, state, palette })
    }

    fn bits(&mut self) -> u64 {
        split_mix(&mut self.state)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Below 2⁶⁰ and above 2⁻⁹⁰, or 0: neither products nor their sums leave the range of `f32`.
    pub fn moderate<T: Real>(&mut self) -> T {
        let spread = [0, 0, 3, 30][self.state as usize % 4];
        let exponent = self.below(2 * spread + 1) as i32 - spread as i32;
        T::from_f64(self.uniform() * 2.0_f64.powi(exponent))
    }

    fn chosen<T: Real>(&mut self) -> T {
        let place = self.below(self.palette.len());
        let bits = self.palette[place];
        match size_of::<T>() {
            4 => bytemuck::cast(bits as u32),
            _ => bytemuck::cast(bits),
        }
    }

    pub fn next<T: Real>(&mut self) -> T {
        match self.kind {
            0 => self.chosen(),
            1 => {
                let place = self.below(SPECIAL.len());
                T::from_f64(SPECIAL[place])
            }
            // Whole numbers, of which small sums are exact.
            2 => T::from_f64((8.0 * self.uniform()).round()),
            3 => self.moderate(),
            // Mostly moderate.
            4 => {
                if self.below(16) == 0 {
                    self.chosen()
                } else {
                    self.moderate()
                }
            }
            // The ends of the range.
            5 => T::from_f64(self.uniform() * T::MAX.to_f64()),
            _ => T::from_f64(self.uniform() * T::MIN_POSITIVE.to_f64() * 8.0),
        }
    }

    pub fn take<T: Real>(&mut self, n: usize) -> Vec<T> {
        (0..n).map(|_| self.next()).collect()
    }

    pub fn take_moderate<T: Real>(&mut self, n: usize) -> Vec<T> {
        (0..n).map(|_| self.moderate()).collect()
    }
}

/// Equal in every bit, or both NaN.
pub fn same<T: Real>(a: T, b: T) -> bool {
    let (a, b) = (a.to_f64(), b.to_f64());
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}
