//! Every rule as one scan of adjoints backwards in time and one product over all times.

use hesse_kernels::activation::column_sums;
use hesse_kernels::gemm::gemm;

use super::states::{States, rows, rows_mut};
use super::{BackWeights, Block, Feedback, Propagation, Rule};
use crate::network::layers::Leak;
use crate::{Isa, Real, Result};

impl<T: Real> States<T> {
    /// The gradient that `rule` assigns to θ = (W, U, b, O, c), without weight decay; O and c have
    /// their exact gradient.
    ///
    /// Cost for the offline rules: 2TB·N(N + inputs) flops for the weights, and 2TB·N² more for
    /// BPTT, MDGL and ModProp (once for every hop of limited taps). No memory of the size of
    /// traces.
    ///
    /// # Errors
    /// A rule that does not fit the network: shapes of feedback, weights, types or noise; a rule
    /// that does not exist for the rate leak; RTRL beyond its memory limit; μ negative or not
    /// finite; no hop.
    pub fn gradient(&self, rule: &Rule<T>) -> Result<Vec<T>> {
        rule.check(&self.rnn, self.samples, self.steps)?;
        let mut gradient = vec![T::ZERO; self.parameters.len()];
        let recurrent = &mut gradient[self.rnn.block(Block::RecurrentGroup)];
        match rule {
            Rule::Rtrl { .. } => self.rtrl(recurrent),
            Rule::Uoro { noise } => self.uoro(noise, recurrent),
            _ => self.add_products(&self.adjoints(rule), recurrent),
        }
        self.rnn.mask(&mut gradient);
        self.add_readout(&mut gradient);
        Ok(gradient)
    }

    /// d_t of a rule with an offline form, `[t][b][unit]`.
    fn adjoints(&self, rule: &Rule<T>) -> Vec<T> {
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
            Rule::Bptt => self.scan(g, Hops::Exact(w)),
            Rule::ModProp { mu, weights, propagation: Propagation::Code } => {
                self.scan(g, Hops::Constant(T::from_f64(*mu), &weights.from(w)))
            }
            Rule::SnAp1 => {
                let diagonal: Vec<T> = (0..n).map(|i| w[i * (n + 1)]).collect();
                self.scan(g, Hops::Own(&diagonal))
            }
            _ => self.scan(g, Hops::None),
        }
    }

    /// From g (with C of the rule, where it does not depend on λ) to d, from the last time to the
    /// first.
    fn scan(&self, mut g: Vec<T>, hops: Hops<'_, T>) -> Vec<T> {
        let (isa, n) = (Isa::current(), self.rnn.units());
        let length = self.samples * n;
        let leaks = self.leaks();
        let slopes = self.kept().slopes;
        let rate = matches!(self.rnn.leak(), Leak::Rate(_));
        let mut carry = vec![T::ZERO; length];
        let mut beside = vec![T::ZERO; if matches!(hops, Hops::Constant(..)) { length } else { 0 }];
        for t in (0..self.steps).rev() {
            let (now, later) = g[t * length..].split_at_mut(length);
            if let Some(next) = later.get(..length) {
                let next = rows(next, n);
                match hops {
                    Hops::Exact(w) => {
                        gemm(isa, T::ONE, next, rows(w, n), T::ONE, rows_mut(now, n));
                    }
                    Hops::Constant(mu, w) => {
                        gemm(isa, mu, next, rows(w, n), T::ZERO, rows_mut(&mut beside, n));
                    }
                    Hops::Own(_) | Hops::None => {}
                }
            }
            let slopes = &slopes[t * length..][..length];
            for (b, now) in now.chunks_exact_mut(n).enumerate() {
                let carry = &mut carry[b * n..][..n];
                let slopes = &slopes[b * n..][..n];
                let beside = beside.get(b * n..(b + 1) * n);
                for i in 0..n {
                    let (a, gain) = leaks[i];
                    if let Hops::Own(diagonal) = hops {
                        now[i] += gain * diagonal[i] * carry[i];
                    }
                    let inner = if rate { now[i] } else { slopes[i] * now[i] };
                    let more = beside.map_or(T::ZERO, |beside| beside[i]);
                    carry[i] = inner + more + a * carry[i];
                    let d = gain * carry[i];
                    now[i] = if rate { slopes[i] * d } else { d };
                }
            }
        }
        g
    }

    /// a and 1 − a of every unit.
    pub(super) fn leaks(&self) -> Vec<(T, T)> {
        self.rnn.leaks().iter().map(|&a| (T::from_f64(a), T::from_f64(1.0 - a))).collect()
    }

    /// (1 − a)∘φ'_t∘x_t of all times.
    pub(super) fn sent(&self, x: &[T]) -> Vec<T> {
        let leaks = self.leaks();
        let slope = |(i, (&slope, &x)): (usize, (&T, &T))| leaks[i % leaks.len()].1 * slope * x;
        self.kept().slopes.iter().zip(x).enumerate().map(slope).collect()
    }

    /// g_t += Ŵᵀ((1 − a)∘φ'_{t+1}∘g_{t+1}) for all times at once.
    fn add_one_hop(&self, weights: &[T], g: &mut [T]) {
        let sent = self.sent(g);
        let (n, length) = (self.rnn.units(), self.samples * self.rnn.units());
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
        let length = self.samples * n;
        let leaks = self.leaks();
        let sent = self.sent(g);
        let weights = rows(weights, n);
        let mut q = vec![T::ZERO; g.len()];
        let mut carried = vec![T::ZERO; g.len()];
        let carry = |q: &[T], sent: &[T], carried: &mut [T]| {
            for (i, carried) in carried.iter_mut().enumerate() {
                *carried = sent[i] + mu * leaks[i % n].1 * q[i];
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

    /// dW = Σ d_t h_{t−1}ᵀ, dU = Σ d_t x_tᵀ, db = Σ d_t, into the recurrent group's gradient.
    fn add_products(&self, d: &[T], gradient: &mut [T]) {
        let (isa, n, inputs) = (Isa::current(), self.rnn.units(), self.rnn.inputs());
        let length = self.samples * n;
        let kept = self.kept();
        let (w, rest) = gradient.split_at_mut(n * n);
        let (u, b) = rest.split_at_mut(n * inputs);
        if self.steps > 1 {
            let later = rows(&d[length..], n).transposed();
            let before = rows(&kept.rates[..d.len() - length], n);
            gemm(isa, T::ONE, later, before, T::ONE, rows_mut(w, n));
        }
        let all = rows(d, n).transposed();
        gemm(isa, T::ONE, all, rows(kept.inputs, inputs), T::ONE, rows_mut(u, inputs));
        if self.rnn.has_bias() {
            column_sums(isa, d, b);
        }
    }

    /// dO = Σ ∂L/∂y_t s_tᵀ and dc = Σ ∂L/∂y_t.
    fn add_readout(&self, gradient: &mut [T]) {
        let (isa, n, width) = (Isa::current(), self.rnn.units(), self.rnn.outputs());
        let errors = rows(self.errors(), width).transposed();
        let readout = &mut gradient[self.rnn.block(Block::Readout)];
        gemm(isa, T::ONE, errors, rows(self.kept().filtered, n), T::ONE, rows_mut(readout, n));
        column_sums(isa, self.errors(), &mut gradient[self.rnn.block(Block::ReadoutBias)]);
    }

    /// The feedback weights of a rule on this network, N × N; those of MDGL and ModProp.
    pub(super) fn back_weights(&self, weights: &BackWeights<T>) -> Vec<T> {
        weights.from(self.block(Block::Recurrent)).into_owned()
    }
}

/// How λ_{t+1} of other units enters λ_t.
#[derive(Clone, Copy)]
enum Hops<'a, T> {
    /// Not at all.
    None,
    /// Through W and φ'.
    Exact(&'a [T]),
    /// Through Ŵ, with a constant for φ'.
    Constant(T, &'a [T]),
    /// Through the unit's synapse with itself alone.
    Own(&'a [T]),
}
