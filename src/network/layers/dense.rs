//! Fully connected layer with its activation.

use hesse_kernels::activation::{self, Activation};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::fused_activation::{CURVED, DELTA, FIRST, FusedActivation, SECOND};
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};
use crate::network::{Initializer, LinearMap};
use crate::{Error, Isa, Real, Result};

/// y = φ(W x + b), applied to the last axis of the input.
///
/// Parameters: `weight` outputs × inputs, `bias` outputs (optional). The activation is applied to a
/// tile of the product while it is in cache, with the derivatives that later passes need.
///
/// One product of rows × inputs with inputs × outputs (2·rows·inputs·outputs flops) for `forward`,
/// two each for `tangent` and `adjoint`, four for `adjoint_tangent`; one, one and two where the
/// input has no tangent and its error is not wanted.
#[derive(Clone, Debug)]
pub struct Dense {
    inputs: usize,
    outputs: usize,
    activation: FusedActivation,
    bias: bool,
    initializer: Initializer,
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
}

impl Dense {
    /// A layer from the last axis of `input_shape` to `outputs` units, with bias.
    ///
    /// # Errors
    /// A zero width.
    pub fn new(input_shape: &[usize], outputs: usize, activation: Activation) -> Result<Self> {
        let inputs = input_shape.last().copied().unwrap_or(0);
        if features(input_shape) == 0 || inputs == 0 {
            return Err(Error::range(
                "dense layer: input shape",
                "positive widths",
                format!("{input_shape:?}"),
            ));
        }
        if outputs == 0 {
            return Err(Error::range("dense layer: outputs", "a positive number", outputs));
        }
        let mut output_shape = input_shape.to_vec();
        if let Some(last) = output_shape.last_mut() {
            *last = outputs;
        }
        Ok(Self {
            inputs,
            outputs,
            activation: FusedActivation(activation),
            bias: true,
            initializer: Initializer::default(),
            input_shape: input_shape.to_vec(),
            output_shape,
        })
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// How weight and bias start, see [`Initializer::for_bias`].
    #[must_use]
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    fn weights(&self) -> usize {
        self.inputs * self.outputs
    }

    fn weight<'a, T: Real>(&self, parameters: &'a [T]) -> MatrixRef<'a, T> {
        MatrixRef::row_major(&parameters[..self.weights()], self.outputs, self.inputs)
    }

    /// out ← β out + x Wᵀ.
    fn multiply<T: Real>(&self, x: &[T], parameters: &[T], beta: T, out: &mut [T]) {
        gemm(
            Isa::current(),
            T::ONE,
            matrix(x, self.inputs),
            self.weight(parameters).transposed(),
            beta,
            matrix_mut(out, self.outputs),
        );
    }

    /// out ← β out + δ W.
    fn pull_back<T: Real>(&self, delta: &[T], parameters: &[T], beta: T, out: &mut [T]) {
        gemm(
            Isa::current(),
            T::ONE,
            matrix(delta, self.outputs),
            self.weight(parameters),
            beta,
            matrix_mut(out, self.inputs),
        );
    }

    /// gradient += δᵀ x in its weight part.
    fn add_weight_gradient<T: Real>(&self, delta: &[T], x: &[T], gradient: &mut [T]) {
        gemm(
            Isa::current(),
            T::ONE,
            matrix(delta, self.outputs).transposed(),
            matrix(x, self.inputs),
            T::ONE,
            matrix_mut(&mut gradient[..self.weights()], self.inputs),
        );
    }

    fn add_bias_gradient<T: Real>(&self, delta: &[T], gradient: &mut [T]) {
        if self.bias {
            activation::column_sums(Isa::current(), delta, &mut gradient[self.weights()..]);
        }
    }
}

fn matrix<T: Real>(x: &[T], columns: usize) -> MatrixRef<'_, T> {
    MatrixRef::row_major(x, x.len() / columns, columns)
}

fn matrix_mut<T: Real>(x: &mut [T], columns: usize) -> MatrixMut<'_, T> {
    let rows = x.len() / columns;
    MatrixMut::row_major(x, rows, columns)
}

impl<T: Real> Layer<T> for Dense {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let spec = |name: &str, shape, initializer| ParameterSpec {
            name: name.into(),
            shape,
            fan_in: self.inputs,
            fan_out: self.outputs,
            initializer,
        };
        let mut specs = vec![spec("weight", vec![self.outputs, self.inputs], self.initializer)];
        if self.bias {
            specs.push(spec("bias", vec![self.outputs], self.initializer.for_bias()));
        }
        specs
    }

    fn linear_map(&self) -> Option<&dyn LinearMap<T>> {
        Some(self)
    }

    fn kept_features(&self) -> usize {
        self.activation.kept_arrays() * features(&self.output_shape)
    }

    fn multiplications(&self) -> usize {
        let one = self.weights() + if self.bias { self.outputs } else { 0 };
        one * (features(&self.input_shape) / self.inputs)
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        self.multiply(input, parameters, T::ZERO, output);
        let isa = Isa::current();
        let bias = self.bias.then(|| &parameters[self.weights()..]);
        if keep == Keep::Outputs || self.activation.linear() {
            activation::bias_activation(isa, self.activation.0, bias, output);
            return;
        }
        let mut first = state.take(FIRST, output.len());
        let second = (keep == Keep::SecondOrder && self.activation.curved())
            .then(|| state.buffer(SECOND, output.len()));
        activation::bias_activation_derivatives(
            isa,
            self.activation.0,
            bias,
            output,
            &mut first,
            second,
        );
        state.put_back(FIRST, first);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let isa = Isa::current();
        let curvature = self.activation.curvature(pass.errors);
        // ż is needed beside ẏ only where it enters the adjoint's tangent.
        let mut own = curvature.map(|_| tangents.take(CURVED, output_tangent.len()));
        let z: &mut [T] = own.as_deref_mut().unwrap_or(output_tangent);
        let beta = match pass.input_tangent {
            Some(input_tangent) => {
                self.multiply(input_tangent, pass.parameters, T::ZERO, z);
                T::ONE
            }
            None => T::ZERO,
        };
        let length = z.len() / pass.count;
        match pass.directions {
            Some(directions) => {
                for (k, z) in z.chunks_exact_mut(length).enumerate() {
                    self.multiply(pass.input, directions.get(k), beta, z);
                }
            }
            None if pass.input_tangent.is_none() => z.fill(T::ZERO),
            None => {}
        }
        let bias = |k| {
            pass.directions
                .filter(|_| self.bias)
                .map(|directions| &directions.get(k)[self.weights()..])
        };
        let first = self.activation.first(pass.state);
        match (&mut own, curvature) {
            (Some(z), Some(curvature)) => {
                let tiles = z.chunks_exact_mut(length).zip(output_tangent.chunks_exact_mut(length));
                for (k, (z, out)) in tiles.enumerate() {
                    activation::tangent_epilogue(
                        isa,
                        self.outputs,
                        1,
                        bias(k),
                        first,
                        Some(curvature),
                        z,
                        out,
                    );
                }
            }
            _ => {
                for (k, out) in output_tangent.chunks_exact_mut(length).enumerate() {
                    activation::tangent_epilogue_in_place(isa, self.outputs, bias(k), first, out);
                }
            }
        }
        if let Some(own) = own {
            tangents.put_back(CURVED, own);
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
        let length = output_error.len() / pass.count;
        self.activation.adjoint(pass.state, pass.count, output_error, errors);
        if let Some(mut gradient) = gradient {
            for (k, delta) in output_error.chunks_exact(length).enumerate() {
                self.add_weight_gradient(delta, pass.input, gradient.get_mut(k));
                self.add_bias_gradient(delta, gradient.get_mut(k));
            }
        }
        if let Some(input_error) = input_error {
            self.pull_back(output_error, pass.parameters, T::ZERO, input_error);
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
        let delta = errors.array(DELTA);
        let length = delta.len();
        let first = self.activation.first(pass.state);
        for (k, u) in output_error.chunks_exact_mut(length).enumerate() {
            let curved =
                self.activation.curved().then(|| &tangents.array(CURVED)[k * length..][..length]);
            activation::adjoint_tangent_epilogue(Isa::current(), length, 1, first, curved, u);
            let gradient = gradient.get_mut(k);
            self.add_weight_gradient(u, pass.input, gradient);
            self.add_bias_gradient(u, gradient);
            if let Some(input_tangent) = pass.input_tangent {
                let width = input_tangent.len() / pass.count;
                self.add_weight_gradient(delta, &input_tangent[k * width..][..width], gradient);
            }
        }
        if let Some(input_error) = input_error {
            self.pull_back(output_error, pass.parameters, T::ZERO, input_error);
            let Some(directions) = pass.directions else { return };
            let width = input_error.len() / pass.count;
            for (k, x) in input_error.chunks_exact_mut(width).enumerate() {
                self.pull_back(delta, directions.get(k), T::ONE, x);
            }
        }
    }
}

impl<T: Real> LinearMap<T> for Dense {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn patch(&self) -> usize {
        self.inputs
    }

    fn positions(&self) -> usize {
        features(&self.input_shape) / self.inputs
    }

    fn weight<'a>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[..self.weights()]
    }

    fn has_bias(&self) -> bool {
        self.bias
    }

    fn channels_first(&self) -> bool {
        false
    }

    fn read_patches(&self, _group: usize, input: &[T], patches: &mut [T]) {
        patches.copy_from_slice(input);
    }

    fn add_patches(&self, _group: usize, patches: &[T], input: &mut [T]) {
        for (sum, &patch) in input.iter_mut().zip(patches) {
            *sum += patch;
        }
    }

    fn error_before_activation(&self, state: &State<T>, count: usize, error: &mut [T]) {
        self.activation.scale(state, count, error);
    }
}
