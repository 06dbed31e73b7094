//! The neighbours of one point, seen from it.

use std::ops::Range;

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::cloud::{PointCloud, Points};
use super::table::{check, refuse_zeros};
use crate::numerics::parallel;
use crate::{Isa, Result};

/// Points of one task.
const SHARD: usize = 32;

/// The first k neighbours of a point, k × d: xⱼ − xᵢ in a unit, a power of two, in which T_k is
/// between 1/2 and 1, so that nothing overflows or vanishes.
pub(super) struct Neighbourhood<'a> {
    points: &'a Points,
    cloud: &'a PointCloud,
    pub k: usize,
    pub d: usize,
    /// k × d.
    pub rows: Vec<f64>,
    /// k × k, of the rows.
    pub gram: Vec<f64>,
    /// T_1 to T_k in the unit.
    pub distances: Vec<f64>,
    /// The unit is 2 to this power.
    pub exponent: i32,
}

impl Neighbourhood<'_> {
    /// Moves to point i.
    fn load(&mut self, i: usize) {
        let distances = &self.cloud.table().distances(i)[..self.k];
        self.exponent = libm::frexp(distances[self.k - 1]).1;
        // In two factors: a unit of 2⁻¹⁰⁷⁰ has no inverse.
        let half = -self.exponent / 2;
        let factors = (power(half), power(-self.exponent - half));
        let scale = |x: f64| x * factors.0 * factors.1;
        self.distances.iter_mut().zip(distances).for_each(|(to, t)| *to = scale(*t));
        let centre = self.points.row(i);
        let neighbours = &self.cloud.table().indices(i)[..self.k];
        for (row, &j) in self.rows.chunks_exact_mut(self.d).zip(neighbours) {
            let from = self.points.row(j as usize);
            for ((to, x), c) in row.iter_mut().zip(from).zip(centre) {
                *to = (x - c) * factors.0 * factors.1;
            }
        }
    }

    /// Subtracts their mean from the rows.
    pub fn centre(&mut self) {
        let mut mean = vec![0.0; self.d];
        for row in self.rows.chunks_exact(self.d) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += x);
        }
        mean.iter_mut().for_each(|m| *m /= self.k as f64);
        for row in self.rows.chunks_exact_mut(self.d) {
            row.iter_mut().zip(&mean).for_each(|(x, m)| *x -= m);
        }
    }

    /// Fills the Gram matrix of the rows. 2 k² d flops.
    pub fn multiply(&mut self) {
        let (k, d) = (self.k, self.d);
        let rows = MatrixRef::row_major(&self.rows, k, d);
        let gram = MatrixMut::row_major(&mut self.gram, k, k);
        gemm(Isa::current(), 1.0, rows, rows.transposed(), 0.0, gram);
    }
}

fn power(e: i32) -> f64 {
    libm::ldexp(1.0, e)
}

/// `f` at every point, in parallel, on neighbourhoods of k points.
///
/// # Errors
/// A cloud without coordinates, of queries or with fewer neighbours, copies at distance T_k; the
/// first error of `f`.
pub(super) fn map_neighbourhoods<R: Send>(
    cloud: &PointCloud,
    estimator: &str,
    k: usize,
    f: impl Fn(&mut Neighbourhood<'_>) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    check(cloud.table(), k)?;
    let points = cloud.points(estimator)?;
    refuse_zeros(cloud.table(), k)?;
    let shards = parallel::shards(points.n, SHARD);
    let piece = |range: &Range<usize>| -> Result<Vec<R>> {
        let d = points.d;
        let mut at = Neighbourhood {
            points,
            cloud,
            k,
            d,
            rows: vec![0.0; k * d],
            gram: vec![0.0; k * k],
            distances: vec![0.0; k],
            exponent: 0,
        };
        range
            .clone()
            .map(|i| {
                at.load(i);
                f(&mut at)
            })
            .collect()
    };
    let pieces = parallel::map(shards.len(), |s| piece(&shards[s]));
    let mut all = Vec::with_capacity(points.n);
    for piece in pieces {
        all.extend(piece?);
    }
    Ok(all)
}
