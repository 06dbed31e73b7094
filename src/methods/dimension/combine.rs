//! How the estimates of all points become one.

use super::estimate::Estimate;
use super::spread::error_of_mean;
use crate::Result;
use crate::neighbors::Neighbors;

/// How the estimates of all points become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Combine {
    /// Harmonic mean: the likelihood of one dimension for all points (MacKay and Ghahramani).
    #[default]
    Harmonic,
    /// Arithmetic mean (Levina and Bickel): larger, by a factor of about 1 + 1/k.
    Arithmetic,
    /// Median.
    Median,
}

impl Combine {
    /// Its name: `harmonic`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Harmonic => "harmonic",
            Self::Arithmetic => "arithmetic",
            Self::Median => "median",
        }
    }

    /// One value for all. An infinite one counts as 0 in a harmonic mean.
    pub(super) fn of(self, values: &[f64]) -> f64 {
        let n = values.len() as f64;
        match self {
            Self::Harmonic => n / values.iter().map(|v| 1.0 / v).sum::<f64>(),
            Self::Arithmetic => values.iter().sum::<f64>() / n,
            Self::Median => median(values.to_vec()),
        }
    }

    /// One estimate for all points of a table from values that each come from k neighbours, with the
    /// standard error of a mean; none for the median.
    pub(super) fn estimate(self, table: &Neighbors, k: usize, values: &[f64]) -> Result<Estimate> {
        let value = self.of(values);
        let error = match self {
            Self::Harmonic => {
                let inverses: Vec<f64> = values.iter().map(|v| 1.0 / v).collect();
                Some(value * value * error_of_mean(table, k, &inverses))
            }
            Self::Arithmetic => Some(error_of_mean(table, k, values)),
            Self::Median => None,
        };
        Estimate::new(value, error, values.len(), table.len())
    }
}

/// The median; the mean of the middle two of an even number.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len();
    match n % 2 {
        1 => values[n / 2],
        _ if n == 0 => f64::NAN,
        _ => 0.5 * values[n / 2 - 1] + 0.5 * values[n / 2],
    }
}
