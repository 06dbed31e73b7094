//! `hesse connectome` from outside: values, files, exit codes, and bad input, which ends in one line.

mod desk;

use std::path::Path;

use hesse::connectome::{
    Denominator, HomogeneousModel, Observed, SmoothingOperator, SplineRegression, TracingData,
};
use hesse::faer::Mat;
use hesse::io::{Archive, Array};
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

#[test]
fn a_toy_holds_the_problem_of_its_seed() {
    let desk = desk();
    let (file, toy) = (desk.read("toy.npz"), toy());
    assert_eq!(matrix(&file, "injections"), toy.injections);
    assert_eq!(matrix(&file, "projections"), toy.projections);
    assert_eq!(matrix(&file, "observed"), toy.observed);
    assert_eq!(matrix(&file, "W_true"), toy.truth);
    assert_eq!(file.get("regions").unwrap().as_slice::<i64>(), Some(&keys()[..]));
    assert!(
        desk.refused("connectome toy --voxels 0").starts_with("source voxels: expected at least")
    );
    let output = desk.run("connectome toy");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_full_fit_is_the_library_s_with_its_certificate() {
    let desk = desk();
    let fit = desk.json("connectome fit toy.npz --lambda 10 --out fit");
    let toy = toy();
    let want = SplineRegression::new().lambda(10.0).fit(&data(&toy), &line(), &line()).unwrap();
    assert_eq!(fit["status"], "converged");
    assert_eq!(
        (&fit["identifiable"], &fit["observed_by"]),
        (&true.into(), &"array observed".into())
    );
    assert_eq!(fit["unused_arrays"], serde_json::json!(["W_true"]));
    // Read back from JSON, which may be off by the last bit.
    close(float(&fit["objective"]), want.objective, 1e-15);
    close(float(&fit["loss"]), want.loss, 1e-9);
    close(float(&fit["lambda_eff"]), 10.0 * 6.0 / 24.0, 1e-15);
    assert!(float(&fit["kkt_relative"]) <= 1e-8);
    assert_eq!(fit["zeros"], want.n_active);
    let error = want.mse_rel(&data(&toy), Denominator::Masked).unwrap();
    close(float(&fit["mse_rel"]), error, 1e-12);
    let file = desk.read("fit/connectome.npz");
    assert_eq!(matrix(&file, "W"), want.full().unwrap().as_mat());
    for name in ["fit/weights.svg", "fit/course.svg"] {
        desk.is_picture(name);
    }
    let text = desk.printed("connectome fit toy.npz --lambda 10");
    for part in ["memory of the fit", "within 1.00e-8", "the data determine W", "not used: W_true"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // To a gap: as near to the minimum as it says.
    let near = desk.json("connectome fit toy.npz --lambda 10 --gap 1e-6");
    assert!(near["status"] == "converged" && float(&near["gap"]) <= 1e-6);
    assert!(near["tolerance"].is_null() && fit["gap"].is_null());
    assert!(float(&near["objective"]) <= (1.0 + 1e-6) * want.objective);
    let text = desk.printed("connectome fit toy.npz --lambda 10 --gap 1e-6");
    assert!(text.contains("gap to the minimum, relative"), "{text}");
    let refused = desk.refused("connectome fit toy.npz --lambda 10 --gap 0");
    assert!(refused.starts_with("--gap: expected a positive finite number"), "{refused}");
    // λ' itself: the same problem.
    let same = desk.json("connectome fit toy.npz --lambda-eff 2.5");
    close(float(&same["objective"]), want.objective, 1e-12);
    assert!(same["lambda"].is_null());
}

#[test]
fn voxels_of_a_volume_have_the_reference_s_minimiser() {
    let desk = desk();
    let file = golden("p1_small");
    let arrays = format!(
        "--with injections={file}:b_X --with projections={file}:b_Y --with mask={file}:b_mask"
    );
    let fit = desk.json(&format!(
        "connectome fit {arrays} --with observed={file}:b_Omega --lambda 0.5 --tolerance 1e-10 --out fit"
    ));
    let golden = Archive::read(&file).unwrap();
    close(float(&fit["objective"]), golden.get("b_f").unwrap().scalar().unwrap(), 1e-9);
    let w = matrix(&desk.read("fit/connectome.npz"), "W");
    assert!(distance(&w, &matrix(&golden, "b_W")) <= 1e-6);
    // Without a mask of projections they were seen outside the injections: here the same.
    let same = desk.json(&format!("connectome fit {arrays} --lambda 0.5 --tolerance 1e-10"));
    assert_eq!(same["observed_by"], "outside the injections");
    assert_eq!(same["objective"], fit["objective"]);
    // Pictures of planes, and voxels by their coordinates.
    let predicted =
        desk.json("connectome predict fit/connectome.npz --columns 2,1:1:1 --out predicted");
    assert_eq!(predicted["columns"].as_array().unwrap().len(), 2);
    desk.is_picture("predicted/column_2.svg");
    let message = desk.refused("connectome predict fit/connectome.npz --columns 0:0:0");
    assert_eq!(message, "--columns: expected a voxel of the grid [3, 4, 3], got [0, 0, 0]");
}

#[test]
fn what_was_seen_is_said_by_the_name_of_its_array() {
    let desk = desk();
    let toy = toy();
    let fit = desk.json("connectome fit toy.npz");
    let array = |m: &Mat<f64>| Array::from_mat(m.as_ref()).unwrap();
    let hidden = Mat::from_fn(VOXELS, EXPERIMENTS, |t, e| 1.0 - toy.observed[(t, e)]);
    // X by rows.
    let (mut starts, mut at, mut values) = (vec![0_i32], Vec::new(), Vec::new());
    for s in 0..VOXELS {
        for e in (0..EXPERIMENTS).filter(|&e| toy.injections[(s, e)] != 0.0) {
            at.push(e as i64);
            values.push(toy.injections[(s, e)]);
        }
        starts.push(at.len() as i32);
    }
    let parts = || {
        vec![
            ("injections_indptr", Array::from_vector(starts.clone())),
            ("injections_indices", Array::from_vector(at.clone())),
            ("injections_data", Array::from_vector(values.clone())),
            ("Y", array(&toy.projections)),
        ]
    };
    desk.arrays("hidden.npz", [parts(), vec![("hidden", array(&hidden))]].concat());
    let same = desk.json("connectome fit hidden.npz --grid 24");
    assert_eq!((&same["objective"], &same["observed"]), (&fit["objective"], &fit["observed"]));
    assert_eq!(same["observed_by"], "array hidden");
    // The other sense is another problem.
    desk.arrays("wrong.npz", [parts(), vec![("observed", array(&hidden))]].concat());
    let other = desk.json("connectome fit wrong.npz --grid 24");
    assert_ne!(other["observed"], fit["observed"]);
    desk.arrays("omega.npz", [parts(), vec![("Omega", array(&hidden))]].concat());
    let both = vec![("observed", array(&hidden)), ("hidden", array(&hidden))];
    desk.arrays("both.npz", [parts(), both].concat());
    let mut broken = parts();
    broken[1].1 = Array::from_vector(at.iter().map(|e| e + 1).collect::<Vec<_>>());
    desk.arrays("broken.npz", broken);
    let mut broken = parts();
    broken[0].1 = Array::from_vector(vec![0, 1]);
    desk.arrays("short.npz", broken);
    desk.refuses(&[
        ("connectome fit omega.npz --grid 24", "expected a name that says its sense: observed"),
        ("connectome fit both.npz --grid 24", "expected one of observed, hidden"),
        ("connectome fit broken.npz --grid 24", "injections_indices: expected below 6, got 6"),
        ("connectome fit short.npz --grid 24", "injections_indptr: expected 25, got 2"),
    ]);
    let named = desk.json("connectome fit omega.npz --grid 24 --with hidden=omega.npz:Omega");
    assert_eq!(named["objective"], fit["objective"]);
}

#[test]
fn a_stopped_fit_goes_on_to_the_same_bits() {
    let desk = desk();
    let options = "connectome fit toy.npz --lambda 10 --threads 2 --out";
    desk.json(&format!("{options} whole"));
    let saved = "--checkpoint state.npz --every 1";
    let stopped = desk.json_with(&format!("{options} part {saved} --max-iterations 2"), 1);
    assert_eq!((&stopped["status"], &stopped["ended"]), (&"iteration limit".into(), &false.into()));
    let resumed = desk.json(&format!("{options} part {saved} --resume"));
    assert_eq!(resumed["status"], "converged");
    let w = |name: &str| matrix(&desk.read(name), "W");
    assert_eq!(w("part/connectome.npz"), w("whole/connectome.npz"));
    // The plan is printed before the checkpoint is read.
    let other = desk.run(&format!("connectome fit toy.npz --lambda 11 {saved} --resume"));
    let line = String::from_utf8(other.stderr).unwrap();
    assert!(other.status.code() == Some(2) && line.lines().count() == 1, "{line}");
    assert!(line.contains("expected a checkpoint of this problem"), "{line}");
}

#[test]
fn memory_is_known_before_it_is_taken() {
    let desk = desk();
    let plan = desk.json("connectome fit toy.npz --dry-run");
    let needed = plan["memory_estimate"].as_u64().unwrap();
    // Five vectors of the size of W and one byte an entry, and a preconditioner that may be a factor of
    // a band of the Hessian.
    assert!((41 * 576..41 * 576 + 8 * 576 * 2 * 1024).contains(&needed), "{needed}");
    assert!(plan["objective"].is_null());
    let line = desk.refused("connectome fit toy.npz --memory 0.00001");
    assert!(line.ends_with(&format!("bytes of memory, {needed} are required")), "{line}");
    for model in ["low-rank --rank 3", "greedy --rank 3", "regional", "kernel"] {
        let plan = desk.json(&format!("connectome fit toy.npz --dry-run --model {model}"));
        assert!(plan["memory_estimate"].as_u64().unwrap() > 1000, "{model}");
    }
}

#[test]
fn factors_are_no_better_than_the_full_matrix() {
    let desk = desk();
    let full = desk.json("connectome fit toy.npz --lambda 10");
    let low = desk.json(
        "connectome fit toy.npz --lambda 10 --model low-rank --rank 4 --start svd --tolerance 1e-4 \
         --max-iterations 20000 --out low",
    );
    assert_eq!(low["rank"], 4);
    assert!(float(&low["objective"]) >= float(&full["objective"]));
    assert!(float(&low["objective"]) <= 2.0 * float(&full["objective"]), "{low}");
    let file = desk.read("low/connectome.npz");
    let (u, v) = (matrix(&file, "U"), matrix(&file, "V"));
    assert!((0..4).all(|k| u.col(k).iter().chain(v.col(k).iter()).all(|x| *x >= 0.0)));
    let signed = desk.json("connectome fit toy.npz --lambda 10 --signed");
    let greedy = desk.json(
        "connectome fit toy.npz --lambda 10 --model greedy --rank 12 --tolerance 1e-9 --out greedy",
    );
    assert!(float(&greedy["objective"]) >= float(&signed["objective"]) * (1.0 - 1e-9));
    assert!(float(&greedy["objective"]) <= 1.05 * float(&signed["objective"]), "{greedy}");
    assert!(float(&signed["objective"]) <= float(&full["objective"]));
    let values =
        desk.read("greedy/connectome.npz").get("singular_values").unwrap().to_f64().unwrap();
    assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
    // W X of factors, voxel by voxel.
    desk.json("connectome predict low/connectome.npz toy.npz --columns 7 --rows 3 --out predicted");
    let predicted = desk.read("predicted/predictions.npz");
    let w = &u * v.transpose();
    assert!(distance(&matrix(&predicted, "projections"), &(&w * &toy().injections)) <= 1e-13);
    assert!(distance(&matrix(&predicted, "columns"), &w.get(.., 7..8).to_owned()) <= 1e-14);
    assert!(distance(&matrix(&predicted, "rows"), &w.get(3..4, ..).to_owned()) <= 1e-14);
    for name in ["projection_0", "column_7", "row_3"] {
        desk.is_picture(&format!("predicted/{name}.svg"));
    }
}

#[test]
fn baselines_predict_what_the_library_says() {
    let desk = desk();
    let regional = desk.json("connectome fit toy.npz --model regional --out regional");
    let data = data(&toy());
    let want = HomogeneousModel::new().fit(&data, &keys(), &keys()).unwrap();
    let error = want.mse_rel(&data, Denominator::Masked).unwrap();
    close(float(&regional["mse_rel"]), error, 1e-12);
    let file = desk.read("regional/connectome.npz");
    assert_eq!(matrix(&file, "W_regional"), want.weights);
    let predicted = desk.json("connectome predict regional/connectome.npz toy.npz");
    close(float(&predicted["mse_rel"]), error, 1e-12);
    // W_R voxel by voxel: its sums over regions are W_R times the sources of each.
    let sums =
        desk.json("connectome collapse regional/connectome.npz --measure strength --out sums");
    for (r, row) in sums["matrix"].as_array().unwrap().iter().enumerate() {
        for (q, value) in row.as_array().unwrap().iter().enumerate() {
            close(float(value), 8.0 * want.weights[(q, r)], 1e-12);
        }
    }
    let kernel = desk.json("connectome fit toy.npz --model kernel --gamma 0.1 --out kernel");
    assert_eq!(kernel["gamma"], 0.1);
    let v = matrix(&desk.read("kernel/connectome.npz"), "V");
    for s in 0..VOXELS {
        let sum: f64 = (0..EXPERIMENTS).map(|e| v[(s, e)]).sum();
        assert!((sum - 1.0).abs() < 1e-14, "{sum}");
    }
    let chosen = desk.json("connectome fit toy.npz --model kernel");
    assert!(float(&chosen["gamma"]) > 0.0015 && float(&chosen["gamma"]) < 0.26);
}

#[test]
fn cross_validation_chooses_as_the_reference() {
    let desk = desk();
    let file = golden("cv");
    let found = desk.json(&format!(
        "connectome cv {file} --with observed={file}:Omega --grid 40 --lambdas 1e1..1e4 --outer 4 \
         --inner 4 --threads 1 --out cv"
    ));
    let golden = Archive::read(&file).unwrap();
    let written = desk.read("cv/cv.npz");
    let of = |archive: &Archive, name: &str| archive.get(name).unwrap().to_f64().unwrap();
    // Four of the nine λ of the reference, from its fourth.
    let selected = of(&golden, "selected_lambda_index").iter().map(|l| l - 3.0).collect::<Vec<_>>();
    assert_eq!(of(&written, "selected_lambda_index"), selected);
    assert_eq!(of(&written, "outer_fold"), of(&golden, "outer_fold"));
    assert_eq!(of(&written, "inner_fold"), of(&golden, "inner_fold"));
    let near = |name: &str, got: &[f64], want: &[f64]| {
        assert!(got.len() == want.len() && !got.is_empty());
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs()), "{name}");
    };
    for name in ["test_mse_rel", "test_mse_rel_full_denominator", "train_mse_rel"] {
        near(name, &of(&written, name), &of(&golden, name));
    }
    let name = "validation_mse_rel";
    for (got, want) in of(&written, name).chunks(4).zip(of(&golden, name).chunks(9)) {
        near(name, got, &want[3..7]);
    }
    assert_eq!(found["choice_at_the_edge"], false);
    assert_eq!(found["fits"], 4 * (4 * 4 + 1));
    let mean = of(&golden, "test_mse_rel").iter().sum::<f64>() / 4.0;
    close(float(&found["mean_test_mse_rel"]), mean, 1e-6);
    desk.is_picture("cv/cv.svg");
    // The regional model beside it, where there are regions; factors; a choice at the edge.
    let text = desk.printed("connectome cv toy.npz --lambdas 1e5,1e6 --outer 2 --inner 2");
    assert!(text.contains("regional model") && text.contains("at the edge"), "{text}");
    let low = desk.json("connectome cv toy.npz --lambdas 1,10 --outer 2 --inner 2 --rank 2");
    assert!(float(&low["mean_test_mse_rel"]) < 2.0);
}

#[test]
fn sums_by_region_are_the_reference_s() {
    let desk = desk();
    let golden = Archive::read(golden("regional")).unwrap();
    let take = |name: &str| golden.get(name).unwrap().clone();
    desk.arrays(
        "factors.npz",
        vec![
            ("U", take("col_U")),
            ("V", take("col_V")),
            ("source_regions", take("col_source_key")),
            ("target_regions", take("col_target_key")),
        ],
    );
    let sums = desk.json("connectome collapse factors.npz --measure density --out sums");
    let written = desk.read("sums/regional.npz");
    for (name, reference) in [
        ("strength", "col_strength"),
        ("density", "col_density"),
        ("normalized_strength", "col_norm_strength"),
        ("normalized_density", "col_norm_density"),
    ] {
        assert!(distance(&matrix(&written, name), &matrix(&golden, reference)) <= 1e-12, "{name}");
    }
    let ids: Vec<f64> = sums["source_regions"].as_array().unwrap().iter().map(float).collect();
    assert_eq!(ids, golden.get("col_source_regions").unwrap().to_f64().unwrap());
    close(float(&sums["matrix"][1][2]), matrix(&golden, "col_density")[(1, 2)], 1e-12);
    let table = std::fs::read_to_string(desk.path("sums/regional.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 3 * 4);
    assert!(table.starts_with("source_region,target_region,source_voxels,target_voxels,strength,"));
    desk.is_picture("sums/regional.svg");
    // Regions from elsewhere.
    desk.arrays("keys.npz", vec![("s", Array::from_vector(vec![1_i64; 14]))]);
    let one = desk.json("connectome collapse factors.npz --source-regions keys.npz:s");
    assert_eq!(one["source_regions"], serde_json::json!([1]));
    desk.arrays("plain.npz", vec![("U", take("col_U")), ("V", take("col_V"))]);
    desk.refuses(&[
        ("connectome collapse plain.npz", "regions of source voxels: expected at least one"),
        ("connectome collapse toy.npz", "array \"W\": not there, the arrays are \"injections\""),
        ("connectome collapse factors.npz --regions keys.npz:s", "expected 17 voxels"),
    ]);
}

#[test]
fn data_that_leave_w_open_are_told() {
    let desk = desk();
    let good = desk.json("connectome identify toy.npz --out good");
    assert_eq!(
        (&good["identifiable"], &good["undetermined"]),
        (&true.into(), &serde_json::json!([]))
    );
    assert_eq!(good["source_components"][0]["experiments"], 6);
    // Five voxels, a gap, three voxels in which nothing was injected.
    let mask: Vec<bool> = (0..9).map(|i| i != 5).collect();
    let x = Array::new([8, 2], vec![1.0, 0.0, 0.0, 1.0].into_iter().chain([0.0; 12]).collect());
    let y = Array::new([8, 2], vec![0.5; 16]);
    desk.arrays(
        "open.npz",
        vec![
            ("X", x.unwrap()),
            ("Y", y.unwrap()),
            ("mask", Array::from_vector(mask)),
            ("regions", Array::from_vector(vec![1_u8, 1, 1, 2, 2, 0, 2, 2, 2])),
        ],
    );
    let open = desk.json_with("connectome identify open.npz", 1);
    assert_eq!(open["identifiable"], false);
    assert_eq!(
        open["undetermined"],
        serde_json::json!([{"target": 0, "source": 1}, {"target": 1, "source": 1}])
    );
    let sizes = [0, 1].map(|c| open["source_components"][c]["voxels"].as_u64().unwrap());
    assert_eq!((sizes, &open["source_components"][1]["first"]), ([5, 3], &"6".into()));
    // Three parts within regions, of which one was injected.
    let parts = desk.json_with("connectome identify open.npz --within-regions", 1);
    assert_eq!(parts["source_components"].as_array().unwrap().len(), 3);
    let fit = desk.json_with("connectome fit open.npz --dry-run", 0);
    assert_eq!(fit["undetermined"], serde_json::json!([[0, 1], [1, 1]]));
}

#[test]
fn bad_input_ends_in_one_line() {
    let desk = desk();
    let take = |name: &str| desk.read("toy.npz").get(name).unwrap().clone();
    let flipped =
        |name: &str| Array::from_mat(matrix(&desk.read("toy.npz"), name).transpose()).unwrap();
    desk.arrays("flipped.npz", vec![("X", flipped("injections")), ("Y", take("projections"))]);
    desk.arrays("alone.npz", vec![("X", take("injections"))]);
    let mut negative = take("injections").to_f64().unwrap();
    negative[7] = -1.0;
    let negative = Array::new([VOXELS, EXPERIMENTS], negative).unwrap();
    desk.arrays("coded.npz", vec![("X", negative), ("Y", take("projections"))]);
    std::fs::write(desk.path("junk.npz"), b"PK no").unwrap();
    desk.refuses(&[
        ("connectome fit", "DATA: expected a file, or arrays by --with, got none"),
        ("connectome fit absent.npz", "absent.npz: No such file"),
        ("connectome fit junk.npz --grid 24", "junk.npz: "),
        ("connectome fit alone.npz", "source voxels: expected an array source_mask, mask"),
        ("connectome fit alone.npz --grid 24", "array \"projections\": not there"),
        (
            "connectome fit flipped.npz --grid 24",
            "expected 24 rows, one a voxel, got 6 rows and 24",
        ),
        (
            "connectome fit coded.npz --grid 24",
            "injections: expected numbers from 0, got -1 at voxel",
        ),
        ("connectome fit toy.npz --grid 24", "expected one of a mask, coordinates and --grid"),
        ("connectome fit toy.npz --grid 24y", "invalid value '24y' for '--grid <NxNxN>'"),
        ("connectome fit toy.npz --lambda -1", "--lambda: expected a finite number from 0, got -1"),
        (
            "connectome fit toy.npz --lambda nan",
            "--lambda: expected a finite number from 0, got NaN",
        ),
        ("connectome fit toy.npz --lambda 1 --lambda-eff 1", "cannot be used with"),
        (
            "connectome fit toy.npz --tolerance 0",
            "--tolerance: expected a positive finite number, got 0",
        ),
        (
            "connectome fit toy.npz --rank 3",
            "--rank: expected --model low-rank or greedy, got full",
        ),
        ("connectome fit toy.npz --model low-rank", "--rank: expected the number of columns"),
        ("connectome fit toy.npz --model low-rank --rank 25", "--rank: expected 1 to 24, got 25"),
        (
            "connectome fit toy.npz --model kernel --gamma 0",
            "--gamma: expected a positive finite number",
        ),
        ("connectome fit toy.npz --memory 0", "--memory: expected a positive number, got 0"),
        ("connectome fit toy.npz --resume", "required arguments were not provided"),
        ("connectome fit toy.npz --checkpoint c.txt", "c.txt: expected a name that ends in .npz"),
        ("connectome fit toy.npz --with regions", "expected NAME=FILE[:NAME]"),
        ("connectome cv toy.npz --lambdas 1..", "expected numbers by commas or decades"),
        ("connectome cv toy.npz --outer 7", "outer folds: expected at most one for each of 6"),
        ("connectome cv toy.npz --inner 1", "inner folds: expected at least 2, got 1"),
        ("connectome predict toy.npz", "expected DATA with injections, --columns or --rows"),
        ("connectome predict toy.npz toy.npz", "array \"W\": not there"),
        ("connectome nothing", "unrecognized subcommand 'nothing'"),
    ]);
    // The numbers by which the atlas says that there are no data.
    let coded = desk.json("connectome fit coded.npz --grid 24 --error-codes-as-zero --dry-run");
    assert_eq!(coded["experiments"], 6);
    // Different voxels need a word on what was seen.
    let mut half = vec![false; VOXELS];
    half[..12].fill(true);
    desk.arrays(
        "sides.npz",
        vec![
            ("X", take("injections")),
            ("Y", Array::new([12, EXPERIMENTS], vec![0.5; 12 * EXPERIMENTS]).unwrap()),
            ("source_mask", Array::from_vector(vec![true; VOXELS])),
            ("target_mask", Array::from_vector(half)),
        ],
    );
    let line = desk.refused("connectome fit sides.npz");
    assert!(
        line.contains("--observed-everywhere, since sources and targets are different"),
        "{line}"
    );
    let sides = desk.json("connectome fit sides.npz --observed-everywhere");
    assert_eq!((&sides["targets"], &sides["sources"]), (&12.into(), &24.into()));
}

#[test]
fn reference_files_are_validated_from_outside() {
    let desk = desk();
    let (small, objective) = (golden("p1_small"), golden("objective"));
    let output = desk.run(&format!("validate connectome {small} {objective} --json --out found"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["layout"], &lines[1]["layout"]),
        (&"p1_small".into(), &"objective".into())
    );
    assert!(
        lines.iter().all(|line| line["pass"] == true && line["unknown"] == serde_json::json!([]))
    );
    assert_eq!(std::fs::read_to_string(desk.path("found/validate.jsonl")).unwrap(), text);
    let mut arrays = Archive::read(&small).unwrap();
    let mut w = arrays.get("c_W").unwrap().to_f64().unwrap();
    w[3] += 0.01;
    arrays.insert("c_W", Array::new([9, 8], w).unwrap());
    arrays.write(desk.path("changed.npz")).unwrap();
    let output = desk.run("validate connectome changed.npz");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAIL") && text.contains("c_W"), "{text}");
    let line = desk.refused("validate connectome toy.npz");
    assert!(line.contains("expected the arrays of one of these layouts: laplacian"), "{line}");
}

#[test]
fn help_names_the_arrays() {
    let desk = desk();
    for flag in ["--help", "-h"] {
        let text = desk.printed(&format!("connectome {flag}"));
        for word in
            ["injections_indptr", "observed", "hidden", "source_mask", "grid_shape", "regions"]
        {
            assert!(text.contains(word), "{word} is not in the help");
        }
    }
    for command in ["fit", "predict", "cv", "collapse", "identify", "toy"] {
        assert!(
            desk.printed(&format!("connectome {command} --help")).contains("--out"),
            "{command}"
        );
    }
}
