//! The proven gap of P1 beside the true one.

use std::ops::ControlFlow;

use hesse::connectome::{
    Connectome, Observed, Preconditioner, Smoothing, SmoothingOperator, Solver, SplineRegression,
    Status, TracingData, VoxelMask,
};
use hesse::faer::Mat;

use crate::full::{entries, small_problems};
use crate::golden::{Golden, path};

/// Converged, within the gap, and the true gap is no more than the proven one.
fn holds(case: &str, fit: &Connectome, gap: f64, minimum: f64) {
    assert_eq!(fit.status, Status::Converged, "{case}");
    let truth = (fit.objective - minimum) / minimum;
    assert!(fit.gap <= gap && truth <= fit.gap + 1e-12, "{case}: {truth:e}, proven {:e}", fit.gap);
    // Feasible, so not below the minimum either.
    assert!(truth >= -1e-9, "{case}: {truth:e}");
}

#[test]
fn a_proven_gap_is_no_less_than_the_true_one() {
    let golden = Golden::read("p1_small");
    for (case, lx, ly) in small_problems(&golden) {
        let data = golden.data(&format!("{case}_"));
        let minimum = golden.scalar(&format!("{case}_f"));
        for gap in [1e-1, 1e-4, 1e-8] {
            for preconditioner in
                [Preconditioner::Auto, Preconditioner::UnmaskedSpectral { rho: None }]
            {
                let fit = SplineRegression::new()
                    .lambda(golden.scalar(&format!("{case}_lam")))
                    .preconditioner(preconditioner)
                    .tol_gap(gap)
                    .fit(&data, &lx, &ly)
                    .unwrap();
                holds(&format!("{case}, {gap:e}"), &fit, gap, minimum);
            }
        }
    }
}

#[test]
fn the_toy_and_its_sylvester_equation_end_at_a_proven_gap() {
    let golden = Golden::read("toy1d");
    let (data, l) = (golden.data(""), path(200));
    let toy = |gap| {
        SplineRegression::new()
            .lambda(golden.scalar("lam"))
            .tol_gap(gap)
            .fit(&data, &l, &l)
            .unwrap()
    };
    let (rough, fine) = (toy(1e-2), toy(1e-5));
    holds("toy, 1e-2", &rough, 1e-2, golden.scalar("p1_f"));
    holds("toy, 1e-5", &fine, 1e-5, golden.scalar("p1_f"));
    assert!(rough.rounds < fine.rounds);
    let golden = Golden::read("unconstrained");
    let fit = SplineRegression::new()
        .lambda_eff(golden.scalar("lam_eff"))
        .nonnegative(false)
        .preconditioner(Preconditioner::UnmaskedSpectral { rho: None })
        .tol_gap(1e-6)
        .fit(&golden.data(""), &path(30), &path(40))
        .unwrap();
    holds("any sign", &fit, 1e-6, golden.scalar("f"));
}

#[test]
fn cosines_prove_gaps_on_boxes() {
    // Eigenvalues of boxes do not come in order, and many are the same.
    let (lx, ly) = (SmoothingOperator::of_box(&[4, 5]), SmoothingOperator::of_box(&[3, 2, 4]));
    let (lx, ly) = (lx.unwrap(), ly.unwrap());
    let x = Mat::from_fn(20, 4, |s, e| if s / 5 == e { 0.3 + 0.1 * (s % 5) as f64 } else { 0.0 });
    let y = Mat::from_fn(24, 4, |t, e| ((13 * t + 29 * e) as f64).sin() + 0.4);
    let observed = Observed::where_observed(24, 4, |t, e| (t + 3 * e) % 7 != 0);
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .observed(observed)
        .build()
        .unwrap();
    let regression = |signs| SplineRegression::new().lambda(0.5).nonnegative(signs);
    for signs in [true, false] {
        let exact = regression(signs)
            .preconditioner(Preconditioner::Exact)
            .tol_kkt(1e-11)
            .fit(&data, &lx, &ly)
            .unwrap();
        assert_eq!((exact.status, exact.n_active > 0), (Status::Converged, signs));
        let mut before = f64::INFINITY;
        for gap in [1e-1, 1e-3, 1e-6, 1e-9] {
            for preconditioner in [
                Preconditioner::Cosine { rho: None },
                Preconditioner::Cosine { rho: Some(1e-2) },
                Preconditioner::UnmaskedSpectral { rho: None },
            ] {
                let fit = regression(signs)
                    .preconditioner(preconditioner)
                    .tol_gap(gap)
                    .fit(&data, &lx, &ly)
                    .unwrap();
                let case = format!("{preconditioner:?}, {gap:e}, signs {signs}");
                holds(&case, &fit, gap, exact.objective);
            }
            let mut seen = None;
            let fit = regression(signs)
                .preconditioner(Preconditioner::Cosine { rho: None })
                .tol_gap(gap)
                .callback(|progress| {
                    seen = progress.gap.or(seen);
                    ControlFlow::Continue(())
                })
                .fit(&data, &lx, &ly)
                .unwrap();
            // What a callback has seen last is an earlier, larger gap.
            assert!(seen.is_none_or(|seen| seen > gap) && fit.gap <= gap && gap < before);
            before = gap;
        }
    }
    // One operator for both sides, and boxes of one voxel.
    let one = SmoothingOperator::of_box(&[1]).unwrap();
    let x = Mat::from_fn(1, 1, |_, _| 2.0);
    let y = Mat::from_fn(1, 1, |_, _| 3.0);
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .observed(Observed::everywhere(1, 1))
        .build()
        .unwrap();
    let fit = SplineRegression::new()
        .preconditioner(Preconditioner::Cosine { rho: None })
        .tol_gap(1e-6)
        .fit(&data, &one, &one)
        .unwrap();
    assert!(fit.status == Status::Converged && (entries(&fit)[0] - 1.5).abs() <= 1e-2, "{fit:?}");
}

/// More than 1,000 source voxels, a disc, and 30 target voxels; injections into small discs.
fn many_sources() -> (TracingData, SmoothingOperator, SmoothingOperator) {
    let (edge, count) = (40_usize, 6);
    let cells: Vec<usize> = (0..edge * edge)
        .filter(|i| {
            let [a, b] = [i / edge, i % edge].map(|x| x as f64 - 19.5);
            a * a + b * b < 340.0
        })
        .collect();
    let sources = VoxelMask::from_indices(&[edge, edge], &cells).unwrap();
    let targets = VoxelMask::full(&[5, 6]).unwrap();
    let x = Mat::from_fn(cells.len(), count, |s, e| {
        let centre = [10.0 + 4.0 * e as f64, 8.0 + ((7 * e) % 23) as f64];
        let [a, b] = [cells[s] / edge, cells[s] % edge].map(|x| x as f64);
        f64::from(u8::from((a - centre[0]).powi(2) + (b - centre[1]).powi(2) < 10.0))
    });
    let y = Mat::from_fn(30, count, |t, e| {
        let noise = 0.3 * ((31 * t + 57 * e) as f64).sin();
        (2.0 * (-((t as f64 - 5.0 * e as f64) / 6.0).powi(2)).exp() + noise).max(0.0)
    });
    let observed = Observed::everywhere(30, count);
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .observed(observed)
        .build()
        .unwrap();
    let of = |mask: &VoxelMask| SmoothingOperator::of_voxels(mask).unwrap();
    assert!(sources.laplacian(Smoothing::free()).unwrap().voxels() > 1000);
    (data, of(&sources), of(&targets))
}

#[test]
fn many_voxels_are_fitted_to_a_gap_by_some_of_their_modes() {
    let (data, lx, ly) = many_sources();
    let some = Preconditioner::LowModes { modes: 60, rho: None };
    let fit = |preconditioner| {
        SplineRegression::new()
            .lambda(100.0)
            .preconditioner(preconditioner)
            .fit(&data, &lx, &ly)
            .unwrap()
    };
    let by_itself = fit(Preconditioner::Auto);
    // The other certificate, by another solver.
    let oracle = SplineRegression::new()
        .lambda(100.0)
        .solver(Solver::ActiveSetPcg { tolerance: Some(1e-9) })
        .tol_kkt(1e-5)
        .fit(&data, &lx, &ly)
        .unwrap();
    assert!(oracle.status == Status::Converged && oracle.gap.is_nan());
    assert!(oracle.n_active > 100, "signs matter here: {}", oracle.n_active);
    holds("by itself", &by_itself, 1e-4, oracle.objective);
    assert!(by_itself.iterations < oracle.iterations);
    holds("60 modes", &fit(some), 1e-4, oracle.objective);
    // The same bits for any number of threads.
    let on = |threads| {
        let pool = rayon_pool(threads);
        pool.install(|| fit(some))
    };
    let (one, three) = (on(1), on(3));
    assert!(entries(&one) == entries(&three) && one.gap.to_bits() == three.gap.to_bits());
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

#[test]
fn an_interrupted_fit_to_a_gap_goes_on_to_the_same_bits() {
    let golden = Golden::read("p1_small");
    let data = golden.data("d_");
    let (lx, ly) = (path(7), path(11));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fit.npz");
    let new = || {
        SplineRegression::new()
            .lambda(golden.scalar("d_lam"))
            .preconditioner(Preconditioner::LowModes { modes: 4, rho: None })
            .tol_gap(1e-6)
    };
    let whole = new().fit(&data, &lx, &ly).unwrap();
    assert!(whole.iterations > 6, "{}", whole.iterations);
    let mut gaps = Vec::new();
    let stopped = new()
        .checkpoint(&file, 1000)
        .callback(|progress| {
            gaps.extend(progress.gap);
            let stop = progress.iterations == 6;
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .fit(&data, &lx, &ly)
        .unwrap();
    assert_eq!(stopped.status, Status::Interrupted);
    assert!(stopped.gap.is_nan());
    let resumed = new().resume(&file, &data, &lx, &ly).unwrap();
    assert_eq!(entries(&resumed), entries(&whole));
    assert_eq!((resumed.iterations, resumed.gap), (whole.iterations, whole.gap));
}

#[test]
fn a_gap_that_cannot_be_proven_is_refused() {
    let golden = Golden::read("p1_small");
    let data = golden.data("d_");
    let (lx, ly) = (path(7), path(11));
    let message = |regression: SplineRegression<'_>| {
        regression.lambda(1.0).fit(&data, &lx, &ly).unwrap_err().to_string()
    };
    let without = SplineRegression::new().preconditioner(Preconditioner::None).tol_gap(1e-4);
    assert!(message(without).starts_with("tol_gap: expected a lambda above 0"));
    let negative = SplineRegression::new().tol_gap(-1.0);
    assert_eq!(message(negative), "tol_gap: expected a positive finite number, got -1");
    let first_order = SplineRegression::new().solver(Solver::AcceleratedPg).tol_gap(1e-4);
    assert!(message(first_order).starts_with("solver with tol_gap: expected ActiveSetPcg"));
    // The last of the two tolerances counts.
    let fit = SplineRegression::new().lambda(1.0).tol_gap(1e-4).tol_kkt(1e-8);
    assert!(fit.fit(&data, &lx, &ly).unwrap().gap.is_nan());
}
