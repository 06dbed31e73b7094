//! `hesse connectome toy`: tracing data with a known W.

use hesse::io::{Archive, Array, Format};
use hesse::tracing_toys::TracingToyTask;
use serde::Serialize;

use crate::failure::{Failure, Verdict};
use crate::output::Output;
use crate::table::Table;

/// Write tracing data of a line of voxels whose W is known
///
/// A band along the diagonal and a bump that projects far; each experiment injects an interval and sees
/// everything outside it, with noise. Writes toy.npz into the folder of --out, with the arrays that
/// fit, cv and identify read, three regions, and W_true.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Then:
  hesse connectome fit DIR/toy.npz --lambda 100 --out fit
  hesse connectome predict fit/connectome.npz --columns 50,160 --out predicted
  hesse connectome collapse fit/connectome.npz
  hesse connectome cv DIR/toy.npz --lambdas 1e-2..1e5 --outer 5 --inner 4

Source: Harris, Mihalas, Shea-Brown, NIPS 2016, section 4")]
pub(super) struct ToyArguments {
    /// Voxels of the line
    #[arg(long, value_name = "N", default_value_t = 200)]
    voxels: usize,
    /// Experiments
    #[arg(long, value_name = "N", default_value_t = 5)]
    experiments: usize,
    /// Standard deviation of the noise
    #[arg(long, value_name = "SD", default_value_t = 0.1, allow_negative_numbers = true)]
    noise: f64,
    /// Seed of injections and noise
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Summary {
    file: String,
    voxels: usize,
    experiments: usize,
    noise: f64,
    seed: u64,
}

/// Runs `hesse connectome toy`.
pub(super) fn run(arguments: &ToyArguments, output: &Output) -> Result<Verdict, Failure> {
    let Some(folder) = output.folder() else {
        return Err(Failure::input("--out: expected a folder for toy.npz, got none"));
    };
    let ToyArguments { voxels: n, experiments, noise, seed } = *arguments;
    // The toy holds its W.
    if n.saturating_mul(n) > 1 << 30 {
        return Err(hesse::Error::range("--voxels", "at most 32768", n).into());
    }
    if experiments.saturating_mul(n) > 1 << 30 {
        let expected = format!("at most {}", (1 << 30) / n.max(1));
        return Err(hesse::Error::range("--experiments", expected, experiments).into());
    }
    let task = TracingToyTask { sources: n, targets: n, experiments, noise };
    let toy = task.draw(seed)?;
    let mut arrays = Archive::new();
    arrays.insert("injections", Array::from_mat(toy.injections.as_ref())?);
    arrays.insert("projections", Array::from_mat(toy.projections.as_ref())?);
    arrays.insert("observed", Array::from_mat(toy.observed.as_ref())?);
    arrays.insert("mask", Array::from_vector(vec![true; n]));
    let regions = (0..n).map(|i| 1 + (3 * i / n) as i64).collect();
    arrays.insert("regions", Array::from_vector::<i64>(regions));
    arrays.insert("W_true", Array::from_mat(toy.truth.as_ref())?);
    let path = folder.write("toy.npz", &arrays.to_bytes(Format::Npz)?)?;
    let file = path.display().to_string();
    let summary = Summary { file, voxels: n, experiments, noise, seed };
    if output.json {
        output.print_json(&summary)?;
    } else {
        let mut table = Table::new().words("toy").numbers("");
        table.row(["voxels", &n.to_string()]);
        table.row(["experiments", &experiments.to_string()]);
        table.row(["noise", &noise.to_string()]);
        output.print(&format!("{table}{}\n", summary.file))?;
    }
    Ok(Verdict::Holds)
}
