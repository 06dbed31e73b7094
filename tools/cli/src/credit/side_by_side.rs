//! Many trainings at once, kept where they can be found again.

use std::sync::atomic::{AtomicBool, Ordering};

use hesse::io::{Archive, Format};
use hesse::parallel;

use super::descent::Outcome;
use crate::failure::Failure;
use crate::output::{Folder, Output};
use crate::progress::Progress;

/// A training that waits, with its name: that of its file.
pub struct Job<'a> {
    /// Different from that of every other.
    pub name: String,
    /// Trains.
    pub train: Box<dyn Fn() -> hesse::Result<Outcome> + Sync + Send + 'a>,
}

/// Runs all jobs, each on one thread, as many at once as rayon's current pool has threads; results in
/// the order of the jobs, to the same bits for any number of threads.
///
/// With a folder, every outcome is written to NAME.npz when it is there, and one that is there is read
/// instead: what was stopped goes on where it was.
///
/// # Errors
/// Those of the jobs; files that cannot be read or written. Then no further job begins.
pub fn run(
    jobs: &[Job<'_>],
    folder: Option<&Folder>,
    what: &str,
    output: &Output,
) -> Result<Vec<Outcome>, Failure> {
    let bar = Progress::new(output, what, jobs.len() as u64);
    let stop = AtomicBool::new(false);
    let outcome = |job: &Job<'_>| -> Result<Outcome, Failure> {
        let file = format!("{}.npz", job.name);
        if let Some(path) = folder.map(|folder| folder.path().join(&file)).filter(|p| p.exists()) {
            return Ok(Outcome::from_archive(&Archive::read(path)?)?);
        }
        let outcome = parallel::alone(&job.train)?;
        if let Some(folder) = folder {
            folder.write(&file, &outcome.to_archive()?.to_bytes(Format::Npz)?)?;
        }
        Ok(outcome)
    };
    let outcomes = parallel::map(jobs.len(), |i| {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let outcome = outcome(&jobs[i]);
        if outcome.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        bar.step();
        Some(outcome)
    });
    // Where some are missing, one of the others is the error that stopped them.
    let (mut done, mut missing) = (Vec::with_capacity(jobs.len()), false);
    for outcome in outcomes {
        match outcome {
            Some(outcome) => done.push(outcome?),
            None => missing = true,
        }
    }
    if missing {
        return Err(Failure::input("trainings: expected all to end, got an early stop"));
    }
    Ok(done)
}
