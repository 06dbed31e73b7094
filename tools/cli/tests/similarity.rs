//! `hesse similarity` and `hesse validate similarity` from outside: values, files, bad input.

mod desk;

use std::path::Path;

use hesse::io::{Archive, Array};
use serde_json::Value;

use desk::Desk;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/similarity");

fn golden(file: &str, name: &str) -> Vec<f64> {
    Archive::read(Path::new(GOLDEN).join(file)).unwrap().get(name).unwrap().to_f64().unwrap()
}

fn close(got: &Value, want: f64, tolerance: f64) {
    let got = got.as_f64().unwrap_or(f64::NAN);
    assert!((got - want).abs() <= tolerance, "{got} {want}");
}

fn all_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= tolerance, "{got} {want}");
    }
}

#[test]
fn similarity_matrices() {
    let desk = Desk::new();
    let x = format!("{GOLDEN}/01_rsm_rdm.npz:x");
    let summary = desk.json(&format!("similarity rsm {x} --out pearson"));
    let want = golden("01_rsm_rdm.npz", "pearson_rsm");
    all_close(&desk.written("pearson/rsm.npz", "rsm_0"), &want, 1e-12);
    assert_eq!((&summary["stimuli"], &summary["matrices"][0]["units"]), (&12.into(), &30.into()));
    let off: Vec<f64> = (0..144).filter(|k| k / 12 < k % 12).map(|k: usize| want[k]).collect();
    close(&summary["matrices"][0]["mean"], off.iter().sum::<f64>() / 66.0, 1e-12);
    close(&summary["matrices"][0]["largest"], off.iter().copied().fold(-1.0, f64::max), 1e-12);
    desk.has("pearson", &["rsm.json", "rsm.npz", "rsm_0.svg"]);
    for (options, name) in [
        ("--kind cosine", "cosine_rsm"),
        ("--kind spearman", "spearman_rsm"),
        ("--floor 1e-7", "pearson_rsm_eps"),
    ] {
        desk.json(&format!("similarity rsm {x} {options} --out other"));
        all_close(&desk.written("other/rsm.npz", "rsm_0"), &golden("01_rsm_rdm.npz", name), 1e-12);
    }
    // Trials are averaged.
    let trials = format!("{GOLDEN}/07_noise_ceiling.npz:counts");
    let summary = desk.json(&format!("similarity rsm {trials} {trials} --out trials"));
    assert_eq!(summary["matrices"].as_array().unwrap().len(), 2);
    let mean = format!("{GOLDEN}/07_noise_ceiling.npz:trial_mean");
    desk.json(&format!("similarity rsm {mean} --out mean"));
    let (a, b) = (desk.written("trials/rsm.npz", "rsm_1"), desk.written("mean/rsm.npz", "rsm_0"));
    all_close(&a, &b, 1e-12);
    assert!(desk.printed(&format!("similarity rsm {mean}")).contains("118 stimuli"));
}

#[test]
fn scores_of_digits() {
    let desk = Desk::new();
    let of = |name: &str| format!("{GOLDEN}/03_ssm_digits.npz:{name}");
    let command = format!("similarity score {} {} {}", of("a"), of("b"), of("t"));
    let summary = desk.json(&format!("{command} --bootstrap 60 --permutations 99 --out scores"));
    let want = golden("03_ssm_digits.npz", "spearman_upper");
    for (score, want) in summary["scores"].as_array().unwrap().iter().zip(&want) {
        close(&score["score"], *want, 1e-12);
        let number = |name: &str| score[name].as_f64().unwrap();
        assert!(number("low") < *want && *want < number("high"), "{score}");
        assert!(number("standard_error") > 0.0 && number("null_high") < number("low"), "{score}");
        // Related layers: no permutation comes near.
        assert_eq!(number("p"), 0.01);
        assert!(number("z") > 5.0 && number("svcca_adjusted") < number("svcca"), "{score}");
    }
    assert!(summary.get("ceiling").is_none());
    desk.has("scores", &["score.json", "score.npz", "score.svg"]);
    all_close(&desk.written("scores/score.npz", "score"), &want[..2], 1e-12);
    assert_eq!(desk.written("scores/score.npz", "bootstrap").len(), 120);

    let full = "--region full --bootstrap 40 --permutations 9";
    let summary = desk.json(&format!("{command} {full}"));
    let want = golden("03_ssm_digits.npz", "spearman_full");
    for (score, want) in summary["scores"].as_array().unwrap().iter().zip(&want) {
        close(&score["score"], *want, 1e-12);
        let number = |name: &str| score[name].as_f64().unwrap();
        assert!(number("low") < *want && *want < number("high"), "{score}");
        assert!(score["z"].is_null() && number("svcca_p") == 0.1, "{score}");
    }
    assert_eq!(summary["region"], "full");
    // Whitened comparators have no samples of the stimuli.
    let whitened = "--comparator whitened-cosine --permutations 9 --out whitened";
    let summary = desk.json(&format!("{command} {whitened}"));
    for score in summary["scores"].as_array().unwrap() {
        assert!(score["score"].as_f64().unwrap() > 0.5 && score["low"].is_null(), "{score}");
        assert_eq!(score["p"], 0.1);
    }
    assert!(desk.written("whitened/score.npz", "low").iter().all(|low| low.is_nan()));
    let command = format!("{command} --region full --comparator bures");
    desk.refuses(&[(&command, "region of the comparison: not applicable")]);

    let of = |name: &str| format!("{GOLDEN}/08_resampling.npz:{name}");
    let command = format!("similarity score {} {}", of("a"), of("t"));
    let summary = desk.json(&format!("{command} --bootstrap 2 --permutations 1"));
    close(&summary["scores"][0]["z"], golden("08_resampling.npz", "mantel_z")[0], 1e-9);
    let of = |name: &str| format!("{GOLDEN}/05_cka.npz:{name}");
    let command = format!("similarity score {} {}", of("a"), of("t"));
    let summary =
        desk.json(&format!("{command} --comparator tau-b --bootstrap 2 --permutations 1"));
    let score = &summary["scores"][0];
    close(&score["cka_debiased"], golden("05_cka.npz", "cka_linear_debiased_digits")[0], 1e-10);
    assert!(score["z"].is_null());
    let of = |name: &str| format!("{GOLDEN}/04_cca.npz:{name}");
    let command = format!("similarity score {} {} --dimensions 10", of("x"), of("y"));
    let summary = desk.json(&format!("{command} --bootstrap 2 --permutations 1"));
    close(&summary["scores"][0]["svcca"], golden("04_cca.npz", "svcca_dim10")[0], 1e-10);
    assert_eq!(summary["scores"][0]["svcca_dimensions"], 10);
}

#[test]
fn depths_along_a_ladder() {
    let desk = Desk::new();
    let file = Archive::read(Path::new(GOLDEN).join("03_ssm_digits.npz")).unwrap();
    let layer = |name: &str| file.get(name).unwrap().clone();
    desk.arrays("ladder.npz", vec![("early", layer("a")), ("late", layer("b"))]);
    desk.arrays("areas.npz", vec![("other", layer("t")), ("same", layer("b"))]);
    let command = "similarity depth areas.npz --ladder ladder.npz --bootstrap 80 --seed 3";
    let summary = desk.json(&format!("{command} --threads 1 --out depth"));
    let [ab, at, bt] = golden("03_ssm_digits.npz", "spearman_upper")[..] else { panic!() };
    let areas = summary["populations"].as_array().unwrap();
    assert_eq!((&areas[0]["name"], &areas[1]["name"]), (&"other".into(), &"same".into()));
    close(&areas[0]["curve"][0], at, 1e-12);
    close(&areas[0]["curve"][1], bt, 1e-12);
    close(&areas[1]["curve"][0], ab, 1e-12);
    close(&areas[1]["curve"][1], 1.0, 1e-15);
    assert_eq!(areas[0]["argmax"], usize::from(bt > at));
    // A layer is like itself, whatever the images.
    assert_eq!((&areas[1]["argmax"], &areas[1]["normalised"]), (&1.into(), &1.0.into()));
    assert_eq!((&areas[1]["low"], &areas[1]["high"]), (&1.0.into(), &1.0.into()));
    assert_eq!(areas[1]["not_below_best"], serde_json::json!([1]));
    assert_eq!(summary["lower"][1], serde_json::json!([0.0, 0.0]));
    assert_eq!(summary["layers"][1]["name"], "late");
    desk.has("depth", &["depth.json", "depth.npz", "curves.svg", "depth.svg"]);
    let draws = desk.written("depth/depth.npz", "depth_draws");
    let lower = draws.chunks(2).filter(|d| d[0] < d[1]).count() as f64 / 80.0;
    close(&summary["lower"][0][1], lower, 0.0);
    // The same on any number of threads.
    assert_eq!(desk.json(&format!("{command} --threads 3")), summary);
    let text = desk.printed(&format!("{command} --refine parabolic"));
    assert!(text.contains("layers 0 to 1") && text.contains("lower than"), "{text}");
    let mass = desk.json(&format!("{command} --refine centre-of-mass"));
    close(&mass["populations"][1]["depth"], 1.0 / (1.0 + ab), 1e-12);
}

#[test]
fn ceilings_of_trials_and_subjects() {
    let desk = Desk::new();
    let counts = format!("{GOLDEN}/07_noise_ceiling.npz:counts");
    let summary = desk.json(&format!("similarity ceiling {counts} --splits 20 --out ceiling"));
    let found = &summary["populations"][0];
    assert_eq!((&found["trials"], &found["units"]), (&50.into(), &40.into()));
    // Other splits of the same trials.
    let sd = golden("07_noise_ceiling.npz", "split_half_sd")[0];
    let apart = 4.0 * sd * (2.0_f64 / 20.0).sqrt();
    let want = golden("07_noise_ceiling.npz", "split_half_mean")[0];
    close(&found["split_half"], want, apart);
    let r = found["split_half"].as_f64().unwrap();
    close(&found["reliability"], 2.0 * r / (1.0 + r), 1e-15);
    close(&found["noise_free_model"], (2.0 * r / (1.0 + r)).sqrt(), 1e-15);
    desk.has("ceiling", &["ceiling.json", "ceiling.npz", "halves_0.svg"]);
    assert_eq!(desk.written("ceiling/ceiling.npz", "units_0").len(), 40);
    assert!(summary.get("subjects").is_none());

    let of = |name: &str| format!("{GOLDEN}/03_ssm_digits.npz:{name}");
    let command = format!("similarity ceiling {} {} {}", of("a"), of("b"), of("t"));
    let summary = desk.json(&format!("{command} --comparator pearson"));
    let (lower, upper) = (&summary["subjects"]["lower"], &summary["subjects"]["upper"]);
    let (lower, upper) = (lower.as_f64().unwrap(), upper.as_f64().unwrap());
    let pearson = golden("03_ssm_digits.npz", "pearson_upper");
    // Of z-scores with correlations r: a sum of two has with the third (r + r')/√(2 + 2r'').
    let [ab, at, bt] = pearson[..] else { panic!() };
    let pair = |one: f64, two: f64, between: f64| (one + two) / (2.0 + 2.0 * between).sqrt();
    let want = (pair(ab, at, bt) + pair(ab, bt, at) + pair(at, bt, ab)) / 3.0;
    assert!((lower - want).abs() < 1e-12, "{lower} {want}");
    let all = (3.0 + 2.0 * (ab + at + bt)).sqrt();
    assert!((upper - all / 3.0).abs() < 1e-12, "{upper} {all}");
    // The trials of a population give its score a ceiling, too.
    let score = desk.json(&format!(
        "similarity score {counts} {GOLDEN}/07_noise_ceiling.npz:trial_mean --bootstrap 2 --splits 20"
    ));
    close(&score["ceiling"]["split_half"], want_halves(&desk, &counts), 1e-15);
    close(&score["scores"][0]["score"], 1.0, 1e-6);
}

fn want_halves(desk: &Desk, counts: &str) -> f64 {
    let summary = desk.json(&format!("similarity ceiling {counts} --splits 20"));
    summary["populations"][0]["split_half"].as_f64().unwrap()
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let desk = Desk::new();
    let wave = |n: usize, p: usize| -> Vec<f64> {
        (0..n * p).map(|k| ((k * k % 17) as f64).sin()).collect()
    };
    let array = |n, p| Array::new([n, p], wave(n, p)).unwrap();
    let mut silent = wave(6, 4);
    silent[8..12].fill(1.0);
    let mut wrong = wave(6, 4);
    wrong[5] = f64::NAN;
    desk.arrays(
        "x.npz",
        vec![
            ("x", array(6, 4)),
            ("other", array(5, 4)),
            ("silent", Array::new([6, 4], silent).unwrap()),
            ("wrong", Array::new([6, 4], wrong).unwrap()),
            ("flat", Array::new([24], wave(6, 4)).unwrap()),
            ("deep", Array::new([1, 2, 3, 4], wave(6, 4)).unwrap()),
            ("two", array(2, 4)),
            ("once", Array::new([1, 6, 4], wave(6, 4)).unwrap()),
        ],
    );
    desk.refuses(&[
        ("similarity rsm", "required arguments were not provided"),
        ("similarity rsm none.npy", "none.npy"),
        ("similarity rsm x.npz:none", "none"),
        (
            "similarity rsm x.npz:flat",
            "expected stimuli × units, or trials × stimuli × units, got 1",
        ),
        ("similarity rsm x.npz:deep", "got 4 axes"),
        ("similarity rsm x.npz:wrong", "NaN"),
        ("similarity rsm x.npz:silent", "x.npz:silent: variance of stimulus 2 over units"),
        ("similarity rsm x.npz:x --floor -1", "expected a positive number, got -1"),
        ("similarity rsm x.npz:x x.npz:other", "x.npz:other: stimuli: expected 6, as x.npz:x has"),
        ("similarity rsm x.npz:x --kind kendall", "invalid value 'kendall'"),
        ("similarity score x.npz:x", "required arguments were not provided"),
        ("similarity score x.npz:x x.npz:other", "got 5"),
        ("similarity score x.npz x.npz:x", "NaN"),
        ("similarity score x.npz:two x.npz:two", "3"),
        ("similarity score x.npz:x x.npz:x --confidence 1", "--confidence: expected more than 0"),
        ("similarity score x.npz:x x.npz:x --bootstrap 1", "--bootstrap: expected 2 to 1000000"),
        ("similarity score x.npz:x x.npz:x --permutations 0", "--permutations: expected 1 to"),
        ("similarity depth x.npz:x", "required arguments were not provided"),
        ("similarity depth x.npz:x --ladder x.npz:other", "stimuli: expected 6"),
        (
            "similarity depth x.npz:x --ladder x.npz:x --null nan",
            "--null: expected a finite number",
        ),
        (
            "similarity depth x.npz:x --ladder x.npz:x --refine centre-of-mass --null 2",
            "largest score of a curve",
        ),
        ("similarity ceiling x.npz:x", "expected trials × stimuli × units, or arrays of several"),
        ("similarity ceiling x.npz:once", "trials of stimulus 0: expected at least 2, got 1"),
        ("similarity ceiling x.npz:once --splits 0", "--splits: expected 2 to 1000000, got 0"),
    ]);
}

#[test]
fn reference_files_are_validated() {
    let desk = Desk::new();
    let validate = |files: &str| desk.run(&format!("validate similarity {files}"));
    let all: Vec<String> = std::fs::read_dir(GOLDEN)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.ends_with(".npz"))
        .collect();
    assert_eq!(all.len(), 12);
    let output = validate(&format!("{} --json --out checked", all.join(" ")));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 12);
    for line in text.lines() {
        let found: Value = serde_json::from_str(line).unwrap();
        assert_eq!(found["pass"], true, "{line}");
        assert!(!found["checks"].as_array().unwrap().is_empty());
    }
    assert_eq!(std::fs::read_to_string(desk.path("checked/validate.jsonl")).unwrap(), text);

    // A number that is off, and a file of which nothing can be compared.
    let mut off = Archive::new();
    for (name, array) in Archive::read(Path::new(GOLDEN).join("06_procrustes.npz")).unwrap().iter()
    {
        let mut values = array.to_f64().unwrap();
        if name == "angular" {
            values[0] += 1e-6;
        }
        off.insert(name, Array::new(array.shape().to_vec(), values).unwrap());
    }
    off.write(desk.path("off.npz")).unwrap();
    let output = validate("off.npz");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAIL: 1 of 10"), "{text}");
    desk.arrays("else.npz", vec![("x", Array::new([2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap())]);
    desk.refuses(&[
        ("validate similarity else.npz", "expected the arrays of one of these layouts: 01_rsm_rdm"),
        ("validate similarity else.npz --as 09_pseudo_depth", "ladder_rsm_upper"),
        ("validate similarity else.npz --as mlp", "--as: expected one of 01_rsm_rdm"),
    ]);
}
