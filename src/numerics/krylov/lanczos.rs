//! Extreme eigenpairs by thick-restart block Lanczos. The method of choice for a few pairs at the
//! ends of a spectrum, when some dozens of vectors fit into memory; else see
//! [`Lobpcg`](super::Lobpcg).

mod search;

use std::ops::ControlFlow;

use super::LinearOperator;
use super::chebyshev::FilterScratch;
use super::combined_operators::orthonormal_basis;
use super::counted_products::CountedProducts;
use super::eigenpairs::{Callback, Eigenpairs, Progress, Stats};
use super::options::{check_count, check_start, check_tolerance, default_tolerance};
use super::selection::Which;
use crate::{Error, Real, Result};
use search::Search;

/// A few eigenpairs of a symmetric operator at the ends of its spectrum, by thick-restart block
/// Lanczos with full reorthogonalisation.
///
/// The space grows by blocks, A V = V T + Q C with VᵀV = I, until the wanted eigenpairs (θ, y) of T
/// have ‖C y‖ ≤ tol·max(|θ|, ε^⅔‖A‖), or until it is full: then the best Ritz vectors V y and the
/// next block start a new one. Residuals are then recomputed with the operator, and the search goes
/// on unless they hold: convergence is never claimed on the estimate's word. Eigenvalues that are
/// zero beside ‖A‖ cannot have residuals below rounding: 10ε‖A‖ is enough for them, unless
/// tol·‖A‖ is smaller still (then the status is [`Status::Stagnated`](super::Status::Stagnated)).
///
/// *Copies.* A block of b random vectors finds, in exact arithmetic and with probability 1, as many
/// as b copies of each eigenvalue. Where the result holds b or more values that cannot be told
/// apart, fresh random blocks orthogonal to it search for more until they find fewer than b. Such a
/// search ends when its best remaining value has settled below the wanted ones: a copy that it
/// missed had a start component smaller than n^-½ by the factor that Lanczos gained meanwhile
/// (Kuczyński and Woźniakowski 1992 bound the probability).
///
/// Cost: products, and 8·n·m flops a product for orthogonalisation (2·n·m/b elements of memory
/// traffic). Memory: n·(m + 2b) elements and the results.
///
/// Errors of [`run`](Self::run): [`Error::Range`] and [`Error::Shape`] for options that cannot be,
/// [`Error::NonFinite`] naming the product that was not finite, [`Error::NotSymmetric`] where
/// [`check_symmetry`](Self::check_symmetry) asks. An exhausted budget is a status, not an error.
///
/// Source: Wu and Simon 2000 (thick restart); Golub and Underwood 1977 (blocks).
///
/// ```
/// use hesse::krylov::{Diagonal, Lanczos, Status};
/// let a = Diagonal::new((1..=1000).map(f64::from).collect())?;
/// let top = Lanczos::new(&a).largest(2).run()?;
/// assert_eq!(top.status, Status::Converged);
/// assert!((top.values[0] - 1000.0).abs() < 1e-9 && (top.values[1] - 999.0).abs() < 1e-9);
/// # Ok::<(), hesse::Error>(())
/// ```
pub struct Lanczos<'a, T: Real, A: LinearOperator<T> + ?Sized> {
    operator: &'a A,
    which: Which,
    wanted: usize,
    tolerance: Option<f64>,
    subspace: Option<usize>,
    block: Option<usize>,
    filter: bool,
    max_products: Option<usize>,
    seed: u64,
    start: &'a [T],
    deflated: &'a [T],
    check_symmetry: bool,
    verify: bool,
    callback: Option<Callback<'a>>,
}

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> Lanczos<'a, T, A> {
    /// The largest eigenpair of `operator`, unless options say otherwise.
    pub fn new(operator: &'a A) -> Self {
        Self {
            operator,
            which: Which::Largest,
            wanted: 1,
            tolerance: None,
            subspace: None,
            block: None,
            filter: true,
            max_products: None,
            seed: 0,
            start: &[],
            deflated: &[],
            check_symmetry: false,
            verify: true,
            callback: None,
        }
    }

    /// The `k` largest eigenvalues.
    #[must_use]
    pub fn largest(self, k: usize) -> Self {
        self.which(Which::Largest, k)
    }

    /// The `k` smallest eigenvalues.
    #[must_use]
    pub fn smallest(self, k: usize) -> Self {
        self.which(Which::Smallest, k)
    }

    /// The `k` eigenvalues of largest magnitude.
    #[must_use]
    pub fn largest_magnitude(self, k: usize) -> Self {
        self.which(Which::LargestMagnitude, k)
    }

    /// ⌈k/2⌉ of the largest and ⌊k/2⌋ of the smallest eigenvalues.
    #[must_use]
    pub fn both_ends(self, k: usize) -> Self {
        self.which(Which::BothEnds, k)
    }

    /// `k` eigenvalues at an end.
    #[must_use]
    pub fn which(self, which: Which, k: usize) -> Self {
        Self { which, wanted: k, ..self }
    }

    /// Residuals relative to max(|λ|, ε^⅔‖A‖); default 10⁻⁸ in `f64`, 10⁻⁵ in `f32`.
    #[must_use]
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance: Some(tolerance), ..self }
    }

    /// Largest number m of columns of V, at least k + 1 (or n); default
    /// max(2k + 10, 20), with blocks also k + 12b.
    #[must_use]
    pub fn subspace(self, m: usize) -> Self {
        Self { subspace: Some(m), ..self }
    }

    /// Vectors that are multiplied together; default 4 where the operator's products are cheap
    /// (see [`LinearOperator::bytes_per_product`]), else 1. More where products share reads or
    /// eigenvalues are multiple.
    #[must_use]
    pub fn block(self, b: usize) -> Self {
        Self { block: Some(b), ..self }
    }

    /// Whether Chebyshev polynomials of the operator may take its place, where its products are
    /// cheaper than orthogonalisation and one end of the spectrum is wanted; default yes.
    #[must_use]
    pub fn filter(self, filter: bool) -> Self {
        Self { filter, ..self }
    }

    /// No more products than this, all included; default 1000 + 200k, ten times that where
    /// products are cheap.
    #[must_use]
    pub fn max_products(self, limit: usize) -> Self {
        Self { max_products: Some(limit), ..self }
    }

    /// Seed of the random vectors; default 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Start vectors, one after the other: the first b are taken, more than b are summed into
    /// these.
    #[must_use]
    pub fn start(self, vectors: &'a [T]) -> Self {
        Self { start: vectors, ..self }
    }

    /// Vectors whose span is taken out of the problem: the result is for P A P restricted to the
    /// range of P = I − QQᵀ, and so are its residuals.
    #[must_use]
    pub fn deflate(self, vectors: &'a [T]) -> Self {
        Self { deflated: vectors, ..self }
    }

    /// Compares u·Av with v·Au for two random vectors first: two products.
    #[must_use]
    pub fn check_symmetry(self) -> Self {
        Self { check_symmetry: true, ..self }
    }

    /// Whether to search for further copies where the block could not see them; default yes.
    #[must_use]
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// Called after every block of products; the best pairs so far are returned on `Break`.
    #[must_use]
    pub fn callback(self, f: impl FnMut(&Progress) -> ControlFlow<()> + 'a) -> Self {
        Self { callback: Some(Box::new(f)), ..self }
    }

    /// Solves.
    ///
    /// # Errors
    /// See [`Lanczos`].
    pub fn run(self) -> Result<Eigenpairs<T>> {
        let n = self.operator.dimension();
        if n == 0 {
            return Err(Error::empty("dimension of the operator"));
        }
        let tolerance = self.tolerance.unwrap_or(default_tolerance::<T>());
        check_tolerance(tolerance)?;
        let bytes = self.operator.bytes_per_product();
        let block = self.block.unwrap_or(if bytes.is_some() { 4.min(n) } else { 1 });
        check_count("block", block, n)?;
        let patience = if bytes.is_some() { 10 } else { 1 };
        let limit = self.max_products.unwrap_or(patience * (1000 + 200 * self.wanted));
        check_count("max_products", limit, usize::MAX)?;
        check_start(self.start, n)?;
        let excluded = orthonormal_basis(n, self.deflated, 0)?;
        let dimension = n - excluded.1;
        check_count("k", self.wanted, dimension)?;
        let least = dimension.min(self.wanted + 1);
        let subspace = self
            .subspace
            .unwrap_or((2 * self.wanted + 10).max(20).max(if block > 1 {
                self.wanted + 12 * block
            } else {
                0
            }))
            .min(dimension);
        if subspace < least {
            let expected = format!("at least {least}");
            return Err(Error::range("subspace", expected, subspace));
        }
        let mut search = Search {
            products: CountedProducts::new(self.operator, limit),
            excluded,
            which: self.which,
            wanted: self.wanted,
            tolerance,
            // Room for the wanted, some neighbours and two blocks, whatever the options say.
            subspace: subspace.max((self.wanted + 4 + 2 * block).min(dimension)),
            block,
            filter: None,
            scratch: FilterScratch::default(),
            may_filter: self.filter
                && matches!(self.which, Which::Largest | Which::Smallest)
                // Elements that a product's share of a Gram-Schmidt pass moves, thrice.
                && bytes.is_some_and(|b| b <= 3 * subspace * n * size_of::<T>() / block),
            seed: self.seed,
            stream: 0,
            norm: 0.0,
            restarts: 0,
            stats: Stats { filter_degree: 1, ..Stats::default() },
            others: Vec::new(),
            callback: self.callback,
        };
        if self.check_symmetry {
            search.check_symmetry()?;
        }
        search.run(self.start, self.verify)
    }
}
