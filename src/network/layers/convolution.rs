//! Two-dimensional convolution with its activation.

mod linear_map;
mod tile;

use std::ops::Range;

use hesse_kernels::activation::{self, Activation};
use hesse_kernels::{Window, level1};

use super::fused_activation::{CURVED, DELTA, FIRST, FusedActivation, SECOND};
use super::window;
use crate::network::layer::{Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent};
use crate::network::{Initializer, LinearMap};
use crate::{Error, Isa, Real, Result};
use tile::{Buffers, Tiling, WeightSums};

/// Channels and kernel of a [`Convolution`]. The first number of each pair is vertical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// Channels of the output.
    pub outputs: usize,
    /// Taps of the kernel.
    pub kernel: [usize; 2],
    /// Steps from place to place.
    pub stride: [usize; 2],
    /// Zeros on every side of the image.
    pub padding: [usize; 2],
    /// Distances between taps.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl ConvolutionShape {
    /// Stride and dilation 1, no padding, one group.
    #[must_use]
    pub fn new(outputs: usize, kernel: [usize; 2]) -> Self {
        let (stride, padding, dilation) = ([1, 1], [0, 0], [1, 1]);
        Self { outputs, kernel, stride, padding, dilation, groups: 1 }
    }
}

/// y = φ(W ∗ x + b): cross-correlation of an image `[channels, height, width]` with kernels, as
/// packages for deep learning define it (the kernel is not flipped).
///
/// z(o, i, j) = b(o) + Σ W(o, c, u, v) x(c, s i + d u − p, s j + d v − p) over the channels c of o's
/// group and the taps u, v, with stride s, dilation d, and zeros for x outside the image; output
/// `[outputs, ⌊(height + 2p − d (kernel − 1) − 1)/s⌋ + 1, …]`.
///
/// Parameters: `weight` outputs × channels/groups × kernel × kernel, `bias` outputs (optional).
///
/// Patches of the image are read a tile at a time into a matrix that stays in cache, patch × places,
/// and multiplied there; all tangents share the patches of x. With F = 2 · samples · places · weights
/// flops, the products cost F for `forward`, two F each for `tangent` and `adjoint`, four for
/// `adjoint_tangent`; one, one and two where the input has no tangent and its error is not wanted.
#[derive(Clone, Debug)]
pub struct Convolution {
    shape: ConvolutionShape,
    window: Window,
    activation: FusedActivation,
    bias: bool,
    initializer: Initializer,
    input_shape: [usize; 3],
    output_shape: [usize; 3],
}

/// First slot of the buffers of a tile, in tangents and scratch.
const BUFFERS: usize = 1;

impl Convolution {
    /// A layer on images of `input_shape`, `[channels, height, width]`, with bias.
    ///
    /// # Errors
    /// A zero size, a kernel larger than the padded image, groups that do not divide both numbers of
    /// channels, sizes that overflow.
    pub fn new(
        input_shape: &[usize],
        shape: ConvolutionShape,
        activation: Activation,
    ) -> Result<Self> {
        const LAYER: &str = "convolution";
        let [channels, height, width] = window::image(LAYER, input_shape)?;
        let ConvolutionShape { outputs, kernel, stride, padding, dilation, groups } = shape;
        if outputs == 0 {
            return Err(Error::range("convolution: outputs", "a positive number", outputs));
        }
        if groups == 0 || channels % groups != 0 || outputs % groups != 0 {
            return Err(Error::range(
                "convolution: groups",
                format!("a divisor of the {channels} input and {outputs} output channels"),
                groups,
            ));
        }
        let window = window::window(LAYER, [height, width], kernel, stride, padding, dilation)?;
        window::addressable(LAYER, &[channels], &window)?;
        window::addressable(LAYER, &[outputs], &window)?;
        window::weights(LAYER, &[channels / groups, outputs, window.taps()])?;
        let [down, across] = window.outputs();
        Ok(Self {
            shape,
            window,
            activation: FusedActivation(activation),
            bias: true,
            initializer: Initializer::default(),
            input_shape: [channels, height, width],
            output_shape: [outputs, down, across],
        })
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// How weight and bias start, see [`Initializer::for_bias`]. The fan-in of a unit is the numbers
    /// in its patch; the fan-out is outputs × taps of the kernel whatever the groups, as packages for
    /// deep learning count.
    #[must_use]
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Where the kernel is put down.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    fn groups(&self) -> usize {
        self.shape.groups
    }

    /// Input channels of a group.
    fn channels(&self) -> usize {
        self.input_shape[0] / self.shape.groups
    }

    /// Output channels of a group.
    fn units(&self) -> usize {
        self.shape.outputs / self.shape.groups
    }

    fn patch(&self) -> usize {
        self.channels() * self.window.taps()
    }

    fn weights(&self) -> usize {
        self.shape.outputs * self.patch()
    }

    fn features(&self) -> usize {
        self.output_shape.iter().product()
    }

    /// Each channel of each sample ← its bias.
    fn fill_bias<T: Real>(&self, bias: &[T], outputs: &mut [T]) {
        let channels = outputs.chunks_exact_mut(self.window.positions());
        for (channel, &bias) in channels.zip(bias.iter().cycle()) {
            channel.fill(bias);
        }
    }

    /// The samples that go through the layer together, and where their outputs lie.
    fn blocks(
        &self,
        tiling: Tiling,
        samples: usize,
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let features = self.features();
        (0..samples).step_by(tiling.samples).map(move |first| {
            let block = first..samples.min(first + tiling.samples);
            (block.clone(), block.start * features..block.end * features)
        })
    }

    /// Errors of the inputs of `samples` ← 0, in arrays of `width` numbers, before errors of patches
    /// are added.
    fn clear<T: Real>(
        &self,
        samples: &Range<usize>,
        width: usize,
        input_error: &mut Option<&mut [T]>,
    ) {
        let features: usize = self.input_shape.iter().product();
        for errors in input_error.iter_mut().flat_map(|errors| errors.chunks_exact_mut(width)) {
            errors[samples.start * features..samples.end * features].fill(T::ZERO);
        }
    }

    /// gradient += Σ δ over samples and places, summed in `f64`, in its bias part.
    fn add_bias_gradient<T: Real>(&self, delta: &[T], gradient: &mut [T]) {
        if !self.bias {
            return;
        }
        let (isa, positions) = (Isa::current(), self.window.positions());
        for (channel, gradient) in gradient[self.weights()..].iter_mut().enumerate() {
            let samples = delta[channel * positions..].chunks(self.features());
            let sum: f64 = samples.map(|x| level1::sum(isa, &x[..positions])).sum();
            *gradient += T::from_f64(sum);
        }
    }
}

impl<T: Real> Layer<T> for Convolution {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let [down, across] = self.shape.kernel;
        let spec = |name: &str, shape, initializer| ParameterSpec {
            name: name.into(),
            shape,
            fan_in: self.patch(),
            fan_out: self.shape.outputs * self.window.taps(),
            initializer,
        };
        let weight = vec![self.shape.outputs, self.channels(), down, across];
        let mut specs = vec![spec("weight", weight, self.initializer)];
        if self.bias {
            let initializer = self.initializer.for_bias();
            specs.push(spec("bias", vec![self.shape.outputs], initializer));
        }
        specs
    }

    fn linear_map(&self) -> Option<&dyn LinearMap<T>> {
        Some(self)
    }

    fn kept_features(&self) -> usize {
        self.activation.kept_arrays() * self.features()
    }

    fn multiplications(&self) -> usize {
        let bias = if self.bias { self.shape.outputs } else { 0 };
        (self.weights() + bias) * self.window.positions()
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        let isa = Isa::current();
        let tiling = Tiling::new::<T>(self);
        // Not in the state, which is kept.
        let mut own = State::default();
        let mut buffers = Buffers::take(&mut own, 0, tiling, self);
        let values_only = keep == Keep::Outputs || self.activation.linear();
        let second = !values_only && keep == Keep::SecondOrder && self.activation.curved();
        let length = output.len();
        let mut first = (!values_only).then(|| state.take(FIRST, length));
        let mut second = second.then(|| state.take(SECOND, length));
        for (samples, range) in self.blocks(tiling, length / self.features()) {
            let beta = if self.bias {
                self.fill_bias(&parameters[self.weights()..], &mut output[range.clone()]);
                T::ONE
            } else {
                T::ZERO
            };
            for tile in tiling.tiles(self, &samples) {
                let patches = tile.read(input, &mut buffers.stage, &mut buffers.input);
                tile.multiply(parameters, patches, beta, output, &mut buffers.block);
            }
            let z = &mut output[range.clone()];
            match &mut first {
                None => activation::bias_activation(isa, self.activation.0, None, z),
                Some(first) => activation::bias_activation_derivatives(
                    isa,
                    self.activation.0,
                    None,
                    z,
                    &mut first[range.clone()],
                    second.as_mut().map(|second| &mut second[range]),
                ),
            }
        }
        if let Some(first) = first {
            state.put_back(FIRST, first);
        }
        if let Some(second) = second {
            state.put_back(SECOND, second);
        }
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let isa = Isa::current();
        if pass.input_tangent.is_none() && pass.directions.is_none() {
            output_tangent.fill(T::ZERO);
            if self.activation.curved() && pass.errors.is_some() {
                tangents.buffer(CURVED, output_tangent.len()).fill(T::ZERO);
            }
            return;
        }
        let curvature = self.activation.curvature(pass.errors);
        let first = self.activation.first(pass.state);
        // ż is needed beside ẏ only where it enters the adjoint's tangent.
        let mut own = curvature.map(|_| tangents.take(CURVED, output_tangent.len()));
        let tiling = Tiling::new::<T>(self);
        let mut buffers = Buffers::take(tangents, BUFFERS, tiling, self);
        let length = output_tangent.len() / pass.count;
        let width = pass.input.len();
        for (samples, range) in self.blocks(tiling, length / self.features()) {
            let z: &mut [T] = own.as_deref_mut().unwrap_or(output_tangent);
            let bias = pass.directions.filter(|_| self.bias);
            if let Some(directions) = bias {
                for (k, z) in z.chunks_exact_mut(length).enumerate() {
                    self.fill_bias(&directions.get(k)[self.weights()..], &mut z[range.clone()]);
                }
            }
            for tile in tiling.tiles(self, &samples) {
                let Buffers { input, other, stage, block, .. } = &mut buffers;
                let primal = pass.directions.map(|d| (d, tile.read(pass.input, stage, input)));
                for (k, z) in z.chunks_exact_mut(length).enumerate() {
                    let mut beta = if bias.is_some() { T::ONE } else { T::ZERO };
                    if let Some(input_tangent) = pass.input_tangent {
                        let input_tangent = &input_tangent[k * width..][..width];
                        let patches = tile.read(input_tangent, stage, other);
                        tile.multiply(pass.parameters, patches, beta, z, block);
                        beta = T::ONE;
                    }
                    if let Some((directions, patches)) = primal {
                        tile.multiply(directions.get(k), patches, beta, z, block);
                    }
                }
            }
            let first = first.map(|first| &first[range.clone()]);
            for k in 0..pass.count {
                let all = k * length + range.start..k * length + range.end;
                let out = &mut output_tangent[all.clone()];
                match (&mut own, curvature) {
                    (Some(z), Some(curvature)) => {
                        let (z, curvature) = (&mut z[all], Some(&curvature[range.clone()]));
                        let n = z.len();
                        activation::tangent_epilogue(isa, n, 1, None, first, curvature, z, out);
                    }
                    _ => activation::tangent_epilogue_in_place(isa, out.len(), None, first, out),
                }
            }
        }
        buffers.put_back(tangents);
        if let Some(own) = own {
            tangents.put_back(CURVED, own);
        }
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        mut input_error: Option<&mut [T]>,
        mut gradient: Option<Gradients<'_, T>>,
        errors: Option<&mut State<T>>,
        scratch: &mut State<T>,
    ) {
        let length = output_error.len() / pass.count;
        self.activation.adjoint(pass.state, pass.count, output_error, errors);
        if let Some(gradient) = &mut gradient {
            for (k, delta) in output_error.chunks_exact(length).enumerate() {
                self.add_bias_gradient(delta, gradient.get_mut(k));
            }
        }
        let tiling = Tiling::new::<T>(self);
        let mut buffers = Buffers::take(scratch, BUFFERS, tiling, self);
        let width = pass.input.len();
        let samples = length / self.features();
        let mut sums = gradient.as_ref().map(|_| WeightSums::new(self, samples, pass.count));
        for (samples, _) in self.blocks(tiling, samples) {
            self.clear(&samples, width, &mut input_error);
            for tile in tiling.tiles(self, &samples) {
                let Buffers { input, other, stage, block, .. } = &mut buffers;
                let patches = sums.as_ref().map(|_| tile.read(pass.input, stage, input));
                for (k, delta) in output_error.chunks_exact(length).enumerate() {
                    let delta = tile.errors(delta, block);
                    if let (Some(sums), Some(gradient), Some(patches)) =
                        (&mut sums, &mut gradient, patches)
                    {
                        sums.add(&tile, k, delta, patches, gradient.get_mut(k));
                    }
                    if let Some(input_error) = &mut input_error {
                        let input_error = &mut input_error[k * width..][..width];
                        tile.pull_back(pass.parameters, delta, T::ZERO, other);
                        tile.add(other, stage, input_error);
                    }
                }
            }
        }
        buffers.put_back(scratch);
        if let (Some(sums), Some(gradient)) = (sums, &mut gradient) {
            sums.finish(gradient);
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        mut input_error: Option<&mut [T]>,
        mut gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        let Some(errors) = pass.errors else { return };
        let isa = Isa::current();
        let delta = errors.array(DELTA);
        let length = delta.len();
        let first = self.activation.first(pass.state);
        let tiling = Tiling::new::<T>(self);
        let mut buffers = Buffers::take(tangents, BUFFERS, tiling, self);
        let width = pass.input.len();
        let mut sums = WeightSums::new(self, length / self.features(), pass.count);
        for (samples, range) in self.blocks(tiling, length / self.features()) {
            for (k, u) in output_error.chunks_exact_mut(length).enumerate() {
                let curved = self.activation.curved().then(|| {
                    &tangents.array(CURVED)[k * length + range.start..k * length + range.end]
                });
                let first = first.map(|first| &first[range.clone()]);
                let u = &mut u[range.clone()];
                activation::adjoint_tangent_epilogue(isa, u.len(), 1, first, curved, u);
            }
            self.clear(&samples, width, &mut input_error);
            for tile in tiling.tiles(self, &samples) {
                let Buffers { input, other, stage, block, .. } = &mut buffers;
                let patches = tile.read(pass.input, stage, input);
                for (k, u) in output_error.chunks_exact(length).enumerate() {
                    let gradient = gradient.get_mut(k);
                    if let Some(input_tangent) = pass.input_tangent {
                        let input_tangent = &input_tangent[k * width..][..width];
                        let patches = tile.read(input_tangent, stage, other);
                        sums.add(&tile, k, tile.errors(delta, block), patches, gradient);
                    }
                    let u = tile.errors(u, block);
                    sums.add(&tile, k, u, patches, gradient);
                    let Some(input_error) = &mut input_error else { continue };
                    tile.pull_back(pass.parameters, u, T::ZERO, other);
                    if let Some(directions) = pass.directions {
                        let delta = tile.errors(delta, block);
                        tile.pull_back(directions.get(k), delta, T::ONE, other);
                    }
                    tile.add(other, stage, &mut input_error[k * width..][..width]);
                }
            }
        }
        buffers.put_back(tangents);
        sums.finish(&mut gradient);
        for (k, u) in output_error.chunks_exact(length).enumerate() {
            self.add_bias_gradient(u, gradient.get_mut(k));
        }
    }
}
