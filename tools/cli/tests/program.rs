//! The program from outside: exit codes and messages.

use std::process::{Command, Output, Stdio};

fn hesse(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hesse"));
    command.args(arguments).env_remove("HESSE_ISA").env_remove("RAYON_NUM_THREADS");
    command
}

fn run(arguments: &[&str]) -> Output {
    hesse(arguments).output().unwrap()
}

/// Asserts exit code 2, nothing on standard output, and one line on standard error; returns it.
fn refused(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert!(output.stdout.is_empty());
    assert!(line.starts_with("hesse: ") && line.ends_with('\n'), "{line:?}");
    assert_eq!(line.lines().count(), 1, "{line:?}");
    line.trim_end().to_owned()
}

#[test]
fn help_and_version_succeed() {
    for arguments in [&["--help"][..], &["--version"], &["bench", "--help"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
    let text = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for word in ["--threads", "--json", "--out", "--quiet", "HESSE_ISA", "Exit codes"] {
        assert!(text.contains(word), "{word} is not in the help");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
}

#[test]
fn wrong_arguments_are_refused_in_one_line() {
    let cases = [
        (&["bunch"][..], "hesse: unrecognized subcommand 'bunch' (see hesse --help)"),
        (&["bench", "--thread", "1"], "hesse: unexpected argument '--thread' found"),
        (&["bench", "--threads", "0"], "hesse: invalid value '0' for '--threads <N>'"),
        (
            &["bench", "--seconds", "-1"],
            "hesse: --seconds: expected more than 0 and at most 3600, got -1",
        ),
        (&["bench", "--seconds", "nan"], "hesse: --seconds: expected more than 0"),
        (&["bench", "zzz"], "hesse: bench: no case contains \"zzz\", --list names them"),
    ];
    for (arguments, message) in cases {
        let line = refused(&run(arguments));
        assert!(line.starts_with(message), "{line:?}, expected {message:?}");
    }
}

#[test]
fn an_instruction_set_that_is_not_there_is_refused_first() {
    let output = hesse(&["bench", "zzz"]).env("HESSE_ISA", "v9").output().unwrap();
    let line = refused(&output);
    assert!(line.starts_with("hesse: HESSE_ISA: expected one of scalar"), "{line}");
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let line = refused(&run(&["bench", "--list", "--out", path]));
    assert!(line.starts_with(&format!("hesse: {path}: ")), "{line}");
}

#[test]
fn cases_are_listed_as_table_and_as_json() {
    let table = String::from_utf8(run(&["bench", "--list", "panel"]).stdout).unwrap();
    assert!(table.starts_with("case"), "{table}");
    let json = String::from_utf8(run(&["bench", "--list", "panel", "--json"]).stdout).unwrap();
    // A header and a rule above the lines of the table.
    assert_eq!(json.lines().count(), table.lines().count() - 2);
    for line in json.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(case["name"].as_str().unwrap().starts_with("panel/"), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child =
        hesse(&["bench", "--list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_named() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = hesse(&["bench", "--list"]).stdout(full).output().unwrap();
    let line = refused(&output);
    assert!(line.starts_with("hesse: standard output: "), "{line}");
}
