//! The regional baseline: connections that are the same throughout a region.

use faer::{Mat, MatRef};

use super::data::TracingData;
use super::dense_factors::{condition_number, pivot_order, thin_svd};
use super::dense_products::times;
use super::fitted::{Denominator, mse_rel};
use super::regional_matrix::Regions;
use crate::optimize::Nnls;
use crate::{Error, Result};

/// Region by region, min ‖P_y Y − W_R P_x X‖² + α²‖W_R‖² over W_R ≥ 0, row by row of W_R.
///
/// P sums voxels by region; the voxel prediction spreads evenly, P_y⁺ W_R P_x x. Optionally source
/// regions without an experiment of enough injected voxels are left out, and columns are dropped one
/// at a time until the condition number of (P_x X)ᵀ is at most κ: of the right singular vectors but the
/// last, QR with column pivoting takes the column last that is dropped.
///
/// Source: Harris et al. 2016, section 5 (plain); Oh et al. 2014 and the Allen Institute's
/// mouse_connectivity_models (κ = 1000, 50 voxels, ridge α², which its documentation calls α).
#[derive(Clone, Debug, Default)]
pub struct HomogeneousModel {
    kappa: Option<f64>,
    ridge: f64,
    least_voxels: usize,
}

/// A fitted [`HomogeneousModel`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HomogeneousFit {
    /// W_R, target regions × kept source regions.
    pub weights: Mat<f64>,
    /// The region of each column.
    pub source_ids: Vec<i64>,
    /// The region of each row.
    pub target_ids: Vec<i64>,
    /// The condition number of the injections into kept regions.
    pub condition: f64,
    kept: Vec<usize>,
    sources: Regions,
    targets: Regions,
}

impl HomogeneousModel {
    /// All regions, no ridge.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The Allen Institute's: κ = 1000, regions with an experiment of 50 injected voxels or more.
    #[must_use]
    pub fn allen() -> Self {
        Self { kappa: Some(1000.0), ridge: 0.0, least_voxels: 50 }
    }

    /// Drops columns until the condition number is at most `kappa`.
    #[must_use]
    pub fn kappa(self, kappa: f64) -> Self {
        Self { kappa: Some(kappa), ..self }
    }

    /// α of the penalty α²‖W_R‖².
    #[must_use]
    pub fn ridge(self, alpha: f64) -> Self {
        Self { ridge: alpha, ..self }
    }

    /// Leaves out source regions in which no experiment injected at least `voxels` voxels.
    #[must_use]
    pub fn least_voxels(self, voxels: usize) -> Self {
        Self { least_voxels: voxels, ..self }
    }

    /// Fits to `data` with the region of each voxel in the keys (0: left out).
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Empty`] for keys, also where no source region is left;
    /// [`Error::Range`] for κ < 1 and α.
    pub fn fit(
        &self,
        data: &TracingData,
        source_key: &[i64],
        target_key: &[i64],
    ) -> Result<HomogeneousFit> {
        let sources = Regions::new("source voxels", source_key, data.sources())?;
        let targets = Regions::new("target voxels", target_key, data.targets())?;
        if let Some(kappa) = self.kappa
            && (kappa.is_nan() || kappa < 1.0)
        {
            return Err(Error::range("kappa", "a number from 1", kappa));
        }
        let x = injections_by_region(data, &sources);
        let mut kept: Vec<usize> = (0..sources.ids.len()).collect();
        if self.least_voxels > 0 {
            let mut most = vec![0; sources.ids.len()];
            for column in data.injections().outer_iterator() {
                let mut count = vec![0; sources.ids.len()];
                column.iter().filter_map(|(s, _)| sources.of[s]).for_each(|r| count[r] += 1);
                most.iter_mut().zip(count).for_each(|(m, c)| *m = c.max(*m));
            }
            kept.retain(|&r| most[r] >= self.least_voxels);
        }
        if kept.is_empty() {
            return Err(Error::empty("source regions with enough injected voxels"));
        }
        // Experiments × regions.
        let design = Mat::from_fn(x.ncols(), kept.len(), |e, r| x[(kept[r], e)]);
        let columns = match self.kappa {
            Some(kappa) => well_conditioned_columns(design.as_ref(), kappa)?,
            None => (0..kept.len()).collect(),
        };
        kept = columns.iter().map(|&c| kept[c]).collect();
        let design = Mat::from_fn(x.ncols(), kept.len(), |e, r| x[(kept[r], e)]);
        let y = targets.sum_rows(data.projections());
        let fit = Nnls::new().ridge(self.ridge).solve_many(design.as_ref(), y.transpose())?;
        Ok(HomogeneousFit {
            weights: fit.x.transpose().to_owned(),
            source_ids: kept.iter().map(|&r| sources.ids[r]).collect(),
            target_ids: targets.ids.clone(),
            condition: condition_number(design.as_ref())?,
            kept,
            sources,
            targets,
        })
    }
}

/// P_x X, regions × experiments.
fn injections_by_region(data: &TracingData, sources: &Regions) -> Mat<f64> {
    let mut x = Mat::<f64>::zeros(sources.ids.len(), data.experiments());
    for (value, (s, e)) in data.injections().iter() {
        if let Some(r) = sources.of[s] {
            x[(r, e)] += value;
        }
    }
    x
}

impl HomogeneousFit {
    /// W_R P_x X: target regions × experiments.
    ///
    /// # Errors
    /// [`Error::Shape`] for data on other voxels.
    pub fn predict_regions(&self, data: &TracingData) -> Result<Mat<f64>> {
        if data.sources() != self.sources.of.len() {
            return Err(Error::shape("source voxels", self.sources.of.len(), data.sources()));
        }
        let x = injections_by_region(data, &self.sources);
        let x = Mat::from_fn(self.kept.len(), x.ncols(), |r, e| x[(self.kept[r], e)]);
        Ok(times(self.weights.as_ref(), x.as_ref()))
    }

    /// P_y⁺ W_R P_x X: target voxels × experiments.
    ///
    /// # Errors
    /// [`Error::Shape`] for data on other voxels.
    pub fn predict(&self, data: &TracingData) -> Result<Mat<f64>> {
        Ok(self.targets.spread_rows(self.predict_regions(data)?.as_ref()))
    }

    /// MSE_rel over voxels.
    ///
    /// # Errors
    /// [`Error::Shape`] for data on other voxels.
    pub fn mse_rel(&self, data: &TracingData, denominator: Denominator) -> Result<f64> {
        mse_rel(self.predict(data)?.as_ref(), data, denominator)
    }

    /// MSE_rel over regions: of W_R P_x X against P_y Y.
    ///
    /// # Errors
    /// [`Error::Shape`] for data on other voxels.
    pub fn regional_mse_rel(&self, data: &TracingData) -> Result<f64> {
        if data.targets() != self.targets.of.len() {
            return Err(Error::shape("target voxels", self.targets.of.len(), data.targets()));
        }
        let y = self.targets.sum_rows(data.projections());
        Ok(relative_error(self.predict_regions(data)?.as_ref(), y.as_ref()))
    }
}

/// 2‖P − Y‖²/(‖P‖² + ‖Y‖²).
fn relative_error(p: MatRef<'_, f64>, y: MatRef<'_, f64>) -> f64 {
    let (mut error, mut size) = (0.0, 0.0);
    for j in 0..y.ncols() {
        for i in 0..y.nrows() {
            error += (p[(i, j)] - y[(i, j)]).powi(2);
            size += p[(i, j)].powi(2) + y[(i, j)].powi(2);
        }
    }
    2.0 * error / size
}

/// MSE_rel over regions of predicted projections, targets × experiments: the prediction is masked as the
/// data are, then both are summed by region.
///
/// # Errors
/// [`Error::Shape`] for another shape than that of the data, or a key of another length;
/// [`Error::Empty`] for a key without regions.
pub fn regional_mse_rel(
    prediction: MatRef<'_, f64>,
    data: &TracingData,
    target_key: &[i64],
) -> Result<f64> {
    let expected = (data.targets(), data.experiments());
    if prediction.shape() != expected {
        return Err(Error::shape("prediction", expected, prediction.shape()));
    }
    let targets = Regions::new("target voxels", target_key, data.targets())?;
    let observed = data.observed();
    let masked = Mat::from_fn(expected.0, expected.1, |t, e| {
        if observed.at(t, e) { prediction[(t, e)] } else { 0.0 }
    });
    let (p, y) = (targets.sum_rows(masked.as_ref()), targets.sum_rows(data.projections()));
    Ok(relative_error(p.as_ref(), y.as_ref()))
}

/// The columns of A that are left when they are dropped one at a time until cond(A) ≤ κ, ascending.
///
/// Of k columns, the first k − 1 right singular vectors span what is well determined; the column that
/// QR with column pivoting of these takes last is dropped.
///
/// # Errors
/// [`Error::Empty`] for no columns.
pub fn well_conditioned_columns(a: MatRef<'_, f64>, kappa: f64) -> Result<Vec<usize>> {
    if a.ncols() == 0 || a.nrows() == 0 {
        return Err(Error::empty("columns"));
    }
    let mut columns: Vec<usize> = (0..a.ncols()).collect();
    while columns.len() > 1 {
        let chosen = Mat::from_fn(a.nrows(), columns.len(), |i, j| a[(i, columns[j])]);
        // More columns than rows have no finite condition number; the published code stops there.
        let svd = thin_svd(chosen.as_ref())?;
        let last = svd.s.last().copied().unwrap_or(0.0);
        if columns.len() <= a.nrows() && last > 0.0 && svd.s[0] / last <= kappa {
            break;
        }
        let leading = (columns.len() - 1).min(svd.v.ncols());
        let vectors = Mat::from_fn(leading, columns.len(), |i, j| svd.v[(j, i)]);
        let order = pivot_order(vectors.as_ref());
        let mut next: Vec<usize> = order[..columns.len() - 1].iter().map(|&j| columns[j]).collect();
        next.sort_unstable();
        columns = next;
    }
    Ok(columns)
}
