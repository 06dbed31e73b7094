//! Local rules forwards in time, with a trace at every synapse.

use hesse_kernels::activation::column_sums;
use hesse_kernels::eligibility::{Filter, Learning, update_traces};
use hesse_kernels::gemm::gemm;
use hesse_kernels::leak::leak;

use super::pass::{rows, rows_mut};
use super::{Block, Feedback, RateRnn, Rule};
use crate::error::check_finite;
use crate::network::Activation;
use crate::network::layers::Leak;
use crate::numerics::parallel;
use crate::{Error, Isa, Real, Result};

/// A batch of networks that run step by step and keep eligibility traces, so that a local rule
/// (three factors; RFLO for the rate leak) has its gradient at the last step without the past.
///
/// With z_t = (h_{t−1}, x_t, 1), for every unit p and presynaptic q
///
/// voltage: ε_pq ← a_p ε_pq + (1 − a_p) z_q, e_pq = φ'_p ε_pq;
/// rate: e_pq ← a_p e_pq + (1 − a_p) φ'_p z_q;
///
/// ē ← κ ē + (1 − κ) e, and a step's error ȳ at the outputs adds (B ȳ)_p ē_pq. The offline form is
/// far cheaper where the past is at hand: this costs B·N(N + inputs) memory and as many
/// multiplications a step. Gradients are summed over samples and steps in `f64`, whatever the
/// storage of traces, and rounded once. The traces of a step are made when it is known whether something is
/// learnt from them, in one pass over them. Where all voltages leak alike and no filter is behind
/// them, ε_pq is the same for all p: B·(N + inputs) numbers, and a product a step.
#[derive(Clone, Debug)]
pub struct Eligibility<T> {
    rnn: RateRnn,
    feedback: Feedback<T>,
    samples: usize,
    voltages: Vec<T>,
    rates: Vec<T>,
    /// φ' of the last step, `[b][p]`.
    slopes: Vec<T>,
    filtered: Vec<T>,
    outputs: Vec<T>,
    /// z of the last step, `[b][q]`.
    presynaptic: Vec<T>,
    traces: Traces<T>,
    /// Whether the last step is still missing in the traces.
    pending: bool,
    /// The gradient of (W, U, b), `[p][q]`, where traces are shared.
    sums: Vec<f64>,
    /// That of O and of c.
    readout: [Vec<f64>; 2],
    gradient: Vec<T>,
}

#[derive(Clone, Debug)]
enum Traces<T> {
    /// ε_q, the same for all units, `[b][q]`.
    Shared(Vec<T>),
    /// Those of every unit, as many units together as make one task.
    Units(Vec<UnitTraces<T>>),
}

/// ε/(1 − a) (voltage) or e (rate), and ē where there is a filter, `[p][b][q]`.
#[derive(Clone, Debug)]
struct UnitTraces<T> {
    traces: Vec<T>,
    filtered: Vec<T>,
    /// `[p][q]`.
    sums: Vec<f64>,
}

/// Traces of one task.
const PIECE: usize = 1 << 16;

/// Units of one task.
fn units_of_piece(samples: usize, width: usize) -> usize {
    (PIECE / samples.saturating_mul(width)).max(1)
}

impl<T: Real> Eligibility<T> {
    /// Networks at rest, one for each of `samples` samples.
    ///
    /// # Errors
    /// No sample, feedback of another shape than N × outputs, NaN or infinities in it.
    pub fn new(rnn: &RateRnn, feedback: Feedback<T>, samples: usize) -> Result<Self> {
        if samples == 0 {
            return Err(Error::empty("samples"));
        }
        Rule::ThreeFactor { feedback: feedback.clone() }.check(rnn, samples, 1)?;
        let (n, width) = (rnn.units(), rnn.units() + rnn.inputs() + 1);
        let zeros = |length: usize| vec![T::ZERO; length];
        let a = rnn.leaks();
        let alike = matches!(rnn.leak(), Leak::Voltage(_)) && a.iter().all(|x| *x == a[0]);
        let filter = rnn.filter() != 0.0;
        let traces = if alike && !filter {
            Traces::Shared(zeros(samples * width))
        } else {
            let piece = |units: std::ops::Range<usize>| UnitTraces {
                traces: zeros(units.len() * samples * width),
                filtered: zeros(if filter { units.len() * samples * width } else { 0 }),
                sums: vec![0.0; units.len() * width],
            };
            let pieces = parallel::shards(n, units_of_piece(samples, width));
            Traces::Units(pieces.into_iter().map(piece).collect())
        };
        let shared = if matches!(traces, Traces::Shared(_)) { n * width } else { 0 };
        Ok(Self {
            samples,
            voltages: zeros(samples * n),
            rates: zeros(samples * n),
            slopes: zeros(samples * n),
            filtered: zeros(samples * n),
            outputs: zeros(samples * rnn.outputs()),
            presynaptic: zeros(samples * width),
            traces,
            pending: false,
            sums: vec![0.0; shared],
            readout: [n, 1].map(|columns| vec![0.0; rnn.outputs() * columns]),
            gradient: zeros(rnn.parameter_count()),
            rnn: rnn.clone(),
            feedback,
        })
    }

    /// Elements of a row of traces.
    fn width(&self) -> usize {
        self.rnn.units() + self.rnn.inputs() + 1
    }

    fn is_rate(&self) -> bool {
        matches!(self.rnn.leak(), Leak::Rate(_))
    }

    /// a and 1 − a of every unit.
    fn leaks(&self) -> (Vec<T>, Vec<T>) {
        let a = self.rnn.leaks();
        let keep = a.iter().map(|&a| T::from_f64(a)).collect();
        (keep, a.iter().map(|&a| T::from_f64(1.0 - a)).collect())
    }

    /// One step with inputs x_t, samples × inputs, at θ, which may change from step to step.
    /// Returns y_t, samples × outputs.
    ///
    /// # Errors
    /// Other lengths, NaN or infinities.
    pub fn advance(&mut self, parameters: &[T], inputs: &[T]) -> Result<&[T]> {
        self.rnn.check(parameters)?;
        if inputs.len() != self.samples * self.rnn.inputs() {
            let expected = (self.samples, self.rnn.inputs());
            return Err(Error::shape("inputs of the step", expected, inputs.len()));
        }
        check_finite("inputs of the step", inputs)?;
        self.settle(None);
        let mut masked = parameters.to_vec();
        self.rnn.mask(&mut masked);
        self.integrate(&masked, inputs);
        let kappa = self.rnn.filter();
        let (keep, gain) = (T::from_f64(kappa), T::from_f64(1.0 - kappa));
        let filtered = self.filtered.iter_mut().zip(&self.rates);
        filtered.for_each(|(s, &h)| *s = keep * *s + gain * h);
        let (n, width) = (self.rnn.units(), self.rnn.outputs());
        let bias = &masked[self.rnn.block(Block::ReadoutBias)];
        self.outputs.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(bias));
        let weight = rows(&masked[self.rnn.block(Block::Readout)], n).transposed();
        let y = rows_mut(&mut self.outputs, width);
        gemm(Isa::current(), T::ONE, rows(&self.filtered, n), weight, T::ONE, y);
        Ok(&self.outputs)
    }

    /// States of a step, and what its traces are made of.
    fn integrate(&mut self, parameters: &[T], inputs: &[T]) {
        let (isa, n, features) = (Isa::current(), self.rnn.units(), self.rnn.inputs());
        let width = self.width();
        for (b, z) in self.presynaptic.chunks_exact_mut(width).enumerate() {
            z[..n].copy_from_slice(&self.rates[b * n..][..n]);
            z[n..n + features].copy_from_slice(&inputs[b * features..][..features]);
            z[n + features] = T::ONE;
        }
        let mut u = vec![T::ZERO; self.samples * n];
        if self.rnn.has_bias() {
            let bias = &parameters[self.rnn.block(Block::Bias)];
            u.chunks_exact_mut(n).for_each(|u| u.copy_from_slice(bias));
        }
        let weight = rows(&parameters[self.rnn.block(Block::Input)], features).transposed();
        gemm(isa, T::ONE, rows(inputs, features), weight, T::ONE, rows_mut(&mut u, n));
        let weight = rows(&parameters[self.rnn.block(Block::Recurrent)], n).transposed();
        gemm(isa, T::ONE, rows(&self.rates, n), weight, T::ONE, rows_mut(&mut u, n));
        let (keep, gain) = self.leaks();
        let rate = self.is_rate();
        if !rate {
            leak(isa, &keep, &gain, Some(&self.voltages), &mut u);
            self.voltages.copy_from_slice(&u);
        }
        let shifts: Vec<T> = (0..n).map(|i| T::from_f64(-self.rnn.threshold(i))).collect();
        activate(self.rnn.activation(), &shifts, &mut u, &mut self.slopes);
        if rate {
            leak(isa, &keep, &gain, Some(&self.rates), &mut u);
        }
        self.rates = u;
        self.pending = true;
    }

    /// Takes the last step into the traces if it is missing there, and learns from them by a signal
    /// `[b][p]` if there is one.
    fn settle(&mut self, signal: Option<&[T]>) {
        let pending = std::mem::take(&mut self.pending);
        if !pending && signal.is_none() {
            return;
        }
        let (isa, samples, width) = (Isa::current(), self.samples, self.width());
        let (n, rate) = (self.rnn.units(), self.is_rate());
        let (keep, gain) = self.leaks();
        let kappa = self.rnn.filter();
        // φ' comes before a filter or the rate leak, and behind everything else.
        let behind = !rate && kappa == 0.0;
        let factor =
            |i: usize, signal: &[T]| if behind { signal[i] * self.slopes[i] } else { signal[i] };
        let units = match &mut self.traces {
            Traces::Shared(traces) => {
                if pending {
                    let mut z = self.presynaptic.clone();
                    let (keep, gain) = (vec![keep[0]; width], vec![gain[0]; width]);
                    leak(isa, &keep, &gain, Some(traces), &mut z);
                    *traces = z;
                }
                if let Some(signal) = signal {
                    let factors: Vec<f64> =
                        (0..signal.len()).map(|i| factor(i, signal).to_f64()).collect();
                    let traces = wide(traces);
                    let (a, b) = (rows(&factors, n).transposed(), rows(&traces, width));
                    gemm(isa, 1.0, a, b, 1.0, rows_mut(&mut self.sums, width));
                }
                return;
            }
            Traces::Units(units) => units,
        };
        let slopes = &self.slopes;
        let zeros = if pending { Vec::new() } else { vec![T::ZERO; self.presynaptic.len()] };
        let z = if pending { &self.presynaptic } else { &zeros };
        let size = units_of_piece(samples, width);
        parallel::for_each_piece(units, 1, |piece, of_piece| {
            let units = piece * size..n.min((piece + 1) * size);
            // `[p][b]` from `[b][p]`.
            let by_unit = |f: &dyn Fn(usize, usize) -> T| -> Vec<T> {
                let of_unit = |p: usize| (0..samples).map(move |b| f(b * n + p, p));
                units.clone().flat_map(of_unit).collect()
            };
            let nothing = |x: T| if pending { x } else { T::ZERO };
            let one = |x: T| if pending { x } else { T::ONE };
            let keep: Vec<T> = keep[units.clone()].iter().map(|&a| one(a)).collect();
            // The voltage's traces are without their factor 1 − a, which comes behind them.
            let gains = rate.then(|| by_unit(&|i, p| nothing(gain[p] * slopes[i])));
            let rest = T::from_f64(1.0 - kappa);
            let into_filter =
                |i: usize, p: usize| if rate { rest } else { rest * gain[p] * slopes[i] };
            let into_filter = match kappa == 0.0 {
                true => Vec::new(),
                false => by_unit(&|i, p| nothing(into_filter(i, p))),
            };
            let factors = signal.map(|signal| {
                let scaled = |i: usize, p: usize| {
                    if behind { gain[p] * factor(i, signal) } else { factor(i, signal) }
                };
                by_unit(&scaled)
            });
            for unit in of_piece {
                let filter = (kappa != 0.0).then_some(Filter {
                    keep: one(T::from_f64(kappa)),
                    gains: &into_filter,
                    traces: &mut unit.filtered,
                });
                let learning =
                    factors.as_ref().map(|factors| Learning { factors, sums: &mut unit.sums });
                let gains = gains.as_deref();
                update_traces(isa, samples, &keep, gains, z, &mut unit.traces, filter, learning);
            }
        });
    }

    /// Rounds the sums of (W, U, b) into the gradient.
    fn round(&mut self) {
        let (n, features, width) = (self.rnn.units(), self.rnn.inputs(), self.width());
        let size = units_of_piece(self.samples, width);
        let [w, u, b] =
            [Block::Recurrent, Block::Input, Block::Bias].map(|block| self.rnn.block(block).start);
        let gradient = &mut self.gradient;
        for p in 0..n {
            let sums = match &self.traces {
                Traces::Shared(_) => &self.sums[p * width..][..width],
                Traces::Units(units) => &units[p / size].sums[p % size * width..][..width],
            };
            round(&sums[..n], &mut gradient[w + p * n..][..n]);
            round(&sums[n..n + features], &mut gradient[u + p * features..][..features]);
            if self.rnn.has_bias() {
                gradient[b + p] = T::from_f64(sums[n + features]);
            }
        }
        for (block, sums) in [Block::Readout, Block::ReadoutBias].into_iter().zip(&self.readout) {
            round(sums, &mut gradient[self.rnn.block(block)]);
        }
        self.rnn.mask(gradient);
    }

    /// Adds the gradient of this step, from the loss's derivatives in its outputs, samples ×
    /// outputs. `parameters` give the symmetric feedback.
    ///
    /// # Errors
    /// Other lengths, NaN or infinities.
    pub fn learn(&mut self, parameters: &[T], errors: &[T]) -> Result<()> {
        self.rnn.check(parameters)?;
        let (isa, n, outputs) = (Isa::current(), self.rnn.units(), self.rnn.outputs());
        if errors.len() != self.samples * outputs {
            let expected = (self.samples, outputs);
            return Err(Error::shape("errors of the step", expected, errors.len()));
        }
        check_finite("errors of the step", errors)?;
        let back = match &self.feedback {
            Feedback::Symmetric => rows(&parameters[self.rnn.block(Block::Readout)], n),
            Feedback::Fixed(matrix) => rows(matrix, outputs).transposed(),
        };
        let mut signal = vec![T::ZERO; self.samples * n];
        let errors_of = rows(errors, outputs);
        gemm(isa, T::ONE, errors_of, back, T::ZERO, rows_mut(&mut signal, n));
        self.settle(Some(&signal));
        let (errors, filtered) = (wide(errors), wide(&self.filtered));
        let [readout, bias] = &mut self.readout;
        let errors_of = rows(&errors, outputs).transposed();
        gemm(isa, 1.0, errors_of, rows(&filtered, n), 1.0, rows_mut(readout, n));
        column_sums(isa, &errors, bias);
        self.round();
        Ok(())
    }

    /// Σ over the steps so far, in the order of θ.
    #[must_use]
    pub fn gradient(&self) -> &[T] {
        &self.gradient
    }

    /// Sets the gradient to zero, and keeps states and traces.
    pub fn forget(&mut self) {
        self.gradient.fill(T::ZERO);
        self.sums.fill(0.0);
        self.readout.iter_mut().for_each(|sums| sums.fill(0.0));
        if let Traces::Units(units) = &mut self.traces {
            units.iter_mut().for_each(|unit| unit.sums.fill(0.0));
        }
    }

    /// e_pq of a sample for the weights W, N × N.
    ///
    /// # Errors
    /// A sample out of range.
    pub fn traces(&self, sample: usize) -> Result<Vec<T>> {
        if sample >= self.samples {
            return Err(Error::range("sample", format!("below {}", self.samples), sample));
        }
        let (n, width, rate) = (self.rnn.units(), self.width(), self.is_rate());
        let (keep, gain) = self.leaks();
        let z = &self.presynaptic[sample * width..][..n];
        let size = units_of_piece(self.samples, width);
        let of_unit = |p: usize| {
            let row = p % size * self.samples + sample;
            let (traces, scale) = match &self.traces {
                Traces::Shared(traces) => (&traces[sample * width..][..n], T::ONE),
                Traces::Units(units) if rate => {
                    (&units[p / size].traces[row * width..][..n], T::ONE)
                }
                Traces::Units(units) => (&units[p / size].traces[row * width..][..n], gain[p]),
            };
            let slope = self.slopes[sample * n + p];
            let (gain, behind) = if rate { (gain[p] * slope, T::ONE) } else { (gain[p], slope) };
            let (keep, gain) = if self.pending { (keep[p], gain) } else { (T::ONE, T::ZERO) };
            traces.iter().zip(z).map(move |(&e, &z)| behind * (keep * scale * e + gain * z))
        };
        Ok((0..n).flat_map(of_unit).collect())
    }
}

fn wide<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

fn round<T: Real>(sums: &[f64], to: &mut [T]) {
    to.iter_mut().zip(sums).for_each(|(to, &sum)| *to = T::from_f64(sum));
}

fn activate<T: Real>(activation: Activation, shifts: &[T], z: &mut [T], slopes: &mut [T]) {
    let isa = Isa::current();
    hesse_kernels::activation::bias_activation_derivatives(
        isa,
        activation,
        Some(shifts),
        z,
        slopes,
        None,
    );
}

/// Descent in the true sense online: θ changes after every step of one sequence, by +η times the
/// error y* − y_t and the traces as they stand; b and c stay.
#[derive(Clone, Debug)]
pub struct OnlineDescent<T> {
    eligibility: Eligibility<T>,
    parameters: Vec<T>,
    rate: f64,
}

impl<T: Real> OnlineDescent<T> {
    /// From θ at the start of a sequence. With the rate leak and fixed feedback this is RFLO
    /// (Murray 2019).
    ///
    /// # Errors
    /// A rate that is not positive and finite, and as [`Eligibility::new`].
    pub fn new(rnn: &RateRnn, feedback: Feedback<T>, parameters: &[T], rate: f64) -> Result<Self> {
        rnn.check(parameters)?;
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::range("learning rate", "a positive finite number", rate));
        }
        let eligibility = Eligibility::new(rnn, feedback, 1)?;
        Ok(Self { eligibility, parameters: parameters.to_vec(), rate })
    }

    /// One step: states, traces, outputs, then the updates of W, U and O. Returns y_t from before
    /// them.
    ///
    /// # Errors
    /// Other lengths, NaN or infinities, also where the updates diverge.
    pub fn step(&mut self, inputs: &[T], target: &[T]) -> Result<Vec<T>> {
        let outputs = self.eligibility.advance(&self.parameters, inputs)?.to_vec();
        if target.len() != outputs.len() {
            return Err(Error::shape("target of the step", outputs.len(), target.len()));
        }
        check_finite("target of the step", target)?;
        let errors: Vec<T> = outputs.iter().zip(target).map(|(&y, &want)| y - want).collect();
        self.eligibility.forget();
        self.eligibility.learn(&self.parameters, &errors)?;
        let rate = T::from_f64(self.rate);
        for block in [Block::Recurrent, Block::Input, Block::Readout] {
            let range = self.eligibility.rnn.block(block);
            let gradient = &self.eligibility.gradient[range.clone()];
            let parameters = &mut self.parameters[range];
            parameters.iter_mut().zip(gradient).for_each(|(x, &g)| *x -= rate * g);
        }
        Ok(outputs)
    }

    /// θ as it stands.
    #[must_use]
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }
}
