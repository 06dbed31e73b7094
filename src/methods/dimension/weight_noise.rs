//! Noise on the weights of a two-layer linear network, as a penalty on its dimension.

use faer::{Mat, MatRef};

use super::linear_task::LinearTask;
use super::products::{check_shape, inner, times};
use crate::numerics::dense::square_svd;
use crate::{Error, Result};

/// The loss of f = V W x under independent noise on the weights, averaged over it.
///
/// With noise of variance σ_V² on every entry of V (m × n) and σ_W² on every one of W (n × d),
///
/// E L = L + ½ [σ_V² m tr(W S_x Wᵀ) + σ_W² tr(S_x) ‖V‖²_F + σ_V² σ_W² m n tr S_x], exactly:
///
/// noise on the readout penalises hidden activity, noise on the inputs' weights large readouts.
///
/// Source: derived for this crate from what the abstract of Recanatesi et al., arXiv 1906.00443, and
/// the code of Farrell et al., Nature Machine Intelligence (2022), describe.
///
/// ```
/// use hesse::dimension::{EffectiveLoss, LinearTask};
/// use hesse::faer::mat;
///
/// // Inputs of unit covariance, of which the targets are 3 and 1 times the coordinates.
/// let root = 2.0_f64.sqrt();
/// let x = mat![[root, 0.0], [0.0, root]];
/// let y = mat![[3.0 * root, 0.0], [0.0, root]];
/// let task = LinearTask::of(x.as_ref(), y.as_ref())?;
/// // τ = σ_V σ_W √(m tr S_x) = 1/2 leaves 5/2 and 1/2 of the singular values 3 and 1.
/// let optimum = EffectiveLoss::new(&task, 0.5, 0.5)?.optimum(2)?;
/// assert!((optimum.threshold - 0.5).abs() < 1e-14);
/// assert!((optimum.participation_ratio() - 9.0 / 6.5).abs() < 1e-12);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EffectiveLoss<'a> {
    task: &'a LinearTask,
    sigma_v: f64,
    sigma_w: f64,
}

/// Where [`EffectiveLoss`] is smallest.
///
/// With s the singular values of S_yx S_x^(−1/2) and τ = σ_V σ_W √(m tr S_x), those of V W S_x^(1/2)
/// are (s − τ)₊ and the eigenvalues of the hidden covariance W S_x Wᵀ are
/// (s − τ)₊ (σ_W/σ_V) √(tr S_x/m). Hence the participation ratio
/// (Σ (s − τ)₊)²/Σ (s − τ)₊², which never rises with τ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NoiseOptimum {
    /// s, largest first, min(m, d) of them.
    pub target: Vec<f64>,
    /// τ.
    pub threshold: f64,
    /// (s − τ)₊ of the first min(n, m, d).
    pub singular_values: Vec<f64>,
    /// Eigenvalues of the hidden covariance, as many.
    pub hidden: Vec<f64>,
    /// V at one of the minima: others are V Q, Qᵀ W with orthogonal Q.
    pub v: Mat<f64>,
    /// W at the same minimum.
    pub w: Mat<f64>,
}

impl NoiseOptimum {
    /// The participation ratio of the hidden covariance; 0 where noise leaves nothing.
    #[must_use]
    pub fn participation_ratio(&self) -> f64 {
        participation(&self.hidden)
    }

    /// What it would be with another threshold τ, for enough hidden units.
    #[must_use]
    pub fn participation_at(&self, threshold: f64) -> f64 {
        let left: Vec<f64> = self.target.iter().map(|s| (s - threshold).max(0.0)).collect();
        participation(&left)
    }
}

/// (Σλ)²/Σλ², 0 of zeros.
fn participation(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let (mut sum, mut squares) = (0.0, 0.0);
    for v in values {
        sum += v / largest;
        squares += (v / largest) * (v / largest);
    }
    sum * sum / squares
}

impl<'a> EffectiveLoss<'a> {
    /// With noise of standard deviations σ_V on the readout and σ_W on the inputs' weights.
    ///
    /// # Errors
    /// Deviations that are negative or not finite.
    pub fn new(task: &'a LinearTask, sigma_v: f64, sigma_w: f64) -> Result<Self> {
        for (what, sigma) in [("σ_V", sigma_v), ("σ_W", sigma_w)] {
            if !(sigma >= 0.0 && sigma.is_finite()) {
                return Err(Error::range(what, "0 or more", sigma));
            }
        }
        Ok(Self { task, sigma_v, sigma_w })
    }

    /// L without noise.
    ///
    /// # Errors
    /// Shapes that do not agree, NaN or infinities; a task of moments.
    pub fn loss(&self, v: MatRef<'_, f64>, w: MatRef<'_, f64>) -> Result<f64> {
        self.check(v, w)?;
        self.task.loss(times(v, w).as_ref())
    }

    /// E L.
    ///
    /// # Errors
    /// As [`EffectiveLoss::loss`].
    pub fn value(&self, v: MatRef<'_, f64>, w: MatRef<'_, f64>) -> Result<f64> {
        let loss = self.loss(v, w)?;
        let (a, b) = self.penalties();
        let hidden = inner(w, times(w, self.task.s_x()).as_ref());
        let both = a * b * v.ncols() as f64;
        Ok(loss + 0.5 * (b * hidden + a * inner(v, v) + both))
    }

    /// ∂E L/∂V = (V W S_x − S_yx) Wᵀ + σ_W² tr(S_x) V and
    /// ∂E L/∂W = Vᵀ (V W S_x − S_yx) + σ_V² m W S_x.
    ///
    /// # Errors
    /// Shapes that do not agree, NaN or infinities.
    pub fn gradient(&self, v: MatRef<'_, f64>, w: MatRef<'_, f64>) -> Result<(Mat<f64>, Mat<f64>)> {
        self.check(v, w)?;
        let (a, b) = self.penalties();
        let activity = times(w, self.task.s_x());
        let mut error = times(v, activity.as_ref());
        error -= self.task.s_yx();
        let mut of_v = times(error.as_ref(), w.transpose());
        let mut of_w = times(v.transpose(), error.as_ref());
        add(&mut of_v, a, v);
        add(&mut of_w, b, activity.as_ref());
        Ok((of_v, of_w))
    }

    /// The minimum for n hidden units, in closed form.
    ///
    /// # Errors
    /// No hidden unit; [`Error::NotApplicable`] unless both layers are noisy: with noise on one alone
    /// the loss falls for ever as the other layer shrinks.
    pub fn optimum(&self, hidden: usize) -> Result<NoiseOptimum> {
        if hidden == 0 {
            return Err(Error::empty("hidden units"));
        }
        let (a, b) = self.penalties();
        if !(a > 0.0 && b > 0.0) {
            return Err(Error::not_applicable(
                "minimum under weight noise",
                "noise on both layers and inputs that are not 0",
                format!("σ_V = {}, σ_W = {}", self.sigma_v, self.sigma_w),
            ));
        }
        let (m, d) = (self.task.outputs(), self.task.inputs());
        let whitened = self.task.whitened()?;
        let r = whitened.target.ncols();
        let size = m.max(r);
        let square = Mat::from_fn(size, size, |i, j| match i < m && j < r {
            true => whitened.target[(i, j)],
            false => 0.0,
        });
        let svd = square_svd(square.as_ref(), true)?;
        let target: Vec<f64> =
            (0..m.min(d)).map(|i| svd.values.get(i).copied().unwrap_or(0.0)).collect();
        let threshold = (a * b).sqrt();
        let singular_values: Vec<f64> =
            target.iter().take(hidden).map(|s| (s - threshold).max(0.0)).collect();
        let eigenvalues: Vec<f64> = singular_values.iter().map(|s| s * (a / b).sqrt()).collect();
        let mut v = Mat::zeros(m, hidden);
        let mut rotated = Mat::zeros(hidden, r);
        for (a, (s, c)) in singular_values.iter().zip(&eigenvalues).enumerate() {
            if *s > 0.0 {
                (0..m).for_each(|i| v[(i, a)] = svd.left[(i, a)] * s / c.sqrt());
                (0..r).for_each(|j| rotated[(a, j)] = c.sqrt() * svd.right[(j, a)]);
            }
        }
        let w = times(rotated.as_ref(), whitened.back.transpose());
        Ok(NoiseOptimum { target, threshold, singular_values, hidden: eigenvalues, v, w })
    }

    /// σ_W² tr S_x and σ_V² m.
    fn penalties(&self) -> (f64, f64) {
        let outputs = self.task.outputs() as f64;
        (self.sigma_w * self.sigma_w * self.task.power(), self.sigma_v * self.sigma_v * outputs)
    }

    fn check(&self, v: MatRef<'_, f64>, w: MatRef<'_, f64>) -> Result<()> {
        check_shape("V", v, self.task.outputs(), v.ncols())?;
        check_shape("W", w, v.ncols(), self.task.inputs())
    }
}

/// a ← a + s b.
fn add(a: &mut Mat<f64>, s: f64, b: MatRef<'_, f64>) {
    for j in 0..b.ncols() {
        (0..b.nrows()).for_each(|i| a[(i, j)] += s * b[(i, j)]);
    }
}
