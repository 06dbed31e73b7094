//! The primal pass of a network over some of the samples.

use std::ops::Range;
use std::sync::Arc;

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::leak::leak;

use super::sequences::Sequences;
use super::{Block, RateRnn};
use crate::network::Layer;
use crate::network::layer::{Keep, State};
use crate::network::layers::{Leak, LeakyRecurrent, LeakyStates};
use crate::{Isa, Real};

/// States, outputs and errors of consecutive samples; arrays have time first, `[t][b][i]`.
#[derive(Debug)]
pub(super) struct Pass<T: Real> {
    pub(super) rnn: Arc<RateRnn>,
    /// θ, with zeros where W does not count.
    pub(super) parameters: Arc<Vec<T>>,
    /// Number of samples, and of those before them.
    pub(super) samples: usize,
    pub(super) first: usize,
    pub(super) steps: usize,
    /// The first step with a loss, from which errors are kept.
    pub(super) first_loss: usize,
    layer: Arc<LeakyRecurrent>,
    state: State<T>,
    pub(super) errors: Vec<T>,
    /// The outputs of the steps with a loss.
    pub(super) outputs: Vec<T>,
    pub(super) loss: f64,
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
const STEP: usize = 64 << 10;
/// Fewest and most samples of a pass: products with fewer rows are slow.
const SAMPLES: (usize, usize) = (16, 256);
/// Bytes of an array of the steps that go through one product.
const SEGMENT: usize = 128 << 10;

/// Samples of a pass; it depends on the network alone.
pub(super) fn samples_of_pass<T: Real>(rnn: &RateRnn) -> usize {
    let most = (STEP / (rnn.units() * size_of::<T>())).max(1);
    (1 << most.ilog2()).clamp(SAMPLES.0, SAMPLES.1)
}

impl<T: Real> Pass<T> {
    pub(super) fn new(
        rnn: &Arc<RateRnn>,
        parameters: &Arc<Vec<T>>,
        layer: &Arc<LeakyRecurrent>,
        sequences: &Sequences<T>,
        samples: Range<usize>,
    ) -> Self {
        let (first, steps) = (samples.start, sequences.steps());
        let first_loss = if sequences.target().at_each_step() { 0 } else { steps - 1 };
        let features = steps * rnn.inputs();
        let inputs = &sequences.inputs()[samples.start * features..samples.end * features];
        let mut state = State::default();
        let mut output = vec![T::ZERO; samples.len() * rnn.units()];
        let hidden = &parameters[rnn.block(Block::RecurrentGroup)];
        layer.forward(hidden, inputs, &mut output, &mut state, Keep::FirstOrder);
        let length = (steps - first_loss) * samples.len() * rnn.outputs();
        let mut pass = Self {
            rnn: rnn.clone(),
            parameters: parameters.clone(),
            samples: samples.len(),
            first,
            steps,
            first_loss,
            layer: layer.clone(),
            state,
            errors: vec![T::ZERO; length],
            outputs: Vec::new(),
            loss: 0.0,
        };
        pass.outputs = pass.read_out(first_loss);
        let width = pass.rnn.outputs();
        pass.loss = sequences.compare(&pass.outputs, width, samples, &mut pass.errors);
        pass
    }

    pub(super) fn kept(&self) -> LeakyStates<'_, T> {
        self.layer.states(&self.state)
    }

    pub(super) fn block(&self, block: Block) -> &[T] {
        &self.parameters[self.rnn.block(block)]
    }

    /// Elements of one step of an array of units.
    pub(super) fn step(&self) -> usize {
        self.samples * self.rnn.units()
    }

    /// The times in pieces whose arrays stay in cache between the products over a piece.
    pub(super) fn segments(&self) -> Vec<Range<usize>> {
        let length = (SEGMENT / (self.step() * size_of::<T>())).max(1);
        let piece = |first: usize| first..self.steps.min(first + length);
        (0..self.steps).step_by(length).map(piece).collect()
    }

    /// a and 1 − a of every unit.
    pub(super) fn leaks(&self) -> (Vec<T>, Vec<T>) {
        let leaks = self.rnn.leaks();
        let convert = |f: &dyn Fn(f64) -> f64| leaks.iter().map(|&a| T::from_f64(f(a))).collect();
        (convert(&|a| a), convert(&|a| 1.0 - a))
    }

    /// y_t = O s_t + c from step `first` on.
    pub(super) fn read_out(&self, first: usize) -> Vec<T> {
        let (units, width) = (self.rnn.units(), self.rnn.outputs());
        let mut outputs = vec![T::ZERO; (self.steps - first) * self.samples * width];
        let bias = self.block(Block::ReadoutBias);
        outputs.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(bias));
        let weight = rows(self.block(Block::Readout), units).transposed();
        let s = rows(&self.kept().filtered[first * self.step()..], units);
        gemm(Isa::current(), T::ONE, s, weight, T::ONE, rows_mut(&mut outputs, width));
        outputs
    }

    /// v_t, or u_t for the rate leak, again from h_t.
    pub(super) fn voltages(&self) -> Vec<T> {
        let (isa, n, features) = (Isa::current(), self.rnn.units(), self.rnn.inputs());
        let (kept, step) = (self.kept(), self.step());
        let mut v = vec![T::ZERO; kept.rates.len()];
        if self.rnn.has_bias() {
            let bias = self.block(Block::Bias);
            v.chunks_exact_mut(n).for_each(|v| v.copy_from_slice(bias));
        }
        let weight = rows(self.block(Block::Input), features).transposed();
        gemm(isa, T::ONE, rows(kept.inputs, features), weight, T::ONE, rows_mut(&mut v, n));
        if self.steps > 1 {
            let before = rows(&kept.rates[..v.len() - step], n);
            let weight = rows(self.block(Block::Recurrent), n).transposed();
            gemm(isa, T::ONE, before, weight, T::ONE, rows_mut(&mut v[step..], n));
        }
        if matches!(self.rnn.leak(), Leak::Voltage(_)) {
            let (keep, gain) = self.leaks();
            for t in 0..self.steps {
                let (before, now) = v.split_at_mut(t * step);
                let before = (t > 0).then(|| &before[(t - 1) * step..]);
                leak(isa, &keep, &gain, before, &mut now[..step]);
            }
        }
        v
    }

    /// g_t by a feedback matrix N × outputs that is known to fit, or by Oᵀ; zero before the first
    /// step with a loss unless the readout is filtered.
    pub(super) fn signal(&self, feedback: Option<&[T]>) -> Vec<T> {
        let (units, width) = (self.rnn.units(), self.rnn.outputs());
        let mut signal = vec![T::ZERO; self.steps * self.step()];
        let back = match feedback {
            Some(feedback) => rows(feedback, width).transposed(),
            None => rows(self.block(Block::Readout), units),
        };
        let with_loss = &mut signal[self.first_loss * self.step()..];
        let errors = rows(&self.errors, width);
        gemm(Isa::current(), T::ONE, errors, back, T::ZERO, rows_mut(with_loss, units));
        let kappa = self.rnn.filter();
        if kappa != 0.0 {
            let (kappa, gain) = (T::from_f64(kappa), T::from_f64(1.0 - kappa));
            let step = self.step();
            for i in (0..signal.len() - step).rev() {
                let later = signal[i + step];
                signal[i] += kappa * later;
            }
            signal.iter_mut().for_each(|g| *g *= gain);
        }
        signal
    }
}
