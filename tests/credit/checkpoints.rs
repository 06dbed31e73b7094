//! States at checkpoints give what the states of all steps give, and states that are used again.

use hesse::Real;
use hesse::credit::{
    BackWeights, Decay, Feedback, Leak, Noise, Propagation, RateRnn, Rule, Sequences, States,
    Target, Training,
};
use hesse::network::Activation;
use hesse::optimize::Schedule;
use hesse::random::Stream;

/// Two passes of 256 and 44 samples, whose segments are 2 and 11 steps in `f64`, 4 and 23 in `f32`.
const SAMPLES: usize = 300;
const STEPS: usize = 27;
const UNITS: usize = 32;

fn normals<T: Real>(seed: u64, n: usize) -> Vec<T> {
    let mut x = vec![T::ZERO; n];
    Stream::new(seed, "checkpoints").normals(0, &mut x);
    x
}

fn network(rate: bool, filter: f64) -> RateRnn {
    // Without a filter all voltages leak alike.
    let spread = if rate || filter != 0.0 { 0.6 } else { 0.0 };
    let a = (0..UNITS).map(|i| 0.2 + spread * i as f64 / UNITS as f64).collect();
    let leak = if rate { Leak::Rate(a) } else { Leak::Voltage(a) };
    let rnn = RateRnn::new(2, UNITS, 3, Activation::Tanh, leak).unwrap();
    rnn.readout_filter(filter).unwrap().autapses(false)
}

fn sequences<T: Real>(samples: usize, each: bool) -> Sequences<T> {
    let x = normals(1, samples * STEPS * 2);
    let target = if each {
        Target::ValuesAtEachStep(normals(2, samples * STEPS * 3))
    } else {
        Target::ClassAtEnd((0..samples).map(|i| i % 3).collect())
    };
    Sequences::new(x, [samples, STEPS, 2], target).unwrap()
}

fn rules<T: Real>(rate: bool) -> Vec<Rule<T>> {
    let feedback = Feedback::Fixed(normals(3, UNITS * 3));
    let mut rules = vec![Rule::Bptt, Rule::three_factor(), Rule::ThreeFactor { feedback }];
    if !rate {
        let weights = BackWeights::Exact;
        let modprop = |propagation| Rule::ModProp {
            mu: T::from_f64(0.3).to_f64(),
            weights: BackWeights::Exact,
            propagation,
        };
        rules.extend([
            Rule::Mdgl { weights },
            modprop(Propagation::Code),
            modprop(Propagation::Taps { hops: None }),
            modprop(Propagation::Taps { hops: Some(3) }),
            Rule::SnAp1,
            Rule::Uoro { noise: Noise::Drawn { seed: 4 } },
        ]);
    }
    rules
}

fn bits<T: Real>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.to_f64().to_bits()).collect()
}

fn same_bits<T: Real>(rate: bool, filter: f64, each: bool) {
    let (rnn, data) = (network(rate, filter), sequences::<T>(SAMPLES, each));
    let theta: Vec<T> = rnn.initialize(6).unwrap();
    let whole = States::new(&rnn, &theta, &data).unwrap();
    let all = States::memory_estimate(&rnn, &data);
    let some = States::within(&rnn, &theta, &data, all - 1).unwrap();
    let case = format!("{}, rate {rate}, filter {filter}, each {each}", T::NAME);
    let interval = some.checkpoint_interval().unwrap();
    assert!(whole.checkpoint_interval().is_none() && (2..STEPS).contains(&interval), "{case}");
    assert_eq!(some.loss().to_bits(), whole.loss().to_bits(), "{case}");
    assert_eq!(some.accuracy(&data), whole.accuracy(&data), "{case}");
    for rule in rules::<T>(rate) {
        let want = whole.gradient(&rule).unwrap();
        assert!(want.iter().any(|g| *g != T::ZERO));
        let got = some.gradient(&rule).unwrap();
        assert!(bits(&got) == bits(&want), "{case}, {}", rule.name());
        // Again, with what the rule before left in the workspaces.
        assert!(bits(&whole.gradient(&rule).unwrap()) == bits(&want), "{case}, {}", rule.name());
    }
    for of in [States::outputs, States::rates, States::errors] {
        assert!(bits(of(&some)) == bits(of(&whole)), "{case}");
    }
    assert!(bits(some.voltages()) == bits(whole.voltages()), "{case}");
}

#[test]
fn checkpoints_do_not_change_a_bit() {
    same_bits::<f64>(false, 0.0, false);
    same_bits::<f64>(false, 0.7, true);
    same_bits::<f64>(true, 0.0, true);
    same_bits::<f32>(false, 0.7, false);
}

#[test]
fn rules_coincide_at_checkpoints_as_without() {
    let (rnn, data) = (network(false, 0.6), sequences::<f64>(40, true));
    let theta: Vec<f64> = rnn.initialize(6).unwrap();
    let all = States::memory_estimate(&rnn, &data);
    let some = States::within(&rnn, &theta, &data, all * 3 / 4).unwrap();
    assert!(some.checkpoint_interval().is_some());
    let network = rnn.network(STEPS, true).unwrap();
    let mut exact = vec![0.0; theta.len()];
    data.objective(&network).unwrap().gradient(&theta, &mut exact).unwrap();
    super::case::near("bptt", &some.gradient(&Rule::Bptt).unwrap(), &exact, 1e-12);
}

/// Of as many as a long sequence has, about 2√T states are in memory at once.
#[test]
fn the_memory_that_checkpoints_need_grows_with_the_root_of_the_steps() {
    let rnn = RateRnn::new(1, 64, 1, Activation::Tanh, Leak::Voltage(vec![0.5])).unwrap();
    let smallest = |steps: usize| {
        let target = Target::ValuesAtEnd(vec![0.0; 128]);
        let data = Sequences::new(vec![0.1_f64; 128 * steps], [128, steps, 1], target).unwrap();
        let error = States::within(&rnn, &vec![0.01; rnn.parameter_count()], &data, 1000);
        let text = error.unwrap_err().to_string();
        let required = text.split("memory, ").nth(1).and_then(|text| text.split(' ').next());
        let required: usize = required.unwrap().parse().unwrap();
        assert_eq!(
            text,
            format!(
                "states at checkpoints: expected at most 1000 bytes of memory, {required} are required"
            )
        );
        // The inputs and one error and output for each sample are there in any case.
        let beside = (steps + 2) * 128 * 8;
        let whole = States::memory_estimate(&rnn, &data) - beside;
        (whole as f64 / (128 * 64 * 8) as f64, (required - beside) as f64 / (128 * 64 * 8) as f64)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        for steps in [64, 256, 1024] {
            // Two arrays of 128 samples for every step; as many for every checkpoint and in a window,
            // and two more there. A window is whole segments of two steps.
            let (whole, required) = smallest(steps);
            assert_eq!(whole, (2 * steps) as f64);
            let root = (steps as f64).sqrt();
            let want = 2.0 * (root - 1.0) + 2.0 * root + 2.0;
            assert!((required - want).abs() <= 1e-9, "{steps}: {required} against {want}");
        }
    });
}

#[test]
fn states_that_are_used_again_are_as_good_as_new() {
    let rnn = network(false, 0.5);
    let mut states = None;
    // Fewer samples than before, then more, in one pass and in two.
    for (seed, samples, each) in [(1, 300, true), (2, 20, false), (3, 290, false)] {
        let data = sequences::<f64>(samples, each);
        let theta: Vec<f64> = rnn.initialize(seed).unwrap();
        let new = States::new(&rnn, &theta, &data).unwrap();
        let states = match &mut states {
            None => states.insert(States::new(&rnn, &theta, &data).unwrap()),
            Some(states) => {
                states.renew(&theta, &data).unwrap();
                states
            }
        };
        assert_eq!(states.loss().to_bits(), new.loss().to_bits());
        for of in [States::outputs, States::rates, States::errors, States::voltages] {
            assert_eq!(bits(of(states)), bits(of(&new)));
        }
        for rule in rules(false) {
            assert_eq!(bits(&states.gradient(&rule).unwrap()), bits(&new.gradient(&rule).unwrap()));
        }
        // What is refused leaves the states as they were.
        let error = states.renew(&theta[1..], &data).unwrap_err().to_string();
        let count = rnn.parameter_count();
        assert_eq!(error, format!("parameters: expected {count}, got {}", count - 1));
        assert_eq!(states.loss().to_bits(), new.loss().to_bits());
    }
}

#[test]
fn a_training_within_a_memory_budget_is_the_same_training() {
    let (rnn, data) = (network(false, 0.0), sequences::<f64>(64, false));
    let theta: Vec<f64> = rnn.initialize(6).unwrap();
    let training = |budget: usize| {
        let schedule = Schedule::constant(0.1).unwrap();
        Training::new(&rnn, &data, Rule::three_factor(), schedule, 3)
            .unwrap()
            .decay(Decay::new(&rnn, 1e-3).unwrap())
            .target_loss_on_all(0.0, 2)
            .unwrap()
            .memory_budget(budget)
            .run(&theta)
    };
    let whole = training(usize::MAX).unwrap();
    let some = training(States::memory_estimate(&rnn, &data) - 1).unwrap();
    assert_eq!(bits(&some.parameters), bits(&whole.parameters));
    assert_eq!(bits(&some.losses), bits(&whole.losses));
    let refused = training(10).unwrap_err().to_string();
    assert!(refused.starts_with("states at checkpoints: expected at most 10 bytes"), "{refused}");
}
