//! Points that are the same.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::rows::Rows;
use crate::{Real, numerics::parallel};

/// The first copy of each distinct row, in order of appearance. −0 equals 0.
pub(super) fn first_copies<T: Real>(rows: &Rows<T>) -> Vec<usize> {
    let hashes = parallel::map(rows.n, |i| {
        let mut hasher = DefaultHasher::new();
        // 0 is added so that −0 becomes 0.
        rows.row(i).iter().for_each(|x| hasher.write_u64((x.to_f64() + 0.0).to_bits()));
        hasher.finish()
    });
    let mut seen: HashMap<u64, Vec<usize>> = HashMap::with_capacity(rows.n);
    let mut kept = Vec::new();
    for (i, hash) in hashes.into_iter().enumerate() {
        let same_hash = seen.entry(hash).or_default();
        if !same_hash.iter().any(|&j| rows.row(i) == rows.row(j)) {
            same_hash.push(i);
            kept.push(i);
        }
    }
    kept
}

/// The rows with these indices.
pub(super) fn select<T: Real>(rows: &Rows<T>, kept: &[usize]) -> Rows<T> {
    let mut data = Vec::with_capacity(kept.len() * rows.d);
    kept.iter().for_each(|&i| data.extend_from_slice(rows.row(i)));
    Rows { data, n: kept.len(), d: rows.d }
}
