//! What estimators ask of a table.

use crate::neighbors::Neighbors;
use crate::{Error, Result};

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
