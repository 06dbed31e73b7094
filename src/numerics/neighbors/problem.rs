//! What every search is asked, and how the winners of a row are ordered.

use std::cmp::Ordering;

use hesse_kernels::smallest::Entry;

use super::rows::Rows;

/// The k nearest of the reference points of each query point.
pub(super) struct Problem<'a, T> {
    pub queries: &'a Rows<T>,
    pub reference: &'a Rows<T>,
    /// The queries are the reference points: point i is no neighbour of itself.
    pub own: bool,
    pub k: usize,
}

impl<T> Problem<'_, T> {
    /// The reference point that is not a neighbour of query i.
    pub fn excluded(&self, i: usize) -> Option<u32> {
        self.own.then_some(i as u32)
    }
}

/// Squared distances and indices of the k nearest points of each row, row after row.
pub(super) struct Squares {
    pub squares: Vec<f64>,
    pub indices: Vec<u32>,
    k: usize,
}

impl Squares {
    pub fn new(rows: usize, k: usize) -> Self {
        Self { squares: vec![0.0; rows * k], indices: vec![0; rows * k], k }
    }

    pub fn set(&mut self, row: usize, nearest: &[Entry<f64>]) {
        let place = row * self.k..(row + 1) * self.k;
        for ((square, index), entry) in
            self.squares[place.clone()].iter_mut().zip(&mut self.indices[place]).zip(nearest)
        {
            (*square, *index) = (entry.value, entry.index);
        }
    }
}

/// The k smallest so far, in order.
pub(super) struct Nearest {
    pub entries: Vec<Entry<f64>>,
    k: usize,
}

impl Nearest {
    pub fn new(k: usize) -> Self {
        Self { entries: Vec::with_capacity(k + 1), k }
    }

    /// The k-th smallest square, infinite as long as there are fewer.
    pub fn limit(&self) -> f64 {
        if self.entries.len() < self.k { f64::INFINITY } else { self.entries[self.k - 1].value }
    }

    pub fn offer(&mut self, value: f64, index: u32) {
        let new = Entry { value, index };
        if self.entries.len() == self.k {
            if new.order(&self.entries[self.k - 1]) != Ordering::Less {
                return;
            }
            self.entries.pop();
        }
        let place = self.entries.partition_point(|e| e.order(&new) == Ordering::Less);
        self.entries.insert(place, new);
    }
}
