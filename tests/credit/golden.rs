//! Every gradient and curvature of the reference files.

use hesse::credit::{
    Alignment, BackWeights, Block, Feedback, Noise, Propagation, RateRnn, Rule, Sequences, States,
};
use hesse::network::Activation;

use super::case::{Case, near};

/// Rules by the names of the reference files.
fn rules(case: &Case) -> Vec<(&'static str, Rule<f64>)> {
    let feedback = Feedback::Fixed(case.array("FB"));
    let mean = || BackWeights::TypeMean(case.types());
    let mdgl = |weights| Rule::Mdgl { weights };
    let modprop = |weights, propagation| Rule::ModProp { mu: 0.25, weights, propagation };
    let taps = |hops| Propagation::Taps { hops };
    vec![
        ("bptt", Rule::Bptt),
        ("rtrl", Rule::Rtrl { memory_limit: 1 << 30 }),
        ("three_factor", Rule::three_factor()),
        ("eprop_random", Rule::ThreeFactor { feedback }),
        ("mdgl_cell", mdgl(BackWeights::Exact)),
        ("mdgl_type_gated", mdgl(BackWeights::TypeMeanGated(case.types()))),
        ("mdgl_type_mean", mdgl(mean())),
        ("modprop_code_cell", modprop(BackWeights::Exact, Propagation::Code)),
        ("modprop_code_type", modprop(mean(), Propagation::Code)),
        ("modprop_taps_cell", modprop(BackWeights::Exact, taps(None))),
        ("modprop_taps_type", modprop(mean(), taps(None))),
        ("modprop_taps3_cell", modprop(BackWeights::Exact, taps(Some(3)))),
        ("modprop_taps3_type", modprop(mean(), taps(Some(3)))),
        ("snap1", Rule::SnAp1),
    ]
}

fn check_rules(case: &Case, rnn: &RateRnn, data: &Sequences<f64>) {
    let theta = case.theta();
    let states = States::new(rnn, &theta, data).unwrap();
    case.check("loss", &[states.loss()], 1e-12);
    for (name, got) in [("V", states.voltages()), ("H", states.rates()), ("Y", states.outputs())] {
        if case.has(name) {
            case.check(name, got, 1e-12);
        }
    }
    for (name, feedback) in
        [("g_sym", Feedback::Symmetric), ("g_fb", Feedback::Fixed(case.array("FB")))]
    {
        if case.has(name) {
            case.check(name, &states.learning_signal(&feedback).unwrap(), 1e-12);
        }
    }
    let mut w = theta[rnn.block(Block::Recurrent)].to_vec();
    if !rnn.has_autapses() {
        (0..rnn.units()).for_each(|i| w[i * (rnn.units() + 1)] = 0.0);
    }
    for (name, gated) in [("Wbar_mean", false), ("Wbar_gated", true)] {
        case.check(name, &case.types().block_means(&w, gated).unwrap(), 1e-13);
    }
    let exact = states.gradient(&Rule::Bptt).unwrap();
    case.check("bptt_dO", &exact[rnn.block(Block::Readout)], 1e-10);
    case.check("bptt_dc", &exact[rnn.block(Block::ReadoutBias)], 1e-10);
    let alignments = case.array("align_cos_rho_normratio");
    let mut row = 0;
    for (name, rule) in rules(case) {
        let known = case.has(&format!("{name}_dW"));
        if !known && name != "rtrl" {
            assert!(states.gradient(&rule).is_err(), "{name} on a leak of the rate");
            continue;
        }
        let got = states.gradient(&rule).unwrap();
        if known {
            case.check_gradient(rnn, name, &got, 1e-10);
        } else {
            near(&format!("{}: rtrl", case.name), &got, &exact, 1e-10);
        }
        assert_eq!(got[rnn.block(Block::Readout)], exact[rnn.block(Block::Readout)]);
        if !matches!(name, "bptt" | "rtrl") {
            let w = rnn.block(Block::Recurrent);
            let of = Alignment::between(&exact[w.clone()], &got[w]).unwrap();
            let position = NAMES.iter().position(|&n| n == name).unwrap();
            let got = [of.cosine.unwrap(), of.rho.unwrap(), of.norm_ratio.unwrap()];
            let want = &alignments[3 * position..][..3];
            near(&format!("{}: alignment of {name}", case.name), &got, want, 1e-10);
            let rest = (got[2].powi(2) - got[1].powi(2)).max(0.0);
            assert!((of.orthogonal_ratio.unwrap().powi(2) - rest).abs() <= 1e-12 * got[2].powi(2));
            row += 1;
        }
    }
    assert_eq!(3 * row, alignments.len(), "{}: rules", case.name);
    // The exact gradient by the layers' own adjoint passes.
    let network = rnn.network(data.steps(), data.target().at_each_step()).unwrap();
    let objective = data.objective(&network).unwrap();
    let mut gradient = vec![0.0; theta.len()];
    let loss = objective.gradient(&theta, &mut gradient).unwrap();
    case.check("loss", &[loss], 1e-12);
    near(&format!("{}: objective", case.name), &gradient, &exact, 1e-12);
}

/// In the order of the tables of alignments.
const NAMES: [&str; 12] = [
    "three_factor",
    "eprop_random",
    "mdgl_cell",
    "mdgl_type_gated",
    "mdgl_type_mean",
    "modprop_code_cell",
    "modprop_taps_cell",
    "modprop_taps3_cell",
    "modprop_code_type",
    "modprop_taps_type",
    "modprop_taps3_type",
    "snap1",
];

#[test]
fn every_rule_on_a_smooth_network_with_targets_at_each_step() {
    let case = Case::open("A_tanh_mse");
    check_rules(&case, &case.network(Activation::Tanh, false), &case.values_at_each_step());
}

#[test]
fn every_rule_without_leak_and_autapses() {
    for name in ["B_relu_ce_code", "I_seqdigits"] {
        let case = Case::open(name);
        check_rules(&case, &case.network(Activation::Relu, false), &case.class_at_end());
    }
}

#[test]
fn every_rule_with_own_leaks_and_a_filtered_readout() {
    let case = Case::open("C_relu_leaky_filtered");
    check_rules(&case, &case.network(Activation::Relu, false), &case.class_at_end());
}

#[test]
fn the_local_rules_of_the_rate_leak() {
    let case = Case::open("D_rate_leak_rflo");
    check_rules(&case, &case.network(Activation::Tanh, true), &case.values_at_each_step());
}

#[test]
fn uoro_with_given_noise_and_in_the_mean() {
    let case = Case::open("J_uoro");
    let rnn = case.network(Activation::Tanh, false);
    let states = States::new(&rnn, &case.theta(), &case.values_at_each_step()).unwrap();
    let w = rnn.block(Block::Recurrent);
    let given = Rule::Uoro { noise: Noise::Given(case.array("nu")) };
    case.check("uoro_dW", &states.gradient(&given).unwrap()[w.clone()], 1e-10);
    let exact = states.gradient(&Rule::Bptt).unwrap();
    case.check("exact_dW", &exact[w], 1e-10);
    // The mean of 4000 draws, of all recurrent parameters; the reference's is within 10 %.
    let group = rnn.block(Block::RecurrentGroup);
    let mut mean = vec![0.0; group.len()];
    for seed in 0..4000 {
        let draw = states.gradient(&Rule::Uoro { noise: Noise::Drawn { seed } }).unwrap();
        mean.iter_mut().zip(&draw).for_each(|(mean, x)| *mean += x / 4000.0);
    }
    near("mean of UORO", &mean, &exact[group], 0.1);
}
