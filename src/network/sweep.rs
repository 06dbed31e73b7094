//! Many trainings of one network on the same data, side by side: learning rates, batch sizes, seeds.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Dataset, Loss, Network, Parameters, Trainer, TrainingRun, TrainingStatus};
use crate::optimize::{Optimizer, Schedule, Sgd, SgdOptions};
use crate::{Error, Real, Result};

/// What one training of a [`Sweep`] has of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepSetting {
    /// Learning rate, the same at every step.
    pub learning_rate: f64,
    /// Samples in a batch.
    pub batch: usize,
    /// Seed of the first parameters and of the order of samples.
    pub seed: u64,
}

/// `rate0.5-batch20-seed1`: different settings have different names, which are names of folders.
impl fmt::Display for SweepSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { learning_rate: rate, batch, seed } = self;
        if *rate == 0.0 || (1e-4..1e6).contains(rate) {
            write!(f, "rate{rate}-batch{batch}-seed{seed}")
        } else {
            write!(f, "rate{rate:e}-batch{batch}-seed{seed}")
        }
    }
}

/// One training of a sweep, as far as it came.
#[derive(Clone, Debug)]
pub struct SweepRun<T> {
    /// Its setting.
    pub setting: SweepSetting,
    /// How it ended; `None` where the sweep was interrupted before it began.
    pub training: Option<TrainingRun<T>>,
}

/// What a callback sees of a running sweep.
#[derive(Clone, Copy, Debug)]
pub struct SweepProgress<'a> {
    /// Number of the training, in the order of the settings.
    pub run: usize,
    /// Its setting.
    pub setting: &'a SweepSetting,
    /// Its steps done, those before a resume included.
    pub step: u64,
    /// Its steps to do.
    pub steps: u64,
    /// Loss of its last batch.
    pub batch_loss: f64,
    /// How it ended; `None` while it runs.
    pub status: Option<TrainingStatus>,
}

/// Trains a network once for every setting, each from parameters drawn with the setting's seed.
///
/// A training is one task and runs on one thread; as many run at once as rayon's current pool has
/// threads. Each gives the bits that a [`Trainer`] with the same setting gives, for any number of
/// threads. One that diverges ends with that status, and the others go on. With a folder, every
/// training has a checkpoint in a folder of its own, from which [`Sweep::resume`] goes on to the same
/// bits; those that had ended are not repeated.
///
/// ```
/// use hesse::network::{
///     Activation, Architecture, Dataset, Loss, Sweep, Targets, TrainingStatus,
/// };
///
/// // ½(w x − 2x)² on one point x = 1: w moves by (1 − η) of the way, and away from 2 for η > 2.
/// let network = Architecture::new([1]).dense(1, Activation::Identity).build::<f64>()?;
/// let targets = Targets::Rows { values: vec![2.0], width: 1 };
/// let data = Dataset::from_rows(vec![1.0], 1, targets)?;
/// let runs = Sweep::new(&network, &data, Loss::HalfSquaredError)
///     .grid(&[0.3, 3.0], &[1], &[1, 2])
///     .steps(2000)
///     .run()?;
/// let status: Vec<_> = runs.iter().map(|run| run.training.as_ref().unwrap().status).collect();
/// assert_eq!(status[..2], [TrainingStatus::StepLimit; 2]);
/// assert_eq!(status[2..], [TrainingStatus::Diverged; 2]);
/// # Ok::<(), hesse::Error>(())
/// ```
pub struct Sweep<'a, T: Real> {
    network: &'a Network<T>,
    data: &'a Dataset<T>,
    loss: Loss,
    settings: Vec<SweepSetting>,
    steps: u64,
    target_loss: Option<(f64, u64)>,
    record_every: Option<u64>,
    optimizer: Box<NewOptimizer<'a, T>>,
    folder: Option<(PathBuf, u64)>,
    resume: bool,
    callback: Option<(Box<Callback<'a>>, u64)>,
}

type NewOptimizer<'a, T> = dyn Fn() -> Result<Box<dyn Optimizer<T>>> + Sync + 'a;
type Callback<'a> = dyn Fn(&SweepProgress<'_>) -> ControlFlow<()> + Sync + 'a;

impl<T: Real> fmt::Debug for Sweep<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep")
            .field("settings", &self.settings)
            .field("steps", &self.steps)
            .field("folder", &self.folder)
            .field("resume", &self.resume)
            .finish_non_exhaustive()
    }
}

impl<'a, T: Real> Sweep<'a, T> {
    /// No settings yet; 1,000 steps of plain gradient descent unless said otherwise.
    #[must_use]
    pub fn new(network: &'a Network<T>, data: &'a Dataset<T>, loss: Loss) -> Self {
        let length = network.parameter_count();
        let sgd = move || -> Result<Box<dyn Optimizer<T>>> {
            Ok(Box::new(Sgd::new(length, SgdOptions::default())?))
        };
        Self {
            network,
            data,
            loss,
            settings: Vec::new(),
            steps: 1000,
            target_loss: None,
            record_every: None,
            optimizer: Box::new(sgd),
            folder: None,
            resume: false,
            callback: None,
        }
    }

    /// Adds trainings; they begin in this order.
    #[must_use]
    pub fn settings(mut self, settings: impl IntoIterator<Item = SweepSetting>) -> Self {
        self.settings.extend(settings);
        self
    }

    /// Adds a training for every learning rate, batch size and seed, the seeds of a pair one after
    /// the other.
    #[must_use]
    pub fn grid(mut self, learning_rates: &[f64], batches: &[usize], seeds: &[u64]) -> Self {
        for &learning_rate in learning_rates {
            for &batch in batches {
                for &seed in seeds {
                    self.settings.push(SweepSetting { learning_rate, batch, seed });
                }
            }
        }
        self
    }

    /// Steps of every training.
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// As [`Trainer::target_loss`], for every training.
    #[must_use]
    pub fn target_loss(mut self, loss: f64, every: u64) -> Self {
        self.target_loss = Some((loss, every));
        self
    }

    /// As [`Trainer::record`], for every training.
    #[must_use]
    pub fn record(mut self, every: u64) -> Self {
        self.record_every = Some(every);
        self
    }

    /// Makes the optimizer of a training.
    #[must_use]
    pub fn optimizer(
        mut self,
        new: impl Fn() -> Result<Box<dyn Optimizer<T>>> + Sync + 'a,
    ) -> Self {
        self.optimizer = Box::new(new);
        self
    }

    /// Writes a checkpoint of every training every `every` steps and at its end, atomically, into
    /// the folder with its setting's name in `folder`; folders are made.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>, every: u64) -> Self {
        self.folder = Some((folder.as_ref().to_path_buf(), every));
        self
    }

    /// Whether trainings go on from the checkpoints in the folder; those without one begin.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Calls `callback` every `every` steps of a training and at its end, from the thread that runs
    /// it. `Break` ends the sweep: running trainings stop behind their step, with their checkpoints
    /// written, and no other begins.
    #[must_use]
    pub fn callback(
        mut self,
        every: u64,
        callback: impl Fn(&SweepProgress<'_>) -> ControlFlow<()> + Sync + 'a,
    ) -> Self {
        self.callback = Some((Box::new(callback), every.max(1)));
        self
    }

    /// The checkpoint of a training in the folder of a sweep.
    #[must_use]
    pub fn checkpoint(folder: &Path, setting: &SweepSetting) -> PathBuf {
        folder.join(setting.to_string()).join("checkpoint.npz")
    }

    /// Trains.
    ///
    /// # Errors
    /// Data that do not fit the network or the loss; no setting, one that is there twice, rates or
    /// batches out of range; a checkpoint that cannot be read or written, or is that of another
    /// training. Then no further training begins, and those that run stop with their checkpoints
    /// written.
    pub fn run(self) -> Result<Vec<SweepRun<T>>> {
        self.check()?;
        let slots: Vec<Mutex<Option<Result<TrainingRun<T>>>>> =
            self.settings.iter().map(|_| Mutex::default()).collect();
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let run = next.fetch_add(1, Ordering::Relaxed);
                let Some(setting) = self.settings.get(run) else { return };
                // Its own passes stay on this thread: waiting for a piece of one training, it would
                // begin a whole other one.
                let result = crate::parallel::alone(|| self.train(run, setting, &stop));
                if result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                *slots[run].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        rayon::scope(|scope| {
            for _ in 0..rayon::current_num_threads().min(self.settings.len()) {
                scope.spawn(|_| work());
            }
        });
        let results = slots
            .into_iter()
            .map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner).transpose());
        let runs = self.settings.iter().zip(results);
        runs.map(|(&setting, training)| Ok(SweepRun { setting, training: training? })).collect()
    }

    /// What can be wrong before the first step, which [`Sweep::run`] looks at as well.
    ///
    /// # Errors
    /// As [`Sweep::run`], but for those of checkpoints.
    pub fn check(&self) -> Result<()> {
        if self.settings.is_empty() {
            return Err(Error::empty("sweep: settings"));
        }
        let mut trainer =
            Trainer::new(self.network, self.data, self.loss, Schedule::constant(0.0)?)?;
        let mut names: Vec<String> = Vec::new();
        for setting in &self.settings {
            Schedule::constant(setting.learning_rate)?;
            trainer = trainer.batch(setting.batch)?;
            names.push(setting.to_string());
        }
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::range(
                "sweep: settings",
                "each once",
                format!("{} twice", twice[0]),
            ));
        }
        (self.optimizer)().map(|_| ())
    }

    fn train(
        &self,
        run: usize,
        setting: &SweepSetting,
        stop: &AtomicBool,
    ) -> Result<TrainingRun<T>> {
        let Self { network, data, loss, steps, .. } = *self;
        let rate = Schedule::constant(setting.learning_rate)?;
        let mut trainer = Trainer::new(network, data, loss, rate)?
            .batch(setting.batch)?
            .seed(setting.seed)
            .steps(steps);
        if let Some((loss, every)) = self.target_loss {
            trainer = trainer.target_loss(loss, every);
        }
        if let Some(every) = self.record_every {
            trainer = trainer.record(every);
        }
        let mut from = None;
        if let Some((folder, every)) = &self.folder {
            let path = Self::checkpoint(folder, setting);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
            }
            trainer = trainer.checkpoint(&path, *every);
            from = Some(path).filter(|path| self.resume && path.exists());
        }
        let tell = |step, batch_loss, status| match &self.callback {
            Some((callback, _)) => {
                callback(&SweepProgress { run, setting, step, steps, batch_loss, status })
            }
            None => ControlFlow::Continue(()),
        };
        let every = self.callback.as_ref().map(|(_, every)| *every);
        let trainer = trainer.callback(|progress| {
            if every.is_some_and(|every| progress.step.is_multiple_of(every))
                && tell(progress.step, progress.batch_loss, None).is_break()
            {
                stop.store(true, Ordering::Relaxed);
            }
            match stop.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let mut optimizer = (self.optimizer)()?;
        let training = match from {
            Some(path) => trainer.resume(path, optimizer.as_mut())?,
            None => {
                let start = Parameters::initialize(network, setting.seed);
                trainer.run(start, optimizer.as_mut())?
            }
        };
        if tell(training.steps, training.batch_loss, Some(training.status)).is_break() {
            stop.store(true, Ordering::Relaxed);
        }
        Ok(training)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_folders_and_differ() {
        let name =
            |learning_rate, batch, seed| SweepSetting { learning_rate, batch, seed }.to_string();
        assert_eq!(name(0.5, 20, 1), "rate0.5-batch20-seed1");
        assert_eq!(name(1e-7, 8, 3), "rate1e-7-batch8-seed3");
        assert_eq!(name(2e300, 8, 3), "rate2e300-batch8-seed3");
        assert_eq!(name(0.0, 1, u64::MAX), format!("rate0-batch1-seed{}", u64::MAX));
        assert_ne!(name(0.1, 1, 1), name(0.1_f64.next_up(), 1, 1));
    }
}
