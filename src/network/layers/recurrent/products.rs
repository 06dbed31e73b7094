//! The products of a recurrent layer: those over several times at once, and those from step to step.

use std::ops::Range;

use hesse_kernels::activation;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::time_major::TimeMajor;
use super::{BIAS_TANGENTS, INPUT_ERRORS, INPUTS, Recurrent, STATES};
use crate::network::layer::{Directions, Gradients, State};
use crate::{Isa, Real};

/// An array as a matrix with rows of `width`.
pub(super) fn rows<T: Real>(array: &[T], width: usize) -> MatrixRef<'_, T> {
    MatrixRef::row_major(array, array.len() / width, width)
}

/// As [`rows`].
pub(super) fn rows_mut<T: Real>(array: &mut [T], width: usize) -> MatrixMut<'_, T> {
    let rows = array.len() / width;
    MatrixMut::row_major(array, rows, width)
}

/// Bytes of one array of a segment: all that a pass over it touches should stay in the second-level
/// cache.
const SEGMENT: usize = 128 << 10;

impl Recurrent {
    /// The times in pieces that a pass does one after the other, each as far as the products over
    /// all times go: what a step wrote is still in cache when they read it. It depends on the shapes
    /// alone.
    pub(super) fn segments<T: Real>(&self, layout: TimeMajor) -> Vec<Range<usize>> {
        let length = self.segment_steps::<T>(layout);
        (0..self.steps).step_by(length).map(|first| first..self.steps.min(first + length)).collect()
    }

    /// Steps of all these pieces but the last.
    pub(super) fn segment_steps<T: Real>(&self, layout: TimeMajor) -> usize {
        let step = layout.step(0, self.units).len() * size_of::<T>();
        (SEGMENT / step.max(1)).max(1)
    }

    pub(super) fn recurrent_weight<'a, T: Real>(&self, parameters: &'a [T]) -> MatrixRef<'a, T> {
        let weights = &parameters[..self.recurrent_weights()];
        MatrixRef::row_major(weights, self.units, self.units)
    }

    pub(super) fn input_weight<'a, T: Real>(&self, parameters: &'a [T]) -> MatrixRef<'a, T> {
        let weights = &parameters[self.recurrent_weights()..self.weights()];
        MatrixRef::row_major(weights, self.units, self.inputs)
    }

    /// The output from the states `[t][b][k]`: all, or those of the last time.
    pub(super) fn read_output<T: Real>(&self, layout: TimeMajor, states: &[T], output: &mut [T]) {
        if self.every_step {
            layout.scatter(self.units, states, output);
        } else {
            let last = &states[layout.step(self.steps - 1, self.units)];
            layout.last().scatter(self.units, last, output);
        }
    }

    /// The errors of the states `[t][b][k]` from those of the output. Without
    /// [`Recurrent::every_step`] only the last time is written.
    pub(super) fn write_errors<T: Real>(
        &self,
        layout: TimeMajor,
        output_error: &[T],
        errors: &mut [T],
    ) {
        if self.every_step {
            layout.gather(self.units, output_error, errors);
        } else {
            let last = &mut errors[layout.step(self.steps - 1, self.units)];
            layout.last().gather(self.units, output_error, last);
        }
    }

    /// Forwards through `steps`: z_t += W_hh y_{t−1}, then `finish(t, z_t, y_t)`, where y is z
    /// itself or, if given, an array of its own.
    pub(super) fn forwards<T: Real>(
        &self,
        layout: TimeMajor,
        parameters: &[T],
        steps: Range<usize>,
        z: &mut [T],
        mut y: Option<&mut [T]>,
        mut finish: impl FnMut(usize, &mut [T], Option<&mut [T]>),
    ) {
        let weight = self.recurrent_weight(parameters).transposed();
        for t in steps {
            let now = layout.step(t, self.units);
            let (before, z) = z.split_at_mut(now.start);
            let z = &mut z[..now.len()];
            if t > 0 {
                let previous = y.as_deref().unwrap_or(before);
                let previous = &previous[layout.step(t - 1, self.units)];
                let (a, c) = (rows(previous, self.units), rows_mut(z, self.units));
                gemm(Isa::current(), T::ONE, a, weight, T::ONE, c);
            }
            finish(t, z, y.as_deref_mut().map(|y| &mut y[now]));
        }
    }

    /// Backwards through `steps`: u_t += W_hhᵀ u_{t+1}, then `finish(t, u_t)`. `sums` says whether u
    /// holds something before the last time; otherwise it is overwritten there.
    pub(super) fn backwards<T: Real>(
        &self,
        layout: TimeMajor,
        parameters: &[T],
        steps: Range<usize>,
        sums: bool,
        u: &mut [T],
        mut finish: impl FnMut(usize, &mut [T]),
    ) {
        let weight = self.recurrent_weight(parameters);
        let beta = if sums { T::ONE } else { T::ZERO };
        for t in steps.rev() {
            let now = layout.step(t, self.units);
            let (u, behind) = u.split_at_mut(now.end);
            let u = &mut u[now];
            if t + 1 < self.steps {
                let next = rows(&behind[..u.len()], self.units);
                gemm(Isa::current(), T::ONE, next, weight, beta, rows_mut(u, self.units));
            }
            finish(t, u);
        }
    }

    /// Ż_k ← V_xh x_t + V_hh h_{t−1} at the times `steps` of every tangent.
    pub(super) fn multiply_directions<T: Real>(
        &self,
        layout: TimeMajor,
        directions: Directions<'_, T>,
        state: &State<T>,
        steps: Range<usize>,
        z: &mut [T],
    ) {
        let isa = Isa::current();
        let primal = TimeMajor { count: 1, ..layout };
        let inputs = primal.tangent(state.array(INPUTS), self.inputs, 0, steps.clone());
        let later = steps.start.max(1)..steps.end.max(1);
        let before = later.start - 1..later.end - 1;
        let before = primal.tangent(state.array(STATES), self.units, 0, before);
        for k in 0..layout.count {
            let v = directions.get(k);
            let all = layout.tangent_mut(z, self.units, k, steps.clone());
            gemm(isa, T::ONE, inputs, self.input_weight(v).transposed(), T::ZERO, all);
            let later = layout.tangent_mut(z, self.units, k, later.clone());
            gemm(isa, T::ONE, before, self.recurrent_weight(v).transposed(), T::ONE, later);
        }
    }

    /// u_t ← β u_t + V_hhᵀ δ_{t+1} at the times `steps` of every tangent, but for the last time of
    /// all: it does not depend on the tangents of later errors.
    pub(super) fn pull_back_directions<T: Real>(
        &self,
        layout: TimeMajor,
        directions: Directions<'_, T>,
        delta: &[T],
        steps: Range<usize>,
        beta: T,
        u: &mut [T],
    ) {
        let primal = TimeMajor { count: 1, ..layout };
        let before = steps.start..steps.end.min(self.steps - 1);
        if before.is_empty() {
            return;
        }
        let later = primal.tangent(delta, self.units, 0, before.start + 1..before.end + 1);
        for k in 0..layout.count {
            let v = self.recurrent_weight(directions.get(k));
            let before = layout.tangent_mut(u, self.units, k, before.clone());
            gemm(Isa::current(), T::ONE, later, v, beta, before);
        }
    }

    /// Gradient += Σ δ_t h_{t−1}ᵀ and Σ δ_t x_tᵀ over the times `steps`, for tangent `k` of δ and `j`
    /// of h and x.
    pub(super) fn add_weight_gradients<T: Real>(
        &self,
        steps: Range<usize>,
        (layout, delta, k): (TimeMajor, &[T], usize),
        (other, states, inputs, j): (TimeMajor, &[T], Option<&[T]>, usize),
        gradient: &mut [T],
    ) {
        let isa = Isa::current();
        let later = steps.start.max(1)..steps.end;
        let (recurrent, rest) = gradient.split_at_mut(self.recurrent_weights());
        if !later.is_empty() {
            let before = other.tangent(states, self.units, j, later.start - 1..later.end - 1);
            let later = layout.tangent(delta, self.units, k, later).transposed();
            gemm(isa, T::ONE, later, before, T::ONE, rows_mut(recurrent, self.units));
        }
        if let Some(inputs) = inputs {
            let all = layout.tangent(delta, self.units, k, steps.clone()).transposed();
            let inputs = other.tangent(inputs, self.inputs, j, steps);
            let input = rows_mut(&mut rest[..self.units * self.inputs], self.inputs);
            gemm(isa, T::ONE, all, inputs, T::ONE, input);
        }
    }

    /// Gradients += Σ_t δ_t for every tangent.
    pub(super) fn add_bias_gradients<T: Real>(
        &self,
        layout: TimeMajor,
        delta: &[T],
        gradients: &mut Gradients<'_, T>,
        scratch: &mut State<T>,
    ) {
        if !self.bias {
            return;
        }
        let sums = scratch.buffer(BIAS_TANGENTS, layout.count * self.units);
        sums.fill(T::ZERO);
        activation::column_sums(Isa::current(), delta, sums);
        for (k, sums) in sums.chunks_exact(self.units).enumerate() {
            let bias = &mut gradients.get_mut(k)[self.weights()..];
            bias.iter_mut().zip(sums).for_each(|(bias, &sum)| *bias += sum);
        }
    }

    /// x̄ ← W_xhᵀ δ + V_xhᵀ δ' in the layout of the input, where δ' are the primal errors.
    pub(super) fn pull_back_to_input<T: Real>(
        &self,
        layout: TimeMajor,
        parameters: &[T],
        delta: &[T],
        directions: Option<(Directions<'_, T>, &[T])>,
        input_error: &mut [T],
        scratch: &mut State<T>,
    ) {
        let isa = Isa::current();
        let mut errors = scratch.take(INPUT_ERRORS, layout.rows() * self.inputs);
        let delta = rows(delta, self.units);
        let all = rows_mut(&mut errors, self.inputs);
        gemm(isa, T::ONE, delta, self.input_weight(parameters), T::ZERO, all);
        if let Some((directions, delta)) = directions {
            let delta = rows(delta, self.units);
            for k in 0..layout.count {
                let v = self.input_weight(directions.get(k));
                let errors = layout.tangent_mut(&mut errors, self.inputs, k, 0..self.steps);
                gemm(isa, T::ONE, delta, v, T::ONE, errors);
            }
        }
        layout.scatter(self.inputs, &errors, input_error);
        scratch.put_back(INPUT_ERRORS, errors);
    }
}
