//! One training.

use std::ops::ControlFlow;
use std::path::Path;

use hesse::io::{Archive, Array, Format};
use hesse::network::{
    Dataset, Network, Objective, Parameters, Trainer, TrainingRun, TrainingStatus,
};
use hesse::optimize::Schedule;
use hesse::{Error, Real};
use serde::Serialize;

use super::{Arguments, CURVE_POINTS, optimizer, percent, samples, score, status_name};
use crate::data::Precision;
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::network_file;
use crate::output::{Output, to_json, writable};
use crate::progress::Progress;
use crate::table::Table;
use crate::units::three;

/// What is printed and written.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    parameters: usize,
    samples: usize,
    dtype: Precision,
    status: &'static str,
    steps: u64,
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
}

pub(super) fn train<T: Real>(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let network = network_file::read::<T>(&arguments.network)?;
    let learning_rate = one("--learning-rate", &arguments.learning_rate)?;
    let batch = match &arguments.batch[..] {
        [] => None,
        batches => Some(one("--batch", batches)?),
    };
    if arguments.checkpoint.is_none() && (arguments.resume || arguments.every.is_some()) {
        let option = if arguments.resume { "--resume" } else { "--every" };
        return Err(Failure::input(format!(
            "{option}: expected --checkpoint or --sweep, got none"
        )));
    }
    let (data, test) = samples::<T>(arguments)?;
    let loss = arguments.data.loss();
    let steps = steps(arguments, data.len(), batch)?;
    let bar = Progress::new(output, "training", steps);

    let schedule = Schedule::constant(learning_rate)?;
    let mut trainer =
        Trainer::new(&network, &data, loss, schedule)?.steps(steps).seed(arguments.seed);
    if let Some(batch) = batch {
        trainer = trainer.batch(batch)?;
    }
    if let Some(target) = arguments.target_loss {
        if target.is_nan() {
            return Err(Error::range("--target-loss", "a number", target).into());
        }
        trainer = trainer.target_loss(target, 100);
    }
    if let Some(path) = &arguments.checkpoint {
        // Asked now, not behind the first thousand steps.
        Format::of(&path.display().to_string())?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        writable(folder.unwrap_or(Path::new(".")))?;
        trainer = trainer.checkpoint(path, arguments.every.unwrap_or(1000));
    }
    let stride = steps.div_ceil(CURVE_POINTS).max(1);
    let trainer = trainer.record(stride).callback(|progress| {
        bar.set(progress.step);
        if progress.step.is_multiple_of(stride) {
            bar.say(format!("loss {}", three(progress.batch_loss)));
        }
        ControlFlow::Continue(())
    });
    let mut optimizer = optimizer::<T>(arguments, network.parameter_count())?;
    let run = match &arguments.checkpoint {
        Some(path) if arguments.resume => trainer.resume(path, optimizer.as_mut())?,
        _ => {
            let start = match &arguments.parameters {
                Some(path) => Parameters::load(&network, path)?,
                None => Parameters::initialize(&network, arguments.seed),
            };
            trainer.run(start, optimizer.as_mut())?
        }
    };
    drop(bar);

    let summary = summary(arguments, &network, &data, test.as_ref(), &run)?;
    write(output, &summary, &run.parameters, &run.curve)?;
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&table(&summary).to_string())?;
    }
    Ok(Verdict::from_bool(run.status != TrainingStatus::Diverged))
}

/// The one value of an option that only a sweep takes several of.
fn one<V: Copy>(option: &str, values: &[V]) -> Result<V, Failure> {
    match values {
        [value] => Ok(*value),
        _ => {
            let got = values.len();
            Err(Failure::input(format!("{option}: expected one value without --sweep, got {got}")))
        }
    }
}

fn steps(arguments: &Arguments, samples: usize, batch: Option<usize>) -> Result<u64, Failure> {
    match (arguments.steps, arguments.epochs) {
        (_, Some(epochs)) => {
            let batch = batch.unwrap_or(samples).max(1);
            let per_epoch = samples.div_ceil(batch) as u64;
            epochs.checked_mul(per_epoch).ok_or_else(|| {
                let most = u64::MAX / per_epoch;
                Error::range("--epochs", format!("at most {most}"), epochs).into()
            })
        }
        (steps, None) => Ok(steps.unwrap_or(1000)),
    }
}

fn summary<T: Real>(
    arguments: &Arguments,
    network: &Network<T>,
    data: &Dataset<T>,
    test: Option<&Dataset<T>>,
    run: &TrainingRun<T>,
) -> Result<Summary, Failure> {
    let theta = run.parameters.values();
    let of = |data| score(&Objective::new(network, data, arguments.data.loss())?, theta, arguments);
    let (loss, accuracy) = of(data)?;
    let (test_loss, test_accuracy) = match test {
        Some(test) => of(test).map(|(loss, accuracy)| (Some(loss), accuracy))?,
        None => (None, None),
    };
    Ok(Summary {
        parameters: theta.len(),
        samples: data.len(),
        dtype: arguments.data.dtype,
        status: status_name(run.status),
        steps: run.steps,
        loss,
        accuracy,
        test_loss,
        test_accuracy,
    })
}

fn write<T: Real>(
    output: &Output,
    summary: &Summary,
    parameters: &Parameters<T>,
    curve: &[(u64, f64)],
) -> Result<(), Failure> {
    let Some(folder) = output.folder() else { return Ok(()) };
    let arrays = parameters.to_archive()?;
    folder.write("parameters.safetensors", &arrays.to_bytes(Format::Safetensors)?)?;
    let mut arrays = Archive::new();
    arrays.insert("step", Array::from_vector(curve.iter().map(|p| p.0).collect()));
    arrays.insert("batch_loss", Array::from_vector(curve.iter().map(|p| p.1).collect()));
    folder.write("curve.npz", &arrays.to_bytes(Format::Npz)?)?;
    let figure = Figure::new("Training", "step", "loss of the batch")
        .log_y()
        .line("loss", curve.iter().map(|&(step, loss)| (step as f64, loss)));
    folder.write("loss.svg", figure.to_svg().as_bytes())?;
    folder.write("train.json", (to_json(summary)? + "\n").as_bytes())?;
    Ok(())
}

fn table(summary: &Summary) -> Table {
    let mut table = Table::new().words("training").numbers("");
    table.row(["parameters", &summary.parameters.to_string()]);
    table.row(["samples", &summary.samples.to_string()]);
    table.row(["steps", &summary.steps.to_string()]);
    table.row(["status", summary.status]);
    table.row(["loss", &format!("{:.6e}", summary.loss)]);
    if let Some(accuracy) = summary.accuracy {
        table.row(["accuracy", &percent(accuracy)]);
    }
    if let Some(loss) = summary.test_loss {
        table.row(["test loss", &format!("{loss:.6e}")]);
    }
    if let Some(accuracy) = summary.test_accuracy {
        table.row(["test accuracy", &percent(accuracy)]);
    }
    table
}
