//! `hesse train --sweep` from outside.

use std::path::Path;
use std::process::{Command, Output};

use hesse::io::{Archive, Array};
use serde_json::Value;

const NETWORK: &str = "input = [3]\n\n[[layer]]\ntype = \"dense\"\noutputs = 4\nactivation = \"tanh\"\n\n\
                       [[layer]]\ntype = \"dense\"\noutputs = 2\n";

fn desk() -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    std::fs::write(desk.path().join("net.toml"), NETWORK).unwrap();
    let x: Vec<f64> = (0..30 * 3).map(|i| (0.37 * (i * i + 1) as f64).sin()).collect();
    let labels: Vec<u8> = x.chunks(3).map(|x| u8::from(x[0] > 0.0)).collect();
    let mut archive = Archive::new();
    archive.insert("X", Array::new([30, 3], x).unwrap());
    archive.insert("labels", Array::new([30], labels).unwrap());
    archive.write(desk.path().join("data.npz")).unwrap();
    desk
}

fn run(desk: &Path, options: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hesse"))
        .args(format!("train net.toml data.npz --sweep {options}").split_whitespace())
        .current_dir(desk)
        .env_remove("HESSE_ISA")
        .env_remove("RAYON_NUM_THREADS")
        .output()
        .unwrap()
}

fn json(desk: &Path, options: &str) -> Value {
    let output = run(desk, &format!("{options} --json"));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{options}: {message}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const SWEEP: &str = "--loss mean-squared-error --learning-rate 0.5,1e9 --batch 5,24 --seeds 1..2 \
                     --hold-out 6 --momentum 0.5";

#[test]
fn every_setting_is_a_line_and_has_its_files() {
    let desk = desk();
    let printed = json(desk.path(), &format!("{SWEEP} --steps 400 --out s --threads 2"));
    let runs = printed["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &printed["samples"]), (8, &24.into()));
    for (i, run) in runs.iter().enumerate() {
        let learns = i < 4;
        assert_eq!(run["status"], if learns { "step limit" } else { "diverged" }, "{run}");
        assert_eq!(run["steps"] == 400, learns);
        if learns {
            assert!(run["loss"].as_f64().unwrap() < 0.1, "{run}");
            assert!(run["accuracy"].as_f64().unwrap() > 0.9, "{run}");
            assert!(run["test_loss"].as_f64().unwrap().is_finite(), "{run}");
        }
        let folder = desk.path().join("s/runs").join(run["name"].as_str().unwrap());
        assert!(folder.join("checkpoint.npz").is_file());
        let parameters = Archive::read(folder.join("parameters.safetensors")).unwrap();
        assert_eq!(parameters.get("layer2.weight").unwrap().shape(), [2, 4]);
    }
    assert_eq!(runs[2]["name"], "rate0.5-batch24-seed1");
    let arrays = Archive::read(desk.path().join("s/sweep.npz")).unwrap();
    let numbers = |name: &str| arrays.get(name).unwrap().to_f64().unwrap();
    assert_eq!(numbers("batch"), [5.0, 5.0, 24.0, 24.0, 5.0, 5.0, 24.0, 24.0]);
    assert_eq!(numbers("status"), [0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0]);
    assert_eq!(arrays.get("curve_loss").unwrap().shape(), [8, 400]);
    let written = std::fs::read_to_string(desk.path().join("s/sweep.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), printed);
    assert!(desk.path().join("s/loss.svg").is_file());
    // The table has a line a run, under its headers.
    let output = run(desk.path(), &format!("{SWEEP} --steps 40"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("test accuracy"), "{table}");
    assert_eq!(table.lines().filter(|line| line.contains("step limit")).count(), 4, "{table}");
    // Pairs instead of all combinations.
    let pairs = json(desk.path(), "--setting 0.5:5,0.25:24 --seed 7 --steps 3");
    let names: Vec<_> = pairs["runs"].as_array().unwrap().iter().map(|r| &r["name"]).collect();
    assert_eq!(names, ["rate0.5-batch5-seed7", "rate0.25-batch24-seed7"]);
}

#[test]
fn a_sweep_goes_on_to_the_same_bits_and_is_not_overwritten() {
    let desk = desk();
    let whole = json(desk.path(), &format!("{SWEEP} --steps 60 --out whole"));
    json(desk.path(), &format!("{SWEEP} --steps 25 --every 10 --out parts"));
    let refused = |options: &str| {
        let output = run(desk.path(), options);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{options}: {line}");
        line
    };
    let line = refused(&format!("{SWEEP} --steps 60 --out parts"));
    assert!(line.contains("expected no earlier training without --resume"), "{line}");
    let other = SWEEP.replace("--momentum 0.5", "--momentum 0.25");
    let line = refused(&format!("{other} --steps 60 --out parts --resume"));
    assert!(line.contains("momentum: expected 0.25 to go on, got 0.5"), "{line}");
    let parts = json(desk.path(), &format!("{SWEEP} --steps 60 --out parts --resume"));
    assert_eq!(parts, whole);
    let bytes = |sweep: &str, name: &str| {
        let path = format!("{sweep}/runs/{name}/parameters.safetensors");
        std::fs::read(desk.path().join(path)).unwrap()
    };
    for name in ["rate0.5-batch5-seed1", "rate0.5-batch24-seed2", "rate1e9-batch5-seed1"] {
        assert_eq!(bytes("whole", name), bytes("parts", name), "{name}");
    }
    for (options, message) in [
        ("--resume", "--resume: expected --out with --sweep, got none"),
        ("--every 5", "--every: expected --out with --sweep, got none"),
        ("--seeds 3..1", "expected FIRST..LAST"),
        ("--setting 0.5", "expected RATE:BATCH"),
        ("--setting 0.5:5 --batch 4", "cannot be used with"),
        ("--learning-rate 0.5,0.5", "each once"),
        ("--batch 31", "batch size: expected 1 to 30, got 31"),
        ("--epochs 3", "cannot be used with"),
        ("--hold-out 30", "--hold-out: expected 1 to 29, got 30"),
        ("--checkpoint c.npz", "cannot be used with"),
        ("--momentum 2", "momentum: expected"),
    ] {
        let line = refused(options);
        assert!(line.contains(message), "{options}: {line}");
    }
}
