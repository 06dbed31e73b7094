//! Traces of operators that can only be multiplied with vectors.
//!
//! | Method | Prefer it | Memory (vectors of n) |
//! |---|---|---|
//! | [`Trace::xtrace`] | spectra with outliers, as Hessians of networks have | m + b |
//! | [`Trace::xnystrace`] | positive semidefinite operators: Gauss-Newton, Fisher, kernels | 2m + b |
//! | [`Trace::hutchpp`] | as XTrace, where less memory counts | m/3 + 2b |
//! | [`Trace::hutchinson`] | flat spectra, a tolerance, no memory for a basis | 2b |
//! | [`Trace::exact`] | small n | 2b |
//!
//! m is the number of products, b the number of vectors that are multiplied at once.

use std::ops::ControlFlow;

use faer::MatRef;

use crate::error::check_finite;
use crate::parallel::shards;
use crate::{Error, Real, Result};

use super::probes::{self, Purpose};
use super::products::{Callback, Products};
use super::{Estimate, EstimateProgress, EstimateStatus, LinearOperator, Probes, tall};
use super::{hutchinson, hutchpp, xnystrace, xtrace};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Hutchinson,
    Hutchpp,
    XTrace,
    XNysTrace,
    Exact,
}

/// Computes the trace of a symmetric operator, exactly or with a standard error.
///
/// ```
/// use hesse::krylov::{EstimateStatus, LinearOperator, Trace};
///
/// /// diag(1, 2, ..., n).
/// struct Count(usize);
/// impl LinearOperator<f64> for Count {
///     fn dimension(&self) -> usize {
///         self.0
///     }
///     fn apply(&self, x: &[f64], y: &mut [f64]) {
///         for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
///             *y = (i + 1) as f64 * x;
///         }
///     }
/// }
///
/// // Signs make Hutchinson's estimator exact for a diagonal matrix: 100·101/2 = 5050.
/// let trace = Trace::hutchinson(60).tolerance(0.01, 0.0).seed(7).run(&Count(100))?;
/// assert!((trace.value - 5050.0).abs() < 1e-9);
/// assert_eq!((trace.status, trace.products), (EstimateStatus::Converged, 8));
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    method: Method,
    budget: usize,
    probes: Option<Probes>,
    seed: u64,
    block: usize,
    tolerance: Option<(f64, f64)>,
    progress: Callback<'a>,
}

/// A trace, and how well it is known.
#[derive(Clone, Debug)]
pub struct TraceEstimate {
    /// The trace.
    pub value: f64,
    /// Its standard error: that of the mean of `terms` where these are independent (Hutchinson,
    /// Hutch++), and with the covariance of terms that share probes (XTrace, XNysTrace; the paper's,
    /// which lacks it and is too small, is that of [`Estimate::of`] the terms). Infinite for one
    /// term, 0 for [`EstimateStatus::Exact`].
    pub standard_error: f64,
    /// Number of terms.
    pub samples: usize,
    /// Products with the operator, the only cost that matters.
    pub products: usize,
    /// How the run ended.
    pub status: EstimateStatus,
    /// The estimates of which `value` is the mean: one for each probe (Hutchinson), each residual
    /// probe (Hutch++, the low-rank part included), each probe left out (XTrace, XNysTrace); for
    /// the exact trace the diagonal, of which `value` is the sum.
    pub terms: Vec<f64>,
}

impl<'a> Trace<'a> {
    fn new(method: Method, budget: usize) -> Self {
        let (seed, block) = (0, DEFAULT_BLOCK);
        let progress = Callback::default();
        Self { method, budget, probes: None, seed, block, tolerance: None, progress }
    }

    /// Mean of ωᵀAω over m probes (Hutchinson 1990): m products.
    ///
    /// Variance 2(‖A‖²_F − Σ Aⱼⱼ²)/m with signs (the default), about 2(‖A‖²_F − (tr A)²/n)/m on
    /// the sphere.
    #[must_use]
    pub fn hutchinson(m: usize) -> Self {
        Self::new(Method::Hutchinson, m)
    }

    /// tr(QᵀAQ) + mean of gᵀ(I − QQᵀ)A(I − QQᵀ)g with Q an orthonormal basis of A S, by Hutch++
    /// (Meyer, Musco, Musco and Woodruff 2021, algorithm 1): m products, m/3 each for A S, A Q and
    /// the m/3 probes g. Exact where the rank of A is at most m/3.
    ///
    /// S and g are signs unless [`probes`](Self::probes) says otherwise. The standard error is
    /// that of the residual terms. m must be a multiple of 3; from m = n on the exact trace is
    /// computed instead, with n products.
    #[must_use]
    pub fn hutchpp(m: usize) -> Self {
        Self::new(Method::Hutchpp, m)
    }

    /// Mean over k = m/2 probes of Hutch++ with that probe left out of the basis (XTrace; Epperly,
    /// Tropp and Webber 2024, section 2.1): m products. Exact where the rank of A is below m/2.
    ///
    /// Probes are on the sphere unless [`probes`](Self::probes) says otherwise, and what is left of
    /// each after projection is rescaled to the norm that it must have. m must be even; from m = n
    /// on the exact trace is computed instead, with n products.
    #[must_use]
    pub fn xtrace(m: usize) -> Self {
        Self::new(Method::XTrace, m)
    }

    /// Mean over m probes of the trace of the Nyström approximation with that probe left out, plus
    /// its residual (XNysTrace; Epperly, Tropp and Webber 2024, section 2.3): m products, for
    /// positive semidefinite A only. Exact where the rank of A is below m.
    ///
    /// Probes are on the sphere. From m = n on the exact trace is computed instead.
    #[must_use]
    pub fn xnystrace(m: usize) -> Self {
        Self::new(Method::XNysTrace, m)
    }

    /// Σ eⱼᵀAeⱼ: n products.
    #[must_use]
    pub fn exact() -> Self {
        Self::new(Method::Exact, 0)
    }

    /// The distribution of the probes.
    #[must_use]
    pub fn probes(mut self, probes: Probes) -> Self {
        self.probes = Some(probes);
        self
    }

    /// The seed of the probes (default 0).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Number of vectors that [`LinearOperator::apply_block`] gets at once (default 8). It costs
    /// memory for two vectors each, and changes no bit of the result if the operator's block
    /// products are its single products.
    #[must_use]
    pub fn block(mut self, block: usize) -> Self {
        self.block = block;
        self
    }

    /// Lets Hutchinson's method stop as soon as at least 8 probes are done and the standard error
    /// is at most `relative`·|value| + `absolute`, looked at after each block.
    #[must_use]
    pub fn tolerance(mut self, relative: f64, absolute: f64) -> Self {
        self.tolerance = Some((relative, absolute));
        self
    }

    /// Calls `progress` after each block of products; `Break` ends the run with what is known:
    /// the estimate from fewer terms, or Hutchinson's from the probes so far where the method's
    /// own needs more products (status [`EstimateStatus::Interrupted`]).
    #[must_use]
    pub fn progress(
        mut self,
        progress: &'a (dyn Fn(EstimateProgress) -> ControlFlow<()> + Sync),
    ) -> Self {
        self.progress = Callback(Some(progress));
        self
    }

    /// Runs with random probes.
    ///
    /// # Errors
    /// [`Error::Range`] for a budget that the method cannot use, a block of 0, a negative
    /// tolerance, an operator that is not positive semidefinite (XNysTrace);
    /// [`Error::NonFinite`] for a product with NaN or infinities; [`Error::Empty`] for n = 0.
    pub fn run<T: Real, A: LinearOperator<T> + ?Sized>(&self, a: &A) -> Result<TraceEstimate> {
        self.check()?;
        let n = a.dimension();
        if self.method == Method::Exact || (self.method != Method::Hutchinson && self.budget >= n) {
            return hutchinson::exact(a, self.block, self.progress);
        }
        let kind = self.distribution();
        if self.method == Method::XNysTrace && kind != Probes::Sphere {
            return Err(Error::range("probes of xnystrace", "Sphere", format!("{kind:?}")));
        }
        let draw = |probe: usize, out: &mut [T]| {
            probes::fill(kind, self.seed, Purpose::Trace, probe, out);
        };
        self.with(a, &draw)
    }

    /// Runs with given probes, one a column: m for Hutchinson and XNysTrace, m/3 for the basis and
    /// then m/3 for the residual for Hutch++, m/2 for XTrace, none for the exact trace.
    ///
    /// [`probes`](Self::probes) says what distribution they come from: for the sphere XTrace and
    /// XNysTrace rescale residuals, for signs they do not.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Shape`] for another number of probes or of rows,
    /// [`Error::Range`] for more probes in a basis than rows.
    pub fn run_with<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        probes: MatRef<'_, T>,
    ) -> Result<TraceEstimate> {
        self.check()?;
        let (n, m) = (a.dimension(), self.budget);
        let (basis, count) = match self.method {
            Method::Hutchinson => (0, m),
            Method::Hutchpp => (m / 3, 2 * (m / 3)),
            Method::XTrace => (m / 2, m / 2),
            Method::XNysTrace => (m, m),
            Method::Exact => (0, 0),
        };
        if probes.shape() != (n, count) {
            return Err(Error::shape("probes", (n, count), probes.shape()));
        }
        if basis > n {
            return Err(Error::range("probes in the basis", format!("at most {n}"), basis));
        }
        for j in 0..count {
            let column: Vec<T> = (0..n).map(|i| probes[(i, j)]).collect();
            check_finite(&format!("probe {j}"), &column)?;
        }
        if self.method == Method::Exact {
            return hutchinson::exact(a, self.block, self.progress);
        }
        let draw = |probe: usize, out: &mut [T]| {
            for (i, x) in out.iter_mut().enumerate() {
                *x = probes[(i, probe)];
            }
        };
        self.with(a, &draw)
    }

    fn distribution(&self) -> Probes {
        self.probes.unwrap_or(match self.method {
            Method::XTrace | Method::XNysTrace => Probes::Sphere,
            _ => Probes::Rademacher,
        })
    }

    fn with<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        draw: &dyn Fn(usize, &mut [T]),
    ) -> Result<TraceEstimate> {
        let products = Products::new(a, self.budget, self.progress)?;
        let mut run = Run { products, draw, block: self.block };
        let sphere = self.distribution() == Probes::Sphere;
        match self.method {
            Method::Hutchpp => hutchpp::estimate(&mut run, self.budget / 3),
            Method::XTrace => xtrace::estimate(&mut run, self.budget / 2, sphere),
            Method::XNysTrace => xnystrace::estimate(&mut run, self.budget, sphere),
            _ => hutchinson::estimate(&mut run, self.budget, self.tolerance),
        }
    }

    fn check(&self) -> Result<()> {
        let m = self.budget;
        let refused = |expected: &str| Err(Error::range("products", expected, m));
        check_block(self.block)?;
        match self.method {
            Method::Hutchpp if m == 0 || !m.is_multiple_of(3) => {
                return refused("a positive multiple of 3");
            }
            Method::XTrace if m == 0 || !m.is_multiple_of(2) => {
                return refused("a positive even number");
            }
            Method::Hutchinson | Method::XNysTrace if m == 0 => return refused("at least 1"),
            _ => {}
        }
        if let Some((relative, absolute)) = self.tolerance {
            for (what, value) in
                [("relative tolerance", relative), ("absolute tolerance", absolute)]
            {
                if !(value >= 0.0 && value.is_finite()) {
                    return Err(Error::range(what, "a finite number, at least 0", value));
                }
            }
            if self.method != Method::Hutchinson {
                let got = format!("{:?}", self.method);
                return Err(Error::range("method with a tolerance", "Hutchinson", got));
            }
        }
        Ok(())
    }
}

/// Vectors multiplied at once by default: enough to share the reads of an operator's data.
pub(super) const DEFAULT_BLOCK: usize = 8;

pub(super) fn check_block(block: usize) -> Result<()> {
    if block == 0 { Err(Error::range("block", "at least 1", block)) } else { Ok(()) }
}

/// One run: the operator, and where its probes come from.
pub(super) struct Run<'a, T, A: ?Sized> {
    pub products: Products<'a, A>,
    pub draw: &'a dyn Fn(usize, &mut [T]),
    pub block: usize,
}

/// Probes ω and their products.
pub(super) struct Sketch<T> {
    /// Ω, n × k; empty unless asked for.
    pub omega: Vec<T>,
    /// A Ω, n × k.
    pub y: Vec<T>,
    /// ωᵀAω, one for each probe that was multiplied.
    pub terms: Vec<f64>,
    /// Whether the callback asked to stop.
    pub stopped: bool,
}

impl<T: Real, A: LinearOperator<T> + ?Sized> Run<'_, T, A> {
    /// Multiplies the probes 0..k.
    pub fn sketch(&mut self, k: usize, keep: bool) -> Result<Sketch<T>> {
        let n = self.products.dimension;
        let mut omega = tall::zeros(n, if keep { k } else { self.block.min(k) })?;
        let mut y = tall::zeros(n, k)?;
        let mut terms = Vec::new();
        let mut stopped = false;
        for range in shards(k, self.block) {
            let x = if keep { range.start * n..range.end * n } else { 0..range.len() * n };
            let x = &mut omega[x];
            for (j, column) in range.clone().zip(x.chunks_exact_mut(n)) {
                (self.draw)(j, column);
            }
            let y = &mut y[range.start * n..range.end * n];
            stopped = self.products.apply(x, y)?.is_break();
            terms.extend(x.chunks_exact(n).zip(y.chunks_exact(n)).map(|(x, y)| tall::dot(x, y)));
            if stopped {
                break;
            }
        }
        if !keep {
            omega.clear();
        }
        Ok(Sketch { omega, y, terms, stopped })
    }

    /// The estimate whose independent terms these are, in the units of the scaled operator.
    pub fn finish(&self, terms: &[f64], status: EstimateStatus) -> Result<TraceEstimate> {
        self.finish_with(terms, Estimate::of(terms).standard_error, status)
    }

    /// The same for terms that are not independent.
    pub fn finish_with(
        &self,
        terms: &[f64],
        standard_error: f64,
        status: EstimateStatus,
    ) -> Result<TraceEstimate> {
        let estimate = TraceEstimate {
            value: self.products.unscaled(Estimate::of(terms).value),
            standard_error: self.products.unscaled(standard_error),
            samples: terms.len(),
            products: self.products.count,
            status,
            terms: terms.iter().map(|x| self.products.unscaled(*x)).collect(),
        };
        check_finite("trace", &[estimate.value])?;
        Ok(estimate)
    }
}
