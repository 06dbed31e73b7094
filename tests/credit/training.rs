//! Batches, targets, feedback that learns, gaps, and networks as files.

use hesse::credit::{
    Batches, Block, Decay, Feedback, Gap, Leak, RateRnn, Rule, Scaling, Score, Sequences, States,
    Stop, Training,
};
use hesse::network::{Activation, Objective, Parameters};
use hesse::optimize::Schedule;
use hesse::temporal_tasks::{EvidenceAccumulation, Integration};

use super::case::near;

const UNITS: usize = 10;

fn rnn() -> RateRnn {
    RateRnn::new(2, UNITS, 2, Activation::Tanh, Leak::Voltage(vec![0.6])).unwrap()
}

fn data(trials: usize, seed: u64) -> Sequences<f64> {
    Sequences::of(&Integration::default().draw(trials, seed).unwrap()).unwrap()
}

fn training<'a>(rnn: &'a RateRnn, data: &'a Sequences<f64>, rule: Rule<f64>) -> Training<'a, f64> {
    Training::new(rnn, data, rule, Schedule::constant(0.2).unwrap(), 30).unwrap()
}

#[test]
fn batches_are_what_they_say() {
    let (rnn, data) = (rnn(), data(24, 1));
    let theta = rnn.initialize::<f64>(1).unwrap();
    let run = |batches: Batches| {
        training(&rnn, &data, Rule::Bptt).batches(batches).unwrap().run(&theta).unwrap()
    };
    // One step after the other, by hand.
    let given = vec![vec![3, 1, 3], vec![0], (0..24).collect()];
    let by_hand = {
        let mut theta = theta.clone();
        let mut losses = Vec::new();
        for step in 0..=30 {
            let batch = data.select(&given[step % 3]).unwrap();
            let states = States::new(&rnn, &theta, &batch).unwrap();
            losses.push(states.loss());
            let gradient = states.gradient(&Rule::Bptt).unwrap();
            theta.iter_mut().zip(&gradient).for_each(|(x, g)| *x -= 0.2 * g);
        }
        losses
    };
    assert_eq!(run(Batches::Given(given)).losses, by_hand);
    let all = run(Batches::All);
    assert_eq!(run(Batches::Epochs { size: 24, seed: 3 }).losses, all.losses);
    let drawn = |seed| run(Batches::Drawn { size: 24, seed }).losses;
    assert_eq!(drawn(3), drawn(3));
    assert_ne!(drawn(3), drawn(4));
    assert_ne!(drawn(3), all.losses);
    // Batches may be larger than the data where they are drawn with replacement.
    assert_eq!(run(Batches::Drawn { size: 100, seed: 1 }).losses.len(), 31);
}

#[test]
fn a_training_stops_at_the_loss_of_all_data() {
    let (rnn, data) = (rnn(), data(24, 1));
    let theta = rnn.initialize::<f64>(1).unwrap();
    let batches = Batches::Drawn { size: 4, seed: 1 };
    let of = |target: f64, every: u64| {
        let training =
            training(&rnn, &data, Rule::three_factor()).batches(batches.clone()).unwrap();
        training.target_loss_on_all(target, every).unwrap().run(&theta).unwrap()
    };
    // Looked at after 10 steps at first, not at the start.
    let first = of(f64::INFINITY, 10);
    assert_eq!((first.stop, first.losses.len()), (Stop::TargetLoss, 11));
    let there = Score::of(&rnn, &first.parameters, &data).unwrap().loss;
    assert_eq!(of(there, 10).losses.len(), 11);
    let below = of(there - 1e-12, 10);
    assert!(below.losses.len() > 11);
    assert_eq!(of(0.0, 7).stop, Stop::StepLimit);
}

#[test]
fn gaps_are_differences_of_scores() {
    let (rnn, train, test) = (rnn(), data(24, 1), data(100, 2));
    let theta = rnn.initialize::<f64>(1).unwrap();
    let history = training(&rnn, &train, Rule::Bptt)
        .test(&test)
        .unwrap()
        .checkpoints(15, None)
        .unwrap()
        .run(&theta)
        .unwrap();
    let gap = Gap::of(&rnn, &history.parameters, &train, &test).unwrap();
    let last = history.checkpoints.last().unwrap();
    assert_eq!((last.step, last.test), (30, Some(gap.test)));
    assert_eq!((last.loss, last.accuracy), (gap.train.loss, gap.train.accuracy));
    assert_eq!(gap.loss(), gap.test.loss - gap.train.loss);
    let accuracy = gap.train.accuracy.unwrap() - gap.test.accuracy.unwrap();
    assert_eq!(gap.accuracy(), Some(accuracy));
    assert!(gap.train.loss < history.losses[0]);
}

/// Both O and Bᵀ receive the same updates and decay alike: their difference shrinks by 1 − η l2 a
/// step.
#[test]
fn feedback_that_learns_comes_to_the_readout() {
    let (rnn, data) = (rnn(), data(24, 1));
    let theta = rnn.initialize::<f64>(1).unwrap();
    let matrix = |feedback: &Feedback<f64>| match feedback {
        Feedback::Fixed(matrix) => matrix.clone(),
        Feedback::Symmetric => panic!("a matrix"),
    };
    let start = Feedback::random(UNITS, 2, 5);
    let l2 = 0.5;
    let rule = Rule::ThreeFactor { feedback: start.clone() };
    let history = training(&rnn, &data, rule.clone())
        .decay(Decay::new(&rnn, l2).unwrap())
        .adaptive_feedback(l2)
        .unwrap()
        .run(&theta)
        .unwrap();
    let difference = |feedback: &[f64], theta: &[f64]| -> Vec<f64> {
        let o = &theta[rnn.block(Block::Readout)];
        (0..2 * UNITS).map(|i| feedback[i] - o[i % 2 * UNITS + i / 2]).collect()
    };
    let before = difference(&matrix(&start), &theta);
    let shrunk: Vec<f64> = before.iter().map(|d| d * (1.0 - 0.2 * l2).powi(30)).collect();
    let after = difference(history.feedback.as_ref().unwrap(), &history.parameters);
    near("feedback", &after, &shrunk, 1e-10);
    // Feedback that stays is another training, and comes back as none.
    let fixed = training(&rnn, &data, rule).decay(Decay::new(&rnn, l2).unwrap());
    let fixed = fixed.run(&theta).unwrap();
    assert!(fixed.feedback.is_none() && fixed.losses != history.losses);
}

#[test]
fn updates_are_scaled_over_the_recurrent_group_alone() {
    let (rnn, data) = (rnn(), data(24, 1));
    let theta = rnn.initialize::<f64>(1).unwrap();
    let states = States::new(&rnn, &theta, &data).unwrap();
    let exact = states.gradient(&Rule::Bptt).unwrap();
    let group = rnn.block(Block::RecurrentGroup);
    let half = states.update(&Rule::Bptt, &Scaling::Fixed(0.5)).unwrap();
    for (i, (half, exact)) in half.iter().zip(&exact).enumerate() {
        assert_eq!(*half, if group.contains(&i) { 0.5 * exact } else { *exact });
    }
    // Matched steps go as far along the gradient as the other rule's.
    let rule = Rule::three_factor();
    let matched = states.update(&Rule::Bptt, &Scaling::Match(rule.clone())).unwrap();
    let local = states.gradient(&rule).unwrap();
    let along = |x: &[f64]| -> f64 { group.clone().map(|i| x[i] * exact[i]).sum::<f64>() };
    assert!((along(&matched) - along(&local)).abs() < 1e-12 * along(&exact));
}

#[test]
fn a_network_is_a_file_that_builds_it_again() {
    let leak = Leak::Voltage((0..UNITS).map(|i| 0.05 * i as f64).collect());
    let rnn = RateRnn::new(40, UNITS, 2, Activation::Softplus, leak)
        .unwrap()
        .thresholds((0..UNITS).map(|i| 0.1 * i as f64).collect())
        .unwrap()
        .readout_filter(0.3)
        .unwrap()
        .autapses(false)
        .bias(false);
    let task = EvidenceAccumulation {
        cues: 1,
        cue: 4,
        silence: 1,
        delay: 3,
        response: 3,
        ..Default::default()
    };
    let data = Sequences::<f64>::of(&task.draw(5, 1).unwrap()).unwrap();
    let built = rnn.architecture(data.steps(), true).build::<f64>().unwrap();
    let network = rnn.network::<f64>(data.steps(), true).unwrap();
    assert_eq!(built.parameter_specs(), network.parameter_specs());
    let drawn = Parameters::initialize(&built, 3).into_values();
    assert_eq!(drawn, Parameters::initialize(&network, 3).into_values());
    let loss = |objective: Objective<'_, f64>| objective.value(&drawn).unwrap();
    let [a, b] = [&built, &network].map(|network| loss(data.objective(network).unwrap()));
    assert_eq!(a, b);
    let states = States::new(&rnn, &drawn, &data).unwrap();
    near("loss", &[a], &[states.loss()], 1e-12);
}
