//! Reference files, checked by the code of `hesse validate`: those of this repository, and all of a
//! shared folder beside it where there is one.

use std::path::{Path, PathBuf};

use hesse::Real;
use hesse_cli::failure::Failure;
use hesse_cli::validate::flatness::{LAYOUTS, gradient_and_products};
use hesse_cli::validate::{Arrays, Checks, Layout, Validation};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn committed() -> PathBuf {
    Path::new(ROOT).join("tests/golden/flatness")
}

/// The shared folder beside the repository or above it.
fn shared() -> Option<PathBuf> {
    let root = Path::new(ROOT).canonicalize().unwrap();
    let mut folders = root.ancestors().map(|folder| folder.join("shared/golden/flatness"));
    let found = folders.find(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("skipped: no shared/golden/flatness beside {}", root.display());
    }
    found
}

/// The `.npz` files in `folder` whose name starts with one of `starts`.
fn files(folder: &Path, starts: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(".npz") && starts.iter().any(|start| name.starts_with(start))
        })
        .collect();
    files.sort();
    files
}

fn validation(path: &Path) -> Validation {
    Validation::of(&Arrays::read(path).unwrap(), LAYOUTS, None).unwrap()
}

/// Every comparison passes, `outputs` are among them, and no array is unknown.
fn holds(path: &Path, layout: &str, outputs: &[&str]) {
    let got = validation(path);
    assert!(got.pass, "{}", got.text());
    assert_eq!((got.layout, &got.unknown[..]), (layout, &[][..]), "{}", got.text());
    for output in outputs {
        let found = got.checks.iter().any(|check| check.array == *output);
        assert!(found, "{output} was not compared: {}", got.text());
    }
}

const NETWORK: [&str; 14] = [
    "out", "loss", "grad", "HV", "GV", "H_trace", "H_diag", "H_fro2", "H_tri", "H_eig", "G_trace",
    "G_diag", "G_fro2", "G_eig",
];

#[test]
fn networks() {
    let mut folders = vec![committed()];
    folders.extend(shared());
    for folder in folders {
        let files = files(&folder, &["mlp_"]);
        assert!(files.len() >= 9, "{files:?}");
        for file in files {
            holds(&file, "mlp", &NETWORK);
        }
    }
}

#[test]
fn recurrent_networks() {
    let mut folders = vec![committed()];
    folders.extend(shared());
    let outputs = [&NETWORK[..], &["S", "J_sv", "mls"]].concat();
    for folder in folders {
        let files = files(&folder, &["rnn_"]);
        assert_eq!(files.len(), 2, "{files:?}");
        for file in files {
            holds(&file, "rnn", &outputs);
            assert!(validation(&file).not_recomputed.is_empty());
        }
    }
}

#[test]
fn krylov_methods() {
    let mut folders = vec![committed()];
    folders.extend(shared());
    let outputs = ["alpha", "ritz", "hutchpp", "xtrace_err", "density", "density2", "moments"];
    for folder in folders {
        holds(&folder.join("lanczos_trace_slq.npz"), "lanczos_trace_slq", &outputs);
    }
}

#[test]
fn digits() {
    let Some(folder) = shared() else { return };
    let outputs = ["out", "loss", "grad", "HV", "GV", "H_eig", "H_top3_vec", "accuracy", "G_fro2"];
    holds(&folder.join("digits_tanh_mse.npz"), "digits_tanh", &outputs);
}

/// What is not recomputed is named, and a file of which nothing is compared does not pass.
#[test]
fn what_is_not_recomputed_is_named() {
    let got = validation(&committed().join("mlp_tanh_mse.npz"));
    let names = |name: &str| got.not_recomputed.iter().any(|n| n == name);
    if Arrays::read(&committed().join("mlp_tanh_mse.npz")).unwrap().numbers.contains_key("mls") {
        assert!(names("mls") && names("W_spec") && names("J_smax"), "{}", got.text());
    }
    let arrays = Arrays::read(&committed().join("rnn_final_mse.npz")).unwrap();
    let nothing = Validation::of(&arrays, &[&Nothing], None).unwrap();
    assert!(!nothing.pass && nothing.checks.is_empty());
    assert!(nothing.not_recomputed.iter().any(|name| name == "HV"));
}

/// Recurrent networks, if nobody recomputed anything of them.
struct Nothing;

impl Layout for Nothing {
    fn name(&self) -> &'static str {
        "rnn"
    }
    fn marks(&self) -> &'static [&'static str] {
        &["dims", "theta", "X", "Y"]
    }
    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        checks.nothing_recomputed();
        Ok(())
    }
}

/// A wrong number in a file is found, and only there.
#[test]
fn a_wrong_number_is_found() {
    let mut arrays = Arrays::read(&committed().join("mlp_softplus_ce.npz")).unwrap();
    for (name, index) in [("HV", 7), ("G_eig", 3), ("loss", 0)] {
        let right = arrays.numbers[name].values[index];
        arrays.numbers.get_mut(name).unwrap().values[index] += 1e-6;
        let got = Validation::of(&arrays, LAYOUTS, None).unwrap();
        let failed: Vec<_> = got.checks.iter().filter(|c| !c.pass).map(|c| &c.array).collect();
        assert_eq!(failed, [name]);
        arrays.numbers.get_mut(name).unwrap().values[index] = right;
    }
}

/// In 32 bits, gradient and Hessian products are good to 1e-4 of their largest entry. The fitted
/// network is left out: its gradient is what cancellation leaves.
#[test]
fn single_precision() {
    for file in files(&committed(), &["mlp_"]) {
        if file.ends_with("mlp_interpolated.npz") {
            continue;
        }
        let arrays = Arrays::read(&file).unwrap();
        let (gradient, products) = gradient_and_products::<f32>(&arrays).unwrap();
        near(&file, "gradient", &gradient, &arrays.numbers["grad"].values);
        let want = &arrays.numbers["HV"];
        let (p, k) = (want.shape[0], want.shape[1]);
        let by_column = (0..k).flat_map(|j| (0..p).map(move |i| want.values[i * k + j]));
        near(&file, "products", &products, &by_column.collect::<Vec<_>>());
    }
}

fn near(file: &Path, what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    let error = got.iter().zip(want).fold(0.0, |a: f64, (g, w)| a.max((g - w).abs()));
    let tolerance = 1e-4 * largest;
    assert!(error <= tolerance, "{}: {what} in {}: {error:e}", file.display(), f32::NAME);
    // Not by computing in 64 bits after all.
    assert!(error > 1e-10 * largest, "{}: {what}: {error:e}", file.display());
}
