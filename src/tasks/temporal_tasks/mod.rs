//! Tasks in time for recurrent networks: what is shown step by step, and what should be answered.
//!
//! | Task | Shows | Asks |
//! |---|---|---|
//! | [`Integration`] | noise on two inputs | whether the first one's sum is positive |
//! | [`DelayedComparison`] | a cue or none, a delay, a cue or none | whether they match, or differ |
//! | [`PatternGeneration`] | the same spikes again and again | a sum of sines |
//! | [`EvidenceAccumulation`] | clicks to the left and to the right, a delay | which were more |
//! | [`image_rows`] | an image, one row a step | its class |
//!
//! Trial k of a task and a seed is the same however many trials are drawn.

mod delayed_comparison;
mod evidence_accumulation;
mod image_rows;
mod integration;
mod pattern_generation;

pub use delayed_comparison::DelayedComparison;
pub use evidence_accumulation::EvidenceAccumulation;
pub use image_rows::image_rows;
pub use integration::Integration;
pub use pattern_generation::PatternGeneration;

use crate::random::Stream;
use crate::{Error, Result};

/// What is to be answered, and when.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A class after the last step, one a trial.
    ClassAtEnd(Vec<usize>),
    /// A class at the steps with a weight, one a trial; one weight a step.
    ClassAtSteps {
        /// The classes.
        classes: Vec<usize>,
        /// Weights of the steps, of sum 1.
        weights: Vec<f64>,
    },
    /// Values at each step, trials × steps × outputs.
    Values(Vec<f64>),
}

/// Trials of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Trials {
    /// Trials × steps × inputs, row-major.
    pub inputs: Vec<f64>,
    /// [trials, steps, inputs].
    pub shape: [usize; 3],
    /// Number of classes or of values a step.
    pub outputs: usize,
    /// The answers.
    pub answer: Answer,
}

/// Refuses sizes of zero, and more inputs than can be counted.
fn check_sizes(sizes: &[(&str, usize)]) -> Result<()> {
    if let Some((what, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(Error::empty(*what));
    }
    let total = sizes.iter().try_fold(1_usize, |n, (_, size)| n.checked_mul(*size));
    if total.is_none_or(|n| n > isize::MAX as usize / size_of::<f64>()) {
        let (what, all) = (sizes.iter().map(|(what, _)| *what), sizes.iter().map(|(_, n)| n));
        let what = what.collect::<Vec<_>>().join(" × ");
        let got = all.map(ToString::to_string).collect::<Vec<_>>().join(" × ");
        return Err(Error::range(what, "numbers that memory can hold", got));
    }
    Ok(())
}

/// Refuses a chance that is none.
fn check_chance(what: &str, chance: f64) -> Result<()> {
    if (0.0..=1.0).contains(&chance) {
        return Ok(());
    }
    Err(Error::range(what, "a number from 0 to 1", chance))
}

/// Spikes of a trial, steps × inputs: 1 with the chance of that step and input, else 0.
fn spikes(stream: &Stream, out: &mut [f64], chance: impl Fn(usize) -> f64) {
    stream.uniforms(0, out);
    for (i, x) in out.iter_mut().enumerate() {
        *x = f64::from(u8::from(*x < chance(i)));
    }
}
