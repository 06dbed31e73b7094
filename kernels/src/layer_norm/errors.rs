//! Errors on their way back through a layer norm, and their tangents.

use pulp::{Simd, WithSimd};

use super::{Kept, MEANS, Standardized, StandardizedTangent, option, splat};
use crate::Real;
use crate::compiled::inlined;
use crate::row::{Row, RowMut, WideSum};

pub(super) struct Adjoint<'a, T> {
    pub(super) columns: usize,
    pub(super) scale: Option<&'a [T]>,
    pub(super) statistics: &'a [T],
    pub(super) x: &'a [T],
    pub(super) y_error: &'a [T],
    pub(super) x_error: &'a mut [T],
    pub(super) means: Option<&'a mut [T]>,
}

impl<T: Real> WithSimd for Adjoint<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { columns, scale, statistics, x, y_error, x_error, mut means } = self;
        let scale = option(simd, scale);
        let n = columns as f64;
        let rows = x.chunks_exact(columns).zip(y_error.chunks_exact(columns));
        let rows = rows.zip(x_error.chunks_exact_mut(columns));
        for (b, ((x, y_error), x_error)) in rows.enumerate() {
            let standardized = Standardized::<T, S>::new(simd, statistics, b);
            let (x, y_error) = (Row::new(simd, x), Row::new(simd, y_error));
            let g = inlined(
                #[inline(always)]
                |i: usize| match &scale {
                    Some(scale) => y_error.at(i) * scale.at(i),
                    None => y_error.at(i),
                },
            );
            let (mut sum, mut product) = (WideSum::new(simd), WideSum::new(simd));
            for i in 0..x.vectors() {
                sum.add(g(i));
                product.add(standardized.of(x.at(i)) * g(i));
            }
            let (mean, a) = (sum.total() / n, product.total() / n);
            if let Some(means) = &mut means {
                means[b * MEANS] = T::from_f64(mean);
                means[b * MEANS + 1] = T::from_f64(a);
            }
            let (mean, a) = (splat(simd, mean), splat(simd, a));
            let mut x_error = RowMut::new(simd, x_error);
            for i in 0..x.vectors() {
                let projected = (g(i) - mean).minus_product(a, standardized.of(x.at(i)));
                x_error.set(i, standardized.r * projected);
            }
        }
    }
}

pub(super) struct AdjointTangent<'a, T> {
    pub(super) columns: usize,
    pub(super) scale: Option<&'a [T]>,
    pub(super) scale_tangent: Option<&'a [T]>,
    pub(super) kept: Kept<'a, T>,
    pub(super) y_error_tangent: &'a [T],
    pub(super) x_error_tangent: &'a mut [T],
}

impl<T: Real> WithSimd for AdjointTangent<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { columns, scale, scale_tangent, kept, y_error_tangent, x_error_tangent } = self;
        let (scale, scale_tangent) = (option(simd, scale), option(simd, scale_tangent));
        let n = columns as f64;
        let rows = y_error_tangent.chunks_exact(columns);
        for (b, (u, out)) in rows.zip(x_error_tangent.chunks_exact_mut(columns)).enumerate() {
            let of_row = |x: &'_ [T]| -> core::ops::Range<usize> {
                debug_assert!(x.len() >= (b + 1) * columns);
                b * columns..(b + 1) * columns
            };
            let standardized = Standardized::<T, S>::new(simd, kept.statistics, b);
            let tangent = StandardizedTangent::new(simd, kept.tangent_means, b, standardized.r);
            let x = Row::new(simd, &kept.x[of_row(kept.x)]);
            let y_error = Row::new(simd, &kept.y_error[of_row(kept.y_error)]);
            let x_tangent = kept.x_tangent.map(|t| Row::new(simd, &t[of_row(t)]));
            let u = Row::new(simd, u);
            // x̂, x̂', g and ġ of a vector. Lanes behind the end are 0 in g and ġ.
            let terms = inlined(
                #[inline(always)]
                |i: usize| {
                    let hat = standardized.of(x.at(i));
                    let hat_tangent = match &x_tangent {
                        Some(t) => tangent.of(t.at(i), hat),
                        None => splat(simd, 0.0),
                    };
                    let (y_error, u) = (y_error.at(i), u.at(i));
                    let (mut g, mut g_tangent) = (y_error, u);
                    if let Some(scale) = &scale {
                        g = g * scale.at(i);
                        g_tangent = g_tangent * scale.at(i);
                    }
                    if let Some(scale) = &scale_tangent {
                        g_tangent = y_error.mul_add(scale.at(i), g_tangent);
                    }
                    (hat, hat_tangent, g, g_tangent)
                },
            );
            let (mut sum, mut product) = (WideSum::new(simd), WideSum::new(simd));
            for i in 0..x.vectors() {
                let (hat, hat_tangent, g, g_tangent) = terms(i);
                sum.add(g_tangent);
                product.add(hat.mul_add(g_tangent, hat_tangent * g));
            }
            let number = |means: &[T], i: usize| means[b * MEANS + i].to_f64();
            let s = number(kept.tangent_means, 1);
            let (mean, a) = (number(kept.error_means, 0), number(kept.error_means, 1));
            let constant = splat(simd, sum.total() / n - s * mean);
            let along = splat(simd, product.total() / n - s * a);
            let (s, a) = (splat(simd, s), splat(simd, a));
            let mut out = RowMut::new(simd, out);
            for i in 0..x.vectors() {
                let (hat, hat_tangent, g, g_tangent) = terms(i);
                let value = (g_tangent.minus_product(s, g) - constant)
                    .minus_product(a, hat_tangent)
                    .minus_product(along, hat);
                out.set(i, standardized.r * value);
            }
        }
    }
}
