//! A pattern in time out of frozen noise.

use std::f64::consts::TAU;

use super::{Answer, Trials, check_chance, check_sizes, spikes};
use crate::Result;
use crate::random::Stream;

/// One trial, the same for ever: frozen Poisson spikes in, and at each step
/// y*_t = Σ_f A_f sin(2π f t/`period` + φ_f) out, f = 1, 2, 3 and 5, divided by the largest of its
/// magnitudes; A uniform on [0.5, 2), φ uniform on [0, 2π), for each output.
///
/// Source: the pattern generation of Bellec et al. 2020 and its code, with 1 step for 1 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatternGeneration {
    /// Steps.
    pub steps: usize,
    /// Inputs.
    pub inputs: usize,
    /// Chance of a spike in one step of one input.
    pub chance: f64,
    /// Outputs.
    pub outputs: usize,
    /// Steps of the slowest sine.
    pub period: usize,
}

impl Default for PatternGeneration {
    /// 1000 steps of 100 inputs at 0.05 (50 Hz), one output of period 1000.
    fn default() -> Self {
        Self { steps: 1000, inputs: 100, chance: 0.05, outputs: 1, period: 1000 }
    }
}

/// Cycles of the sines in one period.
const FREQUENCIES: [f64; 4] = [1.0, 2.0, 3.0, 5.0];

impl PatternGeneration {
    /// Draws the trial: spikes from "pattern spikes", amplitudes and phases from "pattern".
    ///
    /// # Errors
    /// A size of zero, or beyond memory; a chance that is none.
    pub fn draw(&self, seed: u64) -> Result<Trials> {
        let Self { steps, inputs, chance, outputs, period } = *self;
        check_sizes(&[("steps", steps), ("inputs", inputs)])?;
        check_sizes(&[("steps", steps), ("outputs", outputs)])?;
        check_sizes(&[("steps of a period", period)])?;
        check_chance("chance of a spike", chance)?;
        let mut x = vec![0.0; steps * inputs];
        spikes(&Stream::new(seed, "pattern spikes"), &mut x, |_| chance);
        let mut draws = vec![0.0; outputs * 2 * FREQUENCIES.len()];
        Stream::new(seed, "pattern").uniforms(0, &mut draws);
        let mut values = vec![0.0; steps * outputs];
        for (output, draws) in draws.chunks_exact(2 * FREQUENCIES.len()).enumerate() {
            let (amplitudes, phases) = draws.split_at(FREQUENCIES.len());
            let mut of_output: Vec<f64> = (0..steps)
                .map(|t| {
                    let sines = FREQUENCIES.iter().zip(amplitudes).zip(phases);
                    let sine = |((f, a), p): ((&f64, &f64), &f64)| {
                        (0.5 + 1.5 * a) * libm::sin(TAU * (f * t as f64 / period as f64 + p))
                    };
                    sines.map(sine).sum()
                })
                .collect();
            let largest =
                of_output.iter().fold(0.0, |m, y: &f64| if y.abs() > m { y.abs() } else { m });
            if largest > 0.0 {
                of_output.iter_mut().for_each(|y| *y /= largest);
            }
            of_output.iter().enumerate().for_each(|(t, &y)| values[t * outputs + output] = y);
        }
        let answer = Answer::Values(values);
        Ok(Trials { inputs: x, shape: [1, steps, inputs], outputs, answer })
    }
}
