//! The linear map inside a convolution.

use super::Convolution;
use super::tile::Tile;
use crate::Real;
use crate::network::LinearMap;
use crate::network::layer::State;

impl Convolution {
    /// All places of one sample, and lengths of its stage and patches.
    fn whole(&self, group: usize) -> (Tile<'_>, usize, usize) {
        let rows = 0..self.window.outputs()[0];
        let tile = Tile::new(self, 0..1, rows, group);
        let stage = tile.stage_len();
        (tile, stage, self.patch() * self.window.positions())
    }
}

impl<T: Real> LinearMap<T> for Convolution {
    fn outputs(&self) -> usize {
        self.units()
    }

    fn patch(&self) -> usize {
        self.patch()
    }

    fn positions(&self) -> usize {
        self.window.positions()
    }

    fn groups(&self) -> usize {
        self.shape.groups
    }

    fn weight<'a>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[..self.weights()]
    }

    fn has_bias(&self) -> bool {
        self.bias
    }

    fn channels_first(&self) -> bool {
        true
    }

    fn read_patches(&self, group: usize, input: &[T], patches: &mut [T]) {
        let (tile, stage, length) = self.whole(group);
        let (mut stage, mut columns) = (vec![T::ZERO; stage], vec![T::ZERO; length]);
        let read = tile.read(input, &mut stage, &mut columns);
        for (place, patch) in patches.chunks_exact_mut(self.patch()).enumerate() {
            for (entry, x) in patch.iter_mut().enumerate() {
                *x = read.at(entry, place);
            }
        }
    }

    fn add_patches(&self, group: usize, patches: &[T], input: &mut [T]) {
        let (tile, stage, length) = self.whole(group);
        let (mut stage, mut columns) = (vec![T::ZERO; stage], vec![T::ZERO; length]);
        let positions = self.window.positions();
        for (place, patch) in patches.chunks_exact(self.patch()).enumerate() {
            for (entry, &x) in patch.iter().enumerate() {
                columns[entry * positions + place] = x;
            }
        }
        tile.add(&columns, &mut stage, input);
    }

    fn error_before_activation(&self, state: &State<T>, count: usize, error: &mut [T]) {
        self.activation.scale(state, count, error);
    }
}
