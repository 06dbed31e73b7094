//! Rules forwards in time, and spiking networks, of the reference files.

use hesse::credit::{
    BackWeights, Block, Eligibility, Feedback, OnlineDescent, Rule, Sequences, SpikingRnn,
    SpikingStates, States, Target,
};
use hesse::network::Activation;

use super::case::{Case, near};

/// Inputs of all samples at one step.
fn inputs_at(data: &Sequences<f64>, t: usize) -> Vec<f64> {
    let (m, steps) = (data.features(), data.steps());
    let row = |b: usize| &data.inputs()[(b * steps + t) * m..][..m];
    (0..data.samples()).flat_map(|b| row(b).to_vec()).collect()
}

#[test]
fn traces_give_the_gradients_of_the_offline_rules() {
    let cases = [
        ("A_tanh_mse", Activation::Tanh, false),
        ("B_relu_ce_code", Activation::Relu, false),
        ("C_relu_leaky_filtered", Activation::Relu, false),
        ("D_rate_leak_rflo", Activation::Tanh, true),
    ];
    for (name, activation, rate) in cases {
        let case = Case::open(name);
        let rnn = case.network(activation, rate);
        let each = name.starts_with(['A', 'D']);
        let data = if each { case.values_at_each_step() } else { case.class_at_end() };
        let theta = case.theta();
        let states = States::new(&rnn, &theta, &data).unwrap();
        for feedback in [Feedback::Symmetric, Feedback::Fixed(case.array("FB"))] {
            let mut online = Eligibility::new(&rnn, feedback.clone(), data.samples()).unwrap();
            let width = data.samples() * rnn.outputs();
            for t in 0..data.steps() {
                let y = online.advance(&theta, &inputs_at(&data, t)).unwrap();
                near(
                    &format!("{name}: outputs"),
                    y,
                    &states.outputs()[t * width..][..width],
                    1e-12,
                );
                online.learn(&theta, &states.errors()[t * width..][..width]).unwrap();
            }
            let offline = states.gradient(&Rule::ThreeFactor { feedback }).unwrap();
            near(&format!("{name}: three factors"), online.gradient(), &offline, 1e-12);
            case.check("eligibility_final", &online.traces(0).unwrap(), 1e-10);
        }
        if rate {
            assert!(states.mdgl_by_traces(&BackWeights::Exact).is_err());
            continue;
        }
        for weights in [BackWeights::Exact, BackWeights::TypeMeanGated(case.types())] {
            let online = states.mdgl_by_traces(&weights).unwrap();
            let offline = states.gradient(&Rule::Mdgl { weights }).unwrap();
            let offline = &offline[rnn.block(Block::Recurrent)];
            near(&format!("{name}: mdgl"), &online, offline, 1e-12);
        }
    }
}

#[test]
fn rflo_changes_its_weights_after_every_step() {
    let case = Case::open("D_rate_leak_rflo");
    let rnn = case.network(Activation::Tanh, true);
    let data = case.values_at_each_step();
    let feedback = Feedback::Fixed(case.array("FB"));
    let rate = case.number("online_eta");
    let mut online = OnlineDescent::new(&rnn, feedback, &case.theta(), rate).unwrap();
    let target = case.array("target");
    let mut outputs = Vec::new();
    for t in 0..data.steps() {
        let x = &inputs_at(&data, t)[..data.features()];
        outputs.extend(online.step(x, &target[t * rnn.outputs()..][..rnn.outputs()]).unwrap());
    }
    case.check("online_Y", &outputs, 1e-10);
    let blocks =
        [(Block::Recurrent, "online_W"), (Block::Input, "online_U"), (Block::Readout, "online_O")];
    for (block, name) in blocks {
        case.check(name, &online.parameters()[rnn.block(block)], 1e-10);
    }
    let [b, c] = [Block::Bias, Block::ReadoutBias].map(|block| rnn.block(block));
    assert_eq!(online.parameters()[b], case.array("b"));
    assert_eq!(online.parameters()[c], case.array("c"));
}

fn spiking(case: &Case, adaptation: Vec<f64>) -> SpikingRnn {
    let [_, inputs, outputs] = case.sizes();
    let decays = ["alpha", "rho", "kappa"].map(|name| case.number(name));
    let (threshold, slope) = (case.number("thr"), case.number("gamma"));
    SpikingRnn::new(inputs, outputs, adaptation, decays, threshold, slope)
        .unwrap()
        .refractory(case.number("n_ref") as usize)
}

#[test]
fn spiking_networks_and_their_rules() {
    let case = Case::open("E_alif_spiking");
    let rnn = spiking(&case, case.array("beta"));
    let data = case.data(Target::ClassAtEnd(case.classes("target")));
    let states = SpikingStates::new(&rnn, &case.theta(), &data).unwrap();
    assert_eq!(states.spikes(), case.array("Z"));
    case.check("V", states.voltages(), 1e-12);
    case.check("adapt", states.adaptation(), 1e-12);
    case.check("psi", states.slopes(), 1e-11);
    case.check("S", states.filtered(), 1e-12);
    case.check("Y", states.outputs(), 1e-12);
    case.check("loss", &[states.loss()], 1e-12);
    let n = rnn.units();
    let (u, o) = (n * n, n * n + case.array("U").len());
    let c = o + case.array("O").len();
    let bptt = states.gradient(&Rule::Bptt).unwrap();
    case.check("bptt_dW", &bptt[..u], 1e-9);
    case.check("bptt_dU", &bptt[u..o], 1e-9);
    case.check("dO", &bptt[o..c], 1e-9);
    case.check("dc", &bptt[c..], 1e-9);
    let eprop = states.gradient(&Rule::three_factor()).unwrap();
    case.check("eprop_dW", &eprop[..u], 1e-9);
    case.check("eprop_dU", &eprop[u..o], 1e-9);
    let mdgl = states.gradient(&Rule::Mdgl { weights: BackWeights::Exact }).unwrap();
    case.check("mdgl_cell_dW", &mdgl[..u], 1e-9);
    let (last, by_traces) = states.eligibility();
    case.check("eligibility_final", &last, 1e-9);
    near("traces", &by_traces, &eprop[..u], 1e-12);
    let refused = states.gradient(&Rule::SnAp1).unwrap_err().to_string();
    let want = "spiking network: not applicable: expected bptt, three factors or mdgl, got snap1";
    assert_eq!(refused, want);
}

/// Without adaptation the trace has one component: ε_t = (α − ϑ ψ_{t−1}) ε_{t−1} + (1 − α) z_{t−1}.
#[test]
fn units_without_adaptation_are_leaky_integrate_and_fire() {
    let case = Case::open("E_alif_spiking");
    let n = case.sizes()[0];
    let rnn = spiking(&case, vec![0.0; n]);
    let data = case.data(Target::ClassAtEnd(case.classes("target")));
    let states = SpikingStates::new(&rnn, &case.theta(), &data).unwrap();
    let (last, _) = states.eligibility();
    let (alpha, threshold) = (case.number("alpha"), case.number("thr"));
    let samples = data.samples();
    let mut want = Vec::new();
    for b in 0..samples {
        for p in 0..n {
            for q in 0..n {
                let at = |t: usize, i: usize| (t * samples + b) * n + i;
                let mut trace = 0.0;
                for t in 1..data.steps() {
                    let psi = states.slopes()[at(t - 1, p)];
                    trace = (alpha - threshold * psi) * trace
                        + (1.0 - alpha) * states.spikes()[at(t - 1, q)];
                }
                want.push(states.slopes()[at(data.steps() - 1, p)] * trace);
            }
        }
    }
    near("lif", &last, &want, 1e-12);
    assert!(states.spikes().iter().sum::<f64>() > 20.0);
    // Bellec's code stops the derivative of the reset: another gradient.
    let stopped = SpikingStates::new(&rnn.reset_has_slope(false), &case.theta(), &data).unwrap();
    assert_eq!(stopped.spikes(), states.spikes());
    let rule = Rule::three_factor();
    assert_ne!(stopped.gradient(&rule).unwrap(), states.gradient(&rule).unwrap());
}
