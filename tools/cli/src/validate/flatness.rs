//! Reference files of networks: loss, gradient, Hessian and Gauss-Newton matrix with their spectra,
//! measures and bounds of feature space; edge cases; tables of trainings.

mod conv;
mod curvature;
mod edge_cases;
mod feature_space;
mod mlp;
mod recurrent;
mod tables;

use hesse::Error;

use super::krylov_file::KrylovFile;
use super::{Arrays, Layout};
use crate::failure::Failure;

pub(crate) use curvature::ACTIVATIONS;
pub(super) use curvature::eigenvalues;
pub use mlp::gradient_and_products;

/// The layouts of this method.
pub const LAYOUTS: &[&dyn Layout] = &[
    &mlp::Perceptron { name: "mlp", inputs: "X", targets: "Y", tolerance: 1e-11 },
    &mlp::Perceptron { name: "digits_tanh", inputs: "X_u8", targets: "labels", tolerance: 1e-9 },
    &recurrent::Recurrent,
    &KrylovFile,
    &conv::Convolutional,
    &edge_cases::EdgeCases,
    &tables::Digits,
    &tables::Sweep,
];

fn about(arrays: &Arrays, error: Error) -> Failure {
    Failure::input(format!("{}: {error}", arrays.file))
}
