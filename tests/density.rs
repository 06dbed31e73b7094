//! Tridiagonal matrices, quadrature rules and spectral densities: golden values, exactness, edges.

mod npz;
mod operators;

use std::ops::ControlFlow;

use faer::{Mat, MatRef};
use hesse::krylov::{
    Density, EstimateStatus, Kernel, LinearOperator, Probes, SpectralDensity, Tridiagonal,
};
use operators::{Dense, Diagonal, Normals, dot, on_threads, outliers};
use proptest::prelude::*;

fn all_close(what: &str, got: &[f64], want: &[f64], bound: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= bound, "{what} {i}: got {got}, want {want}, bound {bound:e}");
    }
}

#[test]
fn golden() {
    let arrays = npz::golden("flatness/lanczos_trace_slq.npz");
    let array = |name: &str| arrays[name].1.as_slice();
    let (n, norm) = (120, 25.0);
    let a = Dense::from_triangle(n, array("A_tri"));
    let t = Tridiagonal::lanczos(&a, array("v0"), 30).unwrap();
    all_close("alpha", &t.alpha, array("alpha"), 1e-10 * norm);
    all_close("beta", &t.beta, array("beta"), 1e-10 * norm);
    let rule = t.quadrature().unwrap();
    all_close("ritz", &rule.nodes, array("ritz"), 1e-10 * norm);
    all_close("ritz_weight", &rule.weights, array("ritz_weight"), 1e-10);
    for p in 0..6 {
        let bound = 1e-12 * norm.powi(p as i32);
        let moment = rule.integral(|x| x.powi(p as i32));
        all_close("moment", &[moment], &array("moments")[p..=p], bound);
        all_close("exact moment", &[moment], &array("moments_exact")[p..=p], bound);
    }

    let start = MatRef::from_column_major_slice(array("v0"), n, 1);
    let builder = SpectralDensity::new().steps(30).grid(512);
    let got = builder.clone().kernel(Kernel::Variance).run_with(&a, start).unwrap();
    all_close("density_var", &[got.sigma * got.sigma], array("density_var"), 1e-12);
    all_close("density_grid", &got.grid, array("density_grid"), 1e-10 * norm);
    // A node moved by δ moves the density by at most its slope times δ: peak / (σ √e) · δ.
    let peak = array("density").iter().fold(0.0, |a: f64, b| a.max(*b));
    all_close("density", &got.density, array("density"), peak / got.sigma * 1e-10 * norm);

    let eigenvalues = array("eig");
    let got = builder.extremes(eigenvalues[0], eigenvalues[n - 1]).run_with(&a, start).unwrap();
    all_close("density2_grid", &got.grid, array("density2_grid"), 1e-13 * norm);
    let peak = array("density2").iter().fold(0.0, |a: f64, b| a.max(*b));
    all_close("density2", &got.density, array("density2"), peak / got.sigma * 1e-10 * norm);
    assert_eq!((got.products, got.density_error[0]), (30, f64::INFINITY));
}

/// Mass, monotony and consistency of everything on the grid.
fn check(density: &Density) {
    for rule in &density.quadratures {
        assert!((rule.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(rule.weights.iter().all(|w| *w >= 0.0));
        assert!(rule.nodes.windows(2).all(|w| w[0] <= w[1]));
    }
    let step = density.grid[1] - density.grid[0];
    let last = density.grid.len() - 1;
    // What the window holds, and what it is called where the density is rescaled to unit mass.
    let within = density.smoothed_cumulative[last] - density.smoothed_cumulative[0];
    let sum = density.density.iter().sum::<f64>() * step;
    let scale = if (sum - 1.0).abs() < 1e-9 { within } else { 1.0 };
    // That mass is a sum of whole cells, the integral has half ones at the ends.
    let ends = step * (density.density[0] + density.density[last]);
    let mut integral = 0.0;
    for i in 1..=last {
        integral += 0.5 * step * scale * (density.density[i] + density.density[i - 1]);
        let smooth = density.smoothed_cumulative[i] - density.smoothed_cumulative[0];
        assert!((integral - smooth).abs() < 1e-3 + ends, "{i}: {integral} {smooth}");
    }
    for curve in [&density.cumulative, &density.smoothed_cumulative] {
        assert!(curve.windows(2).all(|w| w[0] <= w[1] + 1e-12));
        assert!(curve.iter().all(|c| (-1e-12..=1.0 + 1e-12).contains(c)));
    }
    assert!((density.cumulative[last] - 1.0).abs() < 1e-12);
    for (i, x) in density.grid.iter().enumerate() {
        assert!((density.cumulative[i] - density.cumulative_at(*x).value).abs() < 1e-12);
    }
    assert!((density.moment(0).value - 1.0).abs() < 1e-12);
}

/// Share of eigenvalues at most x.
fn exact_cumulative(spectrum: &[f64], x: f64) -> f64 {
    spectrum.iter().filter(|l| **l <= x).count() as f64 / spectrum.len() as f64
}

#[test]
fn the_cumulative_distribution_is_within_one_percent_outside_the_origin() {
    // Ten outliers, 200 eigenvalues falling from 3.6, the rest nearly zero: 30 steps, 20 probes. The
    // rule smears the 93 % that are nearly zero over the distance of its nodes there.
    let spectrum: Vec<f64> = (0..3000)
        .map(|i| if i < 10 { 13.0 + 0.2 * i as f64 } else { 3.6 * (-(i as f64) / 40.0).exp() })
        .collect();
    let a = Diagonal(spectrum.clone());
    let builder = SpectralDensity::new().steps(30).samples(20).probes(Probes::Sphere).seed(3);
    let density = builder.run(&a).unwrap();
    check(&density);
    let (mut worst, mut at, mut beyond) = (0.0_f64, 0.0, 0);
    for i in 0..2000 {
        let x = -1.0 + 17.0 * i as f64 / 2000.0;
        if x.abs() >= 0.05 {
            let error = (density.cumulative_at(x).value - exact_cumulative(&spectrum, x)).abs();
            if error > worst {
                (worst, at) = (error, x);
            }
        }
    }
    assert!(worst < 0.01, "{worst} at {at}");
    // Between 4 and 13 there is nothing, and the share of outliers is 1/300.
    for x in [4.0, 8.0, 12.0] {
        let got = density.cumulative_at(x);
        beyond += usize::from((got.value - 299.0 / 300.0).abs() > 3.0 * got.standard_error);
        assert!(got.standard_error < 1e-3);
    }
    assert_eq!(beyond, 0);
    let trace: f64 = spectrum.iter().sum();
    let got = density.integral(|x| x);
    assert!((got.value - trace).abs() <= 4.0 * got.standard_error && got.standard_error < 20.0);
}

/// |error| ≤ 3 standard errors, in at least 95 of 100 seeds, for functions and the distribution.
#[test]
fn stated_errors_cover_the_truth() {
    let spectrum = outliers(80);
    let a = Dense::with_spectrum(&spectrum, 6);
    let mut covered = [0; 4];
    for seed in 0..100 {
        let density = SpectralDensity::new().steps(20).samples(12).seed(seed).run(&a).unwrap();
        let functions: [fn(f64) -> f64; 3] = [|x| x, |x| x * x, |x| (x + 1.0).ln()];
        for (c, f) in covered.iter_mut().zip(functions) {
            let (got, truth) = (density.integral(f), spectrum.iter().map(|x| f(*x)).sum::<f64>());
            *c += usize::from((got.value - truth).abs() <= 3.0 * got.standard_error);
        }
        let got = density.cumulative_at(8.0);
        let error = (got.value - exact_cumulative(&spectrum, 8.0)).abs();
        covered[3] += usize::from(error <= 3.0 * got.standard_error);
    }
    assert!(covered.iter().all(|c| *c >= 95), "{covered:?}");
}

#[test]
fn all_steps_give_all_eigenvalues() {
    let spectrum: Vec<f64> = (0..40).map(|i| (i as f64 * 0.37).sin() * 5.0).collect();
    let a = Dense::with_spectrum(&spectrum, 1);
    let mut sorted = spectrum.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut normals = Normals(4);
    let start: Vec<f64> = (0..40).map(|_| normals.draw()).collect();
    let t = Tridiagonal::lanczos(&a, &start, 40).unwrap();
    assert!(t.invariant && t.alpha.len() == 40);
    all_close("eigenvalues", &t.quadrature().unwrap().nodes, &sorted, 1e-10 * 5.0);
}

#[test]
fn invariant_subspaces_end_a_probe_and_are_exact() {
    let n = 50;
    for (spectrum, steps) in [
        (vec![0.0; n], 1),
        (vec![3.0; n], 1),
        ((0..n).map(|i| if i < 20 { 50.0 } else { 1.0 }).collect::<Vec<f64>>(), 2),
        ((0..n).map(|i| [-2.0, 0.0, 1.0][i % 3]).collect(), 3),
    ] {
        let density = SpectralDensity::new().samples(8).run(&Diagonal(spectrum.clone())).unwrap();
        assert_eq!(density.products, 8 * steps);
        // A dense matrix has these eigenvalues but for rounding: more steps, the same rule.
        let dense = Dense::with_spectrum(&spectrum, 2);
        let rounded = SpectralDensity::new().samples(8).run(&dense).unwrap();
        let single = SpectralDensity::new().samples(8).run(&dense.single()).unwrap();
        for (density, epsilon) in
            [(density, f64::EPSILON), (rounded, f64::EPSILON), (single, f64::from(f32::EPSILON))]
        {
            check(&density);
            for node in density.quadratures.iter().flat_map(|rule| &rule.nodes) {
                let near = |l: &f64| (l - node).abs() <= 64.0 * n as f64 * epsilon * 50.0;
                assert!(spectrum.iter().any(near), "{node}");
            }
        }
    }
    for elements in [vec![4.0], vec![2.0, 1.0, 1.0, 2.0]] {
        let n = elements.len().isqrt();
        let density = SpectralDensity::new().seed(1).run(&Dense { n, elements }).unwrap();
        check(&density);
        assert_eq!(density.quadratures.len(), 10);
    }
}

#[test]
fn kernels_have_their_width_and_their_mass() {
    let a = Diagonal(outliers(60));
    let builder = SpectralDensity::new().samples(3).steps(40).grid(20_000);
    for kernel in [Kernel::Rescaled, Kernel::Variance, Kernel::Sigma(0.3)] {
        let density = builder.clone().kernel(kernel).run(&a).unwrap();
        check(&density);
        assert_eq!(density.grid.len(), 20_000);
        let smooth = &density.smoothed_cumulative;
        if let Kernel::Sigma(sigma) = kernel {
            assert_eq!(density.sigma, sigma);
            // Six σ beyond the extremes: the mass beyond is 10⁻⁹.
            assert!(smooth[0] < 1e-8 && smooth[19_999] > 1.0 - 1e-8);
        }
    }
    assert_eq!(builder.kernel(Kernel::Variance).run(&a).unwrap().grid.len(), 20_000);
    assert_eq!(SpectralDensity::new().run(&a).unwrap().grid.len(), 1000);
    let long = SpectralDensity::default().kernel(Kernel::Variance).run(&a).unwrap();
    assert_eq!(long.grid.len(), 10_000);
}

#[test]
fn any_scale_and_single_precision() {
    let a = Dense::with_spectrum(&outliers(60), 8);
    let builder = SpectralDensity::new().samples(4).steps(25).seed(2);
    let want = builder.run(&a).unwrap();
    for exponent in [-900, -500, 500, 900] {
        let factor = 2_f64.powi(exponent);
        let got = builder.run(&a.scaled(factor)).unwrap();
        check(&got);
        let scaled: Vec<f64> = want.quadratures[3].nodes.iter().map(|x| x * factor).collect();
        assert_eq!(got.quadratures[3].nodes, scaled);
        all_close("cumulative", &got.cumulative, &want.cumulative, 0.0);
        all_close("smooth", &got.smoothed_cumulative, &want.smoothed_cumulative, 1e-13);
    }
    for factor in [1e-150, 1e150] {
        let got = builder.run(&a.scaled(factor)).unwrap();
        check(&got);
        let nodes: Vec<f64> = got.quadratures[3].nodes.iter().map(|x| x / factor).collect();
        all_close("nodes", &nodes, &want.quadratures[3].nodes, 1e-10 * 15.0);
    }
    // Rounding of storage moves eigenvalues by ε‖A‖√n at most; moments follow.
    let single = builder.run(&a.single()).unwrap();
    check(&single);
    for p in 0..4 {
        let (got, want) = (single.moment(p).value, want.moment(p).value);
        let bound = f64::from(p + 1) * 15_f64.powi(p as i32) * 60_f64.sqrt() * 8.0;
        assert!((got - want).abs() <= bound * f64::from(f32::EPSILON), "{p}: {got} {want}");
    }
}

#[test]
fn same_bits_for_any_number_of_threads_and_any_block() {
    let a = Diagonal(outliers(5000));
    let builder = SpectralDensity::new().samples(5).steps(12).seed(4).probes(Probes::Sphere);
    let run = |threads, block| {
        let got = on_threads(threads, || builder.clone().block(block).run(&a).unwrap());
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        (bits(&got.density), bits(&got.density_error), bits(&got.quadratures[4].nodes))
    };
    let want = run(1, 5);
    for (threads, block) in [(2, 5), (7, 5), (1, 1), (2, 2), (1, 100)] {
        assert!(run(threads, block) == want, "{threads} threads, blocks of {block}");
    }
}

#[test]
fn an_interrupted_run_keeps_its_steps() {
    let a = Dense::with_spectrum(&outliers(60), 8);
    for (block, limit, probes) in [(1, 7, 1), (1, 45, 3), (4, 8, 4), (4, 88, 5), (5, 5, 5)] {
        let stop = |p: hesse::krylov::EstimateProgress| {
            assert_eq!(p.budget, 100);
            if p.products >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let builder = SpectralDensity::new().samples(5).steps(20).block(block);
        let got = builder.progress(&stop).run(&a).unwrap();
        assert_eq!(got.status, EstimateStatus::Interrupted);
        assert_eq!(got.quadratures.len(), probes);
        check(&got);
    }
}

#[test]
fn bad_input_is_named() {
    let a = Diagonal(vec![1.0, 2.0, 3.0]);
    let text = |d: SpectralDensity<'_>| d.run(&a).unwrap_err().to_string();
    let new = SpectralDensity::new;
    let cases = [
        (text(new().steps(4)), "steps: expected 1 to 3, got 4"),
        (text(new().steps(0)), "steps: expected 1 to 3, got 0"),
        (text(new().samples(0)), "probes: expected at least 1, got 0"),
        (text(new().block(0)), "block: expected at least 1, got 0"),
        (text(new().grid(1)), "grid points: expected at least 2, got 1"),
        (
            text(new().extremes(2.0, 1.0)),
            "extremes: expected two finite numbers, ascending, got 2 and 1",
        ),
        (
            text(new().extremes(f64::NAN, 1.0)),
            "extremes: expected two finite numbers, ascending, got NaN and 1",
        ),
        (text(new().kernel(Kernel::Sigma(0.0))), "sigma: expected a positive finite number, got 0"),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    // Peaks that would fall between the points of the grid.
    let error = text(new().kernel(Kernel::Sigma(1e-4)).grid(100));
    assert_eq!(error, "grid points: expected at least 5004 for a kernel of width 1e-4, got 100");
    let wide = Diagonal(vec![-1e150, 1e150]);
    let error = new().kernel(Kernel::Variance).run(&wide).unwrap_err().to_string();
    assert!(error.starts_with("grid points: expected at least 1118"), "{error}");
    let error = text(new().kernel(Kernel::Sigma(1e-200)));
    assert!(error.starts_with("grid points: expected at least "), "{error}");
    let error = new().run(&Diagonal(vec![])).unwrap_err().to_string();
    assert_eq!(error, "rows of the operator: expected at least one, got none");
    let error = new().run(&Diagonal(vec![1.0, f64::INFINITY])).unwrap_err().to_string();
    assert!(error.starts_with("product 1: expected finite numbers, got "), "{error}");
    let starts = |rows, columns, value| {
        let starts = Mat::<f64>::from_fn(rows, columns, |_, _| value);
        new().run_with(&a, starts.as_ref()).unwrap_err().to_string()
    };
    assert_eq!(starts(2, 1, 1.0), "rows of the start vectors: expected 3, got 2");
    assert_eq!(starts(3, 0, 1.0), "probes: expected at least 1, got 0");
    assert_eq!(starts(3, 1, 0.0), "start vector: expected a vector other than zero, got zero");
    assert!(starts(3, 1, f64::NAN).starts_with("start vector: expected finite numbers, got NaN"));

    let text =
        |steps, start: &[f64]| Tridiagonal::lanczos(&a, start, steps).unwrap_err().to_string();
    assert_eq!(text(4, &[1.0; 3]), "steps: expected 1 to 3, got 4");
    assert_eq!(text(2, &[1.0; 2]), "start vector: expected 3, got 2");
    let ragged = Tridiagonal { alpha: vec![1.0; 3], beta: vec![1.0], invariant: false };
    let error = ragged.quadrature().unwrap_err().to_string();
    assert_eq!(error, "subdiagonal: expected 2, got 1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Σ wᵢ p(θᵢ) = vᵀp(A)v/vᵀv for Chebyshev polynomials of every degree below 2m, which, unlike
    /// powers, stay of size 1 on the spectrum.
    #[test]
    fn gauss_rule_is_exact_below_twice_its_steps(
        n in 2_usize..30, share in 0.1_f64..1.0, seed in 0_u64..1000,
    ) {
        let mut normals = Normals(seed);
        let spectrum: Vec<f64> = (0..n).map(|_| 2.0 * normals.uniform() - 1.0).collect();
        let a = Dense::with_spectrum(&spectrum, seed);
        let start: Vec<f64> = (0..n).map(|_| normals.draw()).collect();
        let steps = 1.max((share * n as f64) as usize);
        let rule = Tridiagonal::lanczos(&a, &start, steps).unwrap().quadrature().unwrap();
        prop_assert!((rule.weights.iter().sum::<f64>() - 1.0).abs() < 1e-13);
        // T₀v = v, T₁v = Av, Tₚ₊₁v = 2A Tₚv − Tₚ₋₁v.
        let (mut before, mut now) = (start.clone(), a.times(&start));
        for degree in 0..2 * steps {
            let want = dot(&start, &before) / dot(&start, &start);
            let got = rule.integral(|x| (degree as f64 * x.clamp(-1.0, 1.0).acos()).cos());
            prop_assert!((got - want).abs() < 1e-11, "degree {degree} of {steps} steps: {got} {want}");
            let next = a.times(&now).iter().zip(&before).map(|(a, b)| 2.0 * a - b).collect();
            before = std::mem::replace(&mut now, next);
        }
    }
}

/// The trait is usable as an object.
#[test]
fn operators_may_be_trait_objects() {
    let a = Diagonal(vec![1.0, 2.0]);
    let object: &dyn LinearOperator<f64> = &a;
    let mean = SpectralDensity::new().run(object).unwrap().moment(1).value;
    assert!((mean - 1.5).abs() < 1e-14, "{mean}");
}
