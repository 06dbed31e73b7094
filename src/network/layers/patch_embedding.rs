//! An image as tokens: a linear map of each of its patches.

use hesse_kernels::activation::Activation;

use super::Dense;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};
use crate::network::{Initializer, LinearMap};
use crate::{Error, Real, Result};

/// y(p) = W patch(p) + b for the square patches that tile an image: `[channels, height, width]` to
/// `[tokens, outputs]`, tokens row by row of the image (Dosovitskiy et al. 2021).
///
/// Parameters: `weight` outputs × (channels · patch²), a patch being `[channel][row][column]`, and
/// `bias`: those of a convolution whose stride is its width. The patches of a shard are gathered into
/// rows once, then every pass is the one product of [`Dense`].
#[derive(Clone, Debug)]
pub struct PatchEmbedding {
    input_shape: [usize; 3],
    patch: usize,
    dense: Dense,
}

/// Slot of patches of the input in the state, of its tangent in the tangents, of its error in scratch.
const PATCHES: usize = 0;
/// Slot of errors of the patches among the tangents.
const PATCH_ERRORS: usize = 1;
/// Child of [`Dense`] in every state.
const DENSE: usize = 0;

impl PatchEmbedding {
    /// Patches of `patch` × `patch` pixels to `outputs` numbers.
    ///
    /// # Errors
    /// Another shape than `[channels, height, width]`, zero widths, a patch that does not divide
    /// height and width.
    pub fn new(input_shape: &[usize], patch: usize, outputs: usize) -> Result<Self> {
        let [channels, height, width] = *input_shape else {
            return Err(Error::range(
                "patch embedding: input shape",
                "[channels, height, width]",
                format!("{input_shape:?}"),
            ));
        };
        if features(input_shape) == 0 {
            let got = format!("{input_shape:?}");
            return Err(Error::range("patch embedding: input shape", "positive widths", got));
        }
        if patch == 0 || height % patch != 0 || width % patch != 0 {
            let expected = format!("a divisor of {height} and {width}");
            return Err(Error::range("patch embedding: patch", expected, patch));
        }
        let tokens = (height / patch) * (width / patch);
        let dense = Dense::new(&[tokens, channels * patch * patch], outputs, Activation::Identity)?;
        Ok(Self { input_shape: [channels, height, width], patch, dense })
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.dense = self.dense.bias(bias);
        self
    }

    /// How weight and bias start.
    #[must_use]
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.dense = self.dense.initializer(initializer);
        self
    }

    /// Calls `f` for every row of every patch: where it lies in the image, and in the patches.
    fn each_run(&self, mut f: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>)) {
        let [channels, height, width] = self.input_shape;
        let p = self.patch;
        let mut to = 0;
        for token_row in 0..height / p {
            for token_column in 0..width / p {
                for channel in 0..channels {
                    for row in 0..p {
                        let y = token_row * p + row;
                        let from = (channel * height + y) * width + token_column * p;
                        f(from..from + p, to..to + p);
                        to += p;
                    }
                }
            }
        }
    }

    fn gather<T: Real>(&self, images: &[T], patches: &mut [T]) {
        let n = features(&self.input_shape);
        for (image, patches) in images.chunks_exact(n).zip(patches.chunks_exact_mut(n)) {
            self.each_run(|from, to| patches[to].copy_from_slice(&image[from]));
        }
    }

    fn scatter<T: Real>(&self, patches: &[T], images: &mut [T]) {
        let n = features(&self.input_shape);
        for (patches, image) in patches.chunks_exact(n).zip(images.chunks_exact_mut(n)) {
            self.each_run(|to, from| image[to].copy_from_slice(&patches[from]));
        }
    }

    fn dense<T: Real>(&self) -> &dyn Layer<T> {
        &self.dense
    }

    fn inner<'a, T: Real>(pass: Tangent<'a, T>, input_tangent: Option<&'a [T]>) -> Tangent<'a, T> {
        Tangent {
            input: pass.state.array(PATCHES),
            state: pass.state.child(DENSE),
            errors: pass.errors.map(|errors| errors.child(DENSE)),
            input_tangent,
            ..pass
        }
    }
}

impl<T: Real> Layer<T> for PatchEmbedding {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        self.dense::<T>().output_shape()
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        self.dense::<T>().parameters()
    }

    fn linear_map(&self) -> Option<&dyn LinearMap<T>> {
        Some(self)
    }

    fn kept_features(&self) -> usize {
        features(&self.input_shape) + self.dense::<T>().kept_features()
    }

    fn multiplications(&self) -> usize {
        self.dense::<T>().multiplications()
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        let mut patches = state.take(PATCHES, input.len());
        self.gather(input, &mut patches);
        self.dense().forward(parameters, &patches, output, state.child_mut(DENSE), keep);
        state.put_back(PATCHES, patches);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let patches = pass.input_tangent.map(|images| {
            let mut patches = tangents.take(PATCHES, images.len());
            self.gather(images, &mut patches);
            patches
        });
        let inner = Self::inner(pass, patches.as_deref());
        self.dense().tangent(inner, output_tangent, tangents.child_mut(DENSE));
        if let Some(patches) = patches {
            tangents.put_back(PATCHES, patches);
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
        let inner =
            Adjoint { input: pass.state.array(PATCHES), state: pass.state.child(DENSE), ..pass };
        let mut patches = input_error.as_ref().map(|x| scratch.take(PATCHES, x.len()));
        self.dense().adjoint(
            inner,
            output_error,
            patches.as_deref_mut(),
            gradient,
            errors.map(|errors| errors.child_mut(DENSE)),
            scratch.child_mut(DENSE),
        );
        if let (Some(input_error), Some(patches)) = (input_error, patches) {
            self.scatter(&patches, input_error);
            scratch.put_back(PATCHES, patches);
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        // The patches of the input's tangent, as `tangent` left them.
        let patches = pass.input_tangent.map(|images| tangents.take(PATCHES, images.len()));
        let inner = Self::inner(pass, patches.as_deref());
        let mut patch_errors = input_error.as_ref().map(|x| tangents.take(PATCH_ERRORS, x.len()));
        self.dense().adjoint_tangent(
            inner,
            output_error,
            patch_errors.as_deref_mut(),
            gradient,
            tangents.child_mut(DENSE),
        );
        if let (Some(input_error), Some(patch_errors)) = (input_error, patch_errors) {
            self.scatter(&patch_errors, input_error);
            tangents.put_back(PATCH_ERRORS, patch_errors);
        }
        if let Some(patches) = patches {
            tangents.put_back(PATCHES, patches);
        }
    }
}

impl<T: Real> LinearMap<T> for PatchEmbedding {
    fn outputs(&self) -> usize {
        LinearMap::<T>::outputs(&self.dense)
    }

    fn patch(&self) -> usize {
        LinearMap::<T>::patch(&self.dense)
    }

    fn positions(&self) -> usize {
        LinearMap::<T>::positions(&self.dense)
    }

    fn weight<'a>(&self, parameters: &'a [T]) -> &'a [T] {
        LinearMap::weight(&self.dense, parameters)
    }

    fn has_bias(&self) -> bool {
        LinearMap::<T>::has_bias(&self.dense)
    }

    fn channels_first(&self) -> bool {
        false
    }

    fn read_patches(&self, _group: usize, input: &[T], patches: &mut [T]) {
        self.gather(input, patches);
    }

    fn add_patches(&self, _group: usize, patches: &[T], input: &mut [T]) {
        self.each_run(|to, from| {
            input[to].iter_mut().zip(&patches[from]).for_each(|(sum, &x)| *sum += x);
        });
    }

    fn error_before_activation(&self, _state: &State<T>, _count: usize, _error: &mut [T]) {}
}
