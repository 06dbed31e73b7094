//! Singular values of the Jacobian of the outputs in some features, sample by sample.

use crate::krylov::{DenseMatrix, GolubKahan, Status};
use crate::numerics::dense::singular_values_of_columns;
use crate::{Error, Real, Result};

/// Which singular values make a log volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogVolume {
    /// All min(N, d) of them: log of the volume of the image of a unit cube.
    #[default]
    All,
    /// The k largest; the reference code takes k = 3.
    Top(usize),
    /// Those above max(N, d) ε s₁: the pseudo-determinant.
    Pseudo,
}

/// How many singular values of each Jacobian are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SingularValues {
    /// All min(N, d): by QR and a small SVD. What volumes and dimensions need.
    All,
    /// The largest alone, by [`GolubKahan`]: for many outputs.
    Largest,
}

/// Relative residual of a largest singular value; its error is about the square of that.
const TOLERANCE: f64 = 1e-10;

/// The Jacobians ∂f/∂x (N × d) of the outputs in some features x of n samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JacobianGeometry {
    /// d, the number of features.
    pub features: usize,
    /// N, the number of outputs.
    pub outputs: usize,
    /// ‖x‖ of every sample.
    pub norms: Vec<f64>,
    /// ‖J‖_F of every sample.
    pub frobenius: Vec<f64>,
    /// Singular values in descending order, [`kept`](Self::kept) of every sample, one after the other.
    pub singular_values: Vec<f64>,
    /// Number of singular values of a sample that were computed: min(N, d), or the largest alone.
    pub kept: usize,
    /// ε of the storage type.
    pub(super) epsilon: f64,
}

impl JacobianGeometry {
    pub(super) fn new<T: Real>(features: usize, outputs: usize, which: SingularValues) -> Self {
        Self {
            features,
            outputs,
            kept: match which {
                SingularValues::All => features.min(outputs),
                SingularValues::Largest => 1,
            },
            epsilon: T::EPSILON.to_f64(),
            ..Self::default()
        }
    }

    /// r = min(N, d), the number of singular values.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.features.min(self.outputs)
    }

    /// Singular values of sample `i`, descending; none for a sample that is not there.
    #[must_use]
    pub fn singular_values_of(&self, i: usize) -> &[f64] {
        self.singular_values.chunks_exact(self.kept.max(1)).nth(i).unwrap_or(&[])
    }

    /// ‖J‖₂ of every sample.
    #[must_use]
    pub fn spectral_norms(&self) -> Vec<f64> {
        self.singular_values.chunks_exact(self.kept.max(1)).map(|s| s[0]).collect()
    }

    /// Σ log s_k of every sample: −∞ where one of them is 0 (of [`LogVolume::Pseudo`], where all are).
    ///
    /// # Errors
    /// `Top(k)` with k = 0 or k > min(N, d); [`Error::NotApplicable`] where only the largest singular
    /// values were computed.
    pub fn log_volumes(&self, which: LogVolume) -> Result<Vec<f64>> {
        let rank = self.rank();
        if let LogVolume::Top(k) = which
            && !(1..=rank).contains(&k)
        {
            return Err(Error::range("log volume: k", format!("1 to {rank}"), k));
        }
        self.check_all("log volume")?;
        let floor = self.features.max(self.outputs) as f64 * self.epsilon;
        let volume = |s: &[f64]| -> f64 {
            match which {
                LogVolume::All => s.iter().map(|s| s.ln()).sum(),
                LogVolume::Top(k) => s[..k].iter().map(|s| s.ln()).sum(),
                LogVolume::Pseudo if s[0] == 0.0 => f64::NEG_INFINITY,
                LogVolume::Pseudo => s.iter().filter(|&&x| x > floor * s[0]).map(|s| s.ln()).sum(),
            }
        };
        Ok(self.singular_values.chunks_exact(rank.max(1)).map(volume).collect())
    }

    /// (Σ λ)² / Σ λ² with λ = s² of every sample, between 1 and min(N, d): NaN where J = 0.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] where only the largest singular values were computed.
    pub fn local_dimensions(&self) -> Result<Vec<f64>> {
        self.check_all("local dimension")?;
        let dimension = |s: &[f64]| {
            // Relative to the largest, so that fourth powers stay in range.
            let ratio = |x: &f64| (x / s[0]).powi(2);
            let sum: f64 = s.iter().map(ratio).sum();
            sum * sum / s.iter().map(ratio).map(|l| l * l).sum::<f64>()
        };
        Ok(self.singular_values.chunks_exact(self.rank().max(1)).map(dimension).collect())
    }

    /// √(mean 1/‖x‖²), the q of the bounds of MLS: +∞ with a zero input.
    #[must_use]
    pub fn inverse_norm(&self) -> f64 {
        let squares: Vec<f64> = self.norms.iter().map(|x| (1.0 / x).powi(2)).collect();
        super::layer::mean(&squares).sqrt()
    }

    fn check_all(&self, what: &str) -> Result<()> {
        if self.kept == self.rank() {
            return Ok(());
        }
        let expected = format!("all {} singular values of each sample", self.rank());
        Err(Error::not_applicable(what, expected, format!("the largest {}", self.kept)))
    }

    /// Adds the samples of a stack of input errors, `[k][b][i]`.
    pub(super) fn add_stack<T: Real>(&mut self, x: &[T], stack: &[T]) -> Result<()> {
        let (d, count) = (self.features, self.outputs);
        let samples = x.len() / d;
        let mut columns = vec![0.0; d * count];
        for b in 0..samples {
            self.norms.push(norm(&x[b * d..][..d]));
            let row = |k: usize| &stack[(k * samples + b) * d..][..d];
            if d >= count {
                // Columns of Jᵀ.
                for (k, column) in columns.chunks_exact_mut(d).enumerate() {
                    column.iter_mut().zip(row(k)).for_each(|(c, x)| *c = x.to_f64());
                }
            } else {
                for k in 0..count {
                    for (i, x) in row(k).iter().enumerate() {
                        columns[i * count + k] = x.to_f64();
                    }
                }
            }
            self.frobenius.push(norm(&columns));
            if self.kept < d.min(count) {
                let operator = DenseMatrix::from_rows(columns.clone(), d.max(count))?;
                let top = GolubKahan::new(&operator).tolerance(TOLERANCE).run::<f64>()?;
                let largest = match (top.status, top.values.first()) {
                    (Status::Converged, Some(&largest)) => largest,
                    // Clustered values; all of them are still affordable.
                    _ => singular_values_of_columns(&mut columns, d.min(count))?[0],
                };
                self.singular_values.push(largest);
            } else {
                self.singular_values
                    .extend(singular_values_of_columns(&mut columns, d.min(count))?);
            }
        }
        Ok(())
    }

    /// Puts the samples of `other`, of the same features, behind these.
    pub(super) fn append(&mut self, other: Self) {
        self.norms.extend(other.norms);
        self.frobenius.extend(other.frobenius);
        self.singular_values.extend(other.singular_values);
    }
}

/// ‖x‖, whose squares neither overflow nor underflow.
pub(super) fn norm<T: Real>(x: &[T]) -> f64 {
    hesse_kernels::level1::nrm2(crate::Isa::current(), x)
}
