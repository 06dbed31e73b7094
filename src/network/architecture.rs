//! A network as data: what a file describes and a builder writes.

mod tokens;

use hesse_kernels::activation::Activation;
use serde::{Deserialize, Serialize};

use super::layer::{Layer, features, parameter_count};
use super::layers::{
    Attention, AttentionMask, AveragePool, BatchNorm, BatchStatistics, ClassToken, Convolution,
    ConvolutionShape, Dense, Elementwise, Embedding, Flatten, GlobalAveragePool, LayerNorm, Leak,
    LeakyRecurrent, MaxPool, MeanTokens, Parallel, ParallelPart, PatchEmbedding,
    PositionalEmbedding, Recurrent, Residual, Sequential, Slice,
};
use super::{Initializer, Network};
use crate::{Error, Real, Result};

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

/// One layer of an [`Architecture`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
#[non_exhaustive]
pub enum LayerSpec {
    /// [`Dense`].
    Dense {
        /// Number of units.
        outputs: usize,
        /// φ; the identity unless given.
        #[serde(default = "identity", with = "activation_name")]
        activation: Activation,
        /// Whether there is a bias; yes unless given.
        #[serde(default = "yes")]
        bias: bool,
        /// How weights start.
        #[serde(default)]
        initializer: Initializer,
    },
    /// [`Elementwise`].
    Activation {
        /// φ.
        #[serde(with = "activation_name")]
        activation: Activation,
    },
    /// [`Flatten`].
    Flatten {},
    /// [`Convolution`]. Pairs are vertical and horizontal; in a file one number stands for both.
    Convolution {
        /// Number of channels.
        outputs: usize,
        /// Taps of the kernel.
        #[serde(with = "pair")]
        kernel: [usize; 2],
        /// Steps from place to place; 1 unless given.
        #[serde(default = "ones", with = "pair")]
        stride: [usize; 2],
        /// Zeros on every side; none unless given.
        #[serde(default, with = "pair")]
        padding: [usize; 2],
        /// Distances between taps; 1 unless given.
        #[serde(default = "ones", with = "pair")]
        dilation: [usize; 2],
        /// Groups of channels that do not see each other; 1 unless given.
        #[serde(default = "one")]
        groups: usize,
        /// φ; the identity unless given.
        #[serde(default = "identity", with = "activation_name")]
        activation: Activation,
        /// Whether there is a bias; yes unless given.
        #[serde(default = "yes")]
        bias: bool,
        /// How weights start.
        #[serde(default)]
        initializer: Initializer,
    },
    /// [`MaxPool`].
    MaxPool {
        /// Height and width of the window.
        #[serde(with = "pair")]
        kernel: [usize; 2],
        /// Steps from window to window; those of the kernel unless given, side by side.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_pair")]
        stride: Option<[usize; 2]>,
        /// Width of the border; none unless given.
        #[serde(default, with = "pair")]
        padding: [usize; 2],
    },
    /// [`AveragePool`].
    AveragePool {
        /// Height and width of the window.
        #[serde(with = "pair")]
        kernel: [usize; 2],
        /// Steps from window to window; those of the kernel unless given, side by side.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_pair")]
        stride: Option<[usize; 2]>,
        /// Width of the border of zeros; none unless given.
        #[serde(default, with = "pair")]
        padding: [usize; 2],
    },
    /// [`GlobalAveragePool`].
    GlobalAveragePool {},
    /// [`Recurrent`].
    Recurrent {
        /// Number of units.
        units: usize,
        /// φ; tanh unless given.
        #[serde(default = "tanh", with = "activation_name")]
        activation: Activation,
        /// Whether the output is the states of all times; no unless given.
        #[serde(default)]
        every_step: bool,
        /// Whether there is a bias; yes unless given.
        #[serde(default = "yes")]
        bias: bool,
        /// How the weights between states start, and the bias.
        #[serde(default)]
        recurrent_initializer: Initializer,
        /// How the weights from the input start.
        #[serde(default)]
        input_initializer: Initializer,
    },
    /// [`LeakyRecurrent`].
    LeakyRecurrent {
        /// Number of units.
        units: usize,
        /// φ; tanh unless given.
        #[serde(default = "tanh", with = "activation_name")]
        activation: Activation,
        /// What leaks and how much stays, in a file `{ voltage = [0.6] }` or `{ rate = [0.6] }`: one
        /// factor, or one for each unit.
        #[serde(with = "LeakName")]
        leak: Leak,
        /// Thresholds of the units; zero unless given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        thresholds: Vec<f64>,
        /// κ of the output; 0 unless given.
        #[serde(default)]
        readout_filter: f64,
        /// Whether units have synapses with themselves; yes unless given.
        #[serde(default = "yes")]
        autapses: bool,
        /// Whether the output is that of all times; no unless given.
        #[serde(default)]
        every_step: bool,
        /// Whether there is a bias; yes unless given.
        #[serde(default = "yes")]
        bias: bool,
        /// How the weights between states start, and the bias.
        #[serde(default)]
        recurrent_initializer: Initializer,
        /// How the weights from the input start.
        #[serde(default)]
        input_initializer: Initializer,
    },
    /// [`Residual`] around a composition of layers.
    Residual {
        /// The branch.
        #[serde(rename = "layer")]
        layers: Vec<LayerSpec>,
        /// Layers of the shortcut; the input itself where there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortcut: Vec<LayerSpec>,
        /// Whether the branch is added to the last features of its input alone.
        #[serde(default, skip_serializing_if = "is_false")]
        onto_last_features: bool,
    },
    /// [`LayerNorm`].
    LayerNorm {
        /// Number of last axes that are normalised together; 1 unless given.
        #[serde(default = "one")]
        axes: usize,
        /// ε; 1e-5 unless given.
        #[serde(default = "norm_epsilon")]
        epsilon: f64,
        /// Whether there are scale and shift; yes unless given.
        #[serde(default = "yes")]
        affine: bool,
    },
    /// [`Attention`]; cross attention where there are tokens of a memory, else self attention.
    Attention {
        /// Number of heads.
        heads: usize,
        /// Which keys a query may attend to; all unless given.
        #[serde(default)]
        mask: AttentionMask,
        /// Tokens of the memory, none for self attention.
        #[serde(default, skip_serializing_if = "is_zero")]
        memory: usize,
        /// Tokens that attend to the memory; of a self attention, the first tokens, which alone ask,
        /// or all where none are given.
        #[serde(default, skip_serializing_if = "is_zero")]
        tokens: usize,
    },
    /// [`BatchNorm`].
    BatchNorm {
        /// ε; 1e-5 unless given.
        #[serde(default = "norm_epsilon")]
        epsilon: f64,
        /// Whether there are scale and shift; yes unless given.
        #[serde(default = "yes")]
        affine: bool,
        /// Statistics of evaluation; those of the batch, as in training, unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        statistics: Option<BatchStatistics>,
    },
    /// [`Embedding`].
    Embedding {
        /// Rows of the table.
        vocabulary: usize,
        /// Numbers in a row.
        width: usize,
    },
    /// [`PatchEmbedding`].
    PatchEmbedding {
        /// Pixels along a side of a patch.
        patch: usize,
        /// Numbers that a patch becomes.
        outputs: usize,
        /// Whether there is a bias; yes unless given.
        #[serde(default = "yes")]
        bias: bool,
        /// How weights start.
        #[serde(default)]
        initializer: Initializer,
    },
    /// [`PositionalEmbedding`].
    PositionalEmbedding {},
    /// [`ClassToken`].
    ClassToken {},
    /// [`MeanTokens`].
    MeanTokens {},
    /// [`Slice`].
    Slice {
        /// The first of the features that are taken; 0 unless given.
        #[serde(default)]
        first: usize,
        /// Their shape.
        shape: Vec<usize>,
    },
    /// The same layers several times, each time with parameters of their own.
    Repeat {
        /// How many times, up to 1024.
        times: usize,
        /// Layers that keep the shape; no repetition among them.
        #[serde(rename = "layer")]
        layers: Vec<LayerSpec>,
    },
    /// [`Parallel`].
    Parallel {
        /// The parts, in the order of their features.
        #[serde(rename = "part")]
        parts: Vec<PartSpec>,
    },
}

/// One part of [`LayerSpec::Parallel`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartSpec {
    /// Shape of its features.
    pub input: Vec<usize>,
    /// Its layers; without any, its features pass unchanged.
    #[serde(default, rename = "layer", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerSpec>,
}

/// [`Leak`] by the name of what leaks.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Leak", rename_all = "snake_case")]
enum LeakName {
    Voltage(Vec<f64>),
    Rate(Vec<f64>),
}

fn identity() -> Activation {
    Activation::Identity
}

fn tanh() -> Activation {
    Activation::Tanh
}

fn yes() -> bool {
    true
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn one() -> usize {
    1
}

fn ones() -> [usize; 2] {
    [1, 1]
}

/// A pair of numbers, or one number for both.
mod pair {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged, expecting = "expected a number or a pair of numbers, none negative")]
    pub enum Extent {
        Same(usize),
        Pair([usize; 2]),
    }

    impl From<[usize; 2]> for Extent {
        fn from([a, b]: [usize; 2]) -> Self {
            if a == b { Extent::Same(a) } else { Extent::Pair([a, b]) }
        }
    }

    impl From<Extent> for [usize; 2] {
        fn from(extent: Extent) -> Self {
            match extent {
                Extent::Same(a) => [a, a],
                Extent::Pair(pair) => pair,
            }
        }
    }

    pub fn serialize<S: Serializer>(pair: &[usize; 2], to: S) -> Result<S::Ok, S::Error> {
        Extent::from(*pair).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[usize; 2], D::Error> {
        Extent::deserialize(from).map(Into::into)
    }
}

/// [`pair`] that may be absent.
mod optional_pair {
    use super::pair::Extent;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(pair: &Option<[usize; 2]>, to: S) -> Result<S::Ok, S::Error> {
        pair.map(Extent::from).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[usize; 2]>, D::Error> {
        Option::<Extent>::deserialize(from).map(|extent| extent.map(Into::into))
    }
}

fn norm_epsilon() -> f64 {
    1e-5
}

/// Activations by the text that [`Activation`] displays and parses, such as `tanh`.
mod activation_name {
    use super::Activation;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(activation: &Activation, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(activation)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Activation, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(serde::de::Error::custom)
    }
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
            stride: ones(),
            padding: [padding; 2],
            dilation: ones(),
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
