//! Reference networks that are compiled in.

use hesse::io::Archive;
use hesse::network::{Activation, Architecture, Dataset, Network, Targets};

use crate::failure::Failure;
use crate::validate::flatness::ACTIVATIONS;

/// A network of a reference file.
pub struct Reference {
    /// The network.
    pub network: Network<f64>,
    /// Its samples, with rows as targets.
    pub data: Dataset<f64>,
    /// Its parameters.
    pub parameters: Vec<f64>,
}

macro_rules! files {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../../../tests/golden/flatness/", $name, ".npz")))),*]
    };
}

const FILES: [(&str, &[u8]); 9] = files!(
    "mlp_tanh_mse",
    "mlp_tanh_ce",
    "mlp_gelu_mse",
    "mlp_gelu_ce",
    "mlp_relu_mse",
    "mlp_relu_ce",
    "mlp_softplus_mse",
    "mlp_softplus_ce",
    "mlp_interpolated"
);

/// All multilayer perceptrons.
///
/// # Errors
/// None, but for a damaged program.
pub fn perceptrons() -> Result<Vec<Reference>, Failure> {
    FILES.iter().map(|&(name, bytes)| read(name, bytes)).collect()
}

/// The one that was fitted to half the squared error until nothing was left of it.
///
/// # Errors
/// None, but for a damaged program.
pub fn interpolated() -> Result<Reference, Failure> {
    let (name, bytes) = FILES[FILES.len() - 1];
    read(name, bytes)
}

fn read(name: &str, bytes: &[u8]) -> Result<Reference, Failure> {
    let archive = Archive::from_bytes(bytes, &format!("{name}.npz"))?;
    let sizes = archive.get("sizes")?.to_indices()?;
    let code = archive.get("act_code")?.to_indices()?.first().copied().unwrap_or(usize::MAX);
    let activation = ACTIVATIONS.get(code).copied().unwrap_or(Activation::Identity);
    let rows = |name: &str| archive.get(name)?.to_real::<f64>();
    let [Some(&inputs), Some(&outputs)] = [sizes.first(), sizes.last()] else {
        return Err(hesse::Error::empty(format!("{name}: sizes")).into());
    };
    let targets = Targets::Rows { values: rows("Y")?, width: outputs };
    Ok(Reference {
        network: Architecture::perceptron(&sizes, activation).build()?,
        data: Dataset::from_rows(rows("X")?, inputs, targets)?,
        parameters: rows("theta")?,
    })
}
