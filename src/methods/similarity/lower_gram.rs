//! Inner products of stimuli, summed over blocks of units.

use faer::{Mat, MatRef};
use hesse_kernels::gram::{Ahead, Sums, place};

use crate::numerics::dense::add_gram_lower;
use crate::{Isa, Real};

/// Units of one block: the rows of some hundred stimuli and their sums share the second-level cache.
pub(super) const BLOCK: usize = 240;
/// Blocks of one task.
pub(super) const BLOCKS: usize = 16;
/// With more stimuli than this the product of a block goes to the library.
const LARGE: usize = 512;

/// The lower triangle of Σ W Wᵀ over blocks W of units.
pub(super) enum LowerGram {
    Small(usize, Sums<Vec<f64>>),
    /// The sum, and the rows of one block one after the other.
    Large(Mat<f64>, Vec<f64>),
}

impl LowerGram {
    pub fn zeros(n: usize) -> Self {
        if n > LARGE {
            return Self::Large(Mat::zeros(n, n), Vec::new());
        }
        Self::Small(n, Sums::new(n, vec![0.0; Sums::length(n)]))
    }

    /// Adds a block of rows as the kernels of [`hesse_kernels::gram`] lay them out, while the next
    /// rows to be read are fetched.
    pub fn add<T: Real>(&mut self, w: &[f64], width: usize, next: &[&[T]]) {
        match self {
            Self::Small(_, sums) => sums.add_block(Isa::current(), w, width, Ahead(next)),
            Self::Large(gram, rows) => {
                let n = gram.nrows();
                rows.resize(n * width, 0.0);
                for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                    for (c, eight) in row.chunks_exact_mut(8).enumerate() {
                        eight.copy_from_slice(&w[place(width, i, 8 * c)..][..8]);
                    }
                }
                add_gram_lower(gram, MatRef::from_row_major_slice(rows, n, width));
            }
        }
    }

    /// The sum; zeros above the diagonal.
    pub fn into_mat(self) -> Mat<f64> {
        match self {
            Self::Large(gram, _) => gram,
            Self::Small(n, sums) => {
                Mat::from_fn(n, n, |i, j| if i >= j { sums.element(i, j) } else { 0.0 })
            }
        }
    }
}
