//! The four passes of leaky units.

use std::ops::Range;

use hesse_kernels::activation;
use hesse_kernels::gemm::gemm;

use super::{CARRY, FILTERED, FILTERED_TANGENTS, LeakyRecurrent, VOLTAGES};
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
        // x; h, v, φ' and δ; φ'' and c; s.
        let arrays = 4 + if self.cell.curved() { 2 } else { 0 } + usize::from(self.filter != 0.0);
        self.cell.steps * (self.cell.inputs + arrays * self.cell.units)
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
        let (isa, cell) = (Isa::current(), &self.cell);
        let parameters = &*self.masked(parameters);
        let layout = cell.layout(input, 1);
        let length = layout.rows() * cell.units;
        let mut inputs = state.take(INPUTS, layout.rows() * cell.inputs);
        layout.gather(cell.inputs, input, &mut inputs);
        let mut v = state.take(VOLTAGES, length);
        let mut h = state.take(STATES, length);
        let bias = if cell.bias { &parameters[cell.weights()..] } else { &[] };
        if cell.bias {
            v.chunks_exact_mut(cell.units).for_each(|v| v.copy_from_slice(bias));
        }
        let beta = if cell.bias { T::ONE } else { T::ZERO };
        let weight = cell.input_weight(parameters).transposed();
        let drive = rows_mut(&mut v, cell.units);
        gemm(isa, T::ONE, rows(&inputs, cell.inputs), weight, beta, drive);

        let slopes = keep > Keep::Outputs;
        let mut first = slopes.then(|| state.take(FIRST, length));
        let second = keep == Keep::SecondOrder && cell.curved();
        let mut second = second.then(|| state.take(SECOND, length));
        let shifts: Option<Vec<T>> =
            self.shifts.as_ref().map(|x| x.iter().map(|&x| T::from_f64(x)).collect());
        let shifts = shifts.as_deref();
        let leaks = self.leaks::<T>();
        let weight = cell.recurrent_weight(parameters).transposed();
        for t in 0..cell.steps {
            let now = layout.step(t, cell.units);
            let (v_before, v_now) = split_step(&mut v, now.clone());
            let (h_before, h_now) = split_step(&mut h, now.clone());
            if let Some(h_before) = h_before {
                let (h, v) = (rows(h_before, cell.units), rows_mut(v_now, cell.units));
                gemm(isa, T::ONE, h, weight, T::ONE, v);
            }
            if !self.rate {
                leaks.step(v_before, v_now);
            }
            h_now.copy_from_slice(v_now);
            match &mut first {
                None => activation::bias_activation(isa, cell.activation, shifts, h_now),
                Some(first) => activation::bias_activation_derivatives(
                    isa,
                    cell.activation,
                    shifts,
                    h_now,
                    &mut first[now.clone()],
                    second.as_mut().map(|second| &mut second[now]),
                ),
            }
            if self.rate {
                leaks.step(h_before, h_now);
            }
        }
        if self.filter == 0.0 {
            cell.read_output(layout, &h, output);
        } else {
            let filtered = state.buffer(FILTERED, length);
            self.filtered(layout, &h, filtered);
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
        match directions {
            Some(directions) => cell.multiply_directions(layout, directions, pass.state, &mut z),
            None => z.fill(T::ZERO),
        }
        if let Some(input_tangent) = pass.input_tangent {
            let mut inputs = tangents.take(INPUT_TANGENTS, layout.rows() * cell.inputs);
            layout.gather(cell.inputs, input_tangent, &mut inputs);
            let weight = cell.input_weight(parameters).transposed();
            let x = rows(&inputs, cell.inputs);
            gemm(isa, T::ONE, x, weight, T::ONE, rows_mut(&mut z, cell.units));
            tangents.put_back(INPUT_TANGENTS, inputs);
        }
        let mut bias_tangents = tangents.take(BIAS_TANGENTS, pass.count * cell.units);
        if let Some(directions) = directions.filter(|_| cell.bias) {
            for (k, bias) in bias_tangents.chunks_exact_mut(cell.units).enumerate() {
                bias.copy_from_slice(&directions.get(k)[cell.weights()..]);
            }
            for z in z.chunks_exact_mut(bias_tangents.len()) {
                z.iter_mut().zip(&bias_tangents).for_each(|(z, &bias)| *z += bias);
            }
        }
        tangents.put_back(BIAS_TANGENTS, bias_tangents);

        let first = pass.state.array(FIRST);
        let curvature = pass.errors.filter(|_| cell.curved()).map(|errors| errors.array(CURVATURE));
        let leaks = self.leaks::<T>();
        let step = layout.step(0, cell.units).len();
        let mut carry = tangents.take(CARRY, step);
        carry.fill(T::ZERO);
        let mut before = 0..0;
        let weight = cell.recurrent_weight(parameters).transposed();
        for t in 0..cell.steps {
            let (here, now) = (primal.step(t, cell.units), layout.step(t, cell.units));
            let z = &mut z[now.clone()];
            if t > 0 {
                let (y, z) = (rows(&y[before], cell.units), rows_mut(z, cell.units));
                gemm(isa, T::ONE, y, weight, T::ONE, z);
            }
            if !self.rate {
                leaks.step(Some(&carry), z);
                carry.copy_from_slice(z);
            }
            activation::tangent_epilogue(
                isa,
                cell.units,
                layout.count,
                None,
                Some(&first[here.clone()]),
                curvature.map(|curvature| &curvature[here]),
                z,
                &mut y[now.clone()],
            );
            if self.rate {
                let (y_before, y) = split_step(&mut y, now.clone());
                leaks.step(y_before, y);
            }
            before = now;
        }
        if self.filter == 0.0 {
            cell.read_output(layout, &y, output_tangent);
        } else {
            let filtered = tangents.buffer(FILTERED_TANGENTS, length);
            self.filtered(layout, &y, filtered);
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
        self.errors_of_rates(layout, output_error, &mut u);
        let mut curvature = kept.as_mut().filter(|_| cell.curved()).map(|errors| {
            let mut curvature = errors.take(CURVATURE, length);
            curvature.copy_from_slice(pass.state.array(SECOND));
            curvature
        });
        let first = pass.state.array(FIRST);
        let mut carry = scratch.take(CARRY, layout.step(0, cell.units).len());
        self.backwards(layout, parameters, &mut u, &mut carry, |t, u| {
            let now = primal.step(t, cell.units);
            match &mut curvature {
                Some(second) => {
                    let second = Some(&mut second[now.clone()]);
                    activation::adjoint_epilogue(isa, &first[now], second, u);
                }
                None => activation::scale_rows(isa, cell.units, layout.count, &first[now], u),
            }
        });
        scratch.put_back(CARRY, carry);
        if let Some(mut gradients) = gradient {
            let (states, inputs) = (pass.state.array(STATES), pass.state.array(INPUTS));
            for k in 0..layout.count {
                self.add_masked(gradients.get_mut(k), |gradient| {
                    let with = (primal, states, Some(inputs), 0);
                    cell.add_weight_gradients((layout, &u, k), with, gradient);
                });
            }
            cell.add_bias_gradients(layout, &u, &mut gradients, scratch);
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
        let last = cell.steps - 1;
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
        self.errors_of_rates(layout, output_error, &mut u);
        if let Some(directions) = directions {
            // V_Wᵀ d_{t+1}, which does not depend on the tangents of later errors.
            let later = primal.tangent(delta, cell.units, 0, 1..cell.steps);
            for k in 0..layout.count {
                let v = cell.recurrent_weight(directions.get(k));
                let before = layout.tangent_mut(&mut u, cell.units, k, 0..last);
                gemm(isa, T::ONE, later, v, T::ONE, before);
            }
        }
        let first = pass.state.array(FIRST);
        let mut carry = tangents.take(CARRY, layout.step(0, cell.units).len());
        let curved = cell.curved().then(|| tangents.array(CURVED));
        self.backwards(layout, parameters, &mut u, &mut carry, |t, u| {
            let first = Some(&first[primal.step(t, cell.units)]);
            let curved = curved.map(|curved| &curved[layout.step(t, cell.units)]);
            activation::adjoint_tangent_epilogue(isa, cell.units, layout.count, first, curved, u);
        });
        tangents.put_back(CARRY, carry);
        for k in 0..layout.count {
            self.add_masked(gradient.get_mut(k), |gradient| {
                let with = (primal, pass.state.array(STATES), Some(pass.state.array(INPUTS)), 0);
                cell.add_weight_gradients((layout, &u, k), with, gradient);
                let inputs = pass.input_tangent.map(|_| tangents.array(INPUT_TANGENTS));
                let with = (layout, tangents.array(STATE_TANGENTS), inputs, k);
                cell.add_weight_gradients((primal, delta, 0), with, gradient);
            });
        }
        cell.add_bias_gradients(layout, &u, &mut gradient, tangents);
        if let Some(input_error) = input_error {
            let directions = directions.map(|directions| (directions, delta));
            cell.pull_back_to_input(layout, parameters, &u, directions, input_error, tangents);
        }
        tangents.put_back(ERROR_TANGENTS, u);
    }
}
