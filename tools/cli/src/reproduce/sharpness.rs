//! Sharpness along trainings on digits, at a small and a large learning rate.

mod figures;
mod training;

use std::time::Instant;

use hesse::krylov::Estimate;
use hesse::network::{Activation, Architecture, Network};

use super::Size;
use crate::digits::{CLASSES, PIXELS, digits};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::{Claim, Section};
use crate::table::Table;
use crate::units::{percent, three};
use training::{Curvature, Experiment, Plan, Run};

/// Full batch and mini-batch, each at the large and at the small rate.
pub struct Runs {
    /// Gradient descent at the large rate.
    pub large: Run,
    /// Gradient descent at the small rate.
    pub small: Run,
    /// Stochastic gradient descent at the large rate.
    pub noisy_large: Run,
    /// Stochastic gradient descent at the small rate.
    pub noisy_small: Run,
}

impl Runs {
    /// All of them.
    pub fn all(&self) -> [&Run; 4] {
        [&self.large, &self.small, &self.noisy_large, &self.noisy_small]
    }
}

const LARGE: f64 = 0.1;
const SMALL: f64 = 0.02;
const COHEN: &str = "Cohen et al. 2021";

/// Trains, and says what came out.
pub fn section(size: Size, seed: u64, output: &Output) -> Result<Section, Failure> {
    let start = Instant::now();
    let (samples, hidden, target) = match size {
        Size::Quick => (60, vec![6], 0.3),
        Size::Usual => (1000, vec![32, 16], 0.02),
        Size::Full => (3000, vec![64, 32], 0.02),
    };
    let data = digits::<f64>(samples)?;
    let widths = [vec![PIXELS], hidden, vec![CLASSES]].concat();
    let network: Network<f64> = Architecture::perceptron(&widths, Activation::Tanh).build()?;
    let experiment = Experiment {
        network: &network,
        data: &data,
        seed,
        target,
        eigenvalues: if size == Size::Quick { 12 } else { 20 },
        trace: if size == Size::Quick { 20 } else { 100 },
        density: match size {
            Size::Quick => (8, 20),
            Size::Usual => (6, 80),
            Size::Full => (10, 100),
        },
    };
    let batch = if size == Size::Quick { 20 } else { 50 };
    let steps: u64 = match size {
        Size::Quick => 20,
        Size::Usual => 3000,
        Size::Full => 6000,
    };
    let slower = (LARGE / SMALL).round() as u64;
    let plan = |name, rate, batch| {
        let slower = if rate == LARGE { 1 } else { slower };
        let every = if size == Size::Quick { 5 } else { 20 };
        Plan { name, rate, batch, steps: steps * slower, every: every * slower }
    };
    let train = |plan: Plan| {
        let progress = Progress::new(output, plan.name, plan.steps);
        experiment.train(plan, |step, loss| {
            progress.set(step);
            if step % 20 == 0 {
                progress.say(format!("loss {loss:.4}"));
            }
        })
    };
    let at_start = experiment.curvature_at_start()?;
    let runs = Runs {
        large: train(plan("GD, η = 0.1", LARGE, samples))?,
        small: train(plan("GD, η = 0.02", SMALL, samples))?,
        noisy_large: train(plan("SGD, η = 0.1", LARGE, batch))?,
        noisy_small: train(plan("SGD, η = 0.02", SMALL, batch))?,
    };
    let widths: Vec<String> = widths.iter().map(ToString::to_string).collect();
    Ok(Section {
        method: "sharpness".to_owned(),
        title: "Sharpness along trainings on digits".to_owned(),
        source: "J. Cohen, S. Kaur, Y. Li, J. Z. Kolter, A. Talwalkar, Gradient descent on neural \
                 networks typically occurs at the edge of stability, ICLR 2021; S. Jastrzębski et \
                 al., The break-even point on optimization trajectories of deep neural networks, ICLR \
                 2020; L. Sagun et al., Empirical analysis of the Hessian of over-parametrized neural \
                 networks, ICLR 2018 workshop. The quantities are \
                 those of S. Chen, S. Recanatesi, E. Shea-Brown, A simple connection from loss \
                 flatness to compressed neural representations, arXiv 2310.01770."
            .to_owned(),
        setting: format!(
            "A tanh network {} with {} parameters, in double precision, on {samples} handwritten \
             digits (half the squared distance to the one-hot vector, averaged over digits). Four \
             trainings from the same parameters: full-batch gradient descent and mini-batches of \
             {batch}, each at η = {LARGE} and η = {SMALL}, until the loss on all digits is {target}. \
             Sharpness is the largest eigenvalue of the exact Hessian.",
            widths.join("-"),
            network.parameter_count(),
        ),
        claims: claims(&runs, target)?,
        tables: vec![
            ("At the end of each training".to_owned(), ends(&runs)?),
            ("Largest eigenvalues of the Hessian, with residuals".to_owned(), eigenvalues(&runs)),
        ],
        plates: figures::plates(&runs, &at_start),
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn claims(runs: &Runs, target: f64) -> Result<Vec<Claim>, Failure> {
    let claim = |what: &str, paper: &str, ours: String, bar: &str, holds: Option<bool>| Claim {
        what: what.to_owned(),
        paper: paper.to_owned(),
        ours,
        bar: bar.to_owned(),
        holds,
    };
    let Runs { large, small, noisy_large, noisy_small } = runs;
    let mut losses = Vec::new();
    for run in runs.all() {
        losses.push(run.last()?.loss);
    }
    let worst = losses.iter().copied().fold(0.0, f64::max);
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let reached = losses.iter().all(|&loss| loss <= target);
    let sharpness = |run: &Run| run.end.values[0];

    let quarter = |run: &Run| {
        let all: Vec<f64> = run.over_edge().collect();
        let last = &all[all.len() - all.len().div_ceil(4)..];
        last.iter().sum::<f64>() / last.len() as f64
    };
    let edge = [quarter(large), sharpness(large) / large.edge()];
    let highest = small.over_edge().fold(0.0, f64::max);
    let lowest = small.looks.iter().map(|look| look.top[0]).fold(f64::INFINITY, f64::min);
    let risen = sharpness(small) / lowest;
    let rises = [second_half_rises(large), second_half_rises(small)];
    let smaller = |a: &Run, b: &Run| format!("{} < {}", three(sharpness(a)), three(sharpness(b)));
    let traces = |a: &Run, b: &Run| format!("{} < {}", trace(&a.end), trace(&b.end));
    let tr = |run: &Run| run.end.trace.value;
    // Flatter by 10 %, and by more than three standard errors.
    let flatter = |a: &Run, b: &Run| {
        let error = a.end.trace.standard_error.hypot(b.end.trace.standard_error);
        tr(a) < 0.9 * tr(b) && tr(b) - tr(a) > 3.0 * error
    };
    let remainder = |run: &Run| {
        let Curvature { trace, gauss_newton, .. } = &run.end;
        (trace.value - gauss_newton.value).abs() / gauss_newton.value
    };
    let remainder = remainder(large).max(remainder(small));
    let from_density = large.end.density.integral(|x| x);
    let apart = (from_density.value - tr(large)).abs()
        / from_density.standard_error.hypot(large.end.trace.standard_error);
    let residual = runs
        .all()
        .iter()
        .flat_map(|run| run.end.values.iter().zip(&run.end.residuals))
        .map(|(value, residual)| residual / value.abs())
        .fold(0.0, f64::max);

    Ok(vec![
        claim(
            "All four trainings end at the same loss, so that their ends can be compared",
            "",
            format!("{best:.4} to {worst:.4}"),
            &format!("each at most {target}"),
            Some(reached),
        ),
        claim(
            "Full batch, large rate: the sharpness comes to 2/η and stays there",
            &format!("{COHEN}: hovers at or just above 2/η"),
            format!(
                "{}·2/η at the end, {} in the mean over the last quarter",
                three(edge[1]),
                three(edge[0])
            ),
            "both 0.8 to 1.3",
            Some(edge.iter().all(|e| (0.8..=1.3).contains(e))),
        ),
        claim(
            "Full batch, large rate: there the loss goes up at single steps, yet falls in the end",
            &format!("{COHEN}: not monotone over short times, falls over long ones"),
            format!("{} steps up in the second half, at the small rate {}", rises[0], rises[1]),
            "at least 1; none at the small rate; the target is reached",
            Some(rises[0] >= 1 && rises[1] == 0 && reached),
        ),
        claim(
            "Full batch, small rate: the sharpness rises as long as it is below 2/η",
            &format!("{COHEN}: progressive sharpening"),
            format!("from {} to {}", three(lowest), three(sharpness(small))),
            "by at least 10 % after its lowest point",
            Some(risen >= 1.1),
        ),
        claim(
            "Full batch, small rate: the sharpness stays below 2/η",
            &format!("{COHEN}: a stable training has λ < 2/η"),
            format!("at most {}·2/η", three(highest)),
            "below 1 at every look",
            Some(highest < 1.0),
        ),
        claim(
            "Full batch: the large rate ends at the smaller largest eigenvalue",
            &format!("{COHEN}: 2/η bounds what the sharpness rises to"),
            smaller(large, small),
            "by at least 10 %",
            Some(sharpness(large) < 0.9 * sharpness(small)),
        ),
        claim(
            "Full batch: the large rate ends at the smaller trace",
            "larger rates find flatter minima",
            traces(large, small),
            "by at least 10 % and 3 standard errors",
            Some(flatter(large, small)),
        ),
        claim(
            "Mini-batches: the large rate ends at the smaller largest eigenvalue",
            "Jastrzębski et al. 2020: larger rates go to flatter regions",
            smaller(noisy_large, noisy_small),
            "by at least 10 %",
            Some(sharpness(noisy_large) < 0.9 * sharpness(noisy_small)),
        ),
        claim(
            "Mini-batches: the large rate ends at the smaller trace",
            "Jastrzębski et al. 2020, the same",
            traces(noisy_large, noisy_small),
            "by at least 10 % and 3 standard errors",
            Some(flatter(noisy_large, noisy_small)),
        ),
        claim(
            "At the large rate, mini-batches end flatter than the full batch",
            &format!("{COHEN}: smaller batches, lower sharpness"),
            smaller(noisy_large, large),
            "smaller",
            Some(sharpness(noisy_large) < sharpness(large)),
        ),
        claim(
            "Near interpolation the trace of the Hessian is that of the Gauss-Newton matrix",
            "Chen et al. 2310.01770: equal where every residual is 0",
            format!("{} apart", percent(remainder)),
            &format!("at most 15 %, full batch at both rates, loss at most {target}"),
            Some(remainder <= 0.15),
        ),
        claim(
            "The first moment of the density is the trace: two methods, one number",
            "",
            format!("{} and {}", estimate(from_density), trace(&large.end)),
            "at most 3 standard errors apart",
            Some(apart <= 3.0),
        ),
        claim(
            "Every eigenvalue reported has a recomputed residual",
            "",
            format!("at most {residual:.1e}·λ"),
            "at most 1e-6·λ",
            Some(residual <= 1e-6),
        ),
        claim(
            "Eigenvalues before the widest gap (ratio of neighbours) of the largest ones",
            "Sagun et al. 2018: about as many as classes",
            runs.all().map(|run| outliers(&run.end.values).to_string()).join(", "),
            "",
            None,
        ),
        claim(
            "Share of the trace in the ten largest eigenvalues",
            "",
            runs.all()
                .map(|run| {
                    percent(run.end.values.iter().take(CLASSES).sum::<f64>() / run.end.trace.value)
                })
                .join(", "),
            "",
            None,
        ),
    ])
}

/// Steps of the second half after which the loss was higher than before.
fn second_half_rises(run: &Run) -> usize {
    let half = &run.losses[run.losses.len() / 2..];
    half.windows(2).filter(|pair| pair[1] > pair[0]).count()
}

/// Number of values before the largest ratio of neighbours, among positive values.
fn outliers(values: &[f64]) -> usize {
    let mut best = (0, 0.0);
    for (k, pair) in values.windows(2).enumerate() {
        if pair[1] > 0.0 && pair[0] / pair[1] > best.1 {
            best = (k + 1, pair[0] / pair[1]);
        }
    }
    best.0
}

fn trace(curvature: &Curvature) -> String {
    let Curvature { trace, .. } = curvature;
    estimate(Estimate { value: trace.value, standard_error: trace.standard_error })
}

fn estimate(estimate: Estimate) -> String {
    format!("{} ± {}", three(estimate.value), three(estimate.standard_error))
}

fn ends(runs: &Runs) -> Result<Table, Failure> {
    let mut table = Table::new().words("training");
    for header in ["steps", "loss", "2/η", "λ₁", "λ₂", "trace", "Gauss-Newton trace"] {
        table = table.numbers(header);
    }
    for run in runs.all() {
        let last = run.last()?;
        let gauss_newton = &run.end.gauss_newton;
        let gauss_newton =
            Estimate { value: gauss_newton.value, standard_error: gauss_newton.standard_error };
        table.row([
            run.plan.name.to_owned(),
            last.step.to_string(),
            format!("{:.4}", last.loss),
            three(run.edge()),
            three(run.end.values[0]),
            three(run.end.values[1]),
            trace(&run.end),
            estimate(gauss_newton),
        ]);
    }
    Ok(table)
}

fn eigenvalues(runs: &Runs) -> Table {
    let mut table = Table::new().numbers("k");
    for run in runs.all() {
        table = table.numbers(run.plan.name).numbers("residual");
    }
    for k in 0..CLASSES {
        let mut row = vec![(k + 1).to_string()];
        for run in runs.all() {
            row.push(format!("{:.4}", run.end.values[k]));
            row.push(format!("{:.0e}", run.end.residuals[k]));
        }
        table.row(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_end_at_the_widest_gap() {
        assert_eq!(outliers(&[10.0, 9.0, 8.0, 2.0, 1.9, 1.8]), 3);
        assert_eq!(outliers(&[10.0, 1.0, -1.0]), 1);
        assert_eq!(outliers(&[-1.0, -2.0]), 0);
    }
}
