//! Consecutive points with neighbours at the same distances.

/// Up to 64 consecutive points, and where the neighbours of each are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the first point.
    pub start: u32,
    /// Number of points, 1 to 64.
    pub length: u32,
    /// Neighbour − point for each of up to six neighbours.
    pub offsets: [i32; 6],
    /// Bit i: point i of the run has that neighbour.
    pub present: [u64; 6],
}

impl Run {
    /// Most points of a run.
    pub const LONGEST: u32 = u64::BITS;

    /// One point with the distances to its neighbours.
    #[must_use]
    pub fn of_point(start: u32, neighbours: [Option<i32>; 6]) -> Self {
        Self {
            start,
            length: 1,
            offsets: neighbours.map(|offset| offset.unwrap_or(0)),
            present: neighbours.map(|offset| u64::from(offset.is_some())),
        }
    }

    /// Appends the next point; false, with nothing changed, if the run is full or a distance is
    /// another one than before.
    pub fn extend(&mut self, neighbours: [Option<i32>; 6]) -> bool {
        let known = |k: usize| self.present[k] != 0;
        let fits = |(k, offset): (usize, &Option<i32>)| {
            offset.is_none_or(|offset| !known(k) || self.offsets[k] == offset)
        };
        if self.length >= Self::LONGEST || !neighbours.iter().enumerate().all(fits) {
            return false;
        }
        for (k, offset) in neighbours.into_iter().enumerate() {
            if let Some(offset) = offset {
                self.offsets[k] = offset;
                self.present[k] |= 1 << self.length;
            }
        }
        self.length += 1;
        true
    }

    /// The distances to the neighbours of point `i` of the run.
    #[must_use]
    pub fn neighbours(&self, i: u32) -> [Option<i32>; 6] {
        core::array::from_fn(|k| {
            let there = self.present[k].checked_shr(i).unwrap_or(0) & 1 == 1;
            there.then_some(self.offsets[k])
        })
    }

    /// How many points from `point` on have the same neighbours as it; `point < length`.
    #[inline(always)]
    pub(super) fn alike(&self, point: usize) -> usize {
        let mut end = self.length as usize;
        for bits in self.present {
            let here = (bits >> point & 1).wrapping_neg();
            end = end.min(point + ((bits ^ here) >> point).trailing_zeros() as usize);
        }
        end - point
    }

    /// The part from point `from` of the run to before point `to`; `from < to ≤ length`.
    #[must_use]
    pub fn part(&self, from: u32, to: u32) -> Self {
        let kept = super::low_bits((to - from) as usize);
        Self {
            start: self.start + from,
            length: to - from,
            offsets: self.offsets,
            present: self.present.map(|bits| bits.checked_shr(from).unwrap_or(0) & kept),
        }
    }

    /// Asserts that all points and their neighbours are among so many points, and the length and the
    /// bits are what they may be: what loads rely on.
    #[inline(always)]
    pub(super) fn check(&self, points: usize) {
        let (start, length) = (self.start as usize, self.length as usize);
        let mut good = (1..=Self::LONGEST as usize).contains(&length) && start + length <= points;
        let start = i64::from(self.start);
        for (&offset, &bits) in self.offsets.iter().zip(&self.present) {
            if bits != 0 {
                let last = 63 - i64::from(bits.leading_zeros());
                let low = start + i64::from(bits.trailing_zeros()) + i64::from(offset);
                let high = start + last + i64::from(offset);
                good &= low >= 0 && high < points as i64 && last < i64::from(self.length);
            }
        }
        assert!(good, "run outside {points} points: {self:?}");
    }
}
