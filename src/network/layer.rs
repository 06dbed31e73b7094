//! What a layer is: four passes over a shard of samples, and nothing else.

use std::fmt::Debug;

use super::layers::BatchStatistics;
use super::observation::{self, GradientSquares, Observer, Place};
use super::{Initializer, LinearMap};
use crate::{Real, Result};

/// A named array of parameters that a layer asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// Its name inside the layer, such as `weight`.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Number of inputs that one output unit sums over.
    pub fan_in: usize,
    /// Number of output units that one input reaches.
    pub fan_out: usize,
    /// How it starts unless the caller chooses otherwise.
    pub initializer: Initializer,
}

impl ParameterSpec {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        features(&self.shape)
    }

    /// Whether the array has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How much a forward pass must keep for the passes that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Nothing: only the outputs are wanted.
    Outputs,
    /// What `tangent` and `adjoint` need (φ').
    FirstOrder,
    /// What `adjoint` needs to prepare `adjoint_tangent` as well (φ'').
    SecondOrder,
}

/// Arrays that a layer keeps from one pass for another, and those of the layers inside it.
///
/// The buffers are reused from shard to shard; a layer must write before it reads.
#[derive(Clone, Debug)]
pub struct State<T> {
    arrays: Vec<Vec<T>>,
    indices: Vec<Vec<u32>>,
    children: Vec<State<T>>,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { arrays: Vec::new(), indices: Vec::new(), children: Vec::new() }
    }
}

impl<T: Real> State<T> {
    /// Buffer number `slot` with this length; its contents are whatever they were.
    pub fn buffer(&mut self, slot: usize, length: usize) -> &mut [T] {
        if self.arrays.len() <= slot {
            self.arrays.resize_with(slot + 1, Vec::new);
        }
        let array = &mut self.arrays[slot];
        array.resize(length, T::ZERO);
        array
    }

    /// Buffer number `slot` as it was written, empty if it never was.
    #[must_use]
    pub fn array(&self, slot: usize) -> &[T] {
        self.arrays.get(slot).map_or(&[], Vec::as_slice)
    }

    /// Buffer number `slot`, taken out so that it can be used beside others; see
    /// [`State::put_back`].
    pub fn take(&mut self, slot: usize, length: usize) -> Vec<T> {
        self.buffer(slot, length);
        std::mem::take(&mut self.arrays[slot])
    }

    /// Returns a buffer taken by [`State::take`].
    pub fn put_back(&mut self, slot: usize, array: Vec<T>) {
        self.arrays[slot] = array;
    }

    /// Buffer of indices number `slot` with this length; its contents are whatever they were. Slots
    /// of indices are counted apart from those of numbers.
    pub fn index_buffer(&mut self, slot: usize, length: usize) -> &mut [u32] {
        if self.indices.len() <= slot {
            self.indices.resize_with(slot + 1, Vec::new);
        }
        let array = &mut self.indices[slot];
        array.resize(length, 0);
        array
    }

    /// Buffer of indices number `slot` as it was written, empty if it never was.
    #[must_use]
    pub fn index_array(&self, slot: usize) -> &[u32] {
        self.indices.get(slot).map_or(&[], Vec::as_slice)
    }

    /// State of the layer number `index` inside this one.
    pub fn child_mut(&mut self, index: usize) -> &mut State<T> {
        if self.children.len() <= index {
            self.children.resize_with(index + 1, State::default);
        }
        &mut self.children[index]
    }

    /// State of the layer number `index` inside this one; empty if it was never written.
    #[must_use]
    pub fn child(&self, index: usize) -> &State<T> {
        self.children.get(index).unwrap_or(Self::EMPTY)
    }

    const EMPTY: &'static Self =
        &Self { arrays: Vec::new(), children: Vec::new(), indices: Vec::new() };

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.arrays.iter().map(|a| a.capacity() * size_of::<T>()).sum::<usize>()
            + self.indices.iter().map(|a| a.capacity() * size_of::<u32>()).sum::<usize>()
            + self.children.iter().map(State::bytes).sum::<usize>()
    }
}

/// Tangents of a layer's parameters: `count` vectors, each the layer's slice of a vector of all
/// parameters of the network.
#[derive(Clone, Copy, Debug)]
pub struct Directions<'a, T> {
    vectors: &'a [T],
    stride: usize,
    offset: usize,
    length: usize,
    count: usize,
}

impl<'a, T: Real> Directions<'a, T> {
    /// The vectors of length `stride` that follow one another in `vectors`.
    #[must_use]
    pub fn new(vectors: &'a [T], stride: usize) -> Self {
        let count = vectors.len().checked_div(stride).unwrap_or(0);
        Self { vectors, stride, offset: 0, length: stride, count }
    }

    /// Number of vectors.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The `length` parameters from `offset` on, of every vector.
    #[must_use]
    pub fn part(&self, offset: usize, length: usize) -> Self {
        Self { offset: self.offset + offset, length, ..*self }
    }

    /// Vector `k`.
    #[must_use]
    pub fn get(&self, k: usize) -> &'a [T] {
        &self.vectors[k * self.stride + self.offset..][..self.length]
    }
}

/// Gradients that a layer adds to: like [`Directions`], but mutable.
#[derive(Debug)]
pub struct Gradients<'a, T> {
    vectors: &'a mut [T],
    stride: usize,
    offset: usize,
    length: usize,
    count: usize,
}

impl<'a, T: Real> Gradients<'a, T> {
    /// The vectors of length `stride` that follow one another in `vectors`.
    #[must_use]
    pub fn new(vectors: &'a mut [T], stride: usize) -> Self {
        let count = vectors.len().checked_div(stride).unwrap_or(0);
        Self { vectors, stride, offset: 0, length: stride, count }
    }

    /// Number of vectors.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The `length` parameters from `offset` on, of every vector.
    pub fn part(&mut self, offset: usize, length: usize) -> Gradients<'_, T> {
        Gradients {
            vectors: self.vectors,
            stride: self.stride,
            offset: self.offset + offset,
            length,
            count: self.count,
        }
    }

    /// Vector `k`.
    pub fn get_mut(&mut self, k: usize) -> &mut [T] {
        &mut self.vectors[k * self.stride + self.offset..][..self.length]
    }
}

/// A differentiable map from input features and parameters to output features, sample by sample.
///
/// **Layout.** A shard of B samples is row-major: the features of sample b are contiguous, `[b][i]`.
/// K tangents or cotangents of one shard follow one another, `[k][b][i]`, so that a product with the
/// layer's weights is one product with K·B rows.
///
/// **Passes.** With x the input, θ the layer's parameters and y = f(x, θ):
///
/// | pass | given | gives |
/// |---|---|---|
/// | `forward` | x | y, and in `state` what the others need |
/// | `tangent` | ẋ, θ̇ | ẏ = ∂ₓf ẋ + ∂_θf θ̇ |
/// | `adjoint` | ȳ | x̄ = ∂ₓfᵀ ȳ; adds ∂_θfᵀ ȳ to the gradient |
/// | `adjoint_tangent` | the tangent of ȳ | the tangents of x̄ and of ∂_θfᵀ ȳ |
///
/// The primal passes run once for a shard; then every Hessian product costs one `tangent` and one
/// `adjoint_tangent`, every Gauss-Newton product one `tangent` and one `adjoint`.
///
/// Shapes are checked when the network is built and when data enter it; the passes assume them.
/// They must not depend on the thread they run on, and a result must be the same bits every time.
pub trait Layer<T: Real>: Debug + Send + Sync {
    /// Shape of the features of one sample at the input.
    fn input_shape(&self) -> &[usize];

    /// Shape of the features of one sample at the output.
    fn output_shape(&self) -> &[usize];

    /// The parameters, in the order in which they lie in memory.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// Whether a sample's output depends on the other samples of its shard (normalisation by batch
    /// statistics): then the whole batch is one shard.
    fn couples_samples(&self) -> bool {
        false
    }

    /// Checks inputs as the first layer that reads the data, `inputs` being whole samples: a layer
    /// whose inputs are indices says which are none of its own.
    ///
    /// # Errors
    /// A number that is no index.
    fn check_input(&self, _inputs: &[T]) -> Result<()> {
        Ok(())
    }

    /// Adds the statistics of the batch that `forward` left in `state`, of every layer inside that
    /// normalises by them, in the order of the layers.
    fn batch_statistics(&self, _state: &State<T>, _statistics: &mut Vec<BatchStatistics>) {}

    /// The linear map inside, where the layer is φ(W x + b).
    fn linear_map(&self) -> Option<&dyn LinearMap<T>> {
        None
    }

    /// Features of one sample that the passes keep in `state`, counting those of `adjoint`'s errors:
    /// for memory estimates only.
    fn kept_features(&self) -> usize;

    /// Most features of one sample in any array between layers, here or inside: shards are cut so
    /// that such an array stays in cache.
    fn widest_features(&self) -> usize {
        features(self.input_shape()).max(features(self.output_shape()))
    }

    /// Multiplications of `forward` for one sample, roughly: the number of parameters, times the
    /// places where they act. Where it is large beside the number of parameters a few samples are
    /// work enough for a sum of gradients.
    fn multiplications(&self) -> usize {
        parameter_count(&self.parameters())
    }

    /// y ← f(x, θ).
    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    );

    /// ẏ ← ∂ₓf ẋ + ∂_θf θ̇ for `count` tangents; absent ẋ or θ̇ count as zero. With `errors` (from a
    /// primal `adjoint`), also what `adjoint_tangent` needs is left in `tangents`.
    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>);

    /// x̄ ← ∂ₓfᵀ ȳ where wanted, and gradient += ∂_θfᵀ ȳ where wanted, for `count` cotangents.
    /// `output_error` is ȳ and is overwritten. With `errors`, what `tangent` and `adjoint_tangent`
    /// need of this pass is kept there; then `count` is 1 and `state` was kept to second order.
    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Option<Gradients<'_, T>>,
        errors: Option<&mut State<T>>,
        scratch: &mut State<T>,
    );

    /// The tangent of `adjoint` along the tangents of the last `tangent` pass, which left `tangents`:
    /// `output_error` is the tangent of ȳ and is overwritten.
    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    );

    /// Adds Σₖ ‖∂(ȳₖᵀ f(x))/∂θ‖² of every sample and parameter array to `squares`, with its weighted
    /// form where that is asked for; `output_error` is ȳ, for `count` cotangents.
    ///
    /// By default from the patches of [`linear_map`](Self::linear_map) and δ, or else by one pass over
    /// the shard for every sample and cotangent, which is slow. Not called for layers that couple
    /// samples.
    fn gradient_squares(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &[T],
        squares: &mut GradientSquares,
        scratch: &mut State<T>,
    ) {
        observation::squares_of_layer(self, pass, output_error, squares, scratch);
    }

    /// The `adjoint` of `count` cotangents without gradients, which shows `observer` every layer with
    /// parameters that it passes: this one, or those inside it. `output_error` is overwritten.
    ///
    /// A layer that is made of others overrides this and calls theirs, last to first, each with its
    /// own [`Place`].
    fn observe(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: &mut [T],
        place: Place<'_>,
        observer: &mut dyn Observer<T>,
        scratch: &mut State<T>,
    ) {
        observation::observe_layer(self, pass, output_error, input_error, place, observer, scratch);
    }
}

/// What the two tangent passes are given.
#[derive(Clone, Copy, Debug)]
pub struct Tangent<'a, T> {
    /// θ.
    pub parameters: &'a [T],
    /// x of the primal pass.
    pub input: &'a [T],
    /// Kept by `forward`.
    pub state: &'a State<T>,
    /// Kept by `adjoint`; absent where only first derivatives are wanted.
    pub errors: Option<&'a State<T>>,
    /// θ̇, or none.
    pub directions: Option<Directions<'a, T>>,
    /// ẋ, or none.
    pub input_tangent: Option<&'a [T]>,
    /// Number of tangents.
    pub count: usize,
}

/// What the adjoint pass is given.
#[derive(Clone, Copy, Debug)]
pub struct Adjoint<'a, T> {
    /// θ.
    pub parameters: &'a [T],
    /// x of the primal pass.
    pub input: &'a [T],
    /// Kept by `forward`.
    pub state: &'a State<T>,
    /// Number of cotangents.
    pub count: usize,
}

/// Number of features of one sample, the largest number where it has no room in one.
pub(crate) fn features(shape: &[usize]) -> usize {
    shape.iter().fold(1, |product: usize, &n| product.saturating_mul(n))
}

/// Total number of parameters.
pub(crate) fn parameter_count(specs: &[ParameterSpec]) -> usize {
    specs.iter().map(ParameterSpec::len).fold(0, usize::saturating_add)
}
