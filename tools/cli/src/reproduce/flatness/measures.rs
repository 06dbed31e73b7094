//! The measures of one trained network that are held against each other.

use hesse::flatness::{ConvBound, Geometry, LogVolume, OverLayers};
use hesse::network::{Dataset, Loss, Network, Objective};
use hesse::parallel;

use super::training::Trained;
use crate::data::accuracy;
use crate::failure::Failure;

/// The mean squared error of common packages, which the reference code trains with.
pub const LOSS: Loss = Loss::MeanSquaredError;

/// Singular values in the log volume of the reference code.
const TOP: usize = 3;

/// Sharpness, and what it is compared with, on some images.
#[derive(Clone, Copy, Debug)]
pub struct Measures {
    /// √S.
    pub sqrt_trace: f64,
    /// Maximum local sensitivity.
    pub mls: f64,
    /// Its sum over layers.
    pub nmls: f64,
    /// Mean log volume, all singular values.
    pub log_volume: f64,
    /// The same of the three largest.
    pub log_volume_top: f64,
    /// Mean local dimension.
    pub local_dimension: f64,
    /// D, the last member of the chain of bounds on MLS.
    pub mls_bound: f64,
    /// The bound on NMLS with all of S.
    pub nmls_bound: f64,
    /// Adaptive sharpness.
    pub adaptive: f64,
    /// Normalised MLS.
    pub normalized_mls: f64,
    /// Relative flatness of the last layer (Gauss-Newton).
    pub relative_flatness: f64,
}

/// One of the [`Measures`].
pub type Column = (&'static str, fn(&Measures) -> f64);

/// All of them, in the order of the reference tables.
pub const COLUMNS: [Column; 11] = [
    ("√S", |m| m.sqrt_trace),
    ("MLS", |m| m.mls),
    ("NMLS", |m| m.nmls),
    ("log volume", |m| m.log_volume),
    ("log volume, top 3", |m| m.log_volume_top),
    ("local dimension", |m| m.local_dimension),
    ("MLS bound D", |m| m.mls_bound),
    ("NMLS bound", |m| m.nmls_bound),
    ("adaptive", |m| m.adaptive),
    ("normalised MLS", |m| m.normalized_mls),
    ("relative flatness", |m| m.relative_flatness),
];

impl Measures {
    /// Of `network` at `parameters`, on the rows of `inputs`.
    ///
    /// # Errors
    /// Those of the library.
    pub fn of(network: &Network<f64>, parameters: &[f64], inputs: &[f64]) -> Result<Self, Failure> {
        let report = Geometry::of_rows(network, parameters, inputs)?.weight_norms().run()?;
        let top = TOP.min(report.input.rank());
        let bounds = report.bounds(ConvBound::Untied)?;
        let (mls_bound, nmls_bound) = (bounds.mls()?.rhs(), bounds.nmls()?.rhs());
        Ok(Self {
            sqrt_trace: report.sqrt_trace(),
            mls: report.mls(),
            nmls: report.nmls(OverLayers::Sum)?,
            log_volume: report.log_volume(LogVolume::All)?,
            log_volume_top: report.log_volume(LogVolume::Top(top))?,
            local_dimension: report.local_dimension()?,
            mls_bound,
            nmls_bound,
            adaptive: report.adaptive_sharpness()?,
            normalized_mls: report.normalized_mls(),
            relative_flatness: report.layers.last().map_or(f64::NAN, |l| l.gauss_newton_flatness()),
        })
    }
}

/// How well a network fits some images.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Mean squared error.
    pub loss: f64,
    /// Share that is right.
    pub accuracy: f64,
}

impl Fit {
    /// Of `network` at `parameters`.
    ///
    /// # Errors
    /// Those of the library.
    pub fn of(
        network: &Network<f64>,
        parameters: &[f64],
        data: &Dataset<f64>,
    ) -> Result<Self, Failure> {
        let objective = Objective::new(network, data, LOSS)?;
        let outputs = objective.outputs(parameters)?;
        let share = accuracy(&outputs, network.outputs(), data.targets(), LOSS);
        Ok(Self { loss: objective.value(parameters)?, accuracy: share.unwrap_or(f64::NAN) })
    }
}

/// A training with what was measured at its end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Learning rate.
    pub rate: f64,
    /// Samples in a batch.
    pub batch: usize,
    /// On the images of the training.
    pub train: Fit,
    /// On images of the training.
    pub measures: Measures,
    /// On images that were not seen.
    pub unseen: Measures,
    /// On all images that were not seen.
    pub test: Fit,
}

/// Images for trainings and measures.
#[derive(Debug)]
pub struct Images {
    /// To train on.
    pub train: Dataset<f64>,
    /// Never trained on.
    pub test: Dataset<f64>,
    /// How many of each are measured on.
    pub measured: usize,
}

impl Images {
    /// The first inputs of the training, and as many that were not seen.
    fn measured(&self) -> [&[f64]; 2] {
        [&self.train, &self.test].map(|d| &d.inputs()[..self.measured * d.features()])
    }

    /// Measures the ends of trainings, side by side.
    ///
    /// # Errors
    /// Those of the library.
    pub fn measure(
        &self,
        network: &Network<f64>,
        trained: &[Trained],
    ) -> Result<Vec<Outcome>, Failure> {
        let [seen, unseen] = self.measured();
        let outcome = |i: usize| {
            let Trained { setting, parameters } = &trained[i];
            Ok(Outcome {
                rate: setting.learning_rate,
                batch: setting.batch,
                train: Fit::of(network, parameters, &self.train)?,
                measures: Measures::of(network, parameters, seen)?,
                unseen: Measures::of(network, parameters, unseen)?,
                test: Fit::of(network, parameters, &self.test)?,
            })
        };
        parallel::map(trained.len(), outcome).into_iter().collect()
    }
}
