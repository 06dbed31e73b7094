//! The voxels of both sides: their places on the grid, their regions, their Laplacians.

use hesse::connectome::{
    IdentifiabilityReport, Labels, Smoothing, SmoothingOperator, TracingData, VoxelMask,
    identifiability,
};
use hesse::faer::Mat;
use hesse::io::Array;
use hesse::{Error, Result};

use super::arguments::{TracingArguments, VoxelArguments};
use super::tracing_file::{Seen, TracingFile};
use crate::failure::Failure;

/// The voxels of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Voxels {
    pub(super) mask: VoxelMask,
    /// The region of each; empty if nobody said.
    pub(super) regions: Vec<i64>,
}

/// Data with the voxels that they lie on.
pub(super) struct Problem {
    pub(super) data: TracingData,
    pub(super) sources: Voxels,
    pub(super) targets: Voxels,
    pub(super) lx: SmoothingOperator,
    pub(super) ly: SmoothingOperator,
    pub(super) seen: Seen,
    /// Arrays of the file that were not used.
    pub(super) unused: Vec<String>,
}

impl Problem {
    /// Reads everything.
    pub(super) fn read(
        tracing: &TracingArguments,
        voxels: &VoxelArguments,
    ) -> Result<Self, Failure> {
        let file = TracingFile::read(tracing)?;
        let sources = Voxels::read(&file, "source", voxels)?;
        let targets = Voxels::read(&file, "target", voxels)?;
        let labels = Labels {
            source_regions: sources.regions.clone(),
            target_regions: targets.regions.clone(),
            ..Labels::default()
        };
        let same = sources.mask == targets.mask;
        let (data, seen) = file.data((sources.mask.len(), targets.mask.len()), same, labels)?;
        let (lx, ly) = (sources.operator("source", voxels)?, targets.operator("target", voxels)?);
        Ok(Self { data, sources, targets, lx, ly, seen, unused: file.unused() })
    }

    /// Whether the data determine W.
    pub(super) fn identifiability(&self) -> Result<IdentifiabilityReport> {
        identifiability(&self.data, &self.lx, &self.ly)
    }
}

impl Voxels {
    /// Those of `side`, which is `source` or `target`.
    fn read(file: &TracingFile, side: &str, arguments: &VoxelArguments) -> Result<Self, Failure> {
        let own = |name: &str| format!("{side}_{name}");
        let grid = file.find(&[&own("mask"), "mask"]);
        let places = file.find(&[&own("coordinates"), "coordinates"]);
        let mask = match (grid, places, &arguments.grid) {
            (Some(grid), None, None) => {
                let inside: Vec<bool> = grid.to_f64()?.iter().map(|value| *value != 0.0).collect();
                VoxelMask::from_bool_grid(grid.shape(), &inside)?
            }
            (None, Some(places), None) => {
                let shape = file.get(&[&own("grid_shape"), "grid_shape"])?.to_indices()?;
                if places.shape().len() != 2 || places.shape()[1] != shape.len() {
                    let expected = format!("voxels × {} coordinates", shape.len());
                    let got = format!("shape {:?}", places.shape());
                    return Err(Error::range(places.label(), expected, got).into());
                }
                VoxelMask::from_coordinates(&shape, &places.to_indices()?)?
            }
            (None, None, Some(shape)) => VoxelMask::full(&shape.0)?,
            (None, None, None) => {
                return Err(Failure::input(format!(
                    "{side} voxels: expected an array {side}_mask, mask, {side}_coordinates or \
                     coordinates, or --grid, got none"
                )));
            }
            _ => {
                return Err(Failure::input(format!(
                    "{side} voxels: expected one of a mask, coordinates and --grid, got several"
                )));
            }
        };
        let regions = match file.find(&[&own("regions"), "regions"]) {
            Some(array) => regions(array, &mask)?,
            None => Vec::new(),
        };
        Ok(Self { mask, regions })
    }

    fn operator(&self, side: &str, arguments: &VoxelArguments) -> Result<SmoothingOperator> {
        if arguments.within_regions && self.regions.is_empty() {
            let what = format!("regions of {side} voxels for --within-regions");
            return Err(Error::empty(what));
        }
        if !arguments.within_regions && !arguments.hemispheres_apart {
            return SmoothingOperator::of_voxels(&self.mask);
        }
        let mut smoothing = match arguments.within_regions {
            true => Smoothing::blocked(&self.regions),
            false => Smoothing::free(),
        };
        if arguments.hemispheres_apart {
            smoothing = smoothing.hemispheres_apart();
        }
        Ok(SmoothingOperator::from(self.mask.laplacian(smoothing)?))
    }

    /// Coordinates, voxels × axes.
    pub(super) fn places(&self) -> Mat<f64> {
        let axes = self.mask.shape().len();
        let mut out = Mat::<f64>::zeros(self.mask.len(), axes);
        for i in 0..self.mask.len() {
            for (a, x) in self.mask.coordinates(i).into_iter().flatten().enumerate() {
                // Below 2³¹.
                out[(i, a)] = x as f64;
            }
        }
        out
    }

    /// The coordinates of a voxel as text: `3:4`.
    pub(super) fn name(&self, voxel: usize) -> String {
        let place = self.mask.coordinates(voxel).unwrap_or_default();
        place.iter().map(ToString::to_string).collect::<Vec<_>>().join(":")
    }
}

/// The region of each voxel, from a list of them or from a grid.
pub(super) fn regions(array: &Array, mask: &VoxelMask) -> Result<Vec<i64>> {
    let values = array.to_f64()?;
    let by_cell = array.shape() == mask.shape();
    if !by_cell && values.len() != mask.len() {
        let expected = format!("{} voxels, or the grid {:?}", mask.len(), mask.shape());
        return Err(Error::range(array.label(), expected, format!("shape {:?}", array.shape())));
    }
    let of = |i: usize| if by_cell { values[mask.indices()[i]] } else { values[i] };
    (0..mask.len())
        .map(|i| {
            let value = of(i);
            // Exact up to 2⁵³.
            if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
                Ok(value as i64)
            } else {
                Err(Error::range(array.label(), "whole numbers", format!("{value} of voxel {i}")))
            }
        })
        .collect()
}
