//! A network as data: what a file describes and a builder writes.

mod layer_spec;
mod tokens;

use hesse_kernels::activation::Activation;
use serde::{Deserialize, Serialize};

use super::layer::{Layer, features, parameter_count};
use super::layers::{
    Attention, AveragePool, BatchNorm, ClassToken, Convolution, ConvolutionShape, Dense,
    Elementwise, Embedding, Flatten, GlobalAveragePool, LayerNorm, LeakyRecurrent, MaxPool,
    MeanTokens, Parallel, ParallelPart, PatchEmbedding, PositionalEmbedding, Recurrent, Residual,
    Sequential, Slice,
};
use super::{Initializer, Network};
use crate::{Error, Real, Result};

pub use layer_spec::{LayerSpec, PartSpec};
pub use tokens::VisionTransformer;

/// The shape of the input and the layers that follow, which take their input shapes from what is
/// before them.
///
/// ```
/// use hesse::network::{Activation, Architecture};
///
/// let network = Architecture::new([784])
///     .dense(512, Activation::Tanh)
///     .dense(10, Activation::Identity)
///     .build::<f64>()?;
/// assert_eq!(network.parameter_count(), 784 * 512 + 512 + 512 * 10 + 10);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Shape of the features of one sample.
    pub input: Vec<usize>,
    /// The layers, first to last.
    #[serde(rename = "layer")]
    pub layers: Vec<LayerSpec>,
}

impl Architecture {
    /// No layers yet; `input` is the shape of one sample's features.
    pub fn new(input: impl Into<Vec<usize>>) -> Self {
        Self { input: input.into(), layers: Vec::new() }
    }

    /// A multilayer perceptron: `widths` from the input to the output, φ after every layer but the
    /// last.
    #[must_use]
    pub fn perceptron(widths: &[usize], activation: Activation) -> Self {
        let mut architecture = Self::new(widths.first().map_or(vec![], |&w| vec![w]));
        for (i, &outputs) in widths.iter().enumerate().skip(1) {
            let last = i + 1 == widths.len();
            architecture =
                architecture.dense(outputs, if last { Activation::Identity } else { activation });
        }
        architecture
    }

    /// Adds a layer.
    #[must_use]
    pub fn layer(mut self, layer: LayerSpec) -> Self {
        self.layers.push(layer);
        self
    }

    /// Adds a fully connected layer.
    #[must_use]
    pub fn dense(self, outputs: usize, activation: Activation) -> Self {
        self.layer(LayerSpec::Dense {
            outputs,
            activation,
            bias: true,
            initializer: Initializer::default(),
        })
    }

    /// Adds a change of shape to one axis.
    #[must_use]
    pub fn flatten(self) -> Self {
        self.layer(LayerSpec::Flatten {})
    }

    /// Adds a convolution with a square kernel at every place of the image with `padding` zeros around
    /// it, with bias; [`LayerSpec::Convolution`] has more to choose.
    #[must_use]
    pub fn convolution(
        self,
        outputs: usize,
        kernel: usize,
        padding: usize,
        activation: Activation,
    ) -> Self {
        self.layer(LayerSpec::Convolution {
            outputs,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [padding; 2],
            dilation: [1; 2],
            groups: 1,
            activation,
            bias: true,
            initializer: Initializer::default(),
        })
    }

    /// Adds the maximum over square windows side by side.
    #[must_use]
    pub fn max_pool(self, kernel: usize) -> Self {
        self.layer(LayerSpec::MaxPool { kernel: [kernel; 2], stride: None, padding: [0; 2] })
    }

    /// Adds the average over square windows side by side.
    #[must_use]
    pub fn average_pool(self, kernel: usize) -> Self {
        self.layer(LayerSpec::AveragePool { kernel: [kernel; 2], stride: None, padding: [0; 2] })
    }

    /// Adds the average of each channel over all places.
    #[must_use]
    pub fn global_average_pool(self) -> Self {
        self.layer(LayerSpec::GlobalAveragePool {})
    }

    /// Adds a recurrent layer over `[time, features]`, whose output is its last state or, with
    /// `every_step`, the states of all times.
    #[must_use]
    pub fn recurrent(self, units: usize, activation: Activation, every_step: bool) -> Self {
        self.layer(LayerSpec::Recurrent {
            units,
            activation,
            every_step,
            bias: true,
            recurrent_initializer: Initializer::default(),
            input_initializer: Initializer::default(),
        })
    }

    /// Adds a branch that is added to its own input.
    #[must_use]
    pub fn residual(self, layers: Vec<LayerSpec>) -> Self {
        self.layer(LayerSpec::residual(layers))
    }

    /// Adds a branch that is added to a shortcut.
    #[must_use]
    pub fn residual_with_shortcut(self, layers: Vec<LayerSpec>, shortcut: Vec<LayerSpec>) -> Self {
        self.layer(LayerSpec::Residual { layers, shortcut, onto_last_features: false })
    }

    /// The network.
    ///
    /// # Errors
    /// No layers, zero widths, a residual branch that changes the shape, windows that do not fit.
    pub fn build<T: Real>(&self) -> Result<Network<T>> {
        if features(&self.input) == 0 || self.input.is_empty() {
            return Err(Error::range(
                "network: input shape",
                "positive widths",
                format!("{:?}", self.input),
            ));
        }
        let layers = compose(&self.input, &self.layers)?;
        check_size(&layers)?;
        Ok(Network::new(layers))
    }
}

/// Most repetitions of layers.
const MOST_TIMES: usize = 1024;

/// Refuses a layer whose arrays cannot exist, before anything is allocated.
fn check_size<T: Real>(layer: &dyn Layer<T>) -> Result<()> {
    let most = isize::MAX as usize / size_of::<T>();
    for (what, size) in [
        ("layer: features", features(layer.input_shape()).max(features(layer.output_shape()))),
        ("layer: parameters", parameter_count(&layer.parameters())),
    ] {
        if size > most {
            return Err(Error::range(what, format!("at most {most}"), size));
        }
    }
    Ok(())
}

fn compose<T: Real>(input: &[usize], specs: &[LayerSpec]) -> Result<Sequential<T>> {
    let mut layers: Vec<Box<dyn Layer<T>>> = Vec::new();
    for spec in specs {
        let shape = layers.last().map_or(input, |layer| layer.output_shape());
        let layer: Box<dyn Layer<T>> = match spec {
            LayerSpec::Dense { outputs, activation, bias, initializer } => Box::new(
                Dense::new(shape, *outputs, *activation)?.bias(*bias).initializer(*initializer),
            ),
            LayerSpec::Activation { activation } => Box::new(Elementwise::new(shape, *activation)?),
            LayerSpec::Flatten {} => Box::new(Flatten::new(shape)),
            LayerSpec::Convolution {
                outputs,
                kernel,
                stride,
                padding,
                dilation,
                groups,
                activation,
                bias,
                initializer,
            } => {
                let of = ConvolutionShape {
                    outputs: *outputs,
                    kernel: *kernel,
                    stride: *stride,
                    padding: *padding,
                    dilation: *dilation,
                    groups: *groups,
                };
                let layer = Convolution::new(shape, of, *activation)?;
                Box::new(layer.bias(*bias).initializer(*initializer))
            }
            LayerSpec::MaxPool { kernel, stride, padding } => {
                Box::new(MaxPool::new(shape, *kernel, stride.unwrap_or(*kernel), *padding)?)
            }
            LayerSpec::AveragePool { kernel, stride, padding } => {
                Box::new(AveragePool::new(shape, *kernel, stride.unwrap_or(*kernel), *padding)?)
            }
            LayerSpec::GlobalAveragePool {} => Box::new(GlobalAveragePool::new(shape)?),
            LayerSpec::Recurrent {
                units,
                activation,
                every_step,
                bias,
                recurrent_initializer,
                input_initializer,
            } => Box::new(
                Recurrent::new(shape, *units, *activation)?
                    .every_step(*every_step)
                    .bias(*bias)
                    .recurrent_initializer(*recurrent_initializer)
                    .input_initializer(*input_initializer),
            ),
            LayerSpec::LeakyRecurrent {
                units,
                activation,
                leak,
                thresholds,
                readout_filter,
                autapses,
                every_step,
                bias,
                recurrent_initializer,
                input_initializer,
            } => {
                let layer = LeakyRecurrent::new(shape, *units, *activation, leak)?
                    .readout_filter(*readout_filter)?
                    .autapses(*autapses)
                    .every_step(*every_step)
                    .bias(*bias)
                    .recurrent_initializer(*recurrent_initializer)
                    .input_initializer(*input_initializer);
                Box::new(match thresholds[..] {
                    [] => layer,
                    _ => layer.thresholds(thresholds)?,
                })
            }
            LayerSpec::Residual { layers, shortcut, onto_last_features } => {
                let branch = Box::new(compose(shape, layers)?);
                Box::new(match (shortcut.is_empty(), onto_last_features) {
                    (true, false) => Residual::new(branch)?,
                    (true, true) => Residual::onto_last_features(branch)?,
                    (false, false) => {
                        Residual::with_shortcut(branch, Box::new(compose(shape, shortcut)?))?
                    }
                    (false, true) => {
                        let expected = "none where the branch is added to the last features";
                        return Err(Error::range("residual: shortcut", expected, "one"));
                    }
                })
            }
            LayerSpec::LayerNorm { axes, epsilon, affine } => {
                Box::new(LayerNorm::new(shape)?.axes(*axes)?.epsilon(*epsilon)?.affine(*affine))
            }
            LayerSpec::Attention { heads, mask, memory: 0, tokens } => {
                let layer = Attention::new(shape, *heads)?;
                let layer = if *tokens > 0 { layer.queries(*tokens)? } else { layer };
                Box::new(layer.mask(mask.clone())?)
            }
            LayerSpec::Attention { heads, mask, memory, tokens } => {
                let rows = memory.saturating_mul(2).saturating_add(*tokens).max(1);
                let width = features(shape) / rows;
                let layer = Attention::cross(shape, *memory, *tokens, width, *heads)?;
                Box::new(layer.mask(mask.clone())?)
            }
            LayerSpec::BatchNorm { epsilon, affine, statistics } => {
                let layer = BatchNorm::new(shape)?.epsilon(*epsilon)?.affine(*affine);
                Box::new(match statistics {
                    Some(statistics) => layer.statistics(statistics.clone())?,
                    None => layer,
                })
            }
            LayerSpec::Embedding { vocabulary, width } => {
                Box::new(Embedding::new(shape, *vocabulary, *width)?)
            }
            LayerSpec::PatchEmbedding { patch, outputs, bias, initializer } => {
                let layer = PatchEmbedding::new(shape, *patch, *outputs)?;
                Box::new(layer.bias(*bias).initializer(*initializer))
            }
            LayerSpec::PositionalEmbedding {} => Box::new(PositionalEmbedding::new(shape)?),
            LayerSpec::ClassToken {} => Box::new(ClassToken::new(shape)?),
            LayerSpec::MeanTokens {} => Box::new(MeanTokens::new(shape)?),
            LayerSpec::Slice { first, shape: part } => Box::new(Slice::new(shape, *first, part)?),
            LayerSpec::Repeat { times, layers: repeated } => {
                if !(1..=MOST_TIMES).contains(times) {
                    return Err(Error::range("repeat: times", format!("1 to {MOST_TIMES}"), times));
                }
                if repeated.iter().any(|layer| matches!(layer, LayerSpec::Repeat { .. })) {
                    return Err(Error::range("repeat: layers", "no repetition", "one"));
                }
                let shape = shape.to_vec();
                for _ in 0..*times {
                    let once = compose(&shape, repeated)?;
                    if once.output_shape() != shape {
                        return Err(Error::shape("repeat: output", shape, once.output_shape()));
                    }
                    layers.extend(once.into_layers());
                }
                continue;
            }
            LayerSpec::Parallel { parts } => {
                let parts = parts.iter().map(|part| {
                    if part.layers.is_empty() {
                        return Ok(ParallelPart::Unchanged(features(&part.input)));
                    }
                    Ok(ParallelPart::Layer(Box::new(compose(&part.input, &part.layers)?)))
                });
                Box::new(Parallel::new(shape, parts.collect::<Result<_>>()?)?)
            }
        };
        check_size(&*layer)?;
        layers.push(layer);
    }
    Sequential::new(layers)
}
