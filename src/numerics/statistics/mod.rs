//! Spectra of covariances and what is read off them.

mod centred;
mod moment_stream;
mod participation;
mod products;
mod rank_rules;
mod spectral_sums;
mod spectrum;

pub use centred::CovarianceOperator;
pub use moment_stream::MomentStream;
pub use participation::{NotEstimable, ParticipationRatio};
pub use rank_rules::RankRule;
pub use spectral_sums::SpectralSums;
pub use spectrum::Spectrum;
