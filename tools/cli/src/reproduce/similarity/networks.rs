//! Two convolutional networks that are trained on digits independently of each other, and what their
//! layers say of digits that neither has seen.

use hesse::faer::Mat;
use hesse::network::{
    Activation, Activations, Architecture, Dataset, Loss, Network, Objective, Parameters, Trainer,
};
use hesse::optimize::{Adam, AdamOptions, Schedule};
use hesse::similarity::{RowVariance, Rsm, RsmKind};

use super::Sizes;
use crate::data::accuracy;
use crate::digits::{CLASSES, SMALL_PIXELS, small_digits};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;

/// Digits that nobody trains on: as many as the largest set of images.
const HELD_OUT: std::ops::Range<usize> = TRAIN..TRAIN + 300;
/// Digits that can be trained on.
pub(super) const TRAIN: usize = 1497;
/// Digits of the experiments with one set of images.
pub(super) const STIMULI: usize = 118;
const SIDE: usize = 8;
const RATE: f64 = 2e-3;
const BATCH: usize = 50;

/// A layer's responses to the held-out digits, and their similarity matrix.
pub(super) struct Tap {
    /// Digits × units.
    pub(super) responses: Mat<f64>,
    pub(super) rsm: Rsm,
}

/// Yardstick and probe.
pub(super) struct Networks {
    pub(super) ladder: Vec<Tap>,
    pub(super) probe: Vec<Tap>,
    /// Share of the held-out digits that each gets right.
    pub(super) accuracy: [f64; 2],
}

impl Networks {
    pub(super) fn train(sizes: &Sizes, seed: u64, output: &Output) -> Result<Self, Failure> {
        let all = enlarged(0..HELD_OUT.end)?;
        let (train, test) = (part(&all, 0..sizes.train)?, part(&all, HELD_OUT)?);
        let network = architecture().build::<f32>()?;
        let bar = Progress::new(output, "similarity: trainings", 2);
        let one = |k: u64| -> Result<(Vec<Tap>, f64), Failure> {
            let seed = seed.wrapping_mul(1000).wrapping_add(k + 1);
            let start = Parameters::initialize(&network, seed);
            let mut adam = Adam::new(network.parameter_count(), AdamOptions::default())?;
            let steps = sizes.epochs * train.len().div_ceil(BATCH) as u64;
            let schedule = Schedule::constant(RATE)?;
            let run = Trainer::new(&network, &train, Loss::CrossEntropy, schedule)?
                .batch(BATCH)?
                .steps(steps)
                .seed(seed)
                .run(start, &mut adam)?;
            bar.step();
            let taps = taps(&network, run.parameters.values(), &test)?;
            let outputs = Objective::new(&network, &test, Loss::CrossEntropy)?
                .outputs(run.parameters.values())?;
            let right = accuracy(&outputs, CLASSES, test.targets(), Loss::CrossEntropy);
            Ok((taps, right.unwrap_or(0.0)))
        };
        let ((ladder, first), (probe, second)) = (one(0)?, one(1)?);
        Ok(Self { ladder, probe, accuracy: [first, second] })
    }
}

fn architecture() -> Architecture {
    let mut network = Architecture::new([1, 2 * SIDE, 2 * SIDE]);
    for channels in [12, 24, 48] {
        network = network
            .convolution(channels, 3, 1, Activation::Relu)
            .convolution(channels, 3, 1, Activation::Relu)
            .max_pool(2);
    }
    network.flatten().dense(64, Activation::Relu).dense(CLASSES, Activation::Identity)
}

/// Every layer but the one that only gives the units another shape.
fn taps(
    network: &Network<f32>,
    parameters: &[f32],
    data: &Dataset<f32>,
) -> Result<Vec<Tap>, Failure> {
    let all: Vec<Activations<f32>> = network.activations(parameters, data.inputs())?;
    // Input, nine layers of images, the flat one, and two more.
    let flat = all.iter().skip(1).position(|layer| layer.shape.len() == 1).map(|at| at + 1);
    let mut taps = Vec::new();
    for (_, layer) in all.iter().enumerate().filter(|(at, _)| Some(*at) != flat) {
        let rows = layer.rows();
        let responses = Mat::from_fn(rows.nrows(), rows.ncols(), |i, j| f64::from(rows[(i, j)]));
        let rsm = Rsm::of(responses.as_ref(), RsmKind::Pearson, RowVariance::Floor(1e-7))?;
        taps.push(Tap { responses, rsm });
    }
    Ok(taps)
}

/// Digits of twice the side, by linear interpolation between the centres of pixels, brought to mean 0
/// and deviation 1 over all pixels.
fn enlarged(range: std::ops::Range<usize>) -> Result<Dataset<f32>, Failure> {
    let data = small_digits::<f32>(range)?;
    let side = 2 * SIDE;
    let mut pixels = Vec::with_capacity(data.len() * side * side);
    // The pixel below a place, and the share of the next one.
    let between = |place: usize| {
        let at = (0.5 * (place as f32 + 0.5) - 0.5).clamp(0.0, (SIDE - 1) as f32);
        let below = (at as usize).min(SIDE - 2);
        (below, at - below as f32)
    };
    for image in data.inputs().chunks_exact(SMALL_PIXELS) {
        for i in 0..side {
            let (row, down) = between(i);
            for j in 0..side {
                let (column, right) = between(j);
                let at = |i: usize, j: usize| image[(row + i) * SIDE + column + j];
                let above = (1.0 - right) * at(0, 0) + right * at(0, 1);
                let under = (1.0 - right) * at(1, 0) + right * at(1, 1);
                pixels.push((1.0 - down) * above + down * under);
            }
        }
    }
    let count = pixels.len() as f64;
    let mean = pixels.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let square = pixels.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
    let scale = square.sqrt().recip();
    #[allow(clippy::cast_possible_truncation)]
    pixels.iter_mut().for_each(|x| *x = (scale * (f64::from(*x) - mean)) as f32);
    Ok(Dataset::from_rows(pixels, side * side, data.targets().clone())?)
}

/// Some of the digits.
fn part(data: &Dataset<f32>, digits: std::ops::Range<usize>) -> Result<Dataset<f32>, Failure> {
    Ok(data.select(&digits.collect::<Vec<_>>())?)
}
