//! `hesse similarity score`: one population against others, or the layers of a network.

use hesse::io::{Archive, Array, Format};
use hesse::similarity::{
    Cca, Cka, CkaEstimator, Cut, PrincipalDirections, Procrustes, Rsm, SplitHalf, Ssm, SvccaCurves,
};
use hesse::statistics::quantile;
use serde::Serialize;

use super::responses::{
    ComparatorName, MatrixArguments, RegionName, Responses, about, check_confidence, check_draws,
    read, same_stimuli,
};
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::output::{Output, to_json};
use crate::progress::Progress;
use crate::table::Table;
use crate::units::three;

/// Score how alike one population and others are
///
/// Prints for each of the others, in their order, the similarity of similarity matrices with its interval
/// over samples of the stimuli, its p-value and z-score among permutations of the stimuli, and other
/// measures: debiased CKA, SVCCA above its null level and its p-value, the Procrustes angle. Where the population has
/// trials, also what any model could reach. With --out, writes score.json, score.npz (score, low, high,
/// null_high, p; bootstrap, draws × others) and score.svg.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Responses of the population: X.npy or data.npz:X
    #[arg(value_name = "POPULATION")]
    population: String,
    /// Those of the others: Y.npy, data.npz:Y or data.npz for all of its arrays
    #[arg(value_name = "OTHER", required = true)]
    others: Vec<String>,
    #[command(flatten)]
    matrix: MatrixArguments,
    /// How similarity matrices are compared
    #[arg(long, value_enum, default_value_t = ComparatorName::Spearman)]
    comparator: ComparatorName,
    /// Which entries of the matrices are compared
    #[arg(long, value_enum, default_value_t = RegionName::Upper)]
    region: RegionName,
    /// Samples of the stimuli with replacement; none for whitened comparators and bures
    #[arg(long, value_name = "N", default_value_t = 1000)]
    bootstrap: usize,
    /// Permutations of the stimuli
    #[arg(long, value_name = "N", default_value_t = 1000)]
    permutations: usize,
    /// Splits of the trials in halves
    #[arg(long, value_name = "N", default_value_t = 50)]
    splits: usize,
    /// Confidence of intervals
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, allow_negative_numbers = true)]
    confidence: f64,
    /// Dimensions of SVCCA on both sides, at most those that all have, and half the stimuli
    #[arg(long, value_name = "K", default_value_t = 40)]
    dimensions: usize,
    /// Seed of all draws
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Serialize)]
struct Summary {
    population: String,
    units: usize,
    stimuli: usize,
    comparator: ComparatorName,
    region: RegionName,
    confidence: f64,
    scores: Vec<Score>,
    /// Of the population's trials, where it has two or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    ceiling: Option<Ceiling>,
}

#[derive(Debug, Serialize)]
struct Score {
    name: String,
    units: usize,
    score: f64,
    /// None by comparators that need every pair of stimuli, as below.
    standard_error: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    /// This share of permutations scores lower than that.
    null_high: f64,
    p: f64,
    /// By the exact moments over all permutations; none for τ.
    z: Option<f64>,
    /// None where noise leaves no positive self-alignment.
    cka_debiased: Option<f64>,
    svcca: Option<f64>,
    svcca_adjusted: Option<f64>,
    svcca_dimensions: Option<usize>,
    /// Among permutations of the directions of the other.
    svcca_p: Option<f64>,
    procrustes_angle: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Ceiling {
    split_half: f64,
    standard_deviation: f64,
    reliability: f64,
    /// NaN, written as null, where halves of the trials are not alike at all.
    noise_free_model: f64,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    check_confidence(arguments.confidence)?;
    check_draws("--bootstrap", arguments.bootstrap, 2)?;
    check_draws("--permutations", arguments.permutations, 1)?;
    check_draws("--splits", arguments.splits, 2)?;
    check_draws("--dimensions", arguments.dimensions, 1)?;
    let population = read(std::slice::from_ref(&arguments.population))?;
    let [population] = &population[..] else {
        let got = format!("{} arrays", population.len());
        let what = format!("{}: arrays", arguments.population);
        return Err(hesse::Error::range(what, "one, as in data.npz:X", got).into());
    };
    let others = read(&arguments.others)?;
    same_stimuli(std::slice::from_ref(population), &others)?;
    let rsm = arguments.matrix.rsm(population)?;
    let rsms = arguments.matrix.rsms(&others)?;
    let (scores, bootstrap) = scores(arguments, population, &rsm, &others, &rsms, output)?;
    let summary = Summary {
        population: population.name.clone(),
        units: population.units(),
        stimuli: population.stimuli(),
        comparator: arguments.comparator,
        region: arguments.region,
        confidence: arguments.confidence,
        scores,
        ceiling: ceiling(arguments, population)?,
    };
    if let Some(folder) = output.folder() {
        folder.write("score.json", (to_json(&summary)? + "\n").as_bytes())?;
        let mut arrays = Archive::new();
        type Column = fn(&Score) -> f64;
        let columns: [(&str, Column); 5] = [
            ("score", |s| s.score),
            ("low", |s| s.low.unwrap_or(f64::NAN)),
            ("high", |s| s.high.unwrap_or(f64::NAN)),
            ("null_high", |s| s.null_high),
            ("p", |s| s.p),
        ];
        for (name, of) in columns {
            arrays.insert(name, Array::from_vector(summary.scores.iter().map(of).collect()));
        }
        if bootstrap.len() == others.len() {
            let shape = [arguments.bootstrap, others.len()];
            let draws = (0..shape[0]).flat_map(|d| bootstrap.iter().map(move |scores| scores[d]));
            arrays.insert("bootstrap", Array::new(shape, draws.collect::<Vec<f64>>())?);
        }
        folder.write("score.npz", &arrays.to_bytes(Format::Npz)?)?;
        folder.write("score.svg", summary.figure().to_svg().as_bytes())?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

impl Arguments {
    fn ssm(&self) -> Ssm {
        Ssm::new(self.comparator.comparator()).region(self.region.region())
    }
}

/// The scores with each of the others, and their bootstrap draws, where the comparator has them.
fn scores(
    arguments: &Arguments,
    population: &Responses,
    rsm: &Rsm,
    others: &[Responses],
    rsms: &[Rsm],
    output: &Output,
) -> Result<(Vec<Score>, Vec<Vec<f64>>), Failure> {
    let ssm = arguments.ssm();
    let x = population.mean.as_ref();
    let directions = |x: &Responses| PrincipalDirections::of(x.mean.as_ref()).ok();
    // Twice as many dimensions as stimuli allow would be alike by construction.
    let k = arguments.dimensions.min((population.stimuli() - 1) / 2);
    let ladder = others.iter().map(directions).collect::<Option<Vec<_>>>();
    let subspaces = ladder.zip(directions(population)).and_then(|(ladder, own)| {
        let own = [own];
        let curves = SvccaCurves::new(&ladder, &own, Cut::Dim(k)).ok()?;
        Some((ladder, own, curves))
    });
    let svcca = subspaces.as_ref().map(|(_, _, curves)| curves);
    let svcca_p = |l: usize| {
        let (ladder, [own], curves) = subspaces.as_ref()?;
        let cca = Cca::new().cut(Cut::Dim(curves.kept[l].0));
        let (draws, seed) = (arguments.permutations, arguments.seed);
        Some(cca.permutation_test(own, &ladder[l], draws, seed).ok()?.p)
    };
    let bar = Progress::new(output, "similarity: scores", others.len() as u64);
    let (mut scores, mut bootstrap) = (Vec::new(), Vec::new());
    for (l, (other, of_other)) in others.iter().zip(rsms).enumerate() {
        let said = |error: hesse::Error| about(&other.name, &error);
        let draws = match ssm.bootstrap(rsm, of_other, arguments.bootstrap, arguments.seed) {
            Ok(draws) => Some(draws),
            Err(hesse::Error::NotApplicable { .. }) => None,
            Err(error) => return Err(said(error)),
        };
        let test = ssm.permutation_test(rsm, of_other, arguments.permutations, arguments.seed);
        let test = test.map_err(said)?;
        let interval = draws.as_ref().map(|draws| draws.interval(arguments.confidence));
        let interval = interval.transpose()?;
        let y = other.mean.as_ref();
        let debiased = Cka::linear().estimator(CkaEstimator::Debiased);
        scores.push(Score {
            name: other.name.clone(),
            units: other.units(),
            score: test.observed,
            standard_error: draws.as_ref().map(|draws| draws.standard_error()),
            low: interval.as_ref().map(|interval| interval.low),
            high: interval.as_ref().map(|interval| interval.high),
            null_high: quantile(&test.null, arguments.confidence)?,
            p: test.p,
            z: test.exact.map(|exact| exact.z),
            cka_debiased: debiased.score(x, y).ok(),
            svcca: svcca.as_ref().map(|curves| curves.mean[(0, l)]),
            svcca_adjusted: svcca.as_ref().map(|curves| curves.adjusted[(0, l)]),
            svcca_dimensions: svcca.as_ref().map(|curves| curves.kept[l].0),
            svcca_p: svcca_p(l),
            procrustes_angle: Procrustes::of(x, y).ok().map(|found| found.angle()),
        });
        bootstrap.extend(draws.map(|draws| draws.scores));
        bar.step();
    }
    Ok((scores, bootstrap))
}

fn ceiling(arguments: &Arguments, population: &Responses) -> Result<Option<Ceiling>, Failure> {
    let Some(trials) = population.trials.as_ref().filter(|trials| trials.count(0) > 1) else {
        return Ok(None);
    };
    let ssm = arguments.ssm();
    let found = SplitHalf::new(arguments.splits).seed(arguments.seed).ssm(ssm).run(trials);
    let found = found.map_err(|error| about(&population.name, &error))?;
    Ok(Some(Ceiling {
        split_half: found.mean,
        standard_deviation: found.sd,
        reliability: found.spearman_brown,
        noise_free_model: found.model_ceiling,
    }))
}

impl Summary {
    fn text(&self) -> String {
        let mut table = Table::new()
            .words("other")
            .numbers("units")
            .numbers("score")
            .numbers("error")
            .numbers("interval")
            .numbers("p")
            .numbers("z")
            .numbers("CKA")
            .numbers("SVCCA")
            .numbers("adjusted")
            .numbers("Procrustes");
        let some = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), three);
        for s in &self.scores {
            table.row([
                s.name.clone(),
                s.units.to_string(),
                three(s.score),
                some(s.standard_error),
                s.low.zip(s.high).map_or_else(
                    || "none".to_owned(),
                    |(low, high)| format!("{} to {}", three(low), three(high)),
                ),
                three(s.p),
                some(s.z),
                some(s.cka_debiased),
                some(s.svcca),
                some(s.svcca_adjusted),
                some(s.procrustes_angle),
            ]);
        }
        let Self { population, units, stimuli, .. } = self;
        let ceiling = self.ceiling.as_ref().map_or(String::new(), |c| {
            format!(
                "\nhalves of the trials {} ± {}, reliability {}, a model without noise could reach {}\n",
                three(c.split_half),
                three(c.standard_deviation),
                three(c.reliability),
                three(c.noise_free_model)
            )
        });
        format!("{population}: {stimuli} stimuli, {units} units\n\n{table}{ceiling}")
    }

    fn figure(&self) -> Figure {
        let points = |of: fn(&Score) -> f64| {
            self.scores.iter().enumerate().map(move |(l, s)| (l as f64, of(s)))
        };
        let band: Option<Vec<_>> = (self.scores.iter().enumerate())
            .map(|(l, s)| Some((l as f64, s.low?, s.high?)))
            .collect();
        let title = format!("Similarity with {}", self.population);
        let figure = Figure::new(&title, "layer", "similarity of similarity matrices");
        let (figure, score) = match band {
            Some(band) => (figure.band(band), "score; shaded: interval over stimuli"),
            None => (figure, "score"),
        };
        let level = "level of permutations";
        // A curve of one point is none.
        let mut figure = match self.scores.len() {
            1 => figure.points(score, points(|s| s.score)).points(level, points(|s| s.null_high)),
            _ => figure.line(score, points(|s| s.score)).line(level, points(|s| s.null_high)),
        };
        if let Some(ceiling) = &self.ceiling {
            figure = figure.horizontal("a model without noise", ceiling.noise_free_model);
        }
        figure
    }
}
