//! Several numbers a point, one after the other.

use pulp::{Simd, WithSimd};

use super::{Finish, Run, differences, load, low_bits, present_lanes, store, vectors};
use crate::Real;

pub(super) struct Apply<'a, T, F> {
    pub runs: &'a [Run],
    pub columns: usize,
    pub first: usize,
    pub x: &'a [T],
    pub y: &'a mut [T],
    pub op: F,
}

impl<T: Real, F: Finish<T>> WithSimd for Apply<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { runs, columns, first, x, y, op } = self;
        let points = x.len() / columns;
        for run in runs {
            run.check(points);
            let start = (run.start as usize).wrapping_sub(first).saturating_mul(columns);
            let y = &mut y[start..][..run.length as usize * columns];
            let mut i = 0;
            while i < run.length as usize {
                // The points from i on that have the same neighbours.
                let own_at = x[(run.start as usize + i) * columns..].as_ptr();
                let mut distances = [0; 6];
                let mut changes = 0;
                for k in 0..6 {
                    let bits = run.present[k] >> i;
                    if bits & 1 == 1 {
                        distances[k] = run.offsets[k] as isize * columns as isize;
                        changes |= !bits;
                    } else {
                        changes |= bits;
                    }
                }
                let alike = (changes.trailing_zeros() as usize).min(run.length as usize - i);
                let y = &mut y[i * columns..][..alike * columns];
                let part = Alike { own_at, distances, y, op };
                // SAFETY: `check` has found these points and their neighbours in x.
                unsafe { part.run::<S>(simd) };
                i += alike;
            }
        }
    }
}

/// Elements whose neighbours are at the same distances, 0 where there is none.
struct Alike<'a, T, F> {
    own_at: *const T,
    distances: [isize; 6],
    y: &'a mut [T],
    op: F,
}

impl<T: Real, F: Finish<T>> Alike<'_, T, F> {
    /// # Safety
    /// As many elements as y has are readable at each distance.
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S) {
        let Self { own_at, distances, y, op } = self;
        let lanes = T::lanes::<S>();
        let (mut p, mut out, mut left) = (own_at, y.as_mut_ptr(), y.len());
        // Loads that cross lines of the cache cost twice; those of rows of whole vectors all do or none.
        let behind = p.addr() % size_of::<T::Vector<S>>();
        if behind != 0 && left >= 8 * lanes {
            let count = lanes - behind / size_of::<T>();
            // SAFETY: the caller's; fewer elements than a vector has, and than are left.
            unsafe { some::<T, S, F>(simd, op, p, &distances, out, count) };
            (p, out) = (p.wrapping_add(count), out.wrapping_add(count));
            left -= count;
        }
        while left >= lanes {
            // SAFETY: the caller's.
            unsafe {
                let new = whole::<T, S, F>(simd, op, p, &distances, out);
                store::<T, S>(out, new);
            }
            (p, out) = (p.wrapping_add(lanes), out.wrapping_add(lanes));
            left -= lanes;
        }
        if left > 0 {
            // SAFETY: the caller's; fewer elements than a vector has.
            unsafe { some::<T, S, F>(simd, op, p, &distances, out, left) };
        }
    }
}

/// What a whole vector becomes.
///
/// # Safety
/// A vector is readable at each distance from `p`, and at `y`.
#[inline(always)]
unsafe fn whole<T: Real, S: Simd, F: Finish<T>>(
    simd: S,
    op: F,
    p: *const T,
    distances: &[isize; 6],
    y: *const T,
) -> T::Vector<S> {
    // SAFETY: the caller's.
    unsafe {
        let own = load::<T, S>(p);
        let sum = differences::<T, S>(simd, own, vectors::<T, S>(own, p, distances));
        let old = if F::READS { load::<T, S>(y) } else { own };
        op.finish(simd, sum, own, old)
    }
}

/// `count` elements, fewer than a vector has.
///
/// # Safety
/// They are readable at each distance from `p`, and writable at `y`.
#[inline(always)]
unsafe fn some<T: Real, S: Simd, F: Finish<T>>(
    simd: S,
    op: F,
    p: *const T,
    distances: &[isize; 6],
    y: *mut T,
    count: usize,
) {
    let bits = low_bits(count);
    let mask = T::mask_of_bits(simd, bits);
    // SAFETY: the caller's.
    unsafe {
        let own = T::masked_load(simd, mask, p);
        let near = present_lanes::<T, S>(simd, own, p, distances, [bits; 6]);
        let sum = differences::<T, S>(simd, own, near);
        let old = if F::READS { T::masked_load(simd, mask, y) } else { own };
        T::masked_store(simd, mask, y, op.finish(simd, sum, own, old));
    }
}
