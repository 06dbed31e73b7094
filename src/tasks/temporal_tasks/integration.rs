//! The sign of a sum.

use super::{Answer, Trials, check_sizes};
use crate::Result;
use crate::random::Stream;

/// x_t of standard normal numbers; class 1 where Σ_t x_{t,1} > 0, else 0, asked after the last step.
///
/// ```
/// use hesse::temporal_tasks::{Answer, Integration};
///
/// let trials = Integration::default().draw(64, 1)?;
/// assert_eq!(trials.shape, [64, 15, 2]);
/// let sum: f64 = trials.inputs[..15 * 2].iter().step_by(2).sum();
/// let Answer::ClassAtEnd(classes) = trials.answer else { panic!() };
/// assert_eq!(classes[0], usize::from(sum > 0.0));
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Steps.
    pub steps: usize,
    /// Inputs, of which all but the first do not matter.
    pub inputs: usize,
}

impl Default for Integration {
    /// 15 steps of 2 inputs.
    fn default() -> Self {
        Self { steps: 15, inputs: 2 }
    }
}

impl Integration {
    /// Draws trials: trial k has the elements of child k of the stream "integration".
    ///
    /// # Errors
    /// A size of zero, or beyond memory.
    pub fn draw(&self, trials: usize, seed: u64) -> Result<Trials> {
        let Self { steps, inputs } = *self;
        check_sizes(&[("trials", trials), ("steps", steps), ("inputs", inputs)])?;
        let stream = Stream::new(seed, "integration");
        let mut x = vec![0.0; trials * steps * inputs];
        let mut classes = Vec::with_capacity(trials);
        for (k, x) in x.chunks_exact_mut(steps * inputs).enumerate() {
            stream.child(k as u64).normals(0, x);
            classes.push(usize::from(x.iter().step_by(inputs).sum::<f64>() > 0.0));
        }
        Ok(Trials {
            inputs: x,
            shape: [trials, steps, inputs],
            outputs: 2,
            answer: Answer::ClassAtEnd(classes),
        })
    }
}
