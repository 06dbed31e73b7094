//! Blocks of layers on tokens: attention, perceptrons, and transformers of them.

use hesse_kernels::activation::Activation;

use super::{Architecture, LayerSpec, PartSpec};
use crate::network::Initializer;
use crate::network::layers::{AttentionMask, BatchStatistics};
use crate::{Error, Result};

impl LayerSpec {
    /// A fully connected layer with bias.
    #[must_use]
    pub fn dense(outputs: usize, activation: Activation) -> Self {
        LayerSpec::Dense { outputs, activation, bias: true, initializer: Initializer::default() }
    }

    /// A branch that is added to its own input.
    #[must_use]
    pub fn residual(layers: Vec<LayerSpec>) -> Self {
        LayerSpec::Residual { layers, shortcut: Vec::new(), onto_last_features: false }
    }

    /// A layer norm over the last axis with scale and shift, ε = 1e-5.
    #[must_use]
    pub fn layer_norm() -> Self {
        LayerSpec::LayerNorm { axes: 1, epsilon: 1e-5, affine: true }
    }

    /// Self attention between its projections: `width` to 3·`width` before it, `width` to `width`
    /// behind it.
    #[must_use]
    pub fn self_attention(width: usize, heads: usize, mask: AttentionMask) -> [Self; 3] {
        [
            Self::dense(width.saturating_mul(3), Activation::Identity),
            LayerSpec::Attention { heads, mask, memory: 0, tokens: 0 },
            Self::dense(width, Activation::Identity),
        ]
    }

    /// The two residual branches of a transformer block with normalisation before each:
    /// x + attention(norm x), then x + W φ(V norm x) with `hidden` units between.
    #[must_use]
    pub fn transformer_block(
        width: usize,
        heads: usize,
        hidden: usize,
        activation: Activation,
        mask: AttentionMask,
    ) -> [Self; 2] {
        let mut attention = vec![Self::layer_norm()];
        attention.extend(Self::self_attention(width, heads, mask));
        let perceptron = vec![
            Self::layer_norm(),
            Self::dense(hidden, activation),
            Self::dense(width, Activation::Identity),
        ];
        [Self::residual(attention), Self::residual(perceptron)]
    }
}

/// A classifier of images by a transformer on their patches (Dosovitskiy et al. 2021): patches and
/// positions, blocks with normalisation before each branch, normalisation, readout.
///
/// ```
/// use hesse::network::VisionTransformer;
///
/// let network = VisionTransformer::tiny().architecture().build::<f32>()?;
/// // Patches, class token and positions; six blocks; normalisation and readout.
/// let blocks = 6 * (12 * 192 * 192 + 13 * 192);
/// let expected = (48 * 192 + 192) + 192 + 65 * 192 + blocks + 2 * 192 + (192 * 10 + 10);
/// assert_eq!(network.parameter_count(), expected);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct VisionTransformer {
    /// Channels, height and width of an image.
    pub image: [usize; 3],
    /// Pixels along a side of a patch.
    pub patch: usize,
    /// Numbers of a token.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Number of heads.
    pub heads: usize,
    /// Units of the perceptron of a block.
    pub hidden: usize,
    /// φ of the perceptrons.
    pub activation: Activation,
    /// Number of classes.
    pub classes: usize,
    /// Whether a learned token is read out, else the mean of all.
    pub class_token: bool,
}

impl VisionTransformer {
    /// Patches of 4 of 32 × 32 × 3 pixels, 192 wide, six blocks of three heads, 768 hidden units,
    /// exact GELU, ten classes, a class token: 2.7 million parameters.
    #[must_use]
    pub fn tiny() -> Self {
        Self {
            image: [3, 32, 32],
            patch: 4,
            width: 192,
            depth: 6,
            heads: 3,
            hidden: 768,
            activation: Activation::Gelu,
            classes: 10,
            class_token: true,
        }
    }

    /// Its layers. In the last block only the class token asks, and what follows sees nothing else:
    /// the same function and parameters in the same order as if all tokens went to the end, and an
    /// eighth fewer flops in the six blocks of [`Self::tiny`].
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        let mut network = Architecture::new(self.image).layer(LayerSpec::PatchEmbedding {
            patch: self.patch,
            outputs: self.width,
            bias: true,
            initializer: Initializer::default(),
        });
        if self.class_token {
            network = network.layer(LayerSpec::ClassToken {});
        }
        network = network.layer(LayerSpec::PositionalEmbedding {});
        let block = LayerSpec::transformer_block(
            self.width,
            self.heads,
            self.hidden,
            self.activation,
            AttentionMask::None,
        );
        let repeat = |times: usize, network: Architecture| match times {
            0 => network,
            times => network.layer(LayerSpec::Repeat { times, layers: block.to_vec() }),
        };
        let network = if self.class_token {
            let first = |shape| LayerSpec::Slice { first: 0, shape };
            match self.depth {
                0 => network.layer(first(vec![self.width])),
                depth => {
                    let [_, perceptron] = block.clone();
                    let [project, _, mix] =
                        LayerSpec::self_attention(self.width, self.heads, AttentionMask::None);
                    let asks = LayerSpec::Attention {
                        heads: self.heads,
                        mask: AttentionMask::None,
                        memory: 0,
                        tokens: 1,
                    };
                    repeat(depth - 1, network)
                        .residual_with_shortcut(
                            vec![LayerSpec::layer_norm(), project, asks, mix],
                            vec![first(vec![1, self.width])],
                        )
                        .flatten()
                        .layer(perceptron)
                }
            }
            .layer_norm()
        } else {
            repeat(self.depth, network).layer_norm().layer(LayerSpec::MeanTokens {})
        };
        network.dense(self.classes, Activation::Identity)
    }
}

impl LayerSpec {
    /// A branch in which `tokens` tokens attend to the `memory` tokens before them and add what they
    /// take: the features are memory and tokens, `width` wide, and stay so.
    #[must_use]
    pub fn cross_attention(
        memory: usize,
        tokens: usize,
        width: usize,
        heads: usize,
        mask: AttentionMask,
    ) -> Self {
        let linear = |outputs| Self::dense(outputs, Activation::Identity);
        let keys =
            PartSpec { input: vec![memory, width], layers: vec![linear(width.saturating_mul(2))] };
        let queries = vec![Self::layer_norm(), linear(width)];
        let queries = PartSpec { input: vec![tokens, width], layers: queries };
        LayerSpec::Residual {
            layers: vec![
                LayerSpec::Parallel { parts: vec![keys, queries] },
                LayerSpec::Attention { heads, mask, memory, tokens },
                linear(width),
            ],
            shortcut: Vec::new(),
            onto_last_features: true,
        }
    }

    /// Layers on the last `tokens` of the features, those before passing unchanged.
    #[must_use]
    pub fn on_last_tokens(
        memory: usize,
        tokens: usize,
        width: usize,
        layers: Vec<LayerSpec>,
    ) -> Self {
        LayerSpec::Parallel {
            parts: vec![
                PartSpec { input: vec![memory, width], layers: Vec::new() },
                PartSpec { input: vec![tokens, width], layers },
            ],
        }
    }
}

impl Architecture {
    /// Adds a layer norm over the last axis with scale and shift.
    #[must_use]
    pub fn layer_norm(self) -> Self {
        self.layer(LayerSpec::layer_norm())
    }

    /// The same with every batch norm in evaluation, on these statistics, which come in the order of
    /// the layers that have none yet; see `Objective::batch_statistics`.
    ///
    /// # Errors
    /// Another number of statistics than such layers. [`Architecture::build`] checks the rest.
    pub fn with_batch_statistics(mut self, statistics: Vec<BatchStatistics>) -> Result<Self> {
        let given = statistics.len();
        let mut rest = statistics.into_iter();
        let wanted = fill(&mut self.layers, &mut rest);
        if wanted != given {
            return Err(Error::shape("batch norms without statistics", wanted, given));
        }
        Ok(self)
    }

    /// Adds layers one after the other.
    #[must_use]
    pub fn layers(mut self, layers: impl IntoIterator<Item = LayerSpec>) -> Self {
        self.layers.extend(layers);
        self
    }
}

/// Gives statistics to the batch norms that have none, in order; returns how many wanted some.
fn fill(layers: &mut [LayerSpec], rest: &mut impl Iterator<Item = BatchStatistics>) -> usize {
    let mut wanted = 0;
    for layer in layers {
        match layer {
            LayerSpec::BatchNorm { statistics: statistics @ None, .. } => {
                *statistics = rest.next();
                wanted += 1;
            }
            LayerSpec::Residual { layers, shortcut, .. } => {
                wanted += fill(layers, rest);
                wanted += fill(shortcut, rest);
            }
            // Statistics differ from one repetition to the next.
            LayerSpec::Repeat { times, layers } => {
                let once = layers.clone();
                layers.clear();
                for _ in 0..*times {
                    let mut copy = once.clone();
                    wanted += fill(&mut copy, rest);
                    layers.extend(copy);
                }
                *times = 1;
            }
            LayerSpec::Parallel { parts } => {
                wanted += parts.iter_mut().map(|part| fill(&mut part.layers, rest)).sum::<usize>();
            }
            _ => {}
        }
    }
    wanted
}
