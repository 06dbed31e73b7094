//! What a preconditioner of some modes does with all others.

use super::entries::{self, Active};
use super::objective::SplineObjective;
use super::smoothing_operator::SmoothingOperator;

/// Steps of Chebyshev's iteration.
const STEPS: usize = 3;

/// A polynomial q(H), near the inverse of H = λ'S² on the modes outside, H restricted to the entries
/// that are free: an inverse that knows nothing of the edges of what is held leaves conjugate gradients
/// hundreds of steps there. What it does to the modes inside is added to their own inverse, and small
/// beside it.
///
/// z ← z + τᵢ(r − H z) from z = 0, 1/τᵢ the zeros of the Chebyshev polynomial of [`STEPS`] on \[a, b\]:
/// 1 − x q(x) is that polynomial divided by its value at 0, the smallest possible on \[a, b\], and x q(x)
/// is positive on (0, b]. a is the smallest penalty of a mode outside, b a bound on all penalties. The
/// condition number κ = b/a of what is outside becomes (T + 1)/(T − 1), T = T_STEPS((κ + 1)/(κ − 1)),
/// about κ/STEPS²: what a product with H costs beside the modes pays for two.
///
/// Source: G. H. Golub and R. S. Varga, *Chebyshev semi-iterative methods*, Numer. Math. 3 (1961).
pub(super) struct Smoother {
    /// τᵢ; a single one where S² cannot be added in place.
    steps: Vec<f64>,
}

impl Smoother {
    /// For modes up to the eigenvalue `nearest` of either Laplacian.
    pub fn new(objective: &SplineObjective<'_>, nearest: f64) -> Self {
        let (ly, lx, lambda) = (objective.ly, objective.lx, objective.lambda_eff);
        let largest = ly.largest_row_sum() + lx.largest_row_sum();
        let (a, b) = (lambda * nearest * nearest, lambda * largest * largest);
        let in_place = ly.laplacian().is_some() && lx.laplacian().is_some();
        if in_place && a > 0.0 && a < b && b.is_finite() {
            let zero = |i: usize| {
                let angle = std::f64::consts::PI * (2 * i + 1) as f64 / (2 * STEPS) as f64;
                0.5 * (a + b) + 0.5 * (b - a) * libm::cos(angle)
            };
            return Self { steps: (0..STEPS).map(|i| zero(i).recip()).collect() };
        }
        let c = lambda * mean_diagonal(ly, lx);
        Self { steps: vec![if c > 0.0 { c.recip() } else { 1.0 }] }
    }

    /// Z ← q(H) R, R being 0 where entries are held; `scratch` is overwritten.
    pub fn apply(
        &self,
        objective: &SplineObjective<'_>,
        active: &Active,
        r: &[f64],
        z: &mut [f64],
        scratch: &mut [f64],
    ) {
        for (i, &tau) in self.steps.iter().enumerate() {
            if i == 0 {
                entries::axpby(tau, r, 0.0, z);
            } else {
                // S Z first: τR is not to be smoothed.
                objective.smooth(z, scratch);
                entries::axpy(tau, r, z);
                objective.subtract_smoothed(tau, scratch, z);
                active.project(z);
            }
        }
    }
}

/// The mean diagonal element of (L_x ⊕ L_y)ᵀ(L_x ⊕ L_y).
fn mean_diagonal(ly: &SmoothingOperator, lx: &SmoothingOperator) -> f64 {
    let parts = |l: &SmoothingOperator| {
        let n = l.voxels() as f64;
        let squares: f64 = l.matrix().data().iter().map(|v| v * v).sum();
        let trace: f64 = l.matrix().diag().iter().map(|(_, v)| *v).sum();
        (squares / n, trace / n)
    };
    let ((squares_y, trace_y), (squares_x, trace_x)) = (parts(ly), parts(lx));
    squares_y + 2.0 * trace_y * trace_x + squares_x
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;
    use crate::connectome::{CosineModes, TracingData};

    #[test]
    fn a_product_of_modes_is_multiplied_by_the_polynomial() {
        let (lx, ly) =
            (SmoothingOperator::of_box(&[9]).unwrap(), SmoothingOperator::of_box(&[7]).unwrap());
        let x = Mat::from_fn(9, 1, |_, _| 1.0);
        let y = Mat::from_fn(7, 1, |_, _| 1.0);
        let data = TracingData::builder()
            .injections_dense(x.as_ref())
            .projections(y.as_ref())
            .observed(crate::connectome::Observed::everywhere(7, 1))
            .build()
            .unwrap();
        let objective = SplineObjective::new(&data, &lx, &ly, 2.5).unwrap();
        let nearest = 0.5;
        let smoother = Smoother::new(&objective, nearest);
        assert_eq!(smoother.steps.len(), STEPS);
        let mode = |n: usize, k: usize| {
            let mut mode = vec![0.0; n];
            mode[k] = 1.0;
            let modes = CosineModes::new(&[n]).unwrap();
            modes.inverse(&mut mode).unwrap();
            (mode, modes.eigenvalues()[k])
        };
        // (L_y q)pᵀ + q(L_x p)ᵀ = (μ + ν) q pᵀ, and |x q(x) − 1| ≤ 1/T on [a, b].
        let (a, b) = (2.5 * nearest * nearest, 2.5 * 64.0);
        let t = libm::cosh(STEPS as f64 * libm::acosh((b + a) / (b - a)));
        for (i, j) in [(0, 0), (0, 3), (2, 5), (6, 8)] {
            let ((q, mu), (p, nu)) = (mode(7, i), mode(9, j));
            let r: Vec<f64> = p.iter().flat_map(|p| q.iter().map(move |q| q * p)).collect();
            let (mut z, mut scratch) = (vec![f64::NAN; 63], vec![f64::NAN; 63]);
            smoother.apply(&objective, &Active::none(63), &r, &mut z, &mut scratch);
            let penalty = 2.5 * (mu + nu) * (mu + nu);
            let step = |z: f64, tau: &f64| z + tau * (1.0 - penalty * z);
            let factor = smoother.steps.iter().fold(0.0, step);
            assert!(factor > 0.0);
            if penalty >= a {
                assert!((penalty * factor - 1.0).abs() <= 1.0 / t + 1e-12, "{i}, {j}");
            }
            assert!(z.iter().zip(&r).all(|(z, r)| (z - factor * r).abs() < 1e-13 * factor));
        }
        // Symmetric and 0 where held.
        let held = Active::from_flags((0..63).map(|i| u8::from(i % 5 == 2 || i < 9)).collect());
        let smoothed = |k: usize| {
            let mut r: Vec<f64> = (0..63).map(|i| ((i * (k + 3)) % 11) as f64 - 5.0).collect();
            held.project(&mut r);
            let (mut z, mut scratch) = (vec![f64::NAN; 63], vec![f64::NAN; 63]);
            smoother.apply(&objective, &held, &r, &mut z, &mut scratch);
            (r, z)
        };
        let ((r, z), (other, image)) = (smoothed(0), smoothed(1));
        assert!((0..9).all(|i| z[i] == 0.0));
        let (a, b) = (entries::dot(&other, &z), entries::dot(&r, &image));
        assert!(
            (a - b).abs() < 1e-13 * entries::square(&r).sqrt() * entries::square(&image).sqrt()
        );
        assert!(entries::dot(&r, &z) > 0.0);
    }
}
