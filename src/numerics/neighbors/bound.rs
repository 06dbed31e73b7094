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
use crate::{Isa, Real};

/// Points in the type of a product, with lowered norms.
pub(super) struct Points<U> {
    /// n × d, row after row.
    pub coordinates: Vec<U>,
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

/// A centre and a scale for several sets of points.
pub(super) struct Frame {
    centre: Vec<f64>,
    /// Power of two.
    scale: f64,
}

impl Frame {
    /// The mean of the half of the points that lies nearest to the mean of all, which a few points
    /// far away do not move. `others` only enter the scale.
    pub fn of<T: Real>(points: &Rows<T>, others: Option<&Rows<T>>) -> Self {
        let mean = mean_of(points, |_| true);
        let squares = squares_from(points, &mean);
        let mut sorted = squares.clone();
        let (_, median, _) = sorted.select_nth_unstable_by(points.n / 2, f64::total_cmp);
        let median = *median;
        let centre = mean_of(points, |i| squares[i] <= median);
        let largest = |rows: &Rows<T>| squares_from(rows, &centre).into_iter().fold(0.0, f64::max);
        let square = others.map_or(0.0, largest).max(largest(points));
        // One more for the rounding of the square; within what squares of the scale can express.
        let scale = power_of_two((-1 - exponent(square.sqrt())).clamp(-500, 500));
        Self { centre, scale: if square == 0.0 { 1.0 } else { scale } }
    }

    /// A squared distance of the points as they are, for one in this frame.
    pub fn square_of_one(&self) -> f64 {
        1.0 / (self.scale * self.scale)
    }

    /// The points in this frame.
    pub fn prepare<T: Real, U: Real>(&self, points: &Rows<T>) -> Points<U> {
        let (n, d) = (points.n, points.d);
        let (u, w) = (0.5 * U::EPSILON.to_f64(), 0.5 * f64::EPSILON);
        let relative = 1.1 * ((d + 12) as f64 * u + (3 * d + 32) as f64 * w);
        let subnormal = U::MIN_POSITIVE.to_f64() * U::EPSILON.to_f64();
        let absolute = 4.0 * (d + 4) as f64 * subnormal;

        let mut coordinates = vec![U::ZERO; n * d];
        parallel::for_each_piece(&mut coordinates, SHARD * d, |s, piece| {
            for (r, row) in piece.chunks_exact_mut(d).enumerate() {
                let from = points.row(s * SHARD + r);
                for ((z, x), c) in row.iter_mut().zip(from).zip(&self.centre) {
                    *z = U::from_f64((x.to_f64() - c) * self.scale);
                }
            }
        });
        let squares = squares_from(points, &self.centre);
        let lowered = |q: f64| q * (self.scale * self.scale) * (1.0 - relative) - absolute;
        let norms: Vec<f64> = squares.into_iter().map(lowered).collect();
        let shifts = norms.iter().map(|&q| U::from_f64(q)).collect();
        // From the lower bound E and A/2 lead to the exact square, and as much again to an upper one;
        // a tenth more for |z|² from its lowered value.
        let width = |q: &f64| 2.2 * (relative * (q + absolute).max(0.0) + absolute);
        let widths = norms.iter().map(width).collect();
        Points { coordinates, norms, shifts, widths, d }
    }
}

/// The mean of the chosen points: shards in a fixed order.
fn mean_of<T: Real>(points: &Rows<T>, chosen: impl Fn(usize) -> bool + Sync) -> Vec<f64> {
    let shards = parallel::shards(points.n, SHARD);
    let sum = |s: usize| {
        let (mut sum, mut count) = (vec![0.0; points.d], 0_usize);
        for i in shards[s].clone().filter(|i| chosen(*i)) {
            sum.iter_mut().zip(points.row(i)).for_each(|(sum, x)| *sum += x.to_f64());
            count += 1;
        }
        (sum, count)
    };
    let add = |a: &mut (Vec<f64>, usize), b: (Vec<f64>, usize)| {
        a.0.iter_mut().zip(b.0).for_each(|(a, b)| *a += b);
        a.1 += b.1;
    };
    let (mut mean, count) = parallel::reduce(shards.len(), sum, add).unwrap_or_default();
    mean.iter_mut().for_each(|x| *x /= count.max(1) as f64);
    mean
}

/// |x − c|² of every point.
fn squares_from<T: Real>(points: &Rows<T>, centre: &[f64]) -> Vec<f64> {
    let isa = Isa::current();
    let mut squares = vec![0.0; points.n];
    parallel::for_each_piece(&mut squares, SHARD, |s, piece| {
        let mut z = vec![0.0; points.d];
        for (r, square) in piece.iter_mut().enumerate() {
            for ((z, x), c) in z.iter_mut().zip(points.row(s * SHARD + r)).zip(centre) {
                *z = x.to_f64() - c;
            }
            *square = level1::dot(isa, &z, &z);
        }
    });
    squares
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
                for j in 0..n {
                    let product = points.row(i).iter().zip(points.row(j));
                    let product = product.fold(U::ZERO, |sum, (a, b)| sum + *a * *b);
                    let value = U::from_f64(-2.0) * product + points.shifts[j];
                    let lower = (value.to_f64() + points.norms[i]) * frame.square_of_one();
                    let square = squared_distance(Isa::current(), rows.row(i), rows.row(j));
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
