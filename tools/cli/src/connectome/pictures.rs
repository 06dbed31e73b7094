//! Pictures of W and of images on voxels, of any size.

use hesse::Result;
use hesse::connectome::{Connectome, TracePoint};

use super::voxels::Voxels;
use crate::figure::{Figure, heatmap};

/// The most cells along a side of a picture.
const MOST: usize = 100;

/// The most points of a curve.
const POINTS: usize = 1000;

/// The most planes of a volume in one picture.
const PLANES: usize = 6;

/// W, target voxels downwards and source voxels to the right, by region where there are regions; a cell
/// is the mean over a block of voxels.
///
/// # Errors
/// Those of the library.
pub(super) fn weights(
    connectome: &Connectome,
    sources: &Voxels,
    targets: &Voxels,
) -> Result<String> {
    let (by_source, by_target) = (blocks(sources), blocks(targets));
    let means = connectome.collapse_by(&by_source, &by_target)?.normalized_density;
    let rows: Vec<Vec<f64>> =
        (0..means.ncols()).map(|t| (0..means.nrows()).map(|s| means[(s, t)]).collect()).collect();
    let label = |side: &str, voxels: &Voxels| {
        let size = voxels.mask.len().div_ceil(MOST);
        let order = if voxels.regions.is_empty() { "" } else { " by region" };
        match size {
            1 => format!("{side} voxels{order}"),
            _ => format!("{side} voxels{order}, in blocks of up to {size}"),
        }
    };
    Ok(heatmap("W", &label("source", sources), &label("target", targets), &rows))
}

/// The block of each voxel, from 1, at most [`MOST`] of them.
fn blocks(voxels: &Voxels) -> Vec<i64> {
    let n = voxels.mask.len();
    let mut order: Vec<usize> = (0..n).collect();
    if !voxels.regions.is_empty() {
        order.sort_by_key(|&i| voxels.regions[i]);
    }
    let size = n.div_ceil(MOST);
    let mut block = vec![0; n];
    for (rank, &i) in order.iter().enumerate() {
        // At most 100.
        block[i] = (rank / size) as i64 + 1;
    }
    block
}

/// One number a voxel on the grid: a curve on a line, the plane itself, or planes across the first axis of
/// a volume.
pub(super) fn image(title: &str, voxels: &Voxels, values: &[f64]) -> String {
    let shape = voxels.mask.shape();
    let mut cells = vec![f64::NAN; shape.iter().product()];
    voxels.mask.indices().iter().zip(values).for_each(|(&cell, &value)| cells[cell] = value);
    match *shape {
        [n] => {
            let points = (0..n).map(|i| (i as f64, cells[i]));
            Figure::new(title, "voxel", "weight").line("", points).to_svg()
        }
        [rows, columns] => {
            heatmap(title, "second axis", "first axis", &reduced(&cells, rows, columns))
        }
        [_, rows, columns] => {
            let chosen = planes(&cells, rows * columns);
            let pictures: Vec<Vec<Vec<f64>>> = chosen
                .iter()
                .map(|&plane| {
                    let cells = &cells[plane * rows * columns..(plane + 1) * rows * columns];
                    reduced(cells, rows, columns)
                })
                .collect();
            let names = chosen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let label = format!("planes {names} of the first axis; third axis to the right");
            heatmap(title, &label, "second axis", &side_by_side(&pictures))
        }
        // Masks have one to three axes.
        _ => Figure::new(title, "voxel", "weight").to_svg(),
    }
}

/// At most [`PLANES`] planes of a volume: that of the largest value, and others evenly among those with
/// voxels.
fn planes(cells: &[f64], size: usize) -> Vec<usize> {
    let occupied: Vec<usize> = cells
        .chunks_exact(size)
        .enumerate()
        .filter(|(_, plane)| plane.iter().any(|value| !value.is_nan()))
        .map(|(i, _)| i)
        .collect();
    let largest =
        (0..cells.len()).filter(|&i| !cells[i].is_nan()).fold(None, |best, i| match best {
            Some(best) if cells[i] <= cells[best] => Some(best),
            _ => Some(i),
        });
    let count = occupied.len().min(PLANES);
    let mut chosen: Vec<usize> =
        (0..count).map(|k| occupied[(2 * k + 1) * occupied.len() / (2 * count)]).collect();
    if let Some(plane) = largest.map(|cell| cell / size)
        && !chosen.contains(&plane)
        && let Some(nearest) = chosen.iter_mut().min_by_key(|other| other.abs_diff(plane))
    {
        *nearest = plane;
    }
    chosen.sort_unstable();
    chosen
}

/// Means over square blocks, so that no side is longer than [`MOST`]; NaN where there is no voxel.
fn reduced(cells: &[f64], rows: usize, columns: usize) -> Vec<Vec<f64>> {
    let size = rows.max(columns).div_ceil(MOST).max(1);
    let mean = |r: usize, c: usize| {
        let (mut sum, mut count) = (0.0, 0.0);
        for i in r * size..((r + 1) * size).min(rows) {
            for j in c * size..((c + 1) * size).min(columns) {
                let value = cells[i * columns + j];
                if !value.is_nan() {
                    sum += value;
                    count += 1.0;
                }
            }
        }
        // 0/0 is NaN.
        sum / count
    };
    (0..rows.div_ceil(size))
        .map(|r| (0..columns.div_ceil(size)).map(|c| mean(r, c)).collect())
        .collect()
}

/// Pictures of the same height with a column of nothing between them.
fn side_by_side(pictures: &[Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
    let rows = pictures.first().map_or(0, Vec::len);
    (0..rows)
        .map(|r| {
            let mut row = Vec::new();
            for picture in pictures {
                if !row.is_empty() {
                    row.push(f64::NAN);
                }
                row.extend_from_slice(&picture[r]);
            }
            row
        })
        .collect()
}

/// The course of a fit.
pub(super) fn course(trace: &[TracePoint], what: &str) -> String {
    // As many points as can be seen, and the last; counts below 2⁵³.
    let stride = trace.len().div_ceil(POINTS).max(1);
    let shown = trace.iter().step_by(stride).chain(trace.last());
    let points = shown.map(|point| (point.iteration as f64, point.value));
    Figure::new("Course of the fit", "iteration", what).log_y().line("", points).to_svg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hesse::connectome::VoxelMask;

    #[test]
    fn blocks_follow_regions_and_cover_all_voxels() {
        let mask = VoxelMask::full(&[250]).unwrap();
        let regions = (0..250).map(|i| i64::from(i < 125)).collect();
        let of = blocks(&Voxels { mask, regions });
        // Three voxels a block; the voxels of region 0, which come last, fill the first blocks.
        assert_eq!((of[125], of[127], of[128], of[0]), (1, 1, 2, 42));
        assert_eq!(of.iter().max(), Some(&84));
    }

    #[test]
    fn large_images_are_means_of_blocks() {
        let cells: Vec<f64> = (0..150 * 120).map(|i| (i % 120) as f64).collect();
        let small = reduced(&cells, 150, 120);
        assert_eq!((small.len(), small[0].len()), (75, 60));
        assert_eq!(small[3][5], 10.5);
    }

    #[test]
    fn a_volume_shows_the_plane_of_its_largest_value() {
        let mut cells = vec![f64::NAN; 20 * 4];
        cells[4 * 3..4 * 18].fill(0.5);
        cells[4 * 11 + 2] = 7.0;
        let chosen = planes(&cells, 4);
        assert_eq!(chosen.len(), PLANES);
        assert!(chosen.contains(&11) && chosen.iter().all(|p| (3..18).contains(p)), "{chosen:?}");
        assert_eq!(planes(&[f64::NAN; 8], 4), [0_usize; 0]);
    }
}
