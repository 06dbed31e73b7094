//! What samples say: ranks and correlations with their intervals of confidence, spectra of covariances
//! and what is read off them.
//!
//! | Item | Computes |
//! |---|---|
//! | [`pearson`], [`spearman`] | correlation of two samples, of their values or of their ranks |
//! | [`average_ranks`] | ranks from 1, ties sharing the mean of theirs |
//! | [`SortedSample`] | ranks of a sample that is sorted once, for any weights |
//! | [`Kendall`] | concordant pairs, τ_a and τ_b |
//! | [`MantelMoments`] | mean and variance of a sum over pairs under relabelling |
//! | [`Correlation::interval`] | where the correlation of the population lies (Fisher) |
//! | [`normal_quantile`] | z with Φ(z) = p |
//! | [`quantile`], [`standard_deviation`] | of draws |
//! | [`ParticipationRatio`], [`MomentStream`] | participation ratios with all corrections, in one pass or from streams |
//! | [`Spectrum`], [`RankRule`] | eigenvalues of a covariance, effective ranks and rules for ranks |

mod centred;
mod correlation;
mod kendall;
mod mantel;
mod moment_stream;
mod normal;
mod participation;
mod products;
mod quantiles;
mod rank_rules;
mod ranks;
mod sorted_order;
mod spectral_sums;
mod spectrum;
mod weighted_ranks;

pub(crate) use centred::Centred;
pub use centred::CovarianceOperator;
pub(crate) use centred::power_above;
pub(crate) use correlation::deviations;
pub use correlation::{Correlation, Interval, pearson, spearman};
pub use kendall::Kendall;
pub use mantel::MantelMoments;
pub use moment_stream::MomentStream;
pub use normal::normal_quantile;
pub use participation::{NotEstimable, ParticipationRatio};
pub(crate) use products::{Side, map_tiles};
pub use quantiles::{quantile, standard_deviation};
pub use rank_rules::RankRule;
pub use ranks::average_ranks;
pub use spectral_sums::SpectralSums;
pub use spectrum::Spectrum;
pub use weighted_ranks::SortedSample;
