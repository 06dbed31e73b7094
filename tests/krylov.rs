//! Eigensolvers and linear solvers against dense algebra.

use std::ops::ControlFlow;

use faer::Mat;
use hesse::krylov::{
    ConjugateGradient, Deflated, DenseOperator, Diagonal, Eigenpairs, FnOperator, Identity,
    Lanczos, LinearOperator, Lobpcg, PowerIteration, Scaled, Shifted, SolveStatus, SparseOperator,
    Status, Sum, Which,
};
use hesse::{Error, Real};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn random(rng: &mut StdRng) -> f64 {
    rng.random::<f64>() * 2.0 - 1.0
}

/// A random orthogonal matrix: Gram-Schmidt, twice.
fn orthogonal(n: usize, seed: u64) -> Mat<f64> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut q = Mat::from_fn(n, n, |_, _| random(&mut rng));
    for j in 0..n {
        for _ in 0..2 {
            for i in 0..j {
                let dot: f64 = (0..n).map(|r| q[(r, i)] * q[(r, j)]).sum();
                for r in 0..n {
                    q[(r, j)] -= dot * q[(r, i)];
                }
            }
        }
        let norm = (0..n).map(|r| q[(r, j)] * q[(r, j)]).sum::<f64>().sqrt();
        for r in 0..n {
            q[(r, j)] /= norm;
        }
    }
    q
}

/// Q diag(λ) Qᵀ, exactly symmetric.
fn with_spectrum(values: &[f64], seed: u64) -> Mat<f64> {
    let n = values.len();
    let q = orthogonal(n, seed);
    let half = Mat::from_fn(n, n, |i, j| q[(i, j)] * values[j]);
    let full = &half * q.transpose();
    Mat::from_fn(n, n, |i, j| 0.5 * full[(i, j)] + 0.5 * full[(j, i)])
}

fn cast<T: Real>(a: &Mat<f64>) -> Mat<T> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| T::from_f64(a[(i, j)]))
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The wanted values of a known spectrum in the order of results.
fn expected(spectrum: &[f64], which: Which, k: usize) -> Vec<f64> {
    let ascending = sorted(spectrum.to_vec());
    let descending: Vec<f64> = ascending.iter().rev().copied().collect();
    match which {
        Which::Largest => descending[..k].to_vec(),
        Which::Smallest => ascending[..k].to_vec(),
        Which::LargestMagnitude => {
            let mut order = descending;
            order.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
            order[..k].to_vec()
        }
        Which::BothEnds => {
            let (top, n) = (k.div_ceil(2), descending.len());
            descending[..top].iter().chain(&descending[n - (k - top)..]).copied().collect()
        }
    }
}

/// Values, honest residuals, orthonormal vectors.
fn check<T: Real, A: LinearOperator<T>>(
    a: &A,
    pairs: &Eigenpairs<T>,
    want: &[f64],
    norm: f64,
    case: &str,
) {
    let magnitudes = case.contains("Magnitude");
    let n = a.dimension();
    let eps = T::EPSILON.to_f64();
    assert_eq!(pairs.status, Status::Converged, "{case}: {:?} {:?}", pairs.values, pairs.residuals);
    assert_eq!(pairs.values.len(), want.len(), "{case}");
    for (i, want) in want.iter().enumerate() {
        let (value, bound) = (pairs.values[i], pairs.error_bounds[i]);
        assert!(bound <= pairs.residuals[i], "{case}");
        // The dense reference, products and the Rayleigh quotient round by a few √n ε‖A‖.
        let allowed = bound + 20.0 * (n as f64).sqrt() * eps * norm;
        // Of ±λ either may come first.
        let (got, want) = if magnitudes { (value.abs(), want.abs()) } else { (value, *want) };
        assert!((got - want).abs() <= allowed, "{case}: value {i}: {value} for {want}, {bound:e}");
    }
    let k = want.len();
    let columns: Vec<Vec<T>> =
        (0..k).map(|j| (0..n).map(|i| pairs.vectors[(i, j)]).collect()).collect();
    let scale = if norm > 0.0 { norm } else { 1.0 };
    for (j, v) in columns.iter().enumerate() {
        let mut w = vec![T::NAN; n];
        a.apply(v, &mut w);
        let difference = |(w, v): (&T, &T)| (w.to_f64() - pairs.values[j] * v.to_f64()) / scale;
        let residual = w.iter().zip(v).map(difference).map(|d| d * d).sum::<f64>().sqrt() * scale;
        let slack = 10.0 * (n as f64).sqrt() * eps * norm;
        assert!(
            (residual - pairs.residuals[j]).abs() <= slack,
            "{case}: residual {j}: {residual:e}, reported {:e}",
            pairs.residuals[j]
        );
        for (i, u) in columns.iter().enumerate() {
            let dot: f64 = u.iter().zip(v).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
            let want = if i == j { 1.0 } else { 0.0 };
            // 1e-13·m in f64 for a space of m ≤ 60 columns, the same number of ε in f32.
            assert!((dot - want).abs() <= 450.0 * 60.0 * eps, "{case}: ({i}, {j}): {dot:e}");
        }
    }
}

fn spectra() -> Vec<(&'static str, Vec<f64>)> {
    let mut rng = StdRng::seed_from_u64(11);
    let n = 90;
    let mut repeated = vec![1.0; n];
    repeated[..12].fill(50.0);
    repeated[12..17].fill(-7.0);
    let mut rank = vec![0.0; n];
    rank[..4].copy_from_slice(&[3.0, -2.0, 1.0, 1.0]);
    vec![
        ("random", (0..n).map(|_| random(&mut rng)).collect()),
        ("clustered", (0..n).map(|i| 1.0 + 1e-4 * i as f64 / n as f64).collect()),
        ("repeated", repeated),
        ("indefinite", (0..n).map(|i| (i as f64 - 44.5).powi(3)).collect()),
        ("rank deficient", rank),
        ("geometric", (0..n).map(|i| 0.5_f64.powi(i as i32)).collect()),
        ("zero", vec![0.0; n]),
        ("identity", vec![1.0; n]),
        ("one", vec![-3.0]),
        ("two", vec![-3.0, 2.0]),
        ("three", vec![1.0, 1.0, 1.0]),
    ]
}

fn all_spectra<T: Real>() {
    for (name, spectrum) in spectra() {
        let n = spectrum.len();
        let a = cast::<T>(&with_spectrum(&spectrum, 5));
        let op = DenseOperator::new(a.as_ref()).unwrap();
        // The spectrum of the matrix as stored.
        let stored = Mat::from_fn(n, n, |i, j| a[(i, j)].to_f64());
        let values = stored.self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        let norm = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for which in [Which::Largest, Which::Smallest, Which::LargestMagnitude, Which::BothEnds] {
            for block in [1, 2, 4, 8] {
                for k in [1, 3, 8, n] {
                    if k > n || block > n || (k == n && block == 8) {
                        continue;
                    }
                    // Forty of the geometric values lie above the smallest one's tolerance, and
                    // a space must hold them all to get past them.
                    let pairs = Lanczos::new(&op)
                        .which(which, k)
                        .block(block)
                        .subspace((2 * k + 10).max(if name == "geometric" { 60 } else { 20 }))
                        .max_products(20_000)
                        .run()
                        .unwrap();
                    let case = format!("{} {name} {which:?} block {block} k {k}", T::NAME);
                    check(&op, &pairs, &expected(&values, which, k), norm, &case);
                }
            }
        }
    }
}

#[test]
fn lanczos_agrees_with_dense_algebra_in_f64() {
    all_spectra::<f64>();
}

#[test]
fn lanczos_agrees_with_dense_algebra_in_f32() {
    all_spectra::<f32>();
}

#[test]
fn a_twentyfold_eigenvalue_is_found_twenty_times() {
    // golden edge_cases two_value: A = I + 49 Q Qᵀ, 200 × 200, Q with 20 columns.
    let q = orthogonal(200, 3);
    let op = FnOperator::new(200, |x: &[f64], y: &mut [f64]| {
        y.copy_from_slice(x);
        for c in 0..20 {
            let dot: f64 = (0..200).map(|r| q[(r, c)] * x[r]).sum();
            for r in 0..200 {
                y[r] += 49.0 * dot * q[(r, c)];
            }
        }
    })
    .unwrap();
    for block in [1, 2, 4, 8] {
        for k in [20, 25] {
            let pairs = Lanczos::new(&op).largest(k).block(block).run().unwrap();
            assert!(pairs.verified);
            let mut want = vec![50.0; 20];
            want.resize(k, 1.0);
            check(&op, &pairs, &want, 50.0, &format!("block {block} k {k}"));
        }
    }
}

#[test]
fn the_largest_is_not_the_largest_in_magnitude() {
    let mut spectrum: Vec<f64> = (0..60).map(|i| i as f64 / 20.0).collect();
    spectrum.extend([-10.0, 5.0, 4.0, 3.9]);
    let a = with_spectrum(&spectrum, 9);
    let op = DenseOperator::new(a.as_ref()).unwrap();
    let run = |which, k| Lanczos::new(&op).which(which, k).run().unwrap().values;
    assert!((run(Which::Largest, 1)[0] - 5.0).abs() < 1e-12);
    assert!((run(Which::LargestMagnitude, 1)[0] + 10.0).abs() < 1e-12);
    let ends = run(Which::BothEnds, 3);
    for (got, want) in ends.iter().zip([5.0, 4.0, -10.0]) {
        assert!((got - want).abs() < 1e-10, "{ends:?}");
    }
}

#[test]
fn extreme_scales_neither_overflow_nor_underflow() {
    let spectrum: Vec<f64> = (1..=50).map(|i| f64::from(i).sqrt()).collect();
    for exponent in [-300.0, -150.0, 0.0, 150.0, 300.0] {
        let scale = 10f64.powf(exponent);
        let a = with_spectrum(&spectrum, 1);
        let a = Mat::from_fn(50, 50, |i, j| a[(i, j)] * scale);
        let op = DenseOperator::new(a.as_ref()).unwrap();
        let pairs = Lanczos::new(&op).largest(3).run().unwrap();
        let want: Vec<f64> = expected(&spectrum, Which::Largest, 3);
        assert_eq!(pairs.status, Status::Converged);
        for i in 0..3 {
            let error = (pairs.values[i] / scale - want[i]).abs();
            assert!(error < 1e-12, "{exponent}: {error:e}");
            assert!(pairs.residuals[i] / scale < 1e-7 && pairs.residuals[i] > 0.0);
        }
    }
    let a = Diagonal::new(vec![1e30_f32, 2e30, 3e30]).unwrap();
    let pairs = Lanczos::new(&a).largest(2).run().unwrap();
    assert!((pairs.values[0] / 3e30 - 1.0).abs() < 1e-6, "{pairs:?}");
    let a = Diagonal::new(vec![1e-30_f32, 2e-30, 3e-30]).unwrap();
    let pairs = Lanczos::new(&a).largest(2).run().unwrap();
    assert!((pairs.values[0] / 3e-30 - 1.0).abs() < 1e-6, "{pairs:?}");
}

/// Second difference with free ends.
fn path(n: usize) -> FnOperator<impl Fn(&[f64], &mut [f64]) + Sync> {
    FnOperator::new(n, move |x: &[f64], y: &mut [f64]| {
        for i in 0..n {
            let left = if i > 0 { x[i] - x[i - 1] } else { 0.0 };
            let right = if i + 1 < n { x[i] - x[i + 1] } else { 0.0 };
            y[i] = left + right;
        }
    })
    .unwrap()
}

#[test]
fn products_are_capped_and_the_best_pairs_are_returned() {
    let op = path(3000);
    for limit in [1, 2, 3, 4, 5, 7, 30, 100] {
        for block in [1, 4] {
            for k in [1, 5] {
                let run = Lanczos::new(&op).largest(k).block(block).max_products(limit);
                let pairs = run.run().unwrap();
                assert_eq!(pairs.status, Status::IterationLimit);
                assert!(pairs.products <= limit, "{limit}: {}", pairs.products);
                assert!(!pairs.values.is_empty() && pairs.values.len() <= k);
                for (value, residual) in pairs.values.iter().zip(&pairs.residuals) {
                    assert!((0.0..=4.0).contains(value) && *residual > 1e-6 && *residual < 3.0);
                }
            }
        }
    }
}

#[test]
fn residuals_below_rounding_are_not_claimed() {
    let a = cast::<f32>(&with_spectrum(&(0..80).map(f64::from).collect::<Vec<_>>(), 2));
    let op = DenseOperator::new(a.as_ref()).unwrap();
    let pairs = Lanczos::new(&op).largest(2).tolerance(1e-12).max_products(5000).run().unwrap();
    assert_eq!(pairs.status, Status::Stagnated);
    assert!(pairs.products < 1000, "{}", pairs.products);
    // A few roundings of a number of size 79 in each of 80 elements.
    assert!(pairs.residuals.iter().all(|&r| r > 79e-12 && r < 1e-3), "{:?}", pairs.residuals);
}

#[test]
fn deflation_and_warm_starts_save_products() {
    let op = path(400);
    let cold = Lanczos::new(&op).largest(4).max_products(5000).run().unwrap();
    assert_eq!(cold.status, Status::Converged);
    let all: Vec<f64> =
        (0..4).flat_map(|j| cold.vectors.col(j).iter().copied().collect::<Vec<_>>()).collect();
    let warm = Lanczos::new(&op).largest(4).verify(false).start(&all).max_products(5000);
    let warm = warm.run().unwrap();
    assert_eq!(warm.status, Status::Converged);
    assert!(warm.products < cold.products, "{} {}", warm.products, cold.products);
    // With the first four taken out the fifth is the largest.
    let next = Lanczos::new(&op).largest(1).deflate(&all).max_products(5000).run().unwrap();
    let angle = std::f64::consts::PI * 395.0 / 400.0;
    let want = 2.0 - 2.0 * angle.cos();
    assert!((next.values[0] - want).abs() < 1e-9, "{:?} {want}", next.values);
    let five = Lanczos::new(&op).largest(5).max_products(5000).run().unwrap();
    assert!(next.products < five.products);
}

#[test]
fn callbacks_see_progress_and_can_stop() {
    let op = path(2000);
    let mut seen = Vec::new();
    let pairs = Lanczos::new(&op)
        .largest(2)
        .callback(|p| {
            seen.push(p.products);
            if p.products >= 60 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .run()
        .unwrap();
    assert_eq!(pairs.status, Status::Interrupted);
    assert_eq!(pairs.values.len(), 2);
    assert!(pairs.products <= 62 && seen.windows(2).all(|w| w[0] < w[1]), "{seen:?}");
}

#[test]
fn bad_input_is_named() {
    let op = path(10);
    let text = |result: hesse::Result<Eigenpairs<f64>>| result.unwrap_err().to_string();
    let new = || Lanczos::new(&op);
    assert_eq!(text(new().largest(0).run()), "k: expected 1 to 10, got 0");
    assert_eq!(text(new().largest(11).run()), "k: expected 1 to 10, got 11");
    assert_eq!(text(new().largest(3).subspace(3).run()), "subspace: expected at least 4, got 3");
    for (tolerance, name) in [(0.0, "0"), (-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        assert_eq!(
            text(new().tolerance(tolerance).run()),
            format!("tolerance: expected a positive finite number, got {name}")
        );
    }
    assert_eq!(text(new().block(0).run()), "block: expected 1 to 10, got 0");
    assert_eq!(text(new().max_products(0).run()), "max_products: expected at least 1, got 0");
    assert_eq!(text(new().start(&[1.0; 9]).run()), "start vectors: expected (10, 1), got (9, 1)");
    assert_eq!(
        text(new().start(&[0.0; 10]).run()),
        "start vector 0: expected a vector that is not zero, got 0"
    );
    let mut start = [1.0; 10];
    start[3] = f64::NAN;
    assert_eq!(
        text(new().start(&start).run()),
        "start vectors: expected finite numbers, got NaN at index 3"
    );
    assert_eq!(
        text(new().deflate(&[1.0; 11]).run()),
        "deflated vectors: expected (10, 2), got (11, 1)"
    );
    let all: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 11 == 0))).collect();
    assert_eq!(text(new().deflate(&all).run()), "k: expected 1 to 0, got 1");
    let broken = FnOperator::new(10, |x: &[f64], y: &mut [f64]| {
        y.copy_from_slice(x);
        y[0] *= 2.0;
        y[7] = f64::NAN;
    })
    .unwrap();
    assert_eq!(
        text(Lanczos::new(&broken).run()),
        "product 1 of the operator: expected finite numbers, got NaN at index 7"
    );
    let skewed = FnOperator::new(10, |x: &[f64], y: &mut [f64]| {
        for i in 0..10 {
            y[i] = x[(i + 1) % 10];
        }
    })
    .unwrap();
    let error = Lanczos::new(&skewed).check_symmetry().run().unwrap_err();
    assert!(matches!(error, Error::NotSymmetric { defect } if defect > 0.01), "{error}");
    assert!(Lanczos::new(&op).check_symmetry().run().is_ok());
}

#[test]
fn operators_check_their_shapes() {
    let text = |error: Error| error.to_string();
    let wide = Mat::<f64>::zeros(2, 3);
    assert_eq!(
        text(DenseOperator::new(wide.as_ref()).unwrap_err()),
        "dense operator: expected (2, 2), got (2, 3)"
    );
    let mut a = Mat::<f64>::identity(3, 3);
    a[(2, 0)] = 0.5;
    assert!(
        matches!(DenseOperator::new(a.as_ref()), Err(Error::NotSymmetric { defect }) if defect == 0.5)
    );
    a[(2, 0)] = f64::INFINITY;
    assert_eq!(
        text(DenseOperator::new(a.as_ref()).unwrap_err()),
        "dense operator (column-major): expected finite numbers, got inf at index 2"
    );
    assert_eq!(
        text(Sum::new::<f64>(Identity::new(3).unwrap(), Identity::new(4).unwrap()).unwrap_err()),
        "second operator of a sum: expected (3, 3), got (4, 4)"
    );
    assert_eq!(
        text(FnOperator::new(0, |_: &[f64], _: &mut [f64]| ()).err().unwrap()),
        "dimension of the operator: expected at least one, got none"
    );
    assert_eq!(
        text(Scaled::new(Identity::new(3).unwrap(), f64::NAN).unwrap_err()),
        "factor of a scaled operator: expected a finite number, got NaN"
    );
    assert_eq!(
        text(Deflated::new(Diagonal::new(vec![1.0; 3]).unwrap(), &[1.0; 4]).unwrap_err()),
        "deflated vectors: expected (3, 2), got (4, 1)"
    );
}

/// A random sparse symmetric matrix with a full diagonal.
fn sparse(n: usize, seed: u64) -> (sprs::CsMat<f64>, Mat<f64>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut triplets = sprs::TriMat::new((n, n));
    let mut dense = Mat::zeros(n, n);
    for i in 0..n {
        for j in i..n {
            if i == j || rng.random::<f64>() < 0.1 {
                let value = random(&mut rng);
                triplets.add_triplet(i, j, value);
                dense[(i, j)] = value;
                if i != j {
                    triplets.add_triplet(j, i, value);
                    dense[(j, i)] = value;
                }
            }
        }
    }
    (triplets.to_csr(), dense)
}

use hesse::sprs;

#[test]
fn operators_multiply_like_their_matrices() {
    let n = 57;
    let (matrix, dense) = sparse(n, 4);
    let sparse_operator = SparseOperator::new(matrix.view()).unwrap();
    let transposed = SparseOperator::new(matrix.to_csc().view()).unwrap();
    let dense_operator = DenseOperator::new(dense.as_ref()).unwrap();
    let reversed = dense.as_ref().reverse_rows_and_cols();
    let reversed_operator = DenseOperator::new(reversed).unwrap();
    let q = orthogonal(n, 8);
    let known: Vec<f64> = (0..2).flat_map(|c| (0..n).map(move |r| (r, c))).map(|i| q[i]).collect();
    let identity = Identity::new(n).unwrap();
    let sum = Sum::new::<f64>(&sparse_operator, Scaled::new(&identity, 2.0).unwrap()).unwrap();
    let shifted = Shifted::new(&dense_operator, 2.0).unwrap();
    let deflated = Deflated::new(&sparse_operator, &known).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for k in 1..=17 {
        let x: Vec<f64> = (0..n * k).map(|_| random(&mut rng)).collect();
        let by = |a: &dyn LinearOperator<f64>| {
            let mut y = vec![f64::NAN; n * k];
            a.apply_block(&x, &mut y);
            let mut single = vec![f64::NAN; n];
            a.apply(&x[n * (k - 1)..], &mut single);
            for (a, b) in single.iter().zip(&y[n * (k - 1)..]) {
                assert!((a - b).abs() < 1e-13);
            }
            y
        };
        let product = |v: &[f64]| -> Vec<f64> {
            let rows = 0..n * (v.len() / n);
            rows.map(|i| (0..n).map(|j| dense[(i % n, j)] * v[i / n * n + j]).sum()).collect()
        };
        let close = |got: &[f64], want: &[f64], case: &str| {
            for (a, b) in got.iter().zip(want) {
                assert!((a - b).abs() < 1e-13, "{case} k {k}: {a} {b}");
            }
        };
        let want = product(&x);
        close(&by(&sparse_operator), &want, "csr");
        close(&by(&transposed), &want, "csc");
        close(&by(&dense_operator), &want, "dense");
        let plus: Vec<f64> = want.iter().zip(&x).map(|(y, x)| y + 2.0 * x).collect();
        close(&by(&sum), &plus, "sum");
        close(&by(&shifted), &plus, "shifted");
        let backward: Vec<f64> = x.chunks(n).flat_map(|x| x.iter().rev().copied()).collect();
        let want: Vec<f64> = product(&backward)
            .chunks(n)
            .flat_map(|y| y.iter().rev().copied().collect::<Vec<_>>())
            .collect();
        close(&by(&reversed_operator), &want, "reversed");
        let project = |v: &[f64]| -> Vec<f64> {
            let mut out = v.to_vec();
            for v in out.chunks_mut(n) {
                for q in known.chunks(n) {
                    let dot: f64 = q.iter().zip(&*v).map(|(a, b)| a * b).sum();
                    v.iter_mut().zip(q).for_each(|(v, q)| *v -= dot * q);
                }
            }
            out
        };
        close(&by(&deflated), &project(&product(&project(&x))), "deflated");
    }
}

#[test]
fn sparse_matrices_must_be_square_finite_and_symmetric() {
    let from = |shape: (usize, usize), entries: &[(usize, usize, f64)]| {
        let mut t = sprs::TriMat::new(shape);
        entries.iter().for_each(|&(i, j, v)| t.add_triplet(i, j, v));
        SparseOperator::new(t.to_csr::<usize>().view()).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(from((2, 3), &[]).unwrap_err(), "sparse operator: expected (2, 2), got (2, 3)");
    assert!(from((3, 3), &[(0, 2, 1.0), (2, 0, f64::NAN)]).unwrap_err().contains("got NaN"));
    for entries in [
        &[(0, 2, 1.0), (2, 0, 1.5)][..],
        &[(0, 2, 1.0)],
        &[(2, 0, 1.0)],
        &[(2, 0, 1.0), (1, 1, 3.0), (1, 0, 1.0), (0, 1, 1.0)],
        &[(0, 1, 1.0), (1, 0, 1.0), (1, 2, 1.0)],
    ] {
        assert!(from((3, 3), entries).unwrap_err().contains("symmetric"), "{entries:?}");
    }
    assert!(from((3, 3), &[(0, 2, 1.0), (2, 0, 1.0), (1, 1, 2.0)]).is_ok());
    assert!(from((3, 3), &[]).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lanczos_finds_any_spectrum(
        spectrum in prop::collection::vec(
            prop_oneof![Just(0.0), Just(1.0), Just(-1.0), -10.0..10.0f64], 1..40),
        seed in 0u64..1000,
        block in 1usize..6,
        k in 1usize..8,
        which in prop::sample::select(vec![
            Which::Largest, Which::Smallest, Which::LargestMagnitude, Which::BothEnds]),
    ) {
        let n = spectrum.len();
        let (k, block) = (k.min(n), block.min(n));
        let a = with_spectrum(&spectrum, seed);
        let op = DenseOperator::new(a.as_ref()).unwrap();
        let pairs = Lanczos::new(&op).which(which, k).block(block).seed(seed)
            .max_products(10_000).run().unwrap();
        let norm = spectrum.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        check(&op, &pairs, &expected(&spectrum, which, k), norm, &format!("{which:?}"));
    }
}

fn lobpcg_spectra<T: Real>() {
    for (name, spectrum) in spectra() {
        // One-sided ends that forty products per wanted pair can separate without a basis.
        if ["geometric", "clustered", "rank deficient"].contains(&name) {
            continue;
        }
        let n = spectrum.len();
        let a = cast::<T>(&with_spectrum(&spectrum, 5));
        let op = DenseOperator::new(a.as_ref()).unwrap();
        let stored = Mat::from_fn(n, n, |i, j| a[(i, j)].to_f64());
        let values = stored.self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        let norm = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for (which, k) in [(Which::Largest, 1), (Which::Largest, 4), (Which::Smallest, 3)] {
            if k > n {
                continue;
            }
            let solver = Lobpcg::new(&op).max_products(20_000).block((k + 6).min(n));
            let solver =
                if which == Which::Largest { solver.largest(k) } else { solver.smallest(k) };
            let case = format!("lobpcg {} {name} {which:?} {k}", T::NAME);
            check(&op, &solver.run().unwrap(), &expected(&values, which, k), norm, &case);
        }
    }
}

#[test]
fn lobpcg_agrees_with_dense_algebra() {
    lobpcg_spectra::<f64>();
    lobpcg_spectra::<f32>();
}

#[test]
fn lobpcg_gains_from_a_preconditioner_and_obeys_its_cap() {
    // −u″ + c(x) u: the diagonal is far from constant.
    let n = 400;
    let c: Vec<f64> = (0..n).map(|i| 1.0 + (i % 7) as f64 * 30.0).collect();
    let second = path(n);
    let op = Sum::new::<f64>(&second, Diagonal::new(c.clone()).unwrap()).unwrap();
    let inverse = Diagonal::new(c.iter().map(|c| 1.0 / (c + 2.0)).collect()).unwrap();
    let plain = Lobpcg::new(&op).smallest(2).max_products(20_000).run().unwrap();
    let better = Lobpcg::new(&op).smallest(2).preconditioner(&inverse).max_products(20_000);
    let better = better.run().unwrap();
    assert_eq!((plain.status, better.status), (Status::Converged, Status::Converged));
    assert!(better.products < plain.products, "{} {}", better.products, plain.products);
    assert!((better.values[0] - plain.values[0]).abs() < 1e-9);
    for limit in [4, 5, 8, 20, 50] {
        let pairs = Lobpcg::new(&second).largest(2).max_products(limit).run().unwrap();
        assert_eq!(pairs.status, Status::IterationLimit);
        assert!(pairs.products <= limit && pairs.values.len() == 2, "{limit}");
    }
    let text = |s: Lobpcg<'_, f64, _>| s.run().unwrap_err().to_string();
    assert_eq!(text(Lobpcg::new(&second).largest(0)), "k: expected 1 to 400, got 0");
    assert_eq!(
        text(Lobpcg::new(&second).largest(3).max_products(5)),
        "max_products: expected at least 6, got 5"
    );
    assert_eq!(text(Lobpcg::new(&second).largest(3).block(2)), "block: expected 3 to 400, got 2");
}

#[test]
fn power_iteration_finds_the_largest_magnitude() {
    let a = Diagonal::new(vec![1.0, 5.0, -10.0, 3.0]).unwrap();
    let pair = PowerIteration::new(&a).run::<f64>().unwrap();
    assert_eq!(pair.status, Status::Converged);
    assert!((pair.values[0] + 10.0).abs() < 1e-12 && pair.residuals[0] <= 1e-7);
    let a = Diagonal::new(vec![1.0, -1.0]).unwrap();
    let pair = PowerIteration::new(&a).max_products(50).run::<f64>().unwrap();
    assert_eq!((pair.status, pair.products), (Status::IterationLimit, 50));
}

#[test]
fn conjugate_gradients_solve_positive_definite_systems() {
    for (n, condition) in [(1, 1.0), (2, 10.0), (60, 1.0), (60, 1e3), (60, 1e6)] {
        let spectrum: Vec<f64> =
            (0..n).map(|i| f64::powf(condition, -(i as f64) / n as f64)).collect();
        let a = with_spectrum(&spectrum, 7);
        let op = DenseOperator::new(a.as_ref()).unwrap();
        let mut rng = StdRng::seed_from_u64(3);
        let x: Vec<f64> = (0..n).map(|_| random(&mut rng)).collect();
        for exponent in [-150.0, 0.0, 150.0] {
            let scale = 10f64.powf(exponent);
            let b: Vec<f64> =
                (0..n).map(|i| (0..n).map(|j| a[(i, j)] * x[j]).sum::<f64>() * scale).collect();
            let solution = ConjugateGradient::new(&op).tolerance(1e-10).solve(&b).unwrap();
            assert_eq!(solution.status, SolveStatus::Converged, "{n} {condition} {exponent}");
            let norm = |v: &[f64]| v.iter().map(|v| (v / scale).powi(2)).sum::<f64>().sqrt();
            assert!(solution.residual / scale <= 1e-10 * norm(&b));
            let error: Vec<f64> = solution.x.iter().zip(&x).map(|(a, b)| a - b * scale).collect();
            // ‖x − x*‖ ≤ ‖A⁻¹‖ ‖r‖, plus the rounding of b in the test itself.
            assert!(norm(&error) <= 1.1 * condition * (1e-10 + 1e-14) * norm(&b), "{condition}");
        }
        let b: Vec<f64> = (0..n).map(|i| (0..n).map(|j| a[(i, j)] * x[j]).sum()).collect();
        let cold = ConjugateGradient::new(&op).solve(&b).unwrap();
        let near: Vec<f64> = cold.x.iter().map(|x| x * (1.0 + 1e-7)).collect();
        let warm = ConjugateGradient::new(&op).start(&near).solve(&b).unwrap();
        assert!(warm.iterations <= cold.iterations && warm.status == SolveStatus::Converged);
        let exact = ConjugateGradient::new(&op).start(&x).solve(&b).unwrap();
        assert_eq!(exact.iterations, 0);
    }
}

#[test]
fn conjugate_gradients_name_what_they_cannot_solve() {
    let a = Diagonal::new(vec![1.0, -2.0, 3.0]).unwrap();
    let solution = ConjugateGradient::new(&a).solve(&[1.0, 1.0, 1.0]).unwrap();
    assert_eq!(solution.status, SolveStatus::Indefinite);
    let p = solution.direction.unwrap();
    let curvature = p[0] * p[0] - 2.0 * p[1] * p[1] + 3.0 * p[2] * p[2];
    assert!(curvature < 0.0 && (curvature - solution.curvature.unwrap()).abs() < 1e-14);
    // Singular, b outside the range; and inside.
    let a = Diagonal::new(vec![1.0, 0.0]).unwrap();
    let solution = ConjugateGradient::new(&a).solve(&[1.0, 1.0]).unwrap();
    assert_eq!(solution.status, SolveStatus::Singular);
    let solution = ConjugateGradient::new(&a).solve(&[1.0, 0.0]).unwrap();
    assert_eq!((solution.status, solution.x), (SolveStatus::Converged, vec![1.0, 0.0]));
    let zero = ConjugateGradient::new(&a).solve(&[0.0, 0.0]).unwrap();
    assert_eq!((zero.status, zero.x, zero.products), (SolveStatus::Converged, vec![0.0; 2], 0));
    // The limit returns the best iterate with its residual; below rounding, stagnation.
    let op = Shifted::new(path(500), 1e-3).unwrap();
    let b: Vec<f64> = (0..500).map(|i| f64::from(i % 5)).collect();
    let solution = ConjugateGradient::new(&op).max_iterations(20).solve(&b).unwrap();
    assert_eq!((solution.status, solution.iterations), (SolveStatus::IterationLimit, 20));
    let mut y = vec![0.0; 500];
    op.apply(&solution.x, &mut y);
    let true_residual = y.iter().zip(&b).map(|(y, b)| (b - y).powi(2)).sum::<f64>().sqrt();
    assert!((true_residual - solution.residual).abs() < 1e-10 * true_residual);
    let solution = ConjugateGradient::new(&op).tolerance(1e-18).solve(&b).unwrap();
    assert_eq!(solution.status, SolveStatus::Stagnated);
    assert!(solution.residual < 1e-9);
    let text =
        |r: hesse::Result<_>| r.map(|_: hesse::krylov::Solution<f64>| ()).unwrap_err().to_string();
    assert_eq!(
        text(ConjugateGradient::new(&op).solve(&[1.0])),
        "right-hand side: expected 500, got 1"
    );
    assert_eq!(
        text(ConjugateGradient::new(&op).start(&[1.0]).solve(&b)),
        "start vector: expected 500, got 1"
    );
    assert_eq!(
        text(ConjugateGradient::new(&op).tolerance(0.0).solve(&b)),
        "tolerance: expected a positive finite number, got 0"
    );
    assert_eq!(
        text(ConjugateGradient::new(&op).max_iterations(0).solve(&b)),
        "max_iterations: expected at least 1, got 0"
    );
    let negative = Scaled::new(Identity::new(500).unwrap(), -1.0).unwrap();
    let error = text(ConjugateGradient::new(&op).preconditioner(&negative).solve(&b));
    assert!(error.starts_with("preconditioner: expected positive definite"), "{error}");
}

#[test]
fn a_preconditioner_saves_steps() {
    let n = 300;
    let c: Vec<f64> = (0..n).map(|i| 1.0 + f64::from(i * i) / 10.0).collect();
    let op = Sum::new::<f64>(path(n as usize), Diagonal::new(c.clone()).unwrap()).unwrap();
    let inverse = Diagonal::new(c.iter().map(|c| 1.0 / (c + 2.0)).collect()).unwrap();
    let b: Vec<f64> = (0..n).map(|i| f64::from(i % 3)).collect();
    let plain = ConjugateGradient::new(&op).solve(&b).unwrap();
    let better = ConjugateGradient::new(&op).preconditioner(&inverse).solve(&b).unwrap();
    assert_eq!(better.status, SolveStatus::Converged);
    assert!(2 * better.iterations < plain.iterations);
}

/// A cube grid's Laplacian: eigenvalues known, many of them threefold.
fn grid(edge: usize) -> (SparseOperator<f64>, Vec<f64>) {
    let n = edge.pow(3);
    let mut triplets = sprs::TriMat::new((n, n));
    for i in 0..n {
        let mut degree = 0.0;
        for stride in [1, edge, edge * edge] {
            let x = i / stride % edge;
            if x > 0 {
                triplets.add_triplet(i, i - stride, -1.0);
                degree += 1.0;
            }
            if x + 1 < edge {
                triplets.add_triplet(i, i + stride, -1.0);
                degree += 1.0;
            }
        }
        triplets.add_triplet(i, i, degree);
    }
    let angle = |j: usize| std::f64::consts::PI * j as f64 / edge as f64;
    let one: Vec<f64> = (0..edge).map(|j| 2.0 - 2.0 * angle(j).cos()).collect();
    let all = (0..n).map(|i| one[i % edge] + one[i / edge % edge] + one[i / edge / edge]).collect();
    (SparseOperator::new(triplets.to_csr::<usize>().view()).unwrap(), all)
}

#[test]
fn filters_find_the_same_pairs() {
    let (op, spectrum) = grid(24);
    for which in [Which::Largest, Which::Smallest] {
        for block in [1, 4] {
            let run = |filter| {
                Lanczos::new(&op).which(which, 10).block(block).filter(filter).run().unwrap()
            };
            let (plain, filtered) = (run(false), run(true));
            assert_eq!(plain.stats.filter_degree, 1);
            assert!(filtered.stats.filter_degree > 3, "{:?}", filtered.stats);
            let want = expected(&spectrum, which, 10);
            check(&op, &plain, &want, 12.0, &format!("plain {which:?} {block}"));
            check(&op, &filtered, &want, 12.0, &format!("filtered {which:?} {block}"));
        }
    }
}
