//! `hesse validate`: recomputes, from the inputs that a reference file holds, every output that it
//! holds.
//!
//! A [`Layout`] knows one kind of file. It names the arrays that it reads and the outputs that it
//! can compute; this module finds the layout of a file, compares each output, and names every array
//! that the layout does not know, or knows but cannot recompute yet.

mod checks;
mod compare;
pub mod connectome;
pub mod credit;
pub mod dimension;
pub mod flatness;
mod krylov_file;
mod numbers;
pub mod similarity;

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use crate::failure::{Failure, Verdict, one_line};
use crate::output::{Output, to_json};
use crate::progress::Progress;
use crate::table::Table;
use crate::units::three;

pub use checks::Checks;
pub use compare::{Check, Rule};
pub use numbers::{Arrays, Numbers};

/// Recompute what reference files hold and compare
///
/// Prints a table for each file, or with --json an object on a line of its own; --out writes the
/// objects to validate.jsonl. The exit code is 1 if a comparison fails, or if a file holds nothing
/// that this program recomputes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    method: Method,
}

#[derive(Debug, Subcommand)]
enum Method {
    /// Networks with their gradients, Hessians and spectra; Lanczos, traces and densities
    Flatness(Files),
    /// Neighbours, estimates of dimension, spectra, distances along graphs, layers, noise on weights
    Dimension(Files),
    /// Laplacians of voxels, minimisers and factors of tracing data, cross-validation, regions
    Connectome(Files),
    /// Learning rules of recurrent networks, curvature, trainings, stability, spiking networks
    Credit(Files),
    /// Similarity matrices, subspaces, kernels, shapes, noise ceilings, resampling, pseudo-depths
    Similarity(Files),
}

#[derive(Debug, clap::Args)]
struct Files {
    /// Reference files (.npz)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Read them as this case, the name of a reference file such as mlp_tanh_mse or p1_small, whatever
    /// arrays they hold
    #[arg(long = "as", value_name = "CASE")]
    case: Option<String>,
}

/// Runs `hesse validate`.
///
/// # Errors
/// A file that cannot be read or that no layout fits; inputs in it that are missing or wrong.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let (layouts, Files { files, case }) = match &arguments.method {
        Method::Flatness(files) => (flatness::LAYOUTS, files),
        Method::Dimension(files) => (dimension::LAYOUTS, files),
        Method::Connectome(files) => (connectome::LAYOUTS, files),
        Method::Credit(files) => (credit::LAYOUTS, files),
        Method::Similarity(files) => (similarity::LAYOUTS, files),
    };
    let progress = Progress::new(output, "validating", files.len() as u64);
    let mut lines = String::new();
    let mut pass = true;
    for file in files {
        progress.say(file.display().to_string());
        let arrays = Arrays::read(file)?;
        let validation = Validation::of(&arrays, layouts, case.as_deref())?;
        pass &= validation.pass;
        let line = to_json(&validation)? + "\n";
        lines += &line;
        output.print(&if output.json { line } else { validation.text() })?;
        progress.step();
    }
    if let Some(folder) = output.folder() {
        folder.write("validate.jsonl", lines.as_bytes())?;
    }
    Ok(Verdict::from_bool(pass))
}

/// One kind of reference file.
pub trait Layout: Sync {
    /// Its name: the stem that the reference files of this layout share.
    fn name(&self) -> &'static str;

    /// Other names: stems of reference files that share no stem.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// The arrays by which a file of this layout is known: all of them are there.
    fn marks(&self) -> &'static [&'static str];

    /// Recomputes what the file holds.
    ///
    /// # Errors
    /// The inputs of the file are missing or wrong.
    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure>;
}

/// The outcome for one file.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// The file.
    pub file: String,
    /// Its layout.
    pub layout: &'static str,
    /// Whether there was a comparison, and every one passed.
    pub pass: bool,
    /// One comparison an output.
    pub checks: Vec<Check>,
    /// Outputs that belong to the layout, but that this program does not recompute yet.
    pub not_recomputed: Vec<String>,
    /// Arrays that the layout does not know, so that nobody compared them.
    pub unknown: Vec<String>,
}

impl Validation {
    /// Validates the file with the layout called `name` of `layouts`, or with the one that its
    /// arrays show.
    ///
    /// # Errors
    /// No layout, or more than one, fits; the inputs of the file are missing or wrong; it holds no
    /// output.
    pub fn of(
        arrays: &Arrays,
        layouts: &[&dyn Layout],
        name: Option<&str>,
    ) -> Result<Self, Failure> {
        let layout = find(arrays, layouts, name)?;
        let mut checks = Checks::new(arrays);
        checks.inputs(layout.marks());
        layout.validate(&mut checks)?;
        checks.finish(layout)
    }

    /// The outcome for people: the file, the table, and what it comes to.
    #[must_use]
    pub fn text(&self) -> String {
        let Validation { file, layout, checks, not_recomputed, unknown, .. } = self;
        let failed = checks.iter().filter(|check| !check.pass).count();
        let verdict = match (checks.len(), failed) {
            (0, _) => "FAIL: nothing was compared".to_owned(),
            (all, 0) => format!("pass: {all} arrays compared"),
            (all, failed) => format!("FAIL: {failed} of {all} arrays compared"),
        };
        let (pending, unknown) = (not_recomputed.len(), unknown.len());
        let file = one_line(file);
        let table = self.table();
        format!(
            "{file} ({layout})\n{table}{verdict}, {pending} not recomputed, {unknown} unknown\n\n"
        )
    }

    /// The outcome as a table, one line an array.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new()
            .words("array")
            .words("compared")
            .numbers("error")
            .numbers("tolerance")
            .words("")
            .words("");
        for Check { array, error, rule, pass, detail } in &self.checks {
            let kind = match rule {
                Rule::Relative(_) => "relative",
                Rule::Absolute(_) => "absolute",
                Rule::Exact => "exact",
            };
            let tolerance = three(rule.tolerance());
            let pass = if *pass { "pass" } else { "FAIL" };
            let detail = detail.as_deref().unwrap_or_default();
            table.row([array, kind, &three(*error), &tolerance, pass, detail]);
        }
        for array in &self.not_recomputed {
            table.row([array.as_str(), "", "", "", "not recomputed"]);
        }
        for array in &self.unknown {
            table.row([array.as_str(), "", "", "", "unknown", "not compared"]);
        }
        table
    }
}

/// The layout called `name`, or the one whose marks are all in the file. Where several fit, the
/// one with the most marks is the most specific.
fn find<'l>(
    arrays: &Arrays,
    layouts: &[&'l dyn Layout],
    name: Option<&str>,
) -> Result<&'l dyn Layout, Failure> {
    let all = || layouts.iter().map(|layout| layout.name()).collect::<Vec<_>>().join(", ");
    if let Some(name) = name {
        // `--as mlp_tanh_mse` names a reference file; its layout is called `mlp`.
        let stem = |layout: &dyn Layout| {
            let stems = [layout.name()].into_iter().chain(layout.aliases().iter().copied());
            let fits = |stem: &&str| {
                name.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            };
            stems.filter(fits).map(str::len).max()
        };
        let named = layouts.iter().filter(|layout| stem(**layout).is_some());
        return named.max_by_key(|layout| stem(**layout)).copied().ok_or_else(|| {
            Failure::input(format!("--as: expected one of {}, got {name:?}", all()))
        });
    }
    let fits = |layout: &&&dyn Layout| {
        layout.marks().iter().all(|mark| arrays.numbers.contains_key(*mark))
    };
    let fitting: Vec<_> = layouts.iter().filter(fits).collect();
    let most = fitting.iter().map(|layout| layout.marks().len()).max();
    let best: Vec<_> =
        fitting.into_iter().filter(|layout| Some(layout.marks().len()) == most).collect();
    match best[..] {
        [layout] => Ok(*layout),
        [] => {
            let marks = layouts.iter().map(|l| format!("{} ({})", l.name(), l.marks().join(", ")));
            let marks = marks.collect::<Vec<_>>().join("; ");
            let message =
                format!("{}: expected the arrays of one of these layouts: {marks}", arrays.file);
            Err(Failure::input(message))
        }
        _ => {
            let names = best.iter().map(|l| l.name()).collect::<Vec<_>>().join(", ");
            Err(Failure::input(format!(
                "{}: fits several layouts, name one with --as: {names}",
                arrays.file
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y = a x, and the sum of y.
    struct Line;

    impl Layout for Line {
        fn name(&self) -> &'static str {
            "line"
        }
        fn marks(&self) -> &'static [&'static str] {
            &["a", "x"]
        }
        fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
            let arrays = checks.inputs(&["a", "x"]);
            let (a, ([n], x)) = (arrays.scalar("a")?, arrays.with_axes::<1>("x")?);
            assert!(n == x.len());
            let y: Vec<_> = x.iter().map(|x| a * x).collect();
            checks.compare("sum", Rule::Absolute(1e-12), &Numbers::scalar(y.iter().sum()));
            checks.compare("y", Rule::Relative(1e-15), &Numbers::vector(y));
            Ok(())
        }
    }

    /// Like `Line`, with an offset.
    struct Affine;

    impl Layout for Affine {
        fn name(&self) -> &'static str {
            "line_affine"
        }
        fn marks(&self) -> &'static [&'static str] {
            &["a", "b", "x"]
        }
        fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
            checks.compare("y", Rule::Exact, &Numbers::scalar(0.0));
            Ok(())
        }
    }

    const LAYOUTS: &[&dyn Layout] = &[&Line, &Affine];

    fn arrays(entries: &[(&str, &[f64])]) -> Arrays {
        let numbers = entries.iter().map(|(n, v)| ((*n).to_owned(), Numbers::vector(v.to_vec())));
        Arrays { file: "f.npz".to_owned(), numbers: numbers.collect(), ..Arrays::default() }
    }

    #[test]
    fn outputs_are_compared_and_unknown_arrays_named() {
        let mut file = arrays(&[
            ("a", &[2.0]),
            ("x", &[1.0, 2.0]),
            ("y", &[2.0, 4.0]),
            ("sum", &[6.5]),
            ("z", &[0.0]),
        ]);
        file.others.push("note".to_owned());
        let validation = Validation::of(&file, LAYOUTS, None).unwrap();
        assert_eq!(validation.layout, "line");
        assert!(!validation.pass);
        let passes: Vec<_> = validation.checks.iter().map(|c| (c.array.as_str(), c.pass)).collect();
        assert_eq!(passes, [("sum", false), ("y", true)]);
        assert_eq!(validation.unknown, ["z", "note"]);
        let text = validation.table().to_string();
        assert!(text.contains("FAIL") && text.contains("unknown"), "{text}");
        let json = serde_json::to_value(&validation).unwrap();
        assert_eq!(json["checks"][0]["rule"], "absolute");
        assert_eq!(json["checks"][0]["tolerance"], 1e-12);
        assert_eq!(json["checks"][0]["error"], 0.5);
    }

    #[test]
    fn wrong_entries_of_the_reference_are_replaced_and_told() {
        let file = arrays(&[("y", &[2.0, 4.5, 7.0])]);
        let mut checks = Checks::new(&file);
        let got = Numbers::vector(vec![2.0, 4.0, 6.0]);
        let right = [(1, 4.5_f64.to_bits(), 4.0), (2, 8.0_f64.to_bits(), 6.0)];
        checks.compare_corrected("y", Rule::Absolute(0.1), &got, &right);
        checks.law("y", "positive", 0);
        checks.law("y", "even", 2);
        // The second correction is for other bits than the file has: the entry stays wrong.
        let seen: Vec<_> = checks.checks.iter().map(|c| (c.error, c.pass)).collect();
        assert_eq!(seen, [(1.0, false), (0.0, true), (2.0, false)]);
        let detail = checks.checks[0].detail.as_deref().unwrap();
        assert!(detail.starts_with("1 of 3 entries are wrong in the reference, by up to 0.500"));
        checks.compare_corrected("none", Rule::Exact, &got, &right);
        assert_eq!(checks.checks.len(), 3);
    }

    #[test]
    fn entries_that_cannot_be_compared_are_left_out_and_told() {
        let file = arrays(&[("y", &[2.0, -37.0]), ("z", &[-37.0])]);
        let mut checks = Checks::new(&file);
        let got = Numbers::vector(vec![2.0, -35.0]);
        checks.compare_where("y", Rule::Absolute(0.1), &got, &[true, false], "rounding");
        checks.compare_where("y", Rule::Absolute(0.1), &got, &[false, true], "rounding");
        checks.compare_where("z", Rule::Exact, &Numbers::scalar(-35.0), &[false], "rounding");
        assert_eq!(checks.checks[0].detail.as_deref(), Some("1 of 2 entries left out: rounding"));
        let passes: Vec<_> = checks.checks.iter().map(|check| check.pass).collect();
        assert_eq!(passes, [true, false]);
        assert!(checks.pending.contains("z"));
    }

    #[test]
    fn the_most_specific_layout_that_fits_is_taken() {
        let file = arrays(&[("a", &[2.0]), ("b", &[0.0]), ("x", &[1.0]), ("y", &[2.0])]);
        assert_eq!(Validation::of(&file, LAYOUTS, None).unwrap().layout, "line_affine");
        assert_eq!(Validation::of(&file, LAYOUTS, Some("line")).unwrap().layout, "line");
        let stem = Validation::of(&file, LAYOUTS, Some("line_small")).unwrap();
        assert_eq!((stem.layout, stem.unknown.len()), ("line", 1));
        assert_eq!(find(&file, LAYOUTS, Some("line_affine_big")).unwrap().name(), "line_affine");
    }

    #[test]
    fn what_does_not_fit_is_refused_in_words() {
        let message = |file: &Arrays, name| Validation::of(file, LAYOUTS, name).unwrap_err().line();
        assert_eq!(
            message(&arrays(&[("q", &[])]), None),
            "f.npz: expected the arrays of one of these layouts: line (a, x); line_affine (a, b, x)"
        );
        let no_output = arrays(&[("a", &[2.0]), ("x", &[1.0])]);
        assert_eq!(message(&no_output, None), "f.npz: expected an output of line, got none");
        assert_eq!(
            message(&no_output, Some("curve")),
            "--as: expected one of line, line_affine, got \"curve\""
        );
        let two = arrays(&[("a", &[2.0, 3.0]), ("x", &[1.0]), ("y", &[1.0])]);
        assert_eq!(message(&two, None), "f.npz: array \"a\": expected one number, got 2");
        assert_eq!(
            message(&arrays(&[("y", &[1.0])]), Some("line")),
            "f.npz: array \"a\": expected an array, got none"
        );
    }

    #[test]
    fn whole_numbers_are_checked() {
        let file = arrays(&[("n", &[3.0, 0.0]), ("half", &[0.5]), ("many", &[1e300])]);
        assert_eq!(file.counts("n", 3).unwrap(), [3, 0]);
        for name in ["half", "many"] {
            assert!(file.counts(name, 10).is_err(), "{name}");
        }
    }
}
