//! Rows with mean 0 and variance 1, and the passes of their derivatives up to the second.
//!
//! For a row x of n elements, with m(·) the mean over it: μ = m(x), r = 1/√(m((x − μ)²) + ε),
//! x̂ = r (x − μ), y = γ∘x̂ + β. With P g = g − m(g) − x̂ m(x̂∘g), which is symmetric, the derivative of
//! x̂ in x is r P, exactly, whatever ε is:
//!
//! | pass | formula |
//! |---|---|
//! | tangent | x̂' = r (ẋ − m(ẋ)) − s x̂ with s = r m(x̂∘ẋ), so that ṙ = −r s; ẏ = γ∘x̂' + γ̇∘x̂ + β̇ |
//! | adjoint | x̄ = r P g, g = γ∘ȳ; γ̄ += ȳ∘x̂, β̄ += ȳ |
//! | its tangent | γ̄' += ẏ̄∘x̂ + ȳ∘x̂', β̄' += ẏ̄, and x̄' below |
//!
//! Here x̂' is the tangent of x̂ and ẏ̄ that of ȳ. With ġ = γ∘ẏ̄ + γ̇∘ȳ and a = m(x̂∘g),
//! differentiation of r P g gives r P ġ + ṙ P g − r (x̂' m(x̂∘g) + x̂ m(x̂'∘g)), that is
//!
//! x̄' = r [ġ − s g − a x̂' − (m(ġ) − s m(g)) − x̂ (m(x̂∘ġ) + m(x̂'∘g) − s a)].
//!
//! x̂ and x̂' are not kept: they follow from x and ẋ and two or three numbers a row. μ is kept as a
//! sum of two numbers, so that x − μ is right to the last bits however large μ is beside the
//! deviations. Sums over a row are in `f64`.

mod errors;
mod gradients;
#[cfg(test)]
mod tests;

use errors::{Adjoint, AdjointTangent};
use pulp::{Simd, WithSimd};

pub use gradients::{layer_norm_gradient, layer_norm_gradient_tangent};

use crate::compiled::dispatch;
use crate::elementary::Lane;
use crate::row::{Row, RowMut, WideSum};
use crate::{Isa, Real};

/// Numbers kept for each row by [`layer_norm`]: μ in two parts, and r.
pub const STATISTICS: usize = 3;
/// Numbers kept for each row by [`layer_norm_adjoint`] (m(g) and a) and by [`layer_norm_tangent`]
/// (m(ẋ) and s).
pub const MEANS: usize = 2;

/// γ and β of all rows, `None`: 1 and 0; or their tangents, `None`: 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Affine<'a, T> {
    /// γ.
    pub scale: Option<&'a [T]>,
    /// β.
    pub shift: Option<&'a [T]>,
}

impl<T> Affine<'_, T> {
    fn check(&self, columns: usize) {
        for part in [self.scale, self.shift].into_iter().flatten() {
            assert_eq!(part.len(), columns, "layer norm: scale and shift have one number a column");
        }
    }
}

fn rows(columns: usize, length: usize) -> usize {
    assert!(
        columns > 0 && length.is_multiple_of(columns),
        "layer norm: {length} in rows of {columns}"
    );
    length / columns
}

/// y = γ∘x̂ + β row by row, and what the other passes need of a row into `statistics`.
///
/// `x`, `y`: rows of `columns` elements; `statistics`: [`STATISTICS`] a row. ε is positive. Mean and
/// variance in two passes in `f64`; x̂ has an error of a few ulp, relative to the largest element of
/// its row. Elements up to a third of the largest number are safe; a row with NaN or an infinity becomes NaN.
/// Reads x three times while it is in cache.
///
/// # Panics
/// If the lengths do not agree.
pub fn layer_norm<T: Real>(
    isa: Isa,
    columns: usize,
    epsilon: f64,
    affine: Affine<'_, T>,
    x: &[T],
    y: &mut [T],
    statistics: &mut [T],
) {
    let rows = rows(columns, x.len());
    affine.check(columns);
    assert_eq!(x.len(), y.len());
    assert_eq!(statistics.len(), STATISTICS * rows);
    dispatch!(isa, Forward<'a, T> = Forward { columns, epsilon, affine, x, y, statistics });
}

/// ẏ = γ∘x̂' + γ̇∘x̂ + β̇ row by row, and m(ẋ) and s of each row into `means`.
///
/// `x_tangent` (`None`: 0) and `y_tangent`: the shape of `x`; `means`: [`MEANS`] a row.
///
/// # Panics
/// If the lengths do not agree.
pub fn layer_norm_tangent<T: Real>(
    isa: Isa,
    columns: usize,
    affine: Affine<'_, T>,
    affine_tangent: Affine<'_, T>,
    statistics: &[T],
    x: &[T],
    x_tangent: Option<&[T]>,
    y_tangent: &mut [T],
    means: &mut [T],
) {
    let rows = rows(columns, x.len());
    affine.check(columns);
    affine_tangent.check(columns);
    assert!(x_tangent.is_none_or(|t| t.len() == x.len()) && y_tangent.len() == x.len());
    assert!(statistics.len() == STATISTICS * rows && means.len() == MEANS * rows);
    dispatch!(isa, Tangent<'a, T> = Tangent {
        columns, affine, affine_tangent, statistics, x, x_tangent, y_tangent, means,
    });
}

/// x̄ = r P (γ∘ȳ) row by row, and m(g) and a of each row into `means` where asked for.
///
/// # Panics
/// If the lengths do not agree.
pub fn layer_norm_adjoint<T: Real>(
    isa: Isa,
    columns: usize,
    scale: Option<&[T]>,
    statistics: &[T],
    x: &[T],
    y_error: &[T],
    x_error: &mut [T],
    means: Option<&mut [T]>,
) {
    let rows = rows(columns, x.len());
    assert!(scale.is_none_or(|scale| scale.len() == columns));
    assert!(y_error.len() == x.len() && x_error.len() == x.len());
    assert_eq!(statistics.len(), STATISTICS * rows);
    assert!(means.as_ref().is_none_or(|means| means.len() == MEANS * rows));
    dispatch!(isa, Adjoint<'a, T> = Adjoint {
        columns, scale, statistics, x, y_error, x_error, means,
    });
}

/// What [`layer_norm_adjoint_tangent`] and [`layer_norm_gradient_tangent`] read of the passes before.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a, T> {
    /// Of [`layer_norm`].
    pub statistics: &'a [T],
    /// x.
    pub x: &'a [T],
    /// ȳ.
    pub y_error: &'a [T],
    /// Of [`layer_norm_adjoint`]; unused by the gradient.
    pub error_means: &'a [T],
    /// ẋ, `None`: 0.
    pub x_tangent: Option<&'a [T]>,
    /// Of [`layer_norm_tangent`].
    pub tangent_means: &'a [T],
}

impl<T> Kept<'_, T> {
    fn check(&self, rows: usize, length: usize) {
        assert!(self.x.len() == length && self.y_error.len() == length);
        assert!(self.x_tangent.is_none_or(|t| t.len() == length));
        assert!(
            self.statistics.len() == STATISTICS * rows && self.tangent_means.len() == MEANS * rows
        );
    }
}

/// The tangent x̄' of [`layer_norm_adjoint`]; `y_error_tangent` is ẏ̄.
///
/// # Panics
/// If the lengths do not agree.
pub fn layer_norm_adjoint_tangent<T: Real>(
    isa: Isa,
    columns: usize,
    scale: Option<&[T]>,
    scale_tangent: Option<&[T]>,
    kept: Kept<'_, T>,
    y_error_tangent: &[T],
    x_error_tangent: &mut [T],
) {
    let length = y_error_tangent.len();
    let rows = rows(columns, length);
    kept.check(rows, length);
    assert_eq!(kept.error_means.len(), MEANS * rows);
    assert_eq!(x_error_tangent.len(), length);
    for scale in [scale, scale_tangent].into_iter().flatten() {
        assert_eq!(scale.len(), columns);
    }
    dispatch!(isa, AdjointTangent<'a, T> = AdjointTangent {
        columns, scale, scale_tangent, kept, y_error_tangent, x_error_tangent,
    });
}

/// The numbers that make x̂ of x.
struct Standardized<T: Real, S: Simd> {
    high: Lane<T, S>,
    low: Lane<T, S>,
    r: Lane<T, S>,
}

impl<T: Real, S: Simd> Standardized<T, S> {
    #[inline(always)]
    fn new(simd: S, statistics: &[T], row: usize) -> Self {
        let number = |i: usize| Lane::new(simd, T::splat(simd, statistics[row * STATISTICS + i]));
        Self { high: number(0), low: number(1), r: number(2) }
    }

    #[inline(always)]
    fn of(&self, x: Lane<T, S>) -> Lane<T, S> {
        ((x - self.high) - self.low) * self.r
    }
}

/// The numbers that make x̂' of ẋ and x̂.
struct StandardizedTangent<T: Real, S: Simd> {
    mean: Lane<T, S>,
    s: Lane<T, S>,
    r: Lane<T, S>,
}

impl<T: Real, S: Simd> StandardizedTangent<T, S> {
    #[inline(always)]
    fn new(simd: S, means: &[T], row: usize, r: Lane<T, S>) -> Self {
        let number = |i: usize| Lane::new(simd, T::splat(simd, means[row * MEANS + i]));
        Self { mean: number(0), s: number(1), r }
    }

    #[inline(always)]
    fn of(&self, x_tangent: Lane<T, S>, standardized: Lane<T, S>) -> Lane<T, S> {
        ((x_tangent - self.mean) * self.r).minus_product(self.s, standardized)
    }
}

#[inline(always)]
fn splat<T: Real, S: Simd>(simd: S, value: f64) -> Lane<T, S> {
    Lane::new(simd, T::splat(simd, T::from_f64(value)))
}

#[inline(always)]
fn option<T: Real, S: Simd>(simd: S, x: Option<&[T]>) -> Option<Row<'_, T, S>> {
    x.map(|x| Row::new(simd, x))
}

struct Forward<'a, T> {
    columns: usize,
    epsilon: f64,
    affine: Affine<'a, T>,
    x: &'a [T],
    y: &'a mut [T],
    statistics: &'a mut [T],
}

/// Σ scale (x − μ) and Σ (scale (x − μ))² over a row, in `f64`.
#[inline(always)]
fn deviations<T: Real, S: Simd>(simd: S, x: &[T], mean: f64, scale: f64) -> (f64, f64) {
    let zero = simd.splat_f64s(0.0);
    let (mean, scale) = (simd.splat_f64s(mean), simd.splat_f64s(scale));
    let (mut sum, mut squares) = ([zero; 2], [zero; 2]);
    let mut add = |wide: [S::f64s; 2], weight: [S::f64s; 2]| {
        for i in 0..T::wide::<S>() {
            let d = simd.mul_f64s(simd.sub_f64s(wide[i], mean), weight[i]);
            let d = simd.mul_f64s(d, scale);
            sum[i] = simd.add_f64s(sum[i], d);
            squares[i] = simd.mul_add_e_f64s(d, d, squares[i]);
        }
    };
    let (body, tail) = T::as_simd::<S>(x);
    let one = simd.splat_f64s(1.0);
    for &x in body {
        add(T::widen(simd, x), [one; 2]);
    }
    if !tail.is_empty() {
        // Lanes behind the end have weight 0.
        let mut weights = [T::ZERO; 64];
        let weights = &mut weights[..tail.len()];
        weights.fill(T::ONE);
        let weights = T::widen(simd, T::partial_load(simd, weights));
        add(T::widen(simd, T::partial_load(simd, tail)), weights);
    }
    let total = |x: [S::f64s; 2]| simd.reduce_sum_f64s(simd.add_f64s(x[0], x[1]));
    (total(sum), total(squares))
}

/// μ in two parts, and r.
#[inline(always)]
fn statistics<T: Real, S: Simd>(simd: S, x: &[T], epsilon: f64) -> (f64, f64, f64) {
    // 2⁻⁶⁰⁰ brings every square that overflows into range.
    const SMALL: f64 = f64::from_bits((1023 - 600) << 52);
    let n = x.len() as f64;
    let row = Row::new(simd, x);
    let mut sum = WideSum::new(simd);
    for i in 0..row.vectors() {
        sum.add(row.at(i));
    }
    let mut mean = sum.total() / n;
    if !mean.is_finite() {
        // The sum may have overflowed where the mean does not.
        mean = x.iter().map(|x| x.to_f64() / n).sum();
    }
    let (rest, squares) = deviations(simd, x, mean, 1.0);
    let rest = rest / n;
    let variance = squares / n - rest * rest;
    if variance.is_finite() {
        return (mean, rest, 1.0 / (variance.max(0.0) + epsilon).sqrt());
    }
    let (rest, squares) = deviations(simd, x, mean, SMALL);
    (mean, rest / n / SMALL, SMALL / (squares / n).sqrt())
}

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { columns, epsilon, affine, x, y, statistics: kept } = self;
        let (scale, shift) = (option(simd, affine.scale), option(simd, affine.shift));
        let rows = x.chunks_exact(columns).zip(y.chunks_exact_mut(columns));
        for (b, (x, y)) in rows.enumerate() {
            let (mean, rest, r) = statistics(simd, x, epsilon);
            let high = T::from_f64(mean);
            let low = T::from_f64((mean - high.to_f64()) + rest);
            kept[b * STATISTICS..][..STATISTICS].copy_from_slice(&[high, low, T::from_f64(r)]);
            let standardized = Standardized::<T, S>::new(simd, kept, b);
            let (x, mut y) = (Row::new(simd, x), RowMut::new(simd, y));
            for i in 0..x.vectors() {
                let mut value = standardized.of(x.at(i));
                if let Some(scale) = &scale {
                    value = value * scale.at(i);
                }
                if let Some(shift) = &shift {
                    value = value + shift.at(i);
                }
                y.set(i, value);
            }
        }
    }
}

struct Tangent<'a, T> {
    columns: usize,
    affine: Affine<'a, T>,
    affine_tangent: Affine<'a, T>,
    statistics: &'a [T],
    x: &'a [T],
    x_tangent: Option<&'a [T]>,
    y_tangent: &'a mut [T],
    means: &'a mut [T],
}

impl<T: Real> WithSimd for Tangent<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            columns,
            affine,
            affine_tangent,
            statistics,
            x,
            x_tangent,
            y_tangent,
            means,
            ..
        } = self;
        let scale = option(simd, affine.scale);
        let scale_tangent = option(simd, affine_tangent.scale);
        let shift_tangent = option(simd, affine_tangent.shift);
        let n = columns as f64;
        let rows = x.chunks_exact(columns).zip(y_tangent.chunks_exact_mut(columns));
        for (b, (x, y)) in rows.enumerate() {
            let standardized = Standardized::<T, S>::new(simd, statistics, b);
            let x = Row::new(simd, x);
            let x_tangent = x_tangent.map(|t| Row::new(simd, &t[b * columns..][..columns]));
            let (mut sum, mut product) = (WideSum::new(simd), WideSum::new(simd));
            if let Some(t) = &x_tangent {
                for i in 0..x.vectors() {
                    let t = t.at(i);
                    sum.add(t);
                    product.add(standardized.of(x.at(i)) * t);
                }
            }
            let r = statistics[b * STATISTICS + 2].to_f64();
            means[b * MEANS] = T::from_f64(sum.total() / n);
            means[b * MEANS + 1] = T::from_f64(r * (product.total() / n));
            let tangent = StandardizedTangent::new(simd, means, b, standardized.r);
            let mut y = RowMut::new(simd, y);
            for i in 0..x.vectors() {
                let standardized = standardized.of(x.at(i));
                let mut value = match &x_tangent {
                    Some(t) => tangent.of(t.at(i), standardized),
                    None => splat(simd, 0.0),
                };
                if let Some(scale) = &scale {
                    value = value * scale.at(i);
                }
                if let Some(scale) = &scale_tangent {
                    value = standardized.mul_add(scale.at(i), value);
                }
                if let Some(shift) = &shift_tangent {
                    value = value + shift.at(i);
                }
                y.set(i, value);
            }
        }
    }
}
