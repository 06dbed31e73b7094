//! Training: mini-batches, optimizers, stop rules, checkpoints that resume to the same bits.

mod checkpoint;
mod order;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{Dataset, Loss, Network, Objective, Parameters};
use crate::error::check_finite;
use crate::optimize::{Optimizer, Schedule};
use crate::{Error, Real, Result};
use checkpoint::Checkpoint;
use order::Order;

/// Minimises the mean loss of a network over a data set by steps along mini-batch gradients.
///
/// Every epoch visits each sample once, in the order of a permutation drawn from
/// (seed, epoch); the last batch of an epoch may be short. A batch as large as the data is the full
/// gradient. All randomness is a function of the seed and the step, so a run that stops at a
/// checkpoint and resumes gives the same bits as one that never stopped.
///
/// ```
/// use hesse::network::{
///     Activation, Architecture, Dataset, Loss, Parameters, Targets, Trainer, TrainingStatus,
/// };
/// use hesse::optimize::{Schedule, Sgd, SgdOptions};
///
/// // y = 2x − 1 from four points.
/// let network = Architecture::new([1]).dense(1, Activation::Identity).build::<f64>()?;
/// let targets = Targets::Rows { values: vec![-3.0, -1.0, 1.0, 3.0], width: 1 };
/// let data = Dataset::from_rows(vec![-1.0, 0.0, 1.0, 2.0], 1, targets)?;
/// let start = Parameters::initialize(&network, 1);
/// let mut sgd = Sgd::new(start.values().len(), SgdOptions::default())?;
/// let run = Trainer::new(&network, &data, Loss::HalfSquaredError, Schedule::constant(0.3)?)?
///     .steps(400)
///     .run(start, &mut sgd)?;
/// assert_eq!(run.status, TrainingStatus::StepLimit);
/// assert!((run.parameters.values()[0] - 2.0).abs() < 1e-6);
/// # Ok::<(), hesse::Error>(())
/// ```
pub struct Trainer<'a, T: Real> {
    network: &'a Network<T>,
    data: &'a Dataset<T>,
    objective: Objective<'a, T>,
    schedule: Schedule,
    batch: usize,
    steps: u64,
    seed: u64,
    target_loss: Option<f64>,
    check_every: u64,
    record_every: Option<u64>,
    checkpoint: Option<(PathBuf, u64)>,
    callback: Option<Box<Callback<'a, T>>>,
}

type Callback<'a, T> = dyn FnMut(&TrainingProgress<'_, T>) -> ControlFlow<()> + 'a;

/// What a callback sees of a running training.
#[derive(Clone, Copy, Debug)]
pub struct TrainingProgress<'a, T: Real> {
    /// Steps done.
    pub step: u64,
    /// Steps to do.
    pub steps: u64,
    /// Mean loss of the batch of the last step, before that step.
    pub batch_loss: f64,
    /// θ after the last step.
    pub parameters: &'a [T],
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainingStatus {
    /// All steps are done.
    StepLimit,
    /// The loss on all data is at the target.
    TargetLoss,
    /// The callback asked to stop.
    Interrupted,
    /// A loss, a gradient or the parameters are no longer finite; the parameters are the last that
    /// were.
    Diverged,
}

/// The result of a training.
#[derive(Clone, Debug)]
pub struct TrainingRun<T> {
    /// θ at the end.
    pub parameters: Parameters<T>,
    /// Why it ended.
    pub status: TrainingStatus,
    /// Steps done, those before a resume included.
    pub steps: u64,
    /// Mean loss of the last batch, before its step; NaN where no step was done.
    pub batch_loss: f64,
    /// Steps and their batch losses, as far as [`Trainer::record`] asked for them.
    pub curve: Vec<(u64, f64)>,
}

impl<T: Real> std::fmt::Debug for Trainer<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("objective", &self.objective)
            .field("schedule", &self.schedule)
            .field("batch", &self.batch)
            .field("steps", &self.steps)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<'a, T: Real> Trainer<'a, T> {
    /// Full batches, 1,000 steps, seed 0, unless said otherwise.
    ///
    /// # Errors
    /// Data that do not fit the network or the loss.
    pub fn new(
        network: &'a Network<T>,
        data: &'a Dataset<T>,
        loss: Loss,
        learning_rate: Schedule,
    ) -> Result<Self> {
        Ok(Self {
            network,
            data,
            objective: Objective::new(network, data, loss)?,
            schedule: learning_rate,
            batch: data.len(),
            steps: 1000,
            seed: 0,
            target_loss: None,
            check_every: 100,
            record_every: None,
            checkpoint: None,
            callback: None,
        })
    }

    /// Samples in a batch.
    ///
    /// # Errors
    /// 0, or more than there are.
    pub fn batch(mut self, size: usize) -> Result<Self> {
        if size == 0 || size > self.data.len() {
            return Err(Error::range("batch size", format!("1 to {}", self.data.len()), size));
        }
        self.batch = size;
        Ok(self)
    }

    /// Steps to do in all, those before a resume included.
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Seed of the order of samples.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Stops when the mean loss on all data is at most `loss`, looked at every `every` steps.
    #[must_use]
    pub fn target_loss(mut self, loss: f64, every: u64) -> Self {
        self.target_loss = Some(loss);
        self.check_every = every.max(1);
        self
    }

    /// Keeps the loss of the batch at the first step and at every multiple of `every` in
    /// [`TrainingRun::curve`], and in checkpoints.
    #[must_use]
    pub fn record(mut self, every: u64) -> Self {
        self.record_every = Some(every.max(1));
        self
    }

    /// Calls `callback` after every step; `Break` ends the run.
    #[must_use]
    pub fn callback(
        mut self,
        callback: impl FnMut(&TrainingProgress<'_, T>) -> ControlFlow<()> + 'a,
    ) -> Self {
        self.callback = Some(Box::new(callback));
        self
    }

    /// Writes a checkpoint every `every` steps and at the end, atomically.
    #[must_use]
    pub fn checkpoint(mut self, path: impl AsRef<Path>, every: u64) -> Self {
        self.checkpoint = Some((path.as_ref().to_path_buf(), every.max(1)));
        self
    }

    /// Trains from `parameters`.
    ///
    /// # Errors
    /// Parameters of another network, an optimizer of another length, a checkpoint that cannot be
    /// written.
    pub fn run(
        self,
        parameters: Parameters<T>,
        optimizer: &mut dyn Optimizer<T>,
    ) -> Result<TrainingRun<T>> {
        let start = Checkpoint { step: 0, parameters, batch_loss: f64::NAN, curve: Vec::new() };
        self.run_from(start, optimizer)
    }

    /// Goes on from a checkpoint, which a training with the same settings has written.
    ///
    /// # Errors
    /// A file that is not a checkpoint of this network, data size, batch size, seed and optimizer;
    /// those of [`Trainer::run`].
    pub fn resume(
        self,
        path: impl AsRef<Path>,
        optimizer: &mut dyn Optimizer<T>,
    ) -> Result<TrainingRun<T>> {
        let start = Checkpoint::read(path.as_ref(), &self, optimizer)?;
        self.run_from(start, optimizer)
    }

    fn run_from(
        mut self,
        mut now: Checkpoint<T>,
        optimizer: &mut dyn Optimizer<T>,
    ) -> Result<TrainingRun<T>> {
        let length = self.network.parameter_count();
        if now.parameters.values().len() != length {
            return Err(Error::shape("parameters", length, now.parameters.values().len()));
        }
        // Here and behind every step, so that no step need look again.
        check_finite("parameters", now.parameters.values())?;
        let mut gradient = vec![T::ZERO; length];
        let mut before = vec![T::ZERO; length];
        let mut order = Order::new(self.seed, self.data.len(), self.batch);
        let mut status = TrainingStatus::StepLimit;
        if self.at_target(now.parameters.values())? {
            status = TrainingStatus::TargetLoss;
        }
        while now.step < self.steps && status == TrainingStatus::StepLimit {
            let theta = now.parameters.values_mut();
            let batch = order.batch(now.step);
            let batch_loss = self.objective.training_gradient(theta, batch, &mut gradient);
            if !batch_loss.is_finite() {
                status = TrainingStatus::Diverged;
                break;
            }
            before.copy_from_slice(theta);
            match optimizer.step(theta, &gradient, self.schedule.rate(now.step)) {
                // The gradient, which the optimizer has looked through; nothing has changed.
                Err(Error::NonFinite { .. }) => {
                    status = TrainingStatus::Diverged;
                    break;
                }
                result => result?,
            }
            if check_finite("parameters", theta).is_err() {
                theta.copy_from_slice(&before);
                status = TrainingStatus::Diverged;
                break;
            }
            now.step += 1;
            now.batch_loss = batch_loss;
            let step = now.step;
            if self.record_every.is_some_and(|every| step == 1 || step.is_multiple_of(every)) {
                now.curve.push((step, batch_loss));
            }
            if let Some(callback) = &mut self.callback {
                let progress =
                    TrainingProgress { step, steps: self.steps, batch_loss, parameters: theta };
                if callback(&progress).is_break() {
                    status = TrainingStatus::Interrupted;
                }
            }
            if step.is_multiple_of(self.check_every)
                && status == TrainingStatus::StepLimit
                && self.at_target(now.parameters.values())?
            {
                status = TrainingStatus::TargetLoss;
            }
            if let Some((path, every)) = &self.checkpoint
                && step.is_multiple_of(*every)
            {
                now.write(path, &self, optimizer)?;
            }
        }
        if let Some((path, _)) = &self.checkpoint {
            now.write(path, &self, optimizer)?;
        }
        let Checkpoint { step, parameters, batch_loss, curve } = now;
        Ok(TrainingRun { parameters, status, steps: step, batch_loss, curve })
    }

    fn at_target(&self, parameters: &[T]) -> Result<bool> {
        match self.target_loss {
            Some(target) => Ok(self.objective.value(parameters)? <= target),
            None => Ok(false),
        }
    }
}
