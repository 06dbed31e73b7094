//! Responses, stimuli × units, read in blocks of units.

use std::ops::Range;

use faer::MatRef;

use crate::numerics::parallel;
use crate::statistics::power_above;
use crate::{Error, Real, Result};

/// Units that a task reads at a time.
pub(super) const SHARD: usize = 4096;

/// Checks that there are responses and that all are finite; n stimuli and p units.
///
/// # Errors
/// [`Error::Empty`], [`Error::NonFinite`] with the index of stimulus · p + unit.
pub(super) fn check<T: Real>(what: &str, x: MatRef<'_, T>) -> Result<(usize, usize)> {
    let (n, p) = x.shape();
    if n == 0 {
        return Err(Error::empty(format!("{what}: stimuli")));
    }
    if p == 0 {
        return Err(Error::empty(format!("{what}: units")));
    }
    let shards = parallel::shards(p, SHARD);
    let finite = |s: usize| {
        let mut finite = true;
        for_each(x, shards[s].clone(), |_, _, value| finite &= value.is_finite());
        finite
    };
    if parallel::map(shards.len(), finite).into_iter().all(|finite| finite) {
        return Ok((n, p));
    }
    let bad = |index: &usize| !x[(index / p, index % p)].is_finite();
    match (0..n * p).find(bad) {
        None => Ok((n, p)),
        Some(index) => {
            let value = x[(index / p, index % p)].to_f64();
            Err(Error::NonFinite { what: what.to_owned(), index, value })
        }
    }
}

/// [`check`] of both sides of a comparison, which must have the same stimuli, at least `fewest`.
pub(super) fn check_pair<T: Real>(
    x: MatRef<'_, T>,
    y: MatRef<'_, T>,
    fewest: usize,
) -> Result<usize> {
    let n = check("x", x)?.0;
    check("y", y)?;
    if y.nrows() != n {
        return Err(Error::shape("y: stimuli", n, y.nrows()));
    }
    enough_stimuli(n, fewest)?;
    Ok(n)
}

/// At least `fewest` stimuli.
pub(super) fn enough_stimuli(n: usize, fewest: usize) -> Result<()> {
    match n >= fewest {
        true => Ok(()),
        false => Err(Error::range("stimuli", format!("at least {fewest}"), n)),
    }
}

/// Calls `f(stimulus, unit, value)` for the units of a range, in the order of memory.
fn for_each<T: Real>(x: MatRef<'_, T>, units: Range<usize>, mut f: impl FnMut(usize, usize, T)) {
    if x.row_stride().unsigned_abs() < x.col_stride().unsigned_abs() {
        for j in units {
            for i in 0..x.nrows() {
                f(i, j, x[(i, j)]);
            }
        }
    } else {
        for i in 0..x.nrows() {
            for j in units.clone() {
                f(i, j, x[(i, j)]);
            }
        }
    }
}

/// Sums of f(stimulus, value) for each stimulus: within shards of units, then in a fixed tree.
pub(super) fn row_sums<T: Real>(
    x: MatRef<'_, T>,
    f: impl Fn(usize, f64) -> f64 + Sync,
) -> Vec<f64> {
    let shards = parallel::shards(x.ncols(), SHARD);
    let partial = |s: usize| {
        let mut sums = vec![0.0; x.nrows()];
        for_each(x, shards[s].clone(), |i, _, value| sums[i] += f(i, value.to_f64()));
        sums
    };
    let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    parallel::reduce(shards.len(), partial, add).unwrap_or_default()
}

/// A power of two above every |value| of each stimulus.
pub(super) fn row_units<T: Real>(x: MatRef<'_, T>) -> Vec<f64> {
    let shards = parallel::shards(x.ncols(), SHARD);
    let partial = |s: usize| {
        let mut largest = vec![0.0_f64; x.nrows()];
        for_each(x, shards[s].clone(), |i, _, value| {
            largest[i] = largest[i].max(value.to_f64().abs());
        });
        largest
    };
    let larger =
        |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a = a.max(b));
    let largest = parallel::reduce(shards.len(), partial, larger).unwrap_or_default();
    largest.into_iter().map(power_above).collect()
}

/// A power of two above every |value|.
pub(super) fn unit<T: Real>(x: MatRef<'_, T>) -> f64 {
    row_units(x).into_iter().fold(0.0, f64::max)
}

/// Writes f(stimulus, value) of a range of units into rows without gaps.
pub(super) fn pack<T: Real>(
    x: MatRef<'_, T>,
    units: Range<usize>,
    out: &mut Vec<f64>,
    f: impl Fn(usize, f64) -> f64,
) {
    let (first, width) = (units.start, units.len());
    out.resize(x.nrows() * width, 0.0);
    for_each(x, units, |i, j, value| out[i * width + j - first] = f(i, value.to_f64()));
}

/// Subtracts the mean over stimuli from every unit of rows without gaps, exactly up to the rounding
/// of the deviations, and returns nothing of it: differences to the first stimulus first, so that an
/// offset of a unit costs no digits.
pub(super) fn centre_units(rows: &mut [f64], n: usize) {
    let width = rows.len() / n;
    let first = rows[..width].to_vec();
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact_mut(width) {
        for ((value, first), mean) in row.iter_mut().zip(&first).zip(&mut mean) {
            *value -= first;
            *mean += *value;
        }
    }
    for row in rows.chunks_exact_mut(width) {
        row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean / n as f64);
    }
}
