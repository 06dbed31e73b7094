//! Points from files.

use clap::ValueEnum;
use hesse::error::check_finite;
use hesse::faer::{Mat, MatRef};
use hesse::io::{self, Array};
use hesse::neighbors::Duplicates;
use hesse::{Error, Result};

use crate::failure::Failure;

/// What to do with points that are the same, as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Copies {
    /// Keep the first of each
    Merge,
    /// They are neighbours at distance 0
    Keep,
    /// They are an error
    Refuse,
}

impl Copies {
    pub(super) fn duplicates(self) -> Duplicates {
        match self {
            Copies::Merge => Duplicates::Merge,
            Copies::Keep => Duplicates::Keep,
            Copies::Refuse => Duplicates::Refuse,
        }
    }
}

/// The array that `spec` names as samples × features: the first axis counts samples, the others are
/// flattened.
pub(super) fn read(spec: &str) -> std::result::Result<Mat<f64>, Failure> {
    Ok(rows(&io::read(spec)?)?)
}

/// An array as samples × features.
pub(super) fn rows(array: &Array) -> Result<Mat<f64>> {
    let Some(&samples) = array.shape().first() else {
        let expected = "points along a first axis";
        return Err(Error::range(array.label(), expected, "a single number"));
    };
    if samples == 0 {
        return Err(Error::empty(format!("{}: points", array.label())));
    }
    let features = array.len() / samples;
    if features == 0 {
        return Err(Error::empty(format!("{}: features", array.label())));
    }
    let values = array.to_f64()?;
    check_finite(array.label(), &values)?;
    Ok(MatRef::from_row_major_slice(&values, samples, features).to_owned())
}
