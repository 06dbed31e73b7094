//! Reference files of tracing data, checked by the code of `hesse validate`: those of this repository,
//! and all of a shared folder beside it where there is one.

use std::path::{Path, PathBuf};

use hesse_cli::validate::connectome::LAYOUTS;
use hesse_cli::validate::{Arrays, Numbers, Validation};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn committed(name: &str) -> PathBuf {
    Path::new(ROOT).join(format!("tests/golden/connectome/{name}.npz"))
}

/// A file of the shared folder beside the repository or above it, where it is there; else says that it
/// is skipped.
fn shared(name: &str) -> Option<PathBuf> {
    let root = Path::new(ROOT).canonicalize().unwrap();
    let mut files =
        root.ancestors().map(|folder| folder.join(format!("shared/golden/connectome/{name}.npz")));
    let found = files.find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: no shared/golden/connectome/{name}.npz beside {}", root.display());
    }
    found
}

fn validation(path: &Path) -> Validation {
    Validation::of(&Arrays::read(path).unwrap(), LAYOUTS, None).unwrap()
}

/// Every comparison passes, `compared` arrays or laws are among them, no array is unknown, and just these
/// are not recomputed.
fn holds(path: &Path, layout: &str, compared: usize, not_recomputed: &[&str]) {
    let got = validation(path);
    assert!(got.pass, "{}", got.text());
    assert_eq!((got.layout, &got.unknown[..]), (layout, &[][..]), "{}", got.text());
    assert_eq!(got.not_recomputed, not_recomputed, "{}", got.text());
    assert_eq!(got.checks.len(), compared, "{}", got.text());
}

fn whole(name: &str, compared: usize, not_recomputed: &[&str]) {
    holds(&committed(name), name, compared, not_recomputed);
}

#[test]
fn laplacians() {
    holds(&committed("laplacian"), "laplacian", 32, &[]);
    if let Some(file) = shared("laplacian") {
        // Sums over masks of a real cortex, which the file does not hold.
        let got = validation(&file);
        assert!(got.pass && got.checks.len() == 32 && got.unknown.is_empty(), "{}", got.text());
        assert_eq!(got.not_recomputed.len(), 16, "{}", got.text());
    }
}

#[test]
fn objectives() {
    whole("objective", 37, &[]);
}

#[test]
fn small_minimisers() {
    whole("p1_small", 26, &[]);
}

#[test]
fn without_signs() {
    whole("unconstrained", 16, &[]);
}

#[test]
fn factors() {
    whole("p2", 26, &[]);
}

#[test]
fn nonnegative_least_squares() {
    whole("nnls", 26, &[]);
}

#[test]
fn nested_cross_validation() {
    whole("cv", 9, &[]);
}

#[test]
fn regions_and_distances() {
    whole("regional", 30, &[]);
}

const WORK: [&str; 4] = ["iterations_published", "kkt", "n_active", "n_active_published"];

#[test]
#[ignore = "half a minute; the library's own tests solve the same problem"]
fn the_published_self_test() {
    whole("published_self_test", 6, &WORK);
}

/// A smaller problem in the layout of the published self-test.
#[test]
fn a_self_test_of_another_size() {
    let mut arrays = Arrays::read(&committed("published_self_test")).unwrap();
    arrays.numbers.retain(|name, _| ["X", "Y", "lam"].contains(&name.as_str()));
    for (name, rows) in [("X", 18), ("Y", 24)] {
        let array = arrays.numbers.get_mut(name).unwrap();
        array.values.truncate(10 * rows);
        array.shape[0] = rows;
    }
    // Zero is no minimiser: its objective is above the optimum.
    let norm = arrays.numbers["Y"].values.iter().map(|y| y * y).sum();
    for name in ["f_at_zero", "f_published"] {
        arrays.numbers.insert(name.to_owned(), Numbers::scalar(norm));
    }
    let got = Validation::of(&arrays, LAYOUTS, None).unwrap();
    assert!(got.pass && got.checks.len() == 2, "{}", got.text());
}

#[test]
fn the_toy() {
    let others = [
        "lam0_relerr_zero_start",
        "lbfgsb_ref_f",
        "lbfgsb_ref_iterations",
        "lbfgsb_ref_relerr",
        "p2_f",
        "p2_iterations",
        "p2_relerr",
        "p2_vs_p1",
        "sweep_relerr_unconstrained",
    ];
    holds(&committed("toy1d"), "toy1d", 22, &others);
}

#[test]
fn a_patch_of_cortex() {
    if let Some(file) = shared("cortex_patch") {
        holds(&file, "cortex_patch", 8, &["active_set_rounds", "cg_iterations"]);
    }
}

/// A wrong number in a file is found, and only there.
#[test]
fn a_wrong_number_is_found() {
    for (name, array, index, by) in [
        ("objective", "masked_grad", 7, 1e-9),
        ("p1_small", "a_lam1_W", 5, 1e-4),
        ("p2", "armijo_eta", 3, 1e-4),
        ("laplacian", "m3_boundary_indices", 20, 1.0),
        ("nnls", "tall_X", 1, 1e-4),
    ] {
        let mut arrays = Arrays::read(&committed(name)).unwrap();
        let values = &mut arrays.numbers.get_mut(array).unwrap().values;
        values[index] += by * values[index].abs().max(1e-3);
        let got = Validation::of(&arrays, LAYOUTS, None).unwrap();
        let failed: Vec<_> = got.checks.iter().filter(|c| !c.pass).map(|c| &c.array).collect();
        assert!(failed.contains(&&array.to_owned()) && !got.pass, "{}", got.text());
        // The residual of a minimiser that was changed is another one as well.
        assert!(failed.len() <= 2, "{}", got.text());
    }
}

/// Other sizes: a file of the layout with one case of its own.
#[test]
fn other_files_of_a_layout_work() {
    let mut arrays = Arrays::read(&committed("p1_small")).unwrap();
    arrays.numbers.retain(|name, _| name.starts_with("c_"));
    let got = Validation::of(&arrays, LAYOUTS, Some("p1_small")).unwrap();
    assert!(got.pass, "{}", got.text());
    // Without a case there is nothing to compare.
    arrays.numbers.retain(|name, _| name == "c_kkt");
    let message = Validation::of(&arrays, LAYOUTS, Some("p1_small")).unwrap_err().line();
    assert!(message.ends_with("expected an output of p1_small, got none"), "{message}");
    let wrong = Validation::of(&arrays, LAYOUTS, None).unwrap_err().line();
    assert!(wrong.contains("laplacian (mask2, mask3"), "{wrong}");
}
