//! Similarities over samples of the stimuli, without computing ranks anew.

use super::comparator::{degenerate, same_stimuli};
use super::pairwise::{Pairwise, Table, pairs};
use super::responses::enough_stimuli;
use super::ssm::{Region, Ssm, WeightedTable, weighted_score};
use crate::numerics::parallel;
use crate::random::Stream;
use crate::statistics::{Interval, quantile, standard_deviation};
use crate::{Error, Result};

/// Samples that are computed side by side.
const LANES: usize = 8;

/// How often each stimulus is in a sample.
pub type Multiplicities = Vec<u32>;

/// Similarities over bootstrap samples of the stimuli.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StimulusBootstrap {
    /// The similarity over all stimuli.
    pub observed: f64,
    /// Those of the samples.
    pub scores: Vec<f64>,
    /// Samples that had fewer than 3 different stimuli and were drawn again.
    pub redrawn: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// Similarities with one stimulus left out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Jackknife {
    /// The similarity over all stimuli.
    pub observed: f64,
    /// Those without stimulus 0, 1, ….
    pub scores: Vec<f64>,
}

impl StimulusBootstrap {
    /// The standard deviation of the scores, n − 1 in the denominator.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        standard_deviation(&self.scores)
    }

    /// The interval between the quantiles (1 ∓ confidence)/2 of the scores.
    ///
    /// # Errors
    /// [`Error::Range`] unless 0 < `confidence` < 1.
    pub fn interval(&self, confidence: f64) -> Result<Interval> {
        percentile_interval(&self.scores, confidence)
    }
}

impl Jackknife {
    /// √((n − 1)/n Σ (j − j̄)²).
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        let n = self.scores.len() as f64;
        (n - 1.0) / n.sqrt() * standard_deviation(&self.scores)
    }
}

/// How often each of n stimuli is among these indices.
///
/// # Errors
/// [`Error::Range`] for an index that is not below n.
pub fn multiplicities(stimuli: usize, indices: &[usize]) -> Result<Multiplicities> {
    let mut counts = vec![0; stimuli];
    for &i in indices {
        match counts.get_mut(i) {
            Some(count) => *count += 1,
            None => return Err(Error::range("stimulus", format!("below {stimuli}"), i)),
        }
    }
    Ok(counts)
}

impl Ssm {
    /// The similarity over each of these samples: with multiplicities w, the pair (i, j), i < j, counts
    /// wᵢwⱼ times. Copies of one stimulus are never paired: they are trivially alike.
    ///
    /// Each table is sorted once; a sample then costs one pass over the sorted order for its ranks and
    /// one over the pairs, O(M), eight samples side by side. τ is counted over the pairs written out.
    ///
    /// # Errors
    /// As [`Ssm::score`]; [`Error::Shape`] for multiplicities of another number of stimuli,
    /// [`Error::Range`] for fewer than 3 different stimuli in a sample; [`Error::NotApplicable`] for
    /// whitened comparators, Bures, and the whole matrix.
    pub fn resampled(
        &self,
        a: &impl Pairwise,
        b: &impl Pairwise,
        samples: &[Multiplicities],
    ) -> Result<Vec<f64>> {
        let grid = self.resampled_grid(&[a], &[b], samples)?;
        Ok(grid.into_iter().map(|scores| scores[0]).collect())
    }

    /// [`Ssm::resampled`] of every table of `left` with every one of `right`: the scores of each
    /// sample, left by left. Ranks of a table under a sample are computed once for all its partners.
    pub(super) fn resampled_grid<A: Pairwise, B: Pairwise>(
        &self,
        left: &[&A],
        right: &[&B],
        samples: &[Multiplicities],
    ) -> Result<Vec<Vec<f64>>> {
        let (Some(&first), Some(_)) = (left.first(), right.first()) else {
            return Err(Error::empty("tables"));
        };
        let n = first.stimuli();
        for &table in left {
            same_stimuli(first, table)?;
        }
        for &table in right {
            same_stimuli(first, table)?;
        }
        for (d, sample) in samples.iter().enumerate() {
            if sample.len() != n {
                let what = format!("multiplicities of sample {d}");
                return Err(Error::shape(what, n, sample.len()));
            }
            let distinct = sample.iter().filter(|&&w| w > 0).count();
            if distinct < 3 {
                let what = format!("different stimuli of sample {d}");
                return Err(Error::range(what, "at least 3", distinct));
            }
        }
        use super::comparator::Comparator::{TauA, TauB};
        let kendall = matches!(self.comparator, TauA | TauB);
        if self.region != Region::Upper || !(kendall || self.comparator.is_inner_product()) {
            return Err(Error::not_applicable(
                "similarity over a sample of stimuli",
                "rank methods, Pearson or cosine over upper triangles",
                format!("{:?} over {:?}", self.comparator, self.region),
            ));
        }
        if kendall {
            let scores = parallel::map(samples.len(), |d| {
                let copies = written_out(&samples[d]);
                let mut scores = Vec::with_capacity(left.len() * right.len());
                for a in left {
                    for b in right {
                        let of =
                            |upper: &[f64]| copies.iter().map(|&k| upper[k]).collect::<Vec<_>>();
                        scores.push(self.comparator.kendall(&of(a.upper()), &of(b.upper()))?);
                    }
                }
                Ok(scores)
            });
            return scores.into_iter().collect();
        }
        let table = |upper: &[f64]| WeightedTable::new(self.comparator, upper);
        let lefts = left.iter().map(|a| table(a.upper())).collect::<Result<Vec<_>>>()?;
        let rights = right.iter().map(|b| table(b.upper())).collect::<Result<Vec<_>>>()?;
        let groups = parallel::shards(samples.len(), LANES);
        let scores = parallel::map(groups.len(), |g| {
            let weights = pair_weights(n, &samples[groups[g].clone()]);
            let of_left =
                lefts.iter().map(|table| table.scores(&weights)).collect::<Result<Vec<_>>>()?;
            let width = groups[g].len();
            let mut scores = vec![vec![0.0; lefts.len() * rights.len()]; width];
            for (r, table) in rights.iter().enumerate() {
                let of_right = table.scores(&weights)?;
                for (l, of_left) in of_left.iter().enumerate() {
                    let found = weighted_score(self.comparator, &weights, of_left, &of_right);
                    for (scores, score) in scores.iter_mut().zip(found) {
                        scores[l * rights.len() + r] = score.ok_or_else(degenerate)?;
                    }
                }
            }
            Ok(scores)
        });
        Ok(scores.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    /// The similarity over `draws` samples of n stimuli with replacement.
    ///
    /// Sample d is drawn from the child d of the stream "similarity: stimuli" of `seed`. The standard
    /// error and the interval are mildly conservative.
    ///
    /// # Errors
    /// As [`Ssm::resampled`], and for no draws.
    pub fn bootstrap(
        &self,
        a: &impl Pairwise,
        b: &impl Pairwise,
        draws: usize,
        seed: u64,
    ) -> Result<StimulusBootstrap> {
        let n = same_stimuli(a, b)?;
        let (samples, redrawn) = bootstrap_samples(n, draws, seed)?;
        let scores = self.resampled(a, b, &samples)?;
        Ok(StimulusBootstrap { observed: self.score(a, b)?, scores, redrawn, seed })
    }

    /// The similarity over `draws` subsets of `size` stimuli, drawn without replacement.
    ///
    /// # Errors
    /// As [`Ssm::resampled`], and for a size outside 3 to n.
    pub fn subsamples(
        &self,
        a: &impl Pairwise,
        b: &impl Pairwise,
        size: usize,
        draws: usize,
        seed: u64,
    ) -> Result<Vec<f64>> {
        let n = same_stimuli(a, b)?;
        if !(3..=n).contains(&size) {
            return Err(Error::range("size of a subset", format!("3 to {n}"), size));
        }
        let stream = Stream::new(seed, "similarity: subsets of stimuli");
        let subset = |d: usize| multiplicities(n, &stream.child(d as u64).permutation(n)[..size]);
        self.resampled(a, b, &(0..draws).map(subset).collect::<Result<Vec<_>>>()?)
    }

    /// The similarity without each of the stimuli. O(n³).
    ///
    /// # Errors
    /// As [`Ssm::resampled`]; at least 4 stimuli.
    pub fn jackknife(&self, a: &impl Pairwise, b: &impl Pairwise) -> Result<Jackknife> {
        let n = same_stimuli(a, b)?;
        enough_stimuli(n, 4)?;
        let without = |i: usize| (0..n).map(|j| u32::from(i != j)).collect();
        let samples: Vec<Multiplicities> = (0..n).map(without).collect();
        Ok(Jackknife { observed: self.score(a, b)?, scores: self.resampled(a, b, &samples)? })
    }

    /// The similarity within each of `count` contiguous folds of ⌈n/count⌉ stimuli, the last shorter;
    /// by any comparator and region.
    ///
    /// # Errors
    /// As [`Ssm::score`]: every fold needs 3 stimuli.
    pub fn folds(&self, a: &impl Pairwise, b: &impl Pairwise, count: usize) -> Result<Vec<f64>> {
        let n = same_stimuli(a, b)?;
        if count == 0 {
            return Err(Error::empty("folds"));
        }
        let (a, b) = (Table::of(a), Table::of(b));
        let size = n.div_ceil(count);
        let fold = |f: usize| {
            let stimuli: Vec<usize> = ((f * size).min(n)..((f + 1) * size).min(n)).collect();
            self.score(&a.select(&stimuli), &b.select(&stimuli))
        };
        (0..count).map(fold).collect()
    }
}

/// `draws` samples of n stimuli with replacement, and how many were drawn again for want of 3
/// different ones.
pub(super) fn bootstrap_samples(
    n: usize,
    draws: usize,
    seed: u64,
) -> Result<(Vec<Multiplicities>, usize)> {
    enough_stimuli(n, 3)?;
    if draws == 0 {
        return Err(Error::empty("draws"));
    }
    let stream = Stream::new(seed, "similarity: stimuli");
    let (mut samples, mut redrawn) = (Vec::with_capacity(draws), 0);
    let mut indices = vec![0; n];
    for d in 0..draws {
        let mut draw = stream.child(d as u64);
        loop {
            draw.indices(0, n, &mut indices);
            let sample = multiplicities(n, &indices)?;
            if sample.iter().filter(|&&w| w > 0).count() >= 3 {
                samples.push(sample);
                break;
            }
            redrawn += 1;
            draw = draw.child(0);
        }
    }
    Ok((samples, redrawn))
}

pub(super) fn percentile_interval(values: &[f64], confidence: f64) -> Result<Interval> {
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(Error::range("confidence", "more than 0 and less than 1", confidence));
    }
    let tail = 0.5 * (1.0 - confidence);
    Ok(Interval { low: quantile(values, tail)?, high: quantile(values, 1.0 - tail)? })
}

/// wᵢwⱼ of every pair for up to [`LANES`] samples; lanes without a sample repeat the first.
fn pair_weights(n: usize, samples: &[Multiplicities]) -> Vec<[f64; LANES]> {
    let lane = |l: usize| samples.get(l).unwrap_or(&samples[0]);
    let stimuli: Vec<[f64; LANES]> =
        (0..n).map(|i| std::array::from_fn(|l| f64::from(lane(l)[i]))).collect();
    let product = |(i, j): (usize, usize)| std::array::from_fn(|l| stimuli[i][l] * stimuli[j][l]);
    pairs(n).map(product).collect()
}

/// Places of the pairs, each as often as it counts.
fn written_out(sample: &Multiplicities) -> Vec<usize> {
    let count = |(i, j): (usize, usize)| sample[i] as usize * sample[j] as usize;
    pairs(sample.len())
        .enumerate()
        .flat_map(|(k, pair)| std::iter::repeat_n(k, count(pair)))
        .collect()
}
