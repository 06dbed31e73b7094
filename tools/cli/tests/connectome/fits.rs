//! `hesse connectome toy` and `fit`.

use hesse::connectome::{Denominator, SplineRegression};
use hesse::faer::Mat;
use hesse::io::{Archive, Array};

use crate::{
    EXPERIMENTS, VOXELS, close, data, desk, distance, float, golden, keys, line, matrix, toy,
};

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
