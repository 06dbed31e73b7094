//! Graph Laplacians of sets of grid points, without a matrix: L x = Σ over neighbours j of (xⱼ − xᵢ).
//!
//! The points are numbered in any order. Consecutive points whose neighbours lie at the same
//! distances in that order make a [`Segment`]: along a run of points in the order of the grid that
//! is nearly all of the run, and inside it a product is a sum of seven streams without an index. A
//! missing neighbour is the point itself, whose difference is 0, so that there are no cases.
//!
//! Differences rather than Σ xⱼ − degree · xᵢ: constants give 0 exactly, and smooth x, the ones
//! that matter, lose no digits. Operations are not fused, so that the bits are the same on every
//! path. Where x holds NaN or infinities, the products of these points and of their neighbours are
//! NaN or infinite.

mod product;
#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};

pub use product::{ProductTile, accumulate_product, norm_of_product, product};

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// Consecutive points, each with its neighbours at the same distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Number of the first point.
    pub start: u32,
    /// Number of points.
    pub length: u32,
    /// Neighbour − point for each of up to six neighbours; 0 where there is none.
    pub offsets: [i32; 6],
}

impl Segment {
    /// Elements of the points, and of their neighbours shifted by each offset, in rows of `columns`.
    ///
    /// # Panics
    /// If a point is not in `x`.
    #[inline(always)]
    fn views<T>(self, columns: usize, x: &[T]) -> (&[T], [&[T]; 6]) {
        let length = self.length as usize * columns;
        let shifted = |offset: i32| {
            // A point before the first is far behind the end of `x` as well.
            let start = i64::from(self.start) + i64::from(offset);
            let start = usize::try_from(start).unwrap_or(usize::MAX);
            &x[start.saturating_mul(columns)..][..length]
        };
        (shifted(0), self.offsets.map(shifted))
    }
}

/// Y ← L X for the points of `segments`; rows of `columns` elements a point.
///
/// `x` holds all points, `y` consecutive ones from `first` on, those of `segments` among them;
/// elements of `y` that are in no segment are left alone. 11 flops an element; moves x once and y
/// once where the neighbours stay in a cache, and 32 bytes a segment: bandwidth-bound. Error: at
/// most 7 u Σ|xⱼ − xᵢ| an element, u the rounding unit of `T`.
///
/// # Panics
/// If a point of `segments` lies outside `y`, or a neighbour outside `x`.
pub fn apply<T: Real>(
    isa: Isa,
    segments: &[Segment],
    columns: usize,
    first: usize,
    x: &[T],
    y: &mut [T],
) {
    dispatch!(isa, Apply<'a, T, Store> = Apply { segments, columns, first, x, y, op: Store });
}

/// Y ← α L X + β X + γ Y, with the arguments of [`apply`]. 16 flops an element; y is read, also for
/// γ = 0.
///
/// # Panics
/// As [`apply`].
pub fn recurrence<T: Real>(
    isa: Isa,
    segments: &[Segment],
    columns: usize,
    first: usize,
    [alpha, beta, gamma]: [T; 3],
    x: &[T],
    y: &mut [T],
) {
    let op = Recur { alpha, beta, gamma };
    dispatch!(isa, Apply<'a, T, Recur<T>> = Apply { segments, columns, first, x, y, op });
}

/// What becomes of an element of L X.
trait Finish<T: Real>: Copy {
    /// The new y from the Laplacian, x and the old y; whether the old y is needed is `READS`.
    const READS: bool;
    fn finish<S: Simd>(
        self,
        simd: S,
        laplacian: T::Vector<S>,
        x: T::Vector<S>,
        y: T::Vector<S>,
    ) -> T::Vector<S>;
}

#[derive(Clone, Copy)]
struct Store;

impl<T: Real> Finish<T> for Store {
    const READS: bool = false;
    #[inline(always)]
    fn finish<S: Simd>(
        self,
        _: S,
        laplacian: T::Vector<S>,
        _: T::Vector<S>,
        _: T::Vector<S>,
    ) -> T::Vector<S> {
        laplacian
    }
}

#[derive(Clone, Copy)]
struct Recur<T> {
    alpha: T,
    beta: T,
    gamma: T,
}

impl<T: Real> Finish<T> for Recur<T> {
    const READS: bool = true;
    #[inline(always)]
    fn finish<S: Simd>(
        self,
        simd: S,
        laplacian: T::Vector<S>,
        x: T::Vector<S>,
        y: T::Vector<S>,
    ) -> T::Vector<S> {
        let product = <T as Lanes>::mul(simd, T::splat(simd, self.alpha), laplacian);
        let own = <T as Lanes>::mul(simd, T::splat(simd, self.beta), x);
        let old = <T as Lanes>::mul(simd, T::splat(simd, self.gamma), y);
        <T as Lanes>::add(simd, <T as Lanes>::add(simd, product, own), old)
    }
}

struct Apply<'a, T, F> {
    segments: &'a [Segment],
    columns: usize,
    first: usize,
    x: &'a [T],
    y: &'a mut [T],
    op: F,
}

impl<T: Real, F: Finish<T>> WithSimd for Apply<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { segments, columns, first, x, y, op } = self;
        for &segment in segments {
            let (own, around) = segment.views(columns, x);
            let start = (segment.start as usize).wrapping_sub(first).saturating_mul(columns);
            let y = &mut y[start..][..own.len()];
            let (own, own_tail) = T::as_simd::<S>(own);
            let parts = around.map(T::as_simd::<S>);
            let (y, y_tail) = T::as_mut_simd::<S>(y);
            assert!(parts.iter().all(|part| part.0.len() == y.len()) && own.len() == y.len());
            for i in 0..y.len() {
                // SAFETY: i is below the length of each slice, asserted above.
                let near = unsafe { vectors_at::<T, S>(own[i], &parts, i) };
                let sum = differences::<T, S>(simd, own[i], near);
                y[i] = op.finish(simd, sum, own[i], y[i]);
            }
            if !y_tail.is_empty() {
                let own = T::partial_load(simd, own_tail);
                let near = tails::<T, S>(simd, own, &parts);
                let old = if F::READS { T::partial_load(simd, y_tail) } else { own };
                let sum = differences::<T, S>(simd, own, near);
                T::partial_store(simd, y_tail, op.finish(simd, sum, own, old));
            }
        }
    }
}

/// Σ (near − own), the two neighbours along an axis first.
///
/// No closures around vector operations: they are functions of their own, without the instruction
/// set that the operations need, and do not become part of the loop.
#[inline(always)]
fn differences<T: Real, S: Simd>(
    simd: S,
    own: T::Vector<S>,
    near: [T::Vector<S>; 6],
) -> T::Vector<S> {
    let first = pair::<T, S>(simd, own, near[0], near[1]);
    let second = pair::<T, S>(simd, own, near[2], near[3]);
    let third = pair::<T, S>(simd, own, near[4], near[5]);
    <T as Lanes>::add(simd, <T as Lanes>::add(simd, first, second), third)
}

/// (a − own) + (b − own).
#[inline(always)]
fn pair<T: Real, S: Simd>(
    simd: S,
    own: T::Vector<S>,
    a: T::Vector<S>,
    b: T::Vector<S>,
) -> T::Vector<S> {
    <T as Lanes>::add(simd, <T as Lanes>::sub(simd, a, own), <T as Lanes>::sub(simd, b, own))
}

/// Whole vectors of a slice, and the rest.
type Split<'a, T, S> = (&'a [<T as Lanes>::Vector<S>], &'a [T]);

/// The vectors behind the last whole ones.
#[inline(always)]
fn tails<T: Real, S: Simd>(
    simd: S,
    own: T::Vector<S>,
    parts: &[Split<'_, T, S>; 6],
) -> [T::Vector<S>; 6] {
    let mut near = [own; 6];
    for k in 0..6 {
        near[k] = T::partial_load(simd, parts[k].1);
    }
    near
}

/// Vector i of each.
///
/// # Safety
/// i is below the number of vectors of every part.
#[inline(always)]
unsafe fn vectors_at<T: Real, S: Simd>(
    own: T::Vector<S>,
    parts: &[Split<'_, T, S>; 6],
    i: usize,
) -> [T::Vector<S>; 6] {
    let mut near = [own; 6];
    for k in 0..6 {
        // SAFETY: the caller's.
        near[k] = unsafe { *parts[k].0.get_unchecked(i) };
    }
    near
}
