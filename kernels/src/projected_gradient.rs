//! The step of projected gradient methods over a box, fused into one pass.
//!
//! Elements are computed in `f64` and rounded once, so that a step never leaves the box, and the
//! sums are those of the rounded elements. An element that is NaN stays NaN: no bound hides it.

#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::{Isa, Real};

/// A bound for every element: the same, or each its own.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a, T> {
    /// The same for all; ±∞ for none.
    Uniform(T),
    /// One an element.
    Each(&'a [T]),
}

/// The box l ≤ x ≤ u, l ≤ u.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a, T> {
    /// l.
    pub lower: Bound<'a, T>,
    /// u.
    pub upper: Bound<'a, T>,
}

impl<T: Real> Bounds<'_, T> {
    /// x ≥ 0.
    #[must_use]
    pub fn nonnegative() -> Self {
        Bounds { lower: Bound::Uniform(T::ZERO), ..Bounds::free() }
    }

    /// No bounds.
    #[must_use]
    pub fn free() -> Self {
        Bounds { lower: Bound::Uniform(-T::INFINITY), upper: Bound::Uniform(T::INFINITY) }
    }
}

impl<'a, T: Copy> Bounds<'a, T> {
    /// The bounds of elements `range`.
    ///
    /// # Panics
    /// If the range is not inside.
    #[must_use]
    pub fn part(&self, range: core::ops::Range<usize>) -> Bounds<'a, T> {
        let part = |bound: Bound<'a, T>| match bound {
            Bound::Uniform(value) => Bound::Uniform(value),
            Bound::Each(values) => Bound::Each(&values[range.clone()]),
        };
        Bounds { lower: part(self.lower), upper: part(self.upper) }
    }

    /// (l, u) of element `i`.
    ///
    /// # Panics
    /// If there is no such element.
    #[must_use]
    pub fn at(&self, i: usize) -> (T, T) {
        let of = |bound: Bound<'a, T>| match bound {
            Bound::Uniform(value) => value,
            Bound::Each(values) => values[i],
        };
        (of(self.lower), of(self.upper))
    }

    fn check(&self, n: usize) {
        for bound in [self.lower, self.upper] {
            if let Bound::Each(values) = bound {
                assert_eq!(values.len(), n);
            }
        }
    }
}

/// What a step is judged by, summed in `f64`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepSums {
    /// ⟨g, x⁺ − x⟩, the decrease that Armijo's rule asks a part of.
    pub slope: f64,
    /// ‖x⁺ − x‖².
    pub moved: f64,
    /// ⟨g, x⁺ − previous⟩: positive where momentum should restart.
    pub progress: f64,
    /// ‖x⁺ − previous‖².
    pub advance: f64,
    /// max |clamp(g, x − u, x − l)|, the KKT residual at x: max |min(x, g)| for x ≥ 0. NaN where an
    /// element is.
    pub kkt: f64,
}

impl StepSums {
    /// Sums over the elements of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let larger = other.kkt > self.kkt || other.kkt.is_nan();
        Self {
            slope: self.slope + other.slope,
            moved: self.moved + other.moved,
            progress: self.progress + other.progress,
            advance: self.advance + other.advance,
            kkt: if larger { other.kkt } else { self.kkt },
        }
    }
}

/// x⁺ ← clamp(x − ηg, l, u), with the sums that line searches, momentum and stopping need.
///
/// About 16 flops an element; reads x, g and previous (and bounds of their own), writes x⁺:
/// bandwidth-bound.
///
/// # Panics
/// Unless all are equally long.
pub fn step<T: Real>(
    isa: Isa,
    eta: f64,
    x: &[T],
    gradient: &[T],
    bounds: Bounds<'_, T>,
    previous: &[T],
    out: &mut [T],
) -> StepSums {
    let n = x.len();
    assert!(gradient.len() == n && previous.len() == n && out.len() == n);
    bounds.check(n);
    dispatch!(isa, Step<'a, T> = Step { eta, x, gradient, bounds, previous, out })
}

/// max |clamp(g, x − u, x − l)| for x in the box: 0 exactly where no feasible direction descends.
/// NaN where an element is.
///
/// # Panics
/// Unless all are equally long.
#[must_use]
pub fn kkt_residual<T: Real>(isa: Isa, x: &[T], gradient: &[T], bounds: Bounds<'_, T>) -> f64 {
    assert_eq!(gradient.len(), x.len());
    bounds.check(x.len());
    dispatch!(isa, Kkt<'a, T> = Kkt { x, gradient, bounds })
}

/// out ← new + weight · (new − old), computed in `f64`.
///
/// # Panics
/// Unless all are equally long.
pub fn extrapolate<T: Real>(isa: Isa, weight: f64, new: &[T], old: &[T], out: &mut [T]) {
    assert!(new.len() == old.len() && out.len() == old.len());
    dispatch!(isa, Extrapolate<'a, T> = Extrapolate { weight, new, old, out });
}

/// The whole vectors of a slice, or a constant.
enum Source<'a, T: Real, S: Simd> {
    Splat(T::Vector<S>),
    Slice(&'a [T::Vector<S>]),
}

impl<'a, T: Real, S: Simd> Source<'a, T, S> {
    #[inline(always)]
    fn new(simd: S, bound: Bound<'a, T>) -> Self {
        match bound {
            Bound::Uniform(value) => Source::Splat(T::splat(simd, value)),
            Bound::Each(values) => Source::Slice(T::as_simd::<S>(values).0),
        }
    }

    #[inline(always)]
    fn at(&self, simd: S, i: usize) -> [S::f64s; 2] {
        match self {
            Source::Splat(value) => T::widen(simd, *value),
            Source::Slice(vectors) => T::widen(simd, vectors[i]),
        }
    }
}

#[inline(always)]
fn clamp<S: Simd>(simd: S, x: S::f64s, low: S::f64s, high: S::f64s) -> S::f64s {
    let x = simd.select_f64s(simd.less_than_f64s(x, low), low, x);
    simd.select_f64s(simd.less_than_f64s(high, x), high, x)
}

/// The largest magnitude, and NaN that was met.
#[derive(Clone, Copy)]
struct Largest<S: Simd> {
    magnitude: S::f64s,
    nan: S::f64s,
}

impl<S: Simd> Largest<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        Self { magnitude: simd.splat_f64s(0.0), nan: simd.splat_f64s(0.0) }
    }

    #[inline(always)]
    fn keep(&mut self, simd: S, x: S::f64s) {
        let a = simd.abs_f64s(x);
        self.magnitude =
            simd.select_f64s(simd.less_than_f64s(self.magnitude, a), a, self.magnitude);
        self.nan = simd.select_f64s(simd.equal_f64s(x, x), self.nan, x);
    }

    #[inline(always)]
    fn finish(self) -> f64 {
        let mut largest = 0.0;
        for x in [self.magnitude, self.nan] {
            for &x in pulp::bytemuck::cast_slice::<S::f64s, f64>(&[x]) {
                if x > largest || x.is_nan() {
                    largest = x;
                }
            }
        }
        largest
    }
}

struct Step<'a, T> {
    eta: f64,
    x: &'a [T],
    gradient: &'a [T],
    bounds: Bounds<'a, T>,
    previous: &'a [T],
    out: &'a mut [T],
}

/// [`clamp`] of one element.
#[inline(always)]
fn clamp_one(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if high < x { high } else { x }
}

/// [`residual`] of one element.
#[inline(always)]
fn residual_one(x: f64, g: f64, low: f64, high: f64) -> f64 {
    if x.is_nan() { x } else { clamp_one(g, x - high, x - low).abs() }
}

/// The larger one, or NaN.
#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

impl<T: Real> WithSimd for Step<'_, T> {
    type Output = StepSums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> StepSums {
        let Self { eta, x, gradient, bounds, previous, out } = self;
        let lower = Source::<T, S>::new(simd, bounds.lower);
        let upper = Source::<T, S>::new(simd, bounds.upper);
        let each = [x, gradient, previous].map(|x| Source::<T, S>::new(simd, Bound::Each(x)));
        let (vectors, tail) = T::as_mut_simd::<S>(out);
        let step = simd.splat_f64s(eta);
        let mut sums = [[simd.splat_f64s(0.0); 2]; 4];
        let mut largest = Largest::new(simd);
        for (i, out) in vectors.iter_mut().enumerate() {
            let (x, g, p) = (each[0].at(simd, i), each[1].at(simd, i), each[2].at(simd, i));
            let (low, high) = (lower.at(simd, i), upper.at(simd, i));
            let mut new = x;
            for h in 0..T::wide::<S>() {
                let moved = simd.sub_f64s(x[h], simd.mul_f64s(step, g[h]));
                new[h] = clamp(simd, moved, low[h], high[h]);
            }
            *out = T::narrow(simd, new);
            let new = T::widen(simd, *out);
            for h in 0..T::wide::<S>() {
                let moved = simd.sub_f64s(new[h], x[h]);
                let advanced = simd.sub_f64s(new[h], p[h]);
                sums[0][h] = simd.mul_add_e_f64s(g[h], moved, sums[0][h]);
                sums[1][h] = simd.mul_add_e_f64s(moved, moved, sums[1][h]);
                sums[2][h] = simd.mul_add_e_f64s(g[h], advanced, sums[2][h]);
                sums[3][h] = simd.mul_add_e_f64s(advanced, advanced, sums[3][h]);
                largest.keep(simd, residual(simd, x[h], g[h], low[h], high[h]));
            }
        }
        let [slope, moved, progress, advance] =
            sums.map(|[a, b]| simd.reduce_sum_f64s(simd.add_f64s(a, b)));
        let mut sums = StepSums { slope, moved, progress, advance, kkt: largest.finish() };
        let first = x.len() - tail.len();
        for (i, out) in (first..).zip(tail) {
            let [x, g, p] = [x[i], gradient[i], previous[i]].map(Real::to_f64);
            let (low, high) = bounds.at(i);
            let (low, high) = (low.to_f64(), high.to_f64());
            *out = T::from_f64(clamp_one(x - eta * g, low, high));
            let new = out.to_f64();
            sums.slope += g * (new - x);
            sums.moved += (new - x) * (new - x);
            sums.progress += g * (new - p);
            sums.advance += (new - p) * (new - p);
            sums.kkt = larger(sums.kkt, residual_one(x, g, low, high));
        }
        sums
    }
}

/// clamp(g, x − u, x − l), with NaN of x kept.
#[inline(always)]
fn residual<S: Simd>(simd: S, x: S::f64s, g: S::f64s, low: S::f64s, high: S::f64s) -> S::f64s {
    let clamped = clamp(simd, g, simd.sub_f64s(x, high), simd.sub_f64s(x, low));
    simd.select_f64s(simd.equal_f64s(x, x), clamped, x)
}

struct Kkt<'a, T> {
    x: &'a [T],
    gradient: &'a [T],
    bounds: Bounds<'a, T>,
}

impl<T: Real> WithSimd for Kkt<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { x, gradient, bounds } = self;
        let lower = Source::<T, S>::new(simd, bounds.lower);
        let upper = Source::<T, S>::new(simd, bounds.upper);
        let each = [x, gradient].map(|x| Source::<T, S>::new(simd, Bound::Each(x)));
        let mut largest = Largest::new(simd);
        let vectors = T::as_simd::<S>(x).0.len();
        for i in 0..vectors {
            let (x, g) = (each[0].at(simd, i), each[1].at(simd, i));
            let (low, high) = (lower.at(simd, i), upper.at(simd, i));
            for h in 0..T::wide::<S>() {
                largest.keep(simd, residual(simd, x[h], g[h], low[h], high[h]));
            }
        }
        let mut largest = largest.finish();
        for i in vectors * T::lanes::<S>()..x.len() {
            let (low, high) = bounds.at(i);
            let [x, g, low, high] = [x[i], gradient[i], low, high].map(Real::to_f64);
            largest = larger(largest, residual_one(x, g, low, high));
        }
        largest
    }
}

struct Extrapolate<'a, T> {
    weight: f64,
    new: &'a [T],
    old: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Extrapolate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let weight = simd.splat_f64s(self.weight);
        let [new, old] = [self.new, self.old].map(|x| Source::<T, S>::new(simd, Bound::Each(x)));
        let (vectors, tail) = T::as_mut_simd::<S>(self.out);
        for (i, out) in vectors.iter_mut().enumerate() {
            let (new, old): ([S::f64s; 2], [S::f64s; 2]) = (new.at(simd, i), old.at(simd, i));
            let mut sum = new;
            for h in 0..T::wide::<S>() {
                let advance = simd.sub_f64s(new[h], old[h]);
                sum[h] = simd.add_f64s(new[h], simd.mul_f64s(weight, advance));
            }
            *out = T::narrow(simd, sum);
        }
        let first = self.new.len() - tail.len();
        for (i, out) in (first..).zip(tail) {
            let (new, old) = (self.new[i].to_f64(), self.old[i].to_f64());
            *out = T::from_f64(new + self.weight * (new - old));
        }
    }
}
