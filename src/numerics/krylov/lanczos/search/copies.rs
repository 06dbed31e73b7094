//! Copies of an eigenvalue that one block could not see: searches orthogonal to what is known.

use super::Search;
use crate::numerics::krylov::LinearOperator;
use crate::numerics::krylov::basis::Basis;
use crate::numerics::krylov::eigenpairs::Pairs;
use crate::numerics::krylov::krylov_space::KrylovSpace;
use crate::numerics::krylov::selection::Which;
use crate::{Real, Result};

/// Columns of a space whose residuals say that nothing better is hidden.
const TRUSTED: usize = 20;

impl<T: Real, A: LinearOperator<T> + ?Sized> Search<'_, T, A> {
    /// Fresh random searches orthogonal to `pairs` for what the first one could not see. False if
    /// the products ran out before.
    pub(super) fn verification(&mut self, pairs: &mut Pairs<T>) -> Result<bool> {
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
            // say that it will not become so. A small residual alone does not: a start that has little
            // of what is hidden is nearly invariant, and shows it after some products only.
            let trusted = space.size() >= TRUSTED;
            let decided = limits.sides(&view.values).into_iter().all(|i| {
                let away = limits.distance(view.values[i]);
                settled(i) || (trusted && view.estimates[i] <= 0.01 * away)
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

    /// The positions of the extreme values that are not wanted, on the wanted sides. In any order: that of
    /// the Ritz values of a filter is not that of the operator's.
    fn sides(&self, values: &[f64]) -> Vec<usize> {
        let unwanted = || (0..values.len()).filter(|&i| !self.beaten_by(values[i]));
        let by_value = |&i: &usize, &j: &usize| values[i].total_cmp(&values[j]);
        let upper = self.upper.and_then(|_| unwanted().max_by(by_value));
        let lower = self.lower.and_then(|_| unwanted().min_by(by_value));
        upper.into_iter().chain(lower).collect()
    }
}
