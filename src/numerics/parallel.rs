//! Work in fixed shards, results in a fixed order: the same bits for any number of threads.
//!
//! Threads are rayon's current pool. A shard's size depends on the work alone, never on the number
//! of threads, and partial results meet in a fixed binary tree.

use std::cell::Cell;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

/// The ranges that cut `0..n` into pieces of `size` (the last may be shorter).
///
/// `size` = 0 counts as 1.
#[must_use]
pub fn shards(n: usize, size: usize) -> Vec<Range<usize>> {
    let size = size.max(1);
    (0..n.div_ceil(size)).map(|s| s * size..n.min((s + 1) * size)).collect()
}

thread_local! {
    /// Whether the work of this thread stays on it.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with all work that this module distributes on the calling thread, to the same bits.
///
/// For tasks that are whole computations side by side: a thread that waits for a piece of one would
/// otherwise begin another whole one.
pub fn alone<R>(f: impl FnOnce() -> R) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _before = Before(ALONE.replace(true));
    f()
}

/// Whether the calling thread does all work itself: it works [`alone`], or the pool has one thread, to
/// which handing work over would only take time.
fn by_itself() -> bool {
    ALONE.get() || rayon::current_num_threads() == 1
}

/// Runs both, at once where this thread does not work by itself.
fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    if by_itself() { (a(), b()) } else { rayon::join(a, b) }
}

/// Maps the indices `0..n` in parallel and merges the results pairwise in a fixed tree: the left
/// half of a range is merged with its right half, whatever the number of threads. `None` for n = 0.
///
/// At most O(threads · log n) results are alive at once.
pub fn reduce<R: Send>(
    n: usize,
    map: impl Fn(usize) -> R + Sync,
    merge: impl Fn(&mut R, R) + Sync,
) -> Option<R> {
    fn tree<R: Send>(
        range: Range<usize>,
        map: &(impl Fn(usize) -> R + Sync),
        merge: &(impl Fn(&mut R, R) + Sync),
    ) -> R {
        if range.len() == 1 {
            return map(range.start);
        }
        let middle = range.start + range.len().div_ceil(2);
        let (mut left, right) =
            join(|| tree(range.start..middle, map, merge), || tree(middle..range.end, map, merge));
        merge(&mut left, right);
        left
    }
    (n > 0).then(|| tree(0..n, &map, &merge))
}

/// Σ of `term` over the indices `0..n`, pairwise in a fixed tree.
pub fn sum(n: usize, term: impl Fn(usize) -> f64 + Sync) -> f64 {
    reduce(n, term, |a, b| *a += b).unwrap_or(0.0)
}

/// Runs `f` on consecutive pieces of `data` of `size` elements, in parallel.
pub fn for_each_piece<T: Send>(data: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let size = size.max(1);
    if data.len() <= size || by_itself() {
        data.chunks_mut(size).enumerate().for_each(|(i, piece)| f(i, piece));
    } else {
        data.par_chunks_mut(size).enumerate().for_each(|(i, piece)| f(i, piece));
    }
}

/// The results of `f` over `0..n` in order, computed in parallel.
pub fn map<R: Send>(n: usize, f: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    if by_itself() {
        return (0..n).map(f).collect();
    }
    (0..n).into_par_iter().map(f).collect()
}

/// Buffers lent to whoever works, so that no pass allocates.
#[derive(Debug)]
pub(crate) struct Pool<B>(Mutex<Vec<B>>);

impl<B> Default for Pool<B> {
    fn default() -> Self {
        Pool(Mutex::new(Vec::new()))
    }
}

impl<B: Default> Pool<B> {
    pub(crate) fn get(&self) -> B {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(crate) fn give(&self, buffer: B) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut B) -> R) -> R {
        let mut buffer = self.get();
        let result = work(&mut buffer);
        self.give(buffer);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_everything_once() {
        for n in [0, 1, 2, 7, 8, 9, 100] {
            for size in [0, 1, 3, 8, 200] {
                let pieces = shards(n, size);
                assert_eq!(pieces.iter().map(Range::len).sum::<usize>(), n);
                assert!(pieces.windows(2).all(|w| w[0].end == w[1].start));
            }
        }
    }

    #[test]
    fn reduction_has_the_same_bits_for_any_number_of_threads() {
        let term = |i: usize| 1.0 / (i as f64 + 0.1);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sum(10_007, term)).to_bits()
        };
        let one = on(1);
        assert!([2, 3, 7].into_iter().all(|threads| on(threads) == one));
        let exact: f64 = (0..10_007).rev().map(term).sum();
        assert!((f64::from_bits(one) - exact).abs() < 1e-13 * exact);
    }

    #[test]
    fn work_alone_stays_on_its_thread_with_the_same_bits() {
        let term = |i: usize| 1.0 / (i as f64 + 0.1);
        let threads = |collect: &dyn Fn() -> Vec<std::thread::ThreadId>| {
            let ids: std::collections::HashSet<_> = collect().into_iter().collect();
            ids.len()
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        pool.install(|| {
            let shared = sum(10_007, term).to_bits();
            assert_eq!(alone(|| sum(10_007, term)).to_bits(), shared);
            alone(|| {
                assert_eq!(threads(&|| map(500, |_| std::thread::current().id())), 1);
                let mut ids = vec![None; 500];
                for_each_piece(&mut ids, 1, |_, id| id[0] = Some(std::thread::current().id()));
                assert_eq!(threads(&|| ids.iter().flatten().copied().collect()), 1);
                // Nested, and still alone behind it.
                alone(|| ());
                assert!(ALONE.get());
            });
            assert!(!ALONE.get());
        });
    }

    #[test]
    fn reduction_merges_in_order() {
        let text = reduce(5, |i| i.to_string(), |a, b| *a = format!("({a}{b})")).unwrap();
        assert_eq!(text, "(((01)2)(34))");
        assert!(reduce(0, |i| i, |_, _| ()).is_none());
    }
}
