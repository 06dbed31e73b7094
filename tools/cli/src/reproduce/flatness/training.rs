//! Trainings side by side, kept where they can be found again.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use hesse::network::{Dataset, Network, Sweep, SweepSetting};

use super::measures::LOSS;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;

/// Steps between two checkpoints, and between two signs of life.
const EVERY: u64 = 5000;

/// The end of one training.
#[derive(Clone, Debug)]
pub struct Trained {
    /// How it was trained.
    pub setting: SweepSetting,
    /// θ.
    pub parameters: Vec<f64>,
}

/// Where trainings are kept, and where their progress is shown.
#[derive(Clone, Debug)]
pub struct Desk<'a> {
    /// The program's channels.
    pub output: &'a Output,
    /// The folder of finished trainings, if they are to be kept.
    pub runs: Option<PathBuf>,
}

impl Desk<'_> {
    /// Trains `network` once for every setting by plain gradient steps; what is called `name` and was
    /// finished before is read instead.
    ///
    /// # Errors
    /// Those of the library.
    pub fn train(
        &self,
        name: &str,
        network: &Network<f64>,
        data: &Dataset<f64>,
        settings: &[SweepSetting],
        steps: u64,
    ) -> Result<Vec<Trained>, Failure> {
        let bar = Progress::new(self.output, name, settings.len() as u64 * steps);
        let done: Vec<AtomicU64> = settings.iter().map(|_| AtomicU64::new(0)).collect();
        let mut sweep = Sweep::new(network, data, LOSS)
            .settings(settings.iter().copied())
            .steps(steps)
            .callback(EVERY, |progress| {
                done[progress.run].store(progress.step, Ordering::Relaxed);
                bar.set(done.iter().map(|steps| steps.load(Ordering::Relaxed)).sum());
                ControlFlow::Continue(())
            });
        if let Some(folder) = &self.runs {
            sweep = sweep.folder(folder.join(name), EVERY).resume(true);
        }
        let runs = sweep.run()?;
        // A training that diverged ends where it was last finite, and its loss says so.
        let trained = runs.into_iter().filter_map(|run| {
            let parameters = run.training?.parameters.into_values();
            Some(Trained { setting: run.setting, parameters })
        });
        Ok(trained.collect())
    }
}
