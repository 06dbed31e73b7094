//! One number a point.

use pulp::{Simd, WithSimd};

use super::{Finish, Run, differences, load, low_bits, opaque_one, present_lanes, store, vectors};
use crate::Real;

pub(super) struct Apply<'a, T, F> {
    pub runs: &'a [Run],
    pub first: usize,
    pub x: &'a [T],
    pub y: &'a mut [T],
    pub op: F,
}

impl<T: Real, F: Finish<T>> WithSimd for Apply<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { runs, first, x, y, op } = self;
        let lanes = T::lanes::<S>();
        let whole = low_bits(lanes);
        let one = opaque_one::<T, S>(simd);
        for run in runs {
            run.check(x.len());
            let length = run.length as usize;
            let y = &mut y[(run.start as usize).wrapping_sub(first)..][..length];
            let y = y.as_mut_ptr();
            let own_at = x[run.start as usize..].as_ptr();
            let mut distances = [0; 6];
            let mut all = u64::MAX;
            for k in 0..6 {
                distances[k] = run.offsets[k] as isize;
                all &= run.present[k];
            }
            let mut i = 0;
            while i < length {
                if all >> i & whole == whole {
                    // SAFETY: `check` has found the points and neighbours of the bits in x, and these
                    // are all set; y has been cut to the run, and bits end with it.
                    unsafe {
                        let p = own_at.wrapping_add(i);
                        let own = load::<T, S>(p);
                        let near = vectors::<T, S>(own, p, &distances);
                        let sum = differences::<T, S>(simd, one, own, near);
                        let y = y.wrapping_add(i);
                        let old = if F::READS { load::<T, S>(y) } else { own };
                        store::<T, S>(y, op.finish(simd, sum, own, old));
                    }
                } else {
                    let mut bits = run.present;
                    for bits in &mut bits {
                        *bits = *bits >> i & whole;
                    }
                    let mask = T::mask_of_bits(simd, low_bits((length - i).min(lanes)));
                    // SAFETY: as above, for the lanes of the bits and of the run.
                    unsafe {
                        let p = own_at.wrapping_add(i);
                        let own = T::masked_load(simd, mask, p);
                        let near = present_lanes::<T, S>(simd, own, p, &distances, bits);
                        let sum = differences::<T, S>(simd, one, own, near);
                        let y = y.wrapping_add(i);
                        let old = if F::READS { T::masked_load(simd, mask, y) } else { own };
                        T::masked_store(simd, mask, y, op.finish(simd, sum, own, old));
                    }
                }
                i += lanes;
            }
        }
    }
}
