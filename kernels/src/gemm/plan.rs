//! Which code computes a product: a pure function, derived from `benches/gemm.rs`.
//!
//! Measured on an AMD EPYC (Zen 4) with AVX-512, one thread, GFLOP/s of peaks 118 (f32) and 59
//! (f64), best of repetitions, C row-major:
//!
//! | m × n × k       | f32 `faer` | `matrixmultiply` | panel | f64 `faer` | `matrixmultiply` | panel |
//! |-----------------|-----|-----|----|------|------|------|
//! | 16 × 16 × 16    | 35  | 29  |    | 32   | 26   |      |
//! | 64 × 64 × 64    | 110 | 80  |    | 55   | 49   |      |
//! | 256 × 256 × 256 | 115 | 104 |    | 57   | 54   |      |
//! | 2048 × 10 × 512 | 61  | 18  |    | 34   | 19   |      |
//! | 10 × 512 × 512  | 97  | 45  |    | 39   | 17   |      |
//! | 512 × 784 × 20  | 98  | 100 |    | 48   | 53   |      |
//! | 512 × 512 × 10  | 77  | 79  |    | 37   | 43   |      |
//! | 512 × 1 × 784   | 35  | 3   | 23 | 15   | 3    | 16   |
//! | 512 × 2 × 784   | 14  | 6   | 36 | 14   | 7    | 25   |
//! | 512 × 4 × 784   | 24  | 9   | 44 | 27   | 12   | 38   |
//! | 512 × 8 × 784   | 55  | 22  | 47 | 55   | 26   | 41   |
//! | 32 × 4 × 32     | 22  | 7   | 9  | 22   | 10   | 6    |
//!
//! A register-tiled engine of our own (8 × 3 vectors over packed panels, the depth left whole) was
//! measured beside them on the larger of these shapes: 85 to 108 % of `faer` in both types, so there
//! is none.
//!
//! `faer` runs at the same rate for Cᵀ = BᵀAᵀ; `matrixmultiply` likes C column-major, which
//! [`gemm`](super::gemm) gives it.

use crate::Real;

/// What computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Three plain loops.
    Loop,
    /// The panel kernels, for few rows or columns.
    Panel,
    /// `matrixmultiply`.
    MatrixMultiply,
    /// `faer`, sequential.
    Faer,
}

/// Products with at most this many multiplications are plain loops: calling a library costs more.
const LOOP: usize = 16;
/// Rows or columns for which the panel kernels are best; a single one is as good with `faer`.
const PANEL: core::ops::RangeInclusive<usize> = 2..=4;
/// Elements of the larger factor above which they are.
const PANEL_ELEMENTS: usize = 32 * 1024;
/// Inner sizes for which `matrixmultiply` is best in `f64`, and the outer sizes that it takes.
const SHALLOW: core::ops::RangeInclusive<usize> = 8..=24;
const SHALLOW_OUTER: usize = 256;

/// The engine for an m × k matrix times a k × n matrix of `T`; `contiguous` says whether the larger
/// factor has a contiguous dimension.
#[must_use]
pub fn plan<T: Real>(m: usize, n: usize, k: usize, contiguous: bool) -> Engine {
    let (thin, long) = (m.min(n), m.max(n));
    if m.saturating_mul(n).saturating_mul(k) <= LOOP {
        Engine::Loop
    } else if contiguous && PANEL.contains(&thin) && long.saturating_mul(k) >= PANEL_ELEMENTS {
        Engine::Panel
    } else if size_of::<T>() == 8 && SHALLOW.contains(&k) && thin >= SHALLOW_OUTER {
        Engine::MatrixMultiply
    } else {
        Engine::Faer
    }
}
