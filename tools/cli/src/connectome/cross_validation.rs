//! `hesse connectome cv`: the choice of λ, and the error to be expected.

use clap::ValueEnum;
use hesse::connectome::{
    CvReport, Denominator, HomogeneousModel, LowRankSplineRegression, NestedCv, Shuffle,
    SplineRegression, Start, Weights,
};
use hesse::io::{Archive, Array, Format};
use hesse::{Error, Result};
use serde::Serialize;

use super::arguments::{Lambdas, TracingArguments, VoxelArguments};
use super::voxels::Problem;
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::output::{Folder, Output, to_json};
use crate::progress::Progress;
use crate::table::Table;
use crate::units::three;

/// Choose λ and estimate the error by nested cross-validation
///
/// In each outer fold, inner folds of the other experiments choose λ, which is fitted to all of them and
/// tested on the fold. Prints the error of every λ, the choices and the test errors, beside those of the
/// regional model where there are regions. With --out, writes cv.npz (errors by outer fold, inner fold
/// and λ; folds), cv.json and cv.svg (error against λ).
#[derive(Debug, clap::Args)]
#[command(after_help = "The arrays of DATA: hesse connectome --help")]
pub(super) struct CvArguments {
    #[command(flatten)]
    tracing: TracingArguments,
    #[command(flatten)]
    voxels: VoxelArguments,
    /// λ to try: numbers by commas, decades as 1e-2..1e5
    #[arg(long, value_name = "LIST", default_value = "1e3..1e12")]
    lambdas: Lambdas,
    /// Outer folds
    #[arg(long, value_name = "K", default_value_t = 5)]
    outer: usize,
    /// Inner folds
    #[arg(long, value_name = "K", default_value_t = 5)]
    inner: usize,
    /// How experiments are dealt to outer folds
    #[arg(long, value_enum, default_value_t = ShuffleName::Numpy)]
    shuffle: ShuffleName,
    /// Its seed
    #[arg(long, value_name = "SEED", default_value_t = 666)]
    shuffle_seed: u32,
    /// The denominator of the errors that choose λ
    #[arg(long, value_enum, default_value_t = DenominatorName::Masked)]
    denominator: DenominatorName,
    /// Fit factors of this rank instead of all of W
    #[arg(long, value_name = "R")]
    rank: Option<usize>,
    /// Relative residual of the conditions of optimality of every fit [default: 1e-8, for factors 1e-6]
    #[arg(long, value_name = "TOL", allow_negative_numbers = true)]
    tolerance: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShuffleName {
    /// As they come
    None,
    /// As scikit-learn's KFold does with this random_state; 666 was published
    Numpy,
    /// By the random numbers of this program
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DenominatorName {
    /// Projections that were seen
    Masked,
    /// All of the prediction, as in the published table
    Full,
}

#[derive(Clone, Debug, Serialize)]
struct Summary {
    experiments: usize,
    lambdas: Vec<f64>,
    /// Mean over all folds.
    validation_mse_rel: Vec<f64>,
    outer_folds: Vec<Fold>,
    mean_test_mse_rel: f64,
    mean_test_mse_rel_full_denominator: f64,
    mean_train_mse_rel: f64,
    /// Test errors of the regional model on the same folds, over voxels and over regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    regional_mean_test_mse_rel: Option<f64>,
    /// Whether some choice is the least or the largest λ, so that better ones may lie beyond.
    choice_at_the_edge: bool,
    fits: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Fold {
    experiments: Vec<usize>,
    /// Mean over inner folds.
    validation_mse_rel: Vec<f64>,
    selected_lambda: f64,
    test_mse_rel: f64,
    test_mse_rel_full_denominator: f64,
    train_mse_rel: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    regional_test_mse_rel: Option<f64>,
}

/// Runs `hesse connectome cv`.
pub(super) fn run(arguments: &CvArguments, output: &Output) -> Result<Verdict, Failure> {
    let problem = Problem::read(&arguments.tracing, &arguments.voxels)?;
    let lambdas = arguments.lambdas.0.clone();
    let fits = arguments.outer as u64 * (arguments.inner as u64 * lambdas.len() as u64 + 1);
    let seed = arguments.shuffle_seed;
    let shuffle = match arguments.shuffle {
        ShuffleName::None => Shuffle::None,
        ShuffleName::Numpy => Shuffle::NumPy { seed },
        ShuffleName::Stream => Shuffle::Stream { seed: u64::from(seed) },
    };
    let denominator = match arguments.denominator {
        DenominatorName::Masked => Denominator::Masked,
        DenominatorName::Full => Denominator::Full,
    };
    let bar = Progress::new(output, "cross-validation", fits);
    let cv = NestedCv::new()
        .folds(arguments.outer, arguments.inner)
        .shuffle(shuffle)
        .lambdas(lambdas)
        .denominator(denominator);
    let Problem { data, lx, ly, .. } = &problem;
    let report = cv.run_with(data, |lambda, data, before| {
        bar.step();
        bar.say(format!("λ {}", three(lambda)));
        if let Some(rank) = arguments.rank {
            let mut regression = LowRankSplineRegression::new(rank).lambda(lambda);
            if let Some(Weights::Factors { u, v }) = before.map(|fit| &fit.weights) {
                regression = regression.start(Start::Given { u: u.clone(), v: v.clone() });
            }
            if let Some(tolerance) = arguments.tolerance {
                regression = regression.tolerance(tolerance);
            }
            return regression.fit(data, lx, ly);
        }
        let mut regression = SplineRegression::new().lambda(lambda);
        if let Some(Weights::Full(w)) = before.map(|fit| &fit.weights) {
            regression = regression.warm_start(w.clone());
        }
        if let Some(tolerance) = arguments.tolerance {
            regression = regression.tol_kkt(tolerance);
        }
        regression.fit(data, lx, ly)
    })?;
    drop(bar);
    let summary = summary(&problem, &report, fits)?;
    if let Some(folder) = output.folder() {
        write(folder, &report, &summary)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&text(&summary))?;
    }
    Ok(Verdict::Holds)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

fn summary(problem: &Problem, report: &CvReport, fits: u64) -> Result<Summary> {
    let count = report.lambdas.len();
    let by_fold: Vec<Vec<f64>> = report
        .validation_mse_rel
        .iter()
        .map(|inner| (0..count).map(|l| mean(inner.iter().map(|errors| errors[l]))).collect())
        .collect();
    let mut folds = Vec::new();
    for (k, validation_mse_rel) in by_fold.iter().enumerate() {
        let of = |wanted: bool| -> Vec<usize> {
            let all = 0..report.outer_fold.len();
            all.filter(|&e| (report.outer_fold[e] == k) == wanted).collect()
        };
        folds.push(Fold {
            regional_test_mse_rel: regional(problem, &of(false), &of(true))?,
            experiments: of(true),
            validation_mse_rel: validation_mse_rel.clone(),
            selected_lambda: report.lambdas[report.selected[k]],
            test_mse_rel: report.test_mse_rel[k],
            test_mse_rel_full_denominator: report.test_mse_rel_full[k],
            train_mse_rel: report.train_mse_rel[k],
        });
    }
    let edges = |at: usize| {
        let chosen = report.lambdas[at];
        count > 1
            && (report.lambdas.iter().all(|l| *l >= chosen)
                || report.lambdas.iter().all(|l| *l <= chosen))
    };
    let baseline: Option<Vec<f64>> = folds.iter().map(|fold| fold.regional_test_mse_rel).collect();
    Ok(Summary {
        experiments: report.outer_fold.len(),
        lambdas: report.lambdas.clone(),
        validation_mse_rel: (0..count).map(|l| mean(by_fold.iter().map(|fold| fold[l]))).collect(),
        mean_test_mse_rel: report.mean_test_mse_rel(),
        mean_test_mse_rel_full_denominator: mean(report.test_mse_rel_full.iter().copied()),
        mean_train_mse_rel: mean(report.train_mse_rel.iter().copied()),
        regional_mean_test_mse_rel: baseline.map(|errors| mean(errors.into_iter())),
        choice_at_the_edge: report.selected.iter().any(|&at| edges(at)),
        outer_folds: folds,
        fits,
    })
}

/// The error of the regional model, fitted to `train`, on `test`; `None` without regions.
fn regional(problem: &Problem, train: &[usize], test: &[usize]) -> Result<Option<f64>> {
    let (sources, targets) = (&problem.sources.regions, &problem.targets.regions);
    if sources.iter().all(|r| *r == 0) || targets.iter().all(|r| *r == 0) {
        return Ok(None);
    }
    let (train, test) = (problem.data.select(train)?, problem.data.select(test)?);
    match HomogeneousModel::new().fit(&train, sources, targets) {
        Ok(fit) => fit.mse_rel(&test, Denominator::Masked).map(Some),
        // A training set that injected no region has no regional model.
        Err(Error::Empty { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(folder: &Folder, report: &CvReport, summary: &Summary) -> Result<(), Failure> {
    let (outer, count) = (report.selected.len(), report.lambdas.len());
    let inner = report.validation_mse_rel.first().map_or(0, Vec::len);
    let mut arrays = Archive::new();
    // Fewer folds than experiments.
    let whole = |values: &[usize]| values.iter().map(|&v| v as i64).collect::<Vec<i64>>();
    arrays.insert("lambdas", Array::from_vector(report.lambdas.clone()));
    let errors: Vec<f64> = report.validation_mse_rel.iter().flatten().flatten().copied().collect();
    arrays.insert("validation_mse_rel", Array::new([outer, inner, count], errors)?);
    arrays.insert("outer_fold", Array::from_vector(whole(&report.outer_fold)));
    let folds: Vec<i64> = report
        .inner_fold
        .iter()
        .flatten()
        .map(|fold| fold.map_or(-1, |fold| fold as i64))
        .collect();
    arrays.insert("inner_fold", Array::new([outer, report.outer_fold.len()], folds)?);
    arrays.insert("selected_lambda_index", Array::from_vector(whole(&report.selected)));
    arrays.insert("test_mse_rel", Array::from_vector(report.test_mse_rel.clone()));
    let full = report.test_mse_rel_full.clone();
    arrays.insert("test_mse_rel_full_denominator", Array::from_vector(full));
    arrays.insert("train_mse_rel", Array::from_vector(report.train_mse_rel.clone()));
    folder.write("cv.npz", &arrays.to_bytes(Format::Npz)?)?;
    folder.write("cv.json", (to_json(summary)? + "\n").as_bytes())?;
    folder.write("cv.svg", figure(summary).to_svg().as_bytes())?;
    Ok(())
}

/// Error against λ.
fn figure(summary: &Summary) -> Figure {
    let mut order: Vec<usize> = (0..summary.lambdas.len()).collect();
    order.sort_by(|&a, &b| summary.lambdas[a].total_cmp(&summary.lambdas[b]));
    let curve =
        |errors: &[f64]| order.iter().map(|&l| (summary.lambdas[l], errors[l])).collect::<Vec<_>>();
    let mut figure = Figure::new("Error against λ", "λ", "MSE_rel of validation").log_x();
    for (k, fold) in summary.outer_folds.iter().enumerate() {
        figure = figure.line(&format!("outer fold {k}"), curve(&fold.validation_mse_rel));
    }
    figure = figure.line("mean", curve(&summary.validation_mse_rel));
    figure.horizontal("test error", summary.mean_test_mse_rel)
}

fn text(summary: &Summary) -> String {
    let mut table = Table::new().numbers("λ").numbers("validation");
    for k in 0..summary.outer_folds.len() {
        table = table.numbers(&format!("fold {k}"));
    }
    for (l, lambda) in summary.lambdas.iter().enumerate() {
        let folds = summary.outer_folds.iter().map(|fold| {
            let chosen = if fold.selected_lambda == *lambda { "* " } else { "" };
            format!("{chosen}{}", three(fold.validation_mse_rel[l]))
        });
        let first = [three(*lambda), three(summary.validation_mse_rel[l])];
        table.row(first.into_iter().chain(folds));
    }
    let regional = summary.regional_mean_test_mse_rel;
    let mut tests = Table::new().numbers("outer fold").numbers("experiments").numbers("λ");
    tests = tests.numbers("test").numbers("full denominator").numbers("training");
    if regional.is_some() {
        tests = tests.numbers("regional model");
    }
    for (k, fold) in summary.outer_folds.iter().enumerate() {
        let mut row = vec![k.to_string(), fold.experiments.len().to_string()];
        row.extend([fold.selected_lambda, fold.test_mse_rel].map(three));
        row.extend([fold.test_mse_rel_full_denominator, fold.train_mse_rel].map(three));
        row.extend(fold.regional_test_mse_rel.map(three));
        tests.row(row);
    }
    let mut row = vec!["mean".to_owned(), summary.experiments.to_string(), String::new()];
    row.push(three(summary.mean_test_mse_rel));
    row.push(three(summary.mean_test_mse_rel_full_denominator));
    row.push(three(summary.mean_train_mse_rel));
    row.extend(regional.map(three));
    tests.row(row);
    let mut text = format!("MSE_rel of validation, * where chosen\n{table}\n{tests}");
    if summary.choice_at_the_edge {
        text += "a choice lies at the edge of the λ that were tried: better ones may lie beyond\n";
    }
    text
}
