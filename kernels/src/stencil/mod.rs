//! Graph Laplacians of sets of grid points, without a matrix: L x = Σ over neighbours j of (xⱼ − xᵢ).
//!
//! The points are numbered in any order. Consecutive points whose neighbours, where they have them,
//! lie at the same distances in that order make a [`Run`]: along a line of the grid a run is all of the
//! line, up to 64 points, and six words of bits say which of them have which neighbour. So a product is
//! a sum of seven streams without an index, of which lanes are left out at the ends. A missing
//! neighbour is the point itself, whose difference is 0.
//!
//! Differences rather than Σ xⱼ − degree · xᵢ: constants give 0 exactly, and smooth x, the ones
//! that matter, lose no digits. Operations are not fused, so that the bits are the same on every
//! path. Where x holds NaN or infinities, the products of these points and of their neighbours are
//! NaN or infinite.

mod blocks;
mod points;
mod product;
mod run;
mod streamed;
#[cfg(test)]
mod tests;

use pulp::Simd;

pub use product::{ProductTile, accumulate_product, norm_of_product, product};
pub use run::Run;

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// Y ← L X for the points of `runs`; rows of `columns` elements a point.
///
/// `x` holds all points, `y` consecutive ones from `first` on, those of `runs` among them; elements of
/// `y` that are in no run are left alone. 11 flops an element; moves x once and y once where the
/// neighbours stay in a cache, and 80 bytes a run. Where x has several columns and at least 24 MiB, y
/// is written past the caches. Bound by what the caches move: each line of x comes into the first one
/// up to five times, as itself and as the neighbours of other lines. Error: at most 7 u Σ|xⱼ − xᵢ| an
/// element, u the rounding unit of `T`.
///
/// # Panics
/// If a point of `runs` lies outside `y`, or a neighbour outside `x`.
pub fn apply<T: Real>(isa: Isa, runs: &[Run], columns: usize, first: usize, x: &[T], y: &mut [T]) {
    if columns == 1 {
        dispatch!(isa, points::Apply<'a, T, Store> = points::Apply { runs, first, x, y, op: Store });
    } else if columns > 1 && size_of_val(x) >= STREAMED {
        apply_streamed(isa, runs, columns, first, x, y);
    } else if columns > 1 {
        dispatch!(isa, blocks::Apply<'a, T, Store, false> = blocks::Apply {
            runs,
            columns,
            first,
            x,
            y,
            op: Store,
        });
    }
}

/// [`apply`] for several columns, y written past the caches.
fn apply_streamed<T: Real>(
    isa: Isa,
    runs: &[Run],
    columns: usize,
    first: usize,
    x: &[T],
    y: &mut [T],
) {
    dispatch!(isa, blocks::Apply<'a, T, Store, true> = blocks::Apply {
        runs,
        columns,
        first,
        x,
        y,
        op: Store,
    });
}

/// Bytes of x from which on products with several columns are written past the caches: x and y
/// together no longer stay in a common third-level cache.
const STREAMED: usize = 24 << 20;

/// Y ← α L X + β X + γ Y, with the arguments of [`apply`]. 16 flops an element; y is read, also for
/// γ = 0.
///
/// # Panics
/// As [`apply`].
pub fn recurrence<T: Real>(
    isa: Isa,
    runs: &[Run],
    columns: usize,
    first: usize,
    [alpha, beta, gamma]: [T; 3],
    x: &[T],
    y: &mut [T],
) {
    let op = Recur { alpha, beta, gamma };
    if columns == 1 {
        dispatch!(isa, points::Apply<'a, T, Recur<T>> = points::Apply { runs, first, x, y, op });
    } else if columns > 1 {
        dispatch!(isa, blocks::Apply<'a, T, Recur<T>, false> = blocks::Apply {
            runs,
            columns,
            first,
            x,
            y,
            op,
        });
    }
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

/// Σ (near − own), the two neighbours along an axis first.
///
/// Processors that fuse have units for additions and others for a·b + c, so the first two pairs are
/// taken the other way round, own − near · 1, as five of eleven operations of the second kind: twice as
/// many a cycle. A product with 1 is exact, so that the bits are those of subtractions. `one` is
/// [`opaque_one`]: of a constant the compiler would make subtractions again.
///
/// No closures around vector operations: they are functions of their own, without the instruction
/// set that the operations need, and do not become part of the loop.
#[inline(always)]
fn differences<T: Real, S: Simd>(
    simd: S,
    one: T::Vector<S>,
    own: T::Vector<S>,
    near: [T::Vector<S>; 6],
) -> T::Vector<S> {
    let first = <T as Lanes>::add(
        simd,
        less::<T, S>(simd, one, own, near[0]),
        less::<T, S>(simd, one, own, near[1]),
    );
    let second = <T as Lanes>::add(
        simd,
        less::<T, S>(simd, one, own, near[2]),
        less::<T, S>(simd, one, own, near[3]),
    );
    let third = <T as Lanes>::add(
        simd,
        <T as Lanes>::sub(simd, near[4], own),
        <T as Lanes>::sub(simd, near[5], own),
    );
    less::<T, S>(simd, one, third, <T as Lanes>::add(simd, first, second))
}

/// a − b.
#[inline(always)]
fn less<T: Real, S: Simd>(
    simd: S,
    one: T::Vector<S>,
    a: T::Vector<S>,
    b: T::Vector<S>,
) -> T::Vector<S> {
    if T::lanes::<S>() == 1 {
        <T as Lanes>::sub(simd, a, b)
    } else {
        <T as Lanes>::neg_mul_add(simd, b, one, a)
    }
}

/// Ones that the compiler does not know.
#[inline(always)]
fn opaque_one<T: Real, S: Simd>(simd: S) -> T::Vector<S> {
    T::splat(simd, core::hint::black_box(T::ONE))
}

/// The lowest `count` bits.
#[inline(always)]
fn low_bits(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// A vector at any address. Plain reads and writes of it are checked by nothing, so that tests, which
/// keep assertions, run the same loops.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned<V>(V);

/// # Safety
/// A vector is readable at `p`.
#[inline(always)]
unsafe fn load<T: Real, S: Simd>(p: *const T) -> T::Vector<S> {
    // SAFETY: the caller's; any alignment.
    unsafe { (*p.cast::<Unaligned<T::Vector<S>>>()).0 }
}

/// # Safety
/// A vector is writable at `p`.
#[inline(always)]
unsafe fn store<T: Real, S: Simd>(p: *mut T, v: T::Vector<S>) {
    // SAFETY: the caller's; any alignment.
    unsafe { *p.cast::<Unaligned<T::Vector<S>>>() = Unaligned(v) };
}

/// Whole vectors at these distances from `p`.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn vectors<T: Real, S: Simd>(
    own: T::Vector<S>,
    p: *const T,
    distances: &[isize; 6],
) -> [T::Vector<S>; 6] {
    let mut out = [own; 6];
    for k in 0..6 {
        // SAFETY: the caller's.
        out[k] = unsafe { load::<T, S>(p.wrapping_offset(distances[k])) };
    }
    out
}

/// Vectors at these distances from `p` in the lanes of the bits, the own element elsewhere.
///
/// # Safety
/// The lanes of the bits are readable.
#[inline(always)]
unsafe fn present_lanes<T: Real, S: Simd>(
    simd: S,
    own: T::Vector<S>,
    p: *const T,
    distances: &[isize; 6],
    bits: [u64; 6],
) -> [T::Vector<S>; 6] {
    let mut out = [own; 6];
    for k in 0..6 {
        let mask = T::mask_of_bits(simd, bits[k]);
        // SAFETY: the caller's.
        let there = unsafe { T::masked_load(simd, mask, p.wrapping_offset(distances[k])) };
        out[k] = T::select(simd, mask, there, own);
    }
    out
}
