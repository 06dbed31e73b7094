//! The recurrent layer as its equations stand, sample by sample and step by step: the oracle.

use hesse::network::layer::{Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent};
use hesse::network::{Activation, Initializer};
use hesse_kernels::Isa;
use hesse_kernels::activation::bias_activation_derivatives;

/// h_t = φ(W_hh h_{t−1} + W_xh x_t + b): input `[time][m]`, output the last state or all of them.
#[derive(Debug)]
pub struct Prototype {
    pub steps: usize,
    pub inputs: usize,
    pub units: usize,
    pub activation: Activation,
    pub every_step: bool,
    input_shape: [usize; 2],
    output_shape: Vec<usize>,
}

/// y += W x for W at `offset` with `x.len()` columns.
fn add_product(parameters: &[f64], offset: usize, x: &[f64], y: &mut [f64]) {
    for (row, y) in parameters[offset..].chunks_exact(x.len()).zip(y) {
        *y += row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    }
}

/// x += Wᵀ y.
fn add_transposed(parameters: &[f64], offset: usize, y: &[f64], x: &mut [f64]) {
    for (row, y) in parameters[offset..].chunks_exact(x.len()).zip(y) {
        for (x, w) in x.iter_mut().zip(row) {
            *x += w * y;
        }
    }
}

/// G += y xᵀ.
fn add_outer(gradient: &mut [f64], offset: usize, y: &[f64], x: &[f64]) {
    for (row, y) in gradient[offset..].chunks_exact_mut(x.len()).zip(y) {
        for (g, x) in row.iter_mut().zip(x) {
            *g += y * x;
        }
    }
}

fn add(y: &mut [f64], x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

/// Slots of the state: states, φ' and φ'' at every step.
const STATES: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;
/// Slots of the errors: δ_t, and the error at h_t.
const DELTA: usize = 0;
const ERROR: usize = 1;

impl Prototype {
    pub fn new(shape: [usize; 2], units: usize, activation: Activation, every_step: bool) -> Self {
        let [steps, inputs] = shape;
        let output_shape = if every_step { vec![steps, units] } else { vec![units] };
        Self { steps, inputs, units, activation, every_step, input_shape: shape, output_shape }
    }

    fn sizes(&self) -> (usize, usize, usize) {
        (self.steps, self.inputs, self.units)
    }

    /// Offsets of W_xh and b_h behind W_hh.
    fn offsets(&self) -> (usize, usize) {
        let (_, m, h) = self.sizes();
        (h * h, h * h + h * m)
    }

    /// The rows of one sample at all times.
    fn of_row<'a>(&self, array: &'a [f64], row: usize) -> &'a [f64] {
        let (steps, _, h) = self.sizes();
        &array[row * steps * h..][..steps * h]
    }

    fn write_output(&self, row: usize, states: &[f64], output: &mut [f64]) {
        let wanted = if self.every_step { states } else { &states[states.len() - self.units..] };
        output[row * wanted.len()..][..wanted.len()].copy_from_slice(wanted);
    }

    /// What the output's error of a sample adds to the error of h_t.
    fn error_at<'a>(&self, row: usize, t: usize, error: &'a [f64]) -> Option<&'a [f64]> {
        let (steps, _, h) = self.sizes();
        match self.every_step {
            true => Some(&error[(row * steps + t) * h..][..h]),
            false => (t + 1 == steps).then(|| &error[row * h..][..h]),
        }
    }

    /// Adds the gradient of one step: δ hᵀ, δ xᵀ, δ.
    fn add_gradient(&self, gradient: &mut [f64], delta: &[f64], before: &[f64], x: &[f64]) {
        let (input, bias) = self.offsets();
        add_outer(gradient, 0, delta, before);
        add_outer(gradient, input, delta, x);
        add(&mut gradient[bias..], delta);
    }
}

impl Layer<f64> for Prototype {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let (_, m, h) = self.sizes();
        let spec = |name: &str, shape: &[usize], fan_in| ParameterSpec {
            name: name.into(),
            shape: shape.to_vec(),
            fan_in,
            fan_out: h,
            initializer: Initializer::UniformFanIn,
        };
        vec![
            spec("recurrent_weight", &[h, h], h),
            spec("input_weight", &[h, m], m),
            spec("bias", &[h], h),
        ]
    }

    fn kept_features(&self) -> usize {
        let (steps, _, h) = self.sizes();
        5 * steps * h
    }

    fn forward(
        &self,
        parameters: &[f64],
        input: &[f64],
        output: &mut [f64],
        state: &mut State<f64>,
        _keep: Keep,
    ) {
        let (steps, m, h) = self.sizes();
        let (w_input, w_bias) = self.offsets();
        let samples = input.len() / (steps * m);
        let length = samples * steps * h;
        let [mut all, mut first, mut second] =
            [STATES, FIRST, SECOND].map(|slot| state.take(slot, length));
        for b in 0..samples {
            let states = &mut all[b * steps * h..][..steps * h];
            for t in 0..steps {
                let (before, now) = states.split_at_mut(t * h);
                let now = &mut now[..h];
                now.copy_from_slice(&parameters[w_bias..][..h]);
                if t > 0 {
                    add_product(parameters, 0, &before[(t - 1) * h..], now);
                }
                add_product(parameters, w_input, &input[(b * steps + t) * m..][..m], now);
                let at = (b * steps + t) * h..(b * steps + t + 1) * h;
                let (first, second) = (&mut first[at.clone()], &mut second[at]);
                let isa = Isa::current();
                bias_activation_derivatives(isa, self.activation, None, now, first, Some(second));
            }
            self.write_output(b, states, output);
        }
        for (slot, array) in [(STATES, all), (FIRST, first), (SECOND, second)] {
            state.put_back(slot, array);
        }
    }

    fn tangent(&self, pass: Tangent<'_, f64>, output: &mut [f64], tangents: &mut State<f64>) {
        let (steps, m, h) = self.sizes();
        let (w_input, w_bias) = self.offsets();
        let samples = pass.input.len() / (steps * m);
        let (states, first) = (pass.state.array(STATES), pass.state.array(FIRST));
        // ḣ_t and ż_t of every tangent, sample and step.
        let mut h_dot = tangents.take(0, pass.count * samples * steps * h);
        let mut z_dot = tangents.take(1, pass.count * samples * steps * h);
        for row in 0..pass.count * samples {
            let (k, b) = (row / samples, row % samples);
            let (a, slope) = (self.of_row(states, b), self.of_row(first, b));
            for t in 0..steps {
                let at = (row * steps + t) * h;
                let mut z = vec![0.0; h];
                if t > 0 {
                    add_product(pass.parameters, 0, &h_dot[at - h..at], &mut z);
                }
                if let Some(x_dot) = pass.input_tangent {
                    let x_dot = &x_dot[(row * steps + t) * m..][..m];
                    add_product(pass.parameters, w_input, x_dot, &mut z);
                }
                if let Some(directions) = pass.directions {
                    let v = directions.get(k);
                    if t > 0 {
                        add_product(v, 0, &a[(t - 1) * h..][..h], &mut z);
                    }
                    add_product(v, w_input, &pass.input[(b * steps + t) * m..][..m], &mut z);
                    add(&mut z, &v[w_bias..][..h]);
                }
                for i in 0..h {
                    h_dot[at + i] = slope[t * h + i] * z[i];
                    z_dot[at + i] = z[i];
                }
            }
            self.write_output(row, self.of_row(&h_dot, row), output);
        }
        tangents.put_back(0, h_dot);
        tangents.put_back(1, z_dot);
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, f64>,
        output_error: &mut [f64],
        mut input_error: Option<&mut [f64]>,
        mut gradient: Option<Gradients<'_, f64>>,
        mut errors: Option<&mut State<f64>>,
        _scratch: &mut State<f64>,
    ) {
        let (steps, m, h) = self.sizes();
        let (w_input, _) = self.offsets();
        let samples = pass.input.len() / (steps * m);
        let (states, first) = (pass.state.array(STATES), pass.state.array(FIRST));
        for row in 0..pass.count * samples {
            let (k, b) = (row / samples, row % samples);
            let (a, slope) = (self.of_row(states, b), self.of_row(first, b));
            let mut g = vec![0.0; h];
            for t in (0..steps).rev() {
                if let Some(error) = self.error_at(row, t, output_error) {
                    add(&mut g, error);
                }
                let delta: Vec<f64> = (0..h).map(|i| g[i] * slope[t * h + i]).collect();
                let before = if t > 0 { a[(t - 1) * h..][..h].to_vec() } else { vec![0.0; h] };
                let x = &pass.input[(b * steps + t) * m..][..m];
                if let Some(gradient) = &mut gradient {
                    self.add_gradient(gradient.get_mut(k), &delta, &before, x);
                }
                if let Some(error) = input_error.as_deref_mut() {
                    let error = &mut error[(row * steps + t) * m..][..m];
                    error.fill(0.0);
                    add_transposed(&pass.parameters[..w_input + h * m], w_input, &delta, error);
                }
                if let Some(errors) = errors.as_deref_mut() {
                    let at = (b * steps + t) * h;
                    for (slot, array) in [(DELTA, &delta), (ERROR, &g)] {
                        let kept = errors.buffer(slot, samples * steps * h);
                        kept[at..at + h].copy_from_slice(array);
                    }
                }
                g.fill(0.0);
                add_transposed(&pass.parameters[..h * h], 0, &delta, &mut g);
            }
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, f64>,
        output_error: &mut [f64],
        mut input_error: Option<&mut [f64]>,
        mut gradient: Gradients<'_, f64>,
        tangents: &mut State<f64>,
    ) {
        let (steps, m, h) = self.sizes();
        let (w_input, _) = self.offsets();
        let samples = pass.input.len() / (steps * m);
        let errors = pass.errors.unwrap();
        for row in 0..pass.count * samples {
            let (k, b) = (row / samples, row % samples);
            let [a, first, second] =
                [STATES, FIRST, SECOND].map(|slot| self.of_row(pass.state.array(slot), b));
            let [deltas, g] = [DELTA, ERROR].map(|slot| self.of_row(errors.array(slot), b));
            let [h_dot, z_dot] = [0, 1].map(|slot| self.of_row(tangents.array(slot), row));
            let mut g_dot = vec![0.0; h];
            for t in (0..steps).rev() {
                if let Some(error) = self.error_at(row, t, output_error) {
                    add(&mut g_dot, error);
                }
                let at = t * h..(t + 1) * h;
                let delta = &deltas[at.clone()];
                // δ̇ = ġ φ' + g φ'' ż.
                let delta_dot: Vec<f64> = at
                    .clone()
                    .map(|i| g_dot[i - t * h] * first[i] + g[i] * second[i] * z_dot[i])
                    .collect();
                let zero = vec![0.0; h];
                let before = if t > 0 { &a[(t - 1) * h..][..h] } else { &zero };
                let before_dot = if t > 0 { &h_dot[(t - 1) * h..][..h] } else { &zero };
                let x = &pass.input[(b * steps + t) * m..][..m];
                let out = gradient.get_mut(k);
                self.add_gradient(out, &delta_dot, before, x);
                add_outer(out, 0, delta, before_dot);
                if let Some(x_dot) = pass.input_tangent {
                    add_outer(out, w_input, delta, &x_dot[(row * steps + t) * m..][..m]);
                }
                g_dot.fill(0.0);
                add_transposed(&pass.parameters[..h * h], 0, &delta_dot, &mut g_dot);
                let v = pass.directions.map(|directions| directions.get(k));
                if let Some(v) = v {
                    add_transposed(&v[..h * h], 0, delta, &mut g_dot);
                }
                if let Some(error) = input_error.as_deref_mut() {
                    let error = &mut error[(row * steps + t) * m..][..m];
                    error.fill(0.0);
                    add_transposed(&pass.parameters[..w_input + h * m], w_input, &delta_dot, error);
                    if let Some(v) = v {
                        add_transposed(&v[..w_input + h * m], w_input, delta, error);
                    }
                }
            }
        }
    }
}
