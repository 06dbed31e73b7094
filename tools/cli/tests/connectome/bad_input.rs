//! Bad input, which ends in one line, and help.

use hesse::io::Array;

use crate::{EXPERIMENTS, VOXELS, desk, matrix};

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
    let _ = desk.json("connectome fit toy.npz --lambda 10 --out fit");
    // A file for each array that is not what it should be.
    let with = |name: &str, array: Array| {
        let mut arrays = desk.read("toy.npz");
        arrays.insert(name, array);
        arrays.write(desk.path(&format!("{name}.npz"))).unwrap();
    };
    let mut unknown = take("injections").to_f64().unwrap();
    unknown[EXPERIMENTS * 3 + 1] = f64::NAN;
    with("injections", Array::new([VOXELS, EXPERIMENTS], unknown).unwrap());
    with("projections", Array::new([20, EXPERIMENTS], vec![0.5; 20 * EXPERIMENTS]).unwrap());
    with("observed", Array::new([VOXELS, EXPERIMENTS], vec![0.5; VOXELS * EXPERIMENTS]).unwrap());
    with("regions", Array::from_vector(vec![1_i64; VOXELS - 1]));
    with("mask", Array::from_vector(vec![false; VOXELS]));
    let nothing = Array::new([VOXELS, EXPERIMENTS], vec![0.0; VOXELS * EXPERIMENTS]).unwrap();
    desk.arrays(
        "unseen.npz",
        vec![("X", take("injections")), ("Y", take("projections")), ("observed", nothing)],
    );
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
        ("connectome fit injections.npz", "injections: expected finite numbers, got NaN at index"),
        ("connectome fit projections.npz", "array \"projections\": expected 24 rows, one a voxel"),
        ("connectome fit observed.npz", "array \"observed\": expected 0 or 1, got 0.5 at index 0"),
        ("connectome fit regions.npz", "array \"regions\": expected 24 voxels, or the grid [24]"),
        ("connectome fit mask.npz", "voxels of the mask: expected at least one, got none"),
        (
            "connectome fit unseen.npz --grid 24",
            "observed projections: expected at least one, got none",
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
        (
            "connectome fit toy.npz --checkpoint c.npz --solver lbfgsb",
            "--checkpoint: expected --solver active-set, got lbfgsb",
        ),
        (
            "connectome fit toy.npz --gap 1e-3 --solver reference-2016",
            "--gap: expected --solver active-set, got reference-2016",
        ),
        ("connectome fit toy.npz --gap nan", "--gap: expected a positive finite number, got NaN"),
        (
            "connectome fit toy.npz --model low-rank --rank 4 --start split",
            "--rank: expected an odd number for --start split, got 4",
        ),
        ("connectome fit toy.npz --model greedy --rank 0", "--rank: expected 1 to 24, got 0"),
        (
            "connectome fit toy.npz --max-iterations 0",
            "--max-iterations: expected at least 1, got 0",
        ),
        ("connectome fit toy.npz --checkpoint gone/c.npz", "gone: No such file"),
        ("connectome fit .", "expected a name that ends in .npz or .safetensors"),
        ("connectome fit toy.npz --with regions", "expected NAME=FILE[:NAME]"),
        ("connectome cv toy.npz --lambdas 1..", "expected numbers by commas or decades"),
        ("connectome cv toy.npz --outer 7", "outer folds: expected at most one for each of 6"),
        ("connectome cv toy.npz --inner 1", "inner folds: expected at least 2, got 1"),
        ("connectome predict toy.npz", "expected DATA with injections, --columns or --rows"),
        ("connectome predict toy.npz toy.npz", "array \"W\": not there"),
        (
            "connectome predict fit/connectome.npz --columns 99",
            "--columns: expected 0 to 23, got 99",
        ),
        ("connectome collapse toy.npz", "array \"W\": not there"),
        ("connectome toy --experiments 0", "experiments: expected at least one, got none"),
        ("connectome toy --noise -1", "noise: expected a finite number from 0, got -1"),
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
