//! The order of samples by value.

use crate::{Error, Result};

/// Below this many values a comparison sort is faster than passes over buckets.
const SMALL: usize = 512;
/// Bits of one digit of a key: 2048 buckets stay in the first-level cache.
const DIGIT: u32 = 11;

/// Indices of `values` from the smallest to the largest, equal ones in the order of their indices.
///
/// −0 and 0 are equal. O(n): six passes over keys with the indices beside them, of which those in
/// which all digits agree are left out.
///
/// # Errors
/// NaN, more than 2³² − 1 values.
pub(super) fn sorted_order(what: &str, values: &[f64]) -> Result<Vec<u32>> {
    if let Some(index) = values.iter().position(|v| v.is_nan()) {
        return Err(Error::NonFinite { what: what.to_owned(), index, value: values[index] });
    }
    if u32::try_from(values.len()).is_err() {
        return Err(Error::range(format!("{what}: length"), "at most 4294967295", values.len()));
    }
    let mut keyed: Vec<(u64, u32)> = (0..).zip(values).map(|(i, &v)| (key(v), i)).collect();
    if keyed.len() < SMALL {
        keyed.sort_unstable();
    } else {
        by_digits(&mut keyed);
    }
    Ok(keyed.into_iter().map(|(_, i)| i).collect())
}

/// A whole number that is ordered as the values are.
fn key(value: f64) -> u64 {
    // −0 + 0 = 0.
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Sorts by the key, stably, digit by digit from the last.
fn by_digits(keyed: &mut Vec<(u64, u32)>) {
    let buckets = 1 << DIGIT;
    let digit = |key: u64, shift: u32| (key >> shift) as usize & (buckets - 1);
    let mut other = vec![(0, 0); keyed.len()];
    for shift in (0..u64::BITS).step_by(DIGIT as usize) {
        let mut starts = vec![0; buckets];
        keyed.iter().for_each(|&(key, _)| starts[digit(key, shift)] += 1);
        if starts.contains(&keyed.len()) {
            continue;
        }
        let mut before = 0;
        for start in &mut starts {
            before += std::mem::replace(start, before);
        }
        for &pair in keyed.iter() {
            let start = &mut starts[digit(pair.0, shift)];
            other[*start] = pair;
            *start += 1;
        }
        std::mem::swap(keyed, &mut other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_a_comparison_sort() {
        let special =
            [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 5e-324, -5e-324, 1e300, -1e300, 1.0];
        for n in [0, 1, 2, 9, 511, 512, 3000] {
            let value = |i: usize| match i % 3 {
                0 => special[i % special.len()],
                1 => ((i * 7919) % 1009) as f64 - 500.0,
                _ => 1.0 / (1.0 + ((i * 31) % 97) as f64),
            };
            let values: Vec<f64> = (0..n).map(value).collect();
            let order = sorted_order("x", &values).unwrap();
            let mut want: Vec<u32> = (0..).take(n).collect();
            want.sort_by(|&i, &j| {
                values[i as usize].partial_cmp(&values[j as usize]).expect("no NaN")
            });
            assert_eq!(order, want, "{n}");
        }
    }
}
