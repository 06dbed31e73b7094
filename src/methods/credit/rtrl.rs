//! Real-time recurrent learning: the exact gradient, forwards in time; and MDGL in the same way.

use hesse_kernels::gemm::gemm;
use hesse_kernels::level1::axpy;

use super::pass::{Pass, rows, rows_mut};
use super::trajectory::Trajectory;
use super::{BackWeights, Block};
use crate::network::layers::Leak;
use crate::{Isa, Real};

impl<T: Real> Pass<T> {
    /// Sample by sample, with M_t = ∂v_t/∂(W, U, b) (∂h_t for the rate leak), N × N(N + inputs +
    /// 1):
    ///
    /// voltage: M_t = J_t M_{t−1} + diag(1 − a)(I ⊗ z_tᵀ) with
    /// J_t = diag(a) + diag(1 − a) W diag(φ'_{t−1}),
    ///
    /// rate: M_t = diag(a) M_{t−1} + diag((1 − a)∘φ'_t)(W M_{t−1} + I ⊗ z_tᵀ),
    ///
    /// z_t = (h_{t−1}, x_t, 1). 2N³(N + inputs + 1) flops a step and sample.
    pub(super) fn rtrl(&self, trajectory: &Trajectory<T>, gradient: &mut [T]) {
        let (isa, rnn) = (Isa::current(), &self.model.rnn);
        let n = rnn.units();
        let width = n + rnn.inputs() + 1;
        let columns = n * width;
        let g = self.all_signals(None);
        let (slopes, (keep, gains)) = (trajectory.slopes(&(0..self.steps)), self.leaks());
        let rate = matches!(rnn.leak(), Leak::Rate(_));
        let w = self.block(Block::Recurrent);
        let mut influence = vec![T::ZERO; n * columns];
        let mut next = vec![T::ZERO; n * columns];
        let mut jacobian = vec![T::ZERO; n * n];
        let mut sum = vec![T::ZERO; columns];
        for b in 0..self.samples {
            influence.fill(T::ZERO);
            for t in 0..self.steps {
                let row = |t: usize, i: usize| (t * self.samples + b) * n + i;
                for i in 0..n {
                    let (a, gain) = (keep[i], gains[i]);
                    let gain = if rate { gain * slopes[row(t, i)] } else { gain };
                    for j in 0..n {
                        // h_0 is constant.
                        let slope = match t {
                            0 => T::ZERO,
                            _ if rate => T::ONE,
                            _ => slopes[row(t - 1, j)],
                        };
                        jacobian[i * n + j] = gain * w[i * n + j] * slope;
                    }
                    jacobian[i * (n + 1)] += a;
                }
                let (j, m) = (rows(&jacobian, n), rows(&influence, columns));
                gemm(isa, T::ONE, j, m, T::ZERO, rows_mut(&mut next, columns));
                let z = self.presynaptic(trajectory, b, t);
                for i in 0..n {
                    let gain = gains[i];
                    let gain = if rate { gain * slopes[row(t, i)] } else { gain };
                    let own = &mut next[i * columns + i * width..][..width];
                    axpy(isa, gain.to_f64(), &z, own);
                }
                std::mem::swap(&mut influence, &mut next);
                for i in 0..n {
                    let g = g[row(t, i)];
                    let g = if rate { g } else { slopes[row(t, i)] * g };
                    axpy(isa, g.to_f64(), &influence[i * columns..][..columns], &mut sum);
                }
            }
        }
        self.add_by_post(&sum, gradient);
    }

    /// z_t = (h_{t−1}, x_t, 1) of sample b, from the trajectory of all steps.
    pub(super) fn presynaptic(&self, trajectory: &Trajectory<T>, b: usize, t: usize) -> Vec<T> {
        let (n, inputs) = (self.model.rnn.units(), self.model.rnn.inputs());
        let mut z = trajectory.rates_before(&(t..t + 1))[b * n..][..n].to_vec();
        z.extend_from_slice(&self.inputs(&(t..t + 1))[b * inputs..][..inputs]);
        z.push(T::ONE);
        z
    }

    /// Adds rows of (W, U, b), one for each unit, to the gradient of the recurrent group.
    pub(super) fn add_by_post(&self, by_post: &[T], gradient: &mut [T]) {
        let (n, inputs) = (self.model.rnn.units(), self.model.rnn.inputs());
        let add = |to: &mut [T], from: &[T]| {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
        };
        for (i, row) in by_post.chunks_exact(n + inputs + 1).enumerate() {
            let (w, rest) = row.split_at(n);
            add(&mut gradient[i * n..][..n], w);
            add(&mut gradient[n * n + i * inputs..][..inputs], &rest[..inputs]);
            if self.model.rnn.has_bias() {
                gradient[n * (n + inputs) + i] += rest[inputs];
            }
        }
    }

    /// dW of MDGL by traces at every synapse, see `States::mdgl_by_traces`.
    pub(super) fn add_mdgl_by_traces(
        &self,
        weights: &BackWeights<T>,
        gradient: &mut [T],
        window: &mut Trajectory<T>,
    ) {
        window.clear();
        let trajectory = self.all_steps(window);
        let n = self.model.rnn.units();
        let weights = weights.from(self.block(Block::Recurrent));
        let g = self.all_signals(None);
        let (slopes, (keep, gain)) = (trajectory.slopes(&(0..self.steps)), self.leaks());
        let mut sent = vec![T::ZERO; g.len()];
        Self::sent(&gain, slopes, &g, &mut sent);
        let mut received = vec![T::ZERO; g.len()];
        let w = rows(&weights, n);
        gemm(Isa::current(), T::ONE, rows(&sent, n), w, T::ZERO, rows_mut(&mut received, n));
        for b in 0..self.samples {
            let mut integrated = vec![T::ZERO; n * n];
            let mut trace = vec![T::ZERO; n * n];
            for t in 0..self.steps {
                let row = (t * self.samples + b) * n;
                let z = self.presynaptic(trajectory, b, t);
                for p in 0..n {
                    let (own, others) = (g[row + p], received[row + p]);
                    for q in 0..n {
                        let (i, e) = (&mut integrated[p * n + q], &mut trace[p * n + q]);
                        gradient[p * n + q] += others * *e;
                        *i = keep[p] * *i + gain[p] * z[q];
                        *e = slopes[row + p] * *i;
                        gradient[p * n + q] += own * *e;
                    }
                }
            }
        }
    }
}
