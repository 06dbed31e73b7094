//! Kernels over stimuli, double-centred, and their inner products.

use faer::{Mat, MatRef};

use super::gram_stream::GramStream;
use super::pairwise::pairs;
use crate::numerics::parallel;
use crate::{Error, Real, Result};

/// H K H of a kernel over n stimuli.
pub(super) struct CentredKernel {
    pub values: Mat<f64>,
    /// The kernel is `values` times the square of this power of two.
    pub unit: f64,
    /// Units that it sums over.
    pub units: usize,
    /// Σ over units of n(n − 3) times the unbiased HSIC of the unit with itself, in the unit of `values`².
    pub own: Option<f64>,
}

/// The sums that both estimators of HSIC are made of.
#[derive(Clone, Copy)]
pub(super) struct KernelProducts {
    pub stimuli: f64,
    /// Σ_ij K_ij L_ij.
    pub all: f64,
    /// Σᵢ K_ii L_ii.
    pub diagonal: f64,
    /// tr K tr L.
    pub traces: f64,
}

/// Which squared distances the median of a radial kernel's width is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Median {
    /// All n² of them, with the n zeros of the diagonal, as in much published code.
    All,
    /// Those of the n(n − 1)/2 pairs.
    OffDiagonal,
}

impl CentredKernel {
    /// X Xᵀ of the centred units.
    pub fn linear<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        GramStream::of(x)?.kernel()
    }

    /// exp(−d²/(2 s² m)) with the median m of the squared distances d².
    pub fn radial<T: Real>(x: MatRef<'_, T>, scale: f64, median: Median) -> Result<Self> {
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::range("scale of the kernel", "a positive number", scale));
        }
        let linear = Self::linear(x)?;
        let (k, n) = (&linear.values, linear.values.nrows());
        let square = |i: usize, j: usize| (k[(i, i)] + k[(j, j)] - 2.0 * k[(i, j)]).max(0.0);
        let mut squares: Vec<f64> = pairs(n).map(|(i, j)| square(i, j)).collect();
        if median == Median::All {
            let upper = squares.clone();
            squares.extend(upper);
            squares.resize(n * n, 0.0);
        }
        let middle = crate::statistics::quantile(&squares, 0.5)?;
        if middle <= 0.0 {
            return Err(Error::range("median of squared distances", "more than 0", middle));
        }
        let width = 2.0 * scale * scale * middle;
        let mut values =
            Mat::from_fn(n, n, |i, j| if i == j { 1.0 } else { (-square(i, j) / width).exp() });
        centre(&mut values);
        Ok(Self { values, unit: 1.0, units: linear.units, own: None })
    }

    pub fn products(&self, other: &Self) -> KernelProducts {
        let (k, l) = (&self.values, &other.values);
        let n = k.nrows();
        let column = |j: usize| (0..n).map(|i| k[(i, j)] * l[(i, j)]).sum::<f64>();
        let trace = |k: &Mat<f64>| (0..n).map(|i| k[(i, i)]).sum::<f64>();
        KernelProducts {
            stimuli: n as f64,
            all: parallel::sum(n, column),
            diagonal: (0..n).map(|i| k[(i, i)] * l[(i, i)]).sum(),
            traces: trace(k) * trace(l),
        }
    }
}

impl KernelProducts {
    /// tr(KHLH).
    pub fn biased(&self) -> f64 {
        self.all
    }

    /// n(n − 3) times the U-statistic of Song et al., of kernels that are centred: with their
    /// diagonals zeroed the sum of row i is −K_ii.
    pub fn unbiased(&self) -> f64 {
        let n = self.stimuli;
        (self.all - self.diagonal) + self.traces / ((n - 1.0) * (n - 2.0))
            - 2.0 * self.diagonal / (n - 2.0)
    }
}

/// K ← H K H.
pub(super) fn centre(k: &mut Mat<f64>) {
    let n = k.nrows();
    let means: Vec<f64> =
        (0..n).map(|j| (0..n).map(|i| k[(i, j)]).sum::<f64>() / n as f64).collect();
    let mean = means.iter().sum::<f64>() / n as f64;
    for j in 0..n {
        for i in 0..n {
            k[(i, j)] -= means[i] + means[j] - mean;
        }
    }
}
