//! Sparse symmetric positive definite systems, by Cholesky's factorisation within a band.
//!
//! Voxels are renumbered by reverse Cuthill and McKee (1969), which makes the band of a Laplacian as
//! wide as a cross-section of the voxels: 1 on a path, a side in two dimensions.

use sprs::CsMatView;

use crate::{Error, Result};

/// Voxels in the order of reverse Cuthill and McKee, and their places in it.
#[derive(Clone, Debug)]
pub(super) struct Ordering {
    order: Vec<usize>,
    place: Vec<usize>,
}

impl Ordering {
    /// Of the graph of a matrix with a symmetric pattern.
    pub fn new(matrix: CsMatView<'_, f64>) -> Self {
        let n = matrix.rows();
        let neighbours = |i: usize| {
            let row = matrix.outer_view(i);
            row.into_iter().flat_map(|row| row.indices().to_vec()).filter(move |&j| j != i)
        };
        let degree: Vec<usize> = (0..n).map(|i| neighbours(i).count()).collect();
        let mut seen = vec![false; n];
        let mut order = Vec::with_capacity(n);
        // Breadth first from `start`, by degree within a level; the voxels in the order met.
        let search = |start: usize, seen: &mut [bool]| {
            let mut met = vec![start];
            seen[start] = true;
            let mut next = 0;
            while next < met.len() {
                let mut ring: Vec<usize> = neighbours(met[next]).filter(|&j| !seen[j]).collect();
                ring.sort_unstable_by_key(|&j| (degree[j], j));
                ring.dedup();
                ring.iter().for_each(|&j| seen[j] = true);
                met.extend(ring);
                next += 1;
            }
            met
        };
        for start in 0..n {
            if seen[start] {
                continue;
            }
            // Two searches lead to a voxel at an end of its component.
            let mut end = start;
            for _ in 0..2 {
                let mut scratch = seen.clone();
                end = search(end, &mut scratch).last().copied().unwrap_or(end);
            }
            order.extend(search(end, &mut seen));
        }
        order.reverse();
        let mut place = vec![0; n];
        order.iter().enumerate().for_each(|(at, &i)| place[i] = at);
        Self { order, place }
    }

    /// The place of a voxel.
    pub fn place(&self, voxel: usize) -> usize {
        self.place[voxel]
    }

    /// The largest distance from the diagonal of an element of `matrix` in this order.
    pub fn bandwidth(&self, matrix: CsMatView<'_, f64>) -> usize {
        let distance = |(_, (i, j)): (&f64, (usize, usize))| self.place[i].abs_diff(self.place[j]);
        matrix.iter().map(distance).max().unwrap_or(0)
    }
}

/// A = L Lᵀ within its band.
pub(super) struct BandCholesky<'a> {
    ordering: &'a Ordering,
    width: usize,
    /// Row i holds columns i − width to i.
    rows: Vec<f64>,
}

impl<'a> BandCholesky<'a> {
    /// Factors the sum of `matrix` and a diagonal; n·width² flops.
    ///
    /// # Errors
    /// [`Error::Range`] unless it is positive definite in `f64`, or where there is no memory.
    pub fn new(
        ordering: &'a Ordering,
        matrix: CsMatView<'_, f64>,
        diagonal: impl Fn(usize) -> f64,
    ) -> Result<Self> {
        let n = matrix.rows();
        let width = ordering.bandwidth(matrix);
        let stride = width + 1;
        let mut rows = super::entries::zeros("band matrix", n * stride)?;
        for (value, (i, j)) in matrix.iter() {
            let (i, j) = (ordering.place[i], ordering.place[j]);
            if j <= i {
                rows[i * stride + j + width - i] += value;
            }
        }
        for i in 0..n {
            rows[ordering.place[i] * stride + width] += diagonal(i);
        }
        for i in 0..n {
            let first = i.saturating_sub(width);
            let (before, row) = rows.split_at_mut(i * stride);
            for j in first..i {
                // Columns from `low` on are in the bands of both rows.
                let low = first.max(j.saturating_sub(width));
                let other = &before[j * stride + low + width - j..j * stride + width];
                let own = &row[low + width - i..j + width - i];
                let sum: f64 = own.iter().zip(other).map(|(a, b)| a * b).sum();
                let at = j + width - i;
                row[at] = (row[at] - sum) / before[j * stride + width];
            }
            let sum: f64 = row[first + width - i..width].iter().map(|a| a * a).sum();
            let rest = row[width] - sum;
            if !(rest > 0.0 && rest.is_finite()) {
                let got = format!("pivot {rest:e}");
                return Err(Error::range("band matrix", "a positive definite matrix", got));
            }
            row[width] = rest.sqrt();
        }
        Ok(Self { ordering, width, rows })
    }

    /// x ← A⁻¹ x. 4n·width flops.
    pub fn solve(&self, x: &mut [f64]) {
        let (n, width, stride) = (x.len(), self.width, self.width + 1);
        let mut y: Vec<f64> = self.ordering.order.iter().map(|&i| x[i]).collect();
        for i in 0..n {
            let first = i.saturating_sub(width);
            let row = &self.rows[i * stride..(i + 1) * stride];
            let sum: f64 =
                row[first + width - i..width].iter().zip(&y[first..i]).map(|(a, y)| a * y).sum();
            y[i] = (y[i] - sum) / row[width];
        }
        for i in (0..n).rev() {
            let first = i.saturating_sub(width);
            let row = &self.rows[i * stride..(i + 1) * stride];
            y[i] /= row[width];
            let value = y[i];
            for (y, a) in y[first..i].iter_mut().zip(&row[first + width - i..width]) {
                *y -= a * value;
            }
        }
        self.ordering.order.iter().zip(y).for_each(|(&i, y)| x[i] = y);
    }
}

#[cfg(test)]
mod tests {
    use super::super::SmoothingOperator;
    use super::*;

    #[test]
    fn a_shifted_squared_laplacian_is_inverted_in_a_narrow_band() {
        let l = SmoothingOperator::of_box(&[11, 4]).unwrap();
        let square = &l.matrix().to_owned() * &l.matrix().to_owned();
        let ordering = Ordering::new(l.matrix());
        assert!(ordering.bandwidth(l.matrix()) <= 6);
        let shift = |i: usize| 0.1 + i as f64 / 44.0;
        let factor = BandCholesky::new(&ordering, square.view(), shift).unwrap();
        let want: Vec<f64> = (0..44).map(|i| ((i * 17) % 13) as f64 - 6.0).collect();
        let mut x: Vec<f64> = (0..44).map(|i| shift(i) * want[i]).collect();
        for (value, (i, j)) in square.iter() {
            x[i] += value * want[j];
        }
        factor.solve(&mut x);
        assert!(x.iter().zip(&want).all(|(x, w)| (x - w).abs() < 1e-11));
        let error = BandCholesky::new(&ordering, square.view(), |_| -1.0).err().unwrap();
        assert!(error.to_string().starts_with("band matrix: expected a positive definite matrix"));
    }
}
