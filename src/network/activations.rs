//! What every layer of a network gives out.

use faer::MatRef;

use super::Network;
use super::layer::{Keep, Layer, State, features};
use crate::error::check_finite;
use crate::numerics::parallel;
use crate::{Error, Real, Result};

/// Samples of a task, where a layer treats them one by one.
const SHARD: usize = 256;

/// The features behind one layer, for every sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations<T> {
    /// `input`, `layer1`, `layer2`, …
    pub name: String,
    /// Shape of the features of one sample.
    pub shape: Vec<usize>,
    /// Row-major, the features of one sample contiguous.
    pub values: Vec<T>,
}

impl<T: Real> Activations<T> {
    /// Samples × features, flattened.
    #[must_use]
    pub fn rows(&self) -> MatRef<'_, T> {
        let width = features(&self.shape);
        MatRef::from_row_major_slice(&self.values, self.values.len() / width.max(1), width)
    }
}

impl<T: Real> Network<T> {
    /// The inputs and what every layer gives out, after its non-linearity: one more than layers.
    ///
    /// `inputs`: samples × features, row-major. Cost and memory: one forward pass, everything kept.
    ///
    /// # Errors
    /// A wrong number of parameters or features, no sample, NaN or infinities among them, or in what
    /// a layer gives out.
    pub fn activations(&self, parameters: &[T], inputs: &[T]) -> Result<Vec<Activations<T>>> {
        if parameters.len() != self.parameter_count() {
            return Err(Error::shape("parameters", self.parameter_count(), parameters.len()));
        }
        check_finite("parameters", parameters)?;
        let width = self.inputs();
        if inputs.is_empty() {
            return Err(Error::empty("samples"));
        }
        if !inputs.len().is_multiple_of(width) {
            let expected = format!("a multiple of {width}");
            return Err(Error::shape("inputs", expected, inputs.len()));
        }
        check_finite("inputs", inputs)?;
        self.layers().check_input(inputs)?;
        let samples = inputs.len() / width;
        let mut all = vec![Activations {
            name: "input".to_owned(),
            shape: self.input_shape().to_vec(),
            values: inputs.to_vec(),
        }];
        for (i, layer) in self.layers().layers().iter().enumerate() {
            let parameters = &parameters[self.layers().parameter_range(i)];
            let (from, to) = (features(layer.input_shape()), features(layer.output_shape()));
            let shard = if layer.couples_samples() { samples } else { SHARD };
            let mut values = vec![T::ZERO; samples * to];
            let before = &all[i].values;
            parallel::for_each_piece(&mut values, shard * to, |s, piece| {
                let rows = piece.len() / to.max(1);
                let input = &before[s * shard * from..][..rows * from];
                layer.forward(parameters, input, piece, &mut State::default(), Keep::Outputs);
            });
            let name = format!("layer{}", i + 1);
            check_finite(&name, &values)?;
            all.push(Activations { name, shape: layer.output_shape().to_vec(), values });
        }
        Ok(all)
    }
}
