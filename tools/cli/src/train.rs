//! `hesse train`: trains a network given by a TOML file on samples from a file, once or in a sweep.

mod single;
mod sweep;

use std::path::PathBuf;

use clap::ValueEnum;
use hesse::Real;
use hesse::network::{Dataset, Objective, TrainingStatus};
use hesse::optimize::{Adam, AdamOptions, Optimizer, Sgd, SgdOptions, WeightDecay};
use serde::Serialize;

pub(crate) use sweep::{Seeds, seeds};

use crate::data::{DataArguments, Precision, accuracy};
use crate::failure::{Failure, Verdict};
use crate::output::Output;

/// Train a network on samples from a file
///
/// Prints how the training ended: loss on all samples and, for classes, the share that is right.
/// With --out, writes parameters.safetensors, curve.npz (step, batch_loss), loss.svg and train.json.
/// A training that diverges ends with exit code 1 and the last parameters that were finite.
///
/// With --sweep, trains once for every learning rate, batch size and seed, as many at once as there
/// are threads, and prints a line for each. With --out, each training has a folder in DIR/runs with
/// its checkpoint and parameters, and DIR gets sweep.json, sweep.npz and loss.svg; --resume goes on
/// with a sweep that was stopped. A training that diverges is such a line, not a failure.
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
    /// Learning rate; several with --sweep, as in 0.5,1,2
    #[arg(long, value_name = "ETA", default_value = "0.01", allow_negative_numbers = true)]
    #[arg(value_delimiter = ',')]
    learning_rate: Vec<f64>,
    /// Momentum of sgd, from 0 to below 1
    #[arg(long, value_name = "MU", default_value_t = 0.0, allow_negative_numbers = true)]
    momentum: f64,
    /// Weight decay: coupled for sgd and adam, decoupled for adamw
    #[arg(long, value_name = "LAMBDA", default_value_t = 0.0, allow_negative_numbers = true)]
    weight_decay: f64,
    /// Samples in a batch; by default all of them; several with --sweep, as in 8,20
    #[arg(long, value_name = "N", value_delimiter = ',')]
    batch: Vec<usize>,
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
    /// Steps from one checkpoint to the next [default: 1000, in a sweep 5000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
    /// Go on from the checkpoint, or from those in the folder of a sweep
    #[arg(long)]
    resume: bool,
    /// Report loss and accuracy on the samples of this file as well; it has the arrays of DATA
    #[arg(long, value_name = "FILE", conflicts_with = "hold_out")]
    test: Option<PathBuf>,
    /// Leave the last N samples of DATA out of training, and report loss and accuracy on them
    #[arg(long, value_name = "N")]
    hold_out: Option<usize>,
    /// Train once for every setting
    #[arg(long, conflicts_with_all = ["parameters", "checkpoint", "epochs"])]
    sweep: bool,
    /// Pairs of learning rate and batch size instead of all combinations; may be repeated
    #[arg(long, value_name = "ETA:N", value_delimiter = ',', value_parser = sweep::pair)]
    #[arg(requires = "sweep", conflicts_with_all = ["learning_rate", "batch"])]
    setting: Vec<(f64, usize)>,
    /// Seeds of a sweep: 1..8 is eight of them, 1,3,7 is three
    #[arg(long, value_name = "SEEDS", value_parser = seeds, requires = "sweep")]
    #[arg(conflicts_with = "seed")]
    seeds: Option<Seeds>,
}

/// An optimiser as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// Runs `hesse train`.
///
/// # Errors
/// Files that cannot be read or do not fit each other, options out of range, results that cannot be
/// written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let single = arguments.data.dtype == Precision::F32;
    match (arguments.sweep, single) {
        (false, true) => single::train::<f32>(arguments, output),
        (false, false) => single::train::<f64>(arguments, output),
        (true, true) => sweep::train::<f32>(arguments, output),
        (true, false) => sweep::train::<f64>(arguments, output),
    }
}

/// The samples to train on, and those to test on where there are any.
fn samples<T: Real>(arguments: &Arguments) -> Result<(Dataset<T>, Option<Dataset<T>>), Failure> {
    let data = &arguments.data;
    match (&arguments.test, arguments.hold_out) {
        (Some(path), _) => Ok((data.read()?, Some(data.read_other(path)?))),
        (None, Some(held)) => {
            let (data, test) = data.read_parts(held)?;
            Ok((data, Some(test)))
        }
        (None, None) => Ok((data.read()?, None)),
    }
}

/// Mean loss on `data`, and for classes the share that is right.
fn score<T: Real>(
    objective: &Objective<'_, T>,
    theta: &[T],
    arguments: &Arguments,
) -> Result<(f64, Option<f64>), Failure> {
    let loss = objective.value(theta)?;
    let (outputs, width) = (objective.outputs(theta)?, objective.network().outputs());
    Ok((loss, accuracy(&outputs, width, objective.data().targets(), arguments.data.loss())))
}

fn status_name(status: TrainingStatus) -> &'static str {
    match status {
        TrainingStatus::StepLimit => "step limit",
        TrainingStatus::TargetLoss => "target loss",
        TrainingStatus::Interrupted => "interrupted",
        TrainingStatus::Diverged => "diverged",
        _ => "other",
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
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
