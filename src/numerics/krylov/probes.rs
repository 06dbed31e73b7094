//! Random vectors ω with E ωωᵀ = I: what stochastic traces and densities multiply.

use crate::Real;
use crate::parallel;
use crate::random::Stream;

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
pub(super) enum Purpose {
    Trace,
    Diagonal,
    Density,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Trace => "trace probes",
            Purpose::Diagonal => "diagonal probes",
            Purpose::Density => "density probes",
        }
    }
}

/// Elements of one task.
const PIECE: usize = 8192;

/// Writes probe number `probe` of the stream `(seed, purpose)`: a function of these alone.
pub(super) fn fill<T: Real>(
    kind: Probes,
    seed: u64,
    purpose: Purpose,
    probe: usize,
    out: &mut [T],
) {
    let stream = Stream::new(seed, purpose.name()).child(probe as u64);
    match kind {
        Probes::Rademacher => stream.rademacher(0, out),
        Probes::Sphere => {
            // Drawn in `f64` whatever the storage: a probe in `f32` is the rounded one.
            parallel::for_each_piece(out, PIECE, |p, piece| {
                let mut normals = vec![0.0_f64; piece.len()];
                stream.normals((p * PIECE) as u64, &mut normals);
                for (x, normal) in piece.iter_mut().zip(normals) {
                    *x = T::from_f64(normal);
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
