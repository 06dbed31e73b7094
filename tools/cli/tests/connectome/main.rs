//! `hesse connectome` from outside: values, files, exit codes, and bad input, which ends in one line.

#[path = "../desk/mod.rs"]
mod desk;

mod bad_input;
mod fits;
mod models;
mod validation;

use std::path::Path;

use hesse::connectome::{Observed, SmoothingOperator, TracingData};
use hesse::faer::Mat;
use hesse::io::Archive;
use hesse::tracing_toys::{TracingToy, TracingToyTask};
use serde_json::Value;

use desk::Desk;

const VOXELS: usize = 24;
const EXPERIMENTS: usize = 6;

/// A folder with a small toy.
fn desk() -> Desk {
    let desk = Desk::new();
    let made = desk.json("connectome toy --voxels 24 --experiments 6 --seed 4 --out .");
    assert_eq!((&made["voxels"], &made["experiments"]), (&24.into(), &6.into()));
    desk
}

fn toy() -> TracingToy {
    let (sources, targets) = (VOXELS, VOXELS);
    TracingToyTask { sources, targets, experiments: EXPERIMENTS, noise: 0.1 }.draw(4).unwrap()
}

fn data(toy: &TracingToy) -> TracingData {
    TracingData::builder()
        .injections_dense(toy.injections.as_ref())
        .projections(toy.projections.as_ref())
        .observed(Observed::from_ones(toy.observed.as_ref()).unwrap())
        .build()
        .unwrap()
}

fn line() -> SmoothingOperator {
    SmoothingOperator::of_box(&[VOXELS]).unwrap()
}

fn golden(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(format!("tests/golden/connectome/{name}.npz"))
        .canonicalize()
        .unwrap()
        .display()
        .to_string()
}

fn matrix(archive: &Archive, name: &str) -> Mat<f64> {
    archive.get(name).unwrap().to_mat().unwrap()
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs(), "got {got:e}, expected {want:e}");
}

fn distance(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    (a - b).norm_max() / b.norm_max()
}

fn keys() -> Vec<i64> {
    (0..VOXELS).map(|i| 1 + (3 * i / VOXELS) as i64).collect()
}
