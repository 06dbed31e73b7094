//! The tangent of bias and activation where the tangent before the activation is not needed.

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// `u[b] ← d1[b] ∘ (u[b] + bias)`: the tangent pass of a layer whose φ'' does not matter.
///
/// `bias` (`None`: 0): h = `columns` elements; `u`: any number of rows of h; `d1` (φ', `None`: 1): as
/// long as `u`. At most 2 flops an element; bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn tangent_epilogue_in_place<T: Real>(
    isa: Isa,
    columns: usize,
    bias: Option<&[T]>,
    d1: Option<&[T]>,
    u: &mut [T],
) {
    assert!(columns > 0 && u.len().is_multiple_of(columns));
    assert!(bias.is_none_or(|bias| bias.len() == columns));
    assert!(d1.is_none_or(|d1| d1.len() == u.len()));
    dispatch!(isa, InPlace<'a, T> = InPlace { columns, bias, d1, u });
}

struct InPlace<'a, T> {
    columns: usize,
    bias: Option<&'a [T]>,
    d1: Option<&'a [T]>,
    u: &'a mut [T],
}

impl<T: Real> WithSimd for InPlace<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { columns, bias, d1, u } = self;
        for (b, u) in u.chunks_exact_mut(columns).enumerate() {
            let d1 = d1.map(|d1| &d1[b * columns..][..columns]);
            match (bias, d1) {
                (None, None) => {}
                (Some(bias), None) => combine(simd, u, bias, |u, x| <T as Lanes>::add(simd, u, x)),
                (None, Some(d1)) => combine(simd, u, d1, |u, x| <T as Lanes>::mul(simd, u, x)),
                (Some(bias), Some(d1)) => {
                    let (d1, d1_tail) = T::as_simd::<S>(d1);
                    let (bias, bias_tail) = T::as_simd::<S>(bias);
                    let (u, u_tail) = T::as_mut_simd::<S>(u);
                    for ((u, d1), bias) in u.iter_mut().zip(d1).zip(bias) {
                        *u = <T as Lanes>::mul(simd, *d1, <T as Lanes>::add(simd, *u, *bias));
                    }
                    if !u_tail.is_empty() {
                        let load = |x: &[T]| T::partial_load(simd, x);
                        let y = <T as Lanes>::add(simd, load(u_tail), load(bias_tail));
                        T::partial_store(simd, u_tail, <T as Lanes>::mul(simd, load(d1_tail), y));
                    }
                }
            }
        }
    }
}

/// u ← f(u, x), vector by vector.
#[inline(always)]
fn combine<T: Real, S: Simd>(
    simd: S,
    u: &mut [T],
    x: &[T],
    f: impl Fn(T::Vector<S>, T::Vector<S>) -> T::Vector<S>,
) {
    let (x, x_tail) = T::as_simd::<S>(x);
    let (u, u_tail) = T::as_mut_simd::<S>(u);
    for (u, x) in u.iter_mut().zip(x) {
        *u = f(*u, *x);
    }
    if !u_tail.is_empty() {
        let v = f(T::partial_load(simd, u_tail), T::partial_load(simd, x_tail));
        T::partial_store(simd, u_tail, v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_adds_and_scales_as_the_plain_loop_does() {
        for isa in Isa::available() {
            for columns in [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64] {
                let n = 3 * columns;
                let value = |i: usize| (i as f64 * 0.7).sin();
                let d1: Vec<f64> = (0..n).map(|i| value(i + 5)).collect();
                let bias: Vec<f64> = (0..columns).map(|i| value(i + 100)).collect();
                for (with_bias, with_d1) in
                    [(false, false), (true, false), (false, true), (true, true)]
                {
                    let mut u: Vec<f64> = (0..n).map(value).collect();
                    let b = with_bias.then_some(bias.as_slice());
                    let d = with_d1.then_some(d1.as_slice());
                    tangent_epilogue_in_place(isa, columns, b, d, &mut u);
                    for (i, &got) in u.iter().enumerate() {
                        let sum = value(i) + if with_bias { bias[i % columns] } else { 0.0 };
                        let want = if with_d1 { sum * d1[i] } else { sum };
                        assert_eq!(got, want, "{isa}, {columns} columns, element {i}");
                    }
                }
            }
        }
    }
}
