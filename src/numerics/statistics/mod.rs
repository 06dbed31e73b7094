//! What samples say: ranks, correlations and their confidence intervals.
//!
//! | Item | Computes |
//! |---|---|
//! | [`pearson`], [`spearman`] | correlation of two samples, of their values or of their ranks |
//! | [`average_ranks`] | ranks from 1, ties sharing the mean of theirs |
//! | [`Correlation::interval`] | where the correlation of the population lies (Fisher) |
//! | [`normal_quantile`] | z with Φ(z) = p |

mod correlation;
mod normal;
mod ranks;

pub use correlation::{Correlation, Interval, pearson, spearman};
pub use normal::normal_quantile;
pub use ranks::average_ranks;
