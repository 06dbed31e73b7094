//! `hesse dimension theory`: what noise on the weights makes of a linear network's hidden layer.

use hesse::dimension::{EffectiveLoss, LinearTask};
use hesse::faer::Mat;
use hesse::io::{Archive, Array, Format};
use hesse::{Error, Result as HesseResult};
use serde::Serialize;

use super::points;
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::output::{Output, to_json};
use crate::table::Table;
use crate::units::three;

/// Predict the dimension of a two-layer linear network under noise on its weights
///
/// For the data, the threshold that noise puts on their singular values, what it leaves of them, and
/// the participation ratio of the hidden layer at the minimum of the loss averaged over noise. With
/// --out, writes theory.json, theory.npz (spectra, V and W at that minimum, the sweep) and
/// participation.svg.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Samples: a .npz (or .safetensors) file
    #[arg(value_name = "DATA")]
    data: std::path::PathBuf,
    /// Array of inputs
    #[arg(long, value_name = "NAME", default_value = "X")]
    inputs: String,
    /// Array of targets: rows are values, whole numbers on one axis are classes (one-hot)
    /// [default: labels, or else Y]
    #[arg(long, value_name = "NAME")]
    targets: Option<String>,
    /// Hidden units
    #[arg(long, value_name = "N", default_value_t = 100)]
    hidden: usize,
    /// Standard deviation of the noise on the readout
    #[arg(long, value_name = "S", default_value_t = 0.1, allow_negative_numbers = true)]
    readout_noise: f64,
    /// Standard deviation of the noise on the weights of the inputs
    #[arg(long, value_name = "S", default_value_t = 0.1, allow_negative_numbers = true)]
    hidden_noise: f64,
    /// Thresholds of the sweep, from 0 to the largest singular value
    #[arg(long, value_name = "N", default_value_t = 25)]
    levels: usize,
}

#[derive(Debug, Serialize)]
struct Summary {
    samples: usize,
    inputs: usize,
    outputs: usize,
    hidden: usize,
    /// ½ mean |y|² and the loss without noise at the minimum with it.
    loss_of_nothing: f64,
    loss: f64,
    /// The loss averaged over noise, at its minimum.
    effective_loss: f64,
    threshold: f64,
    target_singular_values: Vec<f64>,
    singular_values: Vec<f64>,
    hidden_eigenvalues: Vec<f64>,
    participation_ratio: f64,
    /// The same without noise.
    participation_ratio_without_noise: f64,
    levels: Vec<f64>,
    participation_at_levels: Vec<f64>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    if !(2..=100_000).contains(&arguments.levels) {
        return Err(Error::range("--levels", "2 to 100000", arguments.levels).into());
    }
    if !(1..=100_000).contains(&arguments.hidden) {
        return Err(Error::range("--hidden", "1 to 100000", arguments.hidden).into());
    }
    let archive = Archive::read(&arguments.data)?;
    let x = points::rows(archive.get(&arguments.inputs)?)?;
    let targets = match &arguments.targets {
        Some(name) => archive.get(name)?,
        None if archive.contains("labels") => archive.get("labels")?,
        None => archive.get("Y")?,
    };
    let y = outputs(targets)?;
    if y.nrows() != x.nrows() {
        let what = format!("{}: samples", targets.label());
        return Err(Error::shape(what, x.nrows(), y.nrows()).into());
    }
    let task = LinearTask::of(x.as_ref(), y.as_ref())?;
    let noisy = EffectiveLoss::new(&task, arguments.readout_noise, arguments.hidden_noise)?;
    let optimum = noisy.optimum(arguments.hidden)?;
    let largest = optimum.target[0];
    let levels: Vec<f64> =
        (0..arguments.levels).map(|l| largest * l as f64 / (arguments.levels - 1) as f64).collect();
    let nothing = Mat::zeros(task.outputs(), task.inputs());
    let summary = Summary {
        samples: x.nrows(),
        inputs: task.inputs(),
        outputs: task.outputs(),
        hidden: arguments.hidden,
        loss_of_nothing: task.loss(nothing.as_ref())?,
        loss: noisy.loss(optimum.v.as_ref(), optimum.w.as_ref())?,
        effective_loss: noisy.value(optimum.v.as_ref(), optimum.w.as_ref())?,
        threshold: optimum.threshold,
        participation_ratio: optimum.participation_ratio(),
        participation_ratio_without_noise: optimum.participation_at(0.0),
        participation_at_levels: levels.iter().map(|&l| optimum.participation_at(l)).collect(),
        levels,
        target_singular_values: optimum.target.clone(),
        singular_values: optimum.singular_values.clone(),
        hidden_eigenvalues: optimum.hidden.clone(),
    };
    if let Some(folder) = output.folder() {
        folder.write("theory.json", (to_json(&summary)? + "\n").as_bytes())?;
        let mut arrays = Archive::new();
        for (name, values) in [
            ("target_singular_values", &summary.target_singular_values),
            ("singular_values", &summary.singular_values),
            ("hidden_eigenvalues", &summary.hidden_eigenvalues),
            ("levels", &summary.levels),
            ("participation_at_levels", &summary.participation_at_levels),
        ] {
            arrays.insert(name, Array::from_vector(values.clone()));
        }
        arrays.insert("V", Array::from_mat(optimum.v.as_ref())?);
        arrays.insert("W", Array::from_mat(optimum.w.as_ref())?);
        folder.write("theory.npz", &arrays.to_bytes(Format::Npz)?)?;
        let sweep =
            summary.levels.iter().copied().zip(summary.participation_at_levels.iter().copied());
        let figure = Figure::new("Dimension under noise", "threshold τ", "participation ratio")
            .line("hidden layer", sweep)
            .vertical("τ of this noise", summary.threshold);
        folder.write("participation.svg", figure.to_svg().as_bytes())?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

/// Rows of values, or one-hot rows of classes.
fn outputs(array: &Array) -> HesseResult<Mat<f64>> {
    use hesse::io::Dtype;
    let whole = !matches!(array.dtype(), Dtype::F32 | Dtype::F64);
    if array.shape().len() != 1 || !whole {
        return points::rows(array);
    }
    let classes = array.to_indices()?;
    let count = classes.iter().fold(0, |m, &c| usize::max(m, c.saturating_add(1)));
    if classes.is_empty() {
        return Err(Error::empty(format!("{}: samples", array.label())));
    }
    if count > classes.len().max(2) {
        let expected = format!("classes below {}", classes.len().max(2));
        return Err(Error::range(array.label(), expected, count - 1));
    }
    Ok(Mat::from_fn(classes.len(), count, |i, c| f64::from(u8::from(classes[i] == c))))
}

impl Summary {
    fn text(&self) -> String {
        let mut table = Table::new()
            .numbers("direction")
            .numbers("s")
            .numbers("s − τ")
            .numbers("hidden eigenvalue");
        for (a, s) in self.target_singular_values.iter().enumerate() {
            let of = |values: &[f64]| values.get(a).map_or(String::new(), |v| three(*v));
            let left = of(&self.singular_values);
            table.row([(a + 1).to_string(), three(*s), left, of(&self.hidden_eigenvalues)]);
        }
        let Self { samples, inputs, outputs, hidden, .. } = self;
        format!(
            "{samples} samples, {inputs} inputs, {hidden} hidden units, {outputs} outputs\n\n{table}\n\
             threshold τ = {}\n\
             participation ratio of the hidden layer: {}, without noise {}\n\
             loss at that minimum: {}, averaged over noise {}, of no network {}\n",
            three(self.threshold),
            three(self.participation_ratio),
            three(self.participation_ratio_without_noise),
            three(self.loss),
            three(self.effective_loss),
            three(self.loss_of_nothing),
        )
    }
}
