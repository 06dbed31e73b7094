//! Layers whose output is linear in input and parameters together, y = A x + B θ: all derivatives
//! above the first vanish, and the tangent of a pass is the pass itself.

use crate::Real;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};

/// What is left to say of such a layer.
pub(super) trait Affine: std::fmt::Debug + Send + Sync {
    fn input_shape(&self) -> &[usize];
    fn output_shape(&self) -> &[usize];
    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    /// y ← A x + B θ for the samples of a shard; an absent x or θ is zero.
    fn apply<T: Real>(&self, parameters: Option<&[T]>, input: Option<&[T]>, output: &mut [T]);

    /// gradient += Bᵀ ȳ. For layers with parameters.
    fn add_gradient<T: Real>(&self, _output_error: &[T], _gradient: &mut [T]) {}

    /// x̄ ← Aᵀ ȳ.
    fn pull_back<T: Real>(&self, output_error: &[T], input_error: &mut [T]);
}

/// Runs the adjoint of every cotangent.
fn adjoint<T: Real>(
    layer: &impl Affine,
    length: usize,
    output_error: &[T],
    input_error: Option<&mut [T]>,
    gradient: Option<Gradients<'_, T>>,
) {
    if let Some(mut gradient) = gradient {
        for (k, error) in output_error.chunks_exact(length).enumerate() {
            layer.add_gradient(error, gradient.get_mut(k));
        }
    }
    if let Some(input_error) = input_error {
        layer.pull_back(output_error, input_error);
    }
}

impl<T: Real, L: Affine> Layer<T> for L {
    fn input_shape(&self) -> &[usize] {
        Affine::input_shape(self)
    }

    fn output_shape(&self) -> &[usize] {
        Affine::output_shape(self)
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Affine::parameters(self)
    }

    fn kept_features(&self) -> usize {
        0
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        _state: &mut State<T>,
        _keep: Keep,
    ) {
        self.apply(Some(parameters), Some(input), output);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], _tangents: &mut State<T>) {
        let (from, to) =
            (features(Affine::input_shape(self)), features(Affine::output_shape(self)));
        let length = pass.input.len() / from * to;
        for (k, output) in output_tangent.chunks_exact_mut(length).enumerate() {
            let input = pass.input_tangent.map(|t| &t[k * pass.input.len()..][..pass.input.len()]);
            self.apply(pass.directions.map(|d| d.get(k)), input, output);
        }
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Option<Gradients<'_, T>>,
        _errors: Option<&mut State<T>>,
        _scratch: &mut State<T>,
    ) {
        let length = output_error.len() / pass.count;
        adjoint(self, length, output_error, input_error, gradient);
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Gradients<'_, T>,
        _tangents: &mut State<T>,
    ) {
        let length = output_error.len() / pass.count;
        adjoint(self, length, output_error, input_error, Some(gradient));
    }
}
