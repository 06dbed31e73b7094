//! Spiking units with a surrogate derivative, and the rules on them.

use hesse_kernels::gemm::gemm;

use super::pass::{rows, rows_mut};
use super::{Feedback, Rule, Sequences};
use crate::error::check_finite;
use crate::{Error, Isa, Result};

/// Leaky integrate-and-fire units, with adaptive thresholds where β > 0, and a filtered linear
/// readout.
///
/// b_t = ρ b_{t−1} + (1 − ρ) z_{t−1},
/// v_t = α v_{t−1} + (1 − α)(W z_{t−1} + U x_t) − ϑ z_{t−1},
/// z_t = 1 where σ_t = (v_t − ϑ − β b_t)/ϑ > 0, but 0 for some steps after a spike,
/// s_t = κ s_{t−1} + (1 − κ) z_t, y_t = O s_t + c; all zero before the first step.
///
/// ∂z/∂v counts as ψ = (γ/ϑ) max(1 − |σ|, 0), and 0 while the unit is refractory; ∂z/∂b = −β ψ.
/// There are no autapses. Parameters are one vector θ = (W, U, O, c). A step is 1 ms in the units
/// of the paper's code.
///
/// Source: Bellec et al. 2020; Liu et al. 2021 (MDGL) and its code.
#[derive(Clone, Debug)]
pub struct SpikingRnn {
    inputs: usize,
    outputs: usize,
    /// β of every unit.
    adaptation: Vec<f64>,
    /// α, ρ, κ.
    decays: [f64; 3],
    threshold: f64,
    slope: f64,
    refractory: usize,
    reset_has_slope: bool,
}

impl SpikingRnn {
    /// Units with adaptations β, decays [α, ρ, κ] of voltage, adaptation and readout, threshold ϑ
    /// and slope γ of the surrogate, without refractory time.
    ///
    /// # Errors
    /// A zero width, β that are negative or not finite, decays outside [0, 1), ϑ or γ not positive.
    pub fn new(
        inputs: usize,
        outputs: usize,
        adaptation: Vec<f64>,
        decays: [f64; 3],
        threshold: f64,
        slope: f64,
    ) -> Result<Self> {
        let sizes = [(inputs, "inputs"), (adaptation.len(), "units"), (outputs, "outputs")];
        if let Some((_, what)) = sizes.into_iter().find(|(size, _)| *size == 0) {
            return Err(Error::empty(format!("spiking network: {what}")));
        }
        check_finite("adaptation", &adaptation)?;
        if let Some(beta) = adaptation.iter().find(|&&beta| beta < 0.0) {
            return Err(Error::range("adaptation", "not negative", beta));
        }
        for (decay, what) in decays.iter().zip(["voltage", "adaptation", "readout"]) {
            if !(0.0..1.0).contains(decay) {
                return Err(Error::range(format!("decay of the {what}"), "in [0, 1)", decay));
            }
        }
        for (value, what) in [(threshold, "threshold"), (slope, "slope of the surrogate")] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::range(what, "a positive finite number", value));
            }
        }
        Ok(Self {
            inputs,
            outputs,
            adaptation,
            decays,
            threshold,
            slope,
            refractory: 0,
            reset_has_slope: true,
        })
    }

    /// Steps after a spike in which there is no other; 0 by default.
    #[must_use]
    pub fn refractory(mut self, steps: usize) -> Self {
        self.refractory = steps;
        self
    }

    /// Whether −ϑ z_{t−1} in v_t has a surrogate derivative; yes by default. Bellec's code stops
    /// it.
    #[must_use]
    pub fn reset_has_slope(mut self, has: bool) -> Self {
        self.reset_has_slope = has;
        self
    }

    /// N.
    #[must_use]
    pub fn units(&self) -> usize {
        self.adaptation.len()
    }

    /// Number of parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        let n = self.units();
        n * (n + self.inputs + self.outputs) + self.outputs
    }

    /// First elements of U, O and c in θ.
    fn offsets(&self) -> [usize; 3] {
        let n = self.units();
        [n * n, n * (n + self.inputs), n * (n + self.inputs + self.outputs)]
    }

    /// The derivative of v_t in z_{t−1} of the same unit.
    fn reset(&self) -> f64 {
        if self.reset_has_slope { -self.threshold } else { 0.0 }
    }
}

/// A spiking network's primal pass over sequences; arrays `[t][b][i]`.
#[derive(Clone, Debug)]
pub struct SpikingStates {
    rnn: SpikingRnn,
    /// θ, the diagonal of W zero.
    parameters: Vec<f64>,
    samples: usize,
    steps: usize,
    inputs: Vec<f64>,
    spikes: Vec<f64>,
    voltages: Vec<f64>,
    adaptation: Vec<f64>,
    slopes: Vec<f64>,
    filtered: Vec<f64>,
    outputs: Vec<f64>,
    errors: Vec<f64>,
    loss: f64,
}

impl SpikingStates {
    /// Runs `rnn` at θ over `sequences`.
    ///
    /// # Errors
    /// Another number of parameters, inputs or targets than the network's, NaN or infinities.
    pub fn new(rnn: &SpikingRnn, parameters: &[f64], sequences: &Sequences<f64>) -> Result<Self> {
        if parameters.len() != rnn.parameter_count() {
            return Err(Error::shape("parameters", rnn.parameter_count(), parameters.len()));
        }
        check_finite("parameters", parameters)?;
        sequences.check(rnn.inputs, rnn.outputs)?;
        let (n, m) = (rnn.units(), rnn.inputs);
        let (samples, steps) = (sequences.samples(), sequences.steps());
        let mut masked = parameters.to_vec();
        (0..n).for_each(|i| masked[i * (n + 1)] = 0.0);
        let mut inputs = Vec::with_capacity(sequences.inputs().len());
        for t in 0..steps {
            for b in 0..samples {
                inputs.extend_from_slice(&sequences.inputs()[(b * steps + t) * m..][..m]);
            }
        }
        let zeros = |width: usize| vec![0.0; steps * samples * width];
        let mut states = Self {
            rnn: rnn.clone(),
            parameters: masked,
            samples,
            steps,
            inputs,
            spikes: zeros(n),
            voltages: zeros(n),
            adaptation: zeros(n),
            slopes: zeros(n),
            filtered: zeros(n),
            outputs: zeros(rnn.outputs),
            errors: zeros(rnn.outputs),
            loss: 0.0,
        };
        states.run();
        let steps = if sequences.target().at_each_step() { 0 } else { sequences.steps() - 1 };
        let first = steps * samples * rnn.outputs;
        let (outputs, errors) = (&states.outputs[first..], &mut states.errors[first..]);
        states.loss = sequences.compare(outputs, rnn.outputs, 0..samples, errors);
        Ok(states)
    }

    fn run(&mut self) {
        let (isa, n, length) = (Isa::current(), self.rnn.units(), self.samples * self.rnn.units());
        let [alpha, rho, kappa] = self.rnn.decays;
        let threshold = self.rnn.threshold;
        let [u, o, c] = self.rnn.offsets();
        let mut drive = vec![0.0; self.steps * length];
        let weight = rows(&self.parameters[u..o], self.rnn.inputs).transposed();
        gemm(isa, 1.0, rows(&self.inputs, self.rnn.inputs), weight, 0.0, rows_mut(&mut drive, n));
        let weight = rows(&self.parameters[..u], n).transposed();
        let mut silent = vec![0usize; length];
        for t in 0..self.steps {
            let drive = &mut drive[t * length..][..length];
            let before = |array: &[f64], i: usize| match t {
                0 => 0.0,
                _ => array[(t - 1) * length + i],
            };
            if t > 0 {
                let z = rows(&self.spikes[(t - 1) * length..t * length], n);
                gemm(isa, 1.0, z, weight, 1.0, rows_mut(drive, n));
            }
            for i in 0..length {
                let z = before(&self.spikes, i);
                let beta = self.rnn.adaptation[i % n];
                let adaptation = rho * before(&self.adaptation, i) + (1.0 - rho) * z;
                let held = alpha * before(&self.voltages, i) + (1.0 - alpha) * drive[i];
                let v = held - threshold * z;
                let sigma = (v - threshold - beta * adaptation) / threshold;
                let free = silent[i] == 0;
                let spikes = free && sigma > 0.0;
                let slope = self.rnn.slope / threshold * (1.0 - sigma.abs()).max(0.0);
                let at = t * length + i;
                self.filtered[at] =
                    kappa * before(&self.filtered, i) + (1.0 - kappa) * f64::from(spikes);
                self.spikes[at] = f64::from(spikes);
                self.voltages[at] = v;
                self.adaptation[at] = adaptation;
                self.slopes[at] = if free { slope } else { 0.0 };
                silent[i] = if spikes { self.rnn.refractory } else { silent[i].saturating_sub(1) };
            }
        }
        let width = self.rnn.outputs;
        let bias = &self.parameters[c..];
        self.outputs.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(bias));
        let weight = rows(&self.parameters[o..c], n).transposed();
        gemm(isa, 1.0, rows(&self.filtered, n), weight, 1.0, rows_mut(&mut self.outputs, width));
    }

    /// L.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// z_t.
    #[must_use]
    pub fn spikes(&self) -> &[f64] {
        &self.spikes
    }

    /// v_t.
    #[must_use]
    pub fn voltages(&self) -> &[f64] {
        &self.voltages
    }

    /// b_t.
    #[must_use]
    pub fn adaptation(&self) -> &[f64] {
        &self.adaptation
    }

    /// ψ_t.
    #[must_use]
    pub fn slopes(&self) -> &[f64] {
        &self.slopes
    }

    /// s_t.
    #[must_use]
    pub fn filtered(&self) -> &[f64] {
        &self.filtered
    }

    /// y_t.
    #[must_use]
    pub fn outputs(&self) -> &[f64] {
        &self.outputs
    }

    /// g_t = (1 − κ) r_t with r_t = B ∂L/∂y_t + κ r_{t+1}, `[t][b][unit]`.
    ///
    /// # Errors
    /// Feedback of another shape than N × outputs, NaN or infinities in it.
    pub fn learning_signal(&self, feedback: &Feedback<f64>) -> Result<Vec<f64>> {
        feedback.check(self.rnn.units(), self.rnn.outputs)?;
        Ok(self.signal(feedback))
    }

    fn signal(&self, feedback: &Feedback<f64>) -> Vec<f64> {
        let (n, width) = (self.rnn.units(), self.rnn.outputs);
        let [_, o, c] = self.rnn.offsets();
        let back = match feedback {
            Feedback::Symmetric => rows(&self.parameters[o..c], n),
            Feedback::Fixed(matrix) => rows(matrix, width).transposed(),
        };
        let mut signal = vec![0.0; self.spikes.len()];
        let errors = rows(&self.errors, width);
        gemm(Isa::current(), 1.0, errors, back, 0.0, rows_mut(&mut signal, n));
        let kappa = self.rnn.decays[2];
        let length = self.samples * n;
        for i in (0..signal.len() - length).rev() {
            signal[i] += kappa * signal[i + length];
        }
        signal.iter_mut().for_each(|g| *g *= 1.0 - kappa);
        signal
    }

    /// The gradient of θ = (W, U, O, c) by BPTT through the surrogate, by three factors (e-prop) or
    /// by MDGL; O and c have their exact gradient.
    ///
    /// Offline: λ^z_t = g_t + C_t − ϑ λ^v_{t+1} + (1 − ρ) λ^b_{t+1}, λ^v_t = ψ_t λ^z_t + α λ^v_{t+1},
    /// λ^b_t = −β ψ_t λ^z_t + ρ λ^b_{t+1}, dW = (1 − α) Σ λ^v_t z_{t−1}ᵀ, with
    /// C_t = (1 − α) Wᵀ λ^v_{t+1} for BPTT, none for e-prop, (1 − α) Ŵᵀ(ψ_{t+1}∘g_{t+1}) for MDGL.
    ///
    /// # Errors
    /// Another rule, feedback or weights of another shape.
    pub fn gradient(&self, rule: &Rule<f64>) -> Result<Vec<f64>> {
        let (isa, n, length) = (Isa::current(), self.rnn.units(), self.samples * self.rnn.units());
        let [alpha, rho, _] = self.rnn.decays;
        let [u, o, c] = self.rnn.offsets();
        let w = &self.parameters[..u];
        let mut g = match rule {
            Rule::ThreeFactor { feedback } => {
                feedback.check(n, self.rnn.outputs)?;
                self.signal(feedback)
            }
            Rule::Bptt | Rule::Mdgl { .. } => self.signal(&Feedback::Symmetric),
            _ => {
                let expected = "bptt, three factors or mdgl";
                return Err(Error::not_applicable("spiking network", expected, rule.name()));
            }
        };
        if let Rule::Mdgl { weights } = rule {
            weights.check(n)?;
            let sent: Vec<f64> = g.iter().zip(&self.slopes).map(|(g, psi)| g * psi).collect();
            let before = g.len() - length;
            if before > 0 {
                let weights = weights.from(w);
                let g = rows_mut(&mut g[..before], n);
                gemm(isa, 1.0 - alpha, rows(&sent[length..], n), rows(&weights, n), 1.0, g);
            }
        }
        let reset = self.rnn.reset();
        let mut of_voltage = vec![0.0; g.len()];
        let mut of_adaptation = vec![0.0; length];
        for t in (0..self.steps).rev() {
            let (now, later) = of_voltage[t * length..].split_at_mut(length);
            let g = &mut g[t * length..][..length];
            let next = later.get(..length);
            if let (Some(next), Rule::Bptt) = (next, rule) {
                gemm(isa, 1.0 - alpha, rows(next, n), rows(w, n), 1.0, rows_mut(g, n));
            }
            for i in 0..length {
                let later = next.map_or(0.0, |next| next[i]);
                let spike = g[i] + reset * later + (1.0 - rho) * of_adaptation[i];
                let through = self.slopes[t * length + i] * spike;
                now[i] = through + alpha * later;
                of_adaptation[i] = rho * of_adaptation[i] - self.rnn.adaptation[i % n] * through;
            }
        }
        let mut gradient = vec![0.0; self.parameters.len()];
        if self.steps > 1 {
            let later = rows(&of_voltage[length..], n).transposed();
            let before = rows(&self.spikes[..of_voltage.len() - length], n);
            gemm(isa, 1.0 - alpha, later, before, 0.0, rows_mut(&mut gradient[..u], n));
        }
        let all = rows(&of_voltage, n).transposed();
        let x = rows(&self.inputs, self.rnn.inputs);
        let of_inputs = rows_mut(&mut gradient[u..o], self.rnn.inputs);
        gemm(isa, 1.0 - alpha, all, x, 0.0, of_inputs);
        let errors = rows(&self.errors, self.rnn.outputs).transposed();
        let readout = rows_mut(&mut gradient[o..c], n);
        gemm(isa, 1.0, errors, rows(&self.filtered, n), 0.0, readout);
        hesse_kernels::activation::column_sums(isa, &self.errors, &mut gradient[c..]);
        (0..n).for_each(|i| gradient[i * (n + 1)] = 0.0);
        Ok(gradient)
    }

    /// e_t of every synapse of W at the last step, samples × N × N, and Σ_t g_t e_t, N × N,
    /// forwards in time:
    ///
    /// ε^v_t = (α − ϑ ψ_{t−1}) ε^v_{t−1} + ϑ β ψ_{t−1} ε^b_{t−1} + (1 − α) z_{t−1}, ε^b_t = (1 − ρ)
    /// ψ_{t−1} ε^v_{t−1} + (ρ − (1 − ρ) β ψ_{t−1}) ε^b_{t−1}, e_t = ψ_t (ε^v_t − β ε^b_t).
    ///
    /// The second equals dW of e-prop, at B·T·N² multiplications: an oracle.
    #[must_use]
    pub fn eligibility(&self) -> (Vec<f64>, Vec<f64>) {
        let n = self.rnn.units();
        let [alpha, rho, _] = self.rnn.decays;
        let reset = self.rnn.reset();
        let g = self.signal(&Feedback::Symmetric);
        let mut last = vec![0.0; self.samples * n * n];
        let mut gradient = vec![0.0; n * n];
        for b in 0..self.samples {
            for p in 0..n {
                let beta = self.rnn.adaptation[p];
                for q in 0..n {
                    let (mut of_voltage, mut of_adaptation) = (0.0, 0.0);
                    let (mut trace, mut sum) = (0.0, 0.0);
                    for t in 0..self.steps {
                        let at = |t: usize, i: usize| (t * self.samples + b) * n + i;
                        let (psi, z) = match t {
                            0 => (0.0, 0.0),
                            _ => (self.slopes[at(t - 1, p)], self.spikes[at(t - 1, q)]),
                        };
                        // The derivative of z_{t−1} is the trace before.
                        let spike = psi * (of_voltage - beta * of_adaptation);
                        of_voltage = alpha * of_voltage + reset * spike + (1.0 - alpha) * z;
                        of_adaptation = rho * of_adaptation + (1.0 - rho) * spike;
                        trace = self.slopes[at(t, p)] * (of_voltage - beta * of_adaptation);
                        sum += g[at(t, p)] * trace;
                    }
                    last[(b * n + p) * n + q] = trace;
                    gradient[p * n + q] += sum;
                }
            }
        }
        (0..n).for_each(|i| gradient[i * (n + 1)] = 0.0);
        (last, gradient)
    }
}
