//! Similarities between the responses to stimuli.

use faer::{Mat, MatRef};
use hesse_kernels::gram::{Shift, WIDTH, padded, shifted_rows};

use super::lower_gram::{BLOCK, BLOCKS, LowerGram};
use super::pairwise::{Rsm, pairs};
use super::responses::{check, row_units, rows_in_place, shifted_row_sums, unit_rows};
use crate::numerics::parallel;
use crate::statistics::average_ranks;
use crate::{Error, Isa, Real, Result};

/// Which similarity of the responses to two stimuli, across units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RsmKind {
    /// Pearson's correlation.
    #[default]
    Pearson,
    /// The cosine of the angle between the responses; no mean is taken away.
    Cosine,
    /// Spearman's correlation: Pearson's of average ranks.
    Spearman,
}

/// What a stimulus is to which all units respond alike.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum RowVariance {
    /// An error: it has no correlation with anything.
    #[default]
    Error,
    /// This number is added to the standard deviation (over p, not p − 1) of every stimulus: one
    /// without variance has similarity 0 with all, itself included, and the diagonal of the others is
    /// a little below 1. 10⁻⁷ is what the authors' code adds.
    Floor(f64),
}

impl Rsm {
    /// Pearson's correlation between stimuli across units,
    ///
    /// C_ij = dᵢ·dⱼ / (|dᵢ||dⱼ|), dᵢ = xᵢ − mean(xᵢ)
    ///
    /// for `x` of n stimuli × p units with any strides, in any unit. The mean is taken away in a pass
    /// of its own, from differences to the stimulus's first value, and each stimulus is scaled by a
    /// power of two: offsets of 10⁷ spreads and values of 10^±160 cost no digits. The diagonal is
    /// exactly 1, entries are within [−1, 1].
    ///
    /// n² p flops in `f64` whatever the storage, over blocks of 240 units; three passes over `x`.
    /// Memory: O(n²) a thread, no copy of `x`.
    ///
    /// ```
    /// use hesse::faer::mat;
    /// use hesse::similarity::{Pairwise, Rsm};
    /// let c = Rsm::pearson(mat![[1.0, 2.0, 3.0], [5.0, 5.0, 8.0], [3.0, 2.0, 1.0_f64]].as_ref())?;
    /// assert!((c.at(0, 1) - 0.75_f64.sqrt()).abs() < 1e-15);
    /// assert_eq!(c.at(0, 2), -1.0);
    /// # Ok::<(), hesse::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NonFinite`], [`Error::Range`] for fewer than two units or a stimulus
    /// without variance.
    pub fn pearson<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        Self::of(x, RsmKind::Pearson, RowVariance::Error)
    }

    /// Cosines xᵢ·xⱼ / (|xᵢ||xⱼ|). Cost as [`Rsm::pearson`].
    ///
    /// # Errors
    /// As [`Rsm::pearson`], but one unit is enough and a stimulus must have a response other than 0.
    pub fn cosine<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        Self::of(x, RsmKind::Cosine, RowVariance::Error)
    }

    /// Pearson's correlations of the average ranks of units. Cost as [`Rsm::pearson`] and a sort a
    /// stimulus; 8 n p bytes.
    ///
    /// # Errors
    /// As [`Rsm::pearson`].
    pub fn spearman<T: Real>(x: MatRef<'_, T>) -> Result<Self> {
        Self::of(x, RsmKind::Spearman, RowVariance::Error)
    }

    /// The similarities of this kind; `variance` says what to do with a stimulus without variance
    /// (without norm for the cosine).
    ///
    /// # Errors
    /// As [`Rsm::pearson`], and for a floor that is not a positive number.
    pub fn of<T: Real>(x: MatRef<'_, T>, kind: RsmKind, variance: RowVariance) -> Result<Self> {
        if let RowVariance::Floor(floor) = variance
            && !(floor > 0.0 && floor.is_finite())
        {
            return Err(Error::range("floor of standard deviations", "a positive number", floor));
        }
        let (n, p) = check("x", x)?;
        if p < 2 && kind != RsmKind::Cosine {
            return Err(Error::range("units", "at least 2", p));
        }
        let products = match kind {
            RsmKind::Pearson => RowProducts::new(x, true),
            RsmKind::Cosine => RowProducts::new(x, false),
            RsmKind::Spearman => {
                let ranks = parallel::map(n, |i| {
                    let row: Vec<f64> = (0..p).map(|j| x[(i, j)].to_f64()).collect();
                    average_ranks("x", &row)
                });
                let ranks = ranks.into_iter().collect::<Result<Vec<_>>>()?;
                RowProducts::new(Mat::from_fn(n, p, |i, j| ranks[i][j]).as_ref(), true)
            }
        };
        products.similarities(kind, variance)
    }

    /// [`Rsm::of`] for some of the units, which may come several times.
    ///
    /// Drawing units with replacement gives the same unit twice, whose noise then correlates with
    /// itself: prefer subsets without replacement.
    ///
    /// # Errors
    /// As [`Rsm::of`], and for an index that is not below p.
    pub fn of_units<T: Real>(
        x: MatRef<'_, T>,
        units: &[usize],
        kind: RsmKind,
        variance: RowVariance,
    ) -> Result<Self> {
        if let Some(unit) = units.iter().find(|&&unit| unit >= x.ncols()) {
            return Err(Error::range("unit", format!("below {}", x.ncols()), unit));
        }
        let chosen = Mat::from_fn(x.nrows(), units.len(), |i, j| x[(i, units[j])]);
        Self::of(chosen.as_ref(), kind, variance)
    }
}

/// Inner products of the rows of a matrix, each row in its own unit.
pub(super) struct RowProducts {
    /// Lower triangle.
    pub gram: Mat<f64>,
    pub row_units: Vec<f64>,
    pub units: usize,
}

impl RowProducts {
    fn new<T: Real>(x: MatRef<'_, T>, centred: bool) -> Self {
        let (n, p) = x.shape();
        let row_units = row_units(x);
        let first: Vec<f64> =
            (0..n).map(|i| if centred { x[(i, 0)].to_f64() / row_units[i] } else { 0.0 }).collect();
        // Of differences to the first value, which are exact where they are small.
        let mean: Vec<f64> = if centred {
            let sums = shifted_row_sums(x, &row_units, &first);
            sums.into_iter().map(|sum| sum / p as f64).collect()
        } else {
            vec![0.0; n]
        };
        let scale: Vec<f64> = row_units.iter().map(|unit| 1.0 / unit).collect();
        let shift = Shift { scale: &scale, first: &first, mean: &mean };
        let shards = parallel::shards(p, BLOCKS * BLOCK);
        let partial = |s: usize| {
            let mut gram = LowerGram::zeros(n);
            let (mut copy, mut w) = (Vec::new(), Vec::new());
            let blocks = parallel::shards(shards[s].len(), BLOCK);
            let units =
                |b: usize| shards[s].start + blocks[b].start..shards[s].start + blocks[b].end;
            for b in 0..blocks.len() {
                let rows = unit_rows(x, units(b), &mut copy);
                let width = blocks[b].len().next_multiple_of(WIDTH);
                w.resize(padded(n) * width, 0.0);
                shifted_rows(Isa::current(), &rows, shift, width, &mut w);
                let next = if b + 1 < blocks.len() { rows_in_place(x, units(b + 1)) } else { None };
                gram.add(&w, width, &next.unwrap_or_default());
            }
            gram.into_mat()
        };
        let gram = parallel::reduce(shards.len(), partial, |a, b| *a += b);
        Self { gram: gram.unwrap_or_else(|| Mat::zeros(n, n)), row_units, units: p }
    }

    pub fn similarities(&self, kind: RsmKind, variance: RowVariance) -> Result<Rsm> {
        let (n, p) = (self.gram.nrows(), self.units as f64);
        let own = |i: usize| self.gram[(i, i)];
        match variance {
            RowVariance::Error => {
                if let Some(i) = (0..n).find(|&i| own(i) <= 0.0) {
                    let what = match kind {
                        RsmKind::Cosine => format!("norm of stimulus {i}"),
                        _ => format!("variance of stimulus {i} over units"),
                    };
                    return Err(Error::range(what, "more than 0", 0));
                }
                let at = |(i, j): (usize, usize)| {
                    (self.gram[(j, i)] / (own(i) * own(j)).sqrt()).clamp(-1.0, 1.0)
                };
                let upper = pairs(n).map(at).collect();
                Ok(Rsm { kind, diagonal: vec![1.0; n], upper })
            }
            RowVariance::Floor(floor) => {
                let size = |i: usize| (own(i) / p).sqrt() + floor / self.row_units[i];
                let sizes: Vec<f64> = (0..n).map(size).collect();
                let at = |(i, j): (usize, usize)| {
                    (self.gram[(j, i)] / p / sizes[i] / sizes[j]).clamp(-1.0, 1.0)
                };
                let diagonal = (0..n).map(|i| at((i, i))).collect();
                Ok(Rsm { kind, diagonal, upper: pairs(n).map(at).collect() })
            }
        }
    }
}
