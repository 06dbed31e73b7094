//! Hutch++: the trace on the range of a sketch, and Hutchinson's estimator on what is left.
//!
//! Source: R. A. Meyer, C. Musco, C. Musco and D. P. Woodruff, Hutch++: optimal stochastic trace
//! estimation, SOSA 2021, algorithm 1. Departure: the basis drops what depends on earlier columns,
//! so that a rank below m/3 costs fewer products.

use crate::parallel::shards;
use crate::{Real, Result};

use super::orthonormal::orthonormalize;
use super::trace::{Run, Sketch};
use super::{EstimateStatus, LinearOperator, TraceEstimate, tall};

/// tr(QᵀAQ) + mean of gᵀ(I − QQᵀ)A(I − QQᵀ)g with Q = orth(A Ω): k probes ω, k probes g.
pub(super) fn estimate<T: Real, A: LinearOperator<T> + ?Sized>(
    run: &mut Run<'_, T, A>,
    k: usize,
) -> Result<TraceEstimate> {
    let n = run.products.dimension;
    let Sketch { y, terms: plain, stopped, .. } = run.sketch(k, false)?;
    if stopped {
        return run.finish(&plain, EstimateStatus::Interrupted);
    }
    let q = orthonormalize(y, n).q;
    let block = run.block.min(k);
    let (mut x, mut z) = (tall::zeros(n, block)?, tall::zeros(n, block)?);

    let mut low_rank = 0.0;
    for q in q.chunks(block * n) {
        let z = &mut z[..q.len()];
        let stopped = run.products.apply(q, z)?.is_break();
        low_rank += columnwise(q, z, n).sum::<f64>();
        if stopped {
            return run.finish(&plain, EstimateStatus::Interrupted);
        }
    }

    let mut terms = Vec::new();
    for range in shards(k, block) {
        let x = &mut x[..range.len() * n];
        let z = &mut z[..x.len()];
        for (j, column) in range.zip(x.chunks_exact_mut(n)) {
            (run.draw)(k + j, column);
        }
        // Twice, so that what is left is orthogonal to Q even if little is left.
        for _ in 0..2 {
            let h = tall::transpose_product(&q, x, n);
            tall::subtract_product(x, &q, &h, n);
        }
        let stopped = run.products.apply(x, z)?.is_break();
        terms.extend(columnwise(x, z, n).map(|residual| low_rank + residual));
        if stopped && terms.len() < k {
            return run.finish(&terms, EstimateStatus::Interrupted);
        }
    }
    run.finish(&terms, EstimateStatus::BudgetSpent)
}

/// xᵀz of each pair of columns.
fn columnwise<'a, T: Real>(x: &'a [T], z: &'a [T], n: usize) -> impl Iterator<Item = f64> + 'a {
    x.chunks_exact(n).zip(z.chunks_exact(n)).map(|(x, z)| tall::dot(x, z))
}
