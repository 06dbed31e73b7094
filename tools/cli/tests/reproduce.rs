//! `hesse reproduce` from outside, as small as it can be.

use std::path::Path;
use std::process::{Command, Output};

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

#[test]
fn the_report_is_written_and_the_exit_code_is_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let output = reproduce(folder.path(), &["flatness", "--seed", "3"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sections = report["sections"].as_array().unwrap();
    let names: Vec<_> = sections.iter().map(|s| s["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["flatness", "sharpness"]);
    let claims: Vec<_> =
        sections.iter().flat_map(|section| section["claims"].as_array().unwrap()).collect();
    assert!(claims.len() > 30);
    let fails = claims.iter().any(|claim| claim["holds"] == false);
    assert_eq!(output.status.code(), Some(i32::from(fails)));
    // Whatever the training, these hold by mathematics.
    for what in [
        "recomputed residual",
        "first moment of the density",
        "Every bound holds",
        "trace of the Hessian is S",
        "mean of ‖x‖²‖J‖² at every layer",
    ] {
        let claim = claims.iter().find(|c| c["what"].as_str().unwrap().contains(what)).unwrap();
        assert_eq!(claim["holds"], true, "{claim}");
    }
    let plates: Vec<_> =
        sections.iter().flat_map(|section| section["plates"].as_array().unwrap()).collect();
    assert_eq!(plates.len(), 13 + 4);
    for plate in plates {
        let name = format!("{}.svg", plate["name"].as_str().unwrap());
        let svg = std::fs::read_to_string(folder.path().join(&name)).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{name}");
        assert!(!svg.contains("no finite data"), "{name}");
    }
    let page = std::fs::read_to_string(folder.path().join("index.html")).unwrap();
    assert!(page.contains("hesse reproduce flatness --quick --seed 3"));
    let written = std::fs::read(folder.path().join("report.json")).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written, report);
}

#[test]
fn connectomes_are_reproduced_alone() {
    let folder = tempfile::tempdir().unwrap();
    let output = reproduce(folder.path(), &["connectome", "--threads", "1"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sections = report["sections"].as_array().unwrap();
    assert_eq!((sections.len(), &sections[0]["method"]), (1, &"connectome".into()));
    let claims = sections[0]["claims"].as_array().unwrap();
    let fails = claims.iter().any(|claim| claim["holds"] == false);
    assert_eq!(output.status.code(), Some(i32::from(fails)));
    // Whatever the size of the problems.
    for what in [
        "is solved to its optimum",
        "greedy correction lowers the objective",
        "predicts left-out experiments better",
        "Cross-validation chooses",
        "solved to its certificate",
    ] {
        let claim = claims.iter().find(|c| c["what"].as_str().unwrap().contains(what)).unwrap();
        assert_eq!(claim["holds"], true, "{claim}");
    }
    let plates = sections[0]["plates"].as_array().unwrap();
    assert_eq!(plates.len(), 9);
    for plate in plates {
        let name = format!("{}.svg", plate["name"].as_str().unwrap());
        let svg = std::fs::read_to_string(folder.path().join(&name)).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("no finite data"), "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_numbers_on_any_number_of_threads() {
    let claims = |threads: &str| {
        let folder = tempfile::tempdir().unwrap();
        let output = reproduce(folder.path(), &["--threads", threads]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
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
    let folder = tempfile::tempdir().unwrap();
    let output = reproduce(folder.path(), &["dimension"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sections = report["sections"].as_array().unwrap();
    assert_eq!((sections.len(), &sections[0]["method"]), (1, &"dimension".into()));
    let claims = sections[0]["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 21);
    // Whatever the training, these hold by mathematics.
    for what in [
        "Stochastic descent",
        "Frozen readout",
        "Full batch, so no noise",
        "the hidden layer has the predicted dimension",
        "never rises with noise",
    ] {
        let claim = claims.iter().find(|c| c["what"].as_str().unwrap().contains(what)).unwrap();
        assert_eq!(claim["holds"], true, "{claim}");
    }
    for plate in sections[0]["plates"].as_array().unwrap() {
        let name = format!("{}.svg", plate["name"].as_str().unwrap());
        let svg = std::fs::read_to_string(folder.path().join(&name)).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("no finite data"), "{name}");
    }
}

#[test]
fn depths_are_reproduced_as_small_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let output = reproduce(folder.path(), &["similarity"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sections = report["sections"].as_array().unwrap();
    assert_eq!((sections.len(), &sections[0]["method"]), (1, &"similarity".into()));
    let claims = sections[0]["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 23);
    let claim = |what: &str| {
        claims
            .iter()
            .find(|c| c["what"].as_str().unwrap().contains(what))
            .unwrap_or_else(|| panic!("no claim says {what}"))
    };
    // These do not depend on the trainings.
    for what in [
        "do not decrease (E1)",
        "Depths of six simulated areas",
        "VISp is lower than every other area",
        "VISp is lower than each other area with other images",
        "similarity of the halves (E5)",
    ] {
        assert_eq!(claim(what)["holds"], true, "{}", claim(what));
    }
    assert_eq!(claim("independently trained")["ours"], "0 0 0 0 0 4 6 6 7 7 10 10");
    assert_eq!(claim("six simulated areas")["ours"], "6 8 7 9 9 7");
    let plates = sections[0]["plates"].as_array().unwrap();
    assert_eq!(plates.len(), 5);
    for plate in plates {
        let name = format!("{}.svg", plate["name"].as_str().unwrap());
        let svg = std::fs::read_to_string(folder.path().join(&name)).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("no finite data"), "{name}");
    }
}

#[test]
fn learning_rules_are_reproduced_alone() {
    let folder = tempfile::tempdir().unwrap();
    let output = reproduce(folder.path(), &["credit"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sections = report["sections"].as_array().unwrap();
    assert_eq!((sections.len(), &sections[0]["method"]), (1, &"credit".into()));
    let claims = sections[0]["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 16);
    let fails = claims.iter().any(|claim| claim["holds"] == false);
    assert_eq!(output.status.code(), Some(i32::from(fails)));
    // Whatever the trainings.
    for what in ["less aligned with the gradient than MDGL", "A minimum attracts the three-factor"]
    {
        let claim = claims.iter().find(|c| c["what"].as_str().unwrap().contains(what)).unwrap();
        assert_eq!(claim["holds"], true, "{claim}");
    }
    let plates = sections[0]["plates"].as_array().unwrap();
    assert_eq!(plates.len(), 5);
    for plate in plates {
        let name = format!("{}.svg", plate["name"].as_str().unwrap());
        let svg = std::fs::read_to_string(folder.path().join(&name)).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("no finite data"), "{name}");
    }
}
