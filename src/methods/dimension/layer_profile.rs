//! Dimensions layer by layer.

use faer::{Mat, MatRef};

use super::estimate::Estimate;
use super::flags::Flag;
use super::geodesic::{GeodesicDimension, GeodesicReport, GeodesicSpread};
use super::maximum_likelihood::MaximumLikelihood;
use super::two_nn::TwoNn;
use crate::neighbors::{Duplicates, Knn, Neighbors};
use crate::network::Network;
use crate::statistics::{NotEstimable, ParticipationRatio};
use crate::{Error, Real, Result};

/// Groups of samples that are left out in turn for the standard error of participation ratios.
const GROUPS: usize = 10;

/// Local, global and linear dimensions of the same samples behind every layer of a network.
///
/// | Kind | By | Error |
/// |---|---|---|
/// | local | [`MaximumLikelihood`] with k = 20 (harmonic mean) | the estimator's own |
/// | local | [`TwoNn`] over 0.9 of the ratios | that of its likelihood, d/√n |
/// | global | [`GeodesicDimension`] on the graph of k = 10 neighbours | its spread over k = 3, 5, 10 and 40, 50, 60 bins |
/// | linear | [`ParticipationRatio`], plain and corrected for few samples | leaving out a tenth of the samples in turn |
///
/// One table of neighbours a layer, of distinct samples, serves both local estimates and the graph. An
/// estimate that a layer has no answer for is an `Err` of its own, the others stand.
///
/// The dimension of a set cannot rise under a layer, which is Lipschitz: where an estimate of the
/// local dimension rises from layer to layer that is a matter of finite samples (Schulte and
/// Rügamer, arXiv 2604.20276), and [`LayerFlag::LocalRises`] says so.
///
/// Source: Recanatesi, Farrell, Advani, Moore, Lajoie, Shea-Brown, arXiv 1906.00443.
///
/// ```
/// use hesse::dimension::LayerProfile;
/// use hesse::faer::Mat;
///
/// // A circle, and what a layer with one rectifier for each axis makes of it.
/// let angle = |i: usize| (i as f64 + 0.5) * std::f64::consts::TAU / 100.0;
/// let circle = Mat::from_fn(100, 2, |i, j| if j == 0 { angle(i).cos() } else { angle(i).sin() });
/// let rectified = Mat::from_fn(100, 2, |i, j| circle[(i, j)].max(0.0));
/// let layers = [("input", circle.as_ref()), ("layer", rectified.as_ref())];
/// let profile = LayerProfile::new().run(&layers)?;
/// let linear = profile[0].participation.as_ref().expect("the circle has variance");
/// assert!((linear.value - 2.0).abs() < 1e-12);
/// // A quarter of the circle became one point.
/// assert_eq!((profile[0].distinct, profile[1].distinct), (100, 76));
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerProfile {
    likelihood: MaximumLikelihood,
    neighbours: usize,
    two_nn: TwoNn,
    geodesic: GeodesicDimension,
    graph: usize,
    spread: bool,
}

/// What is doubtful about a layer's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerFlag {
    /// Some samples are the same here, and were merged for neighbours.
    Copies,
    /// A local estimate is above 2 log₁₀ n: more than n samples can show (Eckmann and Ruelle 1992).
    BeyondSamples,
    /// The local estimate is above that of the layer before by more than two standard errors, or by a
    /// tenth where none is known.
    LocalRises,
    /// The graph-distance dimension has no value or doubts of its own.
    Geodesic,
}

impl LayerFlag {
    /// Its name: `beyond_samples`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copies => "copies",
            Self::BeyondSamples => "beyond_samples",
            Self::LocalRises => "local_rises",
            Self::Geodesic => "geodesic",
        }
    }
}

/// A participation ratio with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinearDimension {
    /// The participation ratio.
    pub value: f64,
    /// By leaving out a tenth of the samples in turn; `None` for fewer than twenty samples, or where
    /// a part has no value.
    pub standard_error: Option<f64>,
}

/// The dimensions behind one layer.
#[derive(Debug)]
#[non_exhaustive]
pub struct LayerDimensions {
    /// The layer.
    pub name: String,
    /// Number of samples.
    pub samples: usize,
    /// Number of different samples.
    pub distinct: usize,
    /// Number of units.
    pub features: usize,
    /// Local, by maximum likelihood.
    pub likelihood: Result<Estimate>,
    /// Local, by the first two neighbours.
    pub two_nn: Result<Estimate>,
    /// Global, by distances along the graph.
    pub geodesic: Result<GeodesicReport>,
    /// How much that depends on neighbours and bins.
    pub spread: Option<GeodesicSpread>,
    /// Linear: the participation ratio of the covariance.
    pub participation: Result<LinearDimension>,
    /// Linear, corrected for few samples.
    pub corrected: Result<LinearDimension>,
    /// What is doubtful.
    pub flags: Vec<LayerFlag>,
}

/// A dimension averaged over classes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClassMean {
    /// The mean over classes.
    pub value: f64,
    /// Its standard error from the differences between classes; `None` for one class.
    pub standard_error: Option<f64>,
    /// Classes that have an answer.
    pub classes: usize,
}

impl ClassMean {
    fn of(values: Vec<f64>) -> Option<Self> {
        let classes = values.len();
        let n = classes as f64;
        let value = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - value) * (v - value)).sum();
        let error = (classes > 1).then(|| (squares / (n * (n - 1.0))).sqrt());
        (classes > 0).then_some(Self { value, standard_error: error, classes })
    }
}

/// The dimensions of the classes behind one layer, each alone; `None` where no class has an answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClassDimensions {
    /// The layer.
    pub name: String,
    /// Number of classes.
    pub classes: usize,
    /// Local, by maximum likelihood.
    pub likelihood: Option<ClassMean>,
    /// Local, by the first two neighbours.
    pub two_nn: Option<ClassMean>,
    /// Linear: the participation ratio of the covariance.
    pub participation: Option<ClassMean>,
    /// Linear, corrected for few samples.
    pub corrected: Option<ClassMean>,
}

impl LayerDimensions {
    /// Linear over local dimension: how much the points curve.
    #[must_use]
    pub fn gain(&self) -> Option<f64> {
        let (linear, local) = (self.participation.as_ref().ok()?, self.likelihood.as_ref().ok()?);
        Some(linear.value / local.value)
    }
}

impl Default for LayerProfile {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerProfile {
    /// As in the table above.
    #[must_use]
    pub fn new() -> Self {
        Self {
            likelihood: MaximumLikelihood::new(20),
            neighbours: 20,
            two_nn: TwoNn::linear(0.9),
            geodesic: GeodesicDimension::new(10),
            graph: 10,
            spread: true,
        }
    }

    /// Neighbours of the estimate by maximum likelihood.
    #[must_use]
    pub fn neighbours(self, k: usize) -> Self {
        Self { likelihood: MaximumLikelihood::new(k), neighbours: k, ..self }
    }

    /// Share of the ratios that TwoNN keeps.
    #[must_use]
    pub fn keep(self, share: f64) -> Self {
        Self { two_nn: TwoNn::linear(share), ..self }
    }

    /// Neighbours of the graph.
    #[must_use]
    pub fn graph(self, k: usize) -> Self {
        Self { geodesic: GeodesicDimension::new(k), graph: k, ..self }
    }

    /// Without the spread of the global dimension, a third of its time.
    #[must_use]
    pub fn without_spread(self) -> Self {
        Self { spread: false, ..self }
    }

    /// Of layers given as samples × features, with their names, first to last.
    ///
    /// # Errors
    /// No layer, layers of different numbers of samples, a layer without samples or features, NaN or
    /// infinities. What a layer has no answer for is no error here.
    pub fn run<T: Real>(&self, layers: &[(&str, MatRef<'_, T>)]) -> Result<Vec<LayerDimensions>> {
        let Some((_, first)) = layers.first() else { return Err(Error::empty("layers")) };
        for (name, layer) in layers {
            if layer.nrows() != first.nrows() {
                let what = format!("samples of layer {name}");
                return Err(Error::shape(what, first.nrows(), layer.nrows()));
            }
        }
        let mut profile: Vec<LayerDimensions> =
            layers.iter().map(|(name, x)| self.layer(name, *x)).collect::<Result<_>>()?;
        for l in 1..profile.len() {
            if let (Ok(before), Ok(here)) = (&profile[l - 1].likelihood, &profile[l].likelihood)
                && rises(before, here)
            {
                profile[l].flags.push(LayerFlag::LocalRises);
            }
        }
        Ok(profile)
    }

    /// Of a network with these parameters on samples × features, row-major: the inputs and behind
    /// every layer.
    ///
    /// # Errors
    /// As [`Network::activations`].
    pub fn of_network<T: Real>(
        &self,
        network: &Network<T>,
        parameters: &[T],
        inputs: &[T],
    ) -> Result<Vec<LayerDimensions>> {
        let all = network.activations(parameters, inputs)?;
        let layers: Vec<_> = all.iter().map(|a| (a.name.as_str(), a.rows())).collect();
        self.run(&layers)
    }

    /// The dimensions of the samples of each class alone, averaged over classes: those of the
    /// sub-manifolds that a network keeps apart.
    ///
    /// A class counts for what it has an answer to; one of too few samples counts for nothing.
    ///
    /// # Errors
    /// As [`LayerProfile::run`], another number of labels than of samples.
    pub fn within_classes<T: Real>(
        &self,
        layers: &[(&str, MatRef<'_, T>)],
        labels: &[usize],
    ) -> Result<Vec<ClassDimensions>> {
        let Some((_, first)) = layers.first() else { return Err(Error::empty("layers")) };
        if labels.len() != first.nrows() {
            return Err(Error::shape("labels", first.nrows(), labels.len()));
        }
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        let alone = Self { spread: false, ..self.clone() };
        let mut profiles = Vec::with_capacity(classes.len());
        for class in &classes {
            let rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == *class).collect();
            let parts: Vec<(&str, Mat<T>)> = layers
                .iter()
                .map(|(name, x)| {
                    if x.nrows() != labels.len() {
                        let what = format!("samples of layer {name}");
                        return Err(Error::shape(what, labels.len(), x.nrows()));
                    }
                    Ok((*name, Mat::from_fn(rows.len(), x.ncols(), |i, j| x[(rows[i], j)])))
                })
                .collect::<Result<_>>()?;
            let views: Vec<_> = parts.iter().map(|(name, x)| (*name, x.as_ref())).collect();
            profiles.push(alone.run(&views)?);
        }
        let mean = |l: usize, of: fn(&LayerDimensions) -> Option<f64>| {
            ClassMean::of(profiles.iter().filter_map(|layers| of(&layers[l])).collect())
        };
        let layer = |(l, (name, _)): (usize, &(&str, MatRef<'_, T>))| ClassDimensions {
            name: (*name).to_owned(),
            classes: classes.len(),
            likelihood: mean(l, |d| d.likelihood.as_ref().ok().map(|e| e.value)),
            two_nn: mean(l, |d| d.two_nn.as_ref().ok().map(|e| e.value)),
            participation: mean(l, |d| d.participation.as_ref().ok().map(|e| e.value)),
            corrected: mean(l, |d| d.corrected.as_ref().ok().map(|e| e.value)),
        };
        Ok(layers.iter().enumerate().map(layer).collect())
    }

    fn layer<T: Real>(&self, name: &str, x: MatRef<'_, T>) -> Result<LayerDimensions> {
        let (samples, features) = x.shape();
        let spread: &[usize] = if self.spread { &SPREAD_NEIGHBOURS } else { &[] };
        let wanted = spread.iter().copied().chain([self.neighbours, self.graph, 2]);
        let table = table(x, wanted.fold(0, usize::max))?;
        let (distinct, k) = table.as_ref().map_or((1, 0), |table| (table.len(), table.k()));
        let with = |f: &dyn Fn(&Neighbors) -> Result<Estimate>| match &table {
            Some(table) => f(table),
            None => Err(all_one(name)),
        };
        let likelihood = with(&|table| self.likelihood.fit(table));
        let two_nn = with(&|table| {
            let found = self.two_nn.fit(table)?;
            found.or_error(found.value / (found.points as f64).sqrt())
        });
        let geodesic = match &table {
            Some(table) => self.geodesic.fit(table),
            None => Err(all_one(name)),
        };
        let spread = match &table {
            Some(table) if k >= 10 && self.spread => {
                self.geodesic.spread(table, &SPREAD_NEIGHBOURS, &[40, 50, 60]).ok()
            }
            _ => None,
        };
        // In f64 whatever the storage: the ratio of sums of fourth powers shows every digit.
        let x = Mat::from_fn(samples, features, |i, j| x[(i, j)].to_f64());
        let (participation, corrected) = linear(x.as_ref());
        let beyond = |e: &Estimate| e.flags.contains(Flag::BeyondSample);
        let beyond = [&likelihood, &two_nn].into_iter().flatten().any(beyond);
        let doubtful = geodesic.as_ref().map_or(true, |r| r.fit.is_err() || !r.flags().is_empty());
        let flags = [
            (distinct < samples, LayerFlag::Copies),
            (beyond, LayerFlag::BeyondSamples),
            (doubtful, LayerFlag::Geodesic),
        ];
        Ok(LayerDimensions {
            name: name.to_owned(),
            samples,
            distinct,
            features,
            likelihood,
            two_nn,
            geodesic,
            spread,
            participation,
            corrected,
            flags: flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag).collect(),
        })
    }
}

const SPREAD_NEIGHBOURS: [usize; 3] = [3, 5, 10];

/// The table of k neighbours of distinct samples, of all others where they are fewer: an estimator
/// that needs more says so itself. `None` where all samples are the same.
fn table<T: Real>(x: MatRef<'_, T>, k: usize) -> Result<Option<Neighbors>> {
    let merged = |k| Knn::new(k).duplicates(Duplicates::Merge).build(x);
    if let Ok(table) = merged(k) {
        return Ok(Some(table));
    }
    match merged(1) {
        Ok(nearest) => merged(k.min(nearest.len() - 1)).map(Some),
        Err(_) if x.nrows() > 0 && x.ncols() > 0 && all_the_same(x) => Ok(None),
        Err(error) => Err(error),
    }
}

fn all_the_same<T: Real>(x: MatRef<'_, T>) -> bool {
    let finite = (0..x.ncols()).all(|j| x[(0, j)].is_finite());
    finite && (1..x.nrows()).all(|i| (0..x.ncols()).all(|j| x[(i, j)] == x[(0, j)]))
}

fn all_one(name: &str) -> Error {
    Error::range(format!("samples of layer {name}"), "two different ones or more", "one")
}

fn rises(before: &Estimate, here: &Estimate) -> bool {
    let error = |e: &Estimate| e.standard_error;
    let margin = match (error(before), error(here)) {
        (Some(a), Some(b)) => 2.0 * a.hypot(b),
        _ => 0.1 * before.value,
    };
    here.value - before.value > margin
}

/// The participation ratio and that corrected for few samples, with their jackknife.
fn linear(x: MatRef<'_, f64>) -> (Result<LinearDimension>, Result<LinearDimension>) {
    let whole = match ParticipationRatio::of(x) {
        Ok(whole) => whole,
        Err(error) => {
            let text = error.to_string();
            return (
                Err(error),
                Err(Error::not_applicable("participation ratio", "variance", text)),
            );
        }
    };
    let n = x.nrows();
    let parts: Vec<ParticipationRatio> = if n < 2 * GROUPS {
        Vec::new()
    } else {
        let part = |g: usize| {
            let rows: Vec<usize> = (0..n).filter(|i| i % GROUPS != g).collect();
            let part = Mat::from_fn(rows.len(), x.ncols(), |i, j| x[(rows[i], j)]);
            ParticipationRatio::of(part.as_ref()).ok()
        };
        (0..GROUPS).filter_map(part).collect()
    };
    let of = |get: &dyn Fn(&ParticipationRatio) -> Result<f64, NotEstimable>| {
        let value = get(&whole)?;
        let parts: Vec<f64> = parts.iter().filter_map(|part| get(part).ok()).collect();
        Ok(LinearDimension { value, standard_error: jackknife(&parts) })
    };
    let named = |found: Result<LinearDimension, NotEstimable>| {
        found.map_err(|reason| {
            let expected = "positive estimates of both moments";
            Error::not_applicable("participation ratio", expected, format!("{reason:?}"))
        })
    };
    (named(of(&|pr| Ok(pr.naive))), named(of(&|pr| pr.row)))
}

/// √((G − 1)/G Σ (θ − mean)²) of G values, each without another group.
fn jackknife(parts: &[f64]) -> Option<f64> {
    if parts.len() < GROUPS {
        return None;
    }
    let groups = parts.len() as f64;
    let mean = parts.iter().sum::<f64>() / groups;
    let squares: f64 = parts.iter().map(|p| (p - mean) * (p - mean)).sum();
    Some(((groups - 1.0) / groups * squares).sqrt())
}
