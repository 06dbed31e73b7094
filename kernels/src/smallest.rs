//! Selection of the smallest values of each row or column of tiles that come one after the other.
//!
//! A list keeps the `keep` smallest values offered so far, unsorted, with room for more: a value
//! below the list's limit is appended, and a full list is cut back to the `keep` smallest, the
//! largest of which is the new limit. After a few tiles hardly any value passes, so a tile costs one
//! addition and one comparison an element. Bandwidth-bound in cache.
//!
//! What a list holds at the end does not depend on how values were cut into tiles. NaN and +∞ are
//! never kept.

use core::cmp::Ordering;

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::{Isa, Real};

/// A value and the index of the row or column that it came from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub index: u32,
}

impl<T: Real> Entry<T> {
    /// By value, then by index.
    #[must_use]
    #[inline]
    pub fn order(&self, other: &Self) -> Ordering {
        // Without branches, for selections: they ask for less, and about random values.
        let before =
            |a: &Self, b: &Self| (a.value < b.value) | ((a.value == b.value) & (a.index < b.index));
        if before(self, other) {
            Ordering::Less
        } else if before(other, self) {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    }
}

/// Lists of the smallest values, in the caller's memory.
#[derive(Debug)]
pub struct Lists<'a, T> {
    entries: &'a mut [Entry<T>],
    counts: &'a mut [u32],
    limits: &'a mut [T],
    keep: usize,
    room: usize,
}

impl<'a, T: Real> Lists<'a, T> {
    /// One list for each element of `counts` and `limits`, which say how many entries it has and
    /// above which value nothing is kept: 0 and +∞ at the start. All lists share `entries` in equal
    /// parts.
    ///
    /// # Panics
    /// Unless 0 < `keep` < room of a list, and every count is within the room.
    #[must_use]
    pub fn new(
        entries: &'a mut [Entry<T>],
        counts: &'a mut [u32],
        limits: &'a mut [T],
        keep: usize,
    ) -> Self {
        assert_eq!(counts.len(), limits.len());
        let room = entries.len().checked_div(counts.len()).unwrap_or(keep + 1);
        assert!(0 < keep && keep < room, "lists: {keep} to keep in {room} places");
        assert!(
            counts.iter().all(|&count| (count as usize) < room),
            "lists: a count beyond {room}"
        );
        Self { entries, counts, limits, keep, room }
    }

    /// Number of lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is no list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The smallest entries of a list in order, by value and then by index, and a value that
    /// nothing that was left out lies below: +∞ if nothing was left out.
    pub fn finish(&mut self, list: usize) -> (&[Entry<T>], T) {
        if self.counts[list] as usize > self.keep {
            self.cut(list);
        }
        let start = list * self.room;
        let kept = &mut self.entries[start..start + self.counts[list] as usize];
        kept.sort_unstable_by(Entry::order);
        (kept, self.limits[list])
    }

    /// Appends a value below the limit.
    #[inline(always)]
    fn push(&mut self, list: usize, value: T, index: u32) {
        let count = self.counts[list] as usize;
        self.entries[list * self.room + count] = Entry { value, index };
        self.counts[list] += 1;
        if count + 1 == self.room {
            self.cut(list);
        }
    }

    /// Keeps the smallest ones.
    #[cold]
    #[inline(never)]
    fn cut(&mut self, list: usize) {
        let (start, keep) = (list * self.room, self.keep);
        let entries = &mut self.entries[start..start + self.counts[list] as usize];
        let (_, last, _) = entries.select_nth_unstable_by(keep - 1, Entry::order);
        self.limits[list] = last.value;
        self.counts[list] = keep as u32;
    }
}

/// Offers element (r, c) of a row-major tile plus `shift[c]` to list r, as index `first + c`.
///
/// Of equal values at the end of a list, those offered first stay: offer indices in ascending order
/// where ties must go to the smaller one.
///
/// # Panics
/// Unless the tile has a row for each list and a column for each shift, and indices fit 32 bits.
pub fn offer_rows<T: Real>(
    isa: Isa,
    lists: &mut Lists<'_, T>,
    tile: &[T],
    shift: &[T],
    first: u32,
) {
    assert_eq!(tile.len(), lists.len() * shift.len());
    assert!(shift.len() <= (u32::MAX - first) as usize);
    let lists = reborrow(lists);
    dispatch!(isa, Offer<'a, T> = Offer { lists, tile, shift, first, by_rows: true });
}

/// Offers element (r, c) of a row-major tile plus `shift[r]` to list c, as index `first + r`; else
/// as [`offer_rows`].
///
/// # Panics
/// Unless the tile has a column for each list and a row for each shift, and indices fit 32 bits.
pub fn offer_columns<T: Real>(
    isa: Isa,
    lists: &mut Lists<'_, T>,
    tile: &[T],
    shift: &[T],
    first: u32,
) {
    assert_eq!(tile.len(), lists.len() * shift.len());
    assert!(shift.len() <= (u32::MAX - first) as usize);
    let lists = reborrow(lists);
    dispatch!(isa, Offer<'a, T> = Offer { lists, tile, shift, first, by_rows: false });
}

fn reborrow<'a, T>(lists: &'a mut Lists<'_, T>) -> Lists<'a, T> {
    let Lists { entries, counts, limits, keep, room } = lists;
    Lists { entries, counts, limits, keep: *keep, room: *room }
}

struct Offer<'a, T> {
    lists: Lists<'a, T>,
    tile: &'a [T],
    shift: &'a [T],
    first: u32,
    by_rows: bool,
}

impl<T: Real> WithSimd for Offer<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.by_rows { self.rows(simd) } else { self.columns(simd) }
    }
}

impl<T: Real> Offer<'_, T> {
    #[inline(always)]
    fn rows<S: Simd>(self, simd: S) {
        let Self { mut lists, tile, shift, first, .. } = self;
        let (shifts, shift_tail) = T::as_simd::<S>(shift);
        if shift.is_empty() {
            return;
        }
        for (list, row) in tile.chunks_exact(shift.len()).enumerate() {
            let (row, tail) = T::as_simd::<S>(row);
            let mut limit = T::splat(simd, lists.limits[list]);
            for (v, (&g, &s)) in row.iter().zip(shifts).enumerate() {
                let value = <T as Lanes>::add(simd, g, s);
                if T::any(simd, T::less_than(simd, value, limit)) {
                    let index = first + (v * T::lanes::<S>()) as u32;
                    for (value, index) in T::as_lanes::<S>(&value).iter().zip(index..) {
                        if *value < lists.limits[list] {
                            lists.push(list, *value, index);
                        }
                    }
                    limit = T::splat(simd, lists.limits[list]);
                }
            }
            let index = first + (row.len() * T::lanes::<S>()) as u32;
            for ((&g, &s), index) in tail.iter().zip(shift_tail).zip(index..) {
                if g + s < lists.limits[list] {
                    lists.push(list, g + s, index);
                }
            }
        }
    }

    #[inline(always)]
    fn columns<S: Simd>(self, simd: S) {
        let Self { mut lists, tile, shift, first, .. } = self;
        let width = lists.len();
        if width == 0 {
            return;
        }
        let body = width / T::lanes::<S>() * T::lanes::<S>();
        for ((row, &s), index) in tile.chunks_exact(width).zip(shift).zip(first..) {
            let (row, tail) = T::as_simd::<S>(row);
            let shift = T::splat(simd, s);
            for v in 0..row.len() {
                let value = <T as Lanes>::add(simd, row[v], shift);
                let limit = T::as_simd::<S>(lists.limits).0[v];
                if T::any(simd, T::less_than(simd, value, limit)) {
                    for (value, list) in T::as_lanes::<S>(&value).iter().zip(v * T::lanes::<S>()..)
                    {
                        if *value < lists.limits[list] {
                            lists.push(list, *value, index);
                        }
                    }
                }
            }
            for (&g, list) in tail.iter().zip(body..) {
                if g + s < lists.limits[list] {
                    lists.push(list, g + s, index);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle;

    struct Stored<T> {
        entries: Vec<Entry<T>>,
        counts: Vec<u32>,
        limits: Vec<T>,
        keep: usize,
    }

    impl<T: Real> Stored<T> {
        fn new(lists: usize, keep: usize, room: usize) -> Self {
            Self {
                entries: vec![Entry { value: T::ZERO, index: 0 }; lists * room],
                counts: vec![0; lists],
                limits: vec![T::INFINITY; lists],
                keep,
            }
        }

        fn view(&mut self) -> Lists<'_, T> {
            Lists::new(&mut self.entries, &mut self.counts, &mut self.limits, self.keep)
        }
    }

    /// The smallest of each of `lists` sequences of n values, offered in tiles of a few columns,
    /// against sorting all of them.
    fn lists_hold_what_sorting_gives<T: Real>() {
        let shapes = [(1, 1, 1), (3, 40, 2), (17, 33, 5), (16, 64, 16), (5, 300, 7), (33, 100, 99)];
        for isa in Isa::available() {
            for (lists, n, keep) in shapes {
                for kind in 0..4 {
                    let mut x = oracle::uniform((lists * n + kind) as u64, lists * n + n);
                    match kind {
                        // Many ties.
                        1 => x.iter_mut().for_each(|x| *x = (3.0 * *x).round()),
                        // What must not be kept.
                        2 => x.iter_mut().step_by(3).for_each(|x| *x = f64::NAN),
                        3 => x.iter_mut().step_by(2).for_each(|x| *x = f64::INFINITY),
                        _ => (),
                    }
                    let x: Vec<T> = x.into_iter().map(T::from_f64).collect();
                    let (x, shift) = x.split_at(lists * n);
                    for room in [keep + 1, 2 * keep + 3] {
                        let mut rows = Stored::<T>::new(lists, keep, room);
                        let mut columns = Stored::<T>::new(lists, keep, room);
                        let mut start = 0;
                        for width in [1, 20, 16, 37, n].into_iter().cycle() {
                            let width = width.min(n - start);
                            let shift = &shift[start..start + width];
                            let at = |list: usize, c: usize| x[list * n + start + c];
                            let tile: Vec<T> =
                                (0..lists * width).map(|e| at(e / width, e % width)).collect();
                            offer_rows(isa, &mut rows.view(), &tile, shift, start as u32);
                            let tile: Vec<T> =
                                (0..lists * width).map(|e| at(e % lists, e / lists)).collect();
                            offer_columns(isa, &mut columns.view(), &tile, shift, start as u32);
                            start += width;
                            if start == n {
                                break;
                            }
                        }
                        for list in 0..lists {
                            let all: Vec<f64> =
                                (0..n).map(|i| (x[list * n + i] + shift[i]).to_f64()).collect();
                            let want = oracle::smallest(&all, keep);
                            let finite = all.iter().filter(|x| **x < f64::INFINITY).count();
                            for stored in [&mut rows, &mut columns] {
                                let mut view = stored.view();
                                let (got, limit) = view.finish(list);
                                let got: Vec<(f64, usize)> = got
                                    .iter()
                                    .map(|e| (e.value.to_f64(), e.index as usize))
                                    .collect();
                                assert_eq!(got, want, "{isa} {} {lists} {n} {keep}", T::NAME);
                                if finite <= keep {
                                    assert_eq!(limit, T::INFINITY);
                                } else {
                                    assert_eq!(limit.to_f64(), want[keep - 1].0);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn lists_of_f32_hold_what_sorting_gives() {
        lists_hold_what_sorting_gives::<f32>();
    }

    #[test]
    fn lists_of_f64_hold_what_sorting_gives() {
        lists_hold_what_sorting_gives::<f64>();
    }

    #[test]
    fn empty_tiles_and_no_lists_are_nothing() {
        let mut stored = Stored::<f64>::new(2, 1, 2);
        offer_rows(Isa::current(), &mut stored.view(), &[], &[], 0);
        offer_columns(Isa::current(), &mut stored.view(), &[], &[], 0);
        assert_eq!(stored.view().finish(1), (&[][..], f64::INFINITY));
        let mut none = Stored::<f64>::new(0, 1, 2);
        offer_rows(Isa::current(), &mut none.view(), &[], &[1.0], 0);
        offer_columns(Isa::current(), &mut none.view(), &[], &[1.0], 0);
        assert!(none.view().is_empty());
    }
}
