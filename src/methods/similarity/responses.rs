//! Responses, stimuli × units, read in blocks of units.

use std::ops::Range;

use faer::MatRef;
use hesse_kernels::{gram, level1};

use crate::numerics::parallel;
use crate::statistics::power_above;
use crate::{Error, Isa, Real, Result};

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
    let finite = |s: usize| match rows_in_place(x, shards[s].clone()) {
        Some(rows) => rows.iter().all(|row| level1::all_finite(Isa::current(), row)),
        None => {
            let mut finite = true;
            for_each(x, shards[s].clone(), |_, _, value| finite &= value.is_finite());
            finite
        }
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

/// The rows of a range of units where they lie, if those of a stimulus are one after the other.
pub(super) fn rows_in_place<T: Real>(x: MatRef<'_, T>, units: Range<usize>) -> Option<Vec<&[T]>> {
    let row = |i: usize| Some(&x.row(i).try_as_row_major()?.as_slice()[units.clone()]);
    (0..x.nrows()).map(row).collect()
}

/// The rows of a range of units, where they lie or in a copy.
pub(super) fn unit_rows<'a, T: Real>(
    x: MatRef<'a, T>,
    units: Range<usize>,
    copy: &'a mut Vec<T>,
) -> Vec<&'a [T]> {
    if let Some(rows) = rows_in_place(x, units.clone()) {
        return rows;
    }
    let (first, width) = (units.start, units.len());
    copy.resize(x.nrows() * width, T::ZERO);
    for_each(x, units, |i, j, value| copy[i * width + j - first] = value);
    copy.chunks_exact(width).collect()
}

/// Calls `f(stimulus, unit, value)` for the units of a range, in the order of memory.
fn for_each<T: Real>(x: MatRef<'_, T>, units: Range<usize>, mut f: impl FnMut(usize, usize, T)) {
    if x.row_stride().unsigned_abs() < x.col_stride().unsigned_abs() {
        for j in units {
            match x.col(j).try_as_col_major() {
                Some(column) => {
                    let column = column.as_slice().iter();
                    column.enumerate().for_each(|(i, &value)| f(i, j, value));
                }
                None => (0..x.nrows()).for_each(|i| f(i, j, x[(i, j)])),
            }
        }
    } else {
        for i in 0..x.nrows() {
            match x.row(i).try_as_row_major() {
                Some(row) => {
                    let row = row.as_slice()[units.clone()].iter();
                    units.clone().zip(row).for_each(|(j, &value)| f(i, j, value));
                }
                None => units.clone().for_each(|j| f(i, j, x[(i, j)])),
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

/// Σ x/unit − first over the units of each stimulus, as [`row_sums`].
pub(super) fn shifted_row_sums<T: Real>(
    x: MatRef<'_, T>,
    units: &[f64],
    first: &[f64],
) -> Vec<f64> {
    let shards = parallel::shards(x.ncols(), SHARD);
    let partial = |s: usize| {
        let mut copy = Vec::new();
        let rows = unit_rows(x, shards[s].clone(), &mut copy);
        let sum = |(i, row): (usize, &&[T])| {
            gram::shifted_sum(Isa::current(), row, 1.0 / units[i], first[i])
        };
        rows.iter().enumerate().map(sum).collect()
    };
    let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    parallel::reduce(shards.len(), partial, add).unwrap_or_default()
}

/// A power of two above every |value| of each stimulus.
pub(super) fn row_units<T: Real>(x: MatRef<'_, T>) -> Vec<f64> {
    let shards = parallel::shards(x.ncols(), SHARD);
    let partial = |s: usize| {
        if let Some(rows) = rows_in_place(x, shards[s].clone()) {
            return rows.iter().map(|row| level1::max_abs(Isa::current(), row)).collect();
        }
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
