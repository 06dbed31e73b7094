//! Similarities over samples of the stimuli, without computing ranks anew.

use hesse_kernels::rank_scan::{Lane, SAMPLES, weighted_inner};

use super::comparator::{Comparator, degenerate, same_stimuli};
use super::pair_scores::untied_square;
use super::pairwise::{Pairwise, Table, pairs};
use super::responses::enough_stimuli;
use super::ssm::{Region, Ssm, WeightedTable, weighted_score};
use crate::numerics::parallel;
use crate::random::Stream;
use crate::statistics::{Interval, SortedSample, quantile, standard_deviation};
use crate::{Error, Isa, Real, Result};

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
    /// Over the whole matrix each of these pairs counts twice, and the diagonal entry of stimulus i wᵢ times.
    ///
    /// Each table is sorted once; a sample then costs one pass over the sorted order for its ranks and
    /// one over the pairs, O(M), sixteen samples side by side (eight of Pearson's and cosines). τ is counted over the pairs written out.
    ///
    /// # Errors
    /// As [`Ssm::score`]; [`Error::Shape`] for multiplicities of another number of stimuli,
    /// [`Error::Range`] for fewer than 3 different stimuli in a sample; [`Error::NotApplicable`] for
    /// whitened comparators and Bures, which need matrices without gaps.
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
        use super::comparator::Comparator::{RhoA, Spearman, TauA, TauB};
        let kendall = matches!(self.comparator, TauA | TauB);
        if !(kendall || self.comparator.is_inner_product()) {
            return Err(Error::not_applicable(
                "similarity over a sample of stimuli",
                "rank methods, Pearson or cosine",
                format!("{:?}", self.comparator),
            ));
        }
        if kendall {
            let scores = parallel::map(samples.len(), |d| {
                let copies = written_out(&samples[d], self.region);
                let mut scores = Vec::with_capacity(left.len() * right.len());
                for a in left {
                    for b in right {
                        let of = |table: &[f64]| -> Vec<f64> {
                            copies.iter().map(|&k| table[k]).collect()
                        };
                        let (a, b) = (self.region.entries(*a), self.region.entries(*b));
                        scores.push(self.comparator.kendall(&of(&a), &of(&b))?);
                    }
                }
                Ok(scores)
            });
            return scores.into_iter().collect();
        }
        if self.region == Region::Upper && matches!(self.comparator, Spearman | RhoA) {
            let sorted = |upper: &[f64]| SortedSample::new("table", upper);
            let lefts = left.iter().map(|a| sorted(a.upper())).collect::<Result<Vec<_>>>()?;
            let rights = right.iter().map(|b| sorted(b.upper())).collect::<Result<Vec<_>>>()?;
            return rank_grid(self.comparator, &lefts, &rights, samples);
        }
        let table = |entries: &[f64]| WeightedTable::new(self.comparator, entries);
        let lefts =
            left.iter().map(|a| table(&self.region.entries(*a))).collect::<Result<Vec<_>>>()?;
        let rights =
            right.iter().map(|b| table(&self.region.entries(*b))).collect::<Result<Vec<_>>>()?;
        let groups = parallel::shards(samples.len(), LANES);
        let scores = parallel::map(groups.len(), |g| {
            let weights = weights(n, &samples[groups[g].clone()], self.region);
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

/// ρ or ρ_a of every table of `left` with every one of `right` over each sample, left by left.
fn rank_grid(
    comparator: Comparator,
    left: &[SortedSample],
    right: &[SortedSample],
    samples: &[Multiplicities],
) -> Result<Vec<Vec<f64>>> {
    let n = samples.first().map_or(0, Vec::len);
    // At most 2³² − 1 pairs are sorted, so that stimuli are fewer.
    let pairs: Vec<[u32; 2]> = pairs(n).map(|(i, j)| [i as u32, j as u32]).collect();
    let groups = parallel::shards(samples.len(), SAMPLES);
    let scores = parallel::map(groups.len(), |g| {
        let samples = &samples[groups[g].clone()];
        let totals: Vec<f64> = samples.iter().map(pairs_in).collect();
        let single = totals.iter().all(|&total| total < f64::from(1 << f32::MANTISSA_DIGITS));
        let scores = if single { rank_group::<f32> } else { rank_group::<f64> };
        scores(comparator, left, right, &pairs, samples, &totals)
    });
    Ok(scores.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

/// Σ_{i<j} wᵢwⱼ.
fn pairs_in(sample: &Multiplicities) -> f64 {
    let add = |(pairs, before): (f64, f64), w: &u32| {
        (pairs + before * f64::from(*w), before + f64::from(*w))
    };
    sample.iter().fold((0.0, 0.0), add).0
}

/// The same for samples that are computed side by side, with scores of a type in which they are exact.
fn rank_group<T: Real>(
    comparator: Comparator,
    left: &[SortedSample],
    right: &[SortedSample],
    pairs: &[[u32; 2]],
    samples: &[Multiplicities],
    totals: &[f64],
) -> Result<Vec<Vec<f64>>> {
    let n = samples[0].len();
    let lane = |f: &dyn Fn(usize) -> f64| -> Lane<T> {
        std::array::from_fn(|l| T::from_f64(if l < samples.len() { f(l) } else { 0.0 }))
    };
    let counts: Vec<Lane<T>> = (0..n).map(|i| lane(&|l| f64::from(samples[l][i]))).collect();
    let sums = lane(&|l| totals[l]);
    let scores_of = |table: &SortedSample, scores: &mut Vec<Lane<T>>| {
        scores.resize(pairs.len(), [T::ZERO; SAMPLES]);
        table.pair_scores(pairs, &counts, &sums, scores)
    };
    let mut of_left = vec![Vec::new(); left.len()];
    let squares: Vec<Lane<f64>> =
        left.iter().zip(&mut of_left).map(|(table, scores)| scores_of(table, scores)).collect();
    let mut found = vec![vec![0.0; left.len() * right.len()]; samples.len()];
    let mut of_right = Vec::new();
    for (r, table) in right.iter().enumerate() {
        let own = scores_of(table, &mut of_right);
        for (l, (scores, squares)) in of_left.iter().zip(&squares).enumerate() {
            let inner = weighted_inner(Isa::current(), &counts, scores, &of_right);
            for (s, found) in found.iter_mut().enumerate() {
                let square = match comparator {
                    Comparator::RhoA => untied_square(totals[s]).powi(2),
                    _ => squares[s] * own[s],
                };
                if square <= 0.0 {
                    return Err(degenerate());
                }
                found[l * right.len() + r] = (inner[s] / square.sqrt()).clamp(-1.0, 1.0);
            }
        }
    }
    Ok(found)
}

/// wᵢwⱼ of every pair for up to [`LANES`] samples; lanes without a sample repeat the first. Over the whole
/// matrix twice that, and the wᵢ of the diagonal.
fn weights(n: usize, samples: &[Multiplicities], region: Region) -> Vec<[f64; LANES]> {
    let lane = |l: usize| samples.get(l).unwrap_or(&samples[0]);
    let stimuli: Vec<[f64; LANES]> =
        (0..n).map(|i| std::array::from_fn(|l| f64::from(lane(l)[i]))).collect();
    let times = if region == Region::Full { 2.0 } else { 1.0 };
    let product =
        |(i, j): (usize, usize)| std::array::from_fn(|l| times * stimuli[i][l] * stimuli[j][l]);
    let mut weights: Vec<_> = pairs(n).map(product).collect();
    if region == Region::Full {
        weights.extend(&stimuli);
    }
    weights
}

/// Places of the entries, each as often as it counts.
fn written_out(sample: &Multiplicities, region: Region) -> Vec<usize> {
    let n = sample.len();
    let mut places = Vec::new();
    let times = if region == Region::Full { 2 } else { 1 };
    for (k, (i, j)) in pairs(n).enumerate() {
        let count = times * sample[i] as usize * sample[j] as usize;
        places.extend(std::iter::repeat_n(k, count));
    }
    if region == Region::Full {
        let diagonal = n * (n - 1) / 2..;
        for (k, count) in diagonal.zip(sample) {
            places.extend(std::iter::repeat_n(k, *count as usize));
        }
    }
    places
}
