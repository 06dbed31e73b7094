//! An activation on its own.

use hesse_kernels::activation::{self, Activation};

use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};
use crate::{Error, Isa, Real, Result};

/// y = φ(x), element by element. After a dense layer, [`super::Dense`] with an activation is faster.
#[derive(Clone, Debug)]
pub struct Elementwise {
    activation: Activation,
    shape: Vec<usize>,
}

const FIRST: usize = 0;
const SECOND: usize = 1;
const CURVATURE: usize = 0;
const CURVED: usize = 0;

impl Elementwise {
    /// φ on features of this shape.
    ///
    /// # Errors
    /// A zero width.
    pub fn new(shape: &[usize], activation: Activation) -> Result<Self> {
        if features(shape) == 0 {
            return Err(Error::range("activation: shape", "positive widths", format!("{shape:?}")));
        }
        Ok(Self { activation, shape: shape.to_vec() })
    }

    fn curved(&self) -> bool {
        !self.activation.is_piecewise_linear()
    }
}

impl<T: Real> Layer<T> for Elementwise {
    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    fn kept_features(&self) -> usize {
        (if self.curved() { 3 } else { 1 }) * features(&self.shape)
    }

    fn forward(
        &self,
        _parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        output.copy_from_slice(input);
        if keep == Keep::Outputs {
            activation::bias_activation(Isa::current(), self.activation, None, output);
            return;
        }
        let mut first = state.take(FIRST, output.len());
        let second = (keep == Keep::SecondOrder && self.curved())
            .then(|| state.buffer(SECOND, output.len()));
        activation::bias_activation_derivatives(
            Isa::current(),
            self.activation,
            None,
            output,
            &mut first,
            second,
        );
        state.put_back(FIRST, first);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let Some(input_tangent) = pass.input_tangent else {
            output_tangent.fill(T::ZERO);
            tangents.buffer(CURVED, output_tangent.len()).fill(T::ZERO);
            return;
        };
        let isa = Isa::current();
        let first = pass.state.array(FIRST);
        let length = output_tangent.len() / pass.count;
        match pass.errors.filter(|_| self.curved()) {
            Some(errors) => {
                let curved = tangents.buffer(CURVED, input_tangent.len());
                curved.copy_from_slice(input_tangent);
                let tiles =
                    curved.chunks_exact_mut(length).zip(output_tangent.chunks_exact_mut(length));
                for (z, out) in tiles {
                    let curvature = Some(errors.array(CURVATURE));
                    activation::tangent_epilogue(
                        isa,
                        length,
                        1,
                        None,
                        Some(first),
                        curvature,
                        z,
                        out,
                    );
                }
            }
            None => {
                output_tangent.copy_from_slice(input_tangent);
                for out in output_tangent.chunks_exact_mut(length) {
                    activation::scale_rows(isa, length, 1, first, out);
                }
            }
        }
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        _gradient: Option<Gradients<'_, T>>,
        errors: Option<&mut State<T>>,
        _scratch: &mut State<T>,
    ) {
        let isa = Isa::current();
        let first = pass.state.array(FIRST);
        match errors {
            Some(errors) if self.curved() => {
                let curvature = errors.buffer(CURVATURE, output_error.len());
                curvature.copy_from_slice(pass.state.array(SECOND));
                activation::adjoint_epilogue(isa, first, Some(curvature), output_error);
            }
            _ => {
                activation::scale_rows(isa, first.len(), pass.count, first, output_error);
            }
        }
        if let Some(input_error) = input_error {
            input_error.copy_from_slice(output_error);
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        _gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        let first = pass.state.array(FIRST);
        for (k, u) in output_error.chunks_exact_mut(first.len()).enumerate() {
            let curved =
                self.curved().then(|| &tangents.array(CURVED)[k * first.len()..][..first.len()]);
            activation::adjoint_tangent_epilogue(
                Isa::current(),
                first.len(),
                1,
                Some(first),
                curved,
                u,
            );
        }
        if let Some(input_error) = input_error {
            input_error.copy_from_slice(output_error);
        }
    }
}
