//! The kernel baseline: projections averaged over experiments, by distance.

use faer::{Mat, MatRef};

use super::data::TracingData;
use super::dense_products::times;
use super::fitted::{Connectome, Denominator, Status, Weights, mse_rel};
use crate::error::check_finite;
use crate::{Error, Result};

/// The weight of an experiment by the distance d of its centroid, in voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum DistanceKernel {
    /// exp(−γ d²), γ = 1/σ².
    Gaussian {
        /// γ; 0.015 to 0.08 were chosen for the mouse brain at 100 µm.
        gamma: f64,
    },
    /// (1 − d²/h²)^p inside the distance h, else 0: Epanechnikov's kernel for p = 1, the biweight for 2.
    Compact {
        /// h.
        support: f64,
        /// p.
        power: i32,
    },
}

/// Nadaraya and Watson's estimate of W: the projection of a source voxel is the mean of all
/// experiments' projections, weighted by the distances of their injections' centroids.
///
/// W = U Vᵀ with U the projections over total injections, and row s of V the weights
/// k(‖s − c_e‖)/Σ k; a row of zeros (no experiment within a compact kernel) stays zero.
///
/// Source: Knox et al. 2019.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelModel {
    kernel: DistanceKernel,
}

impl DistanceKernel {
    fn at(self, square: f64) -> f64 {
        match self {
            DistanceKernel::Gaussian { gamma } => libm::exp(-gamma * square),
            DistanceKernel::Compact { support, power } => {
                let inside = 1.0 - square / (support * support);
                if inside > 0.0 { inside.powi(power) } else { 0.0 }
            }
        }
    }
}

impl KernelModel {
    /// With this kernel.
    ///
    /// # Errors
    /// [`Error::Range`] for γ or a support that is not a positive finite number, and a power below 1.
    pub fn new(kernel: DistanceKernel) -> Result<Self> {
        let (what, value) = match kernel {
            DistanceKernel::Gaussian { gamma } => ("gamma of the kernel", gamma),
            DistanceKernel::Compact { support, power } => {
                if power < 1 {
                    return Err(Error::range("power of the kernel", "at least 1", power));
                }
                ("support of the kernel", support)
            }
        };
        if value > 0.0 && value.is_finite() {
            return Ok(Self { kernel });
        }
        Err(Error::range(what, "a positive finite number", value))
    }

    /// The published grid of γ = 1/σ²: σ on 10 points from 10^0.3 to 10^1.4, evenly in the logarithm.
    #[must_use]
    pub fn published_gammas() -> Vec<f64> {
        let sigma = |i: usize| libm::exp10(0.3 + 1.1 * i as f64 / 9.0);
        (0..10).map(|i| (sigma(i) * sigma(i)).recip()).collect()
    }

    /// Weights of experiments with these centroids (experiments × axes) at `places` (n × axes):
    /// n × experiments, rows of sum 1 or 0.
    ///
    /// # Errors
    /// [`Error::Shape`] for different numbers of axes.
    pub fn weights(&self, places: MatRef<'_, f64>, centroids: MatRef<'_, f64>) -> Result<Mat<f64>> {
        if places.ncols() != centroids.ncols() {
            return Err(Error::shape("axes of the centroids", places.ncols(), centroids.ncols()));
        }
        Ok(self.normalised(places, centroids, |_, _| true))
    }

    /// `allowed` says whether experiment e may count at place i.
    fn normalised(
        &self,
        places: MatRef<'_, f64>,
        centroids: MatRef<'_, f64>,
        allowed: impl Fn(usize, usize) -> bool,
    ) -> Mat<f64> {
        let (n, experiments) = (places.nrows(), centroids.nrows());
        let mut out = Mat::<f64>::zeros(n, experiments);
        for i in 0..n {
            let square = |e: usize| -> f64 {
                (0..places.ncols()).map(|a| (places[(i, a)] - centroids[(e, a)]).powi(2)).sum()
            };
            let squares: Vec<f64> = (0..experiments).map(square).collect();
            // Weights relative to the nearest experiment: far from all, exp(−γd²) is 0 for each.
            let near = match self.kernel {
                DistanceKernel::Gaussian { .. } => (0..experiments)
                    .filter(|&e| allowed(i, e))
                    .map(|e| squares[e])
                    .fold(f64::INFINITY, f64::min),
                DistanceKernel::Compact { .. } => 0.0,
            };
            let mut sum = 0.0;
            for e in (0..experiments).filter(|&e| allowed(i, e)) {
                out[(i, e)] = self.kernel.at(squares[e] - near);
                sum += out[(i, e)];
            }
            if sum > 0.0 {
                (0..experiments).for_each(|e| out[(i, e)] /= sum);
            }
        }
        out
    }

    /// Fits W to `data`, whose source voxels lie at `places` (sources × axes, in voxels).
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a place for each source voxel, [`Error::NonFinite`],
    /// [`Error::Empty`] for an experiment that injected nothing.
    pub fn fit(&self, data: &TracingData, places: MatRef<'_, f64>) -> Result<Connectome> {
        self.fit_divisions(data, places, &vec![0; data.sources()], &vec![0; data.experiments()])
    }

    /// Fits within divisions: an experiment counts for source voxels of its own division only.
    ///
    /// # Errors
    /// As [`KernelModel::fit`]; [`Error::Shape`] for divisions of another length.
    pub fn fit_divisions(
        &self,
        data: &TracingData,
        places: MatRef<'_, f64>,
        voxel_division: &[i64],
        experiment_division: &[i64],
    ) -> Result<Connectome> {
        let centroids = centroids(data, places)?;
        for (what, expected, got) in [
            ("divisions of source voxels", data.sources(), voxel_division.len()),
            ("divisions of experiments", data.experiments(), experiment_division.len()),
        ] {
            if expected != got {
                return Err(Error::shape(what, expected, got));
            }
        }
        let allowed = |i: usize, e: usize| voxel_division[i] == experiment_division[e];
        let v = self.normalised(places, centroids.as_ref(), allowed);
        let u = normalised_projections(data);
        let weights = Weights::Factors { u, v };
        let mut fit = Connectome {
            weights,
            objective: f64::NAN,
            loss: f64::NAN,
            penalty: 0.0,
            lambda_eff: 0.0,
            kkt: f64::NAN,
            kkt_relative: f64::NAN,
            gap: f64::NAN,
            n_active: 0,
            iterations: 0,
            rounds: 0,
            status: Status::Converged,
            trace: Vec::new(),
            labels: data.labels().clone(),
        };
        let x = data.injections().to_dense();
        let x = Mat::from_fn(data.sources(), data.experiments(), |s, e| x[(s, e)]);
        let p = fit.predict(x.as_ref())?;
        let mut loss = 0.0;
        for e in 0..data.experiments() {
            for t in (0..data.targets()).filter(|&t| data.observed().at(t, e)) {
                loss += (p[(t, e)] - data.projection(e)[t]).powi(2);
            }
        }
        (fit.loss, fit.objective) = (loss, loss);
        Ok(fit)
    }

    /// Predictions of each experiment's projections over its total injection from all others, at its
    /// centroid: targets × experiments. One matrix of distances; the diagonal is set to zero and rows are
    /// scaled to sum 1 again.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a centroid for each column of `y`.
    pub fn leave_one_out(
        &self,
        centroids: MatRef<'_, f64>,
        y: MatRef<'_, f64>,
    ) -> Result<Mat<f64>> {
        if centroids.nrows() != y.ncols() {
            return Err(Error::shape("centroids of experiments", y.ncols(), centroids.nrows()));
        }
        let weights = self.normalised(centroids, centroids, |i, e| i != e);
        Ok(times(y, weights.transpose()))
    }

    /// MSE_rel of [`KernelModel::leave_one_out`] on these data, over observed entries.
    ///
    /// # Errors
    /// As [`KernelModel::fit`].
    pub fn leave_one_out_mse_rel(
        &self,
        data: &TracingData,
        places: MatRef<'_, f64>,
    ) -> Result<f64> {
        let centroids = centroids(data, places)?;
        let y = normalised_projections(data);
        let mut p = self.leave_one_out(centroids.as_ref(), y.as_ref())?;
        for (e, column) in data.injections().outer_iterator().enumerate() {
            let total: f64 = column.iter().map(|(_, x)| x).sum();
            p.col_mut(e).iter_mut().for_each(|p| *p *= total);
        }
        mse_rel(p.as_ref(), data, Denominator::Masked)
    }
}

/// Y over the total injection of each experiment.
fn normalised_projections(data: &TracingData) -> Mat<f64> {
    let mut u = data.projections().to_owned();
    for (e, column) in data.injections().outer_iterator().enumerate() {
        let total: f64 = column.iter().map(|(_, x)| x).sum();
        u.col_mut(e).iter_mut().for_each(|u| *u /= total);
    }
    u
}

/// Centroids of the injections, experiments × axes: Σ xₛ placeₛ / Σ xₛ.
///
/// # Errors
/// [`Error::Shape`] unless there is a place for each source voxel, [`Error::NonFinite`],
/// [`Error::Empty`] for an experiment that injected nothing.
pub fn centroids(data: &TracingData, places: MatRef<'_, f64>) -> Result<Mat<f64>> {
    if places.nrows() != data.sources() {
        return Err(Error::shape("places of source voxels", data.sources(), places.nrows()));
    }
    check_finite("places of source voxels", &super::dense_products::packed(places))?;
    let mut out = Mat::<f64>::zeros(data.experiments(), places.ncols());
    for (e, column) in data.injections().outer_iterator().enumerate() {
        let total: f64 = column.iter().map(|(_, x)| x).sum();
        if total == 0.0 {
            return Err(Error::empty(format!("injected voxels of experiment {e}")));
        }
        for (s, x) in column.iter() {
            for a in 0..places.ncols() {
                out[(e, a)] += x * places[(s, a)] / total;
            }
        }
    }
    Ok(out)
}
