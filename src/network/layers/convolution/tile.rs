//! The products of a convolution on a tile: places of a sample, or several samples with few places.

use std::ops::Range;

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::patches::{Stage, add_patches, add_stage, read_patches, stage_image};

use super::Convolution;
use crate::network::layer::{Gradients, State};
use crate::{Isa, Real};

/// Bytes of the patches of a tile: two such matrices, a tile of outputs and the weights should stay
/// in the second-level cache.
const PATCHES: usize = 320 << 10;
/// Columns of a product below which whole samples are put together, unless they are whole vectors.
const FEW_PLACES: usize = 192;
const WHOLE_VECTORS: usize = 16;
const FEWEST_PLACES: usize = 64;

/// One group of channels at some rows of places of some samples: all rows unless there is one sample.
pub(super) struct Tile<'c> {
    convolution: &'c Convolution,
    samples: Range<usize>,
    rows: Range<usize>,
    group: usize,
    stage: Stage,
}

/// The samples that go through a convolution together, and the rows of places of a tile.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    pub(super) samples: usize,
    rows: usize,
}

impl Tiling {
    pub(super) fn new<T: Real>(convolution: &Convolution) -> Self {
        let window = &convolution.window;
        let [down, across] = window.outputs();
        let positions = window.positions();
        let bytes = convolution.patch() * size_of::<T>();
        if positions * bytes > PATCHES {
            let rows = (PATCHES / (across * bytes)).max(FEWEST_PLACES.div_ceil(across));
            return Self { samples: 1, rows: rows.min(down) };
        }
        let alone = positions >= FEW_PLACES
            || (positions >= FEWEST_PLACES && positions.is_multiple_of(WHOLE_VECTORS));
        let most = PATCHES / (positions * bytes);
        let samples = if alone { 1 } else { FEW_PLACES.div_ceil(positions).min(most) };
        Self { samples, rows: down }
    }

    /// Columns of the largest tile.
    fn columns(&self, convolution: &Convolution) -> usize {
        self.samples * self.rows * convolution.window.outputs()[1]
    }

    /// The tiles of the samples `samples`.
    pub(super) fn tiles<'c>(
        self,
        convolution: &'c Convolution,
        samples: &Range<usize>,
    ) -> impl Iterator<Item = Tile<'c>> {
        let down = convolution.window.outputs()[0];
        let samples = samples.clone();
        (0..down).step_by(self.rows).flat_map(move |first| {
            let (samples, rows) = (samples.clone(), first..down.min(first + self.rows));
            (0..convolution.groups())
                .map(move |group| Tile::new(convolution, samples.clone(), rows.clone(), group))
        })
    }
}

/// The buffers of a pass, lent by a state.
pub(super) struct Buffers<T> {
    /// Patches of x.
    pub(super) input: Vec<T>,
    /// Patches of a tangent or of an error.
    pub(super) other: Vec<T>,
    /// A stage between image and patches.
    pub(super) stage: Vec<T>,
    /// Outputs or errors of several samples, channel by channel.
    pub(super) block: Vec<T>,
    first: usize,
}

impl<T: Real> Buffers<T> {
    /// Those in the slots of `state` from `first` on.
    pub(super) fn take(
        state: &mut State<T>,
        first: usize,
        tiling: Tiling,
        convolution: &Convolution,
    ) -> Self {
        let columns = tiling.columns(convolution);
        let rows = 0..tiling.rows;
        let stage = Stage::new(&convolution.window, convolution.channels(), rows).len();
        let patches = columns * convolution.patch();
        let block = if tiling.samples > 1 { columns * convolution.units() } else { 0 };
        Self {
            input: state.take(first, patches),
            other: state.take(first + 1, patches),
            stage: state.take(first + 2, stage),
            block: state.take(first + 3, block),
            first,
        }
    }

    pub(super) fn put_back(self, state: &mut State<T>) {
        for (i, buffer) in [self.input, self.other, self.stage, self.block].into_iter().enumerate()
        {
            state.put_back(self.first + i, buffer);
        }
    }
}

impl<'c> Tile<'c> {
    pub(super) fn new(
        convolution: &'c Convolution,
        samples: Range<usize>,
        rows: Range<usize>,
        group: usize,
    ) -> Self {
        let stage = Stage::new(&convolution.window, convolution.channels(), rows.clone());
        Self { convolution, samples, rows, group, stage }
    }

    /// Elements of the stage that [`Tile::read`] and [`Tile::add`] need.
    pub(super) fn stage_len(&self) -> usize {
        self.stage.len()
    }

    fn columns(&self) -> usize {
        self.samples.len() * self.stage.places()
    }

    fn alone(&self) -> bool {
        self.samples.len() == 1
    }

    /// Where the group's channels of a sample's image lie.
    fn image(&self, sample: usize) -> Range<usize> {
        let plane = self.convolution.window.plane();
        let channels = self.convolution.channels();
        let first = (sample * self.convolution.groups() + self.group) * channels * plane;
        first..first + channels * plane
    }

    /// Where the group's outputs of a sample lie, from the first of the tile to the last.
    fn outputs(&self, sample: usize) -> Range<usize> {
        let units = self.convolution.units();
        let positions = self.convolution.window.positions();
        let first = (sample * self.convolution.groups() + self.group) * units * positions
            + self.rows.start * self.convolution.window.outputs()[1];
        first..first + (units - 1) * positions + self.stage.places()
    }

    /// W of the group, units × patch.
    fn weight<'a, T: Real>(&self, parameters: &'a [T]) -> MatrixRef<'a, T> {
        let (units, patch) = (self.convolution.units(), self.convolution.patch());
        let weight = &parameters[self.group * units * patch..][..units * patch];
        MatrixRef::row_major(weight, units, patch)
    }

    /// Whether the patches of the tile are the image.
    fn pointwise(&self) -> bool {
        self.alone() && self.convolution.window.taps() == 1 && self.stage.is_image()
    }

    /// The patches of the tile, patch × columns, from the images in `inputs`.
    pub(super) fn read<'b, T: Real>(
        &self,
        inputs: &'b [T],
        stage: &mut [T],
        patches: &'b mut [T],
    ) -> MatrixRef<'b, T> {
        let (patch, columns) = (self.stage.patch(), self.columns());
        if self.pointwise() {
            return MatrixRef::row_major(&inputs[self.image(self.samples.start)], patch, columns);
        }
        let isa = Isa::current();
        let patches = &mut patches[..patch * columns];
        let stage = &mut stage[..self.stage.len()];
        for (i, sample) in self.samples.clone().enumerate() {
            let image = &inputs[self.image(sample)];
            let staged: &[T] = if self.stage.is_image() {
                image
            } else {
                stage_image(isa, &self.stage, image, stage);
                stage
            };
            read_patches(isa, &self.stage, staged, patches, columns, i * self.stage.places());
        }
        MatrixRef::row_major(patches, patch, columns)
    }

    /// outputs ← β outputs + W patches.
    pub(super) fn multiply<T: Real>(
        &self,
        parameters: &[T],
        patches: MatrixRef<'_, T>,
        beta: T,
        outputs: &mut [T],
        block: &mut [T],
    ) {
        let (isa, weight) = (Isa::current(), self.weight(parameters));
        let (units, columns) = (weight.rows(), self.columns());
        let positions = self.convolution.window.positions();
        if self.alone() {
            let outputs = &mut outputs[self.outputs(self.samples.start)];
            let outputs = MatrixMut::new(outputs, units, columns, positions, 1);
            gemm(isa, T::ONE, weight, patches, beta, outputs);
            return;
        }
        let block = &mut block[..units * columns];
        let c = MatrixMut::row_major(block, units, columns);
        gemm(isa, T::ONE, weight, patches, T::ZERO, c);
        for (i, sample) in self.samples.clone().enumerate() {
            let outputs = outputs[self.outputs(sample)].chunks_exact_mut(positions);
            for (outputs, block) in outputs.zip(block.chunks_exact(columns)) {
                let block = &block[i * positions..][..positions];
                if beta == T::ZERO {
                    outputs.copy_from_slice(block);
                } else {
                    outputs.iter_mut().zip(block).for_each(|(sum, &z)| *sum += z);
                }
            }
        }
    }

    /// The errors of the tile, units × columns.
    pub(super) fn errors<'b, T: Real>(
        &self,
        errors: &'b [T],
        block: &'b mut [T],
    ) -> MatrixRef<'b, T> {
        let (units, columns) = (self.convolution.units(), self.columns());
        let positions = self.convolution.window.positions();
        if self.alone() {
            let errors = &errors[self.outputs(self.samples.start)];
            return MatrixRef::new(errors, units, columns, positions, 1);
        }
        let block = &mut block[..units * columns];
        for (i, sample) in self.samples.clone().enumerate() {
            let errors = errors[self.outputs(sample)].chunks_exact(positions);
            for (errors, block) in errors.zip(block.chunks_exact_mut(columns)) {
                block[i * positions..][..positions].copy_from_slice(errors);
            }
        }
        MatrixRef::row_major(block, units, columns)
    }

    /// patches ← β patches + Wᵀ errors, the errors of the patches.
    pub(super) fn pull_back<T: Real>(
        &self,
        parameters: &[T],
        errors: MatrixRef<'_, T>,
        beta: T,
        patches: &mut [T],
    ) {
        let weight = self.weight(parameters);
        let (patch, columns) = (weight.columns(), self.columns());
        let patches = MatrixMut::row_major(&mut patches[..patch * columns], patch, columns);
        gemm(Isa::current(), T::ONE, weight.transposed(), errors, beta, patches);
    }

    /// Adds errors of patches to those of the images that they were read from.
    pub(super) fn add<T: Real>(&self, patches: &[T], stage: &mut [T], inputs: &mut [T]) {
        let (isa, columns) = (Isa::current(), self.columns());
        let patches = &patches[..self.stage.patch() * columns];
        let stage = &mut stage[..self.stage.len()];
        for (i, sample) in self.samples.clone().enumerate() {
            let image = &mut inputs[self.image(sample)];
            let first = i * self.stage.places();
            if self.stage.is_image() {
                add_patches(isa, &self.stage, patches, columns, first, image);
            } else {
                stage.fill(T::ZERO);
                add_patches(isa, &self.stage, patches, columns, first, stage);
                add_stage(isa, &self.stage, stage, image);
            }
        }
    }
}

/// Gradients of the weights, summed over the tiles of a shard: the sum is kept transposed, which is
/// how the product writes it fastest, unless there are fewer columns than make up for the
/// transposition.
pub(super) struct WeightSums<'c, T> {
    convolution: &'c Convolution,
    transposed: Option<Vec<T>>,
}

/// Columns of all tiles from which on a transposed sum pays.
const MANY_COLUMNS: usize = 256;

impl<'c, T: Real> WeightSums<'c, T> {
    pub(super) fn new(convolution: &'c Convolution, samples: usize, count: usize) -> Self {
        let columns = samples * convolution.window.positions();
        let pays = columns >= MANY_COLUMNS;
        let transposed = pays.then(|| vec![T::ZERO; count * convolution.weights()]);
        Self { convolution, transposed }
    }

    /// Adds errors patchesᵀ of a tile to sum `k`, or to its gradient.
    pub(super) fn add(
        &mut self,
        tile: &Tile<'_>,
        k: usize,
        errors: MatrixRef<'_, T>,
        patches: MatrixRef<'_, T>,
        gradient: &mut [T],
    ) {
        let (units, patch) = (self.convolution.units(), self.convolution.patch());
        let (group, weights) = (tile.group * units * patch, self.convolution.weights());
        let sum = match &mut self.transposed {
            Some(sums) => MatrixMut::column_major(
                &mut sums[k * weights + group..][..units * patch],
                units,
                patch,
            ),
            None => MatrixMut::row_major(&mut gradient[group..][..units * patch], units, patch),
        };
        gemm(Isa::current(), T::ONE, errors, patches.transposed(), T::ONE, sum);
    }

    /// Adds the sums to the gradients.
    pub(super) fn finish(self, gradients: &mut Gradients<'_, T>) {
        let Some(sums) = self.transposed else { return };
        let (units, patch) = (self.convolution.units(), self.convolution.patch());
        for (k, sums) in sums.chunks_exact(self.convolution.weights()).enumerate() {
            let gradient = &mut gradients.get_mut(k)[..sums.len()];
            let groups = gradient.chunks_exact_mut(units * patch);
            for (gradient, sums) in groups.zip(sums.chunks_exact(units * patch)) {
                for (unit, gradient) in gradient.chunks_exact_mut(patch).enumerate() {
                    for (gradient, sums) in gradient.iter_mut().zip(sums.chunks_exact(units)) {
                        *gradient += sums[unit];
                    }
                }
            }
        }
    }
}
