//! Points that are the same.

use std::collections::HashMap;

use super::rows::{Rows, SHARD};
use crate::{Real, numerics::parallel};

/// The first copy of each distinct row, in order of appearance. −0 equals 0.
pub(super) fn first_copies<T: Real>(rows: &Rows<T>) -> Vec<usize> {
    let mut hashes = vec![0; rows.n];
    parallel::for_each_piece(&mut hashes, SHARD, |s, piece| {
        for (r, hash) in piece.iter_mut().enumerate() {
            *hash = hash_of(rows.row(s * SHARD + r));
        }
    });
    // A row whose hash nobody else has needs no comparison, and no list.
    let mut sorted = hashes.clone();
    sorted.sort_unstable();
    if sorted.windows(2).all(|w| w[0] != w[1]) {
        return (0..rows.n).collect();
    }
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

/// Four chains, so that no multiplication waits for the one before. Equal rows, equal hashes; others
/// are compared where theirs are the same.
fn hash_of<T: Real>(row: &[T]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chains = [1_u64, 2, 3, 4];
    for some in row.chunks(4) {
        for (chain, x) in chains.iter_mut().zip(some) {
            // 0 is added so that −0 becomes 0.
            let bits = (x.to_f64() + 0.0).to_bits();
            *chain = (*chain ^ bits ^ (bits >> 32)).wrapping_mul(ODD).rotate_left(29);
        }
    }
    chains.iter().fold(0, |hash, chain| (hash ^ chain).wrapping_mul(ODD).rotate_left(31))
}

/// The rows with these indices.
pub(super) fn select<T: Real>(rows: &Rows<T>, kept: &[usize]) -> Rows<T> {
    let mut data = Vec::with_capacity(kept.len() * rows.d);
    kept.iter().for_each(|&i| data.extend_from_slice(rows.row(i)));
    Rows { data, n: kept.len(), d: rows.d }
}
