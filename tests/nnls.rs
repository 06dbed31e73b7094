//! Nonnegative least squares against SciPy's solutions, and by the conditions of optimality.

use hesse::faer::{Mat, MatRef};
use hesse::optimize::{Nnls, NnlsFit, NnlsMethod, NnlsStatus};
use hesse::random::Stream;
use hesse::sprs::TriMat;
use proptest::prelude::*;

#[path = "npz/mod.rs"]
mod npz;
#[path = "operators/mod.rs"]
mod operators;
use npz::golden;
use operators::on_threads;

const METHODS: [NnlsMethod; 5] = [
    NnlsMethod::LawsonHanson,
    NnlsMethod::BlockPivot,
    NnlsMethod::CoordinateDescent,
    NnlsMethod::AcceleratedGradient,
    NnlsMethod::SpectralGradient,
];

fn normals(seed: u64, rows: usize, columns: usize) -> Mat<f64> {
    let mut values = vec![0.0; rows * columns];
    Stream::new(seed, "test").normals(0, &mut values);
    Mat::from_fn(rows, columns, |i, j| values[i + j * rows])
}

fn matrix(arrays: &npz::Arrays, name: &str) -> Mat<f64> {
    let (shape, values) = &arrays[name];
    Mat::from_fn(shape[0], shape[1], |i, j| values[i * shape[1] + j])
}

fn direct(method: NnlsMethod) -> bool {
    matches!(method, NnlsMethod::LawsonHanson | NnlsMethod::BlockPivot)
}

/// x ≥ 0, the gradient has the right sign, and is 0 where x > 0: by plain products, relative to
/// ‖a‖ and the size of the sums.
fn assert_optimal(
    a: &Mat<f64>,
    b: &Mat<f64>,
    alpha: f64,
    fit: &NnlsFit,
    tolerance: f64,
    case: &str,
) {
    let r = b - a * &fit.x;
    let w = a.transpose() * &r;
    let c = a.transpose() * b;
    for k in 0..b.ncols() {
        let largest = |m: &Mat<f64>| (0..m.nrows()).fold(0.0_f64, |s, j| s.max(m[(j, k)].abs()));
        let (size, x_size) = (largest(&c), largest(&fit.x));
        for j in 0..a.ncols() {
            let norm = (a.col(j).squared_norm_l2() + alpha * alpha).sqrt();
            let x = fit.x[(j, k)];
            let w = w[(j, k)] - alpha * alpha * x;
            let noise = 100.0 * f64::EPSILON * norm * (b.col(k).norm_l2() + a.norm_l2() * x_size);
            let bound = 4.0 * tolerance * size + noise;
            assert!(x >= 0.0, "{case}: x[{j}] = {x:e}");
            assert!(w <= bound, "{case}: gradient {w:e} of {j}, bound {bound:e}");
            assert!(x == 0.0 || w >= -bound, "{case}: gradient {w:e} at x[{j}] = {x:e}, {bound:e}");
        }
        let norm = r.col(k).norm_l2();
        assert!(
            (fit.residual_norms[k] - norm).abs() <= 1e-13 * (norm + b.col(k).norm_l2()),
            "{case}"
        );
    }
}

#[test]
fn golden_problems() {
    let arrays = golden("connectome/nnls.npz");
    for name in [
        "tall",
        "wide",
        "rank_deficient",
        "all_zero_solution",
        "zero_column",
        "unscaled",
        "scaled_1e-20",
        "ill_conditioned",
    ] {
        let (a, b) = (matrix(&arrays, &format!("{name}_A")), matrix(&arrays, &format!("{name}_B")));
        for method in METHODS {
            let case = format!("{name} by {method:?}");
            let fit = Nnls::new().method(method).solve_many(a.as_ref(), b.as_ref()).unwrap();
            // Gradient methods need more than 10,000 steps for a condition of 4·10¹¹.
            let slow = name == "ill_conditioned" && !direct(method);
            if !slow {
                assert!(fit.converged(), "{case}: {:?} {:?}", fit.statuses, fit.certificates);
                assert_optimal(&a, &b, 0.0, &fit, 1e-10, &case);
            }
            if let Some((_, want)) = arrays.get(&format!("{name}_rnorm")) {
                let product = &a * &fit.x;
                let values = &arrays[&format!("{name}_fit")].1;
                for k in 0..b.ncols() {
                    let size = b.col(k).norm_l2();
                    let bound = if slow { 1e-3 } else { 1e-9 } * size;
                    assert!((fit.residual_norms[k] - want[k]).abs() <= bound, "{case}");
                    for i in 0..a.nrows() {
                        let error = (product[(i, k)] - values[i * b.ncols() + k]).abs();
                        assert!(slow || error <= bound, "{case}: A x off by {error:e}");
                    }
                }
            }
            if let Some((_, want)) = arrays.get(&format!("{name}_X"))
                && !slow
            {
                let size = want.iter().fold(0.0_f64, |s, x| s.max(x.abs()));
                for (i, want) in want.iter().enumerate() {
                    let got = fit.x[(i / b.ncols(), i % b.ncols())];
                    // Errors in w are multiplied by the square of the condition at most.
                    assert!((got - want).abs() <= 1e-8 * size, "{case}: {got:e} for {want:e}");
                }
            }
        }
    }
}

#[test]
fn scale_does_not_matter() {
    let (a, b) = (normals(1, 25, 8), normals(2, 25, 3));
    for method in METHODS {
        let plain = Nnls::new().method(method).solve_many(a.as_ref(), b.as_ref()).unwrap();
        for (s, t) in [(-66, -66), (66, 66), (500, -400), (-500, 300), (0, 900), (-1000, -990)] {
            let scaled = |m: &Mat<f64>, e: i32| {
                let factor = 2.0_f64.powi(e / 2) * 2.0_f64.powi(e - e / 2);
                Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] * factor)
            };
            let (a, b) = (scaled(&a, s), scaled(&b, t));
            let fit = Nnls::new().method(method).solve_many(a.as_ref(), b.as_ref()).unwrap();
            assert_eq!(fit.statuses, plain.statuses);
            for k in 0..3 {
                for j in 0..8 {
                    let back = fit.x[(j, k)]
                        * 2.0_f64.powi(s / 2)
                        * 2.0_f64.powi(s - s / 2 - t / 2)
                        * 2.0_f64.powi(-(t - t / 2));
                    // Powers of two: the same bits, but where entries were subnormal.
                    let bound = if s < -900 { 1e-9 } else { 0.0 };
                    assert!((back - plain.x[(j, k)]).abs() <= bound, "{method:?} {s} {t}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn solutions_are_certified(
        (m, n, k) in (1..30_usize, 1..25_usize, 1..6_usize),
        seed in 0..10_000_u64,
        kind in 0..5_u8,
        ridge in prop_oneof![Just(0.0), Just(0.3)],
    ) {
        let mut a = normals(seed, m, n);
        let mut b = normals(seed + 1, m, k);
        for j in 1..n {
            match kind {
                // Copies, multiples and zeros.
                1 if j % 3 == 0 => (0..m).for_each(|i| a[(i, j)] = a[(i, j - 1)]),
                2 if j % 2 == 0 => (0..m).for_each(|i| a[(i, j)] = -2.5 * a[(i, j - 1)]),
                3 if j % 4 == 0 => (0..m).for_each(|i| a[(i, j)] = 0.0),
                // Columns of every size.
                4 => (0..m).for_each(|i| a[(i, j)] *= 10.0_f64.powi(j as i32 % 13 - 6)),
                _ => {}
            }
        }
        if seed % 7 == 0 {
            (0..m).for_each(|i| b[(i, 0)] = 0.0);
        }
        let case = format!("{m} x {n}, seed {seed}, kind {kind}");
        let mut triplets = TriMat::new((m, n));
        for j in 0..n {
            (0..m).filter(|&i| a[(i, j)] != 0.0).for_each(|i| triplets.add_triplet(i, j, a[(i, j)]));
        }
        for method in [NnlsMethod::LawsonHanson, NnlsMethod::BlockPivot] {
            let solver = Nnls::new().method(method).ridge(ridge);
            let case = format!("{case}, {method:?}");
            let fit = solver.solve_many(a.as_ref(), b.as_ref()).unwrap();
            prop_assert!(fit.converged(), "{}: {:?} {:?}", case, fit.statuses, fit.certificates);
            if kind != 4 {
                assert_optimal(&a, &b, ridge, &fit, 1e-10, &case);
            }
            let csr = triplets.to_csr::<usize>();
            let sparse = solver.solve_sparse(csr.view(), b.as_ref()).unwrap();
            prop_assert!(sparse.converged(), "{}", case);
            for c in 0..k {
                let error = (sparse.residual_norms[c] - fit.residual_norms[c]).abs();
                prop_assert!(error <= 1e-9 * b.col(c).norm_l2(), "{}: {:e}", case, error);
            }
        }
    }

    #[test]
    fn duplicated_columns_change_x_but_not_the_product(seed in 0..1000_u64) {
        let (a, b) = (normals(seed, 12, 5), normals(seed + 1, 12, 2));
        let twice = Mat::from_fn(12, 10, |i, j| a[(i, j % 5)]);
        for method in METHODS {
            let solver = Nnls::new().method(method);
            let once = solver.solve_many(a.as_ref(), b.as_ref()).unwrap();
            let both = solver.solve_many(twice.as_ref(), b.as_ref()).unwrap();
            prop_assert!(once.converged() && both.converged(), "{:?}", method);
            let difference = &a * &once.x - &twice * &both.x;
            prop_assert!(difference.norm_l2() < 1e-8, "{:?}: {:e}", method, difference.norm_l2());
        }
    }

    #[test]
    fn weights_are_rows_repeated(seed in 0..1000_u64) {
        let (a, b) = (normals(seed, 9, 4), normals(seed + 1, 9, 1));
        let counts = [1_usize, 3, 0, 2, 1, 1, 4, 1, 2];
        let rows: Vec<usize> = (0..9).flat_map(|i| vec![i; counts[i]]).collect();
        let repeated = Mat::from_fn(rows.len(), 4, |i, j| a[(rows[i], j)]);
        let targets: Vec<f64> = rows.iter().map(|&i| b[(i, 0)]).collect();
        let weights = counts.map(|c| c as f64);
        let weighted = Nnls::new().weights(&weights).solve_many(a.as_ref(), b.as_ref()).unwrap();
        let plain = Nnls::new().solve(repeated.as_ref(), &targets).unwrap();
        for j in 0..4 {
            prop_assert!((weighted.x[(j, 0)] - plain.x[(j, 0)]).abs() < 1e-11);
        }
        prop_assert!((weighted.residual_norms[0] - plain.residual_norms[0]).abs() < 1e-12);
    }
}

#[test]
fn views_and_single_precision() {
    let (a, b) = (normals(5, 14, 6), normals(6, 14, 2));
    let fit = Nnls::new().solve_many(a.as_ref(), b.as_ref()).unwrap();
    // Row-major, reversed rows of both.
    let rows: Vec<f64> =
        (0..14).flat_map(|i| (0..6).map(move |j| (i, j))).map(|(i, j)| a[(i, j)]).collect();
    let view = MatRef::from_row_major_slice(&rows, 14, 6);
    let other = Nnls::new().solve_many(view, b.as_ref()).unwrap();
    assert_eq!(fit.x, other.x);
    let other =
        Nnls::new().solve_many(a.as_ref().reverse_rows(), b.as_ref().reverse_rows()).unwrap();
    assert!((&fit.x - &other.x).norm_l2() < 1e-12);
    #[allow(clippy::cast_possible_truncation)]
    let single = |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] as f32);
    let (a32, b32) = (single(&a), single(&b));
    let fit32 = Nnls::new().solve_many(a32.as_ref(), b32.as_ref()).unwrap();
    assert!(fit32.converged() && (&fit.x - &fit32.x).norm_l2() < 1e-5);
}

#[test]
fn the_limit_gives_the_best_iterate() {
    // Columns that have much in common, so that two steps are not enough.
    let (own, common, rest) = (normals(7, 60, 40), normals(11, 60, 1), normals(8, 60, 3));
    let a = Mat::from_fn(60, 40, |i, j| own[(i, j)] + 4.0 * common[(i, 0)]);
    let b = Mat::from_fn(60, 3, |i, k| rest[(i, k)] + 4.0 * common[(i, 0)]);
    let zero: f64 = b.squared_norm_l2();
    for method in METHODS {
        let fit = Nnls::new().method(method).max_iterations(2).solve_many(a.as_ref(), b.as_ref());
        let fit = fit.unwrap();
        let squares: f64 = fit.residual_norms.iter().map(|r| r * r).sum();
        assert!(squares < zero, "{method:?}: {squares} of {zero}");
        assert!((0..3).all(|k| (0..40).all(|j| fit.x[(j, k)] >= 0.0)));
        assert!(fit.statuses.contains(&NnlsStatus::IterationLimit), "{method:?}");
    }
}

#[test]
fn groups_have_the_bits_of_one_right_hand_side_on_any_threads() {
    let (a, b) = (normals(9, 50, 20), normals(10, 50, 9));
    let all =
        |threads| on_threads(threads, || Nnls::new().solve_many(a.as_ref(), b.as_ref()).unwrap().x);
    let one = all(1);
    assert!(all(2) == one && all(3) == one);
    for k in 0..9 {
        let alone = Nnls::new().solve(a.as_ref(), b.col_as_slice(k)).unwrap();
        assert!((0..20).all(|j| (alone.x[(j, 0)] - one[(j, k)]).abs() < 1e-13));
    }
}

#[test]
fn bad_input_is_named() {
    let a = normals(1, 3, 2);
    let text = |result: hesse::Result<NnlsFit>| result.unwrap_err().to_string();
    let mut nan = a.clone();
    nan[(2, 1)] = f64::NAN;
    let empty = Mat::<f64>::zeros(0, 2);
    let b = [1.0, 2.0, 3.0];
    for (result, want) in [
        (
            Nnls::new().solve(empty.as_ref(), &[]),
            "rows of the nonnegative least squares: expected at least one, got none",
        ),
        (Nnls::new().solve(a.as_ref(), &b[..2]), "rows of the right-hand sides: expected 3, got 2"),
        (
            Nnls::new().solve(a.as_ref(), &[1.0, f64::INFINITY, 0.0]),
            "right-hand sides, row 1 of column 0: expected finite numbers, got inf at index 1",
        ),
        (
            Nnls::new().solve(nan.as_ref(), &b),
            "matrix of the nonnegative least squares, row 2 of column 1: expected finite numbers, got NaN at index 5",
        ),
        (
            Nnls::new().ridge(-1.0).solve(a.as_ref(), &b),
            "ridge: expected a finite number from 0, got -1",
        ),
        (
            Nnls::new().tolerance(f64::NAN).solve(a.as_ref(), &b),
            "tolerance: expected 0 to below 1, got NaN",
        ),
        (
            Nnls::new().max_iterations(0).solve(a.as_ref(), &b),
            "max_iterations: expected at least 1, got 0",
        ),
        (
            Nnls::new().weights(&[1.0]).solve(a.as_ref(), &b),
            "weights of the rows: expected 3, got 1",
        ),
        (
            Nnls::new().weights(&[1.0, -2.0, 0.0]).solve(a.as_ref(), &b),
            "weight of row 1: expected at least 0, got -2",
        ),
    ] {
        assert_eq!(text(result), want);
    }
}
