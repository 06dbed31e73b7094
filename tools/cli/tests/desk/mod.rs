//! A folder in which the program runs, and what is expected of it.
#![allow(dead_code)] // Each test binary uses its own part of it.

use std::path::PathBuf;
use std::process::{Command, Output};

use hesse::io::{Archive, Array};
use serde_json::Value;

/// An empty folder, gone when dropped.
pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn arrays(&self, name: &str, arrays: Vec<(&str, Array)>) {
        let mut archive = Archive::new();
        for (name, array) in arrays {
            archive.insert(name, array);
        }
        archive.write(self.path(name)).unwrap();
    }

    pub fn read(&self, name: &str) -> Archive {
        Archive::read(self.path(name)).unwrap()
    }

    /// The numbers of an array in a file.
    pub fn written(&self, file: &str, name: &str) -> Vec<f64> {
        self.read(file).get(name).unwrap().to_f64().unwrap()
    }

    pub fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_hesse"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env_remove("HESSE_ISA")
            .env_remove("RAYON_NUM_THREADS")
            .output()
            .unwrap()
    }

    /// The JSON object that a command prints, which ends with this exit code.
    pub fn json_with(&self, arguments: &str, code: i32) -> Value {
        let output = self.run(&format!("{arguments} --json"));
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {message}");
        assert!(message.is_empty(), "{arguments}: {message}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The JSON object that a command prints.
    pub fn json(&self, arguments: &str) -> Value {
        self.json_with(arguments, 0)
    }

    /// What a command prints for people.
    pub fn printed(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts exit code 2, one line on standard error, nothing printed, and no folder `out`; returns
    /// the line.
    pub fn refused(&self, arguments: &str) -> String {
        let (line, printed) = self.refused_late(arguments);
        assert!(printed.is_empty(), "{arguments}: {printed}");
        line
    }

    /// The same of a command that may have told of its input before: the line, and what was printed.
    pub fn refused_late(&self, arguments: &str) -> (String, String) {
        let output = self.run(&format!("{arguments} --out out"));
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {line}");
        assert!(line.starts_with("hesse: ") && line.lines().count() == 1, "{arguments}: {line}");
        assert!(!line.contains("panicked"), "{line}");
        assert!(!self.path("out").exists(), "{arguments}");
        let line = line.trim_end().trim_start_matches("hesse: ").to_owned();
        (line, String::from_utf8(output.stdout).unwrap())
    }

    /// Asserts that each command is refused with a line that holds the message.
    pub fn refuses(&self, cases: &[(&str, &str)]) {
        for (arguments, message) in cases {
            let line = self.refused(arguments);
            assert!(line.contains(message), "{arguments}:\n{line}\nexpected {message}");
        }
    }

    /// Asserts that files are there, and that pictures show something.
    pub fn has(&self, folder: &str, names: &[&str]) {
        for name in names {
            let path = self.path(folder).join(name);
            assert!(path.is_file(), "{}", path.display());
            if name.ends_with(".svg") {
                self.is_picture(&format!("{folder}/{name}"));
            }
        }
    }

    pub fn is_picture(&self, name: &str) {
        let svg = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{name}");
        assert!(!svg.contains("no finite data"), "{name}");
    }
}
