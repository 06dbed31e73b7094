//! A weight-shared recurrent layer fits the layer trait: the tanh network of
//! `golden/flatness/rnn_final_mse`, h_t = tanh(W_hh h_{t-1} + W_xh x_t + b_h), y = W_o h_T + b_o.

use hesse::io::Archive;
use hesse::krylov::LinearOperator;
use hesse::network::layer::{Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent};
use hesse::network::layers::{Dense, Sequential};
use hesse::network::{Activation, Dataset, Initializer, Loss, Network, Objective, Targets};

/// Input `[time][m]`, output the last state h_T. Sums over time replace the one product of a dense
/// layer; everything else is the same four passes.
#[derive(Debug)]
struct TanhRecurrence {
    shape: [usize; 2],
    units: [usize; 1],
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

impl TanhRecurrence {
    fn new(steps: usize, inputs: usize, units: usize) -> Self {
        Self { shape: [steps, inputs], units: [units] }
    }

    fn sizes(&self) -> (usize, usize, usize) {
        (self.shape[0], self.shape[1], self.units[0])
    }

    /// Offsets of W_xh and b_h behind W_hh.
    fn offsets(&self) -> (usize, usize) {
        let (_, m, h) = self.sizes();
        (h * h, h * h + h * m)
    }

    /// The states h_1 … h_T of one sample, or their tangents.
    fn states<'a>(&self, array: &'a [f64], sample: usize) -> &'a [f64] {
        let (steps, _, h) = self.sizes();
        &array[sample * steps * h..][..steps * h]
    }

    /// Adds the gradient of one step: δ hᵀ, δ xᵀ, δ.
    fn add_gradient(&self, gradient: &mut [f64], delta: &[f64], before: &[f64], x: &[f64]) {
        let (input, bias) = self.offsets();
        add_outer(gradient, 0, delta, before);
        add_outer(gradient, input, delta, x);
        add(&mut gradient[bias..], delta);
    }
}

impl Layer<f64> for TanhRecurrence {
    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.units
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let (_, m, h) = self.sizes();
        let spec = |name: &str, shape: Vec<usize>| ParameterSpec {
            name: name.into(),
            fan_in: h,
            fan_out: h,
            shape,
            initializer: Initializer::UniformFanIn,
        };
        vec![spec("recurrent", vec![h, h]), spec("input", vec![h, m]), spec("bias", vec![h])]
    }

    fn kept_features(&self) -> usize {
        let (steps, _, h) = self.sizes();
        3 * steps * h
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
        let samples = output.len() / h;
        let all = state.buffer(0, samples * steps * h);
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
                now.iter_mut().for_each(|z| *z = z.tanh());
            }
            output[b * h..][..h].copy_from_slice(&states[(steps - 1) * h..]);
        }
    }

    fn tangent(&self, pass: Tangent<'_, f64>, output: &mut [f64], tangents: &mut State<f64>) {
        let (steps, m, h) = self.sizes();
        let (w_input, w_bias) = self.offsets();
        let samples = output.len() / h / pass.count;
        let states = pass.state.array(0);
        // ḣ_t and ż_t of every tangent, sample and step.
        let mut h_dot = tangents.take(0, pass.count * samples * steps * h);
        let mut z_dot = tangents.take(1, pass.count * samples * steps * h);
        for row in 0..pass.count * samples {
            let (k, b) = (row / samples, row % samples);
            let a = self.states(states, b);
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
                    let a = a[t * h + i];
                    h_dot[at + i] = (1.0 - a * a) * z[i];
                    z_dot[at + i] = z[i];
                }
            }
            let last = (row * steps + steps - 1) * h;
            output[row * h..][..h].copy_from_slice(&h_dot[last..][..h]);
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
        let samples = output_error.len() / h / pass.count;
        let states = pass.state.array(0);
        if let Some(errors) = errors.as_deref_mut() {
            // δ_t, and g_t = the error at h_t.
            errors.buffer(0, samples * steps * h);
            errors.buffer(1, samples * steps * h);
        }
        for row in 0..pass.count * samples {
            let (k, b) = (row / samples, row % samples);
            let a = self.states(states, b);
            let mut g = output_error[row * h..][..h].to_vec();
            for t in (0..steps).rev() {
                let delta: Vec<f64> =
                    (0..h).map(|i| g[i] * (1.0 - a[t * h + i] * a[t * h + i])).collect();
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
                    errors.buffer(0, samples * steps * h)[at..at + h].copy_from_slice(&delta);
                    errors.buffer(1, samples * steps * h)[at..at + h].copy_from_slice(&g);
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
        let samples = output_error.len() / h / pass.count;
        let Some(errors) = pass.errors else { return };
        let states = pass.state.array(0);
        for row in 0..pass.count * samples {
            let (k, b) = (row / samples, row % samples);
            let a = self.states(states, b);
            let (deltas, g) = (self.states(errors.array(0), b), self.states(errors.array(1), b));
            let (h_dot, z_dot) =
                (self.states(tangents.array(0), row), self.states(tangents.array(1), row));
            let mut g_dot = output_error[row * h..][..h].to_vec();
            for t in (0..steps).rev() {
                let at = t * h..(t + 1) * h;
                let (a_now, delta) = (&a[at.clone()], &deltas[at.clone()]);
                // δ̇ = ġ φ' + g φ'' ż with φ'' = −2 a φ'.
                let delta_dot: Vec<f64> = (0..h)
                    .map(|i| {
                        let slope = 1.0 - a_now[i] * a_now[i];
                        slope * (g_dot[i] - 2.0 * a_now[i] * g[t * h + i] * z_dot[t * h + i])
                    })
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
                    add_transposed(pass.parameters, w_input, &delta_dot, error);
                    if let Some(v) = v {
                        add_transposed(v, w_input, delta, error);
                    }
                }
            }
        }
    }
}

#[test]
fn gradient_and_curvature_through_time_equal_the_reference() {
    let file = Archive::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/flatness/rnn_final_mse.npz"
    ));
    let file = file.unwrap();
    let array = |name: &str| file.get(name).unwrap().to_f64().unwrap();
    let dims = file.get("dims").unwrap().to_indices().unwrap();
    let [m, h, n, steps, ..] = dims[..] else { panic!("dims") };
    let recurrence = TanhRecurrence::new(steps, m, h);
    let readout = Dense::new(&[h], n, Activation::Identity).unwrap();
    let layers: Vec<Box<dyn Layer<f64>>> = vec![Box::new(recurrence), Box::new(readout)];
    let network = Network::new(Sequential::new(layers).unwrap());
    let targets = Targets::Rows { values: array("Y"), width: n };
    let data = Dataset::from_rows(array("X"), steps * m, targets).unwrap();
    let objective = Objective::new(&network, &data, Loss::HalfSquaredError).unwrap();
    let theta = array("theta");
    let point = objective.at(&theta).unwrap();

    // Tolerance of the reference for recurrent networks: 1e-9 of the largest entry.
    let check = |name: &str, got: &[f64]| {
        let want = array(name);
        let size = want.iter().fold(0.0_f64, |s, x| s.max(x.abs()));
        let error = got.iter().zip(&want).fold(0.0_f64, |e, (a, b)| e.max((a - b).abs()));
        assert_eq!(got.len(), want.len());
        assert!(error <= 1e-11 * size, "{name}: {error:e} of {size:e}");
    };
    check("loss", &[point.value()]);
    check("grad", point.gradient());
    // V is P × k; a block is k vectors of P.
    let (p, v) = (theta.len(), array("V"));
    let k = v.len() / p;
    let block: Vec<f64> =
        (0..k).flat_map(|j| (0..p).map(move |i| (i, j))).map(|(i, j)| v[i * k + j]).collect();
    let rows = |operator: &dyn LinearOperator<f64>| {
        let mut y = vec![0.0; k * p];
        operator.apply_block(&block, &mut y);
        (0..p)
            .flat_map(|i| (0..k).map(move |j| (i, j)))
            .map(|(i, j)| y[j * p + i])
            .collect::<Vec<_>>()
    };
    check("HV", &rows(&point.hessian()));
    check("GV", &rows(&point.gauss_newton()));
    let h = point.hessian().to_matrix().unwrap();
    let triangle: Vec<f64> =
        (0..p).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| h[(i, j)]).collect();
    check("H_tri", &triangle);
}
