//! Reference files of representations, checked by the code of `hesse validate`: those of this
//! repository.

use std::path::{Path, PathBuf};

use hesse_cli::validate::similarity::LAYOUTS;
use hesse_cli::validate::{Arrays, Validation};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn committed(name: &str) -> PathBuf {
    Path::new(ROOT).join(format!("tests/golden/similarity/{name}.npz"))
}

fn validation(path: &Path) -> Validation {
    Validation::of(&Arrays::read(path).unwrap(), LAYOUTS, None).unwrap()
}

/// Every comparison passes, there are `compared` of them, no array is unknown, and just these are not
/// recomputed.
fn holds(name: &str, compared: usize, not_recomputed: &[&str]) {
    let got = validation(&committed(name));
    assert!(got.pass, "{}", got.text());
    assert_eq!((got.layout, &got.unknown[..]), (name, &[][..]), "{}", got.text());
    assert_eq!(got.not_recomputed, not_recomputed, "{}", got.text());
    assert_eq!(got.checks.len(), compared, "{}", got.text());
}

#[test]
fn tables_over_pairs_of_stimuli() {
    holds("01_rsm_rdm", 22, &[]);
}

#[test]
fn comparators() {
    holds("02_comparators", 20, &[]);
}

#[test]
fn similarities_of_similarity_matrices() {
    holds("03_ssm_digits", 9, &[]);
}

#[test]
fn canonical_correlations() {
    holds("04_cca", 33, &[]);
}

#[test]
fn canonical_correlations_of_the_reference_code() {
    let google = ["google_pwcca_xy_raises", "google_pwcca_yx", "google_pwcca_yx_weights"];
    holds("04b_cca_reference_code", 20, &google);
}

#[test]
fn kernels() {
    holds("05_cka", 24, &[]);
}

#[test]
fn shapes() {
    holds("06_procrustes", 10, &[]);
}

#[test]
fn noise_ceilings() {
    holds("07_noise_ceiling", 15, &[]);
}

#[test]
fn resampling() {
    holds("08_resampling", 19, &[]);
}

#[test]
fn depths_across_networks() {
    holds("09_pseudo_depth", 10, &[]);
}

#[test]
fn edges() {
    holds("10_edge", 17, &[]);
}

#[test]
fn areas_of_a_simulated_cortex() {
    holds("11_areas", 6, &[]);
}

/// A wrong number in a file is found, and only there.
#[test]
fn a_wrong_number_is_found() {
    for (name, array, index, change) in [
        ("02_comparators", "tau_b_tied", 1, 1e-9),
        ("04_cca", "svcca_var95_rho", 2, 1e-8),
        ("06_procrustes", "nbs", 0, 1e-8),
        ("07_noise_ceiling", "split_half_ssm", 3, 1e-4),
        ("08_resampling", "boot_pairs", 5, 1.0),
        ("09_pseudo_depth", "argmax", 4, 1.0),
        ("10_edge", "tie_rank_a", 0, 0.5),
    ] {
        let mut arrays = Arrays::read(&committed(name)).unwrap();
        arrays.numbers.get_mut(array).unwrap().values[index] += change;
        let got = Validation::of(&arrays, LAYOUTS, None).unwrap();
        let failed: Vec<_> = got.checks.iter().filter(|c| !c.pass).map(|c| &c.array).collect();
        assert_eq!(failed, [array], "{name}");
    }
}

/// Areas without the ladder that they are read against are refused, and so is an input that is none.
#[test]
fn inputs_that_are_missing_or_wrong_are_named() {
    let refused = |arrays: &Arrays| Validation::of(arrays, LAYOUTS, None).unwrap_err().line();
    let mut areas = Arrays::read(&committed("11_areas")).unwrap();
    areas.file = "elsewhere/11_areas.npz".to_owned();
    assert_eq!(
        refused(&areas),
        "elsewhere/11_areas.npz: array \"ladder_rsm_upper\": expected an array, got none"
    );
    let mut areas = Arrays::read(&committed("11_areas")).unwrap();
    areas.numbers.get_mut("boot_idx").unwrap().values[7] = 118.0;
    assert!(refused(&areas).contains("expected whole numbers from 0 to 117, got 118"));
    let mut digits = Arrays::read(&committed("03_ssm_digits")).unwrap();
    digits.numbers.get_mut("b").unwrap().values[7] = f64::NAN;
    assert!(refused(&digits).contains("array \"b\": expected finite numbers, got NaN"));
}
