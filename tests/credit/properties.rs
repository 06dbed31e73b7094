//! Identities between rules, and derivatives against differences.

use hesse::credit::{
    Alignment, BackWeights, Batches, Block, CellTypes, Feedback, Leak, Propagation, RateRnn, Rule,
    Scaling, Sequences, States, Stop, Target, Training,
};
use hesse::faer::Mat;
use hesse::network::layers::{Dense, LeakyRecurrent, Sequential};
use hesse::network::{Activation, Layer, Network};
use hesse::optimize::Schedule;
use hesse::random::Stream;

use super::case::{largest, near};
use super::derivatives::{check_derivatives, check_operators};

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut x = vec![0.0; n];
    Stream::new(seed, "credit").normals(0, &mut x);
    x
}

/// [samples, steps, inputs, units, outputs].
type Sizes = [usize; 5];

const SIZES: Sizes = [5, 7, 3, 6, 2];

fn network(sizes: Sizes, activation: Activation, leak: Leak) -> RateRnn {
    RateRnn::new(sizes[2], sizes[3], sizes[4], activation, leak).unwrap()
}

fn own_leaks(units: usize) -> Vec<f64> {
    (0..units).map(|i| 0.9 * i as f64 / units as f64).collect()
}

fn targets(sizes: Sizes) -> Vec<Target<f64>> {
    let [samples, steps, _, _, outputs] = sizes;
    let classes: Vec<usize> = (0..samples).map(|i| i % outputs).collect();
    vec![
        Target::ValuesAtEnd(normals(5, samples * outputs)),
        Target::ValuesAtEachStep(normals(6, samples * steps * outputs)),
        Target::ClassAtEnd(classes.clone()),
        Target::ClassAtEachStep(classes),
    ]
}

fn data(sizes: Sizes, target: Target<f64>) -> Sequences<f64> {
    let [samples, steps, inputs, ..] = sizes;
    let each = target.at_each_step();
    let x = normals(4, samples * steps * inputs);
    let data = Sequences::new(x, [samples, steps, inputs], target).unwrap();
    // The loss of every third step does not count.
    let weights = (0..steps).map(|t| if t % 3 == 1 { 0.0 } else { 0.3 + t as f64 }).collect();
    if each { data.step_weights(weights).unwrap() } else { data }
}

fn theta(rnn: &RateRnn) -> Vec<f64> {
    normals(7, rnn.parameter_count()).iter().map(|x| 0.5 * x).collect()
}

fn gradient(states: &States<f64>, rule: Rule<f64>) -> Vec<f64> {
    states.gradient(&rule).unwrap()
}

const RTRL: Rule<f64> = Rule::Rtrl { memory_limit: 1 << 26 };

#[test]
fn the_layer_has_exact_derivatives() {
    let activations =
        [Activation::Tanh, Activation::Softplus, Activation::Identity, Activation::Gelu];
    for (i, activation) in activations.into_iter().enumerate() {
        for case in 0..8 {
            let (rate, every, plain) = (case % 2 == 1, case / 2 % 2 == 1, case / 4 == 1);
            let name = format!("{activation}, rate {rate}, every {every}, plain {plain}");
            let a = own_leaks(4);
            let leak = if rate { Leak::Rate(a) } else { Leak::Voltage(a) };
            let shape = [5, 3];
            let first: Box<dyn Layer<f64>> =
                Box::new(Dense::new(&shape, 3, Activation::Tanh).unwrap());
            let mut hidden = LeakyRecurrent::new(&shape, 4, activation, &leak)
                .unwrap()
                .every_step(every)
                .autapses(i % 2 == 0)
                .bias(!plain);
            if !plain {
                hidden =
                    hidden.readout_filter(0.4).unwrap().thresholds(&[0.1, -0.2, 0.0, 0.3]).unwrap();
            }
            let shape = Layer::<f64>::output_shape(&hidden).to_vec();
            let last = Dense::new(&shape, 3, Activation::Identity).unwrap();
            let layers: Vec<Box<dyn Layer<f64>>> = vec![first, Box::new(hidden), Box::new(last)];
            let network = Network::new(Sequential::new(layers).unwrap());
            check_derivatives(&name, &network);
            check_operators(&name, &network);
        }
    }
}

/// With thresholds, filter, own leaks and masked steps, and against the layer's adjoint passes.
#[test]
fn rtrl_is_bptt_is_the_gradient_of_the_loss() {
    for activation in [Activation::Tanh, Activation::Softplus, Activation::Relu] {
        for (case, target) in targets(SIZES).into_iter().enumerate() {
            for rate in [false, true] {
                let a = own_leaks(SIZES[3]);
                let leak = if rate { Leak::Rate(a) } else { Leak::Voltage(a) };
                let rnn = network(SIZES, activation, leak)
                    .readout_filter(0.3)
                    .unwrap()
                    .thresholds(normals(9, SIZES[3]))
                    .unwrap()
                    .autapses(case % 2 == 0)
                    .bias(case != 3);
                let data = data(SIZES, target.clone());
                let theta = theta(&rnn);
                let states = States::new(&rnn, &theta, &data).unwrap();
                let bptt = gradient(&states, Rule::Bptt);
                let name = format!("{activation}, {case}, rate {rate}");
                near(&format!("{name}: rtrl"), &gradient(&states, RTRL), &bptt, 1e-12);
                let network = rnn.network(SIZES[1], data.target().at_each_step()).unwrap();
                let objective = data.objective(&network).unwrap();
                let mut by_layers = vec![0.0; theta.len()];
                let loss = objective.gradient(&theta, &mut by_layers).unwrap();
                assert!((loss - states.loss()).abs() <= 1e-13 * loss, "{name}");
                near(&format!("{name}: layers"), &by_layers, &bptt, 1e-12);
                if activation == Activation::Relu {
                    continue;
                }
                // Central differences along one direction; h² of the third derivative, ε/h of the
                // loss.
                let v = normals(10, theta.len());
                let h = 1e-5;
                let at = |t: f64| {
                    let moved: Vec<f64> = theta.iter().zip(&v).map(|(x, v)| x + t * v).collect();
                    States::new(&rnn, &moved, &data).unwrap().loss()
                };
                let slope = (at(h) - at(-h)) / (2.0 * h);
                let want: f64 = bptt.iter().zip(&v).map(|(g, v)| g * v).sum();
                let size = largest(&bptt).max(1.0) * (theta.len() as f64).sqrt();
                assert!((slope - want).abs() <= 1e-6 * size, "{name}: {slope} {want}");
                // The Hessian, also with losses at each step.
                use hesse::krylov::LinearOperator;
                let mut product = vec![0.0; theta.len()];
                objective.at(&theta).unwrap().hessian().apply(&v, &mut product);
                let gradient_at = |t: f64| {
                    let moved: Vec<f64> = theta.iter().zip(&v).map(|(x, v)| x + t * v).collect();
                    gradient(&States::new(&rnn, &moved, &data).unwrap(), Rule::Bptt)
                };
                let (up, down) = (gradient_at(h), gradient_at(-h));
                let want: Vec<f64> =
                    up.iter().zip(&down).map(|(a, b)| (a - b) / (2.0 * h)).collect();
                near(&format!("{name}: Hessian"), &product, &want, 1e-6);
            }
        }
    }
}

fn taps(mu: f64, hops: Option<usize>) -> Rule<f64> {
    let (weights, propagation) = (BackWeights::Exact, Propagation::Taps { hops });
    Rule::ModProp { mu, weights, propagation }
}

fn code(mu: f64) -> Rule<f64> {
    Rule::ModProp { mu, weights: BackWeights::Exact, propagation: Propagation::Code }
}

fn mdgl() -> Rule<f64> {
    Rule::Mdgl { weights: BackWeights::Exact }
}

/// The gradient of W alone.
fn of_w(rnn: &RateRnn, gradient: &[f64]) -> Vec<f64> {
    gradient[rnn.block(Block::Recurrent)].to_vec()
}

#[test]
fn rules_coincide_where_they_must() {
    let each = |sizes: Sizes| targets(sizes).into_iter().map(move |target| data(sizes, target));
    let leak = || Leak::Voltage(own_leaks(SIZES[3]));
    for data in each(SIZES) {
        let rnn = network(SIZES, Activation::Tanh, leak()).readout_filter(0.2).unwrap();
        let start = theta(&rnn);
        let states = States::new(&rnn, &start, &data).unwrap();
        let local = gradient(&states, Rule::three_factor());
        near(
            "mdgl, one tap",
            &gradient(&states, mdgl()),
            &gradient(&states, taps(0.3, Some(1))),
            1e-13,
        );
        let (all, as_many) = (taps(0.3, None), taps(0.3, Some(SIZES[1] - 1)));
        near("all taps", &gradient(&states, as_many), &gradient(&states, all), 1e-12);
        near("mu = 0", &gradient(&states, code(0.0)), &local, 1e-14);
        let transposed = |matrix: &[f64], rows: usize| -> Vec<f64> {
            let columns = matrix.len() / rows;
            (0..matrix.len()).map(|e| matrix[e % rows * columns + e / rows]).collect()
        };
        let feedback =
            Feedback::Fixed(transposed(&start[rnn.block(Block::Readout)], rnn.outputs()));
        let fixed = gradient(&states, Rule::ThreeFactor { feedback });
        near("B = Oᵀ", &fixed, &local, 1e-14);
        // One type for each unit: its means are the weights.
        let types = CellTypes::new((0..rnn.units()).collect()).unwrap();
        let own = Rule::Mdgl { weights: BackWeights::TypeMean(types) };
        near("own types", &gradient(&states, own), &gradient(&states, mdgl()), 1e-14);
        let given = BackWeights::Given(start[rnn.block(Block::Recurrent)].to_vec());
        let given = gradient(&states, Rule::Mdgl { weights: given });
        near("given weights", &given, &gradient(&states, mdgl()), 1e-14);
        assert_ne!(local, gradient(&states, Rule::Bptt));

        let lone = rnn.clone().autapses(false);
        let states = States::new(&lone, &start, &data).unwrap();
        let local = gradient(&states, Rule::three_factor());
        near("snap1", &gradient(&states, Rule::SnAp1), &local, 1e-14);

        let mut silent = start.clone();
        silent[rnn.block(Block::Recurrent)].fill(0.0);
        let states = States::new(&rnn, &silent, &data).unwrap();
        let local = gradient(&states, Rule::three_factor());
        near("W = 0", &local, &gradient(&states, Rule::Bptt), 1e-13);

        let linear = network(SIZES, Activation::Identity, leak());
        let states = States::new(&linear, &start, &data).unwrap();
        near("linear", &gradient(&states, code(1.0)), &gradient(&states, Rule::Bptt), 1e-12);
    }
    for steps in [1, 2] {
        let sizes = [SIZES[0], steps, SIZES[2], SIZES[3], SIZES[4]];
        for data in each(sizes) {
            let rnn = network(sizes, Activation::Tanh, leak());
            let states = States::new(&rnn, &theta(&rnn), &data).unwrap();
            let bptt = gradient(&states, Rule::Bptt);
            near("mdgl, two steps", &gradient(&states, mdgl()), &bptt, 1e-12);
            let local = gradient(&states, Rule::three_factor());
            near("three factors, two steps", &of_w(&rnn, &local), &of_w(&rnn, &bptt), 1e-12);
            if steps == 1 {
                near("one step", &local, &bptt, 1e-13);
            }
        }
    }
    let sizes = [SIZES[0], SIZES[1], SIZES[2], 1, SIZES[4]];
    for data in each(sizes) {
        let rnn = network(sizes, Activation::Tanh, Leak::Voltage(vec![0.7])).autapses(false);
        let states = States::new(&rnn, &theta(&rnn), &data).unwrap();
        let local = gradient(&states, Rule::three_factor());
        near("one neuron", &local, &gradient(&states, Rule::Bptt), 1e-13);
    }
}

/// a = 0, κ = 0, loss at the end: three factors see the last step alone.
#[test]
fn without_leak_three_factors_see_the_last_step() {
    let [samples, steps, _, units, outputs] = SIZES;
    let rnn = network(SIZES, Activation::Tanh, Leak::Voltage(vec![0.0]));
    let data = data(SIZES, targets(SIZES).swap_remove(0));
    let theta = theta(&rnn);
    let states = States::new(&rnn, &theta, &data).unwrap();
    let got = of_w(&rnn, &gradient(&states, Rule::three_factor()));
    let readout = &theta[rnn.block(Block::Readout)];
    let mut want = vec![0.0; units * units];
    for b in 0..samples {
        let at = |t: usize, i: usize| (t * samples + b) * units + i;
        for p in 0..units {
            let error = |k: usize| {
                states.errors()[((steps - 1) * samples + b) * outputs + k] * readout[k * units + p]
            };
            let g: f64 = (0..outputs).map(error).sum();
            let h = states.rates()[at(steps - 1, p)];
            for q in 0..units {
                want[p * units + q] += g * (1.0 - h * h) * states.rates()[at(steps - 2, q)];
            }
        }
    }
    near("last step", &got, &want, 1e-13);
}

/// A linear network with fixed feedback and one leak: updates of rank at most that of the outputs,
/// in the span of the feedback.
#[test]
fn updates_of_a_linear_network_stay_in_the_span_of_the_feedback() {
    let rnn = network(SIZES, Activation::Identity, Leak::Voltage(vec![0.6]));
    let data = data(SIZES, targets(SIZES).swap_remove(1));
    let states = States::new(&rnn, &theta(&rnn), &data).unwrap();
    let (units, outputs) = (SIZES[3], SIZES[4]);
    let feedback = normals(12, units * outputs);
    let rule = Rule::ThreeFactor { feedback: Feedback::Fixed(feedback.clone()) };
    let dw = of_w(&rnn, &gradient(&states, rule));
    let matrix = Mat::from_fn(units, units, |i, j| dw[i * units + j]);
    let values = matrix.singular_values().unwrap();
    assert!(values[outputs] <= 1e-13 * values[0] && values[outputs - 1] > 1e-3 * values[0]);
    let both = Mat::from_fn(units, units + outputs, |i, j| match j.checked_sub(units) {
        Some(j) => feedback[i * outputs + j] * values[0],
        None => matrix[(i, j)],
    });
    let values = both.singular_values().unwrap();
    assert!(values[outputs] <= 1e-12 * values[0]);
}

#[test]
fn gradients_follow_the_symmetries_of_the_problem() {
    let [samples, steps, inputs, units, outputs] = SIZES;
    let rnn = network(SIZES, Activation::Tanh, Leak::Voltage(own_leaks(units)));
    let target = || targets(SIZES).swap_remove(1);
    let all = data(SIZES, target());
    let theta = theta(&rnn);
    let rules = [Rule::Bptt, Rule::three_factor(), mdgl(), code(0.25), taps(0.25, None)];
    let states = States::new(&rnn, &theta, &all).unwrap();
    let half = States::new(&rnn, &theta, &all.select(&[0, 1]).unwrap()).unwrap();
    let rest = States::new(&rnn, &theta, &all.select(&[2, 3, 4]).unwrap()).unwrap();
    let twice: Vec<usize> = (0..samples).chain(0..samples).collect();
    let twice = States::new(&rnn, &theta, &all.select(&twice).unwrap()).unwrap();
    // Hidden units in another order.
    let order = Stream::new(1, "order").permutation(units);
    let leaks: Vec<f64> = order.iter().map(|&i| own_leaks(units)[i]).collect();
    let permuted_rnn = network(SIZES, Activation::Tanh, Leak::Voltage(leaks));
    let permute = |theta: &[f64]| -> Vec<f64> {
        let of = |block: Block| &theta[rnn.block(block)];
        let (w, u, b, o) =
            (of(Block::Recurrent), of(Block::Input), of(Block::Bias), of(Block::Readout));
        let mut moved = Vec::new();
        moved.extend(order.iter().flat_map(|&i| order.iter().map(move |&j| w[i * units + j])));
        moved.extend(order.iter().flat_map(|&i| u[i * inputs..][..inputs].to_vec()));
        moved.extend(order.iter().map(|&i| b[i]));
        moved.extend((0..outputs).flat_map(|k| order.iter().map(move |&j| o[k * units + j])));
        moved.extend_from_slice(of(Block::ReadoutBias));
        moved
    };
    let permuted = States::new(&permuted_rnn, &permute(&theta), &all).unwrap();
    // Inputs twice as large, their weights half: powers of two, so that nothing rounds.
    let x: Vec<f64> = all.inputs().iter().map(|x| 2.0 * x).collect();
    let scaled = Sequences::new(x, [samples, steps, inputs], target()).unwrap();
    let weights = (0..steps).map(|t| if t % 3 == 1 { 0.0 } else { 0.3 + t as f64 }).collect();
    let scaled = scaled.step_weights(weights).unwrap();
    let mut halved = theta.clone();
    halved[rnn.block(Block::Input)].iter_mut().for_each(|u| *u *= 0.5);
    let scaled = States::new(&rnn, &halved, &scaled).unwrap();
    assert_eq!(scaled.loss(), states.loss());
    for rule in rules {
        let of = |states: &States<f64>| states.gradient(&rule).unwrap();
        let whole = of(&states);
        let mean: Vec<f64> =
            of(&half).iter().zip(of(&rest)).map(|(a, b)| 0.4 * a + 0.6 * b).collect();
        near("parts of a batch", &mean, &whole, 1e-13);
        near("batch twice", &of(&twice), &whole, 1e-13);
        near("permuted", &of(&permuted), &permute(&whole), 1e-12);
        assert_eq!(of_w(&rnn, &of(&scaled)), of_w(&rnn, &whole));
        let alignment = Alignment::between(&of(&states), &whole).unwrap();
        assert!((alignment.cosine.unwrap() - 1.0).abs() < 1e-15);
        assert!((alignment.rho.unwrap() - 1.0).abs() < 1e-15);
    }
}

#[test]
fn trainings_scale_stop_and_diverge() {
    let rnn = network(SIZES, Activation::Tanh, Leak::Voltage(vec![0.5]));
    let data = data(SIZES, targets(SIZES).swap_remove(2));
    let theta = theta(&rnn);
    let of = |rate: f64, scaling: Scaling<f64>| {
        let schedule = Schedule::constant(rate).unwrap();
        Training::new(&rnn, &data, Rule::Bptt, schedule, 20).unwrap().scaling(scaling).unwrap()
    };
    let plain = of(0.1, Scaling::None).run(&theta).unwrap();
    let one = of(0.1, Scaling::Fixed(1.0)).run(&theta).unwrap();
    assert_eq!((plain.losses.len(), plain.stop), (21, Stop::StepLimit));
    assert_eq!(one.parameters, plain.parameters);
    let own = of(0.1, Scaling::Match(Rule::Bptt)).run(&theta).unwrap();
    near("own rho", &own.parameters, &plain.parameters, 1e-12);
    assert!(plain.losses[20] < plain.losses[0]);
    let target = plain.losses[7];
    let early = of(0.1, Scaling::None).target_loss(target).run(&theta).unwrap();
    assert_eq!((early.losses.len(), early.stop), (8, Stop::TargetLoss));
    let far = of(1e12, Scaling::None).run(&theta).unwrap();
    assert_eq!(far.stop, Stop::Diverged);
    // A batch as large as the data is all of it; smaller ones visit each sample once an epoch.
    let whole = of(0.1, Scaling::None)
        .batches(Batches::Epochs { size: SIZES[0], seed: 1 })
        .unwrap()
        .run(&theta)
        .unwrap();
    assert_eq!(whole.losses, plain.losses);
    let small = || {
        of(0.1, Scaling::None)
            .batches(Batches::Epochs { size: 2, seed: 1 })
            .unwrap()
            .run(&theta)
            .unwrap()
    };
    assert_eq!(small().losses, small().losses);
    assert_ne!(small().losses, plain.losses);
}

#[test]
fn single_precision_keeps_its_digits() {
    let rnn = network(SIZES, Activation::Tanh, Leak::Voltage(own_leaks(SIZES[3])));
    let single = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let double = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let theta = single(&theta(&rnn));
    let [samples, steps, inputs, ..] = SIZES;
    let x = single(&normals(4, samples * steps * inputs));
    let classes = || (0..samples).map(|i| i % 2).collect::<Vec<_>>();
    let shape = [samples, steps, inputs];
    let data64 = Sequences::new(double(&x), shape, Target::ClassAtEnd(classes())).unwrap();
    let data = Sequences::new(x, shape, Target::ClassAtEnd(classes())).unwrap();
    let states = States::new(&rnn, &theta, &data).unwrap();
    let states64 = States::new(&rnn, &double(&theta), &data64).unwrap();
    for (rule, rule64) in [(Rule::Bptt, Rule::Bptt), (Rule::three_factor(), Rule::three_factor())] {
        let got = double(&states.gradient(&rule).unwrap());
        let want = states64.gradient(&rule64).unwrap();
        // Seven steps of sums of some ten products.
        near(rule.name(), &got, &want, 100.0 * f64::from(f32::EPSILON));
        assert_ne!(got, want);
    }
}

/// The worked example of the module.
#[test]
fn three_factors_do_not_see_what_passes_through_other_units() {
    let rnn = RateRnn::new(1, 1, 1, Activation::Identity, Leak::Voltage(vec![0.0])).unwrap();
    let target = Target::ValuesAtEnd(vec![0.0]);
    let data = Sequences::new(vec![1.0, 0.0], [1, 2, 1], target).unwrap();
    let states = States::new(&rnn, &[0.5, 1.0, 0.0, 1.0, 0.0], &data).unwrap();
    assert_eq!(states.loss(), 0.125);
    assert_eq!(gradient(&states, Rule::Bptt), [0.5, 0.25, 0.75, 0.25, 0.5]);
    assert_eq!(gradient(&states, Rule::three_factor()), [0.5, 0.0, 0.5, 0.25, 0.5]);
}

#[test]
fn neither_threads_nor_the_memory_budget_change_a_bit() {
    use hesse::krylov::LinearOperator;
    let sizes = [600, 6, 3, 9, 2];
    let rnn = network(sizes, Activation::Tanh, Leak::Voltage(own_leaks(9)));
    let rnn = rnn.autapses(false).readout_filter(0.5).unwrap();
    let data = data(sizes, targets(sizes).swap_remove(3));
    let theta = theta(&rnn);
    let network = rnn.network(sizes[1], true).unwrap();
    let on = |threads: usize, budget: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let objective = data.objective(&network).unwrap().memory_budget(budget);
            let point = objective.at(&theta).unwrap();
            let mut product = vec![0.0; theta.len()];
            point.hessian().apply(&normals(3, theta.len()), &mut product);
            let all = [vec![point.value()], point.gradient().to_vec(), product].concat();
            all.into_iter().map(f64::to_bits).collect::<Vec<_>>()
        })
    };
    let one = on(1, usize::MAX);
    assert!(on(2, usize::MAX) == one && on(3, usize::MAX) == one, "threads");
    assert!(on(2, 0) == one, "memory budget");
}

#[test]
fn dale_types_sign_the_senders() {
    let types = CellTypes::new(vec![1, 0, 0]).unwrap();
    let weights = [0.5, -1.0, 2.0, -3.0, 0.0, 1.0, 1.0, 1.0, -1.0];
    let signed = types.signed(&weights, &[1.0, -2.0]).unwrap();
    assert_eq!(signed, [-1.0, 1.0, 2.0, -6.0, 0.0, 1.0, -2.0, 1.0, 1.0]);
}
