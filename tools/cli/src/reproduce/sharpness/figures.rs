//! The figures of the section on sharpness.

use super::Runs;
use super::training::{Curvature, Run};
use crate::figure::Figure;
use crate::report::Plate;

/// Loss, sharpness, density and largest eigenvalues.
pub fn plates(runs: &Runs, start: &Curvature) -> Vec<Plate> {
    vec![loss(runs), sharpness(runs), density(runs, start), eigenvalues(runs, start)]
}

/// η times the step: the time along the gradient flow, in which rates can be compared.
fn time(run: &Run, step: u64) -> f64 {
    run.plan.rate * step as f64
}

fn loss(runs: &Runs) -> Plate {
    let mut figure = Figure::new("Training loss", "η · step", "loss").log_y();
    for run in runs.all() {
        let full_batch = run.plan.batch == runs.large.plan.batch;
        let points: Vec<(f64, f64)> = if full_batch {
            // A thousand points are more than a screen shows; oscillations are at every step.
            let stride = run.losses.len().div_ceil(1000).max(1);
            let losses = run.losses.iter().enumerate().step_by(stride);
            losses.map(|(step, &loss)| (time(run, step as u64), loss)).collect()
        } else {
            run.looks.iter().map(|look| (time(run, look.step), look.loss)).collect()
        };
        figure = figure.line(run.plan.name, points);
    }
    Plate::of(
        "sharpness-loss",
        "Loss on all digits against the time along the gradient flow. At the large rate the \
         full-batch loss spikes once the sharpness has come to 2/η, and still falls.",
        &figure,
    )
}

fn sharpness(runs: &Runs) -> Plate {
    let highest =
        runs.all().iter().flat_map(|run| &run.looks).map(|l| l.top[0]).fold(0.0, f64::max);
    let mut figure = Figure::new("Sharpness during training", "η · step", "largest eigenvalue")
        .y_from_to(0.0, 1.05 * highest);
    for run in runs.all() {
        let points = run.looks.iter().map(|look| (time(run, look.step), look.top[0]));
        figure = figure.line(run.plan.name, points);
    }
    for run in [&runs.large, &runs.small] {
        figure = figure.horizontal(&format!("2/η for η = {}", run.plan.rate), run.edge());
    }
    Plate::of(
        "sharpness-sharpness",
        "Largest eigenvalue of the Hessian on all digits. At the small rate it rises undisturbed, \
         far below its own 2/η (above the figure where that line is missing); at the large rate \
         full-batch gradient descent holds it at 2/η, mini-batches below.",
        &figure,
    )
}

fn density(runs: &Runs, start: &Curvature) -> Plate {
    let curves = [
        ("start", start),
        (runs.large.plan.name, &runs.large.end),
        (runs.small.plan.name, &runs.small.end),
    ];
    let densities = curves.map(|(_, curvature)| &curvature.density);
    let highest = densities.iter().flat_map(|d| &d.density).copied().fold(0.0, f64::max);
    // A tenth of the height of one eigenvalue under the widest kernel.
    let one = densities
        .iter()
        .map(|d| 0.399 / (d.sigma * d.dimension as f64))
        .fold(f64::INFINITY, f64::min);
    let mut figure =
        Figure::new("Spectral density of the Hessian", "eigenvalue", "density").log_y();
    if highest > one {
        figure = figure.y_from_to(0.1 * one, 2.0 * highest);
    }
    for (name, curvature) in curves {
        let density = &curvature.density;
        // Far from all eigenvalues there is nothing to see, and the logarithm has no end: a curve
        // breaks where it is not a number.
        let seen = density.density.iter().map(|&y| if y >= 0.1 * one { y } else { f64::NAN });
        figure = figure.line(name, density.grid.iter().copied().zip(seen));
    }
    Plate::of(
        "sharpness-density",
        "Density of the eigenvalues by stochastic Lanczos quadrature: nearly all are close to zero, \
         and single ones stand out on the right, less far after the large rate.",
        &figure,
    )
}

fn eigenvalues(runs: &Runs, start: &Curvature) -> Plate {
    let points = |curvature: &Curvature| -> Vec<(f64, f64)> {
        curvature.values.iter().enumerate().map(|(k, &value)| ((k + 1) as f64, value)).collect()
    };
    let mut figure =
        Figure::new("Largest eigenvalues of the Hessian", "rank", "eigenvalue").log_y();
    for run in runs.all() {
        figure = figure.points(run.plan.name, points(&run.end));
    }
    figure = figure.points("start", points(start));
    Plate::of(
        "sharpness-eigenvalues",
        "The largest eigenvalues at the end of each training and at its start.",
        &figure,
    )
}
