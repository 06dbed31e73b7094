//! Where tracing data come from: what `fit`, `cv`, `identify` and `predict` have in common.

use std::path::PathBuf;
use std::str::FromStr;

/// Tracing data.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TracingArguments {
    /// Tracing data: a .npz (or .safetensors) file with the arrays that `hesse connectome --help` names
    #[arg(value_name = "DATA")]
    pub(super) data: Option<PathBuf>,
    /// Take the array NAME from another file (.npy, or .npz:NAME), before that of DATA; may be repeated
    #[arg(long = "with", value_name = "NAME=FILE[:NAME]")]
    pub(super) with: Vec<NamedArray>,
    /// Read the numbers -1, -2 and -3 of the Allen atlas as no data
    #[arg(long)]
    pub(super) error_codes_as_zero: bool,
    /// Every projection was seen, as in a hemisphere without injections
    #[arg(long)]
    pub(super) observed_everywhere: bool,
}

/// Voxels, and which of them are neighbours.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct VoxelArguments {
    /// Sources and targets are all cells of a grid, in C order
    #[arg(long, value_name = "NxNxN")]
    pub(super) grid: Option<GridShape>,
    /// No smoothing across the borders of regions
    #[arg(long)]
    pub(super) within_regions: bool,
    /// No smoothing across the middle of the last axis
    #[arg(long)]
    pub(super) hemispheres_apart: bool,
}

/// λ, or λ' itself.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct StrengthArguments {
    /// Strength of the smoothing; the objective takes λ · experiments / sources
    #[arg(long, value_name = "LAMBDA", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(super) lambda: f64,
    /// The factor of the penalty itself, not scaled
    #[arg(long, value_name = "LAMBDA", conflicts_with = "lambda", allow_negative_numbers = true)]
    pub(super) lambda_eff: Option<f64>,
}

/// `NAME=FILE[:NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedArray {
    pub(super) name: String,
    pub(super) file: String,
}

impl FromStr for NamedArray {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => {
                Ok(Self { name: name.to_owned(), file: file.to_owned() })
            }
            _ => Err("expected NAME=FILE[:NAME]".to_owned()),
        }
    }
}

/// `12x16x9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GridShape(pub(super) Vec<usize>);

impl FromStr for GridShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
        sizes.map(Self).map_err(|_| "expected sizes such as 200, 12x16 or 132x80x114".to_owned())
    }
}

/// Numbers by commas; A..B stands for A, 10 A, 100 A and so on up to B.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lambdas(pub(super) Vec<f64>);

impl FromStr for Lambdas {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected numbers by commas or decades A..B, such as 0,1e3..1e8".to_owned();
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong());
        let mut values = Vec::new();
        for part in text.split(',') {
            let Some((from, to)) = part.split_once("..") else {
                values.push(number(part)?);
                continue;
            };
            let (from, to) = (number(from)?, number(to)?);
            if !(from > 0.0 && to >= from && to.is_finite()) {
                return Err(wrong());
            }
            // Within rounding of the last decade; never more than the decades of an f64.
            let decades = ((to / from).log10() + 1e-9).floor() as i32;
            values.extend((0..=decades).map(|k| from * 10_f64.powi(k)));
        }
        Ok(Self(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lambdas_may_hold_decades() {
        let of = |text: &str| text.parse::<Lambdas>().map(|l| l.0);
        assert_eq!(of("1,2.5").unwrap(), [1.0, 2.5]);
        assert_eq!(of("0,1e3..1e6").unwrap(), [0.0, 1e3, 1e4, 1e5, 1e6]);
        assert_eq!(of("0.01..100").unwrap().len(), 5);
        for text in ["", "1..", "0..1", "2..1", "a", "1..inf"] {
            assert!(of(text).unwrap_err().starts_with("expected numbers"), "{text}");
        }
    }

    #[test]
    fn grids_and_arrays_are_named() {
        assert_eq!("12x16".parse::<GridShape>().unwrap().0, [12, 16]);
        assert!("12x".parse::<GridShape>().is_err());
        let named = "observed=a=b.npz:Omega".parse::<NamedArray>().unwrap();
        assert_eq!((named.name.as_str(), named.file.as_str()), ("observed", "a=b.npz:Omega"));
        assert!("observed".parse::<NamedArray>().is_err());
    }
}
