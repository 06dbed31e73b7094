//! Figures of trainings: loss, alignment, the edge of stability, and the gap.

use super::descent::{Look, Outcome};
use crate::figure::Figure;

/// Points of a curve at most.
const POINTS: usize = 2000;

/// A training with its name and learning rate.
pub(super) struct Shown<'a> {
    pub(super) name: String,
    pub(super) rate: f64,
    pub(super) outcome: &'a Outcome,
}

/// A file with its figure.
pub(super) type Picture = (&'static str, Figure);

fn along(shown: &Shown<'_>, of: impl Fn(&Look) -> f64) -> Vec<(f64, f64)> {
    shown.outcome.checkpoints.iter().map(|look| (look.step as f64, of(look))).collect()
}

/// The same, and the end of the training, where it is known.
fn to_end(shown: &Shown<'_>, of: impl Fn(&Look) -> f64, end: f64) -> Vec<(f64, f64)> {
    let mut points = along(shown, of);
    if end.is_finite() {
        points.push((shown.outcome.steps as f64, end));
    }
    points
}

/// loss.svg, alignment.svg, edge.svg and, with tests, gap.svg.
pub(super) fn of(trainings: &[Shown<'_>]) -> Vec<Picture> {
    let mut loss = Figure::new("Loss", "step", "loss of the step's samples").log_y();
    let mut alignment = Figure::new("Alignment", "step", "cosine with the gradient of W");
    let mut edge = Figure::new("Edge of stability", "step", "λ₁ η/2");
    let mut gap = Figure::new("Generalisation", "step", "test − training loss");
    let mut tested = false;
    for shown in trainings {
        let losses = &shown.outcome.losses;
        let stride = losses.len().div_ceil(POINTS).max(1);
        let curve = losses.iter().enumerate().step_by(stride).map(|(k, &l)| (k as f64, l));
        loss = loss.line(&shown.name, curve);
        alignment = alignment.line(&shown.name, along(shown, |look| look.cosine));
        let (end, half) = (shown.outcome, 0.5 * shown.rate);
        let sharpness = to_end(shown, |look| half * look.largest, half * end.largest);
        edge = edge.line(&shown.name, sharpness);
        tested |= shown.outcome.checkpoints.iter().any(|look| look.test_loss.is_finite());
        let gaps = to_end(shown, |look| look.test_loss - look.loss, end.loss_gap());
        gap = gap.line(&shown.name, gaps);
    }
    let mut pictures = vec![
        ("loss.svg", loss),
        ("alignment.svg", alignment),
        ("edge.svg", edge.horizontal("edge of stability of the exact gradient", 1.0)),
    ];
    if tested {
        pictures.push(("gap.svg", gap));
    }
    pictures
}
