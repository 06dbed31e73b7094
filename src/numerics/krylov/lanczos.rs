//! Extreme eigenpairs by thick-restart block Lanczos. The method of choice for a few pairs at the
//! ends of a spectrum, when some dozens of vectors fit into memory; else see
//! [`Lobpcg`](super::Lobpcg).

use std::ops::ControlFlow;
use std::time::Instant;

use faer::Mat;

use super::LinearOperator;
use super::basis::Basis;
use super::chebyshev::{ChebyshevFilter, FilterScratch};
use super::combined_operators::orthonormal_basis;
use super::counted_products::CountedProducts;
use super::eigenpairs::{Callback, Eigenpairs, Pairs, Progress, Stats, Status, error_bounds};
use super::krylov_space::{KrylovSpace, Ritz};
use super::options::{
    check_count, check_start, check_tolerance, default_tolerance, residual_bound,
};
use super::selection::Which;
use crate::{Error, Real, Result};

/// A few eigenpairs of a symmetric operator at the ends of its spectrum, by thick-restart block
/// Lanczos with full reorthogonalisation.
///
/// The space grows by blocks, A V = V T + Q C with VᵀV = I, until the wanted eigenpairs (θ, y) of T
/// have ‖C y‖ ≤ tol·max(|θ|, ε^⅔‖A‖), or until it is full: then the best Ritz vectors V y and the
/// next block start a new one. Residuals are then recomputed with the operator, and the search goes
/// on unless they hold: convergence is never claimed on the estimate's word. Eigenvalues that are
/// zero beside ‖A‖ cannot have residuals below rounding: 10ε‖A‖ is enough for them, unless
/// tol·‖A‖ is smaller still (then the status is [`Status::Stagnated`]).
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

/// How a phase of the search ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Converged,
    Limit,
    Stagnated,
    Interrupted,
}

/// Ritz values and residuals of the operator, whatever polynomial of it the space was made with.
struct View {
    values: Vec<f64>,
    estimates: Vec<f64>,
}

struct Search<'a, T: Real, A: LinearOperator<T> + ?Sized> {
    products: CountedProducts<'a, T, A>,
    excluded: (Basis<T>, usize),
    which: Which,
    wanted: usize,
    tolerance: f64,
    subspace: usize,
    block: usize,
    filter: Option<ChebyshevFilter>,
    scratch: FilterScratch<T>,
    may_filter: bool,
    seed: u64,
    stream: u64,
    /// Largest |Ritz value|: a lower bound of ‖A‖.
    norm: f64,
    restarts: usize,
    stats: Stats,
    /// Values seen but not returned, with their residuals: for the gaps.
    others: Vec<(f64, f64)>,
    callback: Option<Callback<'a>>,
}

impl<T: Real, A: LinearOperator<T> + ?Sized> Search<'_, T, A> {
    fn run(mut self, start: &[T], verify: bool) -> Result<Eigenpairs<T>> {
        let (mut pairs, end, complete) = self.first_phase(start)?;
        let mut verified = complete;
        if end == End::Converged && verify && !complete {
            verified = self.verification(&mut pairs)?;
        }
        let status = match end {
            End::Converged => Status::Converged,
            End::Limit => Status::IterationLimit,
            End::Stagnated => Status::Stagnated,
            End::Interrupted => Status::Interrupted,
        };
        Ok(self.finish(&pairs, status, verified))
    }

    fn bound(&self, value: f64) -> f64 {
        residual_bound::<T>(self.tolerance, value, self.norm)
    }

    /// Products that the next block of `space` takes.
    fn next_cost(&self, space: &KrylovSpace<T>) -> usize {
        space.width() * self.filter.map_or(1, |filter| filter.degree)
    }

    /// One block of products.
    fn expand(&mut self, space: &mut KrylovSpace<T>) -> Result<()> {
        let products = &mut self.products;
        let before = products.seconds;
        let filter = self.filter;
        let scratch = &mut self.scratch;
        space.expand(|x, y| match filter {
            Some(filter) => {
                let clock = Instant::now();
                filter.apply(products, scratch, x, y)?;
                // The recurrence between the products is work on vectors.
                self.stats.vector_seconds +=
                    clock.elapsed().as_secs_f64() - (products.seconds - before);
                Ok(())
            }
            None => products.multiply(x, y),
        })
    }

    /// The Ritz pairs of `space`, of the operator itself.
    fn ritz(&mut self, space: &mut KrylovSpace<T>) -> Result<(Ritz, View)> {
        let ritz = space.ritz().ok_or_else(not_finite)?;
        let view = match self.filter {
            None => {
                self.norm = self.norm.max(space.norm());
                View { values: ritz.values.clone(), estimates: ritz.estimates.clone() }
            }
            Some(filter) => {
                let pairs = || ritz.values.iter().zip(&ritz.estimates);
                View {
                    values: ritz.values.iter().map(|&theta| filter.inverse(theta)).collect(),
                    estimates: pairs().map(|(&t, &r)| filter.residual(t, r)).collect(),
                }
            }
        };
        Ok((ritz, view))
    }

    fn report(&mut self, converged: usize, residual: f64) -> bool {
        let Some(callback) = &mut self.callback else { return true };
        let progress = Progress {
            products: self.products.count(),
            restarts: self.restarts,
            converged,
            wanted: self.wanted,
            residual: self.products.unscaled(residual),
        };
        callback(&progress).is_continue()
    }

    /// Searches until the wanted pairs have converged. The flag: nothing can have been missed.
    fn first_phase(&mut self, start: &[T]) -> Result<(Pairs<T>, End, bool)> {
        let start = self.start_block(start);
        // With one product left for each residual; at least one product is made.
        self.block = self.block.min((self.products.left() / 2).max(1));
        let mut space = self.new_space(&start);
        let mut sharper = 1.0;
        let mut unchecked = 0;
        loop {
            self.expand(&mut space)?;
            unchecked += space.width().max(1);
            let reserve = self.wanted.min(space.size() + space.width());
            let out_of_products = self.products.left() < self.next_cost(&space) + reserve;
            let last = out_of_products || space.is_exhausted() || !space.has_room();
            if !last && (space.size() < self.wanted || unchecked * 10 < space.size()) {
                if !self.report(0, f64::INFINITY) {
                    return self.leave(space, End::Interrupted);
                }
                continue;
            }
            unchecked = 0;
            let (ritz, view) = self.ritz(&mut space)?;
            let order = self.which.preference(&view.values);
            let best = &order[..self.wanted.min(order.len())];
            let rounding = T::EPSILON.to_f64() * self.norm;
            let below = |i: &usize| {
                view.estimates[*i] <= (sharper * self.bound(view.values[*i])).max(rounding)
            };
            let converged = best.iter().filter(|i| below(i)).count();
            let largest = best.iter().map(|&i| view.estimates[i]).fold(0.0, f64::max);
            let enough = best.len() == self.wanted;
            let estimate = if enough { largest } else { f64::INFINITY };
            let mut unfilter = false;
            if enough
                && converged == self.wanted
                && self.products.left() >= self.wanted
                && self.opposite_end_is_settled(&view, &order)
            {
                let pairs = self.measure(&mut space, &ritz, best)?;
                self.remember_others(&view, &order[self.wanted..]);
                let beyond = |v: &f64| self.filter.is_none_or(|filter| filter.is_beyond(*v));
                let as_wanted = pairs.values.iter().all(beyond);
                let settled = as_wanted && self.settled(&pairs);
                if settled {
                    self.absorb(&space);
                    return Ok((pairs, End::Converged, space.is_exhausted()));
                }
                // The estimates promised more than rounding allows, or rounding has crept in.
                let stuck = self.filter.is_none() && (space.is_exhausted() || largest <= rounding);
                if stuck || self.products.left() < self.next_cost(&space) + self.wanted {
                    let end = if stuck { End::Stagnated } else { End::Limit };
                    self.absorb(&space);
                    return Ok((pairs, end, space.is_exhausted()));
                }
                sharper *= 0.1;
                // Values inside the unwanted interval, or digits that the filter has eaten.
                unfilter = self.filter.is_some();
            } else if !self.report(converged, estimate) {
                return self.leave(space, End::Interrupted);
            }
            if out_of_products || (space.is_exhausted() && !unfilter) {
                return self.leave(space, End::Limit);
            }
            if unfilter {
                self.filter = None;
                self.may_filter = false;
                self.renew(&mut space, &ritz, &order);
            } else if let Some(filter) = self.better_filter(&view, &order) {
                self.filter = Some(filter);
                self.stats.filter_degree = filter.degree;
                self.renew(&mut space, &ritz, &order);
            } else if !space.has_room() {
                self.restart(&mut space, &ritz, &view, &order);
            }
        }
    }

    /// A space that starts from `start`, filled up with random vectors.
    fn new_space(&mut self, start: &[T]) -> KrylovSpace<T> {
        let excluded = (&self.excluded.0, self.excluded.1);
        let id = (self.seed, self.stream);
        let n = self.products.dimension();
        let space = KrylovSpace::new(excluded, n, self.subspace, self.block, start, id);
        self.stream = space.stream();
        space
    }

    /// Starts `space` again for another polynomial of the operator, from mixtures of the best Ritz
    /// vectors.
    fn renew(&mut self, space: &mut KrylovSpace<T>, ritz: &Ritz, order: &[usize]) {
        self.restarts += 1;
        let keep = self.kept(space.size());
        let start = space.mixtures(ritz, &order[..keep], self.block);
        space.begin(&start);
    }

    /// A filter of a degree worth starting anew for.
    fn better_filter(&self, view: &View, order: &[usize]) -> Option<ChebyshevFilter> {
        if !self.may_filter || order.len() < self.wanted + 2 {
            return None;
        }
        // By interlacing, k eigenvalues at least lie beyond the (k + 1)-th Ritz value.
        let beyond = (self.wanted + self.block.max(self.wanted / 2)).min(order.len() - 1);
        let cut = view.values[order[beyond]];
        let extreme = view.values[order[0]];
        let far = match self.filter {
            Some(filter) => filter.far(),
            None => {
                // An eigenvalue lies within the residual; let the interval be a little wider.
                let &last = order.last()?;
                let margin = view.estimates[last] + 0.01 * (extreme - view.values[last]).abs();
                view.values[last] - margin.copysign(extreme - view.values[last])
            }
        };
        let filter = ChebyshevFilter::new(far, cut, extreme)?;
        let now = self.filter.map_or(1, |filter| filter.degree);
        (filter.degree >= 2 * now).then_some(filter)
    }

    /// Whether all pairs are within their bounds.
    fn settled(&self, pairs: &Pairs<T>) -> bool {
        let mut all = pairs.values.iter().zip(&pairs.residuals);
        all.all(|(&value, &residual)| residual <= self.bound(value))
    }

    /// For the largest magnitudes: whether the best value of either sign that is not wanted cannot
    /// become so. Values of one end only grow in their order; those of two ends race.
    fn opposite_end_is_settled(&self, view: &View, order: &[usize]) -> bool {
        if self.which != Which::LargestMagnitude {
            return true;
        }
        let Some(&least) = order[..self.wanted].last() else { return true };
        let least = view.values[least].abs();
        let rest = &order[self.wanted..];
        let first = |negative: bool| rest.iter().find(|&&i| (view.values[i] < 0.0) == negative);
        [first(true), first(false)].into_iter().flatten().all(|&i| {
            let (value, estimate) = (view.values[i], view.estimates[i]);
            estimate <= 0.5 * (least - value.abs()) || estimate <= self.bound(value)
        })
    }

    /// The start vectors, folded into one block.
    fn start_block(&self, start: &[T]) -> Vec<T> {
        let n = self.products.dimension();
        let mut block = start[..start.len().min(self.block * n)].to_vec();
        for (i, vector) in start.chunks_exact(n).enumerate().skip(self.block) {
            let into = &mut block[(i % self.block) * n..][..n];
            for (x, &y) in into.iter_mut().zip(vector) {
                *x += y;
            }
        }
        block
    }

    /// How many Ritz vectors of `size` survive a restart: the wanted and some of their neighbours,
    /// with room for two blocks at least.
    fn kept(&self, size: usize) -> usize {
        let most = self.subspace.saturating_sub(2 * self.block).max(1);
        (self.wanted + size.saturating_sub(self.wanted) * 2 / 5).min(most).min(size)
    }

    fn restart(&mut self, space: &mut KrylovSpace<T>, ritz: &Ritz, view: &View, order: &[usize]) {
        self.restarts += 1;
        let keep = self.kept(space.size());
        if self.which != Which::LargestMagnitude {
            return space.restart(ritz, &order[..keep]);
        }
        // The neighbours from either end in turn: the wanted may still change sides.
        let (best, rest) = order.split_at(self.wanted.min(keep));
        let values: Vec<f64> = rest.iter().map(|&i| view.values[i]).collect();
        let turns = Which::BothEnds.preference(&values);
        let neighbours = turns.iter().take(keep - best.len()).map(|&i| rest[i]);
        let chosen: Vec<usize> = best.iter().copied().chain(neighbours).collect();
        space.restart(ritz, &chosen);
    }

    /// Ritz pairs with residuals from the operator.
    fn measure(
        &mut self,
        space: &mut KrylovSpace<T>,
        ritz: &Ritz,
        chosen: &[usize],
    ) -> Result<Pairs<T>> {
        let vectors = space.vectors(ritz, chosen);
        let excluded = &self.excluded;
        Pairs::measure(&mut self.products, vectors, |images| project(excluded, images))
    }

    fn remember_others(&mut self, view: &View, order: &[usize]) {
        self.others = order.iter().map(|&i| (view.values[i], view.estimates[i])).collect();
    }

    /// Takes over the counters of a space that is done with.
    fn absorb(&mut self, space: &KrylovSpace<T>) {
        self.stream = space.stream();
        self.stats.vector_seconds += space.vector_seconds;
        self.stats.dense_seconds += space.dense_seconds;
    }

    /// The best pairs of an unfinished search.
    fn leave(&mut self, mut space: KrylovSpace<T>, end: End) -> Result<(Pairs<T>, End, bool)> {
        let (ritz, view) = self.ritz(&mut space)?;
        let order = self.which.preference(&view.values);
        let count = self.wanted.min(order.len());
        let (best, rest) = order.split_at(count);
        self.remember_others(&view, rest);
        let pairs = if self.products.left() >= count {
            self.measure(&mut space, &ritz, best)?
        } else {
            // Too small a limit for a product each: the residuals that the last products left.
            Pairs {
                values: best.iter().map(|&i| view.values[i]).collect(),
                residuals: best.iter().map(|&i| view.estimates[i]).collect(),
                vectors: space.vectors(&ritz, best),
            }
        };
        self.absorb(&space);
        let end = match end {
            End::Limit if count == self.wanted && self.settled(&pairs) => End::Converged,
            End::Limit if count == self.wanted && space.is_exhausted() => End::Stagnated,
            end => end,
        };
        Ok((pairs, end, space.is_exhausted()))
    }

    /// Fresh random searches orthogonal to `pairs` for what the first one could not see. False if
    /// the products ran out before.
    fn verification(&mut self, pairs: &mut Pairs<T>) -> Result<bool> {
        let n = self.products.dimension();
        if !self.may_hide_copies(pairs) {
            return Ok(true);
        }
        loop {
            let known = pairs.values.len();
            let free = n - self.excluded.1 - known;
            if free == 0 {
                return Ok(true);
            }
            self.stats.verifications += 1;
            let fixed = self.excluded.1 + known;
            let mut basis = Basis::new(n, fixed, crate::Isa::current());
            basis.copy_columns(&self.excluded.0, self.excluded.1);
            basis.load(self.excluded.1, &pairs.vectors);
            let block = self.block.min(free);
            let capacity = self.subspace.min(free).max((1 + 2 * block).min(free));
            let id = (self.seed, self.stream);
            let mut space = KrylovSpace::new((&basis, fixed), n, capacity, block, &[], id);
            let Some(found) = self.search_beyond(pairs, &mut space)? else {
                self.absorb(&space);
                return Ok(false);
            };
            self.absorb(&space);
            let count = found.values.len();
            if count == 0 {
                return Ok(true);
            }
            pairs.append(found);
            *pairs = pairs.best(self.which, self.wanted);
            if count < block {
                return Ok(true);
            }
        }
    }

    /// Whether as many values as the block is wide are too close to be told apart.
    fn may_hide_copies(&self, pairs: &Pairs<T>) -> bool {
        let mut values = pairs.values.clone();
        values.sort_unstable_by(f64::total_cmp);
        let near = 100.0 * self.tolerance * self.norm;
        values.windows(self.block).any(|w| w[self.block - 1] - w[0] <= near)
    }

    /// Pairs in `space` that beat the least wanted of `pairs`; `None` if the products ran out.
    fn search_beyond(
        &mut self,
        pairs: &Pairs<T>,
        space: &mut KrylovSpace<T>,
    ) -> Result<Option<Pairs<T>>> {
        let limits = Limits::of(self.which, pairs, |value| self.bound(value));
        loop {
            if self.products.left() < self.next_cost(space) + self.wanted {
                return Ok(None);
            }
            self.expand(space)?;
            let (ritz, view) = self.ritz(space)?;
            let order = self.which.preference(&view.values);
            let better: Vec<usize> =
                order.iter().copied().filter(|&i| limits.beaten_by(view.values[i])).collect();
            let settled = |i: usize| view.estimates[i] <= 0.5 * self.bound(view.values[i]);
            // The best value on each wanted side that is not better must be known well enough to
            // say that it will not become so.
            let decided = limits.sides(&view.values).into_iter().all(|i| {
                let away = limits.distance(view.values[i]);
                settled(i) || view.estimates[i] <= 0.1 * away
            });
            let done = decided && better.iter().all(|&i| settled(i));
            if !self.report(pairs.values.len(), 0.0) {
                return Ok(None);
            }
            if done || space.is_exhausted() {
                if better.is_empty() {
                    return Ok(Some(Pairs::empty()));
                }
                if self.products.left() < better.len() {
                    return Ok(None);
                }
                return self.measure(space, &ritz, &better).map(Some);
            }
            if !space.has_room() {
                self.restart(space, &ritz, &view, &order);
            }
        }
    }

    fn check_symmetry(&mut self) -> Result<()> {
        let n = self.products.dimension();
        if self.products.left() < 3 {
            return Ok(());
        }
        let mut x = vec![T::ZERO; 2 * n];
        super::start_vectors::fill_normal(self.seed, u64::MAX, &mut x);
        let mut y = vec![T::ZERO; 2 * n];
        self.products.multiply(&x, &mut y)?;
        let mut basis = Basis::new(n, 4, crate::Isa::current());
        basis.load(0, &x);
        basis.load(2, &y);
        let h = basis.product(0..4, 0..4);
        let at = |i: usize, j: usize| h[i + 4 * j];
        let defect = (at(0, 3) - at(1, 2)).abs();
        // |u·Av| ≤ |u||Av|: rounding of n terms is relative to this.
        let size = (at(0, 0) * at(3, 3)).sqrt().max((at(1, 1) * at(2, 2)).sqrt());
        let allowed = if size_of::<T>() == 4 { 1e-4 } else { 1e-8 };
        if defect > allowed * size {
            return Err(Error::NotSymmetric { defect: defect / size });
        }
        Ok(())
    }

    fn finish(self, pairs: &Pairs<T>, status: Status, verified: bool) -> Eigenpairs<T> {
        let n = self.products.dimension();
        let pairs = pairs.best(self.which, self.wanted);
        let bounds = error_bounds(&pairs.values, &pairs.residuals, &self.others);
        let unscaled = |values: &[f64]| -> Vec<f64> {
            values.iter().map(|&v| self.products.unscaled(v)).collect()
        };
        Eigenpairs {
            values: unscaled(&pairs.values),
            vectors: Mat::from_fn(n, pairs.values.len(), |i, j| pairs.vectors[i + j * n]),
            residuals: unscaled(&pairs.residuals),
            error_bounds: unscaled(&bounds),
            status,
            verified,
            products: self.products.count(),
            restarts: self.restarts,
            stats: Stats { product_seconds: self.products.seconds, ..self.stats },
        }
    }
}

/// Y ← (I − QQᵀ) Y for the deflated vectors.
fn project<T: Real>((basis, count): &(Basis<T>, usize), block: &mut [T]) {
    if *count == 0 {
        return;
    }
    let k = block.len() / basis.rows();
    let mut scratch = Basis::new(basis.rows(), k, crate::Isa::current());
    scratch.load(0, block);
    let h = basis.product_with(0..*count, &scratch, 0..k);
    scratch.subtract_of(basis, 0..*count, 0..k, &h);
    scratch.store(0..k, block);
}

fn not_finite() -> Error {
    Error::NonFinite { what: "projected operator".to_owned(), index: 0, value: f64::NAN }
}

/// What a further eigenvalue must beat to belong to the wanted ones.
struct Limits {
    /// Values above this are wanted.
    upper: Option<f64>,
    /// Values below this are wanted.
    lower: Option<f64>,
}

impl Limits {
    fn of<T>(which: Which, pairs: &Pairs<T>, bound: impl Fn(f64) -> f64) -> Self {
        let values = &pairs.values;
        // A value must be better by more than the tolerance; equal ones are as good.
        let up = |v: f64| v + 2.0 * bound(v);
        let down = |v: f64| v - 2.0 * bound(v);
        let order = which.preference(values);
        let least = |i: usize| values[order[i]];
        let k = values.len();
        match which {
            Which::Largest => Self { upper: Some(up(least(k - 1))), lower: None },
            Which::Smallest => Self { upper: None, lower: Some(down(least(k - 1))) },
            Which::LargestMagnitude => {
                let least = up(least(k - 1).abs());
                Self { upper: Some(least), lower: Some(-least) }
            }
            // The preference takes turns from the top and the bottom.
            Which::BothEnds => Self {
                upper: Some(up(least((k - 1) / 2 * 2))),
                lower: (k >= 2).then(|| down(least((k - 2) / 2 * 2 + 1))),
            },
        }
    }

    fn beaten_by(&self, value: f64) -> bool {
        self.upper.is_some_and(|u| value > u) || self.lower.is_some_and(|l| value < l)
    }

    /// How far a value is from being wanted.
    fn distance(&self, value: f64) -> f64 {
        let up = self.upper.map_or(f64::INFINITY, |u| u - value);
        up.min(self.lower.map_or(f64::INFINITY, |l| value - l)).max(0.0)
    }

    /// The positions of the extreme values (ascending) that are not wanted, on the wanted sides.
    fn sides(&self, values: &[f64]) -> Vec<usize> {
        let mut unwanted = (0..values.len()).filter(|&i| !self.beaten_by(values[i]));
        let first = unwanted.next();
        let last = unwanted.next_back().or(first);
        let upper = self.upper.and(last);
        let lower = self.lower.and(first);
        upper.into_iter().chain(lower).collect()
    }
}
