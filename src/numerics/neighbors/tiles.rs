//! Neighbours by tiles of matrix products, certified.
//!
//! −2 ZZᵀ is computed tile by tile and consumed while it is in cache: each row, and in a search of
//! points among themselves each column too, keeps the points with the smallest lower bounds of d²
//! ([`super::bound`]), a few more than k. Their distances are computed by direct differences and
//! ordered by (d², index). A row is certified if its k-th distance is below the lower bound of every
//! point that was not kept; the others are searched for again, see [`super::knn`].

use std::sync::{Mutex, PoisonError};

use hesse_kernels::distance::squared_distances_at;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::smallest::{Entry, Lists, offer_columns, offer_rows};
use rayon::prelude::*;

use super::bound::{Frame, Points};
use super::problem::{Nearest, Problem};
use crate::numerics::parallel;
use crate::{Isa, Real};

/// Rows and columns of a tile: in `f64` 512 KiB, which stay in the second-level cache.
pub(super) const TILE: usize = 256;

/// A row's k nearest points, or none where they could not be certified.
pub(super) type Certified = Option<Vec<Entry<f64>>>;

/// Points kept for each row. Those beyond k pay for the error of the lower bounds.
pub(super) fn kept(k: usize) -> usize {
    k + (k / 4).max(12)
}

/// How many of those to keep are at most expected among the first `seen` of `n` points in random
/// order: three standard deviations above the mean, and a few. Where more of them come first a row is
/// searched for again.
pub(super) fn quota(k: usize, seen: usize, n: usize) -> usize {
    let mean = kept(k) as f64 * seen as f64 / n as f64;
    (mean + 3.0 * mean.sqrt() + 4.0).ceil() as usize
}

/// The lists of a block of rows.
struct Block<U> {
    /// Points offered so far.
    seen: usize,
    entries: Vec<Entry<U>>,
    counts: Vec<u32>,
    limits: Vec<U>,
}

impl<U: Real> Block<U> {
    fn new(rows: usize, k: usize) -> Self {
        Self {
            seen: 0,
            entries: vec![Entry::default(); rows * 2 * kept(k)],
            counts: vec![0; rows],
            limits: vec![U::INFINITY; rows],
        }
    }

    fn lists(&mut self, k: usize) -> Lists<'_, U> {
        Lists::new(&mut self.entries, &mut self.counts, &mut self.limits, kept(k))
    }

    /// The lists, to be offered `count` more of `n` points.
    fn offered(&mut self, k: usize, count: usize, n: usize) -> Lists<'_, U> {
        self.seen += count;
        let quota = quota(k, self.seen, n);
        self.lists(k).quota(quota)
    }
}

/// The nearest points of every point among the others, each tile for its rows and its columns.
/// n² d flops.
pub(super) fn among_themselves<T: Real, U: Real>(
    problem: &Problem<'_, T>,
    frame: &Frame,
    points: &Points<U>,
) -> Vec<Certified> {
    let isa = Isa::current();
    let shards = parallel::shards(points.len(), TILE);
    let blocks: Vec<Mutex<Block<U>>> =
        shards.iter().map(|rows| Mutex::new(Block::new(rows.len(), problem.k))).collect();
    // Which points a list holds at the end depends on the order of tiles, and so on threads; what a
    // certified row is made of does not, and neither does what the search for others gives. The tiles
    // of the diagonal come first of all: they bring the first limits.
    let tile = |buffer: &mut Vec<U>, (a, b): (usize, usize)| {
        let (rows, columns) = (shards[a].clone(), shards[b].clone());
        let tile = &mut buffer[..rows.len() * columns.len()];
        let z =
            |r: &std::ops::Range<usize>| &points.coordinates[r.start * points.d..r.end * points.d];
        product(isa, z(&rows), z(&columns), points.d, tile);
        if a == b {
            (0..rows.len()).for_each(|i| tile[i * rows.len() + i] = U::INFINITY);
        }
        let of = |block: usize| blocks[block].lock().unwrap_or_else(PoisonError::into_inner);
        let (row_shifts, column_shifts) =
            (&points.shifts[rows.clone()], &points.shifts[columns.clone()]);
        let (k, n) = (problem.k, points.len());
        let first = columns.start as u32;
        offer_rows(isa, &mut of(a).offered(k, columns.len(), n), tile, column_shifts, first);
        if a != b {
            let first = rows.start as u32;
            offer_columns(isa, &mut of(b).offered(k, rows.len(), n), tile, row_shifts, first);
        }
    };
    let pairs = pairs(shards.len());
    pairs.into_par_iter().for_each_init(|| vec![U::ZERO; TILE * TILE], tile);

    let ranked = parallel::map(shards.len(), |block| {
        let mut lists = blocks[block].lock().unwrap_or_else(PoisonError::into_inner);
        let mut lists = lists.lists(problem.k);
        let rows = shards[block].clone().enumerate();
        let mut scratch = Scratch::new(problem.k);
        rows.map(|(r, place)| {
            let i = points.rows[place] as usize;
            scratch.rank(problem, frame, i, points.norms[place], &points.rows, &mut lists, r)
        })
        .collect::<Vec<_>>()
    });
    let mut ranked: Vec<Certified> = ranked.into_iter().flatten().collect();
    points.places.iter().map(|&place| ranked[place as usize].take()).collect()
}

/// Every pair of blocks once, in an order in which consecutive pairs have no block in common.
pub(super) fn pairs(blocks: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::with_capacity(blocks * (blocks + 1) / 2);
    for step in 0..=blocks / 2 {
        let all = if 2 * step == blocks && step > 0 { blocks / 2 } else { blocks };
        pairs.extend((0..all).map(|a| (a, (a + step) % blocks)));
    }
    pairs
}

/// The nearest reference points of the queries with these indices, in the same order. 2 m n d flops
/// for m queries.
pub(super) fn of_queries<T: Real, U: Real>(
    problem: &Problem<'_, T>,
    frame: &Frame,
    queries: &Points<U>,
    reference: &Points<U>,
    rows: &[u32],
) -> Vec<Certified> {
    let (isa, d) = (Isa::current(), reference.d);
    let pieces: Vec<&[u32]> = rows.chunks(TILE).collect();
    let piece = |p: usize| {
        let rows = pieces[p];
        let place = |i: u32| queries.places[i as usize] as usize;
        let packed: Vec<U> =
            rows.iter().flat_map(|&i| queries.row(place(i)).iter().copied()).collect();
        let mut block = Block::new(rows.len(), problem.k);
        let mut tile = vec![U::ZERO; rows.len() * TILE];
        for columns in parallel::shards(reference.len(), TILE) {
            let tile = &mut tile[..rows.len() * columns.len()];
            let z = &reference.coordinates[columns.start * d..columns.end * d];
            product(isa, &packed, z, d, tile);
            for (row, &i) in tile.chunks_exact_mut(columns.len()).zip(rows) {
                let own = problem.excluded(i as usize).map(|own| reference.places[own as usize]);
                if let Some(own) = own.map(|own| own as usize)
                    && columns.contains(&own)
                {
                    row[own - columns.start] = U::INFINITY;
                }
            }
            let shifts = &reference.shifts[columns.clone()];
            let mut lists = block.offered(problem.k, columns.len(), reference.len());
            offer_rows(isa, &mut lists, tile, shifts, columns.start as u32);
        }
        let mut lists = block.lists(problem.k);
        let mut scratch = Scratch::new(problem.k);
        let rows = rows.iter().enumerate();
        rows.map(|(r, &i)| {
            let norm = queries.norms[place(i)];
            scratch.rank(problem, frame, i as usize, norm, &reference.rows, &mut lists, r)
        })
        .collect::<Vec<_>>()
    };
    parallel::map(pieces.len(), piece).into_iter().flatten().collect()
}

/// −2 A Bᵀ.
pub(super) fn product<U: Real>(isa: Isa, a: &[U], b: &[U], d: usize, tile: &mut [U]) {
    let (m, n) = (a.len() / d, b.len() / d);
    let a = MatrixRef::row_major(a, m, d);
    let b = MatrixRef::row_major(b, n, d).transposed();
    gemm(isa, U::from_f64(-2.0), a, b, U::ZERO, MatrixMut::row_major(tile, m, n));
}

/// Buffers of the ranking of one row.
struct Scratch {
    indices: Vec<u32>,
    squares: Vec<f64>,
}

impl Scratch {
    fn new(k: usize) -> Self {
        Self { indices: Vec::with_capacity(kept(k)), squares: vec![0.0; kept(k)] }
    }

    /// The k nearest of the points that the list of query i kept, if no other point can be nearer
    /// than the last of them.
    fn rank<T: Real, U: Real>(
        &mut self,
        problem: &Problem<'_, T>,
        frame: &Frame,
        i: usize,
        norm: f64,
        rows: &[u32],
        lists: &mut Lists<'_, U>,
        list: usize,
    ) -> Certified {
        let reference = problem.reference;
        // Below the direct square, in its units; the last term is for squares that underflow, in it
        // and in the two norms.
        let underflow = 4.0 * (reference.d + 1) as f64 * f64::from_bits(1);
        let lower = |value: U| (value.to_f64() + norm) * frame.square_of_one() - underflow;
        let (kept, limit) = lists.finish(list);
        self.indices.clear();
        self.indices.extend(kept.iter().map(|entry| rows[entry.index as usize]));
        let mut nearest = Nearest::new(problem.k);
        let mut done = 0;
        while done < kept.len() && lower(kept[done].value) <= nearest.limit() {
            // The first k at once, the others one by one as long as they can be nearer.
            let next = if done == 0 { problem.k.min(kept.len()) } else { done + 1 };
            let squares = &mut self.squares[done..next];
            let indices = &self.indices[done..next];
            let query = problem.queries.row(i);
            squared_distances_at(Isa::current(), query, &reference.data, indices, squares);
            indices.iter().zip(squares).for_each(|(&index, square)| nearest.offer(*square, index));
            done = next;
        }
        let complete = limit == U::INFINITY || nearest.limit() < lower(limit);
        (complete && nearest.entries.len() == problem.k).then_some(nearest.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_blocks_comes_once() {
        for blocks in 0..12 {
            let mut seen = vec![0; blocks * blocks];
            for (a, b) in pairs(blocks) {
                seen[a.min(b) * blocks + a.max(b)] += 1;
            }
            for a in 0..blocks {
                for b in 0..blocks {
                    assert_eq!(seen[a * blocks + b], usize::from(a <= b), "{blocks} {a} {b}");
                }
            }
        }
    }
}
