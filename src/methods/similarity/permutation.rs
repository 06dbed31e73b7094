//! Is a similarity more than that of relabelled stimuli?

use super::comparator::same_stimuli;
use super::pair_scores::PairScores;
use super::pairwise::{Pairwise, Table};
use super::ssm::{Region, Ssm};
use crate::numerics::parallel;
use crate::random::Stream;
use crate::statistics::MantelMoments;
use crate::{Error, Result};

/// A similarity beside those under permutations of the stimuli of one side.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PermutationTest {
    /// The similarity.
    pub observed: f64,
    /// Those of the draws.
    pub null: Vec<f64>,
    /// (1 + #{null ≥ observed})/(1 + draws).
    pub p: f64,
    /// Mean and standard deviation over all n! permutations, exactly, for comparators that are inner
    /// products over upper triangles (Spearman, Pearson, cosine, ρ_a).
    pub exact: Option<ExactNull>,
    /// Seed of the draws.
    pub seed: u64,
}

/// Moments of a similarity over all n! permutations of the stimuli of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExactNull {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// (observed − mean)/sd; NaN where all permutations score alike.
    pub z: f64,
}

impl PermutationTest {
    pub(super) fn of(observed: f64, null: Vec<f64>, exact: Option<ExactNull>, seed: u64) -> Self {
        let as_large = null.iter().filter(|&&score| score >= observed).count();
        let p = (1 + as_large) as f64 / (1 + null.len()) as f64;
        Self { observed, null, p, exact, seed }
    }
}

impl Ssm {
    /// The similarity of `a` with `b` relabelled: entry (i, j) of `b` becomes (πᵢ, πⱼ), for each of
    /// these permutations π.
    ///
    /// Inner products need no new ranks: M products and as many reads of one row of `b` after the
    /// other, for each permutation. Other comparators are computed afresh.
    ///
    /// # Errors
    /// As [`Ssm::score`], and [`Error::Range`] for a list that is not a permutation of 0..n.
    pub fn permuted(
        &self,
        a: &impl Pairwise,
        b: &impl Pairwise,
        permutations: &[Vec<usize>],
    ) -> Result<Vec<f64>> {
        let n = same_stimuli(a, b)?;
        permutations.iter().try_for_each(|p| check_permutation(n, p))?;
        if self.region == Region::Upper && self.comparator.is_inner_product() {
            let (a, b) = self.pair_scores(a, b)?;
            let square = square_of(n, &b.values);
            let score = |d: usize| {
                let inner = relabelled_inner(n, &a.values, &square, &permutations[d]);
                a.normalised(&b, inner)
            };
            return Ok(parallel::map(permutations.len(), score));
        }
        let scores = parallel::map(permutations.len(), |d| {
            self.score(&Table::of(a), &Table::of(b).select(&permutations[d]))
        });
        scores.into_iter().collect()
    }

    /// Mean and standard deviation of the similarity over all permutations, in closed form
    /// ([`MantelMoments`]): O(n²), no draw.
    ///
    /// # Errors
    /// As [`Ssm::score`]; [`Error::NotApplicable`] for other comparators than Spearman, Pearson, cosine
    /// and ρ_a over upper triangles.
    pub fn exact_null(&self, a: &impl Pairwise, b: &impl Pairwise) -> Result<ExactNull> {
        let n = same_stimuli(a, b)?;
        if self.region != Region::Upper || !self.comparator.is_inner_product() {
            return Err(Error::not_applicable(
                "exact moments over permutations",
                "Spearman, Pearson, cosine or ρ_a over upper triangles",
                format!("{:?} over {:?}", self.comparator, self.region),
            ));
        }
        let (a, b) = self.pair_scores(a, b)?;
        let moments = MantelMoments::of(n, &a.values, &b.values)?;
        let (mean, sd) = (moments.mean / a.norm(&b), moments.variance.sqrt() / a.norm(&b));
        Ok(ExactNull { mean, sd, z: (a.compare(&b) - mean) / sd })
    }

    /// Tests the similarity against `draws` random permutations.
    ///
    /// Draw d permutes by the child d of the stream "similarity: permutations" of `seed`.
    ///
    /// # Errors
    /// As [`Ssm::score`], and for no draws.
    pub fn permutation_test(
        &self,
        a: &impl Pairwise,
        b: &impl Pairwise,
        draws: usize,
        seed: u64,
    ) -> Result<PermutationTest> {
        let n = same_stimuli(a, b)?;
        if draws == 0 {
            return Err(Error::empty("draws"));
        }
        let stream = Stream::new(seed, "similarity: permutations");
        let permutations: Vec<_> =
            (0..draws).map(|d| stream.child(d as u64).permutation(n)).collect();
        let observed = self.score(a, b)?;
        let null = self.permuted(a, b, &permutations)?;
        let exact = match self.exact_null(a, b) {
            Ok(exact) => Some(exact),
            Err(Error::NotApplicable { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(PermutationTest::of(observed, null, exact, seed))
    }

    fn pair_scores(
        &self,
        a: &impl Pairwise,
        b: &impl Pairwise,
    ) -> Result<(PairScores, PairScores)> {
        let scores = |table: &[f64]| PairScores::new(self.comparator, table);
        Ok((scores(a.upper())?, scores(b.upper())?))
    }
}

pub(super) fn check_permutation(n: usize, permutation: &[usize]) -> Result<()> {
    if permutation.len() != n {
        return Err(Error::shape("permutation: length", n, permutation.len()));
    }
    let mut seen = vec![false; n];
    for &i in permutation {
        match seen.get_mut(i) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                let expected = format!("every number below {n} once");
                return Err(Error::range("permutation", expected, i));
            }
        }
    }
    Ok(())
}

/// The whole symmetric matrix, row by row, with zeros on the diagonal.
fn square_of(n: usize, upper: &[f64]) -> Vec<f64> {
    let mut square = vec![0.0; n * n];
    for ((i, j), value) in super::pairwise::pairs(n).zip(upper) {
        square[i * n + j] = *value;
        square[j * n + i] = *value;
    }
    square
}

/// Σ_{i<j} a_ij b_{π(i)π(j)}.
fn relabelled_inner(n: usize, a: &[f64], b: &[f64], permutation: &[usize]) -> f64 {
    let (mut sum, mut start) = (0.0, 0);
    for i in 0..n {
        let others = &permutation[i + 1..];
        let row = &b[permutation[i] * n..][..n];
        let values = &a[start..start + others.len()];
        start += others.len();
        // Four sums that do not wait for each other.
        let mut parts = [0.0; 4];
        let (fours, rest) = values.as_chunks::<4>();
        let (places, last) = others.as_chunks::<4>();
        for (values, places) in fours.iter().zip(places) {
            for l in 0..4 {
                parts[l] += values[l] * row[places[l]];
            }
        }
        let tail: f64 = rest.iter().zip(last).map(|(v, &j)| v * row[j]).sum();
        sum += (parts[0] + parts[1]) + (parts[2] + parts[3]) + tail;
    }
    sum
}
