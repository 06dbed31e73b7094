//! Losses: value, gradient and Hessian with respect to the outputs of a network.

use serde::{Deserialize, Serialize};

use super::data::Targets;
use crate::{Error, Real, Result};

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

    /// Σ sᵢ ℓᵢ over the rows of `outputs` (of `width` each), whose targets are those of `samples`.
    ///
    /// With `gradient`, sᵢ ∂ℓᵢ/∂f is written there. With `curvature`, what
    /// [`Loss::multiply_hessian`] needs is written there: the probabilities of cross entropy.
    pub(crate) fn evaluate<T: Real>(
        self,
        outputs: &[T],
        width: usize,
        targets: &Targets<T>,
        samples: impl Iterator<Item = usize>,
        scales: impl Iterator<Item = f64>,
        mut gradient: Option<&mut [T]>,
        mut curvature: Option<&mut [T]>,
    ) -> f64 {
        let slope = self.slope(width);
        let mut total = 0.0;
        for (row, ((f, sample), scale)) in
            outputs.chunks_exact(width).zip(samples).zip(scales).enumerate()
        {
            let range = row * width..(row + 1) * width;
            let target = Target::of(targets, sample);
            let gradient = gradient.as_deref_mut().map(|g| &mut g[range.clone()]);
            total += scale
                * match self {
                    Loss::CrossEntropy => {
                        let p = curvature.as_deref_mut().map(|p| &mut p[range]);
                        cross_entropy(f, target, scale, gradient, p)
                    }
                    _ => 0.5 * slope * squared_error(f, target, scale * slope, gradient),
                };
        }
        total
    }

    /// v ← sᵢ ∂²ℓᵢ/∂f² v for every row of every tangent in `tangents`, `[k][row][output]`.
    pub(crate) fn multiply_hessian<T: Real>(
        self,
        curvature: &[T],
        width: usize,
        scales: &[f64],
        tangents: &mut [T],
    ) {
        let slope = self.slope(width);
        for tangents in tangents.chunks_exact_mut(width * scales.len()) {
            for (row, (v, &scale)) in tangents.chunks_exact_mut(width).zip(scales).enumerate() {
                if self == Loss::CrossEntropy {
                    softmax_hessian(&curvature[row * width..][..width], scale, v);
                } else {
                    let factor = T::from_f64(scale * slope);
                    v.iter_mut().for_each(|v| *v *= factor);
                }
            }
        }
    }

    /// Whether the Hessian in the outputs depends on them.
    pub(crate) fn has_curvature_state(self) -> bool {
        self == Loss::CrossEntropy
    }
}

/// The target of one sample.
#[derive(Clone, Copy)]
enum Target<'a, T> {
    Class(usize),
    Row(&'a [T]),
}

impl<'a, T: Real> Target<'a, T> {
    fn of(targets: &'a Targets<T>, sample: usize) -> Self {
        match targets {
            Targets::Classes(classes) => Target::Class(classes[sample]),
            Targets::Rows { values, width } => {
                let row = &values[sample * width..][..*width];
                match row.iter().position(|&y| y == T::ONE) {
                    // Probabilities that are one-hot are a class.
                    Some(class) if row.iter().filter(|&&y| y != T::ZERO).count() == 1 => {
                        Target::Class(class)
                    }
                    _ => Target::Row(row),
                }
            }
        }
    }

    fn value(&self, j: usize) -> f64 {
        match self {
            Target::Class(class) => f64::from(u8::from(*class == j)),
            Target::Row(y) => y[j].to_f64(),
        }
    }
}

/// Σ (f − y)², and scale·(f − y).
fn squared_error<T: Real>(
    f: &[T],
    target: Target<'_, T>,
    scale: f64,
    gradient: Option<&mut [T]>,
) -> f64 {
    let residual = |j: usize| f[j].to_f64() - target.value(j);
    if let Some(gradient) = gradient {
        for (j, g) in gradient.iter_mut().enumerate() {
            *g = T::from_f64(scale * residual(j));
        }
    }
    (0..f.len()).map(|j| residual(j).powi(2)).sum()
}

/// The cross entropy, scale·(p − y) and p. For a class y, p_y − 1 is −Σ of the other probabilities,
/// which keeps its digits when p_y is close to 1.
fn cross_entropy<T: Real>(
    f: &[T],
    target: Target<'_, T>,
    scale: f64,
    gradient: Option<&mut [T]>,
    probabilities: Option<&mut [T]>,
) -> f64 {
    let (top, max) = f.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (j, f)| {
        if f.to_f64() > best.1 { (j, f.to_f64()) } else { best }
    });
    let weight = |j: usize| if j == top { 1.0 } else { (f[j].to_f64() - max).exp() };
    // Σ of all weights but the largest, which is 1.
    let rest: f64 = (0..f.len()).filter(|&j| j != top).map(weight).sum();
    let sum = 1.0 + rest;
    if let Some(gradient) = gradient {
        for (j, g) in gradient.iter_mut().enumerate() {
            let difference = match target {
                Target::Class(class) if class == j => {
                    let others = if j == top {
                        rest
                    } else {
                        (0..f.len()).filter(|&i| i != j).map(weight).sum()
                    };
                    -others / sum
                }
                Target::Class(_) => weight(j) / sum,
                Target::Row(y) => weight(j) / sum - y[j].to_f64(),
            };
            *g = T::from_f64(scale * difference);
        }
    }
    if let Some(p) = probabilities {
        for (j, p) in p.iter_mut().enumerate() {
            *p = T::from_f64(weight(j) / sum);
        }
    }
    // log Σ exp f − Σ y f, from differences to the largest logit.
    rest.ln_1p()
        + match target {
            Target::Class(class) => max - f[class].to_f64(),
            Target::Row(y) => y
                .iter()
                .zip(f)
                .map(|(y, f)| if *y == T::ZERO { 0.0 } else { y.to_f64() * (max - f.to_f64()) })
                .sum(),
        }
}

/// v ← scale · (diag p − p pᵀ) v, from differences to the entry of the largest probability: they
/// keep their digits when that is close to 1.
fn softmax_hessian<T: Real>(p: &[T], scale: f64, v: &mut [T]) {
    let (top, _) = p.iter().enumerate().fold(
        (0, T::ZERO),
        |best, (j, &p)| {
            if p > best.1 { (j, p) } else { best }
        },
    );
    let at_top = v[top].to_f64();
    let mean: f64 = p.iter().zip(&*v).map(|(p, v)| p.to_f64() * (v.to_f64() - at_top)).sum();
    for (p, v) in p.iter().zip(v) {
        *v = T::from_f64(scale * p.to_f64() * (v.to_f64() - at_top - mean));
    }
}
