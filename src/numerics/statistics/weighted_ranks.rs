//! Ranks of samples that occur several times or not at all, without sorting again.

use hesse_kernels::rank_scan::{Lane, Order, weighted_scores};

use super::sorted_order::sorted_order;
use crate::{Error, Isa, Real, Result};

/// A sample sorted once, of which every choice of weights has its ranks in one pass.
///
/// Value k occurs w_k times. With W the sum of all weights, and B and G those of the smaller and of
/// the equal values, each copy of k has the average rank B + (G + 1)/2, and the score
///
/// s_k = 2 B + G − W
///
/// is twice its distance to the mean rank (W + 1)/2: a whole number for whole weights, so that
/// Σ w s = 0 and sums of products of scores are exact as long as they stay below 2⁵³.
///
/// Source: the average ranks of the sample written out with its repetitions.
#[derive(Clone, Debug)]
pub struct SortedSample {
    /// Indices by value.
    order: Vec<u32>,
    /// Where each group of equal values ends in `order`.
    ends: Vec<u32>,
}

impl SortedSample {
    /// Sorts the values. O(n); 8 bytes a value or less are kept.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for NaN, which has no rank; `what` names the sample.
    pub fn new(what: &str, values: &[f64]) -> Result<Self> {
        let order = sorted_order(what, values)?;
        let mut ends = Vec::new();
        let mut end = 0;
        for group in order.chunk_by(|&i, &j| values[i as usize] == values[j as usize]) {
            end += group.len();
            // At most 2³² − 1 values.
            ends.push(end as u32);
        }
        Ok(Self { order, ends })
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Number of different values.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.ends.len()
    }

    /// The scores s for `L` choices of weights side by side: `weights[k][l]` is that of value k in
    /// choice l, `scores[k][l]` its score.
    ///
    /// O(n L), one pass over scattered rows of `L` numbers.
    ///
    /// # Errors
    /// [`Error::Shape`] for slices of another length than the sample.
    pub fn scores<const L: usize>(
        &self,
        weights: &[[f64; L]],
        scores: &mut [[f64; L]],
    ) -> Result<()> {
        for (what, length) in [("weights: length", weights.len()), ("scores: length", scores.len())]
        {
            if length != self.len() {
                return Err(Error::shape(what, self.len(), length));
            }
        }
        let mut total = [0.0; L];
        for weight in weights {
            add(&mut total, weight);
        }
        let mut below = total.map(|total| -total);
        let mut first = 0;
        for &end in &self.ends {
            let members = &self.order[first..end as usize];
            let mut group = [0.0; L];
            members.iter().for_each(|&k| add(&mut group, &weights[k as usize]));
            add(&mut below, &group);
            members.iter().for_each(|&k| scores[k as usize] = below);
            add(&mut below, &group);
            first = end as usize;
        }
        Ok(())
    }

    /// The scores of a sample over pairs of stimuli, of which stimulus i is there `counts[i][l]` times in
    /// choice l: those of weights wᵢwⱼ, which sum to `totals`. Also Σ w s² of each choice.
    pub(crate) fn pair_scores<T: Real>(
        &self,
        pairs: &[[u32; 2]],
        counts: &[Lane<T>],
        totals: &Lane<T>,
        scores: &mut [Lane<T>],
    ) -> Lane<f64> {
        let order = Order { places: &self.order, ends: &self.ends, pairs };
        weighted_scores(Isa::current(), order, counts, totals, scores)
    }
}

fn add<const L: usize>(sum: &mut [f64; L], terms: &[f64; L]) {
    sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::average_ranks;

    #[test]
    fn scores_are_ranks_of_the_sample_written_out() {
        let x: Vec<f64> = (0..200).map(|i| f64::from((i * 37) % 23)).collect();
        let sample = SortedSample::new("x", &x).unwrap();
        assert_eq!((sample.len(), sample.distinct()), (200, 23));
        let weights: Vec<[f64; 3]> =
            (0..200).map(|i| [1.0, f64::from((i * 7) % 4), f64::from(i % 2)]).collect();
        let mut scores = vec![[f64::NAN; 3]; 200];
        sample.scores(&weights, &mut scores).unwrap();
        let error = sample.scores(&weights[1..], &mut scores).unwrap_err().to_string();
        assert_eq!(error, "weights: length: expected 200, got 199");
        for l in 0..3 {
            let copies: Vec<usize> =
                (0..200).flat_map(|k| std::iter::repeat_n(k, weights[k][l] as usize)).collect();
            let written: Vec<f64> = copies.iter().map(|&k| x[k]).collect();
            let ranks = average_ranks("x", &written).unwrap();
            for (&k, rank) in copies.iter().zip(ranks) {
                assert_eq!(scores[k][l], 2.0 * rank - (written.len() as f64 + 1.0));
            }
        }
    }
}
