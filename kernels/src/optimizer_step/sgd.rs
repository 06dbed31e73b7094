//! The step of gradient descent with momentum.

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// The scalars of one step, prepared by the caller.
#[derive(Clone, Copy, Debug)]
pub struct SgdStep<T> {
    /// η.
    pub rate: T,
    /// λ of weight decay added to the gradient.
    pub decay: T,
    /// μ, what remains of the momentum.
    pub momentum: T,
    /// How much of the gradient is added to the momentum.
    pub fresh: T,
    /// Whether the gradient is taken ahead of the momentum.
    pub nesterov: bool,
}

/// g ← ∇ + λ θ;  b ← μ b + fresh · g;  θ ← θ − η b, or θ − η (g + μ b) with Nesterov's momentum;
/// without `momentum` θ ← θ − η g.
///
/// 4 to 8 flops an element, and 3 elements of memory moved for each, 5 with momentum: bound by
/// loads and stores in cache, by the memory outside. Same bits on every path.
///
/// # Panics
/// Unless all arrays are equally long.
pub fn sgd<T: Real>(
    isa: Isa,
    step: SgdStep<T>,
    parameters: &mut [T],
    gradient: &[T],
    momentum: Option<&mut [T]>,
) {
    assert_eq!(gradient.len(), parameters.len());
    match momentum {
        None => dispatch!(isa, Plain<'a, T> = Plain { step, parameters, gradient }),
        Some(momentum) => {
            assert_eq!(momentum.len(), parameters.len());
            dispatch!(isa, Momentum<'a, T> = Momentum { step, parameters, gradient, momentum });
        }
    }
}

struct Plain<'a, T> {
    step: SgdStep<T>,
    parameters: &'a mut [T],
    gradient: &'a [T],
}

struct Momentum<'a, T> {
    step: SgdStep<T>,
    parameters: &'a mut [T],
    gradient: &'a [T],
    momentum: &'a mut [T],
}

/// [`SgdStep`] in every lane.
struct Splat<T: Lanes, S: Simd> {
    simd: S,
    rate: T::Vector<S>,
    decay: T::Vector<S>,
    momentum: T::Vector<S>,
    fresh: T::Vector<S>,
    nesterov: bool,
}

impl<T: Real, S: Simd> Splat<T, S> {
    #[inline(always)]
    fn new(simd: S, step: &SgdStep<T>) -> Self {
        Self {
            simd,
            rate: T::splat(simd, step.rate),
            decay: T::splat(simd, step.decay),
            momentum: T::splat(simd, step.momentum),
            fresh: T::splat(simd, step.fresh),
            nesterov: step.nesterov,
        }
    }
}

impl<T: Lanes, S: Simd> Splat<T, S> {
    /// ∇ + λ θ.
    #[inline(always)]
    fn decayed(&self, p: T::Vector<S>, g: T::Vector<S>) -> T::Vector<S> {
        T::add(self.simd, g, T::mul(self.simd, self.decay, p))
    }

    #[inline(always)]
    fn moved(&self, p: T::Vector<S>, along: T::Vector<S>) -> T::Vector<S> {
        T::sub(self.simd, p, T::mul(self.simd, self.rate, along))
    }

    #[inline(always)]
    fn plain(&self, p: T::Vector<S>, g: T::Vector<S>) -> T::Vector<S> {
        self.moved(p, self.decayed(p, g))
    }

    /// The new parameters, and the new momentum.
    #[inline(always)]
    fn with_momentum(
        &self,
        p: T::Vector<S>,
        g: T::Vector<S>,
        b: T::Vector<S>,
    ) -> (T::Vector<S>, T::Vector<S>) {
        let simd = self.simd;
        let g = self.decayed(p, g);
        let b = T::add(simd, T::mul(simd, self.momentum, b), T::mul(simd, self.fresh, g));
        let ahead = T::add(simd, g, T::mul(simd, self.momentum, b));
        (self.moved(p, if self.nesterov { ahead } else { b }), b)
    }
}

impl<T: Real> WithSimd for Plain<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { step, parameters, gradient } = self;
        let step = Splat::<T, S>::new(simd, &step);
        let (p, p_tail) = T::as_mut_simd::<S>(parameters);
        let (g, g_tail) = T::as_simd::<S>(gradient);
        for (p, g) in p.iter_mut().zip(g) {
            *p = step.plain(*p, *g);
        }
        let tail = step.plain(T::partial_load(simd, p_tail), T::partial_load(simd, g_tail));
        T::partial_store(simd, p_tail, tail);
    }
}

impl<T: Real> WithSimd for Momentum<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { step, parameters, gradient, momentum } = self;
        let step = Splat::<T, S>::new(simd, &step);
        let (p, p_tail) = T::as_mut_simd::<S>(parameters);
        let (g, g_tail) = T::as_simd::<S>(gradient);
        let (b, b_tail) = T::as_mut_simd::<S>(momentum);
        for ((p, g), b) in p.iter_mut().zip(g).zip(b) {
            (*p, *b) = step.with_momentum(*p, *g, *b);
        }
        let [p, g, b] = [&*p_tail, g_tail, &*b_tail].map(|x| T::partial_load(simd, x));
        let (p, b) = step.with_momentum(p, g, b);
        T::partial_store(simd, p_tail, p);
        T::partial_store(simd, b_tail, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! check {
        ($t:ident) => {
            for n in [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100] {
                for offset in 0..3 {
                    for (with, nesterov) in [(false, false), (true, false), (true, true)] {
                        let array = |k: usize| -> Vec<$t> {
                            let number = |i| ((i * 37 + k * 11) % 101) as $t / 50.0 - 1.0;
                            (0..n + offset).map(number).collect()
                        };
                        let step = SgdStep::<$t> {
                            rate: 0.3,
                            decay: 0.01,
                            momentum: 0.9,
                            fresh: 0.7,
                            nesterov,
                        };
                        let g = array(1);
                        // The equations as they stand, one element after the other.
                        let (mut p, mut b) = (array(0), array(2));
                        for i in offset..p.len() {
                            let g = g[i] + step.decay * p[i];
                            if !with {
                                p[i] -= step.rate * g;
                                continue;
                            }
                            b[i] = step.momentum * b[i] + step.fresh * g;
                            let ahead = g + step.momentum * b[i];
                            p[i] -= step.rate * if nesterov { ahead } else { b[i] };
                        }
                        for isa in Isa::available() {
                            let (mut q, mut c) = (array(0), array(2));
                            let momentum = with.then_some(&mut c[offset..]);
                            sgd(isa, step, &mut q[offset..], &g[offset..], momentum);
                            assert_eq!((&q, &c), (&p, &b), "{isa} {n} {offset} {with} {nesterov}");
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
