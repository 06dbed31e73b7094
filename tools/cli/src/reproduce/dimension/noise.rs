//! Noise on the weights of two-layer linear networks (E5 to E7).

use hesse::dimension::{
    Descent, DescentLook, EffectiveLoss, LinearTask, ReadoutNoise, TwoLayerDescent,
};
use hesse::faer::{Mat, MatRef};
use hesse::io::Archive;
use hesse::optimize::{Lbfgsb, SmoothObjective};
use hesse::random::Stream;
use hesse_kernels::projected_gradient::Bounds;

use super::Sizes;
use crate::failure::Failure;
use crate::figure::Figure;
use crate::report::{Claim, Plate};
use crate::units::three;

const BYTES: &[u8] = include_bytes!("../../../data/noise.npz");

/// Sizes of the sweep: inputs, outputs, hidden units, samples.
const SWEEP: (usize, usize, usize, usize) = (8, 4, 12, 60);
/// Thresholds over the largest singular value.
const LEVELS: [f64; 7] = [0.05, 0.15, 0.25, 0.4, 0.55, 0.7, 0.85];
const STEPS: u64 = 60;

pub(super) struct Noise {
    /// Stochastic, frozen readout, full batch.
    descents: [Vec<DescentLook>; 3],
    sweep: Minima,
    /// Predicted ratio on a fine grid of τ.
    law: Law,
    /// Largest distance of a mean from the theory in its standard errors, entries, descents.
    drawn: (f64, usize, u64),
}

impl Noise {
    pub(super) fn run(sizes: &Sizes, seed: u64) -> Result<Self, Failure> {
        let archive = Archive::from_bytes(BYTES, "noise.npz")?;
        let (law, sweep) = sweep(seed)?;
        Ok(Self {
            descents: descents(&archive)?,
            sweep,
            law,
            drawn: drawn(&archive, sizes.descents, seed)?,
        })
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let [stochastic, frozen, full] = &self.descents;
        let end = |looks: &[DescentLook]| looks.last().map_or(f64::NAN, |l| l.orthogonal_ratio);
        let ratio =
            |looks: &[DescentLook]| looks.last().map_or(f64::NAN, |l| l.participation_ratio);
        let start = stochastic.first().map_or(f64::NAN, |l| l.participation_ratio);
        let still = frozen.iter().all(|l| (l.orthogonal_ratio - 1.0).abs() < 1e-12);
        let near = |got: f64, want: f64| (got - want).abs() <= 5.1e-3 * want;
        let worst = self.sweep.iter().map(|(_, want, got)| (got / want - 1.0).abs());
        let worst = worst.fold(0.0, |a: f64, b| if b > a || b.is_nan() { b } else { a });
        let falls = self.sweep.windows(2).all(|w| w[1].2 <= w[0].2 * (1.0 + 1e-9));
        let (apart, entries, runs) = self.drawn;
        vec![
            Claim::with_bar(
                "Stochastic descent: hidden activity orthogonal to the readout shrinks",
                "0.637",
                format!("{:.4}", end(stochastic)),
                "0.637 within half a percent",
                near(end(stochastic), 0.637),
            ),
            Claim::with_bar(
                "Frozen readout, so no noise on it: the same activity does not move at all",
                "exactly 1",
                format!("1 ± {}", three((end(frozen) - 1.0).abs())),
                "1 to rounding at every look",
                still,
            ),
            Claim::with_bar(
                "Full batch, so no noise: it does not shrink either",
                "1.026",
                format!("{:.4}", end(full)),
                "1.026 within half a percent",
                near(end(full), 1.026),
            ),
            Claim::with_bar(
                "Participation ratio of the hidden layer: stochastic, frozen, full batch",
                "5.01 to 3.20, 1.51, 5.17",
                format!(
                    "{} to {}, {}, {}",
                    three(start),
                    three(ratio(stochastic)),
                    three(ratio(frozen)),
                    three(ratio(full))
                ),
                "each within half a percent",
                near(start, 5.01)
                    && near(ratio(stochastic), 3.20)
                    && near(ratio(frozen), 1.51)
                    && near(ratio(full), 5.17),
            ),
            Claim::with_bar(
                "Minimum of the loss averaged over noise: the hidden layer has the predicted dimension",
                "(Σ (s − τ)₊)²/Σ (s − τ)₊²",
                format!("off by at most {} of it, {} thresholds", three(worst), self.sweep.len()),
                "1e-6",
                worst <= 1e-6,
            ),
            Claim::with_bar(
                "That dimension never rises with noise",
                "non-increasing",
                match falls {
                    true => "falls".to_owned(),
                    false => "rises".to_owned(),
                },
                "at every threshold",
                falls,
            ),
            Claim::with_bar(
                "Drawn noise on the readout: mean weights outside its row space follow the theory",
                "W₀ (I − ηmσ² S_x)^t, at most 2.6 standard errors off",
                format!("at most {} standard errors, {entries} entries, {runs} runs", three(apart)),
                "4 standard errors",
                apart <= 4.0,
            ),
        ]
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let mut figure =
            Figure::new("Activity orthogonal to the readout", "step", "share of that at the start");
        for (name, looks) in ["one sample a step", "one sample, readout frozen", "all samples"]
            .iter()
            .zip(&self.descents)
        {
            figure = figure.line(name, looks.iter().map(|l| (l.step as f64, l.orthogonal_ratio)));
        }
        let sweep = Figure::new(
            "Dimension under noise on both layers",
            "threshold τ",
            "participation ratio",
        )
        .line("predicted", self.law.iter().copied())
        .points("minimum found", self.sweep.iter().map(|&(tau, _, got)| (tau, got)));
        vec![
            Plate::of(
                "dimension-orthogonal",
                "Only noise on the readout shrinks what the readout does not see.",
                &figure,
            ),
            Plate::of(
                "dimension-threshold",
                "Noise thresholds the singular values of the task, and with them the dimension.",
                &sweep,
            ),
        ]
    }
}

fn matrix(archive: &Archive, name: &str) -> Result<Mat<f64>, Failure> {
    Ok(archive.get(name)?.to_mat::<f64>()?)
}

fn descents(archive: &Archive) -> Result<[Vec<DescentLook>; 3], Failure> {
    let (x, w) = (matrix(archive, "sgd0__X")?, matrix(archive, "sgd0__W0")?);
    let (y, r) = (archive.get("sgd0__y")?.to_f64()?, archive.get("sgd0__r0")?.to_f64()?);
    let rate = archive.get("sgd0__eta")?.scalar()?;
    let order = archive.get("sgd0__idx")?.to_indices()?;
    let last = order.len() as u64;
    let looks: Vec<u64> = (0..=60).map(|l| l * last / 60).collect();
    let descent = TwoLayerDescent::new(x.as_ref(), &y, w.as_ref(), &r, rate)?;
    let run = |how: Descent<'_>| descent.run(&how, &looks).map(|run| run.looks);
    Ok([
        run(Descent::Stochastic(&order))?,
        run(Descent::FrozenReadout(&order))?,
        run(Descent::FullBatch)?,
    ])
}

/// The loss averaged over noise as a function of V and W, one after the other.
struct Averaged<'a> {
    loss: EffectiveLoss<'a>,
    shape: (usize, usize, usize),
}

impl Averaged<'_> {
    fn split<'x>(&self, x: &'x [f64]) -> (MatRef<'x, f64>, MatRef<'x, f64>) {
        let (d, m, n) = self.shape;
        let (v, w) = x.split_at(m * n);
        (MatRef::from_column_major_slice(v, m, n), MatRef::from_column_major_slice(w, n, d))
    }
}

impl SmoothObjective<f64> for Averaged<'_> {
    fn dimension(&self) -> usize {
        let (d, m, n) = self.shape;
        n * (d + m)
    }

    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> hesse::Result<f64> {
        let (v, w) = self.split(x);
        let (of_v, of_w) = self.loss.gradient(v, w)?;
        let columns = |a: &Mat<f64>| -> Vec<f64> {
            (0..a.ncols()).flat_map(|j| a.col(j).iter().copied().collect::<Vec<_>>()).collect()
        };
        gradient.copy_from_slice(&[columns(&of_v), columns(&of_w)].concat());
        self.loss.value(v, w)
    }
}

/// τ and a participation ratio.
type Law = Vec<(f64, f64)>;

/// τ, the predicted participation ratio, that of the minimum found.
type Minima = Vec<(f64, f64, f64)>;

/// Minima for growing noise, from small random weights.
fn sweep(seed: u64) -> Result<(Law, Minima), Failure> {
    let (d, m, n, samples) = SWEEP;
    let mut z = vec![0.0; samples * (d + m) + d * m + n * (d + m)];
    Stream::new(seed, "noise sweep").normals(0, &mut z);
    let (data, rest) = z.split_at(samples * (d + m));
    let (map, start) = rest.split_at(d * m);
    let x =
        Mat::from_fn(samples, d, |i, j| data[i * d + j] * (2.0 - 1.6 * j as f64 / (d - 1) as f64));
    let y = Mat::from_fn(samples, m, |i, k| {
        let signal: f64 = (0..d).map(|j| x[(i, j)] * map[j * m + k]).sum();
        signal + 0.1 * data[samples * d + i * m + k]
    });
    let task = LinearTask::of(x.as_ref(), y.as_ref())?;
    let power: f64 = (0..d).map(|j| task.s_x()[(j, j)]).sum();
    let largest = EffectiveLoss::new(&task, 1.0, 1.0)?.optimum(n)?.target[0];
    let mut found = Vec::new();
    for level in LEVELS {
        // τ = σ² √(m tr S_x) for the same noise on both layers.
        let sigma = (level * largest / (m as f64 * power).sqrt()).sqrt();
        let loss = EffectiveLoss::new(&task, sigma, sigma)?;
        let optimum = loss.optimum(n)?;
        let mut averaged = Averaged { loss, shape: (d, m, n) };
        let start: Vec<f64> = start.iter().map(|z| 0.3 * z).collect();
        let least =
            Lbfgsb::new().tolerance(1e-11).minimize(&mut averaged, Bounds::free(), &start)?;
        let (_, w) = averaged.split(&least.x);
        found.push((optimum.threshold, optimum.participation_ratio(), ratio(w, task.s_x())));
    }
    let optimum = EffectiveLoss::new(&task, 1.0, 1.0)?.optimum(n)?;
    let grid = (0..200).map(|l| largest * f64::from(l) / 200.0);
    Ok((grid.map(|tau| (tau, optimum.participation_at(tau))).collect(), found))
}

/// (tr C)²/‖C‖² of C = W S Wᵀ.
fn ratio(w: MatRef<'_, f64>, s: MatRef<'_, f64>) -> f64 {
    let (n, d) = w.shape();
    let ws = Mat::from_fn(n, d, |i, j| (0..d).map(|l| w[(i, l)] * s[(l, j)]).sum::<f64>());
    let c = Mat::from_fn(n, n, |i, k| (0..d).map(|j| ws[(i, j)] * w[(k, j)]).sum::<f64>());
    let trace: f64 = (0..n).map(|i| c[(i, i)]).sum();
    let squares: f64 =
        (0..n).flat_map(|j| (0..n).map(move |i| (i, j))).map(|at| c[at] * c[at]).sum();
    trace * trace / squares
}

/// The mean over descents with drawn noise against that of the theory.
fn drawn(archive: &Archive, runs: u64, seed: u64) -> Result<(f64, usize, u64), Failure> {
    let (s_x, s_yx) = (matrix(archive, "mean0__Sx")?, matrix(archive, "mean0__Syx")?);
    let (readout, start) = (matrix(archive, "mean0__V")?, matrix(archive, "mean0__W0")?);
    let (sigma, rate) =
        (archive.get("mean0__sigma")?.scalar()?, archive.get("mean0__eta")?.scalar()?);
    let task = LinearTask::from_moments(s_x.as_ref(), s_yx.as_ref())?;
    let noise = ReadoutNoise::new(&task, readout.as_ref(), sigma, rate)?;
    let (n, d) = start.shape();
    let (mut sum, mut squares) = (Mat::<f64>::zeros(n, d), Mat::<f64>::zeros(n, d));
    let stream = Stream::new(seed, "drawn readout noise");
    for run in 0..runs {
        let w = noise.sample(start.as_ref(), STEPS, &stream.child(run))?;
        let w = noise.outside(w.as_ref())?;
        for (i, j) in (0..n).flat_map(|i| (0..d).map(move |j| (i, j))) {
            sum[(i, j)] += w[(i, j)];
            squares[(i, j)] += w[(i, j)] * w[(i, j)];
        }
    }
    let theory = noise.outside(noise.mean(start.as_ref(), STEPS)?.as_ref())?;
    let count = runs as f64;
    let mut worst = 0.0;
    for (i, j) in (0..n).flat_map(|i| (0..d).map(move |j| (i, j))) {
        let mean = sum[(i, j)] / count;
        let error = ((squares[(i, j)] / count - mean * mean) / (count - 1.0)).sqrt();
        let apart = (mean - theory[(i, j)]).abs() / error;
        worst = if apart > worst || apart.is_nan() { apart } else { worst };
    }
    Ok((worst, n * d, runs))
}
