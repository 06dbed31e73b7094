//! Sums for the participation ratio and the covariance of samples that come batch by batch.

use faer::{Mat, MatRef};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::centred::SHARD;
use super::spectral_sums::{SpectralSums, no_variance};
use super::spectrum::Spectrum;
use crate::numerics::parallel;
use crate::{Error, Isa, Real, Result};

/// Columns of a task of the sum of products.
const COLUMNS: usize = 128;

/// Sums over samples that arrive in batches, on one machine or several: covariance, spectrum and
/// participation ratio of all of them without keeping any.
///
/// Sums are taken of y = x − p, with a pilot p near the mean that all streams to be merged share:
/// S = Σyyᵀ, Σy, Σ|y|²y, Σ|y|⁴ and Σy³, Σy⁴ feature by feature; the mean m of y is taken out at the
/// end, in polynomials of it. They lose about 4 log₁₀(|m|/σ) digits where the pilot is further from
/// the mean than the spread σ, so take the mean of a first batch ([`MomentStream::from_first`]).
/// Sums are `f64`, products of `f32` samples are computed in `f64`.
///
/// d² n flops, 8 d² bytes. The same batches in the same order give the same bits, for any number of
/// threads; other cuts into batches agree up to rounding.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::statistics::{MomentStream, ParticipationRatio};
///
/// let (a, b) = (mat![[1.0, 0.0], [-1.0, 0.0]], mat![[0.0, 1.0], [0.0, -1.0_f64]]);
/// let mut stream = MomentStream::from_first(a.as_ref())?;
/// stream.add(b.as_ref())?;
/// assert_eq!(ParticipationRatio::from_sums(&stream.sums()?).naive, 2.0);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MomentStream {
    pilot: Vec<f64>,
    count: usize,
    first: Vec<f64>,
    /// Lower triangle of Σ y yᵀ.
    products: Mat<f64>,
    /// Σ |y|² y.
    weighted: Vec<f64>,
    /// Σ |y|⁴.
    quartic: f64,
    third: Vec<f64>,
    fourth: Vec<f64>,
}

impl MomentStream {
    /// An empty stream around a pilot.
    ///
    /// # Errors
    /// No features, NaN or infinities.
    pub fn new(pilot: Vec<f64>) -> Result<Self> {
        if pilot.is_empty() {
            return Err(Error::empty("features"));
        }
        crate::error::check_finite("pilot", &pilot)?;
        let d = pilot.len();
        Ok(Self {
            pilot,
            count: 0,
            first: vec![0.0; d],
            products: Mat::zeros(d, d),
            weighted: vec![0.0; d],
            quartic: 0.0,
            third: vec![0.0; d],
            fourth: vec![0.0; d],
        })
    }

    /// A stream around the mean of a first batch, which it holds.
    ///
    /// # Errors
    /// No samples or features, NaN or infinities, or values of which fourth powers overflow.
    pub fn from_first<T: Real>(batch: MatRef<'_, T>) -> Result<Self> {
        let (n, d) = batch.shape();
        if n == 0 {
            return Err(Error::empty("samples"));
        }
        let mean = |j: usize| parallel::sum(n, |i| batch[(i, j)].to_f64() / n as f64);
        let mut stream = Self::new((0..d).map(mean).collect())?;
        stream.add(batch)?;
        Ok(stream)
    }

    /// Number of samples so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds samples × features.
    ///
    /// # Errors
    /// Another number of features, NaN or infinities, or values of which fourth powers overflow;
    /// the stream is as before then.
    pub fn add<T: Real>(&mut self, batch: MatRef<'_, T>) -> Result<()> {
        // 2⁻²⁵⁰ to 2²⁵⁰ on either side: d n fourth powers do not overflow.
        const LARGEST: f64 = 1e60;
        let (n, d) = batch.shape();
        if d != self.pilot.len() {
            return Err(Error::shape("features of the batch", self.pilot.len(), d));
        }
        for i in 0..n {
            for j in 0..d {
                let value = batch[(i, j)].to_f64();
                if !value.is_finite() {
                    let what = "batch".to_owned();
                    return Err(Error::NonFinite { what, index: i * d + j, value });
                }
                if (value - self.pilot[j]).abs() > LARGEST {
                    let what = format!("deviation of sample {i} from the pilot");
                    return Err(Error::range(what, "at most 1e60", value - self.pilot[j]));
                }
            }
        }
        for rows in parallel::shards(n, SHARD) {
            self.add_shard(batch.subrows(rows.start, rows.len()));
        }
        Ok(())
    }

    fn add_shard<T: Real>(&mut self, batch: MatRef<'_, T>) {
        let ((n, d), isa) = (batch.shape(), Isa::current());
        let mut y = vec![0.0; n * d];
        for (i, row) in y.chunks_exact_mut(d).enumerate() {
            for (j, y) in row.iter_mut().enumerate() {
                *y = batch[(i, j)].to_f64() - self.pilot[j];
            }
        }
        for row in y.chunks_exact(d) {
            let square: f64 = hesse_kernels::level1::dot(isa, row, row);
            self.quartic += square * square;
            for (j, y) in row.iter().enumerate() {
                self.first[j] += y;
                self.weighted[j] += square * y;
                self.third[j] += y * y * y;
                self.fourth[j] += y * y * y * y;
            }
        }
        // Columns of the lower triangle, each task its own.
        let shards = parallel::shards(d, COLUMNS);
        let parts = parallel::map(shards.len(), |s| {
            let columns = &shards[s];
            let (below, width) = (d - columns.start, columns.len());
            let a = MatrixRef::new(&y[columns.start..], below, n, 1, d);
            let b = MatrixRef::new(&y[columns.start..], n, width, d, 1);
            let mut part = vec![0.0; below * width];
            gemm(isa, 1.0, a, b, 0.0, MatrixMut::column_major(&mut part, below, width));
            part
        });
        for (columns, part) in shards.into_iter().zip(parts) {
            let below = d - columns.start;
            for (column, j) in part.chunks_exact(below).zip(columns.clone()) {
                for (sum, i) in column.iter().zip(columns.start..).skip(j - columns.start) {
                    self.products[(i, j)] += sum;
                }
            }
        }
        self.count += n;
    }

    /// Adds the samples of another stream with the same pilot.
    ///
    /// # Errors
    /// Another pilot.
    pub fn merge(&mut self, other: &MomentStream) -> Result<()> {
        if self.pilot.len() != other.pilot.len() {
            return Err(Error::shape("features", self.pilot.len(), other.pilot.len()));
        }
        if let Some(j) = (0..self.pilot.len()).find(|&j| self.pilot[j] != other.pilot[j]) {
            let what = format!("pilot of feature {j}");
            return Err(Error::range(what, format!("{:?}", self.pilot[j]), other.pilot[j]));
        }
        let add = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        add(&mut self.first, &other.first);
        add(&mut self.weighted, &other.weighted);
        add(&mut self.third, &other.third);
        add(&mut self.fourth, &other.fourth);
        self.products += &other.products;
        self.quartic += other.quartic;
        self.count += other.count;
        Ok(())
    }

    /// The mean of the samples.
    ///
    /// # Errors
    /// No sample.
    pub fn mean(&self) -> Result<Vec<f64>> {
        if self.count == 0 {
            return Err(Error::empty("samples"));
        }
        Ok(self.shift().iter().zip(&self.pilot).map(|(m, p)| p + m).collect())
    }

    /// Mean of y.
    fn shift(&self) -> Vec<f64> {
        self.first.iter().map(|sum| sum / self.count as f64).collect()
    }

    fn enough(&self) -> Result<()> {
        match self.count {
            0 | 1 => Err(Error::range("samples", "2 or more", self.count)),
            _ => Ok(()),
        }
    }

    /// The covariance, features × features, n − 1 in the denominator.
    ///
    /// # Errors
    /// Fewer than two samples.
    pub fn covariance(&self) -> Result<Mat<f64>> {
        self.enough()?;
        let (m, n, d) = (self.shift(), self.count as f64, self.pilot.len());
        let at = |i: usize, j: usize| self.products[(i.max(j), i.min(j))] - n * m[i] * m[j];
        Ok(Mat::from_fn(d, d, |i, j| at(i, j) / (n - 1.0)))
    }

    /// The eigenvalues of the covariance, one a feature.
    ///
    /// # Errors
    /// Fewer than two samples, or no variance.
    pub fn spectrum(&self) -> Result<Spectrum> {
        let covariance = self.covariance()?;
        if (0..covariance.nrows()).all(|j| covariance[(j, j)] <= 0.0) {
            return Err(no_variance());
        }
        Spectrum::from_gram(covariance.as_ref(), 1.0, self.count.max(self.pilot.len()))
    }

    /// The five sums of the samples around their mean.
    ///
    /// # Errors
    /// Fewer than two samples, or no variance.
    pub fn sums(&self) -> Result<SpectralSums> {
        self.enough()?;
        let (m, n, d) = (self.shift(), self.count as f64, self.pilot.len());
        let s = |i: usize, j: usize| self.products[(i.max(j), i.min(j))];
        let (mut trace, mut frobenius, mut columns, mut elements) = (0.0, 0.0, 0.0, 0.0);
        let (mut squares, mut weighted, mut norm, mut quadratic) = (0.0, 0.0, 0.0, 0.0);
        for j in 0..d {
            let variance = s(j, j) - n * m[j] * m[j];
            trace += variance;
            columns += variance * variance;
            frobenius += variance * variance;
            for i in j + 1..d {
                let covariance = s(i, j) - n * m[i] * m[j];
                frobenius += 2.0 * covariance * covariance;
                quadratic += 2.0 * m[i] * s(i, j) * m[j];
            }
            quadratic += m[j] * s(j, j) * m[j];
            squares += s(j, j);
            weighted += self.weighted[j] * m[j];
            norm += m[j] * m[j];
            // Σ (y − m)⁴ with Σ y = n m.
            elements += self.fourth[j] - 4.0 * m[j] * self.third[j] + 6.0 * m[j] * m[j] * s(j, j)
                - 3.0 * n * m[j].powi(4);
        }
        // Σ |y − m|⁴ with |y − m|² = |y|² − 2 y·m + |m|².
        let rows = self.quartic - 4.0 * weighted + 4.0 * quadratic + 2.0 * norm * squares
            - 3.0 * n * norm * norm;
        if trace <= 0.0 {
            return Err(no_variance());
        }
        let square = trace * trace;
        Ok(SpectralSums {
            samples: self.count,
            features: d,
            trace,
            frobenius: frobenius / square,
            rows: rows / square,
            columns: columns / square,
            elements: elements / square,
        })
    }
}
