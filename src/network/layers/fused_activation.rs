//! The activation behind a product, applied while its output is in cache.

use hesse_kernels::activation::{self, Activation};

use crate::network::layer::State;
use crate::{Isa, Real};

/// Slots of the state of `forward`: φ' and φ''.
pub(super) const FIRST: usize = 0;
pub(super) const SECOND: usize = 1;
/// Slots of the errors of `adjoint`: δ = φ'∘ȳ, and c = φ''∘ȳ.
pub(super) const DELTA: usize = 0;
const CURVATURE: usize = 1;
/// Slot of the tangents: c∘ż.
pub(super) const CURVED: usize = 0;

/// φ of a layer y = φ(z) that keeps φ' and φ'' instead of z. The identity keeps nothing, an
/// activation of straight pieces no second derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FusedActivation(pub Activation);

impl FusedActivation {
    pub fn linear(self) -> bool {
        self.0 == Activation::Identity
    }

    pub fn curved(self) -> bool {
        !self.0.is_piecewise_linear()
    }

    /// Arrays of the shape of y that the passes keep: φ' and δ, φ'' and c.
    pub fn kept_arrays(self) -> usize {
        match (self.linear(), self.curved()) {
            (true, _) => 1,
            (_, false) => 2,
            (_, true) => 4,
        }
    }

    /// φ', unless it is 1.
    pub fn first<T: Real>(self, state: &State<T>) -> Option<&[T]> {
        (!self.linear()).then(|| state.array(FIRST))
    }

    /// c, where the errors are kept and it is not 0.
    pub fn curvature<T: Real>(self, errors: Option<&State<T>>) -> Option<&[T]> {
        errors.filter(|_| self.curved()).map(|errors| errors.array(CURVATURE))
    }

    /// ȳ ← δ = φ'∘ȳ for `count` cotangents. Where the errors of a single one are kept, also keeps δ and
    /// c there.
    pub fn adjoint<T: Real>(
        self,
        state: &State<T>,
        count: usize,
        output_error: &mut [T],
        errors: Option<&mut State<T>>,
    ) {
        let Some(errors) = errors else { return self.scale(state, count, output_error) };
        let length = output_error.len();
        if self.curved() {
            let curvature = errors.buffer(CURVATURE, length);
            curvature.copy_from_slice(state.array(SECOND));
            let (isa, first) = (Isa::current(), state.array(FIRST));
            activation::adjoint_epilogue(isa, first, Some(curvature), output_error);
        } else {
            self.scale(state, 1, output_error);
        }
        errors.buffer(DELTA, length).copy_from_slice(output_error);
    }

    /// ȳ ← φ'∘ȳ for `count` cotangents.
    pub fn scale<T: Real>(self, state: &State<T>, count: usize, output_error: &mut [T]) {
        if let Some(first) = self.first(state) {
            let length = output_error.len() / count;
            activation::scale_rows(Isa::current(), length, count, first, output_error);
        }
    }
}
