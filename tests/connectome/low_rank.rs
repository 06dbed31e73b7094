//! P2 against automatic differentiation and transcriptions of the published rules.

use hesse::connectome::{
    Connectome, FactorMethod, FactorObjective, FactorPenalty, GreedyLowRank,
    LowRankSplineRegression, PenaltyForm, SplineObjective, SplineRegression, Start, TracingData,
    Weights, split_signed, svd_split,
};
use hesse::faer::{Mat, MatRef};

use crate::golden::{Golden, all_close, close, columns, path, problem};
use crate::objective::{dense_operator, grid_laplacian};

fn concatenated(golden: &Golden, u: &str, v: &str) -> Vec<f64> {
    [columns(golden.mat(u).as_ref()), columns(golden.mat(v).as_ref())].concat()
}

#[test]
fn values_gradients_and_hessian_products_are_those_of_automatic_differentiation() {
    let golden = Golden::read("objective");
    let (shape, mask) = golden.array("mask");
    let ly = grid_laplacian(&shape, &mask);
    let (x, y, omega) = (golden.mat("X"), golden.mat("Y"), golden.mat("Omega"));
    let ones = Mat::from_fn(omega.nrows(), omega.ncols(), |_, _| 1.0);
    let smooth = path(x.nrows());
    let skewed = dense_operator(golden.mat("Lx_nonsym").as_ref());
    let (z, d) = (concatenated(&golden, "U", "V"), concatenated(&golden, "DU", "DV"));
    let lambda_eff = golden.scalar("lam_eff");
    for (name, lx, omega) in
        [("masked", &smooth, &omega), ("full", &smooth, &ones), ("nonsym", &skewed, &omega)]
    {
        let data = problem(x.as_ref(), y.as_ref(), omega.as_ref());
        for form in [PenaltyForm::ThinQr, PenaltyForm::Trace, PenaltyForm::Auto] {
            let f = FactorObjective::new(&data, lx, &ly, lambda_eff, 3).unwrap().form(form);
            let mut g = vec![f64::NAN; z.len()];
            let value = f.gradient(&z, &mut g).unwrap();
            let of = |what: &str| format!("{name}_p2_{what}");
            close(name, value.objective, golden.scalar(&of("f")), 1e-12);
            all_close(name, &g, &concatenated(&golden, &of("gU"), &of("gV")), 1e-12);
            let mut h = vec![f64::NAN; z.len()];
            f.hessian_product(&z, &d, &mut h).unwrap();
            all_close(name, &h, &concatenated(&golden, &of("hU"), &of("hV")), 1e-12);
        }
        // P2 at (U, V) is P1 at U Vᵀ.
        let (u, v) = (golden.mat("U"), golden.mat("V"));
        let w = outer(u.as_ref(), v.as_ref());
        let full = SplineObjective::new(&data, lx, &ly, lambda_eff).unwrap().value(&w).unwrap();
        close(name, full.objective, golden.scalar(&format!("{name}_p2_f")), 1e-12);
    }
    let data = problem(x.as_ref(), y.as_ref(), omega.as_ref());
    for (name, penalty) in
        [("separable", FactorPenalty::Separable), ("twoway", FactorPenalty::TwoWay)]
    {
        let f = FactorObjective::new(&data, &smooth, &ly, lambda_eff, 3).unwrap().penalty(penalty);
        let mut g = vec![f64::NAN; z.len()];
        let value = f.gradient(&z, &mut g).unwrap();
        close(name, value.objective, golden.scalar(&format!("{name}_f")), 1e-12);
        let want = concatenated(&golden, &format!("{name}_gU"), &format!("{name}_gV"));
        all_close(name, &g, &want, 1e-12);
    }
}

/// U Vᵀ, column-major.
fn outer(u: MatRef<f64>, v: MatRef<f64>) -> Vec<f64> {
    (0..u.nrows() * v.nrows())
        .map(|i| {
            let (t, s) = (i % u.nrows(), i / u.nrows());
            (0..u.ncols()).map(|k| u[(t, k)] * v[(s, k)]).sum()
        })
        .collect()
}

fn factors(fit: &Connectome) -> Vec<f64> {
    match &fit.weights {
        Weights::Factors { u, v } => [columns(u.as_ref()), columns(v.as_ref())].concat(),
        Weights::Full(_) => panic!("expected factors"),
    }
}

fn published(golden: &Golden, method: FactorMethod, steps: usize) -> (TracingData, Connectome) {
    let data = golden.data("");
    let start = Start::Given { u: golden.mat("U0"), v: golden.mat("V0") };
    let fit = LowRankSplineRegression::new(4)
        .lambda(golden.scalar("lam"))
        .start(start)
        .method(method)
        .tolerance(1e-7)
        .max_iterations(steps)
        .balance(false)
        .fit(&data, &path(24), &path(30))
        .unwrap();
    (data, fit)
}

#[test]
fn twelve_published_steps_are_the_transcription_s() {
    let golden = Golden::read("p2");
    let costs = |fit: &Connectome| fit.trace.iter().map(|p| p.value).collect::<Vec<_>>();
    let (_, fit) = published(&golden, FactorMethod::ARMIJO_2016, 12);
    all_close("armijo cost", &costs(&fit), &golden.vector("armijo_cost"), 1e-9);
    all_close("armijo", &factors(&fit), &concatenated(&golden, "armijo_U", "armijo_V"), 1e-9);
    let step = golden.scalar("fixed_step");
    let momentum = FactorMethod::PublishedMomentum { step, weight: 1.0 };
    let (_, fit) = published(&golden, momentum, 12);
    all_close("momentum cost", &costs(&fit), &golden.vector("momentum_cost"), 1e-9);
    all_close("momentum", &factors(&fit), &concatenated(&golden, "momentum_U", "momentum_V"), 1e-9);
    let accelerated = FactorMethod::Accelerated { step: Some(step), fixed: true };
    let (_, fit) = published(&golden, accelerated, 60);
    all_close("accelerated cost", &costs(&fit), &golden.vector("fista_cost"), 1e-9);
    all_close("accelerated", &factors(&fit), &concatenated(&golden, "fista_U", "fista_V"), 1e-8);
    assert_eq!(fit.rounds as f64, golden.scalar("fista_restarts"));
}

#[test]
fn nonnegative_starts_are_the_transcription_s() {
    let golden = Golden::read("p2");
    let (u, v) = svd_split(golden.mat("p1_W").as_ref(), 4).unwrap();
    let got = [columns(u.as_ref()), columns(v.as_ref())].concat();
    all_close("svd", &got, &concatenated(&golden, "init_U", "init_V"), 1e-9);
    let (a, b) = (golden.mat("split_A"), golden.mat("split_B"));
    let (u, v) = split_signed(a.as_ref(), b.as_ref()).unwrap();
    let got = [columns(u.as_ref()), columns(v.as_ref())].concat();
    assert_eq!(got, concatenated(&golden, "split_U", "split_V"));
}

#[test]
fn the_default_method_comes_near_the_stationary_point_and_stays_feasible() {
    let golden = Golden::read("p2");
    let data = golden.data("");
    let start = Start::Given { u: golden.mat("init_U"), v: golden.mat("init_V") };
    let fit = LowRankSplineRegression::new(4)
        .lambda(golden.scalar("lam"))
        .start(start)
        .max_iterations(4000)
        .fit(&data, &path(24), &path(30))
        .unwrap();
    assert!(factors(&fit).iter().all(|x| *x >= 0.0));
    let best = golden.scalar("stationary_f");
    assert!(fit.objective <= 1.02 * best, "{} {best}", fit.objective);
    // No worse than 1% below: another stationary point would be a finding.
    assert!(fit.objective >= golden.scalar("p1_f"), "{}", fit.objective);
    // Balanced columns.
    let Weights::Factors { u, v } = &fit.weights else { panic!("expected factors") };
    for k in 0..4 {
        close("norms", u.col(k).norm_l2(), v.col(k).norm_l2(), 1e-12);
    }
}

#[test]
fn factors_have_the_gradient_of_their_product_and_no_scale() {
    let golden = Golden::read("objective");
    let (x, y, omega) = (golden.mat("X"), golden.mat("Y"), golden.mat("Omega"));
    let (data, lx) = (problem(x.as_ref(), y.as_ref(), omega.as_ref()), path(x.nrows()));
    let (shape, mask) = golden.array("mask");
    let ly = grid_laplacian(&shape, &mask);
    let (u, v) = (golden.mat("U"), golden.mat("V"));
    let f = FactorObjective::new(&data, &lx, &ly, 0.8, 3).unwrap();
    let mut g = vec![f64::NAN; 3 * (u.nrows() + v.nrows())];
    // An image of the larger factor, and the residual.
    let numbers = 3 * u.nrows().max(v.nrows()) + u.nrows() * x.ncols();
    assert_eq!(f.memory_estimate(), 8 * numbers);
    let value = f.gradient(&f.pack(u.as_ref(), v.as_ref()).unwrap(), &mut g).unwrap();
    // g_U = G V and g_V = Gᵀ U with the gradient G at W = U Vᵀ.
    let full = SplineObjective::new(&data, &lx, &ly, 0.8).unwrap();
    let mut at_w = vec![f64::NAN; u.nrows() * v.nrows()];
    full.gradient(&outer(u.as_ref(), v.as_ref()), &mut at_w).unwrap();
    let at_w = MatRef::from_column_major_slice(&at_w, u.nrows(), v.nrows());
    let want = [columns((at_w * &v).as_ref()), columns((at_w.transpose() * &u).as_ref())].concat();
    all_close("gradient", &g, &want, 1e-12);
    // (U D, V D⁻¹) with its columns in another order is the same W.
    let (d, order) = ([2.0, 0.25, 7.0], [2, 0, 1]);
    let turned = |m: &Mat<f64>, factor: &dyn Fn(usize) -> f64| {
        Mat::from_fn(m.nrows(), 3, |i, k| m[(i, order[k])] * factor(order[k]))
    };
    let (a, b) = (turned(&u, &|k| d[k]), turned(&v, &|k| 1.0 / d[k]));
    let other = f.value(&f.pack(a.as_ref(), b.as_ref()).unwrap()).unwrap();
    close("objective", other.objective, value.objective, 1e-12);
}

#[test]
fn full_rank_reaches_the_unconstrained_solution() {
    let golden = Golden::read("unconstrained");
    let data = golden.data("");
    let (lx, ly) = (path(30), path(40));
    let fit = GreedyLowRank::new()
        .lambda_eff(golden.scalar("lam_eff"))
        .max_rank(30)
        .fit(&data, &lx, &ly)
        .unwrap();
    close("f", fit.connectome.objective, golden.scalar("f"), 1e-5);
    let exact = SplineRegression::new()
        .lambda_eff(golden.scalar("lam_eff"))
        .nonnegative(false)
        .fit(&data, &lx, &ly)
        .unwrap();
    assert!(fit.connectome.objective >= exact.objective * (1.0 - 1e-12));
}
