//! Pools: maxima and averages over windows of an image.

use hesse_kernels::{Window, level1, pool};

use super::window;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};
use crate::{Error, Isa, Real, Result};

/// Shapes of the image before and after, `[channels, height, width]`.
fn shapes(input: [usize; 3], window: &Window) -> [[usize; 3]; 2] {
    let [down, across] = window.outputs();
    [input, [input[0], down, across]]
}

/// y = the largest x of each window, channel by channel: of equal ones the first in scan order (row
/// by row) receives the whole derivative, and NaN propagates, both as in PyTorch. What lies outside
/// the image is never the largest.
///
/// No parameters. The places of the maxima are kept, one index an output; given them the layer is
/// linear, so that tangents are read at these places and errors are added there. Memory-bound.
#[derive(Clone, Debug)]
pub struct MaxPool {
    window: Window,
    shapes: [[usize; 3]; 2],
}

/// Slot of the places of the maxima, in the state of `forward`.
const PLACES: usize = 0;

impl MaxPool {
    /// A pool on images of `input_shape`, `[channels, height, width]`; the first number of each pair
    /// is vertical. Windows that do not fit into the padded image are left out.
    ///
    /// # Errors
    /// A zero size, a kernel larger than the padded image, a padding of more than half the kernel.
    pub fn new(
        input_shape: &[usize],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Result<Self> {
        let (window, shapes) = door("max pool", input_shape, kernel, stride, padding)?;
        if window.plane() > u32::MAX as usize {
            return Err(Error::range(
                "max pool: numbers in a channel",
                "below 2³²",
                window.plane(),
            ));
        }
        Ok(Self { window, shapes })
    }
}

fn door(
    layer: &str,
    input_shape: &[usize],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
) -> Result<(Window, [[usize; 3]; 2])> {
    let [channels, height, width] = window::image(layer, input_shape)?;
    let window = window::window(layer, [height, width], kernel, stride, padding, [1, 1])?;
    window::check_padding(layer, &window)?;
    window::addressable(layer, &[channels], &window)?;
    Ok((window, shapes([channels, height, width], &window)))
}

impl<T: Real> Layer<T> for MaxPool {
    fn input_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    fn output_shape(&self) -> &[usize] {
        &self.shapes[1]
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    fn kept_features(&self) -> usize {
        features(&self.shapes[1])
    }

    fn forward(
        &self,
        _parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        _keep: Keep,
    ) {
        let places = state.index_buffer(PLACES, output.len());
        pool::max_pool(Isa::current(), &self.window, input, output, places);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], _tangents: &mut State<T>) {
        let Some(input_tangent) = pass.input_tangent else {
            output_tangent.fill(T::ZERO);
            return;
        };
        let places = pass.state.index_array(PLACES);
        let tangents = input_tangent.chunks_exact(pass.input.len());
        for (x, y) in tangents.zip(output_tangent.chunks_exact_mut(places.len())) {
            pool::take_maxima(&self.window, places, x, y);
        }
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        _gradient: Option<Gradients<'_, T>>,
        _errors: Option<&mut State<T>>,
        _scratch: &mut State<T>,
    ) {
        if let Some(input_error) = input_error {
            self.pull_back(pass.state, pass.input.len(), output_error, input_error);
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        _gradient: Gradients<'_, T>,
        _tangents: &mut State<T>,
    ) {
        if let Some(input_error) = input_error {
            self.pull_back(pass.state, pass.input.len(), output_error, input_error);
        }
    }
}

impl MaxPool {
    fn pull_back<T: Real>(
        &self,
        state: &State<T>,
        inputs: usize,
        output_error: &[T],
        input_error: &mut [T],
    ) {
        let places = state.index_array(PLACES);
        let errors = output_error.chunks_exact(places.len());
        for (y, x) in errors.zip(input_error.chunks_exact_mut(inputs)) {
            pool::return_maxima(&self.window, places, y, x);
        }
    }
}

/// y = the average of each window, channel by channel: the sum over its taps divided by their number,
/// with zeros outside the image, as PyTorch counts by default. Linear, no parameters. Memory-bound.
#[derive(Clone, Debug)]
pub struct AveragePool {
    window: Window,
    shapes: [[usize; 3]; 2],
}

impl AveragePool {
    /// A pool on images of `input_shape`, as [`MaxPool::new`].
    ///
    /// # Errors
    /// As [`MaxPool::new`].
    pub fn new(
        input_shape: &[usize],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Result<Self> {
        let (window, shapes) = door("average pool", input_shape, kernel, stride, padding)?;
        Ok(Self { window, shapes })
    }
}

/// y = the average of each channel over all its places: `[channels, height, width]` to `[channels]`,
/// summed in `f64`. Linear, no parameters. Memory-bound.
#[derive(Clone, Debug)]
pub struct GlobalAveragePool {
    input_shape: [usize; 3],
    output_shape: [usize; 1],
}

impl GlobalAveragePool {
    /// A pool on images of `input_shape`.
    ///
    /// # Errors
    /// Another number of axes than 3, a zero size, sizes that overflow.
    pub fn new(input_shape: &[usize]) -> Result<Self> {
        let input_shape = window::image("global average pool", input_shape)?;
        let [channels, height, width] = input_shape;
        let (size, one) = ([height, width], [1, 1]);
        let window = window::window("global average pool", size, one, one, [0, 0], one)?;
        window::addressable("global average pool", &[channels], &window)?;
        Ok(Self { input_shape, output_shape: [channels] })
    }

    fn places(&self) -> usize {
        self.input_shape[1] * self.input_shape[2]
    }
}

/// A linear map without parameters and its transpose, of all planes of an array.
trait Linear<T: Real>: std::fmt::Debug + Send + Sync {
    fn shapes(&self) -> (&[usize], &[usize]);
    fn apply(&self, input: &[T], output: &mut [T]);
    fn apply_transposed(&self, output: &[T], input: &mut [T]);
}

impl<T: Real> Linear<T> for AveragePool {
    fn shapes(&self) -> (&[usize], &[usize]) {
        (&self.shapes[0], &self.shapes[1])
    }

    fn apply(&self, input: &[T], output: &mut [T]) {
        pool::average_pool(Isa::current(), &self.window, input, output);
    }

    fn apply_transposed(&self, output: &[T], input: &mut [T]) {
        pool::return_average(Isa::current(), &self.window, output, input);
    }
}

impl<T: Real> Linear<T> for GlobalAveragePool {
    fn shapes(&self) -> (&[usize], &[usize]) {
        (&self.input_shape, &self.output_shape)
    }

    fn apply(&self, input: &[T], output: &mut [T]) {
        let (isa, places) = (Isa::current(), self.places());
        for (y, x) in output.iter_mut().zip(input.chunks_exact(places)) {
            *y = T::from_f64(level1::sum(isa, x) / places as f64);
        }
    }

    fn apply_transposed(&self, output: &[T], input: &mut [T]) {
        let places = self.places();
        for (&y, x) in output.iter().zip(input.chunks_exact_mut(places)) {
            x.fill(y / T::from_f64(places as f64));
        }
    }
}

macro_rules! linear_layer {
    ($pool:ident) => {
        impl<T: Real> Layer<T> for $pool {
            fn input_shape(&self) -> &[usize] {
                Linear::<T>::shapes(self).0
            }

            fn output_shape(&self) -> &[usize] {
                Linear::<T>::shapes(self).1
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
                self.apply(input, output);
            }

            fn tangent(
                &self,
                pass: Tangent<'_, T>,
                output_tangent: &mut [T],
                _tangents: &mut State<T>,
            ) {
                match pass.input_tangent {
                    Some(input_tangent) => self.apply(input_tangent, output_tangent),
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
                    self.apply_transposed(output_error, input_error);
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
                    self.apply_transposed(output_error, input_error);
                }
            }
        }
    };
}

linear_layer!(AveragePool);
linear_layer!(GlobalAveragePool);
