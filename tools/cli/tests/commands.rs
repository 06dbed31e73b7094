//! `hesse train`, `hesse spectrum` and `hesse validate` from outside: results, exit codes, and bad
//! input, which ends in one line and no file.

mod desk;

use std::path::Path;

use hesse::io::{Archive, Array};
use serde_json::Value;

use desk::Desk;

const NETWORK: &str = "input = [3]\n\n[[layer]]\ntype = \"dense\"\noutputs = 4\nactivation = \"tanh\"\n\n\
                       [[layer]]\ntype = \"dense\"\noutputs = 2\n";
/// 3·4 + 4 + 4·2 + 2.
const PARAMETERS: usize = 26;
const SAMPLES: usize = 24;

/// A folder with a small network, samples and parameters that fit each other.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.text("net.toml", NETWORK);
    desk.arrays("data.npz", vec![("X", inputs()), ("labels", labels())]);
    desk.arrays("parameters.safetensors", parameters(0.1));
    desk
}

fn wave(n: usize, step: f64) -> Vec<f64> {
    (0..n).map(|i| (step * (i * i + 1) as f64).sin()).collect()
}

fn inputs() -> Array {
    Array::new([SAMPLES, 3], wave(3 * SAMPLES, 0.37)).unwrap()
}

/// Class 1 where the first input is positive.
fn labels() -> Array {
    let x = wave(3 * SAMPLES, 0.37);
    Array::new([SAMPLES], x.chunks(3).map(|x| u8::from(x[0] > 0.0)).collect()).unwrap()
}

fn parameters(size: f64) -> Vec<(&'static str, Array)> {
    let array = |shape: &[usize], step: f64| {
        let values = wave(shape.iter().product(), step).iter().map(|x| size * x).collect();
        Array::new(shape, values).unwrap()
    };
    vec![
        ("layer1.weight", array(&[4, 3], 0.3)),
        ("layer1.bias", array(&[4], 0.5)),
        ("layer2.weight", array(&[2, 4], 0.7)),
        ("layer2.bias", array(&[2], 0.9)),
    ]
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn training_learns_and_its_files_can_be_used() {
    let desk = desk();
    let trained = desk.json(
        "train net.toml data.npz --optimizer adam --learning-rate 0.05 --batch 8 --epochs 100 \
         --seed 3 --out run",
    );
    assert_eq!(trained["steps"], 300);
    assert_eq!(trained["status"], "step limit");
    assert_eq!(trained["parameters"], PARAMETERS);
    assert_eq!(trained["accuracy"], 1.0);
    assert!(float(&trained["loss"]) < 0.1, "{trained}");
    for name in ["parameters.safetensors", "curve.npz", "loss.svg", "train.json"] {
        assert!(desk.path("run").join(name).is_file(), "{name}");
    }
    let curve = Archive::read(desk.path("run/curve.npz")).unwrap();
    assert_eq!(curve.get("step").unwrap().len(), 300);

    let spectrum = desk.json(
        "spectrum net.toml run/parameters.safetensors data.npz --top 26 --trace exact \
         --density 10:4 --out spec",
    );
    assert!((float(&spectrum["loss"]) / float(&trained["loss"]) - 1.0).abs() < 1e-12);
    let values: Vec<f64> =
        spectrum["eigenvalues"]["values"].as_array().unwrap().iter().map(float).collect();
    assert_eq!(values.len(), PARAMETERS);
    assert!(values.windows(2).all(|w| w[0] >= w[1]));
    // All eigenvalues add up to the trace.
    let (sum, trace) = (values.iter().sum::<f64>(), float(&spectrum["trace"]["value"]));
    assert!((sum - trace).abs() < 1e-9 * values[0], "{sum} {trace}");
    assert_eq!(spectrum["trace"]["status"], "exact");
    let files =
        ["spectrum.json", "eigenpairs.npz", "density.npz", "eigenvalues.svg", "density.svg"];
    for name in files {
        assert!(desk.path("spec").join(name).is_file(), "{name}");
    }
    let density = Archive::read(desk.path("spec/density.npz")).unwrap();
    assert_eq!(density.get("nodes").unwrap().shape(), [4, 10]);
}

#[test]
fn training_resumes_to_the_same_bits() {
    let desk = desk();
    let command = "train net.toml data.npz --optimizer sgd --momentum 0.9 --learning-rate 0.1 \
                   --batch 5 --seed 2";
    desk.json(&format!("{command} --steps 60 --out whole"));
    desk.json(&format!("{command} --steps 25 --checkpoint c.npz --every 10 --out first"));
    let resumed = format!("{command} --steps 60 --checkpoint c.npz --resume --out second");
    assert_eq!(desk.json(&resumed)["steps"], 60);
    let bytes = |run: &str| std::fs::read(desk.path(run).join("parameters.safetensors")).unwrap();
    assert_eq!(bytes("whole"), bytes("second"));
    assert_ne!(bytes("whole"), bytes("first"));
    let other =
        desk.refused(&resumed.replace("--batch 5", "--batch 6").replace("--out second", ""));
    assert!(other.contains("checkpoint"), "{other}");
}

#[test]
fn statuses_are_told() {
    let desk = desk();
    let run = "train net.toml data.npz --learning-rate 0.5 --steps 100000";
    assert_eq!(desk.json(&format!("{run} --target-loss 0.3"))["status"], "target loss");
    // One product cannot do; that is a status, and no failure.
    let few = "spectrum net.toml parameters.safetensors data.npz --top 3 --max-products 4";
    assert_eq!(desk.json(few)["eigenvalues"]["status"], "iteration limit");
    let none = desk.json("spectrum net.toml parameters.safetensors data.npz --top 0");
    assert_eq!(none.get("eigenvalues"), None);
    // Squared error with a learning rate far beyond 2/λ diverges: exit code 1.
    let wild = "train net.toml data.npz --loss half-squared-error --learning-rate 1e8 --steps 500";
    let output = desk.run(&format!("{wild} --json"));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &printed["status"]), (Some(1), &"diverged".into()));
}

#[test]
fn matrices_and_precisions_agree_where_they_must() {
    let desk = desk();
    let command = "spectrum net.toml parameters.safetensors data.npz --top 4 --both-ends \
                   --trace xtrace:12";
    let double = desk.json(command);
    let single = desk.json(&format!("{command} --dtype f32"));
    let value = |v: &Value, i: usize| float(&v["eigenvalues"]["values"][i]);
    let top = value(&double, 0);
    for i in 0..4 {
        assert!((value(&double, i) - value(&single, i)).abs() < 1e-4 * top, "{double} {single}");
    }
    assert!(value(&double, 3) < 0.0, "{double}");
    let positive = desk.json(&format!("{command} --matrix gauss-newton"));
    assert!(value(&positive, 3) > -1e-12 * top, "{positive}");
    // What is not kept is computed again, to the same bits.
    let poor = desk.json(&format!("{command} --memory 0"));
    assert_eq!(poor["memory"]["kept_shards"], 0);
    assert_eq!(poor["eigenvalues"]["values"], double["eigenvalues"]["values"]);
    let one = desk.json(&format!("{command} --threads 1"));
    let two = desk.json(&format!("{command} --threads 3"));
    assert_eq!(one, two);
}

#[test]
fn flatness_is_that_of_its_parts() {
    let desk = desk();
    let command = "flatness net.toml parameters.safetensors data.npz --loss half-squared-error";
    let got = desk.json(&format!(
        "{command} --learning-rate 0.1 --batch 8 --probes 40 --log-volume top:1 --out flat"
    ));
    // S is the trace of the Gauss-Newton matrix of half the squared error.
    let spectrum = desk.json(
        "spectrum net.toml parameters.safetensors data.npz --loss half-squared-error --top 1 \
         --matrix gauss-newton --trace exact",
    );
    let (s, trace) = (float(&got["trace"]), float(&spectrum["trace"]["value"]));
    assert!((s - trace).abs() < 1e-12 * trace, "{s} {trace}");
    let hessian = desk.json(&format!("{command} --learning-rate 0.1"));
    assert_eq!(hessian["stability"]["sharpness_limit"], 20.0);
    assert_eq!(hessian["stability"]["batch"], SAMPLES);
    assert_eq!(got["layers"].as_array().unwrap().len(), 2);
    for bound in got["bounds"].as_array().unwrap() {
        assert_ne!(bound["holds"], false, "{bound}");
    }
    for name in
        ["flatness.json", "flatness.npz", "bounds.svg", "singular_values.svg", "samples.svg"]
    {
        assert!(desk.path("flat").join(name).is_file(), "{name}");
    }
    let arrays = Archive::read(desk.path("flat/flatness.npz")).unwrap();
    assert_eq!(arrays.get("singular_values").unwrap().shape(), [SAMPLES, 2]);
    let squares = arrays.get("S").unwrap().to_f64().unwrap();
    let mean = squares.iter().sum::<f64>() / SAMPLES as f64;
    assert!((mean - s).abs() < 1e-12 * s);
    let single = desk.json(&format!("{command} --dtype f32"));
    assert!((float(&single["mls"]) - float(&got["mls"])).abs() < 1e-5 * float(&got["mls"]));
    let text = String::from_utf8(desk.run(command).stdout).unwrap();
    assert!(text.contains("sharpness S") && text.contains("layer2"), "{text}");
    assert_eq!(
        desk.json(&format!("{command} --threads 1")),
        desk.json(&format!("{command} --threads 3"))
    );
}

/// With many outputs only the largest singular values are computed, unless all are asked for.
#[test]
fn many_outputs_have_the_measures_that_need_the_largest_singular_values() {
    let desk = desk();
    desk.text("wide.toml", "input = [3]\n[[layer]]\ntype = \"dense\"\noutputs = 70\n");
    let weight = Array::new([70, 3], wave(210, 0.3)).unwrap();
    let bias = Array::from_vector(wave(70, 0.2));
    desk.arrays("wide.safetensors", vec![("layer1.weight", weight), ("layer1.bias", bias)]);
    let command = "flatness wide.toml wide.safetensors data.npz";
    let got = desk.json(&format!("{command} --out wide"));
    assert!(float(&got["mls"]) > 0.0 && got["log_volume"].is_null() && got["log_nvr"].is_null());
    let text = String::from_utf8(desk.run(command).stdout).unwrap();
    assert!(text.contains("needs --singular-values all"), "{text}");
    let all = desk.json(&format!("{command} --singular-values all"));
    assert!((float(&all["mls"]) - float(&got["mls"])).abs() < 1e-9 * float(&all["mls"]));
    assert!(all["log_volume"].is_number() && all["local_dimension"].is_number());
}

/// A zero input makes bounds infinite; that is no error.
#[test]
fn zero_inputs_are_listed() {
    let desk = desk();
    let mut values = wave(3 * SAMPLES, 0.37);
    values[3..6].fill(0.0);
    let x = Array::new([SAMPLES, 3], values).unwrap();
    desk.arrays("zero.npz", vec![("X", x), ("labels", labels())]);
    let command = "flatness net.toml parameters.safetensors zero.npz";
    let got = desk.json(command);
    assert_eq!(got["zero_inputs"], serde_json::json!([[0, 1]]));
    // JSON knows no infinity.
    assert_eq!(got["bounds"][0]["slack"], Value::Null);
    assert_eq!(got["bounds"][0]["holds"], true);
    let code = desk.json(&format!("{command} --epsilon 1e-4"));
    assert!(code["bounds"][0]["slack"].is_number());
    assert_eq!(code["bounds"][0]["theorem"], false);
}

#[test]
fn bad_samples_are_refused() {
    let desk = desk();
    let with = |name: &str, x: Array, y: Array| {
        desk.arrays(name, vec![("X", x), ("labels", y)]);
    };
    let mut values = wave(3 * SAMPLES, 0.37);
    values[7] = f64::NAN;
    with("nan.npz", Array::new([SAMPLES, 3], values.clone()).unwrap(), labels());
    values[7] = f64::INFINITY;
    with("inf.npz", Array::new([SAMPLES, 3], values).unwrap(), labels());
    let empty = || Array::new([0, 3], Vec::<f64>::new()).unwrap();
    with("empty.npz", empty(), Array::new([0], Vec::<u8>::new()).unwrap());
    with("wide.npz", Array::new([SAMPLES, 4], wave(4 * SAMPLES, 0.1)).unwrap(), labels());
    with("none.npz", Array::new([SAMPLES, 0], Vec::<f64>::new()).unwrap(), labels());
    with("short.npz", inputs(), Array::new([3], vec![0_u8, 1, 0]).unwrap());
    with("class.npz", inputs(), Array::new([SAMPLES], vec![2_u8; SAMPLES]).unwrap());
    with("half.npz", inputs(), Array::new([SAMPLES], vec![0.5; SAMPLES]).unwrap());
    with("minus.npz", inputs(), Array::new([SAMPLES], vec![-1_i64; SAMPLES]).unwrap());
    with("scalar.npz", Array::from_scalar(1.0), labels());
    with("rows.npz", inputs(), Array::new([SAMPLES, 2], vec![0.7; 2 * SAMPLES]).unwrap());
    desk.arrays("lonely.npz", vec![("X", inputs()), ("Z", labels())]);
    desk.text("text.npz", "not a zip archive");
    let good = std::fs::read(desk.path("data.npz")).unwrap();
    std::fs::write(desk.path("cut.npz"), &good[..good.len() / 2]).unwrap();
    for (file, message) in [
        ("nan.npz", "nan.npz: array \"X\": expected finite numbers, got NaN at index 7"),
        ("inf.npz", "inf.npz: array \"X\": expected finite numbers, got inf at index 7"),
        ("empty.npz", "empty.npz: array \"X\": samples: expected at least one, got none"),
        ("none.npz", "none.npz: array \"X\": features: expected at least one, got none"),
        ("wide.npz", "inputs: features: expected 3, got 4"),
        ("short.npz", "short.npz: array \"labels\": samples: expected 24, got 3"),
        ("class.npz", "target of sample 0: expected a class below 2, got 2"),
        ("half.npz", "half.npz: array \"labels\": expected integers"),
        ("minus.npz", "minus.npz: array \"labels\": expected integers"),
        ("scalar.npz", "scalar.npz: array \"X\": expected samples along a first axis"),
        ("rows.npz", "target of sample 0: expected probabilities that sum to 1"),
        ("lonely.npz", "array \"Y\": not there, the arrays are \"X\", \"Z\""),
        ("text.npz", "text.npz: expected a sound zip archive"),
        ("cut.npz", "cut.npz: expected a sound zip archive"),
        ("missing.npz", "missing.npz: "),
        ("data.txt", "data.txt: expected a name that ends in .npz or .safetensors"),
        ("data.npz --inputs W", "array \"W\": not there, the arrays are \"X\", \"labels\""),
        ("data.npz --targets T", "array \"T\": not there"),
        ("data.npz --samples 0", "--samples: expected 1 to 24, got 0"),
        ("data.npz --samples 25", "--samples: expected 1 to 24, got 25"),
        ("data.npz --scale 0", "--scale: expected a finite number but 0, got 0"),
        ("data.npz --scale nan", "--scale: expected"),
        ("data.npz --scale 1e-320", "inputs: expected finite numbers"),
    ] {
        for command in [
            "train net.toml",
            "spectrum net.toml parameters.safetensors",
            "flatness net.toml parameters.safetensors",
        ] {
            desk.refuses(&[(&format!("{command} {file}"), message)]);
        }
    }
}

#[test]
fn bad_networks_and_parameters_are_refused() {
    let desk = desk();
    desk.text("zero.toml", "input = [3]\nlayer = []\n");
    desk.text("width.toml", &NETWORK.replace("outputs = 4", "outputs = 0"));
    desk.text("activation.toml", &NETWORK.replace("tanh", "tanch"));
    desk.text("key.toml", &NETWORK.replace("activation", "activaton"));
    desk.text("huge.toml", &NETWORK.replace("outputs = 4", "outputs = 9000000000000000000"));
    desk.text("type.toml", &NETWORK.replace("outputs = 4", "outputs = \"four\""));
    std::fs::write(desk.path("bytes.toml"), [0xff, 0xfe, 0x00]).unwrap();
    for (file, message) in [
        ("zero.toml", "zero.toml: network: layers: expected at least one, got none"),
        ("width.toml", "width.toml: dense layer: outputs: expected a positive number, got 0"),
        ("activation.toml", "activation: expected one of identity, tanh"),
        ("key.toml", "unknown field `activaton`"),
        ("huge.toml", "expected at most 2147483648, got far more"),
        ("type.toml", "type.toml: line "),
        ("bytes.toml", "bytes.toml: "),
        ("missing.toml", "missing.toml: "),
        (".", "expected a regular file"),
    ] {
        desk.refuses(&[
            (&format!("train {file} data.npz"), message),
            (&format!("spectrum {file} parameters.safetensors data.npz"), message),
            (&format!("flatness {file} parameters.safetensors data.npz"), message),
        ]);
    }

    desk.arrays("nan.safetensors", parameters(f64::NAN));
    desk.arrays("inf.safetensors", parameters(f64::INFINITY));
    desk.arrays("fewer.safetensors", parameters(0.1).split_off(1));
    let mut more = parameters(0.1);
    more.push(("layer3.bias", Array::from_vector(vec![1.0])));
    desk.arrays("more.safetensors", more);
    let mut turned = parameters(0.1);
    turned[0].1 = Array::new([3, 4], wave(12, 0.1)).unwrap();
    desk.arrays("turned.safetensors", turned);
    let good = std::fs::read(desk.path("parameters.safetensors")).unwrap();
    std::fs::write(desk.path("cut.safetensors"), &good[..good.len() - 9]).unwrap();
    let mut hostile = good;
    hostile[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(desk.path("hostile.safetensors"), hostile).unwrap();
    for (file, message) in [
        ("nan.safetensors", "layer1.weight: expected finite numbers, got NaN"),
        ("inf.safetensors", "layer1.weight: expected finite numbers, got "),
        ("fewer.safetensors", "array \"layer1.weight\": not there"),
        ("more.safetensors", "layer3.bias"),
        ("turned.safetensors", "layer1.weight: expected [4, 3], got [3, 4]"),
        ("cut.safetensors", "cut.safetensors"),
        ("hostile.safetensors", "hostile.safetensors"),
        ("missing.safetensors", "missing.safetensors"),
    ] {
        desk.refuses(&[
            (&format!("spectrum net.toml {file} data.npz"), message),
            (&format!("flatness net.toml {file} data.npz"), message),
            (&format!("train net.toml data.npz --parameters {file}"), message),
        ]);
    }
}

#[test]
fn bad_options_are_refused() {
    let desk = desk();
    let spectrum =
        |options: &str| format!("spectrum net.toml parameters.safetensors data.npz {options}");
    for (options, message) in [
        ("--top 27", "--top: expected at most 26, got 27"),
        ("--block 0", "block: expected 1 to 26, got 0"),
        ("--block 27", "block: expected 1 to 26, got 27"),
        ("--max-products 0", "max_products: expected at least 1, got 0"),
        ("--tolerance 0", "tolerance: expected a positive finite number, got 0"),
        ("--tolerance nan", "tolerance: expected a positive finite number, got NaN"),
        ("--trace hutch", "expected METHOD or METHOD:M"),
        ("--trace xtrace:3", "products: expected a positive even number, got 3"),
        ("--trace hutchpp:0", "products: expected a positive multiple of 3, got 0"),
        ("--trace hutchinson:-1", "expected METHOD or METHOD:M"),
        ("--density 30", "expected STEPS:PROBES"),
        ("--density 27:2", "steps: expected 1 to 26, got 27"),
        ("--density 5:0", "probes: expected at least 1, got 0"),
        ("--memory -1", "--memory: expected at least 0, got -1"),
        ("--matrix jacobian", "invalid value 'jacobian'"),
    ] {
        // Some are found when the matrix is there, after the network was described.
        let (line, _) = desk.refused_late(&spectrum(options));
        assert!(line.contains(message), "{options}:\n{line}\nexpected {message}");
    }
    for (options, message) in [
        ("--log-volume top:0", "log volume: k: expected 1 to 2, got 0"),
        ("--log-volume top:3", "log volume: k: expected 1 to 2, got 3"),
        ("--log-volume some", "expected all, top:K or pseudo"),
        ("--conv-bound none", "invalid value 'none'"),
        ("--epsilon -1", "epsilon: expected a finite number, not negative, got -1"),
        ("--epsilon inf", "epsilon: expected a finite number, not negative, got inf"),
        ("--probes 0", "probes: expected at least 1, got 0"),
        ("--learning-rate 0", "learning rate: expected a positive finite number, got 0"),
        ("--learning-rate nan", "learning rate: expected a positive finite number, got NaN"),
        ("--learning-rate 1 --batch 25", "batch: expected 1 to 24, got 25"),
        ("--learning-rate 1 --batch 0", "batch: expected 1 to 24, got 0"),
        ("--batch 3", "--learning-rate"),
    ] {
        let command = format!("flatness net.toml parameters.safetensors data.npz {options}");
        desk.refuses(&[(&command, message)]);
    }
    for (options, message) in [
        ("--batch 0", "batch size: expected 1 to 24, got 0"),
        ("--batch 25", "batch size: expected 1 to 24, got 25"),
        ("--learning-rate nan", "learning rate: expected"),
        ("--learning-rate -1", "learning rate: expected"),
        ("--momentum 1", "expected"),
        ("--momentum 0.5 --optimizer adam", "--momentum: expected --optimizer sgd"),
        ("--steps 5 --epochs 2", "cannot be used with"),
        ("--epochs 18446744073709551615 --batch 1", "--epochs: expected at most"),
        ("--resume", "--checkpoint"),
        ("--resume --checkpoint missing.npz", "missing.npz: "),
        ("--resume --checkpoint data.npz", "data.npz: array \"settings\": not there"),
        ("--checkpoint no/such/c.npz", "no/such: "),
        ("--checkpoint c.txt", "c.txt: expected a name that ends in"),
        ("--target-loss nan", "--target-loss: expected a number"),
    ] {
        desk.refuses(&[(&format!("train net.toml data.npz {options}"), message)]);
    }
    desk.text("file", "");
    for out in ["file", "file/out", "/proc/nothing"] {
        let output = desk.run(&format!("train net.toml data.npz --steps 1 --out {out}"));
        assert_eq!(output.status.code(), Some(2), "{out}");
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.starts_with("hesse: ") && line.lines().count() == 1, "{line}");
    }
}

#[test]
fn validation_tells_what_it_did_not_compare() {
    let desk = desk();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/flatness");
    let file = golden.join("mlp_tanh_ce.npz");
    let output = desk.run(&format!("validate flatness {} --as mlp_tanh_ce", file.display()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("pass: 58 arrays compared"), "{text}");

    let mut archive = Archive::read(&file).unwrap();
    archive.insert("extra", Array::from_scalar(1.0));
    archive.write(desk.path("extra.npz")).unwrap();
    assert_eq!(desk.json("validate flatness extra.npz")["unknown"], serde_json::json!(["extra"]));
    archive.insert("loss", Array::from_vector(vec![1.0]));
    archive.write(desk.path("wrong.npz")).unwrap();
    let output = desk.run("validate flatness wrong.npz");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAIL: 1 of 58"), "{text}");

    archive.insert("sizes", Array::from_vector(vec![6_i64, 1 << 23, 1 << 23, 4]));
    archive.write(desk.path("sizes.npz")).unwrap();
    archive.insert("sizes", Array::from_vector(vec![6_i64, 8, 4]));
    archive.insert("act_code", Array::from_vector(vec![6_i64]));
    archive.write(desk.path("code.npz")).unwrap();
    desk.refuses(&[
        ("validate flatness data.npz", "data.npz: expected the arrays of one of these layouts"),
        ("validate flatness data.npz --as mlp_x", "data.npz: array \"sizes\": expected an array"),
        ("validate flatness data.npz --as other", "--as: expected one of mlp"),
        ("validate flatness sizes.npz", "sizes.npz: array \"theta\": expected"),
        ("validate flatness code.npz", "array \"act_code\": expected whole numbers from 0 to 5"),
        ("validate flatness missing.npz", "missing.npz: "),
        ("validate flatness", "required arguments were not provided"),
        ("validate sampling x.npz", "unrecognized subcommand"),
    ]);
}
