//! Hutchinson's estimator, the exact trace and the diagonal: no basis, just products.
//!
//! Source: M. F. Hutchinson, A stochastic estimator of the trace of the influence matrix for
//! Laplacian smoothing splines, Communications in Statistics 19 (1990). Departure: it stops on the
//! standard error of the mean, never because the running mean moved little.

use crate::parallel::shards;
use crate::{Real, Result};

use super::products::{Callback, Products};
use super::trace::Run;
use super::{Estimate, EstimateStatus, LinearOperator, TraceEstimate, tall};

/// Fewer samples than this say too little of their spread to stop on.
const MIN_SAMPLES: usize = 8;

/// Mean of ωᵀAω over at most `m` probes.
pub(super) fn estimate<T: Real, A: LinearOperator<T> + ?Sized>(
    run: &mut Run<'_, T, A>,
    m: usize,
    tolerance: Option<(f64, f64)>,
) -> Result<TraceEstimate> {
    let (n, block) = (run.products.dimension, run.block.min(m));
    let (mut x, mut y) = (tall::zeros(n, block)?, tall::zeros(n, block)?);
    let mut terms = Vec::new();
    for range in shards(m, block) {
        let x = &mut x[..range.len() * n];
        let y = &mut y[..range.len() * n];
        for (j, column) in range.zip(x.chunks_exact_mut(n)) {
            (run.draw)(j, column);
        }
        let stopped = run.products.apply(x, y)?.is_break();
        terms.extend(x.chunks_exact(n).zip(y.chunks_exact(n)).map(|(x, y)| tall::dot(x, y)));
        if terms.len() == m {
            break;
        }
        if let Some((relative, absolute)) = tolerance
            && terms.len() >= MIN_SAMPLES
        {
            let now = Estimate::of(&terms);
            let [value, error] = [now.value, now.standard_error].map(|v| run.products.unscaled(v));
            if error <= relative * value.abs() + absolute {
                return run.finish(&terms, EstimateStatus::Converged);
            }
        }
        if stopped {
            return run.finish(&terms, EstimateStatus::Interrupted);
        }
    }
    run.finish(&terms, EstimateStatus::BudgetSpent)
}

/// Σ eⱼᵀAeⱼ. Interrupted after j products: n/j times the sum so far, with infinite error.
pub(super) fn exact<T: Real, A: LinearOperator<T> + ?Sized>(
    a: &A,
    block: usize,
    progress: Callback<'_>,
) -> Result<TraceEstimate> {
    let n = a.dimension();
    let mut products = Products::new(a, n, progress)?;
    let block = block.min(n);
    let (mut x, mut y) = (tall::zeros::<T>(n, block)?, tall::zeros::<T>(n, block)?);
    let mut terms = Vec::new();
    for range in shards(n, block) {
        let x = &mut x[..range.len() * n];
        let y = &mut y[..range.len() * n];
        for (j, column) in range.clone().zip(x.chunks_exact_mut(n)) {
            column[j] = T::ONE;
        }
        let stopped = products.apply(x, y)?.is_break();
        for ((j, x), y) in range.zip(x.chunks_exact_mut(n)).zip(y.chunks_exact(n)) {
            x[j] = T::ZERO;
            terms.push(y[j].to_f64());
        }
        if stopped {
            break;
        }
    }
    let share = n as f64 / terms.len() as f64;
    let value = share * crate::parallel::sum(terms.len(), |j| terms[j]);
    let complete = terms.len() == n;
    let estimate = TraceEstimate {
        value: products.unscaled(value),
        standard_error: if complete { 0.0 } else { f64::INFINITY },
        samples: terms.len(),
        products: products.count,
        status: if complete { EstimateStatus::Exact } else { EstimateStatus::Interrupted },
        terms: terms.iter().map(|x| products.unscaled(*x)).collect(),
    };
    crate::error::check_finite("trace", &[estimate.value])?;
    Ok(estimate)
}
