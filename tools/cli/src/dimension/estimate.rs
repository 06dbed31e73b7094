//! `hesse dimension estimate`: the dimension of one cloud of points, by many estimators.

mod files;
mod summary;

use hesse::Error;
use hesse::dimension::{GeodesicDimension, Gride, MaximumLikelihood, Ties, TwoNn};
use hesse::faer::Mat;
use hesse::neighbors::{Knn, Neighbors, Sources};
use hesse::statistics::{ParticipationRatio, RankRule, Spectrum};

use super::points::{self, Copies};
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
    /// Neighbours of the estimates that use them
    #[arg(short, long, value_name = "K", default_value_t = 20)]
    k: usize,
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
    /// Points that are the same
    #[arg(long, value_enum, default_value_t = Copies::Merge)]
    copies: Copies,
    /// Seed of the landmarks
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let share = arguments.keep;
    if !(share > 0.0 && share <= 1.0) {
        return Err(Error::range("--keep", "more than 0, at most 1", share).into());
    }
    for (what, value, fewest) in [
        ("--k", arguments.k, 2),
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
    let copies = arguments.copies.duplicates();
    let wanted = arguments.k.max(arguments.graph);
    if n <= wanted {
        return Err(
            Error::range("points", format!("more than {wanted}, for the neighbours"), n).into()
        );
    }
    // More neighbours where there are points for more scales.
    let table = Knn::new(wanted).duplicates(copies).build(x.as_ref())?;
    let distinct = table.len();
    let most = arguments.largest_scale.min(distinct - 1).max(wanted);
    let table = match most > wanted {
        true => Knn::new(most).duplicates(copies).build(x.as_ref())?,
        false => table,
    };
    let likelihood = MaximumLikelihood::new(arguments.k);
    let mut lines = local(arguments, &table, likelihood);
    let pointwise = likelihood.pointwise(&table).ok();

    let mut scales = Vec::new();
    for n1 in std::iter::successors(Some(1_usize), |n1| n1.checked_mul(2)) {
        if 2 * n1 > table.k().min(arguments.largest_scale) {
            break;
        }
        let radius: f64 = (0..distinct)
            .map(|i| 0.5 * (table.distances(i)[n1 - 1] + table.distances(i)[2 * n1 - 1]))
            .sum();
        let found = Gride::new(n1, 2 * n1).ties(Ties::Drop).fit(&table);
        let setting = format!("neighbours {n1} and {}", 2 * n1);
        lines.push(Line::of("Gride", "local", setting, &found));
        scales.push(Scale::of(n1, radius / distinct as f64, found.as_ref().ok()));
    }

    let mut geodesic = GeodesicDimension::new(arguments.graph).bins(arguments.bins);
    if let Some(count) = arguments.landmarks {
        geodesic = geodesic.sources(Sources::Sample { count, seed: arguments.seed });
    }
    let report = geodesic.fit(&table);
    let setting = format!("graph of {} neighbours, {} bins", arguments.graph, arguments.bins);
    let mut line = match &report {
        Ok(report) => Line::of("graph distances", "global", setting, &report.estimate()),
        Err(error) => Line::none("graph distances", "global", setting, error.to_string()),
    };
    if let Ok(report) = &report {
        line.flags = report.flags().into_iter().map(|flag| flag.name()).collect();
    }
    lines.push(line);

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
    let law = report.ok().map(|report| report.law);
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

/// Estimates from the first neighbours, or the first k.
fn local(arguments: &Arguments, table: &Neighbors, likelihood: MaximumLikelihood) -> Vec<Line> {
    let (k, keep) = (arguments.k, arguments.keep);
    let two_nn = TwoNn::linear(keep).fit(table);
    vec![
        Line::of("TwoNN, linear fit", "local", format!("{keep} of the ratios"), &two_nn),
        Line::of("TwoNN, likelihood", "local", "", &TwoNn::maximum_likelihood().fit(table)),
        Line::of("maximum likelihood", "local", format!("{k} neighbours"), &likelihood.fit(table)),
    ]
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
