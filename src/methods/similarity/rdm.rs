//! Distances between the responses to stimuli.

use faer::{Mat, MatRef};

use super::gram_stream::GramStream;
use super::pairwise::{Rdm, Rsm, pairs};
use super::responses::check;
use super::trials::Trials;
use crate::numerics::dense::{add_gram_lower, cholesky_lower};
use crate::numerics::parallel;
use crate::{Error, Real, Result};

impl Rdm {
    /// 1 − Pearson's correlation, see [`Rsm::pearson`].
    ///
    /// # Errors
    /// As [`Rsm::pearson`].
    pub fn correlation<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        Ok(Rsm::pearson(x)?.to_rdm())
    }

    /// |xᵢ − xⱼ|²/p for `x` of n stimuli × p units.
    ///
    /// From inner products of responses with the mean of each unit taken away: the error is a few ε of
    /// the largest |xᵢ − x̄|²/p. n² p flops.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`], also of a distance; [`Error::Range`] for fewer than two
    /// stimuli.
    pub fn squared_euclidean<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        GramStream::of(x)?.squared_euclidean()
    }

    /// (xᵢ − xⱼ)ᵀ P (xᵢ − xⱼ)/p with a precision P of the noise, p × p.
    ///
    /// P = L Lᵀ is factored once, and distances are those of x L: n p² + p³/3 + n² p flops.
    ///
    /// # Errors
    /// As [`Rdm::squared_euclidean`], and for a precision of another size or one that is not symmetric
    /// positive definite.
    pub fn squared_mahalanobis<T: Real>(
        x: MatRef<'_, T>,
        precision: MatRef<'_, f64>,
    ) -> Result<Self> {
        let (n, p) = check("x", x)?;
        let factor = precision_factor(precision, p)?;
        let x = Mat::from_fn(n, p, |i, j| x[(i, j)].to_f64());
        Self::squared_euclidean(product(&x, &factor).as_ref())
    }

    /// The symmetrised Kullback-Leibler divergence between Poisson rates,
    ///
    /// Σ_u (a_iu − a_ju)(ln a_iu − ln a_ju)/p with a = (m + w λ)/(1 + w)
    ///
    /// for counts m and a prior of rate λ = `prior.0` that weighs as much as w = `prior.1`
    /// observations; 1 and 0.1 are usual. n² p flops, nothing that cancels.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`], [`Error::Range`] for fewer than two stimuli, negative
    /// counts, or a prior that is not positive.
    pub fn poisson<T: Real>(counts: MatRef<'_, T>, prior: (f64, f64)) -> Result<Self> {
        let (n, p) = check("counts", counts)?;
        super::responses::enough_stimuli(n, 2)?;
        let (rate, weight) = prior;
        for (what, value) in [("rate of the prior", rate), ("weight of the prior", weight)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::range(what, "a positive number", value));
            }
        }
        let mut smoothed = Vec::with_capacity(n * p);
        for i in 0..n {
            for j in 0..p {
                let count = counts[(i, j)].to_f64();
                if count < 0.0 {
                    let what = format!("count of unit {j} at stimulus {i}");
                    return Err(Error::range(what, "0 or more", count));
                }
                smoothed.push((count + weight * rate) / (1.0 + weight));
            }
        }
        let logs: Vec<f64> = smoothed.iter().map(|&a| libm::log(a)).collect();
        let rows = parallel::map(n, |i| {
            let row = |values: &'_ [f64], i: usize| values[i * p..(i + 1) * p].to_vec();
            let (a, la) = (row(&smoothed, i), row(&logs, i));
            let distance = |j: usize| {
                let (b, lb) = (&smoothed[j * p..(j + 1) * p], &logs[j * p..(j + 1) * p]);
                let term = |u: usize| (a[u] - b[u]) * (la[u] - lb[u]);
                (0..p).map(term).sum::<f64>() / p as f64
            };
            (i + 1..n).map(distance).collect::<Vec<f64>>()
        });
        Ok(Self::new(n, rows.concat()))
    }

    /// Cross-validated squared Mahalanobis distances (crossnobis): the mean over ordered pairs of
    /// different trials f ≠ g of
    ///
    /// (xᵢᶠ − xⱼᶠ)ᵀ P (xᵢᵍ − xⱼᵍ)/p
    ///
    /// with a precision P of the noise, the identity where there is none. Noise that is independent
    /// between trials leaves it 0 in the mean for equal responses, so it may be negative. With T
    /// trials it is [|Σ_f yᶠ|² − Σ_f |yᶠ|²]/(T(T − 1)p) of the whitened responses y:
    /// (T + 1) n² p flops and T n p² for whitening. Leaving one trial out gives the same value.
    ///
    /// # Errors
    /// [`Error::Range`] for fewer than two trials of a stimulus, or different numbers of them
    /// (unbalanced folds); a precision of another size or not symmetric positive definite.
    pub fn crossnobis(trials: &Trials, precision: Option<MatRef<'_, f64>>) -> Result<Self> {
        let (n, p) = (trials.stimuli(), trials.units());
        super::responses::enough_stimuli(n, 2)?;
        let folds = trials.balanced().ok_or_else(|| {
            let counts = (0..n).map(|s| trials.count(s));
            let (least, most) = (counts.clone().min(), counts.max());
            let got = format!("{} to {}", least.unwrap_or(0), most.unwrap_or(0));
            Error::range("trials of a stimulus (folds)", "the same number for all", got)
        })?;
        if folds < 2 {
            return Err(Error::range("trials of a stimulus (folds)", "at least 2", folds));
        }
        let factor = precision.map(|precision| precision_factor(precision, p)).transpose()?;
        let whitened = |mut y: Mat<f64>| {
            // Differences of stimuli know nothing of the mean of a unit.
            for j in 0..p {
                let first = y[(0, j)];
                let mean = (0..n).map(|i| y[(i, j)] - first).sum::<f64>() / n as f64;
                (0..n).for_each(|i| y[(i, j)] = y[(i, j)] - first - mean);
            }
            match &factor {
                Some(factor) => product(&y, factor),
                None => y,
            }
        };
        let gram = |y: &Mat<f64>| {
            let mut gram = Mat::zeros(n, n);
            add_gram_lower(&mut gram, y.as_ref());
            gram
        };
        let largest = trials.mean_of(|s| (0..trials.count(s)).collect());
        let unit = super::responses::unit(largest.as_ref());
        let fold = |f: usize| whitened(Mat::from_fn(n, p, |i, j| trials.row(i, f)[j] / unit));
        let own = parallel::reduce(
            folds,
            |f| {
                let y = fold(f);
                (gram(&y), y)
            },
            |a, b| {
                a.0 += b.0;
                a.1 += b.1;
            },
        );
        let Some((own, sum)) = own else {
            return Err(Error::empty("trials"));
        };
        let cross = gram(&sum) - own;
        let pairs_of_folds = (folds * (folds - 1)) as f64;
        let at = |(i, j): (usize, usize)| {
            let square = cross[(i, i)] + cross[(j, j)] - 2.0 * cross[(j, i)];
            square / (pairs_of_folds * p as f64) * unit * unit
        };
        let upper: Vec<f64> = pairs(n).map(at).collect();
        crate::error::check_finite("crossnobis distances", &upper)?;
        Ok(Self::new(n, upper))
    }
}

/// A B.
fn product(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
    let mut product = Mat::zeros(a.nrows(), b.ncols());
    faer::linalg::matmul::matmul(
        product.as_mut(),
        faer::Accum::Replace,
        a.as_ref(),
        b.as_ref(),
        1.0,
        faer::Par::Seq,
    );
    product
}

/// L with L Lᵀ = P for a precision of p units.
fn precision_factor(precision: MatRef<'_, f64>, p: usize) -> Result<Mat<f64>> {
    if precision.shape() != (p, p) {
        return Err(Error::shape("precision", (p, p), precision.shape()));
    }
    definite_factor("precision", precision)
}

/// The Cholesky factor of a matrix that must be symmetric (to 10⁻¹⁰ of its largest entry) and positive
/// definite.
pub(super) fn definite_factor(what: &str, matrix: MatRef<'_, f64>) -> Result<Mat<f64>> {
    check(what, matrix)?;
    let n = matrix.nrows();
    let largest = (0..n * n).map(|e| matrix[(e / n, e % n)].abs()).fold(0.0, f64::max);
    for (i, j) in pairs(n) {
        let defect = (matrix[(i, j)] - matrix[(j, i)]).abs();
        if defect > 1e-10 * largest {
            let got = format!("entries ({i}, {j}) and ({j}, {i}) that differ by {defect:e}");
            return Err(Error::range(what, "a symmetric positive definite matrix", got));
        }
    }
    cholesky_lower(matrix).ok_or_else(|| {
        let expected = "a symmetric positive definite matrix";
        Error::range(what, expected, "one that is not positive definite")
    })
}
