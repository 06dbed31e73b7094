//! The primal pass of a network over some of the samples.

use std::ops::Range;
use std::sync::Arc;

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::leak::leak;

use super::checkpoints;
use super::sequences::Sequences;
use super::trajectory::{Start, Trajectory};
use super::{Block, RateRnn};
use crate::network::layers::{Leak, LeakyRecurrent};
use crate::{Isa, Real};

/// What all passes have in common.
#[derive(Debug)]
pub(super) struct Model<T: Real> {
    pub(super) rnn: RateRnn,
    /// θ, with zeros where W does not count.
    pub(super) parameters: Vec<T>,
    pub(super) layer: LeakyRecurrent,
    /// Steps, or about as many, between those whose states are kept; none: all are.
    pub(super) every: Option<usize>,
}

/// States, outputs and errors of consecutive samples; arrays have time first, `[t][b][i]`.
#[derive(Debug)]
pub(super) struct Pass<T: Real> {
    pub(super) model: Arc<Model<T>>,
    /// Number of samples, and of those before them.
    pub(super) samples: usize,
    pub(super) first: usize,
    pub(super) steps: usize,
    /// The first step with a loss, from which errors are kept.
    pub(super) first_loss: usize,
    /// Steps between those whose states are kept, whole segments.
    every: Option<usize>,
    inputs: Vec<T>,
    /// The states of all steps, or what they start from again.
    whole: Trajectory<T>,
    starts: Vec<Start<T>>,
    pub(super) errors: Vec<T>,
    /// The outputs of the steps with a loss.
    pub(super) outputs: Vec<T>,
    pub(super) loss: f64,
}

/// The memory of one thread at work on a pass.
#[derive(Debug)]
pub(super) struct Workspace<T> {
    /// States that were not kept, once more.
    pub(super) window: Trajectory<T>,
    pub(super) scan: super::offline::Scan<T>,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self { window: Trajectory::default(), scan: super::offline::Scan::default() }
    }
}

/// An array as a matrix with rows of `width`.
pub(super) fn rows<T: Real>(array: &[T], width: usize) -> MatrixRef<'_, T> {
    MatrixRef::row_major(array, array.len() / width, width)
}

/// As [`rows`].
pub(super) fn rows_mut<T: Real>(array: &mut [T], width: usize) -> MatrixMut<'_, T> {
    let rows = array.len() / width;
    MatrixMut::row_major(array, rows, width)
}

/// Bytes of an array of one step that a pass works on: the samples of all arrays of a step stay in
/// the second-level cache from product to product.
const STEP: usize = 128 << 10;
/// Fewest and most samples of a pass: products with fewer rows are slow.
const SAMPLES: (usize, usize) = (16, 256);

/// Samples of a pass; it depends on the network alone.
pub(super) fn samples_of_pass<T: Real>(rnn: &RateRnn) -> usize {
    let most = (STEP / (rnn.units() * size_of::<T>())).max(1);
    (1 << most.ilog2()).clamp(SAMPLES.0, SAMPLES.1)
}

impl<T: Real> Pass<T> {
    /// A pass over nothing.
    pub(super) fn new(model: &Arc<Model<T>>) -> Self {
        Self {
            model: model.clone(),
            samples: 0,
            first: 0,
            steps: 0,
            first_loss: 0,
            every: None,
            inputs: Vec::new(),
            whole: Trajectory::default(),
            starts: Vec::new(),
            errors: Vec::new(),
            outputs: Vec::new(),
            loss: 0.0,
        }
    }

    /// Runs over these samples, in the memory that there is.
    pub(super) fn run(
        &mut self,
        model: &Arc<Model<T>>,
        sequences: &Sequences<T>,
        samples: Range<usize>,
        window: &mut Trajectory<T>,
    ) {
        let (rnn, steps) = (&model.rnn, sequences.steps());
        self.model = model.clone();
        let every = |every| checkpoints::of_pass::<T>(&model.layer, samples.len(), every);
        self.every = model.every.map(every);
        (self.samples, self.first, self.steps) = (samples.len(), samples.start, steps);
        self.first_loss = if sequences.target().at_each_step() { 0 } else { steps - 1 };
        let features = steps * rnn.inputs();
        let from = &sequences.inputs()[samples.start * features..samples.end * features];
        self.inputs.resize(from.len(), T::ZERO);
        model.layer.gather_inputs(from, &mut self.inputs);
        let width = rnn.outputs();
        let length = (steps - self.first_loss) * samples.len() * width;
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.resize(length, T::ZERO);
        let windows = self.windows();
        self.starts.resize_with(windows.len() - 1, Start::default);
        for (w, steps) in windows.into_iter().enumerate() {
            let mut whole = std::mem::take(&mut self.whole);
            let trajectory = if self.every.is_some() { &mut *window } else { &mut whole };
            self.integrate(steps.clone(), trajectory);
            self.read_out(&steps, self.first_loss, trajectory, &mut outputs);
            if let Some(start) = self.starts.get_mut(w) {
                trajectory.end_into(start);
            }
            self.whole = whole;
        }
        self.errors.resize(length, T::ZERO);
        self.loss = sequences.compare(&outputs, width, samples, &mut self.errors);
        self.outputs = outputs;
    }

    /// The states of these steps, which start where some are kept, or at rest.
    fn integrate(&self, steps: Range<usize>, to: &mut Trajectory<T>) {
        let model = &*self.model;
        let parameters = &model.parameters[model.rnn.block(Block::RecurrentGroup)];
        let start = self.every.and_then(|every| (steps.start / every).checked_sub(1));
        let start = start.map(|w| &self.starts[w]);
        let (inputs, length) = (self.inputs(&steps), self.step());
        let filter = model.rnn.filter() != 0.0;
        to.run(&model.layer, parameters, inputs, (steps, length), (start, filter));
    }

    /// The times in pieces at whose start states are kept; one where all are.
    fn windows(&self) -> Vec<Range<usize>> {
        let length = self.every.unwrap_or(self.steps);
        let window = |first: usize| first..self.steps.min(first + length);
        (0..self.steps).step_by(length).map(window).collect()
    }

    /// A trajectory that has these steps of one segment: what is kept, or `window`, made again.
    pub(super) fn trajectory<'a>(
        &'a self,
        steps: &Range<usize>,
        window: &'a mut Trajectory<T>,
    ) -> &'a Trajectory<T> {
        let Some(every) = self.every else { return &self.whole };
        if !window.holds(steps) {
            let first = steps.start / every * every;
            self.integrate(first..self.steps.min(first + every), window);
        }
        window
    }

    /// A trajectory of all steps, also where they are not kept.
    pub(super) fn all_steps<'a>(&'a self, window: &'a mut Trajectory<T>) -> &'a Trajectory<T> {
        if self.every.is_none() {
            return &self.whole;
        }
        self.integrate(0..self.steps, window);
        window
    }

    /// x_t.
    pub(super) fn inputs(&self, steps: &Range<usize>) -> &[T] {
        let length = self.samples * self.model.rnn.inputs();
        &self.inputs[steps.start * length..steps.end * length]
    }

    pub(super) fn block(&self, block: Block) -> &[T] {
        &self.model.parameters[self.model.rnn.block(block)]
    }

    /// Elements of one step of an array of units.
    pub(super) fn step(&self) -> usize {
        self.samples * self.model.rnn.units()
    }

    /// The times in pieces whose arrays stay in cache between the products over a piece. States are
    /// kept at the start of some of them.
    pub(super) fn segments(&self, steps: &Range<usize>) -> Vec<Range<usize>> {
        let length = self.model.layer.segment_steps::<T>(self.samples);
        let piece = |first: usize| first..steps.end.min(first + length);
        steps.clone().step_by(length).map(piece).collect()
    }

    /// a and 1 − a of every unit.
    pub(super) fn leaks(&self) -> (Vec<T>, Vec<T>) {
        let leaks = self.model.rnn.leaks();
        let convert = |f: &dyn Fn(f64) -> f64| leaks.iter().map(|&a| T::from_f64(f(a))).collect();
        (convert(&|a| a), convert(&|a| 1.0 - a))
    }

    /// y_t = O s_t + c for `steps` of a trajectory, as far as they come after `first`, with which
    /// `outputs` start. A product for every segment.
    fn read_out(
        &self,
        steps: &Range<usize>,
        first: usize,
        trajectory: &Trajectory<T>,
        outputs: &mut [T],
    ) {
        let (units, width) = (self.model.rnn.units(), self.model.rnn.outputs());
        let bias = self.block(Block::ReadoutBias);
        let weight = rows(self.block(Block::Readout), units).transposed();
        let length = self.samples * width;
        for segment in self.segments(steps) {
            let steps = segment.start.max(first)..segment.end;
            if steps.is_empty() {
                continue;
            }
            let y = &mut outputs[(steps.start - first) * length..(steps.end - first) * length];
            y.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(bias));
            let s = rows(trajectory.filtered(&steps), units);
            gemm(Isa::current(), T::ONE, s, weight, T::ONE, rows_mut(y, width));
        }
    }

    /// y_t of all steps.
    pub(super) fn all_outputs(&self, window: &mut Trajectory<T>) -> Vec<T> {
        let mut outputs = vec![T::ZERO; self.steps * self.samples * self.model.rnn.outputs()];
        let all = 0..self.steps;
        self.read_out(&all, 0, self.all_steps(window), &mut outputs);
        outputs
    }

    /// v_t, or u_t for the rate leak, again from h_t.
    pub(super) fn voltages(&self, window: &mut Trajectory<T>) -> Vec<T> {
        let rnn = &self.model.rnn;
        let (isa, n, features) = (Isa::current(), rnn.units(), rnn.inputs());
        let (all, step) = (0..self.steps, self.step());
        let mut v = vec![T::ZERO; self.steps * step];
        if rnn.has_bias() {
            let bias = self.block(Block::Bias);
            v.chunks_exact_mut(n).for_each(|v| v.copy_from_slice(bias));
        }
        let weight = rows(self.block(Block::Input), features).transposed();
        let x = rows(self.inputs(&all), features);
        gemm(isa, T::ONE, x, weight, T::ONE, rows_mut(&mut v, n));
        if self.steps > 1 {
            let trajectory = self.all_steps(window);
            let before = rows(trajectory.rates_before(&(1..self.steps)), n);
            let weight = rows(self.block(Block::Recurrent), n).transposed();
            gemm(isa, T::ONE, before, weight, T::ONE, rows_mut(&mut v[step..], n));
        }
        if matches!(rnn.leak(), Leak::Voltage(_)) {
            let (keep, gain) = self.leaks();
            for t in 0..self.steps {
                let (before, now) = v.split_at_mut(t * step);
                let before = (t > 0).then(|| &before[(t - 1) * step..]);
                leak(isa, &keep, &gain, before, &mut now[..step]);
            }
        }
        v
    }

    /// g_t of `steps` by a feedback matrix N × outputs that is known to fit, or by Oᵀ. `carry` is r
    /// of the step behind the last, then of the first; used with a filter alone. Returns whether
    /// `signal` was written: before the first step with a loss, without a filter, it would be zero.
    pub(super) fn signal(
        &self,
        steps: &Range<usize>,
        feedback: Option<&[T]>,
        carry: &mut [T],
        signal: &mut [T],
    ) -> bool {
        let rnn = &self.model.rnn;
        let (units, width, length) = (rnn.units(), rnn.outputs(), self.step());
        let kappa = rnn.filter();
        let with_loss = steps.start.max(self.first_loss)..steps.end;
        if with_loss.is_empty() && kappa == 0.0 {
            return false;
        }
        let (without, with) =
            signal.split_at_mut((with_loss.start.min(steps.end) - steps.start) * length);
        without.fill(T::ZERO);
        if !with_loss.is_empty() {
            let back = match feedback {
                Some(feedback) => rows(feedback, width).transposed(),
                None => rows(self.block(Block::Readout), units),
            };
            let errors = rows(self.errors_of(&with_loss), width);
            gemm(Isa::current(), T::ONE, errors, back, T::ZERO, rows_mut(with, units));
        }
        if kappa != 0.0 {
            let (kappa, gain) = (T::from_f64(kappa), T::from_f64(1.0 - kappa));
            for g in signal.chunks_exact_mut(length).rev() {
                for (g, carry) in g.iter_mut().zip(carry.iter_mut()) {
                    *carry = *g + kappa * *carry;
                    *g = gain * *carry;
                }
            }
        }
        true
    }

    /// g_t of all steps.
    pub(super) fn all_signals(&self, feedback: Option<&[T]>) -> Vec<T> {
        let mut signal = vec![T::ZERO; self.steps * self.step()];
        let mut carry = vec![T::ZERO; self.step()];
        self.signal(&(0..self.steps), feedback, &mut carry, &mut signal);
        signal
    }

    /// ∂L/∂y_t of steps with a loss.
    pub(super) fn errors_of(&self, steps: &Range<usize>) -> &[T] {
        let length = self.samples * self.model.rnn.outputs();
        let at = |t: usize| (t - self.first_loss) * length;
        &self.errors[at(steps.start)..at(steps.end)]
    }
}
