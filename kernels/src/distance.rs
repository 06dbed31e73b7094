//! Squared Euclidean distances by direct differences, with the same bits on every instruction set.
//!
//! d² = Σᵢ (xᵢ − yᵢ)² in `f64`, whatever the storage. Differences do not cancel, so this is what
//! distances from |x|² + |y|² − 2 x·y are checked with and replaced by. Element i goes to partial sum
//! i mod 16 without fusing multiplication and addition, and the 16 sums meet in a fixed tree: the
//! result does not depend on the instruction set, so an order of neighbours does not either.
//!
//! Relative error at most (n/16 + 8) u, u = 2⁻⁵³, plus 2⁻¹⁰⁷⁴ for each square that underflows. 3n
//! flops; rows that are read once are bound by memory. NaN propagates.

use pulp::{Simd, WithSimd, bytemuck};

use crate::compiled::dispatch;
use crate::{Isa, Real};

/// Partial sums of a distance.
const SUMS: usize = 16;

/// Σ (xᵢ − yᵢ)².
#[must_use]
pub fn squared_distance<T: Real>(isa: Isa, x: &[T], y: &[T]) -> f64 {
    let mut out = [0.0];
    squared_distances(isa, x, y, &mut out);
    out[0]
}

/// The squared distance of x from each of `out.len()` rows, which lie one after the other.
///
/// # Panics
/// Unless `rows` holds `out.len()` rows of the length of x.
pub fn squared_distances<T: Real>(isa: Isa, x: &[T], rows: &[T], out: &mut [f64]) {
    assert_eq!(rows.len(), x.len() * out.len());
    dispatch!(isa, Consecutive<'a, T> = Consecutive { x, rows, out });
}

/// The squared distance of x from the rows of `data` with these indices.
///
/// # Panics
/// If a row lies outside `data`, or there is not one place in `out` for each index.
pub fn squared_distances_at<T: Real>(
    isa: Isa,
    x: &[T],
    data: &[T],
    indices: &[u32],
    out: &mut [f64],
) {
    assert_eq!(indices.len(), out.len());
    dispatch!(isa, Listed<'a, T> = Listed { x, data, indices, out });
}

struct Consecutive<'a, T> {
    x: &'a [T],
    rows: &'a [T],
    out: &'a mut [f64],
}

impl<T: Real> WithSimd for Consecutive<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.x.len();
        for (i, out) in self.out.iter_mut().enumerate() {
            *out = direct(simd, self.x, &self.rows[i * n..(i + 1) * n]);
        }
    }
}

struct Listed<'a, T> {
    x: &'a [T],
    data: &'a [T],
    indices: &'a [u32],
    out: &'a mut [f64],
}

impl<T: Real> WithSimd for Listed<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.x.len();
        for (out, &index) in self.out.iter_mut().zip(self.indices) {
            let start = index as usize * n;
            *out = direct(simd, self.x, &self.data[start..start + n]);
        }
    }
}

#[inline(always)]
fn direct<T: Real, S: Simd>(simd: S, x: &[T], y: &[T]) -> f64 {
    assert_eq!(x.len(), y.len());
    let (wide, each) = (T::wide::<S>(), SUMS / T::lanes::<S>());
    let mut sums = [simd.splat_f64s(0.0); SUMS];
    let body = x.len() / SUMS * SUMS;
    let (x_body, x_tail) = x.split_at(body);
    let (y_body, y_tail) = y.split_at(body);
    let (xs, ys) = (T::as_simd::<S>(x_body).0, T::as_simd::<S>(y_body).0);
    for (xs, ys) in xs.chunks_exact(each).zip(ys.chunks_exact(each)) {
        for v in 0..each {
            let (a, b) = (T::widen(simd, xs[v]), T::widen(simd, ys[v]));
            for h in 0..wide {
                let difference = simd.sub_f64s(a[h], b[h]);
                let square = simd.mul_f64s(difference, difference);
                sums[v * wide + h] = simd.add_f64s(sums[v * wide + h], square);
            }
        }
    }
    let mut lanes = [0.0; SUMS];
    lanes.copy_from_slice(&bytemuck::cast_slice::<S::f64s, f64>(&sums)[..SUMS]);
    for (lane, (a, b)) in lanes.iter_mut().zip(x_tail.iter().zip(y_tail)) {
        let difference = a.to_f64() - b.to_f64();
        *lane += difference * difference;
    }
    let mut width = SUMS / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle;

    /// Lengths around every vector and block.
    const LENGTHS: [usize; 16] = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 1003];

    fn numbers<T: Real>(seed: u64, n: usize, integers: bool) -> Vec<T> {
        let x = oracle::uniform(seed, n);
        x.iter().map(|x| T::from_f64(if integers { (9.0 * x).round() } else { x + 3e3 })).collect()
    }

    fn every_path_gives_the_bits_of_the_plain_loop<T: Real>() {
        for n in LENGTHS {
            for (integers, offset) in [(false, 0), (false, 3), (true, 1)] {
                let rows = 5;
                let x = numbers::<T>(n as u64, n + offset, integers);
                let data = numbers::<T>(7 + n as u64, rows * n + offset, integers);
                let (x, data) = (&x[offset..], &data[offset..]);
                let want: Vec<f64> = (0..rows)
                    .map(|r| {
                        let square = |i: usize| (x[i].to_f64() - data[r * n + i].to_f64()).powi(2);
                        let mut sums = [0.0_f64; 16];
                        (0..n).for_each(|i| sums[i % 16] += square(i));
                        let sum = |w: usize, s: [f64; 16]| {
                            let mut s = s;
                            (0..w).for_each(|i| s[i] += s[i + w]);
                            s
                        };
                        let ordered = sum(1, sum(2, sum(4, sum(8, sums))))[0];
                        let exact: f64 = (0..n).map(square).sum();
                        let bound = 2.0 * (n + 8) as f64 * f64::EPSILON * exact;
                        assert!((ordered - exact).abs() <= bound, "{n}");
                        if integers {
                            assert_eq!(ordered, exact);
                        }
                        ordered
                    })
                    .collect();
                for isa in Isa::available() {
                    let mut got = vec![f64::NAN; rows];
                    squared_distances(isa, x, data, &mut got);
                    assert_eq!(got, want, "{isa} {} length {n}", T::NAME);
                    let indices = [4, 0, 4, 1];
                    let mut got = vec![f64::NAN; 4];
                    squared_distances_at(isa, x, data, &indices, &mut got);
                    assert_eq!(got, indices.map(|i| want[i as usize]), "{isa} {} {n}", T::NAME);
                    let one = squared_distance(isa, x, &data[..n]);
                    assert_eq!(one.to_bits(), want[0].to_bits());
                }
            }
        }
    }

    #[test]
    fn f32_distances_have_the_bits_of_the_plain_loop() {
        every_path_gives_the_bits_of_the_plain_loop::<f32>();
    }

    #[test]
    fn f64_distances_have_the_bits_of_the_plain_loop() {
        every_path_gives_the_bits_of_the_plain_loop::<f64>();
    }

    #[test]
    fn nan_propagates_and_near_points_do_not_cancel() {
        for isa in Isa::available() {
            for place in [0, 15, 16, 20] {
                let mut x = vec![1.0_f32; 21];
                x[place] = f32::NAN;
                assert!(squared_distance(isa, &x, &[1.0; 21]).is_nan());
            }
            let near = squared_distance(isa, &[3e7 + 0.25, 3e7], &[3e7, 3e7 + 0.5]);
            assert_eq!(near, 0.3125);
        }
    }
}
