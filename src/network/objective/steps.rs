//! Losses at every step of a sequence.

use std::borrow::Cow;

use super::shard::Samples;
use crate::error::check_finite;
use crate::network::data::Targets;
use crate::network::loss::{PreparedTargets, Scales};
use crate::network::{Loss, Network};
use crate::{Error, Real, Result};

/// How the outputs of a sample fall into rows that have a loss each: one row, or one for each step
/// with a weight.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    weights: Option<Vec<f64>>,
    width: usize,
}

impl Steps {
    /// All outputs are one row.
    pub(super) fn one<T: Real>(network: &Network<T>) -> Self {
        Self { weights: None, width: network.outputs() }
    }

    /// A row for each of the weights.
    pub(super) fn each<T: Real>(network: &Network<T>, weights: Vec<f64>) -> Result<Self> {
        if weights.is_empty() {
            return Err(Error::empty("weights of steps"));
        }
        check_finite("weights of steps", &weights)?;
        if let Some(w) = weights.iter().find(|&&w| w < 0.0) {
            return Err(Error::range("weights of steps", "not negative", w));
        }
        let shape = network.output_shape();
        if shape.len() < 2 || shape[0] != weights.len() {
            let expected = format!("one for each step of outputs of shape {shape:?}");
            return Err(Error::shape("weights of steps", expected, weights.len()));
        }
        Ok(Self { width: network.outputs() / weights.len(), weights: Some(weights) })
    }

    /// Outputs of a row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Rows of a sample.
    pub(super) fn count(&self) -> usize {
        self.weights.as_ref().map_or(1, Vec::len)
    }

    /// Whether a sample is one row.
    pub(super) fn is_one(&self) -> bool {
        self.weights.is_none()
    }

    /// Targets of rows: the class of a sample is that of each of its rows.
    pub(super) fn targets<T: Real>(
        &self,
        loss: Loss,
        targets: &Targets<T>,
    ) -> Result<PreparedTargets<T>> {
        let targets = match targets {
            _ if self.is_one() => Cow::Borrowed(targets),
            Targets::Classes(classes) => {
                let repeated = classes.iter().flat_map(|&c| std::iter::repeat_n(c, self.count()));
                loss.check(targets, self.width)?;
                Cow::Owned(Targets::Classes(repeated.collect()))
            }
            Targets::Rows { values, width } if *width == self.width * self.count() => {
                Cow::Owned(Targets::Rows { values: values.clone(), width: self.width })
            }
            Targets::Rows { width, .. } => {
                let expected = (self.count(), self.width);
                return Err(Error::shape("targets: width", expected, *width));
            }
        };
        loss.check(&targets, self.width)?;
        Ok(PreparedTargets::new(loss, &targets, self.width))
    }

    /// The rows of `samples`; `indices` holds those that are not consecutive.
    pub(super) fn rows<'a>(
        &self,
        samples: &Samples<'a>,
        indices: &'a mut Vec<usize>,
    ) -> Samples<'a> {
        let n = self.count();
        match samples {
            _ if self.is_one() => samples.clone(),
            Samples::Range(range) => Samples::Range(range.start * n..range.end * n),
            Samples::Batch { indices: of_samples, of } => {
                indices.extend(of_samples.iter().flat_map(|&i| i * n..(i + 1) * n));
                Samples::Batch { indices, of: of * n }
            }
        }
    }

    /// Factors of the rows from those of the `samples` samples.
    pub(super) fn scales<T: Real>(&self, samples: usize, scales: Scales<T>) -> Scales<T> {
        let Some(steps) = &self.weights else { return scales };
        let of_sample = |b: usize| scales.weights.as_ref().map_or(1.0, |w| w[b].to_f64());
        let weights = (0..samples)
            .flat_map(|b| steps.iter().map(move |step| (b, step)))
            .map(|(b, step)| T::from_f64(of_sample(b) * step))
            .collect();
        Scales { weights: Some(weights), scale: scales.scale }
    }
}
