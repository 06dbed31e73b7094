//! What noise on the readout does to the hidden layer, step by step.

use faer::{Mat, MatRef};

use super::linear_task::{LinearTask, eigen};
use super::products::{check_elements, check_shape, columns, inner, times};
use crate::numerics::random::Stream;
use crate::{Error, Result};

/// Full-batch gradient descent on W in f = V W x, with a fixed readout V that gets fresh noise of
/// variance σ² on every entry at every step.
///
/// The mean follows W ← W − η [(VᵀV + mσ² I) W S_x − VᵀS_yx]: outside the row space of V, W shrinks
/// by (I − ηmσ² S_x) a step, and without noise not at all. It ends at
/// (VᵀV + mσ² I)⁻¹ VᵀS_yx S_x⁻¹, of rank m at most.
///
/// In the eigenvectors of the two matrices, with μ and λ their eigenvalues, every element is
/// q^t w₀ + ηb (1 − q^t)/(1 − q), q = 1 − ημλ: any step in O(n² d + n d²), none before it needed.
///
/// Source: as [`EffectiveLoss`](super::EffectiveLoss).
pub struct ReadoutNoise {
    task: LinearTask,
    readout: Mat<f64>,
    sigma: f64,
    rate: f64,
    /// Eigenvectors and eigenvalues of VᵀV + mσ² I and of S_x.
    hidden: (Mat<f64>, Vec<f64>),
    inputs: (Mat<f64>, Vec<f64>),
    /// VᵀS_yx in both.
    drive: Mat<f64>,
    /// Orthonormal rows that span those of V.
    rows: Mat<f64>,
}

impl ReadoutNoise {
    /// With readout V (m × n), noise σ and learning rate η.
    ///
    /// # Errors
    /// Shapes that do not agree, NaN or infinities, σ < 0, η ≤ 0, or ημλ ≥ 2 for the largest
    /// eigenvalues: such descent runs away.
    pub fn new(task: &LinearTask, readout: MatRef<'_, f64>, sigma: f64, rate: f64) -> Result<Self> {
        check_shape("V", readout, task.outputs(), readout.ncols())?;
        let n = readout.ncols();
        if n == 0 {
            return Err(Error::empty("hidden units"));
        }
        if !(sigma >= 0.0 && sigma.is_finite()) {
            return Err(Error::range("σ", "0 or more", sigma));
        }
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::range("learning rate", "more than 0", rate));
        }
        let gram = times(readout.transpose(), readout);
        let of_gram = eigen("VᵀV", gram.as_ref())?;
        let largest = of_gram.values[n - 1];
        // Without noise a direction outside the row space has eigenvalue 0, not its rounding.
        let floor = n as f64 * f64::EPSILON * largest;
        let ridge = task.outputs() as f64 * sigma * sigma;
        let mu: Vec<f64> = of_gram
            .values
            .iter()
            .map(|&value| if value > floor { value + ridge } else { ridge })
            .collect();
        let kept: Vec<usize> = (0..n).filter(|&a| of_gram.values[a] > floor).collect();
        let rows = Mat::from_fn(kept.len(), n, |a, j| of_gram.vectors[(j, kept[a])]);
        let of_inputs = eigen("S_x", task.s_x())?;
        let lambda: Vec<f64> = of_inputs.values.iter().map(|v| v.max(0.0)).collect();
        let steepest = mu[n - 1] * lambda[lambda.len() - 1];
        if rate * steepest >= 2.0 {
            return Err(Error::range("learning rate", format!("below {}", 2.0 / steepest), rate));
        }
        let drive = times(readout.transpose(), task.s_yx());
        let drive = times(of_gram.vectors.transpose(), drive.as_ref());
        let mut drive = times(drive.as_ref(), of_inputs.vectors.as_ref());
        // Nothing is driven outside the row space.
        for i in (0..n).filter(|&i| of_gram.values[i] <= floor) {
            (0..drive.ncols()).for_each(|j| drive[(i, j)] = 0.0);
        }
        Ok(Self {
            task: task.clone(),
            readout: readout.to_owned(),
            sigma,
            rate,
            hidden: (of_gram.vectors, mu),
            inputs: (of_inputs.vectors, lambda),
            drive,
            rows,
        })
    }

    /// The mean of W after some steps from W₀, n × d.
    ///
    /// # Errors
    /// Another shape, NaN or infinities.
    pub fn mean(&self, start: MatRef<'_, f64>, steps: u64) -> Result<Mat<f64>> {
        self.check(start)?;
        let t = steps as f64;
        self.in_eigenvectors(start, |x, w, b| {
            // x = ημλ in [0, 2): q^t by its logarithm where q is near 1.
            if x == 0.0 {
                return w + t * b;
            }
            let (power, rest) = if x < 0.5 {
                let log = t * (-x).ln_1p();
                (log.exp(), -log.exp_m1())
            } else {
                let sign = if x > 1.0 && steps % 2 == 1 { -1.0 } else { 1.0 };
                let power = sign * (1.0 - x).abs().powf(t);
                (power, 1.0 - power)
            };
            power * w + b * (rest / x)
        })
    }

    /// Where the mean of W ends: directions without a force stay as they are.
    ///
    /// # Errors
    /// As [`ReadoutNoise::mean`].
    pub fn limit(&self, start: MatRef<'_, f64>) -> Result<Mat<f64>> {
        self.check(start)?;
        self.in_eigenvectors(start, |x, w, b| if x == 0.0 { w } else { b / x })
    }

    /// f(ημλ, w₀, ηb) of every element in the eigenvectors.
    fn in_eigenvectors(
        &self,
        start: MatRef<'_, f64>,
        f: impl Fn(f64, f64, f64) -> f64,
    ) -> Result<Mat<f64>> {
        let ((u, mu), (v, lambda)) = (&self.hidden, &self.inputs);
        let start = times(times(u.transpose(), start).as_ref(), v.as_ref());
        // Variances that are rounding are none, and what drives them is rounding.
        let floor = lambda.len() as f64 * f64::EPSILON * lambda[lambda.len() - 1];
        let moved = Mat::from_fn(mu.len(), lambda.len(), |i, j| match lambda[j] > floor {
            true => f(self.rate * mu[i] * lambda[j], start[(i, j)], self.rate * self.drive[(i, j)]),
            false => start[(i, j)],
        });
        Ok(times(times(u.as_ref(), moved.as_ref()).as_ref(), v.transpose()))
    }

    /// One descent with noise that is drawn.
    ///
    /// # Errors
    /// As [`ReadoutNoise::mean`], or a W that ran away.
    pub fn sample(&self, start: MatRef<'_, f64>, steps: u64, noise: &Stream) -> Result<Mat<f64>> {
        self.check(start)?;
        let (m, n) = self.readout.shape();
        let mut w = start.to_owned();
        let mut z = vec![0.0; m * n];
        for step in 0..steps {
            noise.normals(step.wrapping_mul((m * n) as u64), &mut z);
            let v = Mat::from_fn(m, n, |i, j| self.readout[(i, j)] + self.sigma * z[i * n + j]);
            let mut error = times(times(v.as_ref(), w.as_ref()).as_ref(), self.task.s_x());
            error -= self.task.s_yx();
            let gradient = times(v.transpose(), error.as_ref());
            for j in 0..w.ncols() {
                (0..n).for_each(|i| w[(i, j)] -= self.rate * gradient[(i, j)]);
            }
        }
        check_elements("hidden weights under noise", w.as_ref())?;
        Ok(w)
    }

    /// The part of W outside the row space of V.
    ///
    /// # Errors
    /// As [`ReadoutNoise::mean`].
    pub fn outside(&self, w: MatRef<'_, f64>) -> Result<Mat<f64>> {
        self.check(w)?;
        let mut outside = w.to_owned();
        // Twice: the second pass takes what rounding of the first left.
        for _ in 0..2 {
            let inside = times(self.rows.as_ref(), outside.as_ref());
            outside -= times(self.rows.transpose(), inside.as_ref());
        }
        Ok(outside)
    }

    /// √E|P W x|², the hidden activity outside the row space of V.
    ///
    /// # Errors
    /// As [`ReadoutNoise::mean`].
    pub fn activity_outside(&self, w: MatRef<'_, f64>) -> Result<f64> {
        let outside = self.outside(w)?;
        Ok(inner(outside.as_ref(), times(outside.as_ref(), self.task.s_x()).as_ref()).sqrt())
    }

    /// The participation ratio of W S_x Wᵀ; 0 for W = 0.
    ///
    /// # Errors
    /// As [`ReadoutNoise::mean`].
    pub fn participation_ratio(&self, w: MatRef<'_, f64>) -> Result<f64> {
        self.check(w)?;
        let covariance = times(times(w, self.task.s_x()).as_ref(), w.transpose());
        // (tr C)²/‖C‖²: no eigenvalues needed.
        let trace: f64 = (0..covariance.nrows()).map(|i| covariance[(i, i)]).sum();
        if trace <= 0.0 {
            return Ok(0.0);
        }
        Ok(1.0
            / columns(covariance.as_ref()).iter().map(|c| (c / trace) * (c / trace)).sum::<f64>())
    }

    fn check(&self, w: MatRef<'_, f64>) -> Result<()> {
        check_shape("W", w, self.readout.ncols(), self.task.inputs())
    }
}
