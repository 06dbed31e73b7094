//! An estimated dimension.

use super::flags::{Flag, Flags};
use crate::{Error, Result};

/// The 97.5% quantile of the normal distribution.
const TWO_SIDED: f64 = 1.959_963_984_540_054;

/// A dimension, how sure it is, and the number of points that it is read off.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The dimension.
    pub value: f64,
    /// Its standard error under the assumptions of the estimator, where one is known.
    pub standard_error: Option<f64>,
    /// Where the dimension lies with a confidence of 95% under the same assumptions: exactly for
    /// TwoNN by maximum likelihood, otherwise 1.96 standard errors on both sides, not below 0.
    pub interval: Option<(f64, f64)>,
    /// Points that entered.
    pub used: usize,
    /// Points of the table.
    pub points: usize,
    /// What is doubtful.
    pub flags: Flags,
}

impl Estimate {
    /// An estimate, if its value is a number.
    pub(super) fn new(
        value: f64,
        standard_error: Option<f64>,
        used: usize,
        points: usize,
    ) -> Result<Self> {
        if !value.is_finite() || value <= 0.0 {
            return Err(not_estimable(format!("{value} from {used} of {points} points")));
        }
        let interval = standard_error.map(|error| {
            let half = TWO_SIDED * error;
            (if half < value { value - half } else { 0.0 }, value + half)
        });
        let flags = Flags::default()
            .with(Flag::LeftOut, used < points)
            .with(Flag::BeyondSample, value > 2.0 * (points as f64).log10());
        Ok(Self { value, standard_error, interval, used, points, flags })
    }

    /// With an interval that is known better than by the standard error.
    pub(super) fn between(self, low: f64, high: f64) -> Self {
        Self { interval: Some((low, high)), ..self }
    }

    /// With this standard error and its interval, where none is known.
    pub(super) fn or_error(self, error: f64) -> Result<Self> {
        if self.standard_error.is_some() {
            return Ok(self);
        }
        let Self { standard_error, interval, .. } =
            Self::new(self.value, Some(error), self.used, self.points)?;
        Ok(Self { standard_error, interval, ..self })
    }

    /// With a flag, if `when`.
    pub(super) fn flag(self, flag: Flag, when: bool) -> Self {
        Self { flags: self.flags.with(flag, when), ..self }
    }
}

/// No dimension can be read off these distances.
pub(super) fn not_estimable(got: impl std::fmt::Display) -> Error {
    Error::range("dimension", "one that these distances determine", got)
}
