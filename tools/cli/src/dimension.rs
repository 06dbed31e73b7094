//! `hesse dimension`: how many dimensions points occupy, behind every layer of a network, and what
//! noise on weights makes of them.

mod estimate;
mod neighbors;
mod points;
mod profile;
mod theory;

use clap::Subcommand;

use crate::failure::{Failure, Verdict};
use crate::output::Output;

/// Measure how many dimensions points occupy
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Estimate(estimate::Arguments),
    Profile(profile::Arguments),
    Neighbors(neighbors::Arguments),
    Theory(theory::Arguments),
}

/// Runs `hesse dimension`.
///
/// # Errors
/// Files that cannot be read or do not fit each other, options out of range, results that cannot be
/// written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    match &arguments.what {
        What::Estimate(arguments) => estimate::run(arguments, output),
        What::Profile(arguments) => profile::run(arguments, output),
        What::Neighbors(arguments) => neighbors::run(arguments, output),
        What::Theory(arguments) => theory::run(arguments, output),
    }
}
