//! Patches of images as columns of a matrix, a tile at a time: what turns a convolution into products
//! of matrices, and the transpose that adds patches back to where they were read.
//!
//! An image is `[channel][row][column]`. The patch matrix of a tile has a row for every number of a
//! patch, `[channel][tap down][tap across]`, and a column for every place in the tile, so that a row is
//! made of contiguous runs of the image: one for every row of places. A stage between the two, see
//! [`Stage`], holds the rows of the image that a tile needs with their padding, and with their columns
//! sorted by their remainder modulo the stride: then every run is contiguous for any stride, padding
//! and dilation, and the loops over runs have no case to tell apart.

#[cfg(test)]
mod tests;

use core::ops::Range;

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::window::Window;
use crate::{Isa, Real};

/// The part of `channels` planes that a window reads at the rows of places `rows`, padded.
///
/// `[channel][row][column modulo stride][column div stride]`.
#[derive(Clone, Debug)]
pub struct Stage {
    window: Window,
    channels: usize,
    rows: Range<usize>,
    /// Rows of a channel.
    height: usize,
    /// Columns of one remainder.
    width: usize,
}

impl Stage {
    /// The stage of a tile.
    ///
    /// # Panics
    /// If `rows` is empty or leaves the output.
    #[must_use]
    pub fn new(window: &Window, channels: usize, rows: Range<usize>) -> Self {
        assert!(rows.start < rows.end && rows.end <= window.outputs()[0], "rows of places");
        let height = (rows.len() - 1) * window.stride()[0]
            + (window.kernel()[0] - 1) * window.dilation()[0]
            + 1;
        let reach = (window.kernel()[1] - 1) * window.dilation()[1];
        // The last place reads at most this far in the run of one remainder.
        let width = window.outputs()[1] + reach / window.stride()[1];
        Self { window: *window, channels, rows, height, width }
    }

    /// Elements of the stage.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels * self.height * self.row()
    }

    /// Whether the stage has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Columns of the patch matrix: places of the tile.
    #[must_use]
    pub fn places(&self) -> usize {
        self.rows.len() * self.window.outputs()[1]
    }

    /// Rows of the patch matrix: numbers of a patch.
    #[must_use]
    pub fn patch(&self) -> usize {
        self.channels * self.window.taps()
    }

    /// Whether the stage is the image as it is, so that it need not be made.
    #[must_use]
    pub fn is_image(&self) -> bool {
        let window = &self.window;
        window.padding() == [0, 0] && [self.height, self.row()] == window.size()
    }

    fn row(&self) -> usize {
        self.width * self.window.stride()[1]
    }

    /// Rows of the stage that lie inside the plane, and the plane's row of the first of them.
    fn inside(&self) -> (Range<usize>, usize) {
        let padding = self.window.padding()[0];
        let top = self.rows.start * self.window.stride()[0];
        let first = padding.saturating_sub(top).min(self.height);
        let end = (padding + self.window.size()[0]).saturating_sub(top).min(self.height);
        (first..end.max(first), (top + first).saturating_sub(padding))
    }

    /// The columns of the plane whose padded column is `remainder` modulo the stride: the first, and
    /// where in the stage's row it and those after it go.
    fn columns(&self, remainder: usize) -> (usize, Range<usize>) {
        let (stride, padding) = (self.window.stride()[1], self.window.padding()[1]);
        // The smallest padded column in the plane with this remainder.
        let first = padding + (remainder + stride - padding % stride) % stride;
        let end = padding + self.window.size()[1];
        let count = end.saturating_sub(first).div_ceil(stride);
        let start = (first / stride).min(self.width);
        let stop = (start + count).min(self.width);
        (first - padding, remainder * self.width + start..remainder * self.width + stop)
    }

    fn check(&self, image: usize, stage: usize) {
        assert_eq!(image, self.channels * self.window.plane(), "image: elements");
        assert_eq!(stage, self.len(), "stage: elements");
    }

    fn check_patches(&self, patches: usize, columns: usize, first: usize, stage: usize) {
        assert_eq!(stage, self.len(), "stage: elements");
        assert!(
            first.checked_add(self.places()).is_some_and(|end| end <= columns),
            "patches: columns"
        );
        assert_eq!(Some(patches), columns.checked_mul(self.patch()), "patches: elements");
    }

    /// Calls `f` with the start of each run of the stage and of the patch matrix, tap by tap, the runs
    /// of a tap evenly spaced.
    #[inline(always)]
    fn taps(&self, columns: usize, first: usize, mut f: impl FnMut(usize, usize)) {
        let [down, across] = self.window.kernel();
        let stride = self.window.stride()[1];
        let mut to = first;
        for channel in 0..self.channels {
            for y in 0..down {
                let line = (channel * self.height + y * self.window.dilation()[0]) * self.row();
                for x in 0..across {
                    let x = x * self.window.dilation()[1];
                    f(line + x % stride * self.width + x / stride, to);
                    to += columns;
                }
            }
        }
    }
}

/// stage ← the rows of `image` that a tile needs, zeros in the padding. Bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn stage_image<T: Real>(isa: Isa, stage: &Stage, image: &[T], staged: &mut [T]) {
    stage.check(image.len(), staged.len());
    dispatch!(isa, Fill<'a, T> = Fill { stage, image, staged });
}

struct Fill<'a, T> {
    stage: &'a Stage,
    image: &'a [T],
    staged: &'a mut [T],
}

impl<T: Real> WithSimd for Fill<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { stage, image, staged } = self;
        staged.fill(T::ZERO);
        let (rows, top) = stage.inside();
        let (width, stride) = (stage.window.size()[1], stage.window.stride()[1]);
        for channel in 0..stage.channels {
            let plane = &image[channel * stage.window.plane()..][..stage.window.plane()];
            let staged = &mut staged[channel * stage.height * stage.row()..];
            for remainder in 0..stride {
                let (first, columns) = stage.columns(remainder);
                for (i, row) in rows.clone().enumerate() {
                    let to = &mut staged[row * stage.row()..][columns.clone()];
                    let from = &plane[(top + i) * width..][..width];
                    if stride == 1 {
                        copy_run(&from[first..][..to.len()], to);
                    } else if !to.is_empty() {
                        for (to, &from) in to.iter_mut().zip(from[first..].iter().step_by(stride)) {
                            *to = from;
                        }
                    }
                }
            }
        }
    }
}

/// image += what the stage says about it: the transpose of [`stage_image`]. Bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn add_stage<T: Real>(isa: Isa, stage: &Stage, staged: &[T], image: &mut [T]) {
    stage.check(image.len(), staged.len());
    dispatch!(isa, Return<'a, T> = Return { stage, staged, image });
}

struct Return<'a, T> {
    stage: &'a Stage,
    staged: &'a [T],
    image: &'a mut [T],
}

impl<T: Real> WithSimd for Return<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { stage, staged, image } = self;
        let (rows, top) = stage.inside();
        let (width, stride) = (stage.window.size()[1], stage.window.stride()[1]);
        for channel in 0..stage.channels {
            let plane = &mut image[channel * stage.window.plane()..][..stage.window.plane()];
            let staged = &staged[channel * stage.height * stage.row()..];
            for remainder in 0..stride {
                let (first, columns) = stage.columns(remainder);
                for (i, row) in rows.clone().enumerate() {
                    let from = &staged[row * stage.row()..][columns.clone()];
                    let to = &mut plane[(top + i) * width..][..width];
                    if stride == 1 {
                        add_run(from, &mut to[first..][..from.len()]);
                    } else if !from.is_empty() {
                        for (to, &from) in to[first..].iter_mut().step_by(stride).zip(from) {
                            *to += from;
                        }
                    }
                }
            }
        }
    }
}

/// Columns `first` … of a patch matrix of `columns` columns ← the patches of a tile.
///
/// `patches`: patch × columns, row-major. Every number of the stage is copied to as many places as
/// the kernel has taps: bandwidth-bound, in the second-level cache if the tile is small enough.
///
/// # Panics
/// If the lengths do not agree.
pub fn read_patches<T: Real>(
    isa: Isa,
    stage: &Stage,
    staged: &[T],
    patches: &mut [T],
    columns: usize,
    first: usize,
) {
    stage.check_patches(patches.len(), columns, first, staged.len());
    dispatch!(isa, Read<'a, T> = Read { stage, staged, patches, columns, first });
}

struct Read<'a, T> {
    stage: &'a Stage,
    staged: &'a [T],
    patches: &'a mut [T],
    columns: usize,
    first: usize,
}

impl<T: Real> WithSimd for Read<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.stage.window.outputs()[1] {
            0..4 => self.runs::<1>(),
            4..8 => self.runs::<4>(),
            8..16 => self.runs::<8>(),
            _ => self.runs::<16>(),
        }
    }
}

impl<T: Real> Read<'_, T> {
    /// Copies run by run, in pieces of `N` of which the last may overlap the one before.
    #[inline(always)]
    fn runs<const N: usize>(self) {
        let Self { stage, staged, patches, columns, first } = self;
        let (run, rows) = (stage.window.outputs()[1], stage.rows.len());
        let step = stage.window.stride()[0] * stage.row();
        stage.taps(
            columns,
            first,
            #[inline(always)]
            |from, to| {
                let to = &mut patches[to..][..rows * run];
                let from = &staged[from..][..(rows - 1) * step + run];
                for (to, from) in to.chunks_exact_mut(run).zip(from.chunks(step)) {
                    copy_pieces::<T, N>(&from[..run], to);
                }
            },
        );
    }
}

/// Copies at least `N` elements, in whole pieces.
#[inline(always)]
fn copy_pieces<T: Real, const N: usize>(from: &[T], to: &mut [T]) {
    let n = from.len();
    let (whole, _) = from.as_chunks::<N>();
    for (to, from) in to.as_chunks_mut::<N>().0.iter_mut().zip(whole) {
        *to = *from;
    }
    if N > 1
        && !n.is_multiple_of(N)
        && let (Some(from), Some(to)) = (from.last_chunk::<N>(), to.last_chunk_mut::<N>())
    {
        *to = *from;
    }
}

/// Copies any number of elements without a call.
#[inline(always)]
fn copy_run<T: Real>(from: &[T], to: &mut [T]) {
    match from.len() {
        0..4 => copy_pieces::<T, 1>(from, to),
        4..8 => copy_pieces::<T, 4>(from, to),
        8..16 => copy_pieces::<T, 8>(from, to),
        _ => copy_pieces::<T, 16>(from, to),
    }
}

/// to += from.
#[inline(always)]
fn add_run<T: Real>(from: &[T], to: &mut [T]) {
    let (whole, rest) = from.as_chunks::<8>();
    let (to_whole, to_rest) = to.as_chunks_mut::<8>();
    for (to, from) in to_whole.iter_mut().zip(whole) {
        for i in 0..8 {
            to[i] += from[i];
        }
    }
    for (to, &from) in to_rest.iter_mut().zip(rest) {
        *to += from;
    }
}

/// stage += columns `first` … of a patch matrix, each number added to where it was read: the
/// transpose of [`read_patches`].
///
/// # Panics
/// If the lengths do not agree.
pub fn add_patches<T: Real>(
    isa: Isa,
    stage: &Stage,
    patches: &[T],
    columns: usize,
    first: usize,
    staged: &mut [T],
) {
    stage.check_patches(patches.len(), columns, first, staged.len());
    dispatch!(isa, Add<'a, T> = Add { stage, patches, columns, first, staged });
}

struct Add<'a, T> {
    stage: &'a Stage,
    patches: &'a [T],
    columns: usize,
    first: usize,
    staged: &'a mut [T],
}

impl<T: Real> WithSimd for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { stage, patches, columns, first, staged } = self;
        let (run, rows) = (stage.window.outputs()[1], stage.rows.len());
        let step = stage.window.stride()[0] * stage.row();
        stage.taps(
            columns,
            first,
            #[inline(always)]
            |to, from| {
                let from = &patches[from..][..rows * run];
                let to = &mut staged[to..][..(rows - 1) * step + run];
                for (from, to) in from.chunks_exact(run).zip(to.chunks_mut(step)) {
                    add_run(from, &mut to[..run]);
                }
            },
        );
    }
}
