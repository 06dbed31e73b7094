//! Change of shape without change of values.

use crate::Real;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};

/// The features of a sample as one axis, row-major (channels, height, width).
#[derive(Clone, Debug)]
pub struct Flatten {
    input_shape: Vec<usize>,
    output_shape: [usize; 1],
}

impl Flatten {
    /// From `input_shape` to one axis.
    #[must_use]
    pub fn new(input_shape: &[usize]) -> Self {
        Self { input_shape: input_shape.to_vec(), output_shape: [features(input_shape)] }
    }
}

impl<T: Real> Layer<T> for Flatten {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    fn kept_features(&self) -> usize {
        0
    }

    fn forward(
        &self,
        _parameters: &[T],
        input: &[T],
        output: &mut [T],
        _state: &mut State<T>,
        _keep: Keep,
    ) {
        output.copy_from_slice(input);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], _tangents: &mut State<T>) {
        match pass.input_tangent {
            Some(input_tangent) => output_tangent.copy_from_slice(input_tangent),
            None => output_tangent.fill(T::ZERO),
        }
    }

    fn adjoint(
        &self,
        _pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        _gradient: Option<Gradients<'_, T>>,
        _errors: Option<&mut State<T>>,
        _scratch: &mut State<T>,
    ) {
        if let Some(input_error) = input_error {
            input_error.copy_from_slice(output_error);
        }
    }

    fn adjoint_tangent(
        &self,
        _pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        _gradient: Gradients<'_, T>,
        _tangents: &mut State<T>,
    ) {
        if let Some(input_error) = input_error {
            input_error.copy_from_slice(output_error);
        }
    }
}
