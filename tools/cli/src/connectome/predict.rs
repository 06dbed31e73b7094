//! `hesse connectome predict`: projections of injections, and rows and columns of W.

use std::path::PathBuf;
use std::str::FromStr;

use hesse::connectome::{Denominator, Labels, mse_rel};
use hesse::faer::Mat;
use hesse::io::{Archive, Array, Format};
use hesse::{Error, Result};
use serde::Serialize;

use super::arguments::TracingArguments;
use super::fit_file::SavedFit;
use super::pictures;
use super::tracing_file::{TracingFile, dense_injections};
use super::voxels::Voxels;
use crate::failure::{Failure, Verdict};
use crate::output::{Folder, Output, to_json};
use crate::table::Table;
use crate::units::three;

/// The most pictures of one kind.
const PICTURES: usize = 12;

/// Predict the projections of injections, or take rows and columns out of W
///
/// With DATA, W X for its injections, and the relative error where it holds projections too. With --out,
/// writes predictions.npz (projections: targets × experiments; columns: targets × chosen; rows: chosen ×
/// sources), predict.json, and pictures on the grid (first 12 of each).
#[derive(Debug, clap::Args)]
#[command(after_help = "The arrays of DATA: hesse connectome --help; voxels are those of the fit")]
pub(super) struct PredictArguments {
    /// The fit: connectome.npz of hesse connectome fit, or a file with W, or U and V
    #[arg(value_name = "FIT")]
    fit: PathBuf,
    #[command(flatten)]
    tracing: TracingArguments,
    /// Where these source voxels project: numbers, or coordinates such as 3:4:5
    #[arg(long, value_name = "VOXEL,...", value_delimiter = ',')]
    columns: Vec<VoxelName>,
    /// What projects to these target voxels
    #[arg(long, value_name = "VOXEL,...", value_delimiter = ',')]
    rows: Vec<VoxelName>,
}

/// A voxel by its number or its coordinates.
#[derive(Clone, Debug, PartialEq, Eq)]
struct VoxelName(Vec<usize>);

impl FromStr for VoxelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let places: Result<Vec<usize>, _> = text.split(':').map(str::parse).collect();
        places.map(Self).map_err(|_| "expected a number, or coordinates such as 3:4:5".to_owned())
    }
}

impl VoxelName {
    fn find(&self, option: &str, voxels: &Voxels) -> Result<usize> {
        if let [number] = self.0[..] {
            if number < voxels.mask.len() {
                return Ok(number);
            }
            let expected = format!("0 to {}", voxels.mask.len() - 1);
            return Err(Error::range(option, expected, number));
        }
        voxels.mask.voxel_at(&self.0).ok_or_else(|| {
            let expected = format!("a voxel of the grid {:?}", voxels.mask.shape());
            Error::range(option, expected, format!("{:?}", self.0))
        })
    }
}

#[derive(Clone, Debug, Serialize)]
struct Summary {
    targets: usize,
    sources: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experiments: Vec<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mse_rel: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mse_rel_full_denominator: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    columns: Vec<Image>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rows: Vec<Image>,
}

/// What there is to say of one image.
#[derive(Clone, Debug, Serialize)]
struct Image {
    /// The experiment or the voxel.
    name: String,
    sum: f64,
    largest: f64,
    /// The coordinates of the largest value.
    at: String,
    /// Of the experiment alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    mse_rel: Option<f64>,
}

impl Image {
    fn of(name: String, voxels: &Voxels, values: &[f64]) -> Self {
        let best =
            (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        Self {
            name,
            sum: values.iter().sum(),
            largest: values[best],
            at: voxels.name(best),
            mse_rel: None,
        }
    }
}

/// Runs `hesse connectome predict`.
pub(super) fn run(arguments: &PredictArguments, output: &Output) -> Result<Verdict, Failure> {
    let has_data = arguments.tracing.data.is_some() || !arguments.tracing.with.is_empty();
    if !has_data && arguments.columns.is_empty() && arguments.rows.is_empty() {
        return Err(Failure::input(
            "predict: expected DATA with injections, --columns or --rows, got none",
        ));
    }
    let saved = SavedFit::read(&arguments.fit)?;
    let SavedFit { connectome, sources, targets } = &saved;
    let mut summary = Summary {
        targets: targets.mask.len(),
        sources: sources.mask.len(),
        experiments: Vec::new(),
        mse_rel: None,
        mse_rel_full_denominator: None,
        columns: Vec::new(),
        rows: Vec::new(),
    };
    let mut arrays = Archive::new();
    let mut plates: Vec<(String, String)> = Vec::new();
    if has_data {
        let prediction = experiments(&saved, &arguments.tracing, &mut summary)?;
        for (e, image) in summary.experiments.iter().enumerate().take(PICTURES) {
            let values: Vec<f64> = prediction.col(e).iter().copied().collect();
            let title = format!("W x, experiment {}", image.name);
            plates.push((format!("projection_{e}"), pictures::image(&title, targets, &values)));
        }
        arrays.insert("projections", Array::from_mat(prediction.as_ref())?);
    }
    let column = |j| connectome.column(j);
    let found = chosen("--columns", &arguments.columns, sources, &column)?;
    if !found.is_empty() {
        let all = Mat::from_fn(targets.mask.len(), found.len(), |t, k| found[k].1[t]);
        arrays.insert("columns", Array::from_mat(all.as_ref())?);
    }
    for (j, values) in &found {
        let name = sources.name(*j);
        let title = format!("Where source voxel {name} projects");
        summary.columns.push(Image::of(name, targets, values));
        plates.push((format!("column_{j}"), pictures::image(&title, targets, values)));
    }
    let row = |i| connectome.row(i);
    let found = chosen("--rows", &arguments.rows, targets, &row)?;
    if !found.is_empty() {
        let all = Mat::from_fn(found.len(), sources.mask.len(), |k, s| found[k].1[s]);
        arrays.insert("rows", Array::from_mat(all.as_ref())?);
    }
    for (i, values) in &found {
        let name = targets.name(*i);
        let title = format!("What projects to target voxel {name}");
        summary.rows.push(Image::of(name, sources, values));
        plates.push((format!("row_{i}"), pictures::image(&title, sources, values)));
    }
    if let Some(folder) = output.folder() {
        write(folder, &summary, &arrays, &plates)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&text(&summary))?;
    }
    Ok(Verdict::Holds)
}

/// Predictions for the injections of a file, with their errors where it holds projections.
fn experiments(
    saved: &SavedFit,
    tracing: &TracingArguments,
    summary: &mut Summary,
) -> Result<Mat<f64>, Failure> {
    let file = TracingFile::read(tracing)?;
    let SavedFit { connectome, sources, targets } = saved;
    let x = file.injections(sources.mask.len())?;
    let prediction = connectome.predict(dense_injections(&x)?.as_ref())?;
    let image = |e: usize, name: String| {
        let values: Vec<f64> = prediction.col(e).iter().copied().collect();
        Image::of(name, targets, &values)
    };
    if !file.has_projections() {
        summary.experiments = (0..prediction.ncols()).map(|e| image(e, e.to_string())).collect();
        return Ok(prediction);
    }
    let sizes = (sources.mask.len(), targets.mask.len());
    let (data, _) = file.data(sizes, sources.mask == targets.mask, Labels::default())?;
    summary.mse_rel = Some(mse_rel(prediction.as_ref(), &data, Denominator::Masked)?);
    let full = mse_rel(prediction.as_ref(), &data, Denominator::Full)?;
    summary.mse_rel_full_denominator = Some(full);
    for e in 0..data.experiments() {
        let name = data.labels().experiments.get(e).cloned().unwrap_or_else(|| e.to_string());
        // An experiment that was seen nowhere has no error.
        let error = match data.select(&[e]) {
            Ok(one) => {
                let p = Mat::from_fn(data.targets(), 1, |t, _| prediction[(t, e)]);
                Some(mse_rel(p.as_ref(), &one, Denominator::Masked)?)
            }
            Err(_) => None,
        };
        summary.experiments.push(Image { mse_rel: error, ..image(e, name) });
    }
    Ok(prediction)
}

/// The numbers of the voxels that were named, with their rows or columns.
fn chosen(
    option: &str,
    names: &[VoxelName],
    voxels: &Voxels,
    of: &dyn Fn(usize) -> Result<Vec<f64>>,
) -> Result<Vec<(usize, Vec<f64>)>> {
    names
        .iter()
        .map(|name| {
            let voxel = name.find(option, voxels)?;
            Ok((voxel, of(voxel)?))
        })
        .collect()
}

fn write(
    folder: &Folder,
    summary: &Summary,
    arrays: &Archive,
    plates: &[(String, String)],
) -> Result<(), Failure> {
    folder.write("predictions.npz", &arrays.to_bytes(Format::Npz)?)?;
    folder.write("predict.json", (to_json(summary)? + "\n").as_bytes())?;
    for (name, picture) in plates {
        folder.write(format!("{name}.svg"), picture.as_bytes())?;
    }
    Ok(())
}

fn text(summary: &Summary) -> String {
    let mut text = String::new();
    for (what, images) in [
        ("experiment", &summary.experiments),
        ("column: source voxel", &summary.columns),
        ("row: target voxel", &summary.rows),
    ] {
        if images.is_empty() {
            continue;
        }
        let mut table = Table::new()
            .words(what)
            .numbers("sum")
            .numbers("largest")
            .words("at")
            .numbers("MSE_rel");
        for image in images {
            let error = image.mse_rel.map_or(String::new(), three);
            table.row([&image.name, &three(image.sum), &three(image.largest), &image.at, &error]);
        }
        text += &format!("{table}\n");
    }
    if let (Some(masked), Some(full)) = (summary.mse_rel, summary.mse_rel_full_denominator) {
        text += &format!("MSE_rel {masked:.8e}, with the full denominator {full:.8e}\n");
    }
    text
}
