//! A row of a matrix as vectors, the last one filled up with zeros.

use pulp::Simd;

use crate::Real;
use crate::elementary::Lane;

/// The first vector of `x`, filled up with zeros where `x` is shorter. A whole vector is one load.
#[inline(always)]
pub(crate) fn first_vector<T: Real, S: Simd>(simd: S, x: &[T]) -> T::Vector<S> {
    match T::as_simd::<S>(x).0.first() {
        Some(vector) => *vector,
        None => T::partial_load(simd, x),
    }
}

/// A row to read.
pub(crate) struct Row<'a, T: Real, S: Simd> {
    simd: S,
    body: &'a [T::Vector<S>],
    tail: &'a [T],
}

impl<'a, T: Real, S: Simd> Row<'a, T, S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, x: &'a [T]) -> Self {
        let (body, tail) = T::as_simd::<S>(x);
        Self { simd, body, tail }
    }

    /// Number of vectors, counting the one that is not full.
    #[inline(always)]
    pub(crate) fn vectors(&self) -> usize {
        self.body.len() + usize::from(!self.tail.is_empty())
    }

    /// Vector `i`; lanes behind the end are 0.
    #[inline(always)]
    pub(crate) fn at(&self, i: usize) -> Lane<T, S> {
        let vector = match self.body.get(i) {
            Some(vector) => *vector,
            None => T::partial_load(self.simd, self.tail),
        };
        Lane::new(self.simd, vector)
    }
}

/// A row to read and write.
pub(crate) struct RowMut<'a, T: Real, S: Simd> {
    simd: S,
    body: &'a mut [T::Vector<S>],
    tail: &'a mut [T],
}

impl<'a, T: Real, S: Simd> RowMut<'a, T, S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, x: &'a mut [T]) -> Self {
        let (body, tail) = T::as_mut_simd::<S>(x);
        Self { simd, body, tail }
    }

    /// As [`Row::at`].
    #[inline(always)]
    pub(crate) fn at(&self, i: usize) -> Lane<T, S> {
        let vector = match self.body.get(i) {
            Some(vector) => *vector,
            None => T::partial_load(self.simd, self.tail),
        };
        Lane::new(self.simd, vector)
    }

    /// Writes vector `i`, without the lanes behind the end.
    #[inline(always)]
    pub(crate) fn set(&mut self, i: usize, x: Lane<T, S>) {
        match self.body.get_mut(i) {
            Some(vector) => *vector = x.get(),
            None => T::partial_store(self.simd, self.tail, x.get()),
        }
    }
}

/// A sum over lanes in `f64`.
pub(crate) struct WideSum<S: Simd> {
    simd: S,
    parts: [S::f64s; 2],
}

impl<S: Simd> WideSum<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S) -> Self {
        Self { simd, parts: [simd.splat_f64s(0.0); 2] }
    }

    #[inline(always)]
    pub(crate) fn add<T: Real>(&mut self, x: Lane<T, S>) {
        let wide = T::widen(self.simd, x.get());
        for i in 0..T::wide::<S>() {
            self.parts[i] = self.simd.add_f64s(self.parts[i], wide[i]);
        }
    }

    #[inline(always)]
    pub(crate) fn total(self) -> f64 {
        self.simd.reduce_sum_f64s(self.simd.add_f64s(self.parts[0], self.parts[1]))
    }
}
