//! The state of a training in a file.

use std::path::Path;

use super::Trainer;
use crate::io::{Archive, Array};
use crate::network::Parameters;
use crate::optimize::{Optimizer, State};
use crate::{Error, Real, Result};

/// What a training is between two steps, but for its optimiser.
pub(super) struct Checkpoint<T: Real> {
    /// Steps done.
    pub(super) step: u64,
    /// θ.
    pub(super) parameters: Parameters<T>,
    /// Loss of the last batch.
    pub(super) batch_loss: f64,
    /// Steps and their batch losses.
    pub(super) curve: Vec<(u64, f64)>,
}

/// Names in a checkpoint.
const SETTINGS: &str = "settings";
const STEP: &str = "step";
const PARAMETERS: &str = "parameters";
const BATCH_LOSS: &str = "batch loss";
const CURVE_STEPS: &str = "curve steps";
const CURVE_LOSSES: &str = "curve losses";
const OPTIMIZER: &str = "optimizer.";
const OPTIMIZER_STEPS: &str = "optimizer steps";
const VERSION: usize = 2;

/// Version, seed, number of samples and batch size, all of which a resumed training must share.
fn settings<T: Real>(trainer: &Trainer<'_, T>) -> Vec<usize> {
    let halves = [trainer.seed >> 32, trainer.seed & 0xffff_ffff];
    let [high, low] = halves.map(|half| usize::try_from(half).unwrap_or(usize::MAX));
    vec![VERSION, high, low, trainer.data.len(), trainer.batch]
}

impl<T: Real> Checkpoint<T> {
    /// Reads the file at `path`, and puts the state of `optimizer` back.
    pub(super) fn read(
        path: &Path,
        trainer: &Trainer<'_, T>,
        optimizer: &mut dyn Optimizer<T>,
    ) -> Result<Self> {
        let archive = Archive::read(path)?;
        let wanted = settings(trainer);
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
        let parameters = Parameters::from_values(trainer.network, parameters)?;
        let batch_loss = archive.get(BATCH_LOSS)?.scalar()?;
        let steps = archive.get(CURVE_STEPS)?.to_indices()?;
        let losses = archive.get(CURVE_LOSSES)?.to_f64()?;
        if steps.len() != losses.len() {
            return Err(Error::shape("checkpoint: curve", steps.len(), losses.len()));
        }
        let curve = steps.into_iter().map(|step| step as u64).zip(losses).collect();
        let mut arrays = Vec::new();
        for (name, array) in archive.iter() {
            if let Some(name) = name.strip_prefix(OPTIMIZER) {
                arrays.push((name, array.to_real::<T>()?));
            }
        }
        let arrays = arrays.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        let steps = archive.get(OPTIMIZER_STEPS)?.index()? as u64;
        optimizer.restore(&State { steps, arrays })?;
        Ok(Self { step, parameters, batch_loss, curve })
    }

    /// Writes the file at `path`, atomically.
    pub(super) fn write(
        &self,
        path: &Path,
        trainer: &Trainer<'_, T>,
        optimizer: &dyn Optimizer<T>,
    ) -> Result<()> {
        let mut archive = Archive::new();
        let settings: Vec<u64> = settings(trainer).iter().map(|&x| x as u64).collect();
        archive.insert(SETTINGS, Array::from_vector(settings));
        archive.insert(STEP, Array::from_scalar(self.step));
        let theta = self.parameters.values();
        archive.insert(PARAMETERS, Array::from_real([theta.len()], theta)?);
        archive.insert(BATCH_LOSS, Array::from_scalar(self.batch_loss));
        let (steps, losses): (Vec<u64>, Vec<f64>) = self.curve.iter().copied().unzip();
        archive.insert(CURVE_STEPS, Array::from_vector(steps));
        archive.insert(CURVE_LOSSES, Array::from_vector(losses));
        let state = optimizer.state();
        archive.insert(OPTIMIZER_STEPS, Array::from_scalar(state.steps));
        for (name, values) in state.arrays {
            let name = format!("{OPTIMIZER}{name}");
            archive.insert(name, Array::from_real([values.len()], values)?);
        }
        archive.write(path)
    }
}
