//! `hesse connectome fit`.

use std::path::Path;

use hesse::Error;
use hesse::io::Format;

use super::fit_arguments::{FitArguments, ModelName, SolverName};
use super::fit_summary::{Plan, Summary};
use super::tracing_file::dense_injections;
use super::voxels::Problem;
use super::{fit_file, memory, models, pictures};
use crate::failure::{Failure, Verdict};
use crate::output::{Output, to_json, writable};

/// Runs `hesse connectome fit`.
pub(super) fn run(arguments: &FitArguments, output: &Output) -> Result<Verdict, Failure> {
    arguments.check()?;
    let limit = memory::limit(arguments)?;
    if let Some(path) = &arguments.checkpoint {
        // Asked now, not behind the first hour.
        Format::of(&path.display().to_string())?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        writable(folder.unwrap_or(Path::new(".")))?;
    }
    let problem = Problem::read(&arguments.tracing, &arguments.voxels)?;
    if arguments.model == ModelName::Regional {
        for (side, voxels) in [("source", &problem.sources), ("target", &problem.targets)] {
            if voxels.regions.is_empty() {
                return Err(Error::empty(format!("regions of {side} voxels")).into());
            }
        }
    }
    models::check(&problem, arguments)?;
    let required = memory::estimate(&problem, arguments, &models::full(arguments));
    let plan = Plan::of(&problem, arguments, required, &problem.identifiability()?);
    memory::check(required, limit)?;
    if arguments.dry_run {
        match output.json {
            true => output.print_json(&plan)?,
            false => output.print(&plan.text())?,
        }
        return Ok(Verdict::Holds);
    }
    if !output.json {
        output.print(&format!("{}\n", plan.text()))?;
    }
    let fitted = models::fit(&problem, arguments, output)?;
    let x = dense_injections(&problem.data.injections().to_owned())?;
    let prediction = fitted.connectome.predict(x.as_ref())?;
    let summary = Summary::of(plan, &problem, arguments, &fitted, prediction.as_ref())?;
    if let Some(folder) = output.folder() {
        fit_file::write(folder, &problem, &fitted)?;
        folder.write("fit.json", (to_json(&summary)? + "\n").as_bytes())?;
        let connectome = &fitted.connectome;
        let picture = pictures::weights(connectome, &problem.sources, &problem.targets)?;
        folder.write("weights.svg", picture.as_bytes())?;
        if !connectome.trace.is_empty() {
            let what = match (arguments.model, arguments.solver) {
                (ModelName::Full, None | Some(SolverName::ActiveSet)) => {
                    "residual of the linear system"
                }
                (ModelName::Greedy, _) => "relative change of the core",
                _ => "objective",
            };
            let course = pictures::course(&connectome.trace, what);
            folder.write("course.svg", course.as_bytes())?;
        }
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::from_bool(summary.ended))
}
