//! How much the bounds leave at the ends of the sweeps (experiment E4).

use super::sweep::Sweep;
use crate::figure::Figure;
use crate::report::{Claim, Plate};
use crate::units::three;

/// Ranges that the ratios of bound to measure must be in, and those of the reference runs.
struct Bars {
    mls: [f64; 2],
    mls_reference: &'static str,
    nmls: [f64; 2],
    nmls_reference: &'static str,
}

const TANH: Bars = Bars {
    mls: [15.0, 45.0],
    mls_reference: "20 to 33",
    nmls: [5.0, 14.0],
    nmls_reference: "6.6 to 10.5",
};
const RELU: Bars = Bars {
    mls: [3.0, 7.0],
    mls_reference: "4.1 to 4.8",
    nmls: [3.0, 6.0],
    nmls_reference: "4.1 to 4.4",
};

/// Bound over measure of every training: of MLS, and of NMLS.
fn ratios(sweep: &Sweep) -> [Vec<f64>; 2] {
    let measures = || sweep.outcomes.iter().map(|outcome| outcome.measures);
    [
        measures().map(|m| m.mls_bound / m.mls).collect(),
        measures().map(|m| m.nmls_bound / m.nmls).collect(),
    ]
}

/// The bounds hold, and leave as much as in the reference runs.
pub fn claims(sweep: &Sweep) -> Vec<Claim> {
    let bars = if sweep.name == "tanh" { TANH } else { RELU };
    let [mls, nmls] = ratios(sweep);
    let claim = |what: &str, ratios: &[f64], reference: &str, [low, high]: [f64; 2]| {
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        Claim::with_bar(
            format!("{}: {what}", sweep.name),
            format!("a bound; means {reference} in the reference runs"),
            format!("{} to {}", three(least), three(most)),
            format!("every training from {low} to {high}"),
            ratios.iter().all(|r| (low..=high).contains(r)),
        )
    };
    vec![
        claim("the bound D on MLS over MLS", &mls, bars.mls_reference, bars.mls),
        claim("the bound on NMLS over NMLS", &nmls, bars.nmls_reference, bars.nmls),
    ]
}

/// The ratios of all sweeps against √S.
pub fn plate(sweeps: &[Sweep]) -> Plate {
    let mut figure = Figure::new("What the bounds leave", "√S", "bound / measure").log_y();
    for sweep in sweeps {
        let sharpness = || sweep.outcomes.iter().map(|outcome| outcome.measures.sqrt_trace);
        let [mls, nmls] = ratios(sweep);
        figure = figure
            .points(&format!("MLS, {}", sweep.name), sharpness().zip(mls))
            .points(&format!("NMLS, {}", sweep.name), sharpness().zip(nmls));
    }
    Plate::of(
        "flatness-slack",
        "The bounds on MLS and NMLS over what they bound, at the end of every training. For tanh the \
         factor before √S changes more between trainings than √S does.",
        &figure.horizontal("equality", 1.0),
    )
}
