//! `J`: a random estimate of rank one with stored noise.

use hesse::Result;
use hesse::credit::{Block, Noise, Rule, States};

use super::network::{Case, DESCRIPTION, GRADIENT, about, compare};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout};

/// The layout.
pub(super) struct Estimate;

impl Layout for Estimate {
    fn name(&self) -> &'static str {
        "uoro"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["J"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["W", "U", "b", "O", "c", "x", "target", "nu"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> std::result::Result<(), Failure> {
        let arrays = checks.inputs(&DESCRIPTION);
        checks.inputs(&["mc_draws"]);
        // Of other noise, which the file does not hold.
        checks.not_recomputed(&["mc_mean_dW"]);
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let case = Case::read(arrays, ["W", "U", "b", "O", "c"])?;
    let states = States::new(&case.rnn, &case.theta, &case.data)?;
    let w = case.rnn.block(Block::Recurrent);
    let noise = Noise::Given(arrays.get("nu")?.values.clone());
    let got = states.gradient(&Rule::Uoro { noise })?;
    compare(checks, arrays, "uoro_dW", GRADIENT, &got[w.clone()]);
    compare(checks, arrays, "exact_dW", GRADIENT, &states.gradient(&Rule::Bptt)?[w]);
    Ok(())
}
