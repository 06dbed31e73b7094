//! The layers.

mod activation;
mod dense;
mod flatten;
mod recurrent;
mod residual;
mod sequential;

pub use activation::Elementwise;
pub use dense::Dense;
pub use flatten::Flatten;
pub use recurrent::Recurrent;
pub use residual::Residual;
pub use sequential::Sequential;
