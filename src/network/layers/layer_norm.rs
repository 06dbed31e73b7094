//! Normalisation of each sample, or of each of its tokens.

use hesse_kernels::layer_norm::{self as kernel, Affine, Kept, MEANS, STATISTICS};

use crate::network::Initializer;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};
use crate::{Error, Isa, Real, Result};

/// y = γ∘x̂ + β with x̂ = (x − m(x))/√(v(x) + ε), mean m and variance v over the last axes of the
/// features: one row of n numbers a token (Ba, Kiros and Hinton 2016).
///
/// Parameters: `scale` γ (starts at 1) and `shift` β (0), of the normalised shape; or none, see
/// [`LayerNorm::affine`]. The variance divides by n. Mean and variance are sums in `f64` in two
/// passes.
///
/// With r = 1/√(v + ε), P g = g − m(g) − x̂ m(x̂∘g), g = γ∘ȳ, and tangents written with a dot:
///
/// tangent  s = r m(x̂∘ẋ),  dx̂ = r (ẋ − m(ẋ)) − s x̂,  ẏ = γ∘dx̂ + γ̇∘x̂ + β̇
///
/// adjoint  x̄ = r P g,  γ̄ = Σ ȳ∘x̂,  β̄ = Σ ȳ
///
/// its tangent  dx̄ = r (P ġ − s P g − a dx̂ − x̂ m(dx̂∘g)) with ġ = γ∘dȳ + γ̇∘ȳ and a = m(x̂∘g),
/// dγ̄ = Σ dȳ∘x̂ + ȳ∘dx̂,  dβ̄ = Σ dȳ:
///
/// r changes by −r s, and P by −(dx̂ x̂ᵀ + x̂ dx̂ᵀ)/n. ε enters through r alone, so these are exact for
/// any ε. Kept are ȳ and a few numbers a row. Each pass reads its arrays twice, a row at a time; the
/// parameters' gradients once more. Against the products around it the cost is a few parts in a
/// hundred.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    shape: Vec<usize>,
    normalized: usize,
    columns: usize,
    epsilon: f64,
    affine: bool,
}

/// ε unless another is asked for.
const EPSILON: f64 = 1e-5;

/// Slot of the state: mean and 1/deviation of each row.
const STATISTICS_OF_ROWS: usize = 0;
/// Slots of the errors: ȳ, and two means a row.
const ERROR: usize = 0;
const ERROR_MEANS: usize = 1;
/// Slot of the tangents: two means a row.
const TANGENT_MEANS: usize = 0;

impl LayerNorm {
    /// Over the last axis, with ε = 1e-5, scale and shift.
    ///
    /// # Errors
    /// A zero width.
    pub fn new(shape: &[usize]) -> Result<Self> {
        if features(shape) == 0 || shape.is_empty() {
            return Err(Error::range("layer norm: shape", "positive widths", format!("{shape:?}")));
        }
        let columns = shape[shape.len() - 1];
        Ok(Self { shape: shape.to_vec(), normalized: 1, columns, epsilon: EPSILON, affine: true })
    }

    /// Over the last `axes` axes together.
    ///
    /// # Errors
    /// No axis, or more than there are.
    pub fn axes(mut self, axes: usize) -> Result<Self> {
        if axes == 0 || axes > self.shape.len() {
            let expected = format!("1 to {}", self.shape.len());
            return Err(Error::range("layer norm: axes", expected, axes));
        }
        self.normalized = axes;
        self.columns = features(&self.shape[self.shape.len() - axes..]);
        Ok(self)
    }

    /// Another ε.
    ///
    /// # Errors
    /// Not positive and finite.
    pub fn epsilon(mut self, epsilon: f64) -> Result<Self> {
        self.epsilon = check_epsilon("layer norm: epsilon", epsilon)?;
        Ok(self)
    }

    /// With or without scale and shift.
    #[must_use]
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// γ and β among the parameters of the layer, or their tangents.
    fn split<'a, T>(&self, parameters: &'a [T]) -> Affine<'a, T> {
        if !self.affine {
            return Affine { scale: None, shift: None };
        }
        let (scale, shift) = parameters.split_at(self.columns);
        Affine { scale: Some(scale), shift: Some(shift) }
    }

    fn kept<'a, T: Real>(
        &self,
        pass: &Tangent<'a, T>,
        errors: &'a State<T>,
        tangents: &'a State<T>,
        k: usize,
    ) -> Kept<'a, T> {
        let length = pass.input.len();
        let means = MEANS * (length / self.columns);
        Kept {
            statistics: pass.state.array(STATISTICS_OF_ROWS),
            x: pass.input,
            y_error: errors.array(ERROR),
            error_means: errors.array(ERROR_MEANS),
            x_tangent: pass.input_tangent.map(|t| &t[k * length..][..length]),
            tangent_means: &tangents.array(TANGENT_MEANS)[k * means..][..means],
        }
    }
}

/// A positive, finite ε.
pub(super) fn check_epsilon(what: &str, epsilon: f64) -> Result<f64> {
    if epsilon > 0.0 && epsilon.is_finite() {
        return Ok(epsilon);
    }
    Err(Error::range(what, "positive and finite", epsilon))
}

impl<T: Real> Layer<T> for LayerNorm {
    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        if !self.affine {
            return Vec::new();
        }
        let spec = |name: &str, value| ParameterSpec {
            name: name.into(),
            shape: self.shape[self.shape.len() - self.normalized..].to_vec(),
            fan_in: 1,
            fan_out: 1,
            initializer: Initializer::Constant { value },
        };
        vec![spec("scale", 1.0), spec("shift", 0.0)]
    }

    fn kept_features(&self) -> usize {
        let length = features(&self.shape);
        length + (STATISTICS + MEANS) * (length / self.columns)
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        _keep: Keep,
    ) {
        let statistics =
            state.buffer(STATISTICS_OF_ROWS, STATISTICS * (input.len() / self.columns));
        let affine = self.split(parameters);
        let isa = Isa::current();
        kernel::layer_norm(isa, self.columns, self.epsilon, affine, input, output, statistics);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let length = pass.input.len();
        let per_tangent = MEANS * (length / self.columns);
        let means = tangents.buffer(TANGENT_MEANS, pass.count * per_tangent);
        let rows = output_tangent.chunks_exact_mut(length).zip(means.chunks_exact_mut(per_tangent));
        for (k, (output, means)) in rows.enumerate() {
            let none = Affine { scale: None, shift: None };
            kernel::layer_norm_tangent(
                Isa::current(),
                self.columns,
                self.split(pass.parameters),
                pass.directions.map_or(none, |d| self.split(d.get(k))),
                pass.state.array(STATISTICS_OF_ROWS),
                pass.input,
                pass.input_tangent.map(|t| &t[k * length..][..length]),
                output,
                means,
            );
        }
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Option<Gradients<'_, T>>,
        errors: Option<&mut State<T>>,
        _scratch: &mut State<T>,
    ) {
        let (isa, n) = (Isa::current(), self.columns);
        let length = pass.input.len();
        let statistics = pass.state.array(STATISTICS_OF_ROWS);
        let scale = self.split(pass.parameters).scale;
        if let (Some(mut gradient), true) = (gradient, self.affine) {
            for (k, error) in output_error.chunks_exact(length).enumerate() {
                let (scale, shift) = gradient.get_mut(k).split_at_mut(n);
                kernel::layer_norm_gradient(isa, n, statistics, pass.input, error, scale, shift);
            }
        }
        let mut means = None;
        if let Some(errors) = errors {
            errors.buffer(ERROR, length).copy_from_slice(output_error);
            means = Some(errors.buffer(ERROR_MEANS, MEANS * (length / n)));
        }
        let Some(input_error) = input_error else { return };
        let rows = output_error.chunks_exact(length).zip(input_error.chunks_exact_mut(length));
        for (error, input_error) in rows {
            kernel::layer_norm_adjoint(
                isa,
                n,
                scale,
                statistics,
                pass.input,
                error,
                input_error,
                means.as_deref_mut(),
            );
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
        let (isa, n, length) = (Isa::current(), self.columns, pass.input.len());
        if self.affine {
            for (k, error) in output_error.chunks_exact(length).enumerate() {
                let (scale, shift) = gradient.get_mut(k).split_at_mut(n);
                let kept = self.kept(&pass, errors, tangents, k);
                kernel::layer_norm_gradient_tangent(isa, n, kept, error, scale, shift);
            }
        }
        let Some(input_error) = input_error else { return };
        let rows = output_error.chunks_exact(length).zip(input_error.chunks_exact_mut(length));
        for (k, (error, input_error)) in rows.enumerate() {
            let scale_tangent = pass.directions.and_then(|d| self.split(d.get(k)).scale);
            kernel::layer_norm_adjoint_tangent(
                isa,
                n,
                self.split(pass.parameters).scale,
                scale_tangent,
                self.kept(&pass, errors, tangents, k),
                error,
                input_error,
            );
        }
    }
}
