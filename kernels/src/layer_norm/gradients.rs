//! Gradients of scale and shift: sums over rows, strip by strip of columns.

use pulp::{Simd, WithSimd};

use super::{Kept, STATISTICS, Standardized, StandardizedTangent, rows};
use crate::compiled::{dispatch, inlined};
use crate::elementary::Lane;
use crate::row::first_vector;
use crate::{Isa, Real};

/// γ̄ += Σ ȳ∘x̂ and β̄ += Σ ȳ over rows, in `f64`.
///
/// # Panics
/// If the lengths do not agree.
pub fn layer_norm_gradient<T: Real>(
    isa: Isa,
    columns: usize,
    statistics: &[T],
    x: &[T],
    y_error: &[T],
    scale: &mut [T],
    shift: &mut [T],
) {
    let rows = rows(columns, x.len());
    assert!(y_error.len() == x.len() && statistics.len() == STATISTICS * rows);
    assert!(scale.len() == columns && shift.len() == columns);
    dispatch!(isa, Gradient<'a, T> = Gradient {
        columns, statistics, x, y_error, second: None, scale, shift,
    });
}

/// The tangent of [`layer_norm_gradient`]: γ̄' += Σ ẏ̄∘x̂ + ȳ∘x̂' and β̄' += Σ ẏ̄; `y_error_tangent` is ẏ̄.
///
/// # Panics
/// If the lengths do not agree.
pub fn layer_norm_gradient_tangent<T: Real>(
    isa: Isa,
    columns: usize,
    kept: Kept<'_, T>,
    y_error_tangent: &[T],
    scale: &mut [T],
    shift: &mut [T],
) {
    let rows = rows(columns, y_error_tangent.len());
    kept.check(rows, y_error_tangent.len());
    assert!(scale.len() == columns && shift.len() == columns);
    let second = kept.x_tangent.map(|t| (t, kept.tangent_means, kept.y_error));
    dispatch!(isa, Gradient<'a, T> = Gradient {
        columns,
        statistics: kept.statistics,
        x: kept.x,
        y_error: y_error_tangent,
        second,
        scale,
        shift,
    });
}

struct Gradient<'a, T> {
    columns: usize,
    statistics: &'a [T],
    x: &'a [T],
    y_error: &'a [T],
    /// ẋ, its means, and the error that goes with x̂'.
    second: Option<(&'a [T], &'a [T], &'a [T])>,
    scale: &'a mut [T],
    shift: &'a mut [T],
}

/// Vectors of a strip: every row of it is a cache line or more.
const STRIP: usize = 4;
/// Rows whose sum is added to the total at once.
const BLOCK: usize = 64;

impl<T: Real> WithSimd for Gradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = T::lanes::<S>();
        let mut start = 0;
        while start < self.columns {
            let wide = start + STRIP * lanes <= self.columns;
            let end = if wide { start + STRIP * lanes } else { self.columns.min(start + lanes) };
            if wide {
                self.strip::<S, STRIP>(simd, start, end);
            } else {
                self.strip::<S, 1>(simd, start, end);
            }
            start = end;
        }
    }
}

impl<T: Real> Gradient<'_, T> {
    #[inline(always)]
    fn strip<S: Simd, const N: usize>(&mut self, simd: S, start: usize, end: usize) {
        let (columns, lanes) = (self.columns, T::lanes::<S>());
        let piece = inlined(
            #[inline(always)]
            |x: &[T], row: usize, i: usize| {
                let first = start + i * lanes;
                let x = &x[row * columns + first..row * columns + end.min(first + lanes)];
                Lane::<T, S>::new(simd, first_vector(simd, x))
            },
        );
        let zero = [[simd.splat_f64s(0.0); 2]; N];
        let (mut scale, mut shift) = (zero, zero);
        let add = inlined(
            #[inline(always)]
            |sum: &mut [S::f64s; 2], x: [S::f64s; 2]| {
                *sum = [simd.add_f64s(sum[0], x[0]), simd.add_f64s(sum[1], x[1])];
            },
        );
        let rows = self.x.len() / columns;
        for block in (0..rows).step_by(BLOCK) {
            let (mut block_scale, mut block_shift) = (zero, zero);
            for row in block..rows.min(block + BLOCK) {
                let standardized = Standardized::<T, S>::new(simd, self.statistics, row);
                for i in 0..N {
                    let error = piece(self.y_error, row, i);
                    let hat = standardized.of(piece(self.x, row, i));
                    let mut product = hat * error;
                    if let Some((t, means, y_error)) = self.second {
                        let tangent = StandardizedTangent::new(simd, means, row, standardized.r);
                        let hat_tangent = tangent.of(piece(t, row, i), hat);
                        product = hat_tangent.mul_add(piece(y_error, row, i), product);
                    }
                    add(&mut block_scale[i], T::widen(simd, product.get()));
                    add(&mut block_shift[i], T::widen(simd, error.get()));
                }
            }
            for i in 0..N {
                add(&mut scale[i], block_scale[i]);
                add(&mut shift[i], block_shift[i]);
            }
        }
        for (out, sums) in [(&mut *self.scale, scale), (&mut *self.shift, shift)] {
            for (i, mut sum) in sums.into_iter().enumerate() {
                let first = start + i * lanes;
                let out = &mut out[first..end.min(first + lanes)];
                add(&mut sum, T::widen(simd, T::partial_load(simd, out)));
                T::partial_store(simd, out, T::narrow(simd, sum));
            }
        }
    }
}
