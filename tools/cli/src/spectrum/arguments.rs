//! What `hesse spectrum` is asked.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use hesse::krylov::Trace;
use serde::Serialize;

use crate::data::DataArguments;

/// Compute eigenvalues, trace and density of the Hessian of a network's loss
///
/// Prints the largest eigenvalues with their residuals and error bounds, the trace with its standard
/// error, and how each computation ended: an iteration limit is a status, not a failure. With --out,
/// writes spectrum.json, eigenpairs.npz, density.npz, eigenvalues.svg, density.svg and
/// cumulative.svg.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The network: a TOML file, as for hesse train
    #[arg(value_name = "NETWORK")]
    pub(super) network: PathBuf,
    /// Its parameters: a .safetensors (or .npz) file with one array for each of the network's
    #[arg(value_name = "PARAMETERS")]
    pub(super) parameters: PathBuf,
    #[command(flatten)]
    pub(super) data: DataArguments,
    /// The matrix
    #[arg(long, value_enum, default_value_t = MatrixName::Hessian)]
    pub(super) matrix: MatrixName,
    /// Number of eigenvalues, 0 for none [default: 10, or all if there are fewer]
    #[arg(long, value_name = "K")]
    pub(super) top: Option<usize>,
    /// Half of them from the top, half from the bottom
    #[arg(long)]
    pub(super) both_ends: bool,
    /// Residuals relative to the eigenvalue [default: 1e-8, for f32 1e-5]
    #[arg(long, value_name = "TOL", allow_negative_numbers = true)]
    pub(super) tolerance: Option<f64>,
    /// Vectors that are multiplied together in the search for eigenvalues
    #[arg(long, value_name = "B", default_value_t = 1)]
    pub(super) block: usize,
    /// End the search for eigenvalues after this many products [default: 1000 + 200 K]
    #[arg(long, value_name = "N")]
    pub(super) max_products: Option<usize>,
    /// Estimate the trace: hutchinson, hutchpp, xtrace, xnystrace (for gauss-newton) or exact, with
    /// M products (hutchpp: a multiple of 3, xtrace: even) [default M: 96]
    #[arg(long, value_name = "METHOD[:M]")]
    pub(super) trace: Option<TraceName>,
    /// Estimate the density of the spectrum from STEPS Lanczos steps from each of PROBES probes
    /// [default: 90:10]
    #[arg(long, value_name = "STEPS:PROBES", num_args = 0..=1, default_missing_value = "auto")]
    pub(super) density: Option<DensityName>,
    /// Memory for intermediate results, in GiB; what does not fit is computed again
    #[arg(long, value_name = "GIB", default_value_t = 4.0, allow_negative_numbers = true)]
    pub(super) memory: f64,
    /// Seed of all random vectors
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(super) seed: u64,
}

/// A matrix as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatrixName {
    /// Second derivatives of the loss
    Hessian,
    /// The Hessian of the loss of the linearised network
    GaussNewton,
}

/// `METHOD[:M]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceName {
    pub(super) method: &'static str,
    pub(super) products: usize,
}

const TRACES: [&str; 5] = ["hutchinson", "hutchpp", "xtrace", "xnystrace", "exact"];

impl FromStr for TraceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, products) = match text.split_once(':') {
            Some((name, products)) => (name, Some(products)),
            None => (text, None),
        };
        let expected =
            || format!("expected METHOD or METHOD:M, METHOD one of {}", TRACES.join(", "));
        let method = *TRACES.iter().find(|method| **method == name).ok_or_else(expected)?;
        match products {
            None => Ok(Self { method, products: 96 }),
            Some(_) if method == "exact" => Err("expected exact without a number".to_owned()),
            Some(products) => {
                let products: usize = products.parse().map_err(|_| expected())?;
                let (multiple, words) = match method {
                    "hutchpp" => (3, "a positive multiple of 3"),
                    "xtrace" => (2, "a positive even number"),
                    _ => (1, "at least 1"),
                };
                if products == 0 || !products.is_multiple_of(multiple) {
                    return Err(format!("products: expected {words}, got {products}"));
                }
                Ok(Self { method, products })
            }
        }
    }
}

impl TraceName {
    pub(super) fn trace<'a>(&self) -> Trace<'a> {
        match self.method {
            "hutchinson" => Trace::hutchinson(self.products),
            "hutchpp" => Trace::hutchpp(self.products),
            "xtrace" => Trace::xtrace(self.products),
            "xnystrace" => Trace::xnystrace(self.products),
            _ => Trace::exact(),
        }
    }
}

/// `STEPS:PROBES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DensityName {
    /// `None`: 90, or as many as there are parameters.
    pub(super) steps: Option<usize>,
    pub(super) probes: usize,
}

impl FromStr for DensityName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self { steps: None, probes: 10 });
        }
        let numbers = text.split_once(':').and_then(|(steps, probes)| {
            Some(Self { steps: Some(steps.parse().ok()?), probes: probes.parse().ok()? })
        });
        numbers.ok_or_else(|| "expected STEPS:PROBES, such as 90:10".to_owned())
    }
}
