//! `hesse credit` and `hesse validate credit` from outside: values, files, bad input.

mod desk;

use hesse::io::{Archive, Array};
use serde_json::Value;

use desk::Desk;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/credit");

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn a_training_learns_and_its_files_can_be_used() {
    let desk = Desk::new();
    let of = "credit train integration --units 16 --rule three-factor --learning-rate 0.2 \
              --target-loss 0.2 --test 200 --every 20 --seed 2";
    let got = desk.json(&format!("{of} --out run"));
    assert_eq!((&got["stop"], &got["rule"]), (&"target loss".into(), &"three-factor".into()));
    assert!(float(&got["train_loss"]) <= 0.2 && float(&got["train_accuracy"]) > 0.9, "{got}");
    let gap = float(&got["test_loss"]) - float(&got["train_loss"]);
    assert!((float(&got["loss_gap"]) - gap).abs() < 1e-15);
    let edge = 0.1 * float(&got["largest_eigenvalue"]);
    assert!((float(&got["edge"]) - edge).abs() < 1e-12 * edge);
    let looks = got["checkpoints"].as_array().unwrap();
    assert!(looks.len() > 1 && looks[1]["step"] == 20);
    desk.has(
        "run",
        &["train.json", "network.toml", "parameters.safetensors", "curve.npz", "loss.svg"],
    );
    desk.has("run", &["alignment.svg", "edge.svg", "gap.svg"]);
    let losses = desk.written("run/curve.npz", "losses");
    assert_eq!(losses.len() as u64, got["steps"].as_u64().unwrap() + 1);
    // The same eigenvalue at the same place, by another command.
    let there = desk.json(
        "credit curvature integration --units 16 --parameters run/parameters.safetensors \
         --learning-rate 0.2 --rules bptt,three-factor,bptt@0.5,bptt@three-factor,mdgl --out there",
    );
    let (a, b) = (float(&there["largest_eigenvalue"]), float(&got["largest_eigenvalue"]));
    assert!((a - b).abs() < 1e-5 * b, "{a} {b}");
    assert_eq!(there["converged"], true);
    let rules = there["rules"].as_array().unwrap();
    let rho = |i: usize| float(&rules[i]["rho"]);
    assert!((rho(0) - 1.0).abs() < 1e-12 && (rho(2) - 0.5).abs() < 1e-12);
    // Matched over W, U and b: the step along the gradient of W alone is that factor.
    assert!((float(&rules[3]["cosine"]) - 1.0).abs() < 1e-12 && rho(3) > 0.0 && rho(3) < 1.0);
    assert!(float(&rules[1]["cosine"]) < float(&rules[4]["cosine"]));
    let limit = float(&rules[0]["largest_rate"]);
    assert!((limit - 2.0 / a).abs() < 1e-9 * limit);
    desk.has("there", &["curvature.json", "curvature.npz", "alignment.svg"]);
    // The network and the parameters are files of the whole program.
    let trials = hesse::temporal_tasks::Integration::default().draw(64, 0).unwrap();
    let hesse::temporal_tasks::Answer::ClassAtEnd(classes) = &trials.answer else { panic!() };
    let labels = classes.iter().map(|&class| class as u8).collect();
    desk.arrays(
        "data.npz",
        vec![
            ("X", Array::new([64, 15, 2], trials.inputs).unwrap()),
            ("labels", Array::new([64], labels).unwrap()),
        ],
    );
    let spectrum = desk.json(
        "spectrum run/network.toml run/parameters.safetensors data.npz --top 1 --tolerance 1e-6",
    );
    assert_eq!(spectrum["parameters"], got["parameters"]);
    assert!((float(&spectrum["loss"]) - float(&got["train_loss"])).abs() < 1e-9);
    let text = desk.printed(of);
    assert!(text.contains("three-factor: target loss") && text.contains("λ₁ η/2"), "{text}");
}

#[test]
fn rules_are_compared_and_a_comparison_goes_on() {
    let desk = Desk::new();
    let of = "credit compare integration --units 8 --trials 32 --test 50 --steps 30 --seeds 1..2 \
              --learning-rate 0.1,0.2 --rules bptt,eprop-adaptive,bptt@three-factor";
    let got = desk.json(&format!("{of} --out all --threads 2"));
    let runs = got["runs"].as_array().unwrap();
    assert_eq!((runs.len(), got["groups"].as_array().unwrap().len()), (12, 6));
    assert_eq!(runs[3]["name"], "bptt-rate0.2-seed2");
    let mean = 0.5 * (float(&runs[2]["train_loss"]) + float(&runs[3]["train_loss"]));
    assert!((float(&got["groups"][1]["train_loss"]["mean"]) - mean).abs() < 1e-15);
    desk.has("all", &["compare.json", "compare.npz", "loss.svg", "alignment.svg", "edge.svg"]);
    desk.has("all", &["gap.svg", "curvature.svg", "runs/options.json"]);
    let file = "all/runs/eprop-adaptive-rate0.1-seed2.npz";
    let before = std::fs::read(desk.path(file)).unwrap();
    let line = desk_line(&desk, &format!("{of} --out all"));
    assert!(line.contains("expected no earlier training without --resume"), "{line}");
    // One is lost and made again, to the same bits; the others are read.
    std::fs::remove_file(desk.path(file)).unwrap();
    let kept = "all/runs/bptt-rate0.1-seed1.npz";
    let mut changed = Archive::read(desk.path(kept)).unwrap();
    let mut end = changed.get("end").unwrap().to_f64().unwrap();
    end[2] = 7.0;
    changed.insert("end", Array::from_vector(end));
    changed.write(desk.path(kept)).unwrap();
    let again = desk.json(&format!("{of} --out all --resume --threads 1"));
    assert_eq!(std::fs::read(desk.path(file)).unwrap(), before);
    assert_eq!(again["runs"][0]["train_loss"], 7.0);
    assert_eq!(again["runs"].as_array().unwrap()[1..], runs[1..]);
    let line = desk_line(&desk, &of.replace("--steps 30", "--steps 31 --resume --out all"));
    assert!(line.contains("options.json: training: expected"), "{line}");
}

/// The line of a command that is refused, whatever is in its folder.
fn desk_line(desk: &Desk, arguments: &str) -> String {
    let output = desk.run(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn tasks_files_and_divergences() {
    let desk = Desk::new();
    for task in
        ["digits --batch 16", "pattern --units 4", "delayed-xor --trials 2 --test 1 --units 3"]
    {
        let got = desk.json(&format!("credit train {task} --steps 2 --learning-rate 0.01"));
        assert_eq!(got["steps"], 2, "{task}");
    }
    let x: Vec<f64> = (0..6 * 4 * 2).map(|i| (0.37 * (i * i + 1) as f64).sin()).collect();
    let y: Vec<f64> = (0..6 * 4).map(|i| (0.11 * i as f64).cos()).collect();
    desk.arrays(
        "values.npz",
        vec![
            ("x", Array::new([6, 4, 2], x.clone()).unwrap()),
            ("target", Array::new([6, 4, 1], y.clone()).unwrap()),
        ],
    );
    let of = "credit train values.npz --test 2 --units 3 --activation tanh --rate-leak --leak 0.5";
    let got = desk.json(&format!("{of} --steps 20 --rule eprop-random"));
    assert!(got["train_accuracy"].is_null() && float(&got["test_loss"]) > 0.0);
    let far = desk.json_with(&format!("{of} --steps 20 --learning-rate 1e9"), 1);
    assert_eq!((&far["stop"], &far["largest_eigenvalue"]), (&"diverged".into(), &Value::Null));
    let both = desk.json(
        "credit compare values.npz --units 3 --steps 5 --rules bptt --learning-rate 1e9 --seeds 1",
    );
    assert_eq!(both["groups"][0]["diverged"], 1);

    desk.arrays("empty.npz", vec![("x", Array::new([0, 4, 2], Vec::<f64>::new()).unwrap())]);
    let wrong =
        |target: Array| vec![("x", Array::new([6, 4, 2], x.clone()).unwrap()), ("target", target)];
    desk.arrays("short.npz", wrong(Array::new([5], vec![0_i64; 5]).unwrap()));
    desk.arrays("nan.npz", wrong(Array::new([6, 1], vec![f64::NAN; 6]).unwrap()));
    desk.arrays("class.npz", wrong(Array::new([6], vec![-1_i64; 6]).unwrap()));
    desk.refuses(&[
        ("credit", "requires a subcommand"),
        ("credit train", "required arguments were not provided"),
        ("credit train juggling", "task: expected integration, delayed-match"),
        ("credit train missing.npz", "missing.npz: "),
        ("credit train empty.npz", "target"),
        (
            "credit train short.npz",
            "target\": expected \"(6,), (6, outputs) or (6, 4, outputs)\", got [5]",
        ),
        ("credit train nan.npz", "expected finite numbers, got NaN"),
        ("credit train class.npz", "target\": expected"),
        ("credit train integration --trials 0", "trials: expected at least one, got none"),
        ("credit train integration --trials 99999999999", "trials: expected up to"),
        ("credit train pattern --test 3", "--test: expected none for pattern"),
        ("credit train digits --trials 1000 --test 800", "--trials and --test: expected together"),
        ("credit train values.npz --test 6", "--trials and --test: expected together up to 6"),
        ("credit train integration --rule backprop", "expected one of bptt, rtrl, three-factor"),
        ("credit train integration --rule bptt@", "expected a finite factor or a rule"),
        ("credit train integration --learning-rate 0", "learning rate: expected a positive number"),
        ("credit train integration --learning-rate -1", "learning rate: expected"),
        ("credit train integration --learning-rate NaN", "learning rate: expected"),
        ("credit train integration --leak 1", "leak: expected factors in [0, 1), got 1"),
        (
            "credit train integration --readout-filter 1",
            "readout filter: expected a number in [0, 1)",
        ),
        ("credit train integration --units 0", "--units"),
        ("credit train integration --activation sine", "--activation"),
        ("credit train integration --l2 -1", "l2: expected a finite number of at least 0, got -1"),
        ("credit train integration --batch 0", "--batch: expected 1 to"),
        ("credit train integration --target-loss NaN", "--target-loss: expected a number, got NaN"),
        ("credit train integration --then 3", "expected FACTOR:STEP such as 0.2:400"),
        ("credit train integration --every 0", "--every"),
        (
            "credit train integration --rule modprop --mu -1",
            "modprop: mu: expected a finite number",
        ),
        (
            "credit train integration --rule modprop-taps --hops 0",
            "modprop: hops: expected at least 1",
        ),
        ("credit train integration --rule mdgl --rate-leak", "expected a leak of the voltage"),
        (
            "credit train integration --rule mdgl --back-weights type-mean --second-type 1",
            "--second-type: expected more than 0 and less than 1, got 1",
        ),
        (
            "credit train integration --rule mdgl --back-weights type-mean --second-type 0.001",
            "--second-type: expected a share that leaves some of 32 units to each type",
        ),
        (
            "credit train integration --rule eprop-adaptive --feedback-decay -1",
            "decay of the feedback: expected a finite number of at least 0, got -1",
        ),
        (
            "credit train integration --rule rtrl --units 2000",
            "rtrl: influence matrices: expected at most",
        ),
        (
            "credit compare integration --rules bptt,bptt",
            "trainings: expected each once, got bptt-rate0.1-seed1 twice",
        ),
        ("credit compare integration --seeds 3..1", "expected FIRST..LAST or seeds"),
        (
            "credit compare integration --learning-rate 0",
            "learning rate: expected a positive number",
        ),
        (
            "credit curvature integration --learning-rate 0",
            "--learning-rate: expected a positive finite",
        ),
        (
            "credit curvature integration --tolerance 0",
            "tolerance: expected a positive finite number",
        ),
        ("credit curvature integration --max-products 3", "products: expected at least 4, got 3"),
        ("credit curvature integration --parameters nan.npz", "nan.npz"),
        (
            "credit train integration --memory 0",
            "--memory: expected a positive finite number, got 0",
        ),
        ("credit compare integration --memory NaN", "--memory: expected a positive finite number"),
        (
            "credit curvature integration --memory 1e-5",
            "states at checkpoints: expected at most 10737 bytes of memory",
        ),
        (
            "credit train integration --memory 1e-5",
            "states at checkpoints: expected at most 10737 bytes of memory",
        ),
    ]);
    let output = desk.run("credit compare integration --resume");
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line, "hesse: --resume: expected --out, got none\n");
}

/// 9.4 MB of states, in 5 MB.
#[test]
fn results_do_not_depend_on_the_memory() {
    let desk = Desk::new();
    let of = "integration --units 64 --trials 600 --test 0 --threads 1";
    for command in [
        format!("credit train {of} --steps 3 --every 2 --rule three-factor"),
        format!("credit curvature {of} --tolerance 1e-3"),
    ] {
        assert_eq!(desk.json(&format!("{command} --memory 0.005")), desk.json(&command));
    }
}

#[test]
fn reference_files_are_validated() {
    let desk = Desk::new();
    let files = format!("{GOLDEN}/J_uoro.npz {GOLDEN}/D_rate_leak_rflo.npz");
    let output = desk.run(&format!("validate credit {files} --json --out checked"));
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["layout"]), (2, &"uoro".into()));
    assert!(lines.iter().all(|line| line["pass"] == true));
    assert_eq!(std::fs::read_to_string(desk.path("checked/validate.jsonl")).unwrap(), text);
    let file = Archive::read(format!("{GOLDEN}/J_uoro.npz")).unwrap();
    let mut wrong: Vec<(&str, Array)> = file.iter().map(|(n, a)| (n, a.clone())).collect();
    for (name, array) in &mut wrong {
        if *name == "exact_dW" {
            let values = array.to_f64().unwrap().iter().map(|x| x * (1.0 + 1e-8)).collect();
            *array = Array::new(array.shape(), values).unwrap();
        }
    }
    desk.arrays("wrong.npz", wrong);
    assert_eq!(desk.run("validate credit wrong.npz").status.code(), Some(1));
    desk.arrays("other.npz", vec![("x", Array::from_vector(vec![1.0]))]);
    desk.refuses(&[
        ("validate credit other.npz", "expected the arrays of one of these layouts"),
        ("validate credit other.npz --as J", "other.npz"),
        ("validate credit other.npz --as Z", "--as: expected one of rules"),
    ]);
}
