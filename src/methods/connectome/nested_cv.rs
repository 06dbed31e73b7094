//! The choice of λ and the error to be expected, by nested cross-validation.

use super::data::TracingData;
use super::fitted::{Connectome, Denominator, Weights};
use super::numpy_random;
use super::objective::{check_lambda, check_operators};
use super::smoothing_operator::SmoothingOperator;
use super::spline_regression::SplineRegression;
use crate::random::Stream;
use crate::{Error, Result};

/// In which order experiments are dealt to the outer folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    /// As they come.
    None,
    /// As `sklearn.model_selection.KFold(shuffle=True, random_state=seed)` does; the published seed is
    /// 666.
    NumPy {
        /// The seed of `numpy.random.RandomState`.
        seed: u32,
    },
    /// By our own random numbers.
    Stream {
        /// Their seed.
        seed: u64,
    },
}

/// Nested cross-validation: in each outer fold, inner folds of the other experiments choose λ, which is
/// then refitted on all of them and tested on the fold.
///
/// The inner error of λ is the mean of MSE_rel over the inner folds (consecutive experiments, not
/// shuffled). λ is scaled by the n_inj of each training set. Fits go along the path of λ from the
/// largest to the smallest, each from the last.
///
/// Source: Harris et al. 2016, section 5, and the published selection scripts.
#[derive(Clone, Debug)]
pub struct NestedCv {
    outer: usize,
    inner: usize,
    shuffle: Shuffle,
    lambdas: Vec<f64>,
    denominator: Denominator,
}

/// What [`NestedCv`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CvReport {
    /// The λ that were tried.
    pub lambdas: Vec<f64>,
    /// The outer fold of each experiment.
    pub outer_fold: Vec<usize>,
    /// For each outer fold the inner fold of each experiment; `None` for those tested.
    pub inner_fold: Vec<Vec<Option<usize>>>,
    /// MSE_rel of validation by outer fold, inner fold and λ.
    pub validation_mse_rel: Vec<Vec<Vec<f64>>>,
    /// The position in `lambdas` of the smallest mean validation error, for each outer fold.
    pub selected: Vec<usize>,
    /// MSE_rel on each outer fold after the refit, masked denominators.
    pub test_mse_rel: Vec<f64>,
    /// The same with full denominators.
    pub test_mse_rel_full: Vec<f64>,
    /// MSE_rel of the refit on its own experiments.
    pub train_mse_rel: Vec<f64>,
}

impl CvReport {
    /// The mean of the test errors over outer folds.
    #[must_use]
    pub fn mean_test_mse_rel(&self) -> f64 {
        self.test_mse_rel.iter().sum::<f64>() / self.test_mse_rel.len() as f64
    }
}

/// The fold of each of `n` experiments dealt in `order` to `folds` folds: consecutive, the first
/// n mod folds one longer.
fn deal(order: &[usize], folds: usize) -> Vec<usize> {
    let n = order.len();
    let mut fold = vec![0; n];
    let mut at = 0;
    for k in 0..folds {
        let size = n / folds + usize::from(k < n % folds);
        order[at..at + size].iter().for_each(|&e| fold[e] = k);
        at += size;
    }
    fold
}

impl Default for NestedCv {
    fn default() -> Self {
        Self::new()
    }
}

impl NestedCv {
    /// The published setting: 5 outer folds shuffled with seed 666 of NumPy, 5 inner folds, λ from 10³
    /// to 10¹² by tens, masked denominators.
    #[must_use]
    pub fn new() -> Self {
        Self {
            outer: 5,
            inner: 5,
            shuffle: Shuffle::NumPy { seed: 666 },
            lambdas: (3..=12).map(|k| libm::exp10(f64::from(k))).collect(),
            denominator: Denominator::Masked,
        }
    }

    /// Outer and inner folds.
    #[must_use]
    pub fn folds(self, outer: usize, inner: usize) -> Self {
        Self { outer, inner, ..self }
    }

    /// The order of experiments.
    #[must_use]
    pub fn shuffle(self, shuffle: Shuffle) -> Self {
        Self { shuffle, ..self }
    }

    /// The λ to try.
    #[must_use]
    pub fn lambdas(self, lambdas: impl Into<Vec<f64>>) -> Self {
        Self { lambdas: lambdas.into(), ..self }
    }

    /// The denominator of errors that choose λ.
    #[must_use]
    pub fn denominator(self, denominator: Denominator) -> Self {
        Self { denominator, ..self }
    }

    /// The outer fold of each of `n` experiments.
    ///
    /// # Errors
    /// [`Error::Range`] unless there are 2 folds or more and an experiment for each.
    pub fn outer_folds(&self, n: usize) -> Result<Vec<usize>> {
        check_folds("outer folds", self.outer, n)?;
        let order = match self.shuffle {
            Shuffle::None => (0..n).collect(),
            Shuffle::NumPy { seed } => numpy_random::permutation(seed, n),
            Shuffle::Stream { seed } => Stream::new(seed, "cross-validation").permutation(n),
        };
        Ok(deal(&order, self.outer))
    }

    /// Runs with [`SplineRegression`] as it is by default.
    ///
    /// # Errors
    /// As [`NestedCv::run_with`].
    pub fn run(
        &self,
        data: &TracingData,
        lx: &SmoothingOperator,
        ly: &SmoothingOperator,
    ) -> Result<CvReport> {
        check_operators(data, lx, ly)?;
        self.run_with(data, |lambda, data, before| {
            let mut regression = SplineRegression::new().lambda(lambda);
            if let Some(Weights::Full(w)) = before.map(|fit| &fit.weights) {
                regression = regression.warm_start(w.clone());
            }
            regression.fit(data, lx, ly)
        })
    }

    /// Runs with any fit: `fit(λ, training data, the fit before on the path)`.
    ///
    /// # Errors
    /// [`Error::Empty`] for no λ, or a fold in which nothing was observed; [`Error::Range`] for λ < 0,
    /// and for fewer experiments than folds; those of `fit`.
    pub fn run_with(
        &self,
        data: &TracingData,
        mut fit: impl FnMut(f64, &TracingData, Option<&Connectome>) -> Result<Connectome>,
    ) -> Result<CvReport> {
        if self.lambdas.is_empty() {
            return Err(Error::empty("lambdas"));
        }
        self.lambdas.iter().try_for_each(|l| check_lambda("lambda", *l))?;
        let n = data.experiments();
        let outer_fold = self.outer_folds(n)?;
        let mut path: Vec<usize> = (0..self.lambdas.len()).collect();
        path.sort_by(|&a, &b| self.lambdas[b].total_cmp(&self.lambdas[a]));
        let mut report = CvReport {
            lambdas: self.lambdas.clone(),
            outer_fold: outer_fold.clone(),
            inner_fold: Vec::new(),
            validation_mse_rel: Vec::new(),
            selected: Vec::new(),
            test_mse_rel: Vec::new(),
            test_mse_rel_full: Vec::new(),
            train_mse_rel: Vec::new(),
        };
        for k in 0..self.outer {
            let (train, test): (Vec<usize>, Vec<usize>) = (0..n).partition(|&e| outer_fold[e] != k);
            check_folds("inner folds", self.inner, train.len())?;
            let inner = deal(&(0..train.len()).collect::<Vec<_>>(), self.inner);
            let mut fold_of = vec![None; n];
            train.iter().zip(&inner).for_each(|(&e, &fold)| fold_of[e] = Some(fold));
            let mut errors = vec![vec![f64::NAN; self.lambdas.len()]; self.inner];
            let mut last = None;
            for (j, errors) in errors.iter_mut().enumerate() {
                let of = |wanted: bool| -> Vec<usize> {
                    let pairs = train.iter().zip(&inner);
                    pairs.filter(|(_, fold)| (**fold == j) == wanted).map(|(e, _)| *e).collect()
                };
                let (fitting, validation) = (data.select(&of(false))?, data.select(&of(true))?);
                let mut before: Option<Connectome> = None;
                for &l in &path {
                    let now = fit(self.lambdas[l], &fitting, before.as_ref())?;
                    errors[l] = now.mse_rel(&validation, self.denominator)?;
                    before = Some(now);
                }
                last = before;
            }
            let mean = |l: usize| errors.iter().map(|e| e[l]).sum::<f64>() / self.inner as f64;
            let mut best = 0;
            for l in 1..self.lambdas.len() {
                if mean(l) < mean(best) || mean(best).is_nan() {
                    best = l;
                }
            }
            let (training, testing) = (data.select(&train)?, data.select(&test)?);
            let refit = fit(self.lambdas[best], &training, last.as_ref())?;
            report.test_mse_rel.push(refit.mse_rel(&testing, Denominator::Masked)?);
            report.test_mse_rel_full.push(refit.mse_rel(&testing, Denominator::Full)?);
            report.train_mse_rel.push(refit.mse_rel(&training, Denominator::Masked)?);
            report.selected.push(best);
            report.validation_mse_rel.push(errors);
            report.inner_fold.push(fold_of);
        }
        Ok(report)
    }
}

/// MSE_rel of each experiment under a fit to all others, masked denominators.
///
/// # Errors
/// [`Error::Range`] for fewer than two experiments, [`Error::Empty`] for one that was observed nowhere;
/// those of `fit`.
pub fn leave_one_out(
    data: &TracingData,
    mut fit: impl FnMut(&TracingData) -> Result<Connectome>,
) -> Result<Vec<f64>> {
    let n = data.experiments();
    check_folds("experiments to leave out", n.max(2), n)?;
    (0..n)
        .map(|e| {
            let others: Vec<usize> = (0..n).filter(|&i| i != e).collect();
            fit(&data.select(&others)?)?.mse_rel(&data.select(&[e])?, Denominator::Masked)
        })
        .collect()
}

fn check_folds(what: &str, folds: usize, experiments: usize) -> Result<()> {
    if folds < 2 {
        return Err(Error::range(what, "at least 2", folds));
    }
    if folds > experiments {
        let expected = format!("at most one for each of {experiments} experiments");
        return Err(Error::range(what, expected, folds));
    }
    Ok(())
}
