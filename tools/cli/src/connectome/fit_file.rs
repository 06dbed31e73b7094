//! What a fit leaves in a file, and what `predict` and `collapse` read: weights and their voxels.

use std::path::Path;

use hesse::connectome::{Connectome, FullWeights, Labels, VoxelMask, Weights};
use hesse::error::check_finite;
use hesse::io::{Archive, Array};
use hesse::{Error, Result};

use super::models::Fitted;
use super::voxels::{Problem, Voxels};
use crate::output::Folder;

/// Its name in the folder of `--out`.
pub(super) const NAME: &str = "connectome.npz";

/// A fit from a file.
pub(super) struct SavedFit {
    pub(super) connectome: Connectome,
    pub(super) sources: Voxels,
    pub(super) targets: Voxels,
}

/// Writes weights, voxels, regions and the numbers of the fit.
pub(super) fn write(folder: &Folder, problem: &Problem, fitted: &Fitted) -> Result<()> {
    let connectome = &fitted.connectome;
    let mut arrays = Archive::new();
    match &connectome.weights {
        Weights::Full(w) => {
            arrays.insert("W", Array::from_mat(w.as_mat())?);
        }
        Weights::Factors { u, v } => {
            arrays.insert("U", Array::from_mat(u.as_ref())?);
            arrays.insert("V", Array::from_mat(v.as_ref())?);
        }
    }
    let whole = |values: &[usize]| {
        // Cells of a grid are fewer than 2³¹.
        Array::from_vector(values.iter().map(|&value| value as i64).collect::<Vec<_>>())
    };
    for (side, voxels) in [("source", &problem.sources), ("target", &problem.targets)] {
        arrays.insert(format!("{side}_grid_shape"), whole(voxels.mask.shape()));
        arrays.insert(format!("{side}_cells"), whole(voxels.mask.indices()));
        if !voxels.regions.is_empty() {
            let regions = Array::from_vector(voxels.regions.clone());
            arrays.insert(format!("{side}_regions"), regions);
        }
    }
    for (name, value) in [
        ("objective", connectome.objective),
        ("loss", connectome.loss),
        ("penalty", connectome.penalty),
        ("lambda_eff", connectome.lambda_eff),
        ("kkt", connectome.kkt),
        ("kkt_relative", connectome.kkt_relative),
    ] {
        arrays.insert(name, Array::from_scalar(value));
    }
    if !connectome.trace.is_empty() {
        let points = &connectome.trace;
        let steps = points.iter().map(|point| point.iteration as i64).collect();
        arrays.insert("trace_iteration", Array::from_vector::<i64>(steps));
        let values = points.iter().map(|point| point.value).collect();
        arrays.insert("trace_value", Array::from_vector::<f64>(values));
    }
    if !fitted.singular_values.is_empty() {
        let values = fitted.singular_values.clone();
        arrays.insert("singular_values", Array::from_vector(values));
    }
    if let Some((weights, target_ids, source_ids)) = &fitted.regional {
        arrays.insert("W_regional", Array::from_mat(weights.as_ref())?);
        arrays.insert("regional_targets", Array::from_vector(target_ids.clone()));
        arrays.insert("regional_sources", Array::from_vector(source_ids.clone()));
    }
    arrays.write(folder.path().join(NAME))
}

impl SavedFit {
    /// Reads a file that `hesse connectome fit` has written, or that holds the same arrays: `W`, or `U`
    /// and `V`; `source_cells` with `source_grid_shape` and the same of targets, without which voxels
    /// are a line; `source_regions` and `target_regions`, if any.
    ///
    /// # Errors
    /// Arrays that are missing or do not fit each other.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut arrays = Archive::read(path)?;
        let weights = if arrays.contains("W") {
            // W itself is not kept twice.
            let w = arrays.take("W")?;
            Weights::Full(FullWeights::from_mat(w.to_mat::<f64>()?.as_ref())?)
        } else if arrays.contains("U") {
            let factor = |name: &str| -> Result<_> {
                let factor = arrays.get(name)?;
                check_finite(factor.label(), &factor.to_f64()?)?;
                factor.to_mat::<f64>()
            };
            Weights::Factors { u: factor("U")?, v: factor("V")? }
        } else {
            // Names those that are there.
            arrays.get("W")?;
            return Err(Error::empty("weights"));
        };
        let (targets, sources) = match &weights {
            Weights::Full(w) => (w.targets(), w.sources()),
            Weights::Factors { u, v } => (u.nrows(), v.nrows()),
        };
        let side = |side: &str, voxels: usize| -> Result<Voxels> {
            let named = |what: &str| format!("{side}_{what}");
            let mask = if arrays.contains(&named("cells")) {
                let shape = arrays.get(&named("grid_shape"))?.to_indices()?;
                let cells = arrays.get(&named("cells"))?;
                if cells.len() != voxels {
                    return Err(Error::shape(cells.label(), voxels, cells.len()));
                }
                VoxelMask::from_indices(&shape, &cells.to_indices()?)?
            } else {
                VoxelMask::full(&[voxels])?
            };
            let regions = match arrays.contains(&named("regions")) {
                true => super::voxels::regions(arrays.get(&named("regions"))?, &mask)?,
                false => Vec::new(),
            };
            Ok(Voxels { mask, regions })
        };
        let (sources, targets) = (side("source", sources)?, side("target", targets)?);
        let labels = Labels {
            source_regions: sources.regions.clone(),
            target_regions: targets.regions.clone(),
            ..Labels::default()
        };
        Ok(Self { connectome: Connectome::from_weights(weights, labels)?, sources, targets })
    }
}
