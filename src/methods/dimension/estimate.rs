//! An estimated dimension.

use crate::{Error, Result};

/// A dimension, with the number of points that it is read off.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The dimension.
    pub value: f64,
    /// Its standard error under the assumptions of the estimator, where one is known.
    pub standard_error: Option<f64>,
    /// Points that entered.
    pub used: usize,
    /// Points of the table.
    pub points: usize,
}

impl Estimate {
    /// An estimate, if its value is a number.
    pub(super) fn new(
        value: f64,
        standard_error: Option<f64>,
        used: usize,
        points: usize,
    ) -> Result<Self> {
        match value.is_finite() && value > 0.0 {
            true => Ok(Self { value, standard_error, used, points }),
            false => Err(not_estimable(format!("{value} from {used} of {points} points"))),
        }
    }
}

/// No dimension can be read off these distances.
pub(super) fn not_estimable(got: impl std::fmt::Display) -> Error {
    Error::range("dimension", "one that these distances determine", got)
}
