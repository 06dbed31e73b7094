//! Unbiased online recurrent optimisation (Tallec and Ollivier 2017).

use super::pass::Pass;
use super::trajectory::Trajectory;
use super::{Block, Noise};
use crate::Real;
use crate::random::Stream;

fn norm<T: Real>(x: &[T]) -> f64 {
    x.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt()
}

impl<T: Real> Pass<T> {
    /// Sample by sample, ∂v_t/∂(W, U, b) ≈ A ⊗ B with
    /// A ← p₀ J_t A + p₁ ν_t, B ← B/p₀ + (ν_t∘(1 − a)) z_tᵀ/p₁, z_t = (h_{t−1}, x_t, 1),
    /// and gradient += ((φ'_t∘g_t)·A) B.
    ///
    /// p₀ = √(|B|/|J A|) and p₁ = √(|(ν∘(1 − a)) h_{t−1}ᵀ|/|ν|) balance the two sides of the W
    /// block, 1 where that is 0/0; U and b go along, without bias for any factors. O(N(N + inputs))
    /// a step.
    pub(super) fn uoro(&self, noise: &Noise<T>, trajectory: &Trajectory<T>, gradient: &mut [T]) {
        let n = self.model.rnn.units();
        let width = n + self.model.rnn.inputs() + 1;
        let g = self.all_signals(None);
        let (slopes, (keeps, gains)) = (trajectory.slopes(&(0..self.steps)), self.leaks());
        let w = self.block(Block::Recurrent);
        let mut sum = vec![T::ZERO; n * width];
        let mut drawn = vec![T::ZERO; self.steps * n];
        for b in 0..self.samples {
            let noise = match noise {
                Noise::Given(all) => &all[(self.first + b) * self.steps * n..][..self.steps * n],
                Noise::Drawn { seed } => {
                    let stream = Stream::new(*seed, "uoro").child((self.first + b) as u64);
                    stream.rademacher(0, &mut drawn);
                    &drawn
                }
            };
            let mut a = vec![T::ZERO; n];
            let mut rows = vec![T::ZERO; n * width];
            for t in 0..self.steps {
                let row = (t * self.samples + b) * n;
                let nu = &noise[t * n..][..n];
                let through = |j: usize| match t {
                    0 => T::ZERO,
                    _ => slopes[row - self.samples * n + j] * a[j],
                };
                let sent: Vec<T> = (0..n).map(through).collect();
                let pushed = |i: usize| {
                    let (keep, gain) = (keeps[i], gains[i]);
                    let sum: T = (0..n).map(|j| w[i * n + j] * sent[j]).sum();
                    keep * a[i] + gain * sum
                };
                let pushed: Vec<T> = (0..n).map(pushed).collect();
                let z = self.presynaptic(trajectory, b, t);
                let own: Vec<T> = (0..n).map(|i| nu[i] * gains[i]).collect();
                let recurrent =
                    rows.chunks_exact(width).map(|row| norm(&row[..n]).powi(2)).sum::<f64>();
                let (size, moved) = (recurrent.sqrt(), norm(&pushed));
                let (fresh, random) = (norm(&own) * norm(&z[..n]), norm(nu));
                let p0 = if size > 0.0 && moved > 0.0 { (size / moved).sqrt() } else { 1.0 };
                let p1 = if fresh > 0.0 && random > 0.0 { (fresh / random).sqrt() } else { 1.0 };
                let (p0, p1) = (T::from_f64(p0), T::from_f64(p1));
                for i in 0..n {
                    a[i] = p0 * pushed[i] + p1 * nu[i];
                    let factor = own[i] / p1;
                    for (r, &z) in rows[i * width..][..width].iter_mut().zip(&z) {
                        *r = *r / p0 + factor * z;
                    }
                }
                let size: T = (0..n).map(|i| slopes[row + i] * g[row + i] * a[i]).sum();
                sum.iter_mut().zip(&rows).for_each(|(sum, &r)| *sum += size * r);
            }
        }
        self.add_by_post(&sum, gradient);
    }
}
