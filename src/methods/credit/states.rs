//! The primal pass of a network over sequences, kept for all learning rules.

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::sequences::{Sequences, Target};
use super::{Block, Feedback, RateRnn};
use crate::network::Layer;
use crate::network::layer::{Keep, State};
use crate::network::layers::{LeakyRecurrent, LeakyStates};
use crate::{Isa, Real, Result};

/// States, outputs and errors of a network at one θ on all samples: what every
/// [`Rule`](super::Rule) starts from.
///
/// Arrays have time first: `[t][b][i]`. Memory: T·B·(4N + inputs + 2·outputs) numbers.
#[derive(Debug)]
pub struct States<T: Real> {
    pub(super) rnn: RateRnn,
    /// θ, with zeros where W does not count.
    pub(super) parameters: Vec<T>,
    pub(super) samples: usize,
    pub(super) steps: usize,
    layer: LeakyRecurrent,
    state: State<T>,
    outputs: Vec<T>,
    errors: Vec<T>,
    loss: f64,
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

impl<T: Real> States<T> {
    /// Runs `rnn` at θ over `sequences`. One forward pass.
    ///
    /// # Errors
    /// Another number of parameters, inputs or targets than the network's, classes out of range,
    /// NaN or infinities.
    pub fn new(rnn: &RateRnn, parameters: &[T], sequences: &Sequences<T>) -> Result<Self> {
        rnn.check(parameters)?;
        Self::unchecked(rnn, parameters, sequences)
    }

    /// The same at parameters that may be anything: a training that diverges finds them.
    pub(super) fn unchecked(
        rnn: &RateRnn,
        parameters: &[T],
        sequences: &Sequences<T>,
    ) -> Result<Self> {
        sequences.check(rnn.inputs(), rnn.outputs())?;
        let (samples, steps) = (sequences.samples(), sequences.steps());
        let layer = rnn.layer(steps)?;
        let mut state = State::default();
        let mut output = vec![T::ZERO; samples * steps * rnn.units()];
        let hidden = &parameters[rnn.block(Block::RecurrentGroup)];
        let keep = Keep::FirstOrder;
        layer.forward(hidden, sequences.inputs(), &mut output, &mut state, keep);
        let mut masked = parameters.to_vec();
        rnn.mask(&mut masked);
        let outputs = vec![T::ZERO; samples * steps * rnn.outputs()];
        let mut states = Self {
            rnn: rnn.clone(),
            parameters: masked,
            samples,
            steps,
            layer,
            state,
            errors: vec![T::ZERO; outputs.len()],
            outputs,
            loss: 0.0,
        };
        states.read_out();
        states.loss = sequences.compare(&states.outputs, rnn.outputs(), &mut states.errors);
        Ok(states)
    }

    /// y_t = O s_t + c.
    fn read_out(&mut self) {
        let (units, width) = (self.rnn.units(), self.rnn.outputs());
        let mut outputs = std::mem::take(&mut self.outputs);
        let bias = self.block(Block::ReadoutBias);
        outputs.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(bias));
        let weight = rows(self.block(Block::Readout), units).transposed();
        let s = rows(self.kept().filtered, units);
        gemm(Isa::current(), T::ONE, s, weight, T::ONE, rows_mut(&mut outputs, width));
        self.outputs = outputs;
    }

    pub(super) fn kept(&self) -> LeakyStates<'_, T> {
        self.layer.states(&self.state)
    }

    pub(super) fn block(&self, block: Block) -> &[T] {
        &self.parameters[self.rnn.block(block)]
    }

    /// Puts 1 in the place of the errors at the last step and 0 elsewhere, so that gradients are
    /// those of the sum of the last outputs.
    pub(super) fn unit_error_at_end(&mut self) {
        let last = (self.steps - 1) * self.samples * self.rnn.outputs();
        self.errors[..last].fill(T::ZERO);
        self.errors[last..].fill(T::ONE);
    }

    /// L, without weight decay.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// y_t of all steps, `[t][b][output]`.
    #[must_use]
    pub fn outputs(&self) -> &[T] {
        &self.outputs
    }

    /// ∂L/∂y_t, `[t][b][output]`.
    #[must_use]
    pub fn errors(&self) -> &[T] {
        &self.errors
    }

    /// v_t, or u_t for the rate leak, `[t][b][unit]`.
    #[must_use]
    pub fn voltages(&self) -> &[T] {
        self.kept().voltages
    }

    /// h_t, `[t][b][unit]`.
    #[must_use]
    pub fn rates(&self) -> &[T] {
        self.kept().rates
    }

    /// The fraction of samples whose largest output at the last step is that of the class, where
    /// targets are classes.
    #[must_use]
    pub fn accuracy(&self, sequences: &Sequences<T>) -> Option<f64> {
        let (Target::ClassAtEnd(classes) | Target::ClassAtEachStep(classes)) = sequences.target()
        else {
            return None;
        };
        let width = self.rnn.outputs();
        let last = &self.outputs[(self.steps - 1) * self.samples * width..];
        // The first of equal outputs; NaN is never the largest.
        let largest = |y: &[T]| (1..width).fold(0, |best, i| if y[i] > y[best] { i } else { best });
        let right =
            last.chunks_exact(width).zip(classes).filter(|(y, class)| largest(y) == **class);
        Some(right.count() as f64 / self.samples as f64)
    }

    /// g_t = (1 − κ) r_t with r_t = B ∂L/∂y_t + κ r_{t+1}: the error that reaches h_t through the
    /// readout alone, `[t][b][unit]`.
    ///
    /// # Errors
    /// Feedback of another shape than N × outputs, NaN or infinities in it.
    pub fn learning_signal(&self, feedback: &Feedback<T>) -> Result<Vec<T>> {
        feedback.check(self.rnn.units(), self.rnn.outputs())?;
        Ok(self.signal(match feedback {
            Feedback::Symmetric => None,
            Feedback::Fixed(matrix) => Some(matrix),
        }))
    }

    /// [`States::learning_signal`] by a matrix that is known to fit, or by Oᵀ.
    pub(super) fn signal(&self, feedback: Option<&[T]>) -> Vec<T> {
        let (units, width) = (self.rnn.units(), self.rnn.outputs());
        let mut signal = vec![T::ZERO; self.steps * self.samples * units];
        let back = match feedback {
            Some(feedback) => rows(feedback, width).transposed(),
            None => rows(self.block(Block::Readout), units),
        };
        let errors = rows(&self.errors, width);
        gemm(Isa::current(), T::ONE, errors, back, T::ZERO, rows_mut(&mut signal, units));
        let kappa = self.rnn.filter();
        if kappa != 0.0 {
            let (kappa, gain) = (T::from_f64(kappa), T::from_f64(1.0 - kappa));
            let step = self.samples * units;
            for i in (0..signal.len() - step).rev() {
                let later = signal[i + step];
                signal[i] += kappa * later;
            }
            signal.iter_mut().for_each(|g| *g *= gain);
        }
        signal
    }
}
