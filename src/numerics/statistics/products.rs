//! Products of a tall or wide matrix with its own transpose, tile by tile, nothing stored twice.

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::level1::add_widened;

use super::centred::Centred;
use crate::numerics::parallel;
use crate::{Isa, Real};

/// Rows and columns of a tile: products of smaller ones are spent on reading their factors.
const TILE: usize = 512;
/// Rows of a tile on the diagonal that are computed at once, from the diagonal on.
const BAND: usize = 128;
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
    let (n, d) = (columns.len(), y.d);
    let terms = match side {
        Side::Samples => y.d,
        Side::Features => y.n,
    };
    // What lies below the diagonal is copied from above it.
    let bands = if rows == columns {
        parallel::shards(n, BAND).into_iter().map(|band| (band.clone(), band.start)).collect()
    } else {
        vec![(0..rows.len(), 0)]
    };
    let mut sum = vec![0.0; rows.len() * n];
    let mut part = vec![T::ZERO; rows.len() * n];
    for inner in parallel::shards(terms, DEPTH) {
        let depth = inner.len();
        let factor = |first: usize, length: usize| match side {
            Side::Samples => {
                MatrixRef::new(&y.data[first * d + inner.start..], length, depth, d, 1)
            }
            Side::Features => {
                MatrixRef::new(&y.data[inner.start * d + first..], length, depth, 1, d)
            }
        };
        for (band, from) in &bands {
            let (height, width) = (band.len(), n - from);
            let a = factor(rows.start + band.start, height);
            let b = factor(columns.start + from, width).transposed();
            let part = &mut part[..height * width];
            gemm(isa, T::ONE, a, b, T::ZERO, MatrixMut::row_major(part, height, width));
            let lines = sum[band.start * n..band.end * n].chunks_exact_mut(n);
            for (sum, part) in lines.zip(part.chunks_exact(width)) {
                add_widened(isa, part, &mut sum[*from..]);
            }
        }
    }
    if rows == columns {
        for i in 0..n {
            for j in 0..i {
                sum[i * n + j] = sum[j * n + i];
            }
        }
    }
    sum
}
