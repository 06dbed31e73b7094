//! Softmax over the keys of an attention layer, and its derivatives up to the second, row by row.
//!
//! A row holds the scores s of one query with all its keys. With A = softmax(s) over the keys that
//! the mask allows, the derivative is J x = A∘C x with C x = x − A·x, and along ṡ, with E = C ṡ,
//!
//! Ȧ = A∘E, and for an error Ā at A, with D = C Ā: the error at s is S̄ = A∘D, and its tangent
//!
//! S̄' = Ȧ∘D + A∘Ā' − A (A·(E∘D + Ā')) = A∘C(Ā' + E∘D),
//!
//! since Σ Ȧ = 0: one and the same projection in all three passes. Where one key takes nearly all of
//! the attention, x − A·x of that key has no digits left; so x is taken relative to its entry there,
//! as in the loss of a classifier. A query whose keys are all masked attends to nothing: A = 0, and
//! so are all derivatives. Sums over a row are in `f64`; everything is in cache.

#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::elementary::{Lane, exp_lane};
use crate::row::{Row, RowMut, WideSum};
use crate::{Isa, Real};

fn rows(keys: usize, length: usize, reference: usize) {
    assert!(
        keys > 0 && length == keys * reference,
        "attention: {length} scores of {reference} queries with {keys} keys"
    );
}

/// A = softmax of every row of `scores`, in place, over the keys that `mask` allows.
///
/// `scores`: rows of `keys` elements; `mask`: the same shape, `None` allows all; `reference`: one
/// number a row, the index of the key with the largest score, which the derivatives want. Scores of
/// any finite size are right to a few ulp beside the rounding of s − max s; a score −∞ counts as
/// masked; a NaN or +∞ makes its row NaN. One exponential a score.
///
/// # Panics
/// If the lengths do not agree.
pub fn masked_softmax<T: Real>(
    isa: Isa,
    keys: usize,
    mask: Option<&[bool]>,
    scores: &mut [T],
    reference: &mut [T],
) {
    rows(keys, scores.len(), reference.len());
    assert!(mask.is_none_or(|mask| mask.len() == scores.len()), "attention: shape of the mask");
    dispatch!(isa, Softmax<'a, T> = Softmax { keys, mask, scores, reference });
}

/// x ← C x and `product` ← A∘C x, row by row: Ȧ of ṡ, or S̄ of Ā.
///
/// # Panics
/// If the lengths do not agree.
pub fn softmax_derivative<T: Real>(
    isa: Isa,
    keys: usize,
    probabilities: &[T],
    reference: &[T],
    x: &mut [T],
    product: &mut [T],
) {
    rows(keys, probabilities.len(), reference.len());
    assert!(x.len() == probabilities.len() && product.len() == x.len());
    dispatch!(isa, Derivative<'a, T> = Derivative { keys, probabilities, reference, x, product });
}

/// x ← S̄' = A∘C(x + E∘D) for x = Ā', and Ȧ = A∘E and S̄ = A∘D beside it, row by row.
///
/// `score_tangent`: E, and `error`: D, as [`softmax_derivative`] leaves them.
///
/// # Panics
/// If the lengths do not agree.
pub fn softmax_adjoint_tangent<T: Real>(
    isa: Isa,
    keys: usize,
    probabilities: &[T],
    reference: &[T],
    score_tangent: &[T],
    error: &[T],
    x: &mut [T],
    probability_tangent: &mut [T],
    score_error: &mut [T],
) {
    let length = probabilities.len();
    rows(keys, length, reference.len());
    assert!(score_tangent.len() == length && error.len() == length && x.len() == length);
    assert!(probability_tangent.len() == length && score_error.len() == length);
    dispatch!(isa, AdjointTangent<'a, T> = AdjointTangent {
        keys, probabilities, reference, score_tangent, error, x, probability_tangent, score_error,
    });
}

struct Softmax<'a, T> {
    keys: usize,
    mask: Option<&'a [bool]>,
    scores: &'a mut [T],
    reference: &'a mut [T],
}

impl<T: Real> WithSimd for Softmax<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { keys, mask, scores, reference } = self;
        for (q, (row, reference)) in scores.chunks_exact_mut(keys).zip(reference).enumerate() {
            if let Some(mask) = mask {
                for (s, &allowed) in row.iter_mut().zip(&mask[q * keys..]) {
                    *s = if allowed { *s } else { -T::INFINITY };
                }
            }
            // A comparison with NaN is false, so that a NaN is never the largest, and is not lost.
            let mut largest = 0;
            for (k, s) in row.iter().enumerate() {
                if *s > row[largest] {
                    largest = k;
                }
            }
            *reference = T::from_f64(largest as f64);
            let top = row[largest];
            if top == -T::INFINITY && row.iter().all(|&s| s == top) {
                row.fill(T::ZERO);
                continue;
            }
            let top_lane = Lane::<T, S>::new(simd, T::splat(simd, top));
            let (body, tail) = T::as_mut_simd::<S>(row);
            for s in body {
                *s = exp_lane(Lane::<T, S>::new(simd, *s) - top_lane).get();
            }
            if !tail.is_empty() {
                let s = Lane::<T, S>::new(simd, T::partial_load(simd, tail));
                T::partial_store(simd, tail, exp_lane(s - top_lane).get());
            }
            // e^0 = 1 at the largest, NaN where it is infinite: then so is the sum.
            let one = row[largest];
            row[largest] = T::ZERO;
            let mut others = WideSum::new(simd);
            let x = Row::<T, S>::new(simd, row);
            for i in 0..x.vectors() {
                others.add(x.at(i));
            }
            let scale = 1.0 / (one.to_f64() + others.total());
            row[largest] = one;
            let factor = Lane::<T, S>::new(simd, T::splat(simd, T::from_f64(scale)));
            let vectors = Row::<T, S>::new(simd, row).vectors();
            let mut x = RowMut::<T, S>::new(simd, row);
            for i in 0..vectors {
                x.set(i, x.at(i) * factor);
            }
        }
    }
}

/// The entry at the most attended key.
#[inline(always)]
fn at_reference<T: Real>(x: &[T], reference: T) -> T {
    // An index that was never written is no reason to panic.
    x.get(reference.to_f64() as usize).copied().unwrap_or(T::NAN)
}

struct Derivative<'a, T> {
    keys: usize,
    probabilities: &'a [T],
    reference: &'a [T],
    x: &'a mut [T],
    product: &'a mut [T],
}

impl<T: Real> WithSimd for Derivative<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { keys, probabilities, reference, x, product } = self;
        let rows = x.chunks_exact_mut(keys).zip(product.chunks_exact_mut(keys));
        let primal = probabilities.chunks_exact(keys).zip(reference);
        for ((x, product), (p, &reference)) in rows.zip(primal) {
            let at = at_reference(x, reference);
            let at = Lane::<T, S>::new(simd, T::splat(simd, at));
            let p = Row::<T, S>::new(simd, p);
            let (mut x, mut product) = (RowMut::new(simd, x), RowMut::new(simd, product));
            let mut sum = WideSum::new(simd);
            for i in 0..p.vectors() {
                sum.add(p.at(i) * (x.at(i) - at));
            }
            let mean = at.splat(sum.total());
            for i in 0..p.vectors() {
                let centred = (x.at(i) - at) - mean;
                x.set(i, centred);
                product.set(i, p.at(i) * centred);
            }
        }
    }
}

struct AdjointTangent<'a, T> {
    keys: usize,
    probabilities: &'a [T],
    reference: &'a [T],
    score_tangent: &'a [T],
    error: &'a [T],
    x: &'a mut [T],
    probability_tangent: &'a mut [T],
    score_error: &'a mut [T],
}

impl<T: Real> WithSimd for AdjointTangent<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.keys;
        let primal = self.probabilities.chunks_exact(n).zip(self.reference);
        let kept = self.score_tangent.chunks_exact(n).zip(self.error.chunks_exact(n));
        let out = self.probability_tangent.chunks_exact_mut(n);
        let out = out.zip(self.score_error.chunks_exact_mut(n));
        let rows = self.x.chunks_exact_mut(n).zip(out);
        for (((p, &reference), (e, d)), (x, (p_tangent, score_error))) in primal.zip(kept).zip(rows)
        {
            // The same operations as below, so that w is exactly 0 there.
            let at = at_reference(x, reference);
            let at_product = at_reference(e, reference) * at_reference(d, reference);
            let at = Lane::<T, S>::new(simd, T::splat(simd, at));
            let at_product = Lane::<T, S>::new(simd, T::splat(simd, at_product));
            let (p, e, d) = (Row::new(simd, p), Row::new(simd, e), Row::<T, S>::new(simd, d));
            let mut x = RowMut::new(simd, x);
            let mut p_tangent = RowMut::new(simd, p_tangent);
            let mut score_error = RowMut::new(simd, score_error);
            let mut sum = WideSum::new(simd);
            for i in 0..p.vectors() {
                let (p, e, d) = (p.at(i), e.at(i), d.at(i));
                let w = (x.at(i) - at) + (e * d - at_product);
                sum.add(p * w);
                x.set(i, w);
                p_tangent.set(i, p * e);
                score_error.set(i, p * d);
            }
            let mean = at.splat(sum.total());
            for i in 0..p.vectors() {
                x.set(i, p.at(i) * (x.at(i) - mean));
            }
        }
    }
}
