//! `hesse credit`: trains recurrent networks by learning rules, compares the rules, and measures the
//! curvature where they are.

mod compare;
mod curvature;
pub mod descent;
mod pictures;
mod problem;
mod rules;
pub mod side_by_side;
mod train;

use clap::Subcommand;
use hesse::credit::Stop;

use crate::failure::{Failure, Verdict};
use crate::output::Output;

/// Train recurrent networks by learning rules that a synapse could follow, and by the exact gradient
///
/// A rule is one of bptt, rtrl, three-factor, eprop-random, eprop-adaptive, mdgl, modprop, modprop-taps,
/// snap1, uoro. RULE@F multiplies the update of the recurrent weights by F, and RULE@OTHER by the step
/// that the rule OTHER takes along the gradient: bptt@three-factor is BPTT with matched steps. Curvature
/// is always that of the exact loss in the recurrent weights, on all training data.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Train(train::Arguments),
    Compare(compare::Arguments),
    Curvature(curvature::Arguments),
}

/// Runs `hesse credit`.
///
/// # Errors
/// Files that cannot be read or do not fit, options out of range, results that cannot be written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    match &arguments.what {
        What::Train(arguments) => train::run(arguments, output),
        What::Compare(arguments) => compare::run(arguments, output),
        What::Curvature(arguments) => curvature::run(arguments, output),
    }
}

fn stop_name(stop: Stop) -> &'static str {
    match stop {
        Stop::StepLimit => "step limit",
        Stop::TargetLoss => "target loss",
        Stop::Diverged => "diverged",
        _ => "other",
    }
}

/// A number where there is one.
fn some(x: f64) -> Option<f64> {
    (!x.is_nan()).then_some(x)
}
