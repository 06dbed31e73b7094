//! The search of Lanczos: expand, extract, restart, and measure before anything is claimed.

mod copies;

use std::time::Instant;

use faer::Mat;

use crate::numerics::krylov::LinearOperator;
use crate::numerics::krylov::basis::Basis;
use crate::numerics::krylov::chebyshev::{ChebyshevFilter, FilterScratch};
use crate::numerics::krylov::counted_products::CountedProducts;
use crate::numerics::krylov::eigenpairs::{
    Callback, Eigenpairs, Pairs, Progress, Stats, Status, error_bounds,
};
use crate::numerics::krylov::krylov_space::{KrylovSpace, Ritz};
use crate::numerics::krylov::options::residual_bound;
use crate::numerics::krylov::selection::Which;
use crate::numerics::krylov::start_vectors;
use crate::{Error, Real, Result};

/// Random starts of a space that is everything.
const MOST_STARTS: usize = 4;

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

pub(super) struct Search<'a, T: Real, A: LinearOperator<T> + ?Sized> {
    pub(super) products: CountedProducts<'a, T, A>,
    pub(super) excluded: (Basis<T>, usize),
    pub(super) which: Which,
    pub(super) wanted: usize,
    pub(super) tolerance: f64,
    pub(super) subspace: usize,
    pub(super) block: usize,
    pub(super) filter: Option<ChebyshevFilter>,
    pub(super) scratch: FilterScratch<T>,
    pub(super) may_filter: bool,
    pub(super) seed: u64,
    pub(super) stream: u64,
    /// Largest |Ritz value|: a lower bound of ‖A‖.
    pub(super) norm: f64,
    pub(super) restarts: usize,
    pub(super) stats: Stats,
    /// Values seen but not returned, with their residuals: for the gaps.
    pub(super) others: Vec<(f64, f64)>,
    pub(super) callback: Option<Callback<'a>>,
}

impl<T: Real, A: LinearOperator<T> + ?Sized> Search<'_, T, A> {
    /// Searches for the wanted pairs, and for further copies of them with `verify`.
    pub(super) fn run(mut self, start: &[T], verify: bool) -> Result<Eigenpairs<T>> {
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
        let mut starts = 1;
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
                if self.starts_again(&mut space, &mut starts) {
                    continue;
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
            if !out_of_products && !unfilter && self.starts_again(&mut space, &mut starts) {
                continue;
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

    /// Begins a space that is everything, and so is small, once more from random vectors where its
    /// pairs are not as exact as rounding allows: directions of which little but rounding is left cost
    /// digits, and are others for another start.
    fn starts_again(&mut self, space: &mut KrylovSpace<T>, starts: &mut usize) -> bool {
        let cost = self.products.dimension() + 2 * self.wanted;
        let again = space.is_exhausted()
            && self.filter.is_none()
            && *starts < MOST_STARTS
            && self.products.left() >= cost;
        if again {
            *starts += 1;
            self.restarts += 1;
            space.begin(&[]);
        }
        again
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

    /// Compares u·Av with v·Au for two random vectors.
    pub(super) fn check_symmetry(&mut self) -> Result<()> {
        let n = self.products.dimension();
        if self.products.left() < 3 {
            return Ok(());
        }
        let mut x = vec![T::ZERO; 2 * n];
        start_vectors::fill_normal(self.seed, u64::MAX, &mut x);
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
