//! Every rule as one scan of adjoints backwards in time, with the products over its segments.

use std::borrow::Cow;
use std::ops::Range;

use hesse_kernels::activation::{column_sums, scale_rows};
use hesse_kernels::gemm::gemm;
use hesse_kernels::leak::leak_adjoint;
use hesse_kernels::level1::{axpy, scal};

use super::pass::{Pass, Workspace, rows, rows_mut};
use super::trajectory::Trajectory;
use super::{Block, Feedback, Propagation, Rule};
use crate::network::layers::Leak;
use crate::{Isa, Real};

/// The memory of a scan: of the segment that it is in, and what it carries from one to the next.
#[derive(Debug)]
pub(super) struct Scan<T> {
    /// g, then d, of the segment and of the one behind it.
    now: Vec<T>,
    behind: Vec<T>,
    /// λ and r of the step behind.
    lambda: Vec<T>,
    filter: Vec<T>,
    /// The non-local term of one step, where it is not a part of g.
    beside: Vec<T>,
    /// (1 − a)∘φ'∘g of a segment with one step behind, or what the taps of one step carry.
    sent: Vec<T>,
    taps: Vec<T>,
    /// Σ d_t over a segment, for each.
    biases: Vec<T>,
}

impl<T> Default for Scan<T> {
    fn default() -> Self {
        Self {
            now: Vec::new(),
            behind: Vec::new(),
            lambda: Vec::new(),
            filter: Vec::new(),
            beside: Vec::new(),
            sent: Vec::new(),
            taps: Vec::new(),
            biases: Vec::new(),
        }
    }
}

/// How credit of later steps and other units enters λ_t.
enum Hops<'a, T: Real> {
    /// Not at all.
    None,
    /// Through W and φ'.
    Exact(&'a [T]),
    /// Through Ŵ, with a constant for φ'.
    Constant(T, Cow<'a, [T]>),
    /// Through the unit's synapse with itself alone: (1 − a) w of every unit.
    Own(Vec<T>),
    /// Through Ŵ, from g of the step behind.
    One(Cow<'a, [T]>),
    /// Through Ŵ with a constant for φ' of all units between, over at most so many synapses.
    Taps(T, Cow<'a, [T]>, Option<usize>),
}

impl<T: Real> Pass<T> {
    /// Adds the gradient of a rule that fits the network.
    pub(super) fn add_gradient(&self, rule: &Rule<T>, gradient: &mut [T], work: &mut Workspace<T>) {
        work.window.clear();
        let (recurrent, readout) =
            gradient.split_at_mut(self.model.rnn.block(Block::RecurrentGroup).end);
        match rule {
            Rule::Rtrl { .. } | Rule::Uoro { .. } => {
                let trajectory = self.all_steps(&mut work.window);
                match rule {
                    Rule::Uoro { noise } => self.uoro(noise, trajectory, recurrent),
                    _ => self.rtrl(trajectory, recurrent),
                }
                for steps in self.segments(&(0..self.steps)).iter().rev() {
                    self.add_readout(steps, trajectory, readout);
                }
            }
            _ => self.scan(rule, (recurrent, readout), work),
        }
        let width = self.model.rnn.outputs();
        let bias = readout.len() - width;
        column_sums(Isa::current(), &self.errors, &mut readout[bias..]);
    }

    fn hops<'a>(&'a self, rule: &'a Rule<T>) -> Hops<'a, T> {
        let w = self.block(Block::Recurrent);
        match rule {
            Rule::Bptt => Hops::Exact(w),
            Rule::Mdgl { weights } => Hops::One(weights.from(w)),
            Rule::ModProp { mu, weights, propagation } => {
                let (mu, weights) = (T::from_f64(*mu), weights.from(w));
                match propagation {
                    Propagation::Code => Hops::Constant(mu, weights),
                    Propagation::Taps { hops } => {
                        Hops::Taps(mu, weights, hops.filter(|&hops| hops < self.steps))
                    }
                }
            }
            Rule::SnAp1 => {
                let (n, (_, gain)) = (self.model.rnn.units(), self.leaks());
                Hops::Own((0..n).map(|i| gain[i] * w[i * (n + 1)]).collect())
            }
            Rule::ThreeFactor { .. } | Rule::Rtrl { .. } | Rule::Uoro { .. } => Hops::None,
        }
    }

    /// The gradient of a rule with an offline form: from g to d, from the last time to the first,
    /// and dW = Σ d_t h_{t−1}ᵀ, dU = Σ d_t x_tᵀ, db = Σ d_t.
    fn scan(
        &self,
        rule: &Rule<T>,
        (gradient, readout): (&mut [T], &mut [T]),
        work: &mut Workspace<T>,
    ) {
        let feedback = match rule {
            Rule::ThreeFactor { feedback: Feedback::Fixed(matrix) } => Some(matrix.as_slice()),
            _ => None,
        };
        let hops = self.hops(rule);
        let (isa, rnn) = (Isa::current(), &self.model.rnn);
        let (n, length) = (rnn.units(), self.step());
        let (keep, gain) = self.leaks();
        let leaks = keep.iter().any(|&a| a != T::ZERO);
        let alike = leaks && keep.iter().all(|&a| a == keep[0]);
        let last = self.first_loss + 1 == self.steps && rnn.filter() == 0.0;
        if matches!((&hops, rnn.leak()), (Hops::None, Leak::Voltage(_))) && alike && last {
            return self.add_by_presynaptic_traces(feedback, (gradient, readout), work);
        }
        let carries = leaks || matches!(hops, Hops::Own(_));
        let rate = matches!(rnn.leak(), Leak::Rate(_));
        let Workspace { window, scan } = work;
        let Scan { now, behind, lambda, filter, beside, sent, taps, biases } = scan;
        for (array, wanted) in [
            (&mut *lambda, carries),
            (&mut *filter, rnn.filter() != 0.0),
            (&mut *beside, matches!(hops, Hops::Constant(..))),
        ] {
            array.clear();
            array.resize(if wanted { length } else { 0 }, T::ZERO);
        }
        biases.clear();
        // Without memory of its own a unit learns from the steps with a loss alone.
        let first = match hops {
            Hops::None if !leaks && rnn.filter() == 0.0 => self.first_loss,
            _ => 0,
        };
        let segments = self.segments(&(0..self.steps)).into_iter().rev();
        let segments = segments.map(|steps| steps.start.max(first)..steps.end);
        for steps in segments.filter(|steps| !steps.is_empty()) {
            let trajectory = self.trajectory(&steps, window);
            std::mem::swap(now, behind);
            now.resize(steps.len() * length, T::ZERO);
            let written = self.signal(&steps, feedback, filter, now);
            // What is zero before the product of W and d need not be written.
            let beta = if written { T::ONE } else { T::ZERO };
            if !written && !matches!(hops, Hops::Exact(_)) {
                now.fill(T::ZERO);
            }
            let slopes = trajectory.slopes(&steps);
            match &hops {
                Hops::One(weights) => self.add_one_hop(&steps, (weights, &gain), slopes, now, sent),
                Hops::Taps(mu, weights, most) => {
                    let by = (*mu, &**weights, *most, &*gain);
                    self.add_taps(&steps, by, slopes, now, (sent, taps));
                }
                _ => {}
            }
            for t in (0..steps.len()).rev() {
                let (now, later) = now[t * length..].split_at_mut(length);
                let next = match later.get(..length) {
                    Some(next) => Some(next),
                    None => (steps.end < self.steps).then(|| &behind[..length]),
                };
                match (&hops, next) {
                    (Hops::Exact(w), Some(next)) => {
                        let (next, now) = (rows(next, n), rows_mut(now, n));
                        gemm(isa, T::ONE, next, rows(w, n), beta, now);
                    }
                    (Hops::Constant(mu, w), Some(next)) => {
                        let (next, beside) = (rows(next, n), rows_mut(beside, n));
                        gemm(isa, *mu, next, rows(w, n), T::ZERO, beside);
                    }
                    (Hops::Own(through), _) => {
                        let rows = now.chunks_exact_mut(n).zip(lambda.chunks_exact(n));
                        rows.for_each(|(now, lambda)| {
                            (0..n).for_each(|i| now[i] += through[i] * lambda[i]);
                        });
                    }
                    _ => {}
                }
                let slopes = &slopes[t * length..][..length];
                if !rate {
                    scale_rows(isa, n, 1, slopes, now);
                }
                if !beside.is_empty() {
                    axpy(isa, 1.0, beside, now);
                }
                if carries {
                    leak_adjoint(isa, &keep, &gain, lambda, now);
                }
                if rate {
                    scale_rows(isa, n, 1, slopes, now);
                }
            }
            self.add_products(now, &steps, trajectory, gradient);
            self.add_readout(&steps, trajectory, readout);
            if rnn.has_bias() {
                biases.resize(biases.len() + n, T::ZERO);
                let start = biases.len() - n;
                column_sums(isa, now, &mut biases[start..]);
            }
        }
        if rnn.has_bias() {
            column_sums(isa, biases, &mut gradient[n * (n + rnn.inputs())..]);
        }
    }

    /// The gradient of local terms where all voltages leak alike and the last step alone has a loss:
    /// d_t = a^{T−t} d_T, so that dW = d_Tᵀ h̄ with the trace h̄ = Σ_t a^{T−t} h_{t−1} of every
    /// presynaptic unit, dU likewise, and db = Σ_t a^{T−t} d_T. One product of the last step's samples
    /// in the place of one over all steps.
    fn add_by_presynaptic_traces(
        &self,
        feedback: Option<&[T]>,
        (gradient, readout): (&mut [T], &mut [T]),
        work: &mut Workspace<T>,
    ) {
        let (isa, rnn) = (Isa::current(), &self.model.rnn);
        let (n, inputs, length) = (rnn.units(), rnn.inputs(), self.step());
        let (keep, gain) = self.leaks();
        let Workspace { window, scan } = work;
        let Scan { now: d, behind: rates, beside: x, biases, .. } = scan;
        let last = self.steps - 1..self.steps;
        d.resize(length, T::ZERO);
        self.signal(&last, feedback, &mut [], d);
        for (array, length) in [(&mut *rates, length), (&mut *x, self.samples * inputs)] {
            array.clear();
            array.resize(length, T::ZERO);
        }
        let (mut weight, mut total) = (1.0, 0.0);
        for steps in self.segments(&(0..self.steps)).into_iter().rev() {
            let trajectory = self.trajectory(&steps, window);
            if steps.end == self.steps {
                scale_rows(isa, n, 1, trajectory.slopes(&last), d);
                self.add_readout(&steps, trajectory, readout);
            }
            for t in steps.rev() {
                axpy(isa, weight, trajectory.rates_before(&(t..t + 1)), rates);
                axpy(isa, weight, self.inputs(&(t..t + 1)), x);
                total += weight;
                weight *= keep[0].to_f64();
            }
        }
        scal(isa, gain[0].to_f64(), d);
        if rnn.has_bias() {
            biases.clear();
            biases.resize(n, T::ZERO);
            column_sums(isa, d, biases);
            axpy(isa, total, biases, &mut gradient[n * (n + inputs)..]);
        }
        let (w, u) = gradient.split_at_mut(n * n);
        let d = rows(d, n).transposed();
        gemm(isa, T::ONE, d, rows(rates, n), T::ONE, rows_mut(w, n));
        let u = rows_mut(&mut u[..n * inputs], inputs);
        gemm(isa, T::ONE, d, rows(x, inputs), T::ONE, u);
    }

    /// (1 − a)∘φ'_t∘x_t.
    pub(super) fn sent(gain: &[T], slopes: &[T], x: &[T], sent: &mut [T]) {
        let n = gain.len();
        for ((sent, slopes), x) in
            sent.chunks_exact_mut(n).zip(slopes.chunks_exact(n)).zip(x.chunks_exact(n))
        {
            (0..n).for_each(|i| sent[i] = gain[i] * slopes[i] * x[i]);
        }
    }

    /// g_t += Ŵᵀ((1 − a)∘φ'_{t+1}∘g_{t+1}) for all times of a segment at once. `sent` begins with
    /// what the segment behind sends.
    fn add_one_hop(
        &self,
        steps: &Range<usize>,
        (weights, gain): (&[T], &[T]),
        slopes: &[T],
        g: &mut [T],
        sent: &mut Vec<T>,
    ) {
        let (n, length) = (self.model.rnn.units(), self.step());
        // What was sent from the first step of the segment behind goes behind that of this one.
        let last = steps.end == self.steps;
        sent.resize(g.len() + length, T::ZERO);
        if !last {
            sent.copy_within(..length, g.len());
        }
        Self::sent(gain, slopes, g, &mut sent[..g.len()]);
        let receiving = if last { g.len() - length } else { g.len() };
        if receiving > 0 {
            let later = rows(&sent[length..length + receiving], n);
            let g = rows_mut(&mut g[..receiving], n);
            gemm(Isa::current(), T::ONE, later, rows(weights, n), T::ONE, g);
        }
    }

    /// g_t += q_t with q_t = Ŵᵀ((1 − a)∘(φ'_{t+1}∘g_{t+1} + μ q_{t+1})); over at most `most`
    /// synapses, with as many q side by side, each fed by that of one synapse less.
    fn add_taps(
        &self,
        steps: &Range<usize>,
        (mu, weights, most, gain): (T, &[T], Option<usize>, &[T]),
        slopes: &[T],
        g: &mut [T],
        (carried, q): (&mut Vec<T>, &mut Vec<T>),
    ) {
        let (n, length) = (self.model.rnn.units(), self.step());
        let taps = most.unwrap_or(1);
        if steps.end == self.steps {
            for array in [&mut *carried, &mut *q] {
                array.clear();
                array.resize(taps * length, T::ZERO);
            }
        }
        for t in (0..steps.len()).rev() {
            if steps.start + t + 1 < self.steps {
                let all = rows_mut(q, n);
                gemm(Isa::current(), T::ONE, rows(carried, n), rows(weights, n), T::ZERO, all);
            }
            let g = &mut g[t * length..][..length];
            let (fresh, others) = carried.split_at_mut(length);
            Self::sent(gain, &slopes[t * length..][..length], g, fresh);
            let feed = |(i, (to, (&sent, &q))): (usize, (&mut T, (&T, &T)))| {
                *to = sent + mu * gain[i % n] * q;
            };
            for (to, q) in others.chunks_exact_mut(length).zip(q.chunks_exact(length)) {
                to.iter_mut().zip(fresh.iter().zip(q)).enumerate().for_each(feed);
            }
            if most.is_none() {
                for (i, (to, &q)) in fresh.iter_mut().zip(&*q).enumerate() {
                    *to += mu * gain[i % n] * q;
                }
            }
            let arriving = &q[(taps - 1) * length..];
            g.iter_mut().zip(arriving).for_each(|(g, &q)| *g += q);
        }
    }

    /// Σ d_t h_{t−1}ᵀ and Σ d_t x_tᵀ over the times `steps`, into the recurrent group's gradient.
    fn add_products(
        &self,
        d: &[T],
        steps: &Range<usize>,
        trajectory: &Trajectory<T>,
        gradient: &mut [T],
    ) {
        let rnn = &self.model.rnn;
        let (isa, n, inputs) = (Isa::current(), rnn.units(), rnn.inputs());
        let (w, u) = gradient.split_at_mut(n * n);
        let later = steps.start.max(1)..steps.end;
        if !later.is_empty() {
            let before = rows(trajectory.rates_before(&later), n);
            let d = rows(&d[d.len() - later.len() * self.step()..], n).transposed();
            gemm(isa, T::ONE, d, before, T::ONE, rows_mut(w, n));
        }
        let (d, x) = (rows(d, n).transposed(), rows(self.inputs(steps), inputs));
        gemm(isa, T::ONE, d, x, T::ONE, rows_mut(&mut u[..n * inputs], inputs));
    }

    /// dO = Σ ∂L/∂y_t s_tᵀ over the times `steps`, into the readout's gradient.
    fn add_readout(&self, steps: &Range<usize>, trajectory: &Trajectory<T>, gradient: &mut [T]) {
        let (n, width) = (self.model.rnn.units(), self.model.rnn.outputs());
        let steps = steps.start.max(self.first_loss)..steps.end;
        if !steps.is_empty() {
            let s = rows(trajectory.filtered(&steps), n);
            let errors = rows(self.errors_of(&steps), width).transposed();
            let gradient = rows_mut(&mut gradient[..width * n], n);
            gemm(Isa::current(), T::ONE, errors, s, T::ONE, gradient);
        }
    }
}
