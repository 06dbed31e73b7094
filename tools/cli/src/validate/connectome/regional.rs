//! `regional`: the models by region and by distance, their errors, and sums of W by region.

use hesse::connectome::{
    DistanceKernel, FullWeights, HomogeneousModel, KernelModel, RegionalMatrix, TracingData,
    Weights, well_conditioned_columns,
};
use hesse::faer::{Mat, MatRef};
use hesse::{Error, Result};

use super::problem::{
    DIRECT, MINIMISER, OPTIMUM, about, compare_scalar, counts, data, integers, matrix, numbers,
    path, triplets,
};
use crate::connectome_scores::leave_one_out_scores;
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout.
pub(super) struct Regional;

/// Condition numbers of up to 10⁶, which are as good as their smallest singular value: to 10⁻¹⁰.
const CONDITION: Rule = Rule::Relative(1e-8);

impl Layout for Regional {
    fn name(&self) -> &'static str {
        "regional"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["X", "Y", "Omega", "lam", "key", "alpha"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[
            "col_U",
            "col_V",
            "col_source_key",
            "col_target_key",
            "cond_X",
            "cond_kappa",
            "nw_centroids",
            "nw_Y",
            "nw_gamma",
            "nw_support",
        ]);
        let mut compute = || -> Result<()> {
            let data = data(arrays, "")?;
            let key = integers(arrays, "key")?;
            models(checks, arrays, &data, &key)?;
            scores(checks, arrays, &data, &key)?;
            sums(checks, arrays)?;
            conditioning(checks, arrays)?;
            kernels(checks, arrays)
        };
        compute().map_err(|error| about(arrays, error))
    }
}

/// Sums of rows by region: P A.
fn by_region(key: &[i64], regions: &[i64], a: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::<f64>::zeros(regions.len(), a.ncols());
    for j in 0..a.ncols() {
        for (i, region) in key.iter().enumerate() {
            if let Ok(r) = regions.binary_search(region) {
                out[(r, j)] += a[(i, j)];
            }
        }
    }
    out
}

/// Numbers of regions, below 2⁵³.
fn ids(values: &[i64]) -> Numbers {
    Numbers::vector(values.iter().map(|&id| id as f64).collect())
}

fn models(checks: &mut Checks<'_>, arrays: &Arrays, data: &TracingData, key: &[i64]) -> Result<()> {
    let fit = HomogeneousModel::new().fit(data, key, key)?;
    checks.compare("regions", Rule::Exact, &ids(&fit.source_ids));
    checks.compare("W_regional", OPTIMUM, &numbers(fit.weights.as_ref()));
    compare_scalar(checks, "cond_X_regional", CONDITION, fit.condition);
    let ridge = HomogeneousModel::new().ridge(arrays.scalar("alpha")?).fit(data, key, key)?;
    checks.compare("W_regional_ridge", OPTIMUM, &numbers(ridge.weights.as_ref()));
    let regions = &fit.source_ids;
    let indicator = |r: usize, i: usize| f64::from(u8::from(key[i] == regions[r]));
    let p = Mat::from_fn(regions.len(), key.len(), indicator);
    checks.compare("P", Rule::Exact, &numbers(p.as_ref()));
    let x = by_region(key, regions, matrix(arrays, "X")?.as_ref());
    checks.compare("X_regional", DIRECT, &numbers(x.as_ref()));
    let y = by_region(key, regions, data.projections());
    checks.compare("Y_regional", DIRECT, &numbers(y.as_ref()));
    Ok(())
}

/// Errors of both models when one experiment is left out, over voxels and over regions.
fn scores(checks: &mut Checks<'_>, arrays: &Arrays, data: &TracingData, key: &[i64]) -> Result<()> {
    let names =
        ["loo_voxel_voxel", "loo_voxel_regional", "loo_regional_voxel", "loo_regional_regional"];
    if !checks.wants(&names) {
        return Ok(());
    }
    let (lx, ly) = (path(data.sources())?, path(data.targets())?);
    let scores = leave_one_out_scores(data, key, &lx, &ly, arrays.scalar("lam")?)?;
    for (name, scores) in names.into_iter().zip(scores) {
        checks.compare(name, MINIMISER, &Numbers::vector(scores));
    }
    Ok(())
}

/// Sums of factors, and of their product, by region.
fn sums(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    if !checks.wants(&["col_strength", "col_density", "col_norm_strength", "col_norm_density"]) {
        return Ok(());
    }
    let (u, v) = (matrix(arrays, "col_U")?, matrix(arrays, "col_V")?);
    if u.ncols() != v.ncols() {
        return Err(Error::shape("columns of col_V", u.ncols(), v.ncols()));
    }
    let (source, target) =
        (integers(arrays, "col_source_key")?, integers(arrays, "col_target_key")?);
    let full = FullWeights::from_mat((&u * v.transpose()).as_ref())?;
    for weights in [Weights::Full(full), Weights::Factors { u, v }] {
        let sums = RegionalMatrix::from_weights(&weights, &source, &target)?;
        for (name, matrix) in [
            ("col_strength", &sums.strength),
            ("col_density", &sums.density),
            ("col_norm_strength", &sums.normalized_strength),
            ("col_norm_density", &sums.normalized_density),
        ] {
            checks.compare(name, DIRECT, &numbers(matrix.as_ref()));
        }
        if matches!(weights, Weights::Factors { .. }) {
            checks.compare("col_source_regions", Rule::Exact, &ids(&sums.source_ids));
            checks.compare("col_target_regions", Rule::Exact, &ids(&sums.target_ids));
            checks.compare("col_source_counts", Rule::Exact, &counts(&sums.source_counts));
            checks.compare("col_target_counts", Rule::Exact, &counts(&sums.target_counts));
        }
    }
    Ok(())
}

/// Columns dropped one at a time, and the condition numbers before and after.
fn conditioning(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    if !checks.wants(&["cond_columns_kept", "cond_of_X", "cond_after"]) {
        return Ok(());
    }
    let x = matrix(arrays, "cond_X")?;
    let kept = well_conditioned_columns(x.as_ref(), arrays.scalar("cond_kappa")?)?;
    checks.compare("cond_columns_kept", Rule::Exact, &counts(&kept));
    let condition = |a: MatRef<'_, f64>| -> Result<f64> {
        let values = triplets(a, a.nrows().min(a.ncols()))?.values;
        Ok(values[0] / values[values.len() - 1])
    };
    compare_scalar(checks, "cond_of_X", CONDITION, condition(x.as_ref())?);
    let left = Mat::from_fn(x.nrows(), kept.len(), |i, j| x[(i, kept[j])]);
    compare_scalar(checks, "cond_after", CONDITION, condition(left.as_ref())?);
    Ok(())
}

/// The grid whose voxels have the kernel's weights: that of the reference.
const GRID: [usize; 3] = [4, 5, 3];

fn kernels(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    if !checks.wants(&["nw_weights", "nw_pred", "nw_biweight_weights", "nw_loo_mse"]) {
        return Ok(());
    }
    let (centroids, y) = (matrix(arrays, "nw_centroids")?, matrix(arrays, "nw_Y")?);
    if centroids.nrows() != y.nrows() {
        return Err(Error::shape("nw_Y", centroids.nrows(), y.nrows()));
    }
    let [_, rows, columns] = GRID;
    let cells: usize = GRID.iter().product();
    let place = |i: usize, axis: usize| -> f64 {
        // Below 60.
        [i / (rows * columns), i / columns % rows, i % columns][axis] as f64
    };
    let places = Mat::from_fn(cells, 3, place);
    let gamma = arrays.scalar("nw_gamma")?;
    let gaussian = KernelModel::new(DistanceKernel::Gaussian { gamma })?;
    let weights = gaussian.weights(places.as_ref(), centroids.as_ref())?;
    checks.compare("nw_weights", DIRECT, &numbers(weights.as_ref()));
    checks.compare("nw_pred", DIRECT, &numbers((&weights * &y).as_ref()));
    let support = arrays.scalar("nw_support")?;
    let compact = KernelModel::new(DistanceKernel::Compact { support, power: 2 })?;
    let weights = compact.weights(places.as_ref(), centroids.as_ref())?;
    checks.compare("nw_biweight_weights", DIRECT, &numbers(weights.as_ref()));
    // Experiments are rows of the file's projections.
    let left_out = gaussian.leave_one_out(centroids.as_ref(), y.transpose())?;
    let mut sum = 0.0;
    for e in 0..y.nrows() {
        sum += (0..y.ncols()).map(|t| (left_out[(t, e)] - y[(e, t)]).powi(2)).sum::<f64>();
    }
    // Few entries.
    let mean = sum / (y.nrows() * y.ncols()) as f64;
    compare_scalar(checks, "nw_loo_mse", DIRECT, mean);
    Ok(())
}
