//! Hessian products, spectra, trainings and the stability of minima of the reference files.

use hesse::credit::{
    BackWeights, Block, Curvature, Decay, Eigensolver, Feedback, Leak, Propagation, RateRnn, Rule,
    Scaling, Sequences, Stability, States, Stop, Target, Training,
};
use hesse::faer::{Mat, Side, c64};
use hesse::krylov::{BlockOf, LinearOperator, Sum};
use hesse::network::Activation;
use hesse::optimize::Schedule;
use hesse::random::Stream;

use super::case::{Case, largest, near};

fn products(operator: &impl LinearOperator<f64>, x: &[f64]) -> Vec<f64> {
    let mut y = vec![f64::NAN; x.len()];
    operator.apply_block(x, &mut y);
    y
}

/// All of an operator, from products with unit vectors.
fn matrix(operator: &impl LinearOperator<f64>) -> Mat<f64> {
    let n = operator.dimension();
    let mut unit = vec![0.0; n * n];
    (0..n).for_each(|i| unit[i * (n + 1)] = 1.0);
    let columns = products(operator, &unit);
    Mat::from_fn(n, n, |i, j| 0.5 * (columns[j * n + i] + columns[i * n + j]))
}

fn eigenvalues(matrix: &Mat<f64>) -> Vec<f64> {
    matrix.self_adjoint_eigenvalues(Side::Lower).unwrap()
}

fn check_curvature(case: &Case, rnn: &RateRnn, data: &Sequences<f64>) {
    let theta = case.theta();
    let network = rnn.network(data.steps(), data.target().at_each_step()).unwrap();
    let objective = data.objective(&network).unwrap();
    let point = objective.at(&theta).unwrap();
    let decay = Decay::new(rnn, case.number("cfg_l2")).unwrap();
    let hessian = Sum::new(point.hessian(), decay.hessian().unwrap()).unwrap();
    case.check("hvp", &products(&hessian, &case.array("probe")), 1e-9);
    if case.has("hess_full") {
        let full = matrix(&hessian);
        let n = full.nrows();
        let rows: Vec<f64> = (0..n * n).map(|e| full[(e / n, e % n)]).collect();
        case.check("hess_full", &rows, 1e-9);
        case.check("hess_full_eigvals", &eigenvalues(&full), 1e-8);
    }
    let block = BlockOf::new(hessian, rnn.block(Block::Recurrent)).unwrap();
    let values = eigenvalues(&matrix(&block));
    case.check("hessW_eigvals", &values, 1e-8);

    let solver = Eigensolver::Lanczos { tolerance: 1e-7, max_products: 1000 };
    let mut curvature = Curvature::new(rnn, data, &decay).unwrap().solver(solver).unwrap();
    let cold = curvature.at(&theta).unwrap();
    let warm = curvature.at(&theta).unwrap();
    assert!(cold.converged && warm.converged, "{}: {cold:?} {warm:?}", case.name);
    for found in [cold, warm] {
        let got = [found.largest, found.smallest.unwrap()];
        let want = [values[values.len() - 1], values[0]];
        near(&format!("{}: ends", case.name), &got, &want, 1e-8);
        assert!(found.residuals[0] <= 1e-7 * found.largest.abs());
    }
    assert!(warm.products <= cold.products, "{}: {} {}", case.name, warm.products, cold.products);

    let mut curvature =
        Curvature::new(rnn, data, &decay).unwrap().solver(solver).unwrap().largest_only();
    let alone = curvature.at(&theta).unwrap();
    assert!(alone.converged && alone.smallest.is_none(), "{}: {alone:?}", case.name);
    near(&format!("{}: λ₁ alone", case.name), &[alone.largest], &[values[values.len() - 1]], 1e-8);
    assert!(alone.products <= cold.products, "{}: {} {}", case.name, alone.products, cold.products);
}

#[test]
fn hessians_of_the_reference_networks() {
    let case = Case::open("A_tanh_mse");
    check_curvature(&case, &case.network(Activation::Tanh, false), &case.values_at_each_step());
    for name in ["B_relu_ce_code", "C_relu_leaky_filtered", "I_seqdigits"] {
        let case = Case::open(name);
        check_curvature(&case, &case.network(Activation::Relu, false), &case.class_at_end());
    }
}

#[test]
fn fifty_steps_under_six_rules() {
    let case = Case::open("F_training_curves");
    let sizes = [case.shape("U0"), case.shape("O0")];
    let leak = Leak::Voltage(case.array("cfg_a"));
    let rnn = RateRnn::new(sizes[0][1], sizes[0][0], sizes[1][0], Activation::Tanh, leak).unwrap();
    let theta = ["W0", "U0", "b0", "O0", "c0"].map(|name| case.array(name)).concat();
    let data = case.class_at_end();
    let eta = Schedule::constant(case.number("eta")).unwrap();
    let rules = [
        ("bptt", Rule::Bptt, Scaling::None),
        ("three_factor", Rule::three_factor(), Scaling::None),
        (
            "eprop_random",
            Rule::ThreeFactor { feedback: Feedback::Fixed(case.array("FB")) },
            Scaling::None,
        ),
        ("mdgl_cell", Rule::Mdgl { weights: BackWeights::Exact }, Scaling::None),
        (
            "modprop_code_type",
            Rule::ModProp {
                mu: 0.25,
                weights: BackWeights::TypeMean(case.types()),
                propagation: Propagation::Code,
            },
            Scaling::None,
        ),
        ("bptt_scaled", Rule::Bptt, Scaling::Match(Rule::three_factor())),
    ];
    for (name, rule, scaling) in rules {
        let solver = Eigensolver::Lanczos { tolerance: 1e-7, max_products: 400 };
        let decay = Decay::new(&rnn, 0.0).unwrap();
        let curvature = Curvature::new(&rnn, &data, &decay).unwrap().solver(solver).unwrap();
        let history = Training::new(&rnn, &data, rule, eta, 50)
            .unwrap()
            .scaling(scaling)
            .unwrap()
            .checkpoints(10, Some(curvature))
            .unwrap()
            .run(&theta)
            .unwrap();
        assert_eq!(history.stop, Stop::StepLimit);
        case.check(&format!("{name}_loss"), &history.losses, 1e-7);
        let steps: Vec<f64> = history.checkpoints.iter().map(|c| c.step as f64).collect();
        assert_eq!(steps, case.array("checkpoints"));
        let of = |f: &dyn Fn(&hesse::credit::Checkpoint) -> f64| -> Vec<f64> {
            history.checkpoints.iter().map(f).collect()
        };
        let largest = of(&|c| c.curvature.unwrap().largest);
        case.check(&format!("{name}_lambda_max"), &largest, 1e-6);
        let smallest = of(&|c| c.curvature.unwrap().smallest.unwrap());
        case.check(&format!("{name}_lambda_min"), &smallest, 1e-6);
        case.check(&format!("{name}_rho"), &of(&|c| c.alignment.rho.unwrap()), 1e-6);
        case.check(&format!("{name}_cos"), &of(&|c| c.alignment.cosine.unwrap()), 1e-6);
        let blocks = [(Block::Recurrent, "W_final"), (Block::Readout, "O_final")];
        for (block, array) in blocks {
            let got = &history.parameters[rnn.block(block)];
            case.check(&format!("{name}_{array}"), got, 1e-7);
        }
    }
}

/// The data of a theorem: values at the last step.
fn theorem(name: &str) -> (Case, RateRnn, Sequences<f64>) {
    let case = Case::open(name);
    let rnn = case.network(Activation::Tanh, false);
    let data = case.data(Target::ValuesAtEnd(case.array("target")));
    (case, rnn, data)
}

#[test]
fn step_sizes_that_a_minimum_tolerates() {
    for name in ["G_theorem_single", "G_theorem_multi"] {
        let (case, rnn, data) = theorem(name);
        let theta = case.theta();
        let of = Stability::new(&rnn, &theta, &data, &Rule::three_factor()).unwrap();
        case.check("J", &of.jacobian, 1e-10);
        case.check("J_trunc", &of.rule_jacobian, 1e-10);
        case.check("lambda_exact", &of.exact, 1e-10);
        let parts = |f: fn(&c64) -> f64| of.rule.iter().map(f).collect::<Vec<f64>>();
        case.check("eig_trunc_re", &parts(|mu| mu.re), 1e-10);
        assert!(parts(|mu| mu.im).iter().all(|&im| im == 0.0));
        // Without residuals the Hessian is JᵀJ/n, whatever the targets were.
        let network = rnn.network(data.steps(), false).unwrap();
        let objective = data.objective(&network).unwrap();
        let point = objective.at(&theta).unwrap();
        let block = BlockOf::new(point.hessian(), rnn.block(Block::Recurrent)).unwrap();
        let full = matrix(&block);
        let n = full.nrows();
        let rows: Vec<f64> = (0..n * n).map(|e| full[(e / n, e % n)]).collect();
        case.check("hessW", &rows, 1e-9);
        let exact = Stability::new(&rnn, &theta, &data, &Rule::Bptt).unwrap();
        assert!((exact.rule_limit.unwrap() / exact.exact_limit.unwrap() - 1.0).abs() < 1e-12);
        let least = of.rule.iter().map(|mu| 2.0 / mu.re).fold(f64::INFINITY, f64::min);
        assert!((of.rule_limit.unwrap() / least - 1.0).abs() < 1e-12);
    }
}

#[test]
fn residuals_shrink_below_the_limit_and_grow_above_it() {
    let (case, rnn, data) = theorem("G_theorem_single");
    let theta = case.theta();
    let of = Stability::new(&rnn, &theta, &data, &Rule::three_factor()).unwrap();
    near("rho", &[of.rho.unwrap()], &case.array("rho"), 1e-10);
    near("lambda_1", &[of.exact[0]], &case.array("lambda1"), 1e-10);
    near("mu", &[of.rule[0].re], &case.array("lambda_hat"), 1e-10);
    let limits = [
        ("bptt", Rule::Bptt, of.exact_limit.unwrap()),
        ("three_factor", Rule::three_factor(), of.rule_limit.unwrap()),
    ];
    let w = rnn.block(Block::Recurrent);
    for (name, rule, limit) in limits {
        for (side, factor) in [("below", 0.9), ("above", 1.1)] {
            let eta = factor * limit;
            near("eta", &[eta], &case.array(&format!("eta_{name}_{side}")), 1e-10);
            let mut theta = theta.clone();
            let moved = theta[w.clone()].iter_mut().zip(case.array("perturbation"));
            moved.for_each(|(x, d)| *x += d);
            let mut residuals = Vec::new();
            for _ in 0..31 {
                let states = States::new(&rnn, &theta, &data).unwrap();
                let y = states.outputs()[states.outputs().len() - 1];
                residuals.push(y - case.number("target"));
                let gradient = states.gradient(&rule).unwrap();
                let moved = theta[w.clone()].iter_mut().zip(&gradient[w.clone()]);
                moved.for_each(|(x, g)| *x -= eta * g);
            }
            let what = format!("residual_{name}_{side}");
            // The last residuals are 10⁻³ of the first, and hold to 10⁻⁶ themselves.
            for (got, want) in residuals.iter().zip(case.array(&what)) {
                assert!((got - want).abs() <= 1e-6 * want.abs(), "{what}: {got:e}, {want:e}");
            }
            let ratio = residuals[5] / residuals[4];
            let want = 1.0 - 2.0 * factor;
            assert!((ratio - want).abs() < 0.01, "{what}: {ratio}");
        }
    }
}

#[test]
fn the_sign_of_a_dominant_negative_eigenvalue_is_lost_by_power_iteration_alone() {
    let rnn = RateRnn::new(2, 5, 1, Activation::Tanh, Leak::Voltage(vec![0.3])).unwrap();
    let normals = |seed, n| {
        let mut x = vec![0.0; n];
        Stream::new(seed, "curvature").normals(0, &mut x);
        x
    };
    let data =
        Sequences::new(normals(1, 3 * 4 * 2), [3, 4, 2], Target::ValuesAtEnd(vec![9.0, -9.0, 9.0]));
    let data = data.unwrap();
    let decay = Decay::new(&rnn, 0.0).unwrap();
    let mut seen = 0;
    for seed in 0..10 {
        let theta: Vec<f64> =
            normals(seed, rnn.parameter_count()).iter().map(|x| 0.5 * x).collect();
        let network = rnn.network(4, false).unwrap();
        let objective = data.objective(&network).unwrap();
        let point = objective.at(&theta).unwrap();
        let block = BlockOf::new(point.hessian(), rnn.block(Block::Recurrent)).unwrap();
        let values = eigenvalues(&matrix(&block));
        let (low, high) = (values[0], values[values.len() - 1]);
        if -low < 1.2 * high.max(-values[1]) {
            continue;
        }
        seen += 1;
        let power = Eigensolver::PowerAbs { max_iter: 500, abs_tol: 1e-6 };
        let of = |solver: Option<Eigensolver>| {
            let curvature = Curvature::new(&rnn, &data, &decay).unwrap().seed(seed);
            let mut curvature = match solver {
                Some(solver) => curvature.solver(solver).unwrap(),
                None => curvature,
            };
            curvature.at(&theta).unwrap()
        };
        let (power, lanczos) = (of(Some(power)), of(None));
        // Differences of successive estimates shrink by 1/1.2² at least: with 10⁻⁶ the last, what
        // is left is at most 10⁻⁶ · 0.7/(1 − 0.7).
        assert!(power.converged && (power.largest + low).abs() < 3e-6, "{power:?} {low}");
        assert!(lanczos.converged && (lanczos.largest - high).abs() < 1e-6 * largest(&values));
        assert!((lanczos.smallest.unwrap() - low).abs() < 1e-6 * largest(&values));
    }
    assert!(seen > 0, "no network with a dominant negative eigenvalue");
}

#[test]
fn decay_shifts_the_spectrum_of_the_weights_that_count() {
    let case = Case::open("B_relu_ce_code");
    let rnn = case.network(Activation::Relu, false);
    let (data, theta) = (case.class_at_end(), case.theta());
    let network = rnn.network(data.steps(), false).unwrap();
    let objective = data.objective(&network).unwrap();
    let point = objective.at(&theta).unwrap();
    let of = |decay: Decay<f64>| {
        let sum = Sum::new(point.hessian(), decay.hessian().unwrap()).unwrap();
        matrix(&BlockOf::new(sum, rnn.block(Block::Recurrent)).unwrap())
    };
    let [none, masked, all] = [
        of(Decay::new(&rnn, 0.0).unwrap()),
        of(Decay::new(&rnn, 0.25).unwrap()),
        of(Decay::unmasked(&rnn, 0.25).unwrap()),
    ];
    let units = rnn.units();
    for i in 0..units * units {
        for j in 0..units * units {
            let own = i % (units + 1) == 0;
            let added = [masked[(i, j)] - none[(i, j)], all[(i, j)] - none[(i, j)]];
            let on_diagonal = f64::from(i == j) * 0.25;
            let want = [if own { 0.0 } else { on_diagonal }, on_diagonal];
            for (added, want) in added.into_iter().zip(want) {
                assert!((added - want).abs() < 1e-14, "{i} {j}");
            }
        }
    }
}
