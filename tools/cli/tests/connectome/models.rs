//! Baselines, `hesse connectome cv`, `collapse` and `identify`.

use hesse::connectome::{Denominator, HomogeneousModel};
use hesse::io::{Archive, Array};

use crate::{EXPERIMENTS, VOXELS, close, data, desk, distance, float, golden, keys, matrix, toy};

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
