//! Reference files of learning rules, checked by the code of `hesse validate`: those of this
//! repository.

use std::path::{Path, PathBuf};

use hesse_cli::validate::credit::LAYOUTS;
use hesse_cli::validate::{Arrays, Validation};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn committed(name: &str) -> PathBuf {
    Path::new(ROOT).join(format!("tests/golden/credit/{name}.npz"))
}

/// Every comparison passes, there are `compared` of them, no array is unknown, and just these are not
/// recomputed.
fn holds(name: &str, layout: &str, compared: usize, not_recomputed: &[&str]) {
    let arrays = Arrays::read(&committed(name)).unwrap();
    let got = Validation::of(&arrays, LAYOUTS, None).unwrap();
    assert!(got.pass, "{}", got.text());
    assert_eq!((got.layout, &got.unknown[..]), (layout, &[][..]), "{}", got.text());
    assert_eq!(got.not_recomputed, not_recomputed, "{}", got.text());
    assert_eq!(got.checks.len(), compared, "{}", got.text());
}

#[test]
fn rules_on_a_smooth_network() {
    holds("A_tanh_mse", "rules", 58, &[]);
}

#[test]
fn rules_in_the_regime_of_the_published_code() {
    holds("B_relu_ce_code", "rules", 56, &[]);
}

#[test]
fn rules_with_own_leaks_and_a_filtered_readout() {
    holds("C_relu_leaky_filtered", "rules", 54, &[]);
}

#[test]
fn rules_of_the_rate_leak() {
    holds("D_rate_leak_rflo", "rules", 28, &[]);
}

#[test]
fn spiking_units() {
    holds("E_alif_spiking", "spiking", 16, &[]);
}

#[test]
fn trainings() {
    holds("F_training_curves", "trainings", 42, &[]);
}

#[test]
fn minima() {
    holds("G_theorem_single", "theorem", 17, &[]);
    holds("G_theorem_multi", "theorem", 6, &[]);
}

#[test]
fn edges() {
    holds("H_edges", "edges", 20, &[]);
}

#[test]
fn rules_on_digits() {
    holds("I_seqdigits", "rules", 49, &[]);
}

#[test]
fn a_random_estimate() {
    holds("J_uoro", "uoro", 2, &["mc_mean_dW"]);
    // The stem of a file names its layout.
    for (name, layout) in [("J_uoro", "uoro"), ("E_alif_spiking", "spiking"), ("D", "rules")] {
        let file = if name == "D" { "D_rate_leak_rflo" } else { name };
        let arrays = Arrays::read(&committed(file)).unwrap();
        let named = Validation::of(&arrays, LAYOUTS, Some(name));
        assert_eq!(named.unwrap().layout, layout);
    }
}

/// The first seeds of each experiment; `hesse validate credit` has all.
#[test]
fn experiments() {
    let mut arrays = Arrays::read(&committed("K_experiments")).unwrap();
    for (name, numbers) in &mut arrays.numbers {
        let rows = match name.as_str() {
            // Over all of them.
            name if name.contains("spearman") => 0,
            name if name.starts_with("integration") => 2,
            name if name.starts_with("digits_matched") => 1,
            _ => 0,
        };
        numbers.shape[0] = rows;
        numbers.values.truncate(6 * rows);
    }
    arrays.numbers.retain(|_, numbers| !numbers.values.is_empty());
    let got = Validation::of(&arrays, LAYOUTS, Some("K_experiments")).unwrap();
    assert!(got.pass, "{}", got.text());
    assert_eq!(got.checks.len(), 10, "{}", got.text());
    assert!(got.unknown.is_empty() && got.not_recomputed.is_empty(), "{}", got.text());
    // Every row is compared.
    let left = got.checks.iter().filter_map(|check| check.detail.as_deref());
    assert!(left.into_iter().all(|detail| !detail.contains("left out")), "{}", got.text());
}

#[test]
fn a_wrong_output_fails_and_wrong_inputs_are_named() {
    let mut arrays = Arrays::read(&committed("J_uoro")).unwrap();
    arrays.numbers.get_mut("uoro_dW").unwrap().values[3] += 1e-6;
    let got = Validation::of(&arrays, LAYOUTS, None).unwrap();
    let failed: Vec<_> = got.checks.iter().filter(|c| !c.pass).map(|c| c.array.as_str()).collect();
    assert_eq!((got.pass, failed), (false, vec!["uoro_dW"]));
    let line = |arrays: &Arrays| Validation::of(arrays, LAYOUTS, None).unwrap_err().line();
    arrays.texts.insert("cfg_act".to_owned(), vec!["sine".to_owned()]);
    let text = "array \"cfg_act\": expected one of tanh, relu, identity, softplus, got \"sine\"";
    assert!(line(&arrays).ends_with(text), "{}", line(&arrays));
    arrays.texts.insert("cfg_act".to_owned(), vec!["tanh".to_owned()]);
    arrays.numbers.get_mut("W").unwrap().values.pop();
    let text = "expected 68 parameters, got 67";
    assert!(line(&arrays).ends_with(text), "{}", line(&arrays));
}
