//! The linear map inside a layer, as theories of sharpness and sensitivity see it.

use super::layer::State;
use crate::Real;

/// z = W x + b where W, G groups of `outputs` × `patch`, acts at `positions` places of the input, on
/// the patch that it reads there: dense layers (one position, or one a token) and convolutions.
///
/// Everything about the map follows from the patches: z at position p is W patch(p) + b, its
/// transpose adds δ(p) W back to where the patch was read, and the gradient of W is Σₚ δ(p) patch(p)ᵀ.
pub trait LinearMap<T: Real>: Sync {
    /// Rows of W in one group: channels of the output.
    fn outputs(&self) -> usize;

    /// Columns of W in one group: numbers in a patch.
    fn patch(&self) -> usize;

    /// Places at which W acts.
    fn positions(&self) -> usize;

    /// Groups of channels that do not see each other.
    fn groups(&self) -> usize {
        1
    }

    /// W, group after group, each outputs × patch row-major; of the parameters of the layer.
    fn weight<'a>(&self, parameters: &'a [T]) -> &'a [T];

    /// Whether there is a bias, one a channel of the output.
    fn has_bias(&self) -> bool;

    /// Whether the features of z are `[group][channel][position]` rather than `[position][channel]`.
    fn channels_first(&self) -> bool;

    /// The patches of one sample that a group reads: positions × patch, row-major.
    fn read_patches(&self, group: usize, input: &[T], patches: &mut [T]);

    /// The transpose: input += what each patch says about the numbers that it was read from.
    fn add_patches(&self, group: usize, patches: &[T], input: &mut [T]);

    /// δ = φ'∘ȳ, the error at z, in the place of ȳ, for `count` cotangents of a shard whose `state`
    /// was kept by `forward`.
    fn error_before_activation(&self, state: &State<T>, count: usize, error: &mut [T]);
}
