//! Depths of populations along a yardstick network, and what few neurons, images and trials make of
//! them (the method's experiments E1 to E9).

mod limits;
mod networks;
mod reference;
mod sampling;

use std::time::Instant;

use super::Size;
use crate::failure::Failure;
use crate::output::Output;
use crate::report::Section;

/// How much of what is done.
#[derive(Clone, Copy)]
struct Sizes {
    /// Images to train on, and epochs.
    train: usize,
    epochs: u64,
    /// Subsets of units of each size.
    units: u64,
    /// Sets of images of each size.
    images: u64,
    /// Populations for each number of trials.
    trials: u64,
    /// Samples of the stimuli.
    bootstrap: usize,
    /// Pairs of independent responses.
    independent: u64,
    /// Pairs of samples of units.
    aligned: u64,
}

impl Sizes {
    fn of(size: Size) -> Self {
        let usual = Self {
            train: networks::TRAIN,
            epochs: 6,
            units: 20,
            images: 12,
            trials: 10,
            bootstrap: 1000,
            independent: 200,
            aligned: 60,
        };
        match size {
            Size::Quick => Self {
                train: 200,
                epochs: 1,
                units: 2,
                images: 3,
                trials: 2,
                bootstrap: 40,
                independent: 8,
                aligned: 8,
            },
            Size::Usual => usual,
            Size::Full => Self { images: 48, trials: 40, independent: 1000, aligned: 400, ..usual },
        }
    }
}

/// Trains, measures, and says what came out.
pub fn section(size: Size, seed: u64, output: &Output) -> Result<Section, Failure> {
    let start = Instant::now();
    let sizes = Sizes::of(size);
    let reference = reference::Reference::run(&sizes, seed)?;
    let networks = networks::Networks::train(&sizes, seed, output)?;
    let sampling = sampling::Sampling::run(&sizes, seed, &networks)?;
    let limits = limits::Limits::run(&sizes, seed)?;
    let mut claims = reference.claims();
    claims.extend(sampling.claims());
    claims.extend(limits.claims());
    let mut plates = reference.plates();
    plates.extend(sampling.plates());
    plates.extend(limits.plates());
    Ok(Section {
        method: "similarity".to_owned(),
        title: "Pseudo-depth of populations along a network".to_owned(),
        source: "J. Shi, E. Shea-Brown, M. A. Buice, Comparison against task driven artificial neural \
                 networks reveals functional properties in mouse visual cortex, NeurIPS 2019, arXiv \
                 1911.07986. The paper's recordings and network are not bundled: figures to compare with \
                 are those of the same experiments in NumPy on networks trained on digits."
            .to_owned(),
        setting: format!(
            "Yardstick: 12 layers of a convolutional network on handwritten digits (input, six \
             convolutions of 12 to 48 channels, three pools, 64 units, outputs). Depth is the layer of \
             the largest Spearman similarity of Pearson similarity matrices. Networks of one file, and \
             two more trained here for {} epochs on {} digits.",
            sizes.epochs, sizes.train,
        ),
        claims,
        tables: reference.tables()?,
        plates,
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the mean.
fn standard_error(values: &[f64]) -> f64 {
    hesse::statistics::standard_deviation(values) / (values.len() as f64).sqrt()
}
