//! Dimension of representations, layer by layer, and what noise makes of it (the method's experiments
//! E1 to E9).

mod manifolds;
mod noise;
mod trainings;

use std::time::Instant;

use super::Size;
use crate::failure::Failure;
use crate::output::Output;
use crate::report::Section;

/// How much of what is done.
#[derive(Clone, Copy)]
struct Sizes {
    /// Trainings of each setting.
    seeds: u64,
    /// Widths of the hidden layers.
    width: usize,
    /// Images to train on.
    train: usize,
    /// Epochs of small batches and of large ones.
    epochs: (u64, u64),
    /// Descents with drawn noise.
    descents: u64,
    /// Spheres of each dimension, and points on them.
    spheres: (u64, usize),
    /// Gaussian clouds of each size.
    clouds: u64,
}

impl Sizes {
    fn of(size: Size) -> Self {
        let usual = Self {
            seeds: 3,
            width: 60,
            train: 1200,
            epochs: (40, 120),
            descents: 400,
            spheres: (5, 600),
            clouds: 200,
        };
        match size {
            Size::Quick => Self {
                seeds: 1,
                width: 12,
                train: 200,
                epochs: (2, 4),
                descents: 40,
                spheres: (1, 200),
                clouds: 4,
            },
            Size::Usual => usual,
            Size::Full => Self { seeds: 10, clouds: 1000, ..usual },
        }
    }
}

/// Trains, measures, and says what came out.
pub fn section(size: Size, seed: u64, output: &Output) -> Result<Section, Failure> {
    let start = Instant::now();
    let sizes = Sizes::of(size);
    let trainings = trainings::Trainings::run(&sizes, seed, output)?;
    let noise = noise::Noise::run(&sizes, seed)?;
    let manifolds = manifolds::Manifolds::run(&sizes, seed)?;
    let mut claims = trainings.claims();
    claims.extend(noise.claims());
    claims.extend(manifolds.claims());
    let mut plates = trainings.plates();
    plates.extend(noise.plates());
    plates.extend(manifolds.plates());
    Ok(Section {
        method: "dimension".to_owned(),
        title: "Dimension layer by layer, and noise that lowers it".to_owned(),
        source: "S. Recanatesi, M. Farrell, M. Advani, T. Moore, G. Lajoie, E. Shea-Brown, \
                 Dimensionality compression and expansion in deep neural networks, arXiv 1906.00443; \
                 M. Farrell et al., Nature Machine Intelligence 4 (2022) for the two-layer descents. \
                 Bars are those of the same experiments in NumPy, where the paper's networks and \
                 plotted numbers are not known."
            .to_owned(),
        setting: format!(
            "Rectifier networks 64-{}×5-10 on {} handwritten digits of 8 × 8 pixels, He initialisation, \
             plain stochastic gradient descent on cross entropy, {} seeds; dimensions on 200 other digits. \
             Two-layer linear networks with noise on their weights. Spheres and Gaussian clouds.",
            sizes.width, sizes.train, sizes.seeds,
        ),
        claims,
        tables: trainings.tables(),
        plates,
        seconds: start.elapsed().as_secs_f64(),
    })
}
