//! The random numbers of `numpy.random.default_rng`, in which the inputs of reference experiments are
//! defined.

use hesse::io::Archive;
use hesse::{Error, Result};

/// Tables of the ziggurat.
const TABLES: &[u8] = include_bytes!("../../../data/numpy_random.npz");

/// The end of the last layer of the ziggurat, and its inverse.
const END: (f64, f64) = (3.654_152_885_361_009, 0.273_661_237_329_758_3);

/// What is compiled in: tables, and the starts of power iterations.
pub(super) struct Tables {
    counts: Vec<u64>,
    widths: Vec<f64>,
    heights: Vec<f64>,
    archive: Archive,
}

impl Tables {
    pub(super) fn read() -> Result<Self> {
        let archive = Archive::from_bytes(TABLES, "numpy_random.npz")?;
        let floats = |name: &str| -> Result<Vec<f64>> { archive.get(name)?.to_f64() };
        let counts = archive.get("ki")?;
        let counts = counts
            .as_slice::<u64>()
            .ok_or_else(|| {
                Error::range(counts.label(), "whole numbers of 64 bits", counts.dtype())
            })?
            .to_vec();
        let (widths, heights) = (floats("wi")?, floats("fi")?);
        for table in [counts.len(), widths.len(), heights.len()] {
            if table != 256 {
                return Err(Error::shape("table of the ziggurat", 256, table));
            }
        }
        Ok(Self { counts, widths, heights, archive })
    }

    /// `jax.random.normal(PRNGKey(0), (units, units))`; none for sizes that are not compiled in.
    pub(super) fn start(&self, units: usize) -> Option<Vec<f64>> {
        self.archive.get(&format!("start_{units}")).ok()?.to_f64().ok()
    }
}

/// PCG64 (XSL-RR, O'Neill 2014) behind NumPy's seed sequence.
pub(super) struct Generator<'a> {
    tables: &'a Tables,
    state: u128,
    increment: u128,
    /// The upper half of a word, when its lower half was used.
    half: Option<u32>,
}

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

impl<'a> Generator<'a> {
    /// `default_rng(seed)`.
    pub(super) fn new(tables: &'a Tables, seed: u32) -> Self {
        let words = seed_words(seed);
        let wide = |i: usize| (u128::from(words[i]) << 64) | u128::from(words[i + 1]);
        let increment = (wide(2) << 1) | 1;
        let mut generator = Self { tables, state: 0, increment, half: None };
        generator.advance();
        generator.state = generator.state.wrapping_add(wide(0));
        generator.advance();
        generator
    }

    fn advance(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    /// 64 bits.
    #[allow(clippy::cast_possible_truncation)]
    fn word(&mut self) -> u64 {
        self.advance();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// 32 bits: the lower half of a word, then the upper.
    #[allow(clippy::cast_possible_truncation)]
    fn half_word(&mut self) -> u32 {
        if let Some(upper) = self.half.take() {
            return upper;
        }
        let word = self.word();
        self.half = Some((word >> 32) as u32);
        word as u32
    }

    /// Uniform on [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `uniform(low, high, count)`.
    pub(super) fn uniforms(&mut self, low: f64, high: f64, count: usize) -> Vec<f64> {
        (0..count).map(|_| low + (high - low) * self.uniform()).collect()
    }

    /// `integers(0, n, count)`, by Lemire's method.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn indices(&mut self, n: u32, count: usize) -> Vec<usize> {
        let mut index = || {
            let mut product = u64::from(self.half_word()) * u64::from(n);
            if (product as u32) < n {
                let threshold = n.wrapping_neg() % n;
                while (product as u32) < threshold {
                    product = u64::from(self.half_word()) * u64::from(n);
                }
            }
            (product >> 32) as usize
        };
        (0..count).map(|_| index()).collect()
    }

    /// `standard_normal(count)`.
    pub(super) fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }

    fn normal(&mut self) -> f64 {
        let tables = self.tables;
        loop {
            let word = self.word();
            let layer = (word & 0xff) as usize;
            let sign = if (word >> 8) & 1 == 1 { -1.0 } else { 1.0 };
            let place = (word >> 9) & 0x000f_ffff_ffff_ffff;
            let x = sign * (place as f64 * tables.widths[layer]);
            if place < tables.counts[layer] {
                return x;
            }
            if layer == 0 {
                loop {
                    let beyond = -END.1 * (-self.uniform()).ln_1p();
                    let height = -(-self.uniform()).ln_1p();
                    if height + height > beyond * beyond {
                        let far = END.0 + beyond;
                        return if (place >> 8) & 1 == 1 { -far } else { far };
                    }
                }
            }
            let (above, below) = (tables.heights[layer - 1], tables.heights[layer]);
            if (above - below) * self.uniform() + below < (-0.5 * x * x).exp() {
                return x;
            }
        }
    }
}

/// Four words of 64 bits out of `SeedSequence(seed)`.
fn seed_words(seed: u32) -> [u64; 4] {
    const MIX: (u32, u32) = (0xca01_f9dd, 0x4973_f715);
    let mut constant = 0x43b0_d7e5_u32;
    let mut hash = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(constant);
        value ^ (value >> 16)
    };
    let mut pool = [seed, 0, 0, 0].map(&mut hash);
    for source in 0..4 {
        for target in (0..4).filter(|&target| target != source) {
            let mixed = pool[target]
                .wrapping_mul(MIX.0)
                .wrapping_sub(hash(pool[source]).wrapping_mul(MIX.1));
            pool[target] = mixed ^ (mixed >> 16);
        }
    }
    let mut constant = 0x8b51_f9dd_u32;
    let mut halves = [0_u32; 8];
    for (i, half) in halves.iter_mut().enumerate() {
        let value = pool[i % 4] ^ constant;
        constant = constant.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(constant);
        *half = value ^ (value >> 16);
    }
    [0, 1, 2, 3].map(|i| u64::from(halves[2 * i]) | (u64::from(halves[2 * i + 1]) << 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NumPy 2.4.6.
    #[test]
    fn numbers_are_those_of_numpy() {
        let tables = Tables::read().unwrap();
        let mut words = Generator::new(&tables, 3);
        assert_eq!(
            [words.word(), words.word()],
            [1_579_948_266_424_812_280, 4_368_382_809_143_759_861]
        );
        let mut generator = Generator::new(&tables, 3);
        let near = |got: &[f64], want: &[f64]| {
            let close = got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-8);
            assert!(close && got.len() == want.len(), "{got:?} {want:?}");
        };
        let normals = [2.040_919_12, -2.555_665_03, 0.418_098_85, -0.567_769_61, -0.452_649_29];
        near(&generator.normals(5), &normals);
        assert_eq!(generator.indices(200, 5), [66, 86, 124, 95, 52]);
        near(&generator.uniforms(-1.0, 1.0, 3), &[0.469_154_30, -0.772_655_96, -0.217_543_62]);
        // Enough for every branch of the ziggurat.
        let many = Generator::new(&tables, 1).normals(100_000);
        assert_eq!(many[99_999], 0.968_409_746_757_162_5);
        assert_eq!(
            many.iter().fold(0.0, |m, x| if x.abs() > m { x.abs() } else { m }),
            4.406_353_522_522_504
        );
    }
}
