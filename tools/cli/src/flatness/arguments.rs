//! What `hesse flatness` is asked.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use hesse::flatness::{ConvBound, LogVolume, SingularValues};

use crate::data::DataArguments;

/// Measure the sharpness of a network and the sensitivity that it bounds
///
/// Prints sharpness S, sensitivities and volumes of the outputs in the inputs and in the inputs of
/// every layer, their versions that do not change when weights are rescaled, and both sides of every
/// bound. With --learning-rate, whether stochastic gradient descent stays at this minimum. With --out,
/// writes flatness.json, flatness.npz (values of every sample and layer), bounds.svg,
/// singular_values.svg and samples.svg.
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
    /// Singular values in a log volume: all, the K largest (top:K), or those above rounding (pseudo)
    #[arg(long, value_name = "all|top:K|pseudo", default_value = "all")]
    pub(super) log_volume: VolumeName,
    /// Which singular values of the Jacobians: by default all up to 64 outputs, else the largest, from
    /// which no volume and no dimension follows
    #[arg(long, value_enum)]
    pub(super) singular_values: Option<SingularValuesName>,
    /// What stands for the gradient where weights are shared
    #[arg(long, value_enum, default_value_t = ConvBoundName::Untied)]
    pub(super) conv_bound: ConvBoundName,
    /// Add this to the square of every norm of an input, as the reference code does with 1e-4: finite
    /// for zero inputs, and no longer a theorem
    #[arg(long, value_name = "E", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(super) epsilon: f64,
    /// Estimate relative flatness from the Hessian itself with this many probes a layer
    #[arg(long, value_name = "N")]
    pub(super) probes: Option<usize>,
    /// Check the stability of stochastic gradient descent at this rate
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    pub(super) learning_rate: Option<f64>,
    /// Samples in a batch of that descent; by default all of them
    #[arg(long, value_name = "B", requires = "learning_rate")]
    pub(super) batch: Option<usize>,
    /// Seed of the probes
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(super) seed: u64,
}

/// A convention for shared weights as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConvBoundName {
    /// The network whose copies of a weight are free: a theorem about that one
    Untied,
    /// The reference code's: not a theorem
    ReferenceCode,
    /// The smallest singular value of the patches: a theorem, often infinite
    PatchRank,
}

impl ConvBoundName {
    pub(super) fn bound(self) -> ConvBound {
        match self {
            ConvBoundName::Untied => ConvBound::Untied,
            ConvBoundName::ReferenceCode => ConvBound::ReferenceCode,
            ConvBoundName::PatchRank => ConvBound::PatchRank,
        }
    }
}

/// Singular values as they are called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SingularValuesName {
    /// All of them
    All,
    /// The largest alone
    Largest,
}

impl SingularValuesName {
    pub(super) fn which(self) -> SingularValues {
        match self {
            SingularValuesName::All => SingularValues::All,
            SingularValuesName::Largest => SingularValues::Largest,
        }
    }
}

/// `all`, `top:K` or `pseudo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VolumeName(pub(super) LogVolume);

impl FromStr for VolumeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let volume = match text {
            "all" => Some(LogVolume::All),
            "pseudo" => Some(LogVolume::Pseudo),
            _ => text.strip_prefix("top:").and_then(|k| k.parse().ok()).map(LogVolume::Top),
        };
        volume.map(Self).ok_or_else(|| "expected all, top:K or pseudo".to_owned())
    }
}
