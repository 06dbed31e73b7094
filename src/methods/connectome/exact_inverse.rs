//! The inverse of ½H on the entries that are free, exactly.

use super::block_cholesky::{self, BlockCholesky};
use super::dense_factors::Cholesky;
use super::entries::Active;
use super::mode_basis::transposed;
use super::objective::SplineObjective;
use super::smoothing_operator::SmoothingOperator;
use crate::Result;

/// Most entries held at zero for which columns of the inverse are kept.
const MOST_HELD: usize = 512;
/// Columns that are found together, always as many.
const COLUMNS: usize = 16;
/// Flops and numbers of a factor that are worth it.
const MOST_FLOPS: f64 = 4e10;
const MOST_NUMBERS: f64 = 1e8;

/// (½H)⁻¹ by its factor, with the held entries eliminated: for F free and H held,
/// (A_FF)⁻¹ r = z − A⁻¹_{·H} (A⁻¹_HH)⁻¹ z_H with z = A⁻¹ r.
///
/// One factor serves every active set, as long as few entries are held.
pub(super) struct ExactInverse {
    factor: BlockCholesky,
    targets: usize,
    sources: usize,
    /// Columns of A⁻¹ of entries that have been held, in ascending order of entries.
    columns: Vec<(usize, Vec<f64>)>,
    held: Vec<usize>,
    /// Of A⁻¹_HH; `None` where nothing is held.
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
            columns: Vec::new(),
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

    /// Makes the inverse that of the free entries.
    pub fn hold(&mut self, active: &Active) {
        self.usable = active.count() <= MOST_HELD;
        self.capacitance = None;
        self.held.clear();
        if !self.usable || active.count() == 0 {
            return;
        }
        self.held.extend((0..active.flags().len()).filter(|&i| active.flags()[i] != 0));
        let missing: Vec<usize> = self
            .held
            .iter()
            .copied()
            .filter(|entry| self.columns.binary_search_by_key(entry, |c| c.0).is_err())
            .collect();
        if self.columns.len() + missing.len() > 2 * MOST_HELD {
            self.columns.retain(|column| self.held.binary_search(&column.0).is_ok());
        }
        let n = self.targets * self.sources;
        for entries in missing.chunks(COLUMNS) {
            let mut x = vec![0.0; n * COLUMNS];
            for (c, &entry) in entries.iter().enumerate() {
                x[c * n + entry % self.targets * self.sources + entry / self.targets] = 1.0;
            }
            self.factor.solve(&mut x);
            for (&entry, x) in entries.iter().zip(x.chunks_exact(n)) {
                self.columns.push((entry, transposed(x, self.sources)));
            }
        }
        self.columns.sort_unstable_by_key(|column| column.0);
        let p = self.held.len();
        let mut a = Vec::with_capacity(p * p);
        for &h in &self.held {
            let column = self.column(h);
            a.extend(self.held.iter().map(|&other| column.map_or(f64::NAN, |c| c[other])));
        }
        self.capacitance = Cholesky::new(a, p);
        self.usable = self.capacitance.is_some();
    }

    fn column(&self, entry: usize) -> Option<&[f64]> {
        let at = self.columns.binary_search_by_key(&entry, |c| c.0).ok()?;
        Some(&self.columns[at].1)
    }

    /// Z ← (A_FF)⁻¹ R, columns of targets; R is 0 where entries are held, and so is Z.
    pub fn apply(&self, r: &[f64], z: &mut [f64]) {
        // The sources of a target next to each other, and back.
        let mut x = transposed(r, self.targets);
        self.factor.solve(&mut x);
        z.copy_from_slice(&transposed(&x, self.sources));
        let Some(capacitance) = &self.capacitance else { return };
        let mut at_held: Vec<f64> = self.held.iter().map(|&h| z[h]).collect();
        capacitance.solve(&mut at_held);
        for (&h, &factor) in self.held.iter().zip(&at_held) {
            if let Some(column) = self.column(h) {
                super::entries::axpy(-factor, column, z);
            }
        }
        self.held.iter().for_each(|&h| z[h] = 0.0);
    }
}
