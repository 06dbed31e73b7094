//! Which samples a step of a training sees.

use super::Sequences;
use crate::random::Stream;
use crate::{Error, Real, Result};

/// The samples of every step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Batches {
    /// All.
    #[default]
    All,
    /// Batches of `size` in the order of a permutation for each epoch, from this seed; the last of an
    /// epoch may be smaller.
    Epochs {
        /// Samples in a batch.
        size: usize,
        /// The seed.
        seed: u64,
    },
    /// `size` samples drawn anew at every step, with replacement, from this seed.
    Drawn {
        /// Samples in a batch.
        size: usize,
        /// The seed.
        seed: u64,
    },
    /// The samples with these indices, one batch a step; from the first again when they are used up.
    Given(Vec<Vec<usize>>),
}

impl Batches {
    /// Checks against a number of samples.
    pub(super) fn check(&self, samples: usize) -> Result<()> {
        match self {
            Batches::All => Ok(()),
            Batches::Epochs { size, .. } if !(1..=samples).contains(size) => {
                Err(Error::range("batch", format!("1 to {samples}"), size))
            }
            Batches::Drawn { size: 0, .. } => Err(Error::range("batch", "at least 1", 0)),
            Batches::Epochs { .. } | Batches::Drawn { .. } => Ok(()),
            Batches::Given(batches) => {
                if batches.is_empty() || batches.iter().any(Vec::is_empty) {
                    return Err(Error::empty("batches, and samples in each"));
                }
                match batches.iter().flatten().find(|&&index| index >= samples) {
                    None => Ok(()),
                    Some(index) => {
                        let expected = format!("samples below {samples}");
                        Err(Error::range("batches", expected, index))
                    }
                }
            }
        }
    }

    /// The batch of a step; `None` for all data.
    pub(super) fn at<T: Real>(
        &self,
        data: &Sequences<T>,
        step: u64,
    ) -> Result<Option<Sequences<T>>> {
        let samples = data.samples();
        match self {
            Batches::All => Ok(None),
            Batches::Epochs { size, .. } if *size == samples => Ok(None),
            Batches::Epochs { size, seed } => {
                let per_epoch = samples.div_ceil(*size) as u64;
                let (epoch, within) = (step / per_epoch, (step % per_epoch) as usize);
                let stream = Stream::new(*seed, "credit: mini-batches").child(epoch);
                let order = stream.permutation(samples);
                data.select(&order[within * size..samples.min((within + 1) * size)]).map(Some)
            }
            Batches::Drawn { size, seed } => {
                let mut batch = vec![0; *size];
                let stream = Stream::new(*seed, "credit: drawn batches").child(step);
                stream.indices(0, samples, &mut batch);
                data.select(&batch).map(Some)
            }
            Batches::Given(batches) => {
                data.select(&batches[(step % batches.len() as u64) as usize]).map(Some)
            }
        }
    }
}
