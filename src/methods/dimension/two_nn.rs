//! The dimension from the ratio of the first two distances.

use super::cloud::PointCloud;
use super::estimate::{Estimate, not_estimable};
use super::estimator::Estimator;
use super::table::{check, log_ratios, mean_distance};
use crate::neighbors::Neighbors;
use crate::numerics::special::gamma_quantile;
use crate::{Error, Result};

/// How [`TwoNn`] reads the dimension off the ratios.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fit {
    /// The slope through the origin of −ln(1 − i/n) on ln μ₍ᵢ₎, over the first ⌊keep · n⌋ of the
    /// sorted ratios. With all of them the last point is at infinity: maximum likelihood is taken.
    Linear {
        /// Between 0 and 1; the paper has 0.9.
        keep: f64,
    },
    /// (n − 1)/Σ ln μ, unbiased; standard error d/√n.
    MaximumLikelihood,
    /// Maximum likelihood with the largest ratios known only to be larger than the last one kept:
    /// (m − 1)/(Σ_{i≤m} ln μ₍ᵢ₎ + (n − m) ln μ₍ₘ₎), m = ⌊keep · n⌋; standard error d/√m.
    Censored {
        /// Between 0 and 1.
        keep: f64,
    },
    /// The mean of the posterior of a Gamma prior, (shape + n)/(rate + Σ ln μ); standard error: its
    /// standard deviation √(shape + n)/(rate + Σ ln μ). DADApy has shape 2 and rate 5.
    Posterior {
        /// More than 0.
        shape: f64,
        /// 0 or more.
        rate: f64,
    },
    /// [`Fit::Linear`] as in the code of Ansuini et al. (2019): points with T₁ = 0 or T₁ = T₂ are
    /// left out, the last two of the n sorted ratios too, and then all but the first ⌊keep · n⌋.
    Ansuini {
        /// Between 0 and 1; the paper has 0.9.
        keep: f64,
    },
}

/// TwoNN: μ = T₂/T₁ has the distribution 1 − μ^(−d).
///
/// Needs two neighbours a point. O(n log n).
///
/// Source: Facco, d'Errico, Rodriguez, Laio, Scientific Reports 7:12140 (2017).
///
/// ```
/// use hesse::dimension::TwoNn;
/// use hesse::faer::Mat;
/// use hesse::neighbors::Knn;
/// use hesse::random::Stream;
///
/// let mut u = vec![0.0; 3000];
/// Stream::new(1, "square").uniforms(0, &mut u);
/// let square = Mat::from_fn(1500, 2, |i, j| u[2 * i + j]);
/// let table = Knn::new(2).build(square.as_ref())?;
/// let dimension = TwoNn::linear(0.9).fit(&table)?;
/// assert!((dimension.value - 2.0).abs() < 0.25);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoNn {
    fit: Fit,
    drop_copies: bool,
}

impl TwoNn {
    /// With a given fit.
    #[must_use]
    pub fn new(fit: Fit) -> Self {
        Self { fit, drop_copies: false }
    }

    /// [`Fit::Linear`].
    #[must_use]
    pub fn linear(keep: f64) -> Self {
        Self::new(Fit::Linear { keep })
    }

    /// [`Fit::MaximumLikelihood`].
    #[must_use]
    pub fn maximum_likelihood() -> Self {
        Self::new(Fit::MaximumLikelihood)
    }

    /// Leaves out points with a copy (T₁ = 0) instead of refusing them, as scikit-dimension 0.5
    /// does. Biased: what is left out is not a random sample.
    #[must_use]
    pub fn drop_copies(self) -> Self {
        Self { drop_copies: true, ..self }
    }

    /// The scale of the estimate: the mean of T₁ and T₂ over all points, in the unit of the data.
    ///
    /// # Errors
    /// A table of queries or of fewer than two neighbours.
    pub fn scale(&self, table: &Neighbors) -> Result<f64> {
        check(table, 2)?;
        Ok(mean_distance(table, [1, 2]))
    }

    /// The dimension.
    ///
    /// # Errors
    /// A table of queries or of fewer than two neighbours, copies unless they are dropped, a share
    /// outside (0, 1], a prior that is none, ratios that determine no dimension: fewer than two, or all 1.
    pub fn fit(&self, table: &Neighbors) -> Result<Estimate> {
        check(table, 2)?;
        let points = table.len();
        let ansuini = matches!(self.fit, Fit::Ansuini { .. });
        let mut logs = if ansuini || self.drop_copies {
            let ratio = |i: usize| (table.distances(i)[1] / table.distances(i)[0]).ln();
            let good = |i: &usize| {
                let row = table.distances(*i);
                row[0] > 0.0 && (!ansuini || row[0] != row[1])
            };
            (0..points).filter(good).map(ratio).collect()
        } else {
            log_ratios(table, 1, 2)?
        };
        logs.sort_unstable_by(f64::total_cmp);
        let n = logs.len();
        if n < 2 {
            return Err(not_estimable(format!("{n} usable points of {points}")));
        }
        let kept = |keep: f64| match keep > 0.0 && keep <= 1.0 {
            true => Ok((n as f64 * keep) as usize),
            false => Err(Error::range("share kept", "more than 0, at most 1", keep)),
        };
        match self.fit {
            Fit::Linear { keep } => {
                let kept = kept(keep)?;
                if kept == n {
                    likelihood(&logs, n, points)
                } else {
                    linear(&logs[..kept], n, points)
                }
            }
            Fit::Ansuini { keep } => linear(&logs[..kept(keep)?.min(n - 2)], n, points),
            Fit::MaximumLikelihood => likelihood(&logs, n, points),
            Fit::Censored { keep } => likelihood(&logs[..kept(keep)?], n, points),
            Fit::Posterior { shape, rate } => posterior(&logs, points, shape, rate),
        }
    }
}

impl Estimator for TwoNn {
    fn name(&self) -> &'static str {
        "two_nn"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let (fit, keep) = match self.fit {
            Fit::Linear { keep } => ("linear", Some(keep)),
            Fit::MaximumLikelihood => ("maximum_likelihood", None),
            Fit::Censored { keep } => ("censored", Some(keep)),
            Fit::Posterior { .. } => ("posterior", None),
            Fit::Ansuini { keep } => ("ansuini", Some(keep)),
        };
        let keep = keep.map(|keep| ("keep", keep.to_string()));
        let prior = match self.fit {
            Fit::Posterior { shape, rate } => Some(("prior", format!("Gamma({shape}, {rate})"))),
            _ => None,
        };
        let copies = self.drop_copies.then(|| ("copies", "drop".to_owned()));
        [("fit", fit.to_owned())].into_iter().chain(keep).chain(prior).chain(copies).collect()
    }

    fn neighbours(&self) -> usize {
        2
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud.table())
    }
}

/// Slope through the origin of −ln(1 − i/n) on the smallest of n logarithms.
fn linear(logs: &[f64], n: usize, points: usize) -> Result<Estimate> {
    let (mut xy, mut xx) = (0.0, 0.0);
    for (i, x) in logs.iter().enumerate() {
        xy -= x * (-((i + 1) as f64) / n as f64).ln_1p();
        xx += x * x;
    }
    Estimate::new(xy / xx, None, logs.len(), points)
}

/// Exponential likelihood of the smallest of n logarithms, the others censored at the last.
fn likelihood(logs: &[f64], n: usize, points: usize) -> Result<Estimate> {
    let m = logs.len();
    let Some(last) = logs.last().filter(|_| m > 1) else {
        return Err(not_estimable(format!("{m} of {n} ratios")));
    };
    let sum = logs.iter().sum::<f64>() + (n - m) as f64 * last;
    let value = (m - 1) as f64 / sum;
    let estimate = Estimate::new(value, Some(value / (m as f64).sqrt()), m, points)?;
    // d · sum has the gamma distribution of shape m.
    gamma_interval(estimate, m as f64, sum)
}

/// Posterior of a Gamma prior.
fn posterior(logs: &[f64], points: usize, shape: f64, rate: f64) -> Result<Estimate> {
    for (what, value, good) in [("shape", shape, shape > 0.0), ("rate", rate, rate >= 0.0)] {
        if !good || !value.is_finite() {
            let expected = if what == "shape" { "more than 0" } else { "0 or more" };
            return Err(Error::range(format!("{what} of the prior"), expected, value));
        }
    }
    let (shape, rate) = (shape + logs.len() as f64, rate + logs.iter().sum::<f64>());
    let error = Some(shape.sqrt() / rate);
    let estimate = Estimate::new(shape / rate, error, logs.len(), points)?;
    gamma_interval(estimate, shape, rate)
}

/// With the interval between the 2.5% and 97.5% quantiles of Gamma(shape, rate).
fn gamma_interval(estimate: Estimate, shape: f64, rate: f64) -> Result<Estimate> {
    let (low, high) = (gamma_quantile(shape, 0.025)?, gamma_quantile(shape, 0.975)?);
    Ok(estimate.between(low / rate, high / rate))
}
