//! `laplacian`: graph Laplacians of paths and of boolean grids, free, by region and by hemisphere.

use hesse::connectome::{Smoothing, VoxelLaplacian, VoxelMask};
use hesse::{Error, Result};

use super::problem::{DIRECT, about, compare_scalar, counts, integers, mask};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout.
pub(super) struct Laplacian;

/// The longest path whose dense matrix is compared.
const LONGEST: usize = 4096;

impl Layout for Laplacian {
    fn name(&self) -> &'static str {
        "laplacian"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["mask2", "mask3", "labels3", "m2_x", "m3_x"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let mut compute = || -> Result<()> {
            paths(checks, arrays)?;
            for (grid, name) in [("mask2", "m2"), ("mask3", "m3")] {
                free(checks, arrays, grid, name)?;
            }
            regions(checks, arrays)
        };
        compute().map_err(|error| about(arrays, error))?;
        // Sums over masks of a real cortex that the file does not hold.
        for name in arrays.numbers.keys() {
            if name.starts_with("topview_") || name.starts_with("cortex_") {
                checks.not_recomputed(&[name.as_str()]);
            }
        }
        Ok(())
    }
}

/// `path_7` and `path_16_eigenvalues`.
fn paths(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    for name in arrays.numbers.keys() {
        let Some(rest) = name.strip_prefix("path_") else { continue };
        let (number, eigenvalues) = match rest.strip_suffix("_eigenvalues") {
            Some(number) => (number, true),
            None => (rest, false),
        };
        let Some(n) = number.parse().ok().filter(|n| (1..=LONGEST).contains(n)) else { continue };
        if eigenvalues {
            let mut values = hesse::connectome::CosineModes::new(&[n])?.eigenvalues().to_vec();
            values.sort_by(f64::total_cmp);
            checks.compare(name, DIRECT, &Numbers::vector(values));
        } else {
            let dense = VoxelLaplacian::path(n)?.to_csr().to_dense();
            let values = dense.iter().copied().collect();
            checks.compare(name, Rule::Exact, &Numbers::matrix(n, n, values));
        }
    }
    Ok(())
}

fn compare_csr(checks: &mut Checks<'_>, name: &str, laplacian: &VoxelLaplacian) {
    let csr = laplacian.to_csr();
    let named = |part: &str| format!("{name}_{part}");
    checks.compare(&named("indptr"), Rule::Exact, &counts(&csr.indptr().to_proper()));
    checks.compare(&named("indices"), Rule::Exact, &counts(csr.indices()));
    checks.compare(&named("data"), Rule::Exact, &Numbers::vector(csr.data().to_vec()));
}

/// L x for a block of columns, voxels × columns.
fn times(laplacian: &VoxelLaplacian, x: &Numbers) -> Result<Numbers> {
    let columns = x.values.len() / laplacian.voxels().max(1);
    let mut y = vec![0.0; x.values.len()];
    laplacian.try_apply_rows(columns, &x.values, &mut y)?;
    Ok(Numbers { shape: x.shape.clone(), values: y })
}

fn free(checks: &mut Checks<'_>, arrays: &Arrays, grid: &str, name: &str) -> Result<()> {
    let laplacian = mask(arrays, grid)?.laplacian(Smoothing::free())?;
    compare_csr(checks, name, &laplacian);
    let once = times(&laplacian, arrays.get(&format!("{name}_x"))?)?;
    checks.compare(&format!("{name}_Lx"), DIRECT, &once);
    checks.compare(&format!("{name}_LLx"), DIRECT, &times(&laplacian, &once)?);
    // Fewer voxels than 2³¹.
    let components = laplacian.components() as f64;
    compare_scalar(checks, &format!("{name}_ncomp"), Rule::Exact, components);
    Ok(())
}

/// Labels and hemispheres of the grid of three axes.
fn regions(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let voxels: VoxelMask = mask(arrays, "mask3")?;
    let labels = integers(arrays, "labels3")?;
    let cells: usize = voxels.shape().iter().product();
    if labels.len() != cells {
        return Err(Error::shape("labels3", cells, labels.len()));
    }
    let labels: Vec<i64> = voxels.indices().iter().map(|&cell| labels[cell]).collect();
    let blocked = voxels.laplacian(Smoothing::blocked(&labels))?;
    compare_csr(checks, "m3_boundary", &blocked);
    checks.compare("m3_boundary_Lx", DIRECT, &times(&blocked, arrays.get("m3_x")?)?);
    let order = voxels.region_order(&labels)?;
    checks.compare("m3_region_order", Rule::Exact, &counts(&order));
    let regional = voxels.reordered(&order)?.laplacian(Smoothing::free())?;
    compare_csr(checks, "m3_region", &regional);
    let (ipsi, contra) = voxels.hemispheres();
    let flags: Vec<usize> =
        (0..voxels.len()).map(|i| usize::from(voxels.is_ipsilateral(i))).collect();
    checks.compare("m3_is_ipsi", Rule::Exact, &counts(&flags));
    for (half, name) in [(&ipsi, "m3_ipsi"), (&contra, "m3_contra")] {
        if checks.wants(&[&format!("{name}_indptr")]) {
            compare_csr(checks, name, &voxels.subset(half)?.laplacian(Smoothing::free())?);
        }
    }
    Ok(())
}
