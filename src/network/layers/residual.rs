//! A branch added to its own input.

use crate::network::layer::{Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent};
use crate::network::observation::{Observer, Place};
use crate::{Error, Real, Result};

/// y = x + f(x).
#[derive(Debug)]
pub struct Residual<T: Real> {
    branch: Box<dyn Layer<T>>,
}

impl<T: Real> Residual<T> {
    /// Adds the input of `branch` to its output.
    ///
    /// # Errors
    /// The branch changes the shape.
    pub fn new(branch: Box<dyn Layer<T>>) -> Result<Self> {
        if branch.input_shape() != branch.output_shape() {
            return Err(Error::shape(
                "residual: output of the branch",
                branch.input_shape(),
                branch.output_shape(),
            ));
        }
        Ok(Self { branch })
    }
}

fn add<T: Real>(sum: &mut [T], x: &[T]) {
    for (sum, &x) in sum.iter_mut().zip(x) {
        *sum += x;
    }
}

impl<T: Real> Layer<T> for Residual<T> {
    fn input_shape(&self) -> &[usize] {
        self.branch.input_shape()
    }

    fn output_shape(&self) -> &[usize] {
        self.branch.output_shape()
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        self.branch.parameters()
    }

    fn couples_samples(&self) -> bool {
        self.branch.couples_samples()
    }

    fn kept_features(&self) -> usize {
        self.branch.kept_features()
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        self.branch.forward(parameters, input, output, state, keep);
        add(output, input);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        self.branch.tangent(pass, output_tangent, tangents);
        if let Some(input_tangent) = pass.input_tangent {
            add(output_tangent, input_tangent);
        }
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
        let Some(input_error) = input_error else {
            let inner = scratch.child_mut(0);
            self.branch.adjoint(pass, output_error, None, gradient, errors, inner);
            return;
        };
        let mut error = scratch.take(0, output_error.len());
        error.copy_from_slice(output_error);
        let inner = scratch.child_mut(0);
        self.branch.adjoint(pass, &mut error, Some(input_error), gradient, errors, inner);
        scratch.put_back(0, error);
        add(input_error, output_error);
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        let Some(input_error) = input_error else {
            self.branch.adjoint_tangent(pass, output_error, None, gradient, tangents);
            return;
        };
        let error = output_error.to_vec();
        self.branch.adjoint_tangent(pass, output_error, Some(input_error), gradient, tangents);
        add(input_error, &error);
    }

    fn observe(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: &mut [T],
        place: Place<'_>,
        observer: &mut dyn Observer<T>,
        scratch: &mut State<T>,
    ) {
        let mut error = scratch.take(0, output_error.len());
        error.copy_from_slice(output_error);
        let inner = scratch.child_mut(0);
        self.branch.observe(pass, &mut error, input_error, place, observer, inner);
        scratch.put_back(0, error);
        add(input_error, output_error);
    }
}
