//! Two cues with a delay between them.

use super::{Answer, Trials, check_sizes};
use crate::random::Stream;
use crate::{Error, Result};

/// Each of two inputs has a cue or none, the first one at the beginning and the second one at the
/// end; class 1 where both or neither came (delayed match), or where exactly one did (delayed
/// exclusive or), asked after the last step.
///
/// A cue is `height` exp(−t²/2σ²) above the baseline, with t from −cue/2 to cue/2 in even steps,
/// both ends included; normal noise is on everything.
///
/// Source: the delayed task of the code for Liu et al. 2022, arXiv 2206.01338: 1 step is 1 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DelayedComparison {
    /// Steps of a cue.
    pub cue: usize,
    /// Steps between the cues.
    pub delay: usize,
    /// σ, in steps.
    pub width: f64,
    /// Height of a cue.
    pub height: f64,
    /// Both inputs where there is no cue.
    pub baseline: f64,
    /// Standard deviation of the noise.
    pub noise: f64,
    /// Whether class 1 is a difference rather than a match.
    pub exclusive_or: bool,
}

impl Default for DelayedComparison {
    /// Cues of 100 steps, σ 25 and height 2, a delay of 700, baseline 0.02, noise 0.01; a match.
    fn default() -> Self {
        Self {
            cue: 100,
            delay: 700,
            width: 25.0,
            height: 2.0,
            baseline: 0.02,
            noise: 0.01,
            exclusive_or: false,
        }
    }
}

impl DelayedComparison {
    /// Steps of a trial.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.cue.saturating_mul(2).saturating_add(self.delay)
    }

    /// Draws trials: the cues of trial k are bits 0 and 1 of element k of the stream "delayed cues",
    /// its noise the elements of child k of "delayed noise".
    ///
    /// # Errors
    /// A size of zero, or beyond memory; a width that is not positive, a noise that is negative,
    /// numbers that are not finite.
    pub fn draw(&self, trials: usize, seed: u64) -> Result<Trials> {
        let steps = self.steps();
        check_sizes(&[("trials", trials), ("steps", steps), ("inputs", 2)])?;
        check_sizes(&[("steps of a cue", self.cue)])?;
        if !(self.width > 0.0 && self.width.is_finite()) {
            return Err(Error::range("width of a cue", "a positive finite number", self.width));
        }
        if !(self.noise >= 0.0 && self.noise.is_finite()) {
            return Err(Error::range("noise", "a finite number from 0", self.noise));
        }
        crate::error::check_finite("height and baseline", &[self.height, self.baseline])?;
        let cue: Vec<f64> = (0..self.cue).map(|t| self.height * self.bump(t)).collect();
        let mut words = vec![0; trials];
        Stream::new(seed, "delayed cues").words(0, &mut words);
        let noise = Stream::new(seed, "delayed noise");
        let mut x = vec![0.0; trials * steps * 2];
        let mut classes = Vec::with_capacity(trials);
        for (k, (x, word)) in x.chunks_exact_mut(steps * 2).zip(&words).enumerate() {
            noise.child(k as u64).normals(0, x);
            x.iter_mut().for_each(|x| *x = self.baseline + self.noise * *x);
            let come = [word & 1 == 1, word & 2 == 2];
            let starts = [0, steps - self.cue];
            for (input, (comes, start)) in come.into_iter().zip(starts).enumerate() {
                if comes {
                    let window = x[2 * start..].chunks_exact_mut(2).zip(&cue);
                    window.for_each(|(x, cue)| x[input] += cue);
                }
            }
            classes.push(usize::from((come[0] == come[1]) != self.exclusive_or));
        }
        Ok(Trials {
            inputs: x,
            shape: [trials, steps, 2],
            outputs: 2,
            answer: Answer::ClassAtEnd(classes),
        })
    }

    /// exp(−t²/2σ²) at step `step` of a cue.
    fn bump(&self, step: usize) -> f64 {
        let n = self.cue;
        let half = n as f64 / 2.0;
        let t = if n > 1 { half * (2.0 * step as f64 / (n - 1) as f64 - 1.0) } else { 0.0 };
        libm::exp(-0.5 * (t / self.width).powi(2))
    }
}
