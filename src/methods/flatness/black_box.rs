//! Sensitivity of anything that can be differentiated both ways, by products alone.

use super::adaptive::logistic;
use super::layer::mean;
use crate::error::check_finite;
use crate::krylov::{GolubKahan, RectangularOperator, Status};
use crate::network::Network;
use crate::network::layer::{Adjoint, Keep, Layer, State, Tangent};
use crate::numerics::parallel;
use crate::{Error, Real, Result};

/// A differentiable map from M inputs to N outputs: any model, without its parameters.
///
/// Products must depend on the input alone, and be the same bits every time.
pub trait DifferentiableMap<T: Real>: Sync {
    /// M.
    fn inputs(&self) -> usize;

    /// N.
    fn outputs(&self) -> usize;

    /// Whether these inputs, rows of M numbers, are some that the map is defined for.
    ///
    /// # Errors
    /// What is wrong with them; by default nothing.
    fn check(&self, inputs: &[T]) -> Result<()> {
        let _ = inputs;
        Ok(())
    }

    /// f(x). x has M numbers and `output` N, here and below.
    fn value(&self, x: &[T], output: &mut [T]);

    /// J(x) ẋ.
    fn jvp(&self, x: &[T], tangent: &[T], output: &mut [T]);

    /// J(x)ᵀ ȳ.
    fn vjp(&self, x: &[T], cotangent: &[T], input: &mut [T]);
}

/// Sensitivity of a [`DifferentiableMap`] at some inputs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sensitivity {
    /// M.
    pub inputs: usize,
    /// ‖x‖ of every sample.
    pub norms: Vec<f64>,
    /// ‖J‖₂ of every sample.
    pub spectral_norms: Vec<f64>,
    /// Residual of every norm: a singular value lies within.
    pub residuals: Vec<f64>,
    /// ‖J x‖² of every sample.
    pub scaled_inputs: Vec<f64>,
    /// Σ_k x_k² ‖∂f/∂x_k‖² of every sample, where it was asked for.
    pub scaled_columns: Option<Vec<f64>>,
    /// Samples whose norm did not converge within the budget.
    pub unconverged: Vec<usize>,
}

impl Sensitivity {
    /// ‖J(x)‖₂ by [`GolubKahan`] and ‖J x‖ at every row x of `inputs`, some dozens of products each.
    /// With `columns` also Σ_k x_k² ‖∂f/∂x_k‖², min(M, N) more products.
    ///
    /// Departure: the reference code of arXiv 2310.01770 searches the largest ‖g(x+d) − g(x)‖/‖d‖ by
    /// thirty steps of Adam from a random d; this is its limit for small d, with a residual.
    ///
    /// # Errors
    /// Rows of another length, no row, NaN or infinities there or in a product, inputs that the map
    /// refuses.
    pub fn of<T: Real>(
        map: &(impl DifferentiableMap<T> + ?Sized),
        inputs: &[T],
        columns: bool,
    ) -> Result<Self> {
        let (m, n) = (map.inputs(), map.outputs());
        if m == 0 || n == 0 {
            return Err(Error::empty("inputs and outputs of the map"));
        }
        if inputs.is_empty() {
            return Err(Error::empty("inputs: samples"));
        }
        if !inputs.len().is_multiple_of(m) {
            let expected = format!("a multiple of {m}");
            return Err(Error::shape("inputs: elements", expected, inputs.len()));
        }
        check_finite("inputs", inputs)?;
        map.check(inputs)?;
        let samples = parallel::map(inputs.len() / m, |i| one(map, &inputs[i * m..][..m], columns));
        let mut result = Self {
            inputs: m,
            norms: Vec::new(),
            spectral_norms: Vec::new(),
            residuals: Vec::new(),
            scaled_inputs: Vec::new(),
            scaled_columns: columns.then(Vec::new),
            unconverged: Vec::new(),
        };
        for (i, sample) in samples.into_iter().enumerate() {
            let sample = sample?;
            result.norms.push(super::jacobian::norm(&inputs[i * m..][..m]));
            result.spectral_norms.push(sample.norm);
            result.residuals.push(sample.residual);
            result.scaled_inputs.push(sample.scaled_input);
            if let (Some(all), Some(columns)) = (&mut result.scaled_columns, sample.scaled_columns)
            {
                all.push(columns);
            }
            if !sample.converged {
                result.unconverged.push(i);
            }
        }
        Ok(result)
    }

    /// MLS = mean ‖J‖₂.
    #[must_use]
    pub fn mls(&self) -> f64 {
        mean(&self.spectral_norms)
    }

    /// Mean of ‖J‖₂² ‖x‖².
    #[must_use]
    pub fn normalized_mls(&self) -> f64 {
        let pairs = self.spectral_norms.iter().zip(&self.norms);
        mean(&pairs.map(|(s, x)| (s * x).powi(2)).collect::<Vec<_>>())
    }

    /// (1/(nM)) Σᵢ ‖Jᵢ xᵢ‖².
    #[must_use]
    pub fn iimls_directional(&self) -> f64 {
        mean(&self.scaled_inputs) / self.inputs as f64
    }

    /// (1/n) Σᵢ Σ_k xᵢ_k² ‖∂f/∂x_k‖², where it was asked for.
    #[must_use]
    pub fn iimls_elementwise(&self) -> Option<f64> {
        self.scaled_columns.as_deref().map(mean)
    }
}

struct Sample {
    norm: f64,
    residual: f64,
    scaled_input: f64,
    scaled_columns: Option<f64>,
    converged: bool,
}

fn one<T: Real>(
    map: &(impl DifferentiableMap<T> + ?Sized),
    x: &[T],
    columns: bool,
) -> Result<Sample> {
    let (m, n) = (map.inputs(), map.outputs());
    let top = GolubKahan::new(&At { map, x }).run()?;
    let mut image = vec![T::ZERO; n];
    map.jvp(x, x, &mut image);
    check_finite("Jacobian product", &image)?;
    let square = |x: &[T]| x.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>();
    let scaled_input = square(&image);
    let mut scaled_columns = None;
    if columns {
        let mut sum = 0.0;
        if n <= m {
            let (mut unit, mut row) = (vec![T::ZERO; n], vec![T::ZERO; m]);
            for j in 0..n {
                unit[j] = T::ONE;
                map.vjp(x, &unit, &mut row);
                unit[j] = T::ZERO;
                let terms = row.iter().zip(x).map(|(r, x)| (r.to_f64() * x.to_f64()).powi(2));
                sum += terms.sum::<f64>();
            }
        } else {
            let mut scaled = vec![T::ZERO; m];
            for k in 0..m {
                scaled[k] = x[k];
                map.jvp(x, &scaled, &mut image);
                scaled[k] = T::ZERO;
                sum += square(&image);
            }
        }
        check_finite("Jacobian products", &[sum])?;
        scaled_columns = Some(sum);
    }
    Ok(Sample {
        norm: top.values.first().copied().unwrap_or(f64::NAN),
        residual: top.residuals.first().copied().unwrap_or(f64::INFINITY),
        scaled_input,
        scaled_columns,
        converged: top.status == Status::Converged,
    })
}

/// J(x) at one input.
struct At<'a, T, F: ?Sized> {
    map: &'a F,
    x: &'a [T],
}

impl<T: Real, F: DifferentiableMap<T> + ?Sized> RectangularOperator<T> for At<'_, T, F> {
    fn rows(&self) -> usize {
        self.map.outputs()
    }

    fn columns(&self) -> usize {
        self.map.inputs()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.map.jvp(self.x, x, y);
    }

    fn apply_transposed(&self, y: &[T], x: &mut [T]) {
        self.map.vjp(self.x, y, x);
    }
}

/// A network at fixed parameters as a [`DifferentiableMap`]: for outputs by the hundreds, where
/// [`Geometry`](super::Geometry) would form all of J.
#[derive(Clone, Copy, Debug)]
pub struct NetworkMap<'a, T: Real> {
    network: &'a Network<T>,
    parameters: &'a [T],
}

impl<'a, T: Real> NetworkMap<'a, T> {
    /// `network` at θ = `parameters`.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities; a layer that couples samples.
    pub fn new(network: &'a Network<T>, parameters: &'a [T]) -> Result<Self> {
        if network.layers().couples_samples() {
            return Err(Error::not_applicable(
                "Jacobians of single samples",
                "layers that treat each sample alone",
                "a layer that couples samples",
            ));
        }
        if parameters.len() != network.parameter_count() {
            let expected = network.parameter_count();
            return Err(Error::shape("parameters", expected, parameters.len()));
        }
        check_finite("parameters", parameters)?;
        Ok(Self { network, parameters })
    }

    fn forward(&self, x: &[T], keep: Keep) -> (State<T>, Vec<T>) {
        let mut state = State::default();
        let mut output = vec![T::ZERO; self.network.outputs()];
        self.network.layers().forward(self.parameters, x, &mut output, &mut state, keep);
        (state, output)
    }
}

impl<T: Real> DifferentiableMap<T> for NetworkMap<'_, T> {
    fn inputs(&self) -> usize {
        self.network.inputs()
    }

    fn outputs(&self) -> usize {
        self.network.outputs()
    }

    fn check(&self, inputs: &[T]) -> Result<()> {
        self.network.layers().check_input(inputs)
    }

    fn value(&self, x: &[T], output: &mut [T]) {
        output.copy_from_slice(&self.forward(x, Keep::Outputs).1);
    }

    fn jvp(&self, x: &[T], tangent: &[T], output: &mut [T]) {
        let (state, _) = self.forward(x, Keep::FirstOrder);
        let pass = Tangent {
            parameters: self.parameters,
            input: x,
            state: &state,
            errors: None,
            directions: None,
            input_tangent: Some(tangent),
            count: 1,
        };
        self.network.layers().tangent(pass, output, &mut State::default());
    }

    fn vjp(&self, x: &[T], cotangent: &[T], input: &mut [T]) {
        let (state, mut error) = self.forward(x, Keep::FirstOrder);
        error.copy_from_slice(cotangent);
        let pass = Adjoint { parameters: self.parameters, input: x, state: &state, count: 1 };
        let scratch = &mut State::default();
        self.network.layers().adjoint(pass, &mut error, Some(input), None, None, scratch);
    }
}

/// The logistic function of every output of a map: the paper's protocol for image classifiers.
#[derive(Clone, Copy, Debug)]
pub struct Squashed<F>(pub F);

impl<F> Squashed<F> {
    /// σ'(f(x)), element by element.
    fn slopes<T: Real>(&self, x: &[T]) -> Vec<f64>
    where
        F: DifferentiableMap<T>,
    {
        let mut values = vec![T::ZERO; self.0.outputs()];
        self.0.value(x, &mut values);
        // σ(z) σ(−z), which keeps its digits where σ is near 1.
        values.iter().map(|z| logistic(z.to_f64()) * logistic(-z.to_f64())).collect()
    }
}

impl<T: Real, F: DifferentiableMap<T>> DifferentiableMap<T> for Squashed<F> {
    fn inputs(&self) -> usize {
        self.0.inputs()
    }

    fn outputs(&self) -> usize {
        self.0.outputs()
    }

    fn check(&self, inputs: &[T]) -> Result<()> {
        self.0.check(inputs)
    }

    fn value(&self, x: &[T], output: &mut [T]) {
        self.0.value(x, output);
        output.iter_mut().for_each(|z| *z = T::from_f64(logistic(z.to_f64())));
    }

    fn jvp(&self, x: &[T], tangent: &[T], output: &mut [T]) {
        self.0.jvp(x, tangent, output);
        for (y, slope) in output.iter_mut().zip(self.slopes(x)) {
            *y = T::from_f64(y.to_f64() * slope);
        }
    }

    fn vjp(&self, x: &[T], cotangent: &[T], input: &mut [T]) {
        let slopes = self.slopes(x);
        let scaled = cotangent.iter().zip(slopes).map(|(y, s)| T::from_f64(y.to_f64() * s));
        let scaled: Vec<T> = scaled.collect();
        self.0.vjp(x, &scaled, input);
    }
}
