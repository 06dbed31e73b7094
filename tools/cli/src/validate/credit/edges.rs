//! `H`: one step, one sample, no nonlinearity, no recurrent weights, no active unit.

use hesse::Result;
use hesse::credit::{BackWeights, Block, Feedback, Leak, RateRnn, Rule, States, Target};
use hesse::network::Activation;

use super::network::{GRADIENT, STATE, about, compare, gradient, sequences};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout};

/// The layout.
pub(super) struct Edges;

/// The cases; the last one has classes.
const CASES: [(&str, Activation); 5] = [
    ("T1_", Activation::Tanh),
    ("B1_", Activation::Tanh),
    ("linear_", Activation::Identity),
    ("W0_", Activation::Tanh),
    ("dead_", Activation::Relu),
];

impl Layout for Edges {
    fn name(&self) -> &'static str {
        "edges"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["H"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["T1_x", "B1_x", "linear_x", "W0_x", "dead_x"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> std::result::Result<(), Failure> {
        for (prefix, activation) in CASES {
            let inputs = ["W", "U", "b", "O", "c", "x", "target", "FB", "a"];
            let inputs = inputs.map(|name| format!("{prefix}{name}"));
            let arrays = checks.inputs(&inputs.each_ref().map(String::as_str));
            compute(checks, arrays, prefix, activation).map_err(|error| about(arrays, error))?;
        }
        Ok(())
    }
}

fn compute(
    checks: &mut Checks<'_>,
    arrays: &Arrays,
    prefix: &str,
    activation: Activation,
) -> Result<()> {
    let name = |name: &str| format!("{prefix}{name}");
    let values = |of: &str| Ok::<_, hesse::Error>(arrays.get(&name(of))?.values.clone());
    let ([units, inputs], _) = arrays.with_axes::<2>(&name("U"))?;
    let outputs = values("c")?.len();
    let leak = Leak::Voltage(values("a")?);
    let rnn = RateRnn::new(inputs, units, outputs, activation, leak)?;
    // Weights of zero are not in the file.
    let w = if checks.wants(&[&name("W")]) { values("W")? } else { vec![0.0; units * units] };
    let theta = [w, values("U")?, values("b")?, values("O")?, values("c")?].concat();
    let dead = activation == Activation::Relu;
    let target = match dead {
        true => Target::ClassAtEnd(arrays.counts(&name("target"), outputs)?),
        false => Target::ValuesAtEachStep(values("target")?),
    };
    let data = sequences(arrays, &name("x"), target)?;
    let states = States::new(&rnn, &theta, &data)?;
    compare(checks, arrays, &name("loss"), STATE, &[states.loss()]);
    let mut rules = vec![
        ("bptt_", Rule::Bptt),
        ("three_factor_", Rule::three_factor()),
        ("mdgl_cell_", Rule::Mdgl { weights: BackWeights::Exact }),
    ];
    if checks.wants(&[&name("FB")]) {
        rules.push((
            "eprop_random_",
            Rule::ThreeFactor { feedback: Feedback::Fixed(values("FB")?) },
        ));
    }
    for (of, rule) in rules {
        gradient(checks, arrays, &rnn, &name(of), &states.gradient(&rule)?);
    }
    if dead {
        let bptt = states.gradient(&Rule::Bptt)?;
        let dc = &bptt[rnn.block(Block::ReadoutBias)];
        compare(checks, arrays, &name("dc"), GRADIENT, dc);
        let moved = bptt[rnn.block(Block::RecurrentGroup)].iter().filter(|g| **g != 0.0).count();
        checks.law(&name("bptt"), "no gradient of W, U and b", moved);
    }
    Ok(())
}
