//! `hesse connectome identify`: whether the data determine W.

use hesse::connectome::IdentifiabilityReport;
use serde::Serialize;

use super::arguments::{TracingArguments, VoxelArguments};
use super::voxels::{Problem, Voxels};
use crate::failure::{Failure, Verdict};
use crate::output::{Output, to_json};
use crate::table::Table;

/// The most pairs that a table shows.
const MOST: usize = 20;

/// Say whether the data determine W, and where they do not
///
/// The penalty does not see constants between a connected component of target voxels and one of source
/// voxels. They are determined if for every target component the injections of the experiments that
/// were seen there, summed by source component, have full column rank. Lists the components, and the
/// pairs that are open; the exit code is 1 if there are any. With --out, writes identify.json.
#[derive(Debug, clap::Args)]
#[command(after_help = "The arrays of DATA: hesse connectome --help")]
pub(super) struct IdentifyArguments {
    #[command(flatten)]
    tracing: TracingArguments,
    #[command(flatten)]
    voxels: VoxelArguments,
}

#[derive(Clone, Debug, Serialize)]
struct Summary {
    identifiable: bool,
    observed_by: &'static str,
    source_components: Vec<Component>,
    target_components: Vec<Component>,
    undetermined: Vec<Pair>,
}

/// Voxels that hang together.
#[derive(Clone, Debug, Serialize)]
struct Component {
    voxels: usize,
    /// The coordinates of the first.
    first: String,
    /// Experiments that injected there, or were seen there.
    experiments: usize,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Pair {
    target: usize,
    source: usize,
}

/// Runs `hesse connectome identify`.
pub(super) fn run(arguments: &IdentifyArguments, output: &Output) -> Result<Verdict, Failure> {
    let problem = Problem::read(&arguments.tracing, &arguments.voxels)?;
    let report = problem.identifiability()?;
    let summary = summary(&problem, &report);
    if let Some(folder) = output.folder() {
        folder.write("identify.json", (to_json(&summary)? + "\n").as_bytes())?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&text(&summary))?;
    }
    Ok(Verdict::from_bool(summary.identifiable))
}

fn summary(problem: &Problem, report: &IdentifiabilityReport) -> Summary {
    let data = &problem.data;
    let n = data.experiments();
    let table = |of: &[usize]| vec![vec![false; n]; of.iter().max().map_or(0, |most| most + 1)];
    let mut injected = table(&report.source_components);
    for (_, (s, e)) in data.injections().iter() {
        injected[report.source_components[s]][e] = true;
    }
    let mut seen = table(&report.target_components);
    for (t, &component) in report.target_components.iter().enumerate() {
        for e in 0..n {
            seen[component][e] |= data.observed().at(t, e);
        }
    }
    Summary {
        identifiable: report.is_identifiable(),
        observed_by: problem.seen.name(),
        source_components: components(&report.source_components, &problem.sources, &injected),
        target_components: components(&report.target_components, &problem.targets, &seen),
        undetermined: report
            .undetermined
            .iter()
            .map(|pair| Pair { target: pair.target, source: pair.source })
            .collect(),
    }
}

/// `experiments` says for each component which experiments count.
fn components(of: &[usize], voxels: &Voxels, experiments: &[Vec<bool>]) -> Vec<Component> {
    let count = experiments.len();
    let mut sizes = vec![0; count];
    let mut firsts = vec![None; count];
    for (voxel, &component) in of.iter().enumerate() {
        sizes[component] += 1;
        firsts[component].get_or_insert(voxel);
    }
    (0..count)
        .map(|c| Component {
            voxels: sizes[c],
            first: firsts[c].map_or(String::new(), |voxel| voxels.name(voxel)),
            experiments: experiments[c].iter().filter(|yes| **yes).count(),
        })
        .collect()
}

fn text(summary: &Summary) -> String {
    let mut text = String::new();
    for (what, verb, components) in [
        ("source component", "injected in", &summary.source_components),
        ("target component", "seen in", &summary.target_components),
    ] {
        let mut table = Table::new()
            .numbers(what)
            .numbers("voxels")
            .words("first voxel")
            .numbers(&format!("experiments {verb}"));
        for (c, component) in components.iter().enumerate().take(MOST) {
            let Component { voxels, first, experiments } = component;
            let cells = [c.to_string(), voxels.to_string(), first.clone(), experiments.to_string()];
            table.row(cells);
        }
        text += &format!("{table}");
        if components.len() > MOST {
            text += &format!("and {} more\n", components.len() - MOST);
        }
        text += "\n";
    }
    if summary.identifiable {
        return text + "W is determined for every λ > 0\n";
    }
    let mut table = Table::new().numbers("target component").numbers("source component");
    for pair in summary.undetermined.iter().take(MOST) {
        table.row([pair.target.to_string(), pair.source.to_string()]);
    }
    let all = summary.undetermined.len();
    let more = if all > MOST { format!(", the first {MOST}") } else { String::new() };
    text + &format!("constants of W are open between {all} pairs of components{more}:\n{table}")
}
