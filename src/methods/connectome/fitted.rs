//! The result of a fit: a connectivity matrix, or its factors, with what it cost.

use faer::{Mat, MatRef};

use super::data::TracingData;
use super::labels::Labels;
use super::regional_matrix::RegionalMatrix;
use crate::error::check_finite;
use crate::{Error, Result};

/// How a fit ended. The result is the best iterate in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The residual, recomputed, is within the tolerance.
    Converged,
    /// The iterations allowed were used up.
    IterationLimit,
    /// Rounding keeps the residual above the tolerance, or no step lowers the objective any more.
    Stalled,
    /// The relative decrease of the objective fell below the limit of a published stopping rule.
    SmallDecrease,
    /// The callback asked to stop.
    Interrupted,
}

/// One point of the course of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TracePoint {
    /// Iterations so far.
    pub iteration: usize,
    /// The objective, or for conjugate gradients ‖residual‖/‖right-hand side‖, see the solver.
    pub value: f64,
}

/// Entries of W, targets × sources.
#[derive(Clone, Debug, PartialEq)]
pub struct FullWeights {
    pub(super) values: Vec<f64>,
    pub(super) targets: usize,
}

impl FullWeights {
    /// From the entries in column-major order: the projection images of the sources, one after the
    /// other.
    ///
    /// # Errors
    /// [`Error::Empty`] for no targets or no entries, [`Error::Shape`] for a length that is no
    /// multiple of `targets`, [`Error::NonFinite`].
    pub fn from_columns(targets: usize, values: Vec<f64>) -> Result<Self> {
        if targets == 0 || values.is_empty() {
            return Err(Error::empty("weights"));
        }
        if !values.len().is_multiple_of(targets) {
            let sources = values.len().div_ceil(targets);
            return Err(Error::shape("weights", targets * sources, values.len()));
        }
        check_finite("weights", &values)?;
        Ok(Self { values, targets })
    }

    /// From a matrix, targets × sources.
    ///
    /// # Errors
    /// As [`FullWeights::from_columns`].
    pub fn from_mat(w: MatRef<'_, f64>) -> Result<Self> {
        let values = (0..w.ncols()).flat_map(|j| w.col(j).iter().copied()).collect();
        Self::from_columns(w.nrows(), values)
    }

    /// Number of rows.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Number of columns.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.values.len() / self.targets
    }

    /// W, targets × sources.
    #[must_use]
    pub fn as_mat(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.values, self.targets, self.sources())
    }

    /// The entries in column-major order.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.values
    }
}

/// W, or factors of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// All entries.
    Full(FullWeights),
    /// W = U Vᵀ.
    Factors {
        /// targets × rank.
        u: Mat<f64>,
        /// sources × rank.
        v: Mat<f64>,
    },
}

/// What the denominator of the relative error sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denominator {
    /// Observed entries only: the selection of λ in the published code, and the default.
    #[default]
    Masked,
    /// All entries of the prediction: the published tables, where W X is large inside the injection
    /// sites, so that the number is lower.
    Full,
}

/// A fitted connectivity matrix W, targets × sources: column j is the projection image to be expected
/// of a unit injection into source voxel j.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connectome {
    /// W or its factors.
    pub weights: Weights,
    /// loss + λ' · penalty.
    pub objective: f64,
    /// ‖Ω∘(W X − Y)‖².
    pub loss: f64,
    /// The penalty without λ'.
    pub penalty: f64,
    /// λ'.
    pub lambda_eff: f64,
    /// max |min(z, ∇f)| over the unknowns z ≥ 0, recomputed at the end (max |∇f| without signs).
    pub kkt: f64,
    /// The same in units of the problem: W over its largest entry, ∇f over max |∇f(0)| for full W;
    /// for factors ∇f over its largest entry at the start.
    pub kkt_relative: f64,
    /// (f(W) − d)/d at most, where d ≤ min f is proven ([`SplineRegression::tol_gap`]); NaN where no gap
    /// was asked for or reached.
    ///
    /// [`SplineRegression::tol_gap`]: super::SplineRegression::tol_gap
    pub gap: f64,
    /// Unknowns that are exactly zero.
    pub n_active: usize,
    /// Iterations of the solver: of conjugate gradients, quasi-Newton or projected steps.
    pub iterations: usize,
    /// Rounds of the active set, outer rounds of alternating methods, restarts of accelerated ones;
    /// 0 elsewhere.
    pub rounds: usize,
    /// How it ended.
    pub status: Status,
    /// The course of the fit.
    pub trace: Vec<TracePoint>,
    /// Experiments and regions of the data.
    pub labels: Labels,
}

impl Connectome {
    /// A connectome of weights that come from elsewhere, such as a file: it predicts, and sums by region,
    /// but what a fit says of itself is not known (objective, loss, penalty, λ' and residuals are NaN,
    /// counts 0).
    ///
    /// # Errors
    /// [`Error::Shape`] for factors of different rank or labels of another length, [`Error::Empty`] for
    /// factors without rows or columns, [`Error::NonFinite`].
    pub fn from_weights(weights: Weights, labels: Labels) -> Result<Self> {
        let (targets, sources, n_active) = match &weights {
            Weights::Full(w) => (w.targets(), w.sources(), super::entries::count_zeros(&w.values)),
            Weights::Factors { u, v } => {
                if u.ncols() != v.ncols() {
                    return Err(Error::shape("columns of V", u.ncols(), v.ncols()));
                }
                let mut zeros = 0;
                for (what, factor) in [("U", u), ("V", v)] {
                    if factor.nrows() == 0 || factor.ncols() == 0 {
                        return Err(Error::empty(format!("rows and columns of {what}")));
                    }
                    let values = super::dense_products::packed(factor.as_ref());
                    check_finite(what, &values)?;
                    zeros += super::entries::count_zeros(&values);
                }
                (u.nrows(), v.nrows(), zeros)
            }
        };
        labels.check(sources, targets, labels.experiments.len())?;
        Ok(Self {
            weights,
            objective: f64::NAN,
            loss: f64::NAN,
            penalty: f64::NAN,
            lambda_eff: f64::NAN,
            kkt: f64::NAN,
            kkt_relative: f64::NAN,
            gap: f64::NAN,
            n_active,
            iterations: 0,
            rounds: 0,
            status: Status::Converged,
            trace: Vec::new(),
            labels,
        })
    }

    /// Targets and sources.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        match &self.weights {
            Weights::Full(w) => (w.targets(), w.sources()),
            Weights::Factors { u, v } => (u.nrows(), v.nrows()),
        }
    }

    /// The number of columns of the factors, or `None` for a full matrix.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        match &self.weights {
            Weights::Full(_) => None,
            Weights::Factors { u, .. } => Some(u.ncols()),
        }
    }

    /// W X for injections X, sources × experiments: the projections to be expected.
    ///
    /// # Errors
    /// [`Error::Shape`] unless X has a row for each source.
    pub fn predict(&self, x: MatRef<'_, f64>) -> Result<Mat<f64>> {
        let (targets, sources) = self.shape();
        if x.nrows() != sources {
            return Err(Error::shape("source voxels of the injections", sources, x.nrows()));
        }
        Ok(match &self.weights {
            Weights::Full(w) => {
                let mut out = Mat::<f64>::zeros(targets, x.ncols());
                let columns = crate::parallel::map(x.ncols(), |e| {
                    let mut y = vec![0.0; targets];
                    for s in 0..sources {
                        let factor = x[(s, e)];
                        if factor != 0.0 {
                            let column = &w.values[s * targets..(s + 1) * targets];
                            y.iter_mut().zip(column).for_each(|(y, w)| *y += factor * w);
                        }
                    }
                    y
                });
                for (e, column) in columns.into_iter().enumerate() {
                    out.col_mut(e).iter_mut().zip(column).for_each(|(out, y)| *out = y);
                }
                out
            }
            Weights::Factors { u, v } => {
                let p = super::dense_products::transposed_times(v.as_ref(), x);
                super::dense_products::times(u.as_ref(), p.as_ref())
            }
        })
    }

    /// W x for one injection.
    ///
    /// # Errors
    /// [`Error::Shape`] unless x has an element for each source.
    pub fn project(&self, x: &[f64]) -> Result<Vec<f64>> {
        let y = self.predict(MatRef::from_column_major_slice(x, x.len(), 1))?;
        Ok(y.col(0).iter().copied().collect())
    }

    /// Column j of W: where source voxel `j` projects.
    ///
    /// # Errors
    /// [`Error::Range`] for a voxel that is not there.
    pub fn column(&self, j: usize) -> Result<Vec<f64>> {
        let (targets, sources) = self.shape();
        check_voxel("source voxel", j, sources)?;
        Ok(match &self.weights {
            Weights::Full(w) => w.values[j * targets..(j + 1) * targets].to_vec(),
            Weights::Factors { u, v } => (0..targets).map(|i| row_product(u, i, v, j)).collect(),
        })
    }

    /// Row i of W: what projects to target voxel `i`.
    ///
    /// # Errors
    /// [`Error::Range`] for a voxel that is not there.
    pub fn row(&self, i: usize) -> Result<Vec<f64>> {
        let (targets, sources) = self.shape();
        check_voxel("target voxel", i, targets)?;
        Ok(match &self.weights {
            Weights::Full(w) => (0..sources).map(|j| w.values[i + j * targets]).collect(),
            Weights::Factors { u, v } => (0..sources).map(|j| row_product(u, i, v, j)).collect(),
        })
    }

    /// All entries of W, targets × sources.
    ///
    /// # Errors
    /// [`Error::Range`] where there is no memory for them.
    pub fn full(&self) -> Result<FullWeights> {
        match &self.weights {
            Weights::Full(w) => Ok(w.clone()),
            Weights::Factors { u, v } => {
                let mut values = super::entries::zeros("weights", u.nrows() * v.nrows())?;
                super::dense_products::outer(u.as_ref(), v.as_ref(), &mut values);
                Ok(FullWeights { values, targets: u.nrows() })
            }
        }
    }

    /// MSE_rel = 2 ‖Ω∘(W X − Y)‖² / (‖Ω∘W X‖² + ‖Ω∘Y‖²) on these data: 0 for a perfect prediction, 2
    /// for one that is zero or disjoint, the most that nonnegative data can have. NaN where both
    /// prediction and data are zero.
    ///
    /// # Errors
    /// [`Error::Shape`] for data on other voxels.
    pub fn mse_rel(&self, data: &TracingData, denominator: Denominator) -> Result<f64> {
        let (targets, sources) = self.shape();
        if (data.targets(), data.sources()) != (targets, sources) {
            let got = (data.targets(), data.sources());
            return Err(Error::shape("target and source voxels", (targets, sources), got));
        }
        let x = data.injections().to_dense();
        let x = Mat::from_fn(sources, data.experiments(), |s, e| x[(s, e)]);
        mse_rel(self.predict(x.as_ref())?.as_ref(), data, denominator)
    }

    /// Sums of W over pairs of regions, from the regions in the labels of the data.
    ///
    /// # Errors
    /// [`Error::Empty`] where the data named no regions.
    pub fn collapse(&self) -> Result<RegionalMatrix> {
        self.collapse_by(&self.labels.source_regions, &self.labels.target_regions)
    }

    /// Sums of W over pairs of regions: `source_key` and `target_key` hold the region of each voxel, 0
    /// for voxels to be left out. Factors are summed as such; W is not formed.
    ///
    /// # Errors
    /// [`Error::Shape`] for keys of another length, [`Error::Empty`] for keys without a region.
    pub fn collapse_by(&self, source_key: &[i64], target_key: &[i64]) -> Result<RegionalMatrix> {
        RegionalMatrix::from_weights(&self.weights, source_key, target_key)
    }
}

/// MSE_rel of predicted projections, targets × experiments; see [`Connectome::mse_rel`].
///
/// # Errors
/// [`Error::Shape`] for another shape than that of the data.
pub fn mse_rel(
    prediction: MatRef<'_, f64>,
    data: &TracingData,
    denominator: Denominator,
) -> Result<f64> {
    let expected = (data.targets(), data.experiments());
    if prediction.shape() != expected {
        return Err(Error::shape("prediction", expected, prediction.shape()));
    }
    let (mut error, mut predicted, mut seen) = (0.0, 0.0, 0.0);
    for e in 0..data.experiments() {
        let (observed, y) = (data.observed().experiment(e), data.projection(e));
        for t in 0..data.targets() {
            let p = prediction[(t, e)];
            if observed[t] {
                error += (p - y[t]) * (p - y[t]);
                seen += y[t] * y[t];
            }
            if observed[t] || denominator == Denominator::Full {
                predicted += p * p;
            }
        }
    }
    Ok(2.0 * error / (predicted + seen))
}

fn check_voxel(what: &str, i: usize, n: usize) -> Result<()> {
    if i < n {
        return Ok(());
    }
    Err(Error::range(what, format!("0 to {}", n - 1), i))
}

fn row_product(u: &Mat<f64>, i: usize, v: &Mat<f64>, j: usize) -> f64 {
    (0..u.ncols()).map(|r| u[(i, r)] * v[(j, r)]).sum()
}
