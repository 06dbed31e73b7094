//! One layer as data.

use hesse_kernels::activation::Activation;
use serde::{Deserialize, Serialize};

use crate::network::Initializer;
use crate::network::layers::{AttentionMask, BatchStatistics, Leak};
// What the documentation speaks of.
#[cfg(doc)]
use crate::network::layers::*;
#[cfg(doc)]
use crate::network::{Architecture, Network};

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
