//! The layers.

mod activation;
mod convolution;
mod dense;
mod flatten;
mod pool;
mod recurrent;
mod residual;
mod sequential;
mod window;

pub use activation::Elementwise;
pub use convolution::{Convolution, ConvolutionShape};
pub use dense::Dense;
pub use flatten::Flatten;
pub use pool::{AveragePool, GlobalAveragePool, MaxPool};
pub use recurrent::Recurrent;
pub use residual::Residual;
pub use sequential::Sequential;
