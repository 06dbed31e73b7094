//! Training: mini-batches, optimizers, stop rules, checkpoints that resume to the same bits.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{Dataset, Loss, Network, Objective, Parameters};
use crate::error::check_finite;
use crate::io::{Archive, Array};
use crate::optimize::{Optimizer, Schedule, State};
use crate::random::Stream;
use crate::{Error, Real, Result};

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
        self.run_from(0, parameters, optimizer)
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
        let archive = Archive::read(path)?;
        let wanted = self.settings();
        let found = archive.get(SETTINGS)?.to_indices()?;
        if found != wanted {
            return Err(Error::shape(
                "checkpoint: [version, seed (two halves), samples, batch size]",
                wanted,
                found,
            ));
        }
        let step = archive.get(STEP)?.index()? as u64;
        let parameters = archive.get(PARAMETERS)?.to_real::<T>()?;
        let parameters = Parameters::from_values(self.network, parameters)?;
        let mut arrays = Vec::new();
        for (name, array) in archive.iter() {
            if let Some(name) = name.strip_prefix(OPTIMIZER) {
                arrays.push((name, array.to_real::<T>()?));
            }
        }
        let arrays = arrays.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        let steps = archive.get(OPTIMIZER_STEPS)?.index()? as u64;
        optimizer.restore(&State { steps, arrays })?;
        self.run_from(step, parameters, optimizer)
    }

    fn run_from(
        mut self,
        first: u64,
        mut parameters: Parameters<T>,
        optimizer: &mut dyn Optimizer<T>,
    ) -> Result<TrainingRun<T>> {
        let length = self.network.parameter_count();
        if parameters.values().len() != length {
            return Err(Error::shape("parameters", length, parameters.values().len()));
        }
        let mut gradient = vec![T::ZERO; length];
        let mut before = vec![T::ZERO; length];
        let mut order = Order::new(self.seed, self.data.len(), self.batch);
        let mut step = first;
        let mut batch_loss = f64::NAN;
        let mut status = TrainingStatus::StepLimit;
        if self.at_target(parameters.values())? {
            status = TrainingStatus::TargetLoss;
        }
        while step < self.steps && status == TrainingStatus::StepLimit {
            let theta = parameters.values_mut();
            batch_loss = match order.batch(step) {
                None => self.objective.gradient(theta, &mut gradient)?,
                Some(batch) => self.objective.batch_gradient(theta, batch, &mut gradient)?,
            };
            if !batch_loss.is_finite() || check_finite("gradient", &gradient).is_err() {
                status = TrainingStatus::Diverged;
                break;
            }
            before.copy_from_slice(theta);
            optimizer.step(theta, &gradient, self.schedule.rate(step))?;
            if check_finite("parameters", theta).is_err() {
                theta.copy_from_slice(&before);
                status = TrainingStatus::Diverged;
                break;
            }
            step += 1;
            if let Some(callback) = &mut self.callback {
                let progress =
                    TrainingProgress { step, steps: self.steps, batch_loss, parameters: theta };
                if callback(&progress).is_break() {
                    status = TrainingStatus::Interrupted;
                }
            }
            if step.is_multiple_of(self.check_every)
                && status == TrainingStatus::StepLimit
                && self.at_target(parameters.values())?
            {
                status = TrainingStatus::TargetLoss;
            }
            if let Some((path, every)) = &self.checkpoint
                && step.is_multiple_of(*every)
            {
                self.save(path, step, parameters.values(), optimizer)?;
            }
        }
        if let Some((path, _)) = &self.checkpoint {
            self.save(path, step, parameters.values(), optimizer)?;
        }
        Ok(TrainingRun { parameters, status, steps: step, batch_loss })
    }

    fn at_target(&self, parameters: &[T]) -> Result<bool> {
        match self.target_loss {
            Some(target) => Ok(self.objective.value(parameters)? <= target),
            None => Ok(false),
        }
    }

    fn settings(&self) -> Vec<usize> {
        let halves = [self.seed >> 32, self.seed & 0xffff_ffff];
        let [high, low] = halves.map(|half| usize::try_from(half).unwrap_or(usize::MAX));
        vec![CHECKPOINT_VERSION, high, low, self.data.len(), self.batch]
    }

    fn save(
        &self,
        path: &Path,
        step: u64,
        parameters: &[T],
        optimizer: &dyn Optimizer<T>,
    ) -> Result<()> {
        let mut archive = Archive::new();
        let settings: Vec<u64> = self.settings().iter().map(|&x| x as u64).collect();
        archive.insert(SETTINGS, Array::from_vector(settings));
        archive.insert(STEP, Array::from_scalar(step));
        archive.insert(PARAMETERS, Array::from_real([parameters.len()], parameters)?);
        let state = optimizer.state();
        archive.insert(OPTIMIZER_STEPS, Array::from_scalar(state.steps));
        for (name, values) in state.arrays {
            let name = format!("{OPTIMIZER}{name}");
            archive.insert(name, Array::from_real([values.len()], values)?);
        }
        archive.write(path)
    }
}

/// Names in a checkpoint.
const SETTINGS: &str = "settings";
const STEP: &str = "step";
const PARAMETERS: &str = "parameters";
const OPTIMIZER: &str = "optimizer.";
const OPTIMIZER_STEPS: &str = "optimizer steps";
const CHECKPOINT_VERSION: usize = 1;

/// The order in which samples are visited.
struct Order {
    stream: Stream,
    samples: usize,
    batch: usize,
    epoch: Option<u64>,
    permutation: Vec<usize>,
}

impl Order {
    fn new(seed: u64, samples: usize, batch: usize) -> Self {
        let stream = Stream::new(seed, "mini-batches");
        Self { stream, samples, batch, epoch: None, permutation: Vec::new() }
    }

    /// The batch of `step`; `None` for all samples.
    fn batch(&mut self, step: u64) -> Option<&[usize]> {
        if self.batch == self.samples {
            return None;
        }
        let per_epoch = self.samples.div_ceil(self.batch) as u64;
        let (epoch, within) = (step / per_epoch, (step % per_epoch) as usize);
        if self.epoch != Some(epoch) {
            self.permutation = self.stream.child(epoch).permutation(self.samples);
            self.epoch = Some(epoch);
        }
        let end = self.samples.min((within + 1) * self.batch);
        Some(&self.permutation[within * self.batch..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_visits_each_sample_once() {
        let mut order = Order::new(3, 10, 4);
        for epoch in 0..3 {
            let mut seen: Vec<usize> =
                (0..3).flat_map(|i| order.batch(3 * epoch + i).unwrap().to_vec()).collect();
            assert_eq!(order.batch(3 * epoch + 2).unwrap().len(), 2);
            seen.sort_unstable();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
        assert!(Order::new(3, 10, 10).batch(5).is_none());
        // A resumed order is the same order.
        let later = Order::new(3, 10, 4).batch(7).unwrap().to_vec();
        assert_eq!(order.batch(7).unwrap(), later);
    }
}
