//! L W = L_y W + W L_xᵀ for a matrix W whose rows and columns are both points of grids.

use pulp::{Simd, WithSimd};

use super::{Run, differences, load, low_bits, opaque_one, present_lanes, store, vectors};
use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// Some rows and columns of a product, and the matrix that it reads.
#[derive(Clone, Copy, Debug)]
pub struct ProductTile<'a, T> {
    /// Points of L_y: the rows.
    pub rows: &'a [Run],
    /// Points of L_x: the columns.
    pub columns: &'a [Run],
    /// Number of columns of the matrix.
    pub width: usize,
    /// W, row-major, all of it.
    pub matrix: &'a [T],
    /// From a row of W to the next.
    pub stride: usize,
}

/// S ← L_y W + W L_xᵀ for the tile; returns the tile's part of ‖S‖².
///
/// `out` holds rows from `first` on, `out_stride` elements from one to the next. 25 flops an
/// element. Moves W and S once where the rows next to each other in the grid of L_y stay in a
/// cache: tiles narrow enough make that so. The squares are summed in `f64`.
///
/// # Panics
/// If a point lies outside the matrix or outside `out`.
pub fn product<T: Real>(
    isa: Isa,
    tile: ProductTile<'_, T>,
    first: usize,
    out: &mut [T],
    out_stride: usize,
) -> f64 {
    dispatch!(isa, Tile<'a, T, Rows<'a, T>, Store> = Tile {
        tile,
        target: Rows { first, out, stride: out_stride },
        op: Store,
    })
}

/// G ← G + α (L_y S + S L_xᵀ) for the tile, with the arguments of [`product`]. 26 flops an element.
///
/// # Panics
/// As [`product`].
pub fn accumulate_product<T: Real>(
    isa: Isa,
    tile: ProductTile<'_, T>,
    alpha: T,
    first: usize,
    out: &mut [T],
    out_stride: usize,
) {
    dispatch!(isa, Tile<'a, T, Rows<'a, T>, Accumulate<T>> = Tile {
        tile,
        target: Rows { first, out, stride: out_stride },
        op: Accumulate(alpha),
    });
}

/// The tile's part of ‖L_y W + W L_xᵀ‖², nothing stored. Moves W once.
///
/// # Panics
/// If a point lies outside the matrix.
#[must_use]
pub fn norm_of_product<T: Real>(isa: Isa, tile: ProductTile<'_, T>) -> f64 {
    dispatch!(isa, Tile<'a, T, Nowhere, Store> = Tile { tile, target: Nowhere, op: Store })
}

/// Where elements go.
trait Target<T> {
    /// The first of the `width` elements of row `row`, or null.
    fn row(&mut self, row: usize, width: usize) -> *mut T;
}

struct Rows<'a, T> {
    first: usize,
    out: &'a mut [T],
    stride: usize,
}

impl<T> Target<T> for Rows<'_, T> {
    #[inline(always)]
    fn row(&mut self, row: usize, width: usize) -> *mut T {
        let start = row.wrapping_sub(self.first).saturating_mul(self.stride);
        self.out[start..][..width].as_mut_ptr()
    }
}

struct Nowhere;

impl<T> Target<T> for Nowhere {
    #[inline(always)]
    fn row(&mut self, _: usize, _: usize) -> *mut T {
        core::ptr::null_mut()
    }
}

trait Op<T: Real>: Copy {
    const SQUARES: bool;
    /// Whether the old element is needed.
    const READS: bool;
    fn finish<S: Simd>(self, simd: S, sum: T::Vector<S>, old: T::Vector<S>) -> T::Vector<S>;
}

#[derive(Clone, Copy)]
struct Store;

impl<T: Real> Op<T> for Store {
    const SQUARES: bool = true;
    const READS: bool = false;
    #[inline(always)]
    fn finish<S: Simd>(self, _: S, sum: T::Vector<S>, _: T::Vector<S>) -> T::Vector<S> {
        sum
    }
}

#[derive(Clone, Copy)]
struct Accumulate<T>(T);

impl<T: Real> Op<T> for Accumulate<T> {
    const SQUARES: bool = false;
    const READS: bool = true;
    #[inline(always)]
    fn finish<S: Simd>(self, simd: S, sum: T::Vector<S>, old: T::Vector<S>) -> T::Vector<S> {
        <T as Lanes>::add(simd, old, <T as Lanes>::mul(simd, T::splat(simd, self.0), sum))
    }
}

struct Tile<'a, T, R, F> {
    tile: ProductTile<'a, T>,
    target: R,
    op: F,
}

impl<T: Real, R: Target<T>, F: Op<T>> WithSimd for Tile<'_, T, R, F> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { tile, mut target, op } = self;
        let (width, stride) = (tile.width, tile.stride);
        let height = match tile.matrix.len().checked_sub(width) {
            Some(rest) => 1 + rest / stride.max(1),
            None => 0,
        };
        tile.columns.iter().for_each(|run| run.check(width));
        let one = opaque_one::<T, S>(simd);
        let mut squares = 0.0;
        for rows in tile.rows {
            rows.check(height);
            for i in 0..rows.length as usize {
                let row = rows.start as usize + i;
                let own = tile.matrix[row * stride..][..width].as_ptr();
                let mut beside = [0; 6];
                for k in 0..6 {
                    if rows.present[k] >> i & 1 == 1 {
                        beside[k] = rows.offsets[k] as isize * stride as isize;
                    }
                }
                let out = target.row(row, width);
                let mut sums = [simd.splat_f64s(0.0); 2];
                for columns in tile.columns {
                    // SAFETY: rows of `width` elements start at each pointer, as `check` has found of
                    // rows and columns; `out` is as long or null.
                    unsafe {
                        part::<T, S, F>(simd, one, op, columns, own, &beside, out, &mut sums)
                    };
                }
                if F::SQUARES {
                    squares += simd.reduce_sum_f64s(simd.add_f64s(sums[0], sums[1]));
                }
            }
        }
        squares
    }
}

/// One run of one row. Nothing is stored where `out` is null.
///
/// # Safety
/// The points of `run` and their neighbours are within the rows that start at `own`, at the distances
/// `beside` from it, and at `out`, unless it is null.
#[inline(always)]
unsafe fn part<T: Real, S: Simd, F: Op<T>>(
    simd: S,
    one: T::Vector<S>,
    op: F,
    run: &Run,
    own: *const T,
    beside: &[isize; 6],
    out: *mut T,
    sums: &mut [S::f64s; 2],
) {
    let (lanes, length, start) = (T::lanes::<S>(), run.length as usize, run.start as usize);
    let whole = low_bits(lanes);
    let own_at = own.wrapping_add(start);
    let mut near = [0; 6];
    let mut all = u64::MAX;
    for k in 0..6 {
        near[k] = run.offsets[k] as isize;
        all &= run.present[k];
    }
    let out = if out.is_null() { out } else { out.wrapping_add(start) };
    let mut i = 0;
    while i < length {
        if all >> i & whole == whole {
            // SAFETY: the caller's; all bits of these lanes are set, and end with the run.
            unsafe {
                let p = own_at.wrapping_add(i);
                let own = load::<T, S>(p);
                let around = differences::<T, S>(simd, one, own, vectors::<T, S>(own, p, &near));
                let across = differences::<T, S>(simd, one, own, vectors::<T, S>(own, p, beside));
                let sum = <T as Lanes>::add(simd, around, across);
                if F::SQUARES {
                    add_square::<T, S>(simd, sum, sums);
                }
                if !out.is_null() {
                    let out = out.wrapping_add(i);
                    let old = if F::READS { load::<T, S>(out) } else { own };
                    store::<T, S>(out, op.finish(simd, sum, old));
                }
            }
        } else {
            let mut bits = run.present;
            for bits in &mut bits {
                *bits = *bits >> i & whole;
            }
            let here = low_bits((length - i).min(lanes));
            let mask = T::mask_of_bits(simd, here);
            // SAFETY: the caller's, for the lanes of the bits.
            unsafe {
                // Behind the end all are 0, and so is their sum.
                let p = own_at.wrapping_add(i);
                let own = T::masked_load(simd, mask, p);
                let near = present_lanes::<T, S>(simd, own, p, &near, bits);
                let next = present_lanes::<T, S>(simd, own, p, beside, [here; 6]);
                let around = differences::<T, S>(simd, one, own, near);
                let across = differences::<T, S>(simd, one, own, next);
                let sum = <T as Lanes>::add(simd, around, across);
                if F::SQUARES {
                    add_square::<T, S>(simd, sum, sums);
                }
                if !out.is_null() {
                    let out = out.wrapping_add(i);
                    let old = if F::READS { T::masked_load(simd, mask, out) } else { own };
                    T::masked_store(simd, mask, out, op.finish(simd, sum, old));
                }
            }
        }
        i += lanes;
    }
}

#[inline(always)]
fn add_square<T: Real, S: Simd>(simd: S, x: T::Vector<S>, sums: &mut [S::f64s; 2]) {
    let [low, high] = T::widen(simd, x);
    sums[0] = simd.mul_add_e_f64s(low, low, sums[0]);
    if T::wide::<S>() == 2 {
        sums[1] = simd.mul_add_e_f64s(high, high, sums[1]);
    }
}
