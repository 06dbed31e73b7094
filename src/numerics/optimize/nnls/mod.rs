//! Nonnegative least squares, for one or many right-hand sides.

mod active_set;
mod block_pivot;
mod certificate;
mod design;
mod gradient_methods;
mod passive;

use faer::{Mat, MatRef};

pub use certificate::NnlsCertificate;

use crate::{Error, Real, Result, parallel};
use design::Design;

/// How to solve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NnlsMethod {
    /// One variable at a time enters the passive set; finite, and the most robust: dependent
    /// columns never enter. Lawson and Hanson 1974, chapter 23.
    LawsonHanson,
    /// Signs from a few sweeps of coordinate descent, then exchanges all variables of the wrong sign at
    /// once, right-hand sides with equal passive sets share a factorisation; falls back to one variable at a time where that does not settle. The
    /// fastest for nearly all problems. Portugal, Júdice and Vicente 1994; Kim and Park 2011.
    #[default]
    BlockPivot,
    /// One coordinate after the other on the Gram matrix (HALS): cheap steps, linear convergence.
    CoordinateDescent,
    /// Nesterov's momentum with restarts, step 1/L (Beck and Teboulle 2009; O'Donoghue and Candès
    /// 2015).
    AcceleratedGradient,
    /// Barzilai and Borwein's steps along projected gradients, exact line search (Birgin, Martínez
    /// and Raydan 2000).
    SpectralGradient,
}

/// How one right-hand side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NnlsStatus {
    /// The certificate holds to the tolerance, or to rounding.
    Converged,
    /// The iterations allowed were used up; the iterate is the best so far.
    IterationLimit,
    /// Rounding keeps the certificate above the tolerance; further iterations do not help.
    Stalled,
}

/// Minimises Σᵢ wᵢ (A x − b)ᵢ² + α²‖x‖² over x ≥ 0.
///
/// A is m × n, any shape, rank and scale: columns are scaled to norms of about 1 by powers of two,
/// and tolerances are relative to Aᵀb, so that data of size 10⁻²⁰ and 10²⁰ are the same. Where A is
/// rank-deficient, x is one of the minimisers and A x is unique. Solutions of the direct methods
/// are refined with A itself, by QR where the Gram matrix has lost too many digits. All is computed
/// in `f64`.
///
/// Cost: m n² flops for the Gram matrix once, then for each right-hand side some 10 n² for its first
/// signs, and p³/3 + n p a pivot with p positive variables. Memory: A once more, n² and the results.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::optimize::Nnls;
///
/// // The plain solution is (2, −1).
/// let a = mat![[1.0, 0.0], [1.0, 1.0], [0.0, 1.0_f64]];
/// let fit = Nnls::new().solve(a.as_ref(), &[2.0, 1.0, -1.0])?;
/// assert!((fit.x[(0, 0)] - 1.5).abs() < 1e-15 && fit.x[(1, 0)] == 0.0);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Nnls {
    method: NnlsMethod,
    ridge: f64,
    weights: Option<Vec<f64>>,
    tolerance: f64,
    max_iterations: Option<usize>,
}

/// What came out, one column or element a right-hand side.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NnlsFit {
    /// n × right-hand sides, ≥ 0.
    pub x: Mat<f64>,
    /// √(Σᵢ wᵢ (A x − b)ᵢ²).
    pub residual_norms: Vec<f64>,
    /// How well the conditions of optimality hold, recomputed from A and b.
    pub certificates: Vec<NnlsCertificate>,
    /// How each ended.
    pub statuses: Vec<NnlsStatus>,
    /// Pivots, sweeps or steps.
    pub iterations: Vec<usize>,
}

impl NnlsFit {
    /// Whether all have converged.
    #[must_use]
    pub fn converged(&self) -> bool {
        self.statuses.iter().all(|&status| status == NnlsStatus::Converged)
    }
}

impl Default for Nnls {
    fn default() -> Self {
        Self::new()
    }
}

/// Options that a method needs.
#[derive(Clone, Copy, Debug)]
struct Control {
    tolerance: f64,
    limit: usize,
}

/// Where a method stopped, for scaled variables.
struct Iterate {
    x: Vec<f64>,
    iterations: usize,
    at_limit: bool,
}

impl Nnls {
    /// Block pivoting, no ridge, no weights, tolerance 10⁻¹⁰.
    #[must_use]
    pub fn new() -> Self {
        Self {
            method: NnlsMethod::default(),
            ridge: 0.0,
            weights: None,
            tolerance: 1e-10,
            max_iterations: None,
        }
    }

    /// Another method.
    #[must_use]
    pub fn method(self, method: NnlsMethod) -> Self {
        Self { method, ..self }
    }

    /// α: the penalty is α²‖x‖².
    #[must_use]
    pub fn ridge(self, alpha: f64) -> Self {
        Self { ridge: alpha, ..self }
    }

    /// w ≥ 0, one a row of A, on squared residuals.
    #[must_use]
    pub fn weights(self, weights: &[f64]) -> Self {
        Self { weights: Some(weights.to_vec()), ..self }
    }

    /// Largest violation of optimality that counts as converged, see [`NnlsCertificate`]; relative.
    #[must_use]
    pub fn tolerance(self, relative: f64) -> Self {
        Self { tolerance: relative, ..self }
    }

    /// No more pivots, sweeps or steps than this for a right-hand side; default 3n + 30 for the
    /// first two methods (whose fallback has 3n + 30 more), 10,000 for the others.
    #[must_use]
    pub fn max_iterations(self, limit: usize) -> Self {
        Self { max_iterations: Some(limit), ..self }
    }

    /// Solves for one right-hand side.
    ///
    /// # Errors
    /// [`Error::Empty`] for a matrix without rows or columns, [`Error::Shape`] for b and the
    /// weights, [`Error::NonFinite`] naming the array, [`Error::Range`] for options and weights.
    pub fn solve<T: Real>(&self, a: MatRef<'_, T>, b: &[T]) -> Result<NnlsFit> {
        self.solve_many(a, MatRef::from_column_major_slice(b, b.len(), 1))
    }

    /// Solves for the columns of B.
    ///
    /// # Errors
    /// As [`Nnls::solve`].
    pub fn solve_many<T: Real>(&self, a: MatRef<'_, T>, b: MatRef<'_, T>) -> Result<NnlsFit> {
        let roots = self.check(a.nrows(), a.ncols(), b)?;
        check_matrix("matrix of the nonnegative least squares", a)?;
        let design = Design::dense(a, roots.as_deref(), self.ridge)?;
        self.run(&design, b, roots.as_deref())
    }

    /// Solves for the columns of B with a sparse A, rows or columns compressed. The Gram matrix is
    /// dense: n² numbers.
    ///
    /// # Errors
    /// As [`Nnls::solve`].
    pub fn solve_sparse<T: Real>(
        &self,
        a: sprs::CsMatView<'_, T>,
        b: MatRef<'_, T>,
    ) -> Result<NnlsFit> {
        let roots = self.check(a.rows(), a.cols(), b)?;
        crate::error::check_finite("matrix of the nonnegative least squares", a.data())?;
        let design = Design::sparse(a, roots.as_deref(), self.ridge)?;
        self.run(&design, b, roots.as_deref())
    }

    /// Checks everything but A's elements; returns the roots of the weights.
    fn check<T: Real>(&self, m: usize, n: usize, b: MatRef<'_, T>) -> Result<Option<Vec<f64>>> {
        if m == 0 || n == 0 {
            let what = if m == 0 { "rows" } else { "columns" };
            return Err(Error::empty(format!("{what} of the nonnegative least squares")));
        }
        if b.nrows() != m {
            return Err(Error::shape("rows of the right-hand sides", m, b.nrows()));
        }
        check_matrix("right-hand sides", b)?;
        if !(self.ridge.is_finite() && self.ridge >= 0.0) {
            return Err(Error::range("ridge", "a finite number from 0", self.ridge));
        }
        if !(self.tolerance >= 0.0 && self.tolerance < 1.0) {
            return Err(Error::range("tolerance", "0 to below 1", self.tolerance));
        }
        if self.max_iterations == Some(0) {
            return Err(Error::range("max_iterations", "at least 1", 0));
        }
        let Some(weights) = &self.weights else { return Ok(None) };
        if weights.len() != m {
            return Err(Error::shape("weights of the rows", m, weights.len()));
        }
        crate::error::check_finite("weights of the rows", weights)?;
        if let Some(row) = weights.iter().position(|&w| w < 0.0) {
            return Err(Error::range(format!("weight of row {row}"), "at least 0", weights[row]));
        }
        Ok(Some(weights.iter().map(|w| w.sqrt()).collect()))
    }

    fn run<T: Real>(
        &self,
        design: &Design,
        b: MatRef<'_, T>,
        roots: Option<&[f64]>,
    ) -> Result<NnlsFit> {
        let (n, count) = (design.columns(), b.ncols());
        let direct = matches!(self.method, NnlsMethod::LawsonHanson | NnlsMethod::BlockPivot);
        let default = if direct { 3 * n + 30 } else { 10_000 };
        let limit = self.max_iterations.unwrap_or(default);
        let control = Control { tolerance: self.tolerance, limit };
        // Each right-hand side scaled to a largest element of about 1, by a power of two.
        let mut exponents = Vec::with_capacity(count);
        let rhs: Vec<Vec<f64>> = (0..count)
            .map(|k| {
                let weighted = |i: usize| b[(i, k)].to_f64() * roots.map_or(1.0, |r| r[i]);
                let largest = (0..b.nrows()).fold(0.0_f64, |a, i| a.max(weighted(i).abs()));
                let exponent = if largest > 0.0 { libm::ilogb(largest) } else { 0 };
                exponents.push(exponent);
                (0..b.nrows()).map(|i| libm::scalbn(weighted(i), -exponent)).collect()
            })
            .collect();
        let linear = parallel::map(count, |k| design.transpose_times(&rhs[k]));
        let iterates = match self.method {
            NnlsMethod::LawsonHanson => parallel::map(count, |k| {
                active_set::lawson_hanson(design, &rhs[k], &linear[k], control)
            }),
            NnlsMethod::BlockPivot => block_pivot::block_pivot(design, &rhs, &linear, control),
            NnlsMethod::CoordinateDescent => parallel::map(count, |k| {
                gradient_methods::coordinate_descent(design.gram(), &linear[k], control)
            }),
            NnlsMethod::AcceleratedGradient => parallel::map(count, |k| {
                gradient_methods::accelerated(design.gram(), &linear[k], control)
            }),
            NnlsMethod::SpectralGradient => parallel::map(count, |k| {
                gradient_methods::spectral(design.gram(), &linear[k], control)
            }),
        };
        let checked = parallel::map(count, |k| {
            certificate::certify(design, &rhs[k], &linear[k], &iterates[k].x)
        });
        let mut fit = NnlsFit {
            x: Mat::zeros(n, count),
            residual_norms: Vec::with_capacity(count),
            certificates: Vec::with_capacity(count),
            statuses: Vec::with_capacity(count),
            iterations: Vec::with_capacity(count),
        };
        for (k, (iterate, checked)) in iterates.iter().zip(checked).enumerate() {
            for (j, &x) in iterate.x.iter().enumerate() {
                // Two steps, since the sum of the exponents may leave the range of one factor.
                fit.x[(j, k)] = libm::scalbn(libm::scalbn(x, design.exponent(j)), exponents[k]);
            }
            fit.residual_norms.push(libm::scalbn(checked.residual, exponents[k]));
            let error = checked.certificate.dual.max(checked.certificate.complementarity);
            fit.statuses.push(if error <= self.tolerance.max(checked.noise) {
                NnlsStatus::Converged
            } else if iterate.at_limit {
                NnlsStatus::IterationLimit
            } else {
                NnlsStatus::Stalled
            });
            fit.certificates.push(checked.certificate);
            fit.iterations.push(iterate.iterations);
        }
        for k in 0..count {
            crate::error::check_finite(
                "solution of the nonnegative least squares",
                fit.x.col_as_slice(k),
            )?;
        }
        Ok(fit)
    }
}

/// Checks that every element is finite.
fn check_matrix<T: Real>(what: &str, a: MatRef<'_, T>) -> Result<()> {
    for j in 0..a.ncols() {
        for i in 0..a.nrows() {
            if !a[(i, j)].is_finite() {
                let what = format!("{what}, row {i} of column {j}");
                let value = a[(i, j)].to_f64();
                return Err(Error::NonFinite { what, index: i + j * a.nrows(), value });
            }
        }
    }
    Ok(())
}
