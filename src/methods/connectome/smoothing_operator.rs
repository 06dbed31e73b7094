//! The operators in the penalty: graph Laplacians of voxels, or anything sparse and square.

use hesse_kernels::level1;
use sprs::{CsMat, CsMatView};

use super::voxel_laplacian::VoxelLaplacian;
use super::voxel_mask::{Smoothing, VoxelMask};
use crate::error::check_finite;
use crate::krylov::LinearOperator;
use crate::{Error, Isa, Result, parallel};

/// A sparse square operator L that acts on voxels, n × n: the voxels' graph Laplacian, as a rule.
///
/// L_ij = 1 for neighbours on the lattice, L_ii = −(number of neighbours): negative semidefinite, row
/// sums zero, no 1/h². Other operators do as well (Dirichlet ends, weights); those that are not
/// symmetric go without the spectral preconditioners.
#[derive(Clone, Debug)]
pub struct SmoothingOperator {
    /// By rows.
    rows: CsMat<f64>,
    /// Lᵀ by rows, where it is another matrix.
    transposed: Option<CsMat<f64>>,
    /// The same without a matrix, where L is the Laplacian of voxels.
    laplacian: Option<VoxelLaplacian>,
    /// The edges of the box, where L is the free Laplacian of a full one.
    edges: Option<Vec<usize>>,
}

impl From<VoxelLaplacian> for SmoothingOperator {
    fn from(laplacian: VoxelLaplacian) -> Self {
        let rows = laplacian.to_csr();
        Self { rows, transposed: None, laplacian: Some(laplacian), edges: None }
    }
}

impl SmoothingOperator {
    /// From a sparse matrix.
    ///
    /// # Errors
    /// [`Error::Shape`] unless it is square, [`Error::Empty`] for no voxels, [`Error::NonFinite`].
    pub fn from_sparse(matrix: CsMatView<'_, f64>) -> Result<Self> {
        let n = matrix.rows();
        if matrix.cols() != n {
            return Err(Error::shape("smoothing operator", (n, n), matrix.shape()));
        }
        if n == 0 {
            return Err(Error::empty("voxels of the smoothing operator"));
        }
        check_finite("smoothing operator", matrix.data())?;
        let rows = matrix.to_csr();
        let transposed: CsMat<f64> = rows.transpose_view().to_csr();
        let symmetric = rows == transposed || {
            let difference = &rows - &transposed;
            difference.data().iter().all(|v| *v == 0.0)
        };
        let transposed = (!symmetric).then_some(transposed);
        Ok(Self { rows, transposed, laplacian: None, edges: None })
    }

    /// The free graph Laplacian of a set of voxels.
    ///
    /// Of full boxes the eigenvectors are cosines, so these have the cheapest preconditioner
    /// ([`Preconditioner::Cosine`](super::Preconditioner::Cosine)). Laplacians of other kinds convert:
    /// `SmoothingOperator::from(mask.laplacian(…)?)`.
    ///
    /// # Errors
    /// Those of [`VoxelMask::laplacian`].
    pub fn of_voxels(mask: &VoxelMask) -> Result<Self> {
        let laplacian = mask.laplacian(Smoothing::free())?;
        let edges = mask.is_box().then(|| mask.shape().to_vec());
        Ok(Self { edges, ..Self::from(laplacian) })
    }

    /// The free graph Laplacian of a full box of one to three edges, voxels in C order (last axis
    /// fastest): a path for one edge.
    ///
    /// # Errors
    /// Those of [`VoxelMask::full`].
    pub fn of_box(edges: &[usize]) -> Result<Self> {
        Self::of_voxels(&VoxelMask::full(edges)?)
    }

    /// n.
    #[must_use]
    pub fn voxels(&self) -> usize {
        self.rows.rows()
    }

    /// Whether L = Lᵀ, element by element.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        self.transposed.is_none()
    }

    /// The edges of the box whose Laplacian this is, where it was built as one.
    #[must_use]
    pub fn box_edges(&self) -> Option<&[usize]> {
        self.edges.as_deref()
    }

    /// L without a matrix, where it is the Laplacian of voxels.
    #[must_use]
    pub fn laplacian(&self) -> Option<&VoxelLaplacian> {
        self.laplacian.as_ref()
    }

    /// The matrix, by rows.
    #[must_use]
    pub fn matrix(&self) -> CsMatView<'_, f64> {
        self.rows.view()
    }

    /// Lᵀ by rows, which is L by columns.
    pub(super) fn by_column(&self) -> CsMatView<'_, f64> {
        self.transposed.as_ref().unwrap_or(&self.rows).view()
    }

    /// y ← L x.
    fn apply_column(&self, x: &[f64], y: &mut [f64]) {
        match &self.laplacian {
            Some(laplacian) => laplacian.apply(x, y),
            None => apply_column(self.rows.view(), x, y),
        }
    }

    /// y ← Lᵀ x.
    fn apply_transposed_column(&self, x: &[f64], y: &mut [f64]) {
        match &self.transposed {
            Some(transposed) => apply_column(transposed.view(), x, y),
            None => self.apply_column(x, y),
        }
    }

    /// Y ← L X for the columns in `x`, one after the other.
    pub(super) fn apply_columns(&self, x: &[f64], y: &mut [f64]) {
        let n = self.voxels();
        parallel::for_each_piece(y, n, |j, y| self.apply_column(&x[j * n..(j + 1) * n], y));
    }

    /// Y ← Lᵀ X for the columns in `x`, one after the other.
    pub(super) fn apply_transposed_columns(&self, x: &[f64], y: &mut [f64]) {
        let n = self.voxels();
        parallel::for_each_piece(y, n, |j, y| {
            self.apply_transposed_column(&x[j * n..(j + 1) * n], y);
        });
    }

    /// X ← Lᵀ X for the columns in `x`, one after the other.
    pub(super) fn transposed_columns_in_place(&self, x: &mut [f64]) {
        /// Columns that share the copy of one.
        const COLUMNS: usize = 8;
        let n = self.voxels();
        parallel::for_each_piece(x, n * COLUMNS, |_, x| {
            let mut copy = vec![0.0; n];
            for x in x.chunks_exact_mut(n) {
                copy.copy_from_slice(x);
                self.apply_transposed_column(&copy, x);
            }
        });
    }

    /// Whether the constant vector of each connected component is in the kernel of L, up to
    /// rounding: what [`identifiability`](super::identifiability) assumes.
    pub(super) fn rows_sum_to_zero(&self) -> bool {
        self.rows.outer_iterator().all(|row| {
            let (sum, size) =
                row.iter().fold((0.0, 0.0), |(sum, size), (_, v)| (sum + v, size + v.abs()));
            sum.abs() <= 4.0 * f64::EPSILON * size
        })
    }

    /// The connected component of each voxel (numbered from 0 in the order of their first voxels),
    /// and how many there are.
    #[must_use]
    pub fn components(&self) -> (Vec<usize>, usize) {
        let n = self.voxels();
        let mut component = vec![usize::MAX; n];
        let mut count = 0;
        let mut stack = Vec::new();
        for start in 0..n {
            if component[start] != usize::MAX {
                continue;
            }
            component[start] = count;
            stack.push(start);
            while let Some(i) = stack.pop() {
                for matrix in [self.rows.view(), self.by_column()] {
                    let Some(row) = matrix.outer_view(i) else { continue };
                    for (j, &v) in row.iter() {
                        if v != 0.0 && component[j] == usize::MAX {
                            component[j] = count;
                            stack.push(j);
                        }
                    }
                }
            }
            count += 1;
        }
        (component, count)
    }

    /// max |L_ij| summed over a row: a bound on the spectral radius for symmetric L.
    #[must_use]
    pub fn largest_row_sum(&self) -> f64 {
        let sums = self.rows.outer_iterator().map(|row| row.iter().map(|(_, v)| v.abs()).sum());
        sums.fold(0.0, f64::max)
    }
}

/// y ← M x for one column.
#[inline]
pub(super) fn apply_column(matrix: CsMatView<'_, f64>, x: &[f64], y: &mut [f64]) {
    let starts = matrix.indptr();
    let starts = starts.raw_storage();
    let (columns, values) = (matrix.indices(), matrix.data());
    for (i, y) in y.iter_mut().enumerate() {
        let mut sum = 0.0;
        for at in starts[i]..starts[i + 1] {
            sum += values[at] * x[columns[at]];
        }
        *y = sum;
    }
}

/// S ← L_y W + W L_xᵀ, or with the transposed pair S ← L_yᵀ W + W L_x: `left` acts on targets, and
/// row j of `right` says which columns of W make column j. Then S ← `factor` S, and `more` changes each
/// column j of it while it is in the cache.
///
/// W and S: targets × sources, column-major.
pub(super) fn two_sided(
    left: CsMatView<'_, f64>,
    right: CsMatView<'_, f64>,
    factor: f64,
    w: &[f64],
    s: &mut [f64],
    more: impl Fn(usize, &mut [f64]) + Sync,
) {
    let isa = Isa::current();
    let n = left.rows();
    let starts = right.indptr();
    let starts = starts.raw_storage();
    let (columns, values) = (right.indices(), right.data());
    parallel::for_each_piece(s, n, |j, s| {
        apply_column(left, &w[j * n..(j + 1) * n], s);
        for at in starts[j]..starts[j + 1] {
            let k = columns[at];
            level1::axpy(isa, values[at], &w[k * n..(k + 1) * n], s);
        }
        if factor != 1.0 {
            level1::scal(isa, factor, s);
        }
        more(j, s);
    });
}
