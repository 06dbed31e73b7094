//! Clicks on two sides, to be counted over a delay.

use super::{Answer, Trials, check_chance, check_sizes, spikes};
use crate::random::Stream;
use crate::{Error, Result};

/// Cues to the left (class 0) or right (class 1), a delay, a time to respond: which side had more?
///
/// Inputs are four groups of `group` spike trains: left, right, the signal to respond, and noise at
/// a quarter of the others' chance all the time. A trial prefers one side: cues come to it with
/// chance `bias`. Loss at the steps of the response alone.
///
/// Source: the evidence accumulation of Bellec et al. 2020 and its code, with 1 step for 1 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvidenceAccumulation {
    /// Number of cues; odd, so that one side wins.
    pub cues: usize,
    /// Steps of a cue.
    pub cue: usize,
    /// Steps of silence before each cue.
    pub silence: usize,
    /// Steps of the delay.
    pub delay: usize,
    /// Steps of the response.
    pub response: usize,
    /// Spike trains in a group.
    pub group: usize,
    /// Chance of a spike in one step of an active group.
    pub chance: f64,
    /// Chance of a cue on the preferred side.
    pub bias: f64,
}

impl Default for EvidenceAccumulation {
    /// 7 cues of 100 steps every 150, a delay of 800, a response of 150: 2000 steps of 40 inputs;
    /// spikes at 0.04 (40 Hz), cues to the preferred side with 0.7.
    fn default() -> Self {
        Self {
            cues: 7,
            cue: 100,
            silence: 50,
            delay: 800,
            response: 150,
            group: 10,
            chance: 0.04,
            bias: 0.7,
        }
    }
}

impl EvidenceAccumulation {
    /// Steps of a trial.
    #[must_use]
    pub fn steps(&self) -> usize {
        let cues = self.cues.saturating_mul(self.cue.saturating_add(self.silence));
        cues.saturating_add(self.delay).saturating_add(self.response)
    }

    /// Draws trials: sides of trial k from child k of "evidence sides" (the first number prefers a
    /// side, one more for each cue), spikes from child k of "evidence spikes".
    ///
    /// # Errors
    /// A size of zero, or beyond memory; an even number of cues; chances that are none.
    pub fn draw(&self, trials: usize, seed: u64) -> Result<Trials> {
        let (steps, inputs) = (self.steps(), self.group.saturating_mul(4));
        check_sizes(&[("trials", trials), ("steps", steps), ("inputs", inputs)])?;
        check_sizes(&[("steps of a cue", self.cue), ("steps of the response", self.response)])?;
        if self.cues.is_multiple_of(2) {
            return Err(Error::range("cues", "an odd number", self.cues));
        }
        check_chance("chance of a spike", self.chance)?;
        check_chance("chance of a cue on the preferred side", self.bias)?;
        let (sides, train) =
            (Stream::new(seed, "evidence sides"), Stream::new(seed, "evidence spikes"));
        let mut x = vec![0.0; trials * steps * inputs];
        let mut classes = Vec::with_capacity(trials);
        let mut draws = vec![0.0; self.cues + 1];
        for (k, x) in x.chunks_exact_mut(steps * inputs).enumerate() {
            sides.child(k as u64).uniforms(0, &mut draws);
            let right = if draws[0] < 0.5 { self.bias } else { 1.0 - self.bias };
            let cues: Vec<bool> = draws[1..].iter().map(|&u| u < right).collect();
            let chance = |i: usize| {
                let (step, group) = (i / inputs, i % inputs / self.group);
                let active = match group {
                    0 | 1 => self.cue_at(step).is_some_and(|cue| cues[cue] == (group == 1)),
                    2 => step >= steps - self.response,
                    _ => return self.chance / 4.0,
                };
                if active { self.chance } else { 0.0 }
            };
            spikes(&train.child(k as u64), x, chance);
            let count = cues.iter().filter(|&&right| right).count();
            classes.push(usize::from(2 * count > self.cues));
        }
        let mut weights = vec![0.0; steps];
        weights[steps - self.response..].fill(1.0 / self.response as f64);
        Ok(Trials {
            inputs: x,
            shape: [trials, steps, inputs],
            outputs: 2,
            answer: Answer::ClassAtSteps { classes, weights },
        })
    }

    /// The cue that is on at a step.
    fn cue_at(&self, step: usize) -> Option<usize> {
        let every = self.cue + self.silence;
        let (cue, within) = (step / every, step % every);
        (cue < self.cues && within >= self.silence).then_some(cue)
    }
}
