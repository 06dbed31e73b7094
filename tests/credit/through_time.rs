//! Cuts of samples and of time do not show in results.

use hesse::credit::{
    BackWeights, Eligibility, Feedback, Leak, Noise, Propagation, RateRnn, Rule, Sequences, States,
    Target,
};
use hesse::krylov::LinearOperator;
use hesse::network::Activation;
use hesse::random::Stream;

use super::case::near;

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut x = vec![0.0; n];
    Stream::new(seed, "through time").normals(0, &mut x);
    x
}

fn leak(units: usize, rate: bool) -> Leak {
    let a = (0..units).map(|i| 0.2 + 0.6 * i as f64 / units as f64).collect();
    if rate { Leak::Rate(a) } else { Leak::Voltage(a) }
}

fn sequences(samples: usize, steps: usize, each: bool) -> Sequences<f64> {
    let x = normals(1, samples * steps * 2);
    let target = if each {
        Target::ValuesAtEachStep(normals(2, samples * steps * 3))
    } else {
        Target::ClassAtEnd((0..samples).map(|i| i % 3).collect())
    };
    Sequences::new(x, [samples, steps, 2], target).unwrap()
}

fn rules(units: usize, samples: usize, steps: usize) -> Vec<Rule<f64>> {
    let weights = BackWeights::Exact;
    vec![
        Rule::Bptt,
        Rule::three_factor(),
        Rule::ThreeFactor { feedback: Feedback::Fixed(normals(3, units * 3)) },
        Rule::Mdgl { weights: weights.clone() },
        Rule::ModProp { mu: 0.3, weights: weights.clone(), propagation: Propagation::Code },
        Rule::ModProp { mu: 0.3, weights, propagation: Propagation::Taps { hops: Some(2) } },
        Rule::SnAp1,
        Rule::Uoro { noise: Noise::Drawn { seed: 4 } },
        Rule::Uoro {
            noise: Noise::Given(
                normals(5, samples * steps * units).iter().map(|x| x.signum()).collect(),
            ),
        },
    ]
}

fn on<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn gradients_have_the_same_bits_for_any_number_of_threads() {
    // More samples than two passes hold.
    let (units, samples, steps) = (5, 600, 4);
    let data = sequences(samples, steps, false);
    let rnn = RateRnn::new(2, units, 3, Activation::Tanh, leak(units, false)).unwrap();
    let theta: Vec<f64> = rnn.initialize(6).unwrap();
    for rule in rules(units, samples, steps) {
        let gradient = || States::new(&rnn, &theta, &data).unwrap().gradient(&rule).unwrap();
        let one = on(1, gradient);
        assert!(one.iter().any(|g| *g != 0.0));
        for threads in [2, 3] {
            assert_eq!(on(threads, gradient), one, "{} on {threads} threads", rule.name());
        }
    }
}

#[test]
fn passes_add_up_to_what_their_samples_give_alone() {
    let (units, samples, steps) = (5, 515, 4);
    for each in [false, true] {
        let data = sequences(samples, steps, each);
        let rnn = RateRnn::new(2, units, 3, Activation::Tanh, leak(units, false)).unwrap();
        let theta: Vec<f64> = rnn.initialize(6).unwrap();
        let states = States::new(&rnn, &theta, &data).unwrap();
        // The first samples of the second pass, whose parts of the whole are found by their place.
        let some: Vec<usize> = (256..262).collect();
        let few = States::new(&rnn, &theta, &data.select(&some).unwrap()).unwrap();
        for (all, part, width) in [
            (states.outputs(), few.outputs(), 3),
            (states.rates(), few.rates(), units),
            (states.voltages(), few.voltages(), units),
        ] {
            for t in 0..steps {
                let all = &all[(t * samples + 256) * width..][..some.len() * width];
                near("states", all, &part[t * some.len() * width..][..all.len()], 1e-13);
            }
        }
        let (mut loss, mut error) = (0.0, vec![0.0; theta.len()]);
        for first in (0..samples).step_by(103) {
            let part = data.select(&(first..first + 103).collect::<Vec<_>>()).unwrap();
            let states = States::new(&rnn, &theta, &part).unwrap();
            loss += states.loss() / 5.0;
            let gradient = states.gradient(&Rule::Bptt).unwrap();
            error.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g / 5.0);
        }
        near("loss", &[states.loss()], &[loss], 1e-13);
        near("gradient", &states.gradient(&Rule::Bptt).unwrap(), &error, 1e-12);
        let network = rnn.network(steps, each).unwrap();
        let exact = data.objective(&network).unwrap().at(&theta).unwrap().gradient().to_vec();
        near("objective", &exact, &error, 1e-12);
    }
}

/// 48 samples of 64 units fill a segment after 5 steps, one sample never does.
#[test]
fn segments_of_time_do_not_show() {
    let (units, samples, steps) = (64, 48, 13);
    for (rate, filter, each) in
        [(false, 0.0, false), (false, 0.5, false), (true, 0.0, true), (true, 0.5, true)]
    {
        let data = sequences(samples, steps, each);
        let rnn = RateRnn::new(2, units, 3, Activation::Softplus, leak(units, rate))
            .unwrap()
            .readout_filter(filter)
            .unwrap()
            .autapses(false);
        let theta: Vec<f64> = rnn.initialize::<f64>(7).unwrap().iter().map(|x| 0.7 * x).collect();
        let network = rnn.network(steps, each).unwrap();
        let direction = normals(8, theta.len());
        let both = |data: &Sequences<f64>| {
            let objective = data.objective(&network).unwrap();
            let point = objective.at(&theta).unwrap();
            let (mut hessian, mut gauss_newton) = (direction.clone(), direction.clone());
            point.hessian().apply(&direction, &mut hessian);
            point.gauss_newton().apply(&direction, &mut gauss_newton);
            [point.gradient().to_vec(), hessian, gauss_newton]
        };
        let together = both(&data);
        let mut alone = [(); 3].map(|()| vec![0.0; theta.len()]);
        for sample in 0..samples {
            let one = both(&data.select(&[sample]).unwrap());
            for (sum, one) in alone.iter_mut().zip(one) {
                sum.iter_mut().zip(one).for_each(|(sum, x)| *sum += x / samples as f64);
            }
        }
        for (what, (a, b)) in
            ["gradient", "Hessian", "Gauss-Newton"].into_iter().zip(together.iter().zip(&alone))
        {
            near(what, a, b, 1e-11);
        }
        let states = States::new(&rnn, &theta, &data).unwrap();
        near("BPTT", &states.gradient(&Rule::Bptt).unwrap(), &alone[0], 1e-11);
    }
}

#[test]
fn without_memory_of_its_own_a_unit_learns_from_the_last_step() {
    let data = sequences(7, 6, false);
    let rnn = RateRnn::new(2, 5, 3, Activation::Tanh, Leak::Voltage(vec![0.0])).unwrap();
    let theta: Vec<f64> = rnn.initialize(9).unwrap();
    let states = States::new(&rnn, &theta, &data).unwrap();
    let g = states.learning_signal(&Feedback::Symmetric).unwrap();
    let last = |x: &[f64], t: usize| x[t * 35..(t + 1) * 35].to_vec();
    let (g, h, before) = (last(&g, 5), last(states.rates(), 5), last(states.rates(), 4));
    let mut want = vec![0.0; 25];
    for b in 0..7 {
        for p in 0..5 {
            let d = g[b * 5 + p] * (1.0 - h[b * 5 + p].powi(2));
            (0..5).for_each(|q| want[p * 5 + q] += d * before[b * 5 + q]);
        }
    }
    let gradient = states.gradient(&Rule::three_factor()).unwrap();
    near("three factors", &gradient[..25], &want, 1e-12);
}

/// Factors that are all the same have a shorter way than others; these differ by rounding alone.
#[test]
fn units_that_leak_alike_learn_like_units_that_nearly_do() {
    let (units, samples, steps) = (5, 300, 9);
    let data = sequences(samples, steps, false);
    let gradients = |a: Vec<f64>, bias: bool| {
        let rnn = RateRnn::new(2, units, 3, Activation::Tanh, Leak::Voltage(a)).unwrap();
        let rnn = rnn.bias(bias).autapses(false);
        let theta: Vec<f64> = rnn.initialize(9).unwrap();
        let states = States::new(&rnn, &theta, &data).unwrap();
        rules(units, samples, steps)[1..3]
            .iter()
            .map(|rule| states.gradient(rule).unwrap())
            .collect::<Vec<_>>()
    };
    for bias in [false, true] {
        let alike = gradients(vec![0.6; units], bias);
        assert_eq!(gradients(vec![0.6], bias), alike);
        let mut nearly = vec![0.6; units];
        nearly[3] = 0.6 + f64::EPSILON;
        for (a, b) in alike.iter().zip(gradients(nearly, bias)) {
            near("three factors", a, &b, 1e-12);
        }
    }
}

#[test]
fn steps_without_learning_are_in_the_traces() {
    for (rate, filter, alike) in
        [(false, 0.0, true), (false, 0.0, false), (false, 0.5, false), (true, 0.0, false)]
    {
        let (units, samples, steps) = (5, 3, 6);
        let data = sequences(samples, steps, false);
        let leak = if alike { Leak::Voltage(vec![0.7]) } else { leak(units, rate) };
        let rnn = RateRnn::new(2, units, 3, Activation::Tanh, leak)
            .unwrap()
            .readout_filter(filter)
            .unwrap();
        let theta: Vec<f64> = rnn.initialize(10).unwrap();
        let mut online = Eligibility::new(&rnn, Feedback::Symmetric, samples).unwrap();
        for t in 0..steps {
            let x = |b: usize| data.inputs()[(b * steps + t) * 2..][..2].to_vec();
            online.advance(&theta, &(0..samples).flat_map(x).collect::<Vec<_>>()).unwrap();
        }
        let states = States::new(&rnn, &theta, &data).unwrap();
        let errors = &states.errors()[(steps - 1) * samples * 3..];
        let before = online.traces(1).unwrap();
        online.learn(&theta, errors).unwrap();
        near("traces", &online.traces(1).unwrap(), &before, 1e-14);
        let want = states.gradient(&Rule::three_factor()).unwrap();
        near("gradient at the end", online.gradient(), &want, 1e-12);
        // The same step once more doubles its gradient; after `forget` it is there once.
        online.learn(&theta, errors).unwrap();
        let twice: Vec<f64> = want.iter().map(|g| 2.0 * g).collect();
        near("learnt twice", online.gradient(), &twice, 1e-12);
        online.forget();
        online.learn(&theta, errors).unwrap();
        near("after forgetting", online.gradient(), &want, 1e-12);
    }
}
