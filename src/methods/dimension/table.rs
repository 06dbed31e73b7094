//! What estimators ask of a table.

use crate::neighbors::Neighbors;
use crate::numerics::parallel;
use crate::{Error, Result};

/// Points of one task.
const SHARD: usize = 512;

/// `f` at every point, in parallel.
pub(super) fn map(points: usize, f: impl Fn(usize) -> f64 + Sync) -> Vec<f64> {
    let mut values = vec![0.0; points];
    parallel::for_each_piece(&mut values, SHARD, |s, piece| {
        piece.iter_mut().enumerate().for_each(|(r, value)| *value = f(s * SHARD + r));
    });
    values
}

/// ln(T_b/T_a) of every point, for 1 ≤ a < b.
///
/// # Errors
/// A table of queries, too few neighbours, T_a = 0.
pub(super) fn log_ratios(table: &Neighbors, a: usize, b: usize) -> Result<Vec<f64>> {
    check(table, b)?;
    refuse_zeros(table, a)?;
    Ok((0..table.len())
        .map(|i| (table.distances(i)[b - 1] / table.distances(i)[a - 1]).ln())
        .collect())
}

/// Points among themselves with k neighbours each.
pub(super) fn check(table: &Neighbors, k: usize) -> Result<()> {
    if !table.among_themselves() {
        return Err(Error::range("table", "neighbours of points among themselves", "of queries"));
    }
    if k > table.k() {
        return Err(Error::range("neighbours of the table", format!("{k} or more"), table.k()));
    }
    Ok(())
}

/// No copy among the first `a` neighbours.
pub(super) fn refuse_zeros(table: &Neighbors, a: usize) -> Result<()> {
    match (0..table.len()).find(|&i| table.distances(i)[a - 1] == 0.0) {
        None => Ok(()),
        Some(i) => {
            let what = format!("distance of point {i} to its neighbour {a}");
            Err(Error::range(what, "more than 0 (merge copies)", 0))
        }
    }
}

/// The mean over all points of the distances to two neighbours.
pub(super) fn mean_distance(table: &Neighbors, neighbours: [usize; 2]) -> f64 {
    let [a, b] = neighbours;
    let at = |i: usize| 0.5 * (table.distances(i)[a - 1] + table.distances(i)[b - 1]);
    (0..table.len()).map(at).sum::<f64>() / table.len() as f64
}
