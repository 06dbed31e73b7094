//! From options to models of the library, and their results in one form.

use std::ops::ControlFlow;

use hesse::connectome::{
    Connectome, DistanceKernel, FactorMethod, FitProgress, GreedyLowRank, HomogeneousModel,
    KernelModel, LowRankSplineRegression, Solver, SplineRegression, Start, Status, Weights,
};
use hesse::faer::Mat;
use hesse::{Error, Result};

use super::fit_arguments::{FitArguments, MethodName, ModelName, SolverName, StartName};
use super::voxels::Problem;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::units::three;

/// A fit, and what only some models have.
pub(super) struct Fitted {
    pub(super) connectome: Connectome,
    /// What the relative residual was asked to reach; `None` for models without.
    pub(super) tolerance: Option<f64>,
    /// Whether it ended as its rule says.
    pub(super) ended: bool,
    /// ‖residual of the equation‖/‖right-hand side‖ (greedy).
    pub(super) equation_residual: Option<f64>,
    /// Singular values of W (greedy).
    pub(super) singular_values: Vec<f64>,
    /// γ of the Gaussian (kernel).
    pub(super) gamma: Option<f64>,
    /// The condition number of injections by region (regional).
    pub(super) condition: Option<f64>,
    /// W by region, target regions × source regions, with their numbers (regional).
    pub(super) regional: Option<(Mat<f64>, Vec<i64>, Vec<i64>)>,
}

impl Fitted {
    fn of(connectome: Connectome) -> Self {
        Self {
            connectome,
            tolerance: None,
            ended: true,
            equation_residual: None,
            singular_values: Vec::new(),
            gamma: None,
            condition: None,
            regional: None,
        }
    }
}

/// The full model with its options, but for the callback.
pub(super) fn full<'a>(arguments: &FitArguments) -> SplineRegression<'a> {
    let mut regression = match arguments.solver {
        None | Some(SolverName::ActiveSet) => SplineRegression::new(),
        Some(SolverName::Lbfgsb) => SplineRegression::new().solver(Solver::Lbfgsb {
            memory: 10,
            relative_decrease: 0.0,
            projected_gradient: None,
        }),
        Some(SolverName::Accelerated) => SplineRegression::new().solver(Solver::AcceleratedPg),
        Some(SolverName::Reference2016) => SplineRegression::reference_2016(),
    };
    regression = match arguments.strength.lambda_eff {
        Some(lambda) => regression.lambda_eff(lambda),
        None => regression.lambda(arguments.strength.lambda),
    };
    if let Some(tolerance) = arguments.tolerance {
        regression = regression.tol_kkt(tolerance);
    }
    if let Some(gap) = arguments.gap {
        regression = regression.tol_gap(gap);
    }
    if let Some(limit) = arguments.max_iterations {
        regression = regression.max_iterations(limit);
    }
    if let Some(path) = &arguments.checkpoint {
        regression = regression.checkpoint(path, arguments.every.unwrap_or(100));
    }
    regression.nonnegative(!arguments.signed).trace(true)
}

/// Checks the numbers of the options, so that a plan that is printed is one that can be run.
///
/// # Errors
/// The first that no fit takes, as the library says it.
pub(super) fn check(problem: &Problem, arguments: &FitArguments) -> Result<()> {
    let from_zero = |what: &str, value: f64| match value.is_finite() && value >= 0.0 {
        true => Ok(()),
        false => Err(Error::range(what, "a finite number from 0", value)),
    };
    let positive = |what: &str, value: f64| match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(Error::range(what, "a positive finite number", value)),
    };
    from_zero("--lambda", arguments.strength.lambda)?;
    arguments.strength.lambda_eff.map_or(Ok(()), |value| from_zero("--lambda-eff", value))?;
    arguments.ridge.map_or(Ok(()), |value| from_zero("--ridge", value))?;
    arguments.tolerance.map_or(Ok(()), |value| positive("--tolerance", value))?;
    arguments.gap.map_or(Ok(()), |value| positive("--gap", value))?;
    arguments.gamma.map_or(Ok(()), |value| positive("--gamma", value))?;
    let lambda = arguments.strength.lambda_eff.unwrap_or(arguments.strength.lambda);
    if arguments.model == ModelName::Greedy {
        positive("--lambda of --model greedy", lambda)?;
    }
    if arguments.max_iterations == Some(0) {
        return Err(Error::range("--max-iterations", "at least 1", 0));
    }
    let most = problem.data.targets().min(problem.data.sources());
    match arguments.rank {
        Some(rank) if !(1..=most).contains(&rank) => {
            Err(Error::range("--rank", format!("1 to {most}"), rank))
        }
        _ => Ok(()),
    }
}

/// Fits the model that the options name.
///
/// # Errors
/// Those of the library.
pub(super) fn fit(
    problem: &Problem,
    arguments: &FitArguments,
    output: &Output,
) -> Result<Fitted, Failure> {
    match arguments.model {
        ModelName::Full => fit_full(problem, arguments, output),
        ModelName::LowRank => fit_low_rank(problem, arguments, output),
        ModelName::Greedy => fit_greedy(problem, arguments),
        ModelName::Regional => fit_regional(problem, arguments),
        ModelName::Kernel => fit_kernel(problem, arguments),
    }
}

/// Where a fit is: what it lowers, and how far from the minimum it is where it has proven that.
fn place(progress: &FitProgress) -> String {
    let mut text = match progress.objective {
        Some(objective) => format!("objective {}", three(objective)),
        None => format!("residual {}", three(progress.residual)),
    };
    if progress.rounds > 0 {
        text = format!("round {}, {text}", progress.rounds);
    }
    if let Some(gap) = progress.gap {
        text += &format!(", gap {}", three(gap));
    }
    text
}

/// Shows where a fit is, in every tenth step and whenever another gap is proven.
fn watch(bar: &Progress) -> impl FnMut(&FitProgress) -> ControlFlow<()> + '_ {
    let mut proven = None;
    move |progress| {
        bar.set(progress.iterations as u64);
        if progress.iterations.is_multiple_of(10) || progress.gap != proven {
            proven = progress.gap;
            bar.say(place(progress));
        }
        ControlFlow::Continue(())
    }
}

fn fit_full(
    problem: &Problem,
    arguments: &FitArguments,
    output: &Output,
) -> Result<Fitted, Failure> {
    let published = arguments.solver == Some(SolverName::Reference2016);
    let limit = arguments.max_iterations.unwrap_or(if published { 600 } else { 20_000 });
    let bar = Progress::new(output, "fit", limit as u64);
    let Problem { data, lx, ly, .. } = problem;
    let regression = full(arguments).callback(watch(&bar));
    let fit = match &arguments.checkpoint {
        Some(path) if arguments.resume && path.exists() => regression.resume(path, data, lx, ly)?,
        _ => regression.fit(data, lx, ly)?,
    };
    // The published rule ends where it ends; without signs and certificate there is nothing else.
    let ended = match fit.status {
        Status::Converged => true,
        Status::SmallDecrease | Status::IterationLimit => published,
        _ => false,
    };
    // Where a gap is proven the residual decides nothing.
    let tolerance = fit.gap.is_nan().then(|| arguments.tolerance.unwrap_or(1e-8));
    Ok(Fitted { tolerance, ended, ..Fitted::of(fit) })
}

fn fit_low_rank(
    problem: &Problem,
    arguments: &FitArguments,
    output: &Output,
) -> Result<Fitted, Failure> {
    let limit = arguments.max_iterations.unwrap_or(2000);
    let bar = Progress::new(output, "fit", limit as u64);
    let method = match arguments.method {
        None | Some(MethodName::Accelerated) => {
            FactorMethod::Accelerated { step: None, fixed: false }
        }
        Some(MethodName::Armijo2016) => FactorMethod::ARMIJO_2016,
        Some(MethodName::Momentum2016) => FactorMethod::MOMENTUM_2016,
    };
    let start = match arguments.start {
        None | Some(StartName::Random) => Start::Random { seed: arguments.seed },
        Some(StartName::Svd) => Start::SvdSplit,
        Some(StartName::Split) => Start::Split2pMinus1,
    };
    let tolerance = arguments.tolerance.unwrap_or(1e-6);
    let mut regression = LowRankSplineRegression::new(arguments.rank.unwrap_or(1))
        .method(method)
        .start(start)
        .tolerance(tolerance)
        .max_iterations(limit)
        .callback(watch(&bar));
    regression = match arguments.strength.lambda_eff {
        Some(lambda) => regression.lambda_eff(lambda),
        None => regression.lambda(arguments.strength.lambda),
    };
    let fit = regression.fit(&problem.data, &problem.lx, &problem.ly)?;
    let ended = fit.status == Status::Converged;
    Ok(Fitted { tolerance: Some(tolerance), ended, ..Fitted::of(fit) })
}

fn fit_greedy(problem: &Problem, arguments: &FitArguments) -> Result<Fitted, Failure> {
    let Problem { data, lx, ly, .. } = problem;
    let most = data.targets().min(data.sources());
    let rank = arguments.rank.unwrap_or(50.min(most));
    let mut greedy = GreedyLowRank::new().max_rank(rank).seed(arguments.seed);
    greedy = match arguments.strength.lambda_eff {
        Some(lambda) => greedy.lambda_eff(lambda),
        None => greedy.lambda(arguments.strength.lambda),
    };
    if let Some(tolerance) = arguments.tolerance {
        greedy = greedy.tolerance(tolerance);
    }
    let fit = greedy.fit(data, lx, ly)?;
    // The rank is a budget: to use it up is an end like another.
    let ended = matches!(fit.connectome.status, Status::Converged | Status::IterationLimit);
    Ok(Fitted {
        ended,
        equation_residual: Some(fit.residual),
        singular_values: fit.singular_values,
        ..Fitted::of(fit.connectome)
    })
}

/// The regional model as factors: W = P_y⁺ W_R P_x, so that it predicts as the others do.
fn fit_regional(problem: &Problem, arguments: &FitArguments) -> Result<Fitted, Failure> {
    let Problem { data, sources, targets, .. } = problem;
    let mut model = HomogeneousModel::new()
        .ridge(arguments.ridge.unwrap_or(0.0))
        .least_voxels(arguments.least_voxels.unwrap_or(0));
    if let Some(kappa) = arguments.kappa {
        model = model.kappa(kappa);
    }
    let fit = model.fit(data, &sources.regions, &targets.regions)?;
    let count = |id: i64| targets.regions.iter().filter(|region| **region == id).count();
    let counts: Vec<f64> = fit.target_ids.iter().map(|id| count(*id) as f64).collect();
    let at = |ids: &[i64], id: i64| ids.iter().position(|other| *other == id);
    let u = Mat::from_fn(data.targets(), fit.source_ids.len(), |t, r| {
        at(&fit.target_ids, targets.regions[t]).map_or(0.0, |q| fit.weights[(q, r)] / counts[q])
    });
    let v = Mat::from_fn(data.sources(), fit.source_ids.len(), |s, r| {
        f64::from(u8::from(sources.regions[s] == fit.source_ids[r]))
    });
    let connectome = Connectome::from_weights(Weights::Factors { u, v }, data.labels().clone())?;
    Ok(Fitted {
        condition: Some(fit.condition),
        regional: Some((fit.weights, fit.target_ids, fit.source_ids)),
        ..Fitted::of(connectome)
    })
}

fn fit_kernel(problem: &Problem, arguments: &FitArguments) -> Result<Fitted, Failure> {
    let places = problem.sources.places();
    let model = |gamma: f64| KernelModel::new(DistanceKernel::Gaussian { gamma });
    let gamma = match arguments.gamma {
        Some(gamma) => gamma,
        None if problem.data.experiments() < 2 => {
            let expected = "a number, where there is one experiment only";
            return Err(Error::range("--gamma", expected, "none").into());
        }
        None => {
            let mut best = (f64::INFINITY, f64::NAN);
            for gamma in KernelModel::published_gammas() {
                let error = model(gamma)?.leave_one_out_mse_rel(&problem.data, places.as_ref())?;
                if error < best.0 {
                    best = (error, gamma);
                }
            }
            best.1
        }
    };
    let fit = model(gamma)?.fit(&problem.data, places.as_ref())?;
    Ok(Fitted { gamma: Some(gamma), ..Fitted::of(fit) })
}
