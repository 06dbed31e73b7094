//! Leaky units over some consecutive steps, from where the steps before left them.

use std::ops::Range;

use hesse_kernels::activation;
use hesse_kernels::gemm::gemm;

use super::LeakyRecurrent;
use crate::network::layers::recurrent::products::{rows, rows_mut};
use crate::network::layers::recurrent::time_major::TimeMajor;
use crate::{Isa, Real};

/// The arrays of consecutive steps, each `[t][b][i]`.
#[derive(Debug)]
pub(crate) struct Span<'a, T> {
    /// The steps, out of the whole sequence. They start where a segment does.
    pub(crate) steps: Range<usize>,
    /// x_t.
    pub(crate) inputs: &'a [T],
    /// h of the step before the first; none at rest.
    pub(crate) before: Option<&'a [T]>,
    /// v of one step: before the first on entry, of the last on return. At rest whatever it was.
    pub(crate) voltages: &'a mut [T],
    /// h_t, written.
    pub(crate) rates: &'a mut [T],
    /// φ'_t and φ''_t, written where they are wanted.
    pub(crate) slopes: Option<&'a mut [T]>,
    pub(crate) second: Option<&'a mut [T]>,
}

impl LeakyRecurrent {
    /// Steps of a segment of `samples` samples: what goes through one product over several times.
    pub(crate) fn segment_steps<T: Real>(&self, samples: usize) -> usize {
        self.cell.segment_steps::<T>(TimeMajor { steps: self.cell.steps, samples, count: 1 })
    }

    /// x of all steps and samples, `[t][b]`, from `[b][t]`.
    pub(crate) fn gather_inputs<T: Real>(&self, from: &[T], to: &mut [T]) {
        self.cell.layout(from, 1).gather(self.cell.inputs, from, to);
    }

    /// h_t, φ'_t and φ''_t of a span. `parameters` are those of the layer, with zeros where they do
    /// not count.
    ///
    /// The bits do not depend on where spans begin and end.
    pub(crate) fn integrate<T: Real>(&self, parameters: &[T], span: Span<'_, T>) {
        let (isa, cell) = (Isa::current(), &self.cell);
        let Span { steps, inputs, before, voltages, rates, mut slopes, mut second } = span;
        let length = rates.len() / steps.len().max(1);
        let shifts: Option<Vec<T>> =
            self.shifts.as_ref().map(|x| x.iter().map(|&x| T::from_f64(x)).collect());
        let shifts = shifts.as_deref();
        let leaks = self.leaks::<T>();
        let weight = cell.recurrent_weight(parameters).transposed();
        let input_weight = cell.input_weight(parameters).transposed();
        let bias = cell.bias.then(|| &parameters[cell.weights()..]);
        let beta = if cell.bias { T::ONE } else { T::ZERO };
        let of_inputs = length / cell.units * cell.inputs;
        let segment = self.segment_steps::<T>(length / cell.units);
        for first in steps.clone().step_by(segment) {
            let last = steps.end.min(first + segment);
            let local = first - steps.start..last - steps.start;
            let drive = &mut rates[local.start * length..local.end * length];
            if let Some(bias) = bias {
                drive.chunks_exact_mut(cell.units).for_each(|u| u.copy_from_slice(bias));
            }
            let x = rows(&inputs[local.start * of_inputs..local.end * of_inputs], cell.inputs);
            gemm(isa, T::ONE, x, input_weight, beta, rows_mut(drive, cell.units));
            for t in local {
                let now = t * length..(t + 1) * length;
                let (behind, h) = rates.split_at_mut(now.start);
                let h = &mut h[..length];
                let before = match behind.is_empty() {
                    true => before,
                    false => Some(&behind[now.start - length..]),
                };
                if let Some(before) = before {
                    let (before, h) = (rows(before, cell.units), rows_mut(h, cell.units));
                    gemm(isa, T::ONE, before, weight, T::ONE, h);
                }
                if leaks.any && !self.rate {
                    leaks.step((steps.start + t > 0).then_some(&*voltages), h);
                    voltages.copy_from_slice(h);
                }
                match &mut slopes {
                    None => activation::bias_activation(isa, cell.activation, shifts, h),
                    Some(slopes) => activation::bias_activation_derivatives(
                        isa,
                        cell.activation,
                        shifts,
                        h,
                        &mut slopes[now.clone()],
                        second.as_mut().map(|second| &mut second[now]),
                    ),
                }
                if self.rate {
                    leaks.step(before, h);
                }
            }
        }
    }

    /// s_t ← κ s_{t−1} + (1 − κ) h_t for some steps, from s of the step before; none at rest.
    pub(crate) fn filter_rates<T: Real>(
        &self,
        before: Option<&[T]>,
        rates: &[T],
        filtered: &mut [T],
        length: usize,
    ) {
        let (kappa, gain) = (T::from_f64(self.filter), T::from_f64(1.0 - self.filter));
        for (i, &h) in rates.iter().enumerate() {
            let before = match before {
                _ if i >= length => filtered[i - length],
                Some(before) => before[i],
                None => T::ZERO,
            };
            filtered[i] = kappa * before + gain * h;
        }
    }
}
