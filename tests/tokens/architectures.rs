//! Architectures that hold every layer on tokens, next to different others.

use hesse::network::layers::{AttentionMask, BatchStatistics};
use hesse::network::{Activation, Architecture, LayerSpec, PartSpec};

pub fn dense(outputs: usize) -> LayerSpec {
    LayerSpec::dense(outputs, Activation::Identity)
}

pub fn norm(axes: usize, affine: bool) -> LayerSpec {
    LayerSpec::LayerNorm { axes, epsilon: 1e-2, affine }
}

pub fn activation(activation: Activation) -> LayerSpec {
    LayerSpec::Activation { activation }
}

pub fn training(affine: bool) -> LayerSpec {
    LayerSpec::BatchNorm { epsilon: 1e-2, affine, statistics: None }
}

/// A batch norm with statistics that are not those of any batch.
pub fn evaluation(channels: usize) -> LayerSpec {
    let statistics = BatchStatistics {
        mean: (0..channels).map(|c| 0.1 * c as f64 - 0.2).collect(),
        variance: (0..channels).map(|c| 0.5 + 0.3 * c as f64).collect(),
    };
    LayerSpec::BatchNorm { epsilon: 1e-2, affine: true, statistics: Some(statistics) }
}

/// A mask that leaves the last of `tokens` queries without a key.
pub fn holes(tokens: usize) -> AttentionMask {
    let allowed = |i: usize| i / tokens + 1 < tokens && (i * 7) % 3 != 1;
    AttentionMask::Allowed((0..tokens * tokens).map(allowed).collect())
}

/// Every layer on tokens, next to different others.
pub fn architectures() -> Vec<(&'static str, Architecture)> {
    let gelu = Activation::Gelu;
    vec![
        (
            "layer norms",
            Architecture::new([3, 4])
                .layer(norm(1, true))
                .dense(5, Activation::Tanh)
                .layer(norm(2, true))
                .dense(4, Activation::Tanh)
                .layer(norm(1, false))
                .flatten()
                .dense(3, Activation::Identity),
        ),
        (
            "layer norm first, without parameters",
            Architecture::new([6]).layer(norm(1, false)).dense(3, Activation::Tanh),
        ),
        (
            "attention",
            Architecture::new([5, 4])
                .dense(6, Activation::Tanh)
                .layers(LayerSpec::self_attention(6, 2, AttentionMask::None))
                .flatten()
                .dense(3, Activation::Identity),
        ),
        (
            "attention on the data, with a mask of holes",
            Architecture::new([5, 12])
                .layer(LayerSpec::Attention { heads: 4, mask: holes(5), memory: 0, tokens: 0 })
                .layer(dense(12))
                .layer(LayerSpec::Attention { heads: 1, mask: holes(5), memory: 0, tokens: 0 })
                .flatten()
                .dense(3, Activation::Identity),
        ),
        (
            "causal transformer",
            Architecture::new([4, 6])
                .layers(LayerSpec::transformer_block(6, 3, 8, gelu, AttentionMask::Causal))
                .layers(LayerSpec::transformer_block(6, 2, 8, gelu, AttentionMask::Causal))
                .layer_norm()
                .flatten()
                .dense(3, Activation::Identity),
        ),
        (
            "shortcut with projection",
            Architecture::new([5])
                .residual_with_shortcut(
                    vec![LayerSpec::dense(6, Activation::Tanh), dense(4)],
                    vec![dense(4)],
                )
                .layer(LayerSpec::Activation { activation: Activation::Tanh })
                .residual(vec![LayerSpec::dense(3, Activation::Tanh), dense(4)])
                .dense(3, Activation::Identity),
        ),
        (
            "image to class token",
            Architecture::new([2, 4, 6])
                .layer(LayerSpec::PatchEmbedding {
                    patch: 2,
                    outputs: 4,
                    bias: true,
                    initializer: Default::default(),
                })
                .layer(LayerSpec::ClassToken {})
                .layer(LayerSpec::PositionalEmbedding {})
                .layers(LayerSpec::transformer_block(4, 2, 5, gelu, AttentionMask::None))
                .layer(LayerSpec::Slice { first: 0, shape: vec![4] })
                .layer_norm()
                .layer(dense(3)),
        ),
        (
            "only the first tokens ask",
            Architecture::new([4, 6])
                .residual_with_shortcut(
                    vec![
                        norm(1, true),
                        dense(18),
                        LayerSpec::Attention {
                            heads: 2,
                            mask: AttentionMask::None,
                            memory: 0,
                            tokens: 2,
                        },
                        dense(6),
                    ],
                    vec![LayerSpec::Slice { first: 0, shape: vec![2, 6] }],
                )
                .layers(LayerSpec::self_attention(6, 3, AttentionMask::Causal))
                .flatten()
                .dense(3, Activation::Identity),
        ),
        (
            "mean over tokens",
            Architecture::new([3, 4])
                .layer(LayerSpec::PositionalEmbedding {})
                .dense(5, Activation::Tanh)
                .layer(LayerSpec::MeanTokens {})
                .layer(dense(3)),
        ),
        (
            "encoder and decoder",
            Architecture::new([7, 4])
                .layer(LayerSpec::Parallel {
                    parts: vec![
                        PartSpec { input: vec![4, 4], layers: vec![LayerSpec::dense(4, gelu)] },
                        PartSpec { input: vec![3, 4], layers: vec![] },
                    ],
                })
                .layer(LayerSpec::cross_attention(4, 3, 4, 2, AttentionMask::None))
                .layer(LayerSpec::on_last_tokens(4, 3, 4, vec![LayerSpec::dense(4, gelu)]))
                .layer(LayerSpec::cross_attention(4, 3, 4, 1, AttentionMask::None))
                .layer(LayerSpec::Slice { first: 16, shape: vec![3, 4] })
                .flatten()
                .layer(dense(3)),
        ),
        (
            "patches of hidden channels",
            Architecture::new([3])
                .dense(8, Activation::Tanh)
                .layer(LayerSpec::Slice { first: 0, shape: vec![2, 2, 2] })
                .layer(LayerSpec::PatchEmbedding {
                    patch: 1,
                    outputs: 3,
                    bias: false,
                    initializer: Default::default(),
                })
                .layer(LayerSpec::Activation { activation: Activation::Tanh })
                .flatten()
                .layer(dense(3)),
        ),
        (
            "batch norm in evaluation",
            Architecture::new([3, 2, 2])
                .layer(evaluation(3))
                .flatten()
                .dense(5, Activation::Tanh)
                .layer(evaluation(5))
                .dense(3, Activation::Tanh)
                .layer(dense(3)),
        ),
        (
            "batch norm in training",
            Architecture::new([4])
                .dense(12, Activation::Identity)
                .layer(LayerSpec::Slice { first: 0, shape: vec![3, 2, 2] })
                .layer(training(true))
                .layer(LayerSpec::Activation { activation: Activation::Tanh })
                .flatten()
                .dense(5, Activation::Identity)
                .layer(training(false))
                .residual_with_shortcut(
                    vec![dense(4), training(true), activation(gelu), dense(4), training(true)],
                    vec![dense(4), training(true)],
                )
                .layer(activation(Activation::Tanh))
                .layer(dense(3)),
        ),
        (
            "residual without parameters below",
            Architecture::new([4])
                .residual(vec![LayerSpec::Activation { activation: Activation::Tanh }])
                .dense(3, Activation::Tanh)
                .dense(3, Activation::Identity),
        ),
    ]
}
