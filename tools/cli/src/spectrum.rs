//! `hesse spectrum`: eigenvalues, trace and density of the curvature of a network's loss.

mod arguments;
mod files;
mod summary;

use std::ops::ControlFlow;

use hesse::Real;
use hesse::krylov::{
    EstimateProgress, Lanczos, LinearOperator, SpectralDensity, TraceEstimate, Which,
};
use hesse::network::{Objective, Parameters};

use crate::data::{Precision, accuracy};
use crate::failure::{Failure, Verdict};
use crate::network_file;
use crate::output::{Output, to_json};
use crate::progress::Progress;
use arguments::DensityName;
pub use arguments::{Arguments, MatrixName};
use files::Results;
use summary::{DensitySummary, Eigenvalues, Memory, Summary, TraceSummary, estimate_status};

/// Runs `hesse spectrum`.
///
/// # Errors
/// Files that cannot be read or do not fit each other, options out of range, results that cannot be
/// written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    match arguments.data.dtype {
        Precision::F32 => spectrum::<f32>(arguments, output),
        Precision::F64 => spectrum::<f64>(arguments, output),
    }
}

fn spectrum<T: Real>(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let budget = arguments.memory * (1_u64 << 30) as f64;
    if !(0.0..=9e15).contains(&budget) {
        let got = arguments.memory;
        return Err(Failure::input(format!("--memory: expected at least 0, got {got}")));
    }
    let network = network_file::read::<T>(&arguments.network)?;
    let parameters = Parameters::load(&network, &arguments.parameters)?;
    let n = parameters.values().len();
    let wanted = check(arguments, n)?;
    let data = arguments.data.read::<T>()?;
    let loss = arguments.data.loss();
    let objective = Objective::new(&network, &data, loss)?.memory_budget(budget as usize);
    let theta = parameters.values();
    let outputs = objective.outputs(theta)?;
    let point = objective.at(theta)?;
    let (kept_shards, shards) = point.kept_shards();
    let squares: f64 = point.gradient().iter().map(|g| g.to_f64() * g.to_f64()).sum();
    let mut summary = Summary {
        matrix: arguments.matrix,
        dtype: arguments.data.dtype,
        parameters: n,
        samples: data.len(),
        loss: point.value(),
        accuracy: accuracy(&outputs, network.outputs(), data.targets(), loss),
        gradient_norm: squares.sqrt(),
        memory: Memory {
            passes: objective.memory_estimate(),
            kept_shards,
            shards,
            bases: bases(arguments, wanted, n).saturating_mul(size_of::<T>()),
        },
        eigenvalues: None,
        trace: None,
        density: None,
    };
    if !output.json {
        output.print(&summary.preface().to_string())?;
    }
    let results = match arguments.matrix {
        MatrixName::Hessian => compute(arguments, output, wanted, &point.hessian())?,
        MatrixName::GaussNewton => compute(arguments, output, wanted, &point.gauss_newton())?,
    };
    summary.eigenvalues = results.pairs.as_ref().map(Eigenvalues::of);
    summary.trace = results.trace.as_ref().zip(arguments.trace.as_ref()).map(|(estimate, name)| {
        let TraceEstimate { value, standard_error, products, status, .. } = *estimate;
        let status = estimate_status(status);
        TraceSummary { method: name.method, value, standard_error, products, status }
    });
    summary.density = results.density.as_ref().map(DensitySummary::of);
    if let Some(folder) = output.folder() {
        folder.write("spectrum.json", (to_json(&summary)? + "\n").as_bytes())?;
        results.write(folder)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.results())?;
    }
    Ok(Verdict::Holds)
}

/// Checks what depends on the number of parameters before anything is computed, and returns the
/// number of eigenvalues.
fn check(arguments: &Arguments, n: usize) -> Result<usize, Failure> {
    let refuse = |what: &str, expected: String, got: usize| {
        Err(Failure::input(format!("{what}: expected {expected}, got {got}")))
    };
    let wanted = arguments.top.unwrap_or(10.min(n));
    if wanted > n {
        return refuse("--top", format!("at most {n}"), wanted);
    }
    if let Some(DensityName { steps, probes }) = arguments.density {
        if steps.is_some_and(|steps| !(1..=n).contains(&steps)) {
            return refuse("--density: steps", format!("1 to {n}"), steps.unwrap_or(0));
        }
        if probes == 0 {
            return refuse("--density: probes", "at least 1".to_owned(), probes);
        }
    }
    let semidefinite = arguments.matrix == MatrixName::GaussNewton;
    if arguments.trace.as_ref().is_some_and(|t| t.method == "xnystrace") && !semidefinite {
        let message = "--trace xnystrace: expected --matrix gauss-newton, got hessian";
        return Err(Failure::input(message));
    }
    Ok(wanted)
}

/// Elements of the bases that the largest of the computations keeps.
fn bases(arguments: &Arguments, wanted: usize, n: usize) -> usize {
    let mut vectors = 0;
    if wanted > 0 {
        let block = arguments.block;
        let space =
            (2 * wanted + 10).max(20).max(wanted.saturating_add(8_usize.saturating_mul(block)));
        vectors = space.min(n).saturating_add(block.saturating_mul(2));
    }
    if let Some(trace) = &arguments.trace {
        let m = trace.products;
        vectors = vectors.max(match trace.method {
            "hutchpp" => m / 3 + 16,
            "xtrace" => m + 8,
            "xnystrace" => m.saturating_mul(2).saturating_add(8),
            _ => 16,
        });
    }
    if let Some(DensityName { steps, probes }) = arguments.density {
        vectors = vectors.max(steps.unwrap_or(90).min(n).saturating_mul(probes));
    }
    vectors.saturating_mul(n)
}

fn compute<T: Real>(
    arguments: &Arguments,
    output: &Output,
    wanted: usize,
    operator: &impl LinearOperator<T>,
) -> Result<Results<T>, Failure> {
    let mut results = Results { pairs: None, trace: None, density: None };
    if wanted > 0 {
        let limit = arguments.max_products.unwrap_or(1000 + 200 * wanted);
        let bar = Progress::new(output, "eigenvalues", limit as u64);
        let which = if arguments.both_ends { Which::BothEnds } else { Which::Largest };
        let mut lanczos = Lanczos::new(operator)
            .which(which, wanted)
            .block(arguments.block)
            .max_products(limit)
            .seed(arguments.seed)
            .callback(|progress| {
                bar.set(progress.products as u64);
                bar.say(format!("{} of {} converged", progress.converged, progress.wanted));
                ControlFlow::Continue(())
            });
        if let Some(tolerance) = arguments.tolerance {
            lanczos = lanczos.tolerance(tolerance);
        }
        results.pairs = Some(lanczos.run()?);
    }
    if let Some(name) = &arguments.trace {
        let bar = Progress::new(output, "trace", name.products as u64);
        let progress = follow(&bar);
        let trace = name.trace().seed(arguments.seed).progress(&progress);
        results.trace = Some(trace.run(operator)?);
    }
    if let Some(DensityName { steps, probes }) = arguments.density {
        let products = steps.unwrap_or(90).saturating_mul(probes);
        let bar = Progress::new(output, "density", products as u64);
        let progress = follow(&bar);
        let mut density =
            SpectralDensity::new().samples(probes).seed(arguments.seed).progress(&progress);
        if let Some(steps) = steps {
            // The kernel is as narrow as the steps resolve; the grid must show it.
            density = density.steps(steps).grid(steps.saturating_mul(2).max(1000));
        }
        results.density = Some(density.run(operator)?);
    }
    Ok(results)
}

fn follow(bar: &Progress) -> impl Fn(EstimateProgress) -> ControlFlow<()> + Sync {
    |progress| {
        bar.set(progress.products as u64);
        ControlFlow::Continue(())
    }
}
