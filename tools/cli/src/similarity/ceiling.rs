//! `hesse similarity ceiling`: how well any model could do, given the noise of trials and the
//! differences between subjects.

use hesse::io::{Archive, Array, Format};
use hesse::random::Stream;
use hesse::similarity::{Rdm, Rsm, SplitHalf, Ssm, Trials, subject_ceiling, unit_reliability};
use hesse::statistics::quantile;
use hesse::{Error, Result};
use serde::Serialize;

use super::responses::{ComparatorName, MatrixArguments, Responses, about, check_draws, read};
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::output::{Output, to_json};
use crate::table::Table;
use crate::units::three;

/// Find how well any model could do
///
/// For each array of trials: the similarity of the similarity matrices (Pearson) of two halves of the
/// trials, what follows for all trials and for a model without noise, and the reliability of single units
/// in one split. For two or more arrays: the range that the mean score of a model over these subjects can
/// reach. With --out, writes ceiling.json, ceiling.npz (halves_0, ..., a score a split; units_0, ..., a
/// reliability a unit) and halves_0.svg, ...
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Responses of a population or subject: X.npy, data.npz:X or data.npz for all of its arrays
    #[arg(value_name = "RESPONSES", required = true)]
    responses: Vec<String>,
    #[command(flatten)]
    matrix: MatrixArguments,
    /// How similarity matrices are compared
    #[arg(long, value_enum, default_value_t = ComparatorName::Spearman)]
    comparator: ComparatorName,
    /// Splits of the trials in halves
    #[arg(long, value_name = "N", default_value_t = 100)]
    splits: usize,
    /// Seed of the splits
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Serialize)]
struct Summary {
    stimuli: usize,
    comparator: ComparatorName,
    populations: Vec<Population>,
    /// Of two or more subjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<Subjects>,
}

#[derive(Debug, Serialize)]
struct Population {
    name: String,
    units: usize,
    /// The fewest trials of a stimulus.
    trials: usize,
    split_half: f64,
    standard_deviation: f64,
    reliability: f64,
    /// NaN, written as null, where halves of the trials are not alike at all.
    noise_free_model: f64,
    /// Median reliability of single units, those that vary.
    median_unit: Option<f64>,
    #[serde(skip)]
    halves: Vec<f64>,
    #[serde(skip)]
    per_unit: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Subjects {
    lower: f64,
    upper: f64,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    check_draws("--splits", arguments.splits, 2)?;
    let all = read(&arguments.responses)?;
    if let [Responses { name, trials: None, .. }] = &all[..] {
        let expected = "trials × stimuli × units, or arrays of several subjects";
        return Err(Error::range(name.as_str(), expected, "stimuli × units alone").into());
    }
    let mut populations = Vec::new();
    for responses in &all {
        if let Some(trials) = &responses.trials {
            let found = population(arguments, responses, trials);
            populations.push(found.map_err(|error| about(&responses.name, &error))?);
        }
    }
    let subjects = match all.len() {
        1 => None,
        _ => {
            let rdms: Vec<Rdm> = arguments.matrix.rsms(&all)?.iter().map(Rsm::to_rdm).collect();
            let found = subject_ceiling(arguments.comparator.comparator(), &rdms)?;
            Some(Subjects { lower: found.lower, upper: found.upper })
        }
    };
    let stimuli = all.first().map_or(0, Responses::stimuli);
    let summary = Summary { stimuli, comparator: arguments.comparator, populations, subjects };
    if let Some(folder) = output.folder() {
        folder.write("ceiling.json", (to_json(&summary)? + "\n").as_bytes())?;
        let mut arrays = Archive::new();
        for (k, p) in summary.populations.iter().enumerate() {
            arrays.insert(format!("halves_{k}"), Array::from_vector(p.halves.clone()));
            arrays.insert(format!("units_{k}"), Array::from_vector(p.per_unit.clone()));
            let title = format!("Halves of the trials: {}", p.name);
            let figure = Figure::new(&title, "similarity of the halves", "splits")
                .histogram("", &p.halves, 20)
                .vertical("mean", p.split_half)
                .vertical("reliability of all trials", p.reliability)
                .vertical("a model without noise", p.noise_free_model);
            folder.write(format!("halves_{k}.svg"), figure.to_svg().as_bytes())?;
        }
        if !arrays.is_empty() {
            folder.write("ceiling.npz", &arrays.to_bytes(Format::Npz)?)?;
        }
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

fn population(arguments: &Arguments, responses: &Responses, trials: &Trials) -> Result<Population> {
    let ssm = Ssm::new(arguments.comparator.comparator());
    let found = SplitHalf::new(arguments.splits).seed(arguments.seed).ssm(ssm).run(trials)?;
    let count = (0..trials.stimuli()).map(|s| trials.count(s)).min().unwrap_or(0);
    let order = Stream::new(arguments.seed, "hesse similarity ceiling: units").permutation(count);
    let per_unit = unit_reliability(trials, &order)?;
    let varying: Vec<f64> = per_unit.iter().copied().filter(|r| r.is_finite()).collect();
    let median_unit = if varying.is_empty() { None } else { Some(quantile(&varying, 0.5)?) };
    Ok(Population {
        name: responses.name.clone(),
        units: responses.units(),
        trials: count,
        split_half: found.mean,
        standard_deviation: found.sd,
        reliability: found.spearman_brown,
        noise_free_model: found.model_ceiling,
        median_unit,
        halves: found.scores,
        per_unit,
    })
}

impl Summary {
    fn text(&self) -> String {
        let mut text = format!("{} stimuli\n", self.stimuli);
        if !self.populations.is_empty() {
            let mut table = Table::new()
                .words("population")
                .numbers("units")
                .numbers("trials")
                .numbers("halves")
                .numbers("sd")
                .numbers("reliability")
                .numbers("model without noise")
                .numbers("median unit");
            for p in &self.populations {
                table.row([
                    p.name.clone(),
                    p.units.to_string(),
                    p.trials.to_string(),
                    three(p.split_half),
                    three(p.standard_deviation),
                    three(p.reliability),
                    three(p.noise_free_model),
                    p.median_unit.map_or_else(|| "none".to_owned(), three),
                ]);
            }
            text += &format!("\n{table}");
        }
        if let Some(Subjects { lower, upper }) = self.subjects {
            let (lower, upper) = (three(lower), three(upper));
            text +=
                &format!("\nover subjects, a model's mean score can reach {lower} to {upper}\n");
        }
        text
    }
}
