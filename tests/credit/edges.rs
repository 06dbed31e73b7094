//! One step, one sample, no nonlinearity, no recurrent weights, no active unit.

use hesse::credit::{Alignment, BackWeights, Block, Curvature, Decay, Feedback, Rule, States};
use hesse::network::Activation;

use super::case::{Case, largest};

#[test]
fn edges_of_the_reference_files() {
    for (prefix, activation) in
        [("T1_", Activation::Tanh), ("B1_", Activation::Tanh), ("linear_", Activation::Identity)]
    {
        let case = Case::part("H_edges", prefix);
        let rnn = case.network(activation, false);
        let states = States::new(&rnn, &case.theta(), &case.values_at_each_step()).unwrap();
        case.check("loss", &[states.loss()], 1e-12);
        let rules = [
            ("bptt", Rule::Bptt),
            ("three_factor", Rule::three_factor()),
            ("eprop_random", Rule::ThreeFactor { feedback: Feedback::Fixed(case.array("FB")) }),
            ("mdgl_cell", Rule::Mdgl { weights: BackWeights::Exact }),
        ];
        for (name, rule) in rules {
            case.check_gradient(&rnn, name, &states.gradient(&rule).unwrap(), 1e-10);
        }
    }
    let case = Case::part("H_edges", "W0_");
    let rnn = case.network(Activation::Tanh, false);
    let states = States::new(&rnn, &case.theta(), &case.values_at_each_step()).unwrap();
    let bptt = states.gradient(&Rule::Bptt).unwrap();
    case.check_gradient(&rnn, "bptt", &bptt, 1e-10);
    let local = states.gradient(&Rule::three_factor()).unwrap();
    case.check_gradient(&rnn, "three_factor", &local, 1e-10);
}

#[test]
fn silent_units_have_no_gradient_and_no_curvature() {
    let case = Case::part("H_edges", "dead_");
    let rnn = case.network(Activation::Relu, false);
    let (theta, data) = (case.theta(), case.class_at_end());
    let states = States::new(&rnn, &theta, &data).unwrap();
    case.check("loss", &[states.loss()], 1e-12);
    let group = rnn.block(Block::RecurrentGroup);
    let rules = [
        Rule::Bptt,
        Rule::three_factor(),
        Rule::Mdgl { weights: BackWeights::Exact },
        Rule::SnAp1,
        Rule::Rtrl { memory_limit: 1 << 20 },
    ];
    for rule in rules {
        let gradient = states.gradient(&rule).unwrap();
        assert!(gradient[group.clone()].iter().all(|&g| g == 0.0), "{}", rule.name());
        case.check("dc", &gradient[rnn.block(Block::ReadoutBias)], 1e-10);
    }
    let bptt = states.gradient(&Rule::Bptt).unwrap();
    let w = rnn.block(Block::Recurrent);
    let alignment = Alignment::between(&bptt[w.clone()], &bptt[w]).unwrap();
    assert_eq!((alignment.cosine, alignment.rho), (None, None));
    let decay = Decay::new(&rnn, 0.0).unwrap();
    let ends = Curvature::new(&rnn, &data, &decay).unwrap().at(&theta).unwrap();
    assert_eq!((ends.largest, ends.smallest), (0.0, Some(0.0)));
}

/// T = 1: no state before, dW = 0, and ρ has no value.
#[test]
fn one_step_leaves_the_recurrent_weights_alone() {
    let case = Case::part("H_edges", "T1_");
    let rnn = case.network(Activation::Tanh, false);
    let states = States::new(&rnn, &case.theta(), &case.values_at_each_step()).unwrap();
    let bptt = states.gradient(&Rule::Bptt).unwrap();
    let w = rnn.block(Block::Recurrent);
    assert_eq!(largest(&bptt[w.clone()]), 0.0);
    assert_eq!(Alignment::between(&bptt[w.clone()], &bptt[w]).unwrap().rho, None);
}
