//! Samples with their mean taken away.

use std::sync::Mutex;

use faer::MatRef;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use crate::krylov::LinearOperator;
use crate::numerics::parallel;
use crate::{Error, Isa, Real, Result};

/// Rows of one task.
pub(super) const SHARD: usize = 256;

/// n samples of d features around their mean, divided by `unit`, a power of two that brings the
/// largest deviation to between 1/2 and 1: fourth powers neither overflow nor vanish.
pub(crate) struct Centred<T> {
    pub data: Vec<T>,
    pub n: usize,
    pub d: usize,
    pub unit: f64,
}

impl<T: Real> Centred<T> {
    /// Subtracts the mean in `f64`, in two passes: the mean of what remains after the first is what
    /// its rounding left, and is subtracted too.
    pub fn new(x: MatRef<'_, T>) -> Result<Self> {
        let (n, d) = check(x)?;
        let (unit, mean) = mean_of(x, None)?;
        let rest = mean_of(x, Some((&mean, unit)))?.1;
        let centre: Vec<f64> = mean.iter().zip(rest).map(|(a, b)| a + b).collect();
        let deviation = |i: usize, j: usize| x[(i, j)].to_f64() / unit - centre[j];
        // Deviations can be much smaller than the values.
        let largest = parallel::reduce(
            n,
            |i| (0..d).fold(0.0_f64, |m, j| m.max(deviation(i, j).abs())),
            |a, b| *a = a.max(b),
        );
        let own = power_above(largest.unwrap_or(0.0));
        let mut data = vec![T::ZERO; n * d];
        parallel::for_each_piece(&mut data, SHARD * d, |s, piece| {
            for (r, row) in piece.chunks_exact_mut(d).enumerate() {
                for (j, y) in row.iter_mut().enumerate() {
                    *y = T::from_f64(deviation(s * SHARD + r, j) / own);
                }
            }
        });
        Ok(Self { data, n, d, unit: unit * own })
    }

    pub fn row(&self, i: usize) -> &[T] {
        &self.data[i * self.d..(i + 1) * self.d]
    }

    /// Whether all samples are the same.
    pub fn is_constant(&self) -> bool {
        self.data.iter().all(|y| *y == T::ZERO)
    }
}

/// Shape of samples that have a covariance.
pub(super) fn check<T: Real>(x: MatRef<'_, T>) -> Result<(usize, usize)> {
    let (n, d) = x.shape();
    if n == 0 {
        return Err(Error::empty("samples"));
    }
    if d == 0 {
        return Err(Error::empty("features"));
    }
    if n < 2 {
        return Err(Error::range("samples", "2 or more", n));
    }
    Ok((n, d))
}

/// The smallest power of two above x, within what its square and that of its inverse can express.
pub(crate) fn power_above(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { libm::ldexp(1.0, libm::frexp(x).1.clamp(-500, 1023)) }
}

/// A unit for the values, and the mean of x/unit − centre.
fn mean_of<T: Real>(x: MatRef<'_, T>, centre: Option<(&[f64], f64)>) -> Result<(f64, Vec<f64>)> {
    let (n, d) = x.shape();
    let shards = parallel::shards(n, SHARD);
    let unit = match centre {
        Some((_, unit)) => unit,
        None => {
            let largest = |s: usize| {
                let rows = shards[s].clone();
                let at = |i: usize| (0..d).fold(0.0_f64, |m, j| m.max(x[(i, j)].to_f64().abs()));
                rows.map(at).fold(0.0, f64::max)
            };
            let first_bad = |i: usize| (0..d).find(|&j| !x[(i, j)].is_finite()).map(|j| (i, j));
            if let Some((i, j)) = (0..n).find_map(first_bad) {
                let (what, value) = ("samples".to_owned(), x[(i, j)].to_f64());
                return Err(Error::NonFinite { what, index: i * d + j, value });
            }
            let largest = parallel::reduce(shards.len(), largest, |a, b| *a = a.max(b));
            power_above(largest.unwrap_or(0.0))
        }
    };
    let sum = |s: usize| {
        let mut sum = vec![0.0; d];
        for i in shards[s].clone() {
            for (j, sum) in sum.iter_mut().enumerate() {
                *sum += x[(i, j)].to_f64() / unit - centre.map_or(0.0, |(c, _)| c[j]);
            }
        }
        sum
    };
    let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    let mut mean = parallel::reduce(shards.len(), sum, add).unwrap_or_default();
    mean.iter_mut().for_each(|m| *m /= n as f64);
    Ok((unit, mean))
}

/// The covariance C = XcᵀXc/(n − 1) of n samples as an operator, for a few of its largest
/// eigenvalues by [`Lanczos`](crate::krylov::Lanczos) where there are too many features for
/// [`Spectrum`](super::Spectrum).
///
/// A product costs 4 n d flops and reads the samples twice, bandwidth-bound. Memory: one copy of
/// the samples. Samples are cut into fixed shards whose products are added in `f64` in a fixed tree.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::krylov::Lanczos;
/// use hesse::statistics::CovarianceOperator;
///
/// let x = mat![[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5_f64]];
/// let top = Lanczos::new(&CovarianceOperator::new(x.as_ref())?).largest(1).run()?;
/// assert!((top.values[0] - 2.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), hesse::Error>(())
/// ```
pub struct CovarianceOperator<T> {
    samples: Centred<T>,
}

impl<T: Real> CovarianceOperator<T> {
    /// Centres a copy of the samples, n × d.
    ///
    /// # Errors
    /// Fewer than two samples, no features, NaN or infinities.
    pub fn new(x: MatRef<'_, T>) -> Result<Self> {
        Ok(Self { samples: Centred::new(x)? })
    }
}

impl<T: Real> LinearOperator<T> for CovarianceOperator<T> {
    fn dimension(&self) -> usize {
        self.samples.d
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }

    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let Centred { data, n, d, unit } = &self.samples;
        let (isa, k) = (Isa::current(), x.len() / d);
        let shards = parallel::shards(*n, SHARD);
        let buffers: Mutex<Vec<(Vec<T>, Vec<T>)>> = Mutex::default();
        let product = |s: usize| {
            let rows = &data[shards[s].start * d..shards[s].end * d];
            let a = MatrixRef::row_major(rows, shards[s].len(), *d);
            let taken = buffers.lock().map(|mut free| free.pop()).ok().flatten();
            let (mut z, mut w) = taken.unwrap_or_default();
            z.resize(a.rows() * k, T::ZERO);
            w.resize(d * k, T::ZERO);
            let v = MatrixRef::column_major(x, *d, k);
            let image = MatrixMut::column_major(&mut z, a.rows(), k);
            gemm(isa, T::ONE, a, v, T::ZERO, image);
            let image = MatrixRef::column_major(&z, a.rows(), k);
            let back = MatrixMut::column_major(&mut w, *d, k);
            gemm(isa, T::ONE, a.transposed(), image, T::ZERO, back);
            let sum: Vec<f64> = w.iter().map(|w| w.to_f64()).collect();
            if let Ok(mut free) = buffers.lock() {
                free.push((z, w));
            }
            sum
        };
        let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        let sum = parallel::reduce(shards.len(), product, add).unwrap_or_default();
        let scale = unit * unit / (n - 1) as f64;
        y.iter_mut().zip(sum).for_each(|(y, sum)| *y = T::from_f64(sum * scale));
    }
}
