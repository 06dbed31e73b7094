//! The graph Laplacian of a set of voxels, without a matrix.

use hesse_kernels::Isa;
use hesse_kernels::stencil::{self, Run};
use sprs::CsMat;

use super::{Smoothing, VoxelMask};
use crate::krylov::LinearOperator;
use crate::{Error, Real, Result, parallel};

/// Runs end at multiples of so many voxels, so that any multiple is a task.
const PIECE: usize = 512;

/// Elements of one task: below that it costs more to hand it over than to do it.
const TASK: usize = 1 << 15;

/// L: 1 for lattice neighbours, −(number of neighbours) on the diagonal; −L is positive
/// semidefinite, rows and columns sum to 0, xᵀL x = −Σ over edges of (xᵢ − xⱼ)².
///
/// Spacing is one voxel, so there is no 1/h²; at the boundary of the mask this is the natural
/// (Neumann) condition. Voxels are held as runs with neighbours at the same distances, 80 bytes each,
/// see [`hesse_kernels::stencil`]; a product moves x and y once and computes Σ (xⱼ − xᵢ), exactly 0 for
/// constants. Products have the same bits on any number of threads and any instruction set.
#[derive(Clone, Debug)]
pub struct VoxelLaplacian {
    voxels: usize,
    runs: Vec<Run>,
    /// First run of each piece, and their number.
    pieces: Vec<usize>,
}

impl VoxelLaplacian {
    /// `smoothing` has been checked.
    pub(super) fn new(mask: &VoxelMask, smoothing: Smoothing<'_>) -> Self {
        let voxels = mask.len();
        let joined = |i: usize, j: usize| {
            smoothing.labels.is_none_or(|labels| labels[i] == labels[j])
                && !(smoothing.hemispheres_apart
                    && mask.is_ipsilateral(i) != mask.is_ipsilateral(j))
        };
        let mut runs: Vec<Run> = Vec::new();
        let mut pieces = Vec::with_capacity(voxels / PIECE + 2);
        for i in 0..voxels {
            // Numbers of voxels are below 2³¹.
            #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
            let near = mask
                .neighbours(i)
                .map(|j| j.filter(|&j| joined(i, j)).map(|j| (j as i64 - i as i64) as i32));
            let begins = i.is_multiple_of(PIECE);
            if begins {
                pieces.push(runs.len());
            }
            let extended = !begins && runs.last_mut().is_some_and(|last| last.extend(near));
            if !extended {
                #[allow(clippy::cast_possible_truncation)]
                runs.push(Run::of_point(i as u32, near));
            }
        }
        pieces.push(runs.len());
        runs.shrink_to_fit();
        Self { voxels, runs, pieces }
    }

    /// The path of n points: the full 1-dimensional grid.
    ///
    /// # Errors
    /// [`Error::Range`] for none or more than 2³¹.
    pub fn path(n: usize) -> Result<Self> {
        VoxelMask::full(&[n])?.laplacian(Smoothing::free())
    }

    /// Number of voxels.
    #[must_use]
    pub fn voxels(&self) -> usize {
        self.voxels
    }

    /// Number of runs of voxels with neighbours at the same distances: what compression makes of them.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The neighbours of a voxel; none for a number that is no voxel's.
    pub fn neighbours(&self, voxel: usize) -> impl Iterator<Item = usize> + '_ {
        let after = self.runs.partition_point(|run| run.start as usize <= voxel);
        let run = if voxel < self.voxels { self.runs.get(after.wrapping_sub(1)) } else { None };
        // A run has at most 64 voxels.
        #[allow(clippy::cast_possible_truncation)]
        let offsets =
            run.map_or([None; 6], |run| run.neighbours((voxel - run.start as usize) as u32));
        offsets.into_iter().flatten().map(move |o| voxel.wrapping_add_signed(o as isize))
    }

    /// Number of neighbours of a voxel.
    #[must_use]
    pub fn degree(&self, voxel: usize) -> usize {
        self.neighbours(voxel).count()
    }

    /// Number of neighbours of every voxel.
    #[must_use]
    pub fn degrees(&self) -> Vec<usize> {
        let mut degrees = Vec::with_capacity(self.voxels);
        for run in &self.runs {
            degrees.extend((0..run.length).map(|i| run.neighbours(i).iter().flatten().count()));
        }
        degrees
    }

    /// The connected component of each voxel, numbered by their first voxels. O(n).
    #[must_use]
    pub fn component_labels(&self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let mut labels = vec![UNSEEN; self.voxels];
        // The run of each voxel, so that a visit costs O(1).
        let mut run_of = vec![0_u32; self.voxels];
        for (number, run) in self.runs.iter().enumerate() {
            let start = run.start as usize;
            // No more runs than voxels.
            #[allow(clippy::cast_possible_truncation)]
            run_of[start..start + run.length as usize].fill(number as u32);
        }
        let mut waiting = Vec::new();
        let mut components = 0;
        for first in 0..self.voxels {
            if labels[first] != UNSEEN {
                continue;
            }
            labels[first] = components;
            waiting.push(first);
            while let Some(voxel) = waiting.pop() {
                let run = &self.runs[run_of[voxel] as usize];
                #[allow(clippy::cast_possible_truncation)] // At most 64 voxels.
                let near = run.neighbours((voxel - run.start as usize) as u32);
                for offset in near.into_iter().flatten() {
                    let next = voxel.wrapping_add_signed(offset as isize);
                    if labels[next] == UNSEEN {
                        labels[next] = components;
                        waiting.push(next);
                    }
                }
            }
            components += 1;
        }
        labels
    }

    /// Number of connected components: the dimension of the null space.
    #[must_use]
    pub fn components(&self) -> usize {
        self.component_labels().iter().max().map_or(0, |last| last + 1)
    }

    /// The matrix, rows compressed, columns ascending. O(n).
    #[must_use]
    pub fn to_csr(&self) -> CsMat<f64> {
        let mut starts = Vec::with_capacity(self.voxels + 1);
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        starts.push(0);
        for run in &self.runs {
            for i in 0..run.length {
                let voxel = (run.start + i) as usize;
                let near = run.neighbours(i).into_iter().flatten();
                let mut row: Vec<(usize, f64)> =
                    near.map(|o| (voxel.wrapping_add_signed(o as isize), 1.0)).collect();
                row.push((voxel, -(row.len() as f64)));
                row.sort_unstable_by_key(|entry| entry.0);
                columns.extend(row.iter().map(|entry| entry.0));
                values.extend(row.iter().map(|entry| entry.1));
                starts.push(columns.len());
            }
        }
        CsMat::new((self.voxels, self.voxels), starts, columns, values)
    }

    /// y ← L x.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both are as long as there are voxels.
    pub fn try_apply<T: Real>(&self, x: &[T], y: &mut [T]) -> Result<()> {
        self.try_apply_rows(1, x, y)
    }

    /// Y ← L X, row-major: one row of `columns` elements a voxel. 8, 16 or 32 columns cost little
    /// more than one where memory is the limit per element, and vectors are full.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have voxels · columns elements.
    pub fn try_apply_rows<T: Real>(&self, columns: usize, x: &[T], y: &mut [T]) -> Result<()> {
        let elements = self.voxels.checked_mul(columns);
        for (what, got) in
            [("x of the voxel Laplacian", x.len()), ("y of the voxel Laplacian", y.len())]
        {
            if Some(got) != elements {
                return Err(Error::shape(what, (self.voxels, columns), got));
            }
        }
        self.rows(columns, x, y);
        Ok(())
    }

    fn rows<T: Real>(&self, columns: usize, x: &[T], y: &mut [T]) {
        let isa = Isa::current();
        self.for_each_task(columns, y, |runs, first, y| {
            stencil::apply(isa, runs, columns, first, x, y);
        });
    }

    /// Runs `f` on tasks: runs, their first voxel, and the rows of y that are theirs.
    fn for_each_task<T: Real>(
        &self,
        columns: usize,
        y: &mut [T],
        f: impl Fn(&[Run], usize, &mut [T]) + Sync,
    ) {
        if columns == 0 {
            return;
        }
        let pieces = (TASK / (PIECE * columns)).max(1);
        parallel::for_each_piece(y, pieces * PIECE * columns, |task, y| {
            let first = task * pieces;
            let end = (first + pieces).min(self.pieces.len() - 1);
            f(&self.runs[self.pieces[first]..self.pieces[end]], first * PIECE, y);
        });
    }

    /// All runs, in order.
    pub(super) fn all_runs(&self) -> &[Run] {
        &self.runs
    }
}

impl<T: Real> LinearOperator<T> for VoxelLaplacian {
    fn dimension(&self) -> usize {
        self.voxels
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.rows(1, x, y);
    }

    fn recurrence(&self, k: usize, factors: [T; 3], x: &[T], y: &mut [T]) {
        let isa = Isa::current();
        self.for_each_task(k, y, |runs, first, y| {
            stencil::recurrence(isa, runs, k, first, factors, x, y);
        });
    }

    fn bytes_per_product(&self) -> Option<usize> {
        Some(self.voxels * 2 * size_of::<T>() + self.runs.len() * size_of::<Run>())
    }
}
