//! How many pairs of points are nearer than given distances.

use faer::MatRef;
use hesse_kernels::distance::squared_distance;

use super::bound::{Frame, Points, holds};
use super::rows::{Rows, into_range};
use super::tiles::{TILE, product};
use crate::numerics::parallel;
use crate::{Error, Isa, Real, Result};

/// For each radius, the number of pairs of rows of x whose distance is less than it.
///
/// The distances are those of [`Knn`](super::Knn), bit for bit: tiles of matrix products decide the
/// pairs that their error bound can decide, and direct differences the others. So a radius that is
/// itself a distance of a table counts exactly the pairs below it. n² d flops, O(n d) memory.
///
/// # Errors
/// No rows or no features, NaN or infinities, a radius that is negative or not a number.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::neighbors::pairs_within;
///
/// let x = mat![[0.0], [1.0], [3.0_f64]];
/// assert_eq!(pairs_within(x.as_ref(), &[1.0, 2.5, 4.0])?, [0, 2, 3]);
/// # Ok::<(), hesse::Error>(())
/// ```
pub fn pairs_within<T: Real>(x: MatRef<'_, T>, radii: &[f64]) -> Result<Vec<u64>> {
    if let Some(bad) = radii.iter().find(|r| r.is_nan() || **r < 0.0) {
        return Err(Error::range("radius", "0 or more", bad));
    }
    let mut rows = Rows::new("x", x)?;
    let shift = into_range(&mut [&mut rows]);
    let frame = Frame::of(&rows, None);
    let count = Count { rows: &rows, radii, shift, square_of_one: frame.square_of_one() };
    Ok(match holds::<f32>(rows.d) {
        true => count.run(&frame.prepare::<T, f32>(&rows)),
        false => count.run(&frame.prepare::<T, f64>(&rows)),
    })
}

struct Count<'a, T> {
    rows: &'a Rows<T>,
    radii: &'a [f64],
    /// The rows are the points times 2 to this power.
    shift: i32,
    square_of_one: f64,
}

impl<T: Real> Count<'_, T> {
    fn run<U: Real>(&self, points: &Points<U>) -> Vec<u64> {
        let shards = parallel::shards(points.len(), TILE);
        let pairs: Vec<(usize, usize)> =
            (0..shards.len()).flat_map(|b| (0..=b).map(move |a| (a, b))).collect();
        let tile = |p: usize| {
            let (rows, columns) = (shards[pairs[p].0].clone(), shards[pairs[p].1].clone());
            let d = points.d;
            let mut tile = vec![U::ZERO; rows.len() * columns.len()];
            let of = |r: &std::ops::Range<usize>| &points.coordinates[r.start * d..r.end * d];
            product(Isa::current(), of(&rows), of(&columns), d, &mut tile);
            let mut counts = vec![0; self.radii.len()];
            for (i, row) in rows.clone().zip(tile.chunks_exact(columns.len())) {
                // Each pair once.
                let first = if i < columns.start { columns.start } else { i + 1 };
                if first < columns.end {
                    let row = &row[first - columns.start..];
                    self.row(points, i, first, row, &mut counts);
                }
            }
            counts
        };
        let add = |a: &mut Vec<u64>, b: Vec<u64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        parallel::reduce(pairs.len(), tile, add).unwrap_or_else(|| vec![0; self.radii.len()])
    }

    /// Adds the pairs of point i with those from `first` on.
    fn row<U: Real>(
        &self,
        points: &Points<U>,
        i: usize,
        first: usize,
        row: &[U],
        counts: &mut [u64],
    ) {
        let shifts = &points.shifts[first..first + row.len()];
        let widest = points.widths[first..first + row.len()].iter().fold(0.0_f64, |m, w| m.max(*w));
        // In the frame, what underflows in the direct square.
        let underflow = 4.0 * (points.d + 1) as f64 * f64::from_bits(1) / self.square_of_one;
        for (radius, count) in self.radii.iter().zip(counts) {
            let scaled = libm::ldexp(*radius, self.shift);
            let square = scaled * scaled / self.square_of_one;
            // Below the first surely nearer, from the second on surely not.
            let near = square * (1.0 - 8.0 * f64::EPSILON)
                - points.norms[i]
                - (points.widths[i] + widest + underflow);
            let far = square * (1.0 + 8.0 * f64::EPSILON) - points.norms[i] + underflow;
            let (mut inside, mut possible) = (0_u64, 0_u64);
            for (value, shift) in row.iter().zip(shifts) {
                let value = (*value + *shift).to_f64();
                inside += u64::from(value < near);
                possible += u64::from(value < far);
            }
            if possible > inside {
                for (j, (value, shift)) in row.iter().zip(shifts).enumerate() {
                    let value = (*value + *shift).to_f64();
                    let open = (near..far).contains(&value);
                    inside += u64::from(open && self.distance(i, first + j) < *radius);
                }
            }
            *count += inside;
        }
    }

    /// The distance that a table has.
    fn distance(&self, i: usize, j: usize) -> f64 {
        let root = squared_distance(Isa::current(), self.rows.row(i), self.rows.row(j)).sqrt();
        if self.shift == 0 { root } else { libm::ldexp(root, -self.shift) }
    }
}
