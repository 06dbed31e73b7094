//! What must hold of curvature, of first weights, of decay and of sums, beside what rules must do.

use faer::{Mat, Side};
use hesse::credit::{
    Alignment, BackWeights, Block, Decay, Eligibility, Feedback, Leak, RateRnn, Rule, Sequences,
    States, Target, Training,
};
use hesse::krylov::LinearOperator;
use hesse::network::Activation;
use hesse::optimize::Schedule;
use hesse::random::Stream;

use super::case::{largest, near};

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut x = vec![0.0; n];
    Stream::new(seed, "identities").normals(0, &mut x);
    x
}

fn product(operator: &impl LinearOperator<f64>, x: &[f64]) -> Vec<f64> {
    let mut y = vec![f64::NAN; x.len()];
    operator.apply(x, &mut y);
    y
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn matrix(operator: &impl LinearOperator<f64>) -> Mat<f64> {
    let n = operator.dimension();
    let mut matrix = Mat::zeros(n, n);
    for j in 0..n {
        let mut unit = vec![0.0; n];
        unit[j] = 1.0;
        let column = product(operator, &unit);
        (0..n).for_each(|i| matrix[(i, j)] = column[i]);
    }
    matrix
}

fn rnn(rate: bool) -> RateRnn {
    let a = vec![0.2, 0.5, 0.7];
    let leak = if rate { Leak::Rate(a) } else { Leak::Voltage(a) };
    RateRnn::new(2, 3, 2, Activation::Tanh, leak).unwrap().readout_filter(0.3).unwrap()
}

#[test]
fn hessians_are_linear_and_symmetric_and_gauss_newton_is_their_convex_part() {
    let (samples, steps) = (4, 5);
    for (rate, each) in [(false, false), (false, true), (true, false), (true, true)] {
        let rnn = rnn(rate);
        let theta: Vec<f64> = normals(1, rnn.parameter_count()).iter().map(|x| 0.7 * x).collect();
        let sequences = |values: Vec<f64>| {
            let target =
                if each { Target::ValuesAtEachStep(values) } else { Target::ValuesAtEnd(values) };
            Sequences::new(normals(2, samples * steps * 2), [samples, steps, 2], target).unwrap()
        };
        let rows = if each { samples * steps } else { samples };
        let data = sequences(normals(3, rows * 2));
        let network = rnn.network(steps, each).unwrap();
        let objective = data.objective(&network).unwrap();
        let point = objective.at(&theta).unwrap();
        let (hessian, gauss_newton) = (point.hessian(), point.gauss_newton());
        let (u, v) = (normals(4, theta.len()), normals(5, theta.len()));
        let (hu, hv) = (product(&hessian, &u), product(&hessian, &v));
        let size = dot(&hu, &hu).sqrt() * dot(&v, &v).sqrt();
        assert!((dot(&v, &hu) - dot(&u, &hv)).abs() <= 1e-13 * size);
        let both: Vec<f64> = u.iter().zip(&v).map(|(u, v)| 2.0 * u - 3.0 * v).collect();
        let want: Vec<f64> = hu.iter().zip(&hv).map(|(u, v)| 2.0 * u - 3.0 * v).collect();
        near("linear", &product(&hessian, &both), &want, 1e-13);
        let values = matrix(&gauss_newton).self_adjoint_eigenvalues(Side::Lower).unwrap();
        assert!(values[0] >= -1e-14 * largest(&values), "{values:?}");
        assert!(matrix(&hessian) != matrix(&gauss_newton));

        // Targets that the network has: nothing is left for the curvature of the network.
        let states = States::new(&rnn, &theta, &data).unwrap();
        let output = |t: usize, b: usize| &states.outputs()[(t * samples + b) * 2..][..2];
        let first = if each { 0 } else { steps - 1 };
        let own =
            (0..samples).flat_map(|b| (first..steps).flat_map(move |t| output(t, b).to_vec()));
        let fitted = sequences(own.collect());
        let objective = fitted.objective(&network).unwrap();
        let point = objective.at(&theta).unwrap();
        assert!(point.value() <= 1e-30);
        let flat = |matrix: Mat<f64>| -> Vec<f64> {
            let n = matrix.nrows();
            (0..n * n).map(|i| matrix[(i / n, i % n)]).collect()
        };
        let (full, convex) = (flat(matrix(&point.hessian())), flat(matrix(&point.gauss_newton())));
        near("zero residual", &full, &convex, 1e-13);
    }
}

/// Variances of W, U, O and of random feedback: estimated from 40,000, 10,000, 4,000 and 2,000
/// numbers, with deviations of 0.7, 1.4, 1.4 and 3.2 %.
#[test]
fn first_weights_have_the_variances_that_they_should() {
    let (inputs, units, outputs) = (50, 200, 20);
    let leak = Leak::Voltage(vec![0.5]);
    let rnn = RateRnn::new(inputs, units, outputs, Activation::Relu, leak).unwrap();
    let theta: Vec<f64> = rnn.initialize(1).unwrap();
    let variance = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    let of = |block: Block| &theta[rnn.block(block)];
    let bound = (6.0 / (units + outputs) as f64).sqrt();
    for (block, want) in [
        (Block::Recurrent, 2.0 / units as f64),
        (Block::Input, 2.0 / inputs as f64),
        (Block::Readout, bound * bound / 3.0),
    ] {
        let got = variance(of(block));
        assert!((got / want - 1.0).abs() < 0.05, "{block:?}: {got} against {want}");
    }
    assert!(largest(of(Block::Readout)) <= bound);
    assert!(of(Block::Bias).iter().chain(of(Block::ReadoutBias)).all(|&x| x == 0.0));
    let lone: Vec<f64> = rnn.clone().autapses(false).initialize(1).unwrap();
    assert!((0..units).all(|i| lone[i * (units + 1)] == 0.0));
    let Feedback::Fixed(feedback) = Feedback::<f64>::random(units, 10, 1) else { panic!() };
    assert!((variance(&feedback) * units as f64 - 1.0).abs() < 0.1);
}

/// h_0 is zero also where φ(0) is not: after one step W has had no effect.
#[test]
fn nothing_is_active_before_the_first_step() {
    for leak in [Leak::Voltage(vec![0.4]), Leak::Rate(vec![0.4])] {
        let rnn = RateRnn::new(2, 3, 2, Activation::Softplus, leak).unwrap();
        let target = Target::ValuesAtEnd(vec![0.5; 4]);
        let data = Sequences::new(normals(1, 4), [2, 1, 2], target).unwrap();
        let mut theta = normals(2, rnn.parameter_count());
        let loss = |theta: &[f64]| States::new(&rnn, theta, &data).unwrap().loss();
        let before = loss(&theta);
        theta[rnn.block(Block::Recurrent)].fill(7.0);
        assert_eq!(loss(&theta), before);
    }
}

/// One step of descent has the decay once, and on W, U and O alone.
#[test]
fn weight_decay_counts_once() {
    let rnn = rnn(false);
    let target = Target::ValuesAtEnd(normals(3, 8));
    let data = Sequences::new(normals(1, 4 * 5 * 2), [4, 5, 2], target).unwrap();
    let theta = normals(2, rnn.parameter_count());
    let (rate, l2) = (0.1, 0.3);
    for rule in [Rule::Bptt, Rule::three_factor(), Rule::Mdgl { weights: BackWeights::Exact }] {
        let gradient = States::new(&rnn, &theta, &data).unwrap().gradient(&rule).unwrap();
        let schedule = Schedule::constant(rate).unwrap();
        let history = Training::new(&rnn, &data, rule, schedule, 1)
            .unwrap()
            .decay(Decay::new(&rnn, l2).unwrap())
            .run(&theta)
            .unwrap();
        let decays = |i: &usize| {
            [Block::Recurrent, Block::Input, Block::Readout]
                .iter()
                .any(|&block| rnn.block(block).contains(i))
        };
        let want = |i: usize| {
            let decay = if decays(&i) { l2 * theta[i] } else { 0.0 };
            theta[i] - rate * (gradient[i] + decay)
        };
        let want: Vec<f64> = (0..theta.len()).map(want).collect();
        near("step", &history.parameters, &want, 1e-15);
        let squares: f64 = (0..theta.len()).filter(decays).map(|i| theta[i] * theta[i]).sum();
        let loss = States::new(&rnn, &theta, &data).unwrap().loss() + 0.5 * l2 * squares;
        assert!((history.losses[0] - loss).abs() <= 1e-14 * loss);
    }
}

#[test]
fn cosines_lie_between_minus_one_and_one() {
    for seed in 0..20 {
        let rnn = rnn(false);
        let target = Target::ClassAtEachStep(vec![0, 1, 0]);
        let data = Sequences::new(normals(seed, 3 * 6 * 2), [3, 6, 2], target).unwrap();
        let theta = normals(100 + seed, rnn.parameter_count());
        let states = States::new(&rnn, &theta, &data).unwrap();
        let exact = states.gradient(&Rule::Bptt).unwrap();
        let feedback = Feedback::random(3, 2, seed);
        for rule in [Rule::three_factor(), Rule::SnAp1, Rule::ThreeFactor { feedback }] {
            let got = states.gradient(&rule).unwrap();
            let of = Alignment::between(&exact, &got).unwrap();
            let (cosine, rho) = (of.cosine.unwrap(), of.rho.unwrap());
            assert!(cosine.abs() <= 1.0, "{cosine}");
            // ĝ = ρ g + e with e orthogonal: |ĝ|² = ρ²|g|² + |e|².
            let rest: Vec<f64> = got.iter().zip(&exact).map(|(a, g)| a - rho * g).collect();
            assert!(dot(&rest, &exact).abs() <= 1e-13 * dot(&exact, &exact).max(dot(&got, &got)));
        }
        let turned: Vec<f64> = exact.iter().map(|g| -2.0 * g).collect();
        let of = Alignment::between(&exact, &turned).unwrap();
        assert!((of.cosine.unwrap() + 1.0).abs() < 1e-15 && (of.rho.unwrap() + 2.0).abs() < 1e-15);
    }
}

/// 2²⁴ + 1 + 1 + 1 + 1 in steps, where `f32` would stay at 2²⁴.
#[test]
fn online_gradients_of_single_precision_are_summed_in_double_precision() {
    for leak in [Leak::Voltage(vec![0.0]), Leak::Voltage(vec![0.0, 0.5]), Leak::Rate(vec![0.0])] {
        let name = format!("{leak:?}");
        let rnn = RateRnn::new(1, 2, 1, Activation::Identity, leak).unwrap();
        let mut online = Eligibility::<f32>::new(&rnn, Feedback::Symmetric, 1).unwrap();
        // O = (1, 1), nothing else.
        let mut theta = vec![0.0_f32; rnn.parameter_count()];
        theta[rnn.block(Block::Readout)].fill(1.0);
        for error in [16_777_216.0, 1.0, 1.0, 1.0, 1.0] {
            online.advance(&theta, &[1.0]).unwrap();
            online.learn(&theta, &[error]).unwrap();
        }
        // The first unit has no leak: its bias and its input weight see the errors themselves.
        let gradient = online.gradient();
        for block in [Block::Bias, Block::Input, Block::ReadoutBias] {
            assert_eq!(gradient[rnn.block(block).start], 16_777_220.0, "{name}, {block:?}");
        }
    }
}
