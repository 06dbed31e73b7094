//! Products of a tall or wide matrix with its own transpose, tile by tile, nothing stored twice.

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::centred::Centred;
use crate::numerics::parallel;
use crate::{Isa, Real};

/// Rows and columns of a tile.
const TILE: usize = 256;
/// Terms of one product in the storage type; partial products are added in `f64`.
const DEPTH: usize = 512;

/// Which of the two products with the transpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Y Yᵀ: samples × samples.
    Samples,
    /// Yᵀ Y: features × features.
    Features,
}

impl Side {
    /// The smaller one: both have the same eigenvalues, trace and Frobenius norm.
    pub fn smaller(n: usize, d: usize) -> Self {
        if n <= d { Side::Samples } else { Side::Features }
    }

    pub fn size<T>(self, y: &Centred<T>) -> usize {
        match self {
            Side::Samples => y.n,
            Side::Features => y.d,
        }
    }
}

/// Maps every tile (i ≤ j) of the product, given with the ranges of its rows and columns, row-major;
/// results in a fixed order. n d m flops for a product of m × m: each tile below the diagonal is
/// that above it.
pub(crate) fn map_tiles<T: Real, R: Send>(
    y: &Centred<T>,
    side: Side,
    f: impl Fn(std::ops::Range<usize>, std::ops::Range<usize>, &[f64]) -> R + Sync,
) -> Vec<R> {
    let shards = parallel::shards(side.size(y), TILE);
    let pairs: Vec<(usize, usize)> =
        (0..shards.len()).flat_map(|j| (0..=j).map(move |i| (i, j))).collect();
    parallel::map(pairs.len(), |p| {
        let (rows, columns) = (shards[pairs[p].0].clone(), shards[pairs[p].1].clone());
        let tile = tile(y, side, rows.clone(), columns.clone());
        f(rows, columns, &tile)
    })
}

fn tile<T: Real>(
    y: &Centred<T>,
    side: Side,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
) -> Vec<f64> {
    let isa = Isa::current();
    let (m, n, d) = (rows.len(), columns.len(), y.d);
    let mut sum = vec![0.0; m * n];
    let mut part = vec![T::ZERO; m * n];
    let terms = match side {
        Side::Samples => y.d,
        Side::Features => y.n,
    };
    for inner in parallel::shards(terms, DEPTH) {
        let depth = inner.len();
        let factor = |r: &std::ops::Range<usize>| match side {
            Side::Samples => {
                MatrixRef::new(&y.data[r.start * d + inner.start..], r.len(), depth, d, 1)
            }
            Side::Features => {
                MatrixRef::new(&y.data[inner.start * d + r.start..], r.len(), depth, 1, d)
            }
        };
        let (a, b) = (factor(&rows), factor(&columns).transposed());
        gemm(isa, T::ONE, a, b, T::ZERO, MatrixMut::row_major(&mut part, m, n));
        sum.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part.to_f64());
    }
    sum
}
