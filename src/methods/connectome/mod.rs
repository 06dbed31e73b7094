//! Voxel-to-voxel connectivity from a few tracing experiments: sets of voxels and their graph
//! Laplacians.
//!
//! | | |
//! |---|---|
//! | [`VoxelMask`] | some cells of a 1-, 2- or 3-dimensional grid, in any order |
//! | [`VoxelLaplacian`] | their graph Laplacian L, free or blocked by regions, without a matrix |
//! | [`ProductLaplacian`] | W ↦ L_y W + W L_xᵀ for a connectivity W, and its square |
//! | [`Modes`], [`CosineModes`] | the smoothest eigenvectors of L; all of them on a full box |
//!
//! Source: Harris, Mihalas, Shea-Brown, *High resolution neural connectivity from incomplete
//! tracing data using nonnegative spline regression*, NIPS 2016 (arXiv 1605.08031), section 2.

mod cosine_modes;
mod modes;
mod product_laplacian;
mod voxel_laplacian;
mod voxel_mask;

pub use cosine_modes::CosineModes;
pub use modes::Modes;
pub use product_laplacian::ProductLaplacian;
pub use voxel_laplacian::VoxelLaplacian;
pub use voxel_mask::{Smoothing, VoxelMask};
