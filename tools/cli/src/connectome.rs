//! `hesse connectome`: connectivity between voxels from tracing experiments.

mod arguments;
mod collapse;
mod cross_validation;
mod fit;
mod fit_arguments;
mod fit_file;
mod fit_summary;
mod identify;
mod memory;
mod models;
mod pictures;
mod predict;
mod toy;
mod tracing_file;
mod voxels;

use clap::Subcommand;

use crate::failure::{Failure, Verdict};
use crate::output::Output;

/// Fit connectivity between voxels to tracing experiments, and use what was fitted
///
/// W is a matrix of targets × sources: column j is the projection image to be expected of a unit
/// injection into source voxel j. `hesse connectome toy --out toy` writes data to try it on:
/// `hesse connectome fit toy/toy.npz --grid 200 --lambda 100 --out fit`.
#[derive(Debug, clap::Args)]
#[command(after_help = ARRAYS)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const ARRAYS: &str = "\
Arrays of DATA (.npz), each also from elsewhere by --with NAME=FILE[:NAME]:
  injections (or X)       sources × experiments, from 0: injection density of each source voxel;
                          or the parts of a CSR matrix as in SciPy: injections_indptr,
                          injections_indices, injections_data
  projections (or Y)      targets × experiments: projection density of each target voxel; or CSR parts
  observed                targets × experiments, 1 where a projection was seen, 0 where it says nothing
                          (inside an injection): the Ω of the paper
  hidden                  the opposite, 1 where a projection is to be ignored: what published codes call
                          Omega. An array called Omega is refused, since its sense is not known:
                          --with observed=FILE:Omega or --with hidden=FILE:Omega says it.
                          Without either, a projection was seen wherever nothing was injected, if sources
                          and targets are the same voxels
  mask                    a grid of 1 to 3 axes, not 0 in voxels that are both source and target, which
                          are numbered in C order; or source_mask and target_mask. --grid 12x16 instead:
                          all cells of a grid
  coordinates             voxels × axes, with grid_shape: voxels in an order of their own; or
                          source_coordinates and target_coordinates
  regions                 the region of each voxel, or of each cell of the grid, 0 for none; or
                          source_regions and target_regions
  experiments             names or numbers of the experiments
Numbers may be of any real type. Dense matrices that are transposed are refused by their shape.

Exit codes: 0 done; 1 a fit without its certificate, or data that do not determine W; 2 bad input";

#[derive(Debug, Subcommand)]
enum Command {
    Fit(fit_arguments::FitArguments),
    Predict(predict::PredictArguments),
    Cv(cross_validation::CvArguments),
    Collapse(collapse::CollapseArguments),
    Identify(identify::IdentifyArguments),
    Toy(toy::ToyArguments),
}

/// Runs `hesse connectome`.
///
/// # Errors
/// Files that cannot be read or do not fit each other, options out of range, results that cannot be
/// written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    match &arguments.command {
        Command::Fit(arguments) => fit::run(arguments, output),
        Command::Predict(arguments) => predict::run(arguments, output),
        Command::Cv(arguments) => cross_validation::run(arguments, output),
        Command::Collapse(arguments) => collapse::run(arguments, output),
        Command::Identify(arguments) => identify::run(arguments, output),
        Command::Toy(arguments) => toy::run(arguments, output),
    }
}
