//! Scores of how alike two tables over pairs of stimuli are.

use super::pair_scores::PairScores;
use super::pairwise::Pairwise;
use super::whitened::{Whitening, bures_similarity};
use crate::statistics::Kendall;
use crate::{Error, Result};

/// How two tables over pairs of stimuli, M = n(n − 1)/2 of them, are compared.
///
/// | | |
/// |---|---|
/// | cost | O(M), rank methods O(M) and a sort, τ O(M log M), whitened O(n²), Bures O(n³) |
/// | reads | entries as they are; whitened and Bures: dissimilarities (1 − C of an RSM) |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Comparator {
    /// Pearson's correlation of average ranks.
    #[default]
    Spearman,
    /// Pearson's correlation.
    Pearson,
    /// The cosine.
    Cosine,
    /// 12 Σ (a − m)(b − m)/(M³ − M) of average ranks with mean m: Spearman's expectation when ties are
    /// broken at random.
    RhoA,
    /// (concordant − discordant)/M₀ of M₀ = M(M − 1)/2 pairs of pairs.
    TauA,
    /// (concordant − discordant)/√((M₀ − T_a)(M₀ − T_b)) with the numbers T of tied ones.
    TauB,
    /// Cosine that knows how errors of distances depend on each other when those of the responses are
    /// independent: that of the double-centred −HDH/2. Equal to linear CKA for squared Euclidean
    /// distances. For other noise see [`Whitening`].
    WhitenedCosine,
    /// The same after the mean of each table is taken away.
    WhitenedPearson,
    /// tr √(√A B √A)/√(tr A tr B) of A = −HDH/2 and B alike, for squared Euclidean distances: the
    /// cosine of the Procrustes angle.
    Bures,
}

impl Comparator {
    /// The score of two tables over the same stimuli, in their strict upper triangles.
    ///
    /// ```
    /// use hesse::similarity::{Comparator, Rdm};
    /// let a = Rdm::from_upper(vec![1.0, 2.0, 3.0])?;
    /// let b = Rdm::from_upper(vec![1.0, 9.0, 5.0])?;
    /// assert_eq!(Comparator::Spearman.compare(&a, &b)?, 0.5);
    /// assert_eq!(Comparator::TauA.compare(&a, &b)?, 1.0 / 3.0);
    /// # Ok::<(), hesse::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for different numbers of stimuli, [`Error::Range`] for fewer than 3 or for a
    /// table whose entries are all the same (cosines: all 0), except for ρ_a and τ_a, which are 0
    /// then.
    pub fn compare(self, a: &impl Pairwise, b: &impl Pairwise) -> Result<f64> {
        same_stimuli(a, b)?;
        match self {
            Comparator::TauA | Comparator::TauB => self.kendall(a.upper(), b.upper()),
            Comparator::WhitenedCosine => Whitening::identity().cosine(a, b),
            Comparator::WhitenedPearson => Whitening::identity().pearson(a, b),
            Comparator::Bures => bures_similarity(a, b),
            _ => {
                let a = PairScores::new(self, a.upper())?;
                let b = PairScores::new(self, b.upper())?;
                Ok(a.compare(&b))
            }
        }
    }

    /// τ of two vectors.
    pub(super) fn kendall(self, a: &[f64], b: &[f64]) -> Result<f64> {
        let k = Kendall::of(a, b)?;
        if self == Comparator::TauA {
            return Ok(k.tau_a());
        }
        if k.ties_x == k.pairs || k.ties_y == k.pairs {
            return Err(degenerate());
        }
        Ok(k.tau_b())
    }

    /// Whether it is a function of one inner product over pairs.
    pub(super) fn is_inner_product(self) -> bool {
        use Comparator::{Cosine, Pearson, RhoA, Spearman};
        matches!(self, Spearman | Pearson | Cosine | RhoA)
    }
}

/// Tables over the same stimuli, at least 3.
pub(super) fn same_stimuli(a: &impl Pairwise, b: &impl Pairwise) -> Result<usize> {
    let n = a.stimuli();
    if b.stimuli() != n {
        return Err(Error::shape("second table: stimuli", n, b.stimuli()));
    }
    super::responses::enough_stimuli(n, 3)?;
    Ok(n)
}

/// A table that says nothing.
pub(super) fn degenerate() -> Error {
    Error::range("entries of the table", "at least two different ones", "all the same")
}
