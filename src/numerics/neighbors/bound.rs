//! Points prepared for tiles of matrix products, with a rigorous bound of the error.
//!
//! Points are shifted by a centre c and scaled by a power of two: z = s(x − c), so that |z| ≤ 1. In
//! exact arithmetic d² = q_i + q_j − 2 z_i·z_j with q = |z|². Computed in a type of unit roundoff u,
//! with w = 2⁻⁵³ that of `f64` and |2 z_i·z_j| ≤ q_i + q_j, relative to q_i + q_j:
//!
//! | step | error |
//! |---|---|
//! | rounding of z_i and z_j | 2u + 2w |
//! | the product, summed in any order | (d + 3) u |
//! | rounding of q_j, the sum with it, the sum with q_i | 5u + 4w |
//! | q itself | (d + 4) w |
//! | the direct d², against which this is compared | 2(d + 8) w |
//!
//! altogether below E = 1.1 ((d + 12) u + (3d + 32) w) where (d + 12) u ≤ 0.04, and below
//! A = 8 (d + 4) times the smallest subnormal for what underflows. So with the norms lowered to
//! q(1 − E) − A/2 the sum q_i + q_j − 2 z_i·z_j is **below** the squared distance that direct
//! differences give, and a point whose lower bound exceeds k direct distances is none of the k
//! nearest. Likewise the sum raised by 2E q + A for each point is above that squared distance.

use hesse_kernels::level1;

use super::rows::{Rows, SHARD, exponent, power_of_two};
use crate::numerics::parallel;
use crate::random::Stream;
use crate::{Isa, Real};

/// Points in the type of a product, with lowered norms.
pub(super) struct Points<U> {
    /// n × d, row after row.
    pub coordinates: Vec<U>,
    /// The row that each point is.
    pub rows: Vec<u32>,
    /// Where each row is.
    pub places: Vec<u32>,
    /// Lowered squared norms.
    pub norms: Vec<f64>,
    /// The same, rounded.
    pub shifts: Vec<U>,
    /// For each point what, added for both to the sum of norms and product, gives an upper bound of
    /// the squared distance.
    pub widths: Vec<f64>,
    pub d: usize,
}

impl<U: Real> Points<U> {
    pub fn row(&self, i: usize) -> &[U] {
        &self.coordinates[i * self.d..(i + 1) * self.d]
    }

    pub fn len(&self) -> usize {
        self.norms.len()
    }
}

/// Whether the bound holds for products of this length in the type U.
pub(super) fn holds<U: Real>(d: usize) -> bool {
    (d + 12) as f64 * U::EPSILON.to_f64() <= 0.08
}

/// E of the table above.
pub(super) fn relative_error<U: Real>(d: usize) -> f64 {
    let (u, w) = (0.5 * U::EPSILON.to_f64(), 0.5 * f64::EPSILON);
    1.1 * ((d + 12) as f64 * u + (3 * d + 32) as f64 * w)
}

/// The smallest positive number.
pub(super) fn smallest_subnormal<U: Real>() -> f64 {
    U::MIN_POSITIVE.to_f64() * U::EPSILON.to_f64()
}

/// Points that a centre is taken from.
const SAMPLE: usize = 1_024;

/// A centre and a scale for several sets of points.
pub(super) struct Frame {
    centre: Vec<f64>,
    /// |x − c|² of each of the points that the frame was made of.
    squares: Vec<f64>,
    /// The largest of them and of those of the others.
    largest: f64,
    /// Power of two.
    scale: f64,
}

impl Frame {
    /// The mean of the half of the points that lies nearest to the mean of all, which a few points
    /// far away do not move; of a sample of the points. `others` only enter the scale.
    pub fn of<T: Real>(points: &Rows<T>, others: Option<&Rows<T>>) -> Self {
        let step = points.n.div_ceil(SAMPLE);
        let some: Vec<usize> = (0..points.n).step_by(step).collect();
        let mean = mean_of(points, &some);
        let squares: Vec<f64> =
            some.iter().map(|i| square_from(points.row(*i), &mean, &mut Vec::new())).collect();
        let mut sorted = squares.clone();
        let (_, median, _) = sorted.select_nth_unstable_by(some.len() / 2, f64::total_cmp);
        let median = *median;
        let near = some.iter().zip(&squares).filter(|(_, square)| **square <= median);
        let centre = mean_of(points, &near.map(|(i, _)| *i).collect::<Vec<_>>());
        let squares = squares_from(points, &centre);
        let largest = |squares: &[f64]| squares.iter().fold(0.0_f64, |m, s| m.max(*s));
        let of_others = others.map_or(0.0, |rows| largest(&squares_from(rows, &centre)));
        let largest = of_others.max(largest(&squares));
        // One more for the rounding of the square; within what squares of the scale can express.
        let scale = power_of_two((-1 - exponent(largest.sqrt())).clamp(-500, 500));
        Self { centre, squares, largest, scale: if largest == 0.0 { 1.0 } else { scale } }
    }

    /// z = s(x − c) is at most 1 in size for this s.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The largest |x − c|².
    pub fn largest_square(&self) -> f64 {
        self.largest
    }

    /// |x − c|² of a point that the frame was made of.
    pub fn square(&self, i: usize) -> f64 {
        self.squares[i]
    }

    /// s(x − c).
    pub fn shifted<T: Real>(&self, x: &[T], scale: f64, z: &mut [f64]) {
        for ((z, x), c) in z.iter_mut().zip(x).zip(&self.centre) {
            *z = (x.to_f64() - c) * scale;
        }
    }

    /// Rows in random order, always the same.
    pub fn order(&self, n: usize) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..n as u32).collect();
        Stream::new(0, "neighbors").shuffle(&mut rows);
        rows
    }

    /// A squared distance of the points as they are, for one in this frame.
    pub fn square_of_one(&self) -> f64 {
        1.0 / (self.scale * self.scale)
    }

    /// The points in this frame, in random order (always the same): whatever the order of the rows
    /// means, the first points are then a sample of all.
    pub fn prepare<T: Real, U: Real>(&self, points: &Rows<T>) -> Points<U> {
        let (n, d) = (points.n, points.d);
        let relative = relative_error::<U>(d);
        let absolute = 4.0 * (d + 4) as f64 * smallest_subnormal::<U>();
        let rows = self.order(n);
        let mut places = vec![0; n];
        rows.iter().zip(0..).for_each(|(&row, place)| places[row as usize] = place);
        let mut coordinates = vec![U::ZERO; n * d];
        parallel::for_each_piece(&mut coordinates, SHARD * d, |s, piece| {
            for (r, row) in piece.chunks_exact_mut(d).enumerate() {
                let from = points.row(rows[s * SHARD + r] as usize);
                for ((z, x), c) in row.iter_mut().zip(from).zip(&self.centre) {
                    *z = U::from_f64((x.to_f64() - c) * self.scale);
                }
            }
        });
        let squares = squares_from(points, &self.centre);
        let lowered = |q: f64| q * (self.scale * self.scale) * (1.0 - relative) - absolute;
        let norms: Vec<f64> = rows.iter().map(|&row| lowered(squares[row as usize])).collect();
        let shifts = norms.iter().map(|&q| U::from_f64(q)).collect();
        // From the lower bound E and A/2 lead to the exact square, and as much again to an upper one;
        // a tenth more for |z|² from its lowered value.
        let width = |q: &f64| 2.2 * (relative * (q + absolute).max(0.0) + absolute);
        let widths = norms.iter().map(width).collect();
        Points { coordinates, rows, places, norms, shifts, widths, d }
    }
}

/// The mean of the points with these indices.
fn mean_of<T: Real>(points: &Rows<T>, chosen: &[usize]) -> Vec<f64> {
    let mut mean = vec![0.0; points.d];
    for &i in chosen {
        mean.iter_mut().zip(points.row(i)).for_each(|(sum, x)| *sum += x.to_f64());
    }
    mean.iter_mut().for_each(|x| *x /= chosen.len().max(1) as f64);
    mean
}

/// |x − c|² of every point.
fn squares_from<T: Real>(points: &Rows<T>, centre: &[f64]) -> Vec<f64> {
    let mut squares = vec![0.0; points.n];
    parallel::for_each_piece(&mut squares, SHARD, |s, piece| {
        let mut z = Vec::new();
        for (r, square) in piece.iter_mut().enumerate() {
            *square = square_from(points.row(s * SHARD + r), centre, &mut z);
        }
    });
    squares
}

/// |x − c|².
fn square_from<T: Real>(x: &[T], centre: &[f64], z: &mut Vec<f64>) -> f64 {
    z.clear();
    z.extend(x.iter().zip(centre).map(|(x, c)| x.to_f64() - c));
    level1::dot(Isa::current(), z, z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hesse_kernels::distance::squared_distance;
    use hesse_kernels::oracle;

    /// The sum in the type of the tiles is below the direct square and not much below.
    fn lower_bounds_lie_below<U: Real>() {
        for (n, d, offset, spread) in
            [(20, 3, 0.0, 1.0), (30, 64, 3e7, 1.0), (25, 200, 1.0, 1e-12), (20, 17, 0.0, 1e60)]
        {
            let mut data = oracle::uniform(d as u64, n * d);
            data.iter_mut().for_each(|x| *x = offset + spread * *x);
            // Copies, near copies and a point far away.
            data.copy_within(0..d, d);
            data[2 * d] = data[d] + spread * 1e-9;
            data[3 * d] += 1e6 * spread;
            let rows = Rows { data, n, d };
            let frame = Frame::of(&rows, None);
            let points: Points<U> = frame.prepare(&rows);
            for i in 0..n {
                assert_eq!(points.places[points.rows[i] as usize] as usize, i);
                for j in 0..n {
                    let product = points.row(i).iter().zip(points.row(j));
                    let product = product.fold(U::ZERO, |sum, (a, b)| sum + *a * *b);
                    let value = U::from_f64(-2.0) * product + points.shifts[j];
                    let lower = (value.to_f64() + points.norms[i]) * frame.square_of_one();
                    let [a, b] = [i, j].map(|place| rows.row(points.rows[place] as usize));
                    let square = squared_distance(Isa::current(), a, b);
                    assert!(lower <= square, "{} {d} {i} {j}: {lower} {square}", U::NAME);
                    let size = (points.norms[i] + points.norms[j]).abs() * frame.square_of_one();
                    let slack = 4.0 * (d + 40) as f64 * U::EPSILON.to_f64() * size;
                    assert!(square - lower <= slack, "{} {d}: {lower} {square}", U::NAME);
                    let width = (points.widths[i] + points.widths[j]) * frame.square_of_one();
                    assert!(square <= lower + width, "{} {d}: {square} {width}", U::NAME);
                }
            }
        }
    }

    #[test]
    fn lower_bounds_of_f32_tiles() {
        lower_bounds_lie_below::<f32>();
    }

    #[test]
    fn lower_bounds_of_f64_tiles() {
        lower_bounds_lie_below::<f64>();
    }

    #[test]
    fn a_point_far_away_does_not_move_the_centre() {
        let mut data = oracle::uniform(1, 500);
        data[0] = 1e12;
        let frame = Frame::of(&Rows { data, n: 500, d: 1 }, None);
        assert!(frame.centre[0].abs() <= 1.0, "{}", frame.centre[0]);
    }
}
