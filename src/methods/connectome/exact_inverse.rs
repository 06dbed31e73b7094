//! The inverse of ½H on the entries that are free, exactly.

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::block_cholesky::{self, BlockCholesky};
use super::dense_factors::Cholesky;
use super::entries::{self, Active};
use super::mode_basis::transposed;
use super::objective::SplineObjective;
use super::smoothing_operator::SmoothingOperator;
use crate::{Isa, Result};

/// Most entries held at zero for which columns of the inverse are kept.
const MOST_HELD: usize = 512;
/// Columns that are found together, always as many.
const COLUMNS: usize = 16;
/// Flops and numbers of a factor that are worth it.
const MOST_FLOPS: f64 = 4e10;
const MOST_NUMBERS: f64 = 1e8;

/// (½H)⁻¹ by its factor L, with the held entries eliminated: with F free, H held, E the unit vectors of
/// H, Y = L⁻¹E and y = L⁻¹r,
///
/// (A_FF)⁻¹ r = L⁻ᵀ (y − Y (YᵀY)⁻¹ Yᵀy), Yᵀ Y = (A⁻¹)_HH,
///
/// so that a column takes half a solve, and an application one solve. One factor serves every active
/// set, as long as few entries are held.
pub(super) struct ExactInverse {
    factor: BlockCholesky,
    targets: usize,
    sources: usize,
    /// Columns of L⁻¹ of entries that have been held, [`COLUMNS`] in a block.
    blocks: Vec<Vec<f64>>,
    /// Their entries, and for each the first row of its block that is not zero.
    entries: Vec<usize>,
    starts: Vec<usize>,
    /// Products of all columns, row-major in the order of `entries`, the lower triangle.
    products: Vec<Vec<f64>>,
    /// Columns of the held entries.
    held: Vec<usize>,
    /// Of (A⁻¹)_HH; `None` where nothing is held.
    capacitance: Option<Cholesky>,
    usable: bool,
}

/// Whether a factor takes little time and memory.
pub(super) fn is_cheap(ly: &SmoothingOperator, sources: usize) -> bool {
    let (numbers, flops) = block_cholesky::size(ly, sources);
    numbers <= MOST_NUMBERS && flops <= MOST_FLOPS
}

/// Bytes that a factor and columns may take for any operators of this size that are worth it.
pub(super) fn most_memory(targets: usize, sources: usize) -> usize {
    let entries = targets.saturating_mul(sources);
    // On a path of targets: a block under the diagonal is n_x².
    let least = 3.0 * entries as f64 * sources as f64;
    if least > MOST_NUMBERS {
        return 0;
    }
    let most = (entries as f64 * entries as f64).min(MOST_NUMBERS);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // At most MOST_NUMBERS.
    let factor = most as usize;
    factor.saturating_add(entries.saturating_mul(2 * MOST_HELD.min(entries))).saturating_mul(8)
}

impl ExactInverse {
    /// Factors ½H.
    ///
    /// # Errors
    /// Those of [`BlockCholesky::new`].
    pub fn new(objective: &SplineObjective<'_>) -> Result<Self> {
        Ok(Self {
            factor: BlockCholesky::new(objective)?,
            targets: objective.data.targets(),
            sources: objective.data.sources(),
            blocks: Vec::new(),
            entries: Vec::new(),
            starts: Vec::new(),
            products: Vec::new(),
            held: Vec::new(),
            capacitance: None,
            usable: true,
        })
    }

    /// Whether [`ExactInverse::apply`] is exact for the entries last held: not too many, and no
    /// pivot lost.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// Where an entry of W, columns of targets, is in the order of the factor.
    fn place(&self, entry: usize) -> usize {
        entry % self.targets * self.sources + entry / self.targets
    }

    /// Makes the inverse that of the free entries.
    pub fn hold(&mut self, active: &Active) {
        self.usable = active.count() <= MOST_HELD;
        self.capacitance = None;
        self.held.clear();
        if !self.usable || active.count() == 0 {
            return;
        }
        let flags = active.flags();
        let mut held: Vec<usize> = (0..flags.len()).filter(|&i| flags[i] != 0).collect();
        // In the order of the factor: columns of a block begin close to each other.
        held.sort_unstable_by_key(|&entry| self.place(entry));
        let known = |entries: &[usize], entry: usize| entries.iter().position(|&e| e == entry);
        let mut missing = held.clone();
        missing.retain(|&entry| known(&self.entries, entry).is_none());
        if self.entries.len() + missing.len() > 2 * MOST_HELD {
            self.blocks.clear();
            self.entries.clear();
            self.starts.clear();
            self.products.clear();
            missing.clone_from(&held);
        }
        for entries in missing.chunks(COLUMNS) {
            self.add_columns(entries);
        }
        self.held = held.iter().filter_map(|&entry| known(&self.entries, entry)).collect();
        let p = self.held.len();
        let mut a = Vec::with_capacity(p * p);
        for &i in &self.held {
            a.extend(self.held.iter().map(|&j| self.products[i.max(j)][i.min(j)]));
        }
        self.capacitance = Cholesky::new(a, p);
        self.usable = self.capacitance.is_some();
    }

    /// Finds the columns of at most [`COLUMNS`] entries, and their products with all.
    fn add_columns(&mut self, entries: &[usize]) {
        let isa = Isa::current();
        let n = self.targets * self.sources;
        // Blocks are full but for the last; a block that is not stays as it is.
        let mut x = vec![0.0; n * COLUMNS];
        for (c, &entry) in entries.iter().enumerate() {
            x[c * n + self.place(entry)] = 1.0;
        }
        let first = entries.iter().map(|&e| self.place(e)).min().unwrap_or(0) / self.sources;
        self.factor.forward(first, &mut x);
        let start = first * self.sources;
        self.blocks.push(x);
        let block = self.blocks.len() - 1;
        let mut rows = vec![Vec::new(); COLUMNS];
        for (other, left) in self.blocks.iter().enumerate() {
            let top = self.starts.get(other * COLUMNS).map_or(start, |&s| s.max(start));
            let left = MatrixRef::new(&left[top..], n - top, COLUMNS, 1, n);
            let right = MatrixRef::new(&self.blocks[block][top..], n - top, COLUMNS, 1, n);
            let mut product = vec![0.0; COLUMNS * COLUMNS];
            let out = MatrixMut::column_major(&mut product, COLUMNS, COLUMNS);
            gemm(isa, 1.0, left.transposed(), right, 0.0, out);
            for (row, product) in rows.iter_mut().zip(product.chunks_exact(COLUMNS)) {
                row.extend_from_slice(product);
            }
        }
        self.products.extend(rows);
        // What a block has no entry for is a column of zeros that no entry names.
        self.entries.extend((0..COLUMNS).map(|c| entries.get(c).copied().unwrap_or(usize::MAX)));
        self.starts.extend([start; COLUMNS]);
    }

    /// Column i of L⁻¹E from its first row that may not be zero, and that row.
    fn column(&self, i: usize) -> (&[f64], usize) {
        let n = self.targets * self.sources;
        let (block, c) = (&self.blocks[i / COLUMNS], i % COLUMNS);
        let start = self.starts[i];
        (&block[c * n + start..(c + 1) * n], start)
    }

    /// Z ← (A_FF)⁻¹ R, columns of targets; R is 0 where entries are held, and so is Z.
    pub fn apply(&self, r: &[f64], z: &mut [f64]) {
        // The sources of a target next to each other, and back.
        let mut x = transposed(r, self.targets);
        self.factor.forward_one(&mut x);
        if let Some(capacitance) = &self.capacitance {
            let dot = |&i: &usize| {
                let (column, start) = self.column(i);
                entries::dot(column, &x[start..])
            };
            let mut at_held: Vec<f64> = self.held.iter().map(dot).collect();
            capacitance.solve(&mut at_held);
            for (&i, &factor) in self.held.iter().zip(&at_held) {
                let (column, start) = self.column(i);
                entries::axpy(-factor, column, &mut x[start..]);
            }
        }
        self.factor.backward_one(&mut x);
        z.copy_from_slice(&transposed(&x, self.sources));
        for &i in &self.held {
            z[self.entries[i]] = 0.0;
        }
    }
}
