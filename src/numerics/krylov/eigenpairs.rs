//! What an eigensolver returns.

use std::ops::ControlFlow;

use faer::Mat;

use super::LinearOperator;
use super::counted_products::CountedProducts;
use super::selection::Which;
use crate::{Real, Result};

/// How an eigensolver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Every residual, recomputed, is within the tolerance.
    Converged,
    /// The products allowed were used up; the pairs are the best so far.
    IterationLimit,
    /// Rounding in the operator or in the storage type keeps the residuals above the tolerance;
    /// further products do not help.
    Stagnated,
    /// The callback asked to stop.
    Interrupted,
}

/// What a callback sees of a running solver.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Products with the operator so far.
    pub products: usize,
    /// Restarts so far.
    pub restarts: usize,
    /// Wanted pairs whose estimated residual is within the tolerance.
    pub converged: usize,
    /// Number of pairs wanted.
    pub wanted: usize,
    /// Largest estimated residual of the wanted pairs; infinite until there are enough.
    pub residual: f64,
}

/// Counters of a solver.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Seconds in products with the operator.
    pub product_seconds: f64,
    /// Seconds in orthogonalisation, restarts and other work on long vectors.
    pub vector_seconds: f64,
    /// Seconds in small dense eigenproblems.
    pub dense_seconds: f64,
    /// Degree of the last polynomial filter, 1 if none was used.
    pub filter_degree: usize,
    /// Fresh random searches for copies that the first search could not see.
    pub verifications: usize,
}

pub(super) type Callback<'a> = Box<dyn FnMut(&Progress) -> ControlFlow<()> + 'a>;

/// Eigenpairs with their residuals, in the order of [`Which`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Eigenpairs<T> {
    /// Eigenvalues λ̂: Rayleigh quotients of the vectors.
    pub values: Vec<f64>,
    /// Unit eigenvectors in columns, n × values.len().
    pub vectors: Mat<T>,
    /// ‖A v − λ̂ v‖ from one product each at the end, accumulated in `f64`.
    ///
    /// Some eigenvalue of A lies within this distance of λ̂, always.
    pub residuals: Vec<f64>,
    /// Bounds on the distance from λ̂ to the eigenvalue: the residual r, or R²/gap where that is
    /// smaller. R² sums r² over the values that overlap with λ̂, and the gap is the distance from
    /// them to the nearest other value that was seen: an estimate, unlike the residual, where an
    /// eigenvalue was not seen.
    pub error_bounds: Vec<f64>,
    /// How the solver ended.
    pub status: Status,
    /// Whether the search for further copies and missed values was carried through.
    pub verified: bool,
    /// Products with the operator, all included.
    pub products: usize,
    /// Restarts.
    pub restarts: usize,
    /// Where the time went.
    pub stats: Stats,
}

/// Unit vectors, one after the other, with Rayleigh quotients and residuals (scaled units).
pub(super) struct Pairs<T> {
    pub values: Vec<f64>,
    pub residuals: Vec<f64>,
    pub vectors: Vec<T>,
}

impl<T: Real> Pairs<T> {
    pub fn empty() -> Self {
        Self { values: Vec::new(), residuals: Vec::new(), vectors: Vec::new() }
    }

    /// Rayleigh quotients and residuals of `vectors`, from one product each.
    pub fn measure<A: LinearOperator<T> + ?Sized>(
        products: &mut CountedProducts<'_, T, A>,
        vectors: Vec<T>,
        project: impl Fn(&mut [T]),
    ) -> Result<Self> {
        let n = products.dimension();
        let mut images = vec![T::ZERO; vectors.len()];
        products.multiply(&vectors, &mut images)?;
        project(&mut images);
        let mut pairs = Self { vectors, ..Self::empty() };
        for (v, w) in pairs.vectors.chunks_exact(n).zip(images.chunks_exact(n)) {
            let sums = crate::parallel::reduce(
                n.div_ceil(4096),
                |piece| {
                    let range = piece * 4096..n.min((piece + 1) * 4096);
                    let mut sums = [0.0; 2];
                    for (v, w) in v[range.clone()].iter().zip(&w[range]) {
                        sums[0] += v.to_f64() * v.to_f64();
                        sums[1] += v.to_f64() * w.to_f64();
                    }
                    sums
                },
                |a, b| {
                    a[0] += b[0];
                    a[1] += b[1];
                },
            )
            .unwrap_or([1.0, 0.0]);
            let value = sums[1] / sums[0];
            let square = crate::parallel::sum(n.div_ceil(4096), |piece| {
                let range = piece * 4096..n.min((piece + 1) * 4096);
                let difference = |(v, w): (&T, &T)| w.to_f64() - value * v.to_f64();
                v[range.clone()].iter().zip(&w[range]).map(difference).map(|d| d * d).sum()
            });
            pairs.values.push(value);
            pairs.residuals.push((square / sums[0]).sqrt());
        }
        Ok(pairs)
    }

    /// Puts the pairs of `other` behind those of `self`.
    pub fn append(&mut self, other: Self) {
        self.values.extend(other.values);
        self.residuals.extend(other.residuals);
        self.vectors.extend(other.vectors);
    }

    /// The pairs at `order`, in that order.
    pub fn select(&self, order: &[usize]) -> Self {
        let n = self.vectors.len().checked_div(self.values.len()).unwrap_or(0);
        Self {
            values: order.iter().map(|&i| self.values[i]).collect(),
            residuals: order.iter().map(|&i| self.residuals[i]).collect(),
            vectors: order
                .iter()
                .flat_map(|&i| self.vectors[i * n..(i + 1) * n].iter().copied())
                .collect(),
        }
    }

    /// The `k` most wanted pairs in the order of results.
    pub fn best(&self, which: Which, k: usize) -> Self {
        let mut order = which.preference(&self.values);
        order.truncate(k);
        let chosen = self.select(&order);
        chosen.select(&which.presentation(&chosen.values))
    }
}

/// min(r, R²/gap) for each value, see [`Eigenpairs::error_bounds`]; `others`: further values that
/// were seen, with their residuals.
pub(super) fn error_bounds(values: &[f64], residuals: &[f64], others: &[(f64, f64)]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut bounds = residuals.to_vec();
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        let mut top = values[order[start]] + residuals[order[start]];
        while end < order.len() && values[order[end]] - residuals[order[end]] <= top {
            top = top.max(values[order[end]] + residuals[order[end]]);
            end += 1;
        }
        let group = &order[start..end];
        let (low, high) = (values[group[0]], values[group[group.len() - 1]]);
        let outside = order[..start]
            .iter()
            .chain(&order[end..])
            .map(|&i| (values[i], residuals[i]))
            .chain(others.iter().copied());
        let gap = outside
            .map(|(value, residual)| (low - value).max(value - high) - residual)
            .fold(f64::INFINITY, f64::min);
        let square: f64 = group.iter().map(|&i| residuals[i] * residuals[i]).sum();
        if gap > 0.0 && gap.is_finite() {
            for &i in group {
                // The gap is seen from λ̂, and the eigenvalue may be r nearer.
                bounds[i] = bounds[i].min(square / gap);
            }
        }
        start = end;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bounds_use_the_gap_where_there_is_one() {
        let bounds = error_bounds(&[5.0, 1.0], &[1e-3, 1e-3], &[]);
        assert!(bounds.iter().all(|&b| (b / 2.5e-7 - 1.0).abs() < 1e-3), "{bounds:?}");
        // Overlapping values share one gap, and nothing is gained without a gap.
        assert_eq!(error_bounds(&[1.0, 1.0], &[1e-3, 1e-3], &[]), [1e-3, 1e-3]);
        let bounds = error_bounds(&[1.0, 1.0], &[1e-3, 1e-3], &[(0.0, 0.5)]);
        assert!(bounds.iter().all(|&b| (b / 4e-6 - 1.0).abs() < 1e-3), "{bounds:?}");
        // A value of which little is known hides the gap.
        assert_eq!(error_bounds(&[1.0], &[1e-3], &[(0.9, 0.2)]), [1e-3]);
    }
}
