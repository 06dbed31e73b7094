//! `hesse similarity depth`: where populations lie along the layers of a network.

use clap::ValueEnum;
use hesse::faer::Mat;
use hesse::io::{Archive, Array, Format};
use hesse::similarity::{DepthDraws, DepthReport, PseudoDepth, Refine};
use hesse::statistics::quantile;
use hesse::{Error, Result};
use serde::Serialize;

use super::responses::{
    ComparatorName, MatrixArguments, Responses, check_confidence, check_draws, read, same_stimuli,
};
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::output::{Folder, Output, to_json};
use crate::table::Table;
use crate::units::three;

/// Find the depth of populations along the layers of a network
///
/// Prints for each population the layer of the largest similarity, the depth that is read off its curve
/// with its interval over samples of the stimuli, the layers that are not below the best, and how often
/// one population is lower than another (samples are the same for all, so that differences are paired).
/// With --out, writes depth.json, depth.npz (curves, curve_low and curve_high, populations × layers;
/// depth, low, high; depth_draws, draws × populations; lower, populations × populations), curves.svg and
/// depth.svg.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Responses of the populations: X.npy, data.npz:X or data.npz for all of its arrays
    #[arg(value_name = "POPULATION", required = true)]
    populations: Vec<String>,
    /// Responses of the layers, first to last, in the same way
    #[arg(long, value_name = "LAYER", required = true, num_args = 1..)]
    ladder: Vec<String>,
    #[command(flatten)]
    matrix: MatrixArguments,
    /// How similarity matrices are compared
    #[arg(long, value_enum, default_value_t = ComparatorName::Spearman)]
    comparator: ComparatorName,
    /// How a depth is read off a curve
    #[arg(long, value_enum, default_value_t = RefineName::Argmax)]
    refine: RefineName,
    /// What scores are where nothing is shared, for the centre of mass
    #[arg(long, value_name = "S", default_value_t = 0.0, allow_negative_numbers = true)]
    null: f64,
    /// Samples of the stimuli with replacement
    #[arg(long, value_name = "N", default_value_t = 1000)]
    bootstrap: usize,
    /// Confidence of intervals
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, allow_negative_numbers = true)]
    confidence: f64,
    /// Seed of the samples
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum RefineName {
    /// The layer of the largest score
    Argmax,
    /// The vertex of the parabola through it and its neighbours
    Parabolic,
    /// The centre of mass of what is above --null
    CentreOfMass,
}

#[derive(Debug, Serialize)]
struct Summary {
    stimuli: usize,
    comparator: ComparatorName,
    refine: RefineName,
    confidence: f64,
    layers: Vec<Layer>,
    populations: Vec<Population>,
    /// Row by row the share of samples in which a population is strictly lower than each other one.
    lower: Vec<Vec<f64>>,
    /// Samples that were drawn again for want of 3 different stimuli.
    redrawn: usize,
}

#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    units: usize,
}

#[derive(Debug, Serialize)]
struct Population {
    name: String,
    units: usize,
    curve: Vec<f64>,
    curve_low: Vec<f64>,
    curve_high: Vec<f64>,
    argmax: usize,
    depth: f64,
    /// Depth over the last layer; none for a ladder of one.
    normalised: Option<f64>,
    standard_deviation: f64,
    low: f64,
    high: f64,
    not_below_best: Vec<usize>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    check_confidence(arguments.confidence)?;
    check_draws("--bootstrap", arguments.bootstrap, 2)?;
    if !arguments.null.is_finite() {
        return Err(Error::range("--null", "a finite number", arguments.null).into());
    }
    let populations = read(&arguments.populations)?;
    let ladder = read(&arguments.ladder)?;
    same_stimuli(&populations, &ladder)?;
    let refine = match arguments.refine {
        RefineName::Argmax => Refine::Argmax,
        RefineName::Parabolic => Refine::Parabolic,
        RefineName::CentreOfMass => Refine::CentreOfMass { null: arguments.null },
    };
    let report = PseudoDepth::new()
        .comparator(arguments.comparator.comparator())
        .refine(refine)
        .bootstrap(arguments.bootstrap, arguments.seed)
        .run(&arguments.matrix.rsms(&ladder)?, &arguments.matrix.rsms(&populations)?)?;
    let draws = report.draws.as_ref().ok_or_else(|| Error::empty("draws"))?;
    let summary = Summary::of(arguments, &populations, &ladder, &report, draws)?;
    if let Some(folder) = output.folder() {
        folder.write("depth.json", (to_json(&summary)? + "\n").as_bytes())?;
        summary.write(folder, draws)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

impl Summary {
    fn of(
        arguments: &Arguments,
        populations: &[Responses],
        ladder: &[Responses],
        report: &DepthReport,
        draws: &DepthDraws,
    ) -> Result<Self> {
        let confidence = arguments.confidence;
        let last = ladder.len() - 1;
        let population = |(a, responses): (usize, &Responses)| {
            let ends = |tail: f64| -> Result<Vec<f64>> {
                let of = |l: usize| {
                    let score = |curves: &Mat<f64>| curves[(a, l)];
                    quantile(&draws.curves.iter().map(score).collect::<Vec<f64>>(), tail)
                };
                (0..=last).map(of).collect()
            };
            let interval = draws.interval(a, confidence)?;
            Ok(Population {
                name: responses.name.clone(),
                units: responses.units(),
                curve: report.curves.row(a).iter().copied().collect(),
                curve_low: ends(0.5 * (1.0 - confidence))?,
                curve_high: ends(0.5 * (1.0 + confidence))?,
                argmax: report.argmax[a],
                depth: report.depth[a],
                normalised: (last > 0).then(|| report.depth[a] / last as f64),
                standard_deviation: draws.standard_deviation(a)?,
                low: interval.low,
                high: interval.high,
                not_below_best: draws.not_below_best(a, confidence)?,
            })
        };
        let count = populations.len();
        let row = |a: usize| (0..count).map(|b| draws.probability_lower(a, b)).collect();
        let layer = |r: &Responses| Layer { name: r.name.clone(), units: r.units() };
        Ok(Self {
            stimuli: populations.first().map_or(0, Responses::stimuli),
            comparator: arguments.comparator,
            refine: arguments.refine,
            confidence,
            layers: ladder.iter().map(layer).collect(),
            populations: populations.iter().enumerate().map(population).collect::<Result<_>>()?,
            lower: (0..count).map(row).collect::<Result<_>>()?,
            redrawn: draws.redrawn,
        })
    }

    fn text(&self) -> String {
        let mut table = Table::new()
            .words("population")
            .numbers("units")
            .numbers("best layer")
            .numbers("depth")
            .numbers("sd")
            .numbers("interval")
            .words("not below the best");
        for p in &self.populations {
            let layers = p.not_below_best.iter().map(usize::to_string).collect::<Vec<_>>();
            table.row([
                p.name.clone(),
                p.units.to_string(),
                format!("{} {}", p.argmax, self.layers[p.argmax].name),
                three(p.depth),
                three(p.standard_deviation),
                format!("{} to {}", three(p.low), three(p.high)),
                layers.join(" "),
            ]);
        }
        let (stimuli, layers) = (self.stimuli, self.layers.len());
        let mut text = format!("{stimuli} stimuli, layers 0 to {}\n\n{table}", layers - 1);
        if self.populations.len() > 1 {
            let mut lower = Table::new().words("share of samples in which this is lower than");
            for p in &self.populations {
                lower = lower.numbers(&p.name);
            }
            for (p, row) in self.populations.iter().zip(&self.lower) {
                lower.row([p.name.clone()].into_iter().chain(row.iter().map(|s| three(*s))));
            }
            text += &format!("\n{lower}");
        }
        text
    }

    fn write(&self, folder: &Folder, draws: &DepthDraws) -> Result<(), Failure> {
        let (count, layers) = (self.populations.len(), self.layers.len());
        let mut arrays = Archive::new();
        type Table = fn(&Population) -> &[f64];
        type Column = fn(&Population) -> f64;
        let tables: [(&str, Table); 3] = [
            ("curves", |p| &p.curve),
            ("curve_low", |p| &p.curve_low),
            ("curve_high", |p| &p.curve_high),
        ];
        for (name, of) in tables {
            let values: Vec<f64> =
                self.populations.iter().flat_map(|p| of(p).iter().copied()).collect();
            arrays.insert(name, Array::new([count, layers], values)?);
        }
        let columns: [(&str, Column); 3] =
            [("depth", |p| p.depth), ("low", |p| p.low), ("high", |p| p.high)];
        for (name, of) in columns {
            arrays.insert(name, Array::from_vector(self.populations.iter().map(of).collect()));
        }
        let shape = [draws.depth.len(), count];
        arrays.insert("depth_draws", Array::new(shape, draws.depth.concat())?);
        arrays.insert("lower", Array::new([count, count], self.lower.concat())?);
        folder.write("depth.npz", &arrays.to_bytes(Format::Npz)?)?;

        let mut curves = Figure::new(
            "Similarity along the network",
            "layer",
            "similarity of similarity matrices",
        );
        let mut depths = Figure::new("Depths, with their intervals", "population", "layer")
            .x_from_to(-0.5, count as f64 - 0.5);
        for (a, p) in self.populations.iter().enumerate() {
            let ends = p.curve_low.iter().zip(&p.curve_high).enumerate();
            let band: Vec<_> = ends.map(|(l, (low, high))| (l as f64, *low, *high)).collect();
            let points: Vec<_> = p.curve.iter().enumerate().map(|(l, s)| (l as f64, *s)).collect();
            // A curve of one point is none.
            curves = curves.band(band);
            curves = match layers {
                1 => curves.points(&p.name, points),
                _ => curves.line(&p.name, points),
            };
            let at = a as f64;
            depths = depths
                .band([(at - 0.2, p.low, p.high), (at + 0.2, p.low, p.high)])
                .points(&p.name, [(at, p.depth)]);
        }
        folder.write("curves.svg", curves.to_svg().as_bytes())?;
        folder.write("depth.svg", depths.to_svg().as_bytes())?;
        Ok(())
    }
}
