//! Random start vectors: every element a function of (seed, stream, index) alone.

use std::f64::consts::TAU;

use crate::{Real, parallel};

/// Elements of one task.
const PIECE: usize = 1 << 13;

/// 64 well-mixed bits of (seed, stream, index): two rounds of the finaliser of SplitMix64
/// (Steele, Lea, Flood 2014).
fn bits(seed: u64, stream: u64, index: u64) -> u64 {
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let key = mix(seed.wrapping_add(mix(stream.wrapping_add(0x9e37_79b9_7f4a_7c15))));
    mix(key ^ mix(index.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(key)))
}

/// Independent standard normals in `vector`, by Box and Muller.
pub(super) fn fill_normal<T: Real>(seed: u64, stream: u64, vector: &mut [T]) {
    const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
    parallel::for_each_piece(vector, PIECE, |piece, x| {
        for (i, x) in x.iter_mut().enumerate() {
            let index = 2 * (piece * PIECE + i) as u64;
            // In (0, 1], so that the logarithm is finite.
            let radius = ((bits(seed, stream, index) >> 11) + 1) as f64 * UNIT;
            let angle = (bits(seed, stream, index + 1) >> 11) as f64 * UNIT;
            let normal = (-2.0 * libm::log(radius)).sqrt() * libm::cos(TAU * angle);
            *x = T::from_f64(normal);
        }
    });
}
