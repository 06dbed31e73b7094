//! `hesse train`: trains a network given by a TOML file on samples from a file.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use hesse::io::{Archive, Array, Format};
use hesse::network::{
    Dataset, Network, Objective, Parameters, Trainer, TrainingRun, TrainingStatus,
};
use hesse::optimize::{Adam, AdamOptions, Optimizer, Schedule, Sgd, SgdOptions, WeightDecay};
use hesse::{Error, Real};
use serde::Serialize;

use crate::data::{DataArguments, Precision, accuracy};
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::network_file;
use crate::output::{Output, to_json, writable};
use crate::progress::Progress;
use crate::table::Table;
use crate::units::three;

/// Train a network on samples from a file
///
/// Prints how the training ended: loss on all samples and, for classes, the share that is right.
/// With --out, writes parameters.safetensors, curve.npz (step, batch_loss), loss.svg and train.json.
/// A training that diverges ends with exit code 1 and the last parameters that were finite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The network: a TOML file with `input = [784]` and a [[layer]] table for each layer, such as
    /// `type = "dense"`, `outputs = 512`, `activation = "tanh"`
    #[arg(value_name = "NETWORK")]
    network: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    /// Start from these parameters instead of random ones
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    parameters: Option<PathBuf>,
    /// How parameters move against the gradient
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    optimizer: OptimizerName,
    /// Learning rate
    #[arg(long, value_name = "ETA", default_value_t = 0.01, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Momentum of sgd, from 0 to below 1
    #[arg(long, value_name = "MU", default_value_t = 0.0, allow_negative_numbers = true)]
    momentum: f64,
    /// Weight decay: coupled for sgd and adam, decoupled for adamw
    #[arg(long, value_name = "LAMBDA", default_value_t = 0.0, allow_negative_numbers = true)]
    weight_decay: f64,
    /// Samples in a batch; by default all of them
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Steps to do in all [default: 1000]
    #[arg(long, value_name = "N", conflicts_with = "epochs")]
    steps: Option<u64>,
    /// Passes over the samples to do in all, instead of steps
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Seed of the first parameters and of the order of samples
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Stop when the loss on all samples, looked at every 100 steps, is at most this
    #[arg(long, value_name = "LOSS", allow_negative_numbers = true)]
    target_loss: Option<f64>,
    /// Write a checkpoint (.npz) to this file, from which --resume goes on to the same bits
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "checkpoint")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Go on from the checkpoint
    #[arg(long, requires = "checkpoint")]
    resume: bool,
}

/// An optimiser as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    /// Stochastic gradient descent, with --momentum
    Sgd,
    /// Adam with β = (0.9, 0.999)
    Adam,
    /// Adam with decoupled weight decay
    Adamw,
}

/// How often at most the curve is recorded.
const CURVE_POINTS: u64 = 2000;

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
}

/// Runs `hesse train`.
///
/// # Errors
/// Files that cannot be read or do not fit each other, options out of range, results that cannot be
/// written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    match arguments.data.dtype {
        Precision::F32 => train::<f32>(arguments, output),
        Precision::F64 => train::<f64>(arguments, output),
    }
}

fn train<T: Real>(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let network = network_file::read::<T>(&arguments.network)?;
    let data = arguments.data.read::<T>()?;
    let loss = arguments.data.loss();
    let steps = steps(arguments, data.len())?;
    let curve = RefCell::new(Vec::new());
    let bar = Progress::new(output, "training", steps);

    let schedule = Schedule::constant(arguments.learning_rate)?;
    let mut trainer =
        Trainer::new(&network, &data, loss, schedule)?.steps(steps).seed(arguments.seed);
    if let Some(batch) = arguments.batch {
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
        trainer = trainer.checkpoint(path, arguments.every);
    }
    let stride = steps.div_ceil(CURVE_POINTS).max(1);
    let trainer = trainer.callback(|progress| {
        bar.set(progress.step);
        if progress.step.is_multiple_of(stride) || progress.step == 1 {
            bar.say(format!("loss {}", three(progress.batch_loss)));
            curve.borrow_mut().push((progress.step, progress.batch_loss));
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

    let summary = summary(arguments, &network, &data, &run)?;
    write(output, &summary, &run.parameters, &curve.into_inner())?;
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&table(&summary).to_string())?;
    }
    Ok(Verdict::from_bool(run.status != TrainingStatus::Diverged))
}

fn steps(arguments: &Arguments, samples: usize) -> Result<u64, Failure> {
    match (arguments.steps, arguments.epochs) {
        (_, Some(epochs)) => {
            let batch = arguments.batch.unwrap_or(samples).max(1);
            let per_epoch = samples.div_ceil(batch) as u64;
            epochs.checked_mul(per_epoch).ok_or_else(|| {
                let most = u64::MAX / per_epoch;
                Error::range("--epochs", format!("at most {most}"), epochs).into()
            })
        }
        (steps, None) => Ok(steps.unwrap_or(1000)),
    }
}

fn optimizer<T: Real>(
    arguments: &Arguments,
    length: usize,
) -> Result<Box<dyn Optimizer<T>>, Failure> {
    let (momentum, weight_decay) = (arguments.momentum, arguments.weight_decay);
    if arguments.optimizer == OptimizerName::Sgd {
        let options = SgdOptions { momentum, weight_decay, ..SgdOptions::default() };
        return Ok(Box::new(Sgd::new(length, options)?));
    }
    if momentum != 0.0 {
        let message = "--momentum: expected --optimizer sgd, got one with moments of its own";
        return Err(Failure::input(message));
    }
    let weight_decay = match arguments.optimizer {
        OptimizerName::Adamw => WeightDecay::Decoupled(weight_decay),
        _ => WeightDecay::Coupled(weight_decay),
    };
    let options = AdamOptions { weight_decay, ..AdamOptions::default() };
    Ok(Box::new(Adam::new(length, options)?))
}

fn summary<T: Real>(
    arguments: &Arguments,
    network: &Network<T>,
    data: &Dataset<T>,
    run: &TrainingRun<T>,
) -> Result<Summary, Failure> {
    let loss = arguments.data.loss();
    let objective = Objective::new(network, data, loss)?;
    let theta = run.parameters.values();
    let outputs = objective.outputs(theta)?;
    Ok(Summary {
        parameters: theta.len(),
        samples: data.len(),
        dtype: arguments.data.dtype,
        status: match run.status {
            TrainingStatus::StepLimit => "step limit",
            TrainingStatus::TargetLoss => "target loss",
            TrainingStatus::Interrupted => "interrupted",
            TrainingStatus::Diverged => "diverged",
            _ => "other",
        },
        steps: run.steps,
        loss: objective.value(theta)?,
        accuracy: accuracy(&outputs, network.outputs(), data.targets(), loss),
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
        table.row(["accuracy", &format!("{:.2} %", 100.0 * accuracy)]);
    }
    table
}
