//! What `hesse connectome fit` is asked.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::arguments::{StrengthArguments, TracingArguments, VoxelArguments};
use crate::failure::Failure;

/// Fit W to tracing data
///
/// Prints objective, loss and penalty, the residual of the conditions of optimality, the error on the
/// data and whether they determine W. The memory that the fit needs is estimated before any of it is
/// taken. With --out, writes connectome.npz (W or its factors U and V, with the voxels and regions:
/// what predict and collapse read), fit.json, weights.svg (W with its voxels in their order, or by
/// region) and course.svg. The exit code is 1 if the fit ended without its certificate: at the
/// iteration limit, or where rounding keeps it.
#[derive(Debug, clap::Args)]
#[command(after_help = "The arrays of DATA: hesse connectome --help")]
pub(super) struct FitArguments {
    #[command(flatten)]
    pub(super) tracing: TracingArguments,
    #[command(flatten)]
    pub(super) voxels: VoxelArguments,
    #[command(flatten)]
    pub(super) strength: StrengthArguments,
    /// What is fitted
    #[arg(long, value_enum, default_value_t = ModelName::Full)]
    pub(super) model: ModelName,
    /// Columns of the factors: of low-rank; the most of them: of greedy
    #[arg(long, value_name = "R")]
    pub(super) rank: Option<usize>,
    /// Weights of any sign (full)
    #[arg(long)]
    pub(super) signed: bool,
    /// What minimises the objective (full) [default: active-set]
    #[arg(long, value_enum)]
    pub(super) solver: Option<SolverName>,
    /// How factors are improved (low-rank) [default: accelerated]
    #[arg(long, value_enum)]
    pub(super) method: Option<MethodName>,
    /// Where factors start (low-rank) [default: random]
    #[arg(long, value_enum)]
    pub(super) start: Option<StartName>,
    /// End at this relative gap between the objective and a proven bound on its minimum, instead of at a
    /// residual (full) [default: 1e-4 beyond 1000 voxels]
    #[arg(long, value_name = "GAP", allow_negative_numbers = true, conflicts_with = "tolerance")]
    pub(super) gap: Option<f64>,
    /// Relative residual of the conditions of optimality that counts as converged (full: 1e-8, low-rank:
    /// 1e-6), or the relative change that does (greedy: 1e-7)
    #[arg(long, value_name = "TOL", allow_negative_numbers = true)]
    pub(super) tolerance: Option<f64>,
    /// No more iterations than this (full: 20000, low-rank: 2000)
    #[arg(long, value_name = "N")]
    pub(super) max_iterations: Option<usize>,
    /// Save the state of the fit in this .npz file (full with active-set)
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint: Option<PathBuf>,
    /// Iterations between two saves [default: 100]
    #[arg(long, value_name = "N", requires = "checkpoint")]
    pub(super) every: Option<usize>,
    /// Go on from the checkpoint, if it is there, to the same bits
    #[arg(long, requires = "checkpoint")]
    pub(super) resume: bool,
    /// γ of the Gaussian of distances exp(−γd²), d in voxels (kernel) [default: the best of ten by leaving
    /// one experiment out]
    #[arg(long, value_name = "GAMMA", allow_negative_numbers = true)]
    pub(super) gamma: Option<f64>,
    /// The largest condition number of the regions' injections; source regions are dropped until it is
    /// reached (regional)
    #[arg(long, value_name = "KAPPA", allow_negative_numbers = true)]
    pub(super) kappa: Option<f64>,
    /// α of the penalty α²‖W‖² (regional) [default: 0]
    #[arg(long, value_name = "ALPHA", allow_negative_numbers = true)]
    pub(super) ridge: Option<f64>,
    /// Leave out source regions in which no experiment injected as many voxels (regional) [default: 0]
    #[arg(long, value_name = "N")]
    pub(super) least_voxels: Option<usize>,
    /// Refuse to start where the estimate of the memory is above this
    #[arg(long, value_name = "GIB", allow_negative_numbers = true)]
    pub(super) memory: Option<f64>,
    /// Print sizes, memory and whether the data determine W, and fit nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Seed of random starts
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(super) seed: u64,
}

/// A model as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModelName {
    /// All of W ≥ 0, to a certificate of optimality
    Full,
    /// Factors U, V ≥ 0 of a given rank
    LowRank,
    /// Factors of any sign, one rank at a time
    Greedy,
    /// The same connection throughout a pair of regions
    Regional,
    /// Projections averaged over experiments, by distance
    Kernel,
}

/// A solver as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SolverName {
    /// Active sets with preconditioned conjugate gradients
    ActiveSet,
    /// L-BFGS-B with 10 pairs
    Lbfgsb,
    /// Accelerated projected gradient: the least memory, very many iterations
    Accelerated,
    /// The published L-BFGS-B setting, which stops far from the optimum
    #[value(name = "reference-2016")]
    Reference2016,
}

/// A method for factors as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MethodName {
    /// Accelerated projected gradient with restarts and backtracking
    Accelerated,
    /// The published projected gradient with carried Armijo steps
    #[value(name = "armijo-2016")]
    Armijo2016,
    /// The published momentum with fixed steps of 1e-7
    #[value(name = "momentum-2016")]
    Momentum2016,
}

/// A start as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StartName {
    /// Uniform random numbers
    Random,
    /// Singular vectors of the solution without signs, the larger parts
    Svd,
    /// Both signs of the solution without signs; for ranks 2p − 1
    Split,
}

impl FitArguments {
    /// Checks that every option belongs to the model.
    ///
    /// # Errors
    /// The first that does not.
    pub(super) fn check(&self) -> Result<(), Failure> {
        use ModelName::{Full, Greedy, Kernel, LowRank, Regional};
        let options: [(&str, bool, &[ModelName]); 15] = [
            ("--rank", self.rank.is_some(), &[LowRank, Greedy]),
            ("--signed", self.signed, &[Full]),
            ("--solver", self.solver.is_some(), &[Full]),
            ("--method", self.method.is_some(), &[LowRank]),
            ("--start", self.start.is_some(), &[LowRank]),
            ("--gap", self.gap.is_some(), &[Full]),
            ("--tolerance", self.tolerance.is_some(), &[Full, LowRank, Greedy]),
            ("--max-iterations", self.max_iterations.is_some(), &[Full, LowRank]),
            ("--checkpoint", self.checkpoint.is_some(), &[Full]),
            ("--gamma", self.gamma.is_some(), &[Kernel]),
            ("--kappa", self.kappa.is_some(), &[Regional]),
            ("--ridge", self.ridge.is_some(), &[Regional]),
            ("--least-voxels", self.least_voxels.is_some(), &[Regional]),
            ("--within-regions", self.voxels.within_regions, &[Full, LowRank, Greedy]),
            ("--lambda-eff", self.strength.lambda_eff.is_some(), &[Full, LowRank, Greedy]),
        ];
        for (option, given, models) in options {
            if given && !models.contains(&self.model) {
                let names = models.iter().map(|model| name(*model)).collect::<Vec<_>>();
                return Err(Failure::input(format!(
                    "{option}: expected --model {}, got {}",
                    names.join(" or "),
                    name(self.model)
                )));
            }
        }
        if self.model == LowRank && self.rank.is_none() {
            return Err(Failure::input("--rank: expected the number of columns of the factors"));
        }
        if self.signed && self.solver == Some(SolverName::Reference2016) {
            return Err(Failure::input("--signed: expected another solver than reference-2016"));
        }
        if let Some(solver) = self.solver.filter(|solver| *solver != SolverName::ActiveSet) {
            let options =
                [("--checkpoint", self.checkpoint.is_some()), ("--gap", self.gap.is_some())];
            if let Some((option, _)) = options.iter().find(|(_, given)| *given) {
                return Err(Failure::input(format!(
                    "{option}: expected --solver active-set, got {}",
                    name(solver)
                )));
            }
        }
        if let (Some(StartName::Split), Some(rank)) = (self.start, self.rank)
            && rank.is_multiple_of(2)
        {
            return Err(Failure::input(format!(
                "--rank: expected an odd number for --start split, got {rank}"
            )));
        }
        Ok(())
    }
}

/// A model or a solver by the name of the command line.
pub(super) fn name(choice: impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
