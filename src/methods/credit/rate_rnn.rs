//! The recurrent network whose learning rules are compared.

use std::ops::Range;

use crate::network::layers::{Dense, Leak, LeakyRecurrent, Sequential};
use crate::network::{
    Activation, Architecture, Initializer, Layer, LayerSpec, Network, Parameters,
};
use crate::{Error, Real, Result};

/// Leaky rate units with a linear readout:
///
/// u_t = W h_{t−1} + U x_t + b, h_t by the [`Leak`], s_t = κ s_{t−1} + (1 − κ) h_t, y_t = O s_t +
/// c.
///
/// Matrices are [post, pre]. Parameters are one vector θ = (W, U, b, O, c), each row-major, named
/// `layer1.recurrent_weight`, `layer1.input_weight`, `layer1.bias`, `layer2.weight`, `layer2.bias`
/// in the [`Network`] that [`RateRnn::network`] builds; its
/// [`Objective`](crate::network::Objective) has the exact loss and all its derivatives.
#[derive(Clone, Debug)]
pub struct RateRnn {
    inputs: usize,
    units: usize,
    outputs: usize,
    activation: Activation,
    leak: Leak,
    thresholds: Option<Vec<f64>>,
    readout_filter: f64,
    autapses: bool,
    bias: bool,
}

/// Consecutive parameters of a [`RateRnn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// W.
    Recurrent,
    /// U.
    Input,
    /// b.
    Bias,
    /// O.
    Readout,
    /// c.
    ReadoutBias,
    /// W, U and b: what learning rules disagree about.
    RecurrentGroup,
    /// θ.
    All,
}

impl RateRnn {
    /// A network with hidden bias and autapses, without thresholds and readout filter.
    ///
    /// # Errors
    /// A zero width; factors of the leak that are neither one nor `units` numbers of [0, 1).
    pub fn new(
        inputs: usize,
        units: usize,
        outputs: usize,
        activation: Activation,
        leak: Leak,
    ) -> Result<Self> {
        LeakyRecurrent::new(&[1, inputs], units, activation, &leak)?;
        Dense::new(&[units], outputs, Activation::Identity)?;
        Ok(Self {
            inputs,
            units,
            outputs,
            activation,
            leak,
            thresholds: None,
            readout_filter: 0.0,
            autapses: true,
            bias: true,
        })
    }

    /// Thresholds θ_i of the activation φ(v − θ).
    ///
    /// # Errors
    /// Another number of thresholds than units, NaN or infinities.
    pub fn thresholds(mut self, thresholds: Vec<f64>) -> Result<Self> {
        self.thresholds = Some(thresholds);
        self.layer(1).map(|_| self)
    }

    /// κ.
    ///
    /// # Errors
    /// A number outside [0, 1).
    pub fn readout_filter(mut self, kappa: f64) -> Result<Self> {
        self.readout_filter = kappa;
        self.layer(1).map(|_| self)
    }

    /// Whether units have synapses with themselves: without, the diagonal of W counts as zero in
    /// every pass, every gradient and the Hessian.
    #[must_use]
    pub fn autapses(mut self, autapses: bool) -> Self {
        self.autapses = autapses;
        self
    }

    /// Whether there is a hidden bias b.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Number of inputs.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// N.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units
    }

    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The leak.
    #[must_use]
    pub fn leak(&self) -> &Leak {
        &self.leak
    }

    /// κ.
    #[must_use]
    pub fn filter(&self) -> f64 {
        self.readout_filter
    }

    /// Whether units have synapses with themselves.
    #[must_use]
    pub fn has_autapses(&self) -> bool {
        self.autapses
    }

    pub(super) fn has_bias(&self) -> bool {
        self.bias
    }

    pub(super) fn activation(&self) -> Activation {
        self.activation
    }

    pub(super) fn threshold(&self, unit: usize) -> f64 {
        self.thresholds.as_ref().map_or(0.0, |thresholds| thresholds[unit])
    }

    /// a of every unit.
    pub(super) fn leaks(&self) -> Vec<f64> {
        self.leak.of_units(self.units)
    }

    /// Where a block lies in θ.
    #[must_use]
    pub fn block(&self, block: Block) -> Range<usize> {
        let w = self.units * self.units;
        let u = w + self.units * self.inputs;
        let b = u + if self.bias { self.units } else { 0 };
        let o = b + self.outputs * self.units;
        match block {
            Block::Recurrent => 0..w,
            Block::Input => w..u,
            Block::Bias => u..b,
            Block::Readout => b..o,
            Block::ReadoutBias => o..o + self.outputs,
            Block::RecurrentGroup => 0..b,
            Block::All => 0..o + self.outputs,
        }
    }

    /// Number of parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.block(Block::All).end
    }

    /// The hidden layer over `steps` steps, with the states of all as output.
    pub(super) fn layer(&self, steps: usize) -> Result<LeakyRecurrent> {
        let layer =
            LeakyRecurrent::new(&[steps, self.inputs], self.units, self.activation, &self.leak)?
                .readout_filter(self.readout_filter)?
                .autapses(self.autapses)
                .bias(self.bias)
                .every_step(true)
                .recurrent_initializer(Initializer::HeNormal)
                .input_initializer(Initializer::HeNormal);
        match &self.thresholds {
            Some(thresholds) => layer.thresholds(thresholds),
            None => Ok(layer),
        }
    }

    /// The network over sequences of `steps` steps, whose outputs are y_T, or with `every_step`
    /// all.
    ///
    /// # Errors
    /// No step.
    pub fn network<T: Real>(&self, steps: usize, every_step: bool) -> Result<Network<T>> {
        let hidden = self.layer(steps)?.every_step(every_step);
        let shape = Layer::<T>::output_shape(&hidden).to_vec();
        let readout = Dense::new(&shape, self.outputs, Activation::Identity)?
            .initializer(Initializer::GlorotUniform);
        let layers: Vec<Box<dyn Layer<T>>> = vec![Box::new(hidden), Box::new(readout)];
        Ok(Network::new(Sequential::new(layers)?))
    }

    /// The same network as data, for a file; it builds what [`RateRnn::network`] does.
    #[must_use]
    pub fn architecture(&self, steps: usize, every_step: bool) -> Architecture {
        Architecture::new([steps, self.inputs])
            .layer(LayerSpec::LeakyRecurrent {
                units: self.units,
                activation: self.activation,
                leak: self.leak.clone(),
                thresholds: self.thresholds.clone().unwrap_or_default(),
                readout_filter: self.readout_filter,
                autapses: self.autapses,
                every_step,
                bias: self.bias,
                recurrent_initializer: Initializer::HeNormal,
                input_initializer: Initializer::HeNormal,
            })
            .layer(LayerSpec::Dense {
                outputs: self.outputs,
                activation: Activation::Identity,
                bias: true,
                initializer: Initializer::GlorotUniform,
            })
    }

    /// Draws θ: W and U normal with deviations √(2/N) and √(2/inputs), O uniform on
    /// ±√(6/(N + outputs)), biases zero; the diagonal of W zero without autapses.
    ///
    /// # Errors
    /// None for a network that could be built.
    pub fn initialize<T: Real>(&self, seed: u64) -> Result<Vec<T>> {
        let network = self.network(1, false)?;
        let mut parameters = Parameters::initialize(&network, seed).into_values();
        self.mask(&mut parameters);
        Ok(parameters)
    }

    /// Sets the diagonal of W to zero where it does not count.
    pub(super) fn mask<T: Real>(&self, parameters: &mut [T]) {
        if !self.autapses {
            (0..self.units).for_each(|i| parameters[i * (self.units + 1)] = T::ZERO);
        }
    }

    pub(super) fn check<T: Real>(&self, parameters: &[T]) -> Result<()> {
        if parameters.len() != self.parameter_count() {
            return Err(Error::shape("parameters", self.parameter_count(), parameters.len()));
        }
        crate::error::check_finite("parameters", parameters)
    }
}
