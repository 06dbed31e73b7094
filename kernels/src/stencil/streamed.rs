//! Stores past the caches, for products that no cache holds.
//!
//! A plain store reads its line from memory first, which is a third of all traffic; a streaming store
//! of a whole line does not. So vectors of y are put together before they are stored, across runs, too:
//! a plain store into a line of which another part is streamed waits for memory.

use pulp::Simd;

use super::{load, low_bits, store};
use crate::Real;
use crate::missing::cast;

/// Lanes of the longest vector.
const MOST_LANES: usize = 16;

/// Part of a vector of y, to be stored when the rest of it is known.
#[repr(align(64))]
pub(super) struct Pending<T> {
    held: [T; MOST_LANES],
    /// Where in y lane 0 belongs; below 0, wrapped, where y begins with a later lane.
    start: usize,
    /// The lanes that are held.
    from: usize,
    to: usize,
}

impl<T: Real> Pending<T> {
    #[inline(always)]
    pub(super) fn nothing() -> Self {
        Self { held: [T::ZERO; MOST_LANES], start: 0, from: 0, to: 0 }
    }

    /// Takes the first `count` lanes of `v` for lanes `from` and following of the vector at `start`.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &mut self,
        simd: S,
        y: &mut [T],
        start: usize,
        from: usize,
        count: usize,
        v: T::Vector<S>,
    ) {
        let lanes = T::lanes::<S>();
        if start != self.start || from != self.to {
            self.write(y);
            (self.start, self.from) = (start, from);
        }
        self.to = from + count;
        let held = &mut self.held[from..self.to];
        // SAFETY: `count` elements, as many as the mask has lanes.
        unsafe {
            T::masked_store(simd, T::mask_of_bits(simd, low_bits(count)), held.as_mut_ptr(), v);
        }
        if self.from == 0 && self.to == lanes {
            let whole = &mut y[start..][..lanes];
            // SAFETY: as long as a vector, and so is what is held; the start is a multiple of its size.
            unsafe {
                let v = load::<T, S>(self.held.as_ptr());
                stream::<T, S>(whole.as_mut_ptr(), v);
            }
            (self.from, self.to) = (0, 0);
        }
    }

    /// Stores what is held.
    #[inline(always)]
    pub(super) fn write(&mut self, y: &mut [T]) {
        for lane in self.from..self.to {
            y[self.start.wrapping_add(lane)] = self.held[lane];
        }
        (self.from, self.to) = (0, 0);
    }
}

/// Stores a vector without reading its line first, where the processor can.
///
/// # Safety
/// A vector is writable at `p`, whose address is a multiple of its size. Before other threads read it,
/// [`fence`] must be called.
#[inline(always)]
pub(super) unsafe fn stream<T: Real, S: Simd>(p: *mut T, v: T::Vector<S>) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm256_stream_pd, _mm256_stream_ps, _mm512_stream_pd, _mm512_stream_ps,
        };
        // SAFETY: vectors of these types are those of a path that has the instruction; the caller's.
        unsafe {
            if let Some(v) = cast::<_, pulp::f64x8>(v) {
                return _mm512_stream_pd(p.cast(), pulp::cast(v));
            }
            if let Some(v) = cast::<_, pulp::f32x16>(v) {
                return _mm512_stream_ps(p.cast(), pulp::cast(v));
            }
            if let Some(v) = cast::<_, pulp::f64x4>(v) {
                return _mm256_stream_pd(p.cast(), pulp::cast(v));
            }
            if let Some(v) = cast::<_, pulp::f32x8>(v) {
                return _mm256_stream_ps(p.cast(), pulp::cast(v));
            }
        }
    }
    // SAFETY: the caller's.
    unsafe { store::<T, S>(p, v) };
}

/// Makes streamed stores visible in the order of the program.
#[inline(always)]
pub(super) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this architecture has it.
    unsafe {
        core::arch::x86_64::_mm_sfence();
    }
}
