//! Samples with their mean taken away.

use std::ops::Range;
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
        let shards = parallel::shards(n, SHARD);
        let unit = power_above(largest(x, &shards)?);
        let inverse = 1.0 / unit;
        let mean = mean_of(x, &shards, |row, sum| {
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += x.to_f64() * inverse);
        });
        let rest = mean_of(x, &shards, |row, sum| {
            let row = row.iter().zip(&mean);
            sum.iter_mut().zip(row).for_each(|(s, (x, m))| *s += x.to_f64() * inverse - m);
        });
        let centre: Vec<f64> = mean.iter().zip(rest).map(|(a, b)| a + b).collect();
        // Deviations can be much smaller than the values.
        let deviation = |s: usize| {
            let mut largest = vec![0.0_f64; d];
            Rows::new(x).each(shards[s].clone(), |_, row| {
                let row = row.iter().zip(&centre);
                largest.iter_mut().zip(row).for_each(|(l, (x, c))| {
                    *l = above(*l, (x.to_f64() * inverse - c).abs());
                });
            });
            largest.into_iter().fold(0.0, above)
        };
        let own = parallel::reduce(shards.len(), deviation, |a, b| *a = above(*a, b));
        let own = power_above(own.unwrap_or(0.0));
        let scale = 1.0 / own;
        let mut data = vec![T::ZERO; n * d];
        parallel::for_each_piece(&mut data, SHARD * d, |s, piece| {
            Rows::new(x).each(shards[s].clone(), |i, row| {
                let out = piece[(i - shards[s].start) * d..][..d].iter_mut();
                out.zip(row.iter().zip(&centre)).for_each(|(y, (x, c))| {
                    *y = T::from_f64((x.to_f64() * inverse - c) * scale);
                });
            });
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

/// The larger of two numbers, neither NaN: one instruction.
#[inline(always)]
fn above(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// max |x|.
fn largest<T: Real>(x: MatRef<'_, T>, shards: &[Range<usize>]) -> Result<f64> {
    let of_shard = |s: usize| {
        let (mut largest, mut zero) = (vec![0.0_f64; x.ncols()], vec![0.0_f64; x.ncols()]);
        Rows::new(x).each(shards[s].clone(), |_, row| {
            for ((x, largest), zero) in row.iter().zip(&mut largest).zip(&mut zero) {
                *largest = above(*largest, x.to_f64().abs());
                // NaN unless x is finite.
                *zero += 0.0 * x.to_f64();
            }
        });
        if zero.iter().all(|z| *z == 0.0) {
            return Ok(largest.into_iter().fold(0.0, above));
        }
        let first_bad = |i: usize| (0..x.ncols()).find(|&j| !x[(i, j)].is_finite()).map(|j| (i, j));
        Err(shards[s].clone().find_map(first_bad).unwrap_or_default())
    };
    let merge = |a: &mut Result<f64, (usize, usize)>, b| {
        *a = match (*a, b) {
            (Ok(a), Ok(b)) => Ok(above(a, b)),
            (Err(at), _) | (Ok(_), Err(at)) => Err(at),
        };
    };
    parallel::reduce(shards.len(), of_shard, merge).unwrap_or(Ok(0.0)).map_err(|(i, j)| {
        let (what, value) = ("samples".to_owned(), x[(i, j)].to_f64());
        Error::NonFinite { what, index: i * x.ncols() + j, value }
    })
}

/// The mean over samples of what `add` adds.
fn mean_of<T: Real>(
    x: MatRef<'_, T>,
    shards: &[Range<usize>],
    add: impl Fn(&[T], &mut [f64]) + Sync,
) -> Vec<f64> {
    let sum = |s: usize| {
        let mut sum = vec![0.0; x.ncols()];
        Rows::new(x).each(shards[s].clone(), |_, row| add(row, &mut sum));
        sum
    };
    let merge = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    let mut mean = parallel::reduce(shards.len(), sum, merge).unwrap_or_default();
    mean.iter_mut().for_each(|m| *m /= x.nrows() as f64);
    mean
}

/// Rows of a matrix of any layout, each in one piece.
struct Rows<'a, T> {
    x: MatRef<'a, T>,
    /// Some rows of it, copied where its own have gaps.
    copied: Vec<T>,
}

impl<'a, T: Real> Rows<'a, T> {
    /// Rows copied at a time: a line of the cache of numbers that lie below each other.
    const COPIED: usize = 16;

    fn new(x: MatRef<'a, T>) -> Self {
        Self { x, copied: Vec::new() }
    }

    /// Calls `f` with each of the rows, and its number.
    fn each(mut self, rows: Range<usize>, mut f: impl FnMut(usize, &[T])) {
        let d = self.x.ncols();
        for first in rows.clone().step_by(Self::COPIED) {
            let group = first..rows.end.min(first + Self::COPIED);
            if group.clone().all(|i| self.x.row(i).try_as_row_major().is_some()) {
                for i in group {
                    if let Some(row) = self.x.row(i).try_as_row_major() {
                        f(i, row.as_slice());
                    }
                }
                continue;
            }
            self.copied.resize(Self::COPIED * d, T::ZERO);
            for j in 0..d {
                for i in group.clone() {
                    self.copied[(i - first) * d + j] = self.x[(i, j)];
                }
            }
            group.for_each(|i| f(i, &self.copied[(i - first) * d..][..d]));
        }
    }
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
