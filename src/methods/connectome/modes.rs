//! The smoothest modes of a set of voxels.

use faer::Mat;

use super::VoxelLaplacian;
use crate::krylov::{Lanczos, Status};
use crate::{Error, Result};

/// Eigenvectors of a voxel Laplacian for its eigenvalues nearest to 0.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Modes {
    /// Eigenvalues, 0 ≥ μ₁ ≥ μ₂ ≥ …; those of the null space are 0 exactly.
    pub values: Vec<f64>,
    /// Orthonormal eigenvectors, one a column: n × k.
    pub vectors: Mat<f64>,
    /// ‖L v − μ v‖ of each, as recomputed by the eigensolver; 0 in the null space.
    pub residuals: Vec<f64>,
    /// Whether all have converged to residuals of 10⁻⁸|μ|.
    pub status: Status,
}

impl VoxelLaplacian {
    /// The k eigenpairs with eigenvalues nearest to 0, the smoothest functions on the voxels.
    ///
    /// First the null space: the constants on each connected component (exact, ordered by first
    /// voxel); then the others by [`Lanczos`] in its complement. Memory: n·(k + some 60) numbers.
    ///
    /// # Errors
    /// [`Error::Range`] unless 1 ≤ k ≤ voxels.
    pub fn lowest_modes(&self, k: usize) -> Result<Modes> {
        let n = self.voxels();
        if !(1..=n).contains(&k) {
            return Err(Error::range("number of modes", format!("1 to {n}"), k));
        }
        let labels = self.component_labels();
        let mut sizes = vec![0_usize; labels.iter().max().map_or(0, |last| last + 1)];
        labels.iter().for_each(|&label| sizes[label] += 1);
        let constant = sizes.len().min(k);
        let mut vectors = Mat::<f64>::zeros(n, k);
        for (voxel, &label) in labels.iter().enumerate() {
            if label < constant {
                vectors[(voxel, label)] = 1.0 / (sizes[label] as f64).sqrt();
            }
        }
        let mut values = vec![0.0; constant];
        let mut residuals = vec![0.0; constant];
        let mut status = Status::Converged;
        if k > constant {
            let null: Vec<f64> = (0..n * constant).map(|i| vectors[(i % n, i / n)]).collect();
            let rest = Lanczos::new(self).largest(k - constant).deflate(&null).run()?;
            for j in 0..k - constant {
                for i in 0..n {
                    vectors[(i, constant + j)] = rest.vectors[(i, j)];
                }
            }
            // Rounding may leave the smallest ones on the wrong side of 0.
            values.extend(rest.values.iter().map(|&value| if value < 0.0 { value } else { 0.0 }));
            residuals.extend_from_slice(&rest.residuals);
            status = rest.status;
        }
        Ok(Modes { values, vectors, residuals, status })
    }
}
