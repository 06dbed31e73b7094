//! `hesse connectome collapse`: sums of W over pairs of regions.

use std::path::PathBuf;

use clap::ValueEnum;
use hesse::Error;
use hesse::connectome::RegionalMatrix;
use hesse::faer::Mat;
use hesse::io::{Archive, Array, Format};
use serde::Serialize;

use super::fit_file::SavedFit;
use super::voxels::{Voxels, regions};
use crate::failure::{Failure, Verdict};
use crate::figure::heatmap;
use crate::output::{Folder, Output, to_json};
use crate::table::Table;
use crate::units::three;

/// The most regions a side that a table shows.
const MOST: usize = 12;

/// Sum W over pairs of regions
///
/// strength: the sum of W over all pairs of voxels; density: strength over the voxels of the target
/// region; normalized-strength: over those of the source region; normalized-density: over both. Region
/// 0 is left out. Factors are summed as such. Prints one of the four (source regions downwards); with
/// --out, writes regional.npz and regional.csv with all of them, collapse.json and regional.svg.
#[derive(Debug, clap::Args)]
pub(super) struct CollapseArguments {
    /// The fit: connectome.npz of hesse connectome fit, or a file with W, or U and V
    #[arg(value_name = "FIT")]
    fit: PathBuf,
    /// Regions of both sides [default: those of the fit]
    #[arg(long, value_name = "FILE[:NAME]", conflicts_with_all = ["source_regions", "target_regions"])]
    regions: Option<String>,
    /// Regions of source voxels
    #[arg(long, value_name = "FILE[:NAME]")]
    source_regions: Option<String>,
    /// Regions of target voxels
    #[arg(long, value_name = "FILE[:NAME]")]
    target_regions: Option<String>,
    /// What is printed and drawn
    #[arg(long, value_enum, default_value_t = Measure::NormalizedDensity)]
    measure: Measure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Measure {
    /// Sum over pairs of voxels
    Strength,
    /// Over the voxels of the target region
    Density,
    /// Over the voxels of the source region
    NormalizedStrength,
    /// Over the voxels of both
    NormalizedDensity,
}

impl Measure {
    fn of(self, matrix: &RegionalMatrix) -> &Mat<f64> {
        match self {
            Measure::Strength => &matrix.strength,
            Measure::Density => &matrix.density,
            Measure::NormalizedStrength => &matrix.normalized_strength,
            Measure::NormalizedDensity => &matrix.normalized_density,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Measure::Strength => "strength",
            Measure::Density => "density",
            Measure::NormalizedStrength => "normalized_strength",
            Measure::NormalizedDensity => "normalized_density",
        }
    }

    const ALL: [Self; 4] = [
        Measure::Strength,
        Measure::Density,
        Measure::NormalizedStrength,
        Measure::NormalizedDensity,
    ];
}

#[derive(Clone, Debug, Serialize)]
struct Summary {
    source_regions: Vec<i64>,
    target_regions: Vec<i64>,
    source_voxels: Vec<usize>,
    target_voxels: Vec<usize>,
    /// The sum of W over all voxels that are in regions.
    total_strength: f64,
    measure: Measure,
    /// Source regions × target regions.
    matrix: Vec<Vec<f64>>,
}

/// Runs `hesse connectome collapse`.
pub(super) fn run(arguments: &CollapseArguments, output: &Output) -> Result<Verdict, Failure> {
    let saved = SavedFit::read(&arguments.fit)?;
    let key = |side: &str, own: &Option<String>, voxels: &Voxels| -> Result<Vec<i64>, Failure> {
        match own.as_ref().or(arguments.regions.as_ref()) {
            Some(file) => Ok(regions(&hesse::io::read(file)?, &voxels.mask)?),
            None if voxels.regions.is_empty() => {
                Err(Error::empty(format!("regions of {side} voxels")).into())
            }
            None => Ok(voxels.regions.clone()),
        }
    };
    let source_key = key("source", &arguments.source_regions, &saved.sources)?;
    let target_key = key("target", &arguments.target_regions, &saved.targets)?;
    let matrix = saved.connectome.collapse_by(&source_key, &target_key)?;
    let rows = rows(arguments.measure.of(&matrix));
    let summary = Summary {
        source_regions: matrix.source_ids.clone(),
        target_regions: matrix.target_ids.clone(),
        source_voxels: matrix.source_counts.clone(),
        target_voxels: matrix.target_counts.clone(),
        total_strength: self::rows(&matrix.strength).iter().flatten().sum(),
        measure: arguments.measure,
        matrix: rows,
    };
    if let Some(folder) = output.folder() {
        write(folder, &matrix, &summary)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&text(&summary))?;
    }
    Ok(Verdict::Holds)
}

fn rows(matrix: &Mat<f64>) -> Vec<Vec<f64>> {
    (0..matrix.nrows()).map(|i| (0..matrix.ncols()).map(|j| matrix[(i, j)]).collect()).collect()
}

fn write(folder: &Folder, matrix: &RegionalMatrix, summary: &Summary) -> Result<(), Failure> {
    let mut arrays = Archive::new();
    let mut table = "source_region,target_region,source_voxels,target_voxels".to_owned();
    for measure in Measure::ALL {
        arrays.insert(measure.name(), Array::from_mat(measure.of(matrix).as_ref())?);
        table += &format!(",{}", measure.name());
    }
    table += "\n";
    let counts = |counts: &[usize]| {
        // Fewer than 2³¹ voxels.
        Array::from_vector(counts.iter().map(|&n| n as i64).collect::<Vec<_>>())
    };
    arrays.insert("source_regions", Array::from_vector(matrix.source_ids.clone()));
    arrays.insert("target_regions", Array::from_vector(matrix.target_ids.clone()));
    arrays.insert("source_voxels", counts(&matrix.source_counts));
    arrays.insert("target_voxels", counts(&matrix.target_counts));
    for (i, source) in matrix.source_ids.iter().enumerate() {
        for (j, target) in matrix.target_ids.iter().enumerate() {
            let (from, to) = (matrix.source_counts[i], matrix.target_counts[j]);
            table += &format!("{source},{target},{from},{to}");
            for measure in Measure::ALL {
                table += &format!(",{:e}", measure.of(matrix)[(i, j)]);
            }
            table += "\n";
        }
    }
    folder.write("regional.npz", &arrays.to_bytes(Format::Npz)?)?;
    folder.write("regional.csv", table.as_bytes())?;
    folder.write("collapse.json", (to_json(summary)? + "\n").as_bytes())?;
    let title = format!("W by region: {}", summary.measure.name().replace('_', " "));
    let picture = heatmap(&title, "target region", "source region", &summary.matrix);
    folder.write("regional.svg", picture.as_bytes())?;
    Ok(())
}

fn text(summary: &Summary) -> String {
    let name = summary.measure.name().replace('_', " ");
    let (sources, targets) = (&summary.source_regions, &summary.target_regions);
    let mut table = Table::new().numbers("from \\ to");
    for target in targets.iter().take(MOST) {
        table = table.numbers(&target.to_string());
    }
    for (source, row) in sources.iter().zip(&summary.matrix).take(MOST) {
        let cells = row.iter().take(MOST).map(|value| three(*value));
        table.row([source.to_string()].into_iter().chain(cells));
    }
    let mut text = format!("{name} of {} × {} regions\n{table}", sources.len(), targets.len());
    if sources.len().max(targets.len()) > MOST {
        text += &format!("the first {MOST} regions; --out writes all\n");
    }
    text + &format!("total strength {:.8e}\n", summary.total_strength)
}
