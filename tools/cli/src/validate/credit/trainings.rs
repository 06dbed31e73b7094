//! `F`: fifty steps of gradient descent under six rules, with curvature and alignment at checkpoints.

use hesse::Result;
use hesse::credit::{
    Block, Checkpoint, Curvature, Decay, Eigensolver, Feedback, Rule, Scaling, Training,
};
use hesse::optimize::Schedule;

use super::network::{Case, DESCRIPTION, about, compare, types};
use super::rules::named;
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Rule as Close};

/// The layout.
pub(super) struct Trainings;

/// Of losses and parameters along a training.
const CURVE: Close = Close::Relative(1e-7);
/// Of eigenvalues and alignments along a training.
const ALONG: Close = Close::Relative(1e-6);

impl Layout for Trainings {
    fn name(&self) -> &'static str {
        "trainings"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["F"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["W0", "U0", "b0", "O0", "c0", "x", "target", "FB", "types", "eta", "checkpoints"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> std::result::Result<(), Failure> {
        let arrays = checks.inputs(&DESCRIPTION);
        checks.inputs(&["rules"]);
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let case = Case::read(arrays, ["W0", "U0", "b0", "O0", "c0"])?;
    let (rnn, types) = (&case.rnn, types(arrays)?);
    let fixed = Feedback::Fixed(arrays.get("FB")?.values.clone());
    let eta = Schedule::constant(arrays.scalar("eta")?)?;
    let at = arrays.counts("checkpoints", 1 << 20)?;
    let every = match at[..] {
        [0, every, ..] if every > 0 && at.iter().enumerate().all(|(i, &k)| k == i * every) => every,
        _ => {
            let message = format!("expected steps from 0 at equal distances, got {at:?}");
            return Err(arrays.wrong("checkpoints", message));
        }
    };
    let last = at.last().copied().unwrap_or(0) as u64;
    let none = Vec::new();
    for name in arrays.texts.get("rules").unwrap_or(&none) {
        let (rule, scaling) = match name.as_str() {
            "bptt_scaled" => (Rule::Bptt, Scaling::Match(Rule::three_factor())),
            other => (named(other, arrays, &types, &fixed)?, Scaling::None),
        };
        let decay = Decay::new(rnn, case.l2)?;
        let solver = Eigensolver::Lanczos { tolerance: 1e-7, max_products: 1000 };
        let curvature = Curvature::new(rnn, &case.data, &decay)?.solver(solver)?;
        let history = Training::new(rnn, &case.data, rule, eta, last)?
            .decay(decay)
            .scaling(scaling)?
            .checkpoints(every as u64, Some(curvature))?
            .run(&case.theta)?;
        let mut check = |what: &str, rule: Close, got: &[f64]| {
            compare(checks, arrays, &format!("{name}_{what}"), rule, got);
        };
        check("loss", CURVE, &history.losses);
        let of = |f: &dyn Fn(&Checkpoint) -> Option<f64>| -> Vec<f64> {
            history.checkpoints.iter().map(|c| f(c).unwrap_or(f64::NAN)).collect()
        };
        check("lambda_max", ALONG, &of(&|c| c.curvature.map(|c| c.largest)));
        check("lambda_min", ALONG, &of(&|c| c.curvature.and_then(|c| c.smallest)));
        check("rho", ALONG, &of(&|c| c.alignment.rho));
        check("cos", ALONG, &of(&|c| c.alignment.cosine));
        for (block, what) in [(Block::Recurrent, "W_final"), (Block::Readout, "O_final")] {
            check(what, CURVE, &history.parameters[rnn.block(block)]);
        }
    }
    Ok(())
}
