//! The five sums over samples from which every estimate of the participation ratio follows.

use faer::MatRef;
use hesse_kernels::level1;

use super::centred::Centred;
use super::products::{Side, map_tiles};
use crate::numerics::parallel;
use crate::{Error, Isa, Real, Result};

/// Sums of products of the centred samples Xc, n × d, with K = Xc Xcᵀ.
///
/// All but the trace are divided by its square, so they have no unit and do not overflow.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpectralSums {
    /// n.
    pub samples: usize,
    /// d.
    pub features: usize,
    /// tr K = Σ |xᵢ|², in the squared unit of the data: n − 1 times the trace of the covariance.
    pub trace: f64,
    /// ‖K‖²_F / (tr K)²: the inverse of the naive participation ratio.
    pub frobenius: f64,
    /// Σᵢ |xᵢ|⁴ / (tr K)².
    pub rows: f64,
    /// Σₐ (Σᵢ xᵢₐ²)² / (tr K)².
    pub columns: f64,
    /// Σᵢₐ xᵢₐ⁴ / (tr K)².
    pub elements: f64,
}

impl SpectralSums {
    /// The sums for samples × features.
    ///
    /// The mean is subtracted first, in `f64`: an offset of the data costs no digits. The smaller of
    /// Xc Xcᵀ and XcᵀXc is formed in tiles, n d min(n, d) flops, and never stored. `f32` samples are
    /// multiplied in `f32` over at most 512 terms at a time, and summed in `f64`: relative error of
    /// `frobenius` about 10⁻⁶ at most, far less in practice. Memory: one copy of the samples.
    ///
    /// # Errors
    /// Fewer than two samples, no features, NaN or infinities, or samples that are all the same.
    pub fn of<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        let y = Centred::new(x)?;
        if y.is_constant() {
            return Err(no_variance());
        }
        let side = Side::smaller(y.n, y.d);
        let squares = map_tiles(&y, side, |rows, columns, tile| {
            let sum = level1::dot(Isa::current(), tile, tile);
            if rows == columns { sum } else { 2.0 * sum }
        });
        let frobenius = parallel::sum(squares.len(), |t| squares[t]);

        let isa = Isa::current();
        let shards = parallel::shards(y.n, super::centred::SHARD);
        let shard = |s: usize| {
            let mut sums = Fourth { trace: 0.0, rows: 0.0, elements: 0.0, squares: vec![0.0; y.d] };
            for i in shards[s].clone() {
                let square = level1::dot(isa, y.row(i), y.row(i));
                sums.trace += square;
                sums.rows += square * square;
                for (sum, y) in sums.squares.iter_mut().zip(y.row(i)) {
                    let square = y.to_f64() * y.to_f64();
                    *sum += square;
                    sums.elements += square * square;
                }
            }
            sums
        };
        let sums = parallel::reduce(shards.len(), shard, Fourth::add).ok_or_else(no_variance)?;
        let columns: f64 = sums.squares.iter().map(|s| s * s).sum();
        Ok(Self {
            samples: y.n,
            features: y.d,
            trace: sums.trace * y.unit * y.unit,
            frobenius: frobenius / (sums.trace * sums.trace),
            rows: sums.rows / (sums.trace * sums.trace),
            columns: columns / (sums.trace * sums.trace),
            elements: sums.elements / (sums.trace * sums.trace),
        })
    }
}

pub(super) fn no_variance() -> Error {
    Error::range("variance of the samples", "more than 0", 0)
}

struct Fourth {
    trace: f64,
    rows: f64,
    elements: f64,
    squares: Vec<f64>,
}

impl Fourth {
    fn add(&mut self, other: Self) {
        self.trace += other.trace;
        self.rows += other.rows;
        self.elements += other.elements;
        self.squares.iter_mut().zip(other.squares).for_each(|(a, b)| *a += b);
    }
}
