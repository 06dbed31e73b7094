//! Every rule as one scan of adjoints backwards in time, with the products over its segments.

use std::ops::Range;

use hesse_kernels::activation::{column_sums, scale_rows};
use hesse_kernels::gemm::gemm;
use hesse_kernels::leak::leak_adjoint;
use hesse_kernels::level1::axpy;

use super::pass::{Pass, rows, rows_mut};
use super::{BackWeights, Block, Feedback, Propagation, Rule};
use crate::network::layers::Leak;
use crate::{Isa, Real};

impl<T: Real> Pass<T> {
    /// Adds the gradient of a rule that fits the network.
    pub(super) fn add_gradient(&self, rule: &Rule<T>, gradient: &mut [T]) {
        let recurrent = &mut gradient[self.rnn.block(Block::RecurrentGroup)];
        match rule {
            Rule::Rtrl { .. } => self.rtrl(recurrent),
            Rule::Uoro { noise } => self.uoro(noise, recurrent),
            _ => self.add_by_adjoints(rule, recurrent),
        }
        self.add_readout(gradient);
    }

    /// The gradient of a rule with an offline form.
    fn add_by_adjoints(&self, rule: &Rule<T>, gradient: &mut [T]) {
        let feedback = match rule {
            Rule::ThreeFactor { feedback: Feedback::Fixed(matrix) } => Some(matrix.as_slice()),
            _ => None,
        };
        let mut g = self.signal(feedback);
        let w = self.block(Block::Recurrent);
        let n = self.rnn.units();
        match rule {
            Rule::Mdgl { weights } => self.add_one_hop(&weights.from(w), &mut g),
            Rule::ModProp { mu, weights, propagation: Propagation::Taps { hops } } => {
                self.add_taps(T::from_f64(*mu), &weights.from(w), *hops, &mut g);
            }
            _ => {}
        }
        match rule {
            Rule::Bptt => self.scan(g, Hops::Exact(w), gradient),
            Rule::ModProp { mu, weights, propagation: Propagation::Code } => {
                let hops = Hops::Constant(T::from_f64(*mu), &weights.from(w));
                self.scan(g, hops, gradient);
            }
            Rule::SnAp1 => {
                let (_, gain) = self.leaks();
                let through: Vec<T> = (0..n).map(|i| gain[i] * w[i * (n + 1)]).collect();
                self.scan(g, Hops::Own(&through), gradient);
            }
            Rule::ThreeFactor { .. } => {
                self.scan(g, Hops::None { last: self.first_loss }, gradient)
            }
            _ => self.scan(g, Hops::None { last: 0 }, gradient),
        }
    }

    /// From g (with C of the rule, where it does not depend on λ) to d, from the last time to the
    /// first, and dW = Σ d_t h_{t−1}ᵀ, dU = Σ d_t x_tᵀ, db = Σ d_t.
    fn scan(&self, mut g: Vec<T>, hops: Hops<'_, T>, gradient: &mut [T]) {
        let (isa, n) = (Isa::current(), self.rnn.units());
        let length = self.step();
        let (keep, gain) = self.leaks();
        let leaks = keep.iter().any(|&a| a != T::ZERO);
        let carries = leaks || matches!(hops, Hops::Own(_));
        let slopes = self.kept().slopes;
        let rate = matches!(self.rnn.leak(), Leak::Rate(_));
        let mut carry = vec![T::ZERO; length];
        let mut beside = vec![T::ZERO; if matches!(hops, Hops::Constant(..)) { length } else { 0 }];
        // Without memory of its own a unit learns from the steps with a loss alone.
        let first = match hops {
            Hops::None { last } if !leaks && self.rnn.filter() == 0.0 => last,
            _ => 0,
        };
        let segments = self.segments().into_iter().rev();
        let segments = segments.map(|steps| steps.start.max(first)..steps.end);
        for steps in segments.filter(|steps| !steps.is_empty()) {
            for t in steps.clone().rev() {
                let (now, later) = g[t * length..].split_at_mut(length);
                let next = later.get(..length).map(|next| rows(next, n));
                match (hops, next) {
                    (Hops::Exact(w), Some(next)) => {
                        gemm(isa, T::ONE, next, rows(w, n), T::ONE, rows_mut(now, n));
                    }
                    (Hops::Constant(mu, w), Some(next)) => {
                        gemm(isa, mu, next, rows(w, n), T::ZERO, rows_mut(&mut beside, n));
                    }
                    (Hops::Own(through), _) => {
                        let rows = now.chunks_exact_mut(n).zip(carry.chunks_exact(n));
                        rows.for_each(|(now, carry)| {
                            (0..n).for_each(|i| now[i] += through[i] * carry[i]);
                        });
                    }
                    _ => {}
                }
                let slopes = &slopes[t * length..][..length];
                if !rate {
                    scale_rows(isa, n, 1, slopes, now);
                }
                if !beside.is_empty() {
                    axpy(isa, 1.0, &beside, now);
                }
                if carries {
                    leak_adjoint(isa, &keep, &gain, &mut carry, now);
                }
                if rate {
                    scale_rows(isa, n, 1, slopes, now);
                }
            }
            self.add_products(&g, steps, gradient);
        }
        if self.rnn.has_bias() {
            let bias = &mut gradient[n * (n + self.rnn.inputs())..];
            column_sums(isa, &g[first * length..], bias);
        }
    }

    /// (1 − a)∘φ'_t∘x_t of all times.
    pub(super) fn sent(&self, x: &[T]) -> Vec<T> {
        let (_, gain) = self.leaks();
        let slope = |(i, (&slope, &x)): (usize, (&T, &T))| gain[i % gain.len()] * slope * x;
        self.kept().slopes.iter().zip(x).enumerate().map(slope).collect()
    }

    /// g_t += Ŵᵀ((1 − a)∘φ'_{t+1}∘g_{t+1}) for all times at once.
    fn add_one_hop(&self, weights: &[T], g: &mut [T]) {
        let sent = self.sent(g);
        let (n, length) = (self.rnn.units(), self.step());
        let before = g.len() - length;
        let later = rows(&sent[length..], n);
        if before > 0 {
            let g = rows_mut(&mut g[..before], n);
            gemm(Isa::current(), T::ONE, later, rows(weights, n), T::ONE, g);
        }
    }

    /// g_t += q_t with q_t = Ŵᵀ((1 − a)∘(φ'_{t+1}∘g_{t+1} + μ q_{t+1})); over at most `hops`
    /// synapses, as many products over all times.
    fn add_taps(&self, mu: T, weights: &[T], hops: Option<usize>, g: &mut [T]) {
        let (isa, n) = (Isa::current(), self.rnn.units());
        let length = self.step();
        let (_, gain) = self.leaks();
        let sent = self.sent(g);
        let weights = rows(weights, n);
        let mut q = vec![T::ZERO; g.len()];
        let mut carried = vec![T::ZERO; g.len()];
        let carry = |q: &[T], sent: &[T], carried: &mut [T]| {
            for (i, carried) in carried.iter_mut().enumerate() {
                *carried = sent[i] + mu * gain[i % n] * q[i];
            }
        };
        match hops.filter(|&hops| hops < self.steps) {
            Some(hops) => {
                let before = g.len() - length;
                for _ in 0..hops {
                    carry(&q, &sent, &mut carried);
                    let later = rows(&carried[length..], n);
                    gemm(isa, T::ONE, later, weights, T::ZERO, rows_mut(&mut q[..before], n));
                }
            }
            None => {
                for t in (0..self.steps.saturating_sub(1)).rev() {
                    let (now, later) = q[t * length..].split_at_mut(length);
                    let next = (t + 1) * length..(t + 2) * length;
                    let carried = &mut carried[next.clone()];
                    carry(&later[..length], &sent[next], carried);
                    gemm(isa, T::ONE, rows(carried, n), weights, T::ZERO, rows_mut(now, n));
                }
            }
        }
        g.iter_mut().zip(&q).for_each(|(g, &q)| *g += q);
    }

    /// Σ d_t h_{t−1}ᵀ and Σ d_t x_tᵀ over the times `steps`, into the recurrent group's gradient.
    fn add_products(&self, d: &[T], steps: Range<usize>, gradient: &mut [T]) {
        let (isa, n, inputs) = (Isa::current(), self.rnn.units(), self.rnn.inputs());
        let (kept, length) = (self.kept(), self.step());
        let (w, u) = gradient.split_at_mut(n * n);
        let later = steps.start.max(1)..steps.end;
        if !later.is_empty() {
            let before = rows(&kept.rates[(later.start - 1) * length..(later.end - 1) * length], n);
            let later = rows(&d[later.start * length..later.end * length], n).transposed();
            gemm(isa, T::ONE, later, before, T::ONE, rows_mut(w, n));
        }
        let all = rows(&d[steps.start * length..steps.end * length], n).transposed();
        let of_inputs = self.samples * inputs;
        let x = rows(&kept.inputs[steps.start * of_inputs..steps.end * of_inputs], inputs);
        gemm(isa, T::ONE, all, x, T::ONE, rows_mut(&mut u[..n * inputs], inputs));
    }

    /// dO = Σ ∂L/∂y_t s_tᵀ and dc = Σ ∂L/∂y_t.
    fn add_readout(&self, gradient: &mut [T]) {
        let (isa, n, width) = (Isa::current(), self.rnn.units(), self.rnn.outputs());
        let errors = rows(&self.errors, width).transposed();
        let readout = &mut gradient[self.rnn.block(Block::Readout)];
        let s = rows(&self.kept().filtered[self.first_loss * self.step()..], n);
        gemm(isa, T::ONE, errors, s, T::ONE, rows_mut(readout, n));
        column_sums(isa, &self.errors, &mut gradient[self.rnn.block(Block::ReadoutBias)]);
    }

    /// The feedback weights of a rule on this network, N × N; those of MDGL and ModProp.
    pub(super) fn back_weights(&self, weights: &BackWeights<T>) -> Vec<T> {
        weights.from(self.block(Block::Recurrent)).into_owned()
    }
}

/// How λ_{t+1} of other units enters λ_t.
#[derive(Clone, Copy)]
enum Hops<'a, T> {
    /// Not at all; g is zero before step `last`.
    None { last: usize },
    /// Through W and φ'.
    Exact(&'a [T]),
    /// Through Ŵ, with a constant for φ'.
    Constant(T, &'a [T]),
    /// Through the unit's synapse with itself alone: (1 − a) w of every unit.
    Own(&'a [T]),
}
