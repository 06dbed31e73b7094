//! `hesse credit train`: one training.

use hesse::credit::Stop;
use hesse::io::{Archive, Array, Format};
use hesse::network::Parameters;
use serde::Serialize;

use super::descent::{Look, Outcome};
use super::pictures::{self, Shown};
use super::problem::{NetworkArguments, Problem, TaskArguments, TrainingArguments};
use super::rules::RuleName;
use super::{some, stop_name};
use crate::failure::{Failure, Verdict};
use crate::output::{Folder, Output, to_json};
use crate::progress::Progress;
use crate::table::Table;
use crate::units::three;

/// Train one network by one rule
///
/// Prints where it ended: losses and accuracies on training and test data with their gaps, and the
/// largest and smallest eigenvalue of the Hessian of the recurrent weights. With --out, writes
/// train.json, network.toml and parameters.safetensors (for hesse spectrum too), curve.npz (losses;
/// checkpoints: step, loss, λ₁, λ_min, ρ, cosine, accuracy, test loss, test accuracy), loss.svg,
/// alignment.svg, edge.svg and gap.svg. A training that diverges ends with exit code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    task: TaskArguments,
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    training: TrainingArguments,
    /// The learning rule, such as three-factor or bptt@0.2
    #[arg(long, value_name = "RULE", default_value = "bptt")]
    rule: RuleName,
    /// Learning rate
    #[arg(long, value_name = "ETA", default_value_t = 0.1, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Seed of first weights, batches, random feedback and noise
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

/// What is printed and written.
#[derive(Debug, Serialize)]
struct Summary {
    rule: String,
    learning_rate: f64,
    seed: u64,
    parameters: usize,
    stop: &'static str,
    steps: u64,
    train_loss: Option<f64>,
    train_accuracy: Option<f64>,
    test_loss: Option<f64>,
    test_accuracy: Option<f64>,
    loss_gap: Option<f64>,
    accuracy_gap: Option<f64>,
    largest_eigenvalue: Option<f64>,
    residual: Option<f64>,
    smallest_eigenvalue: Option<f64>,
    /// λ₁ η/2 at the rate of the start.
    edge: Option<f64>,
    checkpoints: Vec<Look>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let problem = Problem::new(&arguments.task, &arguments.network)?;
    let (rate, seed) = (arguments.learning_rate, arguments.seed);
    let descent = problem.descent(&arguments.training, &arguments.rule, rate, seed)?;
    let start = problem.rnn.initialize::<f64>(seed)?;
    let bar = Progress::new(output, "training", 1);
    let outcome = descent.run(&start)?;
    drop(bar);
    let summary = Summary {
        rule: arguments.rule.to_string(),
        learning_rate: rate,
        seed,
        parameters: start.len(),
        stop: stop_name(outcome.stop),
        steps: outcome.steps,
        train_loss: some(outcome.train_loss),
        train_accuracy: some(outcome.train_accuracy),
        test_loss: some(outcome.test_loss),
        test_accuracy: some(outcome.test_accuracy),
        loss_gap: some(outcome.loss_gap()),
        accuracy_gap: some(outcome.accuracy_gap()),
        largest_eigenvalue: some(outcome.largest),
        residual: some(outcome.residual),
        smallest_eigenvalue: some(outcome.smallest),
        edge: some(0.5 * rate * outcome.largest),
        checkpoints: outcome.checkpoints.clone(),
    };
    if let Some(folder) = output.folder() {
        folder.write("train.json", (to_json(&summary)? + "\n").as_bytes())?;
        write(folder, &problem, &arguments.rule, rate, &outcome)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&text(&summary))?;
    }
    Ok(Verdict::from_bool(outcome.stop != Stop::Diverged))
}

fn text(summary: &Summary) -> String {
    let mut table = Table::new().words("").numbers("");
    let mut row = |what: &str, value: Option<f64>| {
        if let Some(value) = value {
            table.row([what.to_owned(), three(value)]);
        }
    };
    row("training loss", summary.train_loss);
    row("training accuracy", summary.train_accuracy);
    row("test loss", summary.test_loss);
    row("test accuracy", summary.test_accuracy);
    row("loss gap", summary.loss_gap);
    row("accuracy gap", summary.accuracy_gap);
    row("largest eigenvalue of W", summary.largest_eigenvalue);
    row("its residual", summary.residual);
    row("smallest eigenvalue of W", summary.smallest_eigenvalue);
    row("λ₁ η/2", summary.edge);
    let mut looks = Table::new();
    for name in ["step", "loss", "λ₁", "λ₁ η/2", "cosine", "ρ"] {
        looks = looks.numbers(name);
    }
    for look in &summary.checkpoints {
        looks.row([
            look.step.to_string(),
            three(look.loss),
            three(look.largest),
            three(0.5 * summary.learning_rate * look.largest),
            three(look.cosine),
            three(look.rho),
        ]);
    }
    let Summary { rule, stop, steps, .. } = summary;
    format!("{rule}: {stop} after {steps} steps\n\n{table}\n{looks}")
}

fn write(
    folder: &Folder,
    problem: &Problem,
    rule: &RuleName,
    rate: f64,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let (steps, each) = (problem.train.steps(), problem.train.target().at_each_step());
    let architecture = problem.rnn.architecture(steps, each);
    let text = toml::to_string(&architecture)
        .map_err(|error| Failure::input(format!("network.toml: {error}")))?;
    folder.write("network.toml", text.as_bytes())?;
    let network = problem.rnn.network::<f64>(steps, each)?;
    let parameters = Parameters::from_values(&network, outcome.parameters.clone())?;
    let bytes = parameters.to_archive()?.to_bytes(Format::Safetensors)?;
    folder.write("parameters.safetensors", &bytes)?;
    let mut curve = Archive::new();
    curve.insert("losses", Array::from_vector(outcome.losses.clone()));
    let looks: Vec<f64> = outcome.checkpoints.iter().flat_map(Look::numbers).collect();
    curve.insert("checkpoints", Array::new([outcome.checkpoints.len(), 9], looks)?);
    folder.write("curve.npz", &curve.to_bytes(Format::Npz)?)?;
    for (file, figure) in pictures::of(&[Shown { name: rule.to_string(), rate, outcome }]) {
        folder.write(file, figure.to_svg().as_bytes())?;
    }
    Ok(())
}
