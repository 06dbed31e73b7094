//! How well any model could do, given the noise of trials and the differences between subjects.

use faer::Mat;

use super::comparator::{Comparator, degenerate};
use super::pairwise::{Pairwise, Rdm, Rsm};
use super::ssm::Ssm;
use super::trials::Trials;
use crate::numerics::parallel;
use crate::random::Stream;
use crate::statistics::{average_ranks, deviations, pearson, standard_deviation};
use crate::{Error, Result};

/// The reliability of a measurement of twice the length, 2r/(1 + r) (Spearman 1910, Brown 1910).
///
/// NaN for r = −1.
#[must_use]
pub fn spearman_brown(r: f64) -> f64 {
    2.0 * r / (1.0 + r)
}

/// A similarity with the noise of both sides taken out, s/√(r_x r_y), with reliabilities r of the
/// sides (a split by units or trials, corrected by [`spearman_brown`]). May exceed 1.
///
/// # Errors
/// [`Error::Range`] unless both reliabilities are positive and finite.
pub fn disattenuated(score: f64, reliability_x: f64, reliability_y: f64) -> Result<f64> {
    for (what, r) in [("reliability of x", reliability_x), ("reliability of y", reliability_y)] {
        if !(r > 0.0 && r.is_finite()) {
            return Err(Error::range(what, "a positive number", r));
        }
    }
    Ok(score / (reliability_x * reliability_y).sqrt())
}

/// τ of the law SSM(N) ≈ SSM(∞)/√(1 + τ/N) for the Pearson SSM of N of the units: entries c of the
/// RSM of all units vary by (1 − c²)²/N in that of N, so τ = mean((1 − c²)²)/var(c).
///
/// Within 3% for N ≥ 100, too optimistic by 7 to 18% at N = 25. Designed here.
///
/// # Errors
/// [`Error::Range`] for an RSM whose entries are all the same.
pub fn attenuation(rsm: &Rsm) -> Result<f64> {
    let c = rsm.upper();
    let count = c.len() as f64;
    let mean = c.iter().sum::<f64>() / count;
    let variance = c.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / count;
    if variance <= 0.0 {
        return Err(degenerate());
    }
    Ok(c.iter().map(|c| ((1.0 - c) * (1.0 + c)).powi(2)).sum::<f64>() / count / variance)
}

/// The ceiling from two halves of the trials: per draw, the SSM of the RSMs (Pearson) of the mean
/// responses in two disjoint halves of the trials of each stimulus.
///
/// ```
/// use hesse::similarity::{SplitHalf, Trials};
/// let response = |t: usize, s: usize, u: usize| ((s * s * (u + 3)) % 7) as f64 + 0.01 * (t * u) as f64;
/// let mut values = Vec::new();
/// for t in 0..4 {
///     for s in 0..6 {
///         values.extend((0..5).map(|u| response(t, s, u)));
///     }
/// }
/// let trials = Trials::from_array([4, 6, 5], &values)?;
/// assert!(SplitHalf::new(10).seed(7).run(&trials)?.mean > 0.99);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitHalf {
    draws: usize,
    seed: u64,
    ssm: Ssm,
}

/// What [`SplitHalf`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SplitHalfCeiling {
    /// SSM of the halves, draw by draw.
    pub scores: Vec<f64>,
    /// Their mean r.
    pub mean: f64,
    /// Their standard deviation, n − 1 in the denominator; NaN for one draw.
    pub sd: f64,
    /// 2r/(1 + r): what two recordings of all trials would have.
    pub spearman_brown: f64,
    /// Its root: what a model without noise could reach; NaN where it is negative.
    pub model_ceiling: f64,
}

impl SplitHalf {
    /// With this many draws of halves, seed 0, and the default [`Ssm`].
    #[must_use]
    pub fn new(draws: usize) -> Self {
        Self { draws, seed: 0, ssm: Ssm::default() }
    }

    /// Another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Another comparison.
    #[must_use]
    pub fn ssm(self, ssm: Ssm) -> Self {
        Self { ssm, ..self }
    }

    /// The ceiling. Where all stimuli have the same number T of trials, one order of trials is drawn
    /// for all (trials may be whole recordings), else one for each stimulus; the first ⌊T/2⌋ are one half.
    ///
    /// Draw d uses the child d of the stream "similarity: halves" of the seed. O(T n p + n² p) a draw.
    ///
    /// # Errors
    /// [`Error::Range`] for a stimulus with one trial, and as [`Rsm::pearson`] and [`Ssm::score`] of a
    /// half; no draws.
    pub fn run(&self, trials: &Trials) -> Result<SplitHalfCeiling> {
        let stream = Stream::new(self.seed, "similarity: halves");
        let order = |d: usize, s: usize| {
            let draw = stream.child(d as u64);
            let draw = if trials.balanced().is_some() { draw } else { draw.child(s as u64) };
            draw.permutation(trials.count(s))
        };
        self.over(trials, self.draws, order)
    }

    /// The ceiling for given orders of the T trials of every stimulus.
    ///
    /// # Errors
    /// As [`SplitHalf::run`]; [`Error::Range`] for different numbers of trials, [`Error::Shape`] or
    /// [`Error::Range`] for what is not an order of them.
    pub fn with_orders(&self, trials: &Trials, orders: &[Vec<usize>]) -> Result<SplitHalfCeiling> {
        let count = trials.balanced().ok_or_else(|| {
            Error::range("trials of a stimulus", "the same number for all", "different numbers")
        })?;
        for order in orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if sorted.iter().copied().ne(0..count) {
                let expected = format!("every trial below {count} once");
                return Err(Error::range("order of trials", expected, format!("{order:?}")));
            }
        }
        self.over(trials, orders.len(), |d, _| orders[d].clone())
    }

    fn over(
        &self,
        trials: &Trials,
        draws: usize,
        order: impl Fn(usize, usize) -> Vec<usize> + Sync,
    ) -> Result<SplitHalfCeiling> {
        if draws == 0 {
            return Err(Error::empty("draws"));
        }
        if let Some(s) = (0..trials.stimuli()).find(|&s| trials.count(s) < 2) {
            return Err(Error::range(format!("trials of stimulus {s}"), "at least 2", 1));
        }
        let scores = parallel::map(draws, |d| {
            let half = |trials_of: &dyn Fn(usize) -> Vec<usize>| {
                Rsm::pearson(trials.mean_of(trials_of).as_ref())
            };
            let middle = |s: usize| trials.count(s) / 2;
            let first = half(&|s| order(d, s)[..middle(s)].to_vec())?;
            let second = half(&|s| order(d, s)[middle(s)..].to_vec())?;
            self.ssm.score(&first, &second)
        });
        let scores = scores.into_iter().collect::<Result<Vec<f64>>>()?;
        let mean = scores.iter().sum::<f64>() / draws as f64;
        let corrected = spearman_brown(mean);
        Ok(SplitHalfCeiling {
            sd: standard_deviation(&scores),
            mean,
            spearman_brown: corrected,
            model_ceiling: corrected.sqrt(),
            scores,
        })
    }
}

/// The reliability of each unit: Pearson's correlation over stimuli of its mean responses in two
/// halves of the trials, the first ⌊T/2⌋ of `order` and the rest, corrected by [`spearman_brown`]; NaN
/// for a unit that does not vary in a half.
///
/// # Errors
/// As [`SplitHalf::with_orders`].
pub fn unit_reliability(trials: &Trials, order: &[usize]) -> Result<Vec<f64>> {
    let halves = |trials_of: &[usize]| trials.mean_of(|_| trials_of.to_vec());
    // The checks of the order.
    SplitHalf::new(1).with_orders(trials, &[order.to_vec()])?;
    let (first, second) = order.split_at(order.len() / 2);
    let (first, second): (Mat<f64>, Mat<f64>) = (halves(first), halves(second));
    let column = |m: &Mat<f64>, u: usize| m.col(u).iter().copied().collect::<Vec<f64>>();
    (0..trials.units())
        .map(|u| Ok(spearman_brown(pearson(&column(&first, u), &column(&second, u))?.value)))
        .collect()
}

/// The range that a model's mean score over subjects could reach.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SubjectCeiling {
    /// Mean score of each subject with the pool of the others.
    pub lower: f64,
    /// Mean score of each subject with the pool of all.
    pub upper: f64,
}

/// The ceiling from the RDMs of subjects, pooled in the form that is best for the comparator: of
/// tables divided by their root mean square (cosines), z-scored (Pearson), or ranked (rank methods and
/// τ), the mean. Whitened comparators are pooled as the plain ones, which is nearly best for them.
///
/// O(S² M) for S subjects. Source: Nili et al. 2014; rsatoolbox's `boot_noise_ceiling`.
///
/// # Errors
/// As [`Comparator::compare`], [`Error::Range`] for fewer than two subjects;
/// [`Error::NotApplicable`] for Bures.
pub fn subject_ceiling(comparator: Comparator, subjects: &[Rdm]) -> Result<SubjectCeiling> {
    if subjects.len() < 2 {
        return Err(Error::range("subjects", "at least 2", subjects.len()));
    }
    for subject in subjects {
        super::comparator::same_stimuli(&subjects[0], subject)?;
    }
    let n = subjects[0].stimuli();
    let forms =
        subjects.iter().map(|s| poolable(comparator, s)).collect::<Result<Vec<Vec<f64>>>>()?;
    let count = subjects.len();
    let pool = |without: Option<usize>| {
        let mut sum = vec![0.0; forms[0].len()];
        for (_, form) in forms.iter().enumerate().filter(|(s, _)| Some(*s) != without) {
            sum.iter_mut().zip(form).for_each(|(sum, value)| *sum += value);
        }
        let pooled = count - usize::from(without.is_some());
        Rdm::new(n, sum.into_iter().map(|sum| sum / pooled as f64).collect())
    };
    let all = pool(None);
    let (mut lower, mut upper) = (0.0, 0.0);
    for (s, subject) in subjects.iter().enumerate() {
        upper += comparator.compare(&all, subject)? / count as f64;
        lower += comparator.compare(&pool(Some(s)), subject)? / count as f64;
    }
    Ok(SubjectCeiling { lower, upper })
}

fn poolable(comparator: Comparator, subject: &Rdm) -> Result<Vec<f64>> {
    let table = subject.upper();
    let scaled = |values: Vec<f64>, norm: f64| match norm > 0.0 {
        true => Ok(values.into_iter().map(|v| v / norm).collect()),
        false => Err(degenerate()),
    };
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    match comparator {
        Comparator::Spearman | Comparator::RhoA | Comparator::TauA | Comparator::TauB => {
            average_ranks("distances", table)
        }
        Comparator::Pearson | Comparator::WhitenedPearson => {
            let values = deviations(table);
            let norm = norm(&values);
            scaled(values, norm)
        }
        Comparator::Cosine | Comparator::WhitenedCosine => scaled(table.to_vec(), norm(table)),
        Comparator::Bures => Err(Error::not_applicable(
            "ceiling over subjects",
            "a comparator with a best pool",
            "Bures",
        )),
    }
}
