//! Random vectors ω with E ωωᵀ = I: what stochastic traces and densities multiply.

use crate::Real;
use crate::parallel;

use super::tall;

/// The distribution of random probes; both have ‖ω‖² = n and E ωωᵀ = I.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probes {
    /// Independent signs ±1: never a larger variance of ωᵀAω than the sphere's to leading order,
    /// and none at all where A is diagonal: 2(‖A‖²_F − Σ Aⱼⱼ²).
    Rademacher,
    /// Uniform on the sphere of radius √n (a Gaussian vector, rescaled): what is left of a probe
    /// after a projection is again uniform, which XTrace and XNysTrace make use of.
    Sphere,
}

/// What the random numbers are for: each purpose has its own stream, so that a trace and a density
/// of one seed are independent.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum Purpose {
    Trace = 1,
    Diagonal = 2,
    Density = 3,
}

/// Elements drawn by one task; a multiple of the 64 signs that one word gives.
const PIECE: usize = 8192;

/// The key of one stream of words.
fn key(seed: u64, purpose: Purpose, probe: usize) -> u64 {
    mix(mix(mix(seed ^ 0x6a09_e667_f3bc_c908) ^ purpose as u64) ^ probe as u64)
}

/// Word `counter` of a stream (SplitMix64 at a given counter).
fn word(key: u64, counter: usize) -> u64 {
    mix(key.wrapping_add((counter as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Writes probe number `probe` of the stream `(seed, purpose)`: a function of these alone.
pub(super) fn fill<T: Real>(
    kind: Probes,
    seed: u64,
    purpose: Purpose,
    probe: usize,
    out: &mut [T],
) {
    let key = key(seed, purpose, probe);
    match kind {
        Probes::Rademacher => parallel::for_each_piece(out, PIECE, |p, piece| {
            for (w, signs) in piece.chunks_mut(64).enumerate() {
                let mut bits = word(key, p * (PIECE / 64) + w);
                for x in signs {
                    *x = if bits & 1 == 0 { T::ONE } else { -T::ONE };
                    bits >>= 1;
                }
            }
        }),
        Probes::Sphere => {
            parallel::for_each_piece(out, PIECE, |p, piece| {
                for (pair, values) in piece.chunks_mut(2).enumerate() {
                    let normals = two_normals(key, p * (PIECE / 2) + pair);
                    for (x, z) in values.iter_mut().zip(normals) {
                        *x = T::from_f64(z);
                    }
                }
            });
            let scale = (out.len() as f64 / tall::dot(out, out)).sqrt();
            parallel::for_each_piece(out, PIECE, |_, piece| {
                for x in piece {
                    *x = T::from_f64(x.to_f64() * scale);
                }
            });
        }
    }
}

/// Two independent standard normal numbers (Box and Muller) from words 2·`pair` and 2·`pair` + 1.
fn two_normals(key: u64, pair: usize) -> [f64; 2] {
    // The upper 53 bits; the first number lies in (0, 1], so that its logarithm is finite.
    let unit = |counter| (word(key, counter) >> 11) as f64 * (-53.0_f64).exp2();
    let radius = (-2.0 * libm::log(unit(2 * pair) + (-53.0_f64).exp2())).sqrt();
    let (sine, cosine) = libm::sincos(std::f64::consts::TAU * unit(2 * pair + 1));
    [radius * cosine, radius * sine]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(kind: Probes, seed: u64, probe: usize, n: usize) -> Vec<f64> {
        let mut out = vec![f64::NAN; n];
        fill(kind, seed, Purpose::Trace, probe, &mut out);
        out
    }

    #[test]
    fn norms_moments_and_independence() {
        let n = 40_000;
        for kind in [Probes::Rademacher, Probes::Sphere] {
            let (x, y) = (drawn(kind, 1, 0, n), drawn(kind, 1, 1, n));
            let mean = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
            // Five standard errors of each mean.
            let tolerance = 5.0 / (n as f64).sqrt();
            assert!((mean(&|i| x[i] * x[i]) - 1.0).abs() < 1e-13);
            assert!(mean(&|i| x[i]).abs() < tolerance);
            assert!(mean(&|i| x[i] * y[i]).abs() < tolerance);
            assert!(mean(&|i| x[i] * x[(i + 1) % n]).abs() < tolerance);
            let fourth = if kind == Probes::Rademacher { 1.0 } else { 3.0 };
            assert!((mean(&|i| x[i].powi(4)) - fourth).abs() < tolerance * 96_f64.sqrt());
        }
    }

    #[test]
    fn a_probe_depends_on_seed_number_and_purpose_and_f32_is_its_rounding() {
        for kind in [Probes::Rademacher, Probes::Sphere] {
            let x = drawn(kind, 1, 0, 200);
            assert_ne!(x, drawn(kind, 2, 0, 200));
            assert_ne!(x, drawn(kind, 1, 1, 200));
            let mut other = vec![0.0; 200];
            fill(kind, 1, Purpose::Density, 0, &mut other);
            assert_ne!(x, other);
            let mut single = vec![0.0_f32; 200];
            fill(kind, 1, Purpose::Trace, 0, &mut single);
            assert!(x.iter().zip(&single).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-6));
        }
        assert_eq!(drawn(Probes::Sphere, 5, 3, 1)[0].abs(), 1.0);
        assert_eq!(drawn(Probes::Sphere, 5, 3, 0), Vec::<f64>::new());
    }
}
