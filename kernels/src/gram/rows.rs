//! Rows with their means taken away, each in its own unit.

use pulp::{Simd, WithSimd};

use super::{LANES, TILE};
use crate::compiled::dispatch;
use crate::{Isa, Real};

/// Σ s xᵢ − c for a power of two s. 3n flops; error at most γ Σ|s xᵢ − c|, γ = n u to first order.
#[must_use]
pub fn shifted_sum<T: Real>(isa: Isa, x: &[T], s: f64, c: f64) -> f64 {
    dispatch!(isa, ShiftedSum<'a, T> = ShiftedSum { x, s, c })
}

struct ShiftedSum<'a, T> {
    x: &'a [T],
    s: f64,
    c: f64,
}

impl<T: Real> WithSimd for ShiftedSum<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const P: usize = 2;
        let (body, tail) = T::as_simd::<S>(self.x);
        let (s, c) = (simd.splat_f64s(self.s), simd.splat_f64s(self.c));
        let mut sums = [[simd.splat_f64s(0.0); 2]; P];
        let mut pairs = body.chunks_exact(P);
        for pair in pairs.by_ref() {
            for p in 0..P {
                let x = T::widen(simd, pair[p]);
                for h in 0..T::wide::<S>() {
                    let term = simd.sub_f64s(simd.mul_f64s(x[h], s), c);
                    sums[p][h] = simd.add_f64s(sums[p][h], term);
                }
            }
        }
        for &x in pairs.remainder() {
            let x = T::widen(simd, x);
            for h in 0..T::wide::<S>() {
                let term = simd.sub_f64s(simd.mul_f64s(x[h], s), c);
                sums[0][h] = simd.add_f64s(sums[0][h], term);
            }
        }
        let first = simd.add_f64s(sums[0][0], sums[1][0]);
        let second = simd.add_f64s(sums[0][1], sums[1][1]);
        let rest: f64 = tail.iter().map(|x| x.to_f64() * self.s - self.c).sum();
        simd.reduce_sum_f64s(simd.add_f64s(first, second)) + rest
    }
}

/// What is done to row i: (sᵢ x − cᵢ) − mᵢ with powers of two sᵢ.
#[derive(Clone, Copy, Debug)]
pub struct Shift<'a> {
    /// s.
    pub scale: &'a [f64],
    /// c.
    pub first: &'a [f64],
    /// m.
    pub mean: &'a [f64],
}

/// Writes the shifted rows of x, all of the same length, to a block of `width` numbers a row, zeros
/// behind their ends. 3 flops an element; bound by memory.
///
/// # Panics
/// Unless there is a shift for each row, and the block has [`padded`](super::padded) rows of a width
/// that holds them and is a multiple of [`WIDTH`](super::WIDTH).
pub fn shifted_rows<T: Real>(
    isa: Isa,
    x: &[&[T]],
    shift: Shift<'_>,
    width: usize,
    out: &mut [f64],
) {
    let n = x.len();
    assert!(width.is_multiple_of(super::WIDTH), "width of a block: {width}");
    assert!(x.iter().all(|row| row.len() <= width), "rows of x");
    assert!([shift.scale, shift.first, shift.mean].iter().all(|s| s.len() == n), "shifts");
    assert_eq!(out.len(), super::padded(n) * width, "a block of padded rows");
    dispatch!(isa, ShiftedRows<'a, T> = ShiftedRows { x, shift, width, out });
}

struct ShiftedRows<'a, T> {
    x: &'a [&'a [T]],
    shift: Shift<'a>,
    width: usize,
    out: &'a mut [f64],
}

impl<T: Real> WithSimd for ShiftedRows<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, shift: Shift { scale, first, mean }, width, out } = self;
        let parts = LANES / S::F64_LANES;
        for (g, group) in out.chunks_exact_mut(TILE * width.max(1)).enumerate() {
            for r in 0..TILE {
                let Some(row) = x.get(g * TILE + r) else {
                    (0..width).for_each(|u| group[super::place(width, r, u)] = 0.0);
                    continue;
                };
                let i = g * TILE + r;
                let (body, tail) = T::as_simd::<S>(row);
                let vectors = S::as_mut_simd_f64s(group).0;
                let [s, c, m] = [scale[i], first[i], mean[i]].map(crate::compiled::inlined(
                    #[inline(always)]
                    |v| simd.splat_f64s(v),
                ));
                for (at, &x) in body.iter().enumerate() {
                    let x = T::widen(simd, x);
                    for h in 0..T::wide::<S>() {
                        let k = at * T::wide::<S>() + h;
                        let place = (k / parts * TILE + r) * parts + k % parts;
                        let shifted = simd.sub_f64s(simd.mul_f64s(x[h], s), c);
                        vectors[place] = simd.sub_f64s(shifted, m);
                    }
                }
                let whole = row.len() - tail.len();
                for (u, x) in (whole..).zip(tail) {
                    group[super::place(width, r, u)] = (x.to_f64() * scale[i] - first[i]) - mean[i];
                }
                (row.len()..width).for_each(|u| group[super::place(width, r, u)] = 0.0);
            }
        }
    }
}
