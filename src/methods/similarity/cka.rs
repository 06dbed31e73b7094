//! Centred kernel alignment.

use faer::MatRef;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::centred_kernel::{CentredKernel, KernelProducts, Median};
use super::gram_stream::GramStream;
use super::responses::{centre_units, check_pair, enough_stimuli, pack, unit};
use crate::{Error, Isa, Real, Result};

/// Which estimate of the Hilbert-Schmidt independence criterion CKA is a ratio of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CkaEstimator {
    /// tr(KHLH): for independent normal responses the ratio is about √(pq/((p + n)(q + n))), not 0.
    #[default]
    Biased,
    /// The U-statistic over stimuli (Song et al. 2012), n ≥ 4: 0 in the mean for independent
    /// responses; small numbers of units still pull it below the alignment of the populations.
    Debiased,
    /// The U-statistic over stimuli and units, linear kernels only: terms of a unit with itself are
    /// left out of the self-alignments. Unbiased products for a sample of units with independent
    /// noise; X and Y must not share units. May exceed 1. Designed here; same aim as Chun et al. 2025
    /// (arXiv 2502.15104).
    UnitUnbiased,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    Linear,
    Radial { scale: f64, median: Median },
}

/// Centred kernel alignment of X (n × p) and Y (n × q),
///
/// CKA = HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)), with kernels K and L over the stimuli and
///
/// - biased: HSIC ∝ tr(KHLH),
/// - debiased, diagonals zeroed:
///   HSIC = [tr KL + 1ᵀK1 1ᵀL1/((n−1)(n−2)) − 2/(n−2) 1ᵀKL1]/(n(n−3)),
/// - unit-unbiased: HSIC(X, X) = [HSIC(K, K) − Σ_u HSIC(k_u, k_u)]/(p(p − 1)) with k_u = x_u x_uᵀ,
///   HSIC(X, Y) = HSIC(K, L)/(pq).
///
/// n² (p + q) flops, or 2 n (p + q)² where units are fewer than stimuli; O(n²) memory a thread.
/// Units may have any offset. Source: Kornblith et al. 2019 (1905.00414).
///
/// ```
/// use hesse::faer::mat;
/// use hesse::similarity::Cka;
/// let x = mat![[1.0, 0.0], [0.0, 2.0], [3.0, 1.0], [0.0, 0.0_f64]];
/// let turned = mat![[0.0, -2.0], [4.0, 0.0], [2.0, -6.0], [0.0, 0.0_f64]];
/// assert!((Cka::linear().score(x.as_ref(), turned.as_ref())? - 1.0).abs() < 1e-15);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cka {
    kernel: Kernel,
    estimator: CkaEstimator,
}

impl Cka {
    /// K = X Xᵀ.
    #[must_use]
    pub fn linear() -> Self {
        Self { kernel: Kernel::Linear, estimator: CkaEstimator::default() }
    }

    /// K_ij = exp(−d²_ij/(2 s² m)) with s = `scale` and the median m of the squared distances.
    #[must_use]
    pub fn radial(scale: f64, median: Median) -> Self {
        Self { kernel: Kernel::Radial { scale, median }, estimator: CkaEstimator::default() }
    }

    /// By this estimate of HSIC.
    #[must_use]
    pub fn estimator(self, estimator: CkaEstimator) -> Self {
        Self { estimator, ..self }
    }

    /// The alignment of X and Y.
    ///
    /// # Errors
    /// [`Error::Shape`] for different stimuli, [`Error::NonFinite`], [`Error::Range`] for fewer than
    /// 2 stimuli (debiased: 4) or a self-alignment that is not positive: 0 where stimuli do not differ
    /// (debiased: where all are equally alike), negative where noise makes it so (unit-unbiased);
    /// [`Error::NotApplicable`] for the unit-unbiased one of radial kernels.
    pub fn score<T: Real>(&self, x: MatRef<'_, T>, y: MatRef<'_, T>) -> Result<f64> {
        let n = check_pair(x, y, self.fewest())?;
        let narrow = x.ncols() + y.ncols() < n;
        match self.kernel {
            Kernel::Linear if narrow && self.estimator != CkaEstimator::UnitUnbiased => {
                self.by_features(x, y)
            }
            Kernel::Linear => self.ratio(&CentredKernel::linear(x)?, &CentredKernel::linear(y)?),
            Kernel::Radial { scale, median } => {
                self.radial_only()?;
                let kernel = |x| CentredKernel::radial(x, scale, median);
                self.ratio(&kernel(x)?, &kernel(y)?)
            }
        }
    }

    /// The linear alignment of sums over units.
    ///
    /// # Errors
    /// As [`Cka::score`]; [`Error::NotApplicable`] for radial kernels.
    pub fn of_streams(&self, x: &GramStream, y: &GramStream) -> Result<f64> {
        if self.kernel != Kernel::Linear {
            let got = "a radial kernel";
            return Err(Error::not_applicable("CKA of sums over units", "a linear kernel", got));
        }
        if x.stimuli() != y.stimuli() {
            return Err(Error::shape("y: stimuli", x.stimuli(), y.stimuli()));
        }
        enough_stimuli(x.stimuli(), self.fewest())?;
        self.ratio(&x.kernel()?, &y.kernel()?)
    }

    /// arccos of the score, in radians, of scores clamped to [−1, 1].
    ///
    /// # Errors
    /// As [`Cka::score`].
    pub fn angle<T: Real>(&self, x: MatRef<'_, T>, y: MatRef<'_, T>) -> Result<f64> {
        Ok(libm::acos(self.score(x, y)?.clamp(-1.0, 1.0)))
    }

    fn fewest(&self) -> usize {
        if self.estimator == CkaEstimator::Biased { 2 } else { 4 }
    }

    fn radial_only(&self) -> Result<()> {
        match self.estimator {
            CkaEstimator::UnitUnbiased => Err(Error::not_applicable(
                "unit-unbiased CKA",
                "a linear kernel, which is a sum over units",
                "a radial one",
            )),
            _ => Ok(()),
        }
    }

    fn hsic(&self, products: &KernelProducts) -> f64 {
        match self.estimator {
            CkaEstimator::Biased => products.biased(),
            _ => products.unbiased(),
        }
    }

    fn ratio(&self, k: &CentredKernel, l: &CentredKernel) -> Result<f64> {
        let cross = self.hsic(&k.products(l));
        if self.estimator != CkaEstimator::UnitUnbiased {
            let own = |k: &CentredKernel| SelfAlignment::new(self, &k.products(k));
            return alignment(cross, own(k), own(l));
        }
        // Per pair of units, different ones within a side.
        let own = |what: &str, k: &CentredKernel| {
            if k.units < 2 {
                return Err(Error::range(format!("{what}: units"), "at least 2", k.units));
            }
            let p = k.units as f64;
            let own = SelfAlignment::new(self, &k.products(k));
            Ok(own.minus(k.own.unwrap_or(0.0)).scaled(1.0 / (p * (p - 1.0))))
        };
        let (of_x, of_y) = (own("x", k)?, own("y", l)?);
        alignment(cross / (k.units as f64 * l.units as f64), of_x, of_y)
    }

    /// The same sums from products of units: ΣK_ij L_ij = |XᵀY|², K_ii = |xᵢ|².
    fn by_features<T: Real>(&self, x: MatRef<'_, T>, y: MatRef<'_, T>) -> Result<f64> {
        let rows = |x: MatRef<'_, T>| {
            let (unit, mut rows) = (unit(x), Vec::new());
            pack(x, 0..x.ncols(), &mut rows, |_, value| value / unit);
            centre_units(&mut rows, x.nrows());
            rows
        };
        let (n, a, b) = (x.nrows(), rows(x), rows(y));
        let hsic = |a: &[f64], b: &[f64]| self.hsic(&feature_products(n, a, b));
        let own = |a: &[f64]| SelfAlignment::new(self, &feature_products(n, a, a));
        alignment(hsic(&a, &b), own(&a), own(&b))
    }
}

fn feature_products(n: usize, a: &[f64], b: &[f64]) -> KernelProducts {
    let (p, q) = (a.len() / n, b.len() / n);
    let mut product = vec![0.0; p * q];
    let left = MatrixRef::row_major(a, n, p).transposed();
    let right = MatrixRef::row_major(b, n, q);
    let out = MatrixMut::row_major(&mut product, p, q);
    gemm(Isa::current(), 1.0, left, right, 0.0, out);
    let squares = |rows: &[f64], width: usize| -> Vec<f64> {
        rows.chunks_exact(width).map(|row| row.iter().map(|x| x * x).sum()).collect()
    };
    let (of_a, of_b) = (squares(a, p), squares(b, q));
    KernelProducts {
        stimuli: n as f64,
        all: product.iter().map(|x| x * x).sum(),
        diagonal: of_a.iter().zip(&of_b).map(|(a, b)| a * b).sum(),
        traces: of_a.iter().sum::<f64>() * of_b.iter().sum::<f64>(),
    }
}

/// HSIC of a kernel with itself, and what of it could be rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct SelfAlignment {
    value: f64,
    rounding: f64,
}

impl SelfAlignment {
    fn new(cka: &Cka, products: &KernelProducts) -> Self {
        let rounding = 4.0 * products.stimuli * f64::EPSILON * products.all.abs();
        Self { value: cka.hsic(products), rounding }
    }

    fn minus(self, value: f64) -> Self {
        Self { value: self.value - value, ..self }
    }

    fn scaled(self, factor: f64) -> Self {
        Self { value: factor * self.value, rounding: factor * self.rounding }
    }

    fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, rounding: self.rounding + other.rounding }
    }
}

/// cross/√(x y) of positive self-alignments.
fn alignment(cross: f64, of_x: SelfAlignment, of_y: SelfAlignment) -> Result<f64> {
    for (what, own) in [("x", of_x), ("y", of_y)] {
        if own.value.is_nan() || own.value <= own.rounding {
            let what = format!("self-alignment (HSIC) of {what}");
            let got = match own.value.abs() <= own.rounding {
                true => "0 to rounding".to_owned(),
                false => format!("{:e}", own.value),
            };
            return Err(Error::range(what, "more than 0", got));
        }
    }
    Ok(cross / (of_x.value.sqrt() * of_y.value.sqrt()))
}

/// HSIC of linear kernels, tr(KHLH)/(n − 1)², or its U-statistic, in the squared units of X times
/// those of Y.
///
/// # Errors
/// [`Error::Shape`] for different stimuli, [`Error::NonFinite`], also of the value,
/// [`Error::Range`] for fewer than 2 stimuli (debiased: 4); [`Error::NotApplicable`] for
/// [`CkaEstimator::UnitUnbiased`].
pub fn hsic<T: Real>(x: MatRef<'_, T>, y: MatRef<'_, T>, estimator: CkaEstimator) -> Result<f64> {
    let n = check_pair(x, y, if estimator == CkaEstimator::Biased { 2 } else { 4 })? as f64;
    let (k, l) = (CentredKernel::linear(x)?, CentredKernel::linear(y)?);
    let products = k.products(&l);
    let value = match estimator {
        CkaEstimator::Biased => products.biased() / ((n - 1.0) * (n - 1.0)),
        CkaEstimator::Debiased => products.unbiased() / (n * (n - 3.0)),
        CkaEstimator::UnitUnbiased => {
            let expected = "the biased or the debiased estimate";
            return Err(Error::not_applicable("HSIC", expected, "the unit-unbiased one"));
        }
    };
    let value = value * k.unit * l.unit * k.unit * l.unit;
    crate::error::check_finite("HSIC", &[value])?;
    Ok(value)
}

/// Debiased linear CKA from batches of stimuli: the ratio of sums over batches of the U-statistics.
///
/// For stimuli too many for an n × n kernel. Each batch has the same stimuli in X and Y, at least 4.
/// Merged parts give the same ratio up to rounding. Source: Nguyen et al. 2020 (2010.15327).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MinibatchCka {
    /// Units of the first batch's x and y.
    units: Option<(f64, f64)>,
    cross: f64,
    of_x: SelfAlignment,
    of_y: SelfAlignment,
    batches: usize,
}

impl MinibatchCka {
    /// No batch yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of batches so far.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Adds a batch of stimuli. Cost as [`Cka::score`].
    ///
    /// # Errors
    /// [`Error::Shape`] for different stimuli, [`Error::NonFinite`], [`Error::Range`] for fewer than 4.
    pub fn push<T: Real>(&mut self, x: MatRef<'_, T>, y: MatRef<'_, T>) -> Result<()> {
        let n = check_pair(x, y, 4)? as f64;
        let (k, l) = (CentredKernel::linear(x)?, CentredKernel::linear(y)?);
        let units = *self.units.get_or_insert((k.unit, l.unit));
        let (x, y) = ((k.unit / units.0).powi(2), (l.unit / units.1).powi(2));
        let scale = 1.0 / (n * (n - 3.0));
        self.cross += k.products(&l).unbiased() * scale * x * y;
        let debiased = Cka::linear().estimator(CkaEstimator::Debiased);
        let own = |k: &CentredKernel| SelfAlignment::new(&debiased, &k.products(k)).scaled(scale);
        self.of_x = self.of_x.plus(own(&k).scaled(x * x));
        self.of_y = self.of_y.plus(own(&l).scaled(y * y));
        self.batches += 1;
        Ok(())
    }

    /// Adds the batches of another part.
    pub fn merge(&mut self, other: &Self) {
        let Some(theirs) = other.units else { return };
        let ours = *self.units.get_or_insert(theirs);
        let (x, y) = ((theirs.0 / ours.0).powi(2), (theirs.1 / ours.1).powi(2));
        self.cross += other.cross * x * y;
        self.of_x = self.of_x.plus(other.of_x.scaled(x * x));
        self.of_y = self.of_y.plus(other.of_y.scaled(y * y));
        self.batches += other.batches;
    }

    /// The alignment of all batches.
    ///
    /// # Errors
    /// [`Error::Empty`] without a batch, [`Error::Range`] for a self-alignment that is not positive.
    pub fn score(&self) -> Result<f64> {
        if self.batches == 0 {
            return Err(Error::empty("batches"));
        }
        alignment(self.cross, self.of_x, self.of_y)
    }
}
