//! P1 against exact minimisers.

use hesse::connectome::{
    Connectome, Preconditioner, SmoothingOperator, Solver, SplineRegression, Status, Weights,
};

use hesse::faer::Mat;

use crate::golden::{Golden, all_close, close, columns, distance, path, problem, size};
use crate::objective::{dense_operator, grid_laplacian};

pub fn entries(fit: &Connectome) -> &[f64] {
    match &fit.weights {
        Weights::Full(w) => w.as_slice(),
        Weights::Factors { .. } => panic!("expected a full matrix"),
    }
}

/// The cases of `p1_small` with a unique minimiser, and their operators.
pub fn small_problems(
    golden: &Golden,
) -> [(&'static str, SmoothingOperator, SmoothingOperator); 6] {
    let (shape, mask) = golden.array("b_mask");
    let grid = grid_laplacian(&shape, &mask);
    [
        ("a_lam0.001", path(10), path(12)),
        ("a_lam1", path(10), path(12)),
        ("a_lam1000", path(10), path(12)),
        ("b", grid.clone(), grid),
        ("c", path(8), path(9)),
        ("d", path(7), path(11)),
    ]
}

#[test]
fn small_problems_reach_their_unique_minimisers() {
    let golden = Golden::read("p1_small");
    for (case, lx, ly) in small_problems(&golden) {
        let data = golden.data(&format!("{case}_"));
        let lambda = golden.scalar(&format!("{case}_lam"));
        let fit =
            SplineRegression::new().lambda(lambda).tol_kkt(1e-10).fit(&data, &lx, &ly).unwrap();
        assert_eq!(fit.status, Status::Converged, "{case}: {fit:?}");
        close(case, fit.objective, golden.scalar(&format!("{case}_f")), 1e-9);
        let want = columns(golden.mat(&format!("{case}_W")).as_ref());
        assert!(distance(entries(&fit), &want) <= 1e-6 * size(&want), "{case}");
        assert!(fit.kkt_relative <= 1e-10, "{case}: {}", fit.kkt_relative);
    }
    // λ = 0: W is not unique, its fit is.
    let data = golden.data("e_");
    let fit = SplineRegression::new().lambda(0.0).fit(&data, &path(9), &path(9)).unwrap();
    close("e", fit.objective, golden.scalar("e_f"), 1e-9);
    let omega = golden.mat("e_Omega");
    let predicted = fit.predict(golden.mat("e_X").as_ref()).unwrap();
    let (mut got, want) =
        (columns(predicted.as_ref()), columns(golden.mat("e_fit_on_Omega").as_ref()));
    got.iter_mut().zip(columns(omega.as_ref())).for_each(|(p, o)| *p *= o);
    all_close("e", &got, &want, 1e-7);
}

#[test]
fn without_signs_the_sylvester_equation_is_solved() {
    let golden = Golden::read("unconstrained");
    let data = golden.data("");
    let (lx, ly) = (path(30), path(40));
    let want = columns(golden.mat("W").as_ref());
    for preconditioner in [
        Preconditioner::None,
        Preconditioner::Exact,
        Preconditioner::UnmaskedSpectral { rho: None },
        Preconditioner::LowModes { modes: 12, rho: None },
    ] {
        let fit = SplineRegression::new()
            .lambda_eff(golden.scalar("lam_eff"))
            .nonnegative(false)
            .preconditioner(preconditioner)
            .tol_kkt(1e-9)
            .fit(&data, &lx, &ly)
            .unwrap();
        close("f", fit.objective, golden.scalar("f"), 1e-9);
        all_close("W", entries(&fit), &want, 1e-6);
    }
}

#[test]
fn the_toy_is_solved_to_a_certificate() {
    let golden = Golden::read("toy1d");
    let data = golden.data("");
    let l = path(200);
    let fit = SplineRegression::new().lambda(golden.scalar("lam")).fit(&data, &l, &l).unwrap();
    let want = columns(golden.mat("p1_W").as_ref());
    assert_eq!(fit.status, Status::Converged);
    assert!(fit.objective <= 2.54548);
    assert!(distance(entries(&fit), &want) <= 1e-6 * size(&want));
    assert_eq!(fit.n_active, golden.scalar("p1_n_active") as usize);
}

#[test]
fn the_published_self_test_ends_lower_than_published() {
    let golden = Golden::read("published_self_test");
    let (x, y) = (golden.mat("X"), golden.mat("Y"));
    let ones = Mat::from_fn(400, 10, |_, _| 1.0);
    let data = problem(x.as_ref(), y.as_ref(), ones.as_ref());
    let dirichlet = |n: usize| -> SmoothingOperator {
        let dense = Mat::from_fn(n, n, |i, j| match i.abs_diff(j) {
            0 => -2.0,
            1 => 1.0,
            _ => 0.0,
        });
        dense_operator(dense.as_ref())
    };
    let (lx, ly) = (dirichlet(300), dirichlet(400));
    // Nine entries of ten are zero: what a first-order method finds is polished to a certificate.
    let rough = SplineRegression::new()
        .lambda(1.0)
        .solver(Solver::Lbfgsb { memory: 12, relative_decrease: 0.0, projected_gradient: None })
        .tol_kkt(1e-4)
        .fit(&data, &lx, &ly)
        .unwrap();
    assert!(rough.status == Status::Converged && rough.objective < golden.scalar("f_published"));
    let start = rough.full().unwrap();
    let fit = SplineRegression::new()
        .lambda(1.0)
        .tol_kkt(1e-6)
        .warm_start(start)
        .fit(&data, &lx, &ly)
        .unwrap();
    assert!(fit.objective < rough.objective && fit.kkt_relative <= 1e-6);
    assert_eq!(fit.status, Status::Converged);
    close("f", fit.objective, golden.scalar("f"), 1e-6);
    assert!(fit.objective < golden.scalar("f_published"));
}
