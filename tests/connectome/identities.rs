//! Invariances of the problem and of its solvers, resumed runs, threads.

use std::ops::ControlFlow;

use hesse::connectome::{
    FactorMethod, GreedyLowRank, LowRankSplineRegression, Observed, Preconditioner,
    SmoothingOperator, Solver, SplineObjective, SplineRegression, Status, TracingData,
};
use hesse::faer::Mat;
use hesse::random::Stream;
use hesse::tracing_toys::TracingToyTask;
use proptest::prelude::*;

use crate::full::entries;
use crate::golden::{all_close, close, distance, path, size};

/// Normal numbers.
pub fn normals(seed: u64, purpose: &str, n: usize) -> Vec<f64> {
    let mut values = vec![0.0; n];
    Stream::new(seed, purpose).normals(0, &mut values);
    values
}

/// A problem of 9 sources, 11 targets and 3 experiments; X · `x`, Y · `y`, and what is hidden.
pub fn drawn(seed: u64, x: f64, y: f64, hidden: f64) -> TracingData {
    let (a, b) = (normals(seed, "x", 27), normals(seed, "y", 33));
    let injections =
        Mat::from_fn(9, 3, |s, e| if s / 3 == e { x * (0.5 + a[s + 9 * e].abs()) } else { 0.0 });
    let seen = |t: usize, e: usize| !(t + 2 * e).is_multiple_of(5);
    let projections =
        Mat::from_fn(11, 3, |t, e| if seen(t, e) { y * b[t + 11 * e] } else { hidden });
    TracingData::builder()
        .injections_dense(injections.as_ref())
        .projections(projections.as_ref())
        .observed(Observed::where_observed(11, 3, seen))
        .build()
        .unwrap()
}

fn solve(data: &TracingData, lambda: f64) -> Vec<f64> {
    let fit = SplineRegression::new()
        .lambda(lambda)
        .tol_kkt(1e-10)
        .fit(data, &path(9), &path(11))
        .unwrap();
    assert_eq!(fit.status, Status::Converged, "{}", fit.kkt_relative);
    entries(&fit).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn scales_and_hidden_entries_have_no_say(seed in 0_u64..1000, exponent in -2_i32..3) {
        let lambda = 10_f64.powi(exponent);
        let w = solve(&drawn(seed, 1.0, 1.0, 0.0), lambda);
        let same = |v: Vec<f64>, factor: f64| {
            let scaled: Vec<f64> = w.iter().map(|w| factor * w).collect();
            distance(&v, &scaled) <= 1e-6 * size(&scaled)
        };
        // Hidden entries; (X, Y, λ) → (cX, cY, c²λ); Y → cY; (X, λ) → (cX, c²λ).
        prop_assert!(same(solve(&drawn(seed, 1.0, 1.0, 1e6), lambda), 1.0));
        prop_assert!(same(solve(&drawn(seed, 3.0, 3.0, 0.0), 9.0 * lambda), 1.0));
        prop_assert!(same(solve(&drawn(seed, 1.0, 7.0, 0.0), lambda), 7.0));
        prop_assert!(same(solve(&drawn(seed, 4.0, 1.0, 0.0), 16.0 * lambda), 0.25));
        // Every experiment twice: loss and λ' double.
        let twice = drawn(seed, 1.0, 1.0, 0.0).select(&[0, 1, 2, 0, 1, 2]).unwrap();
        prop_assert!(same(solve(&twice, lambda), 1.0));
    }

    #[test]
    fn the_minimiser_fulfils_its_conditions(seed in 0_u64..1000) {
        let data = drawn(seed, 1.0, 1.0, 0.0);
        let (lx, ly) = (path(9), path(11));
        let fit = SplineRegression::new().lambda(0.3).tol_kkt(1e-10).fit(&data, &lx, &ly).unwrap();
        let w = entries(&fit);
        let f = SplineObjective::new(&data, &lx, &ly, fit.lambda_eff).unwrap();
        let mut g = vec![0.0; w.len()];
        f.gradient(w, &mut g).unwrap();
        let scale = size(&g).max(1.0);
        prop_assert!(w.iter().all(|w| *w >= 0.0));
        prop_assert!(g.iter().all(|g| *g >= -1e-8 * scale));
        prop_assert!(w.iter().zip(&g).map(|(w, g)| w * g).sum::<f64>().abs() <= 1e-7 * scale);
        // No feasible change lowers f.
        let mut d = vec![0.0; w.len()];
        Stream::new(seed, "change").normals(0, &mut d);
        let d: Vec<f64> = d.iter().zip(w).map(|(d, w)| (w + 0.1 * d).max(0.0) - w).collect();
        prop_assert!(f.difference(&g, &d).unwrap() >= -1e-8);
    }

    #[test]
    fn hessians_are_symmetric_and_roles_exchange(seed in 0_u64..1000) {
        let data = drawn(seed, 1.0, 1.0, 0.0);
        let (lx, ly) = (path(9), path(11));
        let f = SplineObjective::new(&data, &lx, &ly, 0.7).unwrap();
        let (mut a, mut b) = (vec![0.0; 99], vec![0.0; 99]);
        Stream::new(seed, "a").normals(0, &mut a);
        Stream::new(seed, "b").normals(0, &mut b);
        let (mut ha, mut hb) = (vec![0.0; 99], vec![0.0; 99]);
        f.hessian_product(&a, &mut ha).unwrap();
        f.hessian_product(&b, &mut hb).unwrap();
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let (left, right) = (dot(&a, &hb), dot(&b, &ha));
        let bound = 1e-12 * (dot(&ha, &ha) * dot(&b, &b)).sqrt();
        prop_assert!((left - right).abs() <= bound);
        // ‖S(W)‖ = ‖S(Wᵀ)‖ with the Laplacians exchanged.
        let square = Mat::from_fn(9, 1, |s, _| f64::from(u8::from(s == 0)));
        let turned = TracingData::builder()
            .injections_dense(Mat::from_fn(11, 1, |s, _| f64::from(u8::from(s == 0))).as_ref())
            .projections(square.as_ref())
            .observed(Observed::everywhere(9, 1))
            .build()
            .unwrap();
        let g = SplineObjective::new(&turned, &ly, &lx, 0.7).unwrap();
        let transposed: Vec<f64> = (0..99).map(|i| a[i / 9 + 11 * (i % 9)]).collect();
        let (p, q) = (f.value(&a).unwrap().penalty, g.value(&transposed).unwrap().penalty);
        prop_assert!((p - q).abs() <= 1e-12 * p);
    }
}

#[test]
fn strong_smoothing_leaves_the_best_constant() {
    // One component pair: W → c ≥ 0 minimising Σ (c Σxₑ − y)² over observed entries.
    let data = drawn(5, 1.0, 1.0, 0.0);
    let (mut above, mut below) = (0.0, 0.0);
    for e in 0..3 {
        let total: f64 = data.injections().outer_view(e).unwrap().iter().map(|(_, x)| x).sum();
        for t in (0..11).filter(|&t| data.observed().at(t, e)) {
            above += total * data.projection(e)[t];
            below += total * total;
        }
    }
    let c = (above / below).max(0.0);
    let w = solve(&data, 1e9);
    assert!(w.iter().all(|w| (w - c).abs() <= 1e-5 * c.max(0.1)), "{c} {w:?}");
}

#[test]
fn without_smoothing_single_voxels_give_their_columns() {
    let x = Mat::from_fn(4, 2, |s, e| if s == 2 * e { 0.5 + e as f64 } else { 0.0 });
    let y = Mat::from_fn(5, 2, |t, e| t as f64 - 1.0 + 0.5 * e as f64);
    let seen = |t: usize, e: usize| t != 3 * e;
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .observed(Observed::where_observed(5, 2, seen))
        .build()
        .unwrap();
    let fit = SplineRegression::new().lambda(0.0).fit(&data, &path(4), &path(5)).unwrap();
    for e in 0..2 {
        let column = fit.column(2 * e).unwrap();
        for t in (0..5).filter(|&t| seen(t, e)) {
            let want = y[(t, e)].max(0.0) / x[(2 * e, e)];
            assert!((column[t] - want).abs() <= 1e-8, "{t} {e}: {} {want}", column[t]);
        }
    }
}

#[test]
fn signs_do_not_matter_where_the_optimum_has_none() {
    let x = Mat::from_fn(9, 3, |s, e| f64::from(u8::from(s / 3 == e)));
    let y = Mat::from_fn(11, 3, |t, e| 5.0 + 0.1 * (t + e) as f64);
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .observed(Observed::where_observed(11, 3, |t, e| t != 4 * e))
        .build()
        .unwrap();
    let run = |nonnegative| {
        let regression = SplineRegression::new().lambda(1.0).nonnegative(nonnegative);
        regression.fit(&data, &path(9), &path(11)).unwrap()
    };
    let (free, signed) = (run(false), run(true));
    assert!(entries(&free).iter().all(|w| *w > 0.0));
    all_close("W", entries(&signed), entries(&free), 1e-9);
}

#[test]
fn first_order_solvers_come_to_the_same_minimum() {
    let data = drawn(2, 1.0, 1.0, 0.0);
    let (lx, ly) = (path(9), path(11));
    let exact = SplineRegression::new().lambda(1.0).fit(&data, &lx, &ly).unwrap();
    for solver in [
        Solver::Lbfgsb { memory: 10, relative_decrease: 0.0, projected_gradient: None },
        Solver::AcceleratedPg,
    ] {
        let fit = SplineRegression::new()
            .lambda(1.0)
            .solver(solver)
            .tol_kkt(1e-7)
            .fit(&data, &lx, &ly)
            .unwrap();
        close("objective", fit.objective, exact.objective, 1e-6);
        assert!(fit.objective >= exact.objective * (1.0 - 1e-10));
    }
    let published = SplineRegression::reference_2016().lambda(1.0).fit(&data, &lx, &ly).unwrap();
    assert!(published.objective >= exact.objective * (1.0 - 1e-10));
    assert!(published.objective <= 1.01 * exact.objective && published.iterations <= 600);
}

#[test]
fn a_resumed_fit_has_the_bits_of_one_that_never_stopped() {
    let toy =
        TracingToyTask { sources: 30, targets: 26, experiments: 4, noise: 0.3 }.draw(4).unwrap();
    let data = TracingData::builder()
        .injections_dense(toy.injections.as_ref())
        .projections(toy.projections.as_ref())
        .observed(Observed::from_ones(toy.observed.as_ref()).unwrap())
        .build()
        .unwrap();
    let (lx, ly) = (path(30), path(26));
    let folder = std::env::temp_dir().join(format!("hesse-connectome-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("checkpoint.npz");
    for (preconditioner, least) in
        [(Preconditioner::Cosine { rho: None }, 31), (Preconditioner::Exact, 3)]
    {
        let regression = || SplineRegression::new().lambda(10.0).preconditioner(preconditioner);
        let whole = regression().fit(&data, &lx, &ly).unwrap();
        let steps = whole.iterations;
        assert!(whole.rounds > 2 && steps >= least, "{} {steps}", whole.rounds);
        for stop in [3.min(steps - 1), steps / 2, steps - 2] {
            let stopped = regression()
                .checkpoint(&file, 1000)
                .callback(|p| {
                    if p.iterations == stop {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })
                .fit(&data, &lx, &ly)
                .unwrap();
            assert_eq!((stopped.status, stopped.iterations), (Status::Interrupted, stop));
            let resumed = regression().resume(&file, &data, &lx, &ly).unwrap();
            assert_eq!(entries(&resumed), entries(&whole));
            assert_eq!((resumed.iterations, resumed.rounds), (steps, whole.rounds));
        }
    }
    // A checkpoint of another problem is refused.
    let other = SplineRegression::new().lambda(11.0).resume(&file, &data, &lx, &ly);
    let text = other.err().unwrap().to_string();
    assert!(text.contains("expected a checkpoint of this problem"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_same_bits_come_out_for_any_number_of_threads() {
    let toy =
        TracingToyTask { sources: 120, targets: 110, experiments: 4, noise: 0.1 }.draw(9).unwrap();
    let data = TracingData::builder()
        .injections_dense(toy.injections.as_ref())
        .projections(toy.projections.as_ref())
        .observed(Observed::from_ones(toy.observed.as_ref()).unwrap())
        .build()
        .unwrap();
    let (lx, ly) = (path(120), path(110));
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let full = SplineRegression::new()
                .lambda(10.0)
                .preconditioner(Preconditioner::LowModes { modes: 20, rho: None })
                .max_iterations(60)
                .fit(&data, &lx, &ly)
                .unwrap();
            let exact = SplineRegression::new()
                .lambda(10.0)
                .preconditioner(Preconditioner::Exact)
                .max_iterations(20)
                .fit(&data, &lx, &ly)
                .unwrap();
            let greedy =
                GreedyLowRank::new().lambda(10.0).max_rank(4).fit(&data, &lx, &ly).unwrap();
            let low = LowRankSplineRegression::new(5)
                .lambda(10.0)
                .method(FactorMethod::Accelerated { step: None, fixed: false })
                .max_iterations(20)
                .fit(&data, &lx, &ly)
                .unwrap();
            let mut bits: Vec<u64> = entries(&full).iter().map(|w| w.to_bits()).collect();
            bits.extend(entries(&exact).iter().map(|w| w.to_bits()));
            bits.extend([low.objective, greedy.connectome.objective].map(f64::to_bits));
            bits
        })
    };
    let one = on(1);
    assert!([2, 3].into_iter().all(|threads| on(threads) == one));
}

#[test]
fn preconditioners_without_a_mask_solve_in_a_few_steps() {
    let toy =
        TracingToyTask { sources: 30, targets: 40, experiments: 4, noise: 0.1 }.draw(1).unwrap();
    let data = TracingData::builder()
        .injections_dense(toy.injections.as_ref())
        .projections(toy.projections.as_ref())
        .observed(Observed::everywhere(40, 4))
        .build()
        .unwrap();
    let (lx, ly) = (SmoothingOperator::of_box(&[5, 6]).unwrap(), path(40));
    let solve = |preconditioner: Preconditioner| {
        SplineRegression::new()
            .lambda(10.0)
            .nonnegative(false)
            .preconditioner(preconditioner)
            .fit(&data, &lx, &ly)
            .unwrap()
    };
    let spectral = solve(Preconditioner::UnmaskedSpectral { rho: None });
    let cosine = solve(Preconditioner::Cosine { rho: None });
    let plain = solve(Preconditioner::None);
    // One step but for ρ, in each of three tolerances.
    assert!(
        spectral.iterations <= 8 && cosine.iterations <= 8,
        "{} {}",
        spectral.iterations,
        cosine.iterations
    );
    assert!(plain.iterations > 50);
    all_close("cosine", entries(&cosine), entries(&spectral), 1e-9);
    all_close("plain", entries(&plain), entries(&spectral), 1e-6);
}
