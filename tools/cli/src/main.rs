//! The program `hesse`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hesse_cli::run(std::env::args_os())
}
