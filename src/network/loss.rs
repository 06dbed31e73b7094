//! Losses: value, gradient and Hessian with respect to the outputs of a network.

use std::borrow::Cow;

use hesse_kernels::loss;
use serde::{Deserialize, Serialize};

use super::data::Targets;
use super::objective::Samples;
use crate::{Error, Isa, Real, Result};

/// The loss ℓ(f, y) of one sample with N outputs f.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Loss {
    /// −Σⱼ yⱼ log softmax(f)ⱼ for a class or for probabilities y.
    CrossEntropy,
    /// ½ Σⱼ (fⱼ − yⱼ)²: the convention of the theory of flat minima.
    HalfSquaredError,
    /// (1/N) Σⱼ (fⱼ − yⱼ)²: the mean squared error of common packages, 2/N times the half squared
    /// error.
    MeanSquaredError,
}

/// How the losses of the samples are put together; wᵢ are the weights of the samples, 1 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Σ wᵢ ℓᵢ / Σ wᵢ.
    #[default]
    Mean,
    /// Σ wᵢ ℓᵢ.
    Sum,
}

/// Largest |Σⱼ yⱼ − 1| of a row of probabilities.
const PROBABILITY_TOLERANCE: f64 = 1e-8;

impl Loss {
    /// Checks that `targets` fit this loss and `outputs` outputs.
    ///
    /// # Errors
    /// A class out of range, rows of another width, rows that are not probabilities.
    pub fn check<T: Real>(self, targets: &Targets<T>, outputs: usize) -> Result<()> {
        match targets {
            Targets::Classes(classes) => match classes.iter().position(|&class| class >= outputs) {
                None => Ok(()),
                Some(row) => Err(Error::Target {
                    row,
                    expected: format!("a class below {outputs}"),
                    got: classes[row].to_string(),
                }),
            },
            Targets::Rows { width, .. } if *width != outputs => {
                Err(Error::shape("targets: width", outputs, *width))
            }
            Targets::Rows { values, width } if self == Loss::CrossEntropy => {
                let tolerance = PROBABILITY_TOLERANCE.max(*width as f64 * T::EPSILON.to_f64());
                for (row, y) in values.chunks_exact(*width).enumerate() {
                    let sum: f64 = y.iter().map(|y| y.to_f64()).sum();
                    if y.iter().any(|&y| y < T::ZERO) || (sum - 1.0).abs() > tolerance {
                        return Err(Error::Target {
                            row,
                            expected: "probabilities that sum to 1".into(),
                            got: format!("a sum of {sum}"),
                        });
                    }
                }
                Ok(())
            }
            Targets::Rows { .. } => Ok(()),
        }
    }

    /// The factor of the squared error: ½ f² has derivative f.
    fn slope(self, outputs: usize) -> f64 {
        if self == Loss::MeanSquaredError { 2.0 / outputs as f64 } else { 1.0 }
    }

    /// Σ sᵢ ℓᵢ over the rows of `outputs` (of `width` each).
    ///
    /// With `gradient`, sᵢ ∂ℓᵢ/∂f is written there. With `curvature`, what
    /// [`Loss::multiply_hessian`] needs is written there: the probabilities of cross entropy.
    pub(crate) fn evaluate<T: Real>(
        self,
        outputs: &[T],
        width: usize,
        targets: &PreparedTargets<T>,
        samples: &Samples<'_>,
        scales: &Scales<T>,
        gradient: Option<&mut [T]>,
        curvature: Option<&mut [T]>,
    ) -> f64 {
        let isa = Isa::current();
        let weights = scales.weights.as_deref();
        match targets {
            PreparedTargets::Classes(classes) => {
                let classes = gather(classes, 1, samples);
                let targets = loss::Targets::Classes(&classes);
                loss::softmax_cross_entropy(
                    isa,
                    width,
                    outputs,
                    targets,
                    weights,
                    scales.scale,
                    gradient,
                    curvature,
                )
            }
            PreparedTargets::Rows(rows) if self == Loss::CrossEntropy => {
                let rows = gather(rows, width, samples);
                let targets = loss::Targets::Probabilities(&rows);
                loss::softmax_cross_entropy(
                    isa,
                    width,
                    outputs,
                    targets,
                    weights,
                    scales.scale,
                    gradient,
                    curvature,
                )
            }
            PreparedTargets::Rows(rows) => {
                let rows = gather(rows, width, samples);
                let scale = scales.scale * self.slope(width);
                loss::squared_error(isa, width, outputs, &rows, weights, scale, gradient)
            }
        }
    }

    /// v ← sᵢ ∂²ℓᵢ/∂f² v for every row of every tangent in `tangents`, `[k][row][output]`.
    pub(crate) fn multiply_hessian<T: Real>(
        self,
        curvature: &[T],
        width: usize,
        rows: usize,
        scales: &Scales<T>,
        tangents: &mut [T],
    ) {
        let isa = Isa::current();
        let weights = scales.weights.as_deref();
        for v in tangents.chunks_exact_mut(width * rows) {
            if self == Loss::CrossEntropy {
                loss::softmax_curvature_product(isa, width, 1, curvature, weights, scales.scale, v);
            } else {
                let scale = scales.scale * self.slope(width);
                loss::squared_curvature_product(isa, width, 1, weights, scale, v);
            }
        }
    }

    /// Whether the Hessian in the outputs depends on them.
    pub(crate) fn has_curvature_state(self) -> bool {
        self == Loss::CrossEntropy
    }
}

/// Factors sᵢ of the losses of a shard: a weight for each, times `scale`.
pub(crate) struct Scales<T> {
    pub(crate) weights: Option<Vec<T>>,
    pub(crate) scale: f64,
}

/// Targets in the form that the kernels of a loss read.
#[derive(Clone, Debug)]
pub(crate) enum PreparedTargets<T> {
    /// Classes of cross entropy. Rows of probabilities that are all one-hot come here too: the
    /// gradient of a class keeps digits that a difference of probabilities loses.
    Classes(Vec<u32>),
    /// Rows of one number an output; one-hot rows for classes under squared error.
    Rows(Vec<T>),
}

impl<T: Real> PreparedTargets<T> {
    /// `targets` have been checked for this loss and number of outputs.
    pub(crate) fn new(loss: Loss, targets: &Targets<T>, outputs: usize) -> Self {
        // Class indices are below the number of outputs; a network has far fewer than 2³².
        let class = |c: usize| u32::try_from(c).unwrap_or(u32::MAX);
        match targets {
            Targets::Classes(classes) if loss == Loss::CrossEntropy => {
                PreparedTargets::Classes(classes.iter().map(|&c| class(c)).collect())
            }
            Targets::Classes(classes) => {
                let mut rows = vec![T::ZERO; classes.len() * outputs];
                for (row, &c) in rows.chunks_exact_mut(outputs).zip(classes) {
                    row[c] = T::ONE;
                }
                PreparedTargets::Rows(rows)
            }
            Targets::Rows { values, width } => {
                let one_hot = |row: &[T]| {
                    let others = row.iter().filter(|&&y| y != T::ZERO).count();
                    row.iter().position(|&y| y == T::ONE).filter(|_| others == 1).map(class)
                };
                let classes: Option<Vec<u32>> = values.chunks_exact(*width).map(one_hot).collect();
                match classes {
                    Some(classes) if loss == Loss::CrossEntropy => {
                        PreparedTargets::Classes(classes)
                    }
                    _ => PreparedTargets::Rows(values.clone()),
                }
            }
        }
    }
}

/// The rows of `values` that belong to `samples`, without a copy where they are consecutive.
fn gather<'a, E: Copy>(values: &'a [E], width: usize, samples: &Samples<'_>) -> Cow<'a, [E]> {
    match samples {
        Samples::Range(range) => Cow::Borrowed(&values[range.start * width..range.end * width]),
        Samples::Batch { indices, .. } => {
            let mut rows = Vec::with_capacity(indices.len() * width);
            for &i in *indices {
                rows.extend_from_slice(&values[i * width..][..width]);
            }
            Cow::Owned(rows)
        }
    }
}
