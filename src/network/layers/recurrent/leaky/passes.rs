//! The four passes of leaky units.

use std::ops::Range;

use hesse_kernels::activation;
use hesse_kernels::gemm::gemm;

use super::{CARRY, FILTERED, FILTERED_TANGENTS, LeakyRecurrent, Span, VOLTAGES};
use crate::network::layer::{
    Adjoint, Directions, Gradients, Keep, Layer, ParameterSpec, State, Tangent,
};
use crate::network::layers::recurrent::products::{rows, rows_mut};
use crate::network::layers::recurrent::time_major::TimeMajor;
use crate::network::layers::recurrent::{
    BIAS_TANGENTS, CURVATURE, CURVED, DELTA, ERROR_TANGENTS, FIRST, INPUT_TANGENTS, INPUTS, SECOND,
    STATE_TANGENTS, STATES,
};
use crate::{Isa, Real};

/// The part of `z` before `start`, if any, in rows of the step before, and from `start` on.
fn split_step<T>(z: &mut [T], now: Range<usize>) -> (Option<&[T]>, &mut [T]) {
    let (before, rest) = z.split_at_mut(now.start);
    let length = now.len();
    let before = (!before.is_empty()).then(|| &before[before.len() - length..]);
    (before, &mut rest[..length])
}

impl<T: Real> Layer<T> for LeakyRecurrent {
    fn input_shape(&self) -> &[usize] {
        Layer::<T>::input_shape(&self.cell)
    }

    fn output_shape(&self) -> &[usize] {
        Layer::<T>::output_shape(&self.cell)
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Layer::<T>::parameters(&self.cell)
    }

    fn kept_features(&self) -> usize {
        // x; h, φ' and δ; φ'' and c; s.
        let arrays = 3 + if self.cell.curved() { 2 } else { 0 } + usize::from(self.filter != 0.0);
        self.cell.steps * (self.cell.inputs + arrays * self.cell.units)
    }

    fn widest_features(&self) -> usize {
        Layer::<T>::widest_features(&self.cell)
    }

    fn multiplications(&self) -> usize {
        Layer::<T>::multiplications(&self.cell)
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        let cell = &self.cell;
        let parameters = &*self.masked(parameters);
        let layout = cell.layout(input, 1);
        let step = layout.step(0, cell.units).len();
        let length = cell.steps * step;
        let mut inputs = state.take(INPUTS, layout.rows() * cell.inputs);
        layout.gather(cell.inputs, input, &mut inputs);
        let mut h = state.take(STATES, length);
        let mut v = state.take(VOLTAGES, step);
        let slopes = keep > Keep::Outputs;
        let mut first = slopes.then(|| state.take(FIRST, length));
        let second = keep == Keep::SecondOrder && cell.curved();
        let mut second = second.then(|| state.take(SECOND, length));
        let span = Span {
            steps: 0..cell.steps,
            inputs: &inputs,
            before: None,
            voltages: &mut v,
            rates: &mut h,
            slopes: first.as_deref_mut(),
            second: second.as_deref_mut(),
        };
        self.integrate(parameters, span);
        if self.filter == 0.0 {
            cell.read_output(layout, &h, output);
        } else {
            let filtered = state.buffer(FILTERED, length);
            self.filter_rates(None, &h, filtered, step);
            cell.read_output(layout, filtered, output);
        }
        state.put_back(STATES, h);
        state.put_back(VOLTAGES, v);
        state.put_back(INPUTS, inputs);
        if let Some(first) = first {
            state.put_back(FIRST, first);
        }
        if let Some(second) = second {
            state.put_back(SECOND, second);
        }
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let (isa, cell) = (Isa::current(), &self.cell);
        let parameters = &*self.masked(pass.parameters);
        let masked = self.masked_directions(pass.directions);
        let directions = match &masked {
            Some(masked) => Some(Directions::new(masked, parameters.len())),
            None => pass.directions,
        };
        let layout = cell.layout(pass.input, pass.count);
        let primal = TimeMajor { count: 1, ..layout };
        let length = layout.rows() * cell.units;
        let mut z = tangents.take(CURVED, length);
        let mut y = tangents.take(STATE_TANGENTS, length);
        let mut inputs = Vec::new();
        if let Some(input_tangent) = pass.input_tangent {
            inputs = tangents.take(INPUT_TANGENTS, layout.rows() * cell.inputs);
            layout.gather(cell.inputs, input_tangent, &mut inputs);
        }
        let mut bias_tangents = tangents.take(BIAS_TANGENTS, pass.count * cell.units);
        let bias = directions.filter(|_| cell.bias).map(|directions| {
            for (k, bias) in bias_tangents.chunks_exact_mut(cell.units).enumerate() {
                bias.copy_from_slice(&directions.get(k)[cell.weights()..]);
            }
            &*bias_tangents
        });

        let first = pass.state.array(FIRST);
        let curvature = pass.errors.filter(|_| cell.curved()).map(|errors| errors.array(CURVATURE));
        let leaks = self.leaks::<T>();
        // The tangent of the bias goes through the leak of voltages.
        let leaking = leaks.any && !self.rate;
        let (early_bias, late_bias) = if leaking { (bias, None) } else { (None, bias) };
        let step = layout.step(0, cell.units).len();
        let mut carry = tangents.take(CARRY, step);
        let weight = cell.recurrent_weight(parameters).transposed();
        let input_weight = cell.input_weight(parameters).transposed();
        for steps in cell.segments::<T>(layout) {
            let segment = steps.start * step..steps.end * step;
            match directions {
                Some(v) => {
                    cell.multiply_directions(layout, v, pass.state, steps.clone(), &mut z);
                }
                None => z[segment.clone()].fill(T::ZERO),
            }
            let z_now = &mut z[segment];
            if pass.input_tangent.is_some() {
                let all = layout.step(steps.start, cell.inputs).start
                    ..layout.step(steps.end, cell.inputs).start;
                let x = rows(&inputs[all], cell.inputs);
                gemm(isa, T::ONE, x, input_weight, T::ONE, rows_mut(z_now, cell.units));
            }
            if let Some(bias) = early_bias {
                for z in z_now.chunks_exact_mut(bias.len()) {
                    z.iter_mut().zip(bias).for_each(|(z, &bias)| *z += bias);
                }
            }
            for t in steps {
                let (here, now) = (primal.step(t, cell.units), layout.step(t, cell.units));
                let z = &mut z[now.clone()];
                let (y_before, y) = split_step(&mut y, now);
                if let Some(y_before) = y_before {
                    let (y, z) = (rows(y_before, cell.units), rows_mut(z, cell.units));
                    gemm(isa, T::ONE, y, weight, T::ONE, z);
                }
                if leaking {
                    leaks.step((t > 0).then_some(&carry), z);
                    carry.copy_from_slice(z);
                }
                activation::tangent_epilogue(
                    isa,
                    cell.units,
                    layout.count,
                    late_bias,
                    Some(&first[here.clone()]),
                    curvature.map(|curvature| &curvature[here]),
                    z,
                    y,
                );
                if self.rate {
                    leaks.step(y_before, y);
                }
            }
        }
        tangents.put_back(BIAS_TANGENTS, bias_tangents);
        if pass.input_tangent.is_some() {
            tangents.put_back(INPUT_TANGENTS, inputs);
        }
        if self.filter == 0.0 {
            cell.read_output(layout, &y, output_tangent);
        } else {
            let filtered = tangents.buffer(FILTERED_TANGENTS, length);
            self.filter_rates(None, &y, filtered, step);
            cell.read_output(layout, filtered, output_tangent);
        }
        tangents.put_back(CARRY, carry);
        tangents.put_back(CURVED, z);
        tangents.put_back(STATE_TANGENTS, y);
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Option<Gradients<'_, T>>,
        errors: Option<&mut State<T>>,
        scratch: &mut State<T>,
    ) {
        let (isa, cell) = (Isa::current(), &self.cell);
        let parameters = &*self.masked(pass.parameters);
        let layout = cell.layout(pass.input, pass.count);
        let primal = TimeMajor { count: 1, ..layout };
        let length = layout.rows() * cell.units;
        // What is to be kept is made in its place.
        let mut kept = errors;
        let mut u = match &mut kept {
            Some(errors) => errors.take(DELTA, length),
            None => scratch.take(ERROR_TANGENTS, length),
        };
        let sums = self.errors_of_rates(layout, output_error, &mut u);
        let mut curvature = kept.as_mut().filter(|_| cell.curved()).map(|errors| {
            let mut curvature = errors.take(CURVATURE, length);
            curvature.copy_from_slice(pass.state.array(SECOND));
            curvature
        });
        let first = pass.state.array(FIRST);
        let (states, inputs) = (pass.state.array(STATES), pass.state.array(INPUTS));
        let mut carry = scratch.take(CARRY, layout.step(0, cell.units).len());
        carry.fill(T::ZERO);
        let mut gradient = gradient;
        for steps in cell.segments::<T>(layout).into_iter().rev() {
            let range = steps.clone();
            self.backwards(layout, parameters, range, sums, &mut u, &mut carry, |t, u| {
                let now = primal.step(t, cell.units);
                match &mut curvature {
                    Some(second) => {
                        let second = Some(&mut second[now.clone()]);
                        activation::adjoint_epilogue(isa, &first[now], second, u);
                    }
                    None => activation::scale_rows(isa, cell.units, layout.count, &first[now], u),
                }
            });
            if let Some(gradients) = &mut gradient {
                for k in 0..layout.count {
                    self.add_masked(gradients.get_mut(k), |gradient| {
                        let with = (primal, states, Some(inputs), 0);
                        let steps = steps.clone();
                        cell.add_weight_gradients(steps, (layout, &u, k), with, gradient);
                    });
                }
            }
        }
        scratch.put_back(CARRY, carry);
        if let Some(gradients) = &mut gradient {
            cell.add_bias_gradients(layout, &u, gradients, scratch);
        }
        if let Some(input_error) = input_error {
            cell.pull_back_to_input(layout, parameters, &u, None, input_error, scratch);
        }
        match kept {
            Some(errors) => {
                errors.put_back(DELTA, u);
                if let Some(curvature) = curvature {
                    errors.put_back(CURVATURE, curvature);
                }
            }
            None => scratch.put_back(ERROR_TANGENTS, u),
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        mut gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        let Some(errors) = pass.errors else { return };
        let (isa, cell) = (Isa::current(), &self.cell);
        let parameters = &*self.masked(pass.parameters);
        let masked = self.masked_directions(pass.directions);
        let directions = match &masked {
            Some(masked) => Some(Directions::new(masked, parameters.len())),
            None => pass.directions,
        };
        let layout = cell.layout(pass.input, pass.count);
        let primal = TimeMajor { count: 1, ..layout };
        let delta = errors.array(DELTA);
        let mut u = tangents.take(ERROR_TANGENTS, layout.rows() * cell.units);
        let sums = self.errors_of_rates(layout, output_error, &mut u);
        let beta = if sums { T::ONE } else { T::ZERO };
        let first = pass.state.array(FIRST);
        let (states, inputs) = (pass.state.array(STATES), pass.state.array(INPUTS));
        let mut carry = tangents.take(CARRY, layout.step(0, cell.units).len());
        carry.fill(T::ZERO);
        let curved = cell.curved().then(|| tangents.array(CURVED));
        let state_tangents = tangents.array(STATE_TANGENTS);
        let input_tangents = pass.input_tangent.map(|_| tangents.array(INPUT_TANGENTS));
        for steps in cell.segments::<T>(layout).into_iter().rev() {
            if let Some(v) = directions {
                cell.pull_back_directions(layout, v, delta, steps.clone(), beta, &mut u);
            }
            let (range, sums) = (steps.clone(), sums || directions.is_some());
            self.backwards(layout, parameters, range, sums, &mut u, &mut carry, |t, u| {
                let first = Some(&first[primal.step(t, cell.units)]);
                let curved = curved.map(|curved| &curved[layout.step(t, cell.units)]);
                let (columns, count) = (cell.units, layout.count);
                activation::adjoint_tangent_epilogue(isa, columns, count, first, curved, u);
            });
            for k in 0..layout.count {
                self.add_masked(gradient.get_mut(k), |gradient| {
                    let with = (primal, states, Some(inputs), 0);
                    let range = steps.clone();
                    cell.add_weight_gradients(range, (layout, &u, k), with, gradient);
                    let with = (layout, state_tangents, input_tangents, k);
                    let range = steps.clone();
                    cell.add_weight_gradients(range, (primal, delta, 0), with, gradient);
                });
            }
        }
        tangents.put_back(CARRY, carry);
        cell.add_bias_gradients(layout, &u, &mut gradient, tangents);
        if let Some(input_error) = input_error {
            let directions = directions.map(|directions| (directions, delta));
            cell.pull_back_to_input(layout, parameters, &u, directions, input_error, tangents);
        }
        tangents.put_back(ERROR_TANGENTS, u);
    }
}
