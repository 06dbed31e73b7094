//! `hesse dimension` and `hesse validate dimension` from outside: values, files, bad input.

mod desk;

use std::path::Path;

use hesse::io::{Archive, Array};
use serde_json::Value;

use desk::Desk;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/dimension");

fn golden(file: &str, name: &str) -> Vec<f64> {
    Archive::read(Path::new(GOLDEN).join(file)).unwrap().get(name).unwrap().to_f64().unwrap()
}

fn close(got: &Value, want: f64, relative: f64) {
    let got = got.as_f64().unwrap_or(f64::NAN);
    assert!((got - want).abs() <= relative * want.abs(), "{got} {want}");
}

/// The line of an estimator whose setting holds these words.
fn line<'a>(summary: &'a Value, name: &str, setting: &str) -> &'a Value {
    let lines = summary["estimates"].as_array().unwrap();
    let found = lines
        .iter()
        .find(|l| l["estimator"] == name && l["setting"].as_str().unwrap().contains(setting));
    found.unwrap_or_else(|| panic!("no {name}, {setting} in {summary}"))
}

#[test]
fn estimates_of_a_reference_cloud() {
    let desk = Desk::new();
    let summary = desk.json(&format!("dimension estimate {GOLDEN}/clouds.npz:swiss --out swiss"));
    assert_eq!((&summary["points"], &summary["features"]), (&250.into(), &3.into()));
    let want = |name: &str| golden("estimators.npz", &format!("swiss__{name}"));
    close(&line(&summary, "two_nn", "0.9")["value"], want("twonn_linear_09")[0], 1e-9);
    close(&line(&summary, "mle", "20")["value"], want("mle20_mg")[0], 1e-9);
    close(&line(&summary, "mom", "20")["value"], want("mom20")[0], 1e-8);
    close(&line(&summary, "correlation_integral", "20")["value"], want("corrint_10_20")[0], 1e-8);
    let gride = (want("gride"), want("gride_err"));
    let scales = summary["scales"].as_array().unwrap();
    assert_eq!(scales.len(), gride.0.len());
    for (scale, (value, error)) in scales.iter().zip(gride.0.iter().zip(&gride.1)) {
        close(&scale["value"], *value, 1e-7);
        close(&scale["standard_error"], *error, 1e-7);
    }
    let graph = line(&summary, "geodesic", "10");
    close(&graph["value"], golden("geodesic_small.npz", "swiss__gc10_d_fit")[0], 1e-7);
    for (setting, name) in [
        ("", "naive"),
        ("few samples", "row"),
        ("sampled features", "col"),
        ("both", "both"),
        ("Gaussian", "gauss"),
    ] {
        let want = golden("spectral.npz", &format!("swiss__pr_{name}"))[0];
        close(&line(&summary, "participation ratio", setting)["value"], want, 1e-9);
    }
    desk.has(
        "swiss",
        &["estimate.json", "estimate.npz", "scales.svg", "spectrum.svg", "distances.svg"],
    );
    let arrays = Archive::read(desk.path("swiss/estimate.npz")).unwrap();
    let pointwise = arrays.get("pointwise").unwrap().to_f64().unwrap();
    for (got, want) in pointwise.iter().zip(want("mle20_pw")) {
        assert!((got - want).abs() < 1e-9 * want);
    }
    let counts = arrays.get("distance_counts").unwrap().to_f64().unwrap();
    assert_eq!(counts, golden("geodesic_small.npz", "swiss__gc10_counts"));

    // One estimator alone, and copies that are merged.
    let only = desk.json(&format!("dimension estimate {GOLDEN}/clouds.npz:dup --only mle --k 10"));
    assert_eq!((&only["points"], &only["distinct"]), (&90.into(), &60.into()));
    assert!(only["estimates"].as_array().unwrap().iter().all(|l| l["estimator"] != "two_nn"));
    assert!(only["scales"].as_array().unwrap().is_empty());
    let text = desk.run(&format!("dimension estimate {GOLDEN}/clouds.npz:line")).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("participation ratio") && text.contains("30 points"), "{text}");
}

#[test]
fn neighbours_of_a_reference_cloud() {
    let desk = Desk::new();
    let summary =
        desk.json(&format!("dimension neighbors {GOLDEN}/clouds.npz:twoclusters -k 10 --out near"));
    assert_eq!((&summary["k"], &summary["rows"]), (&10.into(), &80.into()));
    assert_eq!(summary["parts"], serde_json::json!([50, 30]));
    desk.has("near", &["neighbors.json", "neighbors.npz", "distances.svg"]);
    let arrays = Archive::read(desk.path("near/neighbors.npz")).unwrap();
    let indices = arrays.get("indices").unwrap();
    assert_eq!(indices.shape(), [80, 10]);
    assert_eq!(indices.to_f64().unwrap(), golden("knn.npz", "twoclusters_idx"));
    let queries = desk.json(&format!(
        "dimension neighbors {GOLDEN}/clouds.npz:sphere -k 1 --queries {GOLDEN}/clouds.npz:sphere"
    ));
    assert_eq!(queries["last"], serde_json::json!([0.0, 0.0, 0.0]));
    let text = desk.run(&format!("dimension neighbors {GOLDEN}/clouds.npz:grid -k 4")).stdout;
    assert!(String::from_utf8(text).unwrap().contains("36 points × 2: direct"));
}

#[test]
fn profiles_of_layers_and_of_a_network() {
    let desk = Desk::new();
    let layers: Vec<String> = (0..6).map(|l| format!("{GOLDEN}/layers.npz:trained_{l}")).collect();
    let summary = desk.json(&format!("dimension profile {} --out profile", layers.join(" ")));
    let want = golden("layers.npz", "profile_trained");
    for (l, layer) in summary["layers"].as_array().unwrap().iter().enumerate() {
        let row = &want[6 * l..6 * l + 6];
        for (c, name) in [
            "maximum_likelihood",
            "two_nn",
            "graph_distances",
            "participation_ratio",
            "participation_ratio_corrected",
        ]
        .iter()
        .enumerate()
        {
            close(&layer[name]["value"], row[c], 1e-8);
            if *name != "graph_distances" {
                assert!(layer[name]["standard_error"].as_f64().unwrap() > 0.0, "{layer}");
            }
        }
        assert_eq!(layer["distinct"], 200);
        close(&layer["gain"], row[3] / row[0], 1e-8);
    }
    desk.has("profile", &["profile.json", "profile.npz", "profile.svg"]);
    let last = format!("{GOLDEN}/layers.npz:trained_5");
    let labels = format!("{GOLDEN}/layers.npz:labels");
    let classes = desk.json(&format!("dimension profile {last} --labels {labels} --neighbors 5"));
    let class = &classes["classes"][0];
    assert_eq!(class["classes"], 10);
    // Ten classes that are kept apart span more than each of them does.
    let linear = |of: &Value| of["participation_ratio"]["value"].as_f64().unwrap();
    assert!(linear(class) < linear(&classes["layers"][0]), "{classes}");

    let network = "input = [3]\n\n[[layer]]\ntype = \"dense\"\noutputs = 8\nactivation = \"relu\"\n\n\
                   [[layer]]\ntype = \"dense\"\noutputs = 2\n";
    std::fs::write(desk.path("net.toml"), network).unwrap();
    let wave = |n: usize, step: f64| -> Vec<f64> {
        (0..n).map(|i| (step * (i * i + 1) as f64).sin()).collect()
    };
    let array =
        |shape: &[usize], step: f64| Array::new(shape, wave(shape.iter().product(), step)).unwrap();
    desk.arrays("data.npz", vec![("X", array(&[60, 3], 0.37)), ("Y", array(&[60, 2], 0.1))]);
    desk.arrays(
        "p.safetensors",
        vec![
            ("layer1.weight", array(&[8, 3], 0.3)),
            ("layer1.bias", array(&[8], 0.5)),
            ("layer2.weight", array(&[2, 8], 0.7)),
            ("layer2.bias", array(&[2], 0.9)),
        ],
    );
    let arguments = "dimension profile --network net.toml --parameters p.safetensors data.npz";
    let summary = desk.json(arguments);
    let layers = summary["layers"].as_array().unwrap();
    let names: Vec<_> = layers.iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["input", "layer1", "layer2"]);
    let units: Vec<_> = layers.iter().map(|l| l["features"].as_u64().unwrap()).collect();
    assert_eq!(units, [3, 8, 2]);
    let input = desk.json("dimension profile data.npz:X");
    assert_eq!(input["layers"][0]["two_nn"], layers[0]["two_nn"]);
    let text = String::from_utf8(desk.run(arguments).stdout).unwrap();
    assert!(text.contains("60 samples") && text.contains("layer2"), "{text}");

    desk.refuses(&[
        ("dimension profile data.npz", "data.npz: expected data.npz:NAME, one of: X, Y"),
        ("dimension profile none.npy", "none.npy"),
        ("dimension profile", "required arguments were not provided"),
        ("dimension profile data.npz:X --keep 0", "--keep: expected more than 0, at most 1, got 0"),
        ("dimension profile data.npz:X --neighbors 1", "--neighbors: expected 2 or more, got 1"),
        ("dimension profile data.npz:X --samples 61", "--samples: expected 1 to 60, got 61"),
        ("dimension profile data.npz:X --network net.toml", "--parameters"),
        (
            "dimension profile data.npz:Y --network net.toml --parameters p.safetensors",
            "features: expected 3, got 2",
        ),
    ]);
}

#[test]
fn the_theory_of_a_reference_task() {
    let desk = Desk::new();
    let want = |name: &str| golden("theory.npz", &format!("eff1__{name}"));
    let number = |name: &str| want(name)[0];
    let arguments = format!(
        "dimension theory {GOLDEN}/theory.npz --inputs eff1__X --targets eff1__Y --hidden 12 \
         --readout-noise {} --hidden-noise {}",
        number("sigma_V"),
        number("sigma_W")
    );
    let summary = desk.json(&format!("{arguments} --out theory"));
    close(&summary["threshold"], number("tau"), 1e-9);
    close(&summary["participation_ratio"], number("pr_hidden_opt"), 1e-9);
    for (name, reference) in [
        ("target_singular_values", "sing_target"),
        ("singular_values", "sing_opt"),
        ("hidden_eigenvalues", "hidden_eig_opt"),
    ] {
        let values = summary[name].as_array().unwrap();
        assert_eq!(values.len(), want(reference).len());
        values.iter().zip(want(reference)).for_each(|(got, want)| close(got, want, 1e-9));
    }
    desk.has("theory", &["theory.json", "theory.npz", "participation.svg"]);
    assert!(String::from_utf8(desk.run(&arguments).stdout).unwrap().contains("threshold τ = "));
    desk.refuses(&[
        (&format!("{arguments} --levels 1"), "--levels: expected 2 to 100000, got 1"),
        (
            &format!("dimension theory {GOLDEN}/theory.npz --inputs eff1__X --targets eff0__Y"),
            "samples: expected 60, got 40",
        ),
        (
            &format!(
                "dimension theory {GOLDEN}/theory.npz --inputs eff1__X --targets eff1__Y \
                 --readout-noise 0"
            ),
            "minimum under weight noise: not applicable",
        ),
        ("dimension theory none.npz", "none.npz"),
    ]);
}

#[test]
fn bad_points_are_refused() {
    let desk = Desk::new();
    let points = |values: Vec<f64>, shape: &[usize]| Array::new(shape, values).unwrap();
    desk.arrays(
        "points.npz",
        vec![
            ("hole", points(vec![0.0, f64::NAN, 1.0, 2.0], &[2, 2])),
            ("three", points(vec![0.0, 1.0, 3.0], &[3, 1])),
            ("none", points(vec![], &[0, 2])),
            ("same", points(vec![1.0; 80], &[40, 2])),
        ],
    );
    // Three points have no local dimension, and say so; on a line they have one linear one.
    let three = desk.json("dimension estimate points.npz:three");
    assert!(line(&three, "mle", "20")["value"].is_null());
    let reason = line(&three, "mle", "20")["reason"].as_str().unwrap();
    assert_eq!(reason, "neighbours of the table: expected 20 or more, got 2");
    close(&line(&three, "participation ratio", "")["value"], 1.0, 1e-12);
    desk.refuses(&[
        ("dimension estimate points.npz:hole", "expected finite numbers, got NaN at index 1"),
        ("dimension estimate points.npz:none", "points: expected at least one, got none"),
        ("dimension estimate points.npz:same", "neighbours k: expected other points"),
        ("dimension estimate points.npz:other", "other"),
        ("dimension estimate points.npz:three --only x", "estimator: expected one of two_nn"),
        ("dimension estimate points.npz:three --bins 1", "--bins: expected 4 to 1000000, got 1"),
        ("dimension neighbors points.npz:three -k 3", "neighbours k: expected 1 to 2"),
        (
            "dimension neighbors points.npz:same -k 1 --copies refuse",
            "rows of x: expected distinct ones, got 1 distinct ones of 40",
        ),
        ("dimension", "requires a subcommand"),
    ]);
}

/// Every committed reference file passes, a wrong number fails, and what nobody computes is named.
#[test]
fn reference_files() {
    let desk = Desk::new();
    for (file, layout, fewest) in [
        ("knn.npz", "knn", 20),
        ("spectral.npz", "spectral", 90),
        ("estimators.npz", "estimators", 190),
        ("dadapy.npz", "dadapy", 48),
        ("danco.npz", "danco", 8),
        ("geodesic_small.npz", "geodesic", 190),
        ("theory.npz", "theory", 40),
        ("layers.npz", "layers", 2),
    ] {
        let got = desk.json(&format!("validate dimension {GOLDEN}/{file}"));
        assert_eq!((&got["pass"], &got["layout"]), (&true.into(), &layout.into()), "{got}");
        assert!(got["checks"].as_array().unwrap().len() >= fewest, "{file}");
        assert_eq!(got["unknown"], serde_json::json!([]), "{file}");
    }
    // A file of another cloud, with its points inside, named as what it is.
    let x: Vec<f64> = (0..60).map(|i| (0.3 * f64::from(i * i)).sin()).collect();
    let spectrum =
        hesse::statistics::Spectrum::of(faer::MatRef::from_row_major_slice(&x, 20, 3)).unwrap();
    let values = spectrum.values().to_vec();
    let file = |name: &str, eig: Vec<f64>| {
        let points = Array::new([20, 3], x.clone()).unwrap();
        let rank = Array::from_scalar(spectrum.effective_rank());
        let extra = Array::from_scalar(1.0);
        desk.arrays(
            name,
            vec![
                ("mine", points),
                ("mine__eig", Array::from_vector(eig)),
                ("mine__effective_rank", rank),
                ("mine__other", extra),
            ],
        );
    };
    file("mine.npz", values.clone());
    let got = desk.json("validate dimension mine.npz --as spectral");
    assert_eq!(got["unknown"], serde_json::json!(["mine__other"]));
    let mut wrong = values;
    wrong[1] *= 1.0 + 1e-9;
    file("wrong.npz", wrong);
    let output = desk.run("validate dimension wrong.npz --as spectral");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("FAIL: 1 of 2 arrays compared"));
    // Nothing that this program computes.
    desk.arrays(
        "pending.npz",
        vec![
            ("mine", Array::new([20, 3], x.clone()).unwrap()),
            ("mine__lpca_mp", Array::from_scalar(2.0)),
        ],
    );
    assert_eq!(desk.run("validate dimension pending.npz --as spectral").status.code(), Some(1));
    desk.arrays("lost.npz", vec![("far__eig", Array::from_vector(vec![1.0]))]);
    desk.refuses(&[
        ("validate dimension lost.npz --as spectral", "expected it here or in clouds.npz beside"),
        ("validate dimension mine.npz", "expected the arrays of one of these layouts"),
    ]);
}
