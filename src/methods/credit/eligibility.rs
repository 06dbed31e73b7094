//! Local rules forwards in time, with a trace at every synapse.

use hesse_kernels::gemm::gemm;

use super::states::{States, rows, rows_mut};
use super::{BackWeights, Block, Feedback, RateRnn, Rule};
use crate::error::check_finite;
use crate::network::Activation;
use crate::network::layers::Leak;
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
/// multiplications a step.
#[derive(Clone, Debug)]
pub struct Eligibility<T> {
    rnn: RateRnn,
    feedback: Feedback<T>,
    samples: usize,
    voltages: Vec<T>,
    rates: Vec<T>,
    filtered: Vec<T>,
    outputs: Vec<T>,
    /// ε (voltage alone), e and ē, each `[b][p][q]`.
    integrated: Vec<T>,
    traces: Vec<T>,
    filtered_traces: Vec<T>,
    gradient: Vec<T>,
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
        let voltage = matches!(rnn.leak(), Leak::Voltage(_));
        let filter = rnn.filter() != 0.0;
        let traces = samples * n * width;
        Ok(Self {
            samples,
            voltages: zeros(samples * n),
            rates: zeros(samples * n),
            filtered: zeros(samples * n),
            outputs: zeros(samples * rnn.outputs()),
            integrated: zeros(if voltage { traces } else { 0 }),
            traces: zeros(traces),
            filtered_traces: zeros(if filter { traces } else { 0 }),
            gradient: zeros(rnn.parameter_count()),
            rnn: rnn.clone(),
            feedback,
        })
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
        let mut masked = parameters.to_vec();
        self.rnn.mask(&mut masked);
        self.integrate(&masked, inputs);
        let kappa = self.rnn.filter();
        let (keep, gain) = (T::from_f64(kappa), T::from_f64(1.0 - kappa));
        let filtered = self.filtered.iter_mut().zip(&self.rates);
        filtered.for_each(|(s, &h)| *s = keep * *s + gain * h);
        self.filtered_traces
            .iter_mut()
            .zip(&self.traces)
            .for_each(|(filtered, &e)| *filtered = keep * *filtered + gain * e);
        let (n, width) = (self.rnn.units(), self.rnn.outputs());
        let bias = &masked[self.rnn.block(Block::ReadoutBias)];
        self.outputs.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(bias));
        let weight = rows(&masked[self.rnn.block(Block::Readout)], n).transposed();
        let y = rows_mut(&mut self.outputs, width);
        gemm(Isa::current(), T::ONE, rows(&self.filtered, n), weight, T::ONE, y);
        Ok(&self.outputs)
    }

    /// States and traces of a step.
    fn integrate(&mut self, parameters: &[T], inputs: &[T]) {
        let (isa, n, features) = (Isa::current(), self.rnn.units(), self.rnn.inputs());
        let mut u = vec![T::ZERO; self.samples * n];
        if self.rnn.has_bias() {
            let bias = &parameters[self.rnn.block(Block::Bias)];
            u.chunks_exact_mut(n).for_each(|u| u.copy_from_slice(bias));
        }
        let weight = rows(&parameters[self.rnn.block(Block::Input)], features).transposed();
        gemm(isa, T::ONE, rows(inputs, features), weight, T::ONE, rows_mut(&mut u, n));
        let weight = rows(&parameters[self.rnn.block(Block::Recurrent)], n).transposed();
        gemm(isa, T::ONE, rows(&self.rates, n), weight, T::ONE, rows_mut(&mut u, n));
        let before = self.rates.clone();
        let a = self.rnn.leaks();
        let leaks: Vec<(T, T)> =
            a.iter().map(|&a| (T::from_f64(a), T::from_f64(1.0 - a))).collect();
        let rate = matches!(self.rnn.leak(), Leak::Rate(_));
        if !rate {
            for (i, v) in self.voltages.iter_mut().enumerate() {
                let (keep, gain) = leaks[i % n];
                *v = keep * *v + gain * u[i];
            }
            u.copy_from_slice(&self.voltages);
        }
        let mut slopes = vec![T::ZERO; u.len()];
        let shifts: Vec<T> = (0..n).map(|i| T::from_f64(-self.rnn.threshold(i))).collect();
        activate(self.rnn.activation(), &shifts, &mut u, &mut slopes);
        for i in 0..u.len() {
            let (keep, gain) = leaks[i % n];
            self.rates[i] = if rate { keep * self.rates[i] + gain * u[i] } else { u[i] };
        }
        let width = n + features + 1;
        let mut z = vec![T::ONE; width];
        for b in 0..self.samples {
            z[..n].copy_from_slice(&before[b * n..][..n]);
            z[n..n + features].copy_from_slice(&inputs[b * features..][..features]);
            for p in 0..n {
                let (keep, gain) = leaks[p];
                let slope = slopes[b * n + p];
                let row = (b * n + p) * width..(b * n + p + 1) * width;
                let traces = &mut self.traces[row.clone()];
                if rate {
                    let gain = gain * slope;
                    traces.iter_mut().zip(&z).for_each(|(e, &z)| *e = keep * *e + gain * z);
                } else {
                    let integrated = &mut self.integrated[row];
                    for ((e, integrated), &z) in traces.iter_mut().zip(integrated).zip(&z) {
                        *integrated = keep * *integrated + gain * z;
                        *e = slope * *integrated;
                    }
                }
            }
        }
    }

    /// Adds the gradient of this step, from the loss's derivatives in its outputs, samples ×
    /// outputs. `parameters` give the symmetric feedback.
    ///
    /// # Errors
    /// Other lengths, NaN or infinities.
    pub fn learn(&mut self, parameters: &[T], errors: &[T]) -> Result<()> {
        self.rnn.check(parameters)?;
        let (n, outputs) = (self.rnn.units(), self.rnn.outputs());
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
        gemm(Isa::current(), T::ONE, errors_of, back, T::ZERO, rows_mut(&mut signal, n));
        let features = self.rnn.inputs();
        let width = n + features + 1;
        let [w, u, b, o, c] =
            [Block::Recurrent, Block::Input, Block::Bias, Block::Readout, Block::ReadoutBias]
                .map(|block| self.rnn.block(block).start);
        let traces = if self.rnn.filter() == 0.0 { &self.traces } else { &self.filtered_traces };
        let gradient = &mut self.gradient;
        let mut add = |start: usize, factor: T, x: &[T]| {
            gradient[start..].iter_mut().zip(x).for_each(|(g, &x)| *g += factor * x);
        };
        for (row, (trace, &factor)) in traces.chunks_exact(width).zip(&signal).enumerate() {
            let p = row % n;
            add(w + p * n, factor, &trace[..n]);
            add(u + p * features, factor, &trace[n..n + features]);
            if self.rnn.has_bias() {
                add(b + p, factor, &trace[n + features..]);
            }
        }
        for (errors, s) in errors.chunks_exact(outputs).zip(self.filtered.chunks_exact(n)) {
            for (k, &error) in errors.iter().enumerate() {
                add(o + k * n, error, s);
                add(c + k, error, &[T::ONE]);
            }
        }
        self.rnn.mask(&mut self.gradient);
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
    }

    /// e_pq of a sample for the weights W, N × N.
    ///
    /// # Errors
    /// A sample out of range.
    pub fn traces(&self, sample: usize) -> Result<Vec<T>> {
        if sample >= self.samples {
            return Err(Error::range("sample", format!("below {}", self.samples), sample));
        }
        let n = self.rnn.units();
        let width = n + self.rnn.inputs() + 1;
        let of_sample = &self.traces[sample * n * width..][..n * width];
        Ok(of_sample.chunks_exact(width).flat_map(|row| row[..n].to_vec()).collect())
    }
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

impl<T: Real> States<T> {
    /// dW of MDGL as a neuron would compute it, forwards with its traces: three factors, and Σ_t
    /// (Ŵᵀ((1 − a)∘φ'_t∘g_t))_p e_pq,t−1, the broadcasts of other units with the trace of the step
    /// before.
    ///
    /// Equals the W block of [`Rule::Mdgl`], at B·T·N² multiplications: an oracle.
    ///
    /// # Errors
    /// As [`States::gradient`] for that rule.
    pub fn mdgl_by_traces(&self, weights: &BackWeights<T>) -> Result<Vec<T>> {
        let rule = Rule::Mdgl { weights: weights.clone() };
        rule.check(&self.rnn, self.samples, self.steps)?;
        let n = self.rnn.units();
        let weights = self.back_weights(weights);
        let g = self.signal(None);
        let sent = self.sent(&g);
        let mut received = vec![T::ZERO; g.len()];
        let w = rows(&weights, n);
        gemm(Isa::current(), T::ONE, rows(&sent, n), w, T::ZERO, rows_mut(&mut received, n));
        let (kept, leaks) = (self.kept(), self.leaks());
        let mut gradient = vec![T::ZERO; self.parameters.len()];
        for b in 0..self.samples {
            let mut integrated = vec![T::ZERO; n * n];
            let mut trace = vec![T::ZERO; n * n];
            for t in 0..self.steps {
                let row = (t * self.samples + b) * n;
                let z = self.presynaptic(b, t);
                for p in 0..n {
                    let (keep, gain) = leaks[p];
                    let (own, others) = (g[row + p], received[row + p]);
                    for q in 0..n {
                        let (i, e) = (&mut integrated[p * n + q], &mut trace[p * n + q]);
                        gradient[p * n + q] += others * *e;
                        *i = keep * *i + gain * z[q];
                        *e = kept.slopes[row + p] * *i;
                        gradient[p * n + q] += own * *e;
                    }
                }
            }
        }
        self.rnn.mask(&mut gradient);
        gradient.truncate(n * n);
        Ok(gradient)
    }
}
