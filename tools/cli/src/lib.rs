//! The program `hesse`, as a library so that tests run the same code.
//!
//! Exit codes: 0 done, and every bar holds; 1 done, and a bar or a check does not hold; 2 bad
//! input, described in one line on standard error. Results go to standard output as a table or,
//! with `--json`, as JSON; progress goes to standard error where that is a terminal.

pub mod bench;
pub mod connectome;
pub mod connectome_scores;
pub mod credit;
pub mod data;
pub mod digits;
pub mod dimension;
pub mod failure;
pub mod figure;
pub mod flatness;
pub mod inputs;
pub mod machine;
pub mod network_file;
pub mod output;
pub mod progress;
pub mod report;
pub mod reproduce;
pub mod runs;
pub mod similarity;
pub mod spectrum;
pub mod table;
pub mod train;
pub mod units;
pub mod validate;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hesse_kernels::Isa;

use crate::failure::{BAD_INPUT, Failure, Verdict, one_line};
use crate::output::Output;

/// Numerical engine for theories of neural computation.
#[derive(Debug, Parser)]
#[command(name = "hesse", version, arg_required_else_help = true, after_help = ENVIRONMENT)]
struct Program {
    /// Threads to use; by default RAYON_NUM_THREADS, else every processor that this process may use
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// Write arrays, figures and results into this folder, which is made if it is missing
    #[arg(long, global = true, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show no progress
    #[arg(long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

const ENVIRONMENT: &str = "\
Environment:
  HESSE_ISA=scalar|v3|v4|neon  run the kernels on this instruction set (default: the best one)
  RAYON_NUM_THREADS=N          threads, where --threads does not say

Exit codes: 0 done, and every bar holds; 1 a bar or a check does not hold; 2 bad input";

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Arguments),
    Spectrum(spectrum::Arguments),
    Flatness(flatness::Arguments),
    Dimension(dimension::Arguments),
    Connectome(connectome::Arguments),
    Credit(credit::Arguments),
    Similarity(similarity::Arguments),
    Validate(validate::Arguments),
    Bench(bench::Arguments),
    Reproduce(reproduce::Arguments),
}

/// Runs the program on `arguments`, the first of which is its own name, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let program = match Program::try_parse_from(arguments) {
        Ok(program) => program,
        // Help and version are not failures. A reader that has gone away is none of ours.
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error)
            if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            let _ = error.print();
            return ExitCode::from(BAD_INPUT);
        }
        Err(error) => return complain(&usage(&error)),
    };
    match execute(program) {
        Ok(verdict) => verdict.into(),
        Err(failure) => complain(&failure.line()),
    }
}

fn execute(program: Program) -> Result<Verdict, Failure> {
    let isa = Isa::from_env()?;
    let Program { threads, json, out, quiet, command } = program;
    let output = Output::new(json, quiet, out)?;
    let command = || match command {
        Command::Train(arguments) => train::run(&arguments, &output),
        Command::Spectrum(arguments) => spectrum::run(&arguments, &output),
        Command::Flatness(arguments) => flatness::run(&arguments, &output),
        Command::Dimension(arguments) => dimension::run(&arguments, &output),
        Command::Connectome(arguments) => connectome::run(&arguments, &output),
        Command::Credit(arguments) => credit::run(&arguments, &output),
        Command::Similarity(arguments) => similarity::run(&arguments, &output),
        Command::Validate(arguments) => validate::run(&arguments, &output),
        Command::Bench(arguments) => bench::run(&arguments, isa, &output),
        Command::Reproduce(arguments) => reproduce::run(&arguments, isa, &output),
    };
    // A pool of our own: the global one belongs to whoever links us.
    let result = match threads {
        None => command(),
        Some(n) => rayon::ThreadPoolBuilder::new()
            .num_threads(usize::from(n))
            .build()
            .map_err(|error| Failure::input(format!("--threads {n}: {error}")))
            .and_then(|pool| pool.install(command)),
    };
    if result.is_err() {
        output.withdraw();
    }
    result
}

/// What is wrong with the arguments, without the usage that follows it, as one line.
fn usage(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().collect();
    format!("{} (see hesse --help)", words.join(" ").trim_start_matches("error: "))
}

/// One line on standard error, which may be closed.
fn complain(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "hesse: {}", one_line(message));
    ExitCode::from(BAD_INPUT)
}
