//! Traces: golden values, exactness, statistics, edges.

mod npz;
mod operators;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use faer::{Mat, MatRef};
use hesse::krylov::{DiagonalEstimator, Estimate, EstimateStatus, Probes, Trace, TraceEstimate};
use operators::{Dense, Diagonal, Normals, dot, on_threads, orthonormal, outliers};
use proptest::prelude::*;

const METHODS: [fn(usize) -> Trace<'static>; 4] =
    [Trace::hutchinson, Trace::hutchpp, Trace::xtrace, Trace::xnystrace];

fn close(what: &str, got: f64, want: f64, bound: f64) {
    assert!((got - want).abs() <= bound, "{what}: got {got}, want {want}, bound {bound:e}");
}

#[test]
fn golden() {
    let arrays = npz::golden("flatness/lanczos_trace_slq.npz");
    let array = |name: &str| arrays[name].1.as_slice();
    let n = 120;
    let a = Dense::from_triangle(n, array("A_tri"));
    // Each sum has n² products of size up to |ω||A||ω| = n λ, in another order than the reference.
    let bound = 25.0 * n as f64 * f64::EPSILON * 64.0;
    close("exact", Trace::exact().run(&a).unwrap().value, array("trace")[0], bound);

    let probes = MatRef::from_row_major_slice(array("probes"), n, 24);
    let got = Trace::hutchinson(24).run_with(&a, probes).unwrap();
    close("hutchinson", got.value, array("hutchinson")[0], bound);
    for (j, (got, want)) in got.terms.iter().zip(array("hutchinson_terms")).enumerate() {
        close(&format!("hutchinson term {j}"), *got, *want, bound);
    }
    let got = DiagonalEstimator::new(24).run_with(&a, probes).unwrap();
    for (i, (got, want)) in got.values.iter().zip(array("hutch_diag")).enumerate() {
        close(&format!("diagonal {i}"), *got, *want, bound);
    }

    // An ill-conditioned sketch turns its basis by ε κ; the trace on it moves by less.
    let got = Trace::hutchpp(24).run_with(&a, probes.subcols(0, 16)).unwrap();
    close("hutchpp", got.value, array("hutchpp")[0], 10.0 * bound);

    let probes = MatRef::from_row_major_slice(array("xtrace_probes"), n, 12);
    let got = Trace::xtrace(24).run_with(&a, probes).unwrap();
    close("xtrace", got.value, array("xtrace")[0], 10.0 * bound);
    // The paper's error, which takes the terms for independent; ours adds their covariance, if any.
    let error = Estimate::of(&got.terms).standard_error;
    close("xtrace_err", error, array("xtrace_err")[0], 10.0 * bound);
    assert!(got.standard_error >= error);
    close("xtrace, truth", got.value, array("trace")[0], 3.0 * got.standard_error);
    for (i, (got, want)) in got.terms.iter().zip(array("xtrace_terms")).enumerate() {
        close(&format!("xtrace term {i}"), *got, *want, 10.0 * bound);
    }
    assert_eq!((got.samples, got.products), (12, 24));
    let plain = Trace::xtrace(24).probes(Probes::Rademacher).run_with(&a, probes).unwrap();
    close("xtrace_plain", plain.value, array("xtrace_plain")[0], 10.0 * bound);
    let error = Estimate::of(&plain.terms).standard_error;
    close("xtrace_plain_err", error, array("xtrace_plain_err")[0], 10.0 * bound);
}

#[test]
fn signs_are_exact_for_a_diagonal_operator() {
    for n in [1, 2, 3, 50] {
        let a = Diagonal((0..n).map(|i| i as f64 - 20.0).collect());
        let trace: f64 = a.0.iter().sum();
        for m in [1, 2, 7, 70] {
            let got = Trace::hutchinson(m).seed(3).run(&a).unwrap();
            close("trace", got.value, trace, 1e-12);
            assert_eq!(got.products, m);
        }
        let got = DiagonalEstimator::new(3).run(&a).unwrap();
        assert_eq!((got.values, got.standard_errors), (a.0, vec![0.0; n]));
    }
}

#[test]
fn the_diagonal_and_its_errors() {
    let a = Dense::with_spectrum(&outliers(80), 5);
    let got = DiagonalEstimator::new(200).seed(2).run(&a).unwrap();
    let mut beyond = 0;
    for i in 0..a.n {
        let (diagonal, row) = (a.elements[i * (a.n + 1)], &a.elements[i * a.n..(i + 1) * a.n]);
        // Variance Σⱼ Aᵢⱼ² − Aᵢᵢ²; a sample variance of 200 is within 50 % of it.
        let variance = (dot(row, row) - diagonal * diagonal) / 200.0;
        let stated = got.standard_errors[i].powi(2);
        assert!((0.5..2.0).contains(&(stated / variance)), "{i}: {stated} {variance}");
        beyond += usize::from((got.values[i] - diagonal).abs() > 3.0 * got.standard_errors[i]);
    }
    assert!(beyond <= 4, "{beyond} of 80 elements beyond three standard errors");
}

/// The methods that are exact below a rank find it, with an error of rounding size.
#[test]
fn low_rank_is_exact() {
    let n = 90;
    for (signs, methods) in [(true, &METHODS[1..3]), (false, &METHODS[1..4])] {
        for rank in [0, 1, 5, 9] {
            let sign = |i: usize| if signs && i % 2 == 1 { -1.0 } else { 1.0 };
            let value = |i: usize| if i < rank { sign(i) * (1.0 + 3.0 * i as f64) } else { 0.0 };
            let spectrum: Vec<f64> = (0..n).map(value).collect();
            let trace: f64 = spectrum.iter().sum();
            let a = Dense::with_spectrum(&spectrum, 1 + rank as u64);
            for method in methods {
                let context = format!("{method:?}, rank {rank}", method = method(30));
                // Norm 28; the residual probes have norm √n, and their terms rounding √n ε ‖A‖.
                let bound = 28.0 * n as f64 * 16.0 * f64::EPSILON;
                let got = method(30).seed(4).run(&a).unwrap();
                close(&context, got.value, trace, bound);
                assert!(got.standard_error <= bound, "{context}: {}", got.standard_error);
                let single = method(30).seed(4).run(&a.single()).unwrap();
                let bound = 28.0 * n as f64 * 16.0 * f64::from(f32::EPSILON);
                close(&format!("{context}, f32"), single.value, trace, bound);
            }
        }
    }
}

fn runs(a: &Dense<f64>, trace: &Trace<'_>, seeds: u64) -> Vec<TraceEstimate> {
    (0..seeds).map(|seed| trace.clone().seed(1000 + seed).run(a).unwrap()).collect()
}

fn root_mean_square_error(runs: &[TraceEstimate], truth: f64) -> f64 {
    (runs.iter().map(|r| (r.value - truth).powi(2)).sum::<f64>() / runs.len() as f64).sqrt()
}

#[test]
fn hutchinson_has_the_mean_and_the_variance_of_the_theorem() {
    let n = 60;
    let a = Dense::with_spectrum(&outliers(n), 2);
    let (m, seeds) = (10, 400);
    let square: f64 = dot(&a.elements, &a.elements);
    let diagonal: f64 = a.elements.iter().step_by(n + 1).map(|d| d * d).sum();
    let trace = a.trace();
    // On the sphere E (ωᵀAω)² = n/(n + 2)·((tr A)² + 2‖A‖²).
    let sphere = n as f64 / (n + 2) as f64 * (trace * trace + 2.0 * square) - trace * trace;
    for (probes, variance) in
        [(Probes::Rademacher, 2.0 * (square - diagonal)), (Probes::Sphere, sphere)]
    {
        let runs = runs(&a, &Trace::hutchinson(m).probes(probes), seeds);
        let variance = variance / m as f64;
        let mean = runs.iter().map(|r| r.value).sum::<f64>() / seeds as f64;
        close("mean", mean, trace, 4.0 * (variance / seeds as f64).sqrt());
        let observed =
            runs.iter().map(|r| (r.value - mean).powi(2)).sum::<f64>() / (seeds - 1) as f64;
        assert!((observed / variance - 1.0).abs() < 0.25, "{probes:?}: {observed} {variance}");
        let stated = runs.iter().map(|r| r.standard_error.powi(2)).sum::<f64>() / seeds as f64;
        assert!((stated / variance - 1.0).abs() < 0.1, "{probes:?}: stated {stated} {variance}");
    }
}

/// Coverage: the truth is within three stated standard errors. 0.997 for a normal error of known
/// spread, 0.98 to 0.99 with ten to twenty terms.
#[test]
fn stated_errors_cover_the_truth_in_95_of_100_seeds() {
    let n = 100;
    let spectra: [(&str, Vec<f64>); 4] = [
        ("outliers", outliers(n)),
        ("flat", (0..n).map(|i| 1.0 + 0.01 * i as f64).collect()),
        ("power law", (1..=n).map(|i| 1.0 / (i * i) as f64).collect()),
        ("indefinite", (0..n).map(|i| (i as f64 * 0.7).sin() * (1 + i / 20) as f64).collect()),
    ];
    for (name, spectrum) in spectra {
        let a = Dense::with_spectrum(&spectrum, 3);
        let methods = if name == "indefinite" { &METHODS[..3] } else { &METHODS[..] };
        for method in methods {
            let (trace, seeds) = (method(48), 200);
            let runs = runs(&a, &trace, seeds);
            let covers = |r: &&TraceEstimate| (r.value - a.trace()).abs() <= 3.0 * r.standard_error;
            let covered = runs.iter().filter(covers).count();
            assert!(covered as u64 * 100 >= 95 * seeds, "{name} {trace:?}: {covered} of {seeds}");
        }
    }
}

#[test]
fn low_rank_first_beats_hutchinson_on_outliers_and_states_its_spread() {
    let a = Dense::with_spectrum(&outliers(200), 8);
    let (truth, seeds) = (a.trace(), 60);
    let [plain, pp, x, nystrom] = METHODS.map(|method| runs(&a, &method(60), seeds));
    let reference = root_mean_square_error(&plain, truth);
    for (name, runs) in [("hutchpp", &pp), ("xtrace", &x), ("xnystrace", &nystrom)] {
        let error = root_mean_square_error(runs, truth);
        assert!(2.0 * error <= reference, "{name}: {error} against {reference}");
        assert!(4.0 * error <= reference || name == "hutchpp", "{name}: {error}, {reference}");
    }
}

/// The mean square of the stated error is the variance: within 20 %, where 400 seeds say it to 7 %.
/// (An error that took the terms for independent would be off by 1.7 for XTrace, 6 for XNysTrace.)
#[test]
fn stated_errors_are_the_observed_spread() {
    let a = Dense::with_spectrum(&outliers(100), 3);
    for method in METHODS {
        let runs = runs(&a, &method(48), 400);
        let observed = root_mean_square_error(&runs, a.trace()).powi(2);
        let stated = runs.iter().map(|r| r.standard_error.powi(2)).sum::<f64>() / 400.0;
        assert!((stated / observed - 1.0).abs() < 0.2, "{:?}: {stated} {observed}", method(48));
    }
}

#[test]
fn a_tolerance_stops_hutchinson_on_its_standard_error() {
    let a = Dense::with_spectrum(&outliers(100), 8);
    let got = Trace::hutchinson(10_000).tolerance(0.05, 0.0).seed(1).run(&a).unwrap();
    assert_eq!(got.status, EstimateStatus::Converged);
    assert!(got.standard_error <= 0.05 * got.value && got.samples >= 8 && got.samples < 1000);
    assert!((got.value - a.trace()).abs() <= 4.0 * got.standard_error);
    // Negative traces as well, and an absolute tolerance.
    let got = Trace::hutchinson(10_000).tolerance(0.05, 0.0).seed(1).run(&a.scaled(-1.0)).unwrap();
    assert_eq!(got.status, EstimateStatus::Converged);
    let got = Trace::hutchinson(10_000).tolerance(0.0, 30.0).run(&a).unwrap();
    assert!(got.standard_error <= 30.0 && got.status == EstimateStatus::Converged);
    let got = Trace::hutchinson(16).tolerance(1e-9, 0.0).run(&a).unwrap();
    assert_eq!((got.status, got.samples), (EstimateStatus::BudgetSpent, 16));
    // Never on fewer than eight probes, even if the first ones agree.
    let got = Trace::hutchinson(100).block(3).tolerance(1.0, 1.0).run(&Diagonal(vec![1.0; 5]));
    assert_eq!(got.unwrap().products, 9);
}

#[test]
fn small_operators() {
    for m in [6, 12] {
        for method in METHODS {
            for elements in [vec![3.0], vec![0.0], vec![2.0, 1.0, 1.0, 2.0], vec![0.0; 4]] {
                let n = elements.len().isqrt();
                let a = Dense { n, elements };
                let got = method(m).run(&a).unwrap();
                let hutchinson = matches!(got.status, EstimateStatus::BudgetSpent);
                assert_eq!(got.products, if hutchinson { m } else { n });
                let slack = if hutchinson { 4.0 * got.standard_error } else { 0.0 };
                close("small", got.value, a.trace(), slack + 1e-14);
            }
        }
    }
    // Zero and rank-one operators that are larger than the budget.
    for scale in [0.0, 2.0, -2.0] {
        let u: Vec<f64> = (0..40).map(|i| (i as f64).cos()).collect();
        let elements = (0..1600).map(|e| scale * u[e % 40] * u[e / 40]).collect();
        let a = Dense { n: 40, elements };
        for method in &METHODS[1..if scale < 0.0 { 3 } else { 4 }] {
            let got = method(6).run(&a).unwrap();
            close("rank one", got.value, a.trace(), 1e-12);
            assert!(got.standard_error <= 1e-12);
        }
    }
}

/// A power of two changes nothing but the exponent, and 10^±150 nothing but rounding.
#[test]
fn any_scale() {
    let a = Dense::with_spectrum(&outliers(60), 8);
    for method in METHODS {
        let trace = method(24).seed(5);
        let want = trace.run(&a).unwrap();
        for exponent in [-900, -500, 500, 900] {
            let factor = 2_f64.powi(exponent);
            let got = trace.run(&a.scaled(factor)).unwrap();
            assert_eq!(got.value, want.value * factor, "{trace:?} at 2^{exponent}");
            assert_eq!(got.standard_error, want.standard_error * factor);
        }
        for factor in [1e-150, 1e150] {
            let got = trace.run(&a.scaled(factor)).unwrap();
            close("scaled", got.value / factor, want.value, 1e-10 * want.value);
        }
        let single = trace.run(&a.single()).unwrap();
        close("f32", single.value, want.value, 60.0 * 15.0 * 8.0 * f64::from(f32::EPSILON));
    }
    let diagonal = DiagonalEstimator::new(10).run(&a).unwrap().values;
    let large = DiagonalEstimator::new(10).run(&a.scaled(2_f64.powi(900))).unwrap().values;
    assert!(diagonal.iter().zip(&large).all(|(a, b)| a * 2_f64.powi(900) == *b));
    // A trace that no number holds is an error, not an infinity.
    let error = Trace::exact().run(&Diagonal(vec![1.5e308; 2])).unwrap_err().to_string();
    assert_eq!(error, "trace: expected finite numbers, got inf at index 0");
}

#[test]
fn same_bits_for_any_number_of_threads_and_the_same_value_for_any_block() {
    // More than one shard of rows. The panels add in another order for another number of columns.
    let a = Diagonal(outliers(5000));
    for method in METHODS {
        let run = |threads, block| {
            let trace = method(24).probes(Probes::Sphere).seed(9).block(block);
            let got = on_threads(threads, || trace.run(&a).unwrap());
            (got.value, got.standard_error)
        };
        let want = run(1, 8);
        for threads in [2, 3, 7] {
            assert_eq!(run(threads, 8), want, "{threads} threads");
        }
        for block in [1, 5, 100] {
            let got = run(2, block);
            close("value", got.0, want.0, 1e-11 * want.0);
            close("standard error", got.1, want.1, 1e-8 * want.0);
        }
    }
}

#[test]
fn a_callback_sees_every_block_and_can_stop() {
    let a = Dense::with_spectrum(&outliers(60), 8);
    for method in [Trace::hutchinson, Trace::hutchpp, Trace::xtrace, Trace::xnystrace] {
        for limit in [4, 12, 20] {
            let calls = AtomicUsize::new(0);
            let stop = |p: hesse::krylov::EstimateProgress| {
                calls.fetch_add(1, Ordering::Relaxed);
                assert_eq!(p.budget, 24);
                if p.products >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let got = method(24).block(4).progress(&stop).run(&a).unwrap();
            assert_eq!(got.status, EstimateStatus::Interrupted);
            assert_eq!((got.products, calls.into_inner()), (limit, limit / 4));
            assert!(got.standard_error > 0.0 && got.standard_error.is_finite());
            // Student's t of 3 degrees of freedom, the fewest here, is beyond 13 once in a thousand.
            close("interrupted", got.value, a.trace(), 13.0 * got.standard_error);
        }
    }
    let stop = |_: hesse::krylov::EstimateProgress| ControlFlow::Break(());
    let got = Trace::exact().block(4).progress(&stop).run(&a).unwrap();
    assert_eq!((got.status, got.samples), (EstimateStatus::Interrupted, 4));
    assert_eq!(got.standard_error, f64::INFINITY);
    let got = DiagonalEstimator::new(9).block(2).progress(&stop).run(&a).unwrap();
    assert_eq!((got.status, got.samples), (EstimateStatus::Interrupted, 2));
}

#[test]
fn bad_input_is_named() {
    let a = Diagonal(vec![1.0; 40]);
    let text = |trace: Trace<'_>| trace.run(&a).unwrap_err().to_string();
    let cases = [
        (text(Trace::hutchinson(0)), "products: expected at least 1, got 0"),
        (text(Trace::hutchpp(0)), "products: expected a positive multiple of 3, got 0"),
        (text(Trace::hutchpp(10)), "products: expected a positive multiple of 3, got 10"),
        (text(Trace::xtrace(7)), "products: expected a positive even number, got 7"),
        (text(Trace::xnystrace(0)), "products: expected at least 1, got 0"),
        (text(Trace::exact().block(0)), "block: expected at least 1, got 0"),
        (
            text(Trace::hutchinson(9).tolerance(-1.0, 0.0)),
            "relative tolerance: expected a finite number, at least 0, got -1",
        ),
        (
            text(Trace::hutchinson(9).tolerance(0.0, f64::NAN)),
            "absolute tolerance: expected a finite number, at least 0, got NaN",
        ),
        (
            text(Trace::xtrace(8).tolerance(0.1, 0.0)),
            "method with a tolerance: expected Hutchinson, got XTrace",
        ),
        (
            text(Trace::xnystrace(8).probes(Probes::Rademacher)),
            "probes of xnystrace: expected Sphere, got Rademacher",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    let given = |trace: Trace<'_>, rows, columns| {
        let probes = Mat::<f64>::from_fn(rows, columns, |i, j| ((i + 3 * j) as f64).sin());
        trace.run_with(&a, probes.as_ref()).unwrap_err().to_string()
    };
    assert_eq!(given(Trace::hutchpp(9), 40, 3), "probes: expected (40, 6), got (40, 3)");
    assert_eq!(
        given(Trace::xtrace(82), 40, 41),
        "probes in the basis: expected at most 40, got 41"
    );
    let probes = Mat::<f64>::ones(40, 2);
    let error = Trace::xnystrace(2).run_with(&a, probes.as_ref()).unwrap_err().to_string();
    assert_eq!(error, "probes: expected linearly independent vectors, got dependent ones");
    let probes = Mat::<f64>::from_fn(40, 1, |_, _| f64::INFINITY);
    let error = Trace::hutchinson(1).run_with(&a, probes.as_ref()).unwrap_err().to_string();
    assert_eq!(error, "probe 0: expected finite numbers, got inf at index 0");

    let empty = Trace::hutchinson(3).run(&Diagonal(vec![])).unwrap_err().to_string();
    assert_eq!(empty, "rows of the operator: expected at least one, got none");
    let broken = Diagonal((0..40).map(|i| if i == 7 { f64::NAN } else { 1.0 }).collect());
    for trace in METHODS.map(|method| method(12)).into_iter().chain([Trace::exact().block(40)]) {
        let error = trace.run(&broken).unwrap_err().to_string();
        assert_eq!(error, "product 1: expected finite numbers, got NaN at index 7");
    }
    let negative = Diagonal((0..40).map(|i| if i < 20 { -1.0 } else { 0.5 }).collect());
    let error = Trace::xnystrace(12).run(&negative).unwrap_err().to_string();
    assert!(error.starts_with("operator of xnystrace: expected a positive semidefinite one, got "));

    let text = |d: DiagonalEstimator<'_>| d.run(&a).unwrap_err().to_string();
    assert_eq!(text(DiagonalEstimator::new(0)), "products: expected at least 1, got 0");
    assert_eq!(text(DiagonalEstimator::new(1).block(0)), "block: expected at least 1, got 0");
    let probes = Mat::<f64>::from_fn(40, 1, |_, _| 0.5);
    let error = DiagonalEstimator::new(1).run_with(&a, probes.as_ref()).unwrap_err().to_string();
    assert_eq!(error, "element 0 of probe 0: expected 1 or -1, got 0.5");
}

/// tr(QᵀAQ) with its residual, straight from the definition.
fn with_basis(a: &Dense<f64>, q: &[Vec<f64>], probe: &[f64], sphere: bool) -> f64 {
    let low_rank: f64 = q.iter().map(|q| dot(q, &a.times(q))).sum();
    let mut rest = probe.to_vec();
    for _ in 0..2 {
        for q in q {
            let h = dot(q, &rest);
            rest.iter_mut().zip(q).for_each(|(r, q)| *r -= h * q);
        }
    }
    let left = dot(&rest, &rest);
    if left < 1e-20 * dot(probe, probe) {
        return low_rank;
    }
    let scale = if sphere { (a.n - q.len()) as f64 / left } else { 1.0 };
    low_rank + scale * dot(&rest, &a.times(&rest))
}

fn random_matrix(n: usize, rank: usize, seed: u64) -> Dense<f64> {
    let mut normals = Normals(seed);
    let spectrum: Vec<f64> =
        (0..n).map(|i| if i < rank { 2.0 * normals.draw() } else { 0.0 }).collect();
    Dense::with_spectrum(&spectrum, seed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// XTrace is its leave-one-out definition: also where probes repeat, and where the rank of A
    /// is below, at and above the number of probes.
    #[test]
    fn xtrace_is_its_definition(
        n in 6_usize..16, k in 1_usize..6, rank in 1_usize..16, seed in 0_u64..1000,
        repeated in any::<bool>(), sphere in any::<bool>(),
    ) {
        let a = random_matrix(n, rank.min(n), seed);
        let mut normals = Normals(seed + 1);
        let mut probes: Vec<Vec<f64>> =
            (0..k).map(|_| (0..n).map(|_| normals.draw()).collect()).collect();
        if repeated && k > 2 {
            probes[k - 1] = probes[0].iter().map(|x| -2.0 * x).collect();
        }
        let matrix = Mat::from_fn(n, k, |i, j| probes[j][i]);
        let kind = if sphere { Probes::Sphere } else { Probes::Rademacher };
        let got = Trace::xtrace(2 * k).probes(kind).run_with(&a, matrix.as_ref()).unwrap();
        for i in 0..k {
            let others: Vec<_> =
                (0..k).filter(|j| *j != i).map(|j| a.times(&probes[j])).collect();
            let want = with_basis(&a, &orthonormal(&others), &probes[i], sphere);
            let bound = 1e-8 * (1.0 + want.abs());
            prop_assert!((got.terms[i] - want).abs() <= bound, "{} {want}", got.terms[i]);
        }
    }

    #[test]
    fn hutchpp_is_its_definition(n in 6_usize..16, k in 1_usize..5, seed in 0_u64..1000) {
        let a = random_matrix(n, n, seed);
        let mut normals = Normals(seed + 1);
        let probes: Vec<Vec<f64>> =
            (0..2 * k).map(|_| (0..n).map(|_| normals.draw()).collect()).collect();
        let matrix = Mat::from_fn(n, 2 * k, |i, j| probes[j][i]);
        let got = Trace::hutchpp(3 * k).run_with(&a, matrix.as_ref()).unwrap();
        let sketch: Vec<_> = probes[..k].iter().map(|p| a.times(p)).collect();
        let q = orthonormal(&sketch);
        for i in 0..k {
            let want = with_basis(&a, &q, &probes[k + i], false);
            prop_assert!((got.terms[i] - want).abs() <= 1e-8 * (1.0 + want.abs()));
        }
    }

    /// XNysTrace is its leave-one-out definition: Âᵢ by eliminating one probe after the other.
    #[test]
    fn xnystrace_is_its_definition(n in 6_usize..16, k in 1_usize..6, seed in 0_u64..1000) {
        let mut normals = Normals(seed);
        let spectrum: Vec<f64> = (0..n).map(|_| 0.5 + normals.draw().abs()).collect();
        let a = Dense::with_spectrum(&spectrum, seed);
        let probes: Vec<Vec<f64>> =
            (0..k).map(|_| (0..n).map(|_| normals.draw()).collect()).collect();
        let matrix = Mat::from_fn(n, k, |i, j| probes[j][i]);
        let got = Trace::xnystrace(k).run_with(&a, matrix.as_ref()).unwrap();
        for i in 0..k {
            // The residual A − Â after eliminating a probe p is A − (Ap)(Ap)ᵀ/(pᵀAp).
            let mut residual = a.clone();
            for p in (0..k).filter(|j| *j != i).map(|j| &probes[j]) {
                let y = residual.times(p);
                let pivot = dot(p, &y);
                for (e, x) in residual.elements.iter_mut().enumerate() {
                    *x -= y[e % n] * y[e / n] / pivot;
                }
            }
            let others: Vec<_> = (0..k).filter(|j| *j != i).map(|j| probes[j].clone()).collect();
            let q = orthonormal(&others);
            let left = dot(&probes[i], &probes[i])
                - q.iter().map(|q| dot(q, &probes[i]).powi(2)).sum::<f64>();
            let quadratic = dot(&probes[i], &residual.times(&probes[i]));
            let want = a.trace() - residual.trace() + (n - k + 1) as f64 / left * quadratic;
            prop_assert!((got.terms[i] - want).abs() <= 1e-8 * want.abs(), "{} {want}", got.terms[i]);
        }
    }
}
