//! The leak of rate units and its adjoint, on the rows of one time step.

#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

fn check(keep: usize, gain: usize, x: usize, other: Option<usize>) {
    assert!(keep > 0 && keep == gain, "leak: {keep} and {gain} factors");
    assert!(x.is_multiple_of(keep), "leak: {x} elements in rows of {keep}");
    assert!(other.is_none_or(|other| other == x), "leak: lengths do not agree");
}

/// x ← a∘before + g∘x; without `before`, x ← g∘x.
///
/// `x`, `before`: any number of rows of as many elements as `keep` (a) and `gain` (g). 3 flops and
/// three memory accesses an element: bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn leak<T: Real>(isa: Isa, keep: &[T], gain: &[T], before: Option<&[T]>, x: &mut [T]) {
    check(keep.len(), gain.len(), x.len(), before.map(<[T]>::len));
    dispatch!(isa, Leak<'a, T> = Leak { keep, gain, before, x });
}

/// carry ← u + a∘carry, then u ← g∘carry: the adjoint of [`leak`] backwards in time.
///
/// `u`, `carry`: any number of rows of as many elements as `keep` (a) and `gain` (g). 3 flops and
/// four memory accesses an element: bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn leak_adjoint<T: Real>(isa: Isa, keep: &[T], gain: &[T], carry: &mut [T], u: &mut [T]) {
    check(keep.len(), gain.len(), u.len(), Some(carry.len()));
    dispatch!(isa, Adjoint<'a, T> = Adjoint { keep, gain, carry, u });
}

struct Leak<'a, T> {
    keep: &'a [T],
    gain: &'a [T],
    before: Option<&'a [T]>,
    x: &'a mut [T],
}

impl<T: Real> WithSimd for Leak<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { keep, gain, before, x } = self;
        let n = keep.len();
        let (keep, keep_tail) = T::as_simd::<S>(keep);
        let (gain, gain_tail) = T::as_simd::<S>(gain);
        for (row, x) in x.chunks_exact_mut(n).enumerate() {
            let (x, x_tail) = T::as_mut_simd::<S>(x);
            let tail = (!x_tail.is_empty()).then(|| T::partial_load(simd, x_tail));
            let Some(before) = before else {
                for (x, gain) in x.iter_mut().zip(gain) {
                    *x = <T as Lanes>::mul(simd, *gain, *x);
                }
                if let Some(x) = tail {
                    let x = <T as Lanes>::mul(simd, T::partial_load(simd, gain_tail), x);
                    T::partial_store(simd, x_tail, x);
                }
                continue;
            };
            let (before, before_tail) = T::as_simd::<S>(&before[row * n..][..n]);
            for ((x, before), (keep, gain)) in x.iter_mut().zip(before).zip(keep.iter().zip(gain)) {
                *x = T::mul_add(simd, *keep, *before, <T as Lanes>::mul(simd, *gain, *x));
            }
            if let Some(x) = tail {
                let load = T::partial_load::<S>;
                let x = <T as Lanes>::mul(simd, load(simd, gain_tail), x);
                let x = T::mul_add(simd, load(simd, keep_tail), load(simd, before_tail), x);
                T::partial_store(simd, x_tail, x);
            }
        }
    }
}

struct Adjoint<'a, T> {
    keep: &'a [T],
    gain: &'a [T],
    carry: &'a mut [T],
    u: &'a mut [T],
}

impl<T: Real> WithSimd for Adjoint<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { keep, gain, carry, u } = self;
        let n = keep.len();
        let (keep, keep_tail) = T::as_simd::<S>(keep);
        let (gain, gain_tail) = T::as_simd::<S>(gain);
        for (u, carry) in u.chunks_exact_mut(n).zip(carry.chunks_exact_mut(n)) {
            let (u, u_tail) = T::as_mut_simd::<S>(u);
            let (carry, carry_tail) = T::as_mut_simd::<S>(carry);
            for ((u, carry), (keep, gain)) in u.iter_mut().zip(carry).zip(keep.iter().zip(gain)) {
                let sum = T::mul_add(simd, *keep, *carry, *u);
                *carry = sum;
                *u = <T as Lanes>::mul(simd, *gain, sum);
            }
            if !u_tail.is_empty() {
                let load = T::partial_load::<S>;
                let old = load(simd, carry_tail);
                let sum = T::mul_add(simd, load(simd, keep_tail), old, load(simd, u_tail));
                T::partial_store(simd, carry_tail, sum);
                let scaled = <T as Lanes>::mul(simd, load(simd, gain_tail), sum);
                T::partial_store(simd, u_tail, scaled);
            }
        }
    }
}
