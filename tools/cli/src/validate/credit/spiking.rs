//! `E`: leaky and adaptive spiking units with surrogate derivatives.

use hesse::Result;
use hesse::credit::{BackWeights, Feedback, Rule, SpikingRnn, SpikingStates, Target};

use super::network::{STATE, about, compare, sequences};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Rule as Close};

/// The layout.
pub(super) struct Spiking;

/// Of gradients of spiking networks.
const SPIKING: Close = Close::Relative(1e-9);
/// Of surrogate derivatives, 1 − |σ| with σ of differences over the threshold.
const SLOPE: Close = Close::Relative(1e-11);

impl Layout for Spiking {
    fn name(&self) -> &'static str {
        "spiking"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["E"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["W", "U", "O", "c", "x", "target", "thr", "beta", "gamma", "n_ref"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> std::result::Result<(), Failure> {
        let arrays = checks.inputs(&["tau_v", "tau_a", "alpha", "rho", "kappa"]);
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let ([units, inputs], _) = arrays.with_axes::<2>("U")?;
    let ([outputs, _], _) = arrays.with_axes::<2>("O")?;
    let beta = arrays.get("beta")?.values.clone();
    let mut decays = [0.0; 3];
    for (decay, name) in decays.iter_mut().zip(["alpha", "rho", "kappa"]) {
        *decay = arrays.scalar(name)?;
    }
    let (threshold, slope) = (arrays.scalar("thr")?, arrays.scalar("gamma")?);
    let refractory = arrays.counts("n_ref", 1 << 20)?.first().copied().unwrap_or(0);
    let rnn =
        SpikingRnn::new(inputs, outputs, beta, decays, threshold, slope)?.refractory(refractory);
    let mut theta = Vec::new();
    for name in ["W", "U", "O", "c"] {
        theta.extend_from_slice(&arrays.get(name)?.values);
    }
    let data = sequences(arrays, "x", Target::ClassAtEnd(arrays.counts("target", outputs)?))?;
    let states = SpikingStates::new(&rnn, &theta, &data)?;
    let outputs_of = [
        ("Z", Close::Exact, states.spikes()),
        ("V", STATE, states.voltages()),
        ("adapt", STATE, states.adaptation()),
        ("psi", SLOPE, states.slopes()),
        ("S", STATE, states.filtered()),
        ("Y", STATE, states.outputs()),
        ("g_sym", STATE, &states.learning_signal(&Feedback::Symmetric)?),
    ];
    for (name, rule, got) in outputs_of {
        compare(checks, arrays, name, rule, got);
    }
    compare(checks, arrays, "loss", STATE, &[states.loss()]);
    let ends = [units * units, units * inputs, outputs * units, outputs];
    let rules = [
        ("bptt", Rule::Bptt),
        ("eprop", Rule::three_factor()),
        ("mdgl_cell", Rule::Mdgl { weights: BackWeights::Exact }),
    ];
    for (prefix, rule) in rules {
        let mut rest = &states.gradient(&rule)?[..];
        for (block, length) in ["dW", "dU", "dO", "dc"].into_iter().zip(ends) {
            let (got, behind) = rest.split_at(length);
            rest = behind;
            // The readout has its exact gradient under every rule, and no name of one.
            let name = match block {
                "dO" | "dc" if prefix == "bptt" => block.to_owned(),
                _ => format!("{prefix}_{block}"),
            };
            compare(checks, arrays, &name, SPIKING, got);
        }
    }
    compare(checks, arrays, "eligibility_final", SPIKING, &states.eligibility().0);
    Ok(())
}
