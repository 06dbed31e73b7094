//! `hesse reproduce`: runs the methods on data that are compiled in, holds what comes out against
//! what the papers say, and writes a page with figures.

mod connectome;
mod credit;
mod dimension;
mod flatness;
mod sharpness;
mod similarity;

use hesse_kernels::Isa;

use crate::failure::{Failure, Verdict};
use crate::machine::Machine;
use crate::output::{Folder, Output};
use crate::report::Report;

/// Hold the methods against their papers on data that are compiled in, and write a report
///
/// Writes report/index.html (another folder with --out) with a table of claims, each with its source,
/// what is expected, what came out and whether it holds, and figures as SVG; report.json holds the
/// same. Exit code 1 if a bar does not hold.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Methods to run; all of them by default
    #[arg(value_name = "METHOD", value_parser = ["flatness", "dimension", "connectome", "similarity", "credit"])]
    methods: Vec<String>,
    /// The tables at their full size: some ten times the work. Finished trainings are kept in the
    /// folder, in runs, and not repeated
    #[arg(long)]
    full: bool,
    /// Seed of parameters, batches and probes
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// As little as shows that everything runs
    #[arg(long, hide = true, conflicts_with = "full")]
    quick: bool,
}

/// How much work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Quick,
    Usual,
    Full,
}

/// Runs `hesse reproduce`.
///
/// # Errors
/// A folder that cannot be written.
pub fn run(arguments: &Arguments, isa: Isa, output: &Output) -> Result<Verdict, Failure> {
    let folder = match output.folder() {
        Some(folder) => folder.clone(),
        None => Folder::create("report")?,
    };
    let size = match (arguments.quick, arguments.full) {
        (true, _) => Size::Quick,
        (_, true) => Size::Full,
        _ => Size::Usual,
    };
    let wanted =
        |name: &str| arguments.methods.is_empty() || arguments.methods.iter().any(|m| m == name);
    let mut sections = Vec::new();
    if wanted("flatness") {
        sections.push(flatness::section(size, arguments.seed, output, &folder)?);
        sections.push(sharpness::section(size, arguments.seed, output)?);
    }
    if wanted("dimension") {
        sections.push(dimension::section(size, arguments.seed, output)?);
    }
    if wanted("connectome") {
        sections.push(connectome::section(size, arguments.seed, output)?);
    }
    if wanted("similarity") {
        sections.push(similarity::section(size, arguments.seed, output)?);
    }
    if wanted("credit") {
        sections.push(credit::section(size, arguments.seed, output, &folder)?);
    }
    let mut provenance = vec![("command".to_owned(), command(arguments))];
    provenance.extend(Machine::this(isa).lines());
    for section in &sections {
        let seconds = crate::units::seconds(section.seconds);
        provenance.push((format!("time for {}", section.method), seconds));
    }
    let title = "hesse: what the papers say, and what came out".to_owned();
    let report = Report { title, provenance, sections };
    let page = report.write(&folder)?;
    if output.json {
        output.print_json(&report)?;
    } else {
        output.print(&format!("{}\n{}\n", report.summary(), page.display()))?;
    }
    Ok(Verdict::from_bool(report.holds()))
}

/// The command that makes the same report.
fn command(arguments: &Arguments) -> String {
    let mut text = "hesse reproduce".to_owned();
    for method in &arguments.methods {
        text += &format!(" {method}");
    }
    for (flag, given) in [(" --full", arguments.full), (" --quick", arguments.quick)] {
        if given {
            text += flag;
        }
    }
    text + &format!(" --seed {}", arguments.seed)
}
