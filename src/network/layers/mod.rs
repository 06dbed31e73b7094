//! The layers.

mod activation;
mod affine;
mod attention;
mod batch_norm;
mod convolution;
mod dense;
mod embedding;
mod flatten;
mod fused_activation;
mod layer_norm;
mod parallel;
mod patch_embedding;
mod pool;
mod recurrent;
mod residual;
mod sequential;
mod tokens;
mod window;

pub use activation::Elementwise;
pub use attention::{Attention, AttentionMask};
pub use batch_norm::{BatchNorm, BatchStatistics};
pub use convolution::{Convolution, ConvolutionShape};
pub use dense::Dense;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use layer_norm::LayerNorm;
pub use parallel::{Parallel, ParallelPart};
pub use patch_embedding::PatchEmbedding;
pub use pool::{AveragePool, GlobalAveragePool, MaxPool};
pub(crate) use recurrent::Span;
pub use recurrent::{Leak, LeakyRecurrent, Recurrent};
pub use residual::Residual;
pub use sequential::Sequential;
pub use tokens::{ClassToken, MeanTokens, PositionalEmbedding, Slice};
