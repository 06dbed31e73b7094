//! Reference files of networks: loss, gradient, Hessian and Gauss-Newton matrix with their spectra.

mod curvature;
mod mlp;
mod recurrent;

use hesse::Error;

use super::krylov_file::KrylovFile;
use super::{Arrays, Checks, Layout};
use crate::failure::Failure;

pub(super) use curvature::eigenvalues;
pub use mlp::gradient_and_products;

/// The layouts of this method.
pub const LAYOUTS: &[&dyn Layout] = &[
    &mlp::Perceptron { name: "mlp", inputs: "X", targets: "Y", tolerance: 1e-11 },
    &mlp::Perceptron { name: "digits_tanh", inputs: "X_u8", targets: "labels", tolerance: 1e-9 },
    &recurrent::Recurrent,
    &KrylovFile,
    &NotYet { name: "conv", marks: &["spec", "theta", "X", "Y"] },
];

/// A layout that is known by its arrays, of which nothing is recomputed yet.
struct NotYet {
    name: &'static str,
    marks: &'static [&'static str],
}

impl Layout for NotYet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn marks(&self) -> &'static [&'static str] {
        self.marks
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        checks.nothing_recomputed();
        Ok(())
    }
}

fn about(arrays: &Arrays, error: Error) -> Failure {
    Failure::input(format!("{}: {error}", arrays.file))
}
