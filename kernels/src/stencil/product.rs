//! L W = L_y W + W L_xᵀ for a matrix W whose rows and columns are both points of grids.

use pulp::{Simd, WithSimd};

use super::{Segment, differences, tails, vectors_at};
use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// Some rows and columns of a product, and the matrix that it reads.
#[derive(Clone, Copy, Debug)]
pub struct ProductTile<'a, T> {
    /// Points of L_y: the rows.
    pub rows: &'a [Segment],
    /// Points of L_x: the columns.
    pub columns: &'a [Segment],
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
    /// `length` elements from `start` of row `row`.
    fn elements(&mut self, row: usize, start: usize, length: usize) -> &mut [T];
}

struct Rows<'a, T> {
    first: usize,
    out: &'a mut [T],
    stride: usize,
}

impl<T> Target<T> for Rows<'_, T> {
    #[inline(always)]
    fn elements(&mut self, row: usize, start: usize, length: usize) -> &mut [T] {
        &mut self.out[row.wrapping_sub(self.first).saturating_mul(self.stride)..][start..][..length]
    }
}

struct Nowhere;

impl<T> Target<T> for Nowhere {
    #[inline(always)]
    fn elements(&mut self, _: usize, _: usize, _: usize) -> &mut [T] {
        &mut []
    }
}

trait Op<T: Real>: Copy {
    const SQUARES: bool;
    fn finish<S: Simd>(self, simd: S, sum: T::Vector<S>, old: T::Vector<S>) -> T::Vector<S>;
}

#[derive(Clone, Copy)]
struct Store;

impl<T: Real> Op<T> for Store {
    const SQUARES: bool = true;
    #[inline(always)]
    fn finish<S: Simd>(self, _: S, sum: T::Vector<S>, _: T::Vector<S>) -> T::Vector<S> {
        sum
    }
}

#[derive(Clone, Copy)]
struct Accumulate<T>(T);

impl<T: Real> Op<T> for Accumulate<T> {
    const SQUARES: bool = false;
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
        let mut squares = 0.0;
        for rows in tile.rows {
            for row in rows.start..rows.start.saturating_add(rows.length) {
                let at = |offset: i32| {
                    let row = usize::try_from(i64::from(row) + i64::from(offset));
                    let start = row.unwrap_or(usize::MAX).saturating_mul(tile.stride);
                    &tile.matrix[start..][..tile.width]
                };
                let (own, beside) = (at(0), rows.offsets.map(at));
                let mut sums = [simd.splat_f64s(0.0); 2];
                for &columns in tile.columns {
                    let (w, around) = columns.views(1, own);
                    let start = columns.start as usize;
                    let beside = beside.map(|row| &row[start..][..w.len()]);
                    let out = target.elements(row as usize, start, w.len());
                    part::<T, S, F>(simd, op, w, around, beside, out, &mut sums);
                }
                if F::SQUARES {
                    squares += simd.reduce_sum_f64s(simd.add_f64s(sums[0], sums[1]));
                }
            }
        }
        squares
    }
}

/// One segment of one row. `out` is as long as the others, or empty: then nothing is stored.
#[inline(always)]
fn part<T: Real, S: Simd, F: Op<T>>(
    simd: S,
    op: F,
    own: &[T],
    around: [&[T]; 6],
    beside: [&[T]; 6],
    out: &mut [T],
    sums: &mut [S::f64s; 2],
) {
    let store = !out.is_empty();
    let (own, own_tail) = T::as_simd::<S>(own);
    let around = around.map(T::as_simd::<S>);
    let beside = beside.map(T::as_simd::<S>);
    let (out, out_tail) = T::as_mut_simd::<S>(out);
    let vectors = own.len();
    assert!(!store || out.len() == vectors && out_tail.len() == own_tail.len());
    assert!(around.iter().chain(&beside).all(|part| part.0.len() == vectors));
    for i in 0..vectors {
        // SAFETY: i is below the length of each slice, asserted above.
        let near = unsafe { vectors_at::<T, S>(own[i], &around, i) };
        // SAFETY: as above.
        let next = unsafe { vectors_at::<T, S>(own[i], &beside, i) };
        let columns = differences::<T, S>(simd, own[i], near);
        let sum = <T as Lanes>::add(simd, columns, differences::<T, S>(simd, own[i], next));
        if F::SQUARES {
            add_square::<T, S>(simd, sum, sums);
        }
        if store {
            out[i] = op.finish(simd, sum, out[i]);
        }
    }
    if !own_tail.is_empty() {
        // Behind the end all are 0, and so is their sum.
        let own = T::partial_load(simd, own_tail);
        let near = tails::<T, S>(simd, own, &around);
        let next = tails::<T, S>(simd, own, &beside);
        let columns = differences::<T, S>(simd, own, near);
        let sum = <T as Lanes>::add(simd, columns, differences::<T, S>(simd, own, next));
        if F::SQUARES {
            add_square::<T, S>(simd, sum, sums);
        }
        if store {
            let old = T::partial_load(simd, out_tail);
            T::partial_store(simd, out_tail, op.finish(simd, sum, old));
        }
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
