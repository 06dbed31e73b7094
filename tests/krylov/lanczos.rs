//! Lanczos: every end, every kind of spectrum, copies, scales, limits, bad input.

use std::ops::ControlFlow;

use faer::Mat;
use hesse::krylov::{
    DenseOperator, Diagonal, Eigenpairs, FnOperator, Lanczos, SparseOperator, Status, Which,
};
use hesse::{Error, Real};
use proptest::prelude::*;

use super::{cast, check, expected, orthogonal, path, spectra, with_spectrum};

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

/// A filter turns the order of the smallest values round: what else there is was looked for at the wrong
/// end of the search for copies.
#[test]
fn copies_are_found_through_a_filter() {
    let first = [-0.999, 0.523, -1.0, 0.0, 1.0, 9.617, -1.0, -1.0, 0.0, 1.0];
    let second = [5.31, -1.0, 9.77, -1.0, 0.0, 1.0, 0.0, 6.48, 1.0, 5.26, -1.0, -0.44];
    let mut filtered = 0;
    for (spectrum, norm) in [(&first[..], 9.617), (&second, 9.77)] {
        for seed in 0..200 {
            let a = with_spectrum(spectrum, seed);
            let op = DenseOperator::new(a.as_ref()).unwrap();
            let search = Lanczos::new(&op).smallest(3).block(2).seed(seed);
            let pairs = search.run().unwrap();
            filtered += usize::from(pairs.stats.filter_degree > 1);
            check(&op, &pairs, &[-1.0; 3], norm, &format!("seed {seed}"));
        }
    }
    assert!(filtered > 10, "{filtered}");
}
