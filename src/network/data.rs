//! Samples and their targets.

use faer::MatRef;

use crate::error::check_finite;
use crate::{Error, Real, Result};

/// What the outputs of a network are compared with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Targets<T> {
    /// A class for every sample. Squared error compares with the one-hot vector.
    Classes(Vec<usize>),
    /// A row of `width` numbers for every sample: values for squared error, probabilities for cross
    /// entropy.
    Rows {
        /// Row-major values.
        values: Vec<T>,
        /// Length of a row.
        width: usize,
    },
}

impl<T: Real> Targets<T> {
    /// Rows of a matrix, samples × outputs, with any strides.
    #[must_use]
    pub fn rows(matrix: MatRef<'_, T>) -> Self {
        Targets::Rows { values: row_major(matrix), width: matrix.ncols() }
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes(classes) => classes.len(),
            Targets::Rows { values, width } => values.len().checked_div(*width).unwrap_or(0),
        }
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Samples with targets: inputs row-major, the features of one sample contiguous.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T> {
    inputs: Vec<T>,
    features: usize,
    targets: Targets<T>,
}

impl<T: Real> Dataset<T> {
    /// Inputs, samples × features with any strides, and one target a sample.
    ///
    /// # Errors
    /// No sample, no feature, another number of targets, NaN or infinities.
    pub fn new(inputs: MatRef<'_, T>, targets: Targets<T>) -> Result<Self> {
        Self::from_rows(row_major(inputs), inputs.ncols(), targets)
    }

    /// The same from inputs that are row-major already.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn from_rows(inputs: Vec<T>, features: usize, targets: Targets<T>) -> Result<Self> {
        if features == 0 {
            return Err(Error::empty("inputs: features"));
        }
        if inputs.is_empty() {
            return Err(Error::empty("inputs: samples"));
        }
        if !inputs.len().is_multiple_of(features) {
            return Err(Error::shape(
                "inputs: elements",
                format!("a multiple of {features}"),
                inputs.len(),
            ));
        }
        let samples = inputs.len() / features;
        if let Targets::Rows { values, width } = &targets {
            if *width == 0 || values.len() % width != 0 {
                return Err(Error::shape(
                    "targets: elements",
                    format!("rows of {width}"),
                    values.len(),
                ));
            }
            check_finite("targets", values)?;
        }
        if targets.len() != samples {
            return Err(Error::shape("targets: samples", samples, targets.len()));
        }
        check_finite("inputs", &inputs)?;
        Ok(Self { inputs, features, targets })
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no sample: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of features of a sample.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// All inputs, row-major.
    #[must_use]
    pub fn inputs(&self) -> &[T] {
        &self.inputs
    }

    /// The features of one sample.
    #[must_use]
    pub fn input(&self, sample: usize) -> &[T] {
        &self.inputs[sample * self.features..][..self.features]
    }

    /// All targets.
    #[must_use]
    pub fn targets(&self) -> &Targets<T> {
        &self.targets
    }

    /// The samples with these indices, which may repeat.
    ///
    /// # Errors
    /// No index, or one out of range.
    pub fn select(&self, samples: &[usize]) -> Result<Self> {
        check_samples(samples, self.len())?;
        let gather = |values: &[T], width: usize| -> Vec<T> {
            let mut rows = Vec::with_capacity(samples.len() * width);
            samples.iter().for_each(|&s| rows.extend_from_slice(&values[s * width..][..width]));
            rows
        };
        let targets = match &self.targets {
            Targets::Classes(classes) => {
                Targets::Classes(samples.iter().map(|&s| classes[s]).collect())
            }
            Targets::Rows { values, width } => {
                Targets::Rows { values: gather(values, *width), width: *width }
            }
        };
        Ok(Self { inputs: gather(&self.inputs, self.features), features: self.features, targets })
    }
}

/// At least one index, all below `len`.
pub(crate) fn check_samples(samples: &[usize], len: usize) -> Result<()> {
    if samples.is_empty() {
        return Err(Error::empty("samples"));
    }
    match samples.iter().find(|&&s| s >= len) {
        Some(&s) => Err(Error::range("samples: index", format!("below {len}"), s)),
        None => Ok(()),
    }
}

fn row_major<T: Real>(matrix: MatRef<'_, T>) -> Vec<T> {
    let mut values = Vec::with_capacity(matrix.nrows() * matrix.ncols());
    for i in 0..matrix.nrows() {
        values.extend((0..matrix.ncols()).map(|j| matrix[(i, j)]));
    }
    values
}
