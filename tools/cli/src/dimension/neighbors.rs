//! `hesse dimension neighbors`: the table of nearest neighbours.

use clap::ValueEnum;
use hesse::io::{Archive, Array, Format};
use hesse::neighbors::{Graph, Knn, Metric, Precision, Search};
use serde::Serialize;

use super::points::{self, Copies};
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::output::{Output, to_json};
use crate::table::Table;
use crate::units::three;

/// Find the exact nearest neighbours of points
///
/// Prints how they were found, their distances, and the parts of their graph; with --out, writes
/// neighbors.json, neighbors.npz (distances and indices, n × k, and kept, the rows that copies were
/// merged into) and distances.svg.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Points: X.npy, data.npz:X or model.safetensors:X; the first axis counts them
    #[arg(value_name = "POINTS")]
    points: String,
    /// Neighbours of each point
    #[arg(short, long, value_name = "K", default_value_t = 20)]
    k: usize,
    /// Points whose neighbours are wanted, instead of the points themselves
    #[arg(long, value_name = "POINTS")]
    queries: Option<String>,
    /// What a distance is
    #[arg(long, value_enum, default_value_t = MetricName::Euclidean)]
    metric: MetricName,
    /// Points that are the same
    #[arg(long, value_enum, default_value_t = Copies::Keep)]
    copies: Copies,
    /// Search in double precision alone; the table is the same
    #[arg(long)]
    double: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum MetricName {
    /// |x − y|
    Euclidean,
    /// 1 − cos of the angle
    Cosine,
}

#[derive(Debug, Serialize)]
struct Summary {
    points: usize,
    rows: usize,
    features: usize,
    k: usize,
    metric: MetricName,
    /// Rows that copies were merged into, where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    distinct: Option<usize>,
    search: &'static str,
    repeated_in_double: usize,
    repeated_directly: usize,
    /// Smallest, median and largest distance to the first and to the last neighbour.
    first: [f64; 3],
    last: [f64; 3],
    /// Parts of the union graph, largest first; nothing for queries.
    parts: Vec<usize>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let x = points::read(&arguments.points)?;
    let metric = match arguments.metric {
        MetricName::Euclidean => Metric::Euclidean,
        MetricName::Cosine => Metric::Cosine,
    };
    let precision = if arguments.double { Precision::Double } else { Precision::MixedCertified };
    let knn = Knn::new(arguments.k)
        .metric(metric)
        .precision(precision)
        .duplicates(arguments.copies.duplicates());
    let table = match &arguments.queries {
        None => knn.build(x.as_ref())?,
        Some(queries) => knn.query(points::read(queries)?.as_ref(), x.as_ref())?,
    };
    let report = table.report();
    let mut parts = match arguments.queries {
        None => Graph::union(&table, arguments.k)?.components().sizes,
        Some(_) => Vec::new(),
    };
    parts.sort_unstable_by(|a, b| b.cmp(a));
    let of = |neighbour: usize| -> Vec<f64> {
        let mut column: Vec<f64> =
            (0..table.len()).map(|i| table.distances(i)[neighbour]).collect();
        column.sort_unstable_by(f64::total_cmp);
        column
    };
    let range = |column: &[f64]| {
        let n = column.len();
        [column[0], 0.5 * (column[(n - 1) / 2] + column[n / 2]), column[n - 1]]
    };
    let summary = Summary {
        points: table.points(),
        rows: table.len(),
        features: x.ncols(),
        k: table.k(),
        metric: arguments.metric,
        distinct: table.kept().map(<[usize]>::len),
        search: match report.map(|r| r.search) {
            Some(Search::Direct) => "direct",
            Some(Search::Tree) => "tree",
            _ => "tiles",
        },
        repeated_in_double: report.map_or(0, |r| r.repeated_in_double),
        repeated_directly: report.map_or(0, |r| r.repeated_directly),
        first: range(&of(0)),
        last: range(&of(table.k() - 1)),
        parts,
    };
    if let Some(folder) = output.folder() {
        folder.write("neighbors.json", (to_json(&summary)? + "\n").as_bytes())?;
        let mut arrays = Archive::new();
        let shape = [table.len(), table.k()];
        arrays.insert("distances", Array::new(shape, table.all_distances().to_vec())?);
        let indices: Vec<i64> = table.all_indices().iter().map(|&j| i64::from(j)).collect();
        arrays.insert("indices", Array::new(shape, indices)?);
        if let Some(kept) = table.kept() {
            arrays.insert("kept", Array::from_vector(kept.iter().map(|&i| i as i64).collect()));
        }
        folder.write("neighbors.npz", &arrays.to_bytes(Format::Npz)?)?;
        let quantiles = |column: Vec<f64>| {
            let n = column.len() as f64;
            column.into_iter().enumerate().map(move |(i, d)| (d, (i + 1) as f64 / n))
        };
        let figure = Figure::new("Distances to neighbours", "distance", "share of points")
            .line("first neighbour", quantiles(of(0)))
            .line(&format!("neighbour {}", table.k()), quantiles(of(table.k() - 1)));
        folder.write("distances.svg", figure.to_svg().as_bytes())?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

impl Summary {
    fn text(&self) -> String {
        let mut table =
            Table::new().words("distance").numbers("smallest").numbers("median").numbers("largest");
        for (name, range) in [("first neighbour", self.first), ("last neighbour", self.last)] {
            table.row([name.to_owned(), three(range[0]), three(range[1]), three(range[2])]);
        }
        let Self { rows, points, features, k, search, .. } = self;
        let mut text =
            format!("{rows} rows, {k} nearest of {points} points × {features}: {search}");
        if let Some(distinct) = self.distinct {
            text += &format!(", {distinct} distinct");
        }
        if self.repeated_in_double + self.repeated_directly > 0 {
            let (double, direct) = (self.repeated_in_double, self.repeated_directly);
            text += &format!(", {double} rows repeated in double precision, {direct} directly");
        }
        text += &format!("\n\n{table}");
        if let Some(largest) = self.parts.first() {
            let parts = self.parts.len();
            text += &format!(
                "\nunion graph: {parts} connected parts, {largest} points in the largest\n"
            );
        }
        text
    }
}
