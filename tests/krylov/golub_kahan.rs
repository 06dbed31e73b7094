//! Golub-Kahan against the dense singular value decomposition.

use faer::Mat;
use hesse::krylov::{DenseMatrix, GolubKahan, RectangularOperator, SingularTriplets, Status};

use crate::orthogonal;

/// U diag(s) Vᵀ, m × n.
fn with_singular_values(m: usize, n: usize, s: &[f64], seed: u64) -> Mat<f64> {
    let (u, v) = (orthogonal(m, seed), orthogonal(n, seed + 1));
    Mat::from_fn(m, n, |i, j| s.iter().enumerate().map(|(k, s)| s * u[(i, k)] * v[(j, k)]).sum())
}

fn check(case: &str, a: &Mat<f64>, k: usize) -> SingularTriplets<f64> {
    // The dense decomposition loses matrices whose squares leave the range: near 1 it does not.
    let size = a.norm_max();
    let unit =
        Mat::from_fn(a.nrows(), a.ncols(), |i, j| if size > 0.0 { a[(i, j)] / size } else { 0.0 });
    let dense = unit.svd().unwrap();
    let want: Vec<f64> = dense.S().column_vector().iter().copied().collect();
    let top = GolubKahan::new(&DenseMatrix::new(a.as_ref()).unwrap()).largest(k).run().unwrap();
    assert_eq!(top.status, Status::Converged, "{case}: {:?} of {:?}", top.residuals, top.values);
    assert_eq!(top.values.len(), k, "{case}");
    let scaled = |x: f64| if size > 0.0 { x / size } else { x };
    for (i, (got, want)) in top.values.iter().zip(&want).enumerate() {
        // Residuals bound the distance to some singular value; converged ones are much nearer.
        let error = (scaled(*got) - want).abs();
        assert!(error <= 1e-10 * a.nrows() as f64, "{case} {i}: {got:e} {want:e}");
    }
    for j in 0..k {
        let (u, v) = (top.left.col(j), top.right.col(j));
        let (av, atu) = (&unit * v, unit.transpose() * u);
        let value = scaled(top.values[j]);
        let first: f64 = (0..a.nrows()).map(|i| (av[i] - value * u[i]).powi(2)).sum();
        let second: f64 = (0..a.ncols()).map(|i| (atu[i] - value * v[i]).powi(2)).sum();
        let residual = (first + second).sqrt();
        let rounding = 1e-13 * want[0] * (a.nrows() + a.ncols()) as f64;
        assert!((residual - scaled(top.residuals[j])).abs() <= rounding, "{case} {j}");
        for i in 0..j {
            let dot: f64 = (0..a.ncols()).map(|r| top.right[(r, i)] * top.right[(r, j)]).sum();
            assert!(dot.abs() <= 1e-7, "{case}: {dot:e}");
        }
    }
    top
}

#[test]
fn largest_singular_values_of_all_kinds_of_matrices() {
    let decay = |n: usize, base: f64| -> Vec<f64> {
        (0..n).map(|i| base.powi(i32::try_from(i).unwrap())).collect()
    };
    for (m, n) in [(30, 20), (20, 30), (25, 25), (120, 7), (7, 120)] {
        let r = m.min(n);
        let random = Mat::from_fn(m, n, |i, j| ((i * 31 + j * 17) % 101) as f64 / 50.0 - 1.0);
        check("random", &random, 1);
        check("random", &random, r.min(6));
        check("decay", &with_singular_values(m, n, &decay(r, 0.5), 1), r.min(5));
        let clustered: Vec<f64> = (0..r).map(|i| 1.0 - 1e-3 * i as f64).collect();
        check("clustered", &with_singular_values(m, n, &clustered, 2), 3);
        let deficient = with_singular_values(m, n, &[3.0, 2.0], 3);
        check("rank two", &deficient, 2);
        check("beyond the rank", &deficient, 4);
        check("badly scaled", &with_singular_values(m, n, &decay(r, 1e-3), 4), 2);
        for scale in [1e-200, 1e180] {
            let tiny = Mat::from_fn(m, n, |i, j| scale * random[(i, j)]);
            let a = check("scaled", &tiny, 2);
            let b = check("random", &random, 2);
            assert!((a.values[0] / scale - b.values[0]).abs() <= 1e-12 * b.values[0]);
        }
    }
    for (m, n) in [(1, 1), (1, 9), (9, 1), (2, 2)] {
        check("small", &Mat::from_fn(m, n, |i, j| (1 + i + 3 * j) as f64), 1);
    }
}

#[test]
fn copies_of_a_singular_value_are_all_found() {
    let a = with_singular_values(40, 30, &[5.0, 5.0, 5.0, 2.0, 1.0], 7);
    let top = check("threefold", &a, 4);
    assert!(top.values[..3].iter().all(|s| (s - 5.0).abs() < 1e-12));
    let q = orthogonal(20, 9);
    let top = check("orthogonal", &q, 20);
    assert!(top.values.iter().all(|s| (s - 1.0).abs() < 1e-12));
    let zero = Mat::<f64>::zeros(6, 4);
    let top = check("zero", &zero, 3);
    assert_eq!(top.values, [0.0; 3]);
}

#[test]
fn single_precision_limits_and_bad_input() {
    let a = Mat::<f32>::from_fn(40, 25, |i, j| ((i * 31 + j * 17) % 101) as f32 / 50.0 - 1.0);
    let wide = Mat::<f64>::from_fn(40, 25, |i, j| f64::from(a[(i, j)]));
    let operator = DenseMatrix::new(a.as_ref()).unwrap();
    let top = GolubKahan::new(&operator).largest(2).run().unwrap();
    let want = wide.svd().unwrap();
    assert_eq!(top.status, Status::Converged);
    assert!((top.values[0] - want.S()[0]).abs() <= 1e-5 * want.S()[0]);

    let slow: Vec<f64> = (0..200).map(|i| 1.0 - 1e-6 * f64::from(i)).collect();
    let hard = with_singular_values(200, 200, &slow, 3);
    let operator = DenseMatrix::new(hard.as_ref()).unwrap();
    let some = GolubKahan::new(&operator).tolerance(1e-12).max_products(60).run().unwrap();
    assert_eq!(some.status, Status::IterationLimit);
    assert!(some.products <= 60 && some.values.len() == 1);
    assert!((some.values[0] - 1.0).abs() <= some.residuals[0] + 1e-12, "{some:?}");

    let text = |e: hesse::Error| e.to_string();
    let run = |solver: GolubKahan<'_, DenseMatrix<f64>>| text(solver.run().unwrap_err());
    assert_eq!(run(GolubKahan::new(&operator).largest(0)), "k: expected 1 to 200, got 0");
    assert_eq!(run(GolubKahan::new(&operator).largest(201)), "k: expected 1 to 200, got 201");
    assert_eq!(
        run(GolubKahan::new(&operator).max_products(3)),
        "max_products: expected at least 4, got 3"
    );
    assert_eq!(
        run(GolubKahan::new(&operator).largest(3).subspace(4)),
        "subspace: expected at least 5, got 4"
    );
    assert_eq!(
        run(GolubKahan::new(&operator).tolerance(0.0)),
        "tolerance: expected a positive finite number, got 0"
    );
    struct Broken;
    impl RectangularOperator<f64> for Broken {
        fn rows(&self) -> usize {
            3
        }
        fn columns(&self) -> usize {
            2
        }
        fn apply(&self, _: &[f64], y: &mut [f64]) {
            y.fill(1.0);
        }
        fn apply_transposed(&self, _: &[f64], x: &mut [f64]) {
            x.fill(f64::NAN);
        }
    }
    assert_eq!(
        text(GolubKahan::new(&Broken).run::<f64>().unwrap_err()),
        "product 2 of the operator: expected finite numbers, got NaN at index 0"
    );
}

#[test]
fn threads_do_not_change_a_bit() {
    let a = Mat::from_fn(5000, 6, |i, j| ((i * 7919 + j * 104_729) % 1009) as f64 / 1009.0 - 0.5);
    let operator = DenseMatrix::new(a.as_ref()).unwrap();
    let on = |threads: usize| {
        let pool = rayon_pool(threads);
        let top = pool.install(|| GolubKahan::new(&operator).largest(3).run().unwrap());
        let vectors = (0..5000).map(|i| top.left[(i, 1)].to_bits());
        (top.values.iter().map(|s| s.to_bits()).collect::<Vec<_>>(), vectors.collect::<Vec<_>>())
    };
    let one = on(1);
    assert!(on(2) == one && on(7) == one);
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}
