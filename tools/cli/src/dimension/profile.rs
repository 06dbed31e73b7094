//! `hesse dimension profile`: dimensions layer by layer.

mod files;
mod summary;

use std::path::PathBuf;

use hesse::dimension::LayerProfile;
use hesse::error::check_finite;
use hesse::faer::{Mat, MatRef};
use hesse::io::Archive;
use hesse::network::Parameters;
use hesse::{Error, Real};

use super::points;
use crate::data::Precision;
use crate::failure::{Failure, Verdict, one_line};
use crate::network_file;
use crate::output::{Output, to_json};
use crate::progress::Progress;
use summary::Summary;

/// Measure dimensions behind every layer of a network
///
/// Give one array a layer, first to last (X.npy, acts.npz:conv1, ...), or a network with its parameters
/// and the data to run through it. Prints local, global and linear dimensions with their errors and
/// what is doubtful about them. With --out, writes profile.json, profile.npz and profile.svg.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Activations, one array a layer; or, with --network, the data: X.npy or data.npz:X
    #[arg(value_name = "LAYER", required = true)]
    layers: Vec<String>,
    /// The network: a TOML file, as for hesse train
    #[arg(long, value_name = "FILE", requires = "parameters")]
    network: Option<PathBuf>,
    /// Its parameters: a .safetensors (or .npz) file with one array for each of the network's
    #[arg(long, value_name = "FILE", requires = "network")]
    parameters: Option<PathBuf>,
    /// Divide the inputs of the network by this, for example 255 for bytes of images
    #[arg(long, value_name = "S", default_value_t = 1.0, allow_negative_numbers = true)]
    scale: f64,
    /// Use only the first N samples
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Arithmetic of the network
    #[arg(long, value_enum, default_value_t = Precision::F64)]
    dtype: Precision,
    /// Neighbours of the local estimate by maximum likelihood
    #[arg(long, value_name = "K", default_value_t = 20)]
    neighbors: usize,
    /// Share of the ratios that TwoNN keeps
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, allow_negative_numbers = true)]
    keep: f64,
    /// Neighbours of the graph of the global dimension
    #[arg(long, value_name = "K", default_value_t = 10)]
    graph: usize,
    /// Classes of the samples, whole numbers: the dimensions of each class alone as well, averaged
    #[arg(long, value_name = "LABELS")]
    labels: Option<String>,
    /// Leave out how much the global dimension depends on the graph and the bins
    #[arg(long)]
    no_spread: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let share = arguments.keep;
    if !(share > 0.0 && share <= 1.0) {
        return Err(Error::range("--keep", "more than 0, at most 1", share).into());
    }
    for (what, k, fewest) in
        [("--neighbors", arguments.neighbors, 2), ("--graph", arguments.graph, 1)]
    {
        if k < fewest {
            return Err(Error::range(what, format!("{fewest} or more"), k).into());
        }
    }
    let mut profile = LayerProfile::new()
        .neighbours(arguments.neighbors)
        .keep(arguments.keep)
        .graph(arguments.graph);
    if arguments.no_spread {
        profile = profile.without_spread();
    }
    let labels = match &arguments.labels {
        Some(spec) => Some(hesse::io::read(spec)?.to_indices()?),
        None => None,
    };
    let summary = match (&arguments.network, arguments.dtype) {
        (None, _) => of_arrays(arguments, &profile, labels, output)?,
        (Some(_), Precision::F64) => of_network::<f64>(arguments, &profile, labels)?,
        (Some(_), Precision::F32) => of_network::<f32>(arguments, &profile, labels)?,
    };
    if let Some(folder) = output.folder() {
        folder.write("profile.json", (to_json(&summary)? + "\n").as_bytes())?;
        files::write(folder, &summary)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

fn of_arrays(
    arguments: &Arguments,
    profile: &LayerProfile,
    labels: Option<Vec<usize>>,
    output: &Output,
) -> Result<Summary, Failure> {
    let bar = Progress::new(output, "reading layers", arguments.layers.len() as u64);
    let mut layers: Vec<(String, Mat<f64>)> = Vec::new();
    for spec in &arguments.layers {
        let x = points::read(spec)?;
        let used = used(arguments, x.nrows())?;
        layers.push((one_line(spec), x.subrows(0, used).to_owned()));
        bar.step();
    }
    let views: Vec<_> = layers.iter().map(|(name, x)| (name.as_str(), x.as_ref())).collect();
    measured(profile, &views, labels)
}

/// Dimensions of all samples, and of each class where there are labels for as many samples or more.
fn measured<T: Real>(
    profile: &LayerProfile,
    layers: &[(&str, MatRef<'_, T>)],
    labels: Option<Vec<usize>>,
) -> Result<Summary, Failure> {
    let classes = match (labels, layers.first()) {
        (Some(labels), Some((_, first))) => {
            let labels = labels
                .get(..first.nrows())
                .ok_or_else(|| Error::shape("--labels: samples", first.nrows(), labels.len()))?;
            profile.within_classes(layers, labels)?
        }
        _ => Vec::new(),
    };
    Ok(Summary::of(&profile.run(layers)?, &classes))
}

fn of_network<T: Real>(
    arguments: &Arguments,
    profile: &LayerProfile,
    labels: Option<Vec<usize>>,
) -> Result<Summary, Failure> {
    let (Some(network), Some(parameters)) = (&arguments.network, &arguments.parameters) else {
        return Err(Failure::input("--network: expected --parameters with it, got none"));
    };
    if !(arguments.scale.is_finite() && arguments.scale != 0.0) {
        return Err(Error::range("--scale", "a finite number but 0", arguments.scale).into());
    }
    let [data] = &arguments.layers[..] else {
        let got = arguments.layers.len();
        return Err(Failure::input(format!("LAYER: expected the data alone, got {got} arrays")));
    };
    let network = network_file::read::<T>(network)?;
    let parameters = Parameters::load(&network, parameters)?;
    let array = read_data(data)?;
    let x = points::rows(&array)?;
    if x.ncols() != network.inputs() {
        let what = format!("{}: features", array.label());
        return Err(Error::shape(what, network.inputs(), x.ncols()).into());
    }
    let used = used(arguments, x.nrows())?;
    let mut inputs = Vec::with_capacity(used * x.ncols());
    for i in 0..used {
        inputs.extend(x.row(i).iter().map(|x| T::from_f64(x / arguments.scale)));
    }
    check_finite(array.label(), &inputs)?;
    let all = network.activations(parameters.values(), &inputs)?;
    let layers: Vec<_> = all.iter().map(|a| (a.name.as_str(), a.rows())).collect();
    measured(profile, &layers, labels)
}

/// The array that `spec` names; X where a file holds several and none is named.
fn read_data(spec: &str) -> Result<hesse::io::Array, Failure> {
    let file = std::path::Path::new(spec);
    let single = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    if file.is_file() && !single {
        let mut archive = Archive::read(file)?;
        if archive.contains("X") {
            return Ok(archive.take("X")?);
        }
    }
    Ok(hesse::io::read(spec)?)
}

fn used(arguments: &Arguments, samples: usize) -> Result<usize, Error> {
    let used = arguments.samples.unwrap_or(samples);
    if !(1..=samples).contains(&used) {
        return Err(Error::range("--samples", format!("1 to {samples}"), used));
    }
    Ok(used)
}
