//! Tall and skinny matrices, cut into tiles of rows: the orthogonalisation of Krylov methods.
//!
//! A tile holds 1024 rows of every column, so a tile of some dozens of columns stays in the second
//! cache while several products with it are taken, and tasks own their tiles. Sums over tiles meet
//! in a fixed tree: the same bits for any number of threads.

use std::ops::Range;

use hesse_kernels::panel::{self, Panel, PanelMut};

use super::start_vectors::fill_normal;
use crate::{Isa, Real, parallel};

/// Rows of a tile.
const ROWS: usize = 1024;

/// Elements between the end of a tile's column and the next one, so that the columns do not all
/// start in the same set of a cache.
const PAD: usize = 16;

/// An n × m matrix, tile by tile; column-major inside a tile.
#[derive(Clone, Debug)]
pub(super) struct Basis<T> {
    rows: usize,
    columns: usize,
    stride: usize,
    data: Vec<T>,
    isa: Isa,
}

impl<T: Real> Basis<T> {
    pub fn new(rows: usize, columns: usize, isa: Isa) -> Self {
        let stride = if rows <= ROWS { rows } else { ROWS + PAD };
        let data = vec![T::ZERO; rows.div_ceil(ROWS) * stride * columns];
        Self { rows, columns, stride, data, isa }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// √n·ε: the size of a unit vector that is nothing but rounding.
    pub fn rounding(&self) -> f64 {
        (self.rows as f64).sqrt() * T::EPSILON.to_f64()
    }

    fn tile_length(&self) -> usize {
        self.stride * self.columns
    }

    fn tiles(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    fn rows_of(&self, tile: usize) -> usize {
        ROWS.min(self.rows - tile * ROWS)
    }

    fn panel(&self, tile: usize, columns: Range<usize>) -> Panel<'_, T> {
        let data = &self.data[tile * self.tile_length()..][..self.tile_length()];
        let data = &data[columns.start * self.stride..columns.end * self.stride];
        Panel::new(data, self.rows_of(tile), columns.len(), self.stride)
    }

    /// Runs `f` on every tile.
    fn for_each_tile(&mut self, f: impl Fn(usize, &mut [T]) + Sync) {
        let length = self.tile_length();
        if length > 0 {
            parallel::for_each_piece(&mut self.data, length, f);
        }
    }

    /// Columns `at..` ← the vectors in `block`, one after the other.
    pub fn load(&mut self, at: usize, block: &[T]) {
        let (rows, stride) = (self.rows, self.stride);
        self.for_each_tile(|tile, data| {
            for (c, vector) in block.chunks_exact(rows).enumerate() {
                let piece = &vector[tile * ROWS..rows.min((tile + 1) * ROWS)];
                data[(at + c) * stride..][..piece.len()].copy_from_slice(piece);
            }
        });
    }

    /// `block` ← the columns in `range`, one after the other.
    pub fn store(&self, range: Range<usize>, block: &mut [T]) {
        for (c, vector) in range.zip(block.chunks_exact_mut(self.rows)) {
            parallel::for_each_piece(vector, ROWS, |tile, piece| {
                piece.copy_from_slice(self.panel(tile, c..c + 1).column(0));
            });
        }
    }

    /// Column `at` ← `vector` over its largest element (without overflow on the way), or zero.
    pub fn load_scaled(&mut self, at: usize, vector: &[T]) {
        let largest = vector.iter().map(|x| x.to_f64().abs()).fold(0.0, f64::max);
        self.load(at, vector);
        if largest > 0.0 {
            self.map_column(at, |x| x / largest);
        }
    }

    fn map_column(&mut self, column: usize, f: impl Fn(f64) -> f64 + Sync) {
        let (rows, stride) = (self.rows, self.stride);
        self.for_each_tile(|tile, data| {
            for x in &mut data[column * stride..][..ROWS.min(rows - tile * ROWS)] {
                *x = T::from_f64(f(x.to_f64()));
            }
        });
    }

    /// H ← VᵀW for columns V of `self` and W of `other`; column-major.
    pub fn product_with(&self, v: Range<usize>, other: &Basis<T>, w: Range<usize>) -> Vec<f64> {
        let size = v.len() * w.len();
        if size == 0 {
            return Vec::new();
        }
        let of_tile = |tile| {
            let mut h = vec![0.0; size];
            let (v, w) = (self.panel(tile, v.clone()), other.panel(tile, w.clone()));
            panel::transpose_product(self.isa, v, w, &mut h);
            h
        };
        parallel::reduce(self.tiles(), of_tile, add).unwrap_or_else(|| vec![0.0; size])
    }

    /// H ← VᵀW for two ranges of columns.
    pub fn product(&self, v: Range<usize>, w: Range<usize>) -> Vec<f64> {
        self.product_with(v, self, w)
    }

    /// W ← W − V H for columns V of `other` and W of `self`.
    pub fn subtract_of(&mut self, other: &Basis<T>, v: Range<usize>, w: Range<usize>, h: &[f64]) {
        if v.is_empty() || w.is_empty() {
            return;
        }
        let (rows, stride, isa) = (self.rows, self.stride, self.isa);
        self.for_each_tile(|tile, data| {
            let data = &mut data[w.start * stride..w.end * stride];
            let rows = ROWS.min(rows - tile * ROWS);
            let mut w = PanelMut::new(data, rows, w.len(), stride);
            panel::subtract_product(isa, &mut w, other.panel(tile, v.clone()), h);
        });
    }

    /// W ← W − U C, then VᵀW, with U = columns `u`, V = columns `0..w.start` and `w` itself, in one
    /// pass over the tiles. The result has `w.end` rows: its last ones are WᵀW.
    ///
    /// `u` lies before `w`.
    pub fn subtract_then_product(
        &mut self,
        u: Range<usize>,
        w: Range<usize>,
        c: &[f64],
    ) -> Vec<f64> {
        self.update_tiles(w.end * w.len(), |rows, stride, isa, data, h| {
            let (before, block) = data.split_at_mut(w.start * stride);
            let block = &mut block[..w.len() * stride];
            if !u.is_empty() {
                let u_panel = Panel::new(&before[u.start * stride..], rows, u.len(), stride);
                let mut w_panel = PanelMut::new(block, rows, w.len(), stride);
                panel::subtract_product(isa, &mut w_panel, u_panel, c);
            }
            let v = Panel::new(data, rows, w.end, stride);
            let w = Panel::new(&data[w.start * stride..], rows, w.len(), stride);
            panel::transpose_product(isa, v, w, h);
        })
    }

    /// W ← W − U C, then WᵀW, in one pass.
    pub fn subtract_then_gram(&mut self, u: Range<usize>, w: Range<usize>, c: &[f64]) -> Vec<f64> {
        self.update_tiles(w.len() * w.len(), |rows, stride, isa, data, h| {
            let (before, block) = data.split_at_mut(w.start * stride);
            let block = &mut block[..w.len() * stride];
            if !u.is_empty() {
                let u_panel = Panel::new(&before[u.start * stride..], rows, u.len(), stride);
                let mut w_panel = PanelMut::new(&mut *block, rows, w.len(), stride);
                panel::subtract_product(isa, &mut w_panel, u_panel, c);
            }
            let w = Panel::new(block, rows, w.len(), stride);
            panel::transpose_product(isa, w, w, h);
        })
    }

    /// W ← W C (square), then WᵀW, in one pass.
    pub fn multiply_then_gram(&mut self, w: Range<usize>, c: &[f64]) -> Vec<f64> {
        self.update_tiles(w.len() * w.len(), |rows, stride, isa, data, h| {
            let block = &mut data[w.start * stride..w.end * stride];
            let mut panel = PanelMut::new(&mut *block, rows, w.len(), stride);
            panel::multiply_in_place(isa, &mut panel, c);
            let w = Panel::new(block, rows, w.len(), stride);
            panel::transpose_product(isa, w, w, h);
        })
    }

    /// Runs `f(rows, stride, isa, tile, sums)` on every tile and adds the sums up in a fixed tree.
    fn update_tiles(
        &mut self,
        size: usize,
        f: impl Fn(usize, usize, Isa, &mut [T], &mut [f64]) + Sync,
    ) -> Vec<f64> {
        fn tree<T: Send>(
            data: &mut [T],
            first: usize,
            length: usize,
            f: &(impl Fn(usize, &mut [T]) -> Vec<f64> + Sync),
        ) -> Vec<f64> {
            let tiles = data.len() / length;
            if tiles == 1 {
                return f(first, data);
            }
            let middle = tiles.div_ceil(2);
            let (left, right) = data.split_at_mut(middle * length);
            let (mut left, right) = rayon::join(
                || tree(left, first, length, f),
                || tree(right, first + middle, length, f),
            );
            add(&mut left, right);
            left
        }
        if self.data.is_empty() {
            return vec![0.0; size];
        }
        let (rows, stride, isa, length) = (self.rows, self.stride, self.isa, self.tile_length());
        tree(&mut self.data, 0, length, &|tile, data| {
            let mut sums = vec![0.0; size];
            f(ROWS.min(rows - tile * ROWS), stride, isa, data, &mut sums);
            sums
        })
    }

    /// V ← V Y in the first columns of `range`, in place; Y column-major, `range.len()` rows and at
    /// most as many columns.
    pub fn rotate(&mut self, range: Range<usize>, y: &[f64]) {
        if range.is_empty() || y.is_empty() {
            return;
        }
        let (rows, stride, isa) = (self.rows, self.stride, self.isa);
        self.for_each_tile(|tile, data| {
            let data = &mut data[range.start * stride..range.end * stride];
            let rows = ROWS.min(rows - tile * ROWS);
            panel::multiply_in_place(isa, &mut PanelMut::new(data, rows, range.len(), stride), y);
        });
    }

    /// V Y, one column after the other.
    pub fn combination(&self, range: Range<usize>, y: &[f64]) -> Vec<T> {
        let count = y.len().checked_div(range.len()).unwrap_or(0);
        let mut result = Basis::new(self.rows, count, self.isa);
        let negated: Vec<f64> = y.iter().map(|y| -y).collect();
        result.subtract_of(self, range, 0..count, &negated);
        let mut block = vec![T::ZERO; self.rows * count];
        result.store(0..count, &mut block);
        block
    }

    /// Column `to` ← column `from`.
    pub fn copy_column(&mut self, from: usize, to: usize) {
        let (rows, stride) = (self.rows, self.stride);
        self.for_each_tile(|tile, data| {
            let rows = ROWS.min(rows - tile * ROWS);
            data.copy_within(from * stride..from * stride + rows, to * stride);
        });
    }

    /// Columns `0..count` ← those of `other`.
    pub fn copy_columns(&mut self, other: &Basis<T>, count: usize) {
        let length = count * self.stride;
        self.for_each_tile(|tile, data| {
            let from = &other.data[tile * other.tile_length()..];
            data[..length].copy_from_slice(&from[..length]);
        });
    }

    /// Makes column `at` a unit vector orthogonal to the columns `0..at`; returns its norm before
    /// the division, or `None` where no more than `least` times its norm on entry was left.
    ///
    /// Gram-Schmidt, repeated until a pass takes away less than half (at most five times).
    pub fn orthonormalise_column(&mut self, at: usize, least: f64) -> Option<f64> {
        let first = self.product(0..at + 1, at..at + 1);
        let (mut h, mut before) = (first[..at].to_vec(), first[at].sqrt());
        let start = before;
        if !(start > 0.0 && start.is_finite()) {
            return None;
        }
        for _ in 0..5 {
            let mut next = self.subtract_then_product(0..at, at..at + 1, &h);
            let after = next.pop().unwrap_or(0.0).sqrt();
            h = next;
            // NaN where numbers overflowed: nothing to keep either.
            if after.is_nan() || after <= least * start {
                return None;
            }
            let settled = after > 0.5 * before;
            before = after;
            if settled {
                break;
            }
        }
        let norm = before;
        self.map_column(at, |x| x / norm);
        Some(norm)
    }

    /// Column `at` ← a random unit vector orthogonal to the columns `0..at`; false where there is
    /// none.
    pub fn fill_random(&mut self, at: usize, seed: u64, stream: u64) -> bool {
        if at >= self.rows {
            return false;
        }
        let mut vector = vec![T::ZERO; self.rows];
        fill_normal(seed, stream, &mut vector);
        self.load(at, &vector);
        self.orthonormalise_column(at, (100.0 * self.rounding()).min(1e-3)).is_some()
    }

    /// Makes the columns `w` orthonormal and orthogonal to all before them.
    ///
    /// On entry W is arbitrary. On return W_in = V H + Q R with V the columns before `w`, and Q the
    /// first `rank` columns of `w`. Directions that are shorter than `least` are left out of Q.
    /// `near`: the columns among V where H is known to be large; the first pass takes these only.
    pub fn orthonormalise_block(
        &mut self,
        near: Range<usize>,
        w: Range<usize>,
        least: f64,
    ) -> BlockFactors {
        let (before, width) = (w.start, w.len());
        let mut h = vec![0.0; before * width];
        let mut accumulate = |c: &[f64], range: &Range<usize>| {
            for j in 0..width {
                for (i, r) in range.clone().enumerate() {
                    h[r + j * before] += c[i + j * range.len()];
                }
            }
        };
        let local = self.product(near.clone(), w.clone());
        accumulate(&local, &near);
        let mut next = self.subtract_then_product(near, w.clone(), &local);
        // Full passes: two in all with the first, more only while a pass still takes away a lot.
        let mut gram = Vec::new();
        for _ in 0..4 {
            let column = |j: usize| &next[j * w.end..(j + 1) * w.end];
            let full: Vec<f64> = (0..width).flat_map(|j| column(j)[..before].to_vec()).collect();
            let norms: Vec<f64> = (0..width).map(|j| column(j)[before + j]).collect();
            accumulate(&full, &(0..before));
            let taken = |j: usize| full[j * before..(j + 1) * before].iter().map(|c| c * c).sum();
            let floor = least * least;
            // Pythagoras: a pass that takes away less than a tenth leaves rounding·10 at most.
            if (0..width).all(|j| {
                let taken: f64 = taken(j);
                taken <= 0.01 * norms[j] || norms[j] <= floor
            }) {
                gram = self.subtract_then_gram(0..before, w.clone(), &full);
                break;
            }
            next = self.subtract_then_product(0..before, w.clone(), &full);
        }
        if gram.is_empty() {
            gram = self.product(w.clone(), w.clone());
        }
        let (r, rank) = match self.cholesky_factor_block(&w, &gram, least) {
            Some(r) => (r, width),
            None => self.column_factor_block(&w, least),
        };
        BlockFactors { h, r, rank }
    }

    /// W = Q R by the Cholesky factor of WᵀW, twice; `None` where W is too close to dependent.
    ///
    /// With pivots above 10⁻³ of their columns' norms the first factor leaves |QᵀQ − I| below 10⁶ε
    /// (Yamamoto et al. 2015), which the second brings down to ε.
    fn cholesky_factor_block(
        &mut self,
        w: &Range<usize>,
        gram: &[f64],
        least: f64,
    ) -> Option<Vec<f64>> {
        let width = w.len();
        let first = cholesky(gram, width, 1e-6)?;
        if (0..width).any(|j| first[j + j * width] <= 1e3 * least) {
            return None;
        }
        let again = self.multiply_then_gram(w.clone(), &inverse(&first, width));
        let second = cholesky(&again, width, 0.25)?;
        self.rotate(w.clone(), &inverse(&second, width));
        let mut r = vec![0.0; width * width];
        for j in 0..width {
            for i in 0..=j {
                r[i + j * width] =
                    (i..=j).map(|k| second[i + k * width] * first[k + j * width]).sum();
            }
        }
        Some(r)
    }

    /// W = Q R column by column, against all columns before; short columns are left out, their
    /// columns of R kept.
    fn column_factor_block(&mut self, w: &Range<usize>, least: f64) -> (Vec<f64>, usize) {
        let (before, width) = (w.start, w.len());
        let mut r = vec![0.0; width * width];
        let mut rank = 0;
        for j in 0..width {
            let at = before + rank;
            if w.start + j != at {
                self.copy_column(w.start + j, at);
            }
            let inside = self.product(before..at, at..at + 1);
            r[j * width..j * width + rank].copy_from_slice(&inside);
            let norm = self.product(at..at + 1, at..at + 1)[0].sqrt();
            let relative = if norm > 0.0 { least / norm } else { f64::INFINITY };
            if let Some(length) = self.orthonormalise_column(at, relative) {
                r[rank + j * width] = length;
                rank += 1;
            }
        }
        (r, rank)
    }
}

/// W = V H + Q R; H has as many rows as V has columns, R is square and its first `rank` rows count.
pub(super) struct BlockFactors {
    pub h: Vec<f64>,
    pub r: Vec<f64>,
    pub rank: usize,
}

#[allow(clippy::ptr_arg)] // the signature that `parallel::reduce` asks for
fn add(a: &mut Vec<f64>, b: Vec<f64>) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

/// Upper R with RᵀR = G, unless a squared pivot falls below `least` times its diagonal element.
fn cholesky(g: &[f64], n: usize, least: f64) -> Option<Vec<f64>> {
    let mut r = vec![0.0; n * n];
    for j in 0..n {
        for i in 0..=j {
            let product: f64 = (0..i).map(|k| r[k + i * n] * r[k + j * n]).sum();
            let rest = g[i + j * n] - product;
            if i < j {
                r[i + j * n] = rest / r[i + i * n];
            } else if rest > least * g[j + j * n] && rest.is_finite() {
                r[j + j * n] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(r)
}

/// Inverse of an upper triangular matrix.
fn inverse(r: &[f64], n: usize) -> Vec<f64> {
    let mut x = vec![0.0; n * n];
    for j in 0..n {
        x[j + j * n] = 1.0 / r[j + j * n];
        for i in (0..j).rev() {
            let sum: f64 = (i + 1..=j).map(|k| r[i + k * n] * x[k + j * n]).sum();
            x[i + j * n] = -sum / r[i + i * n];
        }
    }
    x
}
