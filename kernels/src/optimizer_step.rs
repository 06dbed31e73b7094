//! The step of Adam and AMSGrad, and that of gradient descent, each fused into one pass.
//!
//! Multiplications and additions are not fused here, so that the bits are the same on every path:
//! the root and the division decide the speed in cache, and the memory outside.

mod sgd;

pub use sgd::{SgdStep, sgd};

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// The scalars of one step of Adam, prepared by the caller.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<T> {
    /// Factor on θ before anything else: 1 − η λ for decoupled weight decay, else 1.
    pub shrink: T,
    /// λ of weight decay added to the gradient.
    pub decay: T,
    /// 1 − β₁.
    pub first: T,
    /// β₂.
    pub keep_second: T,
    /// 1 − β₂.
    pub second: T,
    /// η / (1 − β₁ᵗ).
    pub rate: T,
    /// 1 / √(1 − β₂ᵗ).
    pub correction: T,
    /// ε.
    pub epsilon: T,
}

/// θ ← s θ;  g ← ∇ + λ θ;  m ← m + (1 − β₁)(g − m);  v ← β₂ v + (1 − β₂) g²;
/// θ ← θ − rate · m / (√w · correction + ε), 0 / 0 counting as 0
///
/// with w = v, or the running maximum of v where `largest` is given (AMSGrad; not raised by NaN).
/// About 15 flops, a root and a division an element. Moves 7 elements of memory for each, 9 with
/// `largest`: bandwidth-bound outside the cache, bound by root and division inside. Same bits on
/// every path.
///
/// # Panics
/// Unless all arrays are equally long.
pub fn adam<T: Real>(
    isa: Isa,
    step: AdamStep<T>,
    parameters: &mut [T],
    gradient: &[T],
    first: &mut [T],
    second: &mut [T],
    largest: Option<&mut [T]>,
) {
    let n = parameters.len();
    assert!(gradient.len() == n && first.len() == n && second.len() == n);
    match largest {
        None => dispatch!(isa, Adam<'a, T> = Adam { step, parameters, gradient, first, second }),
        Some(largest) => {
            assert_eq!(largest.len(), n);
            dispatch!(isa, AmsGrad<'a, T> = AmsGrad {
                adam: Adam { step, parameters, gradient, first, second },
                largest,
            });
        }
    }
}

struct Adam<'a, T> {
    step: AdamStep<T>,
    parameters: &'a mut [T],
    gradient: &'a [T],
    first: &'a mut [T],
    second: &'a mut [T],
}

struct AmsGrad<'a, T> {
    adam: Adam<'a, T>,
    largest: &'a mut [T],
}

/// [`AdamStep`] in every lane.
struct Splat<T: Lanes, S: Simd> {
    simd: S,
    shrink: T::Vector<S>,
    decay: T::Vector<S>,
    first: T::Vector<S>,
    keep_second: T::Vector<S>,
    second: T::Vector<S>,
    rate: T::Vector<S>,
    correction: T::Vector<S>,
    epsilon: T::Vector<S>,
    zero: T::Vector<S>,
}

impl<T: Real, S: Simd> Splat<T, S> {
    #[inline(always)]
    fn new(simd: S, step: &AdamStep<T>) -> Self {
        Self {
            simd,
            shrink: T::splat(simd, step.shrink),
            decay: T::splat(simd, step.decay),
            first: T::splat(simd, step.first),
            keep_second: T::splat(simd, step.keep_second),
            second: T::splat(simd, step.second),
            rate: T::splat(simd, step.rate),
            correction: T::splat(simd, step.correction),
            epsilon: T::splat(simd, step.epsilon),
            zero: T::splat(simd, T::ZERO),
        }
    }
}

impl<T: Lanes, S: Simd> Splat<T, S> {
    /// Updates the moments; returns the shrunk parameter.
    #[inline(always)]
    fn moments(
        &self,
        p: T::Vector<S>,
        g: T::Vector<S>,
        m: &mut T::Vector<S>,
        v: &mut T::Vector<S>,
    ) -> T::Vector<S> {
        let simd = self.simd;
        let p = T::mul(simd, self.shrink, p);
        let g = T::add(simd, g, T::mul(simd, self.decay, p));
        *m = T::add(simd, *m, T::mul(simd, self.first, T::sub(simd, g, *m)));
        let kept = T::mul(simd, self.keep_second, *v);
        *v = T::add(simd, kept, T::mul(simd, self.second, T::mul(simd, g, g)));
        p
    }

    /// p − rate · m / (√w · correction + ε).
    #[inline(always)]
    fn moved(&self, p: T::Vector<S>, m: T::Vector<S>, w: T::Vector<S>) -> T::Vector<S> {
        let simd = self.simd;
        let root = T::mul(simd, T::sqrt(simd, w), self.correction);
        let divisor = T::add(simd, root, self.epsilon);
        let quotient = T::div(simd, m, divisor);
        let nothing = T::equal(simd, divisor, self.zero);
        let quotient = T::select(simd, nothing, self.zero, quotient);
        T::sub(simd, p, T::mul(simd, self.rate, quotient))
    }

    #[inline(always)]
    fn larger(&self, v: T::Vector<S>, largest: T::Vector<S>) -> T::Vector<S> {
        T::select(self.simd, T::less_than(self.simd, largest, v), v, largest)
    }
}

/// Vectors that are loaded before any of them is stored. Where arrays begin at the same place in
/// their memory pages, as large allocations do, a load waits for earlier stores to other arrays
/// with the same low address bits, that is for their roots and divisions: once in so many vectors.
const AT_ONCE: usize = 4;

/// [`Splat`] applied to `N` vectors: parameters, gradient, both moments and the largest second one.
#[inline(always)]
fn update<T: Lanes, S: Simd, const N: usize, const AMSGRAD: bool>(
    step: &Splat<T, S>,
    p: &mut [T::Vector<S>; N],
    g: &[T::Vector<S>; N],
    m: &mut [T::Vector<S>; N],
    v: &mut [T::Vector<S>; N],
    w: Option<&mut [T::Vector<S>; N]>,
) {
    let (mut p_new, mut m_new, mut v_new) = (*p, *m, *v);
    let mut w_new = match &w {
        Some(w) if AMSGRAD => **w,
        _ => *v,
    };
    for i in 0..N {
        let start = step.moments(p_new[i], g[i], &mut m_new[i], &mut v_new[i]);
        w_new[i] = if AMSGRAD { step.larger(v_new[i], w_new[i]) } else { v_new[i] };
        p_new[i] = step.moved(start, m_new[i], w_new[i]);
    }
    (*p, *m, *v) = (p_new, m_new, v_new);
    if let (true, Some(w)) = (AMSGRAD, w) {
        *w = w_new;
    }
}

impl<T: Real> WithSimd for Adam<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { step, parameters, gradient, first, second } = self;
        let step = Splat::<T, S>::new(simd, &step);
        let (p, p_tail) = T::as_mut_simd::<S>(parameters);
        let (g, g_tail) = T::as_simd::<S>(gradient);
        let (m, m_tail) = T::as_mut_simd::<S>(first);
        let (v, v_tail) = T::as_mut_simd::<S>(second);
        let (p, p_rest) = p.as_chunks_mut::<AT_ONCE>();
        let (g, g_rest) = g.as_chunks::<AT_ONCE>();
        let (m, m_rest) = m.as_chunks_mut::<AT_ONCE>();
        let (v, v_rest) = v.as_chunks_mut::<AT_ONCE>();
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            update::<T, S, AT_ONCE, false>(&step, p, g, m, v, None);
        }
        for (((p, g), m), v) in p_rest.iter_mut().zip(g_rest).zip(m_rest).zip(v_rest) {
            let one = core::array::from_mut;
            update::<T, S, 1, false>(&step, one(p), &[*g], one(m), one(v), None);
        }
        let mut p = [T::partial_load(simd, p_tail)];
        let mut m = [T::partial_load(simd, m_tail)];
        let mut v = [T::partial_load(simd, v_tail)];
        let g = [T::partial_load(simd, g_tail)];
        update::<T, S, 1, false>(&step, &mut p, &g, &mut m, &mut v, None);
        T::partial_store(simd, p_tail, p[0]);
        T::partial_store(simd, m_tail, m[0]);
        T::partial_store(simd, v_tail, v[0]);
    }
}

impl<T: Real> WithSimd for AmsGrad<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { adam: Adam { step, parameters, gradient, first, second }, largest } = self;
        let step = Splat::<T, S>::new(simd, &step);
        let (p, p_tail) = T::as_mut_simd::<S>(parameters);
        let (g, g_tail) = T::as_simd::<S>(gradient);
        let (m, m_tail) = T::as_mut_simd::<S>(first);
        let (v, v_tail) = T::as_mut_simd::<S>(second);
        let (w, w_tail) = T::as_mut_simd::<S>(largest);
        let (p, p_rest) = p.as_chunks_mut::<AT_ONCE>();
        let (g, g_rest) = g.as_chunks::<AT_ONCE>();
        let (m, m_rest) = m.as_chunks_mut::<AT_ONCE>();
        let (v, v_rest) = v.as_chunks_mut::<AT_ONCE>();
        let (w, w_rest) = w.as_chunks_mut::<AT_ONCE>();
        for ((((p, g), m), v), w) in p.iter_mut().zip(g).zip(m).zip(v).zip(w) {
            update::<T, S, AT_ONCE, true>(&step, p, g, m, v, Some(w));
        }
        let rest = p_rest.iter_mut().zip(g_rest).zip(m_rest).zip(v_rest).zip(w_rest);
        for ((((p, g), m), v), w) in rest {
            let one = core::array::from_mut;
            update::<T, S, 1, true>(&step, one(p), &[*g], one(m), one(v), Some(one(w)));
        }
        let mut p = [T::partial_load(simd, p_tail)];
        let mut m = [T::partial_load(simd, m_tail)];
        let mut v = [T::partial_load(simd, v_tail)];
        let mut w = [T::partial_load(simd, w_tail)];
        let g = [T::partial_load(simd, g_tail)];
        update::<T, S, 1, true>(&step, &mut p, &g, &mut m, &mut v, Some(&mut w));
        T::partial_store(simd, p_tail, p[0]);
        T::partial_store(simd, m_tail, m[0]);
        T::partial_store(simd, v_tail, v[0]);
        T::partial_store(simd, w_tail, w[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The equations as they stand, one element after the other.
    macro_rules! plain {
        ($t:ident, $step:ident, $from:expr, $p:ident, $g:ident, $m:ident, $v:ident, $w:ident) => {
            for i in $from..$p.len() {
                let step: AdamStep<$t> = $step;
                let start = step.shrink * $p[i];
                let g = $g[i] + step.decay * start;
                $m[i] += step.first * (g - $m[i]);
                $v[i] = step.keep_second * $v[i] + step.second * (g * g);
                if let Some(w) = $w.as_mut() {
                    let w: &mut Vec<$t> = w;
                    w[i] = if $v[i] > w[i] { $v[i] } else { w[i] };
                }
                let under = $w.as_ref().map_or($v[i], |w| w[i]);
                let divisor = under.sqrt() * step.correction + step.epsilon;
                let quotient = if divisor == 0.0 { 0.0 } else { $m[i] / divisor };
                $p[i] = start - step.rate * quotient;
            }
        };
    }

    macro_rules! check {
        ($t:ident) => {
            for n in [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100] {
                for offset in 0..3 {
                    for amsgrad in [false, true] {
                        for epsilon in [0.0, 1e-8] {
                            let number = |i: usize, k: usize| {
                                let x = ((i * 37 + k * 11) % 101) as $t / 50.0 - 1.0;
                                if (i + k) % 13 == 5 { 0.0 } else { x }
                            };
                            let array = |k: usize| -> Vec<$t> {
                                (0..n + offset).map(|i| number(i, k)).collect()
                            };
                            let square =
                                |k: usize| -> Vec<$t> { array(k).iter().map(|x| x * x).collect() };
                            let step = AdamStep {
                                shrink: 0.99,
                                decay: 0.01,
                                first: 0.1,
                                keep_second: 0.999,
                                second: 0.001,
                                rate: 0.3,
                                correction: 1.7,
                                epsilon,
                            };
                            let start =
                                || (array(0), array(2), square(3), amsgrad.then(|| square(4)));
                            let g = array(1);
                            let (mut p, mut m, mut v, mut w) = start();
                            plain!($t, step, offset, p, g, m, v, w);
                            for isa in Isa::available() {
                                let (mut q, mut a, mut b, mut c) = start();
                                adam(
                                    isa,
                                    step,
                                    &mut q[offset..],
                                    &g[offset..],
                                    &mut a[offset..],
                                    &mut b[offset..],
                                    c.as_mut().map(|c| &mut c[offset..]),
                                );
                                assert_eq!((&q, &a, &b), (&p, &m, &v), "{isa} {n} {offset}");
                                assert_eq!(&c, &w, "{isa} {n} {offset}");
                            }
                        }
                    }
                }
            }
        };
    }

    #[test]
    fn every_path_has_the_bits_of_the_plain_loop() {
        check!(f32);
        check!(f64);
    }
}
