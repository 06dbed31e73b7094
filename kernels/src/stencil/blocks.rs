//! Several numbers a point, one after the other.

use pulp::{Simd, WithSimd};

use super::streamed::{Pending, fence, stream};
use super::{Finish, Run, differences, load, low_bits, opaque_one, present_lanes, store, vectors};
use crate::Real;
use crate::prefetch::{prefetch, prefetch_far};

/// `PAST`: y is written past the caches.
pub(super) struct Apply<'a, T, F, const PAST: bool> {
    pub runs: &'a [Run],
    pub columns: usize,
    pub first: usize,
    pub x: &'a [T],
    pub y: &'a mut [T],
    pub op: F,
}

impl<T: Real, F: Finish<T>, const PAST: bool> WithSimd for Apply<'_, T, F, PAST> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { runs, columns, first, x, y, op } = self;
        let points = x.len() / columns;
        let lanes = T::lanes::<S>();
        let one = opaque_one::<T, S>(simd);
        let of_vector = |p: *const T| p.addr() % size_of::<T::Vector<S>>() / size_of::<T>();
        let mut pending = Pending::<T>::nothing();
        for run in runs {
            run.check(points);
            let start = (run.start as usize).wrapping_sub(first).saturating_mul(columns);
            let length = run.length as usize * columns;
            let out = y[start..][..length].as_mut_ptr();
            let own = x[run.start as usize * columns..][..length].as_ptr();
            let row = Row { run, columns, own, one, op };
            // Vectors begin where those of x do: a load across lines of the cache costs two. Stores
            // past the caches must not cross them.
            let behind = of_vector(if PAST { out } else { own });
            let mut at = 0;
            if behind > 0 {
                at = length.min(lanes - behind);
                // SAFETY: `check` has found the points and neighbours of the bits in x, and y has been
                // cut to the run.
                unsafe {
                    let v = row.mixed::<S>(simd, 0, at, out);
                    if PAST {
                        pending.add::<S>(simd, y, start.wrapping_sub(behind), behind, at, v);
                    } else {
                        T::masked_store(simd, T::mask_of_bits(simd, low_bits(at)), out, v);
                    }
                }
            }
            // Anew, for y has been lent in between.
            let out = y[start..][..length].as_mut_ptr();
            let (mut distances, mut all) = ([0; 6], u64::MAX);
            for k in 0..6 {
                distances[k] = run.offsets[k] as isize * columns as isize;
                all &= run.present[k];
            }
            while at + lanes <= length {
                let point = at / columns;
                let inner = (!(all >> point)).trailing_zeros() as usize;
                // The elements from here on with the same neighbours: with all of them, or with some.
                let (distances, end) = if inner > 0 {
                    (distances, (point + inner) * columns)
                } else {
                    (row.distances(point), (point + run.alike(point)) * columns)
                };
                let mut last = distances[0];
                for distance in &distances[1..] {
                    last = last.max(*distance);
                }
                // SAFETY: as above.
                unsafe {
                    if at + lanes > end {
                        let to = out.wrapping_add(at);
                        write::<T, S, PAST>(to, row.mixed::<S>(simd, at, lanes, to));
                        at += lanes;
                    }
                    while at + lanes <= end {
                        let (p, to) = (own.wrapping_add(at), out.wrapping_add(at));
                        if PAST {
                            prefetch_far(p.wrapping_offset(2 * last));
                        }
                        prefetch(p.wrapping_offset(last).wrapping_add(AHEAD / size_of::<T>()));
                        let own = load::<T, S>(p);
                        let near = vectors::<T, S>(own, p, &distances);
                        let sum = differences::<T, S>(simd, one, own, near);
                        let old = if F::READS { load::<T, S>(to) } else { own };
                        write::<T, S, PAST>(to, op.finish(simd, sum, own, old));
                        at += lanes;
                    }
                }
            }
            if at < length {
                let (count, to) = (length - at, out.wrapping_add(at));
                // SAFETY: as above.
                unsafe {
                    let v = row.mixed::<S>(simd, at, count, to);
                    if PAST {
                        pending.add::<S>(simd, y, start + at, 0, count, v);
                    } else {
                        T::masked_store(simd, T::mask_of_bits(simd, low_bits(count)), to, v);
                    }
                }
            }
        }
        if PAST {
            pending.write(y);
            fence();
        }
    }
}

/// How many bytes ahead the last neighbours are fetched into the first cache: they come from farther
/// away than the others. Where memory is as far away as that, they are fetched into the second cache
/// before, when the points are in turn whose last neighbours' neighbours they are.
const AHEAD: usize = 2048;

/// # Safety
/// As `store`, or [`stream`].
#[inline(always)]
unsafe fn write<T: Real, S: Simd, const PAST: bool>(p: *mut T, v: T::Vector<S>) {
    // SAFETY: the caller's.
    unsafe {
        if PAST {
            stream::<T, S>(p, v);
        } else {
            store::<T, S>(p, v);
        }
    }
}

/// A run whose points have `columns` elements each, from `own` on.
struct Row<'a, T, V, F> {
    run: &'a Run,
    columns: usize,
    own: *const T,
    one: V,
    op: F,
}

impl<T: Real, V, F: Finish<T>> Row<'_, T, V, F> {
    /// The distances of the neighbours of a point of the run, 0 where there is none.
    #[inline(always)]
    fn distances(&self, point: usize) -> [isize; 6] {
        let mut distances = [0; 6];
        for k in 0..6 {
            let there = (self.run.present[k] >> point & 1).cast_signed() as isize;
            distances[k] = there * self.run.offsets[k] as isize * self.columns as isize;
        }
        distances
    }

    /// What `count` elements from `at` on become, of points that need not be alike.
    ///
    /// # Safety
    /// They are readable, those neighbours that the run's bits say are there, and what is at `y`.
    #[inline(always)]
    unsafe fn mixed<S: Simd>(&self, simd: S, at: usize, count: usize, y: *const T) -> T::Vector<S>
    where
        T: Real<Vector<S> = V>,
        V: Copy,
    {
        let (run, columns) = (self.run, self.columns);
        let (mut bits, mut distances) = ([0; 6], [0; 6]);
        let mut done = 0;
        while done < count {
            let point = (at + done) / columns;
            let to = count.min((point + 1) * columns - at);
            let lanes = low_bits(to) & !low_bits(done);
            for k in 0..6 {
                bits[k] |= (run.present[k] >> point & 1) * lanes;
            }
            done = to;
        }
        for k in 0..6 {
            distances[k] = run.offsets[k] as isize * columns as isize;
        }
        let p = self.own.wrapping_add(at);
        let mask = T::mask_of_bits(simd, low_bits(count));
        // SAFETY: the caller's.
        unsafe {
            let own = T::masked_load(simd, mask, p);
            let near = present_lanes::<T, S>(simd, own, p, &distances, bits);
            let sum = differences::<T, S>(simd, self.one, own, near);
            let old = if F::READS { T::masked_load(simd, mask, y) } else { own };
            self.op.finish(simd, sum, own, old)
        }
    }
}
