//! `hesse dimension estimate`: the dimension of one cloud of points, by many estimators.

mod files;
mod summary;

use hesse::Error;
use hesse::dimension::{
    Estimator, GeodesicDimension, Gride, MaximumLikelihood, PointCloud, Ties, TwoNn, estimator,
    estimators,
};
use hesse::faer::Mat;
use hesse::neighbors::Sources;
use hesse::statistics::{ParticipationRatio, RankRule, Spectrum};

use super::points;
use crate::failure::{Failure, Verdict};
use crate::output::{Output, to_json};
use files::Results;
use summary::{Line, Rank, Scale, Summary};

/// Estimate the dimension of points
///
/// Prints local estimates from one table of exact neighbours, the global one along its graph, and
/// linear ones from the covariance, each with its standard error where one is known and what is
/// doubtful. With --out, writes estimate.json, estimate.npz (pointwise values, eigenvalues, histogram
/// of distances), scales.svg, spectrum.svg and distances.svg.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Points: X.npy, data.npz:X or model.safetensors:X; the first axis counts them
    #[arg(value_name = "POINTS")]
    points: String,
    /// Estimators, by name; by default all of them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Neighbours of the local estimates, instead of the usual number of each
    #[arg(short, long, value_name = "K")]
    k: Option<usize>,
    /// Share of the ratios that TwoNN keeps
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, allow_negative_numbers = true)]
    keep: f64,
    /// Largest rank n₂ of Gride's scales (2, 4, 8, …)
    #[arg(long, value_name = "N", default_value_t = 64)]
    largest_scale: usize,
    /// Neighbours of the graph
    #[arg(long, value_name = "K", default_value_t = 10)]
    graph: usize,
    /// Bins of the distances along the graph
    #[arg(long, value_name = "N", default_value_t = 50)]
    bins: usize,
    /// Start distances along the graph at this many points instead of all
    #[arg(long, value_name = "N")]
    landmarks: Option<usize>,
    /// Seed of the landmarks
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

/// Points beyond which the estimator that compares with balls of as many points in every dimension
/// must be asked for.
const MOST_FOR_BALLS: usize = 3000;

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let share = arguments.keep;
    if !(share > 0.0 && share <= 1.0) {
        return Err(Error::range("--keep", "more than 0, at most 1", share).into());
    }
    for (what, value, fewest) in [
        ("--k", arguments.k.unwrap_or(20), 2),
        ("--graph", arguments.graph, 1),
        ("--largest-scale", arguments.largest_scale, 2),
        ("--bins", arguments.bins, 4),
    ] {
        if !(fewest..=1_000_000).contains(&value) {
            return Err(Error::range(what, format!("{fewest} to 1000000"), value).into());
        }
    }
    let x = points::read(&arguments.points)?;
    let results = estimate(arguments, &x)?;
    if let Some(folder) = output.folder() {
        let json = to_json(&results.summary)? + "\n";
        folder.write("estimate.json", json.as_bytes())?;
        files::write(folder, &results)?;
    }
    if output.json {
        output.print_json(&results.summary)?;
    } else {
        output.print(&results.summary.text())?;
    }
    Ok(Verdict::Holds)
}

fn estimate(arguments: &Arguments, x: &Mat<f64>) -> Result<Results, Failure> {
    let n = x.nrows();
    for name in &arguments.only {
        estimator(name, None)?;
    }
    let asked = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|o| o == name);
    let mut left_out = None;
    let mut local: Vec<Box<dyn Estimator>> = Vec::new();
    for name in estimators().filter(|name| asked(name)) {
        match name {
            "two_nn" => {
                local.push(Box::new(TwoNn::linear(arguments.keep)));
                local.push(Box::new(TwoNn::maximum_likelihood()));
            }
            // At all scales, and with what its fit tells.
            "gride" | "geodesic" => {}
            "danco" if n > MOST_FOR_BALLS && arguments.only.is_empty() => {
                left_out =
                    Some(format!("for more than {MOST_FOR_BALLS} points only with --only danco"));
            }
            _ => local.push(estimator(name, arguments.k)?),
        }
    }
    let needed = local.iter().map(|e| e.neighbours()).fold(arguments.graph, usize::max);
    let needed = if asked("gride") { needed.max(arguments.largest_scale) } else { needed };
    let cloud = cloud(x, needed)?;
    let (table, distinct) = (cloud.table(), cloud.len());
    let mut lines: Vec<Line> = local.iter().map(|e| Line::by(e.as_ref(), &cloud)).collect();
    lines.extend(left_out.map(|reason| Line::none("danco", "local", "", reason)));
    let likelihood = MaximumLikelihood::new(arguments.k.unwrap_or(20));
    let pointwise = likelihood.pointwise(table).ok();

    let mut scales = Vec::new();
    for n1 in std::iter::successors(Some(1_usize), |n1| n1.checked_mul(2)) {
        if !asked("gride") || 2 * n1 > table.k().min(arguments.largest_scale) {
            break;
        }
        let radius: f64 = (0..distinct)
            .map(|i| 0.5 * (table.distances(i)[n1 - 1] + table.distances(i)[2 * n1 - 1]))
            .sum();
        let gride = Gride::new(n1, 2 * n1).ties(Ties::Drop);
        lines.push(Line::by(&gride, &cloud));
        let found = gride.run(&cloud).ok();
        scales.push(Scale::of(n1, radius / distinct as f64, found.as_ref()));
    }

    let mut geodesic = GeodesicDimension::new(arguments.graph).bins(arguments.bins);
    if let Some(count) = arguments.landmarks {
        geodesic = geodesic.sources(Sources::Sample { count, seed: arguments.seed });
    }
    let report = asked("geodesic").then(|| geodesic.fit(table));
    if let Some(report) = &report {
        let mut line = Line::by(&geodesic, &cloud);
        if let Ok(report) = report {
            line.flags = report.flags().into_iter().map(|flag| flag.name()).collect();
        }
        lines.push(line);
    }

    let mut ranks = Vec::new();
    let spectrum = Spectrum::of(x.as_ref());
    match &spectrum {
        Ok(spectrum) => {
            lines.extend(linear(x, spectrum)?);
            for (name, rule) in RULES {
                ranks.push(Rank { rule: name, rank: spectrum.rank(rule)? });
            }
        }
        Err(error) => {
            lines.push(Line::none("participation ratio", "linear", "", error.to_string()));
        }
    }
    let summary =
        Summary { points: n, distinct, features: x.ncols(), estimates: lines, scales, ranks };
    let law = report.and_then(Result::ok).map(|report| report.law);
    Ok(Results { summary, pointwise, spectrum: spectrum.ok(), law })
}

const RULES: [(&str, RankRule); 6] = [
    ("above 5 % of the largest", RankRule::FukunagaOlsen { share: 0.05 }),
    ("95 % of the variance", RankRule::Ratio { share: 0.95 }),
    ("above the mean", RankRule::Kaiser),
    ("largest gap", RankRule::LargestGap),
    ("broken stick", RankRule::BrokenStick),
    ("Fan", RankRule::Fan),
];

/// The points with the table of k neighbours, of all others where they are fewer: an estimator that
/// needs more says so itself.
fn cloud(x: &Mat<f64>, k: usize) -> Result<PointCloud, Failure> {
    match PointCloud::new(x.as_ref(), k) {
        Ok(cloud) => Ok(cloud),
        Err(_) => {
            let distinct = PointCloud::new(x.as_ref(), 1)?.len();
            Ok(PointCloud::new(x.as_ref(), k.min(distinct - 1))?)
        }
    }
}

fn linear(x: &Mat<f64>, spectrum: &Spectrum) -> Result<Vec<Line>, Failure> {
    let pr = ParticipationRatio::of(x.as_ref())?;
    let name = "participation ratio";
    let mut lines = vec![Line::number(name, "linear", "", pr.naive, x.nrows())];
    for (setting, found) in [
        ("corrected for few samples", pr.row),
        ("corrected for sampled features", pr.column),
        ("corrected for both", pr.both),
        ("corrected, Gaussian data", pr.gauss),
    ] {
        lines.push(match found {
            Ok(value) => Line::number(name, "linear", setting, value, x.nrows()),
            Err(reason) => Line::none(name, "linear", setting, format!("{reason:?}")),
        });
    }
    let rank = spectrum.effective_rank();
    lines.push(Line::number("effective rank", "linear", "", rank, x.nrows()));
    Ok(lines)
}
