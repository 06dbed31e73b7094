//! What samples say: ranks and correlations with their intervals of confidence, spectra of covariances
//! and what is read off them.
//!
//! | Item | Computes |
//! |---|---|
//! | [`pearson`], [`spearman`] | correlation of two samples, of their values or of their ranks |
//! | [`average_ranks`] | ranks from 1, ties sharing the mean of theirs |
//! | [`Correlation::interval`] | where the correlation of the population lies (Fisher) |
//! | [`normal_quantile`] | z with Φ(z) = p |
//! | [`ParticipationRatio`], [`MomentStream`] | participation ratios with all corrections, in one pass or from streams |
//! | [`Spectrum`], [`RankRule`] | eigenvalues of a covariance, effective ranks and rules for ranks |

mod centred;
mod correlation;
mod moment_stream;
mod normal;
mod participation;
mod products;
mod rank_rules;
mod ranks;
mod spectral_sums;
mod spectrum;

pub(crate) use centred::Centred;
pub use centred::CovarianceOperator;
pub use correlation::{Correlation, Interval, pearson, spearman};
pub use moment_stream::MomentStream;
pub use normal::normal_quantile;
pub use participation::{NotEstimable, ParticipationRatio};
pub(crate) use products::{Side, map_tiles};
pub use rank_rules::RankRule;
pub use ranks::average_ranks;
pub use spectral_sums::SpectralSums;
pub use spectrum::Spectrum;
