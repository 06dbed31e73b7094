//! y ← αx + βy and its special cases.

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::{Isa, Real};

/// y ← y + αx, each element computed in `f64` and rounded to `T` once (twice on `f64` where the
/// instruction set does not fuse). 2n flops; x read, y read and written.
pub fn axpy<T: Real>(isa: Isa, alpha: f64, x: &[T], y: &mut [T]) {
    assert_eq!(x.len(), y.len());
    dispatch!(isa, Update<'a, T, Axpy> = Update { x, y, op: Axpy(alpha) });
}

/// y ← αx + βy, computed in `f64` and rounded to `T` once at the end. With β = 0, y is not read: a
/// NaN in it does not survive. 3n flops.
pub fn axpby<T: Real>(isa: Isa, alpha: f64, x: &[T], beta: f64, y: &mut [T]) {
    assert_eq!(x.len(), y.len());
    if beta == 0.0 {
        dispatch!(isa, Update<'a, T, Scale> = Update { x, y, op: Scale(alpha) });
    } else {
        dispatch!(isa, Update<'a, T, Axpby> = Update { x, y, op: Axpby(alpha, beta) });
    }
}

/// x ← αx, computed in `f64` and rounded to `T` once. NaN and infinities times 0 are NaN. n flops.
pub fn scal<T: Real>(isa: Isa, alpha: f64, x: &mut [T]) {
    dispatch!(isa, InPlace<'a, T> = InPlace { x, alpha });
}

/// y ← y + x in `f64`: partial sums of a storage type that meet in a wider one. n flops.
pub fn add_widened<T: Real>(isa: Isa, x: &[T], y: &mut [f64]) {
    assert_eq!(x.len(), y.len());
    dispatch!(isa, Widened<'a, T> = Widened { x, y });
}

/// The new y from x and the old y, `f64` lane by lane.
trait Op: Copy {
    fn apply<S: Simd>(self, simd: S, x: S::f64s, y: S::f64s) -> S::f64s;
}

#[derive(Clone, Copy)]
struct Axpy(f64);
impl Op for Axpy {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::f64s, y: S::f64s) -> S::f64s {
        simd.mul_add_e_f64s(simd.splat_f64s(self.0), x, y)
    }
}

#[derive(Clone, Copy)]
struct Axpby(f64, f64);
impl Op for Axpby {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::f64s, y: S::f64s) -> S::f64s {
        let y = simd.mul_f64s(simd.splat_f64s(self.1), y);
        simd.mul_add_e_f64s(simd.splat_f64s(self.0), x, y)
    }
}

#[derive(Clone, Copy)]
struct Scale(f64);
impl Op for Scale {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, x: S::f64s, _: S::f64s) -> S::f64s {
        simd.mul_f64s(simd.splat_f64s(self.0), x)
    }
}

#[inline(always)]
fn apply<T: Real, S: Simd>(simd: S, op: impl Op, x: T::Vector<S>, y: T::Vector<S>) -> T::Vector<S> {
    let (x, y) = (T::widen(simd, x), T::widen(simd, y));
    let low = op.apply(simd, x[0], y[0]);
    let high = if T::wide::<S>() == 2 { op.apply(simd, x[1], y[1]) } else { low };
    T::narrow(simd, [low, high])
}

struct Update<'a, T, F> {
    x: &'a [T],
    y: &'a mut [T],
    op: F,
}

impl<T: Real, F: Op> WithSimd for Update<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (x, x_tail) = T::as_simd::<S>(self.x);
        let (y, y_tail) = T::as_mut_simd::<S>(self.y);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = apply::<T, S>(simd, self.op, x, *y);
        }
        if !y_tail.is_empty() {
            let (x, y) = (T::partial_load(simd, x_tail), T::partial_load(simd, y_tail));
            T::partial_store(simd, y_tail, apply::<T, S>(simd, self.op, x, y));
        }
    }
}

struct InPlace<'a, T> {
    x: &'a mut [T],
    alpha: f64,
}

impl<T: Real> WithSimd for InPlace<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let op = Scale(self.alpha);
        let (x, tail) = T::as_mut_simd::<S>(self.x);
        for x in x {
            *x = apply::<T, S>(simd, op, *x, *x);
        }
        if !tail.is_empty() {
            let x = T::partial_load(simd, tail);
            T::partial_store(simd, tail, apply::<T, S>(simd, op, x, x));
        }
    }
}

struct Widened<'a, T> {
    x: &'a [T],
    y: &'a mut [f64],
}

impl<T: Real> WithSimd for Widened<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (x, x_tail) = T::as_simd::<S>(self.x);
        let (y, y_tail) = self.y.split_at_mut(self.x.len() - x_tail.len());
        let wide = T::wide::<S>();
        let (y, _) = S::as_mut_simd_f64s(y);
        for (y, &x) in y.chunks_exact_mut(wide).zip(x) {
            let x = T::widen(simd, x);
            for h in 0..wide {
                y[h] = simd.add_f64s(y[h], x[h]);
            }
        }
        y_tail.iter_mut().zip(x_tail).for_each(|(y, x)| *y += x.to_f64());
    }
}
