//! Points in rows one after the other, in a range where squares neither overflow nor vanish.

use faer::MatRef;

use crate::numerics::parallel;
use crate::{Error, Real, Result};

/// Rows that one task copies or sums.
pub(super) const SHARD: usize = 256;
/// Where the largest coordinate of rescaled points lies: their squared distances stay below 2¹⁰²²
/// in up to 2⁵⁰ dimensions.
const LARGEST: i32 = 480;
/// Coordinates of at least 2⁻⁴⁰⁰ differ by at least 2⁻⁴⁵³, the square of which is a normal number.
const SMALLEST: i32 = -400;

/// n points of d coordinates.
pub(super) struct Rows<T> {
    pub data: Vec<T>,
    pub n: usize,
    pub d: usize,
}

impl<T: Real> Rows<T> {
    /// Copies the rows of a matrix.
    pub fn new(what: &str, x: MatRef<'_, T>) -> Result<Self> {
        let (n, d) = x.shape();
        if n == 0 {
            return Err(Error::empty(what));
        }
        if d == 0 {
            return Err(Error::empty(format!("features of {what}")));
        }
        if u32::try_from(n).is_err() {
            return Err(Error::range(format!("rows of {what}"), "fewer than 2³²", n));
        }
        let mut data = vec![T::ZERO; n * d];
        parallel::for_each_piece(&mut data, SHARD * d, |s, piece| {
            for (r, row) in piece.chunks_exact_mut(d).enumerate() {
                row.iter_mut().zip(x.row(s * SHARD + r).iter()).for_each(|(to, from)| *to = *from);
            }
        });
        crate::error::check_finite(what, &data)?;
        Ok(Self { data, n, d })
    }

    pub fn row(&self, i: usize) -> &[T] {
        &self.data[i * self.d..(i + 1) * self.d]
    }

    /// The same points as `f64`, each divided by its length.
    pub fn unit(&self, what: &str) -> Result<Rows<f64>> {
        let mut data = vec![0.0; self.data.len()];
        let isa = crate::Isa::current();
        parallel::for_each_piece(&mut data, self.d, |i, out| {
            let row = self.row(i);
            // A power of two first, so that no square is out of range.
            let power = -exponent(hesse_kernels::level1::max_abs(isa, row));
            out.iter_mut().zip(row).for_each(|(o, x)| *o = libm::ldexp(x.to_f64(), power));
            let length = hesse_kernels::level1::nrm2(isa, out);
            out.iter_mut().for_each(|o| *o /= length);
        });
        match (0..self.n).find(|i| self.row(*i).iter().all(|x| *x == T::ZERO)) {
            Some(i) => Err(Error::range(
                format!("row {i} of {what}"),
                "a direction, for cosine distances",
                "zeros",
            )),
            None => Ok(Rows { data, n: self.n, d: self.d }),
        }
    }
}

/// Brings points into the range where squares are exact enough, by a common power of two, and
/// returns its exponent. 0 for all data of ordinary size.
pub(super) fn into_range<T: Real>(points: &mut [&mut Rows<T>]) -> i32 {
    if size_of::<T>() == 4 {
        // Squares of any f32 are normal numbers of f64.
        return 0;
    }
    let (mut largest, mut smallest) = (0.0_f64, f64::INFINITY);
    for rows in points.iter() {
        for x in &rows.data {
            let x = x.to_f64().abs();
            largest = largest.max(x);
            smallest = if x > 0.0 { smallest.min(x) } else { smallest };
        }
    }
    if largest == 0.0 || (exponent(largest) < LARGEST && exponent(smallest) > SMALLEST) {
        return 0;
    }
    let shift = LARGEST - exponent(largest);
    for rows in points.iter_mut() {
        for x in &mut rows.data {
            *x = T::from_f64(libm::ldexp(x.to_f64(), shift));
        }
    }
    shift
}

/// The e for which 2^(e−1) ≤ |x| < 2^e; 0 for 0.
pub(super) fn exponent(x: f64) -> i32 {
    if x == 0.0 { 0 } else { libm::frexp(x).1 }
}

/// 2^e, 0 or infinite where that is no number.
pub(super) fn power_of_two(e: i32) -> f64 {
    libm::ldexp(1.0, e)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(data: &[f64]) -> Rows<f64> {
        Rows { data: data.to_vec(), n: data.len(), d: 1 }
    }

    #[test]
    fn ordinary_points_stay_and_extreme_ones_are_scaled_by_a_power_of_two() {
        for (data, moved) in [
            (vec![1.0, -3e7, 0.0, 1e-20], false),
            (vec![0.0, 0.0], false),
            (vec![1e160, 2e160], true),
            (vec![f64::MAX, -f64::MAX], true),
            (vec![1e-160, 2e-160], true),
            (vec![5e-324, 0.0], true),
        ] {
            let mut x = rows(&data);
            let shift = into_range(&mut [&mut x]);
            assert_eq!(shift != 0, moved, "{data:?}");
            if moved {
                let largest = x.data.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
                assert_eq!(exponent(largest), LARGEST, "{data:?}");
            } else {
                assert_eq!(x.data, data);
            }
        }
    }

    #[test]
    fn unit_rows_have_length_one_at_any_size() {
        for size in [1.0, 1e300, 1e-300, 5e-324] {
            let x = Rows { data: vec![3.0 * size, 4.0 * size], n: 1, d: 2 };
            let unit = x.unit("x").unwrap();
            assert!((unit.data[0] - 0.6).abs() < 1e-15 && (unit.data[1] - 0.8).abs() < 1e-15);
        }
        let zero = Rows { data: vec![1.0, 1.0, 0.0, 0.0], n: 2, d: 2 };
        let text = "row 1 of x: expected a direction, for cosine distances, got zeros";
        assert_eq!(zero.unit("x").err().unwrap().to_string(), text);
    }
}
