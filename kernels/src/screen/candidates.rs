//! The points that may be among the nearest of each of several points.

use pulp::{Simd, WithSimd};

use super::{BLOCK, Screened};
use crate::Isa;

/// A list of values and indices for each point of a block, in the caller's memory, and a limit for
/// each: every value offered so far that lies below it is in the list.
#[derive(Debug)]
pub struct Candidates<'a, T> {
    pub(super) values: &'a mut [T],
    pub(super) indices: &'a mut [u32],
    pub(super) counts: &'a mut [u32],
    pub(super) limits: &'a mut [T],
    pub(super) room: usize,
}

impl<'a, T: Screened> Candidates<'a, T> {
    /// One list for each of [`BLOCK`] points. At the start counts are 0, and limits
    /// [`Screened::UNLIMITED`] for points and [`Screened::NEVER`] for places behind the last one.
    ///
    /// # Panics
    /// Unless there are [`BLOCK`] counts and limits, and values and indices of the same room for
    /// each, a multiple of 16 that is larger than every count.
    #[must_use]
    pub fn new(
        values: &'a mut [T],
        indices: &'a mut [u32],
        counts: &'a mut [u32],
        limits: &'a mut [T],
    ) -> Self {
        assert_eq!((counts.len(), limits.len()), (BLOCK, BLOCK));
        let room = values.len() / BLOCK;
        assert!(room > 0 && room.is_multiple_of(16) && values.len() == room * BLOCK);
        assert_eq!(indices.len(), values.len());
        assert!(counts.iter().all(|&count| (count as usize) < room), "candidates: no room");
        Self { values, indices, counts, limits, room }
    }

    /// The same lists for a shorter time.
    pub fn reborrow(&mut self) -> Candidates<'_, T> {
        let Self { values, indices, counts, limits, room } = self;
        Candidates { values, indices, counts, limits, room: *room }
    }

    /// The values and indices of a list, in no order, and its limit.
    #[must_use]
    pub fn list(&self, list: usize) -> (&[T], &[u32], T) {
        let kept = list * self.room..list * self.room + self.counts[list] as usize;
        (&self.values[kept.clone()], &self.indices[kept], self.limits[list])
    }

    /// Shortens every list to about `quota` of its smallest values, never to fewer unless so many are
    /// the same that there is no room for them.
    pub fn cut(&mut self, isa: Isa, quota: usize) {
        T::cut(isa, Cut { lists: self.reborrow(), quota, parts: None });
    }

    /// Brings about `quota` of the smallest values of every list to its front, never fewer if the
    /// list has so many, and writes their number.
    ///
    /// # Panics
    /// Unless there is a place for each of [`BLOCK`] lists.
    pub fn part(&mut self, isa: Isa, quota: usize, parts: &mut [u32]) {
        assert_eq!(parts.len(), BLOCK);
        T::cut(isa, Cut { lists: self.reborrow(), quota, parts: Some(parts) });
    }

    /// Appends a value below the limit.
    #[inline(always)]
    pub(super) fn push(&mut self, list: usize, value: T, index: u32) {
        let count = self.counts[list] as usize;
        self.values[list * self.room + count] = value;
        self.indices[list * self.room + count] = index;
        self.counts[list] += 1;
        if count + 1 == self.room {
            self.make_room(list);
        }
    }

    /// Cuts a full list to half, or to fewer where too many values are the same.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, list: usize) {
        let values = &self.values[list * self.room..(list + 1) * self.room];
        let quota = self.room / 2;
        let ends = ends(values);
        let limit = match between(ends, quota, &Scalars(values)) {
            Some((_, high)) => high,
            None => ends.1,
        };
        self.compact(list, limit);
    }

    /// Keeps what lies below a new limit.
    #[inline(always)]
    fn compact(&mut self, list: usize, limit: T) {
        let start = list * self.room;
        let count = self.counts[list] as usize;
        let values = &mut self.values[start..start + count];
        let indices = &mut self.indices[start..start + count];
        let mut kept = 0;
        for e in 0..count {
            let (value, index) = (values[e], indices[e]);
            values[kept] = value;
            indices[kept] = index;
            kept += usize::from(value < limit);
        }
        self.counts[list] = kept as u32;
        self.limits[list] = limit;
    }

    /// Brings what lies below a value to the front, and returns its number.
    #[inline(always)]
    fn bring_forward(&mut self, list: usize, limit: T) -> usize {
        let start = list * self.room;
        let count = self.counts[list] as usize;
        let values = &mut self.values[start..start + count];
        let indices = &mut self.indices[start..start + count];
        let mut front = 0;
        for e in 0..count {
            let (value, index) = (values[e], indices[e]);
            values[e] = values[front];
            indices[e] = indices[front];
            values[front] = value;
            indices[front] = index;
            front += usize::from(value < limit);
        }
        front
    }
}

/// The smallest and the largest.
#[inline(always)]
fn ends<T: Screened>(values: &[T]) -> (T, T) {
    let (mut low, mut high) = (values[0], values[0]);
    for &v in values {
        low = if v < low { v } else { low };
        high = if v > high { v } else { high };
    }
    (low, high)
}

/// Values of which those below a limit are counted.
trait Values<T> {
    fn below(&self, limit: T) -> usize;
}

struct Scalars<'a, T>(&'a [T]);

impl<T: Screened> Values<T> for Scalars<'_, T> {
    fn below(&self, limit: T) -> usize {
        self.0.iter().filter(|v| **v < limit).count()
    }
}

struct Vectors<'a, T: Screened, S: Simd>(S, &'a [T::Vector<S>]);

impl<T: Screened, S: Simd> Values<T> for Vectors<'_, T, S> {
    #[inline(always)]
    fn below(&self, limit: T) -> usize {
        let limit = T::splat(self.0, limit);
        let mut count = 0;
        for &v in self.1 {
            count += T::above(self.0, limit, v).count_ones();
        }
        count as usize
    }
}

/// Two limits, of which fewer than `quota` values lie below the first, and at least so many, but not
/// many more, below the second. None if fewer lie below the largest value.
#[inline(always)]
fn between<T: Screened>(
    (mut low, mut high): (T, T),
    quota: usize,
    values: &impl Values<T>,
) -> Option<(T, T)> {
    if values.below(high) < quota {
        return None;
    }
    let enough = quota + quota / 16;
    // Thirty halvings separate all but near ties.
    for _ in 0..30 {
        let middle = T::middle(low, high);
        if middle <= low || middle >= high {
            break;
        }
        let count = values.below(middle);
        if count < quota {
            low = middle;
        } else {
            high = middle;
            if count <= enough {
                break;
            }
        }
    }
    Some((low, high))
}

/// Cuts or parts every list.
#[doc(hidden)]
#[derive(Debug)]
pub struct Cut<'a, 'b, T> {
    lists: Candidates<'a, T>,
    quota: usize,
    parts: Option<&'b mut [u32]>,
}

impl<T: Screened> WithSimd for Cut<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mut lists, quota, mut parts } = self;
        let lanes = T::lanes::<S>();
        for list in 0..BLOCK {
            let count = lists.counts[list] as usize;
            let mut limit = None;
            if count > quota {
                let start = list * lists.room;
                let whole = start..start + count.next_multiple_of(lanes);
                lists.values[start + count..whole.end].fill(T::UNLIMITED);
                let ends = ends(&lists.values[start..start + count]);
                let vectors = Vectors::<T, S>(simd, T::as_simd::<S>(&lists.values[whole]));
                if let Some((_, high)) = between(ends, quota, &vectors) {
                    limit = Some(high);
                }
            }
            match (&mut parts, limit) {
                (None, Some(limit)) => lists.compact(list, limit),
                (Some(parts), Some(limit)) => {
                    parts[list] = lists.bring_forward(list, limit) as u32;
                }
                (None, None) => (),
                (Some(parts), None) => parts[list] = count as u32,
            }
        }
    }
}
