//! Softmax and cross entropy, without cancellation for logits of any finite size.
//!
//! With m the first largest logit of a row, at index r: eₖ = e^(fₖ − m), S = Σ_{k≠r} eₖ,
//! pₖ = eₖ/(1 + S), log Σ e^f = m + ln(1 + S). A confident sample has p_y → 1, where p_y − 1 has
//! no digits left: the gradient of one row sums to zero, so that entry is minus the sum of the
//! others. Likewise p∘(v − p·v) is taken with v relative to its entry at the most probable class.

use pulp::{Simd, WithSimd};

use super::sum::CompensatedSum;
use crate::compiled::dispatch;
use crate::elementary::{Lane, exp_lane};
use crate::row::first_vector;
use crate::{Isa, Real};

/// What the outputs of a classifier should be.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a, T> {
    /// The class of each row.
    Classes(&'a [u32]),
    /// A probability for each class, row by row.
    Probabilities(&'a [T]),
}

pub(super) fn check_rows<T>(columns: usize, length: usize, weights: Option<&[T]>) {
    let rows = length.checked_div(columns).unwrap_or(0);
    assert_eq!(rows * columns, length, "loss: {length} elements in rows of {columns}");
    assert!(weights.is_none_or(|w| columns == 0 || w.len() == rows), "loss: weights a row");
}

pub(super) fn check_tangents<T>(
    columns: usize,
    repeat: usize,
    length: usize,
    weights: Option<&[T]>,
) {
    assert!(repeat > 0, "loss: expected at least one tangent a sample");
    let Some(block) = columns.checked_mul(repeat) else { panic!("loss: a row is too long") };
    check_rows(block, length, weights);
}

/// scale·Σ_b w_b ℓ_b with ℓ = Σ_k t_k (log Σ_j e^(f_j) − f_k), the cross entropy of softmax f
/// against t (a class y: t_y = 1).
///
/// `logits`: rows of `classes` elements; `weights`: one a row, `None`: 1. Where asked for, of the
/// shape of the logits: `gradient` ← scale·w_b (p Σt − t), and `probabilities` ← p, which
/// [`softmax_curvature_product`] wants.
///
/// A logit −∞ is a class of probability 0, and costs nothing where its target is 0, else ∞. A row
/// of −∞ only, a NaN or a logit +∞ give NaN. Error of ℓ: a few ulp of `T` relative to ℓ, plus the
/// rounding of fₖ − m; the sum is exact in comparison. Compute-bound, one exponential a logit.
///
/// # Panics
/// If the lengths do not agree, or a class index is not below `classes`.
pub fn softmax_cross_entropy<T: Real>(
    isa: Isa,
    classes: usize,
    logits: &[T],
    targets: Targets<'_, T>,
    weights: Option<&[T]>,
    scale: f64,
    gradient: Option<&mut [T]>,
    probabilities: Option<&mut [T]>,
) -> f64 {
    check_rows(classes, logits.len(), weights);
    let rows = logits.len().checked_div(classes).unwrap_or(0);
    match targets {
        Targets::Classes(y) => {
            assert_eq!(y.len(), rows, "loss: one class a row");
            assert!(y.iter().all(|&y| (y as usize) < classes), "loss: a class is out of range");
        }
        Targets::Probabilities(t) => assert_eq!(t.len(), logits.len()),
    }
    assert!(gradient.as_ref().is_none_or(|g| g.len() == logits.len()));
    assert!(probabilities.as_ref().is_none_or(|p| p.len() == logits.len()));
    if rows == 0 {
        return 0.0;
    }
    dispatch!(isa, CrossEntropy<'a, T> = CrossEntropy {
        classes, logits, targets, weights, scale, gradient, probabilities,
    })
}

/// `v[b][k] ← scale·w_b (diag p − p pᵀ) v[b][k]` for k = 0..repeat: the Hessian of
/// [`softmax_cross_entropy`] in the logits, for targets that sum to 1, times tangents.
///
/// `probabilities`: rows of `classes` elements; `v`: `[b][repeat][classes]`. With r the most
/// probable class and s = Σ_{k≠r} pₖ (vₖ − v_r), it is pₖ ((vₖ − v_r) − s), and −p_r s at r.
///
/// # Panics
/// If the lengths do not agree.
pub fn softmax_curvature_product<T: Real>(
    isa: Isa,
    classes: usize,
    repeat: usize,
    probabilities: &[T],
    weights: Option<&[T]>,
    scale: f64,
    v: &mut [T],
) {
    check_tangents(classes, repeat, v.len(), weights);
    assert_eq!(probabilities.len().checked_mul(repeat), Some(v.len()));
    if classes > 0 {
        dispatch!(isa, Curvature<'a, T> = Curvature {
            classes, repeat, probabilities, weights, scale, v,
        });
    }
}

/// Index of the first largest element. Where NaN hides it, any index: such a row is NaN anyway.
#[inline(always)]
fn first_largest<T: Real, S: Simd>(simd: S, x: &[T]) -> usize {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let (vectors, tail) = T::as_simd::<S>(x);
    let Some((first, rest)) = vectors.split_first() else {
        let largest = x.iter().copied().fold(x[0], larger);
        return x.iter().position(|&v| v == largest).unwrap_or(0);
    };
    let mut largest = Lane::<T, S>::new(simd, *first);
    for v in rest {
        let v = Lane::new(simd, *v);
        largest = largest.less_than(v).select(v, largest);
    }
    let mut lanes = [T::ZERO; MOST_LANES];
    let lanes = &mut lanes[..T::lanes::<S>()];
    T::partial_store(simd, lanes, largest.get());
    let largest = lanes.iter().chain(tail).copied().fold(lanes[0], larger);
    x.iter().position(|&v| v == largest).unwrap_or(0)
}

/// Calls `f` on the vectors of a row with the index of their first element and their length.
#[inline(always)]
fn pieces<T: Real, S: Simd>(length: usize, mut f: impl FnMut(core::ops::Range<usize>)) {
    let lanes = T::lanes::<S>();
    let mut start = 0;
    while start < length {
        let end = length.min(start + lanes);
        f(start..end);
        start = end;
    }
}

struct CrossEntropy<'a, T> {
    classes: usize,
    logits: &'a [T],
    targets: Targets<'a, T>,
    weights: Option<&'a [T]>,
    scale: f64,
    gradient: Option<&'a mut [T]>,
    probabilities: Option<&'a mut [T]>,
}

/// More lanes than any vector has.
const MOST_LANES: usize = 16;

/// Σ of the lanes of a vector, into two `f64` vectors.
#[inline(always)]
fn accumulate<T: Real, S: Simd>(simd: S, sum: &mut [S::f64s; 2], x: Lane<T, S>) {
    let wide = T::widen(simd, x.get());
    for i in 0..T::wide::<S>() {
        sum[i] = simd.add_f64s(sum[i], wide[i]);
    }
}

#[inline(always)]
fn total<S: Simd>(simd: S, sum: [S::f64s; 2]) -> f64 {
    simd.reduce_sum_f64s(simd.add_f64s(sum[0], sum[1]))
}

/// A row after its exponentials: weights of the classes relative to the largest.
struct Row {
    /// The first most probable class.
    r: usize,
    /// Σ eₖ over the other classes.
    others: f64,
    /// e_r: 1, or NaN where the largest logit is no finite number.
    top: f64,
}

impl<T: Real> CrossEntropy<'_, T> {
    /// eₖ of a row into `store`, if there is one, with 0 at the largest.
    #[inline(always)]
    fn exponentials<S: Simd>(simd: S, f: &[T], mut store: Option<&mut [T]>) -> Row {
        let r = first_largest(simd, f);
        let largest = Lane::<T, S>::new(simd, T::splat(simd, f[r]));
        let mut sum = [simd.splat_f64s(0.0); 2];
        pieces::<T, S>(
            f.len(),
            #[inline(always)]
            |range| {
                let x = Lane::new(simd, first_vector(simd, &f[range.clone()]));
                let mut e = exp_lane(x - largest);
                if range.contains(&r) || range.len() < T::lanes::<S>() {
                    let mut lanes = [T::ZERO; MOST_LANES];
                    let lanes = &mut lanes[..range.len()];
                    T::partial_store(simd, lanes, e.get());
                    if let Some(lane) = r.checked_sub(range.start).and_then(|i| lanes.get_mut(i)) {
                        *lane = T::ZERO;
                    }
                    e = Lane::new(simd, first_vector(simd, lanes));
                }
                accumulate(simd, &mut sum, e);
                if let Some(store) = store.as_mut() {
                    T::partial_store(simd, &mut store[range], e.get());
                }
            },
        );
        let top = if f[r].is_finite() { 1.0 } else { f64::NAN };
        Row { r, others: total(simd, sum), top }
    }

    /// Σ tₖ (m − fₖ) and Σ tₖ.
    #[inline(always)]
    fn target_sums<S: Simd>(simd: S, f: &[T], t: &[T], r: usize) -> (f64, f64) {
        let largest = Lane::<T, S>::new(simd, T::splat(simd, f[r]));
        let mut cost = [simd.splat_f64s(0.0); 2];
        let mut mass = cost;
        pieces::<T, S>(
            f.len(),
            #[inline(always)]
            |range| {
                let f = Lane::new(simd, first_vector(simd, &f[range.clone()]));
                let t = Lane::<T, S>::new(simd, first_vector(simd, &t[range]));
                let zero = t.splat(0.0);
                // A class that is not wanted costs nothing, even at −∞.
                accumulate(simd, &mut cost, t.equal(zero).select(zero, t * (largest - f)));
                accumulate(simd, &mut mass, t);
            },
        );
        (total(simd, cost), total(simd, mass))
    }

    /// x ← factor·x, and factor·top at `r`.
    #[inline(always)]
    fn scaled<S: Simd>(simd: S, x: &mut [T], factor: f64, row: &Row) {
        let scale = Lane::<T, S>::new(simd, T::splat(simd, T::from_f64(factor)));
        pieces::<T, S>(
            x.len(),
            #[inline(always)]
            |range| {
                let x = &mut x[range];
                let product = Lane::new(simd, first_vector(simd, x)) * scale;
                T::partial_store(simd, x, product.get());
            },
        );
        x[row.r] = T::from_f64(factor * row.top);
    }
}

impl<T: Real> WithSimd for CrossEntropy<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { classes, logits, targets, weights, scale, mut gradient, mut probabilities } =
            self;
        let mut loss = CompensatedSum::default();
        for (b, f) in logits.chunks_exact(classes).enumerate() {
            let place = b * classes..(b + 1) * classes;
            let weight = weights.map_or(1.0, |w| w[b].to_f64());
            let mut gradient = gradient.as_mut().map(|g| &mut g[place.clone()]);
            let mut probabilities = probabilities.as_mut().map(|p| &mut p[place.clone()]);
            let store = match (&mut gradient, &mut probabilities) {
                (Some(g), _) => Some(&mut **g),
                (None, Some(p)) => Some(&mut **p),
                (None, None) => None,
            };
            let row = Self::exponentials(simd, f, store);
            let normalizer = row.top + row.others;
            if let Some(p) = &mut probabilities {
                if let Some(g) = &gradient {
                    p.copy_from_slice(g);
                }
                Self::scaled(simd, p, 1.0 / normalizer, &row);
            }
            let (m, log) = (f[row.r].to_f64(), libm::log1p(row.others) * row.top);
            match targets {
                Targets::Classes(y) => {
                    let y = y[b] as usize;
                    loss.add(weight * ((m - f[y].to_f64()) + log));
                    if let Some(g) = gradient {
                        let factor = scale * weight / normalizer;
                        let others =
                            if y == row.r { row.others } else { normalizer - g[y].to_f64() };
                        Self::scaled(simd, g, factor, &row);
                        g[y] = T::from_f64(-factor * others);
                    }
                }
                Targets::Probabilities(t) => {
                    let t = &t[place];
                    let (cost, mass) = Self::target_sums(simd, f, t, row.r);
                    loss.add(weight * (cost + mass * log));
                    if let Some(g) = gradient {
                        let factor = scale * weight;
                        let share = Lane::<T, S>::new(
                            simd,
                            T::splat(simd, T::from_f64(factor * mass / normalizer)),
                        );
                        let factor = share.splat(factor);
                        pieces::<T, S>(
                            classes,
                            #[inline(always)]
                            |range| {
                                let t = Lane::new(simd, first_vector(simd, &t[range.clone()]));
                                let g = &mut g[range];
                                let e = Lane::new(simd, first_vector(simd, g));
                                T::partial_store(simd, g, (e * share - factor * t).get());
                            },
                        );
                        g[row.r] = T::ZERO;
                        let others: f64 = g.iter().map(|g| g.to_f64()).sum();
                        // NaN where the largest logit is no finite number, else −Σ.
                        g[row.r] = T::from_f64((row.top - 1.0) - others);
                    }
                }
            }
        }
        scale * loss.value()
    }
}

struct Curvature<'a, T> {
    classes: usize,
    repeat: usize,
    probabilities: &'a [T],
    weights: Option<&'a [T]>,
    scale: f64,
    v: &'a mut [T],
}

impl<T: Real> WithSimd for Curvature<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { classes, repeat, probabilities, weights, scale, v } = self;
        let samples = v.chunks_exact_mut(repeat * classes).zip(probabilities.chunks_exact(classes));
        for (b, (v, p)) in samples.enumerate() {
            let weight = weights.map_or(1.0, |w| w[b].to_f64());
            let factor = Lane::<T, S>::new(simd, T::splat(simd, T::from_f64(scale * weight)));
            let r = first_largest(simd, p);
            for v in v.chunks_exact_mut(classes) {
                let reference = Lane::<T, S>::new(simd, T::splat(simd, v[r]));
                let mut sum = [simd.splat_f64s(0.0); 2];
                // The term of r itself is p_r·0, and that of lanes behind the end 0·(0 − v_r).
                pieces::<T, S>(
                    classes,
                    #[inline(always)]
                    |range| {
                        let p = Lane::new(simd, first_vector(simd, &p[range.clone()]));
                        let v = Lane::new(simd, first_vector(simd, &v[range]));
                        accumulate(simd, &mut sum, p * (v - reference));
                    },
                );
                let mean = reference.splat(total(simd, sum));
                pieces::<T, S>(
                    classes,
                    #[inline(always)]
                    |range| {
                        let p = Lane::new(simd, first_vector(simd, &p[range.clone()]));
                        let v = &mut v[range];
                        let x = Lane::new(simd, first_vector(simd, v));
                        let product = factor * (p * ((x - reference) - mean));
                        T::partial_store(simd, v, product.get());
                    },
                );
            }
        }
    }
}
