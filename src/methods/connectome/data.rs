//! Tracing experiments: what was injected, what was seen, and where nothing could be seen.

use faer::MatRef;
use sprs::{CsMat, CsMatView, TriMat};

use super::labels::Labels;
use super::observed::Observed;
use crate::error::check_finite;
use crate::{Error, Result};

/// Tracing experiments on voxels: injections X (sources × experiments, sparse, ≥ 0), projections Y
/// (targets × experiments) and where Y was [`Observed`].
///
/// The model is yₑ = W xₑ + noise with W ≥ 0, targets × sources; W X is a plain sum over source
/// voxels. Entries of Y that were not observed have no influence on anything: they are stored as 0.
///
/// Everything is `f64`: the penalty's condition number is 10⁹ and more, for which `f32` does not do.
///
/// ```
/// use hesse::connectome::{Observed, TracingData};
/// use hesse::faer::mat;
///
/// // Two experiments in three voxels, each voxel both source and target.
/// let injections = mat![[1.0, 0.0], [0.0, 0.0], [0.0, 0.5]];
/// let projections = mat![[9.0, 0.1], [0.3, 0.2], [0.1, 9.0_f64]];
/// let data = TracingData::builder()
///     .injections_dense(injections.as_ref())
///     .projections(projections.as_ref())
///     .build()?;
/// // What was seen inside an injection is not a projection.
/// assert!(!data.observed().at(0, 0) && data.observed().at(0, 1));
/// assert_eq!(data.projection(0), [0.0, 0.3, 0.1]);
/// # Ok::<(), hesse::Error>(())
/// ```
///
/// Source: Harris, Mihalas and Shea-Brown 2016 (arXiv 1605.08031), section 2.
#[derive(Clone, Debug)]
pub struct TracingData {
    sources: usize,
    targets: usize,
    /// By experiment.
    injections: CsMat<f64>,
    /// By source voxel: the same numbers.
    by_source: CsMat<f64>,
    /// Column-major, 0 where not observed.
    projections: Vec<f64>,
    observed: Observed,
    labels: Labels,
}

/// Collects what [`TracingData`] is made of.
#[derive(Clone, Debug, Default)]
pub struct TracingDataBuilder {
    injections: Option<CsMat<f64>>,
    projections: Option<(usize, usize, Vec<f64>)>,
    observed: Option<Observed>,
    labels: Labels,
    error_codes_as_zero: bool,
}

impl TracingDataBuilder {
    /// X, sources × experiments.
    #[must_use]
    pub fn injections(mut self, x: CsMatView<'_, f64>) -> Self {
        self.injections = Some(x.to_owned().into_csc());
        self
    }

    /// X, sources × experiments, of which the elements that are not zero are kept.
    #[must_use]
    pub fn injections_dense(mut self, x: MatRef<'_, f64>) -> Self {
        let mut triplets = TriMat::new((x.nrows(), x.ncols()));
        for e in 0..x.ncols() {
            for s in 0..x.nrows() {
                if x[(s, e)] != 0.0 {
                    triplets.add_triplet(s, e, x[(s, e)]);
                }
            }
        }
        self.injections = Some(triplets.to_csc());
        self
    }

    /// Y, targets × experiments.
    #[must_use]
    pub fn projections(mut self, y: MatRef<'_, f64>) -> Self {
        let values = (0..y.ncols()).flat_map(|e| y.col(e).iter().copied()).collect();
        self.projections = Some((y.nrows(), y.ncols(), values));
        self
    }

    /// Where Y was observed. Without it sources and targets are the same voxels in the same order,
    /// and a projection was observed wherever nothing was injected
    /// ([`Observed::outside_injections`]).
    #[must_use]
    pub fn observed(mut self, observed: Observed) -> Self {
        self.observed = Some(observed);
        self
    }

    /// Names of experiments and regions of voxels, which results carry on.
    #[must_use]
    pub fn labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }

    /// Reads the numbers −1, −2 and −3, which the Allen atlas writes where there are no data, as 0.
    #[must_use]
    pub fn error_codes_as_zero(mut self, yes: bool) -> Self {
        self.error_codes_as_zero = yes;
        self
    }

    /// Checks everything and puts it together. Two copies of X, one of Y.
    ///
    /// # Errors
    /// [`Error::Empty`] for missing arrays, voxels or experiments, and where nothing at all was
    /// observed; [`Error::Shape`] for sizes that do not agree; [`Error::NonFinite`]; [`Error::Range`]
    /// for a negative injection.
    pub fn build(self) -> Result<TracingData> {
        let mut x = self.injections.ok_or_else(|| Error::empty("injections"))?;
        let (targets, experiments, mut y) =
            self.projections.ok_or_else(|| Error::empty("projections"))?;
        let sources = x.rows();
        if x.cols() != experiments {
            return Err(Error::shape("experiments of the projections", x.cols(), experiments));
        }
        for (what, n) in
            [("source voxels", sources), ("target voxels", targets), ("experiments", experiments)]
        {
            if n == 0 {
                return Err(Error::empty(what));
            }
        }
        let observed = match self.observed {
            Some(observed) => observed,
            None if sources == targets => Observed::outside_injections(x.view()),
            None => {
                return Err(Error::shape(
                    "target voxels, where no mask says what was observed",
                    sources,
                    targets,
                ));
            }
        };
        if observed.shape() != (targets, experiments) {
            return Err(Error::shape("observed", (targets, experiments), observed.shape()));
        }
        if observed.count() == 0 {
            return Err(Error::empty("observed projections"));
        }
        if self.error_codes_as_zero {
            let clean = |v: &mut f64| {
                if [-1.0, -2.0, -3.0].contains(v) {
                    *v = 0.0;
                }
            };
            x.data_mut().iter_mut().for_each(clean);
            y.iter_mut().for_each(clean);
        }
        check_finite("injections", x.data())?;
        for (e, column) in x.outer_iterator().enumerate() {
            for (s, &value) in column.iter() {
                if value < 0.0 {
                    let got = format!("{value} at voxel {s} of experiment {e}");
                    return Err(Error::range("injections", "numbers from 0", got));
                }
            }
        }
        // What was not observed may be anything, also NaN.
        for (i, value) in y.iter_mut().enumerate() {
            if !observed.at(i % targets, i / targets) {
                *value = 0.0;
            }
        }
        check_finite("observed projections", &y)?;
        self.labels.check(sources, targets, experiments)?;
        let mut kept = TriMat::new(x.shape());
        for (e, column) in x.outer_iterator().enumerate() {
            column.iter().filter(|(_, v)| **v != 0.0).for_each(|(s, v)| kept.add_triplet(s, e, *v));
        }
        let (injections, by_source): (CsMat<f64>, CsMat<f64>) = (kept.to_csc(), kept.to_csr());
        let labels = self.labels;
        Ok(TracingData {
            sources,
            targets,
            injections,
            by_source,
            projections: y,
            observed,
            labels,
        })
    }
}

impl TracingData {
    /// Nothing yet.
    #[must_use]
    pub fn builder() -> TracingDataBuilder {
        TracingDataBuilder::default()
    }

    /// Number of source voxels, n_x.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources
    }

    /// Number of target voxels, n_y.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Number of experiments, n_inj.
    #[must_use]
    pub fn experiments(&self) -> usize {
        self.injections.cols()
    }

    /// X, sources × experiments, by experiment.
    #[must_use]
    pub fn injections(&self) -> CsMatView<'_, f64> {
        self.injections.view()
    }

    /// X by source voxel: row s holds the experiments that injected there.
    pub(super) fn by_source(&self) -> CsMatView<'_, f64> {
        self.by_source.view()
    }

    /// Y, targets × experiments, 0 where it was not observed.
    #[must_use]
    pub fn projections(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.projections, self.targets, self.experiments())
    }

    /// The projections of experiment `e`, 0 where they were not observed; empty for an experiment
    /// that is not there.
    #[must_use]
    pub fn projection(&self, e: usize) -> &[f64] {
        let n = self.targets;
        self.projections
            .get(e.saturating_mul(n)..(e.saturating_add(1)).saturating_mul(n))
            .unwrap_or(&[])
    }

    /// Y, column-major.
    pub(super) fn projections_by_experiment(&self) -> &[f64] {
        &self.projections
    }

    /// Where Y was observed.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Names of experiments and regions of voxels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// ‖Ω∘Y‖².
    #[must_use]
    pub fn squared_norm(&self) -> f64 {
        self.projections.iter().map(|y| y * y).sum()
    }

    /// The experiments at `indices`, in that order.
    ///
    /// # Errors
    /// [`Error::Empty`] for no indices or where none of these experiments was observed anywhere,
    /// [`Error::Range`] for an experiment that is not there.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        if indices.is_empty() {
            return Err(Error::empty("experiments"));
        }
        let mut x = TriMat::new((self.sources, indices.len()));
        let mut y = Vec::with_capacity(self.targets * indices.len());
        for (to, &from) in indices.iter().enumerate() {
            let Some(column) = self.injections.outer_view(from) else {
                let expected = format!("0 to {}", self.experiments() - 1);
                return Err(Error::range("experiment", expected, from));
            };
            column.iter().for_each(|(s, v)| x.add_triplet(s, to, *v));
            y.extend_from_slice(self.projection(from));
        }
        let (injections, by_source) = (x.to_csc(), x.to_csr());
        let observed = self.observed.select(indices);
        if observed.count() == 0 {
            return Err(Error::empty("observed projections"));
        }
        let labels = self.labels.select(indices);
        let (sources, targets) = (self.sources, self.targets);
        Ok(Self { sources, targets, injections, by_source, projections: y, observed, labels })
    }
}
