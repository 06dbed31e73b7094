//! Sharpness and the measures of feature space, from one stacked pass.

use super::geometry::Shard;
use super::layer::mean;
use super::{JacobianGeometry, LayerGeometry, LogVolume, OtherLayer};
use crate::{Error, Result};

/// How the layers of a sample are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverLayers {
    /// Their sum, as the reference code does.
    #[default]
    Sum,
    /// Their mean.
    Mean,
}

/// What [`Geometry`](super::Geometry) found, of every sample and layer, and the measures that are
/// means of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GeometryReport {
    /// n.
    pub samples: usize,
    /// P, the number of parameters.
    pub parameters: usize,
    /// J = ∂f/∂x and the inputs x of the network.
    pub input: JacobianGeometry,
    /// Σ_k x_k² ‖∂f/∂x_k‖² of every sample.
    pub scaled_columns: Vec<f64>,
    /// ‖J x‖² of every sample.
    pub scaled_inputs: Vec<f64>,
    /// Whether the first linear layer reads the inputs of the network, and alone, so that J = J^1.
    pub reads_input: bool,
    /// The linear layers, first to last.
    pub layers: Vec<LayerGeometry>,
    /// The other layers with parameters.
    pub other_layers: Vec<OtherLayer>,
    pub(super) adaptive: bool,
}

impl GeometryReport {
    pub(super) fn append(&mut self, shard: Shard, first: bool) {
        self.input.append(shard.input);
        self.scaled_columns.extend(shard.scaled_columns);
        self.scaled_inputs.extend(shard.scaled_inputs);
        self.reads_input &= shard.reads_input;
        if first {
            self.layers = shard.layers;
            self.other_layers = shard.others;
            return;
        }
        self.layers.iter_mut().zip(shard.layers).for_each(|(a, b)| a.append(b));
        self.other_layers.iter_mut().zip(shard.others).for_each(|(a, b)| a.append(b));
    }

    /// ‖∂f(xᵢ)/∂θ‖_F² of every sample, all parameters and outputs.
    #[must_use]
    pub fn parameter_squares(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.samples];
        let of_layers = self.layers.iter().flat_map(|l| [&l.weight_squares, &l.bias_squares]);
        for squares in of_layers.chain(self.other_layers.iter().map(|l| &l.squares)) {
            sums.iter_mut().zip(squares).for_each(|(sum, x)| *sum += x);
        }
        sums
    }

    /// S = (1/n) Σᵢ ‖∂f(xᵢ)/∂θ‖_F²: the trace of the Gauss-Newton matrix of half the
    /// squared error, of raw outputs whatever the loss of training, biases included.
    #[must_use]
    pub fn trace(&self) -> f64 {
        mean(&self.parameter_squares())
    }

    /// √S, which the reference code calls sharpness and plots.
    #[must_use]
    pub fn sqrt_trace(&self) -> f64 {
        self.trace().sqrt()
    }

    /// S_W = Σ_l S_{W_l}: the part of S of the weights of linear layers.
    #[must_use]
    pub fn weight_trace(&self) -> f64 {
        self.layers.iter().map(LayerGeometry::weight_trace).sum()
    }

    /// MLS = (1/n) Σᵢ ‖Jᵢ‖₂: maximum local sensitivity, the largest change of the outputs for a unit
    /// change of the input, first order.
    #[must_use]
    pub fn mls(&self) -> f64 {
        mean(&self.input.spectral_norms())
    }

    /// (1/n) Σᵢ ‖Jᵢ‖_F².
    #[must_use]
    pub fn mean_squared_frobenius(&self) -> f64 {
        mean(&self.input.frobenius.iter().map(|x| x * x).collect::<Vec<_>>())
    }

    /// The mean of log dVᵢ, the local volumetric ratio; −∞ where a Jacobian has not full rank, unless
    /// [`LogVolume::Pseudo`].
    ///
    /// # Errors
    /// As [`JacobianGeometry::log_volumes`].
    pub fn log_volume(&self, which: LogVolume) -> Result<f64> {
        Ok(mean(&self.input.log_volumes(which)?))
    }

    /// The mean of the local dimension (Σλ)²/Σλ² of JᵢJᵢᵀ; NaN where a Jacobian is 0.
    ///
    /// # Errors
    /// As [`JacobianGeometry::local_dimensions`].
    pub fn local_dimension(&self) -> Result<f64> {
        Ok(mean(&self.input.local_dimensions()?))
    }

    /// Σ_l ‖Jᵢ^l‖₂ of every sample, or its mean over layers.
    ///
    /// # Errors
    /// [`Error::Empty`] without linear layers.
    pub fn network_sensitivities(&self, over: OverLayers) -> Result<Vec<f64>> {
        self.check_layers()?;
        let mut sums = vec![0.0; self.samples];
        for layer in &self.layers {
            let norms = layer.jacobian.spectral_norms();
            sums.iter_mut().zip(norms).for_each(|(sum, x)| *sum += x);
        }
        if over == OverLayers::Mean {
            let count = self.layers.len() as f64;
            sums.iter_mut().for_each(|x| *x /= count);
        }
        Ok(sums)
    }

    /// NMLS = (1/n) Σᵢ Σ_l ‖Jᵢ^l‖₂ over linear layers, network MLS.
    ///
    /// # Errors
    /// [`Error::Empty`] without linear layers.
    pub fn nmls(&self, over: OverLayers) -> Result<f64> {
        Ok(mean(&self.network_sensitivities(over)?))
    }

    /// log NVR, NVR = (1/n) Σᵢ Σ_l Π_k s_k(Jᵢ^l), network volumetric ratio.
    ///
    /// # Errors
    /// [`Error::Empty`] without linear layers; [`Error::NotApplicable`] where only the largest
    /// singular values were computed.
    pub fn log_nvr(&self) -> Result<f64> {
        self.check_layers()?;
        let mut logs = Vec::new();
        for layer in &self.layers {
            logs.extend(layer.jacobian.log_volumes(LogVolume::All)?);
        }
        Ok(log_sum_exp(&logs) - (self.samples as f64).ln())
    }

    /// (1/n) Σᵢ ‖Jᵢ‖₂² ‖xᵢ‖²: normalised MLS, which does not change when inputs are scaled and first
    /// weights are scaled back. At most κ₁.
    #[must_use]
    pub fn normalized_mls(&self) -> f64 {
        let terms = self.input.spectral_norms().into_iter().zip(&self.input.norms);
        mean(&terms.map(|(s, x)| (s * x).powi(2)).collect::<Vec<_>>())
    }

    /// (1/n) Σᵢ Σ_k xᵢ_k² ‖∂f/∂x_k‖²: input-invariant MLS element by element.
    #[must_use]
    pub fn iimls_elementwise(&self) -> f64 {
        mean(&self.scaled_columns)
    }

    /// (1/(nM)) Σᵢ ‖Jᵢ xᵢ‖²: input-invariant MLS of the reference code, at most
    /// [`iimls_elementwise`](Self::iimls_elementwise).
    #[must_use]
    pub fn iimls_directional(&self) -> f64 {
        mean(&self.scaled_inputs) / self.input.features as f64
    }

    /// S_ad = Σ_j θ_j² G_jj with G the Gauss-Newton matrix of half the squared error: adaptive
    /// sharpness, which does not change when weights are scaled through a positively homogeneous
    /// layer.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] where it was switched off.
    pub fn adaptive_sharpness(&self) -> Result<f64> {
        self.check_adaptive()?;
        let of_layers = self.layers.iter().flat_map(|l| [&l.adaptive_weight, &l.adaptive_bias]);
        let others = self.other_layers.iter().map(|l| &l.adaptive);
        Ok(of_layers.chain(others).map(|x| mean(x)).sum())
    }

    /// S_ad of the weights of every linear layer.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] where it was switched off.
    pub fn adaptive_sharpness_of_weights(&self) -> Result<Vec<f64>> {
        self.check_adaptive()?;
        Ok(self.layers.iter().map(|l| mean(&l.adaptive_weight)).collect())
    }

    fn check_adaptive(&self) -> Result<()> {
        if self.adaptive {
            return Ok(());
        }
        let expected = "a pass with adaptive(true)";
        Err(Error::not_applicable("adaptive sharpness", expected, "adaptive(false)"))
    }

    pub(super) fn check_layers(&self) -> Result<()> {
        if self.layers.is_empty() {
            return Err(Error::empty("layers: linear ones"));
        }
        Ok(())
    }
}

/// log Σ exp(xᵢ), −∞ for nothing.
pub(super) fn log_sum_exp(x: &[f64]) -> f64 {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}
