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

const FEATURE_SPACE: [&str; 44] = [
    "J_fro",
    "J_fro2_mean",
    "J_logvol",
    "J_smax",
    "J_sv",
    "S",
    "S_W",
    "S_b",
    "W_fro",
    "W_spec",
    "adapt_G",
    "adapt_G_W1",
    "adapt_H",
    "chain",
    "gradW_fro2",
    "gradb_fro2",
    "harm",
    "harm_eps",
    "iimls_bound",
    "iimls_dir",
    "iimls_elem",
    "in_norm",
    "lnorm_sharp",
    "local_dim",
    "local_dim_mean",
    "logvol3_mean",
    "logvol_mean",
    "ma_ying",
    "mls",
    "nmls",
    "nmls_bound",
    "nmls_bound_eps",
    "nmls_bound_weights",
    "norm_mls",
    "nvr",
    "nvr_bound",
    "nvr_bound_layers",
    "quad",
    "relflat_G",
    "relflat_H",
    "relflat_maxeig",
    "vol_chain",
    "vol_rank",
    "H_trace",
];

#[test]
fn networks() {
    let mut folders = vec![committed()];
    folders.extend(shared());
    for folder in folders {
        let files = files(&folder, &["mlp_"]);
        assert!(files.len() >= 9, "{files:?}");
        for file in files {
            // A sample of the rectifier network has fewer active units than outputs: its volume is 0,
            // and what the reference says of it is rounding.
            let volumes = ["logvol3_mean", "logvol_mean"];
            let rounding: &[&str] = if file.ends_with("mlp_relu_ce.npz") { &volumes } else { &[] };
            let measures = FEATURE_SPACE.iter().filter(|name| !rounding.contains(name));
            let outputs: Vec<&str> = NETWORK.iter().chain(measures).copied().collect();
            holds(&file, "mlp", &outputs);
            assert_eq!(validation(&file).not_recomputed, rounding);
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
    let file = folder.join("digits_tanh_mse.npz");
    // Relative flatness by largest eigenvalues is not in this file.
    let measures = FEATURE_SPACE.iter().filter(|name| **name != "relflat_maxeig");
    let outputs: Vec<&str> = outputs.iter().chain(measures).copied().collect();
    holds(&file, "digits_tanh", &outputs);
    assert!(validation(&file).not_recomputed.is_empty());
}

#[test]
fn convolutional_networks() {
    let outputs = [
        "S",
        "mls",
        "nmls",
        "in_norm",
        "J_smax",
        "J_fro",
        "grad_block_fro2",
        "op_spec_norm",
        "code_norm2",
        "patch_smin",
        "harm_code",
        "nmls_bound_code",
    ];
    let mut folders = vec![committed()];
    folders.extend(shared());
    for folder in folders {
        let files = files(&folder, &["conv_"]);
        assert_eq!(files.len(), 2, "{files:?}");
        for file in files {
            holds(&file, "conv", &[&NETWORK[..], &outputs].concat());
            assert!(validation(&file).not_recomputed.is_empty());
        }
    }
}

/// The derivatives of the approximate GELU in the reference lose digits by cancellation: the entries
/// beyond the tolerance are known, replaced by exact values, and told.
#[test]
fn edge_cases() {
    let mut folders = vec![committed()];
    folders.extend(shared());
    for folder in folders {
        let file = folder.join("edge_cases.npz");
        let outputs = [
            "lin_trace",
            "lin_mls",
            "lin_logvol",
            "lin_localdim",
            "dead_mls",
            "dead_logvol",
            "dead_localdim",
            "dead_S",
            "zero_mls",
            "zero_quad",
            "zero_chain",
            "big_ce",
            "big_grad",
            "share_S",
            "share_nmls",
            "share_bound",
            "share_mls",
            "share_mls_bound",
            "two_value_hi",
            "two_value_lo",
            "neg_eig",
            "act_f",
            "act_df",
            "act_ddf",
        ];
        holds(&file, "edge_cases", &outputs);
        let got = validation(&file);
        assert!(got.not_recomputed.is_empty(), "{}", got.text());
        let told = |name: &str| {
            let check = got.checks.iter().find(|check| check.array == name).unwrap();
            check.detail.clone().unwrap_or_default()
        };
        assert!(told("act_df").starts_with("2 of 498 entries are wrong"), "{}", told("act_df"));
        assert!(told("act_ddf").starts_with("7 of 498 entries are wrong"), "{}", told("act_ddf"));
        assert!(told("act_f").is_empty());
    }
}

/// Trainings depend on a random generator: their table is not recomputed, and what every row must
/// obey is checked.
#[test]
fn tables_of_trainings() {
    for name in ["sweep_tanh.npz", "sweep_relu.npz"] {
        let got = validation(&committed().join(name));
        assert!(got.pass && got.unknown.is_empty(), "{}", got.text());
        assert_eq!(got.not_recomputed, ["table"]);
        assert_eq!(got.checks.len(), 9);
    }
    let mut arrays = Arrays::read(&committed().join("sweep_tanh.npz")).unwrap();
    // MLS above its bound D.
    arrays.numbers.get_mut("table").unwrap().values[18 + 8] = 1e3;
    let got = Validation::of(&arrays, LAYOUTS, None).unwrap();
    let broken = got.checks.iter().find(|check| !check.pass).unwrap();
    assert!(
        !got.pass && broken.error == 1.0 && broken.detail.as_ref().unwrap().contains("MLS ≤ D")
    );
}

#[test]
fn digits_of_the_program() {
    let mut files = vec![Path::new(ROOT).join("tools/cli/data/digits_8x8.npz")];
    files.extend(shared().map(|folder| folder.join("digits_permuted.npz")));
    for file in files {
        holds(&file, "digits_permuted", &["X_u8", "labels"]);
    }
}

/// A file of which nothing is compared does not pass, and what is not recomputed is named.
#[test]
fn what_is_not_recomputed_is_named() {
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
