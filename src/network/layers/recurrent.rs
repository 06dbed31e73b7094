//! Weight-shared recurrent layer.

mod leaky;
mod products;
mod time_major;

use hesse_kernels::activation::{self, Activation};
use hesse_kernels::gemm::gemm;

use crate::network::Initializer;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features, parameter_count,
};
use crate::{Error, Isa, Real, Result};
pub(crate) use leaky::Span;
pub use leaky::{Leak, LeakyRecurrent};
use products::{rows, rows_mut};
use time_major::TimeMajor;

/// h_t = φ(W_hh h_{t−1} + W_xh x_t + b_h) from h_0 = 0, with the same parameters at every time.
///
/// The input is x_1 … x_T, of shape `[time, features]`; the output is the last state h_T, of shape
/// `[units]`, or with [`Recurrent::every_step`] all of them, `[time, units]`. Parameters:
/// `recurrent_weight` W_hh units × units, `input_weight` W_xh units × features, `bias` b_h units
/// (optional).
///
/// What does not depend on the state before is one product over all times and samples: W_xh x_t,
/// the products of tangents of the weights with primal states and errors, and every gradient of the
/// weights. What does is one product a step, over all samples and all tangents at once. Inside, the
/// arrays have time as their first axis: the rows of a step are contiguous, so that its activation
/// is one pass, and a step does not walk over the whole memory.
///
/// 2·T·units·(units + features) flops a sample for `forward`, twice that for `tangent` and
/// `adjoint`, four times that for `adjoint_tangent`; less where the input has no tangent and its
/// error is not wanted. Steps with few samples are bound by reading W_hh: several tangents at once
/// share the read.
#[derive(Clone, Debug)]
pub struct Recurrent {
    steps: usize,
    inputs: usize,
    units: usize,
    activation: Activation,
    every_step: bool,
    bias: bool,
    recurrent_initializer: Initializer,
    input_initializer: Initializer,
    input_shape: [usize; 2],
    output_shape: Vec<usize>,
}

/// Slots of the state of `forward`: states, x, φ' and φ'', each `[t][b]`.
const STATES: usize = 0;
const INPUTS: usize = 1;
const FIRST: usize = 2;
const SECOND: usize = 3;
/// Slots of the errors of `adjoint`: δ = φ'∘h̄, and c = φ''∘h̄, each `[t][b]`.
const DELTA: usize = 0;
const CURVATURE: usize = 1;
/// Slots of the tangents, each `[t][b][k]`: ḣ, ż (then c∘ż), ẋ, ḃ (`[k]`), δ̇ and the error of x. The
/// scratch of `adjoint` has those of the latter that it needs.
const STATE_TANGENTS: usize = 0;
const CURVED: usize = 1;
const INPUT_TANGENTS: usize = 2;
const BIAS_TANGENTS: usize = 3;
const ERROR_TANGENTS: usize = 4;
const INPUT_ERRORS: usize = 5;

/// Features of the steps of one sample that should be in cache at once.
const SEGMENT_FEATURES: usize = 8192;

impl Recurrent {
    /// A layer of `units` units over a sequence of shape `[time, features]`, with bias, whose output
    /// is its last state.
    ///
    /// # Errors
    /// Another number of axes, a zero width.
    pub fn new(input_shape: &[usize], units: usize, activation: Activation) -> Result<Self> {
        let &[steps, inputs] = input_shape else {
            let shape = format!("{input_shape:?}");
            return Err(Error::range("recurrent layer: input", "[time, features]", shape));
        };
        if features(input_shape) == 0 {
            let shape = format!("{input_shape:?}");
            return Err(Error::range("recurrent layer: input", "positive widths", shape));
        }
        if units == 0 {
            return Err(Error::range("recurrent layer: units", "a positive number", units));
        }
        Ok(Self {
            steps,
            inputs,
            units,
            activation,
            every_step: false,
            bias: true,
            recurrent_initializer: Initializer::default(),
            input_initializer: Initializer::default(),
            input_shape: [steps, inputs],
            output_shape: vec![units],
        })
    }

    /// Whether the output is the states of all times rather than the last one.
    #[must_use]
    pub fn every_step(mut self, every_step: bool) -> Self {
        self.every_step = every_step;
        self.output_shape =
            if every_step { vec![self.steps, self.units] } else { vec![self.units] };
        self
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// How W_hh starts, and the bias, see [`Initializer::for_bias`].
    #[must_use]
    pub fn recurrent_initializer(mut self, initializer: Initializer) -> Self {
        self.recurrent_initializer = initializer;
        self
    }

    /// How W_xh starts.
    #[must_use]
    pub fn input_initializer(mut self, initializer: Initializer) -> Self {
        self.input_initializer = initializer;
        self
    }

    /// Number of elements of W_hh.
    fn recurrent_weights(&self) -> usize {
        self.units * self.units
    }

    /// Number of elements of W_hh and W_xh, behind which the bias lies.
    fn weights(&self) -> usize {
        self.units * (self.units + self.inputs)
    }

    fn linear(&self) -> bool {
        self.activation == Activation::Identity
    }

    fn curved(&self) -> bool {
        !self.activation.is_piecewise_linear()
    }

    /// The layout of `count` tangents of a shard with these inputs.
    fn layout(&self, input: &[impl Real], count: usize) -> TimeMajor {
        TimeMajor { steps: self.steps, samples: input.len() / features(&self.input_shape), count }
    }
}

impl<T: Real> Layer<T> for Recurrent {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let h = self.units;
        let spec = |name: &str, shape: &[usize], fan_in, initializer| ParameterSpec {
            name: name.into(),
            shape: shape.to_vec(),
            fan_in,
            fan_out: h,
            initializer,
        };
        let (recurrent, input) = (self.recurrent_initializer, self.input_initializer);
        let mut specs = vec![
            spec("recurrent_weight", &[h, h], h, recurrent),
            spec("input_weight", &[h, self.inputs], self.inputs, input),
        ];
        if self.bias {
            specs.push(spec("bias", &[h], h, recurrent.for_bias()));
        }
        specs
    }

    fn kept_features(&self) -> usize {
        // States; φ' and δ; φ'' and c.
        let arrays = match (self.linear(), self.curved()) {
            (true, _) => 2,
            (_, false) => 3,
            (_, true) => 5,
        };
        self.steps * (self.inputs + arrays * self.units)
    }

    fn widest_features(&self) -> usize {
        // An array of several steps; where there are few units, of more.
        self.steps.min((SEGMENT_FEATURES / self.units).clamp(16, 64)) * self.inputs.max(self.units)
    }

    fn multiplications(&self) -> usize {
        self.steps * parameter_count(&Layer::<T>::parameters(self))
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        let isa = Isa::current();
        let layout = self.layout(input, 1);
        let length = layout.rows() * self.units;
        let mut inputs = state.take(INPUTS, layout.rows() * self.inputs);
        layout.gather(self.inputs, input, &mut inputs);
        let mut states = state.take(STATES, length);
        let x = rows(&inputs, self.inputs);
        let weight = self.input_weight(parameters).transposed();
        gemm(isa, T::ONE, x, weight, T::ZERO, rows_mut(&mut states, self.units));

        let (slopes, curved) = (keep > Keep::Outputs && !self.linear(), self.curved());
        let mut first = slopes.then(|| state.take(FIRST, length));
        let second = slopes && curved && keep == Keep::SecondOrder;
        let mut second = second.then(|| state.take(SECOND, length));
        let bias = self.bias.then(|| &parameters[self.weights()..]);
        self.forwards(layout, parameters, 0..self.steps, &mut states, None, |t, z, _| {
            let now = layout.step(t, self.units);
            match &mut first {
                None => activation::bias_activation(isa, self.activation, bias, z),
                Some(first) => activation::bias_activation_derivatives(
                    isa,
                    self.activation,
                    bias,
                    z,
                    &mut first[now.clone()],
                    second.as_mut().map(|second| &mut second[now]),
                ),
            }
        });
        self.read_output(layout, &states, output);
        state.put_back(STATES, states);
        state.put_back(INPUTS, inputs);
        if let Some(first) = first {
            state.put_back(FIRST, first);
        }
        if let Some(second) = second {
            state.put_back(SECOND, second);
        }
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let isa = Isa::current();
        let layout = self.layout(pass.input, pass.count);
        let primal = TimeMajor { count: 1, ..layout };
        let mut z = tangents.take(CURVED, layout.rows() * self.units);
        let mut y = tangents.take(STATE_TANGENTS, layout.rows() * self.units);
        let mut bias_tangents = tangents.take(BIAS_TANGENTS, pass.count * self.units);
        let mut beta = T::ZERO;
        match pass.directions {
            Some(directions) => {
                let all = 0..self.steps;
                self.multiply_directions(layout, directions, pass.state, all, &mut z);
                beta = T::ONE;
            }
            None if pass.input_tangent.is_none() => z.fill(T::ZERO),
            None => {}
        }
        if let Some(input_tangent) = pass.input_tangent {
            let mut inputs = tangents.take(INPUT_TANGENTS, layout.rows() * self.inputs);
            layout.gather(self.inputs, input_tangent, &mut inputs);
            let weight = self.input_weight(pass.parameters).transposed();
            let x = rows(&inputs, self.inputs);
            gemm(isa, T::ONE, x, weight, beta, rows_mut(&mut z, self.units));
            tangents.put_back(INPUT_TANGENTS, inputs);
        }
        let bias = pass.directions.filter(|_| self.bias).map(|directions| {
            for (k, bias) in bias_tangents.chunks_exact_mut(self.units).enumerate() {
                bias.copy_from_slice(&directions.get(k)[self.weights()..]);
            }
            &bias_tangents[..]
        });
        let first = (!self.linear()).then(|| pass.state.array(FIRST));
        let curvature = pass.errors.filter(|_| self.curved()).map(|errors| errors.array(CURVATURE));
        let all = 0..self.steps;
        self.forwards(layout, pass.parameters, all, &mut z, Some(&mut y), |t, z, y| {
            let now = primal.step(t, self.units);
            let Some(y) = y else { return };
            activation::tangent_epilogue(
                isa,
                self.units,
                layout.count,
                bias,
                first.map(|first| &first[now.clone()]),
                curvature.map(|curvature| &curvature[now]),
                z,
                y,
            );
        });
        self.read_output(layout, &y, output_tangent);
        tangents.put_back(CURVED, z);
        tangents.put_back(STATE_TANGENTS, y);
        tangents.put_back(BIAS_TANGENTS, bias_tangents);
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
        let isa = Isa::current();
        let layout = self.layout(pass.input, pass.count);
        let primal = TimeMajor { count: 1, ..layout };
        let length = layout.rows() * self.units;
        // What is to be kept is made in its place.
        let mut kept = errors;
        let mut u = match &mut kept {
            Some(errors) => errors.take(DELTA, length),
            None => scratch.take(ERROR_TANGENTS, length),
        };
        self.write_errors(layout, output_error, &mut u);
        let first = (!self.linear()).then(|| pass.state.array(FIRST));
        let mut curvature = kept.as_mut().filter(|_| self.curved()).map(|errors| {
            let mut curvature = errors.take(CURVATURE, length);
            curvature.copy_from_slice(pass.state.array(SECOND));
            curvature
        });
        let all = 0..self.steps;
        self.backwards(layout, pass.parameters, all, self.every_step, &mut u, |t, u| {
            let Some(first) = first else { return };
            let now = primal.step(t, self.units);
            match &mut curvature {
                Some(second) => {
                    let second = Some(&mut second[now.clone()]);
                    activation::adjoint_epilogue(isa, &first[now], second, u);
                }
                None => {
                    activation::scale_rows(isa, self.units, layout.count, &first[now], u);
                }
            }
        });
        if let Some(mut gradients) = gradient {
            let (states, inputs) = (pass.state.array(STATES), pass.state.array(INPUTS));
            for k in 0..layout.count {
                let gradient = gradients.get_mut(k);
                let with = (primal, states, Some(inputs), 0);
                self.add_weight_gradients(0..self.steps, (layout, &u, k), with, gradient);
            }
            self.add_bias_gradients(layout, &u, &mut gradients, scratch);
        }
        if let Some(input_error) = input_error {
            self.pull_back_to_input(layout, pass.parameters, &u, None, input_error, scratch);
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
        let isa = Isa::current();
        let layout = self.layout(pass.input, pass.count);
        let primal = TimeMajor { count: 1, ..layout };
        let delta = errors.array(DELTA);
        let mut u = tangents.take(ERROR_TANGENTS, layout.rows() * self.units);
        if !self.every_step {
            u.fill(T::ZERO);
        }
        self.write_errors(layout, output_error, &mut u);
        if let Some(directions) = pass.directions {
            let all = 0..self.steps;
            self.pull_back_directions(layout, directions, delta, all, T::ONE, &mut u);
        }
        let first = (!self.linear()).then(|| pass.state.array(FIRST));
        let curved = self.curved().then(|| tangents.array(CURVED));
        self.backwards(layout, pass.parameters, 0..self.steps, true, &mut u, |t, u| {
            let first = first.map(|first| &first[primal.step(t, self.units)]);
            let curved = curved.map(|curved| &curved[layout.step(t, self.units)]);
            activation::adjoint_tangent_epilogue(isa, self.units, layout.count, first, curved, u);
        });
        for k in 0..layout.count {
            let gradient = gradient.get_mut(k);
            let with = (primal, pass.state.array(STATES), Some(pass.state.array(INPUTS)), 0);
            self.add_weight_gradients(0..self.steps, (layout, &u, k), with, gradient);
            let inputs = pass.input_tangent.map(|_| tangents.array(INPUT_TANGENTS));
            let with = (layout, tangents.array(STATE_TANGENTS), inputs, k);
            self.add_weight_gradients(0..self.steps, (primal, delta, 0), with, gradient);
        }
        self.add_bias_gradients(layout, &u, &mut gradient, tangents);
        if let Some(input_error) = input_error {
            let directions = pass.directions.map(|directions| (directions, delta));
            let parameters = pass.parameters;
            self.pull_back_to_input(layout, parameters, &u, directions, input_error, tangents);
        }
        tangents.put_back(ERROR_TANGENTS, u);
    }
}
