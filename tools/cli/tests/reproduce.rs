//! `hesse reproduce` from outside, as small as it can be.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn reproduce(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hesse"))
        .args(["reproduce", "--quick", "--json", "--out"])
        .arg(folder)
        .args(arguments)
        .env_remove("HESSE_ISA")
        .env_remove("RAYON_NUM_THREADS")
        .output()
        .unwrap()
}

/// What a run has written.
struct Written {
    folder: TempDir,
    report: Value,
    /// Of all sections.
    claims: Vec<Value>,
}

impl Written {
    /// Sections of these names with so many pictures, none empty, and the exit code that the claims ask
    /// for.
    fn of(arguments: &[&str], methods: &[&str], plates: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = reproduce(folder.path(), arguments);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let sections = report["sections"].as_array().unwrap();
        let names: Vec<_> = sections.iter().map(|s| s["method"].as_str().unwrap()).collect();
        assert_eq!(names, methods);
        let all = |part: &str| -> Vec<Value> {
            sections.iter().flat_map(|s| s[part].as_array().unwrap().clone()).collect()
        };
        let claims = all("claims");
        let fails = claims.iter().any(|claim| claim["holds"] == false);
        assert_eq!(output.status.code(), Some(i32::from(fails)));
        let pictures = all("plates");
        assert_eq!(pictures.len(), plates);
        for plate in pictures {
            let name = format!("{}.svg", plate["name"].as_str().unwrap());
            let svg = std::fs::read_to_string(folder.path().join(&name)).unwrap();
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{name}");
            assert!(!svg.contains("no finite data"), "{name}");
        }
        Self { folder, report, claims }
    }

    fn claim(&self, what: &str) -> &Value {
        let says = |claim: &&Value| claim["what"].as_str().unwrap().contains(what);
        self.claims.iter().find(says).unwrap_or_else(|| panic!("no claim says {what}"))
    }

    /// For what does not depend on the size of a run and on its trainings.
    fn holds(&self, claims: &[&str]) {
        for claim in claims.iter().map(|what| self.claim(what)) {
            assert_eq!(claim["holds"], true, "{claim}");
        }
    }
}

#[test]
fn the_report_is_written_and_the_exit_code_is_its_verdict() {
    let arguments = ["flatness", "--seed", "3"];
    let written = Written::of(&arguments, &["flatness", "sharpness"], 13 + 4);
    assert!(written.claims.len() > 30);
    written.holds(&[
        "recomputed residual",
        "first moment of the density",
        "Every bound holds",
        "trace of the Hessian is S",
        "mean of ‖x‖²‖J‖² at every layer",
    ]);
    let file = |name: &str| std::fs::read_to_string(written.folder.path().join(name)).unwrap();
    assert!(file("index.html").contains("hesse reproduce flatness --quick --seed 3"));
    let report: Value = serde_json::from_str(&file("report.json")).unwrap();
    assert_eq!(report, written.report);
}

#[test]
fn connectomes_are_reproduced_alone() {
    Written::of(&["connectome", "--threads", "1"], &["connectome"], 9).holds(&[
        "is solved to its optimum",
        "greedy correction lowers the objective",
        "predicts left-out experiments better",
        "Cross-validation chooses",
        "solved to its certificate",
    ]);
}

#[test]
fn the_same_seed_gives_the_same_numbers_on_any_number_of_threads() {
    let claims = |threads: &str| {
        let folder = tempfile::tempdir().unwrap();
        let output = reproduce(folder.path(), &["--threads", threads]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let pictures = [
            "sharpness-loss",
            "sharpness-density",
            "flatness-tanh-mls",
            "flatness-curves",
            "connectome-fit",
            "connectome-greedy",
            "similarity-areas",
            "similarity-images",
            "credit-gap",
            "credit-edge",
        ]
        .map(|name| std::fs::read(folder.path().join(format!("{name}.svg"))).unwrap());
        let claims =
            [0, 1, 2, 3, 4, 5].map(|section| report["sections"][section]["claims"].clone());
        assert!(claims.iter().all(|claims| claims.as_array().is_some_and(|c| !c.is_empty())));
        (claims, pictures)
    };
    assert_eq!(claims("1"), claims("3"));
}

#[test]
fn an_unknown_method_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = reproduce(folder.path(), &["flatnes"]);
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.starts_with("hesse: invalid value 'flatnes'"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn dimensions_are_reproduced_as_small_as_it_can_be() {
    let written = Written::of(&["dimension"], &["dimension"], 5);
    assert_eq!(written.claims.len(), 21);
    written.holds(&[
        "Stochastic descent",
        "Frozen readout",
        "Full batch, so no noise",
        "the hidden layer has the predicted dimension",
        "never rises with noise",
    ]);
}

#[test]
fn depths_are_reproduced_as_small_as_it_can_be() {
    let written = Written::of(&["similarity"], &["similarity"], 5);
    assert_eq!(written.claims.len(), 24);
    written.holds(&[
        "do not decrease (E1)",
        "Depths of six simulated areas",
        "VISp is lower than every other area",
        "VISp is lower than each other area with other images",
        "similarity of the halves (E5)",
    ]);
    let ours = |what: &str| written.claim(what)["ours"].as_str().unwrap();
    assert_eq!(ours("independently trained"), "0 0 0 0 0 4 6 6 7 7 10 10");
    assert_eq!(ours("six simulated areas"), "6 8 7 9 9 7");
}

#[test]
fn learning_rules_are_reproduced_alone() {
    let written = Written::of(&["credit"], &["credit"], 5);
    assert_eq!(written.claims.len(), 16);
    written.holds(&[
        "less aligned with the gradient than MDGL",
        "A minimum attracts the three-factor",
    ]);
}
