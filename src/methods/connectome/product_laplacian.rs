//! The Laplacian of a product of two sets of voxels, acting on a connectivity matrix.

use hesse_kernels::Isa;
use hesse_kernels::level1::dot;
use hesse_kernels::stencil::{self, ProductTile, Run};

use super::VoxelLaplacian;
use crate::krylov::LinearOperator;
use crate::{Error, Real, Result, parallel};

/// Elements of a task, rows times columns.
const TASK: usize = 1 << 17;

/// Most tasks of a product: each reads the rows around its own once more.
const MOST_TASKS: usize = 32;

/// Columns of a tile: of a 3-dimensional set of rows, two planes of such pieces of rows (512 voxels
/// each, 2 kB a piece) stay in the second cache.
const TILE: usize = 256;

/// S(W) = L_y W + W L_xᵀ, the Laplacian L_x ⊗ I + I ⊗ L_y of pairs of voxels, for a matrix W of
/// n_y targets × n_x sources; ‖S(W)‖² is the bending energy of W as a thin plate.
///
/// Matrices are row-major with at least n_x elements from a row to the next. 25 flops and about two
/// elements of memory traffic an element: bandwidth-bound. Squares are summed in `f64`. The same
/// bits for any number of threads.
///
/// Source: Harris, Mihalas, Shea-Brown 2016, equation 3.
#[derive(Clone, Copy, Debug)]
pub struct ProductLaplacian<'a> {
    targets: &'a VoxelLaplacian,
    sources: &'a VoxelLaplacian,
}

/// Some rows of a result, and what is found there.
struct Task<'a, T> {
    rows: &'a mut [T],
    sum: f64,
}

impl<'a> ProductLaplacian<'a> {
    /// L_y of the targets (rows) and L_x of the sources (columns).
    #[must_use]
    pub fn new(targets: &'a VoxelLaplacian, sources: &'a VoxelLaplacian) -> Self {
        Self { targets, sources }
    }

    /// n_y.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.targets.voxels()
    }

    /// n_x.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.voxels()
    }

    /// S ← L_y W + W L_xᵀ; returns ‖S‖². Elements of `s` between rows are left alone.
    ///
    /// # Errors
    /// [`Error::Range`] for a stride below n_x, [`Error::Shape`] unless the arrays end with the last
    /// row or up to a stride's rest later.
    pub fn apply<T: Real>(
        &self,
        w: &[T],
        w_stride: usize,
        s: &mut [T],
        s_stride: usize,
    ) -> Result<f64> {
        self.check("W", w.len(), w_stride)?;
        self.check("S", s.len(), s_stride)?;
        Ok(self.product(w, w_stride, s, s_stride))
    }

    /// G ← G + α (L_yᵀ S + S L_x): with α = 2λ and S from [`ProductLaplacian::apply`] the gradient
    /// of λ‖S‖² is added to G, in one more pass.
    ///
    /// # Errors
    /// As [`ProductLaplacian::apply`], and [`Error::NonFinite`] for α.
    pub fn accumulate<T: Real>(
        &self,
        alpha: f64,
        s: &[T],
        s_stride: usize,
        g: &mut [T],
        g_stride: usize,
    ) -> Result<()> {
        crate::error::check_finite("factor of the product Laplacian", &[alpha])?;
        self.check("S", s.len(), s_stride)?;
        self.check("G", g.len(), g_stride)?;
        let (isa, alpha) = (Isa::current(), T::from_f64(alpha));
        self.for_each_task(g, g_stride, |range, rows| {
            self.for_each_tile(range.clone(), s, s_stride, |tile| {
                stencil::accumulate_product(isa, tile, alpha, range.start, rows, g_stride);
            });
            0.0
        });
        Ok(())
    }

    /// ‖L_y W + W L_xᵀ‖², nothing stored: one pass over W.
    ///
    /// # Errors
    /// As [`ProductLaplacian::apply`].
    pub fn norm_squared<T: Real>(&self, w: &[T], w_stride: usize) -> Result<f64> {
        self.check("W", w.len(), w_stride)?;
        let isa = Isa::current();
        let (size, count) = self.tasks();
        Ok(parallel::sum(count, |task| {
            let mut sum = 0.0;
            self.for_each_tile(self.range(task, size), w, w_stride, |tile| {
                sum += stencil::norm_of_product(isa, tile);
            });
            sum
        }))
    }

    /// ⟨S(A), S(B)⟩ for contiguous A and B; needs memory for both.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have n_y · n_x elements.
    pub fn inner<T: Real>(&self, a: &[T], b: &[T]) -> Result<f64> {
        let n = self.sources();
        let product = |x: &[T]| {
            let mut s = vec![T::ZERO; x.len()];
            self.apply(x, n, &mut s, n).map(|_| s)
        };
        let (a, b) = (product(a)?, product(b)?);
        let isa = Isa::current();
        let piece = |i: usize| i * TASK..a.len().min((i + 1) * TASK);
        Ok(parallel::sum(a.len().div_ceil(TASK), |i| dot(isa, &a[piece(i)], &b[piece(i)])))
    }

    fn check(&self, what: &str, length: usize, stride: usize) -> Result<()> {
        let (rows, width) = (self.targets(), self.sources());
        if stride < width {
            let what = format!("row stride of {what}");
            return Err(Error::range(what, format!("at least {width}"), stride));
        }
        let least = (rows - 1).checked_mul(stride).and_then(|n| n.checked_add(width));
        let fits = least.is_some_and(|least| (least..=least + (stride - width)).contains(&length));
        if fits {
            return Ok(());
        }
        let expected = format!("{rows} x {width} with stride {stride}");
        Err(Error::Shape { what: what.to_owned(), expected, got: format!("{length} elements") })
    }

    /// Pieces of rows of a task, and the number of tasks: of the shape alone.
    fn tasks(&self) -> (usize, usize) {
        let rows = self.targets();
        let count = (rows.saturating_mul(self.sources()) / TASK).clamp(1, MOST_TASKS).min(rows);
        let size = rows.div_ceil(count);
        (size, rows.div_ceil(size))
    }

    fn range(&self, task: usize, size: usize) -> std::ops::Range<usize> {
        task * size..self.targets().min((task + 1) * size)
    }

    fn for_each_task<T: Real>(
        &self,
        out: &mut [T],
        stride: usize,
        f: impl Fn(std::ops::Range<usize>, &mut [T]) -> f64 + Sync,
    ) -> f64 {
        let (size, _) = self.tasks();
        let mut tasks: Vec<Task<'_, T>> =
            out.chunks_mut(size * stride).map(|rows| Task { rows, sum: 0.0 }).collect();
        parallel::for_each_piece(&mut tasks, 1, |task, slot| {
            for Task { rows, sum } in slot {
                *sum = f(self.range(task, size), rows);
            }
        });
        parallel::sum(tasks.len(), |task| tasks[task].sum)
    }

    /// The tiles of rows `range`, from the first columns to the last.
    fn for_each_tile<T: Real>(
        &self,
        range: std::ops::Range<usize>,
        matrix: &[T],
        stride: usize,
        mut f: impl FnMut(ProductTile<'_, T>),
    ) {
        let rows = clipped(self.targets.all_runs(), range);
        let columns = self.sources.all_runs();
        let mut first = 0;
        while first < columns.len() {
            let end = columns[first].start as usize + TILE;
            let count = columns[first..].partition_point(|s| (s.start as usize) < end);
            let columns = &columns[first..first + count];
            let width = self.sources();
            f(ProductTile { rows: &rows, columns, width, matrix, stride });
            first += count;
        }
    }

    fn product<T: Real>(&self, w: &[T], w_stride: usize, s: &mut [T], s_stride: usize) -> f64 {
        let isa = Isa::current();
        self.for_each_task(s, s_stride, |range, rows| {
            let mut sum = 0.0;
            self.for_each_tile(range.clone(), w, w_stride, |tile| {
                sum += stencil::product(isa, tile, range.start, rows, s_stride);
            });
            sum
        })
    }
}

/// The parts of `runs` in `range`.
fn clipped(runs: &[Run], range: std::ops::Range<usize>) -> Vec<Run> {
    let first = runs.partition_point(|run| (run.start + run.length) as usize <= range.start);
    let inside = runs[first..].iter().take_while(|run| (run.start as usize) < range.end);
    #[allow(clippy::cast_possible_truncation)] // At most the length of a run.
    let clip = |run: &Run| {
        let start = run.start as usize;
        let to = (range.end - start).min(run.length as usize);
        run.part(range.start.saturating_sub(start) as u32, to as u32)
    };
    inside.map(clip).collect()
}

/// W as one vector of n_y · n_x elements, row after row.
impl<T: Real> LinearOperator<T> for ProductLaplacian<'_> {
    fn dimension(&self) -> usize {
        self.targets() * self.sources()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.product(x, self.sources(), y, self.sources());
    }
}
