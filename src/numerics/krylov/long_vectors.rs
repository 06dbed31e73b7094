//! Vectors in pieces of fixed size: the same bits for any number of threads.

use hesse_kernels::level1;

use crate::{Isa, Real, parallel};

/// Elements of one task.
pub(super) const PIECE: usize = 1 << 13;

fn piece<T>(x: &[T], i: usize) -> &[T] {
    &x[i * PIECE..x.len().min((i + 1) * PIECE)]
}

/// x·y.
pub(super) fn dot<T: Real>(isa: Isa, x: &[T], y: &[T]) -> f64 {
    parallel::sum(x.len().div_ceil(PIECE), |i| level1::dot(isa, piece(x, i), piece(y, i)))
}

/// ‖x‖ for a vector whose squares neither overflow nor underflow.
pub(super) fn norm<T: Real>(isa: Isa, x: &[T]) -> f64 {
    dot(isa, x, x).sqrt()
}

/// max |xᵢ| of finite numbers.
pub(super) fn largest<T: Real>(isa: Isa, x: &[T]) -> f64 {
    parallel::map(x.len().div_ceil(PIECE), |i| level1::max_abs(isa, piece(x, i)))
        .into_iter()
        .fold(0.0, f64::max)
}

/// Whether there is no NaN or infinity.
pub(super) fn all_finite<T: Real>(isa: Isa, x: &[T]) -> bool {
    parallel::map(x.len().div_ceil(PIECE), |i| level1::all_finite(isa, piece(x, i)))
        .into_iter()
        .all(|finite| finite)
}

/// y ← y + a x.
pub(super) fn axpy<T: Real>(isa: Isa, a: f64, x: &[T], y: &mut [T]) {
    parallel::for_each_piece(y, PIECE, |i, y| level1::axpy(isa, a, piece(x, i), y));
}

/// y ← a x + b y.
pub(super) fn axpby<T: Real>(isa: Isa, a: f64, x: &[T], b: f64, y: &mut [T]) {
    parallel::for_each_piece(y, PIECE, |i, y| level1::axpby(isa, a, piece(x, i), b, y));
}

/// x ← a x.
pub(super) fn scale<T: Real>(isa: Isa, a: f64, x: &mut [T]) {
    parallel::for_each_piece(x, PIECE, |_, x| level1::scal(isa, a, x));
}
