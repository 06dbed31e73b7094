//! The loss of a network on data as a function of its parameters: value, gradient, and at one point
//! the exact Hessian, the Gauss-Newton matrix and the Jacobian as operators.

mod hessian;
mod jacobian;
mod point;
mod shard;
mod steps;

use std::borrow::Cow;

pub use hessian::{GaussNewton, Hessian};
pub use point::Point;
pub(crate) use shard::Samples;
use shard::{Primal, Shards, Workspace};
use steps::Steps;

use super::data::{Dataset, check_samples};
use super::layer::{Gradients, Keep, Layer};
use super::layers::BatchStatistics;
use super::loss::{PreparedTargets, Scales};
use super::{Loss, Network, Reduction};
use crate::error::check_finite;
use crate::numerics::parallel::{self, Pool};
use crate::{Error, Real, Result};

/// L(θ) = Σᵢ wᵢ ℓ(f(xᵢ; θ), yᵢ) / Σᵢ wᵢ (or without the division, see [`Reduction`]) for a network f
/// and samples (xᵢ, yᵢ) with weights wᵢ, 1 by default.
///
/// Samples are cut into shards whose size depends on the network alone, so results are the same bits
/// for any number of threads. Within a shard sums over samples are those of a matrix product in the
/// storage type; the shards' losses are added in `f64`, their gradients pairwise.
///
/// ```
/// use hesse::krylov::LinearOperator;
/// use hesse::network::{Activation, Architecture, Dataset, Loss, Objective, Targets};
///
/// // One linear unit f = w x + b with ½(f − y)²: the Hessian is the mean of (x, 1)(x, 1)ᵀ.
/// let network = Architecture::new([1]).dense(1, Activation::Identity).build::<f64>()?;
/// let targets = Targets::Rows { values: vec![0.0, 0.0], width: 1 };
/// let data = Dataset::from_rows(vec![1.0, 3.0], 1, targets)?;
/// let objective = Objective::new(&network, &data, Loss::HalfSquaredError)?;
/// let point = objective.at(&[2.0, 1.0])?;
/// assert_eq!(point.value(), (3.0 * 3.0 + 7.0 * 7.0) / 4.0);
/// assert_eq!(point.gradient(), [(3.0 + 21.0) / 2.0, (3.0 + 7.0) / 2.0]);
/// let mut column = [0.0; 2];
/// point.hessian().apply(&[1.0, 0.0], &mut column);
/// assert_eq!(column, [(1.0 + 9.0) / 2.0, (1.0 + 3.0) / 2.0]);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Debug)]
pub struct Objective<'a, T: Real> {
    network: &'a Network<T>,
    data: Cow<'a, Dataset<T>>,
    targets: PreparedTargets<T>,
    loss: Loss,
    steps: Steps,
    reduction: Reduction,
    weights: Option<Vec<f64>>,
    memory_budget: usize,
    workspaces: Pool<Workspace<T>>,
    vectors: Pool<Vec<T>>,
}

/// What [`Objective::memory_budget`] is unless it is said: 4 GiB.
const DEFAULT_BUDGET: usize = 4 << 30;

impl<'a, T: Real> Objective<'a, T> {
    /// The loss of `network` on all of `data`, averaged over samples.
    ///
    /// # Errors
    /// Another number of features than the network's inputs, inputs that its first layer refuses
    /// (see [`Layer::check_input`]), targets that do not fit the
    /// loss.
    pub fn new(network: &'a Network<T>, data: &'a Dataset<T>, loss: Loss) -> Result<Self> {
        Self::with_steps(network, data, loss, Steps::one(network))
    }

    /// The same with a loss at every step t of outputs of shape `[time, …]`:
    /// Σᵢ wᵢ Σ_t m_t ℓ(f_t(xᵢ; θ), y_it) / Σᵢ wᵢ for weights m_t of the steps, which are zero where
    /// the outputs do not matter. A class is that of all steps of its sample; rows of targets hold
    /// all steps.
    ///
    /// # Errors
    /// As [`Objective::new`]; weights that are negative, not finite or not one for each step.
    pub fn at_each_step(
        network: &'a Network<T>,
        data: &'a Dataset<T>,
        loss: Loss,
        weights: Vec<f64>,
    ) -> Result<Self> {
        Self::with_steps(network, data, loss, Steps::each(network, weights)?)
    }

    fn with_steps(
        network: &'a Network<T>,
        data: &'a Dataset<T>,
        loss: Loss,
        steps: Steps,
    ) -> Result<Self> {
        if data.features() != network.inputs() {
            return Err(Error::shape("inputs: features", network.inputs(), data.features()));
        }
        network.layers().check_input(data.inputs())?;
        Ok(Self {
            network,
            data: Cow::Borrowed(data),
            targets: steps.targets(loss, data.targets())?,
            loss,
            steps,
            reduction: Reduction::Mean,
            weights: None,
            memory_budget: DEFAULT_BUDGET,
            workspaces: Pool::default(),
            vectors: Pool::default(),
        })
    }

    /// Mean or sum over samples.
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Only the samples with these indices, which may repeat; forgets weights.
    ///
    /// # Errors
    /// No index, or one out of range.
    pub fn samples(mut self, samples: &[usize]) -> Result<Self> {
        let data = self.data.select(samples)?;
        self.targets = self.steps.targets(self.loss, data.targets())?;
        self.data = Cow::Owned(data);
        self.weights = None;
        Ok(self)
    }

    /// Weights wᵢ of the samples.
    ///
    /// # Errors
    /// Another number of weights than samples, negative ones or NaN, a sum that is not positive.
    pub fn weights(mut self, weights: Vec<f64>) -> Result<Self> {
        if weights.len() != self.data.len() {
            return Err(Error::shape("weights", self.data.len(), weights.len()));
        }
        check_finite("weights", &weights)?;
        if let Some(w) = weights.iter().find(|&&w| w < 0.0) {
            return Err(Error::range("weights", "not negative", w));
        }
        let sum: f64 = weights.iter().sum();
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(Error::range("weights: sum", "positive and finite", sum));
        }
        self.weights = Some(weights);
        Ok(self)
    }

    /// Bytes that [`Objective::at`] may keep of primal passes; what does not fit is computed again
    /// for every product. The results do not depend on it.
    #[must_use]
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &'a Network<T> {
        self.network
    }

    /// The loss of one sample.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Whether neither samples nor steps have weights of their own, and losses are averaged.
    pub(crate) fn is_plain_mean(&self) -> bool {
        self.weights.is_none() && self.steps.is_one() && self.reduction == Reduction::Mean
    }

    /// The samples.
    #[must_use]
    pub fn data(&self) -> &Dataset<T> {
        &self.data
    }

    /// Bytes that the primal passes of all samples take.
    #[must_use]
    pub fn memory_estimate(&self) -> usize {
        shard::bytes_of(self.network, self.data.len())
    }

    /// L(θ). One forward pass.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities among them.
    pub fn value(&self, parameters: &[T]) -> Result<f64> {
        self.check(parameters)?;
        let shards = self.shards();
        Ok(parallel::sum(shards.len(), |s| {
            self.workspaces.with(|work| {
                let samples = Samples::Range(shards.range(s));
                self.forward(parameters, &samples, Keep::Outputs, &mut work.primal);
                let scales = self.scales(&samples);
                let Primal { outputs, .. } = &work.primal;
                self.evaluate(outputs, &samples, &scales, None, None)
            })
        }))
    }

    /// L(θ), and ∇L(θ) into `gradient`. One forward and one adjoint pass.
    ///
    /// # Errors
    /// A wrong number of parameters or of elements of `gradient`, NaN or infinities in parameters.
    pub fn gradient(&self, parameters: &[T], gradient: &mut [T]) -> Result<f64> {
        self.check(parameters)?;
        self.check_length("gradient", gradient.len())?;
        Ok(self.training_gradient(parameters, None, gradient))
    }

    /// The same on the samples with these indices, each of weight 1 (a mini-batch): the mean of
    /// their losses and its gradient, or the sum under [`Reduction::Sum`].
    ///
    /// # Errors
    /// As [`Objective::gradient`]; no index, or one out of range.
    pub fn batch_gradient(
        &self,
        parameters: &[T],
        batch: &[usize],
        gradient: &mut [T],
    ) -> Result<f64> {
        self.check(parameters)?;
        self.check_length("gradient", gradient.len())?;
        check_samples(batch, self.data.len())?;
        Ok(self.training_gradient(parameters, Some(batch), gradient))
    }

    /// [`Objective::gradient`] or [`Objective::batch_gradient`] with arguments that are known to be
    /// right: a scan of the parameters is not small beside a step of a small network.
    pub(crate) fn training_gradient(
        &self,
        parameters: &[T],
        batch: Option<&[usize]>,
        gradient: &mut [T],
    ) -> f64 {
        match batch {
            None => {
                let shards = self.shards();
                let samples = |s| Samples::Range(shards.range(s));
                self.sum_gradients(parameters, &shards, samples, gradient)
            }
            Some(batch) => {
                let shards = Shards::new(self.network, batch.len());
                let samples =
                    |s| Samples::Batch { indices: &batch[shards.range(s)], of: batch.len() };
                self.sum_gradients(parameters, &shards, samples, gradient)
            }
        }
    }

    /// ∂ℓᵢ/∂θ of every sample, one row a sample: n × P, row-major. Weights and the division by n are
    /// not applied.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities among them; a network whose samples depend on
    /// each other, so that none has a gradient of its own.
    pub fn per_sample_gradients(&self, parameters: &[T]) -> Result<Vec<T>> {
        self.check(parameters)?;
        if self.network.layers().couples_samples() {
            let expected = "a network without statistics of the batch";
            return Err(Error::range("gradients of single samples", expected, "one with them"));
        }
        let length = parameters.len();
        let mut rows = vec![T::ZERO; length * self.data.len()];
        parallel::for_each_piece(&mut rows, length.max(1), |sample, row| {
            self.workspaces.with(|work| {
                let samples = Samples::Range(sample..sample + 1);
                let alone = self.steps.scales(1, Scales { weights: None, scale: 1.0 });
                self.primal(parameters, &samples, &alone, Keep::FirstOrder, Some(row), work);
            });
        });
        Ok(rows)
    }

    /// Mean and variance of every channel that a layer of the network normalises by those of the
    /// batch, at θ and over all samples, layer by layer. One forward pass.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities among them.
    pub fn batch_statistics(&self, parameters: &[T]) -> Result<Vec<BatchStatistics>> {
        self.check(parameters)?;
        let mut statistics = Vec::new();
        if self.network.layers().couples_samples() {
            self.workspaces.with(|work| {
                let samples = Samples::Range(0..self.data.len());
                self.forward(parameters, &samples, Keep::Outputs, &mut work.primal);
                self.network.layers().batch_statistics(&work.primal.state, &mut statistics);
            });
        }
        Ok(statistics)
    }

    /// f(xᵢ; θ) of every sample, n × N, row-major.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities among them.
    pub fn outputs(&self, parameters: &[T]) -> Result<Vec<T>> {
        self.check(parameters)?;
        let shards = self.shards();
        let width = self.network.outputs();
        let mut outputs = vec![T::ZERO; width * self.data.len()];
        parallel::for_each_piece(&mut outputs, shards.size() * width, |s, piece| {
            self.workspaces.with(|work| {
                let samples = Samples::Range(shards.range(s));
                self.forward(parameters, &samples, Keep::Outputs, &mut work.primal);
                piece.copy_from_slice(&work.primal.outputs);
            });
        });
        Ok(outputs)
    }

    /// Runs the primal passes at θ and keeps them, as far as the memory budget allows, for the
    /// operators of second order.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities among them.
    pub fn at<'o>(&'o self, parameters: &[T]) -> Result<Point<'o, 'a, T>> {
        self.check(parameters)?;
        Ok(Point::new(self, parameters.to_vec()))
    }

    fn check(&self, parameters: &[T]) -> Result<()> {
        self.check_length("parameters", parameters.len())?;
        check_finite("parameters", parameters)
    }

    fn check_length(&self, what: &str, length: usize) -> Result<()> {
        if length == self.network.parameter_count() {
            return Ok(());
        }
        Err(Error::shape(what, self.network.parameter_count(), length))
    }

    fn shards(&self) -> Shards {
        Shards::new(self.network, self.data.len())
    }

    /// Factors of the samples' losses in L.
    fn scales(&self, samples: &Samples<'_>) -> Scales<T> {
        let (weights, total) = match (samples, &self.weights) {
            (Samples::Batch { of, .. }, _) => (None, *of as f64),
            (Samples::Range(range), Some(weights)) => {
                let of_shard = weights[range.clone()].iter().map(|&w| T::from_f64(w)).collect();
                (Some(of_shard), weights.iter().sum())
            }
            (Samples::Range(_), None) => (None, self.data.len() as f64),
        };
        let scale = match self.reduction {
            Reduction::Mean => 1.0 / total,
            Reduction::Sum => 1.0,
        };
        self.steps.scales(samples.len(), Scales { weights, scale })
    }

    fn evaluate(
        &self,
        outputs: &[T],
        samples: &Samples<'_>,
        scales: &Scales<T>,
        gradient: Option<&mut [T]>,
        curvature: Option<&mut [T]>,
    ) -> f64 {
        let width = self.steps.width();
        let mut indices = Vec::new();
        let rows = self.steps.rows(samples, &mut indices);
        self.loss.evaluate(outputs, width, &self.targets, &rows, scales, gradient, curvature)
    }

    /// Runs over the shards and adds their gradients in a fixed tree of leaves of several shards.
    fn sum_gradients<'s>(
        &self,
        parameters: &[T],
        shards: &Shards,
        samples: impl Fn(usize) -> Samples<'s> + Sync,
        gradient: &mut [T],
    ) -> f64 {
        shards.reduce_into(gradient, &self.vectors, |s, sum| {
            self.workspaces.with(|work| {
                let samples = samples(s);
                let scales = self.scales(&samples);
                self.primal(parameters, &samples, &scales, Keep::FirstOrder, Some(sum), work)
            })
        })
    }

    fn forward(&self, parameters: &[T], samples: &Samples<'_>, keep: Keep, primal: &mut Primal<T>) {
        let input = primal.gathered.gather(&self.data, samples);
        primal.outputs.resize(samples.len() * self.network.outputs(), T::ZERO);
        let outputs = &mut primal.outputs;
        self.network.layers().forward(parameters, input, outputs, &mut primal.state, keep);
    }

    /// Forward and adjoint pass of a shard. Adds the gradient where it is wanted; with
    /// [`Keep::SecondOrder`] leaves in `work.primal` what the operators need. Returns the loss.
    fn primal(
        &self,
        parameters: &[T],
        samples: &Samples<'_>,
        scales: &Scales<T>,
        keep: Keep,
        gradient: Option<&mut [T]>,
        work: &mut Workspace<T>,
    ) -> f64 {
        use super::layer::Adjoint;
        let Workspace { primal, error, scratch, .. } = work;
        self.forward(parameters, samples, keep, primal);
        let second = keep == Keep::SecondOrder;
        let Primal { state, errors, outputs, curvature, gathered } = primal;
        error.resize(outputs.len(), T::ZERO);
        let wanted = second && self.loss.has_curvature_state();
        curvature.resize(if wanted { outputs.len() } else { 0 }, T::ZERO);
        let probabilities = wanted.then_some(curvature.as_mut_slice());
        let loss = self.evaluate(outputs, samples, scales, Some(error), probabilities);
        let length = parameters.len();
        self.network.layers().adjoint(
            Adjoint { parameters, input: gathered.inputs(&self.data, samples), state, count: 1 },
            error,
            None,
            gradient.map(|g| Gradients::new(g, length)),
            second.then_some(errors),
            scratch,
        );
        loss
    }
}
