//! Weight-shared recurrent layer of leaky units, with a filtered output.

use std::borrow::Cow;

use hesse_kernels::activation::{self, Activation};
use hesse_kernels::gemm::gemm;

use super::products::{rows, rows_mut};
use super::time_major::TimeMajor;
use super::{
    BIAS_TANGENTS, CURVATURE, CURVED, DELTA, ERROR_TANGENTS, FIRST, INPUT_TANGENTS, INPUTS,
    Recurrent, SECOND, STATE_TANGENTS, STATES,
};
use crate::error::check_finite;
use crate::network::Initializer;
use crate::network::layer::{
    Adjoint, Directions, Gradients, Keep, Layer, ParameterSpec, State, Tangent,
};
use crate::{Error, Isa, Real, Result};

/// Which variable of a leaky unit leaks, and the factor a ∈ [0, 1) that one step leaves of it: one
/// for all units, or one for each.
///
/// a = exp(−dt/τ) for the exact decay over a step dt at time constant τ, 1 − dt/τ for Euler's.
#[derive(Clone, Debug, PartialEq)]
pub enum Leak {
    /// v_t = a v_{t−1} + (1 − a) u_t, h_t = φ(v_t − θ).
    Voltage(Vec<f64>),
    /// h_t = a h_{t−1} + (1 − a) φ(u_t − θ).
    Rate(Vec<f64>),
}

impl Leak {
    /// The factors, one for all or one for each unit.
    #[must_use]
    pub fn factors(&self) -> &[f64] {
        match self {
            Leak::Voltage(a) | Leak::Rate(a) => a,
        }
    }
}

/// Leaky rate units with drive u_t = W h_{t−1} + U x_t + b and output s_t = κ s_{t−1} + (1 − κ) h_t,
/// from v_0 = h_0 = s_0 = 0 (h_0 = 0 also where φ(0) is not).
///
/// [`Leak`] says how h_t follows from u_t. The input is x_1 … x_T, of shape `[time, features]`; the
/// output is s_T, of shape `[units]`, or with [`LeakyRecurrent::every_step`] all of them, `[time,
/// units]`. Parameters: `recurrent_weight` W units × units (row: the unit that receives),
/// `input_weight` U units × features, `bias` b units (optional). Without
/// [`autapses`](LeakyRecurrent::autapses) the diagonal of W counts as zero, and its gradients and
/// curvatures are zero.
///
/// As in [`Recurrent`], what does not depend on the state before is one product over all times and
/// samples: U x_t, the products of tangents of the weights with primal states and errors, and both
/// gradients of weights. What does is one product a step, over all samples and tangents at once;
/// the leak and the filter are one pass over the rows of a step. Flops as in [`Recurrent`].
#[derive(Clone, Debug)]
pub struct LeakyRecurrent {
    cell: Recurrent,
    rate: bool,
    /// a and 1 − a, for each unit.
    factors: [Vec<f64>; 2],
    /// −θ for each unit, where it is not zero.
    shifts: Option<Vec<f64>>,
    filter: f64,
    autapses: bool,
}

/// Slots behind those of [`Recurrent`]. Of the state: v_t (u_t for the rate leak) and s_t, `[t][b]`. Of
/// tangents and scratch: the leaking variable of one step, and the filtered tangents.
const VOLTAGES: usize = 4;
const FILTERED: usize = 5;
const CARRY: usize = 6;
const FILTERED_TANGENTS: usize = 7;

/// Factors below this are zero: products with them would be denormal numbers in single precision.
const NO_LEAK: f64 = 1e-30;

/// What a forward pass leaves, each `[t][b][i]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeakyStates<'a, T> {
    /// x_t.
    pub(crate) inputs: &'a [T],
    /// v_t, or u_t for the rate leak.
    pub(crate) voltages: &'a [T],
    /// h_t.
    pub(crate) rates: &'a [T],
    /// φ'_t.
    pub(crate) slopes: &'a [T],
    /// s_t; h_t itself without a filter.
    pub(crate) filtered: &'a [T],
}

impl LeakyRecurrent {
    /// A layer of `units` units over a sequence of shape `[time, features]`, with bias and autapses,
    /// without filter, whose output is that of the last step.
    ///
    /// # Errors
    /// Another number of axes, a zero width, factors that are neither one nor `units` numbers of
    /// [0, 1).
    pub fn new(
        input_shape: &[usize],
        units: usize,
        activation: Activation,
        leak: &Leak,
    ) -> Result<Self> {
        let cell = Recurrent::new(input_shape, units, activation)?;
        let given = leak.factors();
        if given.len() != 1 && given.len() != units {
            let expected = format!("1 or {units} factors");
            return Err(Error::shape("leak", expected, given.len()));
        }
        if let Some(a) = given.iter().find(|a| !(0.0..1.0).contains(*a)) {
            return Err(Error::range("leak", "factors in [0, 1)", a));
        }
        let factor = |i: usize| given[if given.len() == 1 { 0 } else { i }];
        let a: Vec<f64> =
            (0..units).map(factor).map(|a| if a < NO_LEAK { 0.0 } else { a }).collect();
        let gains = a.iter().map(|a| 1.0 - a).collect();
        Ok(Self {
            cell,
            rate: matches!(leak, Leak::Rate(_)),
            factors: [a, gains],
            shifts: None,
            filter: 0.0,
            autapses: true,
        })
    }

    /// Thresholds θ, one for each unit; zero by default.
    ///
    /// # Errors
    /// Another number of thresholds than units, NaN or infinities.
    pub fn thresholds(mut self, thresholds: &[f64]) -> Result<Self> {
        if thresholds.len() != self.cell.units {
            return Err(Error::shape("thresholds", self.cell.units, thresholds.len()));
        }
        check_finite("thresholds", thresholds)?;
        let any = thresholds.iter().any(|&theta| theta != 0.0);
        self.shifts = any.then(|| thresholds.iter().map(|theta| -theta).collect());
        Ok(self)
    }

    /// κ of the output; 0 by default.
    ///
    /// # Errors
    /// A number outside [0, 1).
    pub fn readout_filter(mut self, kappa: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&kappa) {
            return Err(Error::range("readout filter", "a number in [0, 1)", kappa));
        }
        self.filter = kappa;
        Ok(self)
    }

    /// Whether units have synapses with themselves; yes by default.
    #[must_use]
    pub fn autapses(mut self, autapses: bool) -> Self {
        self.autapses = autapses;
        self
    }

    /// Whether the output is that of all times rather than the last one.
    #[must_use]
    pub fn every_step(mut self, every_step: bool) -> Self {
        self.cell = self.cell.every_step(every_step);
        self
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.cell = self.cell.bias(bias);
        self
    }

    /// How W starts, and the bias, see [`Initializer::for_bias`].
    #[must_use]
    pub fn recurrent_initializer(mut self, initializer: Initializer) -> Self {
        self.cell = self.cell.recurrent_initializer(initializer);
        self
    }

    /// How U starts.
    #[must_use]
    pub fn input_initializer(mut self, initializer: Initializer) -> Self {
        self.cell = self.cell.input_initializer(initializer);
        self
    }

    /// What `forward` kept beyond outputs in `state`.
    pub(crate) fn states<'a, T: Real>(&self, state: &'a State<T>) -> LeakyStates<'a, T> {
        let rates = state.array(STATES);
        LeakyStates {
            inputs: state.array(INPUTS),
            voltages: state.array(VOLTAGES),
            rates,
            slopes: state.array(FIRST),
            filtered: if self.filter == 0.0 { rates } else { state.array(FILTERED) },
        }
    }

    /// Parameters, or tangents of them, with a zero diagonal of W where it does not count.
    fn masked<'a, T: Real>(&self, parameters: &'a [T]) -> Cow<'a, [T]> {
        if self.autapses {
            return Cow::Borrowed(parameters);
        }
        let mut masked = parameters.to_vec();
        (0..self.cell.units).for_each(|i| masked[i * (self.cell.units + 1)] = T::ZERO);
        Cow::Owned(masked)
    }

    /// The tangents of the layer's parameters, masked and one after the other, where a mask is needed.
    fn masked_directions<T: Real>(&self, directions: Option<Directions<'_, T>>) -> Option<Vec<T>> {
        let directions = directions.filter(|_| !self.autapses)?;
        Some(
            (0..directions.count())
                .flat_map(|k| self.masked(directions.get(k)).into_owned())
                .collect(),
        )
    }

    /// Runs `add` on a gradient, whose diagonal of W stays as it was where it does not count.
    fn add_masked<T: Real>(&self, gradient: &mut [T], add: impl FnOnce(&mut [T])) {
        if self.autapses {
            return add(gradient);
        }
        let step = self.cell.units + 1;
        let diagonal: Vec<T> = (0..self.cell.units).map(|i| gradient[i * step]).collect();
        add(gradient);
        diagonal.into_iter().enumerate().for_each(|(i, x)| gradient[i * step] = x);
    }

    fn leaks<T: Real>(&self) -> Leaks<T> {
        let convert = |x: &[f64]| x.iter().map(|&x| T::from_f64(x)).collect();
        Leaks { keep: convert(&self.factors[0]), gain: convert(&self.factors[1]) }
    }

    /// s_t ← κ s_{t−1} + (1 − κ) h_t for all times.
    fn filtered<T: Real>(&self, layout: TimeMajor, rates: &[T], filtered: &mut [T]) {
        let (kappa, gain) = (T::from_f64(self.filter), T::from_f64(1.0 - self.filter));
        let step = layout.step(0, self.cell.units).len();
        for (i, &h) in rates.iter().enumerate() {
            let before = if i < step { T::ZERO } else { filtered[i - step] };
            filtered[i] = kappa * before + gain * h;
        }
    }

    /// The errors of h_t from those of the output: g_t = (1 − κ) r_t with r_t = s̄_t + κ r_{t+1}.
    fn errors_of_rates<T: Real>(&self, layout: TimeMajor, output_error: &[T], errors: &mut [T]) {
        if !self.cell.every_step {
            errors.fill(T::ZERO);
        }
        self.cell.write_errors(layout, output_error, errors);
        if self.filter == 0.0 {
            return;
        }
        let (kappa, gain) = (T::from_f64(self.filter), T::from_f64(1.0 - self.filter));
        let step = layout.step(0, self.cell.units).len();
        for i in (0..errors.len() - step).rev() {
            errors[i] += kappa * errors[i + step];
        }
        errors.iter_mut().for_each(|g| *g *= gain);
    }

    /// From the last time to the first: u_t += Wᵀ d_{t+1}, then u_t becomes d_t by `slope`, which
    /// multiplies by φ', and by the leak, which λ_t = · + a λ_{t+1} carries.
    fn backwards<T: Real>(
        &self,
        layout: TimeMajor,
        parameters: &[T],
        u: &mut [T],
        carry: &mut [T],
        mut slope: impl FnMut(usize, &mut [T]),
    ) {
        let leaks = self.leaks::<T>();
        carry.fill(T::ZERO);
        self.cell.backwards(layout, parameters, true, u, |t, u| {
            if self.rate {
                leaks.carry_back(carry, u);
                slope(t, u);
            } else {
                slope(t, u);
                leaks.carry_back(carry, u);
            }
        });
    }
}

/// The factors of the leak in the storage type.
struct Leaks<T> {
    keep: Vec<T>,
    gain: Vec<T>,
}

impl<T: Real> Leaks<T> {
    /// y ← a before + (1 − a) y over rows of units; without `before`, zero.
    fn step(&self, before: Option<&[T]>, y: &mut [T]) {
        let n = self.keep.len();
        match before {
            Some(before) => {
                for (y, before) in y.chunks_exact_mut(n).zip(before.chunks_exact(n)) {
                    for i in 0..n {
                        y[i] = self.keep[i] * before[i] + self.gain[i] * y[i];
                    }
                }
            }
            None => {
                for y in y.chunks_exact_mut(n) {
                    y.iter_mut().zip(&self.gain).for_each(|(y, &gain)| *y *= gain);
                }
            }
        }
    }

    /// λ ← u + a λ, then u ← (1 − a) λ.
    fn carry_back(&self, carry: &mut [T], u: &mut [T]) {
        let n = self.keep.len();
        for (u, carry) in u.chunks_exact_mut(n).zip(carry.chunks_exact_mut(n)) {
            for i in 0..n {
                carry[i] = u[i] + self.keep[i] * carry[i];
                u[i] = self.gain[i] * carry[i];
            }
        }
    }
}

/// The part of `z` before `start`, if any, in rows of the step before, and from `start` on.
fn split_step<T>(z: &mut [T], now: std::ops::Range<usize>) -> (Option<&[T]>, &mut [T]) {
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
