//! A table of neighbours.

use super::plan::Search;
use crate::{Error, Result};

/// Numbers that pairs of points are screened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arithmetic {
    /// 16-bit integers, whose products are exact.
    Integers,
    /// `f32`.
    Single,
    /// `f64`.
    Double,
}

/// How a table was found. It says nothing of what the table holds, which is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The search.
    pub search: Search,
    /// The numbers that pairs were screened in; double precision where they were not screened.
    pub arithmetic: Arithmetic,
    /// Rows that narrower numbers could not certify and that were searched for again in double
    /// precision.
    pub repeated_in_double: usize,
    /// Rows that tiles could not certify (many ties, or copies), or that were few, and that were
    /// searched for by direct differences.
    pub repeated_directly: usize,
}

/// The k nearest points of each of n points, nearest first; ties by the smaller index.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors {
    pub(super) distances: Vec<f64>,
    pub(super) indices: Vec<u32>,
    pub(super) k: usize,
    /// Number of reference points.
    pub(super) points: usize,
    /// Among themselves: no point is a neighbour of itself.
    pub(super) own: bool,
    pub(super) kept: Option<Vec<usize>>,
    pub(super) report: Option<Report>,
}

impl Neighbors {
    /// A table that was computed elsewhere: n rows of k distances and of k indices of other points.
    ///
    /// # Errors
    /// No row or no neighbour, lengths that do not agree, distances that are negative, not finite or
    /// not ascending, an index out of range, twice in a row or of the point itself.
    pub fn from_parts(distances: Vec<f64>, indices: Vec<u32>, k: usize) -> Result<Self> {
        if k == 0 || distances.is_empty() {
            return Err(Error::empty("neighbours"));
        }
        if distances.len() != indices.len() || !distances.len().is_multiple_of(k) {
            let got = (distances.len(), indices.len());
            return Err(Error::shape("distances and indices", format!("n × {k} each"), got));
        }
        let n = distances.len() / k;
        for (i, (row, others)) in distances.chunks_exact(k).zip(indices.chunks_exact(k)).enumerate()
        {
            let ascending = row.windows(2).all(|w| w[0] <= w[1]);
            if !ascending || row.iter().any(|d| !d.is_finite() || *d < 0.0) {
                let what = format!("distances of row {i}");
                return Err(Error::range(what, "finite, ascending from 0", format!("{row:?}")));
            }
            let mut sorted = others.to_vec();
            sorted.sort_unstable();
            let twice = sorted.windows(2).any(|w| w[0] == w[1]);
            if twice || others.iter().any(|&j| j as usize >= n || j as usize == i) {
                let expected = format!("{k} different points below {n} other than {i}");
                let what = format!("indices of row {i}");
                return Err(Error::range(what, expected, format!("{others:?}")));
            }
        }
        Ok(Self { distances, indices, k, points: n, own: true, kept: None, report: None })
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indices.len() / self.k
    }

    /// Whether there is no row: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Neighbours of each row.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of points that neighbours were chosen from.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// Whether the rows are the points that neighbours were chosen from, each without itself.
    #[must_use]
    pub fn among_themselves(&self) -> bool {
        self.own
    }

    /// Distances of the neighbours of row i, ascending.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn distances(&self, i: usize) -> &[f64] {
        &self.distances[i * self.k..(i + 1) * self.k]
    }

    /// Indices of the neighbours of row i, nearest first. Where copies were merged, among the
    /// distinct points.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn indices(&self, i: usize) -> &[u32] {
        &self.indices[i * self.k..(i + 1) * self.k]
    }

    /// All distances, row after row.
    #[must_use]
    pub fn all_distances(&self) -> &[f64] {
        &self.distances
    }

    /// All indices, row after row.
    #[must_use]
    pub fn all_indices(&self) -> &[u32] {
        &self.indices
    }

    /// Where copies were merged: which row of the input each distinct point was first.
    #[must_use]
    pub fn kept(&self) -> Option<&[usize]> {
        self.kept.as_deref()
    }

    /// The same neighbours in another unit: all distances times 2 to this power.
    pub(crate) fn times_power_of_two(&self, power: i32) -> Self {
        let distances = self.distances.iter().map(|d| libm::ldexp(*d, power)).collect();
        Self { distances, indices: self.indices.clone(), kept: self.kept.clone(), ..*self }
    }

    /// How the table was found; `None` for one made elsewhere.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_made_elsewhere_are_checked() {
        let good = Neighbors::from_parts(vec![1.0, 1.0, 2.0], vec![1, 0, 0], 1).unwrap();
        assert_eq!((good.len(), good.k(), good.points(), good.indices(2)), (3, 1, 3, &[0][..]));
        let message = |distances: &[f64], indices: &[u32], k| {
            Neighbors::from_parts(distances.to_vec(), indices.to_vec(), k).unwrap_err().to_string()
        };
        assert_eq!(message(&[], &[], 1), "neighbours: expected at least one, got none");
        assert_eq!(message(&[1.0], &[0], 0), "neighbours: expected at least one, got none");
        let text = message(&[1.0, 2.0, 1.0], &[1, 2, 0], 2);
        assert_eq!(text, "distances and indices: expected \"n × 2 each\", got (3, 3)");
        let text = message(&[2.0, 1.0, 1.0, 1.0, 1.0, 1.0], &[1, 2, 0, 2, 0, 1], 2);
        assert_eq!(text, "distances of row 0: expected finite, ascending from 0, got [2.0, 1.0]");
        for indices in [[0, 0], [2, 0]] {
            let text = message(&[1.0, 1.0], &indices, 1);
            assert!(text.starts_with("indices of row 0: expected 1 different points"), "{text}");
        }
        let text = message(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], &[1, 2, 0, 0, 0, 1], 2);
        assert!(text.starts_with("indices of row 1"), "{text}");
    }
}
