//! How far apart the states are that a pass keeps.

use super::pass::samples_of_pass;
use super::{RateRnn, Sequences};
use crate::network::layers::LeakyRecurrent;
use crate::{Error, Real, Result};

/// Numbers per unit of the states of a step: h, φ', and s where it is filtered.
fn arrays(rnn: &RateRnn) -> usize {
    2 + usize::from(rnn.filter() != 0.0)
}

/// Bytes of inputs, outputs and errors.
fn bytes_beside<T: Real>(rnn: &RateRnn, sequences: &Sequences<T>) -> usize {
    let steps = sequences.steps();
    let with_loss = if sequences.target().at_each_step() { steps } else { 1 };
    let inputs = steps.saturating_mul(rnn.inputs());
    let outputs = with_loss.saturating_mul(2 * rnn.outputs());
    let numbers = inputs.saturating_add(outputs).saturating_mul(sequences.samples());
    numbers.saturating_mul(size_of::<T>())
}

/// Bytes where the states of all steps are kept.
pub(super) fn bytes_of_all<T: Real>(rnn: &RateRnn, sequences: &Sequences<T>) -> usize {
    let rows = sequences.steps().saturating_mul(sequences.samples());
    let states = rows.saturating_mul(arrays(rnn) * rnn.units()).saturating_mul(size_of::<T>());
    bytes_beside(rnn, sequences).saturating_add(states)
}

/// Steps between the checkpoints of a pass of `samples` samples, whole segments, of about `every`.
pub(super) fn of_pass<T: Real>(layer: &LeakyRecurrent, samples: usize, every: usize) -> usize {
    let segment = layer.segment_steps::<T>(samples);
    (every / segment).max(1) * segment
}

/// Steps between checkpoints that need the least memory where `budget` bytes are not enough to keep
/// all states.
///
/// # Errors
/// More bytes than the budget, even so.
pub(super) fn interval<T: Real>(
    rnn: &RateRnn,
    layer: &LeakyRecurrent,
    sequences: &Sequences<T>,
    budget: usize,
) -> Result<Option<usize>> {
    if bytes_of_all(rnn, sequences) <= budget {
        return Ok(None);
    }
    let steps = sequences.steps();
    let size = samples_of_pass::<T>(rnn).min(sequences.samples());
    let (full, last) = (sequences.samples() / size, sequences.samples() % size);
    let threads = rayon::current_num_threads();
    // Checkpoints are h, v and s; a window is its states, with h and v of the step before.
    let rows = |samples: usize, every: usize| {
        let every = of_pass::<T>(layer, samples, every).min(steps);
        let kept = (steps.div_ceil(every) - 1).saturating_mul(samples * arrays(rnn));
        (kept, (every * arrays(rnn) + 2).saturating_mul(samples))
    };
    let bytes = |every: usize| {
        let (kept, window) = rows(size, every);
        let (kept_last, window_last) = if last > 0 { rows(last, every) } else { (0, 0) };
        let passes = full + usize::from(last > 0);
        let windows = window.max(window_last).saturating_mul(threads.min(passes));
        let kept = kept.saturating_mul(full).saturating_add(kept_last);
        let of_unit = rnn.units().saturating_mul(size_of::<T>());
        kept.saturating_add(windows).saturating_mul(of_unit)
    };
    let segment = layer.segment_steps::<T>(size).min(steps);
    let candidates = (segment..=steps).step_by(segment);
    let every = candidates.min_by_key(|&every| bytes(every)).unwrap_or(steps);
    let required = bytes(every).saturating_add(bytes_beside(rnn, sequences));
    if required > budget {
        let what = "states at checkpoints".to_owned();
        return Err(Error::Memory { what, required, limit: budget });
    }
    Ok(Some(every))
}
