//! Where queries, keys and values of a head lie, and the products between them.

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use crate::{Isa, Real};

/// Rows of one kind in the features of a sample: row i starts at first + i·stride.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pieces {
    pub(super) first: usize,
    pub(super) stride: usize,
    pub(super) rows: usize,
}

/// The places of all heads; `head` is the width d of one.
#[derive(Clone, Debug)]
pub(super) struct Heads {
    pub(super) heads: usize,
    pub(super) head: usize,
    pub(super) query: Pieces,
    pub(super) key: Pieces,
    pub(super) value: Pieces,
}

impl Heads {
    fn of<'a, T: Real>(&self, pieces: Pieces, h: usize, x: &'a [T]) -> MatrixRef<'a, T> {
        let x = &x[pieces.first + h * self.head..];
        MatrixRef::new(x, pieces.rows, self.head, pieces.stride, 1)
    }

    fn of_mut<'a, T: Real>(&self, pieces: Pieces, h: usize, x: &'a mut [T]) -> MatrixMut<'a, T> {
        let x = &mut x[pieces.first + h * self.head..];
        MatrixMut::new(x, pieces.rows, self.head, pieces.stride, 1)
    }

    /// Rows of the outputs.
    fn outputs(&self) -> Pieces {
        Pieces { first: 0, stride: self.heads * self.head, rows: self.query.rows }
    }

    fn scores<'a, T: Real>(&self, scores: &'a [T]) -> MatrixRef<'a, T> {
        MatrixRef::row_major(scores, self.query.rows, self.key.rows)
    }

    fn scores_mut<'a, T: Real>(&self, scores: &'a mut [T]) -> MatrixMut<'a, T> {
        MatrixMut::row_major(scores, self.query.rows, self.key.rows)
    }

    /// α = 1/√d.
    fn factor<T: Real>(&self) -> T {
        T::from_f64(1.0 / (self.head as f64).sqrt())
    }

    /// S ← β S + α Q Kᵀ, queries of `q` and keys of `k`.
    pub(super) fn add_scores<T: Real>(&self, q: &[T], k: &[T], h: usize, beta: T, s: &mut [T]) {
        let (q, k) = (self.of(self.query, h, q), self.of(self.key, h, k));
        gemm(Isa::current(), self.factor(), q, k.transposed(), beta, self.scores_mut(s));
    }

    /// O ← β O + A V.
    pub(super) fn add_values<T: Real>(&self, a: &[T], v: &[T], h: usize, beta: T, out: &mut [T]) {
        let (a, v) = (self.scores(a), self.of(self.value, h, v));
        gemm(Isa::current(), T::ONE, a, v, beta, self.of_mut(self.outputs(), h, out));
    }

    /// Ā ← β Ā + Ō Vᵀ.
    pub(super) fn add_probability_errors<T: Real>(
        &self,
        error: &[T],
        v: &[T],
        h: usize,
        beta: T,
        a: &mut [T],
    ) {
        let (error, v) = (self.of(self.outputs(), h, error), self.of(self.value, h, v));
        gemm(Isa::current(), T::ONE, error, v.transposed(), beta, self.scores_mut(a));
    }

    /// V̄ ← β V̄ + Aᵀ Ō.
    pub(super) fn pull_values<T: Real>(
        &self,
        a: &[T],
        error: &[T],
        h: usize,
        beta: T,
        input_error: &mut [T],
    ) {
        let (a, error) = (self.scores(a).transposed(), self.of(self.outputs(), h, error));
        gemm(Isa::current(), T::ONE, a, error, beta, self.of_mut(self.value, h, input_error));
    }

    /// Q̄ ← β Q̄ + α S̄ K and K̄ ← β K̄ + α S̄ᵀ Q.
    pub(super) fn pull_scores<T: Real>(
        &self,
        s: &[T],
        x: &[T],
        h: usize,
        beta: T,
        input_error: &mut [T],
    ) {
        let isa = Isa::current();
        let (s, k, q) = (self.scores(s), self.of(self.key, h, x), self.of(self.query, h, x));
        gemm(isa, self.factor(), s, k, beta, self.of_mut(self.query, h, input_error));
        gemm(isa, self.factor(), s.transposed(), q, beta, self.of_mut(self.key, h, input_error));
    }
}
