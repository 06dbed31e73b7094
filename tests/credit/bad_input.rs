//! What is refused, word for word.

use hesse::credit::{
    Alignment, BackWeights, Batches, Block, CellTypes, Curvature, Decay, Eigensolver, Eligibility,
    Feedback, Leak, Noise, OnlineDescent, Propagation, RateRnn, Rule, Scaling, Sequences,
    SpikingRnn, Stability, States, Target, Training,
};
use hesse::network::Activation;
use hesse::optimize::Schedule;

fn rnn() -> RateRnn {
    RateRnn::new(2, 3, 2, Activation::Tanh, Leak::Voltage(vec![0.5])).unwrap()
}

fn data() -> Sequences<f64> {
    Sequences::new(vec![0.5; 24], [3, 4, 2], Target::ClassAtEnd(vec![0, 1, 0])).unwrap()
}

fn theta() -> Vec<f64> {
    (0..rnn().parameter_count()).map(|i| 0.1 * (i % 7) as f64 - 0.2).collect()
}

#[track_caller]
fn refused<R>(result: hesse::Result<R>, text: &str) {
    match result {
        Ok(_) => panic!("accepted, but expected: {text}"),
        Err(error) => assert_eq!(error.to_string(), text),
    }
}

#[test]
fn networks() {
    let of = |leak| RateRnn::new(2, 3, 2, Activation::Tanh, leak);
    refused(of(Leak::Voltage(vec![1.0])), "leak: expected factors in [0, 1), got 1");
    refused(of(Leak::Rate(vec![-0.1])), "leak: expected factors in [0, 1), got -0.1");
    refused(of(Leak::Rate(vec![f64::NAN])), "leak: expected factors in [0, 1), got NaN");
    refused(of(Leak::Rate(vec![0.1; 2])), "leak: expected \"1 or 3 factors\", got 2");
    let kappa = "readout filter: expected a number in [0, 1), got 1";
    refused(rnn().readout_filter(1.0), kappa);
    refused(rnn().thresholds(vec![0.0; 2]), "thresholds: expected 3, got 2");
    let infinite = "thresholds: expected finite numbers, got inf at index 1";
    refused(rnn().thresholds(vec![0.0, f64::INFINITY, 0.0]), infinite);
    let of = |inputs, units, outputs| {
        RateRnn::new(inputs, units, outputs, Activation::Tanh, Leak::Voltage(vec![0.5]))
    };
    refused(of(0, 3, 2), "recurrent layer: input: expected positive widths, got [1, 0]");
    refused(of(2, 0, 2), "recurrent layer: units: expected a positive number, got 0");
    refused(of(2, 3, 0), "dense layer: outputs: expected a positive number, got 0");
    let of = |beta: Vec<f64>, decays| SpikingRnn::new(2, 2, beta, decays, 0.5, 0.3);
    refused(of(vec![], [0.5; 3]), "spiking network: units: expected at least one, got none");
    refused(of(vec![-1.0], [0.5; 3]), "adaptation: expected not negative, got -1");
    let decay = "decay of the readout: expected in [0, 1), got 1";
    refused(of(vec![1.0], [0.5, 0.5, 1.0]), decay);
}

#[test]
fn sequences() {
    let of = |shape: [usize; 3], target| Sequences::new(vec![0.5; 24], shape, target);
    let classes = || Target::ClassAtEnd(vec![0, 1, 0]);
    refused(of([3, 0, 2], classes()), "sequences: steps: expected at least one, got none");
    refused(of([0, 4, 2], classes()), "sequences: samples: expected at least one, got none");
    refused(of([3, 4, 3], classes()), "sequences: inputs: expected [3, 4, 3], got 24");
    let few = Target::ClassAtEnd(vec![0]);
    refused(of([3, 4, 2], few), "targets: samples: expected 3, got 1");
    let values = Target::ValuesAtEachStep(vec![0.0; 6]);
    let text = "sequences: targets: expected \"rows for 3 samples of 4 steps\", got 6";
    refused(of([3, 4, 2], values), text);
    let values = Target::ValuesAtEnd(vec![f64::NAN; 3]);
    refused(of([3, 4, 2], values), "targets: expected finite numbers, got NaN at index 0");
    let mut inputs = vec![0.5; 24];
    inputs[7] = f64::INFINITY;
    let text = "inputs: expected finite numbers, got inf at index 7";
    refused(Sequences::new(inputs, [3, 4, 2], classes()), text);
    let each = of([3, 4, 2], Target::ClassAtEachStep(vec![0, 1, 0])).unwrap();
    let weights = |w: Vec<f64>| each.clone().step_weights(w);
    refused(weights(vec![1.0; 3]), "weights of steps: expected 4, got 3");
    refused(weights(vec![-1.0; 4]), "weights of steps: expected not negative, got -1");
    let text =
        "weights of steps: not applicable: expected targets at each step, got targets at the end";
    refused(data().step_weights(vec![1.0; 4]), text);
}

#[test]
fn states() {
    let of = |theta: &[f64], data: &Sequences<f64>| States::new(&rnn(), theta, data);
    refused(of(&theta()[1..], &data()), "parameters: expected 26, got 25");
    let mut nan = theta();
    nan[3] = f64::NAN;
    refused(of(&nan, &data()), "parameters: expected finite numbers, got NaN at index 3");
    let wide = Sequences::new(vec![0.5; 24], [3, 2, 4], Target::ClassAtEnd(vec![0, 1, 0])).unwrap();
    refused(of(&theta(), &wide), "sequences: features: expected 2, got 4");
    let classes = Target::ClassAtEnd(vec![0, 1, 2]);
    let high = Sequences::new(vec![0.5; 24], [3, 4, 2], classes).unwrap();
    refused(of(&theta(), &high), "target of sample 2: expected a class below 2, got 2");
    let values = Target::ValuesAtEnd(vec![0.0; 9]);
    let values = Sequences::new(vec![0.5; 24], [3, 4, 2], values).unwrap();
    refused(of(&theta(), &values), "sequences: targets: expected 6, got 9");
}

#[test]
fn rules() {
    let of = |rule: Rule<f64>| States::new(&rnn(), &theta(), &data()).unwrap().gradient(&rule);
    let modprop =
        |mu: f64, propagation| Rule::ModProp { mu, weights: BackWeights::Exact, propagation };
    let text = "modprop: mu: expected a finite number of at least 0, got -1";
    refused(of(modprop(-1.0, Propagation::Code)), text);
    let text = "modprop: mu: expected a finite number of at least 0, got inf";
    refused(of(modprop(f64::INFINITY, Propagation::Code)), text);
    let none = Propagation::Taps { hops: Some(0) };
    refused(of(modprop(0.2, none)), "modprop: hops: expected at least 1, got 0");
    let fixed = |n: usize| Rule::ThreeFactor { feedback: Feedback::Fixed(vec![0.1; n]) };
    refused(of(fixed(5)), "feedback: expected [3, 2], got 5");
    let given = Rule::Mdgl { weights: BackWeights::Given(vec![0.1; 8]) };
    refused(of(given), "feedback weights: expected [3, 3], got 8");
    let types = CellTypes::new(vec![0, 1]).unwrap();
    let typed = Rule::Mdgl { weights: BackWeights::TypeMean(types) };
    refused(of(typed), "cell types: expected 3, got 2");
    let noise = Rule::Uoro { noise: Noise::Given(vec![1.0; 35]) };
    refused(of(noise), "uoro: noise: expected [3, 4, 3], got 35");
    // Two matrices of 3 × 3·(3 + 2 + 1) numbers.
    let text = "rtrl: influence matrices: expected at most 800 bytes of memory, 864 are required";
    refused(of(Rule::Rtrl { memory_limit: 800 }), text);
    assert!(of(Rule::Rtrl { memory_limit: 864 }).is_ok());

    let rate = RateRnn::new(2, 3, 2, Activation::Tanh, Leak::Rate(vec![0.5])).unwrap();
    let states = States::new(&rate, &theta(), &data()).unwrap();
    let refused_on_rate = [
        Rule::Mdgl { weights: BackWeights::Exact },
        modprop(0.2, Propagation::Code),
        Rule::SnAp1,
        Rule::Uoro { noise: Noise::Drawn { seed: 1 } },
    ];
    for rule in refused_on_rate {
        let text = format!(
            "{}: not applicable: expected a leak of the voltage, got a leak of the rate",
            rule.name()
        );
        refused(states.gradient(&rule), &text);
    }
}

#[test]
fn types_and_alignments() {
    refused(CellTypes::new(vec![]), "cell types: expected at least one, got none");
    let text = "cell type 1: neurons: expected at least one, got none";
    refused(CellTypes::new(vec![0, 2, 0]), text);
    let text = "cell types: expected types below the number 2 of neurons, got 9";
    refused(CellTypes::new(vec![0, 9]), text);
    let types = CellTypes::new(vec![0, 1]).unwrap();
    refused(types.signed(&[1.0; 3], &[1.0, -1.0]), "weights: expected (2, 2), got 3");
    refused(types.signed(&[1.0; 4], &[1.0]), "factors of cell types: expected 2, got 1");
    let text = "weights: expected finite numbers, got NaN at index 2";
    refused(types.block_means(&[1.0, 0.0, f64::NAN, 1.0], true), text);
    let of = |x: &[f64], y: &[f64]| Alignment::between(x, y);
    refused(of(&[1.0], &[1.0, 2.0]), "approximate gradient: expected 1, got 2");
    let text = "exact gradient: expected finite numbers, got NaN at index 0";
    refused(of(&[f64::NAN], &[1.0]), text);
    let nothing = of(&[1.0, 0.0], &[0.0, 0.0]).unwrap();
    assert_eq!((nothing.cosine, nothing.rho, nothing.norm_ratio), (None, Some(0.0), Some(0.0)));
}

#[test]
fn curvatures_and_trainings() {
    let (rnn, data) = (rnn(), data());
    let decay = |l2: f64| Decay::<f64>::new(&rnn, l2);
    refused(decay(-1.0), "l2: expected a finite number of at least 0, got -1");
    refused(decay(f64::NAN), "l2: expected a finite number of at least 0, got NaN");
    let curvature = || Curvature::new(&rnn, &data, &decay(0.0).unwrap()).unwrap();
    let solver = Eigensolver::Lanczos { tolerance: 0.0, max_products: 9 };
    let text = "tolerance: expected a positive finite number, got 0";
    refused(curvature().solver(solver), text);
    let solver = Eigensolver::PowerAbs { abs_tol: 1e-6, max_iter: 0 };
    refused(curvature().solver(solver), "products: expected at least 1, got 0");
    let solver = Eigensolver::Lanczos { tolerance: 1e-6, max_products: 3 };
    refused(curvature().solver(solver), "products: expected at least 4, got 3");
    // Too few products are a flag, with the residual.
    let solver = Eigensolver::Lanczos { tolerance: 1e-12, max_products: 4 };
    let ends = curvature().solver(solver).unwrap().at(&theta()).unwrap();
    assert!(!ends.converged && ends.residuals[0] > 0.0, "{ends:?}");
    let bare = rnn.clone().bias(false);
    let none = Curvature::new(&bare, &data, &Decay::new(&bare, 0.0).unwrap()).unwrap();
    let text = "block Bias: parameters: expected at least one, got none";
    refused(none.block(Block::Bias), text);

    let training =
        |rate: f64| Training::new(&rnn, &data, Rule::Bptt, Schedule::constant(rate).unwrap(), 3);
    refused(training(0.0), "learning rate: expected a positive number, got 0");
    let text = "scaling: expected a finite number, got inf";
    refused(training(0.1).unwrap().scaling(Scaling::Fixed(f64::INFINITY)), text);
    let batches = |batches| training(0.1).unwrap().batches(batches);
    refused(batches(Batches::Epochs { size: 4, seed: 0 }), "batch: expected 1 to 3, got 4");
    refused(batches(Batches::Drawn { size: 0, seed: 0 }), "batch: expected at least 1, got 0");
    let text = "batches, and samples in each: expected at least one, got none";
    refused(batches(Batches::Given(vec![vec![0], vec![]])), text);
    let text = "batches: expected samples below 3, got 3";
    refused(batches(Batches::Given(vec![vec![3]])), text);
    let text = "steps between looks at the loss: expected 1 or more, got 0";
    refused(training(0.1).unwrap().target_loss_on_all(0.1, 0), text);
    let text = "target loss: expected a number, got NaN";
    refused(training(0.1).unwrap().target_loss_on_all(f64::NAN, 1), text);
    let text = "adaptive feedback: not applicable: expected three factors with a matrix as feedback, got bptt";
    refused(training(0.1).unwrap().adaptive_feedback(0.0), text);
    let text = "steps between checkpoints: expected 1 or more, got 0";
    refused(training(0.1).unwrap().checkpoints(0, None), text);
    refused(training(0.1).unwrap().run(&theta()[1..]), "parameters: expected 26, got 25");

    let of = Stability::new(&rnn, &theta(), &data, &Rule::Bptt);
    refused(of, "stability: not applicable: expected one output, got 2");
}

#[test]
fn online() {
    let rnn = rnn();
    let none = Eligibility::<f64>::new(&rnn, Feedback::Symmetric, 0);
    refused(none, "samples: expected at least one, got none");
    let bad = Eligibility::new(&rnn, Feedback::Fixed(vec![0.1; 5]), 1);
    refused(bad, "feedback: expected [3, 2], got 5");
    let mut one = Eligibility::new(&rnn, Feedback::Symmetric, 1).unwrap();
    refused(one.advance(&theta(), &[0.0; 3]), "inputs of the step: expected (1, 2), got 3");
    let text = "inputs of the step: expected finite numbers, got NaN at index 1";
    refused(one.advance(&theta(), &[0.0, f64::NAN]), text);
    refused(one.learn(&theta(), &[0.0]), "errors of the step: expected (1, 2), got 1");
    refused(one.traces(1), "sample: expected below 1, got 1");
    let text = "learning rate: expected a positive finite number, got 0";
    refused(OnlineDescent::new(&rnn, Feedback::Symmetric, &theta(), 0.0), text);
}
