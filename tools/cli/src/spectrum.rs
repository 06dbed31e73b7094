//! `hesse spectrum`: eigenvalues, trace and density of the curvature of a network's loss.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use hesse::Real;
use hesse::io::{Archive, Array, Format};
use hesse::krylov::{
    Density, Eigenpairs, EstimateProgress, EstimateStatus, Lanczos, LinearOperator,
    SpectralDensity, Status, Trace, TraceEstimate, Which,
};
use hesse::network::{Objective, Parameters};
use serde::Serialize;

use crate::data::{DataArguments, Precision, accuracy};
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::network_file;
use crate::output::{Folder, Output, to_json};
use crate::progress::Progress;
use crate::table::Table;
use crate::units::three;

/// Compute eigenvalues, trace and density of the Hessian of a network's loss
///
/// Prints the largest eigenvalues with their residuals and error bounds, the trace with its standard
/// error, and how each computation ended: an iteration limit is a status, not a failure. With --out,
/// writes spectrum.json, eigenpairs.npz, density.npz, eigenvalues.svg, density.svg and
/// cumulative.svg.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The network: a TOML file, as for hesse train
    #[arg(value_name = "NETWORK")]
    network: PathBuf,
    /// Its parameters: a .safetensors (or .npz) file with one array for each of the network's
    #[arg(value_name = "PARAMETERS")]
    parameters: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    /// The matrix
    #[arg(long, value_enum, default_value_t = MatrixName::Hessian)]
    matrix: MatrixName,
    /// Number of eigenvalues, 0 for none [default: 10, or all if there are fewer]
    #[arg(long, value_name = "K")]
    top: Option<usize>,
    /// Half of them from the top, half from the bottom
    #[arg(long)]
    both_ends: bool,
    /// Residuals relative to the eigenvalue [default: 1e-8, for f32 1e-5]
    #[arg(long, value_name = "TOL", allow_negative_numbers = true)]
    tolerance: Option<f64>,
    /// Vectors that are multiplied together in the search for eigenvalues
    #[arg(long, value_name = "B", default_value_t = 1)]
    block: usize,
    /// End the search for eigenvalues after this many products [default: 1000 + 200 K]
    #[arg(long, value_name = "N")]
    max_products: Option<usize>,
    /// Estimate the trace: hutchinson, hutchpp, xtrace, xnystrace (for gauss-newton) or exact, with
    /// M products (hutchpp: a multiple of 3, xtrace: even) [default M: 96]
    #[arg(long, value_name = "METHOD[:M]")]
    trace: Option<TraceName>,
    /// Estimate the density of the spectrum from STEPS Lanczos steps from each of PROBES probes
    /// [default: 90:10]
    #[arg(long, value_name = "STEPS:PROBES", num_args = 0..=1, default_missing_value = "auto")]
    density: Option<DensityName>,
    /// Memory for intermediate results, in GiB; what does not fit is computed again
    #[arg(long, value_name = "GIB", default_value_t = 4.0, allow_negative_numbers = true)]
    memory: f64,
    /// Seed of all random vectors
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

/// A matrix as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatrixName {
    /// Second derivatives of the loss
    Hessian,
    /// The Hessian of the loss of the linearised network
    GaussNewton,
}

/// `METHOD[:M]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TraceName {
    method: &'static str,
    products: usize,
}

const TRACES: [&str; 5] = ["hutchinson", "hutchpp", "xtrace", "xnystrace", "exact"];

impl FromStr for TraceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, products) = match text.split_once(':') {
            Some((name, products)) => (name, Some(products)),
            None => (text, None),
        };
        let expected =
            || format!("expected METHOD or METHOD:M, METHOD one of {}", TRACES.join(", "));
        let method = *TRACES.iter().find(|method| **method == name).ok_or_else(expected)?;
        match products {
            None => Ok(Self { method, products: 96 }),
            Some(_) if method == "exact" => Err("expected exact without a number".to_owned()),
            Some(products) => {
                let products: usize = products.parse().map_err(|_| expected())?;
                let (multiple, words) = match method {
                    "hutchpp" => (3, "a positive multiple of 3"),
                    "xtrace" => (2, "a positive even number"),
                    _ => (1, "at least 1"),
                };
                if products == 0 || !products.is_multiple_of(multiple) {
                    return Err(format!("products: expected {words}, got {products}"));
                }
                Ok(Self { method, products })
            }
        }
    }
}

impl TraceName {
    fn trace<'a>(&self) -> Trace<'a> {
        match self.method {
            "hutchinson" => Trace::hutchinson(self.products),
            "hutchpp" => Trace::hutchpp(self.products),
            "xtrace" => Trace::xtrace(self.products),
            "xnystrace" => Trace::xnystrace(self.products),
            _ => Trace::exact(),
        }
    }
}

/// `STEPS:PROBES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DensityName {
    /// `None`: 90, or as many as there are parameters.
    steps: Option<usize>,
    probes: usize,
}

impl FromStr for DensityName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self { steps: None, probes: 10 });
        }
        let numbers = text.split_once(':').and_then(|(steps, probes)| {
            Some(Self { steps: Some(steps.parse().ok()?), probes: probes.parse().ok()? })
        });
        numbers.ok_or_else(|| "expected STEPS:PROBES, such as 90:10".to_owned())
    }
}

/// What is printed and written.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    matrix: MatrixName,
    dtype: Precision,
    parameters: usize,
    samples: usize,
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    gradient_norm: f64,
    memory: Memory,
    #[serde(skip_serializing_if = "Option::is_none")]
    eigenvalues: Option<Eigenvalues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<TraceSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    density: Option<DensitySummary>,
}

/// Bytes, estimated.
#[derive(Clone, Copy, Debug, Serialize)]
struct Memory {
    /// The forward and backward passes of all samples.
    passes: usize,
    /// Shards of samples whose passes are kept, and of all.
    kept_shards: usize,
    shards: usize,
    /// Bases of the largest computation asked for.
    bases: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Eigenvalues {
    values: Vec<f64>,
    residuals: Vec<f64>,
    error_bounds: Vec<f64>,
    status: &'static str,
    verified: bool,
    products: usize,
    restarts: usize,
}

#[derive(Clone, Debug, Serialize)]
struct TraceSummary {
    method: &'static str,
    value: f64,
    standard_error: f64,
    products: usize,
    status: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct DensitySummary {
    probes: usize,
    sigma: f64,
    /// n times the first moment.
    trace: f64,
    trace_standard_error: f64,
    /// Share of eigenvalues at most 0.
    share_not_positive: f64,
    share_not_positive_standard_error: f64,
    products: usize,
    status: &'static str,
}

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

/// The results themselves.
struct Results<T> {
    pairs: Option<Eigenpairs<T>>,
    trace: Option<TraceEstimate>,
    density: Option<Density>,
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

impl Eigenvalues {
    fn of<T>(pairs: &Eigenpairs<T>) -> Self {
        Self {
            values: pairs.values.clone(),
            residuals: pairs.residuals.clone(),
            error_bounds: pairs.error_bounds.clone(),
            status: match pairs.status {
                Status::Converged => "converged",
                Status::IterationLimit => "iteration limit",
                Status::Stagnated => "stagnated",
                Status::Interrupted => "interrupted",
                _ => "other",
            },
            verified: pairs.verified,
            products: pairs.products,
            restarts: pairs.restarts,
        }
    }
}

fn estimate_status(status: EstimateStatus) -> &'static str {
    match status {
        EstimateStatus::Exact => "exact",
        EstimateStatus::Converged => "converged",
        EstimateStatus::BudgetSpent => "budget spent",
        EstimateStatus::Interrupted => "interrupted",
        _ => "other",
    }
}

impl DensitySummary {
    fn of(density: &Density) -> Self {
        let trace = density.integral(|x| x);
        let share = density.cumulative_at(0.0);
        Self {
            probes: density.quadratures.len(),
            sigma: density.sigma,
            trace: trace.value,
            trace_standard_error: trace.standard_error,
            share_not_positive: share.value,
            share_not_positive_standard_error: share.standard_error,
            products: density.products,
            status: estimate_status(density.status),
        }
    }
}

impl Summary {
    /// What is known before the long computations.
    fn preface(&self) -> Table {
        let mut table = Table::new().words("spectrum").words("");
        let matrix = match self.matrix {
            MatrixName::Hessian => "Hessian",
            MatrixName::GaussNewton => "Gauss-Newton",
        };
        table.row(["matrix", &format!("{matrix}, {0} × {0}", self.parameters)]);
        table.row(["samples", &self.samples.to_string()]);
        table.row(["loss", &format!("{:.6e}", self.loss)]);
        if let Some(accuracy) = self.accuracy {
            table.row(["accuracy", &format!("{:.2} %", 100.0 * accuracy)]);
        }
        table.row(["gradient norm", &format!("{:.3e}", self.gradient_norm)]);
        let Memory { passes, kept_shards, shards, bases } = self.memory;
        table.row([
            "memory",
            &format!(
                "{} MB for passes ({kept_shards} of {shards} shards kept), {} MB for vectors",
                three(passes as f64 / 1e6),
                three(bases as f64 / 1e6),
            ),
        ]);
        table
    }

    fn results(&self) -> String {
        let mut text = String::new();
        if let Some(e) = &self.eigenvalues {
            let mut table = Table::new()
                .numbers("")
                .numbers("eigenvalue")
                .numbers("residual")
                .numbers("error ≤");
            for (i, value) in e.values.iter().enumerate() {
                let number = (i + 1).to_string();
                let value = format!("{value:.10e}");
                let (residual, bound) = (three(e.residuals[i]), three(e.error_bounds[i]));
                table.row([number, value, residual, bound]);
            }
            let verified = if e.verified { "" } else { ", copies not searched for" };
            text += &format!(
                "\n{table}{}: {} products, {} restarts{verified}\n",
                e.status, e.products, e.restarts
            );
        }
        if let Some(t) = &self.trace {
            text += &format!(
                "\ntrace {} ± {} ({}, {} products, {})\n",
                exact(t.value),
                three(t.standard_error),
                t.method,
                t.products,
                t.status
            );
        }
        if let Some(d) = &self.density {
            text += &format!(
                "\ndensity from {} probes, {} products, σ = {} ({}): trace {} ± {}, share not positive \
                 {} ± {}\n",
                d.probes,
                d.products,
                three(d.sigma),
                d.status,
                exact(d.trace),
                three(d.trace_standard_error),
                three(d.share_not_positive),
                three(d.share_not_positive_standard_error),
            );
        }
        text
    }
}

fn exact(value: f64) -> String {
    format!("{value:.8e}")
}

impl<T: Real> Results<T> {
    /// Arrays and figures.
    fn write(&self, folder: &Folder) -> Result<(), Failure> {
        if let Some(pairs) = &self.pairs {
            let mut arrays = Archive::new();
            arrays.insert("values", Array::from_vector(pairs.values.clone()));
            arrays.insert("residuals", Array::from_vector(pairs.residuals.clone()));
            arrays.insert("error_bounds", Array::from_vector(pairs.error_bounds.clone()));
            arrays.insert("vectors", Array::from_mat(pairs.vectors.as_ref())?);
            folder.write("eigenpairs.npz", &arrays.to_bytes(Format::Npz)?)?;
            let points = pairs.values.iter().enumerate().map(|(i, v)| ((i + 1) as f64, *v));
            let figure = Figure::new("Eigenvalues", "rank", "eigenvalue").points("", points);
            folder.write("eigenvalues.svg", figure.to_svg().as_bytes())?;
        }
        if let Some(trace) = &self.trace {
            let mut arrays = Archive::new();
            arrays.insert("terms", Array::from_vector(trace.terms.clone()));
            folder.write("trace.npz", &arrays.to_bytes(Format::Npz)?)?;
        }
        if let Some(density) = &self.density {
            folder.write("density.npz", &density_arrays(density)?.to_bytes(Format::Npz)?)?;
            let curve = |y: &[f64]| -> Vec<(f64, f64)> {
                density.grid.iter().copied().zip(y.iter().copied()).collect()
            };
            let band = |y: &[f64], e: &[f64]| -> Vec<(f64, f64, f64)> {
                let sides = y.iter().zip(e).map(|(y, e)| (y - e, y + e));
                density.grid.iter().zip(sides).map(|(x, (low, high))| (*x, low, high)).collect()
            };
            let top = density.density.iter().fold(0.0, |a: f64, b| if *b > a { *b } else { a });
            let figure = Figure::new("Density of the spectrum", "eigenvalue", "density")
                .log_y()
                .y_from_to(1e-8 * top, 2.0 * top)
                .band(band(&density.density, &density.density_error))
                .line("", curve(&density.density));
            folder.write("density.svg", figure.to_svg().as_bytes())?;
            let figure = Figure::new("Cumulative spectrum", "eigenvalue", "share of eigenvalues")
                .band(band(&density.cumulative, &density.cumulative_error))
                .line("", curve(&density.cumulative));
            folder.write("cumulative.svg", figure.to_svg().as_bytes())?;
        }
        Ok(())
    }
}

/// The density as arrays. Rows of `nodes` and `weights` belong to probes; where a probe ended early,
/// NaN fills its row.
fn density_arrays(density: &Density) -> Result<Archive, Failure> {
    let mut arrays = Archive::new();
    for (name, values) in [
        ("grid", &density.grid),
        ("density", &density.density),
        ("density_error", &density.density_error),
        ("cumulative", &density.cumulative),
        ("cumulative_error", &density.cumulative_error),
        ("smoothed_cumulative", &density.smoothed_cumulative),
        ("smoothed_cumulative_error", &density.smoothed_cumulative_error),
    ] {
        arrays.insert(name, Array::from_vector(values.clone()));
    }
    let rules = &density.quadratures;
    let steps = rules.iter().map(|rule| rule.nodes.len()).max().unwrap_or(0);
    let rows = |row: fn(&hesse::krylov::Quadrature) -> &[f64]| -> Vec<f64> {
        let padded =
            |rule| row(rule).iter().copied().chain(std::iter::repeat(f64::NAN)).take(steps);
        rules.iter().flat_map(padded).collect()
    };
    arrays.insert("nodes", Array::new([rules.len(), steps], rows(|rule| &rule.nodes))?);
    arrays.insert("weights", Array::new([rules.len(), steps], rows(|rule| &rule.weights))?);
    arrays.insert("sigma", Array::from_vector(vec![density.sigma]));
    Ok(arrays)
}
