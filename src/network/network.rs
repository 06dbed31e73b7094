//! A network: a composition of layers, and where its parameters lie.

use super::layer::{Layer, ParameterSpec, features};
use super::layers::Sequential;
use crate::Real;

/// A map from samples to outputs with one flat vector of parameters.
#[derive(Debug)]
pub struct Network<T: Real> {
    layers: Sequential<T>,
    specs: Vec<ParameterSpec>,
    parameters: usize,
}

impl<T: Real> Network<T> {
    /// The network with these layers, of any kind; [`super::Architecture`] builds those of the house.
    #[must_use]
    pub fn new(layers: Sequential<T>) -> Self {
        let specs = layers.parameters();
        let parameters = specs.iter().map(ParameterSpec::len).sum();
        Self { layers, specs, parameters }
    }

    /// The layers.
    #[must_use]
    pub fn layers(&self) -> &Sequential<T> {
        &self.layers
    }

    /// Names, shapes and initializers of the parameters, in memory order.
    #[must_use]
    pub fn parameter_specs(&self) -> &[ParameterSpec] {
        &self.specs
    }

    /// P, the length of the parameter vector.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters
    }

    /// Shape of the features of one sample.
    #[must_use]
    pub fn input_shape(&self) -> &[usize] {
        self.layers.input_shape()
    }

    /// Shape of the outputs of one sample.
    #[must_use]
    pub fn output_shape(&self) -> &[usize] {
        self.layers.output_shape()
    }

    /// M, the number of features of one sample.
    #[must_use]
    pub fn inputs(&self) -> usize {
        features(self.input_shape())
    }

    /// N, the number of outputs of one sample.
    #[must_use]
    pub fn outputs(&self) -> usize {
        features(self.output_shape())
    }
}
