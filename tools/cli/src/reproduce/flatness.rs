//! Flatness and compression: what sharpness says about sensitivity, on digits (the method's
//! experiments E1 to E9).

mod architectures;
mod bounds;
mod curves;
mod interpolation;
mod measures;
mod references;
mod slack;
mod sweep;
mod training;

use std::time::Instant;

use hesse::network::Activation;

use self::measures::Images;
use self::training::Desk;
use super::Size;
use crate::digits::{CLASSES, SMALL_PIXELS, small_digits};
use crate::failure::Failure;
use crate::output::{Folder, Output};
use crate::report::Section;

/// How much of what is done.
struct Sizes {
    /// Random networks on which bounds are checked.
    random: usize,
    /// Images to train on.
    train: usize,
    /// Images, of those and of unseen ones, that measures are taken on.
    measured: usize,
    hidden: &'static [usize],
    seeds: u64,
    steps: u64,
    /// Of the long training, in all and between looks.
    curve: (u64, u64),
    widths: &'static [usize],
    depths: &'static [usize],
    shape_seeds: u64,
    shape_steps: u64,
}

impl Sizes {
    fn of(size: Size) -> Self {
        match size {
            Size::Quick => Self {
                random: 20,
                train: 60,
                measured: 10,
                hidden: &[6],
                seeds: 2,
                steps: 40,
                curve: (50, 10),
                widths: &[4, 6],
                depths: &[1, 2],
                shape_seeds: 1,
                shape_steps: 20,
            },
            Size::Usual | Size::Full => Self {
                random: 1000,
                train: 500,
                measured: 100,
                hidden: &[64, 64],
                seeds: 8,
                steps: 40_000,
                curve: (100_000, 1000),
                widths: &[16, 32, 64, 128],
                depths: &[1, 2, 3],
                shape_seeds: 1,
                shape_steps: 8000,
            },
        }
    }
}

/// Images looked at along the long training.
const CURVE_IMAGES: usize = 20;

/// Where images that are never trained on begin, and end.
const TEST: std::ops::Range<usize> = 1000..1797;

/// Trains, measures, and says what came out.
pub fn section(
    size: Size,
    seed: u64,
    output: &Output,
    folder: &Folder,
) -> Result<Section, Failure> {
    let start = Instant::now();
    let sizes = Sizes::of(size);
    let images = Images {
        train: small_digits(0..sizes.train)?,
        test: small_digits(TEST)?,
        measured: sizes.measured,
    };
    let runs = (size == Size::Full).then(|| folder.subfolder("runs")).transpose()?;
    let desk = Desk { output, runs: runs.map(|folder| folder.path().to_path_buf()) };
    let widths = [&[SMALL_PIXELS], sizes.hidden, &[CLASSES]].concat();
    // Seeds of one run of this program are not those of another.
    let seeds: Vec<u64> =
        (1..=sizes.seeds).map(|k| seed.wrapping_mul(1000).wrapping_add(k)).collect();

    let mut sweeps = Vec::new();
    for activation in [Activation::Tanh, Activation::Relu] {
        let plan = sweep::Plan { widths: &widths, seeds: &seeds, steps: sizes.steps };
        sweeps.push(sweep::Sweep::run(activation, &plan, &images, &desk)?);
    }
    let (steps, every) = sizes.curve;
    let seen = CURVE_IMAGES.min(sizes.measured);
    let plan = curves::Plan { widths: &widths, seed: seeds[0], steps, every, images: seen };
    let curves = curves::Curves::run(&plan, &images, &desk)?;
    let shape_seeds = &seeds[..sizes.shape_seeds as usize];
    let plan = architectures::Plan {
        widths: sizes.widths,
        depths: sizes.depths,
        seeds: shape_seeds,
        steps: sizes.shape_steps,
    };
    let architectures = architectures::Architectures::run(&plan, &images, &desk)?;

    let tallies = bounds::Tallies::of(sizes.random, seed)?;

    let mut claims = tallies.claims();
    let mut tables = vec![tallies.table()];
    let mut plates = Vec::new();
    for sweep in &sweeps {
        claims.extend(sweep.claims()?);
        claims.extend(slack::claims(sweep));
        claims.push(sweep.against_reference());
        tables.extend([sweep.means(), sweep.correlations()?]);
        plates.extend(sweep.plates());
    }
    plates.push(slack::plate(&sweeps));
    claims.extend(curves.claims());
    plates.extend(curves.plates());
    claims.extend(architectures.claims()?);
    plates.extend(architectures.plates());
    claims.extend(interpolation::claims()?);
    Ok(Section {
        method: "flatness".to_owned(),
        title: "Flat minima compress representations".to_owned(),
        source: "S. Chen, S. Recanatesi, E. Shea-Brown, A simple connection from loss flatness to \
                 compressed neural representations, arXiv 2310.01770."
            .to_owned(),
        setting: format!(
            "Networks {} on {} handwritten digits of 8 × 8 pixels, trained on the mean squared error by \
             plain stochastic gradient descent: five pairs of learning rate and batch size, {} seeds \
             each, {} steps. S is the mean over {} images of the squared norm of the gradient of the \
             outputs in all parameters. Reference runs are those of the same protocol in NumPy, four \
             seeds each.",
            widths.iter().map(ToString::to_string).collect::<Vec<_>>().join("-"),
            sizes.train,
            sizes.seeds,
            sizes.steps,
            sizes.measured,
        ),
        claims,
        tables,
        plates,
        seconds: start.elapsed().as_secs_f64(),
    })
}
