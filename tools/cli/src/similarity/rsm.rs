//! `hesse similarity rsm`: similarity matrices.

use hesse::io::{Archive, Array, Format};
use hesse::similarity::Pairwise;
use hesse::statistics::standard_deviation;
use serde::Serialize;

use super::responses::{Kind, MatrixArguments, Responses, read};
use crate::failure::{Failure, Verdict};
use crate::figure::heatmap;
use crate::output::{Output, to_json};
use crate::table::Table;
use crate::units::three;

/// Compute how similar the responses to any two stimuli are
///
/// Prints what the entries of each matrix are like; with --out, writes rsm.json, rsm.npz (matrices rsm_0,
/// rsm_1, ... of stimuli × stimuli) and an image of each: rsm_0.svg, ...
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Responses: X.npy, data.npz:X or data.npz for all of its arrays
    #[arg(value_name = "RESPONSES", required = true)]
    responses: Vec<String>,
    #[command(flatten)]
    matrix: MatrixArguments,
}

#[derive(Debug, Serialize)]
struct Summary {
    kind: Kind,
    stimuli: usize,
    matrices: Vec<Matrix>,
}

/// One matrix, off its diagonal.
#[derive(Debug, Serialize)]
struct Matrix {
    name: String,
    units: usize,
    mean: f64,
    standard_deviation: f64,
    smallest: f64,
    largest: f64,
}

impl Matrix {
    fn of(responses: &Responses, upper: &[f64]) -> Self {
        let (low, high) = upper.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| {
            (if v < a { v } else { a }, if v > b { v } else { b })
        });
        Self {
            name: responses.name.clone(),
            units: responses.units(),
            mean: upper.iter().sum::<f64>() / upper.len() as f64,
            standard_deviation: standard_deviation(upper),
            smallest: low,
            largest: high,
        }
    }
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let all = read(&arguments.responses)?;
    let rsms = arguments.matrix.rsms(&all)?;
    let stimuli = all.first().map_or(0, Responses::stimuli);
    if stimuli < 2 {
        return Err(hesse::Error::range("stimuli", "at least 2", stimuli).into());
    }
    let matrices = all.iter().zip(&rsms).map(|(x, rsm)| Matrix::of(x, rsm.upper())).collect();
    let summary = Summary { kind: arguments.matrix.kind, stimuli, matrices };
    if let Some(folder) = output.folder() {
        folder.write("rsm.json", (to_json(&summary)? + "\n").as_bytes())?;
        let mut arrays = Archive::new();
        for (k, (responses, rsm)) in all.iter().zip(&rsms).enumerate() {
            let rows: Vec<Vec<f64>> =
                (0..stimuli).map(|i| (0..stimuli).map(|j| rsm.at(i, j)).collect()).collect();
            let title = format!("Similarity of responses: {}", responses.name);
            let svg = heatmap(&title, "stimulus", "stimulus", &rows);
            folder.write(format!("rsm_{k}.svg"), svg.as_bytes())?;
            arrays.insert(format!("rsm_{k}"), Array::new([stimuli, stimuli], rows.concat())?);
        }
        folder.write("rsm.npz", &arrays.to_bytes(Format::Npz)?)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        let mut table = Table::new()
            .words("responses")
            .numbers("units")
            .numbers("mean")
            .numbers("sd")
            .numbers("smallest")
            .numbers("largest");
        for m in &summary.matrices {
            let numbers = [m.mean, m.standard_deviation, m.smallest, m.largest].map(three);
            let [mean, sd, smallest, largest] = numbers;
            table.row([m.name.clone(), m.units.to_string(), mean, sd, smallest, largest]);
        }
        output.print(&format!("{stimuli} stimuli, similarities of pairs\n\n{table}"))?;
    }
    Ok(Verdict::Holds)
}
