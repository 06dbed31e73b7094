//! Neighbours from every distance: what all other searches agree with.

use hesse_kernels::distance::squared_distances;
use hesse_kernels::smallest::{Entry, Lists, offer_rows};

use super::problem::Problem;
use crate::{Isa, Real, numerics::parallel};

/// Queries that share a pass over the reference points, and reference points of a step: what a step
/// reads stays in cache for all of its queries.
pub(super) const QUERIES: usize = 16;
const BYTES: usize = 128 << 10;

/// The k nearest points of the queries with these indices, in the same order.
///
/// 3 n d flops a query; memory of O(k) a query.
pub(super) fn search<T: Real>(problem: &Problem<'_, T>, rows: &[u32]) -> Vec<Vec<Entry<f64>>> {
    let pieces = rows.chunks(QUERIES).collect::<Vec<_>>();
    parallel::map(pieces.len(), |p| piece(problem, pieces[p])).into_iter().flatten().collect()
}

fn piece<T: Real>(problem: &Problem<'_, T>, rows: &[u32]) -> Vec<Vec<Entry<f64>>> {
    let (isa, k, reference) = (Isa::current(), problem.k, problem.reference);
    let room = 2 * k + 8;
    let mut entries = vec![Entry::<f64>::default(); rows.len() * room];
    let mut counts = vec![0; rows.len()];
    let mut limits = vec![f64::INFINITY; rows.len()];
    let mut lists = Lists::new(&mut entries, &mut counts, &mut limits, k);
    let step = (BYTES / (reference.d * size_of::<T>())).clamp(8, 256);
    let (mut squares, zeros) = (vec![0.0; rows.len() * step], vec![0.0; step]);
    for start in (0..reference.n).step_by(step) {
        let width = step.min(reference.n - start);
        let points = &reference.data[start * reference.d..(start + width) * reference.d];
        let squares = &mut squares[..rows.len() * width];
        for (out, &i) in squares.chunks_exact_mut(width).zip(rows) {
            squared_distances(isa, problem.queries.row(i as usize), points, out);
            if let Some(own) = problem.excluded(i as usize).map(|own| own as usize)
                && (start..start + width).contains(&own)
            {
                out[own - start] = f64::INFINITY;
            }
        }
        offer_rows(isa, &mut lists, squares, &zeros[..width], start as u32);
    }
    (0..rows.len()).map(|list| lists.finish(list).0.to_vec()).collect()
}
