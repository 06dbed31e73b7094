//! `hesse similarity`: how alike two representations of the same stimuli are, and where populations lie
//! along the layers of a network.

mod ceiling;
mod depth;
mod responses;
mod rsm;
mod score;

use clap::Subcommand;

use crate::failure::{Failure, Verdict};
use crate::output::Output;

/// Compare representations of the same stimuli
///
/// Responses are arrays of stimuli × units, or of trials × stimuli × units, of which the mean over trials
/// is taken: X.npy, data.npz:X or model.safetensors:X. A .npz or .safetensors file without a name stands
/// for all its arrays, in the order of the file. All have the same stimuli in the same order.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Rsm(rsm::Arguments),
    Score(score::Arguments),
    Depth(depth::Arguments),
    Ceiling(ceiling::Arguments),
}

/// Runs `hesse similarity`.
///
/// # Errors
/// Files that cannot be read or do not fit each other, options out of range, results that cannot be
/// written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    match &arguments.what {
        What::Rsm(arguments) => rsm::run(arguments, output),
        What::Score(arguments) => score::run(arguments, output),
        What::Depth(arguments) => depth::run(arguments, output),
        What::Ceiling(arguments) => ceiling::run(arguments, output),
    }
}
