//! Inner products of the rows of blocks, summed over blocks: G ← G + W Wᵀ, and what is taken away from
//! the rows before.
//!
//! A block holds `width` numbers of each row, a multiple of [`WIDTH`], filled up with zeros; rows are
//! filled up to [`padded`] with rows of zeros. Each element of G is kept as eight partial sums, so
//! that nothing is added up across lanes before [`Sums::element`], and only tiles on and below
//! the diagonal are computed.
//!
//! n²width flops, half of a full product; bound by arithmetic. For some hundreds of rows: W and the
//! partial sums, 32 n² bytes, should stay in the second-level cache. Larger products are better left
//! to [`gemm`](crate::gemm), see `benches/similarity.rs`.

mod centre;
mod rows;
#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd, bytemuck};

pub use centre::{Centred, Differences, centre, differences};
pub use rows::{Shift, shifted_rows, shifted_sum};

use crate::prefetch::prefetch;
use crate::{Isa, Real};

/// Rows and columns of a tile.
const TILE: usize = 4;
/// Partial sums of each element.
const LANES: usize = 8;
/// The width of a block is a multiple of this.
pub const WIDTH: usize = 16;

/// n rounded up to whole tiles.
#[must_use]
pub fn padded(n: usize) -> usize {
    n.div_ceil(TILE) * TILE
}

/// Place of number `u` of row `i` in a block of `width` numbers a row: rows in groups of four, of which
/// eight numbers lie one after the other.
#[must_use]
pub fn place(width: usize, i: usize, u: usize) -> usize {
    i / TILE * TILE * width + (u / LANES * TILE + i % TILE) * LANES + u % LANES
}

/// Place of tile (I, J), J ≤ I.
fn tile(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

/// Partial sums of the lower triangle of G.
#[derive(Clone, Debug)]
pub struct Sums<B> {
    n: usize,
    partial: B,
}

impl Sums<()> {
    /// Numbers that the partial sums of n rows take.
    #[must_use]
    pub fn length(n: usize) -> usize {
        let tiles = n.div_ceil(TILE);
        tiles * (tiles + 1) / 2 * TILE * TILE * LANES
    }
}

impl<B: AsRef<[f64]> + AsMut<[f64]>> Sums<B> {
    /// Partial sums in memory that the caller owns, which holds zeros at first.
    ///
    /// # Panics
    /// Unless `partial` has the [`length`](Sums::length) of n rows.
    pub fn new(n: usize, partial: B) -> Self {
        assert_eq!(partial.as_ref().len(), Sums::length(n), "partial sums");
        Self { n, partial }
    }

    /// G ← G + W Wᵀ for a block W of rows of `width` numbers at their [`place`]s. The rows `ahead`
    /// are fetched meanwhile.
    ///
    /// Error: |Ĝ − G| ≤ γ |W||W|ᵀ element by element, γ = (k/4 + 8) u to first order for k columns in all.
    ///
    /// # Panics
    /// Unless W has [`padded`] rows of a multiple of [`WIDTH`] numbers.
    pub fn add_block<T: Real>(&mut self, isa: Isa, w: &[f64], width: usize, ahead: Ahead<'_, T>) {
        assert!(width.is_multiple_of(WIDTH), "width of a block: {width}");
        assert_eq!(w.len(), padded(self.n) * width, "a block of padded rows");
        let row = |i: usize| ahead.0.get(i).map(|row| bytemuck::cast_slice::<T, u8>(row));
        let ahead = Lines { row: &row, next: 0, rest: &[] };
        let lines = ahead.all();
        isa.dispatch(Products { w, width, sums: self.partial.as_mut(), ahead, lines });
    }

    /// Element (i, j) of G, j ≤ i < n.
    ///
    /// # Panics
    /// If the element is not there.
    #[must_use]
    pub fn element(&self, i: usize, j: usize) -> f64 {
        assert!(j <= i && i < self.n, "element ({i}, {j}) of {} rows", self.n);
        let place = tile(i / TILE, j / TILE) * TILE * TILE + i % TILE * TILE + j % TILE;
        let s = &self.partial.as_ref()[place * LANES..][..LANES];
        ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
    }

    /// G ← 0.
    pub fn clear(&mut self) {
        self.partial.as_mut().fill(0.0);
    }
}

struct Products<'a> {
    w: &'a [f64],
    width: usize,
    sums: &'a mut [f64],
    ahead: Lines<'a>,
    /// Lines of the cache that are ahead.
    lines: usize,
}

/// Rows that will be read after a block, and are brought to the caches meanwhile: they lie far
/// apart, so that memory is not asked for short pieces of them early enough otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Ahead<'a, T>(pub &'a [&'a [T]]);

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// The same for numbers of any type, line by line.
struct Lines<'a> {
    row: &'a (dyn Fn(usize) -> Option<&'a [u8]> + 'a),
    /// The row after that of `rest`.
    next: usize,
    /// What of a row was not asked for.
    rest: &'a [u8],
}

impl Lines<'_> {
    /// Lines of all rows, which have the same length.
    fn all(&self) -> usize {
        let rows = (0..).map_while(self.row).count();
        rows * (self.row)(0).map_or(0, |row| row.len().div_ceil(LINE))
    }

    /// Asks for so many lines.
    #[inline(always)]
    fn fetch(&mut self, lines: usize) {
        for _ in 0..lines {
            if self.rest.is_empty() {
                let Some(row) = (self.row)(self.next) else { return };
                (self.rest, self.next) = (row, self.next + 1);
            }
            prefetch(self.rest.as_ptr());
            self.rest = self.rest.get(LINE..).unwrap_or_default();
        }
    }
}

impl WithSimd for Products<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let size = TILE * self.width;
        let mut sums = self.sums.chunks_exact_mut(TILE * TILE * LANES);
        let lines = self.lines.div_ceil(sums.len().max(1));
        for (i, a) in self.w.chunks_exact(size.max(1)).enumerate() {
            for b in self.w.chunks_exact(size).take(i + 1) {
                self.ahead.fetch(lines);
                let Some(sums) = sums.next() else { return };
                // 16 accumulators and 5 factors fit 32 registers, 8 and 3 fit 16.
                if S::F64_LANES == 4 || S::F64_LANES == 1 {
                    add_tile::<S, 2>(simd, a, b, 0, sums);
                    add_tile::<S, 2>(simd, a, b, TILE / 2, sums);
                } else {
                    add_tile::<S, TILE>(simd, a, b, 0, sums);
                }
            }
        }
    }
}

/// Adds the products of the rows of a group with `C` of another, which are the columns of the tile from
/// `first` on.
#[inline(always)]
fn add_tile<S: Simd, const C: usize>(
    simd: S,
    a: &[f64],
    b: &[f64],
    first: usize,
    sums: &mut [f64],
) {
    let zero = simd.splat_f64s(0.0);
    let mut acc = [[zero; C]; TILE];
    let parts = LANES / S::F64_LANES;
    let a = S::as_simd_f64s(a).0.chunks_exact(TILE * parts);
    let b = S::as_simd_f64s(b).0.chunks_exact(TILE * parts);
    for (a, b) in a.zip(b) {
        for part in 0..parts {
            for c in 0..C {
                let right = b[(first + c) * parts + part];
                for r in 0..TILE {
                    acc[r][c] = simd.mul_add_e_f64s(a[r * parts + part], right, acc[r][c]);
                }
            }
        }
    }
    let sums = S::as_mut_simd_f64s(sums).0;
    for r in 0..TILE {
        for c in 0..C {
            let sum = &mut sums[(r * TILE + first + c) * parts];
            *sum = simd.add_f64s(*sum, acc[r][c]);
        }
    }
}
