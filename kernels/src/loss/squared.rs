//! Half the squared distance to the targets.

use pulp::{Simd, WithSimd};

use super::sum::CompensatedSum;
use crate::compiled::{dispatch, inlined};
use crate::elementary::Lane;
use crate::{Isa, Real};

/// scale·Σ_b w_b ½ Σ_j (f_bj − y_bj)², and its gradient scale·w_b (f − y) where asked for.
///
/// `outputs`, `targets`, `gradient`: rows of `columns` elements; `weights`: one a row, `None`: 1.
/// Squares are taken and summed in `f64`. Bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn squared_error<T: Real>(
    isa: Isa,
    columns: usize,
    outputs: &[T],
    targets: &[T],
    weights: Option<&[T]>,
    scale: f64,
    gradient: Option<&mut [T]>,
) -> f64 {
    assert_eq!(outputs.len(), targets.len());
    super::softmax::check_rows(columns, outputs.len(), weights);
    assert!(gradient.as_ref().is_none_or(|g| g.len() == outputs.len()));
    if columns == 0 {
        return 0.0;
    }
    dispatch!(isa, Squared<'a, T> = Squared { columns, outputs, targets, weights, scale, gradient })
}

/// `v[b][k] ← scale·w_b v[b][k]` for k = 0..repeat: the Hessian of [`squared_error`] times tangents.
///
/// `v`: `[b][repeat][columns]`. Bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn squared_curvature_product<T: Real>(
    isa: Isa,
    columns: usize,
    repeat: usize,
    weights: Option<&[T]>,
    scale: f64,
    v: &mut [T],
) {
    super::softmax::check_tangents(columns, repeat, v.len(), weights);
    if columns > 0 {
        dispatch!(isa, Scale<'a, T> = Scale { block: repeat * columns, weights, scale, v });
    }
}

struct Squared<'a, T> {
    columns: usize,
    outputs: &'a [T],
    targets: &'a [T],
    weights: Option<&'a [T]>,
    scale: f64,
    gradient: Option<&'a mut [T]>,
}

impl<T: Real> WithSimd for Squared<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { columns, outputs, targets, weights, scale, mut gradient } = self;
        let mut loss = CompensatedSum::default();
        let rows = outputs.chunks_exact(columns).zip(targets.chunks_exact(columns));
        for (b, (f, y)) in rows.enumerate() {
            let weight = weights.map_or(1.0, |w| w[b].to_f64());
            let factor = T::splat(simd, T::from_f64(scale * weight));
            let gradient = gradient.as_mut().map(|g| &mut g[b * columns..][..columns]);
            let square = squared_row(simd, f, y, factor, gradient);
            loss.add(weight * (0.5 * square));
        }
        scale * loss.value()
    }
}

/// Σ (f − y)² of a row.
#[inline(always)]
fn squared_row<T: Real, S: Simd>(
    simd: S,
    f: &[T],
    y: &[T],
    factor: T::Vector<S>,
    gradient: Option<&mut [T]>,
) -> f64 {
    let factor = Lane::<T, S>::new(simd, factor);
    let mut sum = [simd.splat_f64s(0.0); 2];
    let mut add = inlined(
        #[inline(always)]
        |f: T::Vector<S>, y: T::Vector<S>| {
            // In `f64`, where the difference of two `f32` loses nothing that matters.
            let (wide_f, wide_y) = (T::widen(simd, f), T::widen(simd, y));
            for i in 0..T::wide::<S>() {
                let d = simd.sub_f64s(wide_f[i], wide_y[i]);
                sum[i] = simd.mul_add_e_f64s(d, d, sum[i]);
            }
            ((Lane::<T, S>::new(simd, f) - Lane::new(simd, y)) * factor).get()
        },
    );
    let (f, f_tail) = T::as_simd::<S>(f);
    let (y, y_tail) = T::as_simd::<S>(y);
    let load = |x: &[T]| T::partial_load(simd, x);
    match gradient {
        Some(gradient) => {
            let (gradient, gradient_tail) = T::as_mut_simd::<S>(gradient);
            for ((f, y), g) in f.iter().zip(y).zip(gradient) {
                *g = add(*f, *y);
            }
            if !f_tail.is_empty() {
                let g = add(load(f_tail), load(y_tail));
                T::partial_store(simd, gradient_tail, g);
            }
        }
        None => {
            for (f, y) in f.iter().zip(y) {
                add(*f, *y);
            }
            if !f_tail.is_empty() {
                add(load(f_tail), load(y_tail));
            }
        }
    }
    simd.reduce_sum_f64s(simd.add_f64s(sum[0], sum[1]))
}

struct Scale<'a, T> {
    block: usize,
    weights: Option<&'a [T]>,
    scale: f64,
    v: &'a mut [T],
}

impl<T: Real> WithSimd for Scale<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { block, weights, scale, v } = self;
        for (b, v) in v.chunks_exact_mut(block).enumerate() {
            let weight = weights.map_or(1.0, |w| w[b].to_f64());
            let factor = Lane::<T, S>::new(simd, T::splat(simd, T::from_f64(scale * weight)));
            let (v, tail) = T::as_mut_simd::<S>(v);
            for v in v {
                *v = (Lane::new(simd, *v) * factor).get();
            }
            if !tail.is_empty() {
                let product = Lane::new(simd, T::partial_load(simd, tail)) * factor;
                T::partial_store(simd, tail, product.get());
            }
        }
    }
}
